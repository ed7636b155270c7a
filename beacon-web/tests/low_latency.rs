//! Playing frame by frame: the decoder with losses, what other browsers fall back on, and how old
//! the picture is over one hop and over three.
//!
//! Needs what the tests in `browser/` need.
#![allow(clippy::unwrap_used, missing_docs)]

use serde::Deserialize;
use stage::{Stage, screenshots};

mod stage;

#[derive(Debug, Deserialize)]
struct Look {
    playback: String,
    remark: String,
    state: String,
    /// Of the picture, in milliseconds.
    age: Option<f64>,
}

#[derive(Debug, Deserialize)]
struct Damaged {
    /// The numbers of the pictures shown.
    shown: Vec<u32>,
    left: u32,
    broken: u32,
    starved: bool,
    /// How many were shown with 1.4 s of delay.
    late: u32,
}

/// Blocks of sound.
#[derive(Debug, Deserialize)]
struct Deafened {
    before: u32,
    after: u32,
}

#[derive(Debug, Deserialize)]
struct Decoded {
    /// How often the page was told that something may differ, while it showed 30 pictures.
    changes: u32,
    plain: Look,
    canvas: Look,
    without: Look,
    larger: Look,
    smooth: Look,
    ended: bool,
    damaged: Damaged,
    deafened: Deafened,
    errors: Vec<String>,
}

#[test]
fn frames_are_decoded_one_by_one_or_it_says_why_not() {
    let folder = screenshots();
    let args = [folder.to_str().unwrap()];
    let seen: Decoded = Stage::set().play("decode.mjs", &args).finish();
    println!("{seen:#?}");
    assert_eq!(seen.errors, Vec::<String>::new());
    assert!(seen.changes < 30, "frames that arrive are no news: {}", seen.changes);
    for look in [&seen.plain, &seen.canvas, &seen.larger] {
        assert_eq!((look.playback.as_str(), look.state.as_str()), ("webcodecs", "playing"));
        assert!(look.age.is_some_and(|age| age > 0.0), "the clock is read: {look:?}");
        assert_eq!(look.remark, "");
    }
    assert_eq!(seen.without.playback, "mse");
    assert!(seen.without.remark.contains("decodes no single frames"), "{:?}", seen.without);
    assert_eq!(seen.smooth.playback, "mse");
    assert!(seen.ended);

    let Deafened { before, after } = seen.deafened;
    assert!(before > 10 && after > 20, "sound goes on after what cannot be decoded: {seen:?}");

    let Damaged { shown, left, broken, starved, late } = &seen.damaged;
    assert!(shown.is_sorted(), "in order: {shown:?}");
    assert!(!shown.iter().any(|at| (20..30).contains(at)), "nothing up to the keyframe: {shown:?}");
    assert!(shown.iter().any(|at| (30..40).contains(at)), "it goes on there: {shown:?}");
    assert!(*broken > 0, "the decoder gave up on the damage: {seen:?}");
    assert!(shown.iter().any(|at| (45..60).contains(at)), "and began anew: {shown:?}");
    assert!(*left >= 8, "what was left out is counted");
    assert!(*late > 50, "what waits long is shown: {late}");
    assert!(*starved, "at the end there is nothing to show, and it is said");
}

/// How old pictures were at one page, in milliseconds.
#[derive(Debug, Deserialize)]
struct Ages {
    playback: String,
    read: u64,
    p50: Option<f64>,
    p95: Option<f64>,
    hops: u8,
    peers: u64,
    origin: u64,
}

#[derive(Debug, Deserialize)]
struct Latency {
    live: Vec<Ages>,
    low: Vec<Ages>,
    errors: Vec<String>,
}

#[test]
fn the_age_of_the_picture_is_read_over_one_hop_and_three() {
    let seen: Latency = Stage::set().play("latency.mjs", &["6", "3"]).finish();
    println!("{seen:#?}");
    assert_eq!(seen.errors, Vec::<String>::new());
    for (pages, playback) in [(&seen.live, "mse"), (&seen.low, "webcodecs")] {
        assert_eq!(pages.len(), 3);
        for page in pages {
            assert_eq!(page.playback, playback);
            assert!(page.read > 30, "clocks are read: {page:?}");
            assert!(page.p50.is_some_and(|age| age > 0.0) && page.p50 <= page.p95, "{page:?}");
        }
        assert!(pages[0].hops >= 1 && pages[0].origin > 0, "{pages:?}");
        assert!(pages[2].hops >= 2 && pages[2].peers > 0, "pages pass it on: {pages:?}");
    }
}
