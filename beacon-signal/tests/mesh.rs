//! What peers tell of themselves, as the public sees it.
#![allow(clippy::unwrap_used)]

mod peer;

use beacon_sdk::Role;
use beacon_sdk::plugin::{Detail, LinkDetail, Report};
use beacon_sdk::signaling::{ClientMessage, ErrorCode, ServerMessage};
use beacon_signal::Config;
use peer::{HANG, Peer, Running, id, origin, report, viewer};
use serde_json::{Value, json};
use std::time::Duration;

fn link(number: u16, parent_of: u8, child_of: u8) -> LinkDetail {
    LinkDetail { peer: id(number), rtt_ms: 20, down_bps: 500_000, up_bps: 0, parent_of, child_of }
}

fn told(depth: u8, detail: Detail) -> ClientMessage {
    let (score, role) = (60, Role::Relay);
    let detail = Some(Box::new(detail));
    ClientMessage::MetricsReport(Report { score, role, depth, slots: 3, upload_bps: 0, detail })
}

async fn say(peer: &mut Peer, message: &ClientMessage) {
    peer.send(message).await;
    peer.send(&ClientMessage::Heartbeat).await;
    peer.until(|message| matches!(message, ServerMessage::Heartbeat).then_some(())).await;
}

async fn mesh(server: &Running) -> Value {
    let (head, body) = server.get("/api/streams/launch/mesh").await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head} {body}");
    serde_json::from_str(&body).unwrap()
}

