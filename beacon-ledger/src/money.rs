//! [`Micro`]: whole micro-credits, and the arithmetic that loses none.

use core::fmt;
use core::str::FromStr;
use serde::{Deserialize, Serialize};

/// An amount in micro-credits, 0 to 2^63 − 1: what a signed 64-bit column of a database holds.
#[derive(
    Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug, Serialize, Deserialize,
)]
#[serde(try_from = "u64", into = "u64")]
pub struct Micro(u64);

/// Micro-credits of one credit.
pub const MICROS_PER_CREDIT: u64 = 1_000_000;

impl Micro {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// The largest amount.
    pub const MAX: Self = Self(i64::MAX as u64);

    /// `None` above [`Micro::MAX`].
    #[must_use]
    pub const fn new(micros: u64) -> Option<Self> {
        if micros <= Self::MAX.0 { Some(Self(micros)) } else { None }
    }

    /// The number of micro-credits.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The sum, `None` above [`Micro::MAX`].
    #[must_use]
    pub const fn plus(self, other: Self) -> Option<Self> {
        // Both are below 2^63, so the sum fits 64 bits.
        Self::new(self.0 + other.0)
    }

    /// The difference, `None` below zero.
    #[must_use]
    pub const fn minus(self, other: Self) -> Option<Self> {
        match self.0.checked_sub(other.0) {
            Some(rest) => Some(Self(rest)),
            None => None,
        }
    }

    /// The difference, zero where it would be less.
    #[must_use]
    pub const fn less(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// Whether this is nothing.
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }
}

/// Above [`Micro::MAX`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an amount is at most 9223372036854775807 micro-credits")]
pub struct AmountError;

impl TryFrom<u64> for Micro {
    type Error = AmountError;
    fn try_from(micros: u64) -> Result<Self, AmountError> {
        Self::new(micros).ok_or(AmountError)
    }
}

impl From<Micro> for u64 {
    fn from(amount: Micro) -> Self {
        amount.0
    }
}

/// Credits with six decimals: `12.000016`.
impl fmt::Display for Micro {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{}.{:06}", self.0 / MICROS_PER_CREDIT, self.0 % MICROS_PER_CREDIT);
        f.pad(&text)
    }
}

/// Text that is no amount.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an amount is credits with at most six decimals, as in 12 or 0.000016")]
pub struct ParseAmountError;

impl FromStr for Micro {
    type Err = ParseAmountError;
    fn from_str(text: &str) -> Result<Self, ParseAmountError> {
        let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || !digits(decimals) || decimals.len() > 6 {
            return Err(ParseAmountError);
        }
        let whole: u64 = whole.parse().map_err(|_| ParseAmountError)?;
        let decimals: u64 = format!("{decimals:0<6}").parse().map_err(|_| ParseAmountError)?;
        let micros = whole.checked_mul(MICROS_PER_CREDIT).and_then(|m| m.checked_add(decimals));
        micros.and_then(Self::new).ok_or(ParseAmountError)
    }
}

/// What bytes are worth: `micros` micro-credits per `bytes` bytes.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Rate {
    /// Micro-credits.
    pub micros: u32,
    /// Per so many bytes; 0 is worth nothing.
    pub bytes: u32,
}

impl Default for Rate {
    /// The owner's rate: uploadMbps × 0.01 credit per interval of 5 s. One Mbit/s for 5 s is
    /// 625,000 bytes and earns 10,000 micro-credits: 16 per 1000 bytes.
    fn default() -> Self {
        Self { micros: 16, bytes: 1000 }
    }
}

impl Rate {
    /// What `cum_bytes` bytes are worth in all, rounded down, at most [`Micro::MAX`].
    ///
    /// It is always asked for sums since the beginning, and differences of the answers are paid: so
    /// rounding takes less than one micro-credit per edge, however often it is paid.
    #[must_use]
    pub fn credits(&self, cum_bytes: u64) -> Micro {
        let product = u128::from(cum_bytes) * u128::from(self.micros);
        let micros = product.checked_div(u128::from(self.bytes)).unwrap_or(0);
        u64::try_from(micros).ok().and_then(Micro::new).unwrap_or(Micro::MAX)
    }
}

