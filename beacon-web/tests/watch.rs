//! The pages of `beacon-signal` in Debian's Chromium: they list a broadcast, play it and pass it on.
//!
//! Needs what the tests in `browser/` need. Leaves pictures of the pages in `screenshots` of the
//! target folder.
#![allow(clippy::unwrap_used, missing_docs)]

use beacon_codec_lite::{TestPattern, TestPatternOptions};
use beacon_codec_raptorq::RaptorQ;
use beacon_sdk::{Beacon, Identity, Profile, Stats};
use beacon_signal::Server;
use beacon_transport_webrtc::{SignalClient, WebRtc, WebRtcConfig};
use serde::Deserialize;
use std::path::Path;
use std::process::Command;
use tokio::runtime::Runtime;

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

fn open(url: &str) -> Seen {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser");
    assert!(
        folder.join("node_modules/playwright-core").is_dir(),
        "playwright-core is missing: run `npm ci` in beacon-web/tests/browser, or `cargo ci`"
    );
    let shots = target().join("screenshots");
    std::fs::create_dir_all(&shots).unwrap();
    let output = Command::new("node")
        .arg(folder.join("pages.mjs"))
        .args([url, &SECONDS.to_string()])
        .arg(shots)
        .current_dir(&folder)
        .output()
        .expect("node is needed: apt-get install nodejs");
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{complained}");
    serde_json::from_str(&said).unwrap()
}

/// The target folder: this test lies in deps/ of a profile's folder of it.
fn target() -> std::path::PathBuf {
    std::env::current_exe().unwrap().ancestors().nth(3).unwrap().to_owned()
}

#[test]
fn pages_play_and_pass_on() {
    let runtime = Runtime::new().unwrap();
    let mut config = beacon_signal::Config::default();
    config.pages = Some(target().join("web-tests"));
    let server = runtime.block_on(Server::bind("127.0.0.1:0".parse().unwrap(), config));
    let server = server.expect("cargo xtask web --tests builds what is served");
    let addr = server.local_addr();
    runtime.spawn(server.serve(std::future::pending()));

    let inside = runtime.enter();
    let identity = Identity::random().unwrap();
    let transport = WebRtc::new(identity.public(), WebRtcConfig::loopback()).unwrap();
    let rendezvous = SignalClient::new(&format!("ws://{addr}")).unwrap();
    let pattern = TestPattern::new(TestPatternOptions::default()).unwrap();
    // One link: the second page has its bytes from the first.
    let mut config = Profile::Live.config();
    (config.links_max, config.links_target) = (1, 1);
    let beacon = Beacon::new(identity, transport, rendezvous).config(config).code(RaptorQ::new());
    let (broadcast, driver) = beacon.publish("test", pattern, None).unwrap();
    runtime.spawn(driver);
    drop(inside);

    let seen = open(&format!("http://{addr}"));
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
