//! Engines joined by a simulated network: integer time, total event order, one seed.

#[path = "../common/mod.rs"]
mod common;

use beacon_sdk::engine::{Input, Output, Parts};
use beacon_sdk::media::{Kind, Media, Object, Playout, Track};
use beacon_sdk::plugin::{
    CloseReason, Lane, Link, Observation, PeerHint, Role, Scheduler, Score, Scorer,
};
use beacon_sdk::{Config, Engine, Event, Identity, Instant, PeerId, Rng, SegmentId, TrackId};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

pub fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[derive(Debug)]
pub struct FlatScorer;
impl Scorer for FlatScorer {
    fn observe(&mut self, _: Instant, _: PeerId, _: Observation) {}
    fn score(&self, _: Instant, _: PeerId) -> Score {
        Score::new(50)
    }
    fn role(&self, _: Instant, _: PeerId) -> Role {
        Role::Relay
    }
    fn forget(&mut self, _: PeerId) {}
}

pub fn parts(config: &Config) -> Parts {
    Parts { scorer: Box::new(FlatScorer), ..common::parts(config) }
}

/// What happens next in the network.
#[derive(Debug)]
enum Happening {
    Input(usize, Input),
    Wake(usize),
    /// The source yields its `n`-th frame.
    Frame(u64),
    End,
}

pub struct Node {
    pub engine: Engine,
    pub alive: bool,
    pub played: Vec<Playout>,
    pub events: Vec<Event>,
    wake: Instant,
}

pub struct Net {
    pub now: Instant,
    pub nodes: Vec<Node>,
    pub ids: Vec<PeerId>,
    configs: Vec<Config>,
    queue: BTreeMap<(Instant, u64), Happening>,
    serial: u64,
    links: BTreeSet<(usize, usize)>,
    rng: Rng,
    pub latency: Duration,
    /// Data frames lost, in thousandths.
    pub loss: u32,
    /// May these two connect?
    pub reach: fn(usize, usize) -> bool,
    /// Tampering with what a node sends.
    pub tamper: Option<fn(usize, Lane, Bytes) -> Bytes>,
    pub log: String,
    pub frames: u64,
    pub sent: u64,
    /// Control frames sent, and their bytes, by type.
    pub control: BTreeMap<u8, (u64, u64)>,
    /// Bytes of a frame of the picture.
    pub frame_bytes: usize,
    small: bool,
}

pub const FPS: u64 = 25;
pub const GROUP: u64 = 25;

/// FNV-1a, 64 bits: names a frame in the log.
fn fnv(bytes: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, step)
}

pub fn identity(at: usize) -> Identity {
    let mut secret = [7; 32];
    secret[..8].copy_from_slice(&(at as u64).to_le_bytes());
    Identity::from_secret(secret)
}

fn tracks(small: bool) -> Vec<Track> {
    let mut tracks = vec![
        common::track(0, Kind::Video { width: 640, height: 360 }, "avc1.42C01F", 90_000),
        common::track(1, Kind::Audio { rate: 48_000, channels: 2 }, "opus", 48_000),
    ];
    if small {
        tracks.push(common::track(
            2,
            Kind::Video { width: 320, height: 180 },
            "avc1.42C00D",
            90_000,
        ));
    }
    tracks
}

impl Net {
    /// One origin (node 0) and `viewers` viewers that know each other from the start.
    pub fn new(seed: u64, viewers: usize, config: &Config, origin: &Config) -> Self {
        let start = Instant::from_micros(1_000_000_000);
        let mut secret = [0; 32];
        secret[..8].copy_from_slice(&seed.to_le_bytes());
        let ids: Vec<PeerId> = (0..=viewers).map(|at| identity(at).public()).collect();
        let mut net = Self {
            now: start,
            nodes: Vec::new(),
            queue: BTreeMap::new(),
            serial: 0,
            links: BTreeSet::new(),
            rng: Rng::new(secret, 99),
            latency: ms(20),
            loss: 0,
            reach: |_, _| true,
            tamper: None,
            log: String::new(),
            frames: 0,
            sent: 0,
            control: BTreeMap::new(),
            frame_bytes: 4000,
            small: false,
            configs: core::iter::once(origin).chain(vec![config; viewers]).cloned().collect(),
            ids,
        };
        let engine =
            Engine::publish(start, origin.clone(), secret, identity(0), 5, parts(origin)).unwrap();
        let broadcast = engine.broadcast();
        net.add(engine);
        for at in 1..=viewers {
            secret[31] = at as u8;
            secret[30] = (at >> 8) as u8;
            let engine = Engine::watch(
                start,
                config.clone(),
                secret,
                identity(at),
                broadcast,
                parts(config),
            );
            net.add(engine.unwrap());
        }
        net.at(start, Happening::Input(0, Input::Media(Media::Tracks(tracks(false)))));
        net.at(start + ms(100), Happening::Frame(0));
        net
    }

