//! Asking the scheduler what to take from whom, and doing as much of it as is allowed.

use super::Engine;
use super::content::Asked;
use super::feeds::HandOver;
use super::push::CATCH_UP_MAX;
use crate::id::SegmentId;
use crate::plugin::{Feedback, Observation, PeerKey, Plan, PlanAction};
use crate::time::Instant;
use crate::wire::{HAVE_COMPLETE, Message, Span};
use core::time::Duration;

/// After "have", symbols that were sent before it may still be on their way (theory.md §2.2 G).
pub(super) const NAK_GUARD: Duration = Duration::from_millis(10);
/// A symbol that others of its stripe have overtaken may still be on its way, at least so long.
/// (Guess: above the jitter of a home line.)
const GAP_GUARD: Duration = Duration::from_millis(20);
/// How long a frame may wait for the uplink at a parent that is to be left (as long as requests).
const HAND_OVER: Duration = Duration::from_millis(100);
/// A parent that is behind by more than this part of the playout delay is not waited for.
const LATE_PART: u32 = 8;
/// How long a manifest may lag behind its symbols before it is asked for.
const FETCH_GUARD: Duration = Duration::from_millis(30);
/// How often a manifest is asked for at most.
const FETCH_PAUSE: Duration = Duration::from_millis(200);

impl Engine {
    /// Plans at `at` or before.
    pub(super) fn plan_by(&mut self, at: Instant) {
        self.timers.plan = self.timers.plan.min(at);
    }

    /// One round of planning.
    pub(super) fn plan(&mut self) {
        self.timers.plan = Instant::NEVER;
        let (origin, pushes) = (self.publisher.is_some(), self.parts.scheduler.wants_spare());
        if self.description.is_none() || origin && !pushes {
            return;
        }
        if pushes {
            self.sweep_pushed();
        }
        if !origin {
            self.expire_requests();
            self.fetch_manifests();
            let peers = &self.peers;
            let patience = |key| peers.get(key).map_or(Duration::ZERO, |p| p.rtt.patience() * 2);
            for (stripe, peer) in self.feeds.expire(self.now, patience) {
                self.unsubscribe_at(peer, stripe);
            }
        }
        let view = self.view();
        let mut plan = Plan::default();
        self.parts.scheduler.plan(&view, &mut self.rng, &mut plan);
        if let Some(at) = plan.wakes_at() {
            self.plan_by(at.max(self.now + Duration::from_millis(1)));
        }
        for action in plan.into_actions() {
            match action {
                PlanAction::Request { peer, segment, esis } => self.request(peer, segment, &esis),
                PlanAction::Subscribe { stripe, peer } => self.subscribe(stripe, peer),
                PlanAction::Unsubscribe { stripe } => self.unsubscribe(stripe),
                PlanAction::Push { peer, segment, esis } => self.push(peer, segment, &esis),
            }
        }
        if pushes && (view.push_room == 0 || !view.spares.is_empty()) {
            self.push_soon();
        }
        let repair = self.config.push_repair;
        let fed = view.stripes.iter().all(|s| s.parent.is_some() || s.repair && !repair);
        // While all that is missing is on its way, there is only its being late to look out for.
        let missing = view.needs.iter().any(|need| !need.missing.is_empty());
        if self.peers.ready().next().is_some() && (missing || !fed) {
            self.plan_by(self.now + self.config.plan_interval);
        } else if !view.needs.is_empty() {
            self.plan_by(self.now + self.config.plan_interval * 3);
        }
    }

    // ---- doing it

