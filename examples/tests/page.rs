//! The page, fed by a live test pattern: what HTTP clients and browsers get.
#![allow(clippy::unwrap_used)]

use beacon_codec_lite::{TestPattern, TestPatternOptions};
use beacon_examples::page::message::{END, FRAGMENT, GAP, HEADER_BYTES, INIT};
use beacon_examples::page::{Page, PageError, PageSink};
use beacon_mux::Reader;
use beacon_sdk::media::{Media, Object, Playout, Track};
use beacon_sdk::{SegmentId, Sink, Snapshot, Source, TrackId};
use futures_util::StreamExt;
use mp4_atom::Decode;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Cursor;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, client_async};

const HANG: Duration = Duration::from_secs(60);

async fn page() -> Page {
    Page::bind("127.0.0.1:0".parse().unwrap()).await.unwrap()
}

/// Cuts a source into segments of 500 ms, as the engine does, and writes them as they are ready.
struct Feeder<S> {
    source: S,
    tracks: Vec<Track>,
    open: BTreeMap<TrackId, (u32, Vec<Object>)>,
}

impl Feeder<TestPattern> {
    fn new() -> Self {
        let group = Duration::from_millis(1000);
        let options =
            TestPatternOptions { width: 320, height: 180, group, ..TestPatternOptions::default() };
        let source = TestPattern::new(options).unwrap();
        Self { source, tracks: Vec::new(), open: BTreeMap::new() }
    }
}

impl<S: Source> Feeder<S> {
    async fn step(&mut self, sink: &mut PageSink) {
        match self.source.next().await.unwrap().unwrap() {
            Media::Tracks(tracks) => {
                self.tracks.clone_from(&tracks);
                sink.write(Playout::Tracks(tracks)).await.unwrap();
            }
            Media::Object(object) => {
                let track = self.tracks.iter().find(|track| track.id == object.track).unwrap();
                let (seq, objects) = self.open.entry(track.id).or_default();
                let slot = |object: &Object| track.micros(object.dts) / 500_000;
                if objects.first().is_some_and(|first| slot(first) != slot(&object)) {
                    let objects = std::mem::take(objects);
                    let id = SegmentId { track: track.id, seq: *seq };
                    *seq += 1;
                    let group_start = objects[0].keyframe;
                    sink.write(Playout::Segment { id, group_start, objects }).await.unwrap();
                }
                self.open.get_mut(&object.track).unwrap().1.push(object);
            }
        }
    }

    /// Feeds until that many video segments have been written.
    async fn until(&mut self, sink: &mut PageSink, segments: u32) {
        let video = TrackId::default();
        while self.open.get(&video).is_none_or(|(seq, _)| *seq < segments) {
            timeout(HANG, self.step(sink)).await.unwrap();
        }
    }
}

