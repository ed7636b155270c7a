//! Three engines, two rogues, the wires between them, and the invariants.

use super::common::parts;
use super::oracle::Oracle;
use beacon_sdk::engine::{Input, Output};
use beacon_sdk::media::{Media, Playout};
use beacon_sdk::plugin::{CloseReason, Link};
use beacon_sdk::wire::{Hello, Message, SymbolHeader};
use beacon_sdk::{
    BroadcastId, Config, DEPTH_MAX, Engine, Identity, Instant, Lane, PeerId, SLOTS_MAX, TrackId,
};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// Node 0 is the origin, 1 and 2 are viewers; the others are no engines.
pub const ENGINES: usize = 3;
pub const NODES: usize = 5;

/// Outputs of one step at most: a full queue of symbols (1024) and a few hundred control frames
/// for each of the neighbours, and as many again to be sure.
const OUTPUTS_MAX: usize = 16_384;
/// Timeouts in a row that lead to nothing, though the engine asked for them, at most.
const IDLE_MAX: usize = 8;
/// Frames kept for replays.
const SEEN_MAX: usize = 512;
/// Frames on one wire at most; what comes then is lost.
const WIRE_MAX: usize = 4096;

/// How much a run has reached: a test that reaches nothing proves nothing.
#[derive(Debug, Default, Clone, Copy)]
pub struct Tally {
    pub delivered: usize,
    pub symbols: usize,
    pub controls: usize,
    pub banned: usize,
}

pub struct Node {
    pub engine: Engine,
    config: Config,
    pub links: BTreeMap<PeerId, [u8; 32]>,
    pub dials: BTreeSet<PeerId>,
    /// Lanes whose transport takes nothing.
    pub clogged: BTreeSet<(PeerId, Lane)>,
    /// The sink has no room.
    pub stalled: bool,
    played: BTreeMap<TrackId, u32>,
    told: bool,
    ended: bool,
    /// How often a symbol was sent to a neighbour, and how often it may be.
    copies: BTreeMap<(PeerId, SymbolHeader), (u32, u32)>,
}

pub struct World {
    pub now: Instant,
    pub nodes: Vec<Node>,
    pub identities: Vec<Identity>,
    pub ids: Vec<PeerId>,
    pub broadcast: BroadcastId,
    pub oracle: Oracle,
    /// Frames under way between engines.
    pub wires: BTreeMap<(usize, usize, Lane), VecDeque<Bytes>>,
    /// Frames that engines have sent, for replays.
    pub seen: VecDeque<(Lane, Bytes)>,
    pub tally: Tally,
    pending: VecDeque<(usize, Input)>,
    bindings: u64,
}

impl World {
    pub fn new(origin: &Config, viewer: &Config) -> Self {
        let now = Instant::from_micros(1_700_000_000_000_000);
        let identities: Vec<Identity> =
            (0..NODES).map(|at| Identity::from_secret([at as u8 + 1; 32])).collect();
        let ids: Vec<PeerId> = identities.iter().map(Identity::public).collect();
        let broadcast = BroadcastId { publisher: ids[0], epoch: 5 };
        let seed = |at: usize| [at as u8 + 100; 32];
        let node = |at: usize| {
            let config = if at == 0 { origin } else { viewer };
            let (settings, parts) = (config.clone(), parts(config));
            let me = identities[at].clone();
            let engine = if at == 0 {
                Engine::publish(now, settings, seed(0), me, broadcast.epoch, parts)
            } else {
                Engine::watch(now, settings, seed(at), me, broadcast, parts)
            };
            Node {
                engine: engine.unwrap(),
                config: config.clone(),
                links: BTreeMap::new(),
                dials: BTreeSet::new(),
                clogged: BTreeSet::new(),
                stalled: false,
                played: BTreeMap::new(),
                told: false,
                ended: false,
                copies: BTreeMap::new(),
            }
        };
        Self {
            now,
            nodes: (0..ENGINES).map(node).collect(),
            oracle: Oracle::new(now, origin, seed(0), identities[0].clone(), broadcast.epoch),
            identities,
            ids,
            broadcast,
            wires: BTreeMap::new(),
            seen: VecDeque::new(),
            tally: Tally::default(),
            pending: VecDeque::new(),
            bindings: 0,
        }
    }

