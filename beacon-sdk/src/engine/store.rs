//! The window: every segment that is known, held or asked for.

use super::content::Content;
use crate::id::{SegmentId, TrackId};
use crate::plugin::PeerKey;
use crate::time::{Instant, micros};
use core::time::Duration;
use std::collections::VecDeque;

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
    /// Bytes of media over microseconds of capture, of how many segments; older ones fade.
    bytes: u64,
    micros: u64,
    rated: u32,
}

/// Segments over which the rate of a track is smoothed: as many seconds of the live profile as two
/// keyframes are usually apart.
const RATED_MAX: u32 = 16;

impl Edge {
    /// Whether anything about the segment of this number is listened to.
    fn open(&self, seq: u32) -> bool {
        let ahead = self.newest.is_none_or(|newest| seq <= newest.saturating_add(AHEAD_MAX));
        seq >= self.base && ahead
    }

    /// A newer segment: so many bytes, so long after the one before. What is summed up is bytes and
    /// time, not rates: where pictures are left out, segments come in bursts.
    fn measure(&mut self, bytes: usize, past: Duration) {
        let past = micros(past);
        if past == 0 {
            return;
        }
        if self.rated < RATED_MAX {
            self.rated += 1;
        } else {
            self.bytes -= self.bytes / u64::from(RATED_MAX);
            self.micros -= self.micros / u64::from(RATED_MAX);
        }
        self.bytes += bytes as u64;
        self.micros = self.micros.saturating_add(past);
    }

    /// Bytes of media per second; 0 is not known yet.
    fn rate(&self) -> u64 {
        self.bytes.saturating_mul(1_000_000).checked_div(self.micros).unwrap_or_default()
    }
}

/// The segments of one track: ascending by number and as a rule without a hole, so that most are found
/// where their number says.
#[derive(Debug)]
struct Track {
    id: TrackId,
    edge: Edge,
    segments: VecDeque<(u32, Box<Segment>)>,
}

impl Track {
    /// Where a segment is, or belongs.
    fn place(&self, seq: u32) -> Result<usize, usize> {
        let first = self.segments.front().map_or(seq, |(first, _)| *first);
        let guess = seq.saturating_sub(first) as usize;
        match self.segments.get(guess) {
            Some((at, _)) if *at == seq => Ok(guess),
            _ => self.segments.binary_search_by_key(&seq, |(at, _)| *at),
        }
    }

    fn get(&self, seq: u32) -> Option<&Segment> {
        let at = self.place(seq).ok()?;
        self.segments.get(at).map(|(_, segment)| &**segment)
    }

    fn get_mut(&mut self, seq: u32) -> Option<&mut Segment> {
        let at = self.place(seq).ok()?;
        self.segments.get_mut(at).map(|(_, segment)| &mut **segment)
    }

    /// The segment, made where there is none.
    fn entry(&mut self, seq: u32) -> &mut Segment {
        let at = match self.place(seq) {
            Ok(at) => at,
            Err(at) => {
                self.segments.insert(at, (seq, Box::default()));
                at
            }
        };
        &mut self.segments[at].1
    }

    /// Ascending, from `first` on.
    fn from(&self, first: u32) -> impl DoubleEndedIterator<Item = (SegmentId, &Segment)> {
        let at = self.place(first).unwrap_or_else(|at| at);
        let id = |seq: u32| SegmentId { track: self.id, seq };
        self.segments.range(at..).map(move |(seq, segment)| (id(*seq), &**segment))
    }
}

/// All segments.
#[derive(Debug, Default)]
pub(super) struct Store {
    /// By number.
    tracks: Vec<Track>,
    hearsay: usize,
    /// Bytes of all symbols of the segments with a verified manifest, here or not.
    room: usize,
}

impl Store {
    fn find(&self, track: TrackId) -> Option<&Track> {
        self.tracks.iter().find(|known| known.id == track)
    }

    fn find_mut(&mut self, track: TrackId) -> Option<&mut Track> {
        self.tracks.iter_mut().find(|known| known.id == track)
    }

