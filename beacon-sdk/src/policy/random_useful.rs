//! Pure pull, anything useful from anyone.

use super::pull::{Puller, Symbol};
use crate::plugin::{MeshView, Plan, Scheduler};
use crate::rng::Rng;

/// Asks random holders for random segments among the missing (theory.md §2.2 D).
///
/// Wins where nothing that neighbours told can be trusted to be fresh: it uses every uplink
/// whatever the order. Pitfall: delay grows with the window, for a new segment waits its turn
/// among the old ones.
#[derive(Debug, Default)]
pub struct RandomUseful;

impl Scheduler for RandomUseful {
    fn name(&self) -> &'static str {
        "random-useful"
    }

    fn plan(&mut self, view: &MeshView, rng: &mut Rng, plan: &mut Plan) {
        let mut puller = Puller::new(view);
        let mut order: Vec<usize> = (0..view.needs.len()).collect();
        rng.shuffle(&mut order);
        for at in order {
            if puller.room() == 0 {
                break;
            }
            let need = &view.needs[at];
            let limit = u32::from(need.wanted);
            let class = |symbol: Symbol| symbol.stripe;
            puller.spread_to(need, limit, rng, plan, class, |puller, holders, symbol, rng| {
                puller.any(holders, symbol.stripe, rng)
            });
        }
    }
}
