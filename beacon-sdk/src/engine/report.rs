//! What can be asked of an engine, without changing it.

use super::{Engine, peers};
use crate::id::{BroadcastId, PeerId};
use crate::media::{Description, Unplayable};
use crate::plugin::{PeerKey, Role};
use crate::stats::{LinkStats, Stats};

impl Engine {
    /// The broadcast this engine is in.
    #[must_use]
    pub const fn broadcast(&self) -> BroadcastId {
        self.broadcast
    }

    /// The description of the broadcast, once it is known.
    #[must_use]
    pub fn description(&self) -> Option<&Description> {
        self.description.as_ref().map(|(description, _)| description)
    }

    /// Why the broadcast cannot be played here, if it cannot.
    #[must_use]
    pub const fn unplayable(&self) -> Option<&Unplayable> {
        self.unplayable.as_ref()
    }

    /// The proven neighbours, by id.
    #[must_use]
    pub fn neighbours(&self) -> Vec<PeerId> {
        self.peers.ready().map(|(_, peer)| peer.id).collect()
    }

    /// What goes over each link.
    #[must_use]
    pub fn links(&self) -> Vec<LinkStats> {
        let link = |(_, peer): (PeerKey, &peers::Peer)| LinkStats {
            peer: peer.id,
            origin: peer.id == self.broadcast.publisher,
            rtt_us: crate::time::micros(peer.rtt.smoothed()),
            score: self.parts.scorer.score(self.now, peer.id).get(),
            received: peer.received,
            sent: peer.sent,
            parent_of: peer.pushes.count_ones() as u8,
            child_of: peer.takes.count_ones() as u8,
        };
        self.peers.ready().map(link).collect()
    }

    /// Who pushes each stripe to this peer; the last is the repair stripe.
    #[must_use]
    pub fn parents(&self) -> Vec<Option<PeerId>> {
        let id = |key| self.peers.get(key).map(|peer| peer.id);
        self.feeds.stripes.iter().map(|feed| feed.parent.and_then(id)).collect()
    }

    /// Hops from the origin per stripe, `None` without a feed; the last is the repair stripe.
    #[must_use]
    pub fn depths(&self) -> Vec<Option<u8>> {
        (0..self.feeds.count()).map(|stripe| self.feeds.depth(stripe)).collect()
    }

    /// Whether the last item has been played.
    #[must_use]
    pub fn ended(&self) -> bool {
        self.player.ended()
    }

    /// A snapshot of the counters.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let mut parents: Vec<PeerKey> =
            self.feeds.stripes.iter().filter_map(|feed| feed.parent).collect();
        parents.sort_unstable();
        parents.dedup();
        let ledger = &self.parts.ledger;
        let owed: i64 = self.peers.ready().map(|(_, p)| ledger.standing(p.id).balance).sum();
        let now = Stats {
            latency_ms: self.player.latency().percentiles(),
            peers: self.peers.ready().count() as u64,
            parents: parents.len() as u64,
            children: self.feeds.children.total() as u64,
            score: self.own_score(),
            credits: owed.saturating_neg(),
            bytes_acknowledged: ledger.acknowledged(),
            role: self.own_role(),
            supply_percent: self.scarcity.percent(),
            ..self.stats.clone()
        };
        match &self.at_end {
            Some(end) => Stats {
                peers: end.peers,
                parents: end.parents,
                children: end.children,
                credits: end.credits,
                ..now
            },
            None => now,
        }
    }

    pub(super) fn own_score(&self) -> u8 {
        if self.publisher.is_some() {
            return 100;
        }
        // What a neighbour would see of it: the ratio of what it gives to what it takes.
        let given = self.stats.bytes_uploaded;
        let taken = self.stats.bytes_from_origin + self.stats.bytes_from_peers;
        u8::try_from((given * 50 / taken.max(1)).min(100)).unwrap_or(100)
    }

    pub(super) fn own_role(&self) -> Role {
        match self.own_score() {
            _ if self.publisher.is_some() => Role::Origin,
            75.. => Role::SuperSeed,
            50.. => Role::Relay,
            _ => Role::Leaf,
        }
    }
}
