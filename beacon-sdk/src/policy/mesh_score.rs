//! [`MeshScore`]: what a peer is worth to this one, in whole numbers.

use super::role::Tenure;
use super::roll::Roll;
use crate::id::PeerId;
use crate::plugin::{Observation, Role, Score, Scorer};
use crate::time::Instant;
use core::time::Duration;

/// The score of a peer of which nothing is known (theory.md §4).
pub const NEWCOMER_SCORE: u8 = 34;
/// Peers that are remembered at most; further ones stay newcomers until one is forgotten.
pub const SCORED_PEERS_MAX: usize = 65_536;

/// Counts, and points of a score, are in 1/1024, so that their decay and their sum are smooth.
const ONE: u64 = 1024;
/// Decay goes by the ticks of a common grid, not by the time between observations: then an
/// observation more or less changes no rounding, and scores are monotone as C01 wants.
const TICK: u64 = 1_000_000;
/// After so many ticks without a word nothing is left of any count.
const TICKS_MAX: u64 = 65_536;
/// Deliveries, and time, before a peer can be more than a leaf; and its highest score until then (theory
/// notes §4).
const PROVEN: u64 = 50;
const PROVEN_AGE: Duration = Duration::from_secs(60);
const UNPROVEN_MAX: u64 = 49;
/// A breach weighs as much as so many requests without an answer. (Guess: what a window of a stripe is.)
const BREACH_WEIGHT: u64 = 16;
/// A capacity of so many thousandths of the stream, and a round trip in microseconds, where nothing is known:
/// with them a newcomer scores 34.
const CAPACITY_UNKNOWN: u64 = 1000;
const RTT_UNKNOWN: u64 = 78_000;
/// What contribution begins with, in bytes given and taken: half (theory.md §4).
const GIVEN: u64 = 2_000_000;
const TAKEN: u64 = 4_000_000;

/// 2^(-i/16) and log2(1 + i/16), times 2^16.
const EXP: [u64; 17] = [
    65_536, 62_757, 60_097, 57_549, 55_109, 52_773, 50_535, 48_393, 46_341, 44_376, 42_495, 40_693,
    38_968, 37_316, 35_734, 34_219, 32_768,
];
const LOG: [u64; 17] = [
    0, 5732, 11_136, 16_248, 21_098, 25_711, 30_109, 34_312, 38_336, 42_196, 45_904, 49_472,
    52_911, 56_229, 59_434, 62_534, 65_536,
];
/// log2(9), times 2^16: eight streams are all points.
const LOG_9: u64 = 207_744;

/// The default [`Scorer`]: capacity (30 points), reliability (25), contribution (20), round trip (15) and age
/// (10), less ten times the square of what was false or broken and twice that of what was dropped. Formulas,
/// weights and half-lives are those of theory.md §4, which are proposals and no measurements.
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
    /// What it has carried lately, thousandths of the stream: the most, with a half-life of 10 s.
    capacity: Option<u64>,
    /// Deliveries and failures in [`ONE`]; half-life 60 s.
    served: u64,
    failed: u64,
    /// Bytes it gave and took; half-life 300 s.
    given: u64,
    taken: u64,
    /// In [`ONE`]: false symbols and breaches (half-life 600 s), malformed frames and lost links (300 s).
    wrongs: u64,
    flaps: u64,
    /// Smoothed round trip and its variation in microseconds.
    rtt: Option<(u64, u64)>,
    tenure: Tenure,
}

fn tick(now: Instant) -> u64 {
    now.as_micros() / TICK
}

fn add(count: &mut u64, amount: u64) {
    // Far above what decay lets a count grow to, and far from overflow in the products below.
    *count = count.saturating_add(amount).min(1 << 40);
}

/// `100 · min(1, log2(1 + u) / log2(9))` in [`ONE`], of thousandths.
fn capacity(milli: u64) -> u64 {
    let one_and = milli.min(1 << 20) + 1000;
    let whole = (one_and / 1000).ilog2();
    // 16 and what is left of it between two powers of two.
    let part = one_and * 65_536 / (1000 << whole) - 65_536;
    let (at, rest) = ((part / 4096) as usize, part % 4096);
    let step = LOG.get(at + 1).copied().unwrap_or(65_536) - LOG[at];
    let log = u64::from(whole) * 65_536 + LOG[at] + step * rest / 4096;
    (100 * ONE * log / LOG_9).min(100 * ONE)
}