/// The mesh once it is as wanted.
async fn until(server: &Running, wanted: impl Fn(&Value) -> bool) -> Value {
    tokio::time::timeout(HANG, async {
        loop {
            let now = mesh(server).await;
            if wanted(&now) {
                return now;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await
    .unwrap()
}

/// A peer as the public sees it.
fn short(number: u16) -> String {
    id(number).to_string()[..8].to_owned()
}

fn of(mesh: &Value, number: u16) -> &Value {
    let short = short(number);
    mesh["peers"].as_array().unwrap().iter().find(|peer| peer["id"] == short).unwrap()
}

/// Kinds and peers, the oldest first.
fn events(mesh: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let events = mesh["events"].as_array().unwrap().iter().rev();
    events.map(|event| (text(&event["kind"]), text(&event["peer"]))).collect()
}

#[tokio::test]
async fn the_mesh_is_what_peers_tell_of_it() {
    let server = Running::start(Config::default()).await;
    let (mut source, _) = Peer::join(&server, origin("launch", 1, 7)).await;
    let (mut relay, _) = Peer::join(&server, viewer("launch", 2)).await;
    let (mut leaf, _) = Peer::join(&server, viewer("launch", 3)).await;
    let (_silent, _) = Peer::join(&server, viewer("launch", 4)).await;
    let up = Detail { up_bps: 900_000, links: vec![link(2, 0, 4)], ..Detail::default() };
    say(&mut source, &told(0, up)).await;
    let links = vec![link(1, 4, 0), link(3, 0, 4), link(99, 4, 4)];
    let from_origin = Detail { origin_bps: 900_000, links, ..Detail::default() };
    say(&mut relay, &told(1, from_origin)).await;
    let from_peers =
        Detail { peers_bps: 800_000, stalls: 1, links: vec![link(2, 4, 0)], ..Detail::default() };
    say(&mut leaf, &told(2, from_peers.clone())).await;

    let seen = mesh(&server).await;
    assert_eq!((&seen["name"], &seen["origin"]), (&json!("launch"), &json!(short(1))));
    assert_eq!((&seen["viewers"], &seen["more"]), (&json!(3), &json!(0)));
    assert_eq!(seen["peers"].as_array().unwrap().len(), 4);
    let (root, middle, end) = (of(&seen, 1), of(&seen, 2), of(&seen, 3));
    assert_eq!([&root["hop"], &middle["hop"], &end["hop"]], [&json!(0), &json!(1), &json!(2)]);
    assert_eq!(
        middle["parents"],
        json!([{"id": short(1), "stripes": 4, "rtt_ms": 20, "bps": 500_000}])
    );
    assert_eq!(middle["children"], 1, "nobody that is not here is shown");
    assert_eq!((&root["role"], &root["up_bps"]), (&json!("origin"), &json!(900_000)));
    let silent = of(&seen, 4);
    assert_eq!(
        (&silent["told"], &silent["hop"], &silent["parents"]),
        (&Value::Null, &Value::Null, &json!([]))
    );
    let text = seen.to_string();
    assert!(!text.contains("127.0.0.1") && !text.contains(&id(3).to_string()), "no address, no id");

    // A detail that comes at once is passed over; a plain report takes nothing away.
    let moved = Detail { stalls: 3, moves: 2, links: vec![link(1, 4, 0)], ..from_peers.clone() };
    say(&mut leaf, &told(9, moved.clone())).await;
    say(&mut leaf, &report(50, Role::Leaf, 2, 1)).await;
    assert_eq!(of(&mesh(&server).await, 3)["stalls"], 1);
    tokio::time::sleep(Duration::from_millis(1100)).await;
    say(&mut leaf, &told(1, moved)).await;
    let seen = mesh(&server).await;
    assert_eq!(of(&seen, 3)["parents"][0]["id"], short(1));
    assert_eq!((&seen["totals"]["stalls"], &seen["totals"]["moves"]), (&json!(2), &json!(2)));

    // Who leaves is gone from the mesh at once, and may come back.
    leaf.send(&ClientMessage::Leave).await;
    until(&server, |mesh| mesh["viewers"] == 2).await;
    let (_leaf, _) = Peer::join(&server, viewer("launch", 3)).await;
    let seen = until(&server, |mesh| mesh["history"].as_array().unwrap().len() > 1).await;
    assert_eq!(of(&seen, 3)["told"], Value::Null, "what it told is forgotten");
    let kinds: Vec<(String, String)> = events(&seen);
    let wanted = [
        ("live", 1),
        ("joined", 2),
        ("joined", 3),
        ("joined", 4),
        ("stalled", 3),
        ("moved", 3),
        ("left", 3),
        ("returned", 3),
    ];
    assert_eq!(kinds, wanted.map(|(kind, peer)| (kind.to_owned(), short(peer))));
    let sample = seen["history"].as_array().unwrap().last().unwrap();
    assert_eq!((&sample["viewers"], &sample["telling"]), (&json!(3), &json!(1)));
    assert_eq!(
        (&sample["from_origin_bps"], &sample["origin_up_bps"]),
        (&json!(900_000), &json!(900_000))
    );

    drop(source);
    let seen = until(&server, |mesh| mesh["origin"].is_null()).await;
    assert_eq!(events(&seen).last().unwrap().0, "ended");
}

#[tokio::test]
async fn lies_are_bounded_and_nonsense_is_refused() {
    let server = Running::start(Config::default()).await;
    let (_source, _) = Peer::join(&server, origin("launch", 1, 7)).await;
    let (mut liar, _) = Peer::join(&server, viewer("launch", 2)).await;
    let links = (0..60).map(|_| link(1, 255, 255)).collect();
    let detail = Detail {
        origin_bps: u64::MAX,
        peers_bps: u64::MAX,
        missed: u64::MAX,
        links,
        ..Detail::default()
    };
    say(&mut liar, &told(0, detail)).await;
    let seen = mesh(&server).await;
    let seen = of(&seen, 2);
    assert_eq!((&seen["hop"], &seen["peers_bps"]), (&json!(1), &json!(100_000_000_000_u64)));
    assert_eq!(seen["missed"], json!(1_u64 << 53));
    assert_eq!(seen["parents"].as_array().unwrap().len(), 16);
    for detail in [json!({}), json!([]), json!({"links": [{"peer": "zz"}]})] {
        let text = json!({"type": "metrics-report", "score": 1, "role": "leaf", "depth": 1,
            "slots": 0, "upload_bps": 0, "detail": detail});
        liar.send_text(&text.to_string()).await;
        assert_eq!(liar.until_error().await.0, ErrorCode::Malformed);
    }
}

#[tokio::test]
async fn an_unknown_broadcast_and_a_server_that_keeps_nothing_say_so() {
    let server = Running::start(Config::default()).await;
    let (_waits, _) = Peer::join(&server, viewer("launch", 2)).await;
    let (head, body) = server.get("/api/streams/launch/mesh").await;
    assert!(
        head.starts_with("HTTP/1.1 404") && body.contains("no such broadcast"),
        "{head} {body}"
    );
    let mut config = Config::default();
    config.mesh = false;
    let server = Running::start(config).await;
    let (mut source, _) = Peer::join(&server, origin("launch", 1, 7)).await;
    say(&mut source, &told(0, Detail::default())).await;
    let (head, body) = server.get("/api/streams/launch/mesh").await;
    assert!(head.starts_with("HTTP/1.1 404") && body.contains("--no-mesh"), "{head} {body}");
}
