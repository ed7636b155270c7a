//! Hearing what neighbours hold, and serving what they ask for.

use super::Engine;
use super::outbox::{Outbox, SYMBOLS_BUSY};
use super::store::Holder;
use crate::id::{SegmentId, TrackId};
use crate::plugin::{Feedback, Observation, PeerKey};
use crate::wire::{HAVE_COMPLETE, HAVES_MAX, Have, Message, SPANS_MAX, Span};
use core::time::Duration;
use std::collections::BTreeMap;

/// A neighbour may ask for the tail this often.
const TAIL_PAUSE: Duration = Duration::from_millis(200);
/// What may wait for the uplink before requests are answered busy (theory.md §2.1); and symbols that
/// may, where little has gone out of late: two bursts.
pub(super) const QUEUE_MAX: Duration = Duration::from_millis(100);
const ANSWERS_MIN: usize = 32;

/// What is due sooner is sent once too often rather than once too little. (A guess; so the low-latency
/// profile, whose whole delay is less, never spares a copy: with 10 % loss it needs them.)
const TIME_TO_ASK: Duration = Duration::from_secs(1);

impl Engine {
    // ---- hearing

    pub(super) fn on_have(&mut self, from: PeerKey, haves: &[Have]) {
        if self.publisher.is_some() && !self.parts.scheduler.wants_spare() {
            return;
        }
        let now = self.now;
        for have in haves {
            if !self.carries(have.id) {
                continue;
            }
            let Some(segment) = self.store.hear(have.id) else { continue };
            match segment.holders.iter_mut().find(|holder| holder.peer == from) {
                Some(holder) if holder.mask != have.mask => {
                    *holder = Holder { peer: from, mask: have.mask, since: now };
                }
                Some(_) => continue,
                None => segment.holders.push(Holder { peer: from, mask: have.mask, since: now }),
            }
            let known = segment.content.as_ref();
            let whole = known.is_some_and(super::content::Content::complete);
            let known = known.is_some();
            if have.mask & HAVE_COMPLETE != 0 {
                if let Some(peer) = self.peers.get_mut(from) {
                    peer.out.cancel(have.id);
                }
                self.need_not_tell(from, have.id);
            }
            if !whole {
                self.plan_by(now + super::plan::NAK_GUARD);
            }
            if !known {
                // Nobody may push its manifest.
                self.plan_by(now + self.config.overdue / 2);
            }
        }
    }

    // ---- serving

    pub(super) fn on_request(&mut self, from: PeerKey, id: SegmentId, spans: &[Span]) {
        let mut esis: Vec<u16> = spans.iter().flat_map(|span| span.esis()).collect();
        if !self.allows(from, esis.len() as u64) {
            return self.send(from, &Message::Busy { id, spans: spans.to_vec() });
        }
        esis.retain(|esi| !self.crosses(from, id, *esi));
        self.mint(id, &esis);
        let expires = self.now + self.config.playout;
        // Answers queue with what is pushed already, and all links share one uplink; of what waits,
        // one slow link is no more than half.
        let found = self.uplink.symbols_within(QUEUE_MAX).max(ANSWERS_MIN);
        let limit = self.pacer.symbols_within(QUEUE_MAX).unwrap_or(found).min(SYMBOLS_BUSY);
        let waits = |out: &Outbox| out.symbols().min(limit.div_ceil(2));
        let queued: usize = self.peers.iter().map(|(_, peer)| waits(&peer.out)).sum();
        let room = limit.saturating_sub(queued);
        let (store, peers) = (&self.store, &mut self.peers);
        let Some(peer) = peers.get_mut(from) else { return };
        let content = store.content(id);
        let most = SYMBOLS_BUSY.saturating_sub(peer.out.symbols());
        let mut served = 0;
        // What a child lacks of a stripe that it takes has been accounted for: it is sent again.
        let takes = peer.takes;
        let owed = |esi: u16| content.is_some_and(|c| takes >> c.stripe(esi) & 1 == 1);
        let mut busy = Vec::new();
        for esi in esis {
            let frame = content.and_then(|content| content.symbol(esi));
            match frame {
                Some(frame) if served < most && (served < room || owed(esi)) => {
                    served += 1;
                    peer.out.symbol_first(frame.clone(), expires);
                    self.data_waits.add(from);
                }
                _ => busy.push(esi),
            }
        }
        busy.sort_unstable();
        busy.dedup();
        let mut rest = busy.as_slice();
        while !rest.is_empty() {
            let (spans, packed) = Span::pack(rest);
            self.send(from, &Message::Busy { id, spans });
            rest = &rest[packed..];
        }
    }

    /// Whether a symbol that a child asks for has been sent to it while the request was on its way: this
    /// peer lacked it as well, and passed it on when it came. It is not sent twice, if there is time to
    /// ask again for one that is lost. (`docs/laboratory.md`, "What came twice".)
    fn crosses(&self, child: PeerKey, id: SegmentId, esi: u16) -> bool {
        let (Some(peer), Some(content)) = (self.peers.get(child), self.store.content(id)) else {
            return false;
        };
        let (stripe, captured) = (content.stripe(esi), content.manifest().captured);
        self.player.deadline(captured) >= self.now + TIME_TO_ASK
            && content.late_since(esi, self.now - peer.rtt.smoothed())
            && self.feeds.children.taking(stripe, captured).any(|key| key == child)
            && content.symbol(esi).is_some_and(|frame| !peer.out.waits(frame))
    }

