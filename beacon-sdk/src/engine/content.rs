//! A segment whose manifest is verified: its symbols, checked one by one.

use crate::config::STRIPES_MAX;
use crate::media::{Manifest, PAGE_LEAVES, SegmentHasher};
use crate::plugin::{PeerKey, stripe_of};
use crate::time::Instant;
use crate::wire::{
    HAVE_COMPLETE, HAVE_GROUP_START, Message, PAGES_MAX, SYMBOL_HEADER_LEN, SymbolHeader,
};
use bytes::{Bytes, BytesMut};

/// Bytes of a full page.
const PAGE_BYTES: usize = PAGE_LEAVES * 32;

/// A symbol asked of a neighbour.
#[derive(Copy, Clone, Debug)]
pub(super) struct Asked {
    pub(super) esi: u16,
    pub(super) peer: PeerKey,
    pub(super) until: Instant,
}

/// How far the parent has pushed a stripe of a segment.
#[derive(Copy, Clone, Debug, Default)]
pub(super) struct Edge {
    /// The last symbol it pushed.
    esi: u16,
    /// When it first left one out: that one is late, lost, or not there either.
    skipped: Option<Instant>,
    /// Till then it is not asked again: it has said that it lacks what is missing, and will push
    /// it when it comes.
    denied: Instant,
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
    /// Some of it was asked for or recovered, so that parents may still be pushing it.
    pub(super) pulled: bool,
    /// Leaf hashes as they came; no pages where the manifest has them.
    pages: Vec<Option<Bytes>>,
    /// Pages that are not here.
    unpaged: u16,
    symbols: Vec<Option<Bytes>>,
    /// Bit i of word j: symbol 64 j + i is not here. Planning looks at nothing else.
    absent: Vec<u64>,
    held: u16,
    held_source: u16,
    stripes: u8,
    /// Symbols missing per stripe; the last is the repair stripe.
    missing: [u16; STRIPES_MAX as usize + 1],
    edges: Vec<Edge>,
    /// What a neighbour is told; kept as symbols come, for every symbol asks for it.
    mask: u32,
}

