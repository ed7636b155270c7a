//! Pages and native peers in one mesh, and the trouble they can be in.
//!
//! Needs what the tests in `browser/` need.
#![allow(clippy::unwrap_used, missing_docs, dead_code)]

mod native;
mod pages;
#[path = "../stage/mod.rs"]
mod stage;

use beacon_sdk::Stats;
use native::{Origin, Viewer};
use pages::{Look, Pages};
use stage::{PATIENCE, Stage};
use std::time::{Duration, Instant};

/// Waits until a native peer is as wanted.
fn wait_for(what: &str, stats: impl Fn() -> Stats, done: impl Fn(&Stats) -> bool) -> Stats {
    let until = Instant::now() + PATIENCE;
    loop {
        let now = stats();
        if done(&now) {
            return now;
        }
        assert!(Instant::now() < until, "{what}: {now:#?}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Segments that make up some seconds of picture and sound.
const A_WHILE: u64 = 30;

/// Origin, page, page, viewer: each has room for nobody but its neighbours.
#[test]
fn a_chain_carries_a_broadcast_through_two_pages_to_a_native_viewer() {
    let stage = Stage::set();
    let origin = Origin::with_links(&stage, 1);
    let pages = Pages::of(&stage);
    pages.watch("first", 2);
    wait_for("the first page has the origin's link", || origin.stats(), |stats| stats.children > 0);
    pages.watch("second", 2);
    pages.plays("second");
    let viewer = Viewer::leaf(&stage, 1);
    let stats = wait_for(
        "it comes to the end of the chain",
        || viewer.stats(),
        |stats| stats.segments_delivered > A_WHILE,
    );
    let (first, second) = (pages.plays_on("first", 1.0), pages.plays_on("second", 1.0));

    assert_eq!(stats.bytes_from_origin, 0, "{stats:#?}");
    assert_eq!((stats.symbols_invalid, stats.segments_missed), (0, 0), "{stats:#?}");
    assert_eq!(stats.hops_max, 3, "{stats:#?}");
    let sent_to_viewer = |look: &Look| {
        let links = &look.stats.as_ref().unwrap().links;
        links.iter().filter(|link| link.peer == viewer.id).map(|link| link.sent).sum::<u64>()
    };
    assert_eq!(sent_to_viewer(&first), 0, "it has nothing from the first page: {first:#?}");
    assert!(sent_to_viewer(&second) >= stats.bytes_from_peers, "{stats:#?} {second:#?}");
    assert!(first.stats().bytes_from_origin > 0 && second.stats().bytes_from_origin == 0);
    assert!(viewer.seen.is_of(&origin.sent) as u64 >= A_WHILE);
    assert_eq!(pages.errors(), Vec::<String>::new());
}
