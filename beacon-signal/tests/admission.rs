//! Who is let in: how many come from one network.
#![allow(clippy::unwrap_used)]

mod peer;

use beacon_sdk::signaling::{ErrorCode, ServerMessage};
use beacon_signal::{Config, Effort, NetworkLimits};
use peer::{Peer, Running, viewer};

/// Behind a proxy of this machine that is believed. Nobody here works.
fn behind_a_proxy(limits: NetworkLimits) -> Config {
    let mut config = Config::default();
    config.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
    config.network = limits;
    config.work = Effort::Off;
    config
}

const FEW: NetworkLimits = NetworkLimits { connections: 3, rate: 1_000, burst: 1_000, requests: 1 };
const SLOW: NetworkLimits = NetworkLimits { connections: 1_000, rate: 1, burst: 3, requests: 1 };

#[tokio::test]
async fn a_network_has_so_many_connections_at_once() {
    let server = Running::start(behind_a_proxy(FEW)).await;
    let mut open = Vec::new();
    for _ in 0..3 {
        open.push(Peer::connect_from(&server, "203.0.113.1").await.unwrap());
    }
    // What the client says of itself comes before what the proxy says of it.
    let refused = Peer::connect_from(&server, "192.0.2.7, 203.0.113.1").await.unwrap_err();
    assert_eq!(refused.0, 429);
    assert!(refused.1 > 0, "retry-after");
    assert!(refused.2.contains("3 connections of your network"), "{}", refused.2);
    Peer::connect_from(&server, "203.0.113.2").await.unwrap();
    let mut sixth = Vec::new();
    for host in 1..=3 {
        let address = format!("2001:db8:0:1{host:02x}::{host}");
        sixth.push(Peer::connect_from(&server, &address).await.unwrap());
    }
    assert_eq!(Peer::connect_from(&server, "2001:db8:0:1ff::9").await.unwrap_err().0, 429);
    let page = server.get("/metrics").await.1;
    assert!(page.contains("beacon_signal_turned_away_total{limit=\"connections\"} 2"), "{page}");
    assert!(page.contains("beacon_signal_networks 3"), "{page}");
    // One that has gone makes room, as soon as the server has seen it go.
    drop(open.pop());
    while Peer::connect_from(&server, "203.0.113.1").await.is_err() {}
}

#[tokio::test]
async fn joins_that_come_too_fast_are_told_when_to_come_back() {
    let server = Running::start(behind_a_proxy(SLOW)).await;
    let come = async |address: &str, number| {
        let mut peer = Peer::connect_from(&server, address).await?;
        peer.ask(viewer("launch", number)).await;
        Ok::<_, (u16, u64, String)>(peer)
    };
    // A second joins at a time, and a connection takes much less.
    let mut number = 0;
    let (mut crowded, mut refused) = (0, None);
    while refused.is_none() {
        number += 1;
        match come("203.0.113.1", number).await {
            Err(answer) => refused = Some(answer),
            Ok(mut peer) => match peer.next().await {
                ServerMessage::Joined { .. } => {}
                ServerMessage::Error { code, message, fatal } => {
                    assert_eq!((code, fatal), (ErrorCode::Crowded, false), "{message}");
                    let told = "more than 1 joins per second come from 203.0.113.1: come back in";
                    assert!(message.starts_with(told), "{message}");
                    assert_eq!(peer.until_closed().await, (None, Some(1013)));
                    crowded += 1;
                }
                other => panic!("{other:?}"),
            },
        }
    }
    assert!(crowded > 0, "who may connect and not join is told why");
    let (status, after, body) = refused.unwrap();
    assert_eq!(status, 429);
    assert!(after > 0 && body.contains("too many connections"), "{after}: {body}");
    let mut other = come("203.0.113.2", 1000).await.unwrap();
    assert!(matches!(other.next().await, ServerMessage::Joined { .. }));
    let page = server.get("/metrics").await.1;
    let told = format!("beacon_signal_turned_away_total{{limit=\"joins\"}} {crowded}\n");
    assert!(page.contains(&told) && page.contains("refused_total{code=\"crowded\"}"), "{page}");
}

#[tokio::test]
async fn nobody_is_believed_to_be_a_proxy_unless_named() {
    let limits = NetworkLimits { connections: 1, rate: 1, burst: 1, requests: 1 };
    let mut config = behind_a_proxy(limits);
    config.trusted_proxies = vec!["10.0.0.0/8".parse().unwrap()];
    let server = Running::start(config).await;
    let mut open = Vec::new();
    // This machine is nobody's network, and what it says of others is not looked at.
    for _ in 0..5 {
        open.push(Peer::connect_from(&server, "203.0.113.1").await.unwrap());
    }
}

#[tokio::test]
async fn requests_that_come_too_often_are_told_when_to_come_back() {
    let server = Running::start(behind_a_proxy(SLOW)).await;
    let ask = async |path: &str, from: &str| {
        let (head, body) = server.get_with(path, &format!("x-forwarded-for: {from}\r\n")).await;
        let status: u16 = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, head, body)
    };
    // Fifty at once, whatever they ask for, and a second for each one more.
    let mut asked = 0;
    let (head, body) = loop {
        asked += 1;
        let path = ["/api/streams", "/nothing", "/", "/api/ledger"][asked % 4];
        let (status, head, body) = ask(path, "203.0.113.1").await;
        if status == 429 {
            break (head, body);
        }
        assert!(asked < 10_000, "{head}");
    };
    assert!(asked > 50, "{asked}");
    assert!(head.contains("retry-after: ") && head.contains("application/json"), "{head}");
    assert!(body.contains("{\"error\":\"more than 1 requests per second come"), "{body}");
    assert_eq!(ask("/api/streams", "203.0.113.2").await.0, 200, "another network");
    assert_eq!(server.get("/api/streams").await.1, "[]", "this machine");
    // Peers are counted as such, and who watches over the server is not.
    Peer::connect_from(&server, "203.0.113.1").await.unwrap();
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(ask(path, "203.0.113.1").await.0, 200, "{path}");
    }
    let page = server.get("/metrics").await.1;
    assert!(page.contains("beacon_signal_turned_away_total{limit=\"requests\"} 1\n"), "{page}");
}
