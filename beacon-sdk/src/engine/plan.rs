//! Asking the scheduler what to take from whom, and doing as much of it as is allowed.

use super::Engine;
use super::children::CLOSED;
use super::content::Asked;
use super::store::Segment;
use crate::config::DEPTH_MAX;
use crate::id::SegmentId;
use crate::plugin::{
    Feedback, MeshView, MissingState, Need, Observation, PeerKey, PeerView, Plan, PlanAction,
    StripeView,
};
use crate::time::Instant;
use crate::wire::{HAVE_COMPLETE, Message, Span};
use core::time::Duration;

/// After "have", symbols that were sent before it may still be on their way (theory.md §2.2 G).
pub(super) const NAK_GUARD: Duration = Duration::from_millis(10);
/// A symbol that others of its stripe have overtaken may still be on its way. (Guess: above the
/// jitter of a home line.)
pub(super) const GAP_GUARD: Duration = Duration::from_millis(20);
/// How long a manifest may lag behind its symbols before it is asked for.
const FETCH_GUARD: Duration = Duration::from_millis(30);
/// How often a manifest is asked for at most.
const FETCH_PAUSE: Duration = Duration::from_millis(200);
/// Segments that a scheduler is shown at most: those with the earliest deadlines.
const NEEDS_MAX: usize = 256;

impl Engine {
    /// Plans at `at` or before.
    pub(super) fn plan_by(&mut self, at: Instant) {
        self.timers.plan = self.timers.plan.min(at);
    }

    /// One round of planning.
    pub(super) fn plan(&mut self) {
        self.timers.plan = Instant::NEVER;
        if self.publisher.is_some() || self.description.is_none() {
            return;
        }
        self.expire_requests();
        self.fetch_manifests();
        for (stripe, peer) in self.feeds.expire(self.now) {
            self.send(peer, &Message::Unsubscribe { stripes: 1 << stripe });
        }
        let view = self.view();
        let mut plan = Plan::default();
        self.parts.scheduler.plan(&view, &mut self.rng, &mut plan);
        for action in plan.actions().to_vec() {
            match action {
                PlanAction::Request { peer, segment, esis } => self.request(peer, segment, &esis),
                PlanAction::Subscribe { stripe, peer } => self.subscribe(stripe, peer),
                PlanAction::Unsubscribe { stripe } => self.unsubscribe(stripe),
            }
        }
        if let Some(at) = plan.wakes_at() {
            self.plan_by(at.max(self.now + Duration::from_millis(1)));
        }
        let fed = view.stripes.iter().all(|stripe| stripe.parent.is_some());
        let busy = !view.needs.is_empty() || !fed;
        if busy && self.peers.ready().next().is_some() {
            self.plan_by(self.now + self.config.plan_interval);
        }
    }

    // ---- the view

    fn view(&self) -> MeshView {
        let needs = self.needs();
        MeshView {
            now: self.now,
            stripes: self.stripe_views(&needs),
            peers: self.peers.ready().map(|(key, _)| self.peer_view(key)).collect(),
            needs,
            stripe_count: self.feeds.count() - 1,
        }
    }

    fn peer_view(&self, key: PeerKey) -> PeerView {
        // Called with keys of ready peers only; a missing one would be an empty offer.
        let Some(peer) = self.peers.get(key) else {
            return PeerView {
                key,
                id: self.me,
                score: crate::Score::default(),
                rtt: Duration::ZERO,
                window: 0,
                outstanding: 0,
                offers: 0,
                depth: Vec::new(),
            };
        };
        let wanted = self.tracks & !peer.status.tracks == 0;
        let offered = |stripe: &u8| {
            let depth = peer.status.depth.get(usize::from(*stripe)).copied().unwrap_or(u8::MAX);
            wanted
                && peer.status.bar.get(usize::from(*stripe)).is_some_and(|bar| {
                    *bar != CLOSED && *bar <= self.feeds.own.weight(*stripe)
                })
                && depth < DEPTH_MAX
                && peer.takes >> stripe & 1 == 0
                && !self.feeds.paused(*stripe, key, self.now)
        };
        PeerView {
            key,
            id: peer.id,
            score: self.parts.scorer.score(self.now, peer.id),
            rtt: peer.rtt.smoothed(),
            window: peer.room(),
            outstanding: peer.asked,
            offers: (0..self.feeds.count()).filter(offered).fold(0, |mask, s| mask | 1 << s),
            depth: peer.status.depth.clone(),
        }
    }

