//! Draws that the models share.

use beacon_sdk::Rng;

/// An index below `len`; 0 when there is none.
pub(crate) fn index(rng: &mut Rng, len: usize) -> usize {
    rng.below(u32::try_from(len).unwrap_or(u32::MAX)) as usize
}

/// One of `items` at random; `None` when empty.
pub(crate) fn pick<T: Copy>(rng: &mut Rng, items: &[T]) -> Option<T> {
    items.get(index(rng, items.len())).copied()
}

/// True once in `of` on the mean; never when `of` is 0.
pub(crate) fn once_in(rng: &mut Rng, of: u32) -> bool {
    of > 0 && rng.below(of) == 0
}

/// Uniform in 0..1, exclusive of 0, with 53 bits.
pub(crate) fn unit(rng: &mut Rng) -> f64 {
    ((rng.bits() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
}
