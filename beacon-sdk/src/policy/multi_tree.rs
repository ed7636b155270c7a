//! Trees and nothing else: one per stripe, interior-disjoint.

use super::patience::Patience;
use super::pull::bit;
use super::stripes::{Climb, subscribe};
use crate::config::Config;
use crate::plugin::{MeshView, PeerView, Plan, Scheduler, StripeView};
use crate::rng::Rng;
use core::time::Duration;

/// What it costs to hang on a neighbour outside the stripe in which it is interior, in
/// microseconds: more than any detour, so that it is done only where nothing else is offered.
const NOT_INTERIOR: u64 = 10_000_000;
/// How often a stripe without a parent looks for one.
const SEEK_PAUSE: Duration = Duration::from_millis(50);

/// Subscribes every stripe and the repair stripe, by preference to the origin and to neighbours
/// that are interior in that stripe, so that one peer's loss costs one stripe. Asks for nothing:
/// what is lost is for repair symbols (theory.md §2.2 J, after SplitStream).
///
/// Wins on delay and control bytes where peers stay and links lose little: low latency over
/// direct links. Pitfall: a lost parent costs its stripe until there is another, so repair
/// symbols must cover a stripe, `1/(m-1)`; and a newcomer gets only what is sent from then on.
#[derive(Debug)]
pub struct MultiTree {
    patience: Patience,
    climb: Climb,
}

impl MultiTree {
    /// With the thresholds that go with a configuration.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self { patience: Patience::new(config), climb: Climb::new(config) }
    }
}

impl Scheduler for MultiTree {
    fn name(&self) -> &'static str {
        "multi-tree"
    }

    fn plan(&mut self, view: &MeshView, rng: &mut Rng, plan: &mut Plan) {
        let lost = self.patience.lost(view);
        let wanted = |s: &StripeView| lost & bit(s.stripe) != 0;
        let stripes = u32::from(view.stripe_count.max(1));
        let interior = |peer: &PeerView, stripe: u8| {
            let depth = peer.depth.get(usize::from(stripe)).copied();
            // The stripe that the engine gives most of a peer's slots to.
            let home = peer.id.short() % stripes == u32::from(stripe);
            if depth == Some(0) || home { 0 } else { NOT_INTERIOR }
        };
        subscribe(view, rng, plan, wanted, interior);
        self.climb.plan(view, rng, plan);
        if view.stripes.iter().any(wanted) || !view.needs.is_empty() {
            plan.replan_at(view.now + SEEK_PAUSE);
        }
    }
}
