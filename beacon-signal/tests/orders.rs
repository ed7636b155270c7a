//! What the owner of a broadcast has the server do.
#![allow(clippy::unwrap_used)]

mod peer;

use beacon_sdk::Role;
use beacon_sdk::plugin::{Detail, LinkDetail, PeerHint, Report};
use beacon_sdk::signaling::{ClientMessage, ErrorCode, ServerMessage};
use beacon_signal::Config;
use beacon_signal::order::{Action, Order, ShortId, SignedOrder};
use peer::{Peer, Running, id, identity, origin, post, secret, viewer};
use std::process::{Command, Output};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis().try_into().unwrap()
}

fn order(at_ms: u64, action: Action) -> Order {
    Order { publisher: id(1), epoch: 7, at_ms, action }
}

async fn give(server: &Running, signed: &SignedOrder) -> (u16, String) {
    let body = serde_json::to_string(signed).unwrap();
    let (status, _, said) = post(server.addr, "/api/streams/launch/order", &body).await;
    (status, said)
}

/// `beacon-signal order …` with the key of the origin in a file.
async fn program(server: &Running, words: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("owner.key");
    let digits: String = secret(1).iter().map(|byte| format!("{byte:02x}")).collect();
    std::fs::write(&file, digits).unwrap();
    let url = format!("http://{}", server.addr);
    let mut command = Command::new(env!("CARGO_BIN_EXE_beacon-signal"));
    command.args(["order", &url, "launch"]).args(words).arg("--identity").arg(&file);
    let run = tokio::task::spawn_blocking(move || command.output().unwrap());
    let output = run.await.unwrap();
    drop(folder);
    output
}

#[tokio::test]
async fn who_is_banned_goes_and_stays_away_until_pardoned() {
    let server = Running::start(Config::default()).await;
    let (mut source, _) = Peer::join(&server, origin("launch", 1, 7)).await;
    let (mut pest, _) = Peer::join(&server, viewer("launch", 2)).await;
    let (mut other, _) = Peer::join(&server, viewer("launch", 3)).await;
    let short = ShortId::from(id(2)).to_string();
    let done = program(&server, &["ban", &short]).await;
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    assert_eq!(pest.until_closed().await, (Some(ErrorCode::Banned), Some(1008)));
    // Who has a link with it is told to end it.
    let gone = |message| match message {
        ServerMessage::Gone { peer, banned } => (peer == id(2)).then_some(banned),
        _ => None,
    };
    assert!(other.until(gone).await && source.until(gone).await);
    let mut again = Peer::connect(&server).await;
    again.ask(viewer("launch", 2)).await;
    assert_eq!(again.until_closed().await.0, Some(ErrorCode::Banned));
    // Elsewhere it is welcome, and the origin cannot lock itself out.
    let (_elsewhere, _) = Peer::join(&server, viewer("other", 2)).await;
    let own = ShortId::from(id(1)).to_string();
    assert!(program(&server, &["ban", &own]).await.status.success());
    source.signal(3, b"still here").await;
    other.until_signal().await;
    assert!(program(&server, &["pardon", &short]).await.status.success());
    let (_back, _) = Peer::join(&server, viewer("launch", 2)).await;

    // Another publisher under this name, once it is free, has its own mind.
    assert!(program(&server, &["ban", &ShortId::from(id(4)).to_string()]).await.status.success());
    drop(source);
    other
        .until(|message| match message {
            ServerMessage::Gone { peer, banned: false } => (peer == id(1)).then_some(()),
            _ => None,
        })
        .await;
    let (_next, _) = Peer::join(&server, origin("launch", 5, 1)).await;
    let (_welcome, _) = Peer::join(&server, viewer("launch", 4)).await;
}

/// In a room of more than are told of leavers, all are told of a ban.
#[tokio::test]
async fn everybody_hears_of_a_ban() {
    let server = Running::start(Config::default()).await;
    let (_source, _) = Peer::join(&server, origin("launch", 1, 7)).await;
    let mut crowd = Vec::new();
    for number in 2..80 {
        crowd.push(Peer::join(&server, viewer("launch", number)).await.0);
    }
    let pest = crowd.remove(0);
    assert!(program(&server, &["ban", &ShortId::from(id(2)).to_string()]).await.status.success());
    for peer in &mut crowd {
        let gone = ServerMessage::Gone { peer: id(2), banned: true };
        peer.until(|message| (message == gone).then_some(())).await;
    }
    drop(pest);
}

/// What a peer is told of another with the next hints, if it is told of it.
async fn told_of(peer: &mut Peer, number: u16) -> Option<PeerHint> {
    // Hints come again and again, of a small room all of it: with the marker.
    peer.until(|message| match message {
        ServerMessage::Peers { peers } => {
            let others = peers.iter().any(|hint| hint.peer == id(99));
            others.then(|| peers.into_iter().find(|hint| hint.peer == id(number)))
        }
        _ => None,
    })
    .await
}

