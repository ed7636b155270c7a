//! How far a run is from what could be: the bounds of its plan.

use super::geography::{Geography, Place};
use crate::bound::{Scenario, Snowball};
use crate::draw::{Draw, Purpose};
use crate::plan::{Plan, PlanError};
use beacon_sdk::plugin::SYMBOL_BYTES_MAX;
use beacon_sdk::wire::SYMBOL_HEADER_LEN;

/// Peers between which delays are looked at: their median is then within a few percent.
const SAMPLE: u32 = 200;

/// The plan's swarm, to compute bounds for: its viewers, uplinks and median one-way delay, and a
/// symbol's frame as the unit.
///
/// # Errors
/// [`PlanError`] when the plan names a matrix of delays that cannot be read.
pub fn scenario(plan: &Plan, seed: u64) -> Result<Scenario, PlanError> {
    Ok(of(plan, &Geography::new(&plan.network.latency, seed)?, seed))
}

fn of(plan: &Plan, geography: &Geography, seed: u64) -> Scenario {
    let frame = SYMBOL_BYTES_MAX + SYMBOL_HEADER_LEN;
    Scenario {
        viewers: plan.peers,
        mix: plan.mix(),
        stream: plan.rate(),
        source: plan.origin.up * 1e6,
        unit_bytes: frame as f64 + f64::from(plan.network.overhead),
        delay: median_s(geography, seed),
    }
}

/// [`Report::bound_ms`](crate::report::Report::bound_ms).
pub(super) fn bound_ms(plan: &Plan, geography: &Geography, seed: u64) -> f64 {
    let scenario = of(plan, geography, seed);
    let snowball = Snowball {
        unit: scenario.unit_bytes * 8.0,
        source: scenario.source,
        delay: scenario.delay,
        fan_out: None,
        root_copies: None,
    };
    let last = snowball.delay(&scenario.mix.uploads(scenario.viewers as usize)).last;
    if last.is_finite() { last * 1e3 } else { 0.0 }
}

/// Median one-way delay between the first peers of a run, in seconds.
fn median_s(geography: &Geography, seed: u64) -> f64 {
    let place = |at| geography.place(&mut Draw::new(seed, at, Purpose::Nature));
    let places: Vec<Place> = (0..SAMPLE).map(place).collect();
    let mut delays: Vec<u64> = Vec::new();
    for (a, one) in (0..SAMPLE).zip(&places) {
        delays.extend((0..a).zip(&places).map(|(b, other)| geography.delay((a, one), (b, other))));
    }
    let middle = delays.len() / 2;
    *delays.select_nth_unstable(middle).1 as f64 / 1e9
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::plan::Latency;

    #[test]
    fn the_median_is_the_plans() {
        let fixed = Geography::new(&Latency::Fixed { ms: 30.0 }, 1).unwrap();
        assert_eq!(median_s(&fixed, 1), 0.03);
        let map = Geography::new(&Latency::Planetlab { scale: 1.0 }, 1).unwrap();
        // The generator's round trips have a median of 134 ms.
        let median = median_s(&map, 1);
        assert!((0.05..0.085).contains(&median), "{median}");
    }
}
