//! Golden vectors: the bytes of everything that leaves a peer, under fixed keys.
//!
//! A failure means that the protocol has changed: peers of before and after do not understand
//! each other. If that is meant, raise the version (SPEC §8) and write the vectors anew with
//!
//! ```text
//! GOLDEN=write cargo test -p beacon-sdk --test golden
//! ```
#![allow(clippy::unwrap_used, missing_docs, unreachable_pub, dead_code)]

#[path = "swarm/net.rs"]
mod net;

use beacon_sdk::engine::{Input, Output, Parts};
use beacon_sdk::media::{
    Description, Kind, Manifest, Media, Object, SegmentHasher, Track, payload_hash,
};
use beacon_sdk::plugin::Link;
use beacon_sdk::policy::{OpenLedger, Plain, PushPull};
use beacon_sdk::wire::{
    Census, FarewellReason, HAVE_COMPLETE, HAVE_GROUP_START, Have, Hello, Message, RefuseReason,
    Span, Status, SymbolHeader,
};
use beacon_sdk::{
    BroadcastId, Engine, Identity, Instant, Lane, Layout, Profile, SegmentId, Ticket, TrackId,
};
use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;

/// Named vectors, as lines of `name hex`.
struct Vectors(String);

impl Vectors {
    fn new() -> Self {
        Self(String::new())
    }

    fn put(&mut self, name: &str, bytes: impl AsRef<[u8]>) {
        let hex: String = bytes.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        let _ = writeln!(self.0, "{name} {hex}");
    }

    fn text(&mut self, name: &str, text: &str) {
        let _ = writeln!(self.0, "{name} {text}");
    }

    /// Compares with what is checked in, line by line.
    fn hold(&self, file: &str, golden: &str) {
        if std::env::var("GOLDEN").is_ok_and(|what| what == "write") {
            let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
            std::fs::write(folder.join(file), &self.0).unwrap();
            return;
        }
        for (now, then) in self.0.lines().zip(golden.lines()) {
            assert_eq!(now, then, "golden/{file}: the protocol has changed");
        }
        assert_eq!(self.0.lines().count(), golden.lines().count(), "golden/{file}");
    }
}

fn publisher() -> Identity {
    Identity::from_secret([1; 32])
}

fn viewer() -> Identity {
    Identity::from_secret([2; 32])
}

fn broadcast() -> BroadcastId {
    BroadcastId { publisher: publisher().public(), epoch: 0x0102_0304_0506_0708 }
}

fn track(id: u8) -> TrackId {
    TrackId::new(id).unwrap()
}

fn segment() -> SegmentId {
    SegmentId { track: track(3), seq: 0x0a0b_0c0d }
}

fn signed_hello() -> Hello {
    let mut hello = Hello {
        version_min: 1,
        version_max: 1,
        broadcast: broadcast(),
        peer: viewer().public(),
        signature: [0; 64],
    };
    let transcript = hello.transcript(&[7; 32], &publisher().public());
    hello.signature = viewer().sign(Hello::CONTEXT, &transcript);
    hello
}

fn messages() -> Vec<(&'static str, Message)> {
    let peers = vec![publisher().public(), viewer().public()];
    let spans = vec![Span { base: 5, mask: 0x8000_0000_0000_0001 }, Span { base: 900, mask: 6 }];
    let have = Have { id: segment(), mask: HAVE_COMPLETE | HAVE_GROUP_START | 0b101 };
    let other = Have { id: SegmentId { track: track(63), seq: 1 }, mask: 0 };
    let status =
        Status { tracks: 3, slots: 16, depth: vec![0, 1, 7, 255], bar: vec![0, 8, 1, 255] };
    let record = Bytes::from_static(b"record");
    let census = |stripe, viewers| Census { stripe, viewers, slots: 0x0102_0304 };
    let census = vec![census(0, 1), census(16, u32::MAX)];
    vec![
        ("hello", Message::Hello(signed_hello())),
        ("farewell", Message::Farewell { reason: FarewellReason::Full, peers: peers.clone() }),
        (
            "farewell-protocol",
            Message::Farewell { reason: FarewellReason::Protocol, peers: vec![] },
        ),
        ("ping", Message::Ping(0x1122_3344_5566_7788)),
        ("pong", Message::Pong(u64::MAX)),
        ("peers", Message::Peers(peers)),
        ("description", Message::Description(record.clone())),
        ("status", Message::Status(status)),
        (
            "subscribe",
            Message::Subscribe {
                stripes: 0x1_00ff,
                tracks: 1 << 63,
                from: Instant::from_micros(1_700_000_000_250_000),
            },
        ),
        ("unsubscribe", Message::Unsubscribe { stripes: 2, from: Instant::ZERO }),
        ("feed", Message::Feed { stripe: 16, path: vec![0xdead_beef, 1] }),
        ("refuse", Message::Refuse { stripe: 4, reason: RefuseReason::Unavailable }),
        ("manifest", Message::Manifest(record.clone())),
        ("pages", Message::Pages { id: segment(), first: 127, leaves: vec![9; 64].into() }),
        ("have", Message::Have(vec![have, other])),
        ("request", Message::Request { id: segment(), spans: spans.clone() }),
        ("busy", Message::Busy { id: segment(), spans }),
        ("cancel", Message::Cancel(segment())),
        ("fetch", Message::Fetch(segment())),
        ("fetch-tail", Message::FetchTail { tracks: 0b1011 }),
        ("receipt", Message::Receipt(record.clone())),
        (
            "equivocation",
            Message::Equivocation { first: record, second: Bytes::from_static(b"other") },
        ),
        ("census", Message::Census(census)),
    ]
}

