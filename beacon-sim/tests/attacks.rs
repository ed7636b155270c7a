//! A few attacks, small: what good viewers lose to them, and how soon they are over. `sim attack` plays all.

#![allow(clippy::unwrap_used)]

use beacon_sim::plan::{Adversary, Plan};
use beacon_sim::report::{Attack, Report};
use beacon_sim::world;
use std::path::Path;

#[derive(serde::Deserialize)]
struct File {
    adversary: Vec<Adversary>,
}

/// Two dozen viewers, of whom some are this from 6 s on, until 13 s.
fn play(adversary: &str) -> (Report, Attack) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("plans/attacks/base.toml");
    let mut plan = Plan::read(&path).unwrap();
    (plan.peers, plan.warmup_s, plan.measure_s) = (24, 6, 7);
    plan.churn.arrive_s = 1.0;
    let file: File = toml::from_str(&format!("adversary = [{{ {adversary} }}]")).unwrap();
    plan.adversary = file.adversary;
    let report = world::run(&plan, 1, |_, _| {}).unwrap();
    let attack = report.attack.unwrap();
    println!("{adversary}: {:?} {:?} {attack:?}", report.continuity, report.delay_ms);
    assert_eq!((report.bad_bytes, attack.false_bytes_relayed), (0, 0));
    (report, attack)
}

#[test]
fn polluters_are_left_at_once_and_nobody_passes_it_on() {
    let (report, attack) = play("kind = 'polluter', share = 0.25, from_s = 6");
    assert!(report.symbols_invalid > 0 && attack.hostile >= 5);
    assert!(attack.left_ms.p50 <= 300 && attack.left_ms.p95 <= 1000, "{attack:?}");
    assert!(report.continuity.s4 >= 0.999, "{:?}", report.continuity);
    assert_eq!(attack.wronged, 0);
}

#[test]
fn parents_that_send_nothing_are_left() {
    let (report, attack) = play("kind = 'shirker', share = 0.25, from_s = 6");
    assert!(attack.harmed > 0 && attack.left_ms.p95 <= 3500, "{attack:?}");
    assert!(report.continuity.s4 >= 0.99, "{:?}", report.continuity);
}

#[test]
fn who_asks_without_end_is_cut_by_each_neighbour() {
    let (report, attack) = play("kind = 'flooder', share = 0.25, from_s = 6");
    assert!(attack.harmed > 0 && attack.left_ms.p99 <= 4000, "{attack:?}");
    assert!(report.continuity.s4 >= 0.995, "{:?}", report.continuity);
}

#[test]
fn who_reads_nothing_is_cut() {
    let (report, attack) = play("kind = 'loris', share = 0.25, from_s = 6");
    assert!(attack.harmed > 0 && attack.left_ms.p50 <= 6000, "{attack:?}");
    assert!(report.continuity.s4 >= 0.99, "{:?}", report.continuity);
}

#[test]
fn everybody_learns_that_the_broadcaster_signs_two_streams() {
    let (_, attack) = play("kind = 'equivocator', share = 0.5, from_s = 8");
    assert_eq!((attack.hostile, attack.uncut), (0, 0));
    assert!(attack.cut_ms.p99 <= 2000, "{attack:?}");
}
