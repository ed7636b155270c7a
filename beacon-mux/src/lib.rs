//! Encoded objects of a broadcast to fragmented MP4 (CMAF-like) and back.
//!
//! The mesh carries frames; MP4 is written at its edges, where a player (MSE), a recording or a
//! clip needs it, and read where a file is the source. Nothing here touches a file, a socket or a
//! clock, and everything builds for `wasm32-unknown-unknown`.
//!
//! - [`init_segment`] and [`fragment`] write; one fragment per segment, and its bytes follow from
//!   the segment alone, so every peer writes the same ones.
//! - [`Recorder`] turns the [`Playout`](beacon_sdk::media::Playout) of a broadcast into a file.
//! - [`Reader`] reads ordinary and fragmented MP4 into tracks and objects, without trusting it.
//! - [`h264`], [`aac`] and [`opus`] convert between what encoders give and what tracks carry.
//!
//! # Decoder configurations
//! [`Track::config`](beacon_sdk::media::Track::config) is the body of the codec's configuration
//! box, everything after its size and type: `avcC`, `av1C`, `vpcC` (with its four bytes of version
//! and flags), `dOps`; for AAC the AudioSpecificConfig.

pub mod aac;
mod boxes;
mod codec;
mod error;
mod fragment;
pub mod h264;
mod init;
pub mod opus;
mod reader;
mod recorder;

pub use error::{MuxError, ReadError};
pub use fragment::fragment;
pub use init::init_segment;
pub use reader::{BOXES_MAX, INDEX_BYTES_MAX, Reader, SAMPLES_MAX, Sample};
pub use recorder::{Append, Recorder};
