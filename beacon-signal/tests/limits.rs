//! Bad input, slow and silent peers, full houses, and the end.
#![allow(clippy::unwrap_used)]

mod peer;

use beacon_sdk::signaling::{ClientMessage, ErrorCode, MESSAGE_BYTES_MAX, ServerMessage};
use beacon_signal::{Config, Server, ServerError};
use futures_util::SinkExt;
use peer::{HANG, Peer, Running, id, identity, origin, viewer};
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::{Error, Message};

fn config(change: impl FnOnce(&mut Config)) -> Config {
    let mut config = Config::default();
    change(&mut config);
    config
}

#[tokio::test]
async fn what_is_not_a_message_is_answered_and_survived() {
    let server = Running::start(Config::default()).await;
    let (mut peer, _) = Peer::join(&server, viewer("launch", 1)).await;
    let join = peer.answer(&identity(1), viewer("other", 1).join).to_json();
    let cases = [
        ("{", ErrorCode::Malformed),
        ("null", ErrorCode::Malformed),
        ("{\"type\":\"dance\"}", ErrorCode::UnknownType),
        ("{\"type\":\"signal\",\"to\":\"zz\",\"data\":\"\"}", ErrorCode::Malformed),
        (join.as_str(), ErrorCode::AlreadyJoined),
    ];
    for (text, code) in cases {
        peer.send_text(text).await;
        assert_eq!(peer.until_error().await.0, code, "{text}");
    }
    peer.socket.send(Message::binary(vec![1, 2, 3])).await.unwrap();
    assert_eq!(peer.until_error().await.0, ErrorCode::Malformed);
    peer.socket.send(Message::Ping(vec![7].into())).await.unwrap();
    peer.send(&ClientMessage::Heartbeat).await;
    peer.until(|message| matches!(message, ServerMessage::Heartbeat).then_some(())).await;
}

