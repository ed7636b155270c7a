//! What peers of a broadcast see of each other, over real sockets.
#![allow(clippy::unwrap_used)]

mod peer;

use beacon_sdk::Role;
use beacon_sdk::signaling::{ClientMessage, ErrorCode, ServerMessage};
use beacon_signal::Config;
use peer::{Guest, Peer, Running, broadcast, id, identity, origin, report, viewer};

#[tokio::test]
async fn both_sides_are_told_and_signals_pass_whole_and_in_order() {
    let server = Running::start(Config::default()).await;
    let (mut first, told) = Peer::join(&server, origin("launch", 1, 7)).await;
    assert_eq!(told, Some(broadcast(1, 7)));
    let (mut second, told) = Peer::join(&server, viewer("launch", 2)).await;
    assert_eq!(told, Some(broadcast(1, 7)));
    let hint = second.until_told_of(1).await;
    assert_eq!((hint.role, hint.depth, hint.score), (Role::Origin, 0, 100));
    assert_eq!(first.until_told_of(2).await.role, Role::Leaf);

    let large = vec![0xA5; 16 * 1024];
    first.signal(2, b"one").await;
    first.signal(2, &large).await;
    first.signal(2, b"").await;
    for expected in [b"one".as_slice(), &large, b""] {
        assert_eq!(second.until_signal().await, (id(1), expected.to_vec()));
    }
}

#[tokio::test]
async fn rooms_do_not_touch() {
    let server = Running::start(Config::default()).await;
    let (_a, _) = Peer::join(&server, origin("a", 1, 1)).await;
    let (mut b, _) = Peer::join(&server, origin("b", 2, 1)).await;
    let (mut c, _) = Peer::join(&server, viewer("a", 3)).await;
    let (mut d, _) = Peer::join(&server, viewer("b", 4)).await;
    // To a peer of another room, to nobody, and then to one of its own.
    for to in [2, 4, 99] {
        c.signal(to, b"across").await;
    }
    d.signal(2, b"own").await;
    assert_eq!(b.until_signal().await, (id(4), b"own".to_vec()));
    c.send(&ClientMessage::Heartbeat).await;
    let mut told = Vec::new();
    c.until(|message| match message {
        ServerMessage::Peers { peers } => {
            told.extend(peers.into_iter().map(|hint| hint.peer));
            None
        }
        ServerMessage::Heartbeat => Some(()),
        other => panic!("{other:?}"),
    })
    .await;
    told.dedup();
    assert_eq!(told, [id(1)]);
    // What was sent across is gone: the next signal to come is the later one.
    b.signal(4, b"later").await;
    assert_eq!(d.until_signal().await, (id(2), b"later".to_vec()));
}

#[tokio::test]
async fn a_viewer_may_come_before_the_origin() {
    let server = Running::start(Config::default()).await;
    let (mut early, told) = Peer::join(&server, viewer("launch", 2)).await;
    assert_eq!(told, None);
    let (_origin, _) = Peer::join(&server, origin("launch", 1, 7)).await;
    let told = early
        .until(|message| match message {
            ServerMessage::Joined { broadcast, .. } => Some(broadcast),
            _ => None,
        })
        .await;
    assert_eq!(told, Some(broadcast(1, 7)));
    early.until_told_of(1).await;
}

#[tokio::test]
async fn a_newer_connection_replaces_the_older() {
    let server = Running::start(Config::default()).await;
    let (mut other, _) = Peer::join(&server, viewer("launch", 9)).await;
    let (mut older, _) = Peer::join(&server, viewer("launch", 2)).await;
    let (mut newer, _) = Peer::join(&server, viewer("launch", 2)).await;
    assert_eq!(older.until_closed().await, (Some(ErrorCode::Replaced), Some(1008)));
    // The end of the older one takes nothing from the newer.
    other.signal(2, b"still").await;
    assert_eq!(newer.until_signal().await, (id(9), b"still".to_vec()));
    newer.signal(9, b"back").await;
    assert_eq!(other.until_signal().await, (id(2), b"back".to_vec()));
}

#[tokio::test]
async fn a_name_has_one_publisher_and_its_latest_run() {
    let server = Running::start(Config::default()).await;
    let (mut first, _) = Peer::join(&server, origin("launch", 1, 7)).await;
    let refused = async |guest: Guest, word: &str| {
        let mut peer = Peer::connect(&server).await;
        peer.ask(guest).await;
        let (code, message) = peer.until_error().await;
        assert!(message.contains(word), "{message}");
        peer.until_closed().await;
        code
    };
    assert_eq!(refused(origin("launch", 2, 8), "launch").await, ErrorCode::NameTaken);
    assert_eq!(refused(origin("launch", 1, 6), "launch").await, ErrorCode::StaleEpoch);
    // Nobody publishes for another, whatever run.
    let mut anothers = origin("launch", 3, 8);
    anothers.join.broadcast = Some(broadcast(1, 8));
    assert_eq!(refused(anothers, "under its own key").await, ErrorCode::BadJoin);

    let (mut watcher, _) = Peer::join(&server, viewer("launch", 5)).await;
    let (second, told) = Peer::join(&server, origin("launch", 1, 8)).await;
    assert_eq!(told, Some(broadcast(1, 8)));
    assert_eq!(first.until_closed().await.0, Some(ErrorCode::Replaced));
    let told = watcher
        .until(|message| match message {
            ServerMessage::Joined { broadcast, .. } => Some(broadcast),
            _ => None,
        })
        .await;
    assert_eq!(told, Some(broadcast(1, 8)));

    // The name is free once its origin has gone.
    drop(second);
    watcher
        .until(|message| match message {
            ServerMessage::Gone { peer, .. } => (peer == id(1)).then_some(()),
            _ => None,
        })
        .await;
    let (_third, told) = Peer::join(&server, origin("launch", 2, 1)).await;
    assert_eq!(told, Some(broadcast(2, 1)));
}