/// `100 · clamp((LB − ½) / .45)` in [`ONE`]: LB is how much of what it was to do it does at least, with
/// counts in [`ONE`].
fn reliability(served: u64, failed: u64) -> u64 {
    const SCALE: u128 = 1 << 30;
    let (s, f, one) = (u128::from(served), u128::from(failed), u128::from(ONE));
    let p = (s + 3 * one) * SCALE / (s + f + 4 * one);
    let root = (p * (SCALE - p) * one / (s + f + 5 * one)).isqrt();
    let above = p.saturating_sub(root).saturating_sub(SCALE / 2).min(SCALE * 45 / 100);
    (100 * one * above / (SCALE * 45 / 100)) as u64
}

/// `100 · 2^(−µs / 200 ms)` in [`ONE`].
fn latency(micros: u64) -> u64 {
    let sixteenths = micros.min(4_000_000) * 16 * 4096 / 200_000;
    let (at, rest) = (sixteenths / 4096, sixteenths % 4096);
    let (whole, at) = (at / 16, (at % 16) as usize);
    let value = EXP[at] - (EXP[at] - EXP[at + 1]) * rest / 4096;
    (100 * ONE * value / 65_536) >> whole
}

/// `100 · part / whole` in [`ONE`], at most 100.
fn share(part: u64, whole: u64) -> u64 {
    (100 * ONE * part / whole.max(1)).min(100 * ONE)
}

impl Record {
    fn new(now: Instant) -> Self {
        Self {
            since: None,
            tick: tick(now),
            proofs: 0,
            capacity: None,
            served: 0,
            failed: 0,
            given: 0,
            taken: 0,
            wrongs: 0,
            flaps: 0,
            rtt: None,
            tenure: Tenure::default(),
        }
    }