#[test]
fn wire() {
    let mut vectors = Vectors::new();
    for (name, message) in messages() {
        let frame = message.encode();
        vectors.put(name, &frame);
        assert_eq!(Message::decode(frame), Ok(message), "{name}");
    }
    let header = SymbolHeader { segment: segment(), esi: 0x0102 };
    vectors.put("symbol", header.frame(&[0xaa; 64]));
    let hello = signed_hello();
    vectors.put("hello-transcript", hello.transcript(&[7; 32], &publisher().public()));
    vectors.put("key", publisher().public().as_bytes());
    vectors.hold("wire.txt", include_str!("golden/wire.txt"));
}

fn tracks() -> Vec<Track> {
    let (video, audio) =
        (Kind::Video { width: 1280, height: 720 }, Kind::Audio { rate: 48_000, channels: 2 });
    let track = |id, kind, codec: &str, timescale, config: &[u8], label: &str| Track {
        id: track(id),
        kind,
        codec: codec.into(),
        config: Bytes::copy_from_slice(config),
        timescale,
        bitrate: 2_500_000,
        label: label.into(),
    };
    vec![
        track(0, video, "avc1.42C01F", 90_000, &[1, 66, 192, 31], "720p"),
        track(9, audio, "opus", 48_000, &[], "Ænglisc"),
    ]
}

fn manifest(len: u32, repair: u16) -> Manifest {
    let layout = Layout::new(len, 64, repair).unwrap();
    let id = SegmentId { track: track(9), seq: 70_000 };
    let hasher = SegmentHasher::new(broadcast(), id);
    let leaf = |esi: u16| hasher.leaf(esi, &[esi as u8; 64]);
    let leaves: Vec<_> = (0..layout.total()).map(leaf).collect();
    let pages = (0_u8..).zip(leaves.chunks(32)).map(|(at, page)| hasher.page(at, &page.concat()));
    Manifest {
        id,
        group_start: true,
        thinned: false,
        revision: 2,
        start: 0xffff_ffff_ffff,
        duration: 45_000,
        captured: Instant::from_micros(1_700_000_000_000_000),
        published: Instant::from_micros(1_700_000_000_500_000),
        layout,
        code: 1,
        payload_hash: payload_hash(b"payload"),
        digests: if Manifest::is_flat(&layout) { leaves.clone() } else { pages.collect() },
    }
}

#[test]
fn records() {
    let mut vectors = Vectors::new();
    let mut description =
        Description { revision: 0, stripes: 8, segment_us: 500_000, tracks: tracks(), ended: None };
    let live = description.seal(broadcast(), &publisher());
    assert_eq!(Description::open(broadcast(), &live), Ok(description.clone()));
    vectors.put("description", live);
    description.revision = 1;
    description.ended = Some(vec![120, 0x0102_0304]);
    vectors.put("description-ended", description.seal(broadcast(), &publisher()));
    let thinned = Manifest { thinned: true, group_start: false, ..manifest(64, 0) };
    for (name, manifest) in
        [("flat", manifest(1000, 4)), ("paged", manifest(64 * 60, 6)), ("thinned", thinned)]
    {
        let record = manifest.seal(broadcast(), &publisher());
        assert_eq!(Manifest::open(broadcast(), &record), Ok(manifest), "{name}");
        vectors.put(&format!("manifest-{name}"), record);
    }
    let hasher = SegmentHasher::new(broadcast(), segment());
    vectors.put("leaf", hasher.leaf(258, &[0xaa; 64]));
    vectors.put("page", hasher.page(1, &[0xbb; 96]));
    vectors.hold("records.txt", include_str!("golden/records.txt"));
}

