//! WebM and Matroska: the objects as they are, muxed by GStreamer.

use super::caps::{self, Codec};
use crate::element::{self, End, Fault, aside};
use beacon_sdk::TrackId;
use beacon_sdk::media::{Playout, Track};
use gstreamer::{self as gst, prelude::*};
use gstreamer_app as app;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// Bytes that wait for the muxer, which interleaves and so waits for the slowest track: more
/// than a minute of 4 Mbit/s.
const QUEUED_BYTES_MAX: u64 = 32 << 20;
/// How long the muxer may take to write its index.
const FINISH_PATIENCE: Duration = Duration::from_secs(10);

/// A recording.
#[derive(Debug)]
pub(crate) struct File {
    path: PathBuf,
    muxer: &'static str,
    recording: Option<Recording>,
}

impl File {
    pub(crate) fn new(path: &str) -> Result<Self, Fault> {
        let path = PathBuf::from(path);
        let muxer = match path.extension().and_then(|extension| extension.to_str()) {
            Some("webm") => "webmmux",
            Some("mkv") => "matroskamux",
            _ => {
                return Err(Fault::new(format!(
                    "{} is neither .webm nor .mkv: this sink writes those; MP4 is written by \
                     beacon-codec-lite",
                    path.display()
                )));
            }
        };
        if !element::exists(muxer) {
            return Err(element::missing(muxer));
        }
        // Now rather than at the first segment: a folder that is not there, a full disk.
        std::fs::File::create(&path).map_err(|error| {
            Fault::from(
                format!("{} cannot be written: check folder and permissions", path.display()),
                error,
            )
        })?;
        Ok(Self { path, muxer, recording: None })
    }

    pub(crate) async fn write(&mut self, item: Playout) -> Result<(), Fault> {
        let shown = self.path.display();
        match item {
            Playout::Tracks(tracks) => match &self.recording {
                Some(recording) if recording.takes(&tracks) => Ok(()),
                Some(_) => Err(Fault::new(format!(
                    "the tracks have changed, which {shown} cannot follow: record to another file"
                ))),
                None => {
                    takes(self.muxer, &tracks)?;
                    let (path, muxer) = (self.path.clone(), self.muxer);
                    let opened = aside(move || Recording::open(&path, muxer, tracks)).await??;
                    self.recording = Some(opened);
                    Ok(())
                }
            },
            Playout::Segment { id, group_start, objects } => {
                let recording = self.recording.as_mut();
                let recording =
                    recording.ok_or_else(|| Fault::new("a segment came before any track"))?;
                recording.check(&self.path)?;
                let Some(first) = objects.first() else { return Ok(()) };
                let Some((origin, input)) = recording.input(id.track, first) else { return Ok(()) };
                input.broken &= !group_start;
                if input.broken {
                    return Ok(());
                }
                for object in &objects {
                    let media = caps::media_time(&input.track, object);
                    let Some(time) = media.checked_sub(origin) else { continue };
                    let gap = std::mem::take(&mut input.after_gap);
                    let buffer = caps::object(&input.track, object, time, gap);
                    // A pipeline that has failed refuses; `check` tells why.
                    let _ = input.appsrc.push_buffer(buffer);
                }
                Ok(())
            }
            Playout::Gap { id } => {
                let inputs = self.recording.as_mut().map(|recording| &mut recording.inputs);
                for input in inputs.into_iter().flatten().filter(|input| input.track.id == id.track)
                {
                    input.after_gap = true;
                    input.broken = input.track.is_video();
                }
                Ok(())
            }
            Playout::End => Ok(()),
        }
    }

    pub(crate) async fn finish(&mut self) -> Result<(), Fault> {
        let Some(mut recording) = self.recording.take() else { return Ok(()) };
        recording.check(&self.path)?;
        if recording.end.is_terminated() {
            return Ok(());
        }
        for input in &recording.inputs {
            // Refused by a pipeline that has failed, of which the end tells.
            let _ = input.appsrc.end_of_stream();
        }
        match tokio::time::timeout(FINISH_PATIENCE, &mut recording.end).await {
            Ok(told) => told.unwrap_or(Ok(())),
            Err(_) => Err(Fault::new(format!(
                "{} was not finished within {FINISH_PATIENCE:?}: its index is missing",
                self.path.display()
            ))),
        }
    }
}

