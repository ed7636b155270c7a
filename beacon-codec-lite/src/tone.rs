//! The tick: 100 ms of 1 kHz at the start of every second of Unix time, as Opus.

use crate::pattern::TICK_MS;
use beacon_mux::opus;
use beacon_sdk::TrackId;
use beacon_sdk::media::{Kind, Track};
use beacon_sdk::plugin::SourceError;
use bytes::Bytes;
use opus_rs::{Application, OpusEncoder};

pub(crate) const RATE: u32 = 48_000;
/// Samples of one packet: 20 ms.
pub(crate) const PACKET: u32 = RATE / 50;
const CHANNELS: u8 = 2;
/// Look-ahead of the encoder in this mode, as libopus has it: 2.5 ms + 4 ms.
const PRE_SKIP: u16 = 312;
/// Bytes of one packet at most (RFC 6716 §3.2.1, a little more than its 1275).
const PACKET_BYTES_MAX: usize = 1500;
const FREQUENCY: f32 = 1000.0;
const LOUDNESS: f32 = 0.2;
/// Samples over which the tone rises and falls, against clicks: 5 ms.
const RAMP: u64 = 240;

pub(crate) struct Tone {
    encoder: OpusEncoder,
    samples: Vec<f32>,
}

impl Tone {
    pub(crate) fn new(bitrate: u32) -> Result<Self, SourceError> {
        let mut encoder =
            OpusEncoder::new(RATE.cast_signed(), usize::from(CHANNELS), Application::Audio)
                .map_err(|error| SourceError::new(format!("the Opus encoder refuses: {error}")))?;
        encoder.bitrate_bps = i32::try_from(bitrate).unwrap_or(i32::MAX);
        Ok(Self { encoder, samples: vec![0.0; PACKET as usize * usize::from(CHANNELS)] })
    }

    pub(crate) fn track(id: TrackId, bitrate: u32) -> Track {
        Track {
            id,
            kind: Kind::Audio { rate: RATE, channels: CHANNELS },
            codec: opus::CODEC.to_owned(),
            config: opus::config(CHANNELS, PRE_SKIP),
            timescale: RATE,
            bitrate,
            label: String::new(),
        }
    }

    /// The packet whose first sample is heard at that Unix time in microseconds.
    pub(crate) fn encode(&mut self, unix_micros: u64) -> Result<Bytes, SourceError> {
        let second = u64::from(RATE);
        let start = unix_micros % 1_000_000 * second / 1_000_000;
        for (at, pair) in self.samples.chunks_exact_mut(usize::from(CHANNELS)).enumerate() {
            pair.fill(tick((start + at as u64) % second));
        }
        let mut out = [0; PACKET_BYTES_MAX];
        let len = self
            .encoder
            .encode(&self.samples, PACKET as usize, &mut out)
            .map_err(|error| SourceError::new(format!("the Opus encoder failed: {error}")))?;
        Ok(Bytes::copy_from_slice(&out[..len]))
    }
}

/// The value of one sample, by its place in the second.
fn tick(sample: u64) -> f32 {
    let end = u64::from(RATE) * TICK_MS / 1000;
    if sample >= end {
        return 0.0;
    }
    let edge = sample.min(end - sample).min(RAMP) as f32 / RAMP as f32;
    let phase = sample as f32 / RATE as f32 * FREQUENCY * core::f32::consts::TAU;
    LOUDNESS * edge * phase.sin()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use opus_rs::OpusDecoder;

    #[test]
    fn the_tick_is_heard_at_the_second_and_only_then() {
        let mut tone = Tone::new(64_000).unwrap();
        let mut decoder = OpusDecoder::new(RATE.cast_signed(), 2).unwrap();
        let mut loudness = Vec::new();
        for packet in 0..100_u64 {
            let data = tone.encode(7_000_000 + packet * 20_000).unwrap();
            let mut samples = vec![0.0_f32; PACKET as usize * 2];
            decoder.decode(&data, PACKET as usize, &mut samples).unwrap();
            loudness.push(samples.iter().map(|sample| sample * sample).sum::<f32>());
        }
        // The codec delays by its look-ahead, so the tone ends within the sixth packet.
        let loud = |range: core::ops::Range<usize>| loudness[range].iter().all(|l| *l > 5.0);
        let quiet = |range: core::ops::Range<usize>| loudness[range].iter().all(|l| *l < 0.5);
        assert!(loud(1..4) && quiet(8..50) && loud(51..54) && quiet(58..100), "{loudness:?}");
    }
}
