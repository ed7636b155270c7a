//! [`GstSource`]: encoded media out of GStreamer.

mod assemble;
mod capture;
mod encode;
mod file;
mod options;

pub use options::SourceOptions;

use crate::element::{self, End, Fault};
use assemble::Assembler;
use beacon_sdk::media::Media;
use beacon_sdk::plugin::{Source, SourceError};
use capture::{Capture, Input};
use encode::{Pipeline, Unit};
use gstreamer::{self as gst, prelude::*};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// Encoded media from a test pattern, a camera or a file.
///
/// Objects come in decode order with times counted from the start of the pipeline; keyframes
/// stand at the first picture of every group, at multiples of
/// [`SourceOptions::group`]. The pipeline starts at the first call of
/// [`next`](Source::next). When the consumer or the encoder is too slow, pictures are dropped
/// before the encoder, never after it.
///
/// Dropping it stops the pipeline and waits for its threads, some milliseconds.
#[derive(Debug)]
pub struct GstSource {
    pipeline: Pipeline,
    units: mpsc::Receiver<Unit>,
    end: oneshot::Receiver<Result<(), Fault>>,
    assembler: Assembler,
    file: Option<file::Feeder>,
    state: State,
}

#[derive(Debug)]
enum State {
    Ready,
    Running,
    /// Everything has come; what is left is this fault, if any.
    Ended(Option<Fault>),
}

impl GstSource {
    /// Opens `spec`:
    ///
    /// - `test`: colour bars and snow with the clock and the running time burnt in, and a tick
    ///   every second;
    /// - `file:PATH`: whatever GStreamer can decode, in real time;
    /// - `camera` or `camera:DEVICE` (`/dev/video0` on Linux), with the default microphone.
    ///
    /// Blocks until the device or the file has been opened: some 20–200 ms, at most 10 s.
    ///
    /// # Errors
    /// [`SourceError`] naming the spec, the package, the file or the device at fault and the
    /// cure: an unknown spec, options out of range, a missing plugin, a file that is missing,
    /// empty or without a picture, no camera.
    pub fn open(spec: &str, options: &SourceOptions) -> Result<Self, SourceError> {
        let input = Input::parse(spec)?;
        options.check()?;
        element::init()?;
        let (end, told) = End::channel();
        Ok(Self::start(&input, options, Arc::new(end), told)?)
    }

    fn start(
        input: &Input,
        options: &SourceOptions,
        end: Arc<End>,
        mut told: oneshot::Receiver<Result<(), Fault>>,
    ) -> Result<Self, Fault> {
        let clip = match input {
            Input::File(path) => Some(file::Clip::open(path, options.audio.is_some())?),
            Input::Test | Input::Camera(_) => None,
        };
        let capture = Capture::new(input, options, clip.as_ref().map(file::Clip::format))?;
        let (pipeline, units) = Pipeline::new(&capture, options, &end)?;
        if pipeline.gst.set_state(gst::State::Paused).is_err() {
            let fault = told.try_recv().ok().and_then(Result::err);
            return Err(fault.unwrap_or_else(|| {
                Fault::new(format!("{}: GStreamer cannot open it", capture.what))
            }));
        }
        capture::warn_of_silence(&pipeline.gst);
        let file = match clip {
            Some(clip) => Some(file::Feeder::spawn(clip, &pipeline.gst, options.looped, end)?),
            None => None,
        };
        let assembler = Assembler::new(&capture);
        Ok(Self { pipeline, units, end: told, assembler, file, state: State::Ready })
    }

    /// Takes what the pipeline gave before it ended.
    fn wind_up(&mut self, end: Result<(), Fault>) -> Option<Fault> {
        while let Ok(unit) = self.units.try_recv() {
            if let Err(fault) = self.assembler.take(unit) {
                return Some(fault);
            }
        }
        end.and_then(|()| self.assembler.finish()).err()
    }
}

#[async_trait::async_trait]
impl Source for GstSource {
    async fn next(&mut self) -> Result<Option<Media>, SourceError> {
        loop {
            if let Some(media) = self.assembler.pop() {
                return Ok(Some(media));
            }
            match &mut self.state {
                State::Ended(fault) => {
                    return fault.take().map_or(Ok(None), |fault| Err(fault.into()));
                }
                State::Ready => {
                    self.state = State::Running;
                    // Starting a device may block; a failure comes over the bus.
                    self.pipeline.gst.call_async(|pipeline| {
                        let _ = pipeline.set_state(gst::State::Playing);
                    });
                }
                State::Running => {}
            }
            // Nothing is awaited between taking a unit and storing it, so a dropped call loses
            // nothing (S04).
            let fault = tokio::select! {
                biased;
                unit = self.units.recv() => match unit {
                    Some(unit) => match self.assembler.take(unit) {
                        Ok(()) => continue,
                        Err(fault) => Some(fault),
                    },
                    None => Some(Fault::new("the pipeline has gone")),
                },
                end = &mut self.end => {
                    self.wind_up(end.unwrap_or_else(|_| Err(Fault::new("the pipeline has gone"))))
                }
            };
            self.state = State::Ended(fault);
        }
    }
}

impl Drop for GstSource {
    fn drop(&mut self) {
        // First the channel, so that no streaming thread waits for room in it.
        self.units.close();
        if self.pipeline.gst.set_state(gst::State::Null).is_err() {
            tracing::warn!("the pipeline did not stop");
        }
        if let Some(file) = self.file.take() {
            file.stop();
        }
    }
}
