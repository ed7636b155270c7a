//! The simulated world: engines, the links between them, and what happens to both.
//!
//! A discrete-event simulation. Symbols that one engine sends to another in one go travel as one
//! event (at most [`Grain::burst`](crate::plan::Grain)), which arrives when its last byte does.
//! Time is in nanoseconds here and in microseconds in the engine.
//!
//! What is modelled: access links as queues in both directions, propagation, jitter, bursty
//! loss, retransmission on the control lane, the bound that loss-based congestion control sets,
//! address translation, churn, clock skew, a tracker with the server's rules. What is not: slow
//! start, cross traffic, the time an engine computes.

mod adversary;
mod agenda;
mod camera;
mod crowd;
mod distance;
mod geography;
mod link;
mod peer;
mod sight;
mod split;
mod tracker;
mod viewing;
mod watch;
mod wire;

use crate::draw::{Draw, Purpose, secret};
use crate::plan::{Plan, PlanError};
use crate::report::{Report, Tally, jain, ratio};
use adversary::Hostile;
use agenda::Agenda;
use beacon_codec_raptorq::RaptorQ;
use beacon_sdk::engine::{Commons, Input, Output, Parts};
use beacon_sdk::media::{Media, Playout};
use beacon_sdk::policy::{self, OpenLedger};
use beacon_sdk::{Config, Engine, Identity, Instant};
use bytes::Bytes;
use camera::{Camera, VIDEO};
use crowd::{Crowd, Survivor};
pub use distance::scenario;
use geography::Geography;
use link::Loss;
use peer::{Ids, Peer};
pub use sight::{Feed, Seen, Sight};
use split::Split;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tracker::Tracker;
use viewing::Gauge;
use watch::Watched;

/// What the engines' clocks show when the world begins, µs.
const EPOCH_US: u64 = 1_000_000_000;
/// How often the tracker orders its peers, and how often it tells each anew (`beacon-signal`'s
/// defaults).
const RANK_NS: u64 = 1_000_000_000;
const REFRESH_NS: u64 = 5_000_000_000;
/// From joining to being told of peers: the way to the tracker and back.
const TRACKER_NS: u64 = 100_000_000;
/// A second.
const NS: u64 = 1_000_000_000;

/// Something that happens.
#[derive(Debug)]
enum Happening {
    /// A timer of a peer.
    Wake(u32),
    /// Frames arrive.
    Burst(wire::Burst),
    /// A link is up, for the one side that is named.
    Up { at: u32, epoch: u64, other: u32, dialled: bool },
    /// A dial came to nothing.
    Failed { at: u32, other: u32 },
    /// A link was closed by the other side.
    Down { at: u32, epoch: u64, other: u32 },
    /// A link takes frames again.
    Writable { at: u32, epoch: u64, other: u32 },
    /// A viewer comes; the number is the next free one.
    Join,
    /// The tracker tells a peer of others.
    Told(u32),
    /// A viewer leaves of its own accord.
    Leave(u32),
    /// The tracker finds that a viewer's connection is closed.
    Gone(u32),
    /// An event of the plan, by place.
    Event(usize),
    /// The camera takes its `n`-th picture.
    Picture(u64),
    /// The tracker orders its peers.
    Rank,
    /// The measured time begins.
    Measure,
    /// A hostile peer does what its engine would not.
    Act(u32),
    /// One of this adversary comes back.
    Return(usize),
    /// Who hangs on whom is looked at.
    Watch,
}

/// Bytes that went over links, and what they were to carry.
#[derive(Copy, Clone, Debug, Default)]
struct Traffic {
    control: u64,
    data: u64,
    origin: u64,
    /// Bytes of objects that the camera made, sent or not.
    made: u64,
    /// Symbols that good viewers and the origin sent to hostile ones; false ones that they sent to anybody.
    to_hostile: u64,
    falsehood: u64,
    /// What of `control` hostile viewers sent.
    hostile_control: u64,
}

