//! One link of an engine, and the transport under it.
#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

mod common;

use beacon_sdk::engine::{Input, Output, Parts};
use beacon_sdk::media::{Kind, Media, Object};
use beacon_sdk::plugin::{CloseReason, Ledger, Link, PeerHint, ReceiptError, Standing, Transfer};
use beacon_sdk::wire::{HAVE_COMPLETE, Have, Hello, Message, SYMBOL_HEADER_LEN};
use beacon_sdk::{
    Config, Engine, Identity, Instant, Lane, PeerId, Profile, Role, SegmentId, TrackId,
};
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Adds up what was sent.
#[derive(Debug)]
struct Sum(Arc<AtomicU64>);
impl Ledger for Sum {
    fn record(&mut self, _: Instant, transfer: Transfer) {
        self.0.fetch_add(transfer.sent.into(), Ordering::Relaxed);
    }
    fn standing(&self, _: PeerId) -> Standing {
        Standing::default()
    }
    fn poll_receipt(&mut self, _: Instant) -> Option<(PeerId, Bytes)> {
        None
    }
    fn accept_receipt(&mut self, _: Instant, _: PeerId, _: &[u8]) -> Result<(), ReceiptError> {
        Err(ReceiptError("none expected"))
    }
}

/// An origin with one child that has a segment of some 40 symbols coming.
struct Origin {
    engine: Engine,
    now: Instant,
    child: PeerId,
    recorded: Arc<AtomicU64>,
    /// Control frames that the child was sent before there was anything to push.
    greeting: Vec<Bytes>,
}

impl Origin {
    fn new(config: Config) -> Self {
        let now = Instant::from_micros(1 << 50);
        let (me, child) = (Identity::from_secret([1; 32]), Identity::from_secret([2; 32]));
        let (id, recorded) = (me.public(), Arc::new(AtomicU64::new(0)));
        let parts = Parts { ledger: Box::new(Sum(recorded.clone())), ..common::parts(&config) };
        let engine = Engine::publish(now, config, [3; 32], me, 1, parts).unwrap();
        let broadcast = engine.broadcast();
        let (child_id, greeting) = (child.public(), Vec::new());
        let mut origin = Self { engine, now, child: child_id, recorded, greeting };
        let video = Kind::Video { width: 640, height: 360 };
        let track = common::track(0, video, "avc1.42C01F", 1000);
        origin.input(Input::Media(Media::Tracks(vec![track])));
        let (peer, binding) = (child.public(), [8; 32]);
        origin.input(Input::Connected(Link { peer, binding, dialled: false }));
        let hello = Hello::sign(&child, broadcast, &binding, &id);
        origin.says(Message::Hello(hello));
        origin.says(Message::Subscribe { stripes: (1 << 17) - 1, tracks: 1, from: Instant::ZERO });
        origin.greeting = origin.controls();
        let object = Object {
            track: TrackId::default(),
            dts: 0,
            cts: 0,
            duration: 40,
            keyframe: true,
            layer: 0,
            captured: now,
            data: vec![7; 40_000].into(),
        };
        origin.input(Input::Media(Media::Object(object)));
        origin.input(Input::End);
        origin
    }

    fn input(&mut self, input: Input) {
        self.engine.handle(self.now, input);
    }

    fn says(&mut self, message: Message) {
        let (from, frame) = (self.child, message.encode());
        self.input(Input::Received { from, lane: Lane::Control, frame });
    }

    /// The control frames that wait for the child; what else there is, is dropped.
    fn controls(&mut self) -> Vec<Bytes> {
        controls(&mut self.engine)
    }

    /// The next symbol frame, if one may go now.
    fn symbol(&mut self) -> Option<Bytes> {
        loop {
            if let Output::Send { lane: Lane::Data, frame, .. } = self.engine.poll_output()? {
                return Some(frame);
            }
        }
    }

    /// The transport gives a symbol back, and has room again.
    fn refuse(&mut self, frame: Bytes) {
        let (to, lane) = (self.child, Lane::Data);
        self.input(Input::Refused { to, lane, frame });
        self.input(Input::Writable { to, lane });
    }
}

/// The control frames that an engine has for its neighbours; what else there is, is dropped.
fn controls(engine: &mut Engine) -> Vec<Bytes> {
    let outputs = std::iter::from_fn(|| engine.poll_output());
    let control = |output| match output {
        Output::Send { lane: Lane::Control, frame, .. } => Some(frame),
        _ => None,
    };
    outputs.filter_map(control).collect()
}

