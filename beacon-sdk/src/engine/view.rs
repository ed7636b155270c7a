//! What a scheduler is shown: only what messages told this peer.

use super::Engine;
use super::children::CLOSED;
use super::content::Content;
use super::peers::Peer;
use super::plan::NAK_GUARD;
use super::store::Segment;
use crate::config::{DEPTH_MAX, STRIPES_MAX};
use crate::id::SegmentId;
use crate::plugin::{MeshView, MissingState, Need, PeerKey, PeerView, StripeView, stripe_of};
use crate::wire::HAVE_COMPLETE;
use core::time::Duration;

/// Segments that a scheduler is shown at most: those with the earliest deadlines.
const NEEDS_MAX: usize = 256;

impl Engine {
    pub(super) fn view(&self) -> MeshView {
        let needs = if self.publisher.is_some() { Vec::new() } else { self.needs() };
        let (spares, push_room) =
            if self.parts.scheduler.wants_spare() { self.spares() } else { (Vec::new(), 0) };
        MeshView {
            now: self.now,
            stripes: self.stripe_views(&needs),
            peers: self.peer_views(),
            needs,
            stripe_count: self.feeds.count() - 1,
            spares,
            push_room,
        }
    }

    fn peer_views(&self) -> Vec<PeerView> {
        let mut views = Vec::with_capacity(self.peers.len());
        views.extend(self.peers.ready().map(|(key, peer)| self.peer_view(key, peer)));
        views
    }

    pub(super) fn peer_view(&self, key: PeerKey, peer: &Peer) -> PeerView {
        let wanted = self.tracks & !peer.status.tracks == 0;
        let paused = self.feeds.pauses(key, self.now);
        let alive = peer.accused.is_none() && peer.heard + self.config.silence * 3 / 8 > self.now;
        let offered = |stripe: &u8| {
            let (depth, bar) = (&peer.status.depth, peer.status.bar[usize::from(*stripe)]);
            bar != CLOSED
                && bar <= self.feeds.own.weight(*stripe)
                && depth[usize::from(*stripe)] < DEPTH_MAX
                && peer.takes >> stripe & 1 == 0
                && paused >> stripe & 1 == 0
        };
        let trusted = !self.conduct.distrusts(&peer.id, self.now);
        let stripes = if wanted && alive && trusted { self.feeds.count() } else { 0 };
        PeerView {
            key,
            id: peer.id,
            score: self.parts.scorer.score(self.now, peer.id),
            rtt: peer.rtt.smoothed(),
            window: if trusted && peer.accused.is_none() { peer.room() } else { 0 },
            outstanding: peer.asked,
            queue: peer.busy_until.since(self.now),
            offers: (0..stripes).filter(offered).fold(0, |mask, s| mask | 1 << s),
            depth: peer.status.depth,
        }
    }

    /// The stripes as this peer takes them; the origin takes none.
    fn stripe_views(&self, needs: &[Need]) -> Vec<StripeView> {
        if self.publisher.is_some() {
            return Vec::new();
        }
        let last = self.feeds.count() - 1;
        let mut late = 0_u32;
        for need in needs.iter().filter(|need| need.since + self.overdue() <= self.now) {
            for (esi, _) in &need.missing {
                late |= 1 << stripe_of(need.id.seq, *esi, need.source, last);
            }
        }
        (0_u8..)
            .zip(&self.feeds.stripes)
            .map(|(stripe, feed)| StripeView {
                stripe,
                repair: stripe == last,
                parent: feed.parent.filter(|_| !feed.notice && !feed.cut),
                pending: feed.pending.is_some(),
                usual: feed.usual,
                weight: self.feeds.own.weight(stripe),
                lag: if late >> stripe & 1 == 1 && feed.parent.is_some() {
                    self.now.since(feed.last)
                } else {
                    Duration::ZERO
                },
            })
            .collect()
    }

    /// Everything that is not whole, still in time, and wanted here.
    fn needs(&self) -> Vec<Need> {
        let mut needs: Vec<Need> = self
            .store
            .from(|track| {
                let wanted = (self.tracks | self.kept) >> track.get() & 1 == 1;
                wanted.then(|| self.player.from(track).unwrap_or(0))
            })
            .filter(|(_, segment)| {
                segment.content.as_ref().is_some_and(|content| !content.complete())
            })
            .filter_map(|(id, segment)| self.need(id, segment))
            .collect();
        needs.sort_by_key(|need| (need.deadline, need.id));
        needs.truncate(NEEDS_MAX);
        needs
    }

