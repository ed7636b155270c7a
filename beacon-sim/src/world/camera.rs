//! The source: pictures and sound of a given rate, and whether a viewer got what was sent.

use crate::plan::Stream;
use beacon_sdk::media::{Kind, Object, Track};
use beacon_sdk::{Instant, TrackId};
use bytes::Bytes;

/// Length of a sound packet, as Opus has it.
const SOUND_US: u64 = 20_000;
/// Noise that objects are cut from: media does not compress and does not repeat.
const NOISE_BYTES: usize = 1 << 20;

/// Makes objects; the same number gives the same bytes.
#[derive(Debug)]
pub(super) struct Camera {
    stream: Stream,
    noise: Bytes,
    /// Bytes of a picture that is no keyframe.
    small: usize,
}

pub(super) const VIDEO: TrackId = match TrackId::new(0) {
    Some(id) => id,
    None => unreachable!(),
};
const AUDIO: TrackId = match TrackId::new(1) {
    Some(id) => id,
    None => unreachable!(),
};

impl Camera {
    pub(super) fn new(stream: &Stream) -> Self {
        let mut word = 0x2545_f491_4f6c_dd1d_u64;
        let noise: Vec<u8> = (0..NOISE_BYTES / 8)
            .flat_map(|_| {
                // xorshift64 (Marsaglia 2003)
                word ^= word << 13;
                word ^= word >> 7;
                word ^= word << 17;
                word.to_le_bytes()
            })
            .collect();
        let mean = stream.mbit * 1e6 / 8.0 / f64::from(stream.fps);
        let group = f64::from(stream.group);
        let small = mean * group / (group - 1.0 + stream.keyframe);
        Self { stream: stream.clone(), noise: noise.into(), small: (small as usize).max(16) }
    }

    pub(super) fn tracks(&self) -> Vec<Track> {
        let track = |id, kind, codec: &str, timescale, bitrate| Track {
            id,
            kind,
            codec: codec.into(),
            config: Bytes::from_static(b"config"),
            timescale,
            bitrate,
            label: String::new(),
        };
        let video = Kind::Video { width: 1280, height: 720 };
        let rate = (self.stream.mbit * 1e6) as u32;
        let mut tracks = vec![track(VIDEO, video, "avc1.64001F", 90_000, rate)];
        if self.stream.audio_kbit > 0 {
            let audio = Kind::Audio { rate: 48_000, channels: 2 };
            tracks.push(track(AUDIO, audio, "opus", 48_000, self.stream.audio_kbit * 1000));
        }
        tracks
    }

    /// Microseconds from one picture to the next.
    pub(super) fn period_us(&self) -> u64 {
        1_000_000 / u64::from(self.stream.fps)
    }

    /// The `n`-th picture and the sound that goes with it.
    pub(super) fn objects(&self, n: u64, captured: Instant) -> Vec<Object> {
        let keyframe = n.is_multiple_of(u64::from(self.stream.group));
        let size =
            if keyframe { (self.small as f64 * self.stream.keyframe) as usize } else { self.small };
        let ticks = 90_000 / u64::from(self.stream.fps);
        let mut objects = vec![Object {
            track: VIDEO,
            dts: n * ticks,
            cts: 0,
            duration: ticks as u32,
            keyframe,
            layer: 0,
            captured,
            data: self.bytes(n, size),
        }];
        if self.stream.audio_kbit > 0 {
            let (from, until) = (n * self.period_us(), (n + 1) * self.period_us());
            let first = from.div_ceil(SOUND_US);
            let size = (self.stream.audio_kbit as usize * 1000 / 8) * 20 / 1000;
            objects.extend((first..).take_while(|p| p * SOUND_US < until).map(|p| Object {
                track: AUDIO,
                dts: p * 960,
                cts: 0,
                duration: 960,
                keyframe: true,
                layer: 0,
                captured,
                data: self.bytes(p | 1 << 40, size.max(8)),
            }));
        }
        objects
    }

    fn bytes(&self, n: u64, size: usize) -> Bytes {
        let room = (NOISE_BYTES - size.min(NOISE_BYTES - 1)) as u64;
        let from = (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) % room) as usize;
        self.noise.slice(from..from + size)
    }

    /// Bytes of an object that are not what the camera made.
    pub(super) fn bad_bytes(&self, object: &Object) -> u64 {
        let n = if object.track == VIDEO {
            object.dts / (90_000 / u64::from(self.stream.fps))
        } else {
            (object.dts / 960) | 1 << 40
        };
        let right = self.bytes(n, object.data.len());
        if right == object.data { 0 } else { object.data.len() as u64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_the_plans() {
        let stream = Stream { mbit: 2.5, audio_kbit: 64, ..Stream::default() };
        let camera = Camera::new(&stream);
        let (mut video, mut audio) = (0, 0);
        for n in 0..250 {
            for object in camera.objects(n, Instant::from_micros(n)) {
                assert_eq!(camera.bad_bytes(&object), 0);
                if object.track == VIDEO {
                    video += object.data.len() as u64;
                } else {
                    audio += object.data.len() as u64;
                }
            }
        }
        // Ten seconds.
        assert!((video as f64 * 8.0 / 10.0 / 2.5e6 - 1.0).abs() < 0.01, "{video}");
        assert_eq!(audio * 8 / 10, 64_000);
    }

    #[test]
    fn a_changed_byte_is_found() {
        let camera = Camera::new(&Stream::default());
        let mut object = camera.objects(3, Instant::ZERO).remove(0);
        let mut data = object.data.to_vec();
        data[7] ^= 1;
        object.data = data.into();
        assert_eq!(camera.bad_bytes(&object), object.data.len() as u64);
    }
}
