//! Pages that broadcast, out of Chromium's made-up devices: another page and a native viewer get
//! it, the source changes while they play, and the pages of the READMEs do as they promise.
//!
//! Needs what the tests in `browser/` need.
#![allow(clippy::unwrap_used, missing_docs)]

use beacon_codec_lite::NullSink;
use beacon_codec_raptorq::RaptorQ;
use beacon_sdk::{Beacon, Identity, Profile};
use beacon_transport_webrtc::{SignalClient, WebRtc, WebRtcConfig};
use serde::Deserialize;
use stage::{Stage, screenshots};
use std::path::{Path, PathBuf};

mod stage;

/// What a page's player is at.
#[derive(Debug, Deserialize)]
struct Look {
    time: f64,
    frames: u64,
    audio: u64,
    width: u32,
    height: u32,
    state: String,
    codecs: Vec<String>,
    /// Of the picture, in milliseconds, where the clock of the test picture could be read.
    age: Option<f64>,
}

#[derive(Debug, Deserialize)]
struct State {
    name: String,
    reason: String,
    cure: String,
    peers: u32,
}

#[derive(Debug, Deserialize)]
struct Scenes {
    /// Title, category, tags and the picture's size.
    listed: Vec<String>,
    pattern: Look,
    camera: Look,
    screen: Look,
    larger: Look,
    live: State,
    taken: State,
    cure: String,
    errors: Vec<String>,
}

#[test]
fn a_page_broadcasts_and_changes_its_source() {
    let stage = Stage::set();
    let play = stage.play("broadcast.mjs", &[screenshots().to_str().unwrap()]);

    let inside = stage.runtime.enter();
    let identity = Identity::random().unwrap();
    let transport = WebRtc::new(identity.public(), WebRtcConfig::loopback()).unwrap();
    let rendezvous = SignalClient::new(&format!("ws://{}", stage.host), &identity).unwrap();
    let beacon = Beacon::new(identity, transport, rendezvous);
    let sink = NullSink::new();
    let counts = sink.counts();
    let beacon = beacon.config(Profile::Live.config()).code(RaptorQ::new());
    let (native, driver) = beacon.watch("test", sink).unwrap();
    stage.runtime.spawn(driver);
    drop(inside);

    let seen: Scenes = play.finish();
    println!("{seen:#?}");
    assert_eq!(seen.errors, Vec::<String>::new());
    let Scenes { pattern, camera, screen, larger, .. } = &seen;
    for (before, after) in [(pattern, camera), (camera, screen), (screen, larger)] {
        assert!(after.time > before.time + 1.0, "it plays on: {after:?}");
        assert!(after.frames > before.frames, "pictures are shown: {after:?}");
        assert!(after.audio > before.audio, "sound is decoded: {after:?}");
        assert!(["playing", "buffering"].contains(&after.state.as_str()), "{after:?}");
    }
    let listed = ["A test", "Demo", "page", "live", "320 × 180"];
    assert_eq!(seen.listed, listed, "lists show what the page says and sends");
    assert!(pattern.codecs[0].starts_with("avc1") && pattern.codecs[1] == "opus", "{pattern:?}");
    assert!(pattern.age.is_some_and(|age| age > 0.0), "the clock is read: {pattern:?}");
    assert_eq!((pattern.width, pattern.height), (640, 360));
    assert_eq!(camera.age, None, "it is another picture");
    assert_eq!(larger.height, 720);
    assert_eq!(seen.live.name, "live");
    assert!(seen.live.peers > 0, "{:?}", seen.live);
    assert_eq!(seen.taken.cure, "Choose another name.");
    assert!(seen.taken.reason.contains("somebody else"), "{:?}", seen.taken);
    assert!(seen.cure.contains("Allow the camera"), "{}", seen.cure);

    let stats = native.snapshot().stats;
    assert!(stats.segments_delivered > 20, "a native viewer gets it: {stats:?}");
    assert_eq!(stats.symbols_invalid, 0);
    assert!(counts.objects() > 200, "{} objects", counts.objects());
}

/// Two pages in tabs that nobody sees, and one that plays what they carry.
#[derive(Debug, Deserialize)]
struct Unseen {
    hidden: bool,
    seen: bool,
    published: u64,
    /// Pictures encoded per second.
    rate: f64,
    passed: u64,
    frames: u64,
    missed: u64,
    peers: u64,
}