    fn add(&mut self, engine: Engine) {
        let wake = Instant::NEVER;
        let (played, events) = (Vec::new(), Vec::new());
        self.nodes.push(Node { engine, alive: true, played, events, wake });
    }

    /// Gives everyone another scheduler. Before anything has run.
    pub fn schedule(&mut self, make: impl Fn(&Config) -> Box<dyn Scheduler>) {
        for at in 0..self.nodes.len() {
            let config = self.configs[at].clone();
            let parts = Parts { scheduler: make(&config), ..parts(&config) };
            self.replace(at, config, parts);
        }
    }

    /// Gives a viewer another configuration. Before anything has run.
    pub fn configure(&mut self, at: usize, config: &Config) {
        self.replace(at, config.clone(), parts(config));
    }

    fn replace(&mut self, at: usize, config: Config, parts: Parts) {
        let mut secret = [0; 32];
        secret[31] = at as u8;
        let broadcast = self.nodes[0].engine.broadcast();
        let (now, identity) = (self.now, identity(at));
        self.nodes[at].engine = if at == 0 {
            Engine::publish(now, config, secret, identity, broadcast.epoch, parts).unwrap()
        } else {
            Engine::watch(now, config, secret, identity, broadcast, parts).unwrap()
        };
    }

    /// Publishes a second, small rendition of the picture, track 2.
    pub fn publish_small(&mut self) {
        self.small = true;
        self.at(self.now, Happening::Input(0, Input::Media(Media::Tracks(tracks(true)))));
    }

    /// Tells a viewer of all others, the origin first.
    pub fn introduce(&mut self, at: usize, when: Duration) {
        let mut hints: Vec<PeerHint> = Vec::new();
        for (other, &peer) in self.ids.iter().enumerate() {
            if other != at {
                hints.push(PeerHint { peer, score: 50, role: Role::Leaf, depth: 1, slots: 4 });
            }
        }
        self.at(self.now + when, Happening::Input(at, Input::Discovered(hints)));
    }

    pub fn input(&mut self, at: usize, when: Duration, input: Input) {
        self.at(self.now + when, Happening::Input(at, input));
    }

    fn at(&mut self, when: Instant, happening: Happening) {
        self.serial += 1;
        self.queue.insert((when, self.serial), happening);
    }

    /// A node vanishes without a word.
    pub fn kill(&mut self, at: usize) {
        self.nodes[at].alive = false;
    }

    pub fn end(&mut self) {
        self.at(self.now, Happening::End);
    }

    pub fn run(&mut self, span: Duration) {
        let until = self.now + span;
        while let Some((&(when, serial), _)) = self.queue.first_key_value() {
            if when > until {
                break;
            }
            let Some(happening) = self.queue.remove(&(when, serial)) else { break };
            self.now = when;
            match happening {
                Happening::Input(at, input) => self.step(at, input),
                Happening::Wake(at) if self.nodes[at].wake == when => {
                    self.nodes[at].wake = Instant::NEVER;
                    self.step(at, Input::Timeout);
                }
                Happening::Wake(_) => {}
                Happening::Frame(n) => self.frame(n),
                Happening::End => {
                    self.frames = u64::MAX;
                    self.step(0, Input::End);
                }
            }
        }
        self.now = until;
    }

    fn frame(&mut self, n: u64) {
        if self.frames == u64::MAX {
            return;
        }
        self.frames = n + 1;
        let captured = self.now;
        let mut data = vec![0; self.frame_bytes];
        data[..8].copy_from_slice(&n.to_le_bytes());
        let mut fill = n as u8;
        data[8..].iter_mut().for_each(|byte| {
            fill = fill.wrapping_mul(31).wrapping_add(7);
            *byte = fill;
        });
        let video = Object {
            track: TrackId::new(0).unwrap(),
            dts: n * 90_000 / FPS,
            cts: 0,
            duration: (90_000 / FPS) as u32,
            keyframe: n.is_multiple_of(GROUP),
            layer: 0,
            captured,
            data: data.into(),
        };
        if self.small {
            let track = TrackId::new(2).unwrap();
            let data = video.data.slice(..500);
            self.step(0, Input::Media(Media::Object(Object { track, data, ..video.clone() })));
        }
        self.step(0, Input::Media(Media::Object(video)));
        for half in 0..2 {
            let audio = Object {
                track: TrackId::new(1).unwrap(),
                dts: (n * 2 + half) * 960,
                cts: 0,
                duration: 960,
                keyframe: true,
                layer: 0,
                captured,
                data: vec![half as u8; 160].into(),
            };
            self.step(0, Input::Media(Media::Object(audio)));
        }
        self.at(captured + Duration::from_micros(1_000_000 / FPS), Happening::Frame(n + 1));
    }