    /// The track, made where it was unknown.
    fn entry(&mut self, id: TrackId) -> &mut Track {
        let at = match self.tracks.binary_search_by_key(&id, |track| track.id) {
            Ok(at) => at,
            Err(at) => {
                let track = Track { id, edge: Edge::default(), segments: VecDeque::new() };
                self.tracks.insert(at, track);
                at
            }
        };
        &mut self.tracks[at]
    }

    /// Whether anything about this segment is listened to: the replay window.
    pub(super) fn open(&self, id: SegmentId) -> bool {
        self.find(id.track).is_none_or(|track| track.edge.open(id.seq))
    }

    pub(super) fn get(&self, id: SegmentId) -> Option<&Segment> {
        self.find(id.track)?.get(id.seq)
    }

    pub(super) fn get_mut(&mut self, id: SegmentId) -> Option<&mut Segment> {
        self.find_mut(id.track)?.get_mut(id.seq)
    }

    pub(super) fn content(&self, id: SegmentId) -> Option<&Content> {
        self.get(id)?.content.as_ref()
    }

    pub(super) fn content_mut(&mut self, id: SegmentId) -> Option<&mut Content> {
        self.get_mut(id)?.content.as_mut()
    }

    /// The segment, made up from hearsay where it was unknown; `None` outside the window or when
    /// there is too much hearsay already.
    pub(super) fn hear(&mut self, id: SegmentId) -> Option<&mut Segment> {
        if !self.open(id) {
            return None;
        }
        if self.get(id).is_none() {
            if self.hearsay >= HEARSAY_MAX {
                return None;
            }
            self.hearsay += 1;
        }
        Some(self.entry(id.track).entry(id.seq))
    }

    /// Takes in a segment with a verified manifest.
    pub(super) fn insert(&mut self, id: SegmentId, content: Content) {
        let heard = self.get(id).is_some_and(|segment| segment.content.is_none());
        self.hearsay -= usize::from(heard);
        let segment = self.entry(id.track).entry(id.seq);
        let (bytes, captured) =
            (content.manifest().layout.padded_len(), content.manifest().captured);
        let room = content.bytes_max();
        let old = segment.content.replace(content);
        self.room += room;
        self.room -= old.map_or(0, |old| old.bytes_max());
        let before = SegmentId { seq: id.seq.saturating_sub(1), ..id };
        let before = self.content(before).map(|before| before.manifest().captured);
        let edge = &mut self.entry(id.track).edge;
        if let Some(before) = before.filter(|_| edge.newest.is_none_or(|newest| newest < id.seq)) {
            edge.measure(bytes, captured.since(before));
        }
        edge.newest = Some(edge.newest.map_or(id.seq, |newest| newest.max(id.seq)));
        edge.base = edge.base.max(id.seq.saturating_sub(SEGMENTS_MAX));
    }

    /// The newest segment of a track with a verified manifest.
    pub(super) fn newest(&self, track: TrackId) -> Option<u32> {
        self.find(track)?.edge.newest
    }

    /// Bytes of media per second in these tracks, bit i for track i; 0 is not known yet.
    pub(super) fn rate(&self, tracks: u64) -> u64 {
        let these = self.tracks.iter().filter(|track| tracks >> track.id.get() & 1 == 1);
        these.map(|track| track.edge.rate()).sum()
    }

    /// When the newest of all segments with a verified manifest was captured.
    pub(super) fn newest_captured(&self) -> Option<Instant> {
        let newest = |track: &Track| {
            Some(track.get(track.edge.newest?)?.content.as_ref()?.manifest().captured)
        };
        self.tracks.iter().filter_map(newest).max()
    }

    /// All segments, by track and number.
    pub(super) fn iter(&self) -> impl Iterator<Item = (SegmentId, &Segment)> {
        self.tracks.iter().flat_map(|track| track.from(0))
    }

    /// The segments of each track from the one on that `first` names, by track and number; none of
    /// a track for which it names none. What has been played is most of the store, and not looked
    /// at.
    pub(super) fn from(
        &self,
        first: impl Fn(TrackId) -> Option<u32>,
    ) -> impl Iterator<Item = (SegmentId, &Segment)> {
        let named = self.tracks.iter().filter_map(move |track| Some((track, first(track.id)?)));
        named.flat_map(|(track, first)| track.from(first))
    }