#[derive(Debug, Deserialize)]
struct Hidden {
    first: Unseen,
    last: Unseen,
}

#[test]
fn hidden_tabs_go_on_broadcasting_and_passing_on() {
    let Hidden { first, last } = Stage::set().play("hidden.mjs", &[]).finish();
    println!("{first:#?} {last:#?}");
    assert!(first.hidden && last.hidden && first.seen && last.seen);
    // A page's clock is slowed to one per second; the worker's is not.
    assert!(last.rate > 6.0, "it encodes on: {last:?}");
    assert!(last.published > first.published, "{first:?} {last:?}");
    assert!(last.passed > first.passed + 100_000, "it passes on: {first:?} {last:?}");
    assert!(last.peers > first.peers + 100_000 && last.missed < 10, "{first:?} {last:?}");
    assert!(last.frames > first.frames + 60, "it plays: {first:?} {last:?}");
}

#[derive(Debug, Deserialize)]
struct Microphones {
    /// How many are open, and whether it is on.
    #[serde(rename = "afterClose")]
    after_close: (u32, bool),
    #[serde(rename = "afterTwo")]
    after_two: (u32, bool),
    /// Whether it is on, and the remark.
    gone: (bool, String),
}

#[derive(Debug, Deserialize)]
struct Sound {
    mute: Look,
    heard: Look,
    live: State,
    remark: String,
    microphone: Microphones,
    errors: Vec<String>,
}

/// A track without a packet would hold up the picture of whoever plays both.
#[test]
fn sound_that_the_browser_holds_back_holds_up_no_picture() {
    let seen: Sound = Stage::set().play("broadcast.mjs", &["sound"]).finish();
    println!("{seen:#?}");
    assert_eq!(seen.errors, Vec::<String>::new());
    assert_eq!((seen.mute.codecs.len(), seen.mute.audio), (1, 0));
    assert!(seen.mute.frames >= 30 && seen.heard.frames > 0);
    assert!(seen.heard.codecs.len() == 2 && seen.heard.audio > 0, "{:?}", seen.heard);
    assert_eq!(seen.live.name, "live", "words too long for a list end no broadcast");
    assert!(seen.remark.contains("Lists do not show it"), "{}", seen.remark);
    let Microphones { after_close, after_two, gone } = seen.microphone;
    assert_eq!(after_close, (0, false), "allowed when nobody waits for it any more");
    assert_eq!(after_two, (1, true));
    assert!(!gone.0 && gone.1.contains("microphone is gone"), "{gone:?}");
}

#[derive(Debug, Deserialize)]
struct Played {
    played: Vec<Look>,
    errors: Vec<String>,
}

#[test]
fn the_pages_of_the_readmes_work_as_they_are() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = screenshots().join("readme");
    std::fs::create_dir_all(&folder).unwrap();
    for readme in [root.join("README.md"), root.parent().unwrap().join("README.md")] {
        let pages = pages_of(&std::fs::read_to_string(&readme).unwrap());
        let (casters, players): (Vec<&str>, _) =
            pages.iter().map(String::as_str).partition(|page| page.contains("broadcast"));
        assert_eq!((casters.len(), players.len()), (1, 1), "{}", readme.display());
        assert!(pages.iter().all(|page| page.lines().count() <= 10), "ten lines at most");
        let write = |name: &str, text: &str| -> PathBuf {
            let file = folder.join(name);
            std::fs::write(&file, text).unwrap();
            file
        };
        let (caster, player) = (write("caster.html", casters[0]), write("player.html", players[0]));
        let args = ["readme", caster.to_str().unwrap(), player.to_str().unwrap()];
        let seen: Played = Stage::set().play("broadcast.mjs", &args).finish();
        println!("{seen:#?}");
        assert_eq!(seen.errors, Vec::<String>::new());
        assert!(seen.played[0].time > 1.0 && seen.played[0].frames >= 30, "{seen:?}");
    }
}

/// The blocks of HTML that are whole pages.
fn pages_of(readme: &str) -> Vec<String> {
    let blocks = readme.split("```html\n").skip(1).filter_map(|rest| rest.split("```").next());
    blocks.filter(|block| block.starts_with("<!doctype html>")).map(str::to_owned).collect()
}