    // ---- what happens

    pub fn media(&mut self, media: Media) {
        self.oracle.media(self.now, media.clone());
        self.input(0, Input::Media(media));
    }

    pub fn end(&mut self) {
        self.oracle.end(self.now);
        self.input(0, Input::End);
    }

    pub fn input(&mut self, at: usize, input: Input) {
        self.input_at(at, self.now, input);
    }

    /// An input at a time that may lie in the past.
    pub fn input_at(&mut self, at: usize, when: Instant, input: Input) {
        self.step(at, when, input);
        while let Some((at, input)) = self.pending.pop_front() {
            self.step(at, self.now, input);
        }
    }

    pub fn index(&self, id: &PeerId) -> Option<usize> {
        self.ids.iter().position(|other| other == id)
    }

    /// A link comes up between an engine and another node.
    pub fn connect(&mut self, a: usize, b: usize) {
        if a == b || self.nodes[a].links.contains_key(&self.ids[b]) {
            return;
        }
        self.unwire(a, b);
        self.bindings += 1;
        let mut binding = [0; 32];
        binding[..8].copy_from_slice(&self.bindings.to_le_bytes());
        for (me, other) in [(a, b), (b, a)] {
            if me < ENGINES {
                let link = Link { peer: self.ids[other], binding, dialled: me == a };
                self.pending.push_back((me, Input::Connected(link)));
            }
        }
        if let Some((at, input)) = self.pending.pop_front() {
            self.input(at, input);
        }
    }

    /// A rogue without links takes another name: bans follow the name.
    pub fn rename(&mut self, rogue: usize) {
        let linked = self.nodes.iter().any(|node| node.links.contains_key(&self.ids[rogue]));
        if rogue >= ENGINES && !linked {
            self.bindings += 1;
            let mut secret = [77; 32];
            secret[..8].copy_from_slice(&self.bindings.to_le_bytes());
            self.identities[rogue] = Identity::from_secret(secret);
            self.ids[rogue] = self.identities[rogue].public();
        }
    }

    /// A rogue proves who it is.
    pub fn introduce(&mut self, rogue: usize, to: usize) {
        let Some(binding) = self.nodes[to].links.get(&self.ids[rogue]).copied() else { return };
        let (me, to_id) = (&self.identities[rogue], &self.ids[to]);
        let hello = Hello::sign(me, self.broadcast, &binding, to_id);
        self.receive(to, rogue, Lane::Control, Message::Hello(hello).encode());
    }

    pub fn disconnect(&mut self, a: usize, b: usize) {
        self.cut(a, b);
        if let Some((at, input)) = self.pending.pop_front() {
            self.input(at, input);
        }
    }

    fn cut(&mut self, a: usize, b: usize) {
        self.unwire(a, b);
        for (me, other) in [(a, b), (b, a)] {
            if me < ENGINES {
                let (peer, reason) = (self.ids[other], CloseReason::Failed);
                self.pending.push_back((me, Input::Disconnected { peer, reason }));
            }
        }
    }

    fn unwire(&mut self, a: usize, b: usize) {
        self.wires.retain(|(from, to, _), _| (*from, *to) != (a, b) && (*from, *to) != (b, a));
    }

    /// What an engine may believe of its links once it has been given an input; `false` when a
    /// transport would not give it.
    fn link_up_or_down(&mut self, at: usize, input: &Input) -> bool {
        let node = &mut self.nodes[at];
        match input {
            Input::Connected(link) => {
                node.dials.remove(&link.peer);
                node.links.insert(link.peer, link.binding).is_none()
            }
            Input::Disconnected { peer, .. } => {
                node.clogged.retain(|(id, _)| id != peer);
                node.links.remove(peer).is_some()
            }
            _ => true,
        }
    }

