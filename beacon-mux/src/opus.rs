//! Opus: the `dOps` record ("Encapsulation of Opus in ISO Base Media File Format", §4.3.2).

use bytes::Bytes;

/// The codec string of every Opus track.
pub const CODEC: &str = "opus";

/// The `dOps` body of an Opus stream at 48 kHz with one or two channels.
///
/// `pre_skip` is the encoder's look-ahead in samples at 48 kHz, which players drop from the start.
#[must_use]
pub fn config(channels: u8, pre_skip: u16) -> Bytes {
    let [skip_high, skip_low] = pre_skip.to_be_bytes();
    let [r0, r1, r2, r3] = 48_000_u32.to_be_bytes();
    // Version, channels, pre-skip, input rate, output gain, mapping family.
    Bytes::copy_from_slice(&[0, channels, skip_high, skip_low, r0, r1, r2, r3, 0, 0, 0])
}
