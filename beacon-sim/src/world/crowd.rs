//! Viewers coming, leaving and vanishing.

use super::adversary::{Hostile, marked};
use super::link::Loss;
use super::peer::{Peer, tag};
use super::split::Split;
use super::{Happening, NS, REFRESH_NS, Sums, TRACKER_NS, World, parts};
use crate::draw::{Draw, Purpose, secret};
use crate::plan::{Kind, Plan, Stay, What};
use crate::report::{Counts, Report, Spread};
use beacon_sdk::engine::Input;
use beacon_sdk::{Engine, Identity, Instant};
use std::sync::Arc;

/// Those there for less are not judged by their goodput, nor for not having played.
const JUDGED_US: u64 = 10_000_000;
/// Trouble that lasts longer is not told apart.
const RECOVERY_MAX_US: u64 = 30_000_000;

/// The plan's viewers, as a population.
#[derive(Debug)]
pub(super) struct Crowd {
    draw: Draw,
    /// Access classes in turn, so that the mix is the plan's whatever the number.
    classes: Vec<usize>,
}

impl Crowd {
    pub(super) fn new(seed: u64) -> Self {
        Self { draw: Draw::new(seed, 0, Purpose::Churn), classes: Vec::new() }
    }

    /// When the first viewers come.
    pub(super) fn arrivals(&mut self, plan: &Plan) -> Vec<u64> {
        let spread = (plan.churn.arrive_s * 1e9) as u64;
        let step = spread / u64::from(plan.peers);
        (0..u64::from(plan.peers)).map(|at| NS / 2 + at * step).collect()
    }

    /// The access class of the next viewer: every round of as many viewers as there are shares
    /// has each class as often as its share says, in random order.
    fn class(&mut self, plan: &Plan) -> usize {
        if self.classes.is_empty() {
            let common = plan.access.iter().map(|c| c.share).fold(0, gcd).max(1);
            for (class, access) in plan.access.iter().enumerate() {
                self.classes.extend(vec![class; (access.share / common) as usize]);
            }
            self.draw.rng().shuffle(&mut self.classes);
        }
        self.classes.pop().unwrap_or(0)
    }

    fn stay(&mut self, stay: &Stay) -> Option<f64> {
        let draw = &mut self.draw;
        Some(match *stay {
            Stay::Forever => return None,
            Stay::Exponential { mean } => draw.exponential(mean),
            Stay::Lognormal { mu, sigma } => draw.lognormal(mu, sigma),
            Stay::Weibull { shape, scale } => draw.weibull(shape, scale),
            Stay::ViewerMix if draw.chance(0.3) => draw.lognormal(libm::log(40.0), 1.0),
            Stay::ViewerMix => draw.weibull(0.6, 1500.0),
        })
    }
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

impl World {
    pub(super) fn join(&mut self) {
        let which = marked(&self.plan, self.seed, self.peers.len() as u32);
        self.enter(which);
    }

    /// A viewer comes; `which` is its adversary, if it is hostile.
    pub(super) fn enter(&mut self, which: Option<usize>) {
        let (plan, at, now) = (Arc::clone(&self.plan), self.peers.len() as u32, self.now);
        let mut nature = Draw::new(self.seed, at, Purpose::Nature);
        let place = self.geography.place(&mut nature);
        let most = plan.network.skew_ms;
        let skew = (i64::from(nature.below(2 * most + 1)) - i64::from(most)) * 1000;
        let class = self.crowd.class(&plan);
        let mut access = plan.access[class].clone();
        let hostile = which.map(|which| Hostile::new(&plan, which, self.seed, at));
        if let Some(hostile) = &hostile {
            access.up = hostile.what.up.unwrap_or(access.up);
        }
        let mut config = plan.viewer_config(&access);
        if hostile.as_ref().is_some_and(|hostile| hostile.what.kind == Kind::FreeRider) {
            config.upload_bps = Some(0);
        }
        let seed = secret(self.seed, at, Purpose::Engine);
        let identity = Identity::from_secret(seed);
        let id = identity.public();
        let Some(origin) = &self.peers[0].engine else { return };
        // The plan has been checked: neither can fail.
        let Ok(parts) = parts(&plan, &config, &self.code) else { return };
        let clock: Instant = Peer::clock(skew, now);
        let engine = Engine::watch(clock, config, seed, identity, origin.broadcast(), parts);
        let Ok(mut engine) = engine else { return };
        engine.share(&self.commons);
        let mut peer = Peer::viewer(&access, self.seed, at, now, class, (id, engine), place, skew);
        if hostile.is_some() {
            self.agenda.add(now + NS, Happening::Act(at));
        }
        peer.hostile = hostile.map(Box::new);
        self.peers.push(peer);
        self.ids.insert(id, at);
        self.tracker.enter(id);
        self.agenda.add(now + TRACKER_NS, Happening::Told(at));
        if let Some(stay) = self.crowd.stay(&plan.churn.stay) {
            self.agenda.add(now + (stay * 1e9) as u64, Happening::Leave(at));
        }
        self.settle(at);
    }

