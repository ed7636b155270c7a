//! The mesh engine: a deterministic state machine without a clock, a socket or a task.
//!
//! Time, a seed and [`Input`]s go in; [`Output`]s, playout items and the next timeout come out.
//! The contract of the driver:
//!
//! 1. Call [`Engine::handle`] for everything that happens, with the present time. Time that goes
//!    backwards is taken as standing still.
//! 2. Then drain [`Engine::poll_output`] until `None`. Doing so late only adds latency. A frame
//!    that the transport gives back returns as [`Input::Refused`] before anything else happens;
//!    one that does not return counts as sent.
//! 3. Take [`Engine::poll_playout`] whenever the sink has room; what is not taken in time
//!    becomes a gap, and nothing else waits for it.
//! 4. Call [`Engine::handle`] with [`Input::Timeout`] at [`Engine::poll_timeout`] at the latest.
//!
//! This file routes; the files beside it decide, one concern each; `media` and `wire` compute.

mod census;
mod children;
mod conduct;
mod content;
mod feeds;
mod intake;
mod io;
mod links;
mod meet;
mod outbox;
mod peers;
mod plan;
mod playout;
mod proof;
mod publish;
mod push;
mod renditions;
mod report;
mod scarcity;
mod sealed;
mod send;
mod spare;
mod store;
mod supply;
mod tell;
mod thin;
mod tidy;
mod turns;
mod uplink;
mod view;

#[cfg(test)]
mod tests;

pub use io::{Input, Output};
pub use publish::PublishError;
pub use sealed::Commons;

use crate::config::{Config, ConfigError};
use crate::event::{Event, Incompatible, Offence};
use crate::id::{BroadcastId, PeerId, SegmentId};
use crate::identity::Identity;
use crate::media::{Description, Playout, Unplayable};
use crate::plugin::{
    ErasureCode, Lane, Ledger, Observation, PeerKey, Scheduler, Scorer, TransportCaps,
};
use crate::rng::Rng;
use crate::stats::Stats;
use crate::time::Instant;
use crate::wire::{FarewellReason, Hello, Message, Status, SymbolHeader};
use bytes::Bytes;
use conduct::Conduct;
use feeds::Feeds;
use intake::Quarantine;
use links::Links;
use outbox::Pacer;
use peers::Peers;
use playout::Player;
use publish::Publisher;
use renditions::Ladder;
use scarcity::Scarcity;
use send::Handed;
use spare::Pushed;
use std::collections::VecDeque;
use store::Store;
use turns::Turns;
use uplink::{NewLimit, Uplink};

/// Outputs other than frames that wait for the driver at most; the oldest events go first.
const OUTPUTS_MAX: usize = 4096;

/// The policies an engine works with.
#[derive(Debug)]
pub struct Parts {
    /// From whom to take what.
    pub scheduler: Box<dyn Scheduler>,
    /// What to think of neighbours.
    pub scorer: Box<dyn Scorer>,
    /// Who carried how much.
    pub ledger: Box<dyn Ledger>,
    /// Repair symbols.
    pub code: Box<dyn ErasureCode>,
}

/// One peer in one broadcast.
#[derive(Debug)]
pub struct Engine {
    config: Config,
    identity: Identity,
    me: PeerId,
    broadcast: BroadcastId,
    parts: Parts,
    rng: Rng,
    now: Instant,
    joined: Instant,
    peers: Peers,
    links: Links,
    feeds: Feeds,
    store: Store,
    player: Player,
    publisher: Option<Publisher>,
    description: Option<(Description, Bytes)>,
    quarantine: Quarantine,
    commons: Option<Commons>,
    conduct: Conduct,
    /// The publisher signed two manifests for this segment; the proof as a frame.
    forked: Option<(SegmentId, Bytes)>,
    pushed: Pushed,
    pacer: Pacer,
    uplink: Uplink,
    scarcity: Scarcity,
    /// The upload limit has changed, and is not yet kept to.
    new_limit: Option<NewLimit>,
    out: VecDeque<Output>,
    stats: Stats,
    /// The counters as they were when the broadcast ended.
    at_end: Option<Stats>,
    /// Tracks this peer carries: bit i is track i.
    tracks: u64,
    /// The picture that is shown until one of those can take its place.
    kept: u64,
    /// Since when it is to be another.
    changing: Instant,
    /// When the description last changed.
    described: Instant,
    ladder: Ladder,
    /// The broadcast has nothing that this peer may play.
    unplayable: Option<Unplayable>,
    /// Somebody was met who speaks another version, and since when nobody else has been found.
    foreign: Option<(Instant, Incompatible)>,
    /// What neighbours were last told.
    status: Status,
    /// No request has to be answered before.
    answers_by: Instant,
    /// For whom control frames may be waiting that can be sent.
    control_waits: Turns,
    /// For whom symbols may be waiting that can be sent.
    data_waits: Turns,
    /// Before this there is nothing to play, unless something happens that sets it to zero: a
    /// description, a manifest, a segment that becomes whole, and a look now and then.
    playable: Instant,
    /// Whose turn it is to send.
    turn: usize,
    /// The symbol that the driver has been given last, until it counts.
    handed: Option<Handed>,
    timers: Timers,
    /// How long to wait before looking for better parents again.
    explore_pause: core::time::Duration,
}

