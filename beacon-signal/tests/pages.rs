//! The HTTP pages, and the program itself.
#![allow(clippy::unwrap_used)]

mod peer;

use beacon_sdk::signaling::{ClientMessage, ServerMessage};
use beacon_signal::Config;
use peer::{HANG, Peer, Running, id, origin, viewer};
use std::process::{Output, Stdio};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio_tungstenite::connect_async;

#[tokio::test]
async fn pages_say_what_is_there() {
    let server = Running::start(Config::default()).await;
    let (head, body) = server.get("/healthz").await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert_eq!(body, "ok\n");
    assert_eq!(server.get("/api/streams").await.1, "[]");

    let (mut source, _) = Peer::join(&server, origin("launch", 1, 7)).await;
    let (mut other, _) = Peer::join(&server, viewer("launch", 2)).await;
    let (_waits, _) = Peer::join(&server, viewer("later", 3)).await;
    source.signal(2, b"x").await;
    source.signal(99, b"x").await;
    source.send(&ClientMessage::Heartbeat).await;
    source.until(|message| matches!(message, ServerMessage::Heartbeat).then_some(())).await;
    other.until_signal().await;
    other.send_text("?").await;
    other.until_error().await;

    let (head, body) = server.get("/api/streams").await;
    assert!(head.contains("application/json") && head.contains("access-control-allow-origin: *"));
    let streams: serde_json::Value = serde_json::from_str(&body).unwrap();
    let since = streams[0]["since"].as_u64().unwrap();
    let age = streams[0]["age"].as_u64().unwrap();
    let expected = serde_json::json!([{
        "name": "launch", "publisher": id(1).to_string(), "epoch": 7, "viewers": 1, "since": since,
        "age": age, "version": 2, "title": "", "category": "", "tags": [], "thumbnail": null,
    }]);
    assert_eq!(streams, expected);
    assert!(since > 1_600_000_000);

    let (head, page) = server.get("/metrics").await;
    assert!(head.contains("application/openmetrics-text"), "{head}");
    for line in [
        "beacon_signal_connections 3",
        "beacon_signal_rooms 2",
        "beacon_signal_peers 3",
        "beacon_signal_messages_received_total{type=\"join\"} 3",
        "beacon_signal_messages_received_total{type=\"signal\"} 2",
        "beacon_signal_signals_total{outcome=\"relayed\"} 1",
        "beacon_signal_signals_total{outcome=\"no-such-peer\"} 1",
        "beacon_signal_refused_total{code=\"malformed\"} 1",
        "# EOF",
    ] {
        assert!(page.lines().any(|found| found == line), "{line} is not in\n{page}");
    }
}

#[tokio::test]
async fn a_browser_is_told_what_this_is_and_both_paths_upgrade() {
    let server = Running::start(Config::default()).await;
    let (head, body) = server.get("/").await;
    assert!(head.starts_with("HTTP/1.1 426"), "{head}");
    assert!(body.contains("ws://HOST:PORT"), "{body}");
    assert!(server.get("/nothing").await.0.starts_with("HTTP/1.1 404"));
    for path in ["", "/", "/ws"] {
        connect_async(format!("ws://{}{path}", server.addr)).await.unwrap();
    }
}

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_beacon-signal"));
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

async fn run(args: &[&str]) -> Output {
    tokio::time::timeout(HANG, program().args(args).output()).await.unwrap().unwrap()
}

/// Starts the program on a free port; the URL it prints.
async fn started() -> (Child, String) {
    let mut child = program().args(["--listen", "127.0.0.1:0"]).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = tokio::time::timeout(HANG, lines.next_line()).await.unwrap().unwrap().unwrap();
    (child, line.strip_prefix("listening on ").unwrap().to_owned())
}

#[cfg(unix)]
#[tokio::test]
async fn the_program_serves_until_it_is_told_to_stop() {
    for signal in ["-TERM", "-INT"] {
        let (mut child, url) = started().await;
        let (_socket, _) = connect_async(&url).await.unwrap();
        let pid = child.id().unwrap().to_string();
        Command::new("kill").args([signal, &pid]).status().await.unwrap();
        let status = tokio::time::timeout(HANG, child.wait()).await.unwrap().unwrap();
        assert_eq!(status.code(), Some(0), "{signal}");
    }
}

#[tokio::test]
async fn the_program_fails_with_cause_and_cure() {
    let (_child, url) = started().await;
    let taken = run(&["--listen", url.strip_prefix("ws://").unwrap()]).await;
    assert_eq!(taken.status.code(), Some(1));
    let text = String::from_utf8(taken.stderr).unwrap();
    assert!(text.contains("in use") && text.contains("another port"), "{text}");
    for args in [
        ["--listen", "nonsense"].as_slice(),
        &["--rate", "0"],
        &["--what"],
        &["--idle-timeout", "0"],
    ] {
        let refused = run(args).await;
        assert_eq!(refused.status.code(), Some(2), "{args:?}");
        assert!(!refused.stderr.is_empty());
    }
    let help = String::from_utf8(run(&["--help"]).await.stdout).unwrap();
    for word in ["--listen", "127.0.0.1:3001", "/metrics", "RUST_LOG", "Example"] {
        assert!(help.contains(word), "{word} is not in\n{help}");
    }
}
