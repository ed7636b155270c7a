//! Cuts a track's objects into segments.

use super::payload::{OBJECT_OVERHEAD_MAX, OBJECTS_MAX};
use super::{Object, Track};
use crate::plugin::PAYLOAD_BYTES_MAX;

/// Objects that make up one segment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cut {
    /// In decode order, at least one.
    pub objects: Vec<Object>,
    /// The first one is a keyframe.
    pub group_start: bool,
}

/// Cuts one track. Boundaries are multiples of the segment length on the track's own time line,
/// so that tracks and renditions of one broadcast are cut alike, and every keyframe of a video
/// track starts a new segment. A segment is closed as soon as its last object is known to be the
/// last: a frame earlier than waiting for the next one would.
#[derive(Debug)]
pub struct Segmenter {
    track: Track,
    segment_us: u64,
    open: Vec<Object>,
    bytes: usize,
}

impl Segmenter {
    /// A segmenter for segments of `segment_us` microseconds at most.
    #[must_use]
    pub fn new(track: Track, segment_us: u64) -> Self {
        Self { track, segment_us: segment_us.max(1), open: Vec::new(), bytes: 0 }
    }

    /// Takes the next object; gives back the segments that it closes, oldest first.
    pub fn push(&mut self, object: Object) -> Vec<Cut> {
        let mut cuts = Vec::new();
        if self.must_cut_before(&object) {
            cuts.extend(self.flush());
        }
        let ends = object.dts.saturating_add(u64::from(object.duration));
        let (slot, next) = (self.slot(object.dts), self.slot(ends));
        self.bytes += object.data.len() + OBJECT_OVERHEAD_MAX;
        self.open.push(object);
        if next > slot || self.open.len() == OBJECTS_MAX {
            cuts.extend(self.flush());
        }
        cuts
    }

    /// Closes the open segment, if there is one.
    pub fn flush(&mut self) -> Option<Cut> {
        self.bytes = 0;
        let objects = core::mem::take(&mut self.open);
        let group_start = objects.first()?.keyframe;
        Some(Cut { objects, group_start })
    }

    fn must_cut_before(&self, object: &Object) -> bool {
        let Some(first) = self.open.first() else { return false };
        let full = self.bytes + object.data.len() + OBJECT_OVERHEAD_MAX > PAYLOAD_BYTES_MAX;
        let new_group = object.keyframe && self.track.is_video();
        full || new_group || self.slot(object.dts) != self.slot(first.dts)
    }

    fn slot(&self, ticks: u64) -> u64 {
        // A tick's rounding must not pull a boundary frame into the slot before.
        self.track.micros(ticks).saturating_add(1) / self.segment_us
    }
}
