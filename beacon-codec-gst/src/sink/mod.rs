//! [`GstSink`]: a broadcast in a window with sound, or in a file.

mod caps;
mod file;
mod timeline;
mod window;

use crate::element::{self, Fault};
use beacon_sdk::media::{Playout, Track};
use beacon_sdk::plugin::{Sink, SinkError};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How to show a broadcast.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct SinkOptions {
    /// From the moment a segment arrives to the moment it is seen: what covers the jitter of its
    /// arrival and the decoder. 0–10 s. (Guess: 100 ms.)
    pub buffer: Duration,
    /// GStreamer element that shows the picture, with properties as `gst-launch` takes them:
    /// `waylandsink fullscreen=true`. `None`: what the display of this session takes.
    pub video_sink: Option<String>,
    /// GStreamer element that plays the sound, likewise. `None`: PulseAudio, PipeWire or ALSA,
    /// and silence with a warning where there is none.
    pub audio_sink: Option<String>,
    /// Do not even decode the sound.
    pub muted: bool,
}

impl Default for SinkOptions {
    fn default() -> Self {
        Self {
            buffer: Duration::from_millis(100),
            video_sink: None,
            audio_sink: None,
            muted: false,
        }
    }
}

/// What a sink has done so far; may be read while the sink is at work.
#[derive(Debug, Default)]
pub struct Counters {
    pictures: AtomicU64,
    sounds: AtomicU64,
    rebased: AtomicU64,
}

impl Counters {
    /// Pictures decoded.
    #[must_use]
    pub fn pictures(&self) -> u64 {
        self.pictures.load(Ordering::Relaxed)
    }

    /// Buffers of sound decoded.
    #[must_use]
    pub fn sounds(&self) -> u64 {
        self.sounds.load(Ordering::Relaxed)
    }

    /// Times the picture stood still because a segment came too late, or the timeline jumped.
    #[must_use]
    pub fn rebased(&self) -> u64 {
        self.rebased.load(Ordering::Relaxed)
    }
}

/// Shows a broadcast in a window with sound, or writes it to a WebM or Matroska file.
///
/// Of several tracks of a kind the first announced one is shown; a file takes them all. After a
/// gap the picture waits for the next group. Without a sound device it plays on in silence, with
/// a warning.
#[derive(Debug)]
pub struct GstSink {
    output: Output,
    counters: Arc<Counters>,
}

#[derive(Debug)]
enum Output {
    Window(Box<window::Window>),
    File(file::File),
}

impl GstSink {
    /// Opens `spec`:
    ///
    /// - `window`: decodes and shows;
    /// - `file:PATH.webm` (VP8, VP9, Opus) or `file:PATH.mkv` (all codecs): writes what comes,
    ///   undecoded. MP4 is the business of `beacon-codec-lite`.
    ///
    /// # Errors
    /// [`SinkError`] naming the element and the package, or the display that is missing; an
    /// unknown spec; a buffer out of range.
    pub fn open(spec: &str, options: &SinkOptions) -> Result<Self, SinkError> {
        if options.buffer > Duration::from_secs(10) {
            return Err(SinkError::new("buffer must be 0 to 10 s"));
        }
        element::init()?;
        let counters = Arc::new(Counters::default());
        let output = match spec.split_once(':') {
            None if spec == "window" => {
                Output::Window(Box::new(window::Window::new(options, counters.clone())?))
            }
            Some(("file", path)) if !path.is_empty() => Output::File(file::File::new(path)?),
            _ => {
                return Err(SinkError::new(format!(
                    "no sink {spec:?}: use window, file:PATH.webm or file:PATH.mkv"
                )));
            }
        };
        Ok(Self { output, counters })
    }

    /// What the sink has done so far. `pictures` and `sounds` stay zero for a file.
    #[must_use]
    pub fn counters(&self) -> Arc<Counters> {
        self.counters.clone()
    }
}

#[async_trait::async_trait]
impl Sink for GstSink {
    async fn write(&mut self, item: Playout) -> Result<(), SinkError> {
        if let Playout::Tracks(tracks) = &item {
            Track::check_all(tracks).map_err(|error| {
                Fault::from("the broadcast announces tracks that no sink can take", error)
            })?;
        }
        let done: Result<(), Fault> = match &mut self.output {
            Output::Window(window) => window.write(item).await,
            Output::File(file) => file.write(item).await,
        };
        Ok(done?)
    }

    async fn finish(&mut self) -> Result<(), SinkError> {
        let done: Result<(), Fault> = match &mut self.output {
            Output::Window(window) => window.finish().await,
            Output::File(file) => file.finish().await,
        };
        Ok(done?)
    }
}
