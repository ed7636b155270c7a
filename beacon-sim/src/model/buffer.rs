//! R3: buffers that shift by one chunk per slot, filled from a random peer (Zhou, Chiu, Lui).

use beacon_sdk::Rng;

use super::check::{Band, Check};
use super::sampling::index;

/// Halvings of a search for a root: more than an `f64` has bits.
const HALVINGS: u32 = 100;

/// Which chunk a peer pulls, of those that it lacks and its random partner has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strategy {
    /// The newest, which the fewest have.
    RarestFirst,
    /// The one that is played next.
    Greedy,
    /// The newest in the first this many cells; without one there, the one that is played next.
    Mixed(u32),
}

/// Probability that a cell of the buffer is filled, for cells 1 (newest) to `cells` (played next,
/// hence the continuity of playback), in the mean field: `p(1) = 1/M`,
/// `p(i+1) = p(i) + s(i) p(i) (1 − p(i))`, where `s(i)` is the probability that the strategy finds
/// nothing it likes better. Rarest first: `s(i) = 1 − p(i)`. Greedy from cell m onwards:
/// `s(i) = 1 − p(m) − p(n) + p(i+1)`.
///
/// Uploads are not limited, so the best strategy here need not be the best in a swarm. Source: Zhou,
/// Chiu, Lui, ICNP 2007 and IEEE/ACM ToN 19(1), 2011.
#[must_use]
pub fn continuity(strategy: Strategy, peers: u32, cells: u32) -> Vec<f64> {
    let rarest_until = match strategy {
        Strategy::RarestFirst => cells,
        Strategy::Greedy => 1,
        Strategy::Mixed(cell) => cell.clamp(1, cells),
    };
    let mut filled = vec![1.0 / f64::from(peers)];
    for _ in 1..rarest_until {
        let p = filled[filled.len() - 1];
        filled.push(p + (1.0 - p) * p * (1.0 - p));
    }
    let rest = cells.saturating_sub(rarest_until);
    // The greedy part depends on how it ends: the more is filled then, the less is pulled before.
    let start = filled[filled.len() - 1];
    let (mut low, mut high) = (start, 1.0);
    for _ in 0..HALVINGS {
        let end = f64::midpoint(low, high);
        if greedy(start, end, rest).last().is_some_and(|&last| last > end) {
            low = end;
        } else {
            high = end;
        }
    }
    filled.extend(greedy(start, f64::midpoint(low, high), rest));
    filled
}

/// The cells after one filled with probability `start`, when the last is assumed to be with `end`.
fn greedy(start: f64, end: f64, cells: u32) -> Vec<f64> {
    let mut p = start;
    (0..cells)
        .map(|_| {
            let offered = p * (1.0 - p);
            // p' = p + (1 − start − end + p') · offered, solved for p'.
            p = (p + offered * (1.0 - start - end)) / (1.0 - offered);
            p
        })
        .collect()
}

/// The same system with a buffer per peer. Build it with a literal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Buffer {
    /// Peers.
    pub peers: u32,
    /// Cells of a buffer, at most 64.
    pub cells: u32,
    /// What is pulled.
    pub strategy: Strategy,
    /// Slots that count; twice as many slots as cells run before.
    pub slots: u32,
}

impl Buffer {
    /// The share of chunks that were there when they were to be played.
    #[must_use]
    pub fn run(&self, seed: [u8; 32]) -> f64 {
        let mut rng = Rng::new(seed, 0);
        let cells = self.cells.clamp(1, u64::BITS);
        let last = 1_u64 << (cells - 1);
        // Bit 0 is cell 1.
        let mut buffers = vec![0_u64; self.peers as usize];
        let mut played = 0_u64;
        for slot in 0..2 * cells + self.slots {
            let before = buffers.clone();
            let fed = index(&mut rng, buffers.len());
            for (peer, buffer) in buffers.iter_mut().enumerate() {
                if peer == fed {
                    continue;
                }
                let offered = before[index(&mut rng, before.len())] & !*buffer & (last - 1);
                *buffer |= self.pull(offered);
            }
            for buffer in &mut buffers {
                *buffer <<= 1;
            }
            // The chunk of this slot enters cell 1 of one peer, and is pulled from there next.
            buffers[fed] |= 1;
            if slot >= 2 * cells {
                played += buffers.iter().filter(|&&buffer| buffer & last != 0).count() as u64;
            }
        }
        played as f64 / (f64::from(self.slots) * f64::from(self.peers))
    }

    /// The chunk to pull of those `offered`, as a mask.
    fn pull(&self, offered: u64) -> u64 {
        let newest = |chunks: u64| chunks & chunks.wrapping_neg();
        let oldest = |chunks: u64| chunks.checked_ilog2().map_or(0, |bit| 1 << bit);
        match self.strategy {
            Strategy::RarestFirst => newest(offered),
            Strategy::Greedy => oldest(offered),
            Strategy::Mixed(cell) => {
                let first = offered & ((1 << cell.saturating_sub(1).min(63)) - 1);
                if first == 0 { oldest(offered) } else { newest(first) }
            }
        }
    }
}

/// R3, at the sizes of the theory notes §6.6.
pub(super) fn experiment(seed: [u8; 32]) -> Vec<Check> {
    let mut checks = Vec::new();
    for (peers, cells, strategy, printed) in [
        (1000, 40, Strategy::RarestFirst, 0.9666),
        (1000, 40, Strategy::Greedy, 0.8584),
        (1000, 40, Strategy::Mixed(10), 0.9991),
        (1000, 20, Strategy::RarestFirst, 0.9005),
        (1000, 20, Strategy::Greedy, 0.6441),
        (1000, 20, Strategy::Mixed(10), 0.9441),
        (10_000, 40, Strategy::RarestFirst, 0.9625),
        (10_000, 40, Strategy::Greedy, 0.7781),
        (10_000, 40, Strategy::Mixed(10), 0.9704),
        (10_000, 40, Strategy::Mixed(14), 0.9982),
    ] {
        let name = format!("continuity, {peers} peers, {cells} cells, {strategy:?}");
        let filled = continuity(strategy, peers, cells);
        let recursion = filled[filled.len() - 1];
        let digits = Band::Within(0.00005);
        checks.push(Check::new(format!("{name}: recursion"), printed, recursion, digits));
        if peers == 1000 && cells == 40 {
            let measured = Buffer { peers, cells, strategy, slots: 3000 }.run(seed);
            let band = Band::Within(0.015);
            checks.push(Check::new(format!("{name}: Monte Carlo"), printed, measured, band));
        }
    }
    checks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_holds_no_less_than_the_one_before_it() {
        for strategy in [Strategy::RarestFirst, Strategy::Greedy, Strategy::Mixed(5)] {
            let filled = continuity(strategy, 100, 20);
            assert_eq!(filled.len(), 20);
            assert!(filled.windows(2).all(|two| two[0] <= two[1]), "{strategy:?}");
        }
        assert_eq!(continuity(Strategy::Greedy, 100, 1), [0.01]);
    }

    #[test]
    fn each_strategy_pulls_what_it_is_named_for() {
        let pull = |strategy| Buffer { peers: 2, cells: 8, strategy, slots: 1 }.pull(0b0101_0100);
        assert_eq!(pull(Strategy::RarestFirst), 0b100);
        assert_eq!(pull(Strategy::Greedy), 0b100_0000);
        assert_eq!(pull(Strategy::Mixed(4)), 0b100, "cells 1 to 3 come first");
        assert_eq!(pull(Strategy::Mixed(3)), 0b100_0000, "nothing in cells 1 and 2");
    }
}