    fn advance(&mut self, now: Instant) {
        let ticks = tick(now).saturating_sub(self.tick);
        self.tick += ticks;
        let mut nothing = 0;
        // What is lost in a tick: 1 − 2^(−1/h) of it.
        let counts = [
            (self.capacity.as_mut().unwrap_or(&mut nothing), 15),
            (&mut self.served, 87),
            (&mut self.failed, 87),
            (&mut self.given, 433),
            (&mut self.taken, 433),
            (&mut self.wrongs, 866),
            (&mut self.flaps, 433),
        ];
        for (count, share) in counts {
            for _ in 0..ticks.min(TICKS_MAX) {
                if *count == 0 {
                    break;
                }
                // What is smaller than a share goes by whole units.
                *count -= (*count / share).max(1);
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
            Connected | Observation::Duplicate { .. } => {}
            Useful { bytes } => {
                self.proofs = (self.proofs + 1).min(PROVEN);
                add(&mut self.served, ONE);
                add(&mut self.given, u64::from(bytes));
            }
            Observation::Taken { bytes } => add(&mut self.taken, u64::from(bytes)),
            Observation::Carried { milli } => {
                self.capacity = Some(self.capacity.unwrap_or(0).max(u64::from(milli)));
            }
            Observation::Invalid => add(&mut self.wrongs, ONE),
            Observation::Malformed => add(&mut self.flaps, ONE),
            Observation::Dropped => {
                add(&mut self.failed, 4 * ONE);
                add(&mut self.flaps, ONE);
            }
            Observation::Breach => {
                add(&mut self.failed, BREACH_WEIGHT * ONE);
                add(&mut self.wrongs, ONE);
            }
            Observation::Unanswered => add(&mut self.failed, ONE),
            Observation::Busy => add(&mut self.failed, ONE / 8),
            RoundTrip(sample) => {
                let sample = u64::try_from(sample.as_micros()).unwrap_or(u64::MAX).min(1 << 40);
                self.rtt = Some(self.rtt.map_or((sample, 0), |(rtt, var)| {
                    ((7 * rtt + sample) / 8, (3 * var + rtt.abs_diff(sample)) / 4)
                }));
            }
        }
    }

    /// Score and capacity, 0–100.
    fn points(&self, now: Instant) -> (u8, u8) {
        let capacity = capacity(self.capacity.unwrap_or(CAPACITY_UNKNOWN));
        let reliability = reliability(self.served, self.failed);
        let latency = self.rtt.map_or(latency(RTT_UNKNOWN), |(rtt, var)| latency(rtt + 2 * var));
        let age = self.since.map_or(Duration::ZERO, |since| now.since(since));
        let stay = share(age.as_secs().min(86_400), age.as_secs().min(86_400) + 300);
        let contribution = share(self.given + GIVEN, self.taken + TAKEN);
        let mut sum =
            30 * capacity + 25 * reliability + 15 * latency + 10 * stay + 20 * contribution;
        if self.proofs < PROVEN || age < PROVEN_AGE {
            sum = sum.min(UNPROVEN_MAX * 100 * ONE);
        }
        let squared = |weight: u64, count: u64| weight * count.min(100 * ONE).pow(2) / ONE;
        let penalty = squared(10, self.wrongs) + squared(2, self.flaps);
        let points = |value: u64| u8::try_from(value / ONE).unwrap_or(100).min(100);
        (points((sum / 100).saturating_sub(penalty)), points(capacity))
    }

    fn settle(&mut self, now: Instant) {
        let (score, capacity) = self.points(now);
        self.tenure = self.tenure.next(now, score, capacity);
    }
}

impl MeshScore {
    /// The record of a peer as of `now`.
    fn at(&self, now: Instant, peer: PeerId) -> Option<Record> {
        let mut record = self.peers.get(&peer).copied()?;
        record.advance(now);
        record.settle(now);
        Some(record)
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
        let before = record.tick;
        record.advance(now);
        record.note(now, seen);
        // Once a second: a role looks at seconds.
        if record.tick != before {
            record.settle(now);
        }
    }

    fn score(&self, now: Instant, peer: PeerId) -> Score {
        let Some(mut record) = self.peers.get(&peer).copied() else {
            return Score::new(NEWCOMER_SCORE);
        };
        record.advance(now);
        Score::new(record.points(now).0)
    }

    fn role(&self, now: Instant, peer: PeerId) -> Role {
        self.at(now, peer).map_or(Role::Leaf, |record| record.tenure.role())
    }