#[test]
fn tickets() {
    let mut vectors = Vectors::new();
    let rendezvous = vec!["wss://example.org/beacon".to_owned(), "ws://10.0.0.1:3001".to_owned()];
    let mut ticket = Ticket { broadcast: broadcast(), name: "späť".into(), rendezvous };
    for name in ["full", "bare"] {
        vectors.text(name, &ticket.to_string());
        assert_eq!(ticket.to_string().parse(), Ok(ticket.clone()));
        ticket.rendezvous.clear();
    }
    vectors.hold("tickets.txt", include_str!("golden/tickets.txt"));
}

/// What is signed and sealed, as an origin sends it to a subscriber of everything: description,
/// manifest, and the payload in its symbols. What else it says, and when, is policy.
#[test]
fn a_published_segment() {
    let mut config = Profile::LowLatency.config();
    config.stripes = 2;
    let parts = Parts {
        scheduler: Box::new(PushPull::new(&config)),
        scorer: Box::new(net::FlatScorer),
        ledger: Box::new(OpenLedger::default()),
        code: Box::new(Plain),
    };
    let now = Instant::from_micros(1_700_000_000_000_000);
    let epoch = broadcast().epoch;
    let mut engine = Engine::publish(now, config, [3; 32], publisher(), epoch, parts).unwrap();
    let mut vectors = Vectors::new();
    let from = viewer().public();
    let control = |frame| Input::Received { from, lane: Lane::Control, frame };
    let subscribe = Message::Subscribe { stripes: 7, tracks: u64::MAX, from: Instant::ZERO };
    let object = |dts, cts, keyframe, layer, len| Object {
        track: track(0),
        dts,
        cts,
        duration: 3000,
        keyframe,
        layer,
        captured: Instant::from_micros(1_699_999_999_990_000 + dts * 11),
        data: vec![layer + 1; len].into(),
    };
    let inputs = [
        Input::Media(Media::Tracks(tracks())),
        Input::Connected(Link { peer: from, binding: [7; 32], dialled: false }),
        control(Message::Hello(signed_hello()).encode()),
        control(subscribe.encode()),
        Input::Media(Media::Object(object(90_000, 3000, true, 0, 1500))),
        Input::Media(Media::Object(object(93_000, -3000, false, 1, 20))),
        Input::Media(Media::Object(object(96_000, 0, false, 7, 1))),
        Input::End,
    ];
    for input in inputs {
        engine.handle(now, input);
        assert_eq!(engine.take_publish_error(), None);
        while let Some(output) = engine.poll_output() {
            let Output::Send { lane, frame, .. } = output else { continue };
            let name = match (lane, Message::decode(frame.clone())) {
                (Lane::Data, _) => "symbol",
                (_, Ok(Message::Description(_))) => "description",
                (_, Ok(Message::Manifest(_))) => "manifest",
                (_, Ok(Message::Pages { .. })) => "pages",
                _ => continue,
            };
            vectors.put(name, frame);
        }
    }
    vectors.hold("published.txt", include_str!("golden/published.txt"));
}

/// The whole engine, every decision of it: the hash of the log of one swarm of seven with losses
/// and a death. It changes whenever any policy does; then take the new number from the failure,
/// after a look at why it changed. It must be the same on every platform.
#[test]
fn a_swarm() {
    const LOG: &str = "cb67f92799decbeb5c0e180625006584";
    let config = Profile::Live.config();
    let mut limited = config.clone();
    limited.links_max = 2;
    limited.links_target = 2;
    let mut net = net::Net::new(11, 6, &config, &limited);
    net.loss = 20;
    for at in 1..=6 {
        net.introduce(at, net::ms(50 * at as u64));
    }
    net.run(net::ms(5000));
    net.kill(1);
    net.run(net::ms(3000));
    let hash = Sha256::digest(net.log.as_bytes());
    let hash: String = hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hash, LOG, "{} lines", net.log.lines().count());
}
