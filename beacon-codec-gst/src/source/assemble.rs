//! From encoder units to [`Media`]: the tracks first, then objects in the tracks' own ticks.

use super::capture::Capture;
use super::encode::{Medium, Unit};
use crate::codec::{AUDIO, AudioCodec, VIDEO, VideoCodec};
use crate::element::Fault;
use beacon_sdk::media::{Media, OBJECT_BYTES_MAX, Object, Track};
use gstreamer as gst;
use std::collections::VecDeque;

/// Units that wait for the tracks to be known, about 12 s of both.
const HELD_MAX: usize = 1024;

#[derive(Debug)]
struct Output {
    track: Option<Track>,
    /// Nothing earlier may follow.
    dts: u64,
    /// A keyframe has come.
    begun: bool,
}

/// Holds units back until every track is known, then lets them through.
#[derive(Debug)]
pub(crate) struct Assembler {
    video_codec: VideoCodec,
    audio_codec: AudioCodec,
    bitrates: (u32, u32),
    frame_ns: u64,
    video: Output,
    audio: Option<Output>,
    announced: bool,
    held: VecDeque<Unit>,
    ready: VecDeque<Media>,
}

impl Assembler {
    pub(crate) fn new(capture: &Capture) -> Self {
        let output = || Output { track: None, dts: 0, begun: false };
        Self {
            video_codec: capture.video_codec,
            audio_codec: capture.audio_codec,
            bitrates: (capture.bitrate, capture.audio_bitrate),
            frame_ns: capture.frame_ns,
            video: output(),
            audio: capture.audio.is_some().then(output),
            announced: false,
            held: VecDeque::new(),
            ready: VecDeque::new(),
        }
    }

    /// The next item that is due.
    pub(crate) fn pop(&mut self) -> Option<Media> {
        self.ready.pop_front()
    }

    /// Takes the next unit of either track.
    pub(crate) fn take(&mut self, unit: Unit) -> Result<(), Fault> {
        if let Some(caps) = &unit.caps {
            self.learn(unit.medium, caps)?;
        }
        if self.announced {
            return self.object(unit);
        }
        if self.held.len() == HELD_MAX {
            let late = if self.video.track.is_none() { "picture" } else { "sound" };
            return Err(Fault::new(format!(
                "no {late} has come in {HELD_MAX} units of the other track: check the device, \
                 or choose a source without {late}"
            )));
        }
        self.held.push_back(unit);
        let complete = self.video.track.is_some()
            && self.audio.as_ref().is_none_or(|output| output.track.is_some());
        if complete { self.announce() } else { Ok(()) }
    }

    /// The stream has ended: what was held comes out with the tracks there are.
    pub(crate) fn finish(&mut self) -> Result<(), Fault> {
        if self.announced {
            return Ok(());
        }
        if self.video.track.is_none() {
            return Err(Fault::new("the source ended before its first picture"));
        }
        self.announce()
    }

    fn announce(&mut self) -> Result<(), Fault> {
        self.announced = true;
        self.ready.push_back(self.tracks()?);
        self.held.make_contiguous().sort_by_key(|unit| unit.time);
        while let Some(unit) = self.held.pop_front() {
            self.object(unit)?;
        }
        Ok(())
    }

    fn tracks(&self) -> Result<Media, Fault> {
        let outputs = [Some(&self.video), self.audio.as_ref()];
        let tracks: Vec<Track> =
            outputs.into_iter().flatten().filter_map(|output| output.track.clone()).collect();
        Track::check_all(&tracks)
            .map_err(|error| Fault::from("the encoder gave tracks that no peer accepts", error))?;
        Ok(Media::Tracks(tracks))
    }

    /// Makes the track that new caps describe; a change after the start is announced.
    fn learn(&mut self, medium: Medium, caps: &gst::Caps) -> Result<(), Fault> {
        let track = match medium {
            Medium::Video => self.video_codec.track(caps, self.bitrates.0)?,
            Medium::Audio => self.audio_codec.track(caps, self.bitrates.1)?,
        };
        let output = match medium {
            Medium::Video => &mut self.video,
            Medium::Audio => match &mut self.audio {
                Some(output) => output,
                None => return Ok(()),
            },
        };
        if output.track.as_ref() != Some(&track) {
            output.track = Some(track);
            if self.announced {
                // The new configuration decodes nothing before its own keyframe.
                output.begun = false;
                let tracks = self.tracks()?;
                self.ready.push_back(tracks);
            }
        }
        Ok(())
    }

    fn object(&mut self, unit: Unit) -> Result<(), Fault> {
        let (id, output, whole_ns) = match (unit.medium, &mut self.audio) {
            (Medium::Video, _) => (VIDEO, &mut self.video, self.frame_ns),
            (Medium::Audio, Some(output)) => {
                let packet = self.audio_codec.packet();
                (AUDIO, output, u64::try_from(packet.as_nanos()).unwrap_or(u64::MAX))
            }
            (Medium::Audio, None) => return Ok(()),
        };
        let Some(track) = &output.track else { return Ok(()) };
        let key = unit.key || unit.medium == Medium::Audio;
        // An empty unit is a picture that the encoder skipped.
        if unit.data.is_empty() || !(output.begun || key) {
            return Ok(());
        }
        if unit.data.len() > OBJECT_BYTES_MAX {
            return Err(Fault::new(format!(
                "an encoded picture of {} bytes is too large to be carried (at most \
                 {OBJECT_BYTES_MAX}): lower the bit rate or the size",
                unit.data.len()
            )));
        }
        output.begun = true;
        output.dts = output.dts.max(ticks(unit.time, track.timescale));
        let duration = ticks(unit.duration.unwrap_or(whole_ns), track.timescale);
        self.ready.push_back(Media::Object(Object {
            track: id,
            dts: output.dts,
            cts: 0,
            duration: u32::try_from(duration).unwrap_or(u32::MAX),
            keyframe: key,
            layer: 0,
            captured: unit.captured,
            data: unit.data,
        }));
        Ok(())
    }
}

/// Nanoseconds as ticks, to the nearest.
fn ticks(ns: u64, timescale: u32) -> u64 {
    let ticks = (u128::from(ns) * u128::from(timescale) + 500_000_000) / 1_000_000_000;
    u64::try_from(ticks).unwrap_or(u64::MAX)
}