    fn forget(&mut self, peer: PeerId) {
        self.peers.remove(&peer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A peer of the worked examples: what it carries (thousandths of the stream), round trip (ms), minutes,
    /// percent of requests that it answers, and percent of what it takes that it gives.
    fn worked(milli: u32, ms: u64, minutes: u64, answered: u64, gives: u64) -> (u8, u8, Role) {
        let (mut scorer, peer) = (MeshScore::default(), PeerId::default());
        let mut now = Instant::from_micros(TICK);
        for second in 0..minutes * 60 {
            now = now + Duration::from_secs(1);
            scorer.observe(now, peer, Observation::RoundTrip(Duration::from_millis(ms)));
            scorer.observe(now, peer, Observation::Carried { milli });
            for request in 0..20 {
                let seen = if (second * 20 + request) % 100 < answered {
                    Observation::Useful { bytes: 10 * gives as u32 * 10 }
                } else {
                    Observation::Unanswered
                };
                scorer.observe(now, peer, seen);
            }
            scorer.observe(now, peer, Observation::Taken { bytes: 20 * 10_000 });
        }
        let capacity = scorer.at(now, peer).map_or(0, |record| record.points(now).1);
        (scorer.score(now, peer).get(), capacity, scorer.role(now, peer))
    }

    #[test]
    fn the_worked_values() {
        use Role::{Leaf, Relay, SuperSeed};
        // theory.md §4 has scores of 96, 87, 84, 74 and 61, and 40 for a mobile; it does not say with
        // what round trip, age and contribution but for the first.
        let table = [
            ((8000, 40, 30, 99, 100), (96, 100, SuperSeed)),
            // At the very edge: what decays within a second keeps it from the band.
            ((4000, 60, 30, 99, 100), (87, 73, Relay)),
            ((3000, 60, 30, 99, 100), (84, 63, Relay)),
            ((1000, 60, 30, 99, 100), (74, 31, Relay)),
            ((600, 60, 30, 99, 50), (61, 21, Relay)),
            ((300, 200, 5, 90, 20), (40, 11, Leaf)),
        ];
        for ((milli, ms, minutes, answered, gives), (score, capacity, role)) in table {
            let got = worked(milli, ms, minutes, answered, gives);
            let near = got.0.abs_diff(score) <= 2 && got.1.abs_diff(capacity) <= 1;
            assert!(near && got.2 == role, "{milli}: {got:?}, not {score}, {capacity}, {role:?}");
        }
        let newcomer = MeshScore::default();
        let (now, peer) = (Instant::from_micros(TICK), PeerId::default());
        assert_eq!(newcomer.score(now, peer).get(), 34);
        let told = Record::new(now).points(now);
        assert_eq!(told.0, NEWCOMER_SCORE, "the first word of a peer changes nothing by itself");
    }

    #[test]
    fn sub_scores_are_those_of_the_formulas() {
        let near = |got: u64, want: f64| (got as f64 / ONE as f64 - want).abs() < 0.1;
        for (milli, want) in [(0, 0.0), (1000, 31.55), (2000, 50.0), (3660, 70.0), (8000, 100.0)] {
            assert!(near(capacity(milli), want), "{milli}: {}", capacity(milli) as f64 / 1024.0);
        }
        for (ms, want) in [(0, 100.0), (40, 87.06), (200, 50.0), (500, 17.68), (10_000, 0.0)] {
            assert!(near(latency(ms * 1000), want), "{ms}: {}", latency(ms * 1000) as f64 / 1024.0);
        }
        for (served, failed, want) in
            [(0, 0, 12.5), (1000, 0, 100.0), (750, 250, 52.5), (0, 50, 0.0)]
        {
            let got = reliability(served * ONE, failed * ONE);
            assert!((got as f64 / 1024.0 - want).abs() < 1.0, "{served} of {failed}: {got}");
        }
    }

    /// The score after ten minutes of being a good parent, then `more`.
    fn after(more: &[Observation]) -> u8 {
        let (mut scorer, peer) = (MeshScore::default(), PeerId::default());
        let mut now = Instant::from_micros(TICK);
        for _ in 0..600 {
            now = now + Duration::from_secs(1);
            scorer.observe(now, peer, Observation::RoundTrip(Duration::from_millis(40)));
            scorer.observe(now, peer, Observation::Carried { milli: 1000 });
            scorer.observe(now, peer, Observation::Useful { bytes: 250_000 });
        }
        more.iter().for_each(|seen| scorer.observe(now, peer, *seen));
        scorer.score(now, peer).get()
    }

    #[test]
    fn wrongs_cost_their_square() {
        let clean = after(&[]);
        assert_eq!(clean - after(&[Observation::Invalid]), 10);
        assert_eq!(clean.saturating_sub(90), after(&[Observation::Invalid; 3]));
        assert!(clean - after(&[Observation::Breach]) > 10);
        assert_eq!(after(&[Observation::Breach; 3]), 0);
    }

    #[test]
    fn silence_and_failures_lower_a_score() {
        for bad in [Observation::Unanswered, Observation::Dropped, Observation::Malformed] {
            assert!(after(&[bad; 5]) < after(&[]), "{bad:?}");
        }
        let slow = Observation::RoundTrip(Duration::from_secs(2));
        assert!(after(&[slow; 5]) < after(&[]));
        assert!(after(&[Observation::Taken { bytes: 400_000_000 }]) < after(&[]), "it only takes");
    }

    #[test]
    fn who_only_takes_is_a_leaf() {
        assert_eq!(worked(0, 40, 30, 0, 0).2, Role::Leaf);
        assert!(worked(0, 40, 30, 0, 0).0 <= 25);
    }
}