    /// Requests symbols, as many as the neighbour's window and holdings allow.
    fn request(&mut self, key: PeerKey, id: SegmentId, esis: &[u16]) {
        let Some(peer) = self.peers.get_mut(key) else { return };
        let Some(segment) = self.store.get_mut(id) else { return };
        let Some(content) = segment.content.as_mut() else { return };
        let holder = segment.holders.iter().find(|holder| holder.peer == key);
        let mask = holder.map_or(0, |holder| holder.mask);
        let stripes = &self.feeds.stripes;
        let captured = content.manifest().captured;
        let pushes = |stripe: u8| {
            stripes[usize::from(stripe)].flow(captured).is_some_and(|flow| flow.peer == key)
        };
        let room = usize::from(peer.room());
        let total = content.manifest().layout.total();
        let mut granted: Vec<u16> = esis
            .iter()
            .copied()
            .filter(|esi| *esi < total && content.symbol(*esi).is_none())
            .filter(|esi| {
                let stripe = content.stripe(*esi);
                mask & (HAVE_COMPLETE | 1 << stripe) != 0 || pushes(stripe)
            })
            .filter(|esi| content.asked.iter().all(|asked| asked.esi != *esi))
            .take(room)
            .collect();
        granted.sort_unstable();
        granted.dedup();
        let (spans, packed) = Span::pack(&granted);
        granted.truncate(packed);
        if granted.is_empty() {
            return;
        }
        let until = self.now + peer.rtt.patience();
        self.answers_by = self.answers_by.min(until);
        content.asked.extend(granted.iter().map(|esi| Asked { esi: *esi, peer: key, until }));
        peer.asked += granted.len() as u16;
        self.stats.symbols_requested += granted.len() as u64;
        self.plan_by(until);
        self.send(key, &Message::Request { id, spans });
    }

    fn subscribe(&mut self, stripe: u8, key: PeerKey) {
        let Some(peer) = self.peers.get(key).filter(|peer| peer.ready) else { return };
        let wish = self.hand_over(stripe, peer.rtt.smoothed());
        if self.feeds.ask(stripe, key, wish, self.now) {
            let has = peer.status.tracks;
            let (stripes, tracks, from) = (1 << stripe, self.tracks_of(has), wish.from);
            self.send(key, &Message::Subscribe { stripes, tracks, from });
        }
    }

    /// From where a new parent is to push a stripe: from what the old one will not have begun when
    /// it hears of it, so that nothing comes twice and nothing is left out. Without an old one, or
    /// with one that is late, from the segment after the last that was pushed: what is missing
    /// before that is pulled.
    fn hand_over(&self, stripe: u8, rtt: Duration) -> HandOver {
        let now_on = HandOver { from: Instant::ZERO, old_stays: false };
        // Who pushes by plan knows what a child lacks.
        if self.parts.scheduler.wants_spare() {
            return now_on;
        }
        let Some(newest) = self.store.newest_captured() else { return now_on };
        let Some(feed) = self.feeds.stripes.get(usize::from(stripe)) else { return now_on };
        let at = self.store.content(feed.at);
        let reached = at.map_or(newest, |at| at.manifest().captured).max(newest - CATCH_UP_MAX);
        let old = feed.parent.and_then(|parent| self.peers.get(parent));
        match old.filter(|_| reached + self.config.playout / LATE_PART >= newest) {
            Some(old) => {
                // It may have been on the next segment for as long as this one has been here.
                let past =
                    at.map_or(Duration::ZERO, |at| self.now.since(at.since)).min(CATCH_UP_MAX);
                let from = reached + past + rtt + old.rtt.smoothed() + HAND_OVER;
                HandOver { from, old_stays: true }
            }
            None => HandOver { from: reached + Duration::from_micros(1), old_stays: false },
        }
    }

    /// A neighbour is not to push a stripe.
    pub(super) fn unsubscribe_at(&mut self, peer: PeerKey, stripe: u8) {
        self.send(peer, &Message::Unsubscribe { stripes: 1 << stripe, from: Instant::ZERO });
    }

    fn unsubscribe(&mut self, stripe: u8) {
        let Some(feed) = self.feeds.stripes.get(usize::from(stripe)) else { return };
        let Some(parent) = feed.parent else { return };
        self.feeds.drop_parent(stripe, parent);
        if let Some(peer) = self.peers.get_mut(parent) {
            peer.pushes &= !(1 << stripe);
        }
        self.unsubscribe_at(parent, stripe);
        self.tell_soon();
    }

