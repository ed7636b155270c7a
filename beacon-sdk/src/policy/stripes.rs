//! Choosing parents for stripes: shared by every scheduler that subscribes.

use super::pull::{bit, micros};
use crate::config::Config;
use crate::plugin::{MeshView, PeerKey, PeerView, Plan, StripeView};
use crate::rng::Rng;
use crate::time::Instant;
use core::time::Duration;

/// Moves towards the origin, and away from slow parents, one stripe at a time.
#[derive(Debug)]
pub(super) struct Climb {
    /// As in [`Config`].
    pause: Duration,
    settle: Duration,
    slow: Duration,
    /// Not before.
    at: Instant,
    /// Who feeds each stripe, and since when.
    parents: Vec<(Option<PeerKey>, Instant)>,
}

impl Climb {
    /// With the thresholds of a configuration.
    pub(super) fn new(config: &Config) -> Self {
        let Config { move_pause: pause, settle, slow, .. } = *config;
        Self { pause, settle, slow, at: Instant::ZERO, parents: Vec::new() }
    }

    /// Moves the stripe that gains most, if one does. All that hang on this peer gain with it.
    pub(super) fn plan(&mut self, view: &MeshView, rng: &mut Rng, plan: &mut Plan) {
        if view.now < self.at {
            return;
        }
        let mut usual: Vec<Duration> = view.stripes.iter().map(|s| s.usual).collect();
        usual.sort_unstable();
        let Some(median) = usual.get(usual.len() / 2) else { return };
        let slow = *median * 3 / 2 + self.slow;
        self.parents.resize(view.stripes.len(), (None, view.now));
        for (known, stripe) in self.parents.iter_mut().zip(&view.stripes) {
            if known.0 != stripe.parent {
                *known = (stripe.parent, view.now);
            }
        }
        let settled = |since: Instant| since + self.settle <= view.now;
        let best = view.stripes.iter().zip(&self.parents).filter_map(|(stripe, (_, since))| {
            let slow = if settled(*since) { slow } else { Duration::MAX };
            better(view, stripe, slow)
        });
        if let Some((_, stripe, peer)) = best.max_by_key(|(gain, ..)| *gain) {
            plan.subscribe(stripe, peer);
            self.at = view.now + self.pause / 2 + self.pause * rng.below(1000) / 1000;
        }
    }
}

/// The best other parent for a stripe, and what it gains: hops saved, weighing 50 ms each, and
/// the time by which the present parent is slower than `slow`.
fn better(view: &MeshView, stripe: &StripeView, slow: Duration) -> Option<(u64, u8, PeerKey)> {
    let parent = view.peer(stripe.parent.filter(|_| !stripe.pending)?)?;
    let at = usize::from(stripe.stripe);
    let depth = *parent.depth.get(at)?;
    let fed = |p: &PeerView| view.stripes.iter().filter(|s| s.parent == Some(p.key)).count() as u64;
    let best = view
        .peers
        .iter()
        .filter(|p| p.offers & bit(stripe.stripe) != 0 && p.key != parent.key)
        .min_by_key(|p| (cost(p, stripe.stripe, fed(p)), p.key))?;
    let gain = u64::from(depth.saturating_sub(*best.depth.get(at)?));
    // One hop is worth a change to those who have others hang on them.
    let gain = if gain > 1 || stripe.weight > 1 { gain } else { 0 };
    let late = micros(stripe.usual.saturating_sub(slow)) / 1000;
    (gain + late > 0).then_some((gain * 50 + late, stripe.stripe, best.key))
}

/// Subscribes each of the stripes that `wanted` names to the neighbour through which it comes
/// soonest. `extra` is what a neighbour costs beside that, in microseconds.
pub(super) fn subscribe(
    view: &MeshView,
    rng: &mut Rng,
    plan: &mut Plan,
    wanted: impl Fn(&StripeView) -> bool,
    extra: impl Fn(&PeerView, u8) -> u64,
) {
    let mut stripes: Vec<&StripeView> =
        view.stripes.iter().filter(|stripe| !stripe.pending && wanted(stripe)).collect();
    if stripes.is_empty() {
        return;
    }
    // How many stripes each neighbour would feed: spread over many, so that no single loss
    // costs more than a share.
    let mut fed: Vec<u64> = view
        .peers
        .iter()
        .map(|p| view.stripes.iter().filter(|s| s.parent == Some(p.key)).count() as u64)
        .collect();
    rng.shuffle(&mut stripes);
    for stripe in stripes {
        let offered = |p: &PeerView| p.offers & bit(stripe.stripe) != 0;
        let best = (0..view.peers.len())
            .filter(|&at| offered(&view.peers[at]) && stripe.parent != Some(view.peers[at].key))
            .min_by_key(|&at| {
                let peer = &view.peers[at];
                let cost = cost(peer, stripe.stripe, fed[at]);
                (cost.saturating_add(extra(peer, stripe.stripe)), rng.bits())
            });
        if let Some(at) = best {
            fed[at] += 1;
            plan.subscribe(stripe.stripe, view.peers[at].key);
        }
    }
}

/// What it costs to have a neighbour as a stripe's parent, in microseconds: its distance from
/// the origin, the way to it and its queue, and how much hangs on it already (theory.md §3, parent
/// cost).
fn cost(peer: &PeerView, stripe: u8, fed: u64) -> u64 {
    let depth = peer.depth.get(usize::from(stripe)).copied().unwrap_or(u8::MAX);
    let score = u64::from(100 - peer.score.get());
    let way = micros(peer.rtt) / 2;
    u64::from(depth) * 30_000 + way + micros(peer.queue) + fed * (20_000 + way) + score * 500
}
