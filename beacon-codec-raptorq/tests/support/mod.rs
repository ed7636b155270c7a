//! Payloads and losses from a seed, the same on every platform.

use beacon_sdk::Layout;
use bytes::Bytes;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// A padded payload of random bytes.
pub(crate) fn payload(layout: &Layout, seed: u64) -> Bytes {
    let mut bytes = vec![0; layout.padded_len()];
    ChaCha8Rng::seed_from_u64(seed).fill_bytes(&mut bytes[..layout.payload_len()]);
    bytes.into()
}

/// A layout of `source` symbols of `size` bytes, the last of them `missing` bytes short.
pub(crate) fn layout(source: u16, size: u16, missing: u16, repair: u16) -> Layout {
    let len = u32::from(source) * u32::from(size) - u32::from(missing);
    Layout::new(len, size, repair).unwrap()
}

/// The source symbols of a payload, with their ESIs.
#[allow(dead_code)]
pub(crate) fn source(layout: &Layout, payload: &Bytes) -> Vec<(u16, Bytes)> {
    let size = layout.symbol_size();
    (0..layout.source())
        .map(|esi| (esi, payload.slice(usize::from(esi) * size..(usize::from(esi) + 1) * size)))
        .collect()
}

/// `items` in an order drawn from `seed`.
#[allow(dead_code)]
pub(crate) fn shuffle<T>(items: &mut [T], seed: u64) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    for i in (1..items.len()).rev() {
        items.swap(i, rng.next_u64() as usize % (i + 1));
    }
}
