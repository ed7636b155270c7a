//! One viewer under measurement: a real origin for its parent, and neighbours that have no
//! engine, only an identity and manners.

use beacon_sdk::engine::{Input, Output, Parts};
use beacon_sdk::media::{Kind, Media, Object, Track};
use beacon_sdk::plugin::Link;
use beacon_sdk::policy::{MeshScore, OpenLedger, Plain, PushPull};
use beacon_sdk::wire::{Hello, Message};
use beacon_sdk::{BroadcastId, Config, Engine, Identity, Instant, Lane, PeerId, Profile, TrackId};
use bytes::Bytes;
use std::time::Duration;

use super::SYMBOL;

/// Length of every segment, as the live profile has it.
pub const SEGMENT: Duration = Duration::from_millis(500);
const TIMESCALE: u64 = 90_000;
/// Bytes by which a payload of one object stays below a whole number of symbols.
const SLACK: usize = 64;

/// The live profile with room for every neighbour of a bench, and without repair symbols: the
/// erasure code has a bench of its own.
pub fn config() -> Config {
    let mut config = Profile::Live.config();
    config.repair_percent = 0;
    config.links_target = 0;
    config.links_max = 64;
    config.push_slots = 64;
    config
}

/// The policies an application gets by default.
pub fn parts(config: &Config) -> Parts {
    Parts {
        scheduler: Box::new(PushPull::new(config)),
        scorer: Box::new(MeshScore::default()),
        ledger: Box::new(OpenLedger::default()),
        code: Box::new(Plain),
    }
}

pub fn identity(at: u8) -> Identity {
    Identity::from_secret([at; 32])
}

pub fn video() -> Track {
    Track {
        id: TrackId::default(),
        kind: Kind::Video { width: 1280, height: 720 },
        codec: "avc1.42C01F".into(),
        config: Bytes::from_static(b"config"),
        timescale: TIMESCALE as u32,
        bitrate: 4_000_000,
        label: String::new(),
    }
}

/// A frame of `len` bytes that lasts `span` and starts at `at` of the media's time.
pub fn object(
    at: Duration,
    span: Duration,
    keyframe: bool,
    len: usize,
    captured: Instant,
) -> Object {
    let ticks = |time: Duration| (time.as_micros() as u64 * TIMESCALE).div_ceil(1_000_000);
    let stamp = captured.as_micros().to_le_bytes();
    Object {
        track: TrackId::default(),
        dts: ticks(at),
        cts: 0,
        duration: ticks(span) as u32,
        keyframe,
        layer: 0,
        captured,
        data: (0..len).map(|i| stamp[i % 8] ^ (i >> 3) as u8).collect(),
    }
}

/// A segment as the origin sent it to the viewer, which has not had it yet.
#[derive(Debug, Default)]
pub struct Fresh {
    /// Manifest and pages.
    pub records: Vec<Bytes>,
    /// Symbol frames, each in an allocation of its own as a transport delivers them.
    pub symbols: Vec<Bytes>,
}

pub struct Stage {
    pub now: Instant,
    pub viewer: Engine,
    pub origin: Engine,
    pub pals: Vec<PeerId>,
    viewer_id: PeerId,
    origin_id: PeerId,
    segments: u32,
    fresh: Fresh,
    /// Control frames that were drained and are answered when the stage settles.
    unanswered: Vec<(PeerId, Bytes)>,
}

impl Stage {
    /// A viewer that the origin feeds, with `pals` further neighbours of which the first
    /// `children` take every stripe.
    pub fn new(config: &Config, pals: u8, children: u8) -> Self {
        let now = Instant::from_micros(1_000_000_000);
        let origin =
            Engine::publish(now, config.clone(), [1; 32], identity(1), 5, parts(config)).unwrap();
        let broadcast = origin.broadcast();
        let viewer =
            Engine::watch(now, config.clone(), [2; 32], identity(2), broadcast, parts(config));
        let mut stage = Self {
            now,
            viewer: viewer.unwrap(),
            origin,
            pals: Vec::new(),
            viewer_id: identity(2).public(),
            origin_id: identity(1).public(),
            segments: 0,
            fresh: Fresh::default(),
            unanswered: Vec::new(),
        };
        stage.origin.handle(now, Input::Media(Media::Tracks(vec![video()])));
        let link = |peer, dialled| Link { peer, binding: [3; 32], dialled };
        stage.viewer.handle(now, Input::Connected(link(stage.origin_id, true)));
        stage.origin.handle(now, Input::Connected(link(stage.viewer_id, false)));
        stage.run(Duration::from_secs(1));
        let fed = stage.viewer.parents().iter().filter(|parent| parent.is_some()).count();
        assert_eq!(fed, usize::from(config.stripes), "the origin feeds every stripe");
        for at in 0..pals {
            stage.befriend(&identity(10 + at), broadcast, at < children);
        }
        assert_eq!(stage.viewer.stats().children, u64::from(children) * u64::from(config.stripes));
        // Playout starts with the first group: without one, the viewer would look for it.
        let first = stage.segment(4);
        stage.take_in(first.records);
        stage.receive(first.symbols);
        stage.run(SEGMENT);
        stage
    }

