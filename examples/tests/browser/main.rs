//! The page in Debian's Chromium: a moving picture with sound, carried by the mesh.
//!
//! Needs Chromium, Node.js and `npm ci` in this folder; `cargo ci` sees to all three. Off unless
//! the feature `browser-tests` is on.
#![cfg(feature = "browser-tests")]
#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

#[path = "../swarm/stage.rs"]
#[expect(dead_code, reason = "the swarm tests use the rest")]
mod stage;

use serde::Deserialize;
use stage::{Process, Stage};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

#[derive(Debug, Deserialize)]
struct Look {
    time: f64,
    frames: u64,
    audio: u64,
    strip: Option<u32>,
}

#[derive(Debug, Deserialize)]
struct Seen {
    first: Look,
    last: Look,
    errors: Vec<String>,
}

/// Opens `url` in Chromium for some seconds.
fn watch(url: &str, seconds: u32) -> Seen {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser");
    assert!(
        folder.join("node_modules/playwright-core").is_dir(),
        "playwright-core is missing: run `npm ci` in examples/tests/browser, or `cargo ci`"
    );
    let own = std::env::current_exe().unwrap();
    let shots = own.ancestors().nth(3).unwrap().join("screenshots");
    std::fs::create_dir_all(&shots).unwrap();
    let output = Command::new("node")
        .arg(folder.join("watch.mjs"))
        .args([url, &seconds.to_string()])
        .arg(shots.join("page.png"))
        .current_dir(&folder)
        .output()
        .expect("node is needed: apt-get install nodejs");
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{complained}");
    serde_json::from_str(&said).unwrap()
}

fn wait_for_media(viewer: &Process) {
    let until = Instant::now() + Duration::from_secs(60);
    while viewer.stats().segments_delivered == 0 {
        assert!(Instant::now() < until, "no media: {:?}", viewer.stats());
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn a_viewers_page_plays_picture_and_sound() {
    let stage = Stage::set("browser");
    let broadcaster = stage.broadcaster(&["--source", "test", "--max-links", "1"]);
    // The page's viewer gets everything from the other one: the origin has one link.
    let relay = stage.viewer(0, &[]);
    wait_for_media(&relay);
    let mut pager = stage.start("viewer", "page", &["--sink", "http:127.0.0.1:0"]);
    let seen = watch(&pager.says("watch"), 6);
    let stats = pager.stats();
    println!("{seen:?}");
    assert_eq!(seen.errors, Vec::<String>::new());
    assert!(seen.last.time > seen.first.time + 2.0, "it plays");
    assert!(seen.last.frames > seen.first.frames + 20, "pictures are shown");
    assert!(seen.last.audio > seen.first.audio, "sound is decoded");
    let (first, last) = (seen.first.strip.unwrap(), seen.last.strip.unwrap());
    let passed = last.wrapping_sub(first);
    assert!((2000..60_000).contains(&passed), "the clock in the picture moved by {passed} ms");
    assert!(stats.bytes_from_peers > 0, "it comes through the mesh: {stats:?}");
    drop((broadcaster, relay));
}