/// When each kind of work is due.
#[derive(Debug)]
struct Timers {
    plan: Instant,
    tell: Instant,
    have: Instant,
    tidy: Instant,
    tail: Instant,
    /// Nobody could be asked for the tail: the first who can is, at once.
    tail_wanted: bool,
    report: Instant,
    /// When to look for better parents.
    explore: Instant,
    /// When an idle neighbour may next be let go for want of room.
    room: Instant,
    /// When parents may be told what hangs on this peer.
    census: Instant,
}

impl Engine {
    /// A viewer's engine for `broadcast`.
    ///
    /// `seed` decides every random choice; draw it from the system's random source in a driver.
    ///
    /// # Errors
    /// [`ConfigError`] when the configuration contradicts itself.
    pub fn watch(
        now: Instant,
        config: Config,
        seed: [u8; 32],
        identity: Identity,
        broadcast: BroadcastId,
        parts: Parts,
    ) -> Result<Self, ConfigError> {
        Self::new(now, config, seed, identity, broadcast, parts, None)
    }

    /// The origin's engine: `identity` is also the publisher's key that signs the broadcast.
    ///
    /// # Errors
    /// [`ConfigError`] when the configuration contradicts itself.
    pub fn publish(
        now: Instant,
        config: Config,
        seed: [u8; 32],
        identity: Identity,
        epoch: u64,
        parts: Parts,
    ) -> Result<Self, ConfigError> {
        let broadcast = BroadcastId { publisher: identity.public(), epoch };
        let publisher = Publisher::new(&config);
        Self::new(now, config, seed, identity, broadcast, parts, Some(publisher))
    }

    fn new(
        now: Instant,
        config: Config,
        seed: [u8; 32],
        identity: Identity,
        broadcast: BroadcastId,
        parts: Parts,
        publisher: Option<Publisher>,
    ) -> Result<Self, ConfigError> {
        config.check()?;
        let me = identity.public();
        let origin = publisher.is_some();
        let uplink = Uplink::new(uplink::slots_believed(&config, origin), config.upload_bps, now);
        Ok(Self {
            rng: Rng::new(seed, 0),
            now,
            joined: now,
            peers: Peers::default(),
            links: Links::default(),
            feeds: Feeds::new(me.short(), origin, config.stripes, config.fanout, uplink.slots()),
            uplink,
            scarcity: Scarcity::default(),
            new_limit: None,
            store: Store::default(),
            player: Player::new(config.playout, now),
            publisher,
            description: None,
            quarantine: Quarantine::default(),
            commons: None,
            conduct: Conduct::default(),
            forked: None,
            pushed: Pushed::default(),
            pacer: Pacer::new(config.upload_bps, now),
            out: VecDeque::new(),
            stats: Stats::default(),
            at_end: None,
            tracks: u64::MAX,
            kept: 0,
            changing: Instant::ZERO,
            described: Instant::ZERO,
            ladder: Ladder::new(now),
            unplayable: None,
            foreign: None,
            status: Status::default(),
            answers_by: Instant::NEVER,
            control_waits: Turns::default(),
            data_waits: Turns::default(),
            playable: Instant::ZERO,
            turn: 0,
            handed: None,
            timers: Timers {
                plan: Instant::NEVER,
                tell: Instant::NEVER,
                have: Instant::NEVER,
                tidy: now,
                tail: Instant::NEVER,
                tail_wanted: false,
                report: now,
                explore: now + meet::EXPLORE_MIN,
                room: now,
                census: now,
            },
            explore_pause: meet::EXPLORE_MIN,
            me,
            identity,
            broadcast,
            parts,
            config,
        })
    }

    /// Verifies together with others from now on: what an engine of `commons` has found true is not
    /// checked anew, and not kept twice. Nothing that the engine does is different. For many engines
    /// in one process; they trust each other's memory.
    pub fn share(&mut self, commons: &Commons) {
        self.commons = Some(commons.clone());
    }

    /// What a transport must be able to carry for this engine.
    #[must_use]
    pub const fn caps_needed() -> TransportCaps {
        TransportCaps { control_frame_max: 16 * 1024, data_frame_max: 1152, data_is_lossy: true }
    }

