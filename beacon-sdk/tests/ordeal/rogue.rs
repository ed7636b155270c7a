//! A viewer whose only neighbour is a publisher that is made up frame by frame.

#[path = "../common/mod.rs"]
mod common;

use beacon_sdk::engine::{Input, Output, Parts};
use beacon_sdk::media::{
    Description, Kind, Manifest, PAGE_LEAVES, Playout, SegmentHasher, payload_hash,
};
use beacon_sdk::plugin::Link;
use beacon_sdk::policy::Plain;
use beacon_sdk::wire::{Hello, Message, SymbolHeader};
use beacon_sdk::{
    BroadcastId, Config, Engine, Identity, Instant, Lane, Layout, PeerId, Profile, SegmentId,
    TrackId,
};
use bytes::Bytes;
use std::time::Duration;

pub struct Rogue {
    pub viewer: Engine,
    publisher: Identity,
    broadcast: BroadcastId,
    now: Instant,
    /// Control frames that the viewer has sent.
    pub sent: Vec<Bytes>,
    /// The viewer has not closed the link.
    pub up: bool,
}

/// The policies an application gets by default.
pub fn parts(config: &Config) -> Parts {
    Parts { code: Box::new(Plain), ..common::parts(config) }
}

/// One video track, one stripe.
pub fn description() -> Description {
    let track = common::track(0, Kind::Video { width: 640, height: 360 }, "avc1.42C01F", 1000);
    Description { revision: 0, stripes: 1, segment_us: 100_000, tracks: vec![track], ended: None }
}

/// The manifest of one segment without repair symbols; the digests are filled in later.
pub fn manifest(seq: u32, payload: &[u8]) -> Manifest {
    Manifest {
        id: SegmentId { track: TrackId::default(), seq },
        group_start: true,
        thinned: false,
        revision: 0,
        start: u64::from(seq) * 100,
        duration: 100,
        captured: Instant::from_micros(1 << 50),
        published: Instant::from_micros(1 << 50),
        layout: Layout::new(payload.len() as u32, 64, 0).unwrap(),
        code: 0,
        payload_hash: payload_hash(payload),
        digests: Vec::new(),
    }
}

impl Rogue {
    pub fn new() -> Self {
        let config = Profile::LowLatency.config();
        let parts = parts(&config);
        Self::with(config, parts)
    }

    /// A rogue for a viewer with these settings and policies.
    pub fn with(config: Config, parts: Parts) -> Self {
        let now = Instant::from_micros(1 << 50);
        let publisher = Identity::from_secret([1; 32]);
        let broadcast = BroadcastId { publisher: publisher.public(), epoch: 1 };
        let me = Identity::from_secret([2; 32]);
        let to: PeerId = me.public();
        let viewer = Engine::watch(now, config, [4; 32], me, broadcast, parts).unwrap();
        let mut rogue = Self { viewer, publisher, broadcast, now, sent: Vec::new(), up: true };
        let (peer, binding) = (broadcast.publisher, [8; 32]);
        rogue.input(Input::Connected(Link { peer, binding, dialled: false }));
        let hello = Hello::sign(&rogue.publisher, broadcast, &binding, &to);
        rogue.control(Message::Hello(hello).encode());
        rogue
    }

    pub fn describe(&mut self, description: &Description) {
        let record = description.seal(self.broadcast, &self.publisher);
        self.control(Message::Description(record).encode());
    }

    /// Signs the manifest, with true hashes, and sends it with its pages and symbols.
    pub fn publish(&mut self, manifest: Manifest, payload: &[u8]) {
        let (id, size) = (manifest.id, manifest.layout.symbol_size());
        let padded = self.publish_manifest(manifest, payload);
        for (esi, symbol) in (0_u16..).zip(padded.chunks(size)) {
            self.data(SymbolHeader { segment: id, esi }.frame(symbol));
        }
    }

