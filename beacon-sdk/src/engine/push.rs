//! Stripes: subscriptions in both directions, and passing on what was verified.

use super::Engine;
use super::children::{CLOSED, Capacity, Judged};
use super::feeds::Switch;
use super::outbox::SYMBOLS_BUSY;
use crate::config::DEPTH_MAX;
use crate::event::Event;
use crate::id::SegmentId;
use crate::plugin::PeerKey;
use crate::time::Instant;
use crate::wire::{HAVE_COMPLETE, Message, RefuseReason, Status, SymbolHeader};
use bytes::Bytes;
use core::time::Duration;

/// How much of what is held a new child is sent at most, time of capture. (Guess: what begins
/// while a subscription is under way is less.)
pub(super) const CATCH_UP_MAX: Duration = Duration::from_secs(1);
/// A pushed symbol is worth sending at least this long after it came.
const WORTH_MIN: Duration = Duration::from_millis(500);

impl Engine {
    pub(super) fn on_subscribe(
        &mut self,
        from: PeerKey,
        stripes: u32,
        tracks: u64,
        since: Instant,
    ) {
        let data_stripes = self.feeds.count() - 1;
        let Some(peer) = self.peers.get_mut(from) else { return };
        let (id, short) = (peer.id, peer.id.short());
        let capacity = Capacity::of(short, peer.status.slots, data_stripes);
        let known = self.description.as_ref().map_or(0, |(description, _)| {
            description.tracks.iter().fold(0, |mask, track| mask | 1_u64 << track.id.get())
        });
        let carried = tracks & known & !self.tracks == 0 && known != 0;
        peer.takes_tracks = tracks;
        for stripe in (0..self.feeds.count()).filter(|stripe| stripes >> stripe & 1 == 1) {
            let adopted = if carried {
                // Whoever would not be served takes a place that is free, and nobody's.
                let served = self.parts.ledger.standing(id).served;
                let wish = (if served { capacity.weight(stripe) } else { 0 }, since);
                self.feeds.adopt(stripe, from, short, wish, self.now)
            } else {
                Err(RefuseReason::Unavailable)
            };
            if let Ok(Some(other)) = adopted {
                self.send(other, &Message::Refuse { stripe, reason: RefuseReason::Notice });
            }
            let answer = match adopted {
                Ok(_) => Message::Feed { stripe, path: self.feeds.path_to_children(stripe) },
                Err(reason) => Message::Refuse { stripe, reason },
            };
            let Some(peer) = self.peers.get_mut(from) else { return };
            if adopted.is_ok() {
                peer.takes |= 1 << stripe;
            } else {
                // It may have been a child for other tracks.
                peer.takes &= !(1 << stripe);
                self.feeds.children.abandon(stripe, from);
            }
            self.send(from, &answer);
            if adopted.is_ok() {
                self.catch_up(from, stripe, since);
            }
        }
        // What was pushed before it came is missing there: it may ask for it.
        self.tell_by(from, self.now);
        self.tell_soon();
    }

    /// Sends a new child what it asked for and is here already.
    fn catch_up(&mut self, child: PeerKey, stripe: u8, since: Instant) {
        let Some(newest) = self.store.newest_captured() else { return };
        let busy = self.peers.get(child).is_none_or(|peer| peer.out.symbols() > SYMBOLS_BUSY);
        if since == Instant::ZERO || busy || self.parts.scheduler.wants_spare() {
            return;
        }
        let since = since.max(newest - CATCH_UP_MAX);
        let known: Vec<SegmentId> = self
            .store
            .iter()
            .filter(|(_, s)| s.content.as_ref().is_some_and(|c| c.manifest().captured >= since))
            .map(|(id, _)| id)
            .filter(|id| self.takes(child, *id))
            .collect();
        for id in known {
            let Some(content) = self.store.content(id) else { continue };
            let (expires, carries) = (self.expiry(id), self.feeds.stripe_of_records(id) == stripe);
            let records = if carries { content.records() } else { Vec::new() };
            let symbols: Vec<Bytes> = content.held_in(stripe).cloned().collect();
            for record in records {
                self.send_frame(child, record);
            }
            let Some(peer) = self.peers.get_mut(child) else { return };
            for frame in symbols {
                peer.out.symbol(frame, expires);
                self.data_waits.add(child);
            }
        }
    }

