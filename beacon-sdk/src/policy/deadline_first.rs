//! Pure pull, earliest deadline first: the control arm.

use super::pull::Puller;
use crate::plugin::{MeshView, Plan, Scheduler};
use crate::rng::Rng;

/// Asks for what is due first. Under load everyone chases old segments and new ones do not
/// multiply: continuity collapses (theory.md §2.2 B). It is here to be compared with.
#[derive(Debug, Default)]
pub struct DeadlineFirst;

impl Scheduler for DeadlineFirst {
    fn name(&self) -> &'static str {
        "deadline-first"
    }

    fn plan(&mut self, view: &MeshView, _rng: &mut Rng, plan: &mut Plan) {
        let mut puller = Puller::new(view);
        for need in &view.needs {
            if puller.room() == 0 {
                break;
            }
            puller.open(need, u32::from(need.wanted), plan);
        }
    }
}