    pub(super) fn told(&mut self, at: u32) {
        let peer = &self.peers[at as usize];
        if peer.engine.is_none() {
            return;
        }
        let hints = self.tracker.hints(&peer.id);
        self.step(at, Input::Discovered(hints));
        self.agenda.add(self.now + REFRESH_NS, Happening::Told(at));
    }

    /// A viewer leaves of its own accord.
    pub(super) fn leave(&mut self, at: u32) {
        if self.peers[at as usize].engine.is_none() {
            return;
        }
        let percent = self.plan.churn.goodbye;
        if self.crowd.draw.below(100) < percent
            && let Some((engine, clock)) = self.peers[at as usize].awake(self.now)
        {
            engine.leave(clock);
            self.settle(at);
        }
        self.end(at);
        if self.plan.churn.replace {
            self.agenda.add(self.now + 1, Happening::Join);
        }
    }

    /// A viewer's program ends, and with it its connection to the tracker.
    fn end(&mut self, at: u32) {
        self.retire(at);
        self.agenda.add(self.now + TRACKER_NS, Happening::Gone(at));
    }

    /// The rules of the tracker: in a small room everybody is told of who leaves.
    pub(super) fn tell_gone(&mut self, at: u32) {
        let id = self.peers[at as usize].id;
        for told in self.tracker.audience() {
            if let Some(told) = self.ids.get(&told) {
                self.step(*told, Input::Gone(id));
            }
        }
    }

    /// A viewer is no more: its record is closed, its engine dropped.
    pub(super) fn retire(&mut self, at: u32) {
        let (now, from) = (self.now / 1000, self.gauge.from);
        let patience = u64::try_from(self.plan.config().playout.as_micros()).unwrap_or(u64::MAX);
        let peer = &mut self.peers[at as usize];
        let Some(engine) = peer.engine.take() else { return };
        if peer.hostile.is_some() && at > 0 {
            let id = peer.id;
            peer.forget_links();
            return self.tracker.leave(&id);
        }
        let (stats, viewing) = (engine.stats(), &mut peer.viewing);
        viewing.close(now, patience, &self.gauge, &mut self.tally);
        let base = core::mem::take(&mut viewing.base);
        let present = now - viewing.joined.max(from).min(now);
        let since = |now: u64, then: u64| now.saturating_sub(then);
        let useful = since(
            stats.bytes_from_origin + stats.bytes_from_peers,
            base.bytes_from_origin + base.bytes_from_peers,
        );
        let sum: &mut Sums = &mut self.gone.sum;
        sum.useful += useful;
        sum.duplicate += since(stats.bytes_duplicate, base.bytes_duplicate);
        sum.invalid += stats.symbols_invalid;
        sum.reparents += since(stats.reparents, base.reparents);
        sum.recovered += since(stats.segments_recovered, base.segments_recovered);
        sum.requested += since(stats.symbols_requested, base.symbols_requested);
        sum.stalls += since(stats.stalls, base.stalls);
        sum.hops = sum.hops.max(stats.hops_max);
        sum.seconds += present as f64 / 1e6;
        if present >= JUDGED_US {
            self.gone.goodput.push(useful as f64 / present as f64);
            self.gone.never_played += u32::from(viewing.started.is_none());
        }
        if let Some((_, survivors)) = &mut self.blow
            && let Ok(place) = survivors.binary_search_by_key(&at, |survivor| survivor.at)
        {
            survivors[place].stalled = stats.stalls > survivors[place].stalls;
        }
        let id = peer.id;
        peer.forget_links();
        self.tracker.leave(&id);
    }

