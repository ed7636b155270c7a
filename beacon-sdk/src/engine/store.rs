//! The window: every segment that is known, held or asked for.

use super::content::Content;
use crate::id::{SegmentId, TrackId};
use crate::plugin::PeerKey;
use crate::time::Instant;
use core::ops::Bound::{Excluded, Unbounded};
use core::time::Duration;
use std::collections::BTreeMap;

/// How far ahead of the newest verified segment of a track anything is listened to.
pub(super) const AHEAD_MAX: u32 = 64;
/// Segments kept per track at most, whatever the window is.
pub(super) const SEGMENTS_MAX: u32 = 1024;
/// Segments known only by hearsay (no verified manifest) at most, all tracks together.
const HEARSAY_MAX: usize = 1024;
/// Bytes of symbols kept at most, all tracks together; the oldest segments go first.
const BYTES_MAX: usize = 512 << 20;

/// What a neighbour says it holds of a segment.
#[derive(Copy, Clone, Debug)]
pub(super) struct Holder {
    pub(super) peer: PeerKey,
    pub(super) mask: u32,
    pub(super) since: Instant,
}

/// One segment, from hearsay to complete.
#[derive(Debug, Default)]
pub(super) struct Segment {
    pub(super) holders: Vec<Holder>,
    pub(super) content: Option<Content>,
    /// When its manifest was last asked for.
    pub(super) fetched: Instant,
}

/// The known part of one track.
#[derive(Debug, Default, Clone, Copy)]
struct Edge {
    /// Segments before this one are gone for good.
    base: u32,
    /// The newest segment with a verified manifest.
    newest: Option<u32>,
    /// Bytes of media per second, and from how many segments that is known.
    rate: u64,
    rated: u32,
}

/// Segments over which the rate of a track is smoothed: as many seconds of the live profile as two
/// keyframes are usually apart.
const RATED_MAX: u32 = 16;

impl Edge {
    /// A newer segment: so many bytes, so long after the one before.
    fn rate(&mut self, bytes: usize, past: Duration) {
        let Some(rate) = (bytes as u128 * 1_000_000).checked_div(past.as_micros()) else { return };
        self.rated = (self.rated + 1).min(RATED_MAX);
        let rate = u64::try_from(rate).unwrap_or(u64::MAX);
        let step = rate.abs_diff(self.rate) / u64::from(self.rated);
        self.rate = if rate > self.rate { self.rate + step } else { self.rate - step };
    }
}

/// All segments.
#[derive(Debug, Default)]
pub(super) struct Store {
    segments: BTreeMap<SegmentId, Segment>,
    edges: BTreeMap<TrackId, Edge>,
    hearsay: usize,
    /// Bytes of all symbols of the segments with a verified manifest, here or not.
    room: usize,
}

impl Store {
    /// Whether anything about this segment is listened to: the replay window.
    pub(super) fn open(&self, id: SegmentId) -> bool {
        let edge = self.edges.get(&id.track).copied().unwrap_or_default();
        let ahead = edge.newest.is_none_or(|newest| id.seq <= newest.saturating_add(AHEAD_MAX));
        id.seq >= edge.base && ahead
    }

    pub(super) fn get(&self, id: SegmentId) -> Option<&Segment> {
        self.segments.get(&id)
    }

    pub(super) fn get_mut(&mut self, id: SegmentId) -> Option<&mut Segment> {
        self.segments.get_mut(&id)
    }

    pub(super) fn content(&self, id: SegmentId) -> Option<&Content> {
        self.segments.get(&id)?.content.as_ref()
    }

    pub(super) fn content_mut(&mut self, id: SegmentId) -> Option<&mut Content> {
        self.segments.get_mut(&id)?.content.as_mut()
    }

    /// The segment, made up from hearsay where it was unknown; `None` outside the window or when
    /// there is too much hearsay already.
    pub(super) fn hear(&mut self, id: SegmentId) -> Option<&mut Segment> {
        if !self.open(id) {
            return None;
        }
        if !self.segments.contains_key(&id) {
            if self.hearsay >= HEARSAY_MAX {
                return None;
            }
            self.hearsay += 1;
        }
        Some(self.segments.entry(id).or_default())
    }

    /// Takes in a segment with a verified manifest.
    pub(super) fn insert(&mut self, id: SegmentId, content: Content) {
        let known = self.segments.contains_key(&id);
        let segment = self.segments.entry(id).or_default();
        if known && segment.content.is_none() {
            self.hearsay -= 1;
        }
        let (bytes, captured) = (content.manifest.layout.padded_len(), content.manifest.captured);
        self.room += content.bytes_max();
        if let Some(old) = segment.content.replace(content) {
            self.room -= old.bytes_max();
        }
        let before = SegmentId { seq: id.seq.saturating_sub(1), ..id };
        let before = self.content(before).map(|before| before.manifest.captured);
        let edge = self.edges.entry(id.track).or_default();
        if let Some(before) = before.filter(|_| edge.newest.is_none_or(|newest| newest < id.seq)) {
            edge.rate(bytes, captured.since(before));
        }
        edge.newest = Some(edge.newest.map_or(id.seq, |newest| newest.max(id.seq)));
        edge.base = edge.base.max(id.seq.saturating_sub(SEGMENTS_MAX));
    }

    /// The newest segment of a track with a verified manifest.
    pub(super) fn newest(&self, track: TrackId) -> Option<u32> {
        self.edges.get(&track)?.newest
    }

