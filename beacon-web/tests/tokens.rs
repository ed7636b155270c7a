//! Pages at a signaling server that lets in who has a token, in Debian's Chromium.
//!
//! Needs what the tests in `browser/` need.
#![allow(clippy::unwrap_used, missing_docs)]

mod stage;

use beacon_sdk::Identity;
use beacon_signal::token::{Grant, Mint, Right};
use serde::Deserialize;
use stage::Stage;

#[derive(Debug, Deserialize)]
struct State {
    name: String,
    reason: String,
    peers: u32,
}

#[derive(Debug, Deserialize)]
struct Seen {
    id: String,
    origin: State,
    bearer: State,
    thief: State,
    stranger: State,
    player: State,
    caster: State,
    /// For whom the page was asked for a token.
    asked: String,
}

#[test]
fn pages_show_their_tokens_and_others_are_told_what_they_lack() {
    let mint = Mint::from_secret([9; 32]).unwrap();
    let stage = Stage::set_with(|config| config.tokens = vec![mint.key()]);
    let id = |secret| Identity::from_secret([secret; 32]).public();
    let token = |broadcast: &str, secret, right| {
        let (broadcast, peer, expires) = (broadcast.into(), id(secret), 4_000_000_000);
        mint.sign(&Grant { broadcast, peer, rights: vec![right], not_before: None, expires })
            .unwrap()
    };
    let tokens = [
        token("launch", 6, Right::Publish),
        token("launch", 7, Right::Watch),
        token("launch", 10, Right::Watch),
        token("studio", 11, Right::Publish),
    ];
    let tokens: Vec<&str> = tokens.iter().map(|token| token.as_str()).collect();
    let seen: Seen = stage.play("tokens.mjs", &tokens).finish();
    assert_eq!(seen.id, id(7).to_string());
    assert_eq!(seen.origin.name, "live", "{seen:?}");
    assert!(seen.bearer.peers > 0, "{seen:?}");
    assert_eq!((&*seen.thief.name, &*seen.stranger.name), ("refused", "refused"), "{seen:?}");
    assert!(seen.thief.reason.contains("token is for peer"), "{seen:?}");
    assert!(seen.stranger.reason.contains("lets in who has a token"), "{seen:?}");
    assert!(seen.player.peers > 0, "{seen:?}");
    assert_eq!((&*seen.caster.name, &seen.asked), ("live", &id(11).to_string()), "{seen:?}");
}