    /// The same without the symbols, which are given back.
    pub fn publish_manifest(&mut self, mut manifest: Manifest, payload: &[u8]) -> Vec<u8> {
        let id = manifest.id;
        let size = manifest.layout.symbol_size();
        let mut padded = payload.to_vec();
        padded.resize(manifest.layout.padded_len(), 0);
        let hasher = SegmentHasher::new(self.broadcast, id);
        let leaves: Vec<_> = (0_u16..)
            .zip(padded.chunks(size))
            .map(|(esi, symbol)| hasher.leaf(esi, symbol))
            .collect();
        let pages: Vec<Bytes> = leaves.chunks(PAGE_LEAVES).map(|p| p.concat().into()).collect();
        let flat = Manifest::is_flat(&manifest.layout);
        manifest.digests = if flat {
            leaves
        } else {
            (0_u8..).zip(&pages).map(|(at, page)| hasher.page(at, page)).collect()
        };
        let record = manifest.seal(self.broadcast, &self.publisher);
        self.control(Message::Manifest(record).encode());
        for (first, leaves) in (0_u8..).zip(pages).filter(|_| !flat) {
            self.control(Message::Pages { id, first, leaves }.encode());
        }
        padded
    }

    pub fn control(&mut self, frame: Bytes) {
        self.input(Input::Received { from: self.broadcast.publisher, lane: Lane::Control, frame });
    }

    pub fn data(&mut self, frame: Bytes) {
        self.input(Input::Received { from: self.broadcast.publisher, lane: Lane::Data, frame });
    }

    /// Another viewer is a neighbour too; it has the viewer as the parent of the only stripe.
    pub fn child(&mut self) -> PeerId {
        let (child, binding) = (Identity::from_secret([3; 32]), [9; 32]);
        let to = Identity::from_secret([2; 32]).public();
        let fed = Message::Feed { stripe: 0, path: vec![self.broadcast.publisher.short()] };
        self.control(fed.encode());
        self.input(Input::Connected(Link { peer: child.public(), binding, dialled: false }));
        let hello = Hello::sign(&child, self.broadcast, &binding, &to);
        self.say(child.public(), Message::Hello(hello));
        let subscribe = Message::Subscribe { stripes: 1, tracks: 1, from: Instant::ZERO };
        self.say(child.public(), subscribe);
        child.public()
    }

    /// A neighbour says something.
    pub fn say(&mut self, from: PeerId, message: Message) {
        self.input(Input::Received { from, lane: Lane::Control, frame: message.encode() });
    }

    /// Time passes; the publisher answers pings, so that it is not given up.
    pub fn advance(&mut self, span: Duration) {
        self.pass(span, |rogue| rogue.control(Message::Ping(0).encode()));
    }

    /// Time passes, and the publisher says nothing.
    pub fn silence(&mut self, span: Duration) {
        self.pass(span, |rogue| rogue.input(Input::Timeout));
    }

    /// The rendezvous says that the publisher has left.
    pub fn gone(&mut self) {
        self.input(Input::Gone(self.broadcast.publisher));
    }

    fn pass(&mut self, span: Duration, wake: impl Fn(&mut Self)) {
        let until = self.now + span;
        let mut left = 100 + 2 * span.as_millis();
        while self.up && self.viewer.poll_timeout() <= until {
            self.now = self.now.max(self.viewer.poll_timeout());
            wake(self);
            left = left.checked_sub(1).expect("the viewer wakes too often");
        }
        self.now = until;
    }

    /// What is to be played by the end of its time.
    pub fn playout(&mut self) -> Vec<Playout> {
        let items = std::iter::from_fn(|| self.viewer.poll_playout()).take(1 << 16).collect();
        self.drain();
        items
    }

    fn input(&mut self, input: Input) {
        if self.up {
            self.viewer.handle(self.now, input);
            self.drain();
        }
    }

    fn drain(&mut self) {
        let mut left = 1 << 16;
        while let Some(output) = self.viewer.poll_output() {
            left -= 1;
            assert!(left > 0, "the viewer never ends");
            match output {
                Output::Send { frame, .. } => self.sent.push(frame),
                Output::Close { .. } => self.up = false,
                _ => {}
            }
        }
    }
}
