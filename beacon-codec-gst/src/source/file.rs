//! A file of any format: decoded by one pipeline, handed over to the encoding one.
//!
//! Two pipelines, because a file that starts again must not disturb the encoders: they see one
//! stream whose time goes on, whatever the decoder does.

use super::capture::Format;
use crate::element::{self, End, Fault};
use gstreamer::{self as gst, prelude::*};
use gstreamer_app as app;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

/// How long a file may take to give its first picture.
const OPEN_TIMEOUT: gst::ClockTime = gst::ClockTime::from_seconds(10);
/// How often the feeder looks whether it is to stop.
const STOP_POLL: gst::ClockTime = gst::ClockTime::from_mseconds(50);
/// A round of a looped file lasts at least this long, so that a still picture is no busy loop.
const ROUND_MIN_NS: u64 = 200_000_000;

/// A file opened and decoded up to its first picture.
#[derive(Debug)]
pub(crate) struct Clip {
    path: PathBuf,
    pipeline: gst::Pipeline,
    video: app::AppSink,
    audio: Option<app::AppSink>,
    format: Format,
}

impl Clip {
    pub(crate) fn open(path: &Path, audio: bool) -> Result<Self, Fault> {
        look_at(path)?;
        let shown = path.display();
        let pipeline = gst::Pipeline::new();
        let chain = element::launch("filesrc name=file ! decodebin name=decoder")?;
        element::named::<gst::Element>(&chain, "file")?
            .set_property("location", path.to_string_lossy().as_ref());
        let add = |bin: &gst::Bin| {
            pipeline.add(bin).map_err(|error| Fault::from("GStreamer cannot build", error))
        };
        add(&chain)?;
        // A phone's upright video is turned upright here.
        let picture = element::launch(
            "videoconvert name=in ! videoflip video-direction=auto ! appsink name=out",
        )?;
        let sound = element::launch("audioconvert name=in ! appsink name=out")?;
        let decoder: gst::Element = element::named(&chain, "decoder")?;
        // Weak, or the decoder would own the chain that owns it.
        let owners = (pipeline.downgrade(), chain.downgrade());
        let (picture_bin, sound_bin) = (picture.clone(), sound.clone());
        decoder.connect_pad_added(move |_, pad| {
            let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
            let kind = caps.structure(0).map(|s| s.name().as_str()).unwrap_or_default();
            let branch = match kind {
                "video/x-raw" => &picture_bin,
                "audio/x-raw" if audio => &sound_bin,
                _ => return,
            };
            if let (Some(pipeline), Some(chain)) = (owners.0.upgrade(), owners.1.upgrade()) {
                // A second picture or sound track finds the branch taken and stays unlinked.
                if let Err(error) = attach(&pipeline, &chain, branch, pad) {
                    tracing::warn!(%error, %kind, "a track of the file is left out");
                }
            }
        });
        let mut clip = Self {
            path: path.to_owned(),
            pipeline,
            video: element::named(&picture, "out")?,
            audio: None,
            format: Format { size: (0, 0), fps: None, audio: false },
        };
        for sink in [&clip.video, &element::named(&sound, "out")?] {
            sink.set_sync(false);
            sink.set_enable_last_sample(false);
            sink.set_max_buffers(2);
        }
        clip.preroll()?;
        let caps = clip.video.static_pad("sink").and_then(|pad| pad.current_caps());
        let Some(caps) = caps else {
            return Err(Fault::new(format!(
                "file {shown} has no picture: choose a video; sound alone is not broadcast"
            )));
        };
        let out: app::AppSink = element::named(&sound, "out")?;
        let sounding = out.static_pad("sink").is_some_and(|pad| pad.current_caps().is_some());
        clip.audio = sounding.then_some(out);
        clip.format = format_of(&caps, sounding);
        Ok(clip)
    }

    pub(crate) const fn format(&self) -> Format {
        self.format
    }

    /// Waits until every track has decoded its first buffer.
    fn preroll(&self) -> Result<(), Fault> {
        let what = format!("file {}", self.path.display());
        // An error is told in full on the bus.
        let _ = self.pipeline.set_state(gst::State::Paused);
        let bus = self.pipeline.bus().ok_or_else(|| Fault::new("a pipeline without a bus"))?;
        let kinds = [gst::MessageType::AsyncDone, gst::MessageType::Error, gst::MessageType::Eos];
        let message = bus.timed_pop_filtered(OPEN_TIMEOUT, &kinds);
        match message.as_ref().map(|message| message.view()) {
            Some(gst::MessageView::Error(error)) => Err(unreadable(&what, error)),
            Some(_) => Ok(()),
            None => Err(Fault::new(format!("{what} gives no picture within {OPEN_TIMEOUT}"))),
        }
    }