/// A plan being played out. In which steps makes no difference to what happens.
#[derive(Debug)]
pub struct World {
    plan: Arc<Plan>,
    seed: u64,
    now: u64,
    agenda: Agenda<Happening>,
    peers: Vec<Peer>,
    ids: Ids,
    geography: Geography,
    loss: Loss,
    /// Natural logarithm of the median jitter in ms.
    jitter: f64,
    camera: Camera,
    crowd: Crowd,
    tracker: Tracker,
    code: RaptorQ,
    /// What any engine has verified: the others need not.
    commons: Commons,
    gauge: Gauge,
    tally: Tally,
    traffic: Traffic,
    base: Traffic,
    epochs: u64,
    events: u64,
    hash: u64,
    /// When the first event of the plan took viewers away, and who was playing then.
    blow: Option<(u64, Vec<Survivor>)>,
    gone: Gone,
    split: Split,
    watched: Watched,
    /// Kept between steps for its memory.
    sending: Vec<wire::Sending>,
    /// Empty lists of frames, likewise.
    lists: Vec<Vec<Bytes>>,
}

/// What viewers that left had.
#[derive(Debug, Default)]
struct Gone {
    sum: Sums,
    never_played: u32,
    goodput: Vec<f64>,
}

/// Counters of viewers added up, of the measured time.
#[derive(Copy, Clone, Debug, Default)]
struct Sums {
    useful: u64,
    duplicate: u64,
    invalid: u64,
    reparents: u64,
    recovered: u64,
    requested: u64,
    stalls: u64,
    hops: u8,
    seconds: f64,
}

/// Plays out a plan.
///
/// `progress` is told the simulated second about once a second of it.
///
/// # Errors
/// [`PlanError`] when the plan cannot be run.
pub fn run(
    plan: &Plan,
    seed: u64,
    mut progress: impl FnMut(u32, &str),
) -> Result<Report, PlanError> {
    let meter = crate::meter::Meter::start();
    let mut world = World::new(plan, seed)?;
    let seconds = plan.warmup_s + plan.measure_s;
    for second in 1..=seconds {
        world.run_until(Duration::from_secs(second.into()));
        progress(second, &world.line());
    }
    let mut report = world.finish();
    report.cpu_s = meter.cpu_s();
    report.events_per_cpu_s = (report.events as f64 / report.cpu_s.max(1e-9)) as u64;
    report.bytes_per_peer = meter.memory() / u64::from(report.viewers + 1);
    Ok(report)
}

impl World {
    /// The world of a plan, before anybody has come.
    ///
    /// # Errors
    /// [`PlanError`] when the plan cannot be run.
    pub fn new(plan: &Plan, seed: u64) -> Result<Self, PlanError> {
        plan.check()?;
        let geography = Geography::new(&plan.network.latency, seed)?;
        let identity = Identity::from_secret(secret(seed, 0, Purpose::Engine));
        let config = plan.origin_config();
        let code = RaptorQ::new();
        let parts = parts(plan, &config, &code)?;
        let start = Instant::from_micros(EPOCH_US);
        let signer = identity.clone();
        let mut engine =
            Engine::publish(start, config, secret(seed, 0, Purpose::Engine), identity, 1, parts)?;
        let commons = Commons::new();
        engine.share(&commons);
        let hostile = Hostile::origin(plan, seed, engine.broadcast(), signer);
        let id = engine.broadcast().publisher;
        let mut world = Self {
            seed,
            now: 0,
            agenda: Agenda::new(),
            peers: Vec::new(),
            ids: HashMap::default(),
            loss: Loss::new(plan.network.loss, plan.network.loss_burst),
            jitter: libm::log(plan.network.jitter_ms),
            camera: Camera::new(&plan.stream),
            crowd: Crowd::new(seed),
            tracker: Tracker::new(id, Draw::new(seed, 0, Purpose::Tracker)),
            code,
            commons,
            gauge: Gauge {
                from: u64::from(plan.warmup_s) * 1_000_000,
                limit: u64::try_from(plan.config().playout.as_micros()).unwrap_or(u64::MAX),
                born: Vec::new(),
            },
            tally: Tally::default(),
            traffic: Traffic::default(),
            base: Traffic::default(),
            epochs: 0,
            events: 0,
            hash: 0xcbf2_9ce4_8422_2325,
            blow: None,
            gone: Gone::default(),
            split: Split::default(),
            watched: Watched::default(),
            sending: Vec::new(),
            lists: Vec::new(),
            geography,
            plan: Arc::new(plan.clone()),
        };
        let mut nature = Draw::new(seed, 0, Purpose::Nature);
        let place = world.geography.place(&mut nature);
        world.peers.push(Peer::origin(plan, seed, id, engine, place));
        world.peers[0].hostile = hostile.map(Box::new);
        world.ids.insert(id, 0);
        if !plan.adversary.is_empty() {
            world.agenda.add(NS, Happening::Watch);
        }
        world.agenda.add(u64::from(plan.warmup_s) * NS, Happening::Measure);
        world.agenda.add(RANK_NS, Happening::Rank);
        for (at, event) in plan.event.iter().enumerate() {
            world.agenda.add(event.at_ns(), Happening::Event(at));
        }
        for when in world.crowd.arrivals(plan) {
            world.agenda.add(when, Happening::Join);
        }
        world.give(0, Input::Media(Media::Tracks(world.camera.tracks())));
        world.settle(0);
        world.agenda.add(100_000_000, Happening::Picture(0));
        Ok(world)
    }

