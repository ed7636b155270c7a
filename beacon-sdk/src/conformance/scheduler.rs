//! The suite of [`Scheduler`]: clauses H01–H06, on views from a seeded generator.

use super::PROMPT;
use super::views::{empty, huge, plausible, wild};
use crate::id::SegmentId;
use crate::plugin::{
    Feedback, MeshView, MissingState, Need, PeerKey, Plan, PlanAction, Scheduler, Spare,
};
use crate::rng::Rng;
use core::time::Duration;
use std::collections::BTreeSet;

/// Views that each clause is tried on.
const VIEWS: u64 = 1000;

/// One `#[test]` per clause H01–H06 for the schedulers that the constructor `$make` returns, with
/// or without a box: `scheduler_conformance!(Greedy::default)`.
#[macro_export]
macro_rules! scheduler_conformance {
    ($make:expr) => {
        $crate::__pure_conformance_tests!($make, scheduler,
            h01_deterministic h02_asks_only_holders h03_progress h04_bounded_cost
            h05_no_panic_on_any_view h06_asks_once);
    };
}

fn rng(purpose: u64, number: u64) -> Rng {
    Rng::new([3; 32], purpose << 32 | number)
}

fn plan(scheduler: &mut impl Scheduler, view: &MeshView, number: u64) -> Plan {
    let mut plan = Plan::default();
    scheduler.plan(view, &mut rng(0, number), &mut plan);
    plan
}

/// Tells a scheduler that some of what it wanted came, some did not.
fn feed(scheduler: &mut impl Scheduler, view: &MeshView, plan: &Plan, rng: &mut Rng) {
    for action in plan.actions() {
        let PlanAction::Request { peer, esis, .. } = action else { continue };
        let (peer, symbols) = (*peer, u16::try_from(esis.len()).unwrap_or(u16::MAX));
        let feedback = match rng.below(3) {
            0 => Feedback::Served { peer, symbols },
            1 => Feedback::TimedOut { peer, symbols },
            _ => Feedback::Busy { peer },
        };
        scheduler.feedback(view.now, feedback);
    }
}

fn need(view: &MeshView, segment: SegmentId) -> Option<&Need> {
    view.needs.iter().find(|need| need.id == segment)
}

/// Whether a neighbour has, as far as the view tells, the symbol `esi`.
fn holds(view: &MeshView, need: &Need, peer: PeerKey, esi: u16) -> bool {
    let bit = 1_u32.checked_shl(u32::from(view.stripe(need, esi))).unwrap_or_default();
    let held = need.holders.iter().any(|(key, mask)| *key == peer && mask & bit != 0);
    // A parent that says it has sent a symbol has it.
    held || need.missing.contains(&(esi, MissingState::Lost(peer)))
}

/// Two schedulers that see the same, from the first view on, plan the same.
pub fn h01_deterministic<S: Scheduler>(make: impl Fn() -> S) {
    let (mut one, mut other) = (make(), make());
    for number in 0..VIEWS {
        let view = plausible(&mut rng(1, number));
        let (first, second) = (plan(&mut one, &view, number), plan(&mut other, &view, number));
        assert_eq!(first, second, "H01: two plans for view {number}: {view:#?}");
        feed(&mut one, &view, &first, &mut rng(2, number));
        feed(&mut other, &view, &second, &mut rng(2, number));
    }
}

/// Requests go to neighbours that hold the symbols, subscriptions to those that offer the stripe.
pub fn h02_asks_only_holders<S: Scheduler>(make: impl Fn() -> S) {
    let mut scheduler = make();
    for number in 0..VIEWS {
        let view = plausible(&mut rng(1, number));
        let plan = plan(&mut scheduler, &view, number);
        for action in plan.actions() {
            let kept = match action {
                PlanAction::Request { peer, segment, esis } => need(&view, *segment)
                    .is_some_and(|need| esis.iter().all(|esi| holds(&view, need, *peer, *esi))),
                PlanAction::Subscribe { stripe, peer } => view.peer(*peer).is_some_and(|peer| {
                    peer.offers.checked_shr((*stripe).into()).is_some_and(|offers| offers & 1 == 1)
                }),
                PlanAction::Unsubscribe { .. } => true,
                PlanAction::Push { peer, segment, esis } => esis.iter().all(|esi| {
                    let offered = |spare: &&Spare| spare.peer == *peer && spare.id == *segment;
                    view.spares.iter().filter(offered).any(|spare| spare.esis.contains(esi))
                }),
            };
            assert!(
                kept,
                "H02: {action:?} asks for what is not held, or pushes what nobody lacks, in view {number}: {view:#?}"
            );
        }
        feed(&mut scheduler, &view, &plan, &mut rng(2, number));
    }
}

