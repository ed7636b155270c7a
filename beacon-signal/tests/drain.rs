//! How a server stops while peers are here.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

mod peer;
mod program;
mod redis;

use beacon_sdk::plugin::{Rendezvous as _, RendezvousEvent};
use beacon_sdk::signaling::{ClientMessage, ErrorCode, ServerMessage};
use beacon_signal::{ClusterConfig, Config};
use beacon_transport_webrtc::SignalClient;
use futures_util::future::select_all;
use peer::{HANG, Peer, Running, id, origin, viewer};
use program::{Program, program};
use redis::Redis;
use std::time::Duration;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Error;

/// A server in another process, to be asked as one in this.
fn at(server: &Program) -> Running {
    Running::elsewhere(server.addr)
}

/// Asks until it no longer wants connections.
async fn until_unready(server: &Running) -> String {
    let asking = async {
        loop {
            let (head, body) = server.get("/readyz").await;
            if !head.starts_with("HTTP/1.1 200") {
                return format!("{head}\r\n\r\n{body}");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(HANG, asking).await.expect("it stays ready")
}

#[tokio::test]
async fn a_draining_server_lets_nobody_in_and_tells_its_peers_one_after_the_other() {
    // Long enough that most of it is never waited for.
    let server =
        Program::start(program().args(["--listen", "127.0.0.1:0", "--drain-seconds", "30"]));
    let running = at(&server);
    assert!(running.get("/readyz").await.0.starts_with("HTTP/1.1 200"));
    let mut peers = Vec::new();
    for number in 10..30 {
        peers.push(Peer::join(&running, viewer("launch", number)).await.0);
    }
    let mut late = Peer::connect(&running).await;
    server.terminate();

    let unready = until_unready(&running).await;
    assert!(unready.starts_with("HTTP/1.1 503") && unready.contains("retry-after"), "{unready}");
    assert!(running.get("/healthz").await.0.starts_with("HTTP/1.1 200"));
    let (_, metrics) = running.get("/metrics").await;
    assert!(metrics.contains("beacon_signal_draining 1"), "{metrics}");
    match connect_async(format!("ws://{}", running.addr)).await {
        Err(Error::Http(answer)) => {
            assert_eq!(answer.status().as_u16(), 503);
            let body = String::from_utf8(answer.into_body().unwrap()).unwrap();
            assert!(body.contains("another"), "{body}");
        }
        other => panic!("{other:?}"),
    }
    // Who is connected and asks to be let in is refused, or was told to go just before.
    late.ask(viewer("launch", 99)).await;
    assert_eq!(late.until_closed().await, (Some(ErrorCode::Shutdown), Some(1001)));

    // Others are served while the first is told.
    let told = peers.into_iter().map(|mut peer| {
        Box::pin(async move {
            let error = peer.until_error().await;
            (peer, error)
        })
    });
    let ((_, (code, words)), _, waiting) = select_all(told).await;
    assert_eq!(code, ErrorCode::Shutdown);
    assert!(words.contains("connect again"), "{words}");
    assert!(waiting.len() == 19);
    drop(waiting);
    let (status, _) = server.ended();
    // All of them went: it does not wait for the rest of its time.
    assert_eq!(status.code(), Some(0));
}

#[tokio::test]
async fn goodbyes_are_spread_over_the_drain() {
    let mut config = Config::default();
    config.drain = Duration::from_secs(600);
    let server = Running::start(config).await;
    let mut peers = Vec::new();
    for number in 10..40 {
        peers.push(Peer::join(&server, viewer("launch", number)).await.0);
    }
    let addr = server.addr;
    let stopping = tokio::spawn(server.stop());
    let draining = Running::elsewhere(addr);
    until_unready(&draining).await;
    // In the first moments of ten minutes hardly anybody is told: the others are served as ever.
    let mut served = 0;
    for peer in &mut peers {
        peer.send(&ClientMessage::Heartbeat).await;
        served += usize::from(peer.until_heartbeat_or_end().await);
    }
    assert!(served >= 15, "{served} of 30 are still served");
    // Who leaves is not waited for.
    for peer in &mut peers {
        let _ = peer.socket.close(None).await;
    }
    drop(peers);
    tokio::time::timeout(HANG, stopping).await.expect("it waits for nobody").unwrap();
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let mut command = program();
    command.args(["--listen", "127.0.0.1:0", "--drain-seconds", "600"]);
    let server = Program::start(command.stderr(std::process::Stdio::piped()));
    let running = at(&server);
    let mut peers = Vec::new();
    for number in 10..30 {
        peers.push(Peer::join(&running, viewer("launch", number)).await.0);
    }
    server.terminate();
    until_unready(&running).await;
    server.terminate();
    let (status, said) = server.ended();
    assert_eq!(status.code(), Some(1));
    assert!(said.contains("second signal"), "{said}");
}

#[tokio::test]
async fn peers_of_a_node_that_drains_move_to_another_and_the_mesh_notices_nothing() {
    let redis = Redis::start();
    let mut command = program();
    command.args(["--listen", "127.0.0.1:0", "--drain-seconds", "3", "--redis", &redis.address()]);
    let leaving = Program::start(&mut command);
    let mut config = Config::default();
    config.cluster = Some(ClusterConfig::new(redis.address()));
    let other = Running::start(config).await;
    let urls = format!("ws://{}, ws://{}", leaving.addr, other.addr);
    let mut clients = Vec::new();
    for guest in (1..=21).map(|number| match number {
        1 => origin("launch", 1, 7),
        number => viewer("launch", number),
    }) {
        let mut client = SignalClient::new(&urls, &guest.identity).unwrap();
        client.join(guest.join);
        until_joined(&mut client).await;
        clients.push(client);
    }
    // Two that watch: one at the other node, and one that is told to go and goes nowhere.
    let (mut witness, _) = Peer::join(&other, viewer("launch", 50)).await;
    let (lost, _) = Peer::join(&at(&leaving), viewer("launch", 60)).await;
    witness.until_told_of(60).await;
    leaving.terminate();

    let moved = clients.into_iter().map(|mut client| async move {
        until_joined(&mut client).await;
        client
    });
    let moved = tokio::time::timeout(HANG, futures_util::future::join_all(moved));
    let clients = moved.await.expect("all are at the other node");
    let (status, _) = leaving.ended();
    assert_eq!(status.code(), Some(0));
    drop(lost);
    // Nobody is told of one that has gone, but for the one that went nowhere, when the node's lease is over.
    witness
        .until(|message| match message {
            ServerMessage::Gone { peer, .. } if peer == id(60) => Some(()),
            ServerMessage::Gone { peer, .. } => panic!("{peer} is said to have gone"),
            _ => None,
        })
        .await;
    let (_, mesh) = other.get("/api/streams/launch/mesh").await;
    let mesh: serde_json::Value = serde_json::from_str(&mesh).unwrap();
    assert_eq!(mesh["viewers"], 21, "{mesh}");
    let events = mesh["events"].as_array().unwrap();
    let left: Vec<_> = events.iter().filter(|event| event["kind"] == "left").collect();
    assert_eq!(left.len(), 1, "{left:?}");
    assert!(events.iter().all(|event| event["kind"] != "ended"), "{events:?}");
    drop(clients);
}

async fn until_joined(client: &mut SignalClient) {
    let joining = async {
        while !matches!(client.next_event().await.unwrap(), RendezvousEvent::Joined { .. }) {}
    };
    tokio::time::timeout(HANG, joining).await.expect("it is not let in");
}