#[derive(Debug)]
struct Recording {
    pipeline: gst::Pipeline,
    inputs: Vec<Input>,
    end: oneshot::Receiver<Result<(), Fault>>,
    /// Media time of the first object: the file starts there.
    origin: Option<Duration>,
}

#[derive(Debug)]
struct Input {
    track: Track,
    appsrc: app::AppSrc,
    broken: bool,
    after_gap: bool,
}

impl Recording {
    fn open(path: &std::path::Path, muxer: &str, tracks: Vec<Track>) -> Result<Self, Fault> {
        let input = |(n, track): (usize, &Track)| {
            let kind = if track.is_video() { "video" } else { "audio" };
            format!("appsrc name=in{n} format=time max-bytes=0 ! queue ! mux.{kind}_{n} ")
        };
        let chain: String = tracks.iter().enumerate().map(input).collect();
        let chain = element::launch(&format!("{muxer} name=mux ! filesink name=file {chain}"))?;
        element::named::<gst::Element>(&chain, "file")?
            .set_property("location", path.to_string_lossy().as_ref());
        let input = |(n, track): (usize, Track)| {
            let appsrc: app::AppSrc = element::named(&chain, &format!("in{n}"))?;
            appsrc.set_caps(Some(&caps::caps(&track)?));
            let broken = track.is_video();
            Ok(Input { track, appsrc, broken, after_gap: true })
        };
        let inputs =
            tracks.into_iter().enumerate().map(input).collect::<Result<Vec<_>, Fault>>()?;
        let pipeline = gst::Pipeline::new();
        pipeline.add(&chain).map_err(|error| Fault::from("GStreamer cannot build", error))?;
        let (told, mut end) = End::channel();
        element::follow(&pipeline, format!("recording {}", path.display()), Arc::new(told));
        if pipeline.set_state(gst::State::Playing).is_err() {
            let fault = end.try_recv().ok().and_then(Result::err);
            let _ = pipeline.set_state(gst::State::Null);
            return Err(fault.unwrap_or_else(|| Fault::new("the recording does not start")));
        }
        Ok(Self { pipeline, inputs, end, origin: None })
    }

    /// Whether it goes on with these tracks as it is.
    fn takes(&self, tracks: &[Track]) -> bool {
        let mut pairs = self.inputs.iter().zip(tracks);
        self.inputs.len() == tracks.len()
            && pairs.all(|(input, track)| caps::alike(&input.track, track))
    }

    /// The input of a track, and where the file's time starts.
    fn input(
        &mut self,
        track: TrackId,
        first: &beacon_sdk::media::Object,
    ) -> Option<(Duration, &mut Input)> {
        let input = self.inputs.iter_mut().find(|input| input.track.id == track)?;
        let origin = *self.origin.get_or_insert_with(|| caps::media_time(&input.track, first));
        Some((origin, input))
    }

    fn check(&mut self, path: &std::path::Path) -> Result<(), Fault> {
        if let Some(fault) = self.end.try_recv().ok().and_then(Result::err) {
            return Err(fault);
        }
        let waiting: u64 = self.inputs.iter().map(|input| input.appsrc.current_level_bytes()).sum();
        if waiting > QUEUED_BYTES_MAX {
            return Err(Fault::new(format!(
                "{} is not written any further: the disk is too slow or a track has fallen silent",
                path.display()
            )));
        }
        Ok(())
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        if self.pipeline.set_state(gst::State::Null).is_err() {
            tracing::warn!("a recording did not stop");
        }
    }
}

/// Refuses the tracks that a file format has no place for.
fn takes(muxer: &str, tracks: &[Track]) -> Result<(), Fault> {
    for track in tracks {
        let codec = Codec::of(track)?;
        if muxer == "webmmux" && matches!(codec, Codec::H264 | Codec::Aac) {
            return Err(Fault::new(format!(
                "WebM does not take {}: record to a .mkv file, or broadcast VP8 or VP9 with Opus",
                track.codec
            )));
        }
    }
    Ok(())
}
