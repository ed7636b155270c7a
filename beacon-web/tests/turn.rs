//! Pages that nothing but a TURN server joins, which the signaling server gives them leave to use, in Debian's Chromium.
//!
//! Needs what the tests in `browser/` need, and coturn.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "../../beacon-transport-webrtc/tests/coturn/mod.rs"]
mod coturn;
mod stage;

use beacon_signal::TurnConfig;
use coturn::{Coturn, SECRET};
use serde::Deserialize;
use stage::Stage;

#[derive(Debug, Deserialize)]
struct State {
    name: String,
    peers: u32,
}

#[derive(Debug, Deserialize)]
struct Seen {
    state: State,
    /// Types of the local candidates of its connections.
    ways: Vec<String>,
}

#[test]
fn pages_meet_through_the_relay_alone() {
    let coturn = Coturn::start();
    let stage = Stage::set_with(|config| {
        // The first address is of no use to anybody here, and fails nothing.
        let urls = vec!["turns:127.0.0.1:9?transport=tcp".into(), coturn.url()];
        config.turn = Some(TurnConfig::new(urls, SECRET));
    });
    let seen: Seen = stage.play("turn.mjs", &[]).finish();
    assert!(seen.state.peers > 0, "{seen:?}");
    assert_ne!(seen.state.name, "refused");
    assert!(!seen.ways.is_empty() && seen.ways.iter().all(|way| way == "relay"), "{seen:?}");
}
