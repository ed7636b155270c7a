//! Source and Sink with no system package and no C compiler.
//!
//! | type | what it is |
//! |---|---|
//! | [`TestPattern`] | colour bars, a clock for people and one for machines, a tick; H.264 + Opus |
//! | [`Mp4File`] | an MP4 file passed through in real time, without transcoding |
//! | [`FileSink`] | a playable fragmented MP4 that survives `kill -9` |
//! | [`NullSink`] | counts what comes |
//!
//! ```no_run
//! use beacon_codec_lite::{FileSink, Mp4File, NullSink, TestPattern, TestPatternOptions};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let pattern = TestPattern::new(TestPatternOptions::default())?;
//! let clip = Mp4File::open("clip.mp4", true)?; // looped
//! let recording = FileSink::create("recording.mp4")?;
//! let nothing = NullSink::new();
//! let counts = nothing.counts(); // to be read while the sink is in use
//! # Ok(()) }
//! ```
//!
//! [`pattern`] reads the machines' clock back from a decoded picture, so that a test, a viewer or
//! a page can measure the way from capture to display.

mod feed;
mod file_sink;
mod mp4_file;
mod null_sink;
pub mod pattern;
mod test_pattern;
mod tone;

pub use feed::QUEUE_MAX;
pub use file_sink::FileSink;
pub use mp4_file::Mp4File;
pub use null_sink::{Counts, NullSink};
pub use test_pattern::{Rendition, TestPattern, TestPatternOptions};
