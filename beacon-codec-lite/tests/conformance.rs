//! The contracts of Source and Sink, kept by everything here.

#![allow(clippy::unwrap_used)]

use beacon_codec_lite::{FileSink, Mp4File, NullSink, TestPattern, TestPatternOptions};
use beacon_mux::{Append, Recorder};
use beacon_sdk::conformance::{SinkFixture, SourceFixture, sample};
use beacon_sdk::{Sink, Source};
use std::time::Duration;
use tempfile::TempDir;

struct Pattern;

impl SourceFixture for Pattern {
    async fn open(&mut self) -> Box<dyn Source> {
        // Frames so far apart that a loaded machine is in time for each.
        let options = TestPatternOptions {
            width: 176,
            height: 96,
            fps: 3,
            video_bitrate: 100_000,
            group: Duration::from_secs(1),
            duration: Some(Duration::from_millis(1900)),
            ..TestPatternOptions::default()
        };
        Box::new(TestPattern::new(options).unwrap())
    }
}

struct Clip(TempDir);

impl SourceFixture for Clip {
    async fn open(&mut self) -> Box<dyn Source> {
        let (path, mut recorder) = (self.0.path().join("clip.mp4"), Recorder::new());
        let mut file = Vec::new();
        for item in sample() {
            match recorder.push(&item).unwrap() {
                Append::Init(bytes) | Append::Fragment(bytes) => file.extend(bytes),
                Append::Nothing => {}
            }
        }
        std::fs::write(&path, file).unwrap();
        Box::new(Mp4File::open(path, false).unwrap())
    }
}

struct Recording(TempDir);

impl SinkFixture for Recording {
    async fn open(&mut self) -> Box<dyn Sink> {
        Box::new(FileSink::create(self.0.path().join("recording.mp4")).unwrap())
    }
}

struct Null;

impl SinkFixture for Null {
    async fn open(&mut self) -> Box<dyn Sink> {
        Box::new(NullSink::new())
    }
}

fn pattern() -> Pattern {
    Pattern
}

fn clip() -> Clip {
    Clip(tempfile::tempdir().unwrap())
}

fn recording() -> Recording {
    Recording(tempfile::tempdir().unwrap())
}

fn null() -> Null {
    Null
}

mod test_pattern {
    beacon_sdk::source_conformance!(super::pattern);
}

mod mp4_file {
    beacon_sdk::source_conformance!(super::clip);
}

mod file_sink {
    beacon_sdk::sink_conformance!(super::recording);
}

mod null_sink {
    beacon_sdk::sink_conformance!(super::null);
}
