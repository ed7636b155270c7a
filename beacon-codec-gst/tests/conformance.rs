//! The suites of the core on the source and the sinks.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use beacon_codec_gst::{AudioCodec, GstSink, GstSource, SinkOptions, SourceOptions, VideoCodec};
use beacon_sdk::conformance::sink::SinkFixture;
use beacon_sdk::conformance::source::SourceFixture;
use beacon_sdk::media::Playout;
use beacon_sdk::{Profile, Sink, Source};
use common::{playout, run_pipeline, scratch};
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

/// A file of a second and a half, small enough that no picture is ever left out.
fn clip() -> PathBuf {
    static CLIP: OnceLock<PathBuf> = OnceLock::new();
    let make = || {
        let path = scratch("conformance.mkv");
        run_pipeline(&format!(
            "matroskamux name=mux ! filesink location={} \
             videotestsrc num-buffers=45 ! video/x-raw,width=160,height=90,framerate=30/1 ! \
             vp8enc deadline=1 ! mux. \
             audiotestsrc num-buffers=75 samplesperbuffer=960 ! audio/x-raw,rate=48000 ! \
             vorbisenc ! mux.",
            path.display()
        ));
        path
    };
    CLIP.get_or_init(make).clone()
}

fn open_clip(video: VideoCodec, audio: AudioCodec) -> GstSource {
    let mut options = SourceOptions::new(Profile::LowLatency);
    (options.video, options.audio) = (video, Some(audio));
    GstSource::open(&format!("file:{}", clip().display()), &options).unwrap()
}

struct FileFixture;

impl SourceFixture for FileFixture {
    async fn open(&mut self) -> Box<dyn Source> {
        Box::new(open_clip(VideoCodec::H264, AudioCodec::Opus))
    }
}

fn a_file() -> FileFixture {
    FileFixture
}

mod source_from_a_file {
    beacon_sdk::source_conformance!(super::a_file);
}

/// A sink and the broadcast it is given, encoded once in this process.
struct Shown {
    spec: String,
    broadcast: Vec<Playout>,
}

impl Shown {
    fn new(spec: String, video: VideoCodec, audio: AudioCodec) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let mut source = open_clip(video, audio);
        let items = runtime.block_on(common::collect(&mut source, Duration::MAX));
        let mut seq = 0;
        let mut broadcast: Vec<Playout> =
            items.iter().map(|item| playout(item, &mut seq)).collect();
        broadcast.push(Playout::End);
        Self { spec, broadcast }
    }
}

impl SinkFixture for Shown {
    async fn open(&mut self) -> Box<dyn Sink> {
        let mut options = SinkOptions::default();
        options.video_sink = Some("fakesink sync=true".to_owned());
        options.audio_sink = Some("fakesink sync=true".to_owned());
        Box::new(GstSink::open(&self.spec, &options).unwrap())
    }

    fn broadcast(&self) -> Vec<Playout> {
        self.broadcast.clone()
    }
}

fn a_window() -> Shown {
    on_a_thread(|| Shown::new("window".to_owned(), VideoCodec::H264, AudioCodec::Opus))
}

fn a_webm_file() -> Shown {
    let spec = format!("file:{}", scratch("conformance.webm").display());
    on_a_thread(|| Shown::new(spec, VideoCodec::Vp8, AudioCodec::Opus))
}

/// The suite runs in a runtime of its own, in which no other can be started.
fn on_a_thread<T: Send>(make: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| scope.spawn(make).join().unwrap())
}

mod sink_window {
    beacon_sdk::sink_conformance!(super::a_window);
}

mod sink_webm {
    beacon_sdk::sink_conformance!(super::a_webm_file);
}
