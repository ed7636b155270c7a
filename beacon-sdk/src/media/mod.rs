//! What travels: tracks, objects, groups and segments, and the signed records that describe them.
//!
//! A [`Source`](crate::Source) yields [`Media`] items, the engine cuts objects into segments and
//! carries those, a [`Sink`](crate::Sink) receives [`Playout`] items.

mod choice;
mod description;
mod manifest;
pub(crate) mod payload;
mod segmenter;
mod track;

pub use choice::{Choice, Renditions, Unplayable};
pub(crate) use choice::{Size, size};
pub use description::{Description, RecordError};
pub(crate) use manifest::{CLOCK_MAX, START_MAX};
pub use manifest::{Hash, Manifest, PAGE_LEAVES, SegmentHasher, payload_hash};
pub use payload::OBJECTS_MAX;
pub use segmenter::{Cut, Segmenter};
pub use track::{
    CODEC_BYTES_MAX, CONFIG_BYTES_MAX, Kind, LABEL_BYTES_MAX, TRACKS_MAX, Track, TrackError,
};

use crate::id::{SegmentId, TrackId};
use crate::time::Instant;
use bytes::Bytes;

/// Bytes of one object at most; an access unit of a live encoder stays far below.
pub const OBJECT_BYTES_MAX: usize = 1 << 20;

/// One encoded, timestamped access unit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Object {
    /// The track it belongs to.
    pub track: TrackId,
    /// Decode time in ticks of the track's timescale, never decreasing within a track.
    pub dts: u64,
    /// Presentation time minus decode time, in ticks; zero without B-frames.
    pub cts: i32,
    /// How long it is shown or heard, in ticks.
    pub duration: u32,
    /// Decoding can start here. True for every audio object.
    pub keyframe: bool,
    /// Temporal layer, 0–7; an object of layer n is not needed by layers below n.
    pub layer: u8,
    /// When the camera or microphone saw it; for a file, when it was due.
    pub captured: Instant,
    /// The access unit as MP4 and WebCodecs take it: H.264 length-prefixed without parameter
    /// sets, VP8/VP9/AV1 frames, Opus packets, raw AAC frames. 1 to [`OBJECT_BYTES_MAX`] bytes.
    pub data: Bytes,
}

/// What a [`Source`](crate::Source) yields.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Media {
    /// The tracks that follow. Always the first item; again when a configuration changes.
    Tracks(Vec<Track>),
    /// The next access unit of one of the announced tracks.
    Object(Object),
}

/// What a [`Sink`](crate::Sink) receives, in playout order.
///
/// The order is the same at every peer and at the origin: by start time, then by track number.
/// A recording written from it is therefore the same file everywhere.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Playout {
    /// The tracks that follow. Always the first item; again when a configuration changes.
    Tracks(Vec<Track>),
    /// The objects of one segment, in decode order.
    Segment {
        /// Which segment.
        id: SegmentId,
        /// The first object is independently decodable.
        group_start: bool,
        /// At least one object, all of track `id.track`.
        objects: Vec<Object>,
    },
    /// A segment that could not be had in time. Told, never hidden: the decoder must not be fed
    /// again before the track's next `group_start`.
    Gap {
        /// Which segment is missing.
        id: SegmentId,
    },
    /// The broadcast has ended; nothing follows.
    End,
}