    /// Asks parents once more whose subscriptions are for other tracks than are carried now, as
    /// soon as they carry those themselves.
    pub(super) fn renew_subscriptions(&mut self) {
        self.leave_parents_without();
        let (tracks, kept) = (self.tracks, self.kept);
        let mut due = Vec::new();
        for (key, peer) in self.peers.iter_mut().filter(|(_, peer)| peer.outdated) {
            let fed = (0_u8..).zip(&self.feeds.stripes).filter(|(_, f)| f.parent == Some(key));
            let stripes = fed.fold(0, |mask, (stripe, _)| mask | 1 << stripe);
            if stripes != 0 && tracks & !peer.status.tracks == 0 {
                peer.outdated = false;
                due.push((key, stripes, tracks | (kept & peer.status.tracks)));
            }
        }
        for (key, stripes, tracks) in due {
            self.send(key, &Message::Subscribe { stripes, tracks, from: Instant::ZERO });
        }
    }

    pub(super) fn on_unsubscribe(&mut self, from: PeerKey, stripes: u32, until: Instant) {
        for stripe in (0..self.feeds.count()).filter(|stripe| stripes >> stripe & 1 == 1) {
            self.feeds.children.leave(stripe, from, until, self.now);
        }
        let store = &self.store;
        let useless = |header: &SymbolHeader| {
            store.content(header.segment).is_none_or(|content| {
                stripes >> content.stripe(header.esi) & 1 == 1
                    && content.manifest().captured >= until
            })
        };
        if let Some(peer) = self.peers.get_mut(from) {
            peer.takes &= !stripes;
            peer.out.unpush(useless);
        }
        self.tell_soon();
    }

    pub(super) fn on_feed(&mut self, from: PeerKey, stripe: u8, path: Vec<u32>) {
        let Some(feed) = self.feeds.stripes.get(usize::from(stripe)) else {
            return self.odd(from);
        };
        let (fed, before) = (feed.fed, feed.path.clone());
        if !self.feeds.hangs_on(stripe, from) {
            // An answer that came too late: the stripe has another parent by now.
            return self.unsubscribe_at(from, stripe);
        }
        match self.feeds.fed(stripe, from, path, self.now) {
            Switch::Loop => {
                self.feeds.refuse(stripe, from, self.now);
                self.unsubscribe_at(from, stripe);
                self.timers.plan = self.now;
            }
            Switch::Taken { old, until } => {
                self.explore_soon();
                if let Some(old) = old {
                    let stripes = 1 << stripe;
                    self.send(old, &Message::Unsubscribe { stripes, from: until });
                    if let Some(peer) = self.peers.get_mut(old) {
                        peer.pushes &= !(1 << stripe);
                    }
                }
                if let Some(peer) = self.peers.get_mut(from) {
                    peer.pushes |= 1 << stripe;
                    let parent = peer.id;
                    if fed {
                        self.stats.reparents += 1;
                        self.event(Event::Reparented { stripe, parent });
                    }
                }
            }
            Switch::None => {}
        }
        if self.feeds.stripes[usize::from(stripe)].path != before {
            let depth = self.feeds.depth(stripe).unwrap_or(0);
            self.stats.hops_max = self.stats.hops_max.max(depth);
            self.tell_children(stripe);
            self.tell_soon();
        }
    }

    /// Children learn the new way of a stripe, or that it has become too long for them. They are
    /// not dropped for that: what hangs on them would be dropped with them, and whole branches look
    /// for parents at once.
    fn tell_children(&mut self, stripe: u8) {
        let path = self.feeds.path_to_children(stripe);
        let children: Vec<PeerKey> = self.feeds.children.of(stripe).collect();
        let too_long = path.len() > usize::from(DEPTH_MAX);
        for child in children {
            if !too_long {
                self.send(child, &Message::Feed { stripe, path: path.clone() });
            } else if self.feeds.children.give_notice(stripe, child, self.now) {
                self.send(child, &Message::Refuse { stripe, reason: RefuseReason::Notice });
            }
        }
    }

    /// Tells one that is no child any more.
    fn dismiss(&mut self, stripe: u8, child: PeerKey, reason: RefuseReason) {
        if let Some(peer) = self.peers.get_mut(child) {
            peer.takes &= !(1 << stripe);
        }
        self.send(child, &Message::Refuse { stripe, reason });
    }

    /// Lets go of children whose notice has run out.
    pub(super) fn end_notices(&mut self) {
        for (stripe, child) in self.feeds.children.expire(self.now) {
            self.dismiss(stripe, child, RefuseReason::Full);
        }
    }

    /// Looks how children stand. The places of those who have been silent for half of what it takes to
    /// be lost are free: a quiet one has been pinged by then, and a stripe whose children have all died
    /// has no time. So are the places of those whom the ledger would not serve.
    pub(super) fn judge_children(&mut self) {
        let (peers, parts, now) = (&self.peers, &self.parts, self.now);
        let since = now - self.config.silence / 2;
        let gone = Judged { silent: true, poor: false, score: 0 };
        let judged = |key| {
            peers.get(key).map_or(gone, |peer| Judged {
                silent: peer.heard <= since,
                poor: !parts.ledger.standing(peer.id).served,
                score: parts.scorer.score(now, peer.id).get(),
            })
        };
        if self.feeds.children.judge(judged) {
            self.tell_soon();
        }
    }

