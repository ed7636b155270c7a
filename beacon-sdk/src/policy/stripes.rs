//! Choosing parents for stripes: shared by every scheduler that subscribes.

use super::pull::{bit, micros};
use crate::plugin::{MeshView, PeerView, Plan, StripeView};
use crate::rng::Rng;

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
/// the origin, the way to it, and how much hangs on it already (theory.md §3, parent cost).
pub(super) fn cost(peer: &PeerView, stripe: u8, fed: u64) -> u64 {
    let depth = peer.depth.get(usize::from(stripe)).copied().unwrap_or(u8::MAX);
    let score = u64::from(100 - peer.score.get());
    let way = micros(peer.rtt) / 2;
    u64::from(depth) * 30_000 + way + fed * (20_000 + way) + score * 500
}