/// Whether something is open that a neighbour with window holds.
fn can_progress(view: &MeshView) -> bool {
    view.needs.iter().filter(|need| need.wanted > 0).any(|need| {
        need.missing.iter().any(|(esi, state)| {
            let able = |peer: PeerKey| view.peer(peer).is_some_and(|peer| peer.window > 0);
            *state == MissingState::Open
                && need.holders.iter().any(|(key, _)| able(*key) && holds(view, need, *key, *esi))
        })
    })
}

/// A scheduler that can do something does something, or says when it will.
pub fn h03_progress<S: Scheduler>(make: impl Fn() -> S) {
    let mut tried = 0;
    for number in 0..VIEWS {
        let view = plausible(&mut rng(1, number));
        if !can_progress(&view) {
            continue;
        }
        tried += 1;
        let plan = plan(&mut make(), &view, number);
        let asks = plan.actions().iter().any(|action| match action {
            PlanAction::Request { esis, .. } => !esis.is_empty(),
            PlanAction::Subscribe { .. } | PlanAction::Push { .. } => true,
            PlanAction::Unsubscribe { .. } => false,
        });
        let later = plan.wakes_at().is_some_and(|at| at > view.now);
        assert!(asks || later, "H03: nothing is done for view {number}: {view:#?}");
    }
    assert!(tried > VIEWS / 4, "H03: the generator gave only {tried} views with work to do");
}

/// Views that are very long in one direction are planned in a moment. The guard is generous; it
/// is there for what is quadratic.
pub fn h04_bounded_cost<S: Scheduler>(make: impl Fn() -> S) {
    for (peers, needs, missing) in [(16, 100_000, 1), (16, 1, u16::MAX), (65_000, 1, 16)] {
        let view = huge(&mut rng(4, 0), peers, needs, missing);
        let started = crate::timer::Instant::now();
        let plan = plan(&mut make(), &view, 0);
        let took = started.elapsed();
        assert!(
            took < PROMPT,
            "H04: {took:?} for {peers} neighbours, {needs} segments, {missing} symbols each"
        );
        drop(plan);
    }
}

/// Nonsense is planned for without a panic, and learned from too.
pub fn h05_no_panic_on_any_view<S: Scheduler>(make: impl Fn() -> S) {
    let mut scheduler = make();
    let mut random = rng(5, 0);
    for number in 0..2 * VIEWS {
        let view = if number % 100 == 0 { empty() } else { wild(&mut random) };
        let planned = std::panic::catch_unwind(core::panic::AssertUnwindSafe(|| {
            let plan = plan(&mut scheduler, &view, number);
            feed(&mut scheduler, &view, &plan, &mut rng(2, number));
            let peer = PeerKey(u16::MAX);
            scheduler.feedback(view.now, Feedback::Served { peer, symbols: u16::MAX });
            scheduler.feedback(view.now, Feedback::TimedOut { peer, symbols: 0 });
            scheduler.feedback(view.now + Duration::MAX, Feedback::Busy { peer });
        }));
        assert!(planned.is_ok(), "H05: a panic in view {number}: {view:#?}");
    }
}

/// No symbol is asked for twice in one plan, nor pushed twice to one neighbour.
pub fn h06_asks_once<S: Scheduler>(make: impl Fn() -> S) {
    let mut scheduler = make();
    for number in 0..VIEWS {
        let view = plausible(&mut rng(1, number));
        let plan = plan(&mut scheduler, &view, number);
        let mut asked = BTreeSet::new();
        for action in plan.actions() {
            // A symbol is asked of one neighbour; it may be pushed to several.
            let (segment, esis, to) = match action {
                PlanAction::Request { segment, esis, .. } => (segment, esis, None),
                PlanAction::Push { peer, segment, esis } => (segment, esis, Some(*peer)),
                _ => continue,
            };
            for esi in esis {
                let new = asked.insert((*segment, *esi, to));
                assert!(new, "H06: symbol {esi} of {segment} twice in view {number}: {view:#?}");
            }
        }
        feed(&mut scheduler, &view, &plan, &mut rng(2, number));
    }
}
