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
}

#[test]
fn pages_show_their_tokens_and_others_are_told_what_they_lack() {
    let mint = Mint::from_secret([9; 32]).unwrap();
    let stage = Stage::set_with(|config| config.tokens = vec![mint.key()]);
    let token = |secret, right| {
        let peer = Identity::from_secret([secret; 32]).public();
        let (broadcast, expires) = ("launch".into(), 4_000_000_000);
        mint.sign(&Grant { broadcast, peer, rights: vec![right], not_before: None, expires })
            .unwrap()
    };
    let (publish, watch) = (token(6, Right::Publish), token(7, Right::Watch));
    let seen: Seen = stage.play("tokens.mjs", &[publish.as_str(), watch.as_str()]).finish();
    assert_eq!(seen.id, Identity::from_secret([7; 32]).public().to_string());
    assert_eq!(seen.origin.name, "live", "{seen:?}");
    assert!(seen.bearer.peers > 0, "{seen:?}");
    assert_eq!((&*seen.thief.name, &*seen.stranger.name), ("refused", "refused"), "{seen:?}");
    assert!(seen.thief.reason.contains("token is for peer"), "{seen:?}");
    assert!(seen.stranger.reason.contains("lets in who has a token"), "{seen:?}");
}
