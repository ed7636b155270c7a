//! Rooms that two nodes share through a real Redis.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

mod peer;
mod redis;

use beacon_ledger::SignedEdge;
use beacon_sdk::plugin::{Detail, LinkDetail, Report};
use beacon_sdk::signaling::{ClientMessage, ErrorCode, ServerMessage};
use beacon_sdk::{About, PeerId, Role, Thumbnail};
use beacon_signal::order::{Action, Order, ShortId};
use beacon_signal::{ClusterConfig, Config, LedgerConfig, Server};
use peer::{Guest, HANG, Peer, Running, broadcast, id, identity, origin, post, report, viewer};
use redis::Redis;
use serde_json::{Value, json};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const JPEG: &[u8] = include_bytes!("../../beacon-sdk/src/listing/pictures/picture.jpg");

fn shared(redis: &Redis, node: &str) -> Config {
    let mut cluster = ClusterConfig::new(redis.address());
    cluster.node = Some(node.into());
    let mut config = Config::default();
    config.cluster = Some(cluster);
    config
}

async fn two(redis: &Redis) -> (Running, Running) {
    (Running::start(shared(redis, "a")).await, Running::start(shared(redis, "b")).await)
}

/// Asks again and again until the answer is as wanted.
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

async fn look(server: &Running, path: &str) -> Value {
    let (head, body) = server.get(path).await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head} {body}");
    serde_json::from_str(&body).unwrap()
}

async fn until_gone(peer: &mut Peer, number: u16) {
    peer.until(|message| match message {
        ServerMessage::Gone { peer, .. } => (peer == id(number)).then_some(()),
        _ => None,
    })
    .await;
}

/// How a join ends.
async fn refused(server: &Running, guest: Guest) -> ErrorCode {
    let mut peer = Peer::connect(server).await;
    peer.ask(guest).await;
    let (code, message) = peer.until_error().await;
    assert!(!message.is_empty());
    peer.until_closed().await;
    code
}

async fn give(server: &Running, action: Action) -> (u16, String) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    let at_ms = u64::try_from(now).unwrap();
    let order = Order { publisher: id(1), epoch: 7, at_ms, action };
    let body = serde_json::to_string(&order.sign(&identity(1), "launch")).unwrap();
    let (status, _, said) = post(server.addr, "/api/streams/launch/order", &body).await;
    (status, said)
}

#[tokio::test]
async fn peers_of_two_nodes_find_each_other_and_signals_keep_their_order() {
    let redis = Redis::start();
    let (a, b) = two(&redis).await;
    let (mut first, told) = Peer::join(&a, origin("launch", 1, 7)).await;
    assert_eq!(told, Some(broadcast(1, 7)));
    let (mut second, told) = Peer::join(&b, viewer("launch", 2)).await;
    assert_eq!(told, Some(broadcast(1, 7)));
    let hint = second.until_told_of(1).await;
    assert_eq!((hint.role, hint.depth, hint.score), (Role::Origin, 0, 100));
    assert_eq!(first.until_told_of(2).await.role, Role::Leaf);

    for number in 0..200_u16 {
        first.signal(2, &number.to_be_bytes()).await;
    }
    let large = vec![0xA5; 16 * 1024];
    first.signal(2, &large).await;
    for number in 0..200_u16 {
        assert_eq!(second.until_signal().await, (id(1), number.to_be_bytes().to_vec()));
    }
    assert_eq!(second.until_signal().await, (id(1), large));
    second.signal(1, b"back").await;
    assert_eq!(first.until_signal().await, (id(2), b"back".to_vec()));

    // Reports at one node order the hints at the other.
    second.send(&report(90, Role::SuperSeed, 1, 8)).await;
    let hint = first.until(|message| match message {
        ServerMessage::Peers { peers } => {
            peers.into_iter().find(|hint| hint.peer == id(2) && hint.score == 90)
        }
        _ => None,
    });
    assert_eq!(hint.await.slots, 8);

    // A comer is told of both, and both of the comer; who leaves is told of.
    let (mut third, _) = Peer::join(&b, viewer("launch", 3)).await;
    let ServerMessage::Peers { peers } = third.next().await else { panic!("no hints") };
    let mut told: Vec<PeerId> = peers.into_iter().map(|hint| hint.peer).collect();
    told.sort();
    let mut both = [id(1), id(2)];
    both.sort();
    assert_eq!(told, both);
    first.until_told_of(3).await;
    third.send(&ClientMessage::Leave).await;
    assert_eq!(third.until_closed().await, (None, Some(1000)));
    until_gone(&mut first, 3).await;
    until_gone(&mut second, 3).await;
}