    /// Bytes of media per second in these tracks, bit i for track i; 0 is not known yet.
    pub(super) fn rate(&self, tracks: u64) -> u64 {
        let these = self.edges.iter().filter(|(track, _)| tracks >> track.get() & 1 == 1);
        these.map(|(_, edge)| edge.rate).sum()
    }

    /// When the newest of all segments with a verified manifest was captured.
    pub(super) fn newest_captured(&self) -> Option<Instant> {
        let newest = self.edges.iter().filter_map(|(track, edge)| {
            self.content(SegmentId { track: *track, seq: edge.newest? })
        });
        newest.map(|content| content.manifest.captured).max()
    }

    /// All segments, by track and number.
    pub(super) fn iter(&self) -> impl Iterator<Item = (SegmentId, &Segment)> {
        self.segments.iter().map(|(id, segment)| (*id, segment))
    }

    /// The segments of each track from the one on that `first` names, by track and number; none of
    /// a track for which it names none. What has been played is most of the store, and not looked
    /// at.
    pub(super) fn from(
        &self,
        first: impl Fn(TrackId) -> Option<u32>,
    ) -> impl Iterator<Item = (SegmentId, &Segment)> {
        let track_after = |bound| Some(self.segments.range((bound, Unbounded)).next()?.0.track);
        let last = |track| SegmentId { track, seq: u32::MAX };
        let tracks = core::iter::successors(track_after(Unbounded), move |track| {
            track_after(Excluded(last(*track)))
        });
        tracks.filter_map(move |track| Some(SegmentId { track, seq: first(track)? })).flat_map(
            move |from| {
                let segments = self.segments.range(from..=last(from.track));
                segments.map(|(id, segment)| (*id, segment))
            },
        )
    }

    /// All segments, by track and number.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (SegmentId, &mut Segment)> {
        self.segments.iter_mut().map(|(id, segment)| (*id, segment))
    }

    /// The segments of one track.
    pub(super) fn track(
        &self,
        track: TrackId,
    ) -> impl DoubleEndedIterator<Item = (SegmentId, &Segment)> {
        let bounds = SegmentId { track, seq: 0 }..=SegmentId { track, seq: u32::MAX };
        self.segments.range(bounds).map(|(id, segment)| (*id, segment))
    }

    /// A neighbour is gone: nothing is held by it or asked of it any more.
    pub(super) fn forget(&mut self, peer: PeerKey) {
        for segment in self.segments.values_mut() {
            segment.holders.retain(|holder| holder.peer != peer);
            if let Some(content) = &mut segment.content {
                content.asked.retain(|asked| asked.peer != peer);
            }
        }
    }

    /// Nothing is held by a neighbour any more, for all that others are to know.
    pub(super) fn disown(&mut self, peer: PeerKey) {
        for segment in self.segments.values_mut() {
            segment.holders.retain(|holder| holder.peer != peer);
        }
    }

    /// Drops what has left the window: older than `window` before the newest of the track, or
    /// beyond the memory limit.
    pub(super) fn expire(&mut self, window: Duration) {
        let tracks: Vec<TrackId> = self.edges.keys().copied().collect();
        for track in tracks {
            let Some(newest) = self.newest(track) else { continue };
            let Some(edge) = self.content(SegmentId { track, seq: newest }) else { continue };
            let horizon = edge.manifest.published - window;
            let first_kept = self
                .track(track)
                .find(|(_, segment)| {
                    let published = segment.content.as_ref().map(|c| c.manifest.published);
                    published.is_some_and(|published| published >= horizon)
                })
                .map_or(0, |(id, _)| id.seq);
            self.drop_before(track, first_kept);
        }
        self.drop_far_hearsay();
        // Looking at every segment costs more than all the rest, so first what there is room for.
        while self.room > BYTES_MAX && self.bytes() > BYTES_MAX {
            let oldest = self
                .segments
                .iter()
                .filter_map(|(id, s)| Some((s.content.as_ref()?.manifest.published, *id)))
                .min();
            let Some((_, id)) = oldest else { break };
            self.drop_before(id.track, id.seq + 1);
        }
    }

    /// Forgets a track: it is taken anew, and its window lies where the others tell.
    pub(super) fn restart(&mut self, track: TrackId) {
        self.drop_before(track, u32::MAX);
        self.edges.remove(&track);
    }

    fn bytes(&self) -> usize {
        self.segments.values().filter_map(|s| s.content.as_ref()).map(Content::bytes).sum()
    }

    /// Drops hearsay that the window has shown to be far off: what was believed before the first
    /// manifest must not take the room of what is news.
    fn drop_far_hearsay(&mut self) {
        if self.hearsay == 0 {
            return;
        }
        let far: Vec<SegmentId> = self
            .iter()
            .filter(|(id, segment)| segment.content.is_none() && !self.open(*id))
            .map(|(id, _)| id)
            .collect();
        self.hearsay -= far.len();
        for id in far {
            self.segments.remove(&id);
        }
    }

    /// Drops the segments of a track before `seq`, for good.
    fn drop_before(&mut self, track: TrackId, seq: u32) {
        let edge = self.edges.entry(track).or_default();
        edge.base = edge.base.max(seq);
        let base = edge.base;
        while let Some((&id, segment)) = self.segments.range(SegmentId { track, seq: 0 }..).next() {
            if id.track != track || id.seq >= base {
                break;
            }
            match &segment.content {
                Some(content) => self.room -= content.bytes_max(),
                None => self.hearsay -= 1,
            }
            self.segments.remove(&id);
        }
    }
}
