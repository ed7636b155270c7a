//! The default: stripes pushed along subscriptions, the rest pulled.

use super::hybrid::urgent_within;
use super::patience::Patience;
use super::pull::{Puller, bit};
use super::rarest_first::by_copies;
use super::stripes::{Climb, subscribe};
use crate::config::Config;
use crate::plugin::{MeshView, Plan, Scheduler, StripeView};
use crate::rng::Rng;
use core::time::Duration;

/// Subscribes every stripe to the neighbour through which it comes soonest, repairs losses by
/// asking the parent again, and pulls what no parent delivers, rarest first with a bounded lane
/// for what is urgent (theory.md §2.2 H).
///
/// Wins nearly everywhere: half the delay of pulling, and none of the fragility of trees.
/// Pitfall: where uplinks hardly suffice, many stripes find no parent with a slot, and it is
/// pulling after all.
#[derive(Debug)]
pub struct PushPull {
    patience: Patience,
    /// What is due within this time may use the urgent lane.
    urgent: Duration,
    /// How much of what may be asked for is that lane's, in percent.
    lane: u32,
    climb: Climb,
    /// The repair stripe is subscribed too.
    repair: bool,
}

impl PushPull {
    /// With the thresholds that go with a configuration.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self {
            patience: Patience::new(config),
            urgent: urgent_within(config),
            lane: config.urgent_percent.into(),
            climb: Climb::new(config),
            repair: config.push_repair,
        }
    }
}

impl Scheduler for PushPull {
    fn name(&self) -> &'static str {
        "push-pull"
    }

    fn plan(&mut self, view: &MeshView, rng: &mut Rng, plan: &mut Plan) {
        let lost = self.patience.lost(view);
        let wanted = |s: &StripeView| (self.repair || !s.repair) && lost & bit(s.stripe) != 0;
        subscribe(view, rng, plan, wanted, |_, _| 0);
        self.climb.plan(view, rng, plan);
        let mut puller = Puller::new(view);
        let mut left: Vec<u32> =
            view.needs.iter().map(|need| u32::from(need.wanted) - puller.nak(need, plan)).collect();
        let mut urgent = (puller.room() * self.lane / 100).max(1);
        for (at, need) in view.needs.iter().enumerate() {
            if urgent == 0 || need.deadline.since(view.now) > self.urgent {
                break;
            }
            urgent -= puller.open(need, urgent.min(left[at]), plan);
            left[at] = 0;
        }
        // A few symbols of what was pushed: any holder has most of the segment.
        for at in by_copies(view, rng, |need| need.holders.len()) {
            if puller.room() == 0 {
                break;
            }
            puller.open(&view.needs[at], left[at], plan);
        }
    }
}
