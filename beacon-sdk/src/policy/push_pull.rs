//! The default: stripes pushed along subscriptions, the rest pulled.

use super::pull::Puller;
use super::rarest_first::rarest;
use crate::config::Config;
use crate::plugin::{MeshView, PeerView, Plan, Scheduler, StripeView};
use crate::rng::Rng;
use crate::time::Instant;
use core::time::Duration;

/// Share of the free request slots that may go to what is due soon, in percent. Urgency must
/// stay a bounded lane: when it dominates, everything becomes late (theory.md §2.2 E).
const URGENT_PERCENT: u32 = 10;

/// Mean time between moves that nothing but a shorter way calls for. (Guess, to be swept.)
const MOVE_PAUSE: Duration = Duration::from_millis(500);

/// A stripe this much slower than half as long again as the others usually take has a bad parent.
const SLOW_MIN: Duration = Duration::from_millis(100);

/// Subscribes every stripe to the neighbour through which it comes soonest, repairs losses by
/// asking the parent again, and pulls what no parent delivers, rarest first with a bounded lane
/// for what is urgent.
#[derive(Debug)]
pub struct PushPull {
    /// A parent later than this is replaced.
    lag_max: Duration,
    /// What is due within this time may use the urgent lane.
    urgent: Duration,
    /// When a stripe may next be moved though nothing is wrong with it.
    move_at: Instant,
}

impl PushPull {
    /// With the thresholds that go with a configuration.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self { lag_max: config.overdue * 3, urgent: config.playout * 3 / 8, move_at: Instant::ZERO }
    }

    fn subscribe(&mut self, view: &MeshView, rng: &mut Rng, plan: &mut Plan) {
        // How many stripes each neighbour would feed: spread over many, so that no single loss
        // costs more than a share.
        let mut fed: Vec<u64> = view
            .peers
            .iter()
            .map(|p| view.stripes.iter().filter(|s| s.parent == Some(p.key)).count() as u64)
            .collect();
        let mut stripes: Vec<&StripeView> = view
            .stripes
            .iter()
            .filter(|s| !s.pending && (s.parent.is_none() || s.lag > self.lag_max))
            .collect();
        rng.shuffle(&mut stripes);
        for stripe in stripes {
            let bit = 1_u32.checked_shl(stripe.stripe.into()).unwrap_or_default();
            let offered = |p: &PeerView| p.offers & bit != 0;
            let best = (0..view.peers.len())
                .filter(|&at| offered(&view.peers[at]) && stripe.parent != Some(view.peers[at].key))
                .min_by_key(|&at| (cost(&view.peers[at], stripe.stripe, fed[at]), rng.bits()));
            if let Some(at) = best {
                fed[at] += 1;
                plan.subscribe(stripe.stripe, view.peers[at].key);
            }
        }
        self.climb(view, rng, plan);
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

/// What it costs to have a neighbour as a stripe's parent, in microseconds: its distance from
/// the origin, the way to it, and how much hangs on it already (theory.md §3, parent cost).
fn cost(peer: &PeerView, stripe: u8, fed: u64) -> u64 {
    let depth = peer.depth.get(usize::from(stripe)).copied().unwrap_or(u8::MAX);
    let rtt = u64::try_from(peer.rtt.as_micros()).unwrap_or(u64::MAX / 4);
    let score = u64::from(100 - peer.score.get());
    u64::from(depth) * 30_000 + rtt / 2 + fed * (20_000 + rtt / 2) + score * 500
}

impl Scheduler for PushPull {
    fn name(&self) -> &'static str {
        "push-pull"
    }

    fn plan(&mut self, view: &MeshView, rng: &mut Rng, plan: &mut Plan) {
        self.subscribe(view, rng, plan);
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
