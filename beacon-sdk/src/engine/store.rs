//! The window: every segment that is known, held or asked for.

use crate::id::{SegmentId, TrackId};
use crate::media::{Hash, Manifest, PAGE_LEAVES, SegmentHasher};
use crate::plugin::{PeerKey, stripe_of};
use crate::time::Instant;
use crate::wire::{HAVE_COMPLETE, HAVE_GROUP_START, Message, SYMBOL_HEADER_LEN, SymbolHeader};
use bytes::{Bytes, BytesMut};
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

/// A symbol asked of a neighbour.
#[derive(Copy, Clone, Debug)]
pub(super) struct Asked {
    pub(super) esi: u16,
    pub(super) peer: PeerKey,
    pub(super) until: Instant,
}

/// One segment, from hearsay to complete.
#[derive(Debug, Default)]
pub(super) struct Segment {
    pub(super) holders: Vec<Holder>,
    pub(super) content: Option<Content>,
    /// When its manifest was last asked for.
    pub(super) fetched: Instant,
}

/// A segment whose manifest is verified.
#[derive(Debug)]
pub(super) struct Content {
    pub(super) manifest: Manifest,
    /// The manifest as a frame, for passing on.
    pub(super) frame: Bytes,
    pub(super) hasher: SegmentHasher,
    /// When the manifest came.
    pub(super) since: Instant,
    pub(super) asked: Vec<Asked>,
    /// Recovery has failed at this many symbols; more are needed to try again.
    pub(super) tried: u16,
    /// The mask that neighbours were last told.
    pub(super) told: u32,
    pages: Vec<Option<Bytes>>,
    leaves: Vec<Hash>,
    symbols: Vec<Option<Bytes>>,
    held: u16,
    held_source: u16,
    stripes: u8,
    /// Symbols missing per stripe; the last is the repair stripe.
    missing: Vec<u16>,
    /// What a neighbour is told; kept as symbols come, for every symbol asks for it.
    mask: u32,
}

/// What became of a page.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum PageFate {
    New,
    Known,
    False,
}

/// What became of a symbol.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum SymbolFate {
    New,
    Known,
    /// Its page of leaf hashes is not here yet.
    NoPage,
    False,
}

impl Content {
    pub(super) fn new(
        manifest: Manifest,
        frame: Bytes,
        hasher: SegmentHasher,
        stripes: u8,
        now: Instant,
    ) -> Self {
        let layout = manifest.layout;
        let total = layout.total();
        let flat = Manifest::is_flat(&layout);
        let leaves =
            if flat { manifest.digests.clone() } else { vec![[0; 32]; usize::from(total)] };
        let mut missing = vec![0; usize::from(stripes) + 1];
        for esi in 0..total {
            let stripe = stripe_of(manifest.id.seq, esi, layout.source(), stripes);
            missing[usize::from(stripe)] += 1;
        }
        let start = if manifest.group_start { HAVE_GROUP_START } else { 0 };
        let empty = (0_u8..).zip(&missing).filter(|(_, missing)| **missing == 0);
        let mask = empty.fold(start, |mask, (stripe, _)| mask | 1 << stripe);
        Self {
            frame,
            hasher,
            since: now,
            asked: Vec::new(),
            tried: 0,
            told: 0,
            pages: vec![None; Manifest::pages(&layout)],
            leaves,
            symbols: vec![None; usize::from(total)],
            held: 0,
            held_source: 0,
            stripes,
            missing,
            mask,
            manifest,
        }
    }

    /// Every source symbol is here.
    pub(super) fn complete(&self) -> bool {
        self.held_source == self.manifest.layout.source()
    }

    /// Symbols of any kind that are here.
    pub(super) const fn held(&self) -> u16 {
        self.held
    }

    /// Symbols that must still come before the segment is whole.
    pub(super) fn wanted(&self, coded: bool) -> u16 {
        let (source, held) = (self.manifest.layout.source(), self.held_source);
        let missing = source - held;
        // A code that can stand in for missing source symbols needs any K, and sometimes one
        // more, which `tried` counts.
        if coded {
            (source.max(self.tried + 1) - self.held.min(source)).min(missing)
        } else {
            missing
        }
    }

    pub(super) fn stripe(&self, esi: u16) -> u8 {
        stripe_of(self.manifest.id.seq, esi, self.manifest.layout.source(), self.stripes)
    }

    /// The frame of a symbol that is here.
    pub(super) fn symbol(&self, esi: u16) -> Option<&Bytes> {
        self.symbols.get(usize::from(esi))?.as_ref()
    }

    /// ESIs that are not here, ascending.
    pub(super) fn absent(&self) -> impl Iterator<Item = u16> {
        (0_u16..).zip(&self.symbols).filter(|(_, slot)| slot.is_none()).map(|(esi, _)| esi)
    }

    /// What a neighbour is told.
    pub(super) const fn mask(&self) -> u32 {
        self.mask
    }

    /// Manifest and pages as frames, in the order in which they should go.
    pub(super) fn records(&self) -> impl Iterator<Item = &Bytes> {
        core::iter::once(&self.frame).chain(self.pages.iter().flatten())
    }

    /// Every page is here.
    pub(super) fn paged(&self) -> bool {
        self.pages.iter().all(Option::is_some)
    }