    /// Plays on until this time from the start. Nothing happens when that is past.
    pub fn run_until(&mut self, until: Duration) {
        let until = u64::try_from(until.as_nanos()).unwrap_or(u64::MAX).max(self.now);
        while let Some((at, happening)) = self.agenda.next(until) {
            self.now = at;
            self.happen(happening);
        }
        self.now = until;
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Wake(at) => {
                let peer = &mut self.peers[at as usize];
                if peer.wake != self.now {
                    return;
                }
                peer.wake = u64::MAX;
                peer.woken = self.now;
                self.step(at, Input::Timeout);
            }
            Happening::Burst(burst) => self.arrive(burst),
            Happening::Up { at, epoch, other, dialled } => self.up(at, epoch, other, dialled),
            Happening::Failed { at, other } => self.failed(at, other),
            Happening::Down { at, epoch, other } => self.down(at, epoch, other),
            Happening::Writable { at, epoch, other } => self.writable(at, epoch, other),
            Happening::Join => self.join(),
            Happening::Act(at) => self.act(at),
            Happening::Return(which) => self.enter(Some(which)),
            Happening::Watch => self.watch(),
            Happening::Told(at) => self.told(at),
            Happening::Leave(at) => self.leave(at),
            Happening::Gone(at) => self.tell_gone(at),
            Happening::Event(at) => self.event(at),
            Happening::Picture(n) => self.picture(n),
            Happening::Rank => {
                self.tracker.rank();
                self.agenda.add(self.now + RANK_NS, Happening::Rank);
            }
            Happening::Measure => {
                self.base = self.traffic;
                for peer in &mut self.peers {
                    if let Some(engine) = &peer.engine {
                        peer.viewing.base = engine.stats();
                    }
                }
            }
        }
    }

    fn picture(&mut self, n: u64) {
        let captured = Instant::from_micros(EPOCH_US + self.now / 1000);
        for object in self.camera.objects(n, captured) {
            self.traffic.made += object.data.len() as u64;
            self.give(0, Input::Media(Media::Object(object)));
        }
        self.settle(0);
        let next = 100_000_000 + (n + 1) * self.camera.period_us() * 1000;
        self.agenda.add(next, Happening::Picture(n + 1));
    }

    // ---- one engine

    fn step(&mut self, at: u32, input: Input) {
        self.give(at, input);
        self.settle(at);
    }

    fn give(&mut self, at: u32, input: Input) {
        let now = self.now;
        if let Some((engine, clock)) = self.peers[at as usize].awake(now) {
            self.events += 1;
            engine.handle(clock, input);
        }
    }

    /// Takes out all that an engine has for the world, and sets its timer.
    fn settle(&mut self, at: u32) {
        let now = self.now;
        loop {
            let Some((engine, _)) = self.peers[at as usize].awake(now) else { return };
            if let Some(output) = engine.poll_output() {
                self.output(at, output);
                continue;
            }
            let Some(item) = engine.poll_playout() else { break };
            self.play(at, &item);
        }
        self.dispatch(at);
        let timer = u64::from(self.plan.grain.timer_ms) * 1_000_000;
        if let Some(when) = self.peers[at as usize].next_wake(now, timer) {
            self.agenda.add(when, Happening::Wake(at));
        }
    }

    fn play(&mut self, at: u32, item: &Playout) {
        let now = self.now / 1000;
        if let Playout::Segment { id, objects, .. } = item {
            self.mix(u64::from(at) << 32 | u64::from(id.seq));
            if at == 0 && id.track == VIDEO {
                let first = objects.first().map_or(0, |o| o.captured.as_micros() - EPOCH_US);
                self.gauge.born.push((first, now));
            }
        }
        if at > 0 && !self.hostile(at) {
            let viewing = &mut self.peers[at as usize].viewing;
            viewing.take(now, item, &self.camera, &self.gauge, &mut self.tally);
        }
    }

    fn output(&mut self, at: u32, output: Output) {
        match output {
            Output::Send { to, lane, frame } => self.mislead(at, to, lane, frame),
            Output::Dial(to) => self.dial(at, &to),
            Output::Close { peer, .. } => self.close(at, &peer),
            Output::Report(report) => self.tell_tracker(at, report),
            Output::Event(event) => self.note(at, &event),
            _ => {}
        }
    }

    /// Adds to the run's hash: FNV-1a over whole words.
    fn mix(&mut self, word: u64) {
        self.hash = (self.hash ^ word).wrapping_mul(0x100_0000_01b3);
        self.hash ^= self.hash >> 29;
    }

    // ---- the end

    /// How it goes, for those who wait.
    fn line(&self) -> String {
        let here = self.viewers();
        let playing = self.peers.iter().filter(|peer| peer.viewing.next.is_some()).count();
        let share = 100.0 * ratio(self.tally.within[2], self.tally.due);
        format!("{here} viewers, {playing} play, {share:.2} % within 4 s")
    }

    /// Ends it here: what came of the time that was measured, without what it cost the machine.
    #[must_use]
    pub fn finish(mut self) -> Report {
        let living: Vec<u32> = (1..self.peers.len() as u32).collect();
        for at in living {
            self.retire(at);
        }
        let origin = self.peers[0].engine.as_ref().map(|engine| engine.stats()).unwrap_or_default();
        let stream = origin.bytes_published - self.peers[0].viewing.base.bytes_published;
        let length = self.plan.config().segment.as_secs_f64();
        let (sum, traffic) = (self.gone.sum, self.traffic);
        let source = traffic.origin - self.base.origin;
        let control = |traffic: &Traffic| traffic.control - traffic.hostile_control;
        let minutes = sum.seconds / 60.0;
        let bound_ms = distance::bound_ms(&self.plan, &self.geography, self.seed);
        let mut report = Report {
            plan: self.plan.name.clone(),
            scheduler: self.plan.scheduler.clone(),
            seed: self.seed,
            hash: format!("{:016x}", self.hash),
            peers: self.plan.peers,
            viewers: (self.peers.len() - 1) as u32,
            never_played: self.gone.never_played,
            duplicates: ratio(sum.duplicate, sum.useful + sum.duplicate),
            control: ratio(control(&traffic) - control(&self.base), sum.useful),
            source_ratio: ratio(source, stream),
            published: ratio(stream, traffic.made - self.base.made).min(1.0),
            supply_seen: origin.supply_percent as f64 / 100.0,
            offload: 1.0 - ratio(source, sum.useful),
            jain: jain(&self.gone.goodput),
            depth_max: sum.hops,
            symbols_invalid: sum.invalid,
            reparents_per_peer_min: sum.reparents as f64 / minutes.max(1e-9),
            recovered: ratio(sum.recovered, self.tally.due),
            requested: ratio(sum.requested * 1088, sum.useful),
            stalls_per_peer_min: sum.stalls as f64 / minutes.max(1e-9),
            supply: self.plan.supply(),
            bound_ms,
            events: self.events,
            attack: self.attack(),
            ..Report::default()
        };
        report.fill(&self.tally);
        self.recovery(&mut report);
        let beyond = report.delay_ms.p99 as f64 - length * 1000.0;
        report.eta_delay = if bound_ms > 0.0 { beyond / bound_ms } else { 0.0 };
        report
    }
}

/// The policies of every peer: the plan's scheduler and scorer, and the SDK's own for the rest.
fn parts(plan: &Plan, config: &Config, code: &RaptorQ) -> Result<Parts, PlanError> {
    let scheduler = policy::scheduler(&plan.scheduler, config)
        .ok_or_else(|| PlanError::Scheduler(plan.scheduler.clone(), policy::NAMES.join(", ")))?;
    let scorer = policy::scorer(&plan.scorer)
        .ok_or_else(|| PlanError::Scorer(plan.scorer.clone(), policy::SCORERS.join(", ")))?;
    Ok(Parts {
        scheduler,
        scorer,
        ledger: Box::new(OpenLedger::default()),
        code: Box::new(code.clone()),
    })
}