#[test]
fn who_leaves_a_request_unanswered_and_says_nothing_is_not_asked_again() {
    let config = Profile::Live.config();
    let mut origin = Origin::new(config.clone());
    let (broadcast, mut now) = (origin.engine.broadcast(), origin.now);
    let (from, lane) = (broadcast.publisher, Lane::Control);
    let (parts, child) = (common::parts(&config), Identity::from_secret([2; 32]));
    let mut viewer = Engine::watch(now, config, [4; 32], child, broadcast, parts).unwrap();
    let link = Link { peer: from, binding: [8; 32], dialled: true };
    viewer.handle(now, Input::Connected(link));
    // All but the symbols.
    let mut frames = origin.greeting.clone();
    frames.extend(origin.controls());
    let id = SegmentId::default();
    let whole = Have { id, mask: HAVE_COMPLETE };
    frames.push(Message::Have(vec![whole]).encode());
    for frame in frames {
        viewer.handle(now, Input::Received { from, lane, frame });
    }
    // Rounds of requests that go out while time passes.
    let mut wait = |viewer: &mut Engine, ms: u64| {
        let mut rounds = 0;
        for _ in 0..ms / 10 {
            now = now + Duration::from_millis(10);
            viewer.handle(now, Input::Timeout);
            let decoded = controls(viewer).into_iter().filter_map(|f| Message::decode(f).ok());
            rounds += u32::from(decoded.into_iter().any(|m| matches!(m, Message::Request { .. })));
        }
        (now, rounds)
    };
    let (now, asked) = wait(&mut viewer, 500);
    assert_eq!(asked, 1, "it is asked, and then not again");
    let frame = Message::Ping(0).encode();
    viewer.handle(now, Input::Received { from, lane, frame });
    assert_eq!(wait(&mut viewer, 500).1, 1, "it has been heard");
    assert_eq!(wait(&mut viewer, 1000).1, 0);
}

/// The owner's ban ends links, and keeps the peer from others until the rendezvous names it again.
#[test]
fn who_is_sent_away_has_no_link_until_it_is_named_again() {
    let mut origin = Origin::new(Profile::Live.config());
    let (peer, me) = (origin.child, origin.engine.broadcast().publisher);
    let closed = |origin: &mut Origin| {
        let outputs: Vec<Output> = std::iter::from_fn(|| origin.engine.poll_output()).collect();
        outputs.contains(&Output::Close { peer, reason: CloseReason::Done })
            || outputs.contains(&Output::Close { peer, reason: CloseReason::Protocol })
    };
    let link = Link { peer, binding: [9; 32], dialled: false };
    assert!(!closed(&mut origin));
    origin.input(Input::Banned(peer));
    assert!(closed(&mut origin) && origin.engine.neighbours().is_empty());
    origin.input(Input::Connected(link));
    assert!(closed(&mut origin), "it comes by itself");
    let hint = PeerHint { peer, score: 50, role: Role::Leaf, depth: 1, slots: 1 };
    origin.input(Input::Discovered(vec![hint]));
    origin.input(Input::Connected(link));
    assert!(!closed(&mut origin), "pardoned");
    // The origin is not sent away by whoever runs a rendezvous.
    let config = Profile::Live.config();
    let (parts, now) = (common::parts(&config), origin.now);
    let viewer = Identity::from_secret([2; 32]);
    let broadcast = origin.engine.broadcast();
    let mut viewer = Engine::watch(now, config, [4; 32], viewer, broadcast, parts).unwrap();
    viewer.handle(now, Input::Banned(me));
    viewer.handle(now, Input::Connected(Link { peer: me, binding: [8; 32], dialled: true }));
    let outputs: Vec<Output> = std::iter::from_fn(|| viewer.poll_output()).collect();
    assert!(outputs.iter().all(|output| !matches!(output, Output::Close { .. })), "{outputs:?}");
}

#[test]
fn a_symbol_counts_once_however_often_it_was_refused() {
    let mut origin = Origin::new(Profile::Live.config());
    let (mut kept, mut refusals) = (0, 0);
    while let Some(frame) = origin.symbol() {
        if refusals < 3 {
            refusals += 1;
            origin.refuse(frame);
        } else {
            refusals = 0;
            kept += (frame.len() - SYMBOL_HEADER_LEN) as u64;
        }
    }
    assert!(kept > 40_000, "{kept}");
    assert_eq!(origin.engine.stats().bytes_uploaded, kept);
    assert_eq!(origin.engine.links()[0].sent, kept);
    assert_eq!(origin.recorded.load(Ordering::Relaxed), kept);
}

#[test]
fn a_symbol_that_never_went_does_not_count() {
    let mut origin = Origin::new(Profile::Live.config());
    let frame = origin.symbol().unwrap();
    origin.refuse(frame);
    let (peer, reason) = (origin.child, CloseReason::Failed);
    origin.input(Input::Disconnected { peer, reason });
    assert_eq!(origin.symbol(), None);
    assert_eq!(origin.engine.stats().bytes_uploaded, 0);
    assert_eq!(origin.recorded.load(Ordering::Relaxed), 0);
}

#[test]
fn a_refused_symbol_takes_nothing_of_the_upload_limit() {
    let mut config = Profile::Live.config();
    config.upload_bps = Some(1_000_000);
    let mut origin = Origin::new(config);
    origin.now = origin.now + Duration::from_secs(1);
    origin.input(Input::Timeout);
    for _ in 0..100 {
        let frame = origin.symbol().unwrap();
        origin.refuse(frame);
    }
    let burst = std::iter::from_fn(|| origin.symbol()).count();
    assert!((1..10).contains(&burst), "the limit holds for what is taken: {burst}");
}

#[test]
fn a_link_to_oneself_is_closed() {
    let mut origin = Origin::new(Profile::Live.config());
    while origin.engine.poll_output().is_some() {}
    let me = origin.engine.broadcast().publisher;
    origin.input(Input::Connected(Link { peer: me, binding: [9; 32], dialled: true }));
    let close = Output::Close { peer: me, reason: CloseReason::Protocol };
    assert_eq!(origin.engine.poll_output(), Some(close));
    assert_eq!(origin.engine.poll_output(), None);
    assert_eq!(origin.engine.neighbours(), [origin.child]);
}
