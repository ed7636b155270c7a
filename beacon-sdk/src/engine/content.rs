//! A segment whose manifest is verified: its symbols, checked one by one.

use crate::media::{Hash, Manifest, PAGE_LEAVES, SegmentHasher};
use crate::plugin::{PeerKey, stripe_of};
use crate::time::Instant;
use crate::wire::{HAVE_COMPLETE, HAVE_GROUP_START, Message, SYMBOL_HEADER_LEN, SymbolHeader};
use bytes::{Bytes, BytesMut};

/// A symbol asked of a neighbour.
#[derive(Copy, Clone, Debug)]
pub(super) struct Asked {
    pub(super) esi: u16,
    pub(super) peer: PeerKey,
    pub(super) until: Instant,
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

    /// Symbols of a stripe that are not here.
    pub(super) fn missing_in(&self, stripe: u8) -> u16 {
        self.missing.get(usize::from(stripe)).copied().unwrap_or(0)
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

    pub(super) fn bytes(&self) -> usize {
        usize::from(self.held) * (self.manifest.layout.symbol_size() + SYMBOL_HEADER_LEN)
    }
}