#[tokio::test]
async fn a_viewer_of_one_node_may_come_before_the_origin_of_the_other() {
    let redis = Redis::start();
    let (a, b) = two(&redis).await;
    let (mut early, told) = Peer::join(&b, viewer("launch", 2)).await;
    assert_eq!(told, None);
    let (source, _) = Peer::join(&a, origin("launch", 1, 7)).await;
    let joined = |message| match message {
        ServerMessage::Joined { broadcast, .. } => Some(broadcast),
        _ => None,
    };
    assert_eq!(early.until(joined).await, Some(broadcast(1, 7)));
    early.until_told_of(1).await;
    // And a later run of it is told as well.
    drop(source);
    let (_source, _) = Peer::join(&a, origin("launch", 1, 8)).await;
    assert_eq!(early.until(joined).await, Some(broadcast(1, 8)));
}

#[tokio::test]
async fn one_of_two_publishers_at_the_same_moment_has_the_name() {
    let redis = Redis::start();
    let (a, b) = two(&redis).await;
    for round in 0..20 {
        let name = format!("launch {round}");
        let (mut one, mut other) = tokio::join!(Peer::connect(&a), Peer::connect(&b));
        tokio::join!(one.ask(origin(&name, 1, 7)), other.ask(origin(&name, 2, 7)));
        let mut won = 0;
        for peer in [&mut one, &mut other] {
            match peer.next().await {
                ServerMessage::Joined { .. } => won += 1,
                ServerMessage::Error { code: ErrorCode::NameTaken, .. } => {}
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(won, 1, "{name}");
    }
    // A later run replaces the earlier one, wherever it is; an earlier one is refused, and so is another's.
    let (mut old, _) = Peer::join(&a, origin("run", 1, 7)).await;
    assert_eq!(refused(&b, origin("run", 1, 6)).await, ErrorCode::StaleEpoch);
    assert_eq!(refused(&b, origin("run", 2, 9)).await, ErrorCode::NameTaken);
    let (_new, told) = Peer::join(&b, origin("run", 1, 8)).await;
    assert_eq!(told, Some(broadcast(1, 8)));
    assert_eq!(old.until_closed().await, (Some(ErrorCode::Replaced), Some(1008)));
    assert_eq!(refused(&a, origin("run", 1, 7)).await, ErrorCode::StaleEpoch);
}

#[tokio::test]
async fn a_newer_connection_at_another_node_replaces_the_older() {
    let redis = Redis::start();
    let (a, b) = two(&redis).await;
    let (mut other, _) = Peer::join(&b, viewer("launch", 9)).await;
    let (mut older, _) = Peer::join(&a, viewer("launch", 2)).await;
    let (mut newer, _) = Peer::join(&b, viewer("launch", 2)).await;
    assert_eq!(older.until_closed().await, (Some(ErrorCode::Replaced), Some(1008)));
    // The end of the older one takes nothing from the newer, also after it went back.
    let (mut newest, _) = Peer::join(&a, viewer("launch", 2)).await;
    assert_eq!(newer.until_closed().await.0, Some(ErrorCode::Replaced));
    other.signal(2, b"still").await;
    assert_eq!(newest.until_signal().await, (id(9), b"still".to_vec()));
    newest.signal(9, b"back").await;
    assert_eq!(other.until_signal().await, (id(2), b"back".to_vec()));
}

#[tokio::test]
async fn limits_count_over_all_nodes() {
    let redis = Redis::start();
    let limited = |node| {
        let mut config = shared(&redis, node);
        (config.rooms_max, config.peers_max) = (2, 3);
        config
    };
    let (a, b) = (Running::start(limited("a")).await, Running::start(limited("b")).await);
    let (_one, _) = Peer::join(&a, origin("launch", 1, 7)).await;
    let (_two, _) = Peer::join(&b, viewer("launch", 2)).await;
    let (three, _) = Peer::join(&a, viewer("launch", 3)).await;
    assert_eq!(refused(&b, viewer("launch", 4)).await, ErrorCode::Full);
    // Who is in may come again, and who leaves makes room.
    let (_again, _) = Peer::join(&a, viewer("launch", 2)).await;
    drop(three);
    until(async || look(&b, "/api/streams").await, |streams| streams[0]["viewers"] == 1).await;
    let (_four, _) = Peer::join(&b, viewer("launch", 4)).await;

    let (second, _) = Peer::join(&a, viewer("second", 5)).await;
    assert_eq!(refused(&b, viewer("third", 6)).await, ErrorCode::Full);
    drop(second);
    let free = async || {
        let mut peer = Peer::connect(&b).await;
        peer.ask(viewer("third", 6)).await;
        matches!(peer.next().await, ServerMessage::Joined { .. })
    };
    until(free, |joined| *joined).await;
}

#[tokio::test]
async fn an_owner_is_obeyed_at_all_nodes() {
    let redis = Redis::start();
    let (a, b) = two(&redis).await;
    let (mut source, _) = Peer::join(&a, origin("launch", 1, 7)).await;
    let (mut pest, _) = Peer::join(&b, viewer("launch", 2)).await;
    let (mut other, _) = Peer::join(&b, viewer("launch", 3)).await;
    let ban = Action::Ban { peer: ShortId::from(id(2)) };
    assert_eq!(give(&a, ban).await.0, 200);
    assert_eq!(pest.until_closed().await, (Some(ErrorCode::Banned), Some(1008)));
    for peer in [&mut other, &mut source] {
        let gone = ServerMessage::Gone { peer: id(2), banned: true };
        peer.until(|message| (message == gone).then_some(())).await;
    }
    for node in [&a, &b] {
        assert_eq!(refused(node, viewer("launch", 2)).await, ErrorCode::Banned);
    }
    // The origin cannot lock itself out.
    assert_eq!(give(&b, Action::Ban { peer: ShortId::from(id(1)) }).await.0, 200);
    source.signal(3, b"still here").await;
    other.until_signal().await;
    assert_eq!(give(&b, Action::Pardon { peer: ShortId::from(id(2)) }).await.0, 200);
    let (_back, _) = Peer::join(&a, viewer("launch", 2)).await;

    let order = Order { publisher: id(1), epoch: 7, at_ms: 1, action: Action::End };
    let stale = Order { at_ms: now_ms() - 60_000, ..order };
    let body = serde_json::to_string(&stale.clone().sign(&identity(1), "launch")).unwrap();
    let (status, _, said) = post(b.addr, "/api/streams/launch/order", &body).await;
    assert!(status == 409 && said.contains("later one"), "{status} {said}");
    let forged = Order { at_ms: now_ms(), ..stale }.sign(&identity(2), "launch");
    let body = serde_json::to_string(&forged).unwrap();
    assert_eq!(post(b.addr, "/api/streams/launch/order", &body).await.0, 403);
    assert_eq!(give(&b, Action::End).await.0, 200);
    for peer in [&mut source, &mut other] {
        assert_eq!(peer.until_closed().await, (Some(ErrorCode::Ended), Some(1008)));
    }
    assert_eq!(look(&a, "/api/streams").await, json!([]));
    let (status, said) = give(&a, Action::End).await;
    assert!(status == 404, "{status} {said}");
}

/// Muted at one node it is muted at all, also when it comes to another.
#[tokio::test]
async fn who_is_muted_is_told_of_at_no_node() {
    let redis = Redis::start();
    let config = |node| {
        let mut config = shared(&redis, node);
        config.refresh = Duration::from_millis(300);
        config
    };
    let (a, b) = (Running::start(config("a")).await, Running::start(config("b")).await);
    let (_source, _) = Peer::join(&a, origin("launch", 1, 7)).await;
    let (mut boaster, _) = Peer::join(&b, viewer("launch", 2)).await;
    let (mut other, _) = Peer::join(&a, viewer("launch", 3)).await;
    let (_marker, _) = Peer::join(&a, viewer("launch", 99)).await;
    let boast = report(100, Role::SuperSeed, 1, 50);
    // The next hints that name the marker, as all do after a moment.
    let told = async |peer: &mut Peer| {
        peer.until(|message| match message {
            ServerMessage::Peers { peers } => {
                let marked = peers.iter().any(|hint| hint.peer == id(99));
                marked.then(|| peers.into_iter().find(|hint| hint.peer == id(2)))
            }
            _ => None,
        })
        .await
    };
    boaster.send(&boast).await;
    while told(&mut other).await.is_none_or(|hint| hint.score < 100) {}
    let short = ShortId::from(id(2));
    assert_eq!(give(&a, Action::Mute { peer: short }).await.0, 200);
    while told(&mut other).await.is_some() {}
    drop(boaster);
    let (mut boaster, _) = Peer::join(&a, viewer("launch", 2)).await;
    boaster.send(&boast).await;
    for _ in 0..3 {
        assert_eq!(told(&mut other).await, None);
    }
    boaster.signal(3, b"may watch").await;
    assert_eq!(other.until_signal().await.0, id(2));
    assert_eq!(give(&b, Action::Unmute { peer: short }).await.0, 200);
    // Its node hears of it a moment later, and peers report again and again.
    while told(&mut other).await.is_none_or(|hint| hint.score < 100) {
        boaster.send(&boast).await;
    }
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis().try_into().unwrap()
}

fn told(depth: u8, detail: Detail) -> ClientMessage {
    let (score, role, detail) = (60, Role::Relay, Some(Box::new(detail)));
    ClientMessage::MetricsReport(Report { score, role, depth, slots: 3, upload_bps: 0, detail })
}

#[tokio::test]
async fn list_and_dashboard_show_one_room_whichever_node_is_asked() {
    let redis = Redis::start();
    let (a, b) = two(&redis).await;
    let c = Running::start(shared(&redis, "nobody-here")).await;
    let (mut source, _) = Peer::join(&a, origin("launch", 1, 7)).await;
    let (mut near, _) = Peer::join(&a, viewer("launch", 2)).await;
    let (mut far, _) = Peer::join(&b, viewer("launch", 3)).await;
    let tags = vec!["rocket".to_owned()];
    let words = About::new("The launch", "Space", tags).unwrap();
    source.send(&ClientMessage::Describe(words)).await;
    let data = Some(Thumbnail::new(JPEG.into()).unwrap());
    source.send(&ClientMessage::Thumbnail { data }).await;
    let link = |number, parent_of, child_of| LinkDetail {
        peer: id(number),
        rtt_ms: 20,
        down_bps: 500_000,
        up_bps: 0,
        parent_of,
        child_of,
    };
    let detail = |links| Detail { origin_bps: 500_000, links, ..Detail::default() };
    near.send(&told(1, Detail { stalls: 1, ..detail(vec![link(1, 8, 0)]) })).await;
    far.send(&told(2, Detail { stalls: 2, ..detail(vec![link(2, 3, 0), link(77, 5, 0)]) })).await;

    for node in [&a, &b, &c] {
        let ask = async || look(node, "/api/streams").await;
        let listed = until(ask, |streams| streams[0]["thumbnail"].is_string()).await;
        let stream = &listed[0];
        let seen = (&stream["name"], &stream["title"], &stream["category"], &stream["viewers"]);
        assert_eq!(seen, (&json!("launch"), &json!("The launch"), &json!("Space"), &json!(2)));
        assert_eq!(stream["publisher"], json!(id(1).to_string()));
        assert_eq!(listed.as_array().unwrap().len(), 1);
        let (head, body) = node.get_bytes(stream["thumbnail"].as_str().unwrap(), "").await;
        assert!(head.starts_with("HTTP/1.1 200") && body == JPEG, "{head}");
    }
    // A second detail is taken a second after the first.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    far.send(&told(2, Detail { stalls: 5, ..detail(vec![link(2, 3, 0), link(77, 5, 0)]) })).await;
    let short = |number| ShortId::from(id(number)).to_string();
    for node in [&a, &b, &c] {
        let ask = async || look(node, "/api/streams/launch/mesh").await;
        let all = |mesh: &Value| {
            let history = mesh["history"].as_array().unwrap();
            let last = history.last().unwrap_or(&Value::Null);
            let latest = history.iter().any(|sample| sample["telling"] == 2);
            mesh["totals"]["stalls"] == 3 && latest && last["viewers"] == 2
        };
        let mesh = until(ask, all).await;
        assert_eq!((&mesh["title"], &mesh["viewers"]), (&json!("The launch"), &json!(2)));
        assert_eq!((&mesh["origin"], &mesh["more"]), (&json!(short(1)), &json!(0)));
        let peers = mesh["peers"].as_array().unwrap();
        assert_eq!(peers.len(), 3);
        let peer = peers.iter().find(|peer| peer["id"] == short(3)).unwrap();
        assert_eq!((&peer["hop"], &peer["stalls"]), (&json!(2), &json!(5)));
        assert_eq!(peer["parents"].as_array().unwrap().len(), 1, "nobody is added by a lie");
        assert_eq!(peer["parents"][0]["id"], json!(short(2)));
        let sum = |sample: &Value| sample["from_origin_bps"].as_u64().unwrap();
        assert_eq!(mesh["history"].as_array().unwrap().iter().map(sum).max(), Some(1_000_000));
        let kinds: Vec<(&str, &str)> = mesh["events"]
            .as_array()
            .unwrap()
            .iter()
            .rev()
            .map(|event| (event["kind"].as_str().unwrap(), event["peer"].as_str().unwrap()))
            .collect();
        let (one, two, three) = (short(1), short(2), short(3));
        let wanted = [
            ("live", one.as_str()),
            ("joined", two.as_str()),
            ("joined", three.as_str()),
            ("stalled", three.as_str()),
        ];
        assert_eq!(kinds, wanted);
    }
    assert!(c.get("/api/streams/other/mesh").await.0.starts_with("HTTP/1.1 404"));
    // Each node counts its own.
    for (node, rooms, peers) in [(&a, 1, 2), (&b, 1, 1), (&c, 0, 0)] {
        let page = node.get("/metrics").await.1;
        for line in [
            format!("beacon_signal_rooms {rooms}\n"),
            format!("beacon_signal_peers {peers}\n"),
            "beacon_signal_nodes 3\n".into(),
            "beacon_signal_redis_within_reach 1\n".into(),
        ] {
            assert!(page.contains(&line), "{line} is not in {page}");
        }
    }
}

fn paying(redis: &Redis, node: &str, key: &std::path::Path) -> Config {
    let mut ledger = LedgerConfig::new("memory");
    ledger.key = Some(key.into());
    let mut config = shared(redis, node);
    config.ledger = Some(ledger);
    config
}

async fn until_edge(peer: &mut Peer) -> SignedEdge {
    let edges = peer.until(|message| match message {
        ServerMessage::Edges { edges } => Some(edges),
        _ => None,
    });
    let [edge] = <[_; 1]>::try_from(edges.await).unwrap();
    SignedEdge::decode(&edge.into_bytes()).unwrap()
}

#[tokio::test]
async fn edges_are_issued_between_peers_of_two_nodes() {
    let redis = Redis::start();
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("issuer.key");
    let a = Running::start(paying(&redis, "a", &key)).await;
    let b = Running::start(paying(&redis, "b", &key)).await;
    let (_source, _) = Peer::join(&a, origin("launch", 1, 7)).await;
    let (mut relay, _) = Peer::join(&a, viewer("launch", 2)).await;
    let (mut leaf, _) = Peer::join(&b, viewer("launch", 3)).await;
    leaf.until_told_of(2).await;
    leaf.signal(2, b"offer").await;
    relay.until_signal().await;
    relay.signal(3, b"answer").await;
    let back = until_edge(&mut relay).await;
    let edge = until_edge(&mut leaf).await;
    assert_eq!((back.edge.uploader, back.edge.downloader), (id(3), id(2)));
    assert_eq!((edge.edge.uploader, edge.edge.downloader), (id(2), id(3)));
    let terms = look(&b, "/api/ledger").await;
    let issuer = terms["issuer"].as_str().unwrap().parse().unwrap();
    assert_eq!((edge.verify(&issuer), back.verify(&issuer)), (Ok(()), Ok(())));
    assert_eq!(edge.edge.broadcast, broadcast(1, 7));
    assert_eq!(look(&a, "/api/ledger").await["issuer"], terms["issuer"]);

    // Another key, and no ledger at all, are refused at the start.
    let any = || ([127, 0, 0, 1], 0).into();
    let other = folder.path().join("other.key");
    for config in [paying(&redis, "c", &other), shared(&redis, "c")] {
        let error = Server::bind(any(), config).await.unwrap_err().to_string();
        assert!(
            error.contains("--ledger-key") && error.contains("sign edges by the key"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn what_cannot_be_shared_is_told_at_the_start() {
    let redis = Redis::start();
    let bind = async |change: &dyn Fn(&mut ClusterConfig)| {
        let mut cluster = ClusterConfig::new(redis.address());
        change(&mut cluster);
        let mut config = Config::default();
        config.cluster = Some(cluster);
        let server = Server::bind(([127, 0, 0, 1], 0).into(), config).await;
        server.err().map(|error| error.to_string()).unwrap_or_default()
    };
    let error = bind(&|cluster| cluster.redis = "http://elsewhere".into()).await;
    assert!(error.contains("redis://HOST:PORT"), "{error}");
    let error = bind(&|cluster| cluster.redis = "redis://:secret@127.0.0.1:1".into()).await;
    assert!(error.contains("127.0.0.1:1") && error.contains("Redis 7"), "{error}");
    assert!(!error.contains("secret"), "{error}");
    for name in ["", "two words", &"x".repeat(33)] {
        let error = bind(&|cluster| cluster.node = Some(name.to_owned())).await;
        assert!(error.contains("--node"), "{error}");
    }
    assert_eq!(bind(&|_| {}).await, "");
}
