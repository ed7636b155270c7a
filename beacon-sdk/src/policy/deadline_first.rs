//! Pure pull, earliest deadline first: the control arm.

use super::pull::Puller;
use crate::plugin::{MeshView, Plan, Scheduler};
use crate::rng::Rng;

/// Asks for what is due first (theory.md §2.2 B).
///
/// Wins nowhere; it is here to be compared with. Pitfall: under load everyone chases old segments
/// and new ones do not multiply, until everything is late.
#[derive(Debug, Default)]
pub struct DeadlineFirst;

impl Scheduler for DeadlineFirst {
    fn name(&self) -> &'static str {
        "deadline-first"
    }

    fn plan(&mut self, view: &MeshView, rng: &mut Rng, plan: &mut Plan) {
        let mut puller = Puller::new(view);
        for need in &view.needs {
            if puller.room() == 0 {
                break;
            }
            puller.spread(need, u32::from(need.wanted), rng, plan);
        }
    }
}