    /// Requests that were not answered in time are free for others.
    fn expire_requests(&mut self) {
        let now = self.now;
        if self.answers_by > now {
            return;
        }
        self.answers_by = Instant::NEVER;
        let mut late: Vec<PeerKey> = Vec::new();
        for (_, segment) in self.store.iter_mut() {
            let Some(content) = &mut segment.content else { continue };
            if content.asked.is_empty() {
                continue;
            }
            content.asked.retain(|asked| {
                if asked.until <= now {
                    late.push(asked.peer);
                } else {
                    self.answers_by = self.answers_by.min(asked.until);
                }
                asked.until > now
            });
        }
        late.sort_unstable();
        for batch in late.chunk_by(|a, b| a == b) {
            let (key, symbols) = (batch[0], batch.len() as u16);
            let Some(peer) = self.peers.get_mut(key) else { continue };
            peer.timed_out(symbols);
            peer.mute = peer.heard + peer.rtt.patience() <= now;
            let id = peer.id;
            self.observe(id, Observation::Unanswered);
            let feedback = Feedback::TimedOut { peer: key, symbols };
            self.parts.scheduler.feedback(now, feedback);
        }
    }

    /// How long a symbol may lag behind others of its stripe before it is asked for: its parent may
    /// be asking for it itself. (`plans/live-1000.toml`, 250 peers: a quarter of `overdue` instead
    /// of 20 ms has 3.2 % duplicates instead of 3.6.)
    pub(super) fn gap_guard(&self) -> Duration {
        GAP_GUARD.max(self.config.overdue / 4)
    }

    /// How long the manifest of a segment may lag behind its symbols. Where it is pushed it may
    /// have a longer way than they, and a second copy is the dearest of all control frames.
    pub(super) fn fetch_guard(&self, id: SegmentId) -> Duration {
        let pushed = self.feeds.stripes[usize::from(self.feeds.stripe_of_records(id))].parent;
        let patience = if pushed.is_some() { self.config.overdue / 4 } else { FETCH_GUARD };
        patience.max(FETCH_GUARD)
    }

    /// Asks for manifests and pages that symbols wait for, or that neighbours have and nobody
    /// pushes.
    fn fetch_manifests(&mut self) {
        let now = self.now;
        let mut wanted = self.quarantine.waiting(now - FETCH_GUARD);
        wanted.retain(|(id, since, _)| *since + self.fetch_guard(*id) <= now);
        let overdue = self.config.overdue;
        for (id, segment) in self.store.from(|track| self.player.from(track)) {
            let unpaged = segment
                .content
                .as_ref()
                .is_none_or(|c| !c.paged() && c.since + self.fetch_guard(id) <= now);
            // A manifest comes with the stripe of the first symbol, if anybody pushes that.
            let stripe = self.feeds.stripe_of_records(id);
            let pushed = self.feeds.stripes[usize::from(stripe)].parent.is_some();
            let patience = if pushed { overdue / 2 } else { Duration::ZERO };
            let heard = segment
                .holders
                .iter()
                .filter(|holder| segment.content.is_some() || holder.since + patience <= now);
            if unpaged && let Some(holder) = heard.max_by_key(|holder| holder.mask & HAVE_COMPLETE)
            {
                wanted.push((id, now, holder.peer));
            }
        }
        for (id, _, key) in wanted {
            let Some(segment) = self.store.hear(id) else { continue };
            let paged = segment.content.as_ref().is_some_and(super::content::Content::paged);
            if paged || segment.fetched + FETCH_PAUSE > now {
                continue;
            }
            segment.fetched = now;
            self.send(key, &Message::Fetch(id));
            self.plan_by(now + FETCH_PAUSE);
        }
    }
}