async fn get(addr: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    let request = format!("{request}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    timeout(HANG, stream.read_to_end(&mut answer)).await.unwrap().unwrap();
    String::from_utf8(answer).unwrap()
}

type Socket = WebSocketStream<TcpStream>;

async fn watch_page(addr: SocketAddr) -> Socket {
    let stream = TcpStream::connect(addr).await.unwrap();
    client_async(format!("ws://{addr}/stream"), stream).await.unwrap().0
}

/// The next media or notice of the tracks, without the counters.
async fn next(socket: &mut Socket) -> Message {
    loop {
        let message = timeout(HANG, socket.next()).await.unwrap().unwrap().unwrap();
        if !message.is_text() || message.to_text().unwrap().starts_with("{\"tracks\"") {
            return message;
        }
    }
}

/// What a browser would append, per track, up to the end of that many video fragments.
async fn collect(socket: &mut Socket, fragments: usize) -> BTreeMap<u8, Vec<u8>> {
    let mut files = BTreeMap::<u8, Vec<u8>>::new();
    let mut seen = 0;
    while seen < fragments {
        let message = next(socket).await;
        let Message::Binary(bytes) = message else { continue };
        let (kind, track) = (bytes[0], bytes[1]);
        assert!([INIT, FRAGMENT].contains(&kind), "{kind}");
        let file = files.entry(track).or_default();
        assert_eq!(kind == INIT, file.is_empty(), "one init segment comes first");
        file.extend_from_slice(&bytes[HEADER_BYTES..]);
        seen += usize::from(kind == FRAGMENT && track == 0);
    }
    files
}

fn objects(file: &[u8]) -> Vec<Object> {
    let mut reader = Reader::open(Cursor::new(file)).unwrap();
    assert!(!reader.torn());
    std::iter::from_fn(|| reader.next_object().unwrap()).collect()
}

#[tokio::test]
async fn what_streams_is_the_broadcast() {
    let page = page().await;
    let mut sink = page.sink();
    let mut feeder = Feeder::new();
    feeder.until(&mut sink, 1).await;
    let mut socket = watch_page(page.addr()).await;
    let Message::Text(tracks) = next(&mut socket).await else { panic!("the tracks come first") };
    let tracks: serde_json::Value = serde_json::from_str(&tracks).unwrap();
    let list = &tracks["tracks"]["list"];
    assert!(list[0]["mime"].as_str().unwrap().starts_with("video/mp4; codecs=\"avc1."), "{list}");
    assert_eq!(list[0]["kind"]["video"]["width"], 320);
    assert_eq!(list[1]["mime"], "audio/mp4; codecs=\"opus\"");

    let feed = async { feeder.until(&mut sink, 7).await };
    let (files, ()) = tokio::join!(collect(&mut socket, 6), feed);
    let pictures = objects(&files[&0]);
    assert!(pictures[0].keyframe);
    // A busy machine leaves frames out.
    assert!(pictures.len() > 6, "{} pictures in 3 s", pictures.len());
    assert!(objects(&files[&1]).len() > 10, "packets of 20 ms in more than 2 s");
    // An independent parser agrees on the form.
    for (track, file) in &files {
        let mut rest = &file[..];
        let mut kinds = Vec::new();
        while !rest.is_empty() {
            kinds.push(mp4_atom::Any::decode(&mut rest).unwrap().kind().to_string());
        }
        assert_eq!(kinds[..4], ["ftyp", "moov", "moof", "mdat"], "track {track}");
    }
}

#[tokio::test]
async fn a_late_browser_starts_at_the_newest_group_with_a_second_of_media() {
    let page = page().await;
    let mut sink = page.sink();
    let track = pattern_track().await;
    sink.write(Playout::Tracks(vec![track.clone()])).await.unwrap();
    // Groups of a second; the fourth has half of one.
    for seq in 0..7 {
        let id = SegmentId { track: track.id, seq };
        let group_start = seq % 2 == 0;
        let objects = vec![Object { keyframe: group_start, ..still(&track, seq, 100) }];
        sink.write(Playout::Segment { id, group_start, objects }).await.unwrap();
    }
    let mut socket = watch_page(page.addr()).await;
    let pictures = objects(&collect(&mut socket, 3).await[&0]);
    assert_eq!(pictures.iter().map(|o| o.dts / 45_000).collect::<Vec<_>>(), [4, 5, 6]);
}

#[tokio::test]
async fn frames_left_out_are_no_discontinuity_and_shown_when_they_were() {
    let page = page().await;
    let mut sink = page.sink();
    let track = pattern_track().await;
    sink.write(Playout::Tracks(vec![track.clone()])).await.unwrap();
    let mut socket = watch_page(page.addr()).await;
    // Between the segments, nothing came for half a second.
    for (seq, at) in [(0, 0), (1, 2), (2, 3)] {
        let id = SegmentId { track: track.id, seq };
        let objects = vec![Object { keyframe: seq == 0, ..still(&track, at, 100) }];
        sink.write(Playout::Segment { id, group_start: seq == 0, objects }).await.unwrap();
    }
    let pictures = objects(&collect(&mut socket, 3).await[&0]);
    let times: Vec<_> = pictures.iter().map(|o| (o.dts, i64::from(o.cts))).collect();
    assert_eq!(times, [(0, 0), (45_000, 45_000), (135_000, 0)]);
}

#[tokio::test]
async fn gaps_and_new_descriptions_are_told() {
    let page = page().await;
    let mut sink = page.sink();
    let mut feeder = Feeder::new();
    feeder.until(&mut sink, 1).await;
    let mut socket = watch_page(page.addr()).await;
    collect(&mut socket, 1).await;

    let video = TrackId::default();
    sink.write(Playout::Gap { id: SegmentId { track: video, seq: 1 } }).await.unwrap();
    // The second half of the group is not decodable; the group after it is.
    feeder.until(&mut sink, 3).await;
    let (mut told, mut after) = (false, None);
    while after.is_none() {
        match next(&mut socket).await {
            Message::Binary(bytes) if bytes[1] == 0 => match bytes[0] {
                GAP => told = true,
                kind => after = Some((kind, bytes[2])),
            },
            _ => {}
        }
    }
    assert!(told);
    assert_eq!(after, Some((FRAGMENT, 1)), "the next picture is one to start at");

    let mut tracks = feeder.tracks.clone();
    sink.write(Playout::Tracks(tracks.clone())).await.unwrap();
    tracks[0].label = "renamed".to_owned();
    sink.write(Playout::Tracks(tracks)).await.unwrap();
    let message = loop {
        match next(&mut socket).await {
            Message::Text(text) => break text,
            message => assert_eq!(message.into_data()[0], FRAGMENT),
        }
    };
    assert!(message.contains("renamed"), "the same list again is not told again: {message}");
    let inits = [next(&mut socket).await, next(&mut socket).await];
    assert_eq!(inits.map(|init| init.into_data()[0]), [INIT, INIT]);

    sink.write(Playout::End).await.unwrap();
    sink.finish().await.unwrap();
    assert_eq!(next(&mut socket).await.into_data()[0], END);
}

#[tokio::test]
async fn a_stalled_browser_holds_nobody_up_and_comes_back_at_the_newest_group() {
    let page = page().await;
    let mut sink = page.sink();
    let track = Track { bitrate: 0, ..pattern_track().await };
    sink.write(Playout::Tracks(vec![track.clone()])).await.unwrap();
    let mut stalled = watch_page(page.addr()).await;
    let mut keen = watch_page(page.addr()).await;
    assert!(next(&mut stalled).await.is_text());
    assert!(next(&mut keen).await.is_text());
    assert_eq!(next(&mut keen).await.into_data()[0], INIT);

    // 200 MB, far more than the log and all socket buffers hold; nobody waits for the stalled one.
    let segments = 400_u32;
    for seq in 0..segments {
        let id = SegmentId { track: track.id, seq };
        let objects = vec![still(&track, seq, 500_000)];
        let write = sink.write(Playout::Segment { id, group_start: true, objects });
        timeout(HANG, write).await.unwrap().unwrap();
        let message = next(&mut keen).await.into_data();
        assert_eq!((message[0], message[2]), (FRAGMENT, 1), "segment {seq}");
    }
    let mut kinds = Vec::new();
    let last = loop {
        let message = next(&mut stalled).await;
        let Message::Binary(bytes) = message else {
            kinds.push(0);
            continue;
        };
        kinds.push(bytes[0]);
        let mut reader = match bytes[0] {
            INIT | GAP => continue,
            _ => &bytes[HEADER_BYTES..],
        };
        let mp4_atom::Any::Moof(moof) = mp4_atom::Any::decode(&mut reader).unwrap() else {
            panic!("a fragment begins with moof")
        };
        if moof.mfhd.sequence_number == segments {
            break kinds.len();
        }
    };
    assert!(last < 150, "{last} messages: what is old is skipped, not sent late");
    let again = kinds.iter().rposition(|kind| *kind == 0).unwrap();
    assert_eq!(kinds[again..again + 3], [0, INIT, GAP], "it is told what it missed");
}

/// One object that begins a group, as long as half a second.
fn still(track: &Track, seq: u32, bytes: usize) -> Object {
    Object {
        track: track.id,
        dts: u64::from(seq) * 45_000,
        cts: 0,
        duration: 45_000,
        keyframe: true,
        layer: 0,
        captured: beacon_sdk::Instant::ZERO,
        data: vec![7; bytes].into(),
    }
}

async fn pattern_track() -> Track {
    let mut source = TestPattern::new(TestPatternOptions::default()).unwrap();
    match timeout(HANG, source.next()).await.unwrap().unwrap() {
        Some(Media::Tracks(mut tracks)) => tracks.remove(0),
        _ => panic!("the first item names the tracks"),
    }
}

#[tokio::test]
async fn endpoints_answer_get_and_nothing_else() {
    let page = page().await;
    let addr = page.addr();
    let mut snapshot = Snapshot::default();
    snapshot.stats.peers = 7;
    let (_sender, snapshots) = watch::channel(snapshot.clone());
    page.show("a name", snapshots);
    let host = format!("Host: {addr}");

    let answer = get(addr, &format!("GET / HTTP/1.1\r\n{host}")).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let header = answer.split_once("\r\n\r\n").unwrap().0.to_ascii_lowercase();
    for expected in ["content-security-policy: default-src 'none'", "nosniff", "text/html"] {
        assert!(header.contains(expected), "{expected} in {header}");
    }
    // Everything that the page and its files name is there.
    let mut texts = vec![answer];
    let mut seen = BTreeSet::new();
    while let Some(text) = texts.pop() {
        // All lie in one folder: what is named from a file is named from the page.
        let named = text.split(['"', '\'']).map(|part| part.strip_prefix('.').unwrap_or(part));
        let named = named.filter(|part| part.starts_with('/'));
        for part in named.filter(|part| part.contains('.') && !part.contains(' ')) {
            if seen.insert(part.to_owned()) {
                let file = get(addr, &format!("GET {part} HTTP/1.1\r\n{host}")).await;
                assert!(file.starts_with("HTTP/1.1 200"), "{part}: {file}");
                texts.push(file);
            }
        }
    }
    assert_eq!(seen.len(), 9, "{seen:?}");

    let stats = get(addr, &format!("GET /stats HTTP/1.1\r\n{host}")).await;
    let body = stats.split_once("\r\n\r\n").unwrap().1;
    assert_eq!(serde_json::from_str::<Snapshot>(body).unwrap(), snapshot);
    let health = get(addr, &format!("GET /healthz HTTP/1.1\r\n{host}")).await;
    assert!(health.ends_with("\r\n\r\nok\n"), "{health}");

    for (request, status) in [
        ("POST / HTTP/1.1\r\nContent-Length: 0", 405),
        ("DELETE /stats HTTP/1.1", 405),
        ("GET /../Cargo.toml HTTP/1.1", 404),
        ("GET /nothing HTTP/1.1", 404),
        ("GET /stream HTTP/1.1", 426),
    ] {
        let answer = get(addr, &format!("{request}\r\n{host}")).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{request}: {answer}");
    }
    let rebound = get(addr, "GET /stats HTTP/1.1\r\nHost: evil.example").await;
    assert!(rebound.starts_with("HTTP/1.1 421"), "{rebound}");
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: http://evil.example";
    let foreign = get(addr, &format!("GET /stream HTTP/1.1\r\n{host}\r\n{upgrade}")).await;
    assert!(foreign.starts_with("HTTP/1.1 403"), "{foreign}");
    let long = format!("GET / HTTP/1.1\r\n{host}\r\nX: {}", "x".repeat(40_000));
    let answer = get(addr, &long).await;
    assert!(answer.starts_with("HTTP/1.1 431") || answer.starts_with("HTTP/1.1 400"), "{answer}");
}

#[tokio::test]
async fn counters_come_along_and_closing_is_told() {
    let page = page().await;
    let (sender, snapshots) = watch::channel(Snapshot::default());
    page.show("a name", snapshots);
    let mut socket = watch_page(page.addr()).await;
    sender.send_modify(|snapshot| snapshot.stats.bytes_from_peers = 42);
    loop {
        let message = timeout(HANG, socket.next()).await.unwrap().unwrap().unwrap();
        let told: serde_json::Value = serde_json::from_str(message.to_text().unwrap()).unwrap();
        assert_eq!(told["stats"]["name"], "a name");
        assert_eq!(told["stats"]["browsers"], 1);
        if told["stats"]["snapshot"]["stats"]["bytes_from_peers"] == 42 {
            break;
        }
    }
    let addr = page.addr();
    let (_, closed) = tokio::join!(timeout(HANG, page.close()), async {
        while let Some(Ok(message)) = socket.next().await {
            if let Message::Close(frame) = message {
                return frame.map(|frame| frame.reason.to_string());
            }
        }
        None
    });
    assert_eq!(closed.as_deref(), Some("the viewer has stopped"));
    assert!(TcpStream::connect(addr).await.is_err(), "the port is free again");
}

#[tokio::test]
async fn browsers_have_a_maximum_and_say_nothing() {
    let page = page().await;
    let addr = page.addr();
    let mut sockets = Vec::new();
    let refused = loop {
        let stream = TcpStream::connect(addr).await.unwrap();
        match timeout(HANG, client_async(format!("ws://{addr}/stream"), stream)).await.unwrap() {
            Ok((socket, _)) => sockets.push(socket),
            Err(error) => break error.to_string(),
        }
        assert!(sockets.len() <= 32);
    };
    assert!(refused.contains("503"), "{refused}");
    let mut talker = sockets.pop().unwrap();
    futures_util::SinkExt::send(&mut talker, Message::text("hello")).await.unwrap();
    let answer = timeout(HANG, talker.next()).await.unwrap().unwrap().unwrap();
    let Message::Close(Some(frame)) = answer else { panic!("{answer:?}") };
    assert_eq!(frame.reason.as_str(), "this stream is read only");
}

#[tokio::test]
async fn a_port_in_use_and_tracks_no_page_can_show_are_clear_errors() {
    let page = page().await;
    let error = Page::bind(page.addr()).await.unwrap_err();
    assert!(matches!(error, PageError::InUse { .. }));
    assert!(error.to_string().contains("another port"), "{error}");

    let mut track = pattern_track().await;
    track.codec = "vp8".to_owned();
    let error = page.sink().write(Playout::Tracks(vec![track])).await.unwrap_err();
    assert!(error.to_string().contains("\"vp8\""), "{error}");
}