    fn befriend(&mut self, pal: &Identity, broadcast: BroadcastId, child: bool) {
        let (id, binding) = (pal.public(), [4; 32]);
        self.viewer.handle(self.now, Input::Connected(Link { peer: id, binding, dialled: true }));
        let hello = Hello::sign(pal, broadcast, &binding, &self.viewer_id);
        self.says(id, &Message::Hello(hello));
        if child {
            let stripes = (1 << self.viewer.parents().len().saturating_sub(1)) - 1;
            self.says(id, &Message::Subscribe { stripes, tracks: 1, from: Instant::ZERO });
        }
        self.pals.push(id);
        self.settle();
    }

    /// A neighbour sends a control message.
    pub fn says(&mut self, from: PeerId, message: &Message) {
        let frame = message.encode();
        self.viewer.handle(self.now, Input::Received { from, lane: Lane::Control, frame });
    }

    /// The origin publishes a segment of `symbols` symbols; the viewer has none of it yet.
    pub fn segment(&mut self, symbols: usize) -> Fresh {
        let len = symbols * SYMBOL - SLACK;
        let frame = object(SEGMENT * self.segments, SEGMENT, true, len, self.now);
        self.segments += 1;
        self.origin.handle(self.now, Input::Media(Media::Object(frame)));
        self.settle();
        let fresh = core::mem::take(&mut self.fresh);
        assert_eq!(fresh.symbols.len(), symbols, "the origin pushes every symbol");
        fresh
    }

    /// The viewer gets manifest and pages.
    pub fn take_in(&mut self, records: Vec<Bytes>) {
        for frame in records {
            self.viewer.handle(self.now, self.control(frame));
        }
        self.settle();
    }

    /// The viewer gets symbols and hands them on; gives back how many frames that made. A function
    /// of its own, so that a profiler can be told to look at nothing else.
    #[inline(never)]
    pub fn receive(&mut self, symbols: Vec<Bytes>) -> u64 {
        let mut sent = 0;
        for frame in symbols {
            let from = self.origin_id;
            self.viewer.handle(self.now, Input::Received { from, lane: Lane::Data, frame });
            sent += self.drain();
        }
        sent
    }

    /// Takes what the viewer sends, as a driver does; gives back how many frames carry symbols.
    pub fn drain(&mut self) -> u64 {
        let mut sent = 0;
        while let Some(output) = self.viewer.poll_output() {
            match std::hint::black_box(output) {
                Output::Send { lane: Lane::Data, .. } => sent += 1,
                Output::Send { to, frame, .. } => self.unanswered.push((to, frame)),
                _ => {}
            }
        }
        sent
    }

    pub fn control(&self, frame: Bytes) -> Input {
        Input::Received { from: self.origin_id, lane: Lane::Control, frame }
    }

    /// Passes frames on until nobody has anything to say.
    pub fn settle(&mut self) {
        loop {
            let mut quiet = true;
            while let Some(output) = self.origin.poll_output() {
                quiet = false;
                let Output::Send { lane, frame, .. } = output else { continue };
                match lane {
                    Lane::Data => self.fresh.symbols.push(Bytes::copy_from_slice(&frame)),
                    Lane::Control => match Message::decode(frame.clone()) {
                        Ok(Message::Manifest(_) | Message::Pages { .. }) => {
                            self.fresh.records.push(frame);
                        }
                        _ => self.viewer.handle(self.now, self.control(frame)),
                    },
                }
            }
            self.drain();
            for (to, frame) in core::mem::take(&mut self.unanswered) {
                quiet = false;
                self.answer(to, frame);
            }
            while self.viewer.poll_playout().is_some() {}
            while self.origin.poll_playout().is_some() {}
            if quiet {
                return;
            }
        }
    }

    fn answer(&mut self, to: PeerId, frame: Bytes) {
        if to == self.origin_id {
            let (from, lane) = (self.viewer_id, Lane::Control);
            self.origin.handle(self.now, Input::Received { from, lane, frame });
        } else if let Ok(Message::Ping(token)) = Message::decode(frame) {
            self.says(to, &Message::Pong(token));
        }
    }

    /// Lets time pass; whatever the origin sends is lost but for what keeps the link.
    pub fn run(&mut self, span: Duration) {
        let until = self.now + span;
        loop {
            self.settle();
            let next = self.viewer.poll_timeout().min(self.origin.poll_timeout());
            if next > until {
                break;
            }
            // A wait that is over now must still end.
            self.now = next.max(self.now + Duration::from_micros(1));
            self.viewer.handle(self.now, Input::Timeout);
            self.origin.handle(self.now, Input::Timeout);
        }
        self.now = until.max(self.now);
        self.fresh = Fresh::default();
    }
}
