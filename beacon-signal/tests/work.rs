//! Work at join: who is asked for how much, and what is taken for an answer, over real sockets.
#![allow(clippy::unwrap_used)]

mod peer;

use beacon_sdk::signaling::{ClientMessage, ErrorCode, ServerMessage, Slate};
use beacon_signal::token::{Grant, Mint, Right};
use beacon_signal::{Config, Effort, NetworkLimits};
use peer::{Guest, Peer, Running, id, origin, viewer};
use std::time::{Duration, Instant};

fn asking(effort: Effort) -> Config {
    let mut config = Config::default();
    config.work = effort;
    config
}

/// Behind a proxy of this machine that is believed, and few: 100 strangers at once are all.
fn small() -> Config {
    let mut config = asking(Effort::Auto);
    config.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
    config.strangers_rate = 1;
    config
}

/// The tries that a connection asks for.
fn tries(peer: &Peer) -> u32 {
    peer.work.map_or(0, |work| work.tries)
}

/// Joins so; the error, if it is refused, and how the connection was closed.
async fn send(mut peer: Peer, message: ClientMessage) -> Result<Peer, (ErrorCode, String, u16)> {
    peer.send(&message).await;
    match peer.next().await {
        ServerMessage::Joined { .. } => Ok(peer),
        ServerMessage::Error { code, message, fatal } => {
            assert_eq!(fatal, code.fatal());
            let (_, close) = peer.until_closed().await;
            Err((code, message, close.unwrap()))
        }
        other => panic!("{other:?}"),
    }
}

/// The code of a refusal.
async fn refused(peer: Peer, message: ClientMessage) -> ErrorCode {
    send(peer, message).await.unwrap_err().0
}

async fn from(server: &Running, network: u16) -> Peer {
    let [high, low] = network.to_be_bytes();
    Peer::connect_from(server, &format!("203.0.{high}.{low}")).await.unwrap()
}

#[tokio::test]
async fn a_quiet_server_asks_nothing_and_a_crowded_one_lets_in_who_works() {
    let server = Running::start(small()).await;
    let early = from(&server, 0).await;
    let mut free = 0;
    let mut inside = Vec::new();
    // The more come, from wherever, the more is asked; each does it.
    for number in 1.. {
        let peer = from(&server, number).await;
        let (asked, joining) = (tries(&peer), peer.worked(viewer("launch", number)));
        inside.push(send(peer, joining).await.unwrap());
        match asked {
            0 => free = number,
            1..=8 => {}
            _ => break,
        }
    }
    assert!(free >= 50, "{free} of a hundred were let in for nothing");
    // Also who has never come from there: but not who came when it cost nothing, and stayed outside.
    let joining = early.worked(viewer("launch", 0));
    let (code, cause, close) = send(early, joining).await.unwrap_err();
    assert_eq!((code, close), (ErrorCode::Crowded, 1013), "{cause}");
    assert!(cause.contains("connect again"), "{cause}");
    let again = from(&server, 0).await;
    assert!(tries(&again) > 4, "{:?}", again.work);
    // A client that knows nothing of work is told so, and that it may come back.
    let joining = again.claiming(viewer("launch", 0), None);
    let (code, cause, close) = send(again, joining).await.unwrap_err();
    assert_eq!((code, close, code.fatal()), (ErrorCode::WorkMissing, 1013, false));
    assert!(cause.contains("asks for work") && cause.contains("update"), "{cause}");
    // This machine is no network.
    assert_eq!(Peer::connect(&server).await.work, None);
}

#[tokio::test]
async fn a_flood_is_paid_for_by_the_network_that_it_comes_from() {
    let mut config = small();
    config.strangers_rate = 1000;
    config.network = NetworkLimits { connections: 1000, rate: 10, burst: 40, requests: 200 };
    let server = Running::start(config).await;
    let mut asked = vec![0];
    let mut inside = Vec::new();
    for number in 1..=100 {
        let peer = from(&server, 1).await;
        let joining = peer.worked(viewer("launch", number));
        asked.push(tries(&peer));
        inside.push(send(peer, joining).await.unwrap());
        if asked.last() >= Some(&16) {
            break;
        }
    }
    assert!(asked.iter().filter(|&&tries| tries == 0).count() >= 20, "{asked:?}");
    assert!(asked.last() >= Some(&16), "{asked:?}");
    assert_eq!(from(&server, 2).await.work, None);
}

