//! Uplinks that carry little, and that nobody knows.

#![allow(clippy::unwrap_used)]

use beacon_sim::plan::Plan;
use beacon_sim::world;
use std::path::Path;

/// An origin with 2.4 streams of uplink took three children per stripe and fed none of them; one
/// whose only child turned out weak kept it.
#[test]
fn an_audience_on_home_lines_sees_everything() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("plans/home.toml");
    let mut plan = Plan::read(&path).unwrap();
    for (told, seed) in [(false, 1), (true, 2)] {
        plan.engine.upload_told = Some(told);
        let report = world::run(&plan, seed, |_, _| {}).unwrap();
        assert!(report.continuity.s4 > 0.995, "told {told}: {:?}", report.continuity);
        assert!(report.source_ratio < 2.4, "told {told}: {}", report.source_ratio);
    }
}
