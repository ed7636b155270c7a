//! How fast a unit multiplies when copies take time to make and to travel.

use core::num::NonZeroU32;

/// Halvings of a search for a root: more than an `f64` has bits.
const HALVINGS: u32 = 100;

/// The growth rate `s` in 1/s of a unit among equal viewers: the root of `e^{sT} = 1 + e^{−sd}`.
///
/// `copy` is the time `T` a viewer takes to upload the unit once and `delay` the one-way delay
/// `d`, both in seconds. The time to reach N viewers is about `ln N / s`. `INFINITY` when copies
/// take no time. Derived in the theory notes §1.3: a holder's copies leave at T, 2T, … and each
/// starts to copy itself d later, `Σ_j e^{−s(jT+d)} = 1`.
#[must_use]
pub fn growth_rate(copy: f64, delay: f64) -> f64 {
    if copy <= 0.0 {
        return f64::INFINITY;
    }
    // Less than a doubling in each copy time, which is the rate without delay.
    let top = core::f64::consts::LN_2 / copy;
    falling_root(top, |s| 1.0 + (-s * delay).exp() - (s * copy).exp())
}

/// [`growth_rate`] when each viewer serves at most `fan_out` others, one after the other: the root
/// of `Σ_{j=1..k} e^{−s(jT+d)} = 1`; 0 for a chain.
#[must_use]
pub fn growth_rate_fan_out(copy: f64, delay: f64, fan_out: NonZeroU32) -> f64 {
    let children = fan_out.get();
    if children == 1 {
        return 0.0;
    }
    if copy <= 0.0 {
        // All children are served at once: k e^{−sd} = 1.
        return f64::from(children).ln() / delay;
    }
    // Terms this far out are below 2^-64 of the first, at any rate near a doubling per copy.
    let children = children.min(64);
    let top = core::f64::consts::LN_2 / copy;
    falling_root(top, |s| {
        let copies: f64 = (1..=children).map(|j| (-s * f64::from(j) * copy).exp()).sum();
        copies * (-s * delay).exp() - 1.0
    })
}

/// The root in 0..=`top` of `f`, which falls.
fn falling_root(top: f64, f: impl Fn(f64) -> f64) -> f64 {
    let (mut low, mut high) = (0.0, top);
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(low, high);
        if f(middle) > 0.0 {
            low = middle;
        } else {
            high = middle;
        }
    }
    f64::midpoint(low, high)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::bound::{Mix, Snowball};

    #[test]
    fn without_delay_a_unit_doubles() {
        assert!((growth_rate(0.5, 0.0) - 2.0 * core::f64::consts::LN_2).abs() < 1e-12);
        assert!(growth_rate(0.5, 0.1) < growth_rate(0.5, 0.0));
        assert_eq!(growth_rate(0.0, 0.1), f64::INFINITY);
    }

    #[test]
    fn many_children_are_as_good_as_any_number() {
        let (copy, delay) = (0.08, 0.05);
        let rate = |k| growth_rate_fan_out(copy, delay, NonZeroU32::new(k).unwrap());
        assert!((rate(64) - growth_rate(copy, delay)).abs() < 1e-6);
        assert!((rate(u32::MAX) - growth_rate(copy, delay)).abs() < 1e-6);
        assert!(rate(2) < rate(3) && rate(3) < rate(4));
        assert_eq!(rate(1), 0.0);
        let at_once = growth_rate_fan_out(0.0, delay, NonZeroU32::new(3).unwrap());
        assert!((at_once - 3_f64.ln() / delay).abs() < 1e-12);
    }

    /// Between two sizes, the exact computation gains `ln(ratio) / s`.
    #[test]
    fn the_rate_is_that_of_the_snowball() {
        let (unit, upload, delay) = (200e3, 2.5e6, 0.05);
        let last = |viewers| {
            Snowball { unit, source: 8e6, delay, fan_out: None, root_copies: None }
                .delay(&Mix::homogeneous(upload).uploads(viewers))
                .last
        };
        let expected = 16_f64.ln() / growth_rate(unit / upload, delay);
        let gained = last(64_000) - last(4_000);
        assert!((gained / expected - 1.0).abs() < 0.05, "{gained} s, expected {expected} s");
    }
}
