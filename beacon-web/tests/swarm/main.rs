//! Pages and native peers in one mesh, and the trouble they can be in.
//!
//! Needs what the tests in `browser/` need.
#![allow(clippy::unwrap_used, missing_docs)]

mod going;
// One of its two forgeries is for the processes there.
#[allow(dead_code, unreachable_pub)]
#[path = "../../../examples/tests/swarm/hostile.rs"]
mod hostile;
mod identity;
mod ledger;
mod native;
mod pages;
mod slow;
#[path = "../stage/mod.rs"]
mod stage;

use beacon_sdk::Stats;
use beacon_signal::Effort;
use native::{Origin, Viewer};
use pages::{Look, Pages};
use stage::{PATIENCE, Stage};
use std::time::{Duration, Instant};

/// Seconds of picture that show that a page plays on.
const ON: f64 = 4.0;

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

/// A native peer forges every symbol that it passes on: pages let go of it, and what they play and pass on is true.
#[test]
fn pages_ban_a_forger_and_play_and_pass_on_what_is_true() {
    let stage = Stage::set();
    let origin = Origin::with_links(&stage, 2);
    let forger = hostile::join(format!("ws://{}", stage.host), hostile::Forgery::Symbols);
    wait_for("the forger is next to the origin", || origin.stats(), |stats| stats.children > 0);
    let pages = Pages::of(&stage);
    pages.watch("player", 24);
    pages.plays("player");
    pages.hear("hearer", 24);
    let viewer = Viewer::leaf(&stage, 24);
    let enough = |look: &Look| look.stats().segments_delivered > A_WHILE;
    pages.until("hearer", "it gets the broadcast", enough);
    let delivered = |stats: &Stats| stats.segments_delivered > A_WHILE;
    wait_for("pages pass it on", || viewer.stats(), delivered);
    let banned = |page: &&str| pages.look(page).told.iter().any(|name| name == "peer-banned");
    let until = Instant::now() + PATIENCE;
    let mut lured = Some(Instant::now() + PATIENCE / 6);
    let which = loop {
        if let Some(which) = ["player", "hearer"].into_iter().find(banned) {
            break which;
        }
        // As long as the player carries everybody, nobody has to take from the forger.
        if lured.take_if(|at| *at < Instant::now()).is_some() {
            pages.make("player", "reload");
            pages.plays("player");
        }
        assert!(Instant::now() < until, "a page bans the forger: {:#?}", pages.look("player"));
        std::thread::sleep(Duration::from_millis(200));
    };
    // Counters are up to a second old.
    let counted = |look: &Look| look.stats().symbols_invalid > 0 && look.stats().peers_banned > 0;
    pages.until(which, "what was forged is counted", counted);
    pages.plays_on("player", ON);
    let hearer = pages.look("hearer");
    let sums = origin.sent.sums();
    assert!(hearer.objects.len() > 200, "{} objects", hearer.objects.len());
    assert!(hearer.objects.iter().all(|sum| sums.contains(sum)), "nothing false is played");
    assert!(viewer.seen.is_of(&origin.sent) as u64 >= A_WHILE);
    assert!(viewer.stats().bytes_from_peers > 0, "{:#?}", viewer.stats());
    assert!(forger.stop() > 0, "the attack was made");
    assert_eq!(pages.errors(), Vec::<String>::new());
}

/// Who has found the others needs no signaling; who comes finds them when it is back. It asks for work then, as after a
/// loss that many had, which pages do while they pass on.
#[test]
fn pages_play_on_without_signaling_and_newcomers_find_them_when_it_is_back() {
    let mut stage = Stage::set();
    let _origin = Origin::with_links(&stage, 1);
    let pages = Pages::of(&stage);
    for page in ["first", "second"] {
        pages.watch(page, 24);
        pages.plays(page);
    }
    stage.kill_signaling();
    let told = |event: &'static str| move |look: &Look| look.told.iter().any(|name| name == event);
    for page in ["first", "second"] {
        pages.until(page, "it knows", told("signal-lost"));
        pages.plays_on(page, ON);
    }
    stage.restart_signaling_with(|config| config.work = Effort::Tries(128));
    pages.watch("newcomer", 24);
    let newcomer = pages.plays("newcomer");
    assert!(newcomer.stats().bytes_from_peers > 0, "the origin has no link: {newcomer:#?}");
    pages.until("first", "it is back", told("signal-back"));
    for page in ["first", "second"] {
        pages.plays_on(page, ON);
    }
}
