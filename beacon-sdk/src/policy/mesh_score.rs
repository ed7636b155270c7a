//! [`MeshScore`]: what a peer is worth to this one, in whole numbers.

use super::roll::Roll;
use crate::id::PeerId;
use crate::plugin::{Observation, Role, Score, Scorer};
use crate::time::Instant;
use core::time::Duration;

/// The score of a peer of which nothing is known (theory.md §4).
pub const NEWCOMER_SCORE: u8 = 34;
/// Peers that are remembered at most; further ones stay newcomers until one is forgotten.
pub const SCORED_PEERS_MAX: usize = 65_536;

/// Counts are in 1/1024, so that their decay is smooth.
const ONE: u64 = 1024;
/// Decay goes by the ticks of a common grid, not by the time between observations: then an
/// observation more or less changes no rounding, and scores are monotone as C01 wants.
const TICK: u64 = 1_000_000;
/// After so many ticks without a word nothing is left of any count.
const TICKS_MAX: u64 = 8192;
/// Deliveries before a peer can be more than a leaf (theory.md §4).
const PROVEN: u64 = 50;
/// Highest score until then.
const UNPROVEN_MAX: u64 = 49;
/// Round trip that is worth half of the latency points (theory.md §4).
const RTT_HALF: u64 = 200_000;

/// The one [`Scorer`] of the SDK: reliability (40 points), useful bytes (30), round trip (20) and
/// age (10), less a penalty that grows with the square of what was false, malformed or dropped:
/// one false symbol costs 10, three cost 90.
///
/// Weights and half-lives are guesses in the spirit of theory.md §4, to be swept by the simulator.
#[derive(Debug, Clone, Default)]
pub struct MeshScore {
    peers: Roll<Record>,
}

#[derive(Debug, Clone, Copy)]
struct Record {
    /// When it was first of use. What speaks against a peer starts no age: else it could raise a
    /// score in the long run.
    since: Option<Instant>,
    /// The tick up to which all counts have decayed.
    tick: u64,
    /// Deliveries, up to [`PROVEN`]; they do not decay.
    proofs: u64,
    /// Verified new bytes; half-life 22 s.
    bytes: u64,
    /// Deliveries and failures in [`ONE`]; half-life 44 s.
    served: u64,
    failed: u64,
    /// False symbols in [`ONE`]; half-life 12 min.
    invalid: u64,
    /// Malformed frames and lost links in [`ONE`]; half-life 6 min.
    faults: u64,
    /// Smoothed round trip in microseconds.
    rtt: Option<u64>,
}

fn tick(now: Instant) -> u64 {
    now.as_micros() / TICK
}

fn add(count: &mut u64, amount: u64) {
    // Far above what decay lets a count grow to, and far from overflow in the products below.
    *count = count.saturating_add(amount).min(1 << 40);
}

impl Record {
    fn new(now: Instant) -> Self {
        Self {
            since: None,
            tick: tick(now),
            proofs: 0,
            bytes: 0,
            served: 0,
            failed: 0,
            invalid: 0,
            faults: 0,
            rtt: None,
        }
    }

    fn advance(&mut self, now: Instant) {
        let ticks = tick(now).saturating_sub(self.tick);
        self.tick += ticks;
        let counts = [
            (&mut self.bytes, 32),
            (&mut self.served, 64),
            (&mut self.failed, 64),
            (&mut self.invalid, 1024),
            (&mut self.faults, 512),
        ];
        for (count, share) in counts {
            for _ in 0..ticks.min(TICKS_MAX) {
                // What is smaller than a share goes by whole units.
                *count -= (*count / share).max(u64::from(*count > 0));
            }
            if ticks > TICKS_MAX {
                *count = 0;
            }
        }
    }

    fn note(&mut self, now: Instant, seen: Observation) {
        use Observation::{Connected, RoundTrip, Useful};
        if matches!(seen, Connected | Useful { .. } | RoundTrip(_)) {
            self.since.get_or_insert(now);
        }
        match seen {
            Observation::Connected | Observation::Duplicate { .. } => {}
            Observation::Useful { bytes } => {
                self.proofs = (self.proofs + 1).min(PROVEN);
                add(&mut self.served, ONE);
                add(&mut self.bytes, u64::from(bytes));
            }
            Observation::Invalid => add(&mut self.invalid, ONE),
            Observation::Malformed => add(&mut self.faults, ONE),
            Observation::Dropped => {
                add(&mut self.failed, 4 * ONE);
                add(&mut self.faults, ONE);
            }
            Observation::Unanswered => add(&mut self.failed, ONE),
            Observation::Busy => add(&mut self.failed, ONE / 8),
            Observation::RoundTrip(sample) => {
                let sample = u64::try_from(sample.as_micros()).unwrap_or(u64::MAX).min(1 << 40);
                self.rtt = Some(self.rtt.map_or(sample, |old| (7 * old + sample) / 8));
            }
        }
    }

