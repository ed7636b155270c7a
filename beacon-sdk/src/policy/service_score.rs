//! [`ServiceScore`]: a peer is worth what it does of what it is asked.

use super::mesh_score::SCORED_PEERS_MAX;
use crate::id::PeerId;
use crate::plugin::{Observation, Role, Score, Scorer};
use crate::time::Instant;
use std::collections::BTreeMap;

/// Of a peer of which nothing is known: as good as not.
const NEWCOMER: u64 = 50;
/// What a newcomer is taken to have done and not done. (Guess: a stripe's part of one segment.)
const PRIOR: u64 = 8;
/// A failure weighs as much as so many deliveries, and a false symbol or a breach as so many failures.
/// (Guess.)
const FAILURE: u64 = 2;
const WRONG: u64 = 32;
/// Deliveries that count at most: what was long ago is forgotten by what is new, not by time.
const COUNTED: u64 = 1024;

/// A [`Scorer`] that has one thing in mind: the part that a peer delivers of what it should, over its last
/// thousand deliveries. It knows no time, round trip, capacity or contribution: the control arm for
/// [`MeshScore`](super::MeshScore), and cheap.
#[derive(Debug, Clone, Default)]
pub struct ServiceScore {
    peers: BTreeMap<PeerId, Record>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Record {
    served: u64,
    failed: u64,
}

impl Record {
    fn fail(&mut self, weight: u64) {
        self.failed = (self.failed + FAILURE * weight).min(COUNTED * COUNTED);
    }

    fn score(&self) -> u64 {
        100 * (self.served + PRIOR) / (self.served + self.failed + 2 * PRIOR)
    }
}

impl Scorer for ServiceScore {
    fn observe(&mut self, _: Instant, peer: PeerId, seen: Observation) {
        if self.peers.len() >= SCORED_PEERS_MAX && !self.peers.contains_key(&peer) {
            return;
        }
        let record = self.peers.entry(peer).or_default();
        match seen {
            Observation::Useful { .. } if record.served < COUNTED => record.served += 1,
            // A full memory makes room: failures wear off as deliveries come.
            Observation::Useful { .. } => record.failed -= record.failed.div_ceil(COUNTED),
            Observation::Unanswered => record.fail(1),
            Observation::Dropped => record.fail(4),
            Observation::Malformed | Observation::Invalid | Observation::Breach => {
                record.fail(WRONG);
            }
            _ => {}
        }
    }

    fn score(&self, _: Instant, peer: PeerId) -> Score {
        let score = self.peers.get(&peer).map_or(NEWCOMER, Record::score);
        Score::new(u8::try_from(score).unwrap_or(100))
    }

    fn role(&self, now: Instant, peer: PeerId) -> Role {
        match self.score(now, peer).get() {
            90.. => Role::SuperSeed,
            60..90 => Role::Relay,
            _ => Role::Leaf,
        }
    }

    fn forget(&mut self, peer: PeerId) {
        self.peers.remove(&peer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_delivered_counts_and_what_is_not_counts_twice() {
        let (mut scorer, peer, now) = (ServiceScore::default(), PeerId::default(), Instant::ZERO);
        assert_eq!(scorer.score(now, peer).get(), 50);
        let mut see = |seen, times| {
            (0..times).for_each(|_| scorer.observe(now, peer, seen));
            (scorer.score(now, peer).get(), scorer.role(now, peer))
        };
        assert_eq!(see(Observation::Useful { bytes: 1 }, 92), (92, Role::SuperSeed));
        assert_eq!(see(Observation::Unanswered, 25), (63, Role::Relay));
        assert_eq!(see(Observation::Breach, 2), (34, Role::Leaf));
        assert!(see(Observation::Useful { bytes: 1 }, 5000).0 > 95, "forgotten by what is new");
    }
}
