//! Leave to use a TURN server, as peers are given it. That a real one takes it is shown in beacon-transport-webrtc.
#![allow(clippy::unwrap_used)]

mod peer;

use beacon_sdk::plugin::TurnServer;
use beacon_sdk::signaling::{ClientMessage, ServerMessage};
use beacon_signal::{Config, Server, ServerError, TurnConfig};
use peer::{Peer, Running, id, origin, viewer};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const URL: &str = "turn:turn.example.org:3478?transport=udp";

fn config(change: impl FnOnce(&mut TurnConfig)) -> Config {
    let mut turn = TurnConfig::new(vec![URL.into()], "0123456789abcdef");
    change(&mut turn);
    let mut config = Config::default();
    config.turn = Some(turn);
    config
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// Until when leave counts, and for whom.
fn end(turn: &TurnServer) -> (u64, String) {
    let (end, peer) = turn.username.split_once(':').unwrap();
    (end.parse().unwrap(), peer.to_owned())
}

#[tokio::test]
async fn who_joins_is_given_leave_of_its_own_before_it_is_in() {
    let server = Running::start(config(|_| ())).await;
    let mut credentials = Vec::new();
    for guest in [origin("launch", 1, 7), viewer("launch", 2)] {
        let who = guest.join.peer;
        let mut peer = Peer::connect(&server).await;
        let before = now();
        peer.ask(guest).await;
        let ServerMessage::Turn(turn) = peer.next().await else { panic!("no leave") };
        assert!(matches!(peer.next().await, ServerMessage::Joined { .. }));
        assert_eq!(turn.urls, [URL]);
        let (end, of) = end(&turn);
        assert_eq!(of, who.to_string());
        assert!((before + 3600..=now() + 3600).contains(&end), "{end}");
        credentials.push(turn.credential);
    }
    assert_ne!(credentials[0], credentials[1]);
    let (_, metrics) = server.get("/metrics").await;
    assert!(metrics.contains("beacon_signal_turn_grants_total 2\n"), "{metrics}");
}

#[tokio::test]
async fn who_is_refused_is_given_none() {
    let server = Running::start(config(|_| ())).await;
    let (_first, mut second) = (joined(&server, 1).await, Peer::connect(&server).await);
    second.ask(origin("launch", 2, 7)).await;
    assert!(matches!(second.next().await, ServerMessage::Error { .. }));
}

async fn joined(server: &Running, number: u16) -> Peer {
    let mut peer = Peer::connect(server).await;
    peer.ask(origin("launch", number, 7)).await;
    peer.until(|message| matches!(message, ServerMessage::Joined { .. }).then_some(())).await;
    peer
}

#[tokio::test]
async fn who_stays_is_given_leave_anew_before_it_ends() {
    let mut config = config(|turn| turn.ttl = Duration::from_secs(1));
    config.idle_timeout = Duration::from_millis(900);
    let server = Running::start(config).await;
    let mut peer = Peer::connect(&server).await;
    peer.ask(viewer("launch", 1)).await;
    let ServerMessage::Turn(mut last) = peer.next().await else { panic!("no leave") };
    for _ in 0..3 {
        let next = loop {
            peer.send(&ClientMessage::Heartbeat).await;
            let turn = peer.until(|message| match message {
                ServerMessage::Turn(turn) => Some(Some(turn)),
                ServerMessage::Heartbeat => Some(None),
                _ => None,
            });
            if let Some(turn) = turn.await {
                break turn;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        assert!(end(&next).0 >= end(&last).0 && end(&next).1 == id(1).to_string());
        last = next;
    }
}

#[tokio::test]
async fn a_server_does_not_start_with_what_no_peer_could_use() {
    let any: std::net::SocketAddr = ([127, 0, 0, 1], 0).into();
    let wrong = config(|turn| turn.urls = vec!["stun:turn.example.org".into()]);
    let error = Server::bind(any, wrong).await.unwrap_err();
    assert!(matches!(error, ServerError::Config(_)));
    assert!(error.to_string().contains("turn:HOST:3478"), "{error}");
}
