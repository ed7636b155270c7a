//! Pure pull by rarity, newness and cost, with a bounded lane for what is urgent.

use super::pull::{Puller, micros, too_late};
use crate::config::Config;
use crate::plugin::{MeshView, Need, Plan, Scheduler};
use crate::rng::Rng;
use core::cmp::Reverse;
use core::time::Duration;

/// Weights of rarity, newness and cost (theory.md §2.2 E: 1, 0.2 and 0.15).
const RARITY: u64 = 1_000_000;
const NEWNESS: u64 = 200_000;
const COST: u64 = 150_000;
/// Round trip that is a cost of one.
const RTT_ONE_US: u64 = 200_000;

/// Asks for what has the highest `1/holders + 0.2 newness − 0.15 round trip`, and lets a tenth of
/// its requests go to what is due soon. What can no longer come in time is left to repair symbols
/// (theory.md §2.2 E).
///
/// Wins over rarest-first when supply is short: old segments that nearly got here are not given
/// up. Pitfall: the lane must stay small; with weight on urgency it becomes deadline-first.
#[derive(Debug)]
pub struct Hybrid {
    playout: Duration,
    urgent: Duration,
    /// Share of what is asked for that may be urgent, in percent.
    lane: u32,
    /// Symbols that the last plan asked for beside the urgent lane.
    asked: u32,
}

impl Hybrid {
    /// With the playout time of a configuration.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self {
            playout: config.playout,
            urgent: urgent_within(config),
            lane: config.urgent_percent.into(),
            asked: 0,
        }
    }

    fn worth(&self, view: &MeshView, need: &Need) -> u64 {
        let nearest = need.holders.iter().filter_map(|(key, _)| view.peer(*key));
        let rtt = nearest.map(|peer| micros(peer.rtt)).min().unwrap_or_default();
        let (age, span) = (micros(view.now.since(need.since)), micros(self.playout).max(1));
        let rarity = RARITY / view.copies(need).max(1) as u64;
        let newness = NEWNESS * span.saturating_sub(age) / span;
        // Ten round trips' worth of head room keeps the sum above zero.
        rarity + newness + (10 * COST).saturating_sub(COST * rtt.min(10 * RTT_ONE_US) / RTT_ONE_US)
    }
}

/// What is due within this time is urgent: 1.5 s where playout is 4 s.
pub(super) fn urgent_within(config: &Config) -> Duration {
    config.playout * 3 / 8
}

impl Scheduler for Hybrid {
    fn name(&self) -> &'static str {
        "hybrid"
    }

    fn plan(&mut self, view: &MeshView, rng: &mut Rng, plan: &mut Plan) {
        let mut puller = Puller::new(view);
        // A share of what is asked for, not of what might be: windows have room for more than the
        // whole stream, and a tenth of that is no bound.
        let lane = (self.asked * self.lane / 100).max(1);
        let mut urgent = lane.min(puller.room());
        let mut order: Vec<(Reverse<u64>, u64, usize)> = Vec::with_capacity(view.needs.len());
        // Earliest deadline first, as the view has them.
        for (at, need) in view.needs.iter().enumerate() {
            if need.missing.is_empty() || need.holders.is_empty() {
                continue;
            }
            if too_late(view, need) {
                plan.replan_at(need.deadline);
            } else if urgent > 0 && need.deadline.since(view.now) < self.urgent {
                let limit = urgent.min(u32::from(need.wanted));
                urgent -= puller.spread(need, limit, rng, plan);
            } else {
                order.push((Reverse(self.worth(view, need)), rng.bits(), at));
            }
        }
        order.sort_unstable();
        self.asked = 0;
        for (_, _, at) in order {
            if puller.room() == 0 {
                break;
            }
            let need = &view.needs[at];
            self.asked += puller.spread(need, u32::from(need.wanted), rng, plan);
        }
    }
}
