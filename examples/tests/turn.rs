//! A broadcast among peers that nothing but a TURN server joins, which the signaling server gives them leave to use.
#![cfg(unix)]
#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

#[path = "../../beacon-transport-webrtc/tests/coturn/mod.rs"]
mod coturn;
#[path = "swarm/stage.rs"]
#[allow(dead_code)] // the swarm's tests use all of it
mod stage;

use beacon_signal::{Config, TurnConfig};
use coturn::{Coturn, SECRET};
use stage::{Stage, contains_tail};

#[test]
fn what_only_a_relay_joins_is_watched_through_it() {
    let coturn = Coturn::start();
    let mut config = Config::default();
    config.turn = Some(TurnConfig::new(vec![coturn.url()], SECRET));
    let stage = Stage::with("turn", &config);
    let source = ["--source", "test", "--duration", "12", "--relay-only"];
    let broadcaster = stage.broadcaster(&source);
    let viewers: Vec<_> = (0..2).map(|at| stage.viewer(at, &["--relay-only"])).collect();
    broadcaster.finish();
    let recording = stage.objects("sent");
    for viewer in viewers {
        let name = viewer.name.clone();
        let stats = viewer.finish();
        assert_eq!(stats.segments_missed, 0, "{name}: {stats:?}");
        contains_tail(&recording, &stage.objects(&name), &name);
    }
}