    /// Decodes the file to its end into the two inputs, `offset` nanoseconds later than its own
    /// time. Returns the length of the round.
    fn play(&self, inputs: &Inputs, offset: u64, stop: &AtomicBool) -> Result<u64, Fault> {
        let end = Arc::new(AtomicU64::new(0));
        hand_over(&self.video, &inputs.video, offset, &end);
        if let (Some(sink), Some(input)) = (&self.audio, &inputs.audio) {
            hand_over(sink, input, offset, &end);
        }
        let what = format!("file {}", self.path.display());
        let bus = self.pipeline.bus().ok_or_else(|| Fault::new("a pipeline without a bus"))?;
        let _ = self.pipeline.set_state(gst::State::Playing);
        let kinds = [gst::MessageType::Eos, gst::MessageType::Error];
        while !stop.load(Ordering::Relaxed) {
            let message = bus.timed_pop_filtered(STOP_POLL, &kinds);
            match message.as_ref().map(|message| message.view()) {
                Some(gst::MessageView::Error(error)) => {
                    return Err(element::explain(&what, error));
                }
                Some(_) => break,
                None => {}
            }
        }
        Ok(end.load(Ordering::Relaxed))
    }
}

impl Drop for Clip {
    fn drop(&mut self) {
        if self.pipeline.set_state(gst::State::Null).is_err() {
            tracing::warn!(path = %self.path.display(), "the file's decoder did not stop");
        }
    }
}

/// The plain mistakes, told plainly.
fn look_at(path: &Path) -> Result<(), Fault> {
    let shown = path.display();
    let about = |error: std::io::Error| {
        let text = match error.kind() {
            std::io::ErrorKind::NotFound => format!("file {shown} does not exist: check the path"),
            std::io::ErrorKind::PermissionDenied => {
                format!("file {shown} may not be read: check its permissions")
            }
            _ => format!("file {shown} cannot be opened"),
        };
        Fault::from(text, error)
    };
    let file = std::fs::File::open(path).map_err(about)?;
    let metadata = file.metadata().map_err(about)?;
    if metadata.is_dir() {
        return Err(Fault::new(format!("{shown} is a folder: name a video file in it")));
    }
    if metadata.is_file() && metadata.len() == 0 {
        return Err(Fault::new(format!("file {shown} is empty: copy or record it again")));
    }
    Ok(())
}

fn unreadable(what: &str, message: &gst::message::Error) -> Fault {
    let error = message.error();
    let foreign = [
        gst::StreamError::TypeNotFound,
        gst::StreamError::WrongType,
        gst::StreamError::Failed,
        gst::StreamError::Demux,
        gst::StreamError::Decode,
    ];
    if foreign.iter().any(|kind| error.matches(*kind)) {
        return Fault::from(format!("{what} is not a video that can be played: {error}"), error);
    }
    element::explain(what, message)
}

/// Links a decoded track to its branch.
fn attach(
    pipeline: &gst::Pipeline,
    chain: &gst::Bin,
    branch: &gst::Bin,
    pad: &gst::Pad,
) -> Result<(), gst::glib::BoolError> {
    let taken = || gst::glib::bool_error!("only the first track of a kind is used");
    let entry = branch.by_name("in").and_then(|element| element.static_pad("sink"));
    let entry = entry.filter(|entry| !entry.is_linked()).ok_or_else(taken)?;
    if branch.parent().is_some() {
        return Err(taken());
    }
    pipeline.add(branch)?;
    let inner = gst::GhostPad::with_target(&entry)?;
    inner.set_active(true)?;
    branch.add_pad(&inner)?;
    let outer = gst::GhostPad::with_target(pad)?;
    outer.set_active(true)?;
    chain.add_pad(&outer)?;
    branch.sync_state_with_parent()?;
    outer.link(&inner).map_err(|error| gst::glib::bool_error!("{error}"))?;
    Ok(())
}