    fn score(&self, now: Instant) -> u64 {
        // A newcomer has 20 of 40 points for reliability and 14 of 20 for its round trip.
        let reliability = 40 * (self.served + 3 * ONE) / (self.served + self.failed + 6 * ONE);
        let latency = self.rtt.map_or(14, |rtt| 20 * RTT_HALF / (RTT_HALF + rtt));
        // 0.5 MB in the last half minute is 15 points, 16 MB all 30.
        let capacity = (3 * u64::from((1 + self.bytes / 16_384).ilog2())).min(30);
        let age = self.since.map_or(Duration::ZERO, |since| now.since(since)).as_secs();
        let age = age.min(86_400);
        let stay = 10 * age / (age + 300);
        let mut sum = reliability + latency + capacity + stay;
        if self.proofs < PROVEN {
            sum = sum.min(UNPROVEN_MAX);
        }
        let squared = |weight: u64, count: u64| weight * count.min(100 * ONE).pow(2);
        let penalty = (squared(10, self.invalid) + squared(2, self.faults)) / (ONE * ONE);
        sum.min(100).saturating_sub(penalty)
    }
}

impl Scorer for MeshScore {
    fn observe(&mut self, now: Instant, peer: PeerId, seen: Observation) {
        let full = self.peers.len() >= SCORED_PEERS_MAX;
        let record = match self.peers.meet(&peer) {
            Some(record) => record,
            None if full => return,
            None => self.peers.enter(peer, Record::new(now)),
        };
        record.advance(now);
        record.note(now, seen);
    }

    fn score(&self, now: Instant, peer: PeerId) -> Score {
        let Some(mut record) = self.peers.get(&peer).copied() else {
            return Score::new(NEWCOMER_SCORE);
        };
        record.advance(now);
        Score::new(u8::try_from(record.score(now)).unwrap_or(100))
    }

    /// 75 points cannot be had without useful bytes, so no gate for bandwidth stands beside them.
    fn role(&self, now: Instant, peer: PeerId) -> Role {
        match self.score(now, peer).get() {
            75.. => Role::SuperSeed,
            50..75 => Role::Relay,
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

    /// The score and role of a peer after `seconds` of a symbol batch each, then `more`.
    fn after(seconds: u64, more: &[Observation]) -> (u8, Role) {
        let (mut scorer, peer) = (MeshScore::default(), PeerId::default());
        let mut now = Instant::ZERO;
        scorer.observe(now, peer, Observation::Connected);
        for _ in 0..seconds {
            now = now + Duration::from_secs(1);
            scorer.observe(now, peer, Observation::RoundTrip(Duration::from_millis(40)));
            scorer.observe(now, peer, Observation::Useful { bytes: 250_000 });
        }
        more.iter().for_each(|seen| scorer.observe(now, peer, *seen));
        (scorer.score(now, peer).get(), scorer.role(now, peer))
    }

    #[test]
    fn roles_follow_from_what_was_delivered() {
        assert_eq!(after(0, &[]), (NEWCOMER_SCORE, Role::Leaf));
        assert_eq!(after(20, &[]).1, Role::Leaf, "too few deliveries to be trusted");
        assert!(after(60, &[]).0 >= 75, "{:?}", after(60, &[]));
        assert_eq!(after(60, &[Observation::Unanswered; 30]).1, Role::Relay);
    }

    #[test]
    fn false_symbols_cost_their_square() {
        let clean = after(600, &[]).0;
        assert_eq!(clean - after(600, &[Observation::Invalid]).0, 10);
        assert_eq!(clean.saturating_sub(90), after(600, &[Observation::Invalid; 3]).0);
    }

    #[test]
    fn silence_and_failures_lower_a_score() {
        for bad in [Observation::Unanswered, Observation::Dropped, Observation::Malformed] {
            assert!(after(100, &[bad; 5]).0 < after(100, &[]).0, "{bad:?}");
        }
        let slow = Observation::RoundTrip(Duration::from_secs(2));
        assert!(after(100, &[slow; 5]).0 < after(100, &[]).0);
    }
}
