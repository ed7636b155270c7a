//! Pure pull, rarest segment first.

use super::pull::Puller;
use crate::plugin::{MeshView, Need, Plan, Scheduler};
use crate::rng::Rng;

/// Asks for the segments that the fewest neighbours hold, newest first among equals: new data
/// multiplies, and estimates that are stale do the least harm (theory.md §2.2 A).
///
/// Wins where what is known of neighbours is old, or parents are too short-lived to be worth
/// having. Pitfall: twice the delay of pushed stripes, for every hop is a round trip.
#[derive(Debug, Default)]
pub struct RarestFirst;

/// The order of rarest-first: indices of `view.needs`.
pub(super) fn rarest(view: &MeshView, rng: &mut Rng) -> Vec<usize> {
    by_copies(view, rng, |need| view.copies(need))
}

/// The fewest copies first, newest first among equals.
pub(super) fn by_copies(
    view: &MeshView,
    rng: &mut Rng,
    copies: impl Fn(&Need) -> usize,
) -> Vec<usize> {
    let mut order: Vec<(usize, u64)> = (0..view.needs.len()).map(|at| (at, rng.bits())).collect();
    order.sort_by_cached_key(|&(at, tie)| {
        let need = &view.needs[at];
        (copies(need), core::cmp::Reverse(need.deadline), tie)
    });
    order.into_iter().map(|(at, _)| at).collect()
}

impl Scheduler for RarestFirst {
    fn name(&self) -> &'static str {
        "rarest-first"
    }

    fn plan(&mut self, view: &MeshView, rng: &mut Rng, plan: &mut Plan) {
        let mut puller = Puller::new(view);
        for at in rarest(view, rng) {
            if puller.room() == 0 {
                break;
            }
            let need = &view.needs[at];
            puller.spread(need, u32::from(need.wanted), rng, plan);
        }
    }
}