    /// A frame arrives, if there is a link.
    pub fn receive(&mut self, at: usize, from: usize, lane: Lane, frame: Bytes) {
        let from = self.ids[from];
        if !self.nodes[at].links.contains_key(&from) {
            return;
        }
        match Message::decode(frame.clone()) {
            Ok(Message::Request { id: segment, spans }) => {
                for esi in spans.iter().flat_map(|span| span.esis()) {
                    self.allow(at, from, SymbolHeader { segment, esi });
                }
            }
            // It asks for what is held already, too.
            Ok(Message::Subscribe { from: since, .. }) if since != Instant::ZERO => {
                self.allow_all(at, from);
            }
            _ => {}
        }
        self.input(at, Input::Received { from, lane, frame });
    }

    fn allow_all(&mut self, at: usize, to: PeerId) {
        let copies = &mut self.nodes[at].copies;
        for header in self.oracle.symbols.keys() {
            copies.entry((to, *header)).or_insert((0, 1)).1 += 1;
        }
    }

    fn allow(&mut self, at: usize, to: PeerId, header: SymbolHeader) {
        self.nodes[at].copies.entry((to, header)).or_insert((0, 1)).1 += 1;
    }

    /// Everything under way arrives, and what it leads to, for a number of rounds.
    pub fn settle(&mut self, rounds: usize) {
        for _ in 0..rounds {
            for at in 0..ENGINES {
                let dials: Vec<PeerId> = self.nodes[at].dials.iter().copied().collect();
                for peer in dials {
                    match self.index(&peer) {
                        Some(other) => self.connect(at, other),
                        None => self.fail_dial(at, peer),
                    }
                }
            }
            for (from, to, lane) in self.wires.keys().copied().collect::<Vec<_>>() {
                let wire = self.wires.get_mut(&(from, to, lane)).map(std::mem::take);
                for frame in wire.unwrap_or_default() {
                    self.receive(to, from, lane, frame);
                }
            }
            self.advance(Duration::from_millis(5));
        }
    }

    pub fn fail_dial(&mut self, at: usize, peer: PeerId) {
        if self.nodes[at].dials.remove(&peer) {
            let reason = CloseReason::Failed;
            self.input(at, Input::ConnectFailed { peer, reason });
        }
    }

    /// Time passes, and every engine is called when it wants to be.
    pub fn advance(&mut self, span: Duration) {
        let until = self.now + span;
        // A plan may want another a millisecond later, for every engine.
        let mut left = 64 + 4 * ENGINES * span.as_millis() as usize;
        loop {
            let next = (0..ENGINES).map(|at| (self.nodes[at].engine.poll_timeout(), at)).min();
            let Some((when, at)) = next.filter(|(when, _)| *when <= until) else { break };
            self.now = self.now.max(when);
            self.input(at, Input::Timeout);
            left = left.checked_sub(1).expect("an engine wakes too often");
        }
        self.now = until;
    }

    // ---- what must hold

    fn step(&mut self, at: usize, when: Instant, input: Input) {
        if !self.link_up_or_down(at, &input) {
            return;
        }
        self.nodes[at].engine.handle(when, input);
        let _ = self.nodes[at].engine.take_publish_error();
        self.drain(at);
        let mut idle = 0;
        while self.nodes[at].engine.poll_timeout() <= self.now {
            self.nodes[at].engine.handle(self.now, Input::Timeout);
            idle = if self.drain(at) == 0 { idle + 1 } else { 0 };
            assert!(idle <= IDLE_MAX, "node {at} wants to be woken for nothing");
        }
        let node = &self.nodes[at];
        let stats = node.engine.stats();
        assert!(node.engine.neighbours().len() <= usize::from(node.config.links_max));
        assert!(node.engine.neighbours().iter().all(|id| node.links.contains_key(id)));
        assert!(stats.hops_max <= DEPTH_MAX);
        let stripes = u64::from(node.config.stripes) + 1;
        let slots = u64::from(if at == 0 { node.config.fanout } else { SLOTS_MAX });
        // One child per stripe may be under notice.
        let most = if at == 0 { slots * stripes } else { slots };
        assert!(stats.children <= most + stripes);
    }

