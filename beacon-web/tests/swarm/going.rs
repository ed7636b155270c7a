//! Pages that are killed, reloaded or leave, and those they leave behind; and many at once.

use crate::native::{Origin, Viewer};
use crate::pages::{Look, Pages};
use crate::stage::{PATIENCE, Stage};
use crate::{A_WHILE, ON, wait_for};
use beacon_sdk::plugin::CloseReason;
use beacon_sdk::{PeerId, Stats};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// More than there are peers.
const LINKS: u16 = 24;

/// Waits until one of these pages serves children: such a one is missed when it goes.
fn one_that_carries<'a>(pages: &Pages, names: &[&'a str]) -> &'a str {
    let until = Instant::now() + PATIENCE;
    loop {
        let carries = |name: &&&str| pages.look(name).stats().children > 0;
        if let Some(name) = names.iter().find(carries) {
            return name;
        }
        assert!(Instant::now() < until, "a page of {names:?} carries others");
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Does something and sees these pages play on through it: nothing is missed, or there later than it is to be shown. Of an
/// encoder or a decoder that this machine has no time for, nothing is said here: `cargo xtask nightly --only pages` counts each
/// time that a player stands still.
fn undisturbed(pages: &Pages, names: &[&str], deed: impl FnOnce()) {
    let before: BTreeMap<&str, Look> = names.iter().map(|name| (*name, pages.look(name))).collect();
    deed();
    for name in names {
        let (now, before) = (pages.plays_on(name, ON), &before[name]);
        println!("{name}: its player stood still {} times", now.stalls - before.stalls);
        let bad = |stats: &Stats| (stats.segments_missed, stats.segments_late, stats.stalls);
        assert_eq!(bad(&now.stats()), bad(&before.stats()), "{name} is disturbed: {now:#?}");
    }
}

/// The processes of pages end while they carry others; nobody is told.
#[test]
fn pages_and_viewers_play_on_when_a_page_that_carries_them_is_killed() {
    let stage = Stage::set();
    let _origin = Origin::with_links(&stage, 2);
    let pages = Pages::of(&stage);
    let mut names = vec!["first", "second", "third", "fourth"];
    for name in &names {
        pages.watch(name, LINKS);
    }
    names.iter().for_each(|name| _ = pages.plays(name));
    let viewer = Viewer::leaf(&stage, LINKS);
    let of_viewer = || viewer.stats();
    wait_for("a viewer plays", of_viewer, |stats| stats.segments_delivered > A_WHILE);
    for _ in 0..2 {
        let killed = one_that_carries(&pages, &names);
        names.retain(|name| *name != killed);
        undisturbed(&pages, &names, || pages.make(killed, "crash"));
    }
    let delivered = viewer.stats().segments_delivered;
    let on = |stats: &Stats| stats.segments_delivered > delivered + A_WHILE;
    let stats = wait_for("the viewer goes on", of_viewer, on);
    assert_eq!((stats.segments_missed, stats.segments_late), (0, 0), "{stats:#?}");
    assert_eq!(pages.errors(), Vec::<String>::new());
}

/// The page with the origin's only link is loaded anew: it plays again, and the other goes on.
#[test]
fn a_page_that_is_reloaded_plays_again_and_others_go_on() {
    let stage = Stage::set();
    let origin = Origin::with_links(&stage, 1);
    let pages = Pages::of(&stage);
    pages.watch("first", LINKS);
    wait_for("the first page has the origin's link", || origin.stats(), |stats| stats.children > 0);
    pages.watch("second", LINKS);
    pages.plays("second");
    // Whoever is next to the origin carries the other one.
    for _ in 0..2 {
        let reloaded = one_that_carries(&pages, &["first", "second"]);
        let other = if reloaded == "first" { "second" } else { "first" };
        undisturbed(&pages, &[other], || pages.make(reloaded, "reload"));
        pages.plays(reloaded);
    }
    assert_eq!(pages.errors(), Vec::<String>::new());
}

/// Leaving is said, not found out: no neighbour waits for it.
#[test]
fn a_page_that_leaves_says_goodbye_and_is_gone_at_once() {
    let stage = Stage::set();
    let origin = Origin::with_links(&stage, LINKS);
    let pages = Pages::of(&stage);
    pages.watch("stays", LINKS);
    pages.plays("stays");
    for deed in ["leave", "shut"] {
        let known = origin.neighbours();
        pages.watch("guest", LINKS);
        pages.plays("guest");
        let until = Instant::now() + PATIENCE;
        let guest: PeerId = loop {
            if let Some(guest) = origin.neighbours().difference(&known).next() {
                break *guest;
            }
            assert!(Instant::now() < until, "the origin is linked with the guest");
            std::thread::sleep(Duration::from_millis(100));
        };
        undisturbed(&pages, &["stays"], || pages.make("guest", deed));
        let reason = origin.left.lock().unwrap().get(&guest).copied();
        assert_eq!(reason, Some(CloseReason::Remote), "it says so when it goes: {deed}");
        assert!(!origin.neighbours().contains(&guest));
        let look = pages.look("stays");
        assert!(look.told.iter().any(|name| name == "peer-left"), "{look:#?}");
        assert!(look.stats.unwrap().links.iter().all(|link| link.peer != guest));
    }
    assert_eq!(pages.errors(), Vec::<String>::new());
}

/// Everybody plays, though the origin serves one neighbour only. `cargo xtask nightly --only pages` does it for a minute, with
/// the optimised build.
#[test]
fn four_pages_and_two_viewers_live_on_one_link_of_the_origin() {
    let stage = Stage::set();
    let origin = Origin::with_links(&stage, 1);
    let pages = Pages::of(&stage);
    let names = ["first", "second", "third", "fourth"];
    names.iter().for_each(|name| pages.watch(name, LINKS));
    let viewers = [(); 2].map(|()| Viewer::join(&stage, LINKS, None));
    names.iter().for_each(|name| _ = pages.plays(name));
    for viewer in &viewers {
        wait_for("a viewer plays", || viewer.stats(), |stats| stats.segments_delivered > A_WHILE);
    }
    undisturbed(&pages, &names, || {});
    for name in names {
        let stats = pages.look(name).stats();
        let (origin, peers) = (stats.bytes_from_origin, stats.bytes_from_peers);
        let offload = 100 * peers / (origin + peers).max(1);
        println!("{name}: {offload} % from peers, {} bytes passed on", stats.bytes_uploaded);
        assert_eq!(stats.symbols_invalid, 0, "{stats:#?}");
    }
    for viewer in &viewers {
        let stats = viewer.stats();
        assert_eq!((stats.segments_missed, stats.segments_late), (0, 0), "{stats:#?}");
    }
    let (sent, stream) = (origin.stats().bytes_uploaded, origin.stats().bytes_published);
    assert!(sent * 2 < stream * 3, "the origin sends one copy: {sent} of a stream of {stream}");
    assert_eq!(pages.errors(), Vec::<String>::new());
}