    /// All segments, by track and number.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (SegmentId, &mut Segment)> {
        self.tracks.iter_mut().flat_map(|Track { id, segments, .. }| {
            let track = *id;
            segments
                .iter_mut()
                .map(move |(seq, segment)| (SegmentId { track, seq: *seq }, &mut **segment))
        })
    }

    /// The segments of one track.
    pub(super) fn track(
        &self,
        track: TrackId,
    ) -> impl DoubleEndedIterator<Item = (SegmentId, &Segment)> {
        self.find(track).into_iter().flat_map(|track| track.from(0))
    }

    /// A neighbour is gone: nothing is held by it or asked of it any more.
    pub(super) fn forget(&mut self, peer: PeerKey) {
        for (_, segment) in self.iter_mut() {
            segment.holders.retain(|holder| holder.peer != peer);
            if let Some(content) = &mut segment.content {
                content.asked.retain(|asked| asked.peer != peer);
            }
        }
    }

    /// Nothing is held by a neighbour any more, for all that others are to know.
    pub(super) fn disown(&mut self, peer: PeerKey) {
        for (_, segment) in self.iter_mut() {
            segment.holders.retain(|holder| holder.peer != peer);
        }
    }

    /// Drops what has left the window: older than `window` before the newest of the track, or
    /// beyond the memory limit.
    pub(super) fn expire(&mut self, window: Duration) {
        let tracks: Vec<TrackId> = self.tracks.iter().map(|track| track.id).collect();
        for track in tracks {
            let Some(newest) = self.newest(track) else { continue };
            let Some(edge) = self.content(SegmentId { track, seq: newest }) else { continue };
            let horizon = edge.manifest().published - window;
            // What is not known to be old may still come: a newcomer hears of the newest segment
            // first, and begins with an older one.
            let first_kept = self
                .track(track)
                .filter_map(|(id, segment)| Some((id, segment.content.as_ref()?.manifest())))
                .take_while(|(_, manifest)| manifest.published < horizon)
                .last()
                .map_or(0, |(id, _)| id.seq.saturating_add(1));
            self.drop_before(track, first_kept);
        }
        self.drop_far_hearsay();
        // Looking at every segment costs more than all the rest, so first what there is room for.
        while self.room > BYTES_MAX && self.bytes() > BYTES_MAX {
            let oldest = self
                .iter()
                .filter_map(|(id, s)| Some((s.content.as_ref()?.manifest().published, id)))
                .min();
            let Some((_, id)) = oldest else { break };
            self.drop_before(id.track, id.seq + 1);
        }
    }

    /// Forgets a track: it is taken anew, and its window lies where the others tell.
    pub(super) fn restart(&mut self, track: TrackId) {
        self.drop_before(track, u32::MAX);
        self.tracks.retain(|kept| kept.id != track);
    }

    fn bytes(&self) -> usize {
        self.iter().filter_map(|(_, s)| s.content.as_ref()).map(Content::bytes).sum()
    }

    /// Drops hearsay that the window has shown to be far off: what was believed before the first
    /// manifest must not take the room of what is news.
    fn drop_far_hearsay(&mut self) {
        if self.hearsay == 0 {
            return;
        }
        for track in &mut self.tracks {
            let edge = track.edge;
            // What is outside the window lies at both ends.
            let old = track.segments.partition_point(|(seq, _)| *seq < edge.base);
            let ahead =
                track.segments.partition_point(|(seq, _)| *seq < edge.base || edge.open(*seq));
            let ends = (0..old).chain(ahead..track.segments.len()).rev();
            for at in ends.filter(|at| track.segments[*at].1.content.is_none()).collect::<Vec<_>>()
            {
                track.segments.remove(at);
                self.hearsay -= 1;
            }
        }
    }

    /// Drops the segments of a track before `seq`, for good.
    fn drop_before(&mut self, track: TrackId, seq: u32) {
        let track = self.entry(track);
        track.edge.base = track.edge.base.max(seq);
        let gone = track.place(track.edge.base).unwrap_or_else(|at| at);
        let gone: Vec<Box<Segment>> = track.segments.drain(..gone).map(|(_, s)| s).collect();
        for segment in gone {
            match &segment.content {
                Some(content) => self.room -= content.bytes_max(),
                None => self.hearsay -= 1,
            }
        }
    }
}
