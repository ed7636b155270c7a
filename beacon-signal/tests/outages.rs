//! What nodes that share rooms live through: one of them killed, Redis away, Redis standing still.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

mod peer;
mod redis;

use beacon_sdk::Rendezvous;
use beacon_sdk::plugin::RendezvousEvent;
use beacon_sdk::signaling::{ClientMessage, ErrorCode, ServerMessage};
use beacon_signal::order::{Action, Order, ShortId};
use beacon_signal::{ClusterConfig, Config};
use beacon_transport_webrtc::SignalClient;
use peer::{HANG, Peer, Running, id, identity, origin, post, viewer};
use redis::Redis;
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::mpsc;

fn shared(redis: &Redis) -> Config {
    let mut config = Config::default();
    config.cluster = Some(ClusterConfig::new(redis.address()));
    config
}

/// A node that is a process of its own.
struct Node {
    process: Child,
    addr: SocketAddr,
}

impl Node {
    fn start(redis: &Redis) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_beacon-signal"));
        command.args(["--listen", "127.0.0.1:0", "--node", "victim", "--redis", &redis.address()]);
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let addr = line.trim().strip_prefix("listening on ws://").unwrap().parse().unwrap();
        Self { process, addr }
    }
}

impl Drop for Node {
    /// By SIGKILL: it has no last words.
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

async fn until<T>(mut ask: impl AsyncFnMut() -> T, wanted: impl Fn(&T) -> bool) -> T {
    let asking = async {
        loop {
            let now = ask().await;
            if wanted(&now) {
                return now;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(HANG, asking).await.expect("it does not become as wanted")
}

async fn streams(server: &Running) -> Value {
    serde_json::from_str(&server.get("/api/streams").await.1).unwrap()
}

async fn ban(addr: SocketAddr, number: u16) -> u16 {
    let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    let action = Action::Ban { peer: ShortId::from(id(number)) };
    let order = Order { publisher: id(1), epoch: 7, at_ms: at.try_into().unwrap(), action };
    let body = serde_json::to_string(&order.sign(&identity(1), "launch")).unwrap();
    post(addr, "/api/streams/launch/order", &body).await.0
}

async fn refused(server: &Running, guest: peer::Guest) -> (ErrorCode, Option<u16>) {
    let mut peer = Peer::connect(server).await;
    peer.ask(guest).await;
    let (error, close) = peer.until_closed().await;
    (error.unwrap(), close)
}

async fn until_gone(peer: &mut Peer, number: u16) {
    peer.until(|message| match message {
        ServerMessage::Gone { peer, .. } => (peer == id(number)).then_some(()),
        _ => None,
    })
    .await;
}

/// Above what a client is told here.
const EVENTS_MAX: usize = 4096;

/// A client of ours, driven for as long as the test runs; what it is told.
fn client(urls: &str, guest: peer::Guest) -> mpsc::Receiver<RendezvousEvent> {
    let mut client = SignalClient::new(urls, &guest.identity).unwrap();
    client.join(guest.join);
    let (told, events) = mpsc::channel(EVENTS_MAX);
    tokio::spawn(async move {
        while let Ok(event) = client.next_event().await {
            if told.send(event).await.is_err() {
                return;
            }
        }
    });
    events
}

async fn next(events: &mut mpsc::Receiver<RendezvousEvent>) -> RendezvousEvent {
    tokio::time::timeout(HANG, events.recv()).await.expect("nothing is told").unwrap()
}

async fn until_joined(events: &mut mpsc::Receiver<RendezvousEvent>) {
    while !matches!(next(events).await, RendezvousEvent::Joined { .. }) {}
}

#[tokio::test]
async fn a_killed_node_loses_no_room_and_its_peers_come_to_another() {
    let redis = Redis::start();
    let victim = Node::start(&redis);
    let other = Running::start(shared(&redis)).await;
    let urls = format!("ws://{}, ws://{}", victim.addr, other.addr);
    // All at the node that dies, but one.
    let mut source = client(&urls, origin("launch", 1, 7));
    until_joined(&mut source).await;
    let mut watchers: Vec<_> =
        (10..30).map(|number| client(&urls, viewer("launch", number))).collect();
    for watcher in &mut watchers {
        until_joined(watcher).await;
    }
    let (mut witness, _) = Peer::join(&other, viewer("launch", 2)).await;
    // One that does not come back.
    let mut lost = SignalClient::new(&format!("ws://{}", victim.addr), &identity(3)).unwrap();
    lost.join(viewer("launch", 3).join);
    while !matches!(lost.next_event().await.unwrap(), RendezvousEvent::Joined { .. }) {}
    assert_eq!(ban(victim.addr, 4).await, 200);
    let all = |streams: &Value| streams[0]["viewers"] == 22;
    until(async || streams(&other).await, all).await;

    drop(victim);
    let listed = streams(&other).await;
    assert_eq!(listed[0]["name"], "launch", "the room is there while nobody has come back yet");
    until_joined(&mut source).await;
    for watcher in &mut watchers {
        until_joined(watcher).await;
    }
    // They are reached where they are now, and what the owner ordered holds.
    witness.signal(1, b"welcome").await;
    let signal = loop {
        if let RendezvousEvent::Signal { from, signal } = next(&mut source).await {
            break (from, signal);
        }
    };
    assert_eq!((signal.0, &signal.1[..]), (id(2), b"welcome".as_slice()));
    assert_eq!(refused(&other, viewer("launch", 4)).await.0, ErrorCode::Banned);
    // Who does not come back is gone with the lease of its node, and with it all that is left of it.
    until_gone(&mut witness, 3).await;
    let counted = |streams: &Value| streams[0]["viewers"] == 21;
    until(async || streams(&other).await, counted).await;
    until(async || redis.says(&["KEYS", "beacon:members:victim*"]), String::is_empty).await;
    assert_eq!(redis.says(&["ZCARD", "beacon:nodes"]), "1");
}

#[tokio::test]
async fn redis_goes_and_returns_and_all_is_whole_again() {
    let mut redis = Redis::start();
    let a = Running::start(shared(&redis)).await;
    let b = Running::start(shared(&redis)).await;
    let (mut source, _) = Peer::join(&a, origin("launch", 1, 7)).await;
    let (mut near, _) = Peer::join(&a, viewer("launch", 2)).await;
    let (mut far, _) = Peer::join(&b, viewer("launch", 3)).await;
    let (leaver, _) = Peer::join(&b, viewer("launch", 5)).await;
    let words = beacon_sdk::About::new("The launch", "", Vec::<String>::new()).unwrap();
    source.send(&ClientMessage::Describe(words)).await;
    assert_eq!(ban(b.addr, 4).await, 200);
    until(async || streams(&b).await, |streams| streams[0]["title"] == "The launch").await;

    redis.stop();
    let down = |page: &String| page.contains("beacon_signal_redis_within_reach 0\n");
    for node in [&a, &b] {
        until(async || node.get("/metrics").await.1, down).await;
    }
    // Those here stay, and reach those at their node; others are asked to come later, and pages say so.
    drop(leaver);
    near.signal(1, b"by the way").await;
    assert_eq!(source.until_signal().await, (id(2), b"by the way".to_vec()));
    assert_eq!(refused(&b, viewer("launch", 6)).await, (ErrorCode::Unavailable, Some(1013)));
    assert!(!ErrorCode::Unavailable.fatal());
    for path in ["/api/streams", "/api/streams/launch/mesh", "/api/streams/launch/thumbnail"] {
        let (head, body) = a.get(path).await;
        assert!(head.starts_with("HTTP/1.1 503") && head.contains("retry-after"), "{head}");
        assert!(body.contains("Redis does not answer"), "{body}");
    }
    assert_eq!(ban(a.addr, 6).await, 503);

    redis.resume();
    for node in [&a, &b] {
        let up = |page: &String| page.contains("beacon_signal_redis_within_reach 1\n");
        until(async || node.get("/metrics").await.1, up).await;
    }
    // Who left meanwhile is gone; the others are where they were, and so is what was said and ordered.
    until_gone(&mut far, 5).await;
    let whole = |streams: &Value| streams[0]["viewers"] == 2 && streams[0]["title"] == "The launch";
    for node in [&a, &b] {
        until(async || streams(node).await, whole).await;
    }
    far.signal(2, b"across").await;
    assert_eq!(near.until_signal().await, (id(3), b"across".to_vec()));
    assert_eq!(refused(&a, viewer("launch", 4)).await.0, ErrorCode::Banned);
    let (mut late, _) = Peer::join(&b, viewer("launch", 6)).await;
    late.until_told_of(1).await;
}

#[tokio::test]
async fn a_redis_that_forgot_everything_is_told_anew() {
    let redis = Redis::start();
    let a = Running::start(shared(&redis)).await;
    let b = Running::start(shared(&redis)).await;
    let (mut source, _) = Peer::join(&a, origin("launch", 1, 7)).await;
    let (mut far, _) = Peer::join(&b, viewer("launch", 3)).await;
    source.until_told_of(3).await;
    assert_eq!(redis.says(&["FLUSHALL"]), "OK");
    let whole = |streams: &Value| streams[0]["viewers"] == 1;
    until(async || streams(&b).await, whole).await;
    far.signal(1, b"across").await;
    assert_eq!(source.until_signal().await, (id(3), b"across".to_vec()));
}

#[tokio::test]
async fn a_redis_that_stands_still_holds_up_no_socket() {
    let redis = Redis::start();
    let a = Running::start(shared(&redis)).await;
    let b = Running::start(shared(&redis)).await;
    let (mut source, _) = Peer::join(&a, origin("launch", 1, 7)).await;
    let (mut near, _) = Peer::join(&a, viewer("launch", 2)).await;
    let (mut far, _) = Peer::join(&b, viewer("launch", 3)).await;
    source.until_told_of(3).await;
    redis.hang(true);
    // Before it is noticed: what goes to the other node waits or is lost, and nothing here does.
    let mut comer = Peer::connect(&a).await;
    comer.ask(viewer("launch", 4)).await;
    for _ in 0..20 {
        near.signal(3, b"to nobody").await;
    }
    near.signal(1, b"here").await;
    assert_eq!(source.until_signal().await, (id(2), b"here".to_vec()));
    for peer in [&mut source, &mut near, &mut far] {
        peer.send(&ClientMessage::Heartbeat).await;
        peer.until(|message| matches!(message, ServerMessage::Heartbeat).then_some(())).await;
    }
    assert_eq!(comer.until_closed().await, (Some(ErrorCode::Unavailable), Some(1013)));
    redis.hang(false);
    // The comer that was refused may have been let in by a Redis that woke up: it is taken out again.
    let whole = |streams: &Value| streams[0]["viewers"] == 2;
    for node in [&a, &b] {
        let ask = async || match node.get("/api/streams").await {
            (head, body) if head.starts_with("HTTP/1.1 200") => {
                serde_json::from_str(&body).unwrap()
            }
            _ => Value::Null,
        };
        until(ask, whole).await;
    }
    let (mut comer, _) = Peer::join(&b, viewer("launch", 4)).await;
    comer.signal(2, b"at last").await;
    loop {
        let (from, data) = near.until_signal().await;
        if from == id(4) {
            assert_eq!(data, b"at last");
            break;
        }
    }
}

#[tokio::test]
async fn a_node_that_stops_in_order_leaves_nothing() {
    let redis = Redis::start();
    let a = Running::start(shared(&redis)).await;
    let b = Running::start(shared(&redis)).await;
    let (_source, _) = Peer::join(&a, origin("launch", 1, 7)).await;
    let (mut far, _) = Peer::join(&b, viewer("launch", 3)).await;
    far.until_told_of(1).await;
    a.stop().await;
    // Told at once, and not when a lease ends.
    until_gone(&mut far, 1).await;
    assert_eq!(streams(&b).await, Value::Array(Vec::new()));
    until(async || redis.says(&["ZCARD", "beacon:nodes"]), |nodes| nodes == "1").await;
}
