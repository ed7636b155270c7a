//! The pages of `beacon-signal` in Debian's Chromium: they list a broadcast, play it and pass it on.
//!
//! Needs what the tests in `browser/` need. Leaves pictures of the pages in `screenshots` of the
//! target folder.
#![allow(clippy::unwrap_used, missing_docs)]

use beacon_codec_lite::{TestPattern, TestPatternOptions};
use beacon_codec_raptorq::RaptorQ;
use beacon_sdk::{Beacon, Identity, Profile, Stats};
use beacon_transport_webrtc::{SignalClient, WebRtc, WebRtcConfig};
use serde::Deserialize;
use stage::{Stage, screenshots};

mod stage;

/// How long two pages are watched.
const SECONDS: u32 = 10;

/// What a page's player is at.
#[derive(Debug, Deserialize)]
struct Look {
    time: f64,
    frames: u64,
    audio: u64,
    buffered: f64,
    state: String,
    /// None before the player has asked for the first time.
    stats: Option<Stats>,
}

#[derive(Debug, Deserialize)]
struct Seen {
    first: Vec<Look>,
    last: Vec<Look>,
    listed: String,
    errors: Vec<String>,
}

#[test]
fn pages_play_and_pass_on() {
    let stage = Stage::set();
    let inside = stage.runtime.enter();
    let identity = Identity::random().unwrap();
    let transport = WebRtc::new(identity.public(), WebRtcConfig::loopback()).unwrap();
    let rendezvous = SignalClient::new(&format!("ws://{}", stage.host), &identity).unwrap();
    let pattern = TestPattern::new(TestPatternOptions::default()).unwrap();
    // One link: the second page has its bytes from the first.
    let mut config = Profile::Live.config();
    (config.links_max, config.links_target) = (1, 1);
    let beacon = Beacon::new(identity, transport, rendezvous).config(config).code(RaptorQ::new());
    let (broadcast, driver) = beacon.publish("test", pattern, None).unwrap();
    stage.runtime.spawn(driver);
    drop(inside);

    let shots = screenshots();
    let args = [&SECONDS.to_string(), shots.to_str().unwrap()];
    let seen: Seen = stage.play("pages.mjs", &args).finish();
    println!("{seen:#?}");
    assert_eq!(seen.errors, Vec::<String>::new());
    assert!(seen.listed.contains("test") && seen.listed.contains("viewer"), "{}", seen.listed);
    assert_eq!(seen.last.len(), 2);
    for (first, last) in seen.first.iter().zip(&seen.last) {
        assert!(last.time > first.time + 2.0, "it plays: {last:?}");
        assert!(last.frames > first.frames + 20, "pictures are shown: {last:?}");
        assert!(last.audio > first.audio, "sound is decoded: {last:?}");
        assert!(last.buffered < 40.0, "what is old is let go: {last:?}");
        assert!(["playing", "buffering"].contains(&last.state.as_str()), "{last:?}");
        assert_eq!(last.stats.as_ref().unwrap().symbols_invalid, 0);
    }
    let stats: Vec<&Stats> = seen.last.iter().flat_map(|look| &look.stats).collect();
    let most = stats.iter().max_by_key(|stats| stats.bytes_from_peers).unwrap();
    let given: u64 = stats.iter().map(|stats| stats.bytes_uploaded).sum();
    assert!(most.bytes_from_peers > 50_000, "one page serves the other: {most:?}");
    assert!(given > 50_000, "pages have passed on {given}");
    drop(broadcast);
}