    /// Makes committed repair symbols that are asked for and not here, if the segment is whole:
    /// the code gives the same bytes to everyone.
    fn mint(&mut self, id: SegmentId, esis: &[u16]) {
        let code = &mut self.parts.code;
        let Some(content) = self.store.content_mut(id) else { return };
        let layout = content.manifest().layout;
        let wanted: Vec<u16> = esis
            .iter()
            .copied()
            .filter(|esi| (layout.source()..layout.total()).contains(esi))
            .filter(|esi| content.symbol(*esi).is_none())
            .collect();
        if wanted.is_empty() || content.manifest().code != code.id() {
            return;
        }
        let Some(padded) = content.padded() else { return };
        let symbols = match code.repair(&layout, &padded, &wanted) {
            Ok(symbols) => symbols,
            Err(error) => return tracing::warn!(segment = %id, %error, "repair symbols failed"),
        };
        for (esi, symbol) in wanted.into_iter().zip(symbols) {
            // A symbol that differs from what the origin committed to would get this peer banned.
            if content.symbol(esi).is_none() && content.committed(esi, &symbol) {
                let frame = content.frame_of(esi, &symbol);
                content.keep(esi, frame);
            }
        }
    }

    pub(super) fn on_busy(&mut self, from: PeerKey, id: SegmentId, spans: &[Span]) {
        debug_assert!(spans.len() <= SPANS_MAX);
        let Some(content) = self.store.content_mut(id) else { return };
        let (before, total) = (content.asked.len(), content.manifest().layout.total());
        let named = |esi: u16| {
            spans.iter().any(|span| {
                esi.checked_sub(span.base).is_some_and(|bit| bit < 64 && span.mask >> bit & 1 == 1)
            })
        };
        content.asked.retain(|asked| asked.peer != from || !named(asked.esi));
        let refused = (before - content.asked.len()) as u16;
        let until = self.now + self.config.overdue / 2;
        let captured = content.manifest().captured;
        for esi in spans.iter().flat_map(|span| span.esis()).filter(|esi| *esi < total) {
            let flow = self.feeds.stripes[usize::from(content.stripe(esi))].flow(captured);
            if flow.is_some_and(|flow| flow.peer == from) {
                content.deny(esi, until);
            }
        }
        // It may not hold what it was thought to hold: it tells again when it does.
        if let Some(segment) = self.store.get_mut(id) {
            segment
                .holders
                .retain(|holder| holder.peer != from || holder.mask & HAVE_COMPLETE != 0);
        }
        let Some(peer) = self.peers.get_mut(from) else { return };
        if refused > 0 {
            peer.busy(refused, self.now);
            let peer_id = peer.id;
            self.observe(peer_id, Observation::Busy);
            self.parts.scheduler.feedback(self.now, Feedback::Busy { peer: from });
            self.plan_by(self.now + self.config.plan_interval);
        } else {
            self.odd(from);
        }
    }

    pub(super) fn on_cancel(&mut self, from: PeerKey, id: SegmentId) {
        if let Some(peer) = self.peers.get_mut(from) {
            peer.out.cancel(id);
        }
    }

    pub(super) fn on_fetch(&mut self, from: PeerKey, id: SegmentId) {
        let Some(content) = self.store.content(id) else { return self.odd(from) };
        let records = content.records();
        if !self.allows(from, records.len() as u64) {
            return;
        }
        for frame in records {
            self.send_frame(from, frame);
        }
    }

    /// Manifests and pages from the newest group start on: where a newcomer begins.
    pub(super) fn on_fetch_tail(&mut self, from: PeerKey, tracks: u64) {
        let now = self.now;
        let Some(peer) = self.peers.get_mut(from) else { return };
        if peer.tail_asked + TAIL_PAUSE > now {
            return self.odd(from);
        }
        peer.tail_asked = now;
        let firsts = self.tail(tracks & self.tracks);
        let mut frames = Vec::new();
        let mut haves = Vec::new();
        for (track, first) in firsts {
            for (id, segment) in self.store.track(track).filter(|(id, _)| id.seq >= first) {
                if let Some(content) = &segment.content {
                    frames.extend(content.records());
                    haves.push(Have { id, mask: content.mask() });
                }
            }
        }
        for frame in frames {
            self.send_frame(from, frame);
        }
        for chunk in haves.chunks(HAVES_MAX) {
            self.send(from, &Message::Have(chunk.to_vec()));
        }
    }

    /// The first segment per track of the newest group that has begun to be whole.
    fn tail(&self, tracks: u64) -> BTreeMap<TrackId, u32> {
        let Some((description, _)) = &self.description else { return BTreeMap::new() };
        let wanted = || description.tracks.iter().filter(|track| tracks >> track.id.get() & 1 == 1);
        let Some(lead) = wanted().find(|track| track.is_video()).or_else(|| wanted().next()) else {
            return BTreeMap::new();
        };
        let starts = || {
            let contents = self.store.track(lead.id).rev().filter_map(|(_, s)| s.content.as_ref());
            contents.filter(|content| content.manifest().group_start)
        };
        let Some(first) = starts().find(|content| content.complete()).or_else(|| starts().next())
        else {
            return BTreeMap::new();
        };
        let start_us = lead.micros(first.manifest().start);
        let mut firsts = BTreeMap::from([(lead.id, first.manifest().id.seq)]);
        for track in wanted().filter(|track| track.id != lead.id) {
            let overlapping = self.store.track(track.id).find_map(|(id, segment)| {
                let manifest = segment.content.as_ref()?.manifest();
                let duration = track.micros(manifest.duration.into());
                let end = track.micros(manifest.start).saturating_add(duration);
                (end > start_us).then_some(id.seq)
            });
            if let Some(seq) = overlapping {
                firsts.insert(track.id, seq);
            }
        }
        firsts
    }
}