    fn drain(&mut self, at: usize) -> usize {
        let mut count = 0;
        loop {
            while let Some(output) = self.nodes[at].engine.poll_output() {
                count += 1;
                assert!(count <= OUTPUTS_MAX, "node {at} never ends");
                self.output(at, output);
            }
            if self.nodes[at].stalled {
                return count;
            }
            let Some(item) = self.nodes[at].engine.poll_playout() else { return count };
            count += 1;
            self.played(at, item);
        }
    }

    fn output(&mut self, at: usize, output: Output) {
        match output {
            Output::Send { to, lane, frame } => self.sent(at, to, lane, frame),
            Output::Close { peer, .. } => {
                let dialled = self.nodes[at].dials.remove(&peer);
                let linked = self.nodes[at].links.remove(&peer).is_some();
                assert!(dialled || linked, "node {at} closes what is closed");
                if let Some(other) = self.index(&peer) {
                    self.cut(at, other);
                }
            }
            Output::Dial(peer) => {
                let node = &mut self.nodes[at];
                assert!(peer != self.ids[at] && !node.links.contains_key(&peer));
                assert!(node.dials.insert(peer), "node {at} dials twice");
            }
            Output::Event(beacon_sdk::Event::PeerBanned { .. }) => self.tally.banned += 1,
            _ => {}
        }
    }

    fn sent(&mut self, at: usize, to: PeerId, lane: Lane, frame: Bytes) {
        assert!(self.nodes[at].links.contains_key(&to), "node {at} sends without a link");
        if lane == Lane::Data {
            self.tally.symbols += 1;
            let header = SymbolHeader::decode(&frame).expect("a symbol");
            let truth = self.oracle.symbols.get(&header);
            assert_eq!(truth, Some(&frame), "node {at} sends what the origin did not commit to");
            let (sent, may) = self.nodes[at].copies.entry((to, header)).or_insert((0, 1));
            *sent += 1;
            assert!(sent <= may, "node {at} sends {header:?} {sent} times, asked {may}");
        } else {
            self.tally.controls += 1;
            let message = Message::decode(frame.clone()).expect("a message");
            assert_eq!(message.encode(), frame);
        }
        if self.nodes[at].clogged.contains(&(to, lane)) {
            if let (Lane::Data, Ok(header)) = (lane, SymbolHeader::decode(&frame)) {
                self.allow(at, to, header);
            }
            return self.nodes[at].engine.handle(self.now, Input::Refused { to, lane, frame });
        }
        if self.seen.len() == SEEN_MAX {
            self.seen.pop_front();
        }
        self.seen.push_back((lane, frame.clone()));
        if let Some(other) = self.index(&to).filter(|other| *other < ENGINES) {
            let wire = self.wires.entry((at, other, lane)).or_default();
            if wire.len() < WIRE_MAX {
                wire.push_back(frame);
            }
        }
    }

    fn played(&mut self, at: usize, item: Playout) {
        let node = &mut self.nodes[at];
        assert!(!node.ended, "node {at} plays after the end");
        let id = match item {
            Playout::Tracks(tracks) => {
                node.told = true;
                assert!(self.oracle.tracks.contains(&tracks));
                return;
            }
            Playout::End => {
                node.ended = true;
                return;
            }
            Playout::Gap { id } => id,
            Playout::Segment { id, group_start, objects } => {
                self.tally.delivered += usize::from(at > 0);
                let truth = self.oracle.segments.get(&id);
                assert_eq!(truth, Some(&(group_start, objects)), "node {at}: {id}");
                id
            }
        };
        assert!(node.told, "node {at}: {id} before the tracks");
        if let Some(before) = node.played.insert(id.track, id.seq) {
            assert_eq!(id.seq, before + 1, "node {at}: a gap in {id} is not told");
        }
    }
}
