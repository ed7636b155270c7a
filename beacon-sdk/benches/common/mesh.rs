//! A small swarm over a network without loss, for what a second of it costs.

use super::stage::{config, identity, object, parts, video};
use beacon_sdk::engine::{Input, Output};
use beacon_sdk::media::Media;
use beacon_sdk::plugin::{Link, PeerHint};
use beacon_sdk::{Engine, Instant, PeerId, Role};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const LATENCY: Duration = Duration::from_millis(20);
const FRAME: Duration = Duration::from_millis(40);
/// 4 Mbit/s.
const FRAME_BYTES: usize = 20_000;
const FRAMES_PER_GROUP: u32 = 50;

enum Happening {
    Input(usize, Input),
    Wake(usize),
    Frame(u32),
}

/// An origin and viewers.
pub struct Mesh {
    now: Instant,
    engines: Vec<Engine>,
    ids: Vec<PeerId>,
    wakes: Vec<Instant>,
    links: BTreeSet<(usize, usize)>,
    queue: BTreeMap<(Instant, u64), Happening>,
    serial: u64,
    /// Inputs handled.
    pub events: u64,
}

impl Mesh {
    pub fn new(viewers: usize) -> Self {
        let now = Instant::from_micros(1_000_000_000);
        let mut config = config();
        config.links_target = 8;
        let ids: Vec<PeerId> = (0..=viewers).map(|at| identity(1 + at as u8).public()).collect();
        let origin =
            Engine::publish(now, config.clone(), [1; 32], identity(1), 5, parts(&config)).unwrap();
        let broadcast = origin.broadcast();
        let mut engines = vec![origin];
        for at in 1..=viewers as u8 {
            let (seed, id) = ([at + 1; 32], identity(1 + at));
            let engine =
                Engine::watch(now, config.clone(), seed, id, broadcast, parts(&config)).unwrap();
            engines.push(engine);
        }
        let mut mesh = Self {
            now,
            wakes: vec![Instant::NEVER; engines.len()],
            engines,
            links: BTreeSet::new(),
            queue: BTreeMap::new(),
            serial: 0,
            events: 0,
            ids,
        };
        mesh.at(now, Happening::Input(0, Input::Media(Media::Tracks(vec![video()]))));
        mesh.at(now + FRAME, Happening::Frame(0));
        let hint =
            |&peer: &PeerId| PeerHint { peer, score: 50, role: Role::Leaf, depth: 1, slots: 4 };
        let hints: Vec<PeerHint> = mesh.ids.iter().map(hint).collect();
        for at in 1..=viewers {
            mesh.at(
                now + LATENCY * at as u32,
                Happening::Input(at, Input::Discovered(hints.clone())),
            );
        }
        mesh
    }

    /// Symbol bytes verified by all viewers together.
    pub fn verified(&self) -> u64 {
        let viewers = self.engines[1..].iter().map(Engine::stats);
        viewers.map(|stats| stats.bytes_from_origin + stats.bytes_from_peers).sum()
    }

    /// Segments played by all viewers, and missed.
    pub fn played(&self) -> (u64, u64) {
        let viewers = self.engines[1..].iter().map(Engine::stats);
        viewers.fold((0, 0), |(played, missed), stats| {
            (played + stats.segments_delivered, missed + stats.segments_missed)
        })
    }

    fn at(&mut self, when: Instant, happening: Happening) {
        self.serial += 1;
        self.queue.insert((when, self.serial), happening);
    }

    pub fn run(&mut self, span: Duration) {
        let until = self.now + span;
        while let Some(entry) = self.queue.first_entry() {
            let (when, _) = *entry.key();
            if when > until {
                break;
            }
            self.now = when;
            match entry.remove() {
                Happening::Input(at, input) => self.step(at, input),
                Happening::Wake(at) if self.wakes[at] == when => {
                    self.wakes[at] = Instant::NEVER;
                    self.step(at, Input::Timeout);
                }
                Happening::Wake(_) => {}
                Happening::Frame(n) => {
                    let key = n % FRAMES_PER_GROUP == 0;
                    let frame = object(FRAME * n, FRAME, key, FRAME_BYTES, self.now);
                    self.step(0, Input::Media(Media::Object(frame)));
                    self.at(self.now + FRAME, Happening::Frame(n + 1));
                }
            }
        }
        self.now = until;
    }

    fn step(&mut self, at: usize, input: Input) {
        self.events += 1;
        self.engines[at].handle(self.now, input);
        while let Some(output) = self.engines[at].poll_output() {
            self.output(at, output);
        }
        while self.engines[at].poll_playout().is_some() {}
        while let Some(output) = self.engines[at].poll_output() {
            self.output(at, output);
        }
        let soonest = self.now + Duration::from_micros(1);
        let wake = self.engines[at].poll_timeout().max(soonest);
        if wake < self.wakes[at] {
            self.wakes[at] = wake;
            self.at(wake, Happening::Wake(at));
        }
    }

    fn output(&mut self, at: usize, output: Output) {
        let index = |id: &PeerId| self.ids.iter().position(|other| other == id);
        match output {
            Output::Dial(to) => {
                let Some(other) = index(&to) else { return };
                if !self.links.insert((at.min(other), at.max(other))) {
                    return;
                }
                let binding = [self.serial as u8; 32];
                for (end, peer) in [(at, to), (other, self.ids[at])] {
                    let link = Link { peer, binding, dialled: end == at };
                    self.at(self.now + LATENCY, Happening::Input(end, Input::Connected(link)));
                }
            }
            Output::Send { to, lane, frame } => {
                let Some(other) = index(&to) else { return };
                let received = Input::Received { from: self.ids[at], lane, frame };
                self.at(self.now + LATENCY, Happening::Input(other, received));
            }
            Output::Close { peer, .. } => panic!("a link of {at} to {peer:?} broke"),
            _ => {}
        }
    }
}
