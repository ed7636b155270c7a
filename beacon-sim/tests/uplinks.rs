//! Uplinks that carry little, and that nobody knows.

#![allow(clippy::unwrap_used)]

use beacon_sim::plan::Plan;
use beacon_sim::world;
use std::path::Path;

fn plan(name: &str) -> Plan {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("plans").join(name);
    Plan::read(&path).unwrap()
}

/// An origin with 2.4 streams of uplink took three children per stripe and fed none of them; one
/// whose only child turned out weak kept it.
#[test]
fn an_audience_on_home_lines_sees_everything() {
    let mut plan = plan("home.toml");
    for (told, seed) in [(false, 1), (true, 2)] {
        plan.engine.upload_told = Some(told);
        let report = world::run(&plan, seed, |_, _| {}).unwrap();
        assert!(report.continuity.s4 > 0.995, "told {told}: {:?}", report.continuity);
        assert!(report.source_ratio < 2.4, "told {told}: {}", report.source_ratio);
        assert!(report.published > 0.999, "told {told}: nothing is left out");
    }
}

/// Half of the places of the one who gives were kept for four neighbours at home, who filled half of
/// those; most stripes were asked for, and half of them of the origin.
#[test]
fn one_who_gives_serves_a_small_audience_in_all_stripes() {
    let plan = plan("few.toml");
    for seed in 1..=3 {
        let report = world::run(&plan, seed, |_, _| {}).unwrap();
        assert!(report.continuity.s4 > 0.999, "seed {seed}: {:?}", report.continuity);
        assert!(report.source_ratio < 1.2, "seed {seed}: {}", report.source_ratio);
        assert!(report.delay_ms.p95 < 1000, "seed {seed}: {:?}", report.delay_ms);
    }
}

/// The origin's only neighbour is killed. The others took three seconds to notice and dialled the origin when their pauses
/// were over, after up to sixteen; then those who hung on each other in a ring kept each other from finding the new way.
#[test]
fn who_has_the_only_way_is_killed_and_nobody_stalls() {
    let mut plan = plan("only-way.toml");
    for seed in 1..=3 {
        let report = world::run(&plan, seed, |_, _| {}).unwrap();
        assert_eq!(report.viewers, 6);
        assert_eq!(report.stalled_survivors, 0, "seed {seed}");
        assert!(report.continuity.s4 > 0.999, "seed {seed}: {:?}", report.continuity);
    }
    // Long after it they are as near to the origin as before.
    (plan.warmup_s, plan.measure_s) = (40, 20);
    for seed in [3, 6, 8] {
        let report = world::run(&plan, seed, |_, _| {}).unwrap();
        assert!(report.delay_ms.p95 < 500, "seed {seed}: {:?}", report.delay_ms);
        assert!(
            report.reparents_per_peer_min < 2.0,
            "seed {seed}: {}",
            report.reparents_per_peer_min
        );
    }
}

/// Given more than it carries, a mesh delivers nothing; given as much as it carries, all of that.
#[test]
fn too_few_uplinks_cost_pictures_and_not_presence() {
    let mut plan = plan("scarce.toml");
    (plan.peers, plan.warmup_s, plan.measure_s) = (30, 45, 10);
    let report = world::run(&plan, 1, |_, _| {}).unwrap();
    assert!(report.continuity.s4 > 0.98, "{:?}", report.continuity);
    assert!((0.3..0.9).contains(&report.published), "published {}", report.published);
    plan.engine.thin = Some(false);
    let all = world::run(&plan, 1, |_, _| {}).unwrap();
    assert!(all.continuity.s4 < 0.5, "the control arm: {:?}", all.continuity);
}
