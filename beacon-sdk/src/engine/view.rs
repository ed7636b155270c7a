//! What a scheduler is shown: only what messages told this peer.

use super::Engine;
use super::plan::NAK_GUARD;
use super::store::Segment;
use crate::config::{DEPTH_MAX, STRIPES_MAX};
use crate::id::SegmentId;
use crate::plugin::{MeshView, MissingState, Need, PeerKey, PeerView, StripeView, stripe_of};
use crate::time::Instant;
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
            peers: self.peers.ready().map(|(key, _)| self.peer_view(key)).collect(),
            needs,
            stripe_count: self.feeds.count() - 1,
            spares,
            push_room,
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
                depth: [u8::MAX; STRIPES_MAX as usize + 1],
            };
        };
        let wanted = self.tracks & !peer.status.tracks == 0;
        let offered = |stripe: &u8| {
            let depth = peer.status.depth.get(usize::from(*stripe)).copied().unwrap_or(u8::MAX);
            wanted
                && peer.status.open >> stripe & 1 == 1
                && depth < DEPTH_MAX
                && peer.takes >> stripe & 1 == 0
                && !self.feeds.paused(*stripe, key, self.now)
        };
        let mut depth = [u8::MAX; STRIPES_MAX as usize + 1];
        depth.iter_mut().zip(&peer.status.depth).for_each(|(depth, told)| *depth = *told);
        PeerView {
            key,
            id: peer.id,
            score: self.parts.scorer.score(self.now, peer.id),
            rtt: peer.rtt.smoothed(),
            window: peer.room(),
            outstanding: peer.asked,
            offers: (0..self.feeds.count()).filter(offered).fold(0, |mask, s| mask | 1 << s),
            depth,
        }
    }

    /// The stripes as this peer takes them; the origin takes none.
    fn stripe_views(&self, needs: &[Need]) -> Vec<StripeView> {
        if self.publisher.is_some() {
            return Vec::new();
        }
        let last = self.feeds.count() - 1;
        let mut late = 0_u32;
        for need in needs.iter().filter(|need| need.since + self.config.overdue <= self.now) {
            for (esi, _) in &need.missing {
                late |= 1 << stripe_of(need.id.seq, *esi, need.source, last);
            }
        }
        (0_u8..)
            .zip(&self.feeds.stripes)
            .map(|(stripe, feed)| StripeView {
                stripe,
                repair: stripe == last,
                parent: feed.parent,
                pending: feed.pending.is_some(),
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
            .iter()
            .filter(|(id, segment)| {
                segment.content.as_ref().is_some_and(|content| !content.complete())
                    && self.player.from(id.track).is_none_or(|from| id.seq >= from)
            })
            .filter_map(|(id, segment)| self.need(id, segment))
            .collect();
        needs.sort_by_key(|need| (need.deadline, need.id));
        needs.truncate(NEEDS_MAX);
        needs
    }

    fn need(&self, id: SegmentId, segment: &Segment) -> Option<Need> {
        let content = segment.content.as_ref()?;
        let deadline = self.player.deadline(content.manifest.captured);
        if deadline <= self.now {
            return None;
        }
        let source = content.manifest.layout.source();
        let coded = content.manifest.code == self.parts.code.id();
        let last = self.feeds.count() - 1;
        // The state is the same for all symbols of a stripe; `None` is expected.
        let mut states = [None; STRIPES_MAX as usize + 1];
        let (mut expected, mut open) = (0, 0);
        for (stripe, state) in (0..=last).zip(&mut states) {
            let left = content.missing_in(stripe);
            if left == 0 || stripe == last && !coded {
                continue;
            }
            *state = self.missing_state(segment, content.since, stripe);
            match state {
                Some(_) => open += left,
                None => expected += left,
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
                if skip.peek() != Some(&esi)
                    && let Some(state) = states[usize::from(content.stripe(esi))]
                {
                    missing.push((esi, state));
                }
            }
        }
        Some(Need {
            id,
            deadline,
            since: content.since,
            wanted: content.wanted(coded).saturating_sub(asked.len() as u16),
            expected,
            missing,
            holders: self.holders(segment),
            source,
        })
    }

    /// Why symbols of a stripe are missing; `None` while its parent is expected to push them.
    fn missing_state(&self, segment: &Segment, since: Instant, stripe: u8) -> Option<MissingState> {
        let Some(parent) = self.feeds.stripes.get(usize::from(stripe))?.parent else {
            return Some(MissingState::Open);
        };
        let done = 1 << stripe | HAVE_COMPLETE;
        let told = segment.holders.iter().any(|holder| {
            holder.peer == parent && holder.mask & done != 0 && holder.since + NAK_GUARD <= self.now
        });
        if told {
            return Some(MissingState::Lost(parent));
        }
        (since + self.config.overdue <= self.now).then_some(MissingState::Open)
    }

    fn holders(&self, segment: &Segment) -> Vec<(PeerKey, u32)> {
        let all = (1 << self.feeds.count()) - 1;
        segment
            .holders
            .iter()
            .map(|h| (h.peer, if h.mask & HAVE_COMPLETE != 0 { all } else { h.mask & all }))
            .filter(|(_, mask)| *mask != 0)
            .collect()
    }
}
