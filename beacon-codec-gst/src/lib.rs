//! GStreamer for Beacon: a [`GstSource`] that encodes a test pattern, a camera or any file, and a
//! [`GstSink`] that shows a broadcast in a window with sound or writes it to WebM or Matroska.
//!
//! Needs GStreamer 1.22 or later (Debian 12 ships it). Whatever is missing is named together
//! with the package that ships it. [`GstSource::open`] and [`GstSink::open`] block while
//! GStreamer loads: some 20 ms, but seconds the first time a machine ever does, when GStreamer
//! lists its plugins.
//!
//! ```no_run
//! use beacon_codec_gst::{GstSink, GstSource, SinkOptions, SourceOptions};
//! use beacon_sdk::Profile;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let options = SourceOptions::new(Profile::LowLatency);
//! let source = GstSource::open("file:holiday.mov", &options)?;
//! let sink = GstSink::open("window", &SinkOptions::default())?;
//! # Ok(()) }
//! ```

mod codec;
mod device;
mod element;
mod sink;
mod source;

pub use codec::{AudioCodec, VideoCodec};
pub use sink::{Counters, GstSink, SinkOptions};
pub use source::{GstSource, SourceOptions};