    /// Takes in something that happened at `now`. Never fails: what peers get wrong is counted
    /// against them.
    pub fn handle(&mut self, now: Instant, input: Input) {
        self.now = self.now.max(now);
        if !matches!(input, Input::Refused { .. }) {
            self.count_sent();
        }
        match input {
            Input::Timeout => {}
            Input::Discovered(hints) => self.links.hint(self.me, &hints),
            Input::Gone(peer) => self.on_gone(peer),
            Input::Banned(peer) => self.on_sent_away(peer),
            Input::Issuer(issuer) => self.parts.ledger.accept_issuer(issuer),
            Input::Edge(edge) => {
                // Of an earlier session, or of no ledger of this kind: no business of a neighbour's.
                if let Err(error) = self.parts.ledger.accept_edge(self.now, &edge) {
                    tracing::debug!(target: "beacon::engine", %error, "edge not taken");
                }
            }
            Input::Connected(link) => self.on_connected(link),
            Input::ConnectFailed { peer, .. } => {
                self.links.failed(peer, self.now, &mut self.rng);
            }
            Input::Disconnected { peer, reason } => {
                if let Some(key) = self.peers.key(&peer) {
                    self.lose(key, reason);
                }
            }
            Input::Received { from, lane, frame } => self.on_frame(from, lane, frame),
            Input::Writable { to, lane } => {
                if let Some(key) = self.peers.key(&to) {
                    self.writable(key, lane);
                }
            }
            Input::Refused { to, lane, frame } => self.on_refused(to, lane, frame),
            Input::Media(media) => {
                self.playable = Instant::ZERO;
                self.on_media(media);
            }
            Input::End => {
                self.playable = Instant::ZERO;
                self.on_end();
            }
            Input::Upload(limit) => self.on_upload(limit),
            Input::Choice(choice) => {
                self.playable = Instant::ZERO;
                self.on_choice(choice);
            }
        }
        self.on_timers();
    }

    /// The next thing to do outside; drain until `None`.
    #[must_use]
    pub fn poll_output(&mut self) -> Option<Output> {
        self.count_sent();
        let next = self.out.pop_front().or_else(|| self.next_frame());
        if next.is_none() && self.tell_haves() {
            return self.out.pop_front().or_else(|| self.next_frame());
        }
        next
    }

    /// The next item for the sink, if there is one.
    #[must_use]
    pub fn poll_playout(&mut self) -> Option<Playout> {
        if self.now < self.playable || self.forked.is_some() {
            return None;
        }
        let (description, _) = self.description.as_ref()?;
        let had_started = self.stats.segments_delivered > 0;
        let Some(item) = self.player.poll(&self.store, description, self.now, &mut self.stats)
        else {
            self.playable = self.player.wakes_at(&self.store, description, self.now);
            return None;
        };
        self.end_change();
        match &item {
            Playout::Gap { id } => self.event(Event::Missed { id: *id }),
            Playout::Segment { id, .. } => {
                let thinned = self.store.content(*id).is_some_and(|c| c.manifest().thinned);
                if !had_started {
                    let after = self.now.since(self.joined);
                    self.event(Event::Started { after });
                }
                self.note_thinned(thinned);
            }
            Playout::End => {
                // What the mesh was like; neighbours now leave one after the other.
                self.at_end = Some(self.stats());
                // The parents stay for a moment, to show what they are given.
                self.parts.ledger.finish();
                self.event(Event::Ended);
            }
            _ => {}
        }
        Some(item)
    }

    /// When to call [`Engine::handle`] at the latest though nothing happens.
    #[must_use]
    pub fn poll_timeout(&self) -> Instant {
        let timers = &self.timers;
        let mut soonest = timers.plan.min(timers.tell).min(timers.have);
        soonest = soonest.min(timers.tidy).min(timers.tail);
        let sendable = |key| self.peers.get(key).is_some_and(|peer| peer.out.symbols_sendable());
        if self.data_waits.iter().any(sendable) {
            soonest = soonest.min(self.pacer.opens_at());
        }
        let playable = match &self.description {
            _ if self.forked.is_some() => Instant::NEVER,
            Some((description, _)) if self.playable <= self.now => {
                self.player.wakes_at(&self.store, description, self.now)
            }
            Some(_) => self.playable,
            None => Instant::NEVER,
        };
        soonest.min(playable)
    }

    /// Nothing waits to be sent.
    #[must_use]
    pub fn served(&self) -> bool {
        self.peers.iter().all(|(_, peer)| peer.out.is_empty())
    }

    /// Signs for what has been received, and says goodbye to every neighbour. Drain the outputs afterwards.
    pub fn leave(&mut self, now: Instant) {
        self.now = self.now.max(now);
        self.sign_off();
        let keys: Vec<PeerKey> = self.peers.iter().map(|(key, _)| key).collect();
        for key in keys {
            self.send(key, &Message::Farewell { reason: FarewellReason::Done, peers: Vec::new() });
        }
    }

