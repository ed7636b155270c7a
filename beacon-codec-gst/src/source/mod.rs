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
use encode::Unit;
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
    pipeline: gst::Pipeline,
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
        let clip = match &input {
            Input::File(path) => Some(file::Clip::open(path, options.audio.is_some())?),
            Input::Test | Input::Camera(_) => None,
        };
        let capture = Capture::new(&input, options, clip.as_ref().map(file::Clip::format))?;
        Ok(Self::start(&capture, options, clip)?)
    }

    fn start(
        capture: &Capture,
        options: &SourceOptions,
        clip: Option<file::Clip>,
    ) -> Result<Self, Fault> {
        let (teller, end) = End::channel();
        let teller = Arc::new(teller);
        let (pipeline, units) = encode::pipeline(capture, options, &teller)?;
        let assembler = Assembler::new(capture);
        // From here on, dropping stops the pipeline.
        let mut source = Self { pipeline, units, end, assembler, file: None, state: State::Ready };
        if source.pipeline.set_state(gst::State::Paused).is_err() {
            let fault = source.end.try_recv().ok().and_then(Result::err);
            return Err(fault.unwrap_or_else(|| {
                Fault::new(format!("{}: GStreamer cannot open it", capture.what))
            }));
        }
        if let Some(clip) = clip {
            let feeder = file::Feeder::spawn(clip, &source.pipeline, options.looped, teller)?;
            source.file = Some(feeder);
        }
        Ok(source)
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
                    self.pipeline.call_async(|pipeline| {
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
        if self.pipeline.set_state(gst::State::Null).is_err() {
            tracing::warn!("the pipeline did not stop");
        }
        if let Some(file) = self.file.take() {
            file.stop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use beacon_sdk::Profile;

    /// A camera that gives JPEG and no microphone: decoded, thinned out, silent.
    #[tokio::test]
    async fn a_jpeg_camera_without_a_microphone() {
        element::init().expect("GStreamer");
        let options = SourceOptions::new(Profile::LowLatency);
        let camera = "videotestsrc is-live=true ! video/x-raw,width=640,height=480,framerate=60/1 \
                      ! jpegenc";
        let capture = capture::stand_in(camera, &options);
        let mut source = GstSource::start(&capture, &options, None).expect("the stand-in");
        let (mut pictures, mut sounds) = (Vec::new(), 0);
        while pictures.len() < 30 {
            match source.next().await.expect("the stand-in goes on").expect("no end") {
                Media::Tracks(tracks) => assert_eq!(tracks.len(), 2),
                Media::Object(object) if object.track == crate::codec::VIDEO => {
                    pictures.push(object.dts);
                }
                Media::Object(_) => sounds += 1,
            }
        }
        assert!(sounds > 30, "{sounds}");
        // Of 60 a second every other one is left out.
        assert!(pictures.windows(2).all(|pair| pair[1] - pair[0] >= 2_900), "{pictures:?}");
    }
}
