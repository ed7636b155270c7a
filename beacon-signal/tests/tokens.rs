//! Join tokens: who is let in with what, over real sockets, and the program that makes them.
#![allow(clippy::unwrap_used)]

mod peer;

use beacon_sdk::signaling::{ClientMessage, ErrorCode, ServerMessage};
use beacon_signal::Config;
use beacon_signal::token::{Grant, Mint, Right};
use peer::{Guest, Peer, Running, id, identity, origin, viewer};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

fn mint() -> Mint {
    Mint::from_secret([9; 32]).unwrap()
}

fn gated() -> Config {
    let mut config = Config::default();
    // The key that was there before stays for a while.
    config.tokens = vec![Mint::from_secret([8; 32]).unwrap().key(), mint().key()];
    config
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn grant(number: u16, right: Right) -> Grant {
    Grant {
        broadcast: "launch".into(),
        peer: id(number),
        rights: vec![right],
        not_before: None,
        expires: now() + 3600,
    }
}

/// The join of `guest` with a token, for this connection.
fn bearing(peer: &Peer, guest: Guest, text: &str) -> ClientMessage {
    let mut message = peer.answer(&guest.identity, guest.join);
    if let ClientMessage::Join { token, .. } = &mut message {
        *token = Some(text.parse().unwrap());
    }
    message
}

/// Joins with a token; the error, if it is refused.
async fn join(server: &Running, guest: Guest, text: &str) -> Result<Peer, (ErrorCode, String)> {
    let mut peer = Peer::connect(server).await;
    let message = bearing(&peer, guest, text);
    peer.send(&message).await;
    match peer.next().await {
        ServerMessage::Joined { .. } => Ok(peer),
        ServerMessage::Error { code, message, fatal } => {
            assert_eq!(fatal, code.fatal());
            assert_eq!(peer.until_closed().await, (None, Some(1008)), "{code}");
            Err((code, message))
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn who_has_a_token_is_let_in_and_finds_the_others() {
    let server = Running::start(gated()).await;
    let publish = mint().sign(&grant(1, Right::Publish)).unwrap();
    let old = Mint::from_secret([8; 32]).unwrap();
    let watch = old.sign(&grant(2, Right::Watch)).unwrap();
    let _origin = join(&server, origin("launch", 1, 5), publish.as_str()).await.unwrap();
    let mut viewer = join(&server, viewer("launch", 2), watch.as_str()).await.unwrap();
    assert_eq!(viewer.until_told_of(1).await.peer, id(1));
}

#[tokio::test]
async fn each_token_that_does_not_fit_has_its_code() {
    let server = Running::start(gated()).await;
    let token = |grant: &Grant| mint().sign(grant).unwrap().as_str().to_owned();
    let watch = grant(1, Right::Watch);
    let good = token(&watch);
    let foreign = Mint::from_secret([7; 32]).unwrap().sign(&watch).unwrap().as_str().to_owned();
    let past = token(&Grant { expires: now() - 100, ..watch.clone() });
    let ahead = token(&Grant { not_before: Some(now() + 1000), ..watch.clone() });
    let elsewhere = token(&Grant { broadcast: "lunch".into(), ..watch.clone() });
    let cases = [
        ("v4.public.AAAA".to_owned(), viewer("launch", 1), ErrorCode::TokenInvalid, "v4.public"),
        (foreign, viewer("launch", 1), ErrorCode::TokenInvalid, "not signed by a key"),
        (past, viewer("launch", 1), ErrorCode::TokenExpired, "s ago"),
        (ahead, viewer("launch", 1), ErrorCode::TokenEarly, "come back"),
        (elsewhere, viewer("launch", 1), ErrorCode::TokenBroadcast, "\"lunch\""),
        (good.clone(), viewer("launch", 2), ErrorCode::TokenPeer, "--identity"),
        (good.clone(), origin("launch", 1, 5), ErrorCode::TokenRight, "no publish"),
    ];
    for (text, guest, code, words) in cases {
        let refused = join(&server, guest, &text).await.unwrap_err();
        assert_eq!(refused.0, code, "{}", refused.1);
        assert!(refused.1.contains(words), "{}", refused.1);
    }
    let mut stranger = Peer::connect(&server).await;
    stranger.ask(viewer("launch", 3)).await;
    let (code, cause) = stranger.until_error().await;
    assert_eq!(code, ErrorCode::TokenMissing);
    assert!(cause.contains("--token"), "{cause}");
    join(&server, viewer("launch", 1), &good).await.unwrap();
}

#[tokio::test]
async fn a_token_that_is_overheard_is_worth_nothing() {
    let server = Running::start(gated()).await;
    let token = mint().sign(&grant(1, Right::Watch)).unwrap();
    // The whole join that the owner sent, again on another connection: its challenge is another.
    let owner = Peer::connect(&server).await;
    let heard = bearing(&owner, viewer("launch", 1), token.as_str());
    let mut thief = Peer::connect(&server).await;
    thief.send(&heard).await;
    assert_eq!(thief.until_closed().await.0, Some(ErrorCode::Unproven));
    // The owner's id, and the thief's signature.
    let mut thief = Peer::connect(&server).await;
    let mut message = thief.answer(&identity(2), viewer("launch", 1).join);
    if let ClientMessage::Join { token: place, .. } = &mut message {
        *place = Some(token.clone());
    }
    thief.send(&message).await;
    assert_eq!(thief.until_closed().await.0, Some(ErrorCode::Unproven));
    // The thief's own id.
    let stolen = join(&server, viewer("launch", 2), token.as_str()).await;
    assert_eq!(stolen.unwrap_err().0, ErrorCode::TokenPeer);
}

#[tokio::test]
async fn without_keys_a_token_is_passed_over() {
    let server = Running::start(Config::default()).await;
    join(&server, viewer("launch", 1), "anything").await.unwrap();
}

/// `beacon-signal token` with these arguments: what it prints, or what it says.
fn program(arguments: &[&str]) -> Result<String, String> {
    let mut program = Command::new(env!("CARGO_BIN_EXE_beacon-signal"));
    let output = program.arg("token").args(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().trim().to_owned();
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}

#[tokio::test]
async fn the_program_makes_keys_and_tokens_that_let_in() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).display().to_string();
    let (gate, mine) = (file("gate.key"), file("viewer.key"));
    let key = program(&["--key", &gate]).unwrap();
    assert_eq!(program(&["--key", &gate]).unwrap(), key, "the key stays");
    let mut config = Config::default();
    config.tokens = vec![key.parse().unwrap()];
    let server = Running::start(config).await;
    let token = program(&["--key", &gate, "launch", "--identity", &mine]).unwrap();
    let me = beacon_signal::read_or_make_key(mine.as_ref()).unwrap();
    let mut guest = viewer("launch", 1);
    (guest.join.peer, guest.identity) = (me.public(), me);
    join(&server, guest, &token).await.unwrap();
    let peer = id(1).to_string();
    let token =
        program(&["--key", &gate, "launch", "--peer", &peer, "--right", "publish"]).unwrap();
    join(&server, origin("launch", 1, 5), &token).await.unwrap();
    // Over by the time it is shown, perhaps, and clocks may differ.
    let brief = program(&["--key", &gate, "launch", "--peer", &peer, "--valid", "1"]).unwrap();
    join(&server, viewer("launch", 1), &brief).await.unwrap();
    for wrong in [&["launch"][..], &["launch", "--peer", "7"], &["--peer", &peer]] {
        let error = program(&[&["--key", &gate], wrong].concat()).unwrap_err();
        assert!(error.contains("--") && !error.contains("panicked"), "{wrong:?}: {error}");
    }
    std::fs::write(&gate, "a shopping list").unwrap();
    assert!(program(&["--key", &gate]).unwrap_err().contains("holds no key"));
}