#[tokio::test]
async fn who_is_muted_may_watch_and_is_believed_nothing() {
    let mut config = Config::default();
    config.refresh = Duration::from_millis(300);
    let server = Running::start(config).await;
    let (_source, _) = Peer::join(&server, origin("launch", 1, 7)).await;
    let (mut boaster, _) = Peer::join(&server, viewer("launch", 2)).await;
    let (mut other, _) = Peer::join(&server, viewer("launch", 3)).await;
    // One that all are told of, always.
    let (_marker, _) = Peer::join(&server, viewer("launch", 99)).await;
    let boast = || {
        let (peer, rtt_ms, down_bps, up_bps) = (id(1), 5, 0, 0);
        let links = vec![LinkDetail { peer, rtt_ms, down_bps, up_bps, parent_of: 4, child_of: 0 }];
        let detail = Some(Box::new(Detail { links, ..Detail::default() }));
        let (score, role, depth, slots) = (100, Role::SuperSeed, 1, 50);
        ClientMessage::MetricsReport(Report { score, role, depth, slots, upload_bps: 9, detail })
    };
    let believed = |hint: PeerHint| (hint.score == 100 && hint.slots == 50).then_some(());
    boaster.send(&boast()).await;
    while told_of(&mut other, 2).await.and_then(believed).is_none() {}
    let mesh = async || server.get("/api/streams/launch/mesh").await.1;
    let short = ShortId::from(id(2)).to_string();
    assert!(mesh().await.contains("\"stripes\":4"));

    assert!(program(&server, &["mute", &short]).await.status.success());
    boaster.send(&boast()).await;
    while told_of(&mut other, 2).await.is_some() {}
    for _ in 0..3 {
        assert_eq!(told_of(&mut other, 2).await, None, "nobody is told of it");
    }
    assert!(!mesh().await.contains("\"stripes\":4"), "what it said of its parents is forgotten");
    // It is still there: it is told of others, and signals reach it.
    assert!(told_of(&mut boaster, 3).await.is_some());
    other.signal(2, b"still here").await;
    assert_eq!(boaster.until_signal().await.0, id(3));
    // Coming anew does not help.
    drop(boaster);
    let (mut boaster, _) = Peer::join(&server, viewer("launch", 2)).await;
    boaster.send(&boast()).await;
    for _ in 0..3 {
        assert_eq!(told_of(&mut other, 2).await, None);
    }
    assert!(program(&server, &["unmute", &short]).await.status.success());
    boaster.send(&boast()).await;
    while told_of(&mut other, 2).await.and_then(believed).is_none() {}
    // The owner cannot mute itself out of its own broadcast.
    assert!(program(&server, &["mute", &ShortId::from(id(1)).to_string()]).await.status.success());
    for _ in 0..3 {
        assert!(told_of(&mut other, 1).await.is_some());
    }
}

#[tokio::test]
async fn only_the_owners_newest_order_counts() {
    let server = Running::start(Config::default()).await;
    let (_source, _) = Peer::join(&server, origin("launch", 1, 7)).await;
    let (mut watcher, _) = Peer::join(&server, viewer("launch", 2)).await;
    let (owner, pest) = (identity(1), Action::Ban { peer: id(3).into() });
    let now = now_ms();
    let ban = order(now, pest).sign(&owner, "launch");
    for (signed, status, word) in [
        (order(now, pest).sign(&identity(2), "launch"), 403, "publisher"),
        (
            Order { publisher: id(2), ..order(now, Action::End) }.sign(&identity(2), "launch"),
            403,
            "publisher",
        ),
        (Order { epoch: 6, ..order(now, Action::End) }.sign(&owner, "launch"), 403, "this run"),
        (order(now, Action::End).sign(&owner, "elsewhere"), 403, "publisher"),
        (order(now - 100_000, Action::End).sign(&owner, "launch"), 400, "clocks"),
        (ban.clone(), 200, "true"),
        (ban, 409, "later one"),
        (order(now - 1, Action::End).sign(&owner, "launch"), 409, "later one"),
    ] {
        let (got, said) = give(&server, &signed).await;
        assert!(got == status && said.contains(word), "{got}: {said}");
    }
    let (got, _, said) = post(server.addr, "/api/streams/launch/order", "{}").await;
    assert!(got == 400 && said.contains("not an order"), "{got}: {said}");
    watcher.signal(1, b"nobody has ended this").await;
    assert!(server.get("/api/streams").await.1.contains("launch"));
}

#[tokio::test]
async fn an_ended_broadcast_is_over_for_all() {
    let server = Running::start(Config::default()).await;
    let (mut source, _) = Peer::join(&server, origin("launch", 1, 7)).await;
    let (mut watcher, _) = Peer::join(&server, viewer("launch", 2)).await;
    let nobody = program(&server, &["ban"]).await;
    assert_eq!(nobody.status.code(), Some(2), "{}", String::from_utf8_lossy(&nobody.stderr));
    assert!(program(&server, &["end"]).await.status.success());
    for peer in [&mut source, &mut watcher] {
        assert_eq!(peer.until_closed().await, (Some(ErrorCode::Ended), Some(1008)));
    }
    assert_eq!(server.get("/api/streams").await.1, "[]");
    let late = program(&server, &["end"]).await;
    let said = String::from_utf8(late.stderr).unwrap();
    assert!(late.status.code() == Some(1) && said.contains("no broadcast \"launch\""), "{said}");
}