    fn need(&self, id: SegmentId, segment: &Segment) -> Option<Need> {
        let content = segment.content.as_ref()?;
        let deadline = self.player.deadline(content.manifest().captured);
        if deadline <= self.now {
            return None;
        }
        let source = content.manifest().layout.source();
        let coded = content.manifest().code == self.parts.code.id();
        let last = self.feeds.count() - 1;
        // The state is the same for all symbols of a stripe; `None` is expected, but for what a
        // parent has left out.
        let mut states = [None; STRIPES_MAX as usize + 1];
        let (mut expected, mut gaps, mut open) = (0_u16, 0_u32, 0_u16);
        for (stripe, state) in (0..=last).zip(&mut states) {
            let left = content.missing_in(stripe);
            if left == 0 || stripe == last && !coded {
                continue;
            }
            *state = self.missing_state(segment, content, stripe);
            let gap = state.is_none()
                && content.gap(stripe, self.now - self.gap_guard())
                && !content.denied(stripe, self.now);
            gaps |= u32::from(gap) << stripe;
            if state.is_none() {
                expected += left;
            }
            if state.is_some() || gap {
                open += left;
            }
        }
        let mut asked: Vec<u16> = content.asked.iter().map(|asked| asked.esi).collect();
        asked.sort_unstable();
        for esi in &asked {
            if states[usize::from(content.stripe(*esi))].is_none() {
                expected = expected.saturating_sub(1);
            }
        }
        let mut missing = Vec::with_capacity(usize::from(open));
        // In steady state everything is on its way, and no symbol is looked at.
        if open > 0 {
            let mut skip = asked.iter().copied().peekable();
            for esi in content.absent().filter(|esi| coded || *esi < source) {
                while skip.next_if(|asked| *asked < esi).is_some() {}
                if skip.peek() == Some(&esi) {
                    continue;
                }
                let stripe = content.stripe(esi);
                let left_out = gaps >> stripe & 1 == 1 && content.skipped(esi);
                let flow =
                    self.feeds.stripes[usize::from(stripe)].flow(content.manifest().captured);
                let parent = flow.map(|flow| flow.peer);
                match (states[usize::from(stripe)], parent) {
                    (Some(state), _) => missing.push((esi, state)),
                    (None, Some(parent)) if left_out => {
                        expected = expected.saturating_sub(1);
                        missing.push((esi, MissingState::Lost(parent)));
                    }
                    (None, _) => {}
                }
            }
        }
        Some(Need {
            id,
            deadline,
            since: content.since,
            wanted: content.wanted(coded).saturating_sub(asked.len() as u16 + expected),
            expected,
            missing,
            holders: self.holders(segment),
            source,
        })
    }

    /// Why symbols of a stripe are missing; `None` while its parent is expected to push them.
    fn missing_state(
        &self,
        segment: &Segment,
        content: &Content,
        stripe: u8,
    ) -> Option<MissingState> {
        let feed = self.feeds.stripes.get(usize::from(stripe))?;
        let captured = content.manifest().captured;
        let Some(flow) = feed.flow(captured) else {
            let awaited = feed.awaited(captured, self.now - self.config.overdue / 2);
            return (!awaited).then_some(MissingState::Open);
        };
        if content.denied(stripe, self.now) {
            return None;
        }
        let parent = flow.peer;
        let lacks = |peer: &super::peers::Peer| {
            peer.status.tracks >> content.manifest().id.track.get() & 1 == 0
        };
        if feed.notice && self.peers.get(parent).is_none_or(lacks) {
            return Some(MissingState::Open);
        }
        let done = 1 << stripe | HAVE_COMPLETE;
        let word = segment.holders.iter().find(|holder| holder.peer == parent);
        let told = word.filter(|holder| holder.mask & done != 0).is_some_and(|holder| {
            let straggle = self.peers.get(parent).map_or(Duration::ZERO, |peer| peer.straggle);
            holder.since.max(flow.since) + NAK_GUARD + straggle * 3 / 2 <= self.now
        });
        let id = content.manifest().id;
        let passed = flow.at.track == id.track && flow.at.seq > id.seq;
        if told {
            return Some(MissingState::Lost(parent));
        }
        // What comes in late but comes in is not worth a second copy.
        let flows = !passed && flow.last + self.config.overdue / 2 > self.now;
        let (waited, overdue) = (self.now.since(content.since), self.overdue());
        if waited >= overdue && !flows {
            Some(MissingState::Open)
        } else if waited >= overdue / 2 && passed {
            Some(MissingState::Lost(parent))
        } else {
            None
        }
    }

    /// How long a parent may take over a stripe before others are asked: twice what parents take
    /// as a rule (theory.md §2.4), within bounds.
    fn overdue(&self) -> Duration {
        let most = (self.config.playout / 3).max(self.config.overdue);
        (self.feeds.usual * 2).clamp(self.config.overdue, most)
    }

    fn holders(&self, segment: &Segment) -> Vec<(PeerKey, u32)> {
        let all = (1 << self.feeds.count()) - 1;
        let held = |mask: u32| if mask & HAVE_COMPLETE != 0 { all } else { mask & all };
        let known = segment.holders.iter().map(|holder| (holder.peer, held(holder.mask)));
        let mut holders = Vec::with_capacity(segment.holders.len());
        holders.extend(known.filter(|(_, mask)| *mask != 0));
        holders
    }
}