    /// Checks a page against the manifest and keeps it.
    pub(super) fn page(&mut self, index: u8, leaves: &Bytes) -> PageFate {
        let at = usize::from(index);
        let Some(slot) = self.pages.get_mut(at) else { return PageFate::False };
        if slot.is_some() {
            return PageFate::Known;
        }
        let first = at * PAGE_LEAVES;
        let count = (self.leaves.len() - first).min(PAGE_LEAVES);
        let false_page = leaves.len() != count * 32
            || self.hasher.page(index, leaves) != self.manifest.digests[at];
        if false_page {
            return PageFate::False;
        }
        for (leaf, hash) in self.leaves[first..].iter_mut().zip(leaves.chunks_exact(32)) {
            leaf.copy_from_slice(hash);
        }
        let id = self.manifest.id;
        *slot = Some(Message::Page { id, index, leaves: leaves.clone() }.encode());
        PageFate::New
    }

    /// Checks a symbol frame against its leaf hash and keeps it.
    pub(super) fn accept(&mut self, esi: u16, frame: &Bytes) -> SymbolFate {
        let at = usize::from(esi);
        let symbol = &frame[SYMBOL_HEADER_LEN..];
        if at >= self.symbols.len() || symbol.len() != self.manifest.layout.symbol_size() {
            return SymbolFate::False;
        }
        if self.symbols[at].is_some() {
            return SymbolFate::Known;
        }
        if self.pages.get(at / PAGE_LEAVES).is_some_and(Option::is_none) {
            return SymbolFate::NoPage;
        }
        if self.hasher.leaf(esi, symbol) != self.leaves[at] {
            return SymbolFate::False;
        }
        self.keep(esi, frame.clone());
        SymbolFate::New
    }

    /// Keeps a symbol whose authenticity is established.
    pub(super) fn keep(&mut self, esi: u16, frame: Bytes) {
        self.symbols[usize::from(esi)] = Some(frame);
        self.held += 1;
        self.held_source += u16::from(esi < self.manifest.layout.source());
        let stripe = self.stripe(esi);
        let missing = &mut self.missing[usize::from(stripe)];
        *missing -= 1;
        if *missing == 0 {
            self.mask |= 1 << stripe;
        }
        if self.complete() {
            self.mask |= HAVE_COMPLETE;
        }
    }

    /// Whether a symbol matches its leaf hash, where that is known.
    pub(super) fn committed(&self, esi: u16, symbol: &[u8]) -> bool {
        let at = usize::from(esi);
        let paged = self.pages.get(at / PAGE_LEAVES).is_none_or(Option::is_some);
        paged && self.leaves.get(at) == Some(&self.hasher.leaf(esi, symbol))
    }

    /// All symbols that are here, without their headers.
    pub(super) fn symbols(&self) -> Vec<(u16, Bytes)> {
        let all = (0_u16..).zip(&self.symbols);
        all.filter_map(|(esi, frame)| Some((esi, frame.as_ref()?.slice(SYMBOL_HEADER_LEN..))))
            .collect()
    }

    /// The padded payload of a complete segment.
    pub(super) fn padded(&self) -> Option<Bytes> {
        let layout = &self.manifest.layout;
        let mut out = BytesMut::with_capacity(layout.padded_len());
        for frame in &self.symbols[..usize::from(layout.source())] {
            out.extend_from_slice(&frame.as_ref()?[SYMBOL_HEADER_LEN..]);
        }
        Some(out.freeze())
    }

    /// The payload of a complete segment.
    pub(super) fn payload(&self) -> Option<Bytes> {
        let mut padded = self.padded()?;
        padded.truncate(self.manifest.layout.payload_len());
        Some(padded)
    }

    /// The frame of a symbol of this segment.
    pub(super) fn frame_of(&self, esi: u16, symbol: &[u8]) -> Bytes {
        SymbolHeader { segment: self.manifest.id, esi }.frame(symbol)
    }

    fn bytes(&self) -> usize {
        usize::from(self.held) * (self.manifest.layout.symbol_size() + SYMBOL_HEADER_LEN)
    }
}

/// The known part of one track.
#[derive(Debug, Default, Clone, Copy)]
struct Edge {
    /// Segments before this one are gone for good.
    base: u32,
    /// The newest segment with a verified manifest.
    newest: Option<u32>,
}

/// All segments.
#[derive(Debug, Default)]
pub(super) struct Store {
    segments: BTreeMap<SegmentId, Segment>,
    edges: BTreeMap<TrackId, Edge>,
    hearsay: usize,
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
        segment.content = Some(content);
        let edge = self.edges.entry(id.track).or_default();
        edge.newest = Some(edge.newest.map_or(id.seq, |newest| newest.max(id.seq)));
        edge.base = edge.base.max(id.seq.saturating_sub(SEGMENTS_MAX));
    }

    /// The newest segment of a track with a verified manifest.
    pub(super) fn newest(&self, track: TrackId) -> Option<u32> {
        self.edges.get(&track)?.newest
    }

    /// All segments, by track and number.
    pub(super) fn iter(&self) -> impl Iterator<Item = (SegmentId, &Segment)> {
        self.segments.iter().map(|(id, segment)| (*id, segment))
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
        let held = |store: &Self| -> usize {
            store.segments.values().filter_map(|s| s.content.as_ref()).map(Content::bytes).sum()
        };
        let mut bytes = held(self);
        while bytes > BYTES_MAX {
            let oldest = self
                .segments
                .iter()
                .filter_map(|(id, s)| Some((s.content.as_ref()?.manifest.published, *id)))
                .min();
            let Some((_, id)) = oldest else { break };
            self.drop_before(id.track, id.seq + 1);
            bytes = held(self);
        }
    }

    /// Drops hearsay that the window has shown to be far off: what was believed before the first
    /// manifest must not take the room of what is news.
    fn drop_far_hearsay(&mut self) {
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
            self.hearsay -= usize::from(segment.content.is_none());
            self.segments.remove(&id);
        }
    }
}