fn format_of(caps: &gst::Caps, audio: bool) -> Format {
    let field = |name: &str| {
        let value = caps.structure(0).and_then(|s| s.get::<i32>(name).ok());
        value.and_then(|value| u32::try_from(value).ok()).unwrap_or(0)
    };
    let fraction = |name: &str| {
        let value = caps.structure(0).and_then(|s| s.get::<gst::Fraction>(name).ok())?;
        let parts = (u32::try_from(value.numer()).ok()?, u32::try_from(value.denom()).ok()?);
        (parts.0 > 0 && parts.1 > 0).then_some(parts)
    };
    let (n, d) = fraction("pixel-aspect-ratio").unwrap_or((1, 1));
    let width = u64::from(field("width")) * u64::from(n) / u64::from(d);
    let width = u32::try_from(width).unwrap_or(u32::MAX);
    Format { size: (width, field("height")), fps: fraction("framerate"), audio }
}

/// Passes every decoded buffer on, at its running time plus `offset`. Waits when the encoding
/// side has enough, which is what paces the decoder.
fn hand_over(sink: &app::AppSink, input: &app::AppSrc, offset: u64, end: &Arc<AtomicU64>) {
    let (input, end) = (input.clone(), end.clone());
    let callbacks = app::AppSinkCallbacks::builder().new_sample(move |sink| {
        let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
        let segment = sample.segment().and_then(|segment| segment.downcast_ref());
        let segment: Option<&gst::FormattedSegment<gst::ClockTime>> = segment;
        let pts = sample.buffer().and_then(|buffer| buffer.pts());
        let time = segment.zip(pts).and_then(|(segment, pts)| segment.to_running_time(pts));
        let (Some(time), Some(mut buffer), Some(caps)) =
            (time, sample.buffer_owned(), sample.caps_owned())
        else {
            return Ok(gst::FlowSuccess::Ok);
        };
        drop(sample);
        let length = buffer.duration().unwrap_or_default();
        end.fetch_max((time + length).nseconds(), Ordering::Relaxed);
        let frame = buffer.make_mut();
        frame.set_pts(time + gst::ClockTime::from_nseconds(offset));
        frame.set_dts(gst::ClockTime::NONE);
        input.push_sample(&gst::Sample::builder().buffer(&buffer).caps(&caps).build())
    });
    sink.set_callbacks(callbacks.build());
}

/// The encoding pipeline's inputs.
#[derive(Clone, Debug)]
struct Inputs {
    video: app::AppSrc,
    audio: Option<app::AppSrc>,
}

impl Inputs {
    fn close(&self) {
        for input in [Some(&self.video), self.audio.as_ref()].into_iter().flatten() {
            // Fails when the pipeline is being stopped, which ends the stream as well.
            let _ = input.end_of_stream();
        }
    }
}

/// The thread that decodes a file, over and over if asked to.
#[derive(Debug)]
pub(crate) struct Feeder {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Feeder {
    pub(crate) fn spawn(
        clip: Clip,
        encoding: &gst::Pipeline,
        looped: bool,
        end: Arc<End>,
    ) -> Result<Self, Fault> {
        let audio = clip.audio.as_ref().map(|_| element::named(encoding.upcast_ref(), "audio"));
        let inputs = Inputs {
            video: element::named(encoding.upcast_ref(), "video")?,
            audio: audio.transpose()?,
        };
        let stop = Arc::new(AtomicBool::new(false));
        let told = stop.clone();
        let feed = move || {
            if let Err(fault) = rounds(clip, &inputs, looped, &told) {
                end.tell(Err(fault));
            }
            inputs.close();
        };
        let thread = std::thread::Builder::new().name("beacon-gst-file".into()).spawn(feed);
        let thread = thread
            .map_err(|error| Fault::from("no thread for the file: too many threads run", error))?;
        Ok(Self { stop, thread })
    }

    /// Ends the thread; the encoding pipeline has been stopped before.
    pub(crate) fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        if self.thread.join().is_err() {
            tracing::error!("the file's thread panicked");
        }
    }
}

fn rounds(mut clip: Clip, inputs: &Inputs, looped: bool, stop: &AtomicBool) -> Result<(), Fault> {
    let mut offset = 0;
    loop {
        let length = clip.play(inputs, offset, stop)?;
        if !looped || stop.load(Ordering::Relaxed) {
            return Ok(());
        }
        offset += length.max(ROUND_MIN_NS);
        let (path, audio) = (clip.path.clone(), clip.audio.is_some());
        drop(clip);
        clip = Clip::open(&path, audio)?;
    }
}
