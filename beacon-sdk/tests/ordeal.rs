//! The engine under operations of every kind, checked after each: see `ordeal/mod.rs`.
#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

#[path = "ordeal/mod.rs"]
mod ordeal;

use proptest::collection::vec;
use proptest::prelude::*;

proptest! {
    #[test]
    fn whatever_comes_the_invariants_hold(script in vec(any::<u8>(), 0..700)) {
        ordeal::run(&script);
    }
}

#[test]
fn a_quiet_script_plays_and_passes_on() {
    let tally = ordeal::run(&[0, 1]);
    assert!(tally.delivered >= 4 && tally.symbols >= 40, "{tally:?}");
    assert_eq!(tally.banned, 0);
}

/// A test that reaches nothing proves nothing.
#[test]
fn random_scripts_reach_far() {
    let mut rng = beacon_sdk::Rng::new([3; 32], 0);
    let runs = 40;
    let (mut delivered, mut symbols, mut banned) = (0, 0, 0);
    for _ in 0..runs {
        let script: Vec<u8> = (0..700).map(|_| rng.bits() as u8).collect();
        let tally = ordeal::run(&script);
        delivered += tally.delivered;
        symbols += tally.symbols;
        banned += tally.banned;
    }
    let reached = (delivered / runs, symbols / runs, banned);
    assert!(reached >= (10, 100, 20), "{reached:?}");
    eprintln!("{reached:?}");
}
