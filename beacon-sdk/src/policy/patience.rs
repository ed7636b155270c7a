//! How long a parent may bring nothing: shared by every scheduler that subscribes.

use super::pull::bit;
use crate::config::Config;
use crate::plugin::{MeshView, PeerKey, StripeView};
use crate::time::Instant;
use core::time::Duration;

/// Doublings of the patience at most.
const DOUBLINGS_MAX: u8 = 3;
/// A stripe that has kept its parent for so long is half as restless. (Guess.)
const CALM: Duration = Duration::from_secs(5);

/// Which stripes need another parent: those without one, and those whose parent lags.
///
/// A change of parents is not free: what the new one sends twice, and what it finds too little room
/// for, makes others lag, who move in turn. Where a network loses a tenth of all frames such a mesh
/// moved for ever and delivered next to nothing. So one loses patience later with each parent that
/// it has left for lagging; what is late is asked of others meanwhile.
/// (`docs/laboratory.md`, "Why some meshes fell over".)
#[derive(Debug)]
pub(super) struct Patience {
    /// With a stripe that has not been moved.
    least: Duration,
    stripes: Vec<Restless>,
}

#[derive(Debug, Clone, Copy)]
struct Restless {
    moves: u8,
    /// Since when it has been no more restless than that.
    since: Instant,
    /// The parent that was given up last for lagging.
    left: Option<PeerKey>,
}

impl Patience {
    /// With the thresholds that go with a configuration.
    pub(super) fn new(config: &Config) -> Self {
        // A few symbols of each segment travel with a stripe, in one burst: chance takes all of one
        // segment often enough, and of two in a row hardly ever.
        let silence = config.segment * 3 + config.overdue;
        Self { least: silence.max(config.overdue * 3), stripes: Vec::new() }
    }

    /// The stripes that need another parent: bit i is stripe i.
    pub(super) fn lost(&mut self, view: &MeshView) -> u32 {
        let new = Restless { moves: 0, since: view.now, left: None };
        self.stripes.resize(view.stripes.len(), new);
        let all = view.stripes.iter().zip(&mut self.stripes);
        all.filter_map(|(stripe, restless)| {
            let lost = restless.lost(stripe, self.least, view.now);
            lost.then_some(bit(stripe.stripe))
        })
        .fold(0, |mask, bit| mask | bit)
    }
}

impl Restless {
    fn lost(&mut self, stripe: &StripeView, least: Duration, now: Instant) -> bool {
        if stripe.parent.is_none() {
            return true;
        }
        if self.since + CALM <= now {
            (self.moves, self.since, self.left) = (self.moves / 2, now, None);
        }
        // The one that is given up is not forgiven by the patience that its leaving brings.
        let given_up = self.left == stripe.parent;
        let patience = least * (1 << (self.moves - u8::from(given_up)).min(DOUBLINGS_MAX));
        let lost = stripe.lag > patience;
        if lost && !given_up {
            (self.moves, self.since, self.left) =
                ((self.moves + 1).min(DOUBLINGS_MAX), now, stripe.parent);
        }
        lost
    }
}
