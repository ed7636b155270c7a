//! A network that falls apart for a while.

use crate::draw::{Draw, Purpose};

/// Two halves that do not reach each other until the network is whole again.
#[derive(Copy, Clone, Debug, Default)]
pub(super) struct Split {
    seed: u64,
    percent: u32,
    /// Whole from then on, ns.
    until: u64,
}

impl Split {
    /// From `now` (ns) on for so many seconds; `number` tells it from others of the plan.
    pub(super) fn new(seed: u64, number: usize, percent: u32, now: u64, for_s: f64) -> Self {
        let seed = seed ^ (number as u64 + 1) << 32;
        Self { seed, percent, until: now + (for_s * 1e9) as u64 }
    }

    /// Whether these two do not reach each other. Who is on which side is the peer's number's matter
    /// alone: who comes meanwhile is on one, too.
    pub(super) fn parts(&self, now: u64, a: u32, b: u32) -> bool {
        now < self.until && self.beyond(a) != self.beyond(b)
    }

    fn beyond(&self, at: u32) -> bool {
        at > 0 && Draw::new(self.seed, at, Purpose::Network).below(100) < self.percent
    }
}