#[tokio::test]
async fn nobody_joins_as_another() {
    let server = Running::start(Config::default()).await;
    let (mut owner, _) = Peer::join(&server, viewer("launch", 1)).await;
    let mut thief = Peer::connect(&server).await;
    let claims = viewer("launch", 1).join;
    // By another key; and with an answer that the owner gave to another connection.
    let forged = thief.answer(&identity(2), claims.clone());
    let replayed = Peer::connect(&server).await.answer(&identity(1), claims);
    for answer in [forged, replayed] {
        thief.send(&answer).await;
        let (code, message) = thief.until_error().await;
        assert_eq!(code, ErrorCode::Unproven);
        assert!(message.contains("not signed") && message.contains("challenge"), "{message}");
        assert_eq!(thief.until_closed().await.1, Some(1008));
        thief = Peer::connect(&server).await;
    }
    // The owner has its place still, and comes back to it on a new connection.
    let (mut other, _) = Peer::join(&server, viewer("launch", 3)).await;
    other.signal(1, b"yours").await;
    assert_eq!(owner.until_signal().await, (id(3), b"yours".to_vec()));
    thief.ask(viewer("launch", 1)).await;
    assert_eq!(owner.until_closed().await.0, Some(ErrorCode::Replaced));
    let page = server.get("/metrics").await.1;
    assert!(page.contains("beacon_signal_refused_total{code=\"unproven\"} 2"), "{page}");
}

#[tokio::test]
async fn those_who_leave_are_told_of() {
    let server = Running::start(Config::default()).await;
    let (mut stays, _) = Peer::join(&server, viewer("launch", 1)).await;
    let (mut leaves, _) = Peer::join(&server, viewer("launch", 2)).await;
    let (breaks, _) = Peer::join(&server, viewer("launch", 3)).await;
    leaves.send(&ClientMessage::Leave).await;
    assert_eq!(leaves.until_closed().await, (None, Some(1000)));
    drop(breaks);
    let mut gone = Vec::new();
    while gone.len() < 2 {
        if let ServerMessage::Gone { peer, .. } = stays.next().await {
            gone.push(peer);
        }
    }
    gone.sort();
    assert_eq!(gone, [id(2), id(3)]);
}

#[tokio::test]
async fn reports_order_the_hints() {
    let server = Running::start(Config::default()).await;
    let (mut source, _) = Peer::join(&server, origin("launch", 1, 1)).await;
    let (mut weak, _) = Peer::join(&server, viewer("launch", 2)).await;
    let (mut strong, _) = Peer::join(&server, viewer("launch", 3)).await;
    let (mut liar, _) = Peer::join(&server, viewer("launch", 4)).await;
    source.send(&report(100, Role::Origin, 0, 0)).await;
    weak.send(&report(40, Role::Leaf, 2, 1)).await;
    strong.send(&report(90, Role::SuperSeed, 2, 8)).await;
    liar.send(&report(255, Role::Origin, 0, 0)).await;
    for reporter in [&mut source, &mut weak, &mut strong, &mut liar] {
        reporter.send(&ClientMessage::Heartbeat).await;
        reporter.until(|message| matches!(message, ServerMessage::Heartbeat).then_some(())).await;
    }
    let (mut comer, _) = Peer::join(&server, viewer("launch", 5)).await;
    let ServerMessage::Peers { peers } = comer.next().await else { panic!("no hints") };
    let told: Vec<_> =
        peers.iter().map(|hint| (hint.peer, hint.score, hint.role, hint.slots)).collect();
    let expected = [
        (id(3), 90, Role::SuperSeed, 8),
        (id(2), 40, Role::Leaf, 1),
        (id(1), 100, Role::Origin, 0),
        (id(4), 100, Role::Leaf, 0),
    ];
    assert_eq!(told, expected);
}

#[tokio::test]
async fn hundreds_join_and_each_is_told_of_parents() {
    let server = Running::start(Config::default()).await;
    let (mut source, _) = Peer::join(&server, origin("launch", 1, 1)).await;
    let mut peers = Vec::new();
    for number in 1000..1500 {
        peers.push(Peer::join(&server, viewer("launch", number)).await.0);
    }
    for (place, peer) in peers.iter_mut().enumerate() {
        let ServerMessage::Peers { peers: hints } = peer.next().await else { panic!("no hints") };
        assert!(hints.len() >= (place + 1).min(15), "{place}: {}", hints.len());
        let own = id(1000 + u16::try_from(place).unwrap());
        let mut told: Vec<_> = hints.iter().map(|hint| hint.peer).collect();
        assert!(!told.contains(&own));
        told.sort();
        told.dedup();
        assert_eq!(told.len(), hints.len(), "nobody is told twice in one message");
    }
    let hint = peers[499].until_told_of(1).await;
    assert_eq!(hint.role, Role::Origin);
    source.until(|message| matches!(message, ServerMessage::Peers { .. }).then_some(())).await;
    // All of them can be reached.
    for place in [0, 250, 499] {
        source.signal(1000 + place, b"dial").await;
        let (from, _) = peers[usize::from(place)].until_signal().await;
        assert_eq!(from, id(1));
    }
    assert!(server.get("/api/streams").await.1.contains("\"viewers\":500"));
}