    fn stripe_views(&self, needs: &[Need]) -> Vec<StripeView> {
        let last = self.feeds.count() - 1;
        let mut late = vec![false; self.feeds.stripes.len()];
        for need in needs.iter().filter(|need| need.since + self.overdue() <= self.now) {
            for (esi, _) in &need.missing {
                let stripe = crate::plugin::stripe_of(need.id.seq, *esi, need.source, last);
                late[usize::from(stripe)] = true;
            }
        }
        (0_u8..)
            .zip(&self.feeds.stripes)
            .filter(|(stripe, _)| *stripe != last || self.config.push_repair)
            .map(|(stripe, feed)| StripeView {
                stripe,
                repair: stripe == last,
                parent: feed.parent.filter(|_| !feed.notice),
                pending: feed.pending.is_some(),
                usual: feed.usual,
                lag: if late[usize::from(stripe)] && feed.parent.is_some() {
                    self.now.since(feed.last)
                } else {
                    Duration::ZERO
                },
            })
            .collect()
    }

    /// How long a parent may take over a stripe before others are asked: twice what parents take
    /// as a rule (theory.md §2.4), within bounds.
    fn overdue(&self) -> Duration {
        let most = (self.config.playout / 3).max(self.config.overdue);
        (self.feeds.usual * 2).clamp(self.config.overdue, most)
    }

    /// Everything that is not whole, still in time, and wanted here.
    fn needs(&self) -> Vec<Need> {
        let mut needs: Vec<Need> = self
            .store
            .iter()
            .filter(|(id, _)| self.player.from(id.track).is_none_or(|from| id.seq >= from))
            .filter_map(|(id, segment)| self.need(id, segment))
            .collect();
        needs.sort_by_key(|need| (need.deadline, need.id));
        needs.truncate(NEEDS_MAX);
        needs
    }

    fn need(&self, id: SegmentId, segment: &Segment) -> Option<Need> {
        let content = segment.content.as_ref()?;
        let deadline = self.player.deadline(content.manifest.captured);
        if content.complete() || deadline <= self.now {
            return None;
        }
        let coded = content.manifest.code == self.parts.code.id();
        let overdue = content.since + self.overdue() <= self.now;
        let told = |peer: PeerKey, stripe: u8| {
            let done = 1 << stripe | HAVE_COMPLETE;
            segment.holders.iter().any(|holder| {
                holder.peer == peer
                    && holder.mask & done != 0
                    && holder.since + NAK_GUARD <= self.now
            })
        };
        // The state is the same for all symbols of a stripe.
        let states: Vec<MissingState> = (0_u8..)
            .zip(&self.feeds.stripes)
            .map(|(stripe, feed)| match feed.parent {
                Some(_) if content.denied(stripe, self.now) => MissingState::Expected,
                Some(parent) if told(parent, stripe) => MissingState::Lost(parent),
                // What comes in late but comes in is not worth a second copy.
                Some(_) if !overdue || feed.last + self.config.overdue / 2 > self.now => {
                    MissingState::Expected
                }
                _ => MissingState::Open,
            })
            .collect();
        let missing: Vec<(u16, MissingState)> = content
            .absent()
            .filter(|esi| coded || *esi < content.manifest.layout.source())
            .filter(|esi| content.asked.iter().all(|asked| asked.esi != *esi))
            .map(|esi| {
                let stripe = usize::from(content.stripe(esi));
                let parent = self.feeds.stripes[stripe].parent;
                let skipped = || content.skipped(esi, self.now - GAP_GUARD);
                match (states[stripe], parent) {
                    (MissingState::Expected, Some(parent))
                        if skipped() && !content.denied(stripe as u8, self.now) =>
                    {
                        (esi, MissingState::Lost(parent))
                    }
                    (state, _) => (esi, state),
                }
            })
            .collect();
        // Symbols on their way, asked for or not: another one in their place is one too many.
        let source = content.manifest.layout.source();
        let pushed = |&(esi, state): &(u16, MissingState)| {
            esi < source && state == MissingState::Expected
        };
        let coming = content.asked.len() + missing.iter().filter(|m| pushed(m)).count();
        let wanted = content.wanted(coded).saturating_sub(coming as u16);
        let complete = 1 << self.feeds.count();
        let holders = segment
            .holders
            .iter()
            .map(|h| {
                (
                    h.peer,
                    if h.mask & HAVE_COMPLETE != 0 {
                        complete - 1
                    } else {
                        h.mask & (complete - 1)
                    },
                )
            })
            .filter(|(_, mask)| *mask != 0)
            .collect();
        Some(Need {
            id,
            deadline,
            since: content.since,
            wanted,
            missing,
            holders,
            source: content.manifest.layout.source(),
        })
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
        let pushes = |stripe: u8| stripes[usize::from(stripe)].parent == Some(key);
        let room = usize::from(peer.room());
        let total = content.manifest.layout.total();
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
        content.asked.extend(granted.iter().map(|esi| Asked { esi: *esi, peer: key, until }));
        peer.asked += granted.len() as u16;
        self.stats.symbols_requested += granted.len() as u64;
        self.plan_by(until);
        self.send(key, &Message::Request { id, spans });
    }

