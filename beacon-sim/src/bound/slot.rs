//! Delay in slots: every viewer uploads one unit per slot, and nothing else takes time.

use core::num::NonZeroU32;

/// Slots after which [`fibonacci_slots`] and [`parallel_slots`] stop counting. A fan-out of one
/// serves one viewer per slot; no swarm here has more viewers.
pub const SLOTS_MAX: u32 = 1_000_000;

/// Slots until the last of `viewers` has a unit: `1 + ⌈log2 N⌉`, 0 without viewers. The source
/// sends one copy.
///
/// The number of copies can at most double in a slot. Abeni, Kiraly and Lo Cigno (Networking 2009)
/// show that it is reached for each unit of an endless stream.
#[must_use]
pub fn slots(viewers: u32) -> u32 {
    if viewers == 0 { 0 } else { 1 + viewers.next_power_of_two().trailing_zeros() }
}

/// Slots until all `viewers` have a segment when each uploads `up` segments per slot and the
/// source `source`: `⌈log_{1+Up}(N / Us)⌉ + 1`; `None` when `up` or `source` is not positive or
/// the answer is above [`SLOTS_MAX`].
///
/// Source: Feng, Li, Li, INFOCOM 2009.
#[must_use]
pub fn parallel_slots(viewers: u32, source: f64, up: f64) -> Option<u32> {
    if !(up > 0.0 && source > 0.0) {
        return None;
    }
    // Counted, as the quotient of two logarithms is rounded on the wrong side of whole numbers.
    let (mut have, mut slots) = (source, 1);
    while have < f64::from(viewers) {
        have *= 1.0 + up;
        slots += 1;
        if slots > SLOTS_MAX {
            return None;
        }
    }
    Some(slots)
}

/// Slots until all `viewers` have a unit that each passes on, one copy per slot, to at most
/// `fan_out` others: `new(t) = Σ_{j=1..k} new(t − j)` with `new(1) = 1`, the k-step Fibonacci
/// sequence of Bianchi et al. (arXiv 0902.1394). `None` above [`SLOTS_MAX`].
#[must_use]
pub fn fibonacci_slots(viewers: u32, fan_out: NonZeroU32) -> Option<u32> {
    // More children than slots there can be change nothing.
    let steps = fan_out.get().min(64) as usize;
    let (mut have, mut new, mut slots) = (0_u64, vec![1_u64], 0);
    while have < u64::from(viewers) {
        if slots == SLOTS_MAX {
            return None;
        }
        let latest = new[new.len() - 1];
        have += latest;
        slots += 1;
        new.push(new.iter().rev().take(steps).sum());
        if new.len() > steps {
            new.remove(0);
        }
    }
    Some(slots)
}

/// The factor by which a unit spreads per slot with a fan-out of `fan_out`: the root above 1 of
/// `Σ_{j=1..k} x^{−j} = 1`; 1 for a chain.
#[must_use]
pub fn fibonacci_growth(fan_out: NonZeroU32) -> f64 {
    // A slot is one second and nothing is in flight: e^s is the factor.
    super::growth_rate_fan_out(1.0, 0.0, fan_out).exp()
}

/// Slots in which `pieces` pieces reach `viewers` viewers under central control: `k + log2 N`.
///
/// Source: Sanghavi, Hajek, Massoulié, IEEE Trans. Information Theory 2007 (arXiv cs/0612118).
#[must_use]
pub fn centralised(pieces: u32, viewers: u32) -> f64 {
    f64::from(pieces) + f64::from(viewers.max(1)).log2()
}

/// Slots that INTERLEAVE (push the newest and pull by turns) needs at most for `pieces` pieces and
/// `viewers` viewers: `9 (k + ln N)`, or `3.2 (k + ln N)` when upload is constrained on average
/// only. Same source as [`centralised`], read as an abstract: "log" is taken to be natural.
#[must_use]
pub fn interleave(pieces: u32, viewers: u32, soft: bool) -> f64 {
    let factor = if soft { 3.2 } else { 9.0 };
    factor * (f64::from(pieces) + f64::from(viewers.max(1)).ln())
}

