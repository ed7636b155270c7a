//! Pages at a signaling server that asks everybody for work, in Debian's Chromium.
//!
//! Needs what the tests in `browser/` need.
#![allow(clippy::unwrap_used, missing_docs)]

mod stage;

use beacon_signal::Effort;
use serde::Deserialize;
use stage::Stage;

#[derive(Debug, Deserialize)]
struct State {
    name: String,
    peers: u32,
}

#[derive(Debug, Deserialize)]
struct Seen {
    origin: State,
    viewer: State,
}

#[test]
fn pages_do_the_work_and_find_each_other() {
    let stage = Stage::set_with(|config| config.work = Effort::Tries(128));
    let seen: Seen = stage.play("work.mjs", &[]).finish();
    assert_eq!(seen.origin.name, "live", "{seen:?}");
    assert!(seen.viewer.peers > 0, "{seen:?}");
}