    // ---- routing of frames

    fn on_frame(&mut self, from: PeerId, lane: Lane, frame: Bytes) {
        let Some(key) = self.peers.key(&from) else { return };
        let Some(peer) = self.peers.get_mut(key) else { return };
        (peer.heard, peer.mute) = (self.now, false);
        let caps = Self::caps_needed();
        let limit = match lane {
            Lane::Control => caps.control_frame_max,
            Lane::Data => caps.data_frame_max,
        };
        if frame.len() > limit {
            return self.ban(key, Offence::BrokenFrame);
        }
        let (ready, turned_away) = (peer.ready && peer.accused.is_none(), peer.turned_away);
        let proven = peer.ready;
        match lane {
            Lane::Data if ready => match SymbolHeader::decode(&frame) {
                Ok(header) => self.on_symbol(key, header, frame),
                Err(_) => self.ban(key, Offence::BrokenFrame),
            },
            // Symbols may overtake the hello; nothing is lost that a NAK cannot bring back.
            Lane::Data => {}
            Lane::Control => {
                self.stats.bytes_control += frame.len() as u64;
                if let Some(theirs) = Hello::versions(&frame).filter(|theirs| !theirs.common()) {
                    return self.on_other_version(key, theirs);
                }
                match Message::decode(frame.clone()) {
                    Ok(message) if proven => self.on_message(key, message, frame),
                    Ok(Message::Farewell { reason, peers }) => {
                        self.on_farewell(key, reason, &peers)
                    }
                    // It crossed our farewell on the way.
                    _ if turned_away => {}
                    Ok(Message::Hello(hello)) => self.on_hello(key, &hello),
                    Ok(_) | Err(_) => self.ban(key, Offence::BrokenFrame),
                }
            }
        }
    }

    fn on_message(&mut self, from: PeerKey, message: Message, frame: Bytes) {
        match message {
            Message::Hello(_) => self.ban(from, Offence::BrokenFrame),
            Message::Farewell { reason, peers } => self.on_farewell(from, reason, &peers),
            Message::Ping(token) if self.allows(from, 1) => self.send(from, &Message::Pong(token)),
            Message::Ping(_) => {}
            Message::Pong(token) => self.on_pong(from, token),
            Message::Peers(peers) => {
                for peer in peers {
                    self.links.learn(self.me, peer, u16::MAX);
                }
            }
            Message::Description(record) => self.on_description(from, record),
            Message::Status(status) => self.on_status(from, status),
            Message::Subscribe { stripes, tracks, from: since } => {
                self.on_subscribe(from, stripes, tracks, since);
            }
            Message::Unsubscribe { stripes, from: until } => {
                self.on_unsubscribe(from, stripes, until);
            }
            Message::Feed { stripe, path } => self.on_feed(from, stripe, path),
            Message::Refuse { stripe, reason } => self.on_refuse(from, stripe, reason),
            Message::Manifest(record) => self.on_manifest(from, &record, frame),
            Message::Pages { id, first, leaves } => self.on_pages(from, id, first, &leaves, &frame),
            Message::Have(haves) => self.on_have(from, &haves),
            Message::Request { id, spans } => self.on_request(from, id, &spans),
            Message::Busy { id, spans } => self.on_busy(from, id, &spans),
            Message::Cancel(id) => self.on_cancel(from, id),
            Message::Fetch(id) => self.on_fetch(from, id),
            Message::FetchTail { tracks } => self.on_fetch_tail(from, tracks),
            Message::Receipt(receipt) => self.on_receipt(from, &receipt),
            Message::Census(entries) => self.on_census(from, &entries),
            Message::Equivocation { first, second } => self.on_equivocation(from, first, second),
        }
    }

    fn on_receipt(&mut self, from: PeerKey, receipt: &[u8]) {
        let Some(id) = self.peers.get(from).map(|peer| peer.id) else { return };
        if self.parts.ledger.accept_receipt(self.now, id, receipt).is_err() {
            self.odd(from);
        }
    }

    // ---- small shared steps

    fn event(&mut self, event: Event) {
        tracing::debug!(target: "beacon::engine", %event);
        self.output(Output::Event(event));
    }

    fn output(&mut self, output: Output) {
        if self.out.len() >= OUTPUTS_MAX
            && let Some(at) = self.out.iter().position(|o| matches!(o, Output::Event(_)))
        {
            self.out.remove(at);
        }
        self.out.push_back(output);
    }

    fn observe(&mut self, peer: PeerId, seen: Observation) {
        self.parts.scorer.observe(self.now, peer, seen);
    }
}