    fn subscribe(&mut self, stripe: u8, key: PeerKey) {
        if self.peers.get(key).is_some_and(|peer| peer.ready)
            && self.feeds.ask(stripe, key, self.now)
        {
            let tracks = self.tracks;
            self.send(key, &Message::Subscribe { stripes: 1 << stripe, tracks });
        }
    }

    fn unsubscribe(&mut self, stripe: u8) {
        let Some(feed) = self.feeds.stripes.get(usize::from(stripe)) else { return };
        let Some(parent) = feed.parent else { return };
        self.feeds.drop_parent(stripe, parent);
        if let Some(peer) = self.peers.get_mut(parent) {
            peer.pushes &= !(1 << stripe);
        }
        self.send(parent, &Message::Unsubscribe { stripes: 1 << stripe });
        self.tell_soon();
    }

    /// Requests that were not answered in time are free for others.
    fn expire_requests(&mut self) {
        let now = self.now;
        let mut late: Vec<PeerKey> = Vec::new();
        for (_, segment) in self.store.iter_mut() {
            let Some(content) = &mut segment.content else { continue };
            if content.asked.is_empty() {
                continue;
            }
            content.asked.retain(|asked| {
                if asked.until <= now {
                    late.push(asked.peer);
                }
                asked.until > now
            });
        }
        late.sort_unstable();
        for batch in late.chunk_by(|a, b| a == b) {
            let (key, symbols) = (batch[0], batch.len() as u16);
            let Some(peer) = self.peers.get_mut(key) else { continue };
            peer.timed_out(symbols);
            let id = peer.id;
            self.observe(id, Observation::Unanswered);
            let feedback = Feedback::TimedOut { peer: key, symbols };
            self.parts.scheduler.feedback(now, feedback);
        }
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
        for (id, segment) in self.store.iter() {
            let unpaged = segment
                .content
                .as_ref()
                .is_none_or(|c| !c.paged() && c.since + self.fetch_guard(id) <= now);
            let heard = segment
                .holders
                .iter()
                .filter(|holder| segment.content.is_some() || holder.since + overdue / 2 <= now);
            let wanted_here = self.player.from(id.track).is_some_and(|from| id.seq >= from);
            if unpaged
                && wanted_here
                && let Some(holder) = heard.max_by_key(|holder| holder.mask & HAVE_COMPLETE)
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
