//! A segment whose manifest is verified: its symbols, checked one by one.

use super::sealed::{PAGE_BYTES, Sealed};
use crate::config::STRIPES_MAX;
use crate::media::{Manifest, PAGE_LEAVES};
use crate::plugin::{PeerKey, stripe_of};
use crate::time::Instant;
use crate::wire::{
    HAVE_COMPLETE, HAVE_GROUP_START, Message, PAGES_MAX, SYMBOL_HEADER_LEN, SymbolHeader,
};
use bytes::{Bytes, BytesMut};
use core::time::Duration;
use std::sync::Arc;

/// A symbol asked of a neighbour.
#[derive(Copy, Clone, Debug)]
pub(super) struct Asked {
    pub(super) esi: u16,
    pub(super) peer: PeerKey,
    pub(super) until: Instant,
}

/// What the parent has left out of a stripe of a segment.
#[derive(Copy, Clone, Debug)]
struct Lapse {
    stripe: u8,
    /// When it first left a symbol out: that one is late, lost, or not there either.
    skipped: Instant,
    /// Till then it is not asked again: it has said that it lacks what is missing, and will push
    /// it when it comes.
    denied: Instant,
}

/// How long it is known that a symbol came late: above the round trips of nearly all links.
const LATE_KEPT: Duration = Duration::from_millis(500);

/// A segment whose manifest is verified: what of it is here.
#[derive(Debug)]
pub(super) struct Content {
    sealed: Arc<Sealed>,
    /// When the manifest came.
    pub(super) since: Instant,
    pub(super) asked: Vec<Asked>,
    /// Recovery has failed at this many symbols; more are needed to try again.
    pub(super) tried: u16,
    held: u16,
    held_source: u16,
    stripes: u8,
    /// Some of it was asked for or recovered, so that parents may still be pushing it.
    pub(super) pulled: bool,
    /// The mask that neighbours were last told.
    pub(super) told: u32,
    /// What a neighbour is told; kept as symbols come, for every symbol asks for it.
    mask: u32,
    /// Bit i: page i is not here.
    unpaged: u128,
    /// Bit i of word j: symbol 64 j + i is not here. Planning looks at nothing else.
    absent: Box<[u64]>,
    /// Symbols missing per stripe; the last is the repair stripe.
    missing: [u16; STRIPES_MAX as usize + 1],
    /// The last symbol of each stripe that its parent pushed.
    reached: [u16; STRIPES_MAX as usize + 1],
    /// Of few stripes.
    lapses: Vec<Lapse>,
    /// Symbols that came later than others of their stripe, and when; of the last moments.
    late: Vec<(u16, Instant)>,
}

