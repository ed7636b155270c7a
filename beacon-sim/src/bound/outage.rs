//! What becomes of a viewer whose parents leave, and of a mesh whose links are drawn at random.

use core::num::NonZeroU32;

/// Probability that, at some moment, more than `spare` of a viewer's `stripes` stripes are cut off:
/// `Σ_{j>g} C(m,j) q^j (1−q)^{m−j}` with `q = depth · R / L`.
///
/// `repair` is the time `R` to find another parent and `session` the mean stay `L` of a viewer, in
/// seconds; each of the `depth` viewers above it can leave. The ways of different stripes are taken
/// to be independent, as with interior-disjoint trees. Derived in the theory notes §2.2.
#[must_use]
pub fn outage(stripes: u32, spare: u32, depth: u32, repair: f64, session: f64) -> f64 {
    let cut = (f64::from(depth) * repair / session).clamp(0.0, 1.0);
    (spare + 1..=stripes)
        .map(|j| {
            let ways: f64 = (0..j).map(|i| f64::from(stripes - i) / f64::from(j - i)).product();
            ways * cut.powi(j as i32) * (1.0 - cut).powi((stripes - j) as i32)
        })
        .sum()
}

/// Probability that a random directed graph is connected when each viewer has `ln N + surplus`
/// links on the mean: `exp(−exp(−c))`, for large N. Source: Erdős and Rényi; Kermarrec, Massoulié,
/// Ganesh, IEEE TPDS 2003.
#[must_use]
pub fn connected(surplus: f64) -> f64 {
    (-(-surplus).exp()).exp()
}

/// Viewers within `hops` hops of a source that serves one of them, when each serves `fan_out`:
/// `(k^h − 1) / (k − 1)`. `u64::MAX` where that is more.
#[must_use]
pub fn tree_reach(fan_out: NonZeroU32, hops: u32) -> u64 {
    let children = u64::from(fan_out.get());
    let mut level = u64::from(hops > 0);
    let mut reach = 0_u64;
    // After 64 levels of two children and more there is no larger number.
    for _ in 0..hops.min(if children > 1 { 64 } else { hops }) {
        reach = reach.saturating_add(level);
        level = level.saturating_mul(children);
    }
    reach
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_outage_table() {
        let trees = [(1, 0), (8, 1), (8, 2), (16, 4)];
        for (repair, printed) in
            [(1.0, [8.3e-3, 1.9e-3, 3.1e-5, 1.6e-7]), (3.0, [2.5e-2, 1.6e-2, 8e-4, 3.4e-5])]
        {
            for ((stripes, spare), printed) in trees.into_iter().zip(printed) {
                let found = outage(stripes, spare, 5, repair, 600.0);
                // The last of the two digits printed (8e-4 is 8.0e-4).
                let digit = 10_f64.powf(f64::log10(printed).floor() - 1.0);
                assert!(
                    (found - printed).abs() <= digit / 2.0,
                    "{stripes} stripes, {spare} spare: {found:e}, not {printed:e}"
                );
            }
        }
        assert_eq!(outage(4, 4, 5, 1.0, 600.0), 0.0, "nothing left to lose");
        assert_eq!(outage(4, 0, 5, 600.0, 600.0), 1.0, "always cut off");
    }

    #[test]
    fn the_connectivity_table() {
        for (surplus, printed) in [(-1.0, 0.07), (0.0, 0.37), (1.0, 0.69), (2.0, 0.87), (3.0, 0.95)]
        {
            assert!((connected(surplus) - printed).abs() < 0.005, "c = {surplus}");
        }
    }

    #[test]
    fn the_seven_hop_rule() {
        for (k, printed) in [(3, 1093), (4, 5461), (5, 19_531)] {
            assert_eq!(tree_reach(NonZeroU32::new(k).unwrap(), 7), printed);
        }
        assert_eq!(tree_reach(NonZeroU32::new(1).unwrap(), 7), 7);
        assert_eq!(tree_reach(NonZeroU32::new(9).unwrap(), u32::MAX), u64::MAX);
        assert_eq!(tree_reach(NonZeroU32::new(9).unwrap(), 0), 0);
    }
}
