//! A source without an encoder: frames of the right size at the right time.

use super::unix_now;
use async_trait::async_trait;
use beacon_sdk::media::{Kind, Media, Object, Track};
use beacon_sdk::plugin::SourceError;
use beacon_sdk::{Source, TrackId};
use bytes::Bytes;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

const TIMESCALE: u32 = 90_000;
/// A keyframe is this many times an ordinary frame (guess; 4 to 10 is usual in live encoding).
const KEYFRAME_FACTOR: u64 = 4;

/// One video track; every frame carries the time at which it was handed over.
#[derive(Debug)]
pub(crate) struct Pulse {
    bits_per_second: u64,
    fps: u32,
    /// Frames from keyframe to keyframe.
    group: u64,
    next: u64,
    begun: Option<Instant>,
    content: Bytes,
}

impl Pulse {
    /// `bits_per_second` in frames of `fps`, a keyframe every `group`.
    pub(crate) fn new(bits_per_second: u64, fps: u32, group: Duration) -> Self {
        let group = ((group.as_secs_f64() * f64::from(fps)).round() as u64).max(1);
        let mut pulse =
            Self { bits_per_second, fps, group, next: 0, begun: None, content: Bytes::new() };
        // Bytes that no layer can compress or share by accident.
        let largest = pulse.frame_len(0);
        let mut state = 0x9e37_79b9_u32;
        let noise = std::iter::repeat_with(|| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state as u8
        });
        pulse.content = noise.take(largest).collect();
        pulse
    }

    /// Bytes of frame `number`: a group's bytes, shared out with larger keyframes.
    fn frame_len(&self, number: u64) -> usize {
        let group_bytes = self.bits_per_second * self.group / u64::from(self.fps) / 8;
        let ordinary = (group_bytes / (self.group - 1 + KEYFRAME_FACTOR)).max(1);
        let factor = if number.is_multiple_of(self.group) { KEYFRAME_FACTOR } else { 1 };
        (ordinary * factor) as usize
    }

    fn track(&self) -> Track {
        Track {
            id: TrackId::default(),
            kind: Kind::Video { width: 1280, height: 720 },
            codec: "avc1.42C01F".into(),
            config: Bytes::new(),
            timescale: TIMESCALE,
            bitrate: u32::try_from(self.bits_per_second).unwrap_or(u32::MAX),
            label: "measurement".into(),
        }
    }
}

#[async_trait]
impl Source for Pulse {
    async fn next(&mut self) -> Result<Option<Media>, SourceError> {
        let Some(begun) = self.begun else {
            self.begun = Some(Instant::now());
            return Ok(Some(Media::Tracks(vec![self.track()])));
        };
        let at = Duration::from_secs(self.next) / self.fps;
        sleep_until(begun + at).await;
        let duration = TIMESCALE / self.fps;
        let object = Object {
            track: TrackId::default(),
            dts: self.next * u64::from(duration),
            cts: 0,
            duration,
            keyframe: self.next.is_multiple_of(self.group),
            layer: 0,
            captured: unix_now(),
            data: self.content.slice(..self.frame_len(self.next)),
        };
        self.next += 1;
        Ok(Some(Media::Object(object)))
    }
}