#[tokio::test]
async fn a_join_that_cannot_be_is_refused_for_good() {
    let server = Running::start(Config::default()).await;
    let hex = id(1).to_string();
    let cases = [
        (format!(r#"{{"type":"join","version":1,"peer":"{hex}"}}"#), ErrorCode::Version),
        (format!(r#"{{"type":"join","version":3,"peer":"{hex}"}}"#), ErrorCode::Version),
        (
            Peer::connect(&server).await.answer(&identity(1), viewer("", 1).join).to_json(),
            ErrorCode::BadJoin,
        ),
    ];
    for (text, code) in cases {
        let mut peer = Peer::connect(&server).await;
        peer.send_text(&text).await;
        assert_eq!(peer.until_closed().await, (Some(code), Some(1008)), "{text}");
    }
    let mut peer = Peer::connect(&server).await;
    peer.signal(1, b"too early").await;
    assert_eq!(peer.until_error().await.0, ErrorCode::NotJoined);
}

#[tokio::test]
async fn too_large_a_message_closes_its_connection_only() {
    let server = Running::start(Config::default()).await;
    let (mut other, _) = Peer::join(&server, viewer("launch", 1)).await;
    for bytes in [MESSAGE_BYTES_MAX + 1, 40 * MESSAGE_BYTES_MAX] {
        let (mut peer, _) = Peer::join(&server, viewer("launch", 2)).await;
        // The server may close before all of it is taken.
        let _ = peer.socket.send(Message::text("x".repeat(bytes))).await;
        let (code, close) = peer.until_closed().await;
        if bytes == MESSAGE_BYTES_MAX + 1 {
            assert_eq!((code, close), (Some(ErrorCode::TooLarge), Some(1009)));
        }
    }
    let (mut peer, _) = Peer::join(&server, viewer("launch", 3)).await;
    peer.signal(1, b"alive").await;
    assert_eq!(other.until_signal().await, (id(3), b"alive".to_vec()));
}

#[tokio::test]
async fn a_flood_waits_its_turn_and_loses_nothing() {
    let server = Running::start(config(|config| {
        config.rate = 20;
        config.burst = 10;
    }))
    .await;
    let (mut reader, _) = Peer::join(&server, viewer("launch", 1)).await;
    let (mut flood, _) = Peer::join(&server, viewer("launch", 2)).await;
    for number in 0..100u8 {
        flood.signal(1, &[number]).await;
    }
    let (code, message) = flood.until_error().await;
    assert_eq!(code, ErrorCode::Rate);
    assert!(message.contains("20"), "{message}");
    for number in 0..100u8 {
        assert_eq!(reader.until_signal().await, (id(2), vec![number]));
    }
    let page = server.get("/metrics").await.1;
    let throttled =
        page.lines().find_map(|line| line.strip_prefix("beacon_signal_throttled_total "));
    assert!(throttled.unwrap().parse::<u64>().unwrap() >= 50, "{page}");
}

#[tokio::test]
async fn a_reader_that_does_not_read_is_dropped() {
    let server = Running::start(config(|config| {
        config.rate = 100_000;
        config.burst = 100_000;
    }))
    .await;
    let (mut watcher, _) = Peer::join(&server, viewer("launch", 3)).await;
    let (_slow, _) = Peer::join(&server, viewer("launch", 1)).await;
    let (mut sender, _) = Peer::join(&server, viewer("launch", 2)).await;
    let gone = watcher.until(|message| match message {
        ServerMessage::Gone { peer, .. } => (peer == id(1)).then_some(()),
        _ => None,
    });
    let data = vec![0; 16 * 1024];
    // Until the buffers of the system are full and the queue after them.
    let feed = async {
        for _ in 0..4096 {
            sender.signal(1, &data).await;
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = gone => {}
        () = feed => unreachable!(),
    }
    let page = server.get("/metrics").await.1;
    assert!(page.contains("beacon_signal_refused_total{code=\"slow\"} 1"), "{page}");
}

#[tokio::test]
async fn silent_connections_are_closed() {
    let server = Running::start(config(|config| {
        config.idle_timeout = Duration::from_millis(600);
    }))
    .await;
    let (mut watcher, _) = Peer::join(&server, viewer("launch", 3)).await;
    let (mut silent, _) = Peer::join(&server, viewer("launch", 1)).await;
    let mut dumb = Peer::connect(&server).await;
    let beat = tokio::time::interval(Duration::from_millis(100));
    tokio::pin!(beat);
    let watch = async {
        loop {
            tokio::select! {
                _ = beat.tick() => watcher.send(&ClientMessage::Heartbeat).await,
                message = watcher.next() => {
                    let gone = ServerMessage::Gone { peer: id(1), banned: false };
                    if message == gone { return; }
                }
            }
        }
    };
    let (silent, dumb, ()) = tokio::time::timeout(HANG, async {
        tokio::join!(silent.until_closed(), dumb.until_closed(), watch)
    })
    .await
    .unwrap();
    assert_eq!(silent, (Some(ErrorCode::Idle), Some(1008)));
    assert_eq!(dumb, (Some(ErrorCode::Idle), Some(1008)));
}

#[tokio::test]
async fn a_socket_without_a_request_is_closed() {
    let server = Running::start(Config::default()).await;
    let mut stream = TcpStream::connect(server.addr).await.unwrap();
    let mut rest = Vec::new();
    let end = tokio::time::timeout(HANG, stream.read_to_end(&mut rest)).await;
    assert!(end.is_ok(), "still open");
}

#[tokio::test]
async fn full_houses_say_so() {
    let server = Running::start(config(|config| {
        config.connections_max = 4;
        config.rooms_max = 2;
        config.peers_max = 2;
    }))
    .await;
    let (_a, _) = Peer::join(&server, origin("a", 1, 1)).await;
    let (_b, _) = Peer::join(&server, viewer("a", 2)).await;
    let (_c, _) = Peer::join(&server, viewer("b", 3)).await;
    for join in [viewer("a", 4), viewer("c", 4)] {
        let mut peer = Peer::connect(&server).await;
        peer.ask(join).await;
        assert_eq!(peer.until_closed().await, (Some(ErrorCode::Full), Some(1013)));
    }
    // The last place may be freed a moment after the goodbye.
    let url = format!("ws://{}", server.addr);
    let mut fourth = Vec::new();
    let refused = loop {
        match connect_async(&url).await {
            Ok((socket, _)) => fourth.push(socket),
            Err(Error::Http(response)) => break response.status().as_u16(),
            Err(other) => panic!("{other}"),
        }
        assert!(fourth.len() <= 1);
    };
    assert_eq!(refused, 503);
    // A page is answered all the same.
    assert!(server.get("/healthz").await.0.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn stopping_says_goodbye_to_all_and_frees_the_port() {
    let server = Running::start(Config::default()).await;
    let addr = server.addr;
    let (mut joined, _) = Peer::join(&server, viewer("launch", 1)).await;
    let mut fresh = Peer::connect(&server).await;
    let (stopped, a, b) = tokio::join!(server.stop(), joined.until_closed(), fresh.until_closed());
    let () = stopped;
    assert_eq!(a, (Some(ErrorCode::Shutdown), Some(1001)));
    assert_eq!(b, (Some(ErrorCode::Shutdown), Some(1001)));
    let again = Running::start_at(addr, Config::default()).await;
    Peer::join(&again, viewer("launch", 1)).await;
    again.stop().await;
}

#[tokio::test]
async fn stopping_does_not_wait_for_those_that_hang() {
    let server = Running::start(config(|config| config.grace = Duration::from_millis(200))).await;
    // Never reads, so never answers the goodbye.
    let (_hangs, _) = Peer::join(&server, viewer("launch", 1)).await;
    server.stop().await;
}

#[tokio::test]
async fn a_port_in_use_is_told_with_the_cure() {
    let server = Running::start(Config::default()).await;
    let error = Server::bind(server.addr, Config::default()).await.unwrap_err();
    assert!(matches!(error, ServerError::InUse { addr } if addr == server.addr));
    let text = error.to_string();
    assert!(text.contains("in use") && text.contains("another port"), "{text}");
    let error = Server::bind(server.addr, config(|config| config.rate = 0)).await.unwrap_err();
    assert_eq!(error.to_string(), "rate must be 1 to 1000000");
}