    // ---- what the plan has happen

    pub(super) fn event(&mut self, at: usize) {
        let here = |world: &Self| -> Vec<u32> {
            (1..world.peers.len() as u32)
                .filter(|at| world.peers[*at as usize].engine.is_some())
                .collect()
        };
        match &self.plan.event[at].what.clone() {
            What::Kill(percent) => {
                let mut victims = here(self);
                self.crowd.draw.rng().shuffle(&mut victims);
                victims.truncate(victims.len() * *percent as usize / 100);
                self.strike(&victims, Self::end);
            }
            What::KillRegion(region) => {
                let mut victims = here(self);
                victims.retain(|at| self.peers[*at as usize].place.region == *region);
                self.strike(&victims, Self::retire);
            }
            What::KillNext(percent) => {
                let mut victims = here(self);
                victims.retain(|at| {
                    let next = tag(&self.peers[*at as usize].id);
                    self.peers[0].link(next).is_some_and(|end| end.up)
                });
                self.crowd.draw.rng().shuffle(&mut victims);
                victims.truncate(victims.len() * *percent as usize / 100);
                self.strike(&victims, Self::end);
            }
            What::Crowd { peers, tau_s } => {
                for _ in 0..*peers {
                    let after = self.crowd.draw.exponential(*tau_s);
                    self.agenda.add(self.now + (after * 1e9) as u64, Happening::Join);
                }
            }
            What::Leave { percent, over_s } => {
                let mut leaving = here(self);
                self.crowd.draw.rng().shuffle(&mut leaving);
                leaving.truncate(leaving.len() * *percent as usize / 100);
                for at in leaving {
                    let after = self.crowd.draw.unit() * over_s;
                    self.agenda.add(self.now + (after * 1e9) as u64, Happening::Leave(at));
                }
            }
            What::Partition { percent, for_s } => {
                self.split = Split::new(self.seed, at, *percent, self.now, *for_s);
            }
            What::Loss(percent) => {
                let network = &mut Arc::make_mut(&mut self.plan).network;
                network.loss = *percent;
                self.loss = Loss::new(network.loss, network.loss_burst);
                self.peers.iter_mut().for_each(|peer| peer.limit_links(network));
            }
        }
    }

    /// These vanish; the others are watched from now on.
    fn strike(&mut self, victims: &[u32], how: fn(&mut Self, u32)) {
        for &at in victims {
            how(self, at);
        }
        if self.blow.is_some() {
            return;
        }
        let survivors = (1..self.peers.len() as u32).filter_map(|at| {
            let peer = &self.peers[at as usize];
            let stats = peer.engine.as_ref()?.stats();
            peer.viewing.next?;
            Some(Survivor { at, stalls: stats.stalls, stalled: false })
        });
        self.blow = Some((self.now / 1000, survivors.collect()));
    }

    /// How survivors fared.
    pub(super) fn recovery(&self, report: &mut Report) {
        let Some((when, survivors)) = &self.blow else { return };
        let mut counts = Counts::default();
        for survivor in survivors {
            let trouble = self.peers[survivor.at as usize].viewing.trouble;
            let lasted = trouble.saturating_sub(*when).min(RECOVERY_MAX_US);
            counts.record(lasted / 1000);
            report.stalled_survivors += u32::from(survivor.stalled);
        }
        report.recovery_ms = Spread::from(&counts);
    }
}

/// A viewer that played when others were taken away.
#[derive(Copy, Clone, Debug)]
pub(super) struct Survivor {
    at: u32,
    stalls: u64,
    stalled: bool,
}