/// Splits `total` by `weights` so that the parts sum to it exactly: each gets its share rounded
/// down, and what is left goes, one by one, to those with the largest remainders, the first of equals
/// first. `None` when no weight is above zero.
#[must_use]
pub fn split(total: Micro, weights: &[u32]) -> Option<Vec<Micro>> {
    let sum: u128 = weights.iter().map(|&weight| u128::from(weight)).sum();
    if sum == 0 {
        return None;
    }
    let shares: Vec<u128> =
        weights.iter().map(|&weight| u128::from(total.0) * u128::from(weight)).collect();
    // Each part is at most the total, so it fits.
    let mut parts: Vec<u64> = shares.iter().map(|share| (share / sum) as u64).collect();
    let mut order: Vec<usize> = (0..shares.len()).collect();
    order.sort_by_key(|&at| (core::cmp::Reverse(shares[at] % sum), at));
    let given: u64 = parts.iter().sum();
    // Fewer than there are parts, since each was rounded down by less than one.
    let left = usize::try_from(total.0 - given).unwrap_or(usize::MAX);
    for &at in order.iter().take(left) {
        parts[at] += 1;
    }
    Some(parts.into_iter().map(Micro).collect())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn micro(micros: u64) -> Micro {
        Micro::new(micros).unwrap()
    }

    #[test]
    fn the_owners_rate() {
        let rate = Rate::default();
        assert_eq!(rate.credits(625_000), micro(10_000));
        assert_eq!(rate.credits(999), micro(15));
        assert_eq!(rate.credits(u64::MAX), micro(295_147_905_179_352_825));
        assert_eq!(Rate { micros: u32::MAX, bytes: 1 }.credits(u64::MAX), Micro::MAX);
        assert_eq!(Rate { micros: 1, bytes: 0 }.credits(5), Micro::ZERO);
    }

    #[test]
    fn text() {
        assert_eq!(micro(12_000_016).to_string(), "12.000016");
        assert_eq!("12.5".parse(), Ok(micro(12_500_000)));
        assert_eq!("0.000001".parse(), Ok(micro(1)));
        for bad in ["", ".", "1.", ".5", "-1", "1.0000001", "1e3", "9223372036855"] {
            assert_eq!(bad.parse::<Micro>(), Err(ParseAmountError), "{bad}");
        }
        assert!(serde_json::from_str::<Micro>("9223372036854775808").is_err());
    }

    #[test]
    fn what_is_left_goes_to_the_largest_remainders() {
        let parts = |total, weights: &[u32]| {
            split(micro(total), weights).unwrap().iter().map(|part| part.get()).collect::<Vec<_>>()
        };
        assert_eq!(parts(100, &[1, 1, 1]), [34, 33, 33]);
        assert_eq!(parts(10, &[5, 3, 1]), [6, 3, 1]);
        assert_eq!(parts(1, &[0, 7, 7]), [0, 1, 0]);
        assert_eq!(split(micro(5), &[0, 0]), None);
        assert_eq!(split(micro(5), &[]), None);
    }

    proptest! {
        #[test]
        fn parts_sum_to_the_whole(total in 0..=Micro::MAX.get(), weights in prop::collection::vec(any::<u32>(), 1..20)) {
            prop_assume!(weights.iter().any(|&weight| weight > 0));
            let parts = split(micro(total), &weights).unwrap();
            let sum: u128 = parts.iter().map(|part| u128::from(part.get())).sum();
            prop_assert_eq!(sum, u128::from(total));
            for (part, weight) in parts.iter().zip(&weights) {
                prop_assert!(*weight > 0 || part.is_zero());
            }
        }

        #[test]
        fn paying_differences_loses_nothing(steps in prop::collection::vec(0..10_000_000_u64, 1..50)) {
            let rate = Rate::default();
            let (mut cum, mut paid) = (0, 0);
            for step in steps {
                let due = rate.credits(cum + step).get() - rate.credits(cum).get();
                cum += step;
                paid += due;
            }
            prop_assert_eq!(paid, rate.credits(cum).get());
        }
    }
}
