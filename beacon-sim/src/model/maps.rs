//! R6: what it costs that viewers learn of each other's chunks at intervals (Feng, Li, Li).

use beacon_sdk::Rng;

use super::check::{Band, Check};
use super::sampling::index;
use crate::bound::parallel_slots;

/// Slots after which a run is given up.
const SLOTS_MAX: u32 = 10_000;

/// Viewers that all want one segment, and pull it from one of those known to have it. Build it with
/// a literal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Maps {
    /// Viewers.
    pub viewers: u32,
    /// Slots between two exchanges of who has what; 1 when all always know.
    pub period: u32,
}

impl Maps {
    /// Slots until all viewers have the segment. The source uploads it once, in the first slot, and
    /// goes on to the next segment; every holder uploads it once per slot. A holder that several
    /// ask serves one of them, at random. The first exchange follows the first slot.
    #[must_use]
    pub fn run(&self, seed: [u8; 32], stream: u64) -> u32 {
        let mut rng = Rng::new(seed, stream);
        let viewers = self.viewers as usize;
        // All are alike: it does not matter which the source serves.
        let mut lacking: Vec<u32> = (1..self.viewers).collect();
        let (mut slots, mut known) = (u32::from(viewers > 0), 0);
        while !lacking.is_empty() && slots < SLOTS_MAX {
            if (slots - 1) % self.period.max(1) == 0 {
                known = viewers - lacking.len();
            }
            // In random order, the first to ask a holder is any of those that ask it.
            rng.shuffle(&mut lacking);
            let mut asked = vec![false; known];
            lacking.retain(|_| core::mem::replace(&mut asked[index(&mut rng, known)], true));
            slots += 1;
        }
        slots
    }

    /// The mean of [`run`](Self::run) over `runs` runs.
    #[must_use]
    pub fn mean(&self, seed: [u8; 32], runs: u32) -> f64 {
        let sum: u32 = (0..runs).map(|run| self.run(seed, u64::from(run))).sum();
        f64::from(sum) / f64::from(runs)
    }
}

/// R6, the bound: the paper's own example and 1,000 viewers.
pub(super) fn bound(_: [u8; 32]) -> Vec<Check> {
    [(6, 4.0), (1000, 11.0)]
        .into_iter()
        .map(|(viewers, printed)| {
            let slots = parallel_slots(viewers, 1.0, 1.0).map_or(f64::NAN, f64::from);
            let name = format!("slots at least, {viewers} viewers, Us = Up = 1");
            Check::new(name, printed, slots, Band::Within(0.0))
        })
        .collect()
}

/// R6, the gap: it grows with the period of the maps, and most of it comes from them.
pub(super) fn gap(seed: [u8; 32]) -> Vec<Check> {
    let viewers = 1000;
    let bound = parallel_slots(viewers, 1.0, 1.0).map_or(f64::NAN, f64::from);
    let gaps = [1, 2, 4].map(|period| Maps { viewers, period }.mean(seed, 200) - bound);
    let [none, two, four] = gaps;
    vec![
        Check::new("slots above the bound, maps always fresh", 0.0, none, Band::AtLeast),
        Check::new("slots that maps every 2 slots add", 0.5, two - none, Band::AtLeast),
        Check::new("slots that maps every 4 slots add to that", 0.5, four - two, Band::AtLeast),
        Check::new(
            "share of the gap due to maps, every 4",
            0.5,
            (four - none) / four,
            Band::AtLeast,
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_faster_than_the_bound() {
        for viewers in [1, 6, 100] {
            let bound = parallel_slots(viewers, 1.0, 1.0);
            for stream in 0..20 {
                assert!(Some(Maps { viewers, period: 1 }.run([3; 32], stream)) >= bound);
            }
        }
        assert_eq!(Maps { viewers: 0, period: 0 }.run([3; 32], 0), 0);
    }
}
