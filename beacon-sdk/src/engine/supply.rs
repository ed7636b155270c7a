//! Telling neighbours what is held, and serving what they ask for.

use super::Engine;
use super::outbox::SYMBOLS_BUSY;
use super::peers::Peer;
use super::store::Holder;
use crate::id::{PeerId, SegmentId, TrackId};
use crate::plugin::{Feedback, Observation, PeerKey};
use crate::time::Instant;
use crate::wire::{HAVE_COMPLETE, HAVES_MAX, Have, Message, SPANS_MAX, Span, Status};
use bytes::Bytes;
use core::time::Duration;
use std::collections::BTreeMap;

/// A neighbour may ask for the tail this often.
const TAIL_PAUSE: Duration = Duration::from_millis(200);
/// How many telling rounds a neighbour with symbols still queued is left out of: "have" also
/// tells a child that a stripe has been sent, so it should follow the symbols.
const TELL_PATIENCE: u32 = 4;

impl Engine {
    // ---- telling

    /// Something that neighbours should know has changed.
    pub(super) fn tell_soon(&mut self) {
        self.timers.tell = self.timers.tell.min(self.now + self.tell_interval());
    }

    fn tell_interval(&self) -> Duration {
        self.config.plan_interval / 2
    }

    /// Whether a neighbour has a use for what this peer holds: the origin needs nothing, but for
    /// planning what to push.
    fn to_tell(&self, peer: PeerId) -> bool {
        peer != self.broadcast.publisher || self.parts.scheduler.wants_spare()
    }

    /// The holding of a segment may have changed: everyone is to be told when it has.
    pub(super) fn tell_holding(&mut self, id: SegmentId, mask: u32) {
        let Some(content) = self.store.content_mut(id) else { return };
        if content.told == mask {
            return;
        }
        content.told = mask;
        let now = self.now;
        let spared = (!self.to_tell(self.broadcast.publisher)).then_some(self.broadcast.publisher);
        let others = |peer: &Peer| peer.ready && Some(peer.id) != spared;
        for (_, peer) in self.peers.iter_mut().filter(|(_, peer)| others(peer)) {
            if peer.untold.is_empty() {
                peer.untold_since = now;
            }
            if !peer.untold.contains(&id) {
                peer.untold.push(id);
            }
        }
        self.tell_soon();
    }

    /// A new neighbour is told of all that is held.
    pub(super) fn tell_everything(&mut self, to: PeerKey) {
        let held: Vec<SegmentId> = self
            .store
            .iter()
            .filter(|(_, segment)| segment.content.as_ref().is_some_and(|c| c.mask() != 0))
            .map(|(id, _)| id)
            .collect();
        let told = self.peers.get(to).is_some_and(|peer| self.to_tell(peer.id));
        if let Some(peer) = self.peers.get_mut(to).filter(|_| told) {
            peer.untold = held;
        }
        self.flush_haves(to);
    }

    /// Sends what is due to be told.
    pub(super) fn tell(&mut self) {
        self.timers.tell = Instant::NEVER;
        self.tell_status();
        let patience = self.tell_interval() * TELL_PATIENCE;
        let waiting: Vec<(PeerKey, bool)> = self
            .peers
            .ready()
            .filter(|(_, peer)| !peer.untold.is_empty())
            .map(|(key, peer)| {
                let waited = peer.untold_since + patience <= self.now;
                (key, peer.out.symbols() == 0 || waited)
            })
            .collect();
        for (key, due) in waiting {
            if due {
                self.flush_haves(key);
            } else {
                self.tell_soon();
            }
        }
    }

    /// Tells everyone the status when it has changed.
    pub(super) fn tell_status(&mut self) {
        let status = self.current_status();
        if status == self.status {
            return;
        }
        self.status = status.clone();
        let all: Vec<PeerKey> = self.peers.ready().map(|(key, _)| key).collect();
        let frame = Message::Status(status).encode();
        for key in all {
            self.send_frame(key, frame.clone());
        }
    }

