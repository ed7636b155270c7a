//! Any symbols will do: "need k more", by residue classes.

use super::pull::{Puller, Symbol};
use super::rarest_first::rarest;
use crate::config::Config;
use crate::plugin::{Feedback, MeshView, Need, PeerKey, Plan, Scheduler, stripe_of};
use crate::rng::Rng;
use crate::time::Instant;
use core::time::Duration;

/// Symbols asked for beyond what is needed, of one segment: RaptorQ fails with K + 2 symbols in
/// one of 2^24 cases (theory.md §1.1), and one of them may come late.
const OVERSHOOT: u32 = 2;
/// What each class that a neighbour has already adds to its cost, in microseconds: classes are
/// spread like stripes.
const CLASS_COST_US: u64 = 20_000;
/// What it costs to get a class that one has just failed at: more than any other neighbour.
const FAILED_COST_US: u64 = 10_000_000;

/// Gives every residue class, ESI mod m over source and repair symbols alike, to one neighbour,
/// and asks it for symbols of its class until the segment has as many as it needs of any kind. A
/// class whose neighbour is late, busy or gone is given to another (theory.md §2.2 I).
///
/// Wins where many neighbours hold different parts and nobody all: which symbols come does not
/// matter, so nothing waits for one that is late. Pitfall: without classes the same symbols come
/// from everywhere (§0.6); and where no repair symbols are committed it is plain pulling.
#[derive(Debug)]
pub struct Fountain {
    /// How long a segment waits for a class's own neighbour to have it.
    grace: Duration,
    classes: Vec<Class>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Class {
    /// Who is asked for it.
    peer: Option<PeerKey>,
    /// Who has just failed at it.
    failed: Option<PeerKey>,
}

impl Fountain {
    /// With the thresholds that go with a configuration.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self { grace: config.overdue / 4, classes: Vec::new() }
    }

    fn failed(&mut self, peer: PeerKey) {
        for class in self.classes.iter_mut().filter(|class| class.peer == Some(peer)) {
            *class = Class { peer: None, failed: Some(peer) };
        }
    }
}

/// The residue class of a symbol.
fn class_of(need: &Need, esi: u16, count: u8) -> u8 {
    stripe_of(need.id.seq, esi, u16::MAX, count)
}

impl Scheduler for Fountain {
    fn name(&self) -> &'static str {
        "fountain"
    }

    fn plan(&mut self, view: &MeshView, rng: &mut Rng, plan: &mut Plan) {
        let count = view.stripe_count.max(1);
        self.classes.resize(usize::from(count), Class::default());
        let classes = &mut self.classes;
        let mut puller = Puller::new(view);
        // Classes per neighbour, in the order of the view.
        let mut shares = vec![0_u64; view.peers.len()];
        for class in classes.iter_mut() {
            let at = class.peer.and_then(|peer| puller.index(peer));
            at.map_or_else(|| class.peer = None, |at| shares[at] += 1);
        }
        for at in rarest(view, rng) {
            let need = &view.needs[at];
            if puller.room() == 0 {
                break;
            }
            if need.wanted == 0 {
                continue;
            }
            let more = if need.missing.len() > usize::from(need.wanted) { OVERSHOOT } else { 0 };
            let limit = u32::from(need.wanted) + more;
            let late = need.since + self.grace <= view.now;
            let of = |symbol: Symbol| class_of(need, symbol.esi, count);
            puller.spread_to(need, limit, rng, plan, of, |puller, holders, symbol, _| {
                let class = &mut classes[usize::from(of(symbol))];
                let own = class.peer.and_then(|peer| puller.index(peer));
                let holder = holders.iter().find(|(at, _)| Some(*at) == own);
                if holder.is_some_and(|holder| puller.able(*holder, symbol.stripe)) {
                    return own;
                }
                if own.is_some() && !late {
                    return None;
                }
                let failed = class.failed.and_then(|peer| puller.index(peer));
                let best = puller.best(holders, symbol.stripe, |at| {
                    let again = if Some(at) == failed { FAILED_COST_US } else { 0 };
                    shares[at] * CLASS_COST_US + again
                })?;
                if let Some(own) = own {
                    shares[own] -= 1;
                }
                shares[best] += 1;
                *class = Class { peer: Some(view.peers[best].key), failed: class.failed };
                Some(best)
            });
            if !late {
                plan.replan_at(need.since + self.grace);
            }
        }
    }

    fn feedback(&mut self, _now: Instant, feedback: Feedback) {
        match feedback {
            Feedback::TimedOut { peer, .. } | Feedback::Busy { peer } => self.failed(peer),
            Feedback::Served { .. } => {}
        }
    }
}
