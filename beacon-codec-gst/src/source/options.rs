//! What a source is asked for.

use crate::codec::{AudioCodec, VideoCodec};
use crate::element::Fault;
use beacon_sdk::Profile;
use std::time::Duration;

/// Widest and highest picture that a file keeps by default.
const NATIVE_MAX: (u32, u32) = (1920, 1080);
/// Fastest frame rate that a file keeps.
pub(crate) const FPS_MAX: u32 = 60;

/// What to encode, and how. Start from [`SourceOptions::new`] and change what must differ.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub struct SourceOptions {
    /// Codec of the picture.
    pub video: VideoCodec,
    /// Codec of the sound; `None` for no sound at all.
    pub audio: Option<AudioCodec>,
    /// Length of a group, from keyframe to keyframe: 100 ms to 10 s. 2 s live, 200 ms low
    /// latency, which costs 3 dB at equal bit rate (measured).
    pub group: Duration,
    /// Width and height, even, 16–4096. `None`: 640 × 360 for the test pattern, 1280 × 720 for a
    /// camera, a file's own size up to 1920 × 1080. Other shapes get borders.
    pub size: Option<(u16, u16)>,
    /// Pictures per second, 1–60. `None`: 30, or a file's own rate.
    pub fps: Option<u32>,
    /// Bits per second of the picture, 50,000–50,000,000. `None`: by size, 0.8 Mbit/s at 360p to
    /// 4.6 Mbit/s at 1080p, and half as much again for groups below half a second.
    pub bitrate: Option<u32>,
    /// Bits per second of the sound, 16,000–256,000.
    pub audio_bitrate: u32,
    /// Start a file again when it ends; times go on.
    pub looped: bool,
}

impl SourceOptions {
    /// H.264 and Opus with the group length of `profile`.
    #[must_use]
    pub fn new(profile: Profile) -> Self {
        let group = match profile {
            Profile::Live => Duration::from_secs(2),
            Profile::LowLatency | Profile::Ephemeral => Duration::from_millis(200),
        };
        Self {
            video: VideoCodec::H264,
            audio: Some(AudioCodec::Opus),
            group,
            size: None,
            fps: None,
            bitrate: None,
            audio_bitrate: 96_000,
            looped: false,
        }
    }

    pub(crate) fn check(&self) -> Result<(), Fault> {
        let even = |side: u16| (16..=4096).contains(&side) && side.is_multiple_of(2);
        let millis = |ms| Duration::from_millis(ms);
        let rules = [
            ((millis(100)..=millis(10_000)).contains(&self.group), "group", "100 ms to 10 s"),
            (
                self.size.is_none_or(|(w, h)| even(w) && even(h)),
                "size",
                "two even numbers, 16 to 4096",
            ),
            (self.fps.is_none_or(|fps| (1..=FPS_MAX).contains(&fps)), "fps", "1 to 60"),
            (
                self.bitrate.is_none_or(|rate| (50_000..=50_000_000).contains(&rate)),
                "bitrate",
                "50,000 to 50,000,000 bits per second",
            ),
            (
                (16_000..=256_000).contains(&self.audio_bitrate),
                "audio_bitrate",
                "16,000 to 256,000 bits per second",
            ),
        ];
        match rules.iter().find(|(ok, ..)| !ok) {
            Some((_, field, range)) => Err(Fault::new(format!("{field} must be {range}"))),
            None => Ok(()),
        }
    }

    /// Bits per second for a picture of this size.
    ///
    /// Fits the rates that gave 34–39 dB with x264 superfast (measured at 360p, 480p, 720p and
    /// 1080p): 800 kbit/s at 640 × 360, growing a little slower than the picture.
    pub(crate) fn video_bitrate(&self, width: u16, height: u16) -> u32 {
        self.bitrate.unwrap_or_else(|| {
            let pixels = f64::from(width) * f64::from(height) / (640.0 * 360.0);
            let short = if self.group < Duration::from_millis(500) { 1.5 } else { 1.0 };
            (800_000.0 * pixels.powf(0.8) * short).clamp(100_000.0, 50_000_000.0) as u32
        })
    }
}

/// The even size at which a picture of `width` × `height` is encoded when none is asked for:
/// its own, or the largest of its shape within 1920 × 1080.
pub(crate) fn native_size(width: u32, height: u32) -> (u16, u16) {
    let (w, h) = (f64::from(width.max(1)), f64::from(height.max(1)));
    let scale = (f64::from(NATIVE_MAX.0) / w).min(f64::from(NATIVE_MAX.1) / h).min(1.0);
    let even = |side: f64| ((side * scale / 2.0).round() as u16 * 2).max(16);
    (even(w), even(h))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_even_and_bounded() {
        assert_eq!(native_size(1280, 720), (1280, 720));
        assert_eq!(native_size(3840, 2160), (1920, 1080));
        assert_eq!(native_size(855, 481), (856, 482));
        assert_eq!(native_size(1080, 1920), (608, 1080));
        assert_eq!(native_size(1, 1), (16, 16));
    }

    #[test]
    fn rates_grow_with_the_picture() {
        let options = SourceOptions::new(Profile::Live);
        assert_eq!(options.video_bitrate(640, 360), 800_000);
        assert!((4_000_000..5_000_000).contains(&options.video_bitrate(1920, 1080)));
        let low = SourceOptions::new(Profile::LowLatency);
        assert_eq!(low.video_bitrate(640, 360), 1_200_000);
    }

    #[test]
    fn options_out_of_range_name_the_field() {
        let odd = SourceOptions { size: Some((641, 360)), ..SourceOptions::new(Profile::Live) };
        assert!(odd.check().expect_err("odd").context.starts_with("size must be"));
        let none = SourceOptions { group: Duration::ZERO, ..SourceOptions::new(Profile::Live) };
        assert!(none.check().expect_err("zero").context.starts_with("group must be"));
    }
}
