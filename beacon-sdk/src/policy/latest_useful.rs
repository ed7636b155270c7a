//! Push by plan: the newest to whoever lacks most.

use super::patience::Patience;
use super::pull::bit;
use super::stripes::subscribe;
use crate::config::Config;
use crate::plugin::{MeshView, Plan, Scheduler, StripeView};
use crate::rng::Rng;
use core::cmp::Reverse;
use core::time::Duration;

/// How often a stripe without a parent looks for one.
const SEEK_PAUSE: Duration = Duration::from_millis(50);

/// While the uplink has room, pushes the newest segment that a neighbour lacks something of to
/// the neighbour that lacks most of it, and asks for nothing (theory.md §2.2 C: latest useful,
/// most deprived).
///
/// A subscription is a reservation here: who subscribes a stripe leaves it to one sender, so that
/// two do not push the same; what nobody feeds is pushed by whoever has room, after all that is
/// reserved. What was pushed and not told of in time is pushed again.
///
/// Wins on delay where neighbours' news is fresh: no request goes ahead of a symbol. Pitfall:
/// without reservation a quarter of the uplinks goes into duplicates, and what it knows of
/// neighbours is always a round trip old.
#[derive(Debug)]
pub struct LatestUseful {
    patience: Patience,
    repair: bool,
}

impl LatestUseful {
    /// With the thresholds that go with a configuration.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self { patience: Patience::new(config), repair: config.push_repair }
    }
}

impl Scheduler for LatestUseful {
    fn name(&self) -> &'static str {
        "latest-useful"
    }

    fn plan(&mut self, view: &MeshView, rng: &mut Rng, plan: &mut Plan) {
        let lost = self.patience.lost(view);
        let wanted = |s: &StripeView| (self.repair || !s.repair) && lost & bit(s.stripe) != 0;
        subscribe(view, rng, plan, wanted, |_, _| 0);
        if !view.needs.is_empty() {
            plan.replan_at(view.now + SEEK_PAUSE);
        }
        let mut room = usize::from(view.push_room);
        let mut order: Vec<usize> = (0..view.spares.len()).collect();
        rng.shuffle(&mut order);
        order.sort_by_key(|at| {
            let spare = &view.spares[*at];
            (!spare.reserved, Reverse(spare.deadline), Reverse(spare.lacking))
        });
        for at in order {
            if room == 0 {
                break;
            }
            let spare = &view.spares[at];
            let burst = &spare.esis[..spare.esis.len().min(room)];
            room -= burst.len();
            plan.push(spare.peer, spare.id, burst.to_vec());
        }
    }

    fn wants_spare(&self) -> bool {
        true
    }
}
