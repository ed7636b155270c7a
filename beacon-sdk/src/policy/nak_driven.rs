//! Subscribed stripes, and asking again for what was lost on the way.

use super::patience::Patience;
use super::pull::{Ask, Puller, bit};
use super::stripes::{Climb, subscribe};
use crate::config::Config;
use crate::id::SegmentId;
use crate::plugin::{MeshView, MissingState, Need, PeerKey, Plan, PlanAction, Scheduler};
use crate::rng::Rng;
use crate::time::Instant;
use core::time::Duration;
use std::collections::BTreeMap;

/// How often a parent is asked for one symbol before another holder is (theory.md §2.2 G).
const TRIES: u8 = 2;
/// Share of a stripe, in percent, that may be lost before the parent is replaced instead of being
/// asked for all of it (theory.md §2.2 G), and symbols that must be missing for that.
const STORM_PERCENT: u32 = 30;
const STORM_MIN: u32 = 16;
/// A parent is not replaced for losses in its first second.
const SETTLE: Duration = Duration::from_secs(1);
/// How often what is missing is looked at.
const LOOK_PAUSE: Duration = Duration::from_millis(20);
/// Symbols whose tries are counted at most; further ones are asked of parents only.
const COUNTED_MAX: usize = 4096;

/// Subscribes stripes, and asks a stripe's parent again for symbols that it says it has sent;
/// after two tries another holder. Pulls little else: what a parent never had is waited for, and
/// asked of anyone once half of its time has gone (theory.md §2.2 G).
///
/// Wins at low loss and short round trips: control bytes are spent on losses only. Pitfall: a
/// parent that fails makes everything lost at once; such a storm is not asked for, the parent is
/// replaced.
#[derive(Debug)]
pub struct NakDriven {
    patience: Patience,
    climb: Climb,
    repair: bool,
    /// Who feeds each stripe, and since when.
    parents: Vec<(Option<PeerKey>, Instant)>,
    /// How often a symbol was asked for, and until when that matters.
    tries: BTreeMap<(SegmentId, u16), (u8, Instant)>,
}

impl NakDriven {
    /// With the thresholds that go with a configuration.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self {
            patience: Patience::new(config),
            climb: Climb::new(config),
            repair: config.push_repair,
            parents: Vec::new(),
            tries: BTreeMap::new(),
        }
    }

    /// Stripes whose parent has lost too much of what it should have pushed.
    fn storms(&mut self, view: &MeshView) -> Vec<bool> {
        let count = usize::from(view.stripe_count) + 1;
        self.parents.resize(count, (None, Instant::ZERO));
        for stripe in &view.stripes {
            match self.parents.get_mut(usize::from(stripe.stripe)) {
                Some(known) if known.0 != stripe.parent => *known = (stripe.parent, view.now),
                _ => {}
            }
        }
        let (mut lost, mut pushed) = (vec![0_u32; count], vec![0_u32; count]);
        for need in &view.needs {
            let share = u32::from(need.source) / u32::from(view.stripe_count.max(1)) + 1;
            for (stripe, (_, since)) in self.parents.iter().enumerate() {
                pushed[stripe] += if need.since >= *since { share } else { 0 };
            }
            for (esi, state) in &need.missing {
                let stripe = usize::from(view.stripe(need, *esi));
                let fresh = need.since >= self.parents[stripe].1;
                lost[stripe] += u32::from(fresh && matches!(state, MissingState::Lost(_)));
            }
        }
        let settled = |stripe: usize| self.parents[stripe].1 + SETTLE <= view.now;
        let too_many = |stripe: usize| {
            lost[stripe] >= STORM_MIN && lost[stripe] * 100 > pushed[stripe] * STORM_PERCENT
        };
        (0..count).map(|stripe| settled(stripe) && too_many(stripe)).collect()
    }

    /// Asks for what was lost of one segment, as far as it can still come in time.
    fn nak(
        &self,
        view: &MeshView,
        need: &Need,
        storms: &[bool],
        puller: &mut Puller<'_>,
        plan: &mut Plan,
    ) {
        // What is still to come will do: some of it are repair symbols.
        if need.wanted == 0 {
            return;
        }
        let (slack, waited) = (need.deadline.since(view.now), view.now.since(need.since));
        let ask = |esi: u16, state: &MissingState| {
            let MissingState::Lost(parent) = *state else {
                return (slack < waited).then_some(Ask::Anyone);
            };
            if storms.get(usize::from(view.stripe(need, esi))).is_some_and(|storm| *storm) {
                return None;
            }
            let tried = self.tries.get(&(need.id, esi)).map_or(0, |(tries, _)| *tries);
            let in_time = view.peer(parent).is_some_and(|peer| peer.rtt < slack);
            match tried {
                TRIES.. => Some(Ask::NotOf(parent)),
                _ => in_time.then_some(Ask::Only(parent)),
            }
        };
        puller.pull(need, u32::from(need.wanted), ask, plan);
    }

    fn count(&mut self, deadline: Instant, actions: &[PlanAction]) {
        for action in actions {
            let PlanAction::Request { segment, esis, .. } = action else { continue };
            for esi in esis {
                if self.tries.len() < COUNTED_MAX {
                    let tries = self.tries.entry((*segment, *esi)).or_insert((0, deadline));
                    tries.0 = tries.0.saturating_add(1);
                }
            }
        }
    }
}

impl Scheduler for NakDriven {
    fn name(&self) -> &'static str {
        "nak-driven"
    }

    fn plan(&mut self, view: &MeshView, rng: &mut Rng, plan: &mut Plan) {
        let now = view.now;
        self.tries.retain(|_, (_, until)| *until > now);
        let storms = self.storms(view);
        let stormy = |stripe: u8| storms.get(usize::from(stripe)).is_some_and(|storm| *storm);
        let (repair, lost) = (self.repair, self.patience.lost(view));
        subscribe(
            view,
            rng,
            plan,
            |s| {
                let lost = lost & bit(s.stripe) != 0 || stormy(s.stripe);
                (repair || !s.repair) && lost
            },
            |_, _| 0,
        );
        self.climb.plan(view, rng, plan);
        let mut puller = Puller::new(view);
        for need in view.needs.iter().filter(|need| !need.missing.is_empty()) {
            let before = plan.actions().len();
            self.nak(view, need, &storms, &mut puller, plan);
            self.count(need.deadline, &plan.actions()[before..]);
            plan.replan_at(now + LOOK_PAUSE);
        }
    }
}