#[tokio::test]
async fn only_the_work_of_this_connection_and_peer_counts() {
    let server = Running::start(asking(Effort::Tries(64))).await;
    let mut slate = Slate::new();
    let peer = Peer::connect(&server).await;
    assert_eq!(tries(&peer), 64);
    let me = || viewer("launch", 1);
    // What another peer has found, for the same connection.
    let (mine, theirs) = (peer.riddle(&me().join), peer.riddle(&viewer("launch", 2).join));
    let mut solves =
        |answer| (mine.is_solved_by(answer, &mut slate), theirs.is_solved_by(answer, &mut slate));
    let stolen = (0..).find(|&answer| solves(answer) == (false, true));
    let joining = peer.claiming(me(), stolen);
    let (code, cause, close) = send(peer, joining).await.unwrap_err();
    assert_eq!((code, close), (ErrorCode::WorkWrong, 1008), "{cause}");
    assert!(cause.contains("too little work"), "{cause}");
    // What was good on another connection: the whole of it is not signed for this one, and the answer alone is none.
    let first = Peer::connect(&server).await;
    let message = first.worked(me());
    let ClientMessage::Join { work: answer, .. } = message else { panic!("{message:?}") };
    let _inside = send(first, message.clone()).await.unwrap();
    assert_eq!(refused(Peer::connect(&server).await, message).await, ErrorCode::Unproven);
    let second = loop {
        let second = Peer::connect(&server).await;
        // One connection in 64 has the same answer.
        if !second.riddle(&me().join).is_solved_by(answer.unwrap(), &mut slate) {
            break second;
        }
    };
    let joining = second.claiming(me(), answer);
    assert_eq!(refused(second, joining).await, ErrorCode::WorkWrong);
    // An origin works as anybody else.
    let third = Peer::connect(&server).await;
    let joining = third.worked(origin("launch", 3, 5));
    send(third, joining).await.unwrap();
}

#[tokio::test]
async fn who_has_a_token_is_asked_nothing() {
    let mint = Mint::from_secret([9; 32]).unwrap();
    let mut config = asking(Effort::Tries(64));
    config.tokens = vec![mint.key()];
    // Where strangers are not let in there is nothing to ask of them.
    let server = Running::start(config.clone()).await;
    let peer = Peer::connect(&server).await;
    assert_eq!(peer.work, None);
    let joining = peer.worked(viewer("launch", 1));
    assert_eq!(refused(peer, joining).await, ErrorCode::TokenMissing);
    config.tokens_optional = true;
    let server = Running::start(config).await;
    let grant = |number| Grant {
        broadcast: "launch".into(),
        peer: id(number),
        rights: vec![Right::Watch],
        not_before: None,
        expires: 4_000_000_000,
    };
    let bearing = |peer: &Peer, guest: Guest, number| {
        let mut message = peer.answer(&guest.identity, guest.join);
        if let ClientMessage::Join { token, .. } = &mut message {
            *token = Some(mint.sign(&grant(number)).unwrap());
        }
        message
    };
    let peer = Peer::connect(&server).await;
    assert!(peer.work.is_some_and(|work| work.tries == 64 && work.token), "{:?}", peer.work);
    let joining = bearing(&peer, viewer("launch", 1), 1);
    send(peer, joining).await.unwrap();
    let thief = Peer::connect(&server).await;
    let joining = bearing(&thief, viewer("launch", 2), 1);
    assert_eq!(refused(thief, joining).await, ErrorCode::TokenPeer);
    let stranger = Peer::connect(&server).await;
    let joining = stranger.worked(viewer("launch", 3));
    send(stranger, joining).await.unwrap();
}

/// Longer than who is asked for nothing may be silent.
#[tokio::test]
async fn who_works_is_waited_for() {
    let mut config = asking(Effort::Tries(8));
    config.idle_timeout = Duration::from_millis(300);
    let server = Running::start(config).await;
    let peer = Peer::connect(&server).await;
    let (riddle, mut slate) = (peer.riddle(&viewer("launch", 1).join), Slate::new());
    // As a slow phone: 200 tries take longer than the tenth of a second.
    let slow = (0..200).filter(|&answer| riddle.is_solved_by(answer, &mut slate)).last();
    let joining = peer.claiming(viewer("launch", 1), slow);
    send(peer, joining).await.unwrap();
}

/// False answers cost as much to look at as good ones.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn checks_have_a_budget_that_a_flood_does_not_exceed() {
    const FLOOD: u16 = 600;
    let server = Running::start(asking(Effort::Tries(1024))).await;
    let mut flood = Vec::new();
    for number in 0..FLOOD {
        let peer = Peer::connect(&server).await;
        // One in a thousand is good all the same.
        let joining = peer.claiming(viewer("launch", number), Some(7));
        flood.push((peer, joining));
    }
    let began = Instant::now();
    for (peer, joining) in &mut flood {
        peer.send(joining).await;
    }
    let (mut checked, mut turned_away) = (0, 0);
    for (peer, _) in &mut flood {
        match peer.next().await {
            ServerMessage::Error { code: ErrorCode::Crowded, .. } => turned_away += 1,
            ServerMessage::Error { code: ErrorCode::WorkWrong, .. }
            | ServerMessage::Joined { .. } => checked += 1,
            other => panic!("{other:?}"),
        }
    }
    // A hundred at once, and 400 a second: whatever time this took.
    let budget = 101.0 + 400.0 * began.elapsed().as_secs_f64();
    assert!(f64::from(checked) <= budget, "{checked} checks, of {budget}");
    assert!(checked > 0 && turned_away > 0, "{checked} checked, {turned_away} turned away");
    let page = server.get("/metrics").await.1;
    let told = format!("beacon_signal_turned_away_total{{limit=\"work\"}} {turned_away}\n");
    assert!(page.contains(&told), "{page}");
    // When it is over, who works is let in.
    let honest = Peer::connect(&server).await;
    let joining = honest.worked(viewer("launch", FLOOD));
    send(honest, joining).await.unwrap();
}
