//! The default: stripes pushed along subscriptions, the rest pulled.

use super::hybrid::{URGENT_PERCENT, urgent_within};
use super::pull::Puller;
use super::rarest_first::rarest;
use super::stripes::{cost, subscribe};
use crate::config::Config;
use crate::plugin::{MeshView, PeerView, Plan, Scheduler, StripeView};
use crate::rng::Rng;
use crate::time::Instant;
use core::time::Duration;

/// Mean time between moves that nothing but a shorter way calls for. (Guess, to be swept.)
const MOVE_PAUSE: Duration = Duration::from_millis(500);
/// A stripe this much slower than half as long again as the others usually take has a bad parent.
const SLOW_MIN: Duration = Duration::from_millis(100);

/// Subscribes every stripe to the neighbour through which it comes soonest, repairs losses by
/// asking the parent again, and pulls what no parent delivers, rarest first with a bounded lane
/// for what is urgent (theory.md §2.2 H).
///
/// Wins nearly everywhere: half the delay of pulling, and none of the fragility of trees.
/// Pitfall: where uplinks hardly suffice, many stripes find no parent with a slot, and it is
/// pulling after all.
#[derive(Debug)]
pub struct PushPull {
    /// A parent later than this is replaced.
    lag_max: Duration,
    /// What is due within this time may use the urgent lane.
    urgent: Duration,
    /// When a stripe may next be moved though nothing is wrong with it.
    move_at: Instant,
    /// The repair stripe is subscribed too.
    repair: bool,
}

impl PushPull {
    /// With the thresholds that go with a configuration.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self {
            lag_max: config.overdue * 3,
            urgent: urgent_within(config),
            move_at: Instant::ZERO,
            repair: config.push_repair,
        }
    }

    /// Moves one stripe to a neighbour nearer the origin, now and then. All that hang on this
    /// peer gain with it; the sum of depths only falls, so this comes to rest.
    fn climb(&mut self, view: &MeshView, rng: &mut Rng, plan: &mut Plan) {
        if view.now < self.move_at {
            return;
        }
        let mut usual: Vec<Duration> = view.stripes.iter().map(|s| s.usual).collect();
        usual.sort_unstable();
        let slow = usual[usual.len() / 2] * 3 / 2 + SLOW_MIN;
        let better = |stripe: &StripeView| {
            let at = usize::from(stripe.stripe);
            let parent = view.peer(stripe.parent.filter(|_| !stripe.pending)?)?;
            let depth = *parent.depth.get(at)?;
            let offering =
                view.peers.iter().filter(|p| p.offers >> at & 1 == 1 && p.key != parent.key);
            let fed = |p: &PeerView| {
                view.stripes.iter().filter(|s| s.parent == Some(p.key)).count() as u64
            };
            let best = offering.min_by_key(|p| (cost(p, stripe.stripe, fed(p)), p.key))?;
            let gain = u64::from(depth.saturating_sub(*best.depth.get(at)?));
            let late = stripe.usual.saturating_sub(slow).as_millis() as u64;
            (gain + late > 0).then_some((gain * 50 + late, stripe.stripe, best.key))
        };
        let best = view.stripes.iter().filter_map(better).max_by_key(|(gain, ..)| *gain);
        if let Some((_, stripe, peer)) = best {
            plan.subscribe(stripe, peer);
            let pause = MOVE_PAUSE / 2 + MOVE_PAUSE * rng.below(1000) / 1000;
            self.move_at = view.now + pause;
        }
    }
}

impl Scheduler for PushPull {
    fn name(&self) -> &'static str {
        "push-pull"
    }

    fn plan(&mut self, view: &MeshView, rng: &mut Rng, plan: &mut Plan) {
        let wanted = |s: &StripeView| {
            (self.repair || !s.repair) && (s.parent.is_none() || s.lag > self.lag_max)
        };
        subscribe(view, rng, plan, wanted, |_, _| 0);
        self.climb(view, rng, plan);
        let mut puller = Puller::new(view);
        let mut left: Vec<u32> =
            view.needs.iter().map(|need| u32::from(need.wanted) - puller.nak(need, plan)).collect();
        let mut urgent = (puller.room() * URGENT_PERCENT / 100).max(1);
        for (at, need) in view.needs.iter().enumerate() {
            if urgent == 0 || need.deadline.since(view.now) > self.urgent {
                break;
            }
            urgent -= puller.open(need, urgent.min(left[at]), plan);
            left[at] = 0;
        }
        for at in rarest(view, rng) {
            if puller.room() == 0 {
                break;
            }
            puller.open(&view.needs[at], left[at], plan);
        }
    }
}