    /// Who hangs on a parent without a way to the origin looks for another, and offers the stripe to
    /// nobody until one of both has a way again.
    pub(super) fn watch_roots(&mut self) {
        let peers = &self.peers;
        let rooted = |key, stripe: u8| {
            let depth = peers.get(key).map(|peer| peer.status.depth[usize::from(stripe)]);
            depth.is_some_and(|depth| depth != u8::MAX)
        };
        if self.feeds.watch_roots(self.now, rooted) {
            self.timers.plan = self.now;
            self.tell_soon();
        }
    }

    pub(super) fn on_refuse(&mut self, from: PeerKey, stripe: u8, reason: RefuseReason) {
        if stripe >= self.feeds.count() {
            return self.odd(from);
        }
        if let Some(peer) = self.peers.get_mut(from) {
            if reason != RefuseReason::Notice {
                peer.pushes &= !(1 << stripe);
            }
            // Whatever it offered, it does not now; its next status says otherwise.
            if let Some(bar) = peer.status.bar.get_mut(usize::from(stripe)) {
                *bar = CLOSED;
            }
        }
        // An answer that came too late changes nothing, and a flood of them is not worth a plan.
        if self.feeds.hangs_on(stripe, from) {
            if reason == RefuseReason::Notice {
                self.feeds.give_notice(stripe, from, self.now);
            } else {
                self.feeds.refuse(stripe, from, self.now);
            }
            self.timers.plan = self.now;
        }
    }

    pub(super) fn on_status(&mut self, from: PeerKey, status: Status) {
        let Some(peer) = self.peers.get_mut(from) else { return };
        let capacity = Capacity::of(peer.id.short(), status.slots, self.feeds.count() - 1);
        // It gives nothing any more: what it has told of is not to be asked for.
        let gives_up = status.slots == 0 && peer.status.slots != 0;
        peer.status = status.into();
        if self.timers.tail_wanted && self.tracks & !peer.status.tracks == 0 {
            self.timers.tail = self.now;
        }
        if gives_up {
            self.store.disown(from);
        }
        let Some(peer) = self.peers.get(from) else { return };
        if peer.unfed() != 0 {
            self.tell_by(from, self.now);
        }
        if self.feeds.children.reweigh(from, capacity) {
            self.tell_soon();
        }
        self.plan_by(self.now + self.config.plan_interval / 4);
    }

    /// Manifests and pages of a segment travel with the stripe of its first symbol, so that they
    /// come once and the load of carrying them goes round.
    pub(super) fn pass_on_record(&mut self, id: SegmentId, frame: &Bytes, except: Option<PeerKey>) {
        let stripe = self.feeds.stripe_of_records(id);
        let Some(content) = self.store.content(id) else { return };
        let captured = content.manifest().captured;
        let children: Vec<PeerKey> = self.feeds.children.taking(stripe, captured).collect();
        for child in children {
            if Some(child) != except && self.takes(child, id) {
                self.send_frame(child, frame.clone());
            }
        }
    }

    /// Hands a verified symbol to the children of its stripe: the very frame that came.
    pub(super) fn pass_on_symbol(
        &mut self,
        id: SegmentId,
        esi: u16,
        frame: &Bytes,
        except: Option<PeerKey>,
    ) {
        if self.parts.scheduler.wants_spare() {
            return self.push_soon();
        }
        let Some(segment) = self.store.get(id) else { return };
        let Some(content) = &segment.content else { return };
        let stripe = content.stripe(esi);
        let expires = self.worthless_at(content.manifest().captured);
        let done = HAVE_COMPLETE | 1 << stripe;
        for child in self.feeds.children.taking(stripe, content.manifest().captured) {
            let held = segment.holders.iter().any(|h| h.peer == child && h.mask & done != 0);
            let Some(peer) = self.peers.get_mut(child) else { continue };
            let takes = peer.takes_tracks >> id.track.get() & 1 == 1;
            if Some(child) != except && takes && !held {
                peer.out.symbol(frame.clone(), expires);
                self.data_waits.add(child);
            }
        }
    }

    fn takes(&self, child: PeerKey, id: SegmentId) -> bool {
        self.peers.get(child).is_some_and(|peer| peer.takes_tracks >> id.track.get() & 1 == 1)
    }

    /// When a symbol of a segment is worth nothing to anybody.
    pub(super) fn expiry(&self, id: SegmentId) -> Instant {
        match self.store.content(id) {
            Some(content) => self.worthless_at(content.manifest().captured),
            None => self.now + WORTH_MIN,
        }
    }

    fn worthless_at(&self, captured: Instant) -> Instant {
        self.player.deadline(captured).max(self.now + WORTH_MIN)
    }
}