/// A bit set for each of `total` symbols.
fn all_absent(total: u16) -> Box<[u64]> {
    let mut words = vec![u64::MAX; usize::from(total.div_ceil(64))].into_boxed_slice();
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
    pub(super) fn new(sealed: Arc<Sealed>, stripes: u8, now: Instant) -> Self {
        let manifest = &sealed.manifest;
        let (seq, layout) = (manifest.id.seq, manifest.layout);
        let mut missing = [0; STRIPES_MAX as usize + 1];
        for esi in 0..layout.total() {
            missing[usize::from(stripe_of(seq, esi, layout.source(), stripes))] += 1;
        }
        let start = if manifest.group_start { HAVE_GROUP_START } else { 0 };
        let empty = (0..=stripes).zip(&missing).filter(|(_, missing)| **missing == 0);
        let mask = empty.fold(start, |mask, (stripe, _)| mask | 1 << stripe);
        Self {
            since: now,
            asked: Vec::new(),
            tried: 0,
            // Stripes without a symbol are no news.
            told: mask,
            pulled: false,
            unpaged: 1_u128.checked_shl(sealed.page_count() as u32).unwrap_or(0).wrapping_sub(1),
            absent: all_absent(layout.total()),
            held: 0,
            held_source: 0,
            stripes,
            reached: [0; STRIPES_MAX as usize + 1],
            lapses: Vec::new(),
            late: Vec::new(),
            missing,
            mask,
            sealed,
        }
    }

    pub(super) fn manifest(&self) -> &Manifest {
        &self.sealed.manifest
    }

    /// The manifest as a frame, for passing on.
    pub(super) fn frame(&self) -> &Bytes {
        &self.sealed.frame
    }

    /// Every source symbol is here.
    pub(super) fn complete(&self) -> bool {
        self.held_source == self.manifest().layout.source()
    }

    /// Symbols of any kind that are here.
    pub(super) const fn held(&self) -> u16 {
        self.held
    }

    /// Symbols that must still come before the segment is whole.
    pub(super) fn wanted(&self, coded: bool) -> u16 {
        let (source, held) = (self.manifest().layout.source(), self.held_source);
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
        let manifest = self.manifest();
        stripe_of(manifest.id.seq, esi, manifest.layout.source(), self.stripes)
    }

    /// Symbols of a stripe that are not here.
    pub(super) fn missing_in(&self, stripe: u8) -> u16 {
        self.missing.get(usize::from(stripe)).copied().unwrap_or(0)
    }

    /// Whether a symbol of this segment is here.
    fn has(&self, esi: u16) -> bool {
        self.absent.get(usize::from(esi / 64)).is_some_and(|word| word >> (esi % 64) & 1 == 0)
    }

    /// The frame of a symbol that is here.
    pub(super) fn symbol(&self, esi: u16) -> Option<&Bytes> {
        self.sealed.symbol(esi).filter(|_| self.has(esi))
    }

    /// The symbols that are here, as frames.
    fn frames(&self) -> impl Iterator<Item = (u16, &Bytes)> {
        let all = 0..self.manifest().layout.total();
        all.filter_map(|esi| Some((esi, self.symbol(esi)?)))
    }

    /// The symbols of a stripe that are here, as frames.
    pub(super) fn held_in(&self, stripe: u8) -> impl Iterator<Item = &Bytes> {
        let these = self.frames().filter(move |(esi, _)| self.stripe(*esi) == stripe);
        these.map(|(_, frame)| frame)
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

    /// A page of leaf hashes that is here.
    fn page(&self, index: usize) -> Option<&Bytes> {
        self.sealed.page(index).filter(|_| self.unpaged >> index & 1 == 0)
    }

    /// Manifest and pages as frames, in the order in which they should go.
    pub(super) fn records(&self) -> Vec<Bytes> {
        let mut records = vec![self.frame().clone()];
        let pages: Vec<(u8, Option<&Bytes>)> =
            (0_u8..).zip((0..self.sealed.page_count()).map(|index| self.page(index))).collect();
        for run in pages.chunk_by(|a, b| a.1.is_some() && b.1.is_some()) {
            for pages in run.chunks(PAGES_MAX) {
                let leaves: Vec<&[u8]> =
                    pages.iter().filter_map(|(_, p)| Some(&p.as_ref()?[..])).collect();
                let (first, leaves) = (pages[0].0, Bytes::from(leaves.concat()));
                if !leaves.is_empty() {
                    let id = self.manifest().id;
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
        let pages = || {
            let starts = (0..leaves.len()).step_by(PAGE_BYTES);
            let page = |at: usize| leaves.slice(at..leaves.len().min(at + PAGE_BYTES));
            (usize::from(first)..).zip(starts.map(page))
        };
        let mut fate = PageFate::Known;
        for (index, page) in pages() {
            if index >= self.sealed.page_count() {
                return PageFate::False;
            }
            if self.unpaged >> index & 1 == 1 {
                if !self.sealed.page_holds(index, &page) {
                    return PageFate::False;
                }
                fate = PageFate::New;
            }
        }
        for (index, page) in pages() {
            self.sealed.keep_page(index, &page);
            self.unpaged &= !(1 << index);
        }
        fate
    }

    /// The leaf hash of a symbol is here: in the manifest itself or in a page.
    fn named(&self, esi: u16) -> bool {
        self.unpaged >> (usize::from(esi) / PAGE_LEAVES) & 1 == 0
    }

    /// Checks a symbol frame against its leaf hash and keeps it.
    pub(super) fn accept(&mut self, esi: u16, frame: &Bytes) -> SymbolFate {
        let layout = &self.manifest().layout;
        if esi >= layout.total() || frame.len() != SYMBOL_HEADER_LEN + layout.symbol_size() {
            return SymbolFate::False;
        }
        if self.has(esi) {
            return SymbolFate::Known;
        }
        if !self.named(esi) {
            return SymbolFate::NoPage;
        }
        if !self.sealed.holds(esi, frame) {
            return SymbolFate::False;
        }
        self.keep(esi, frame.clone());
        SymbolFate::New
    }

    /// Keeps a symbol whose authenticity is established.
    pub(super) fn keep(&mut self, esi: u16, frame: Bytes) {
        self.sealed.keep(esi, frame);
        self.absent[usize::from(esi / 64)] &= !(1 << (esi % 64));
        self.held += 1;
        self.held_source += u16::from(esi < self.manifest().layout.source());
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
        let stripe = self.stripe(esi);
        let step = if esi < self.manifest().layout.source() { u16::from(self.stripes) } else { 1 };
        let reached = &mut self.reached[usize::from(stripe)];
        let skips = esi > reached.saturating_add(step);
        *reached = (*reached).max(esi);
        if skips {
            let lapse = self.lapse_mut(stripe);
            lapse.skipped = lapse.skipped.min(now);
        }
        skips
    }

    fn lapse(&self, stripe: u8) -> Option<&Lapse> {
        self.lapses.iter().find(|lapse| lapse.stripe == stripe)
    }

    fn lapse_mut(&mut self, stripe: u8) -> &mut Lapse {
        let known = self.lapses.iter().position(|lapse| lapse.stripe == stripe);
        let at = known.unwrap_or_else(|| {
            let (skipped, denied) = (Instant::NEVER, Instant::ZERO);
            self.lapses.push(Lapse { stripe, skipped, denied });
            self.lapses.len() - 1
        });
        &mut self.lapses[at]
    }

    /// Whether the parent has left out symbols of a stripe, and has gone on for a while.
    pub(super) fn gap(&self, stripe: u8, since: Instant) -> bool {
        self.lapse(stripe).is_some_and(|lapse| lapse.skipped <= since)
    }

    /// Whether a missing symbol is one that the parent has gone past.
    pub(super) fn skipped(&self, esi: u16) -> bool {
        esi < self.reached[usize::from(self.stripe(esi))]
    }

    /// A symbol that others of its stripe have overtaken is here now.
    pub(super) fn came_late(&mut self, esi: u16, now: Instant) {
        self.late.retain(|(_, at)| *at + LATE_KEPT > now);
        self.late.push((esi, now));
    }

    /// Whether it has come since then, later than others of its stripe.
    pub(super) fn late_since(&self, esi: u16, since: Instant) -> bool {
        self.late.iter().any(|(late, at)| *late == esi && *at > since)
    }

    /// The stripe's parent lacks a symbol itself.
    pub(super) fn deny(&mut self, esi: u16, until: Instant) {
        self.lapse_mut(self.stripe(esi)).denied = until;
    }

    /// Whether it has said so a moment ago.
    pub(super) fn denied(&self, stripe: u8, now: Instant) -> bool {
        self.lapse(stripe).is_some_and(|lapse| lapse.denied > now)
    }

    /// Whether a symbol matches its leaf hash, where that is here.
    pub(super) fn committed(&self, esi: u16, symbol: &[u8]) -> bool {
        self.named(esi) && self.sealed.committed(esi, symbol)
    }

    /// All symbols that are here, without their headers.
    pub(super) fn symbols(&self) -> Vec<(u16, Bytes)> {
        self.frames().map(|(esi, frame)| (esi, frame.slice(SYMBOL_HEADER_LEN..))).collect()
    }

    /// The padded payload of a complete segment.
    pub(super) fn padded(&self) -> Option<Bytes> {
        let layout = &self.manifest().layout;
        let mut out = BytesMut::with_capacity(layout.padded_len());
        for esi in 0..layout.source() {
            out.extend_from_slice(&self.symbol(esi)?[SYMBOL_HEADER_LEN..]);
        }
        Some(out.freeze())
    }

    /// The payload of a complete segment.
    pub(super) fn payload(&self) -> Option<Bytes> {
        let mut padded = self.padded()?;
        padded.truncate(self.manifest().layout.payload_len());
        Some(padded)
    }

    /// The frame of a symbol of this segment.
    pub(super) fn frame_of(&self, esi: u16, symbol: &[u8]) -> Bytes {
        SymbolHeader { segment: self.manifest().id, esi }.frame(symbol)
    }

    /// Bytes of the symbols that are here.
    pub(super) fn bytes(&self) -> usize {
        usize::from(self.held) * (self.manifest().layout.symbol_size() + SYMBOL_HEADER_LEN)
    }

    /// Bytes of all its symbols.
    pub(super) fn bytes_max(&self) -> usize {
        let layout = &self.manifest().layout;
        usize::from(layout.total()) * (layout.symbol_size() + SYMBOL_HEADER_LEN)
    }
}