    fn flush_haves(&mut self, to: PeerKey) {
        let Some(peer) = self.peers.get_mut(to) else { return };
        let ids = core::mem::take(&mut peer.untold);
        let have = |id: SegmentId| Some(Have { id, mask: self.store.content(id)?.mask() });
        let haves: Vec<Have> = ids.into_iter().filter_map(have).collect();
        for chunk in haves.chunks(HAVES_MAX) {
            self.send(to, &Message::Have(chunk.to_vec()));
        }
    }

    fn current_status(&self) -> Status {
        let stripes = 0..self.feeds.count();
        let open = stripes.clone().filter(|stripe| self.feeds.open(*stripe));
        Status {
            tracks: if self.description.is_some() { self.tracks } else { 0 },
            open: open.fold(0, |mask, stripe| mask | 1 << stripe),
            depth: stripes.map(|stripe| self.feeds.depth(stripe).unwrap_or(u8::MAX)).collect(),
        }
    }

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
            let whole = segment.content.as_ref().is_some_and(super::content::Content::complete);
            if have.mask & HAVE_COMPLETE != 0
                && let Some(peer) = self.peers.get_mut(from)
            {
                peer.out.cancel(have.id);
            }
            if !whole {
                self.plan_by(now + super::plan::NAK_GUARD);
            }
        }
    }

    // ---- serving

    pub(super) fn on_request(&mut self, from: PeerKey, id: SegmentId, spans: &[Span]) {
        let esis: Vec<u16> = spans.iter().flat_map(|span| span.esis()).collect();
        self.mint(id, &esis);
        let expires = self.now + self.config.playout;
        let (store, peers) = (&self.store, &mut self.peers);
        let Some(peer) = peers.get_mut(from) else { return };
        let content = store.content(id);
        let mut busy = Vec::new();
        for esi in esis {
            let frame = content.and_then(|content| content.symbol(esi));
            match frame {
                Some(frame) if peer.out.symbols() < SYMBOLS_BUSY => {
                    peer.out.symbol(frame.clone(), expires);
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

    /// Makes committed repair symbols that are asked for and not here, if the segment is whole:
    /// the code gives the same bytes to everyone.
    fn mint(&mut self, id: SegmentId, esis: &[u16]) {
        let code = &mut self.parts.code;
        let Some(content) = self.store.content_mut(id) else { return };
        let layout = content.manifest.layout;
        let wanted: Vec<u16> = esis
            .iter()
            .copied()
            .filter(|esi| (layout.source()..layout.total()).contains(esi))
            .filter(|esi| content.symbol(*esi).is_none())
            .collect();
        if wanted.is_empty() || content.manifest.code != code.id() {
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
        let before = content.asked.len();
        let named = |esi: u16| {
            spans.iter().any(|span| {
                esi.checked_sub(span.base).is_some_and(|bit| bit < 64 && span.mask >> bit & 1 == 1)
            })
        };
        content.asked.retain(|asked| asked.peer != from || !named(asked.esi));
        let refused = (before - content.asked.len()) as u16;
        // It may not hold what it was thought to hold: it tells again when it does.
        if let Some(segment) = self.store.get_mut(id) {
            segment
                .holders
                .retain(|holder| holder.peer != from || holder.mask & HAVE_COMPLETE != 0);
        }
        let Some(peer) = self.peers.get_mut(from) else { return };
        if refused > 0 {
            peer.busy(refused);
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
        let frames: Vec<Bytes> = content.records().cloned().collect();
        for frame in frames {
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
                    frames.extend(content.records().cloned());
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
            contents.filter(|content| content.manifest.group_start)
        };
        let Some(first) = starts().find(|content| content.complete()).or_else(|| starts().next())
        else {
            return BTreeMap::new();
        };
        let start_us = lead.micros(first.manifest.start);
        let mut firsts = BTreeMap::from([(lead.id, first.manifest.id.seq)]);
        for track in wanted().filter(|track| track.id != lead.id) {
            let overlapping = self.store.track(track.id).find_map(|(id, segment)| {
                let manifest = &segment.content.as_ref()?.manifest;
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
