//! Pure pull in bursts, with windows that follow what each neighbour delivers.

use super::pull::{BURST, Puller, micros};
use super::rarest_first::rarest;
use crate::plugin::{Feedback, MeshView, PeerKey, PeerView, Plan, Scheduler};
use crate::rng::Rng;
use crate::time::Instant;
use core::time::Duration;
use std::collections::BTreeMap;

/// Bursts in flight per neighbour at most (theory.md §2.1).
const BURSTS_MAX: u64 = 4;
/// Over which time a rate is smoothed. (Guess: a few round trips.)
const RATE_SPAN: Duration = Duration::from_millis(500);
/// Neighbours whose rates are remembered at most.
const RATES_MAX: usize = 1024;

/// Rarest first, in requests of up to 16 symbols of one stripe, with no more in flight than a
/// neighbour's rate fills a round trip with (theory.md §2.1, §2.2 F).
///
/// Wins over plain rarest-first when uplinks are full: queues at suppliers stay short, and that
/// matters more than the order. Pitfall: windows start small, so a new neighbour is of little use
/// for its first round trips.
#[derive(Debug, Default)]
pub struct PipelinedPull {
    rates: BTreeMap<PeerKey, Rate>,
}

/// What a neighbour delivers.
#[derive(Debug, Clone, Copy)]
struct Rate {
    /// Thousandths of a symbol per second.
    smoothed: u64,
    since: Instant,
    symbols: u64,
}

impl Rate {
    const fn new(now: Instant) -> Self {
        Self { smoothed: 0, since: now, symbols: 0 }
    }

    fn served(&mut self, now: Instant, symbols: u16) {
        self.symbols += u64::from(symbols);
        let span = micros(now.since(self.since));
        if span >= micros(RATE_SPAN) {
            let sample = self.symbols.saturating_mul(1_000_000_000) / span;
            self.smoothed = (self.smoothed + sample) / 2;
            *self = Self { smoothed: self.smoothed, since: now, symbols: 0 };
        }
    }

    /// Symbols that may be in flight: rate × round trip in bursts, and one more to find out
    /// whether there is more to be had.
    fn window(&self, peer: &PeerView) -> u16 {
        let rtt = micros(peer.rtt).min(10_000_000);
        let flight = self.smoothed.saturating_mul(rtt) / 1_000_000_000;
        let bursts = (flight / u64::from(BURST) + 1).min(BURSTS_MAX);
        bursts as u16 * BURST
    }
}

impl Scheduler for PipelinedPull {
    fn name(&self) -> &'static str {
        "pipelined-pull"
    }

    fn plan(&mut self, view: &MeshView, rng: &mut Rng, plan: &mut Plan) {
        self.rates.retain(|key, _| view.peer(*key).is_some());
        let mut puller = Puller::within(view, |peer| {
            let window = self.rates.get(&peer.key).map_or(BURST, |rate| rate.window(peer));
            window.saturating_sub(peer.outstanding)
        });
        for at in rarest(view, rng) {
            if puller.room() == 0 {
                break;
            }
            let need = &view.needs[at];
            puller.bursts(need, u32::from(need.wanted), rng, plan);
        }
        // A full window is looked at again when its first burst should have come.
        if !view.needs.is_empty() {
            let soonest = view.peers.iter().map(|peer| peer.rtt).min().unwrap_or(RATE_SPAN);
            let pause = soonest.clamp(Duration::from_millis(10), RATE_SPAN);
            plan.replan_at(view.now + pause);
        }
    }

    fn feedback(&mut self, now: Instant, feedback: Feedback) {
        match feedback {
            Feedback::Served { peer, symbols } => {
                if self.rates.len() < RATES_MAX || self.rates.contains_key(&peer) {
                    self.rates.entry(peer).or_insert(Rate::new(now)).served(now, symbols);
                }
            }
            // theory.md §2.1: × 0.7 for silence, × 0.9 for a full queue.
            Feedback::TimedOut { peer, .. } => {
                self.rates.entry(peer).and_modify(|rate| rate.smoothed = rate.smoothed / 10 * 7);
            }
            Feedback::Busy { peer } => {
                self.rates.entry(peer).and_modify(|rate| rate.smoothed = rate.smoothed / 10 * 9);
            }
        }
    }
}