/// Which way coded pieces travel in [`algebraic_gossip`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gossip {
    /// A viewer asks a random other one.
    Pull,
    /// A viewer sends to a random other one.
    Push,
}

/// Slots within which random linear coding spreads `pieces` pieces by gossip, at most, for many
/// pieces: `3.46 k` by pull, `5.96 k` by push; simulations suggest less than `2 k`.
///
/// Source: Deb, Médard, Choute, IEEE Trans. Information Theory 2006.
#[must_use]
pub fn algebraic_gossip(pieces: u32, way: Gossip) -> f64 {
    let factor = match way {
        Gossip::Pull => 3.46,
        Gossip::Push => 5.96,
    };
    factor * f64::from(pieces)
}

/// Slots in which a file of `parts` parts reaches all `viewers` of equal upload:
/// `M + ⌊log2 N⌋`. Source: Mundinger, Weber, Weiss, J. Scheduling 2008.
#[must_use]
pub fn makespan(parts: u32, viewers: u32) -> u32 {
    parts + viewers.max(1).ilog2()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn fan_out(k: u32) -> NonZeroU32 {
        NonZeroU32::new(k).unwrap()
    }

    #[test]
    fn a_snowball_doubles() {
        let printed = [(100, 8), (1000, 11), (10_000, 15), (100_000, 18)];
        for (viewers, expected) in printed {
            assert_eq!(slots(viewers), expected, "{viewers} viewers");
        }
        assert_eq!((slots(0), slots(1), slots(2), slots(3), slots(1024)), (0, 1, 2, 3, 11));
    }

    #[test]
    fn parallel_capacity_matches_the_paper() {
        assert_eq!(parallel_slots(6, 1.0, 1.0), Some(4), "the paper's own example");
        assert_eq!(parallel_slots(1000, 1.0, 1.0), Some(11));
        assert_eq!(parallel_slots(1024, 1.0, 1.0), Some(11), "a whole power is not rounded up");
        assert_eq!(parallel_slots(1000, 8.0, 3.0), Some(5));
        assert_eq!(parallel_slots(5, 8.0, 3.0), Some(1));
        assert_eq!(parallel_slots(1000, 1.0, 0.0), None);
        assert_eq!(parallel_slots(1000, 1.0, 1e-12), None);
    }

    #[test]
    fn fibonacci_matches_the_table() {
        for (k, printed, growth) in [
            (2, [10, 15, 19], 1.618),
            (3, [9, 12, 16], 1.839),
            (4, [8, 12, 15], 1.928),
            (8, [8, 11, 15], 1.996),
        ] {
            let counted = [100, 1000, 10_000].map(|n| fibonacci_slots(n, fan_out(k)).unwrap());
            assert_eq!(counted, printed, "fan-out {k}");
            assert!((fibonacci_growth(fan_out(k)) - growth).abs() < 0.0005, "fan-out {k}");
        }
        assert_eq!(fibonacci_slots(1000, fan_out(1)), Some(1000), "a chain");
        assert_eq!(fibonacci_slots(0, fan_out(2)), Some(0));
        assert_eq!(fibonacci_slots(2_000_000, fan_out(1)), None);
        assert_eq!(fibonacci_slots(1 << 20, fan_out(u32::MAX)), Some(21), "a snowball again");
    }

    #[test]
    fn many_pieces() {
        assert_eq!(centralised(100, 1024), 110.0);
        assert_eq!(makespan(100, 1000), 109);
        assert!((interleave(100, 1000, false) - 9.0 * 106.907_755).abs() < 1e-3);
        assert!(interleave(100, 1000, true) < interleave(100, 1000, false));
        assert_eq!(algebraic_gossip(100, Gossip::Pull), 346.0);
        assert_eq!(algebraic_gossip(100, Gossip::Push), 596.0);
    }
}