/// A bit set for each of `total` symbols.
fn all_absent(total: u16) -> Vec<u64> {
    let mut words = vec![u64::MAX; usize::from(total.div_ceil(64))];
    if let Some(last) = words.last_mut().filter(|_| !total.is_multiple_of(64)) {
        *last = (1 << (total % 64)) - 1;
    }
    words
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
        let mut missing = [0; STRIPES_MAX as usize + 1];
        for esi in 0..total {
            let stripe = stripe_of(manifest.id.seq, esi, layout.source(), stripes);
            missing[usize::from(stripe)] += 1;
        }
        let start = if manifest.group_start { HAVE_GROUP_START } else { 0 };
        let empty = (0..=stripes).zip(&missing).filter(|(_, missing)| **missing == 0);
        let mask = empty.fold(start, |mask, (stripe, _)| mask | 1 << stripe);
        Self {
            frame,
            hasher,
            since: now,
            asked: Vec::new(),
            tried: 0,
            // Stripes without a symbol are no news.
            told: mask,
            pulled: false,
            pages: vec![None; Manifest::pages(&layout)],
            unpaged: Manifest::pages(&layout) as u16,
            symbols: vec![None; usize::from(total)],
            absent: all_absent(total),
            held: 0,
            held_source: 0,
            stripes,
            edges: vec![Edge::default(); usize::from(stripes) + 1],
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

    /// Symbols of a stripe that are not here.
    pub(super) fn missing_in(&self, stripe: u8) -> u16 {
        self.missing.get(usize::from(stripe)).copied().unwrap_or(0)
    }

    /// The frame of a symbol that is here.
    pub(super) fn symbol(&self, esi: u16) -> Option<&Bytes> {
        self.symbols.get(usize::from(esi))?.as_ref()
    }

    /// The symbols of a stripe that are here, as frames.
    pub(super) fn held_in(&self, stripe: u8) -> impl Iterator<Item = &Bytes> {
        let all = (0_u16..).zip(&self.symbols).filter(move |(esi, _)| self.stripe(*esi) == stripe);
        all.filter_map(|(_, frame)| frame.as_ref())
    }

    /// ESIs that are not here, ascending.
    pub(super) fn absent(&self) -> impl Iterator<Item = u16> {
        (0_u16..).step_by(64).zip(&self.absent).flat_map(|(base, &word)| {
            let mut left = word;
            core::iter::from_fn(move || {
                let bit = (left != 0).then(|| left.trailing_zeros() as u16)?;
                left &= left - 1;
                Some(base + bit)
            })
        })
    }

    /// What a neighbour is told.
    pub(super) const fn mask(&self) -> u32 {
        self.mask
    }

    /// Manifest and pages as frames, in the order in which they should go.
    pub(super) fn records(&self) -> Vec<Bytes> {
        let mut records = vec![self.frame.clone()];
        let pages: Vec<(u8, &Option<Bytes>)> = (0_u8..).zip(&self.pages).collect();
        for run in pages.chunk_by(|a, b| a.1.is_some() && b.1.is_some()) {
            for pages in run.chunks(PAGES_MAX) {
                let leaves: Vec<&[u8]> = pages.iter().filter_map(|(_, p)| p.as_deref()).collect();
                let (first, leaves) = (pages[0].0, Bytes::from(leaves.concat()));
                if !leaves.is_empty() {
                    let id = self.manifest.id;
                    records.push(Message::Pages { id, first, leaves }.encode());
                }
            }
        }
        records
    }

    /// Every page is here.
    pub(super) const fn paged(&self) -> bool {
        self.unpaged == 0
    }

    /// Checks consecutive pages against the manifest and keeps them: all of them or none.
    pub(super) fn accept_pages(&mut self, first: u8, leaves: &Bytes) -> PageFate {
        let total = usize::from(self.manifest.layout.total());
        let mut fate = PageFate::Known;
        for (index, at) in (usize::from(first)..).zip((0..leaves.len()).step_by(PAGE_BYTES)) {
            let page = &leaves[at..leaves.len().min(at + PAGE_BYTES)];
            let Some(slot) = self.pages.get(index) else { return PageFate::False };
            let count = (total - index * PAGE_LEAVES).min(PAGE_LEAVES);
            match slot {
                // Pages are 128 at most: the count is that of a valid layout.
                None if page.len() == count * 32
                    && self.hasher.page(index as u8, page) == self.manifest.digests[index] =>
                {
                    fate = PageFate::New;
                }
                None => return PageFate::False,
                Some(_) => {}
            }
        }
        for (index, at) in (usize::from(first)..).zip((0..leaves.len()).step_by(PAGE_BYTES)) {
            let slot = &mut self.pages[index];
            if slot.is_none() {
                *slot = Some(leaves.slice(at..leaves.len().min(at + PAGE_BYTES)));
                self.unpaged -= 1;
            }
        }
        fate
    }

    /// The leaf hash of a symbol, where it is known: in the manifest itself or in a page.
    fn leaf(&self, esi: u16) -> Option<&[u8]> {
        let at = usize::from(esi);
        if self.pages.is_empty() {
            return self.manifest.digests.get(at).map(|leaf| &leaf[..]);
        }
        let page = self.pages.get(at / PAGE_LEAVES)?.as_ref()?;
        page.chunks_exact(32).nth(at % PAGE_LEAVES)
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
        let Some(leaf) = self.leaf(esi) else { return SymbolFate::NoPage };
        if self.hasher.leaf(esi, symbol) != leaf {
            return SymbolFate::False;
        }
        self.keep(esi, frame.clone());
        SymbolFate::New
    }

    /// Keeps a symbol whose authenticity is established.
    pub(super) fn keep(&mut self, esi: u16, frame: Bytes) {
        self.symbols[usize::from(esi)] = Some(frame);
        self.absent[usize::from(esi / 64)] &= !(1 << (esi % 64));
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

    /// The stripe's parent has pushed a symbol; whether it has left out one before.
    pub(super) fn pushed(&mut self, esi: u16, now: Instant) -> bool {
        let stripe = usize::from(self.stripe(esi));
        let step = if esi < self.manifest.layout.source() { u16::from(self.stripes) } else { 1 };
        let edge = &mut self.edges[stripe];
        let skips = esi > edge.esi.saturating_add(step);
        edge.esi = edge.esi.max(esi);
        if skips && edge.skipped.is_none() {
            edge.skipped = Some(now);
        }
        skips
    }

    /// Whether the parent has left out symbols of a stripe, and has gone on for a while.
    pub(super) fn gap(&self, stripe: u8, since: Instant) -> bool {
        self.edges[usize::from(stripe)].skipped.is_some_and(|skipped| skipped <= since)
    }

    /// Whether a missing symbol is one that the parent has gone past.
    pub(super) fn skipped(&self, esi: u16) -> bool {
        esi < self.edges[usize::from(self.stripe(esi))].esi
    }

    /// The stripe's parent lacks a symbol itself.
    pub(super) fn deny(&mut self, esi: u16, until: Instant) {
        let stripe = usize::from(self.stripe(esi));
        self.edges[stripe].denied = until;
    }

    /// Whether it has said so a moment ago.
    pub(super) fn denied(&self, stripe: u8, now: Instant) -> bool {
        self.edges[usize::from(stripe)].denied > now
    }

    /// Whether a symbol matches its leaf hash, where that is known.
    pub(super) fn committed(&self, esi: u16, symbol: &[u8]) -> bool {
        self.leaf(esi).is_some_and(|leaf| self.hasher.leaf(esi, symbol) == leaf)
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

    /// Bytes of the symbols that are here.
    pub(super) fn bytes(&self) -> usize {
        usize::from(self.held) * (self.manifest.layout.symbol_size() + SYMBOL_HEADER_LEN)
    }

    /// Bytes of all its symbols.
    pub(super) fn bytes_max(&self) -> usize {
        let layout = &self.manifest.layout;
        usize::from(layout.total()) * (layout.symbol_size() + SYMBOL_HEADER_LEN)
    }
}