    fn index(&self, id: &PeerId) -> usize {
        self.ids.iter().position(|other| other == id).unwrap_or(usize::MAX)
    }

    fn step(&mut self, at: usize, input: Input) {
        if at >= self.nodes.len() || !self.nodes[at].alive {
            return;
        }
        let now = self.now;
        self.nodes[at].engine.handle(now, input);
        assert!(self.nodes[at].engine.take_publish_error().is_none());
        while let Some(output) = self.nodes[at].engine.poll_output() {
            self.output(at, output);
        }
        while let Some(item) = self.nodes[at].engine.poll_playout() {
            self.nodes[at].played.push(item);
        }
        while let Some(output) = self.nodes[at].engine.poll_output() {
            self.output(at, output);
        }
        let wake = self.nodes[at].engine.poll_timeout().max(now + Duration::from_micros(1));
        if wake < self.nodes[at].wake && wake != Instant::NEVER {
            self.nodes[at].wake = wake;
            self.at(wake, Happening::Wake(at));
        }
    }

    fn output(&mut self, at: usize, output: Output) {
        match &output {
            Output::Send { to, lane, frame } => {
                let (now, len, hash) = (self.now, frame.len(), fnv(frame));
                let _ = writeln!(self.log, "{now:?} {at} {to:?} {lane:?} {len} {hash:016x}");
            }
            other => {
                let _ = writeln!(self.log, "{:?} {at} {other:?}", self.now);
            }
        }
        match output {
            Output::Dial(to) => {
                let other = self.index(&to);
                let pair = (at.min(other), at.max(other));
                let ok =
                    other != usize::MAX && (self.reach)(pair.0, pair.1) && self.nodes[other].alive;
                if self.links.contains(&pair) {
                    return;
                }
                if !ok {
                    let reason = CloseReason::Failed;
                    let failed = Input::ConnectFailed { peer: to, reason };
                    return self.at(self.now + self.latency * 4, Happening::Input(at, failed));
                }
                self.links.insert(pair);
                let mut binding = [0; 32];
                self.serial += 1;
                binding[..8].copy_from_slice(&self.serial.to_le_bytes());
                let up = self.now + self.latency * 4;
                let me = self.ids[at];
                let mine = Link { peer: to, binding, dialled: true };
                let theirs = Link { peer: me, binding, dialled: false };
                self.at(up, Happening::Input(at, Input::Connected(mine)));
                self.at(up, Happening::Input(other, Input::Connected(theirs)));
            }
            Output::Close { peer, .. } => {
                let other = self.index(&peer);
                if self.links.remove(&(at.min(other), at.max(other))) {
                    let gone =
                        Input::Disconnected { peer: self.ids[at], reason: CloseReason::Remote };
                    self.at(self.now + self.latency, Happening::Input(other, gone));
                }
            }
            Output::Send { to, lane, frame } => {
                let other = self.index(&to);
                let lost = lane == Lane::Data && self.rng.below(1000) < self.loss;
                if lost || !self.links.contains(&(at.min(other), at.max(other))) {
                    return;
                }
                self.sent += frame.len() as u64;
                if lane == Lane::Control {
                    let of_kind = self.control.entry(frame[0]).or_default();
                    *of_kind = (of_kind.0 + 1, of_kind.1 + frame.len() as u64);
                }
                let frame = match self.tamper {
                    Some(tamper) => tamper(at, lane, frame),
                    None => frame,
                };
                let received = Input::Received { from: self.ids[at], lane, frame };
                self.at(self.now + self.latency, Happening::Input(other, received));
            }
            Output::Event(event) => self.nodes[at].events.push(event),
            Output::Report(_) | _ => {}
        }
    }

    /// Segments played by a node, in order.
    pub fn segments(&self, at: usize) -> Vec<(SegmentId, Vec<Object>)> {
        self.nodes[at]
            .played
            .iter()
            .filter_map(|item| match item {
                Playout::Segment { id, objects, .. } => Some((*id, objects.clone())),
                _ => None,
            })
            .collect()
    }

    pub fn gaps(&self, at: usize) -> usize {
        self.nodes[at].played.iter().filter(|item| matches!(item, Playout::Gap { .. })).count()
    }
}
