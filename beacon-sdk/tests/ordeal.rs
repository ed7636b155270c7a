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
    assert!(reached.0 >= 10 && reached.1 >= 100 && reached.2 >= 20, "{reached:?}");
}

/// Two viewers that push every stripe to each other, beside their true parents.
#[test]
fn a_circle_of_subscriptions_amplifies_nothing() {
    const CIRCLE: [u8; 6] = [23, 1, 2, 23, 2, 1];
    // Four frames, then everything arrives; both twice.
    const STREAM: [u8; 16] = [195, 0, 0, 184, 11, 192, 0, 0, 192, 0, 0, 195, 0, 0, 184, 11];
    let play = |acts: &[u8]| ordeal::run(&[&[0, 1], acts].concat());
    let tree = play(&STREAM.repeat(8));
    let circle = play(&[&CIRCLE[..], &STREAM.repeat(8)].concat());
    // No symbol goes over a link twice: `World` holds that. So the circle adds one copy each way
    // at most, and hardly anything to the control lane.
    assert!(circle.symbols > tree.symbols, "{circle:?} {tree:?}");
    assert!(circle.symbols <= tree.symbols * 2, "{circle:?} {tree:?}");
    assert!(circle.controls <= tree.controls * 3 / 2, "{circle:?} {tree:?}");
    assert_eq!(circle.delivered, tree.delivered);
    assert_eq!(circle.banned, 0);
}
