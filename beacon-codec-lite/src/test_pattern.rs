//! Bars, clock and tick, encoded live.

use crate::feed::{Feed, Outlet, Stop};
use crate::pattern::Picture;
use crate::tone::{PACKET, RATE, Tone};
use async_trait::async_trait;
use beacon_mux::h264::{self, AccessUnit};
use beacon_sdk::media::{Kind, Media, OBJECT_BYTES_MAX, Object, Track};
use beacon_sdk::plugin::SourceError;
use beacon_sdk::{Source, TrackId};
use bytes::Bytes;
use rusty_h264_common::YuvPlanes;
use rusty_h264_encoder::{Encoder, EncoderConfig, Preset};
use std::time::Duration;

/// Ticks per second of the video track.
const VIDEO_TIMESCALE: u32 = 90_000;
const VIDEO: u8 = 0;
const AUDIO: u8 = 1;
/// Tracks of further pictures count from here.
const FURTHER: u8 = 2;
/// Further pictures at most.
const FURTHER_MAX: usize = 4;
/// How far sound may fall behind before packets are left out, as after a suspended laptop.
const LATE_MAX: Duration = Duration::from_millis(500);
/// Frames between keyframes that the encoder would set of its own accord: never, in effect.
const ENCODER_GROUP: u32 = u32::MAX / 2;

/// What the test pattern looks like.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TestPatternOptions {
    /// Width in pixels, even, 176–3840.
    pub width: u16,
    /// Height in pixels, even, 96–2160.
    pub height: u16,
    /// Frames per second, 1–120.
    pub fps: u32,
    /// Bits per second of the picture, 50,000–50,000,000.
    pub video_bitrate: u32,
    /// Time from keyframe to keyframe, 100 ms–60 s. Keyframes come at its multiples in running
    /// time, so several patterns that start together have them together.
    pub group: Duration,
    /// Bits per second of the sound, 6000–510,000; `None` for a picture without sound.
    pub audio_bitrate: Option<u32>,
    /// Running time after which the pattern ends; `None` is never.
    pub duration: Option<Duration>,
    /// The same picture in other sizes, up to four, each a track of its own: a ladder that viewers
    /// choose from.
    pub further: Vec<Rendition>,
}

/// One size of the picture; the ranges are those of [`TestPatternOptions`].
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Rendition {
    /// Width in pixels.
    pub width: u16,
    /// Height in pixels.
    pub height: u16,
    /// Bits per second.
    pub bitrate: u32,
}

impl Rendition {
    fn check(&self) -> Result<(), SourceError> {
        let even = self.width.is_multiple_of(2) && self.height.is_multiple_of(2);
        let rules = [
            (even && (176..=3840).contains(&self.width), "width must be even, 176 to 3840"),
            (even && (96..=2160).contains(&self.height), "height must be even, 96 to 2160"),
            (
                (50_000..=50_000_000).contains(&self.bitrate),
                "video_bitrate must be 50 kbit/s to 50 Mbit/s",
            ),
        ];
        keep_to(&rules)
    }
}

fn keep_to(rules: &[(bool, &str)]) -> Result<(), SourceError> {
    match rules.iter().find(|(ok, _)| !ok) {
        Some((_, rule)) => Err(SourceError::new(format!("test pattern: {rule}"))),
        None => Ok(()),
    }
}

impl Default for TestPatternOptions {
    /// 640 × 360 at 30 per second, 800 kbit/s, groups of 2 s, sound at 64 kbit/s: 0.13 of a core
    /// (media.md §10).
    fn default() -> Self {
        Self {
            width: 640,
            height: 360,
            fps: 30,
            video_bitrate: 800_000,
            group: Duration::from_secs(2),
            audio_bitrate: Some(64_000),
            duration: None,
            further: Vec::new(),
        }
    }
}

impl TestPatternOptions {
    fn check(&self) -> Result<(), SourceError> {
        self.renditions().try_for_each(|rendition| rendition.check())?;
        let rules = [
            ((1..=120).contains(&self.fps), "fps must be 1 to 120"),
            (self.further.len() <= FURTHER_MAX, "there are at most 4 further pictures"),
            (
                (Duration::from_millis(100)..=Duration::from_secs(60)).contains(&self.group),
                "group must be 100 ms to 60 s",
            ),
            (
                self.audio_bitrate.is_none_or(|rate| (6000..=510_000).contains(&rate)),
                "audio_bitrate must be 6 to 510 kbit/s",
            ),
        ];
        keep_to(&rules)
    }

    /// All sizes of the picture, the main one first.
    fn renditions(&self) -> impl Iterator<Item = Rendition> + '_ {
        let (width, height, bitrate) = (self.width, self.height, self.video_bitrate);
        core::iter::once(Rendition { width, height, bitrate }).chain(self.further.iter().copied())
    }

    /// Running time of a frame.
    fn due(&self, frame: u64) -> Duration {
        Duration::from_nanos(scale(frame, 1_000_000_000, self.fps))
    }

    /// Decode time of a frame in ticks.
    fn ticks(&self, frame: u64) -> u64 {
        scale(frame, VIDEO_TIMESCALE, self.fps)
    }

    /// The group a frame is in: the one function of running time that keyframes come from.
    fn group_of(&self, frame: u64) -> u128 {
        let nanos = u128::from(frame) * 1_000_000_000 / u128::from(self.fps);
        nanos / self.group.as_nanos()
    }

    /// The last frame due at or before a running time.
    fn frame_at(&self, running: Duration) -> u64 {
        let frame = running.as_nanos() * u128::from(self.fps) / 1_000_000_000;
        u64::try_from(frame).unwrap_or(u64::MAX)
    }
}

/// `count * to / from`, which overflows only after the sun has gone out.
fn scale(count: u64, to: u32, from: u32) -> u64 {
    let scaled = u128::from(count) * u128::from(to) / u128::from(from);
    u64::try_from(scaled).unwrap_or(u64::MAX)
}

/// Colour bars with a moving box, a clock for people, the strip of [`pattern`](crate::pattern) for
/// machines, and a tick at every full second: H.264 (baseline) and Opus, encoded on a thread of
/// its own that ends when this is dropped.
///
/// Frames that the encoder or the caller is too slow for are left out before they are encoded, so
/// what comes always decodes. The strip shows exactly the object's
/// [`captured`](Object::captured) in milliseconds.
#[derive(Debug)]
pub struct TestPattern {
    feed: Feed,
}

impl TestPattern {
    /// A pattern whose clock begins at the first call of `next`.
    ///
    /// # Errors
    /// [`SourceError`] naming an option out of its range, or when no thread can be had.
    pub fn new(options: TestPatternOptions) -> Result<Self, SourceError> {
        options.check()?;
        let feed = Feed::spawn("beacon-pattern", move |outlet| Run::new(options)?.run(outlet))?;
        Ok(Self { feed })
    }
}

#[async_trait]
impl Source for TestPattern {
    async fn next(&mut self) -> Result<Option<Media>, SourceError> {
        self.feed.next().await
    }
}

struct Run {
    options: TestPatternOptions,
    videos: Vec<Video>,
    tone: Option<Tone>,
    last: Option<u64>,
}

/// One size of the picture, as it is encoded.
struct Video {
    track: TrackId,
    rendition: Rendition,
    picture: Picture,
    encoder: Encoder,
    config: Option<Bytes>,
}

impl Video {
    fn new(track: TrackId, rendition: Rendition, fps: u32) -> Result<Self, SourceError> {
        let (width, height) = (usize::from(rendition.width), usize::from(rendition.height));
        let mut config = EncoderConfig::baseline(width, height);
        config.preset = Preset::Balanced;
        config.gop_size = ENCODER_GROUP;
        config.bitrate = rendition.bitrate;
        config.framerate = fps as f32;
        config.level_idc = level(&rendition, fps);
        // Both would add pictures of delay or keyframes of the encoder's own choice.
        config.mbtree = false;
        config.scenecut = 0;
        let encoder = Encoder::new(config)
            .map_err(|error| SourceError::new(format!("the H.264 encoder refuses: {error}")))?;
        let picture = Picture::new(width, height);
        Ok(Self { track, rendition, picture, encoder, config: None })
    }

    fn encode(&mut self, key: bool) -> Result<AccessUnit, SourceError> {
        if key {
            self.encoder.request_keyframe();
        }
        let (width, height) = (self.rendition.width.into(), self.rendition.height.into());
        let (y, u, v) = self.picture.planes();
        let planes = YuvPlanes { width, height, y, u, v, stride_y: width, stride_c: width / 2 };
        let stream = self
            .encoder
            .encode_planes(&planes)
            .map_err(|error| SourceError::new(format!("the H.264 encoder failed: {error}")))?;
        let unit = AccessUnit::from_annex_b(&stream);
        let broken = |what| SourceError::new(format!("the H.264 encoder gave {what}"));
        if unit.keyframe != key {
            return Err(broken("a keyframe where none was due, or none where one was"));
        }
        if unit.data.is_empty() || unit.data.len() > OBJECT_BYTES_MAX {
            return Err(broken("a frame that is empty or too large; lower video_bitrate"));
        }
        Ok(unit)
    }

    /// The track, once the encoder has told its configuration.
    fn describe(&self) -> Result<Track, SourceError> {
        let Rendition { width, height, bitrate } = self.rendition;
        let known = self.config.as_ref().and_then(|c| Some((c.clone(), h264::codec_string(c)?)));
        let (config, codec) = known
            .ok_or_else(|| SourceError::new("the H.264 encoder gave broken parameter sets"))?;
        let (timescale, label) = (VIDEO_TIMESCALE, format!("{height}p"));
        let kind = Kind::Video { width, height };
        Ok(Track { id: self.track, kind, codec, config, timescale, bitrate, label })
    }
}

impl Run {
    fn new(options: TestPatternOptions) -> Result<Self, SourceError> {
        let tone = options.audio_bitrate.map(Tone::new).transpose()?;
        let ids = core::iter::once(VIDEO).chain(FURTHER..);
        let videos = options.renditions().zip(ids);
        let videos = videos.map(|(rendition, id)| Video::new(track_id(id), rendition, options.fps));
        let videos = videos.collect::<Result<_, _>>()?;
        Ok(Self { options, videos, tone, last: None })
    }

    fn run(mut self, outlet: &mut Outlet) -> Result<(), Stop> {
        let (mut frame, mut packet) = (0_u64, 0_u64);
        let end = self.options.duration.unwrap_or(Duration::MAX);
        // Sound that is heard after the last frame is left out with it.
        while self.options.due(frame) < end {
            // A microphone hands a packet over when its last sample has been heard.
            let heard = Duration::from_millis((packet + 1).saturating_mul(20));
            if self.tone.is_some() && heard < self.options.due(frame) {
                outlet.wait_until(heard)?;
                if outlet.has_room() && outlet.now() < heard + LATE_MAX {
                    self.sound(outlet, packet)?;
                }
                packet += 1;
            } else {
                outlet.wait_until(self.options.due(frame))?;
                if outlet.has_room() {
                    frame = frame.max(self.options.frame_at(outlet.now()));
                    self.show(outlet, frame)?;
                }
                frame += 1;
            }
        }
        Ok(())
    }

    fn show(&mut self, outlet: &Outlet, frame: u64) -> Result<(), Stop> {
        let captured = outlet.unix(outlet.now());
        let key = self
            .last
            .is_none_or(|last| self.options.group_of(last) != self.options.group_of(frame));
        let (mut units, mut news) = (Vec::with_capacity(self.videos.len()), false);
        for video in &mut self.videos {
            video.picture.draw(frame, captured);
            let unit = video.encode(key)?;
            news |= unit.config.is_some() && video.config != unit.config;
            if unit.config.is_some() {
                video.config.clone_from(&unit.config);
            }
            units.push((video.track, unit.data));
        }
        self.last = Some(frame);
        if news {
            outlet.send(Media::Tracks(self.tracks()?))?;
        }
        let dts = self.options.ticks(frame);
        let duration = self.options.ticks(frame + 1) - dts;
        for (track, data) in units {
            outlet.send(Media::Object(Object {
                track,
                dts,
                cts: 0,
                duration: u32::try_from(duration).unwrap_or(VIDEO_TIMESCALE),
                keyframe: key,
                layer: 0,
                captured,
                data,
            }))?;
        }
        Ok(())
    }

    fn tracks(&self) -> Result<Vec<Track>, SourceError> {
        let mut tracks =
            self.videos.iter().map(Video::describe).collect::<Result<Vec<Track>, _>>()?;
        tracks.extend(self.options.audio_bitrate.map(|rate| Tone::track(track_id(AUDIO), rate)));
        Ok(tracks)
    }

    fn sound(&mut self, outlet: &Outlet, packet: u64) -> Result<(), Stop> {
        let Some(tone) = &mut self.tone else { return Ok(()) };
        let captured = outlet.unix(Duration::from_millis(packet.saturating_mul(20)));
        let data = tone.encode(captured.as_micros())?;
        outlet.send(Media::Object(Object {
            track: track_id(AUDIO),
            dts: packet * u64::from(PACKET),
            cts: 0,
            duration: PACKET,
            keyframe: true,
            layer: 0,
            captured,
            data,
        }))
    }
}

/// Both numbers are below the limit of 64.
fn track_id(number: u8) -> TrackId {
    TrackId::new(number).unwrap_or_default()
}

/// The lowest level that allows size and rate (ITU-T H.264 table A-1), times ten.
fn level(size: &Rendition, fps: u32) -> u8 {
    let blocks = u32::from(size.width.div_ceil(16)) * u32::from(size.height.div_ceil(16));
    let per_second = blocks * fps;
    // Level, macroblocks of a frame, macroblocks per second, bits per second (baseline).
    let table = [
        (30, 1620, 40_500, 10_000_000),
        (31, 3600, 108_000, 14_000_000),
        (32, 5120, 216_000, 20_000_000),
        (40, 8192, 245_760, 20_000_000),
        (42, 8704, 522_240, 50_000_000),
        (51, 36_864, 983_040, 240_000_000),
        (52, 36_864, 2_073_600, 240_000_000),
    ];
    let fits = |row: &&(u8, u32, u32, u32)| {
        blocks <= row.1 && per_second <= row.2 && size.bitrate <= row.3
    };
    table.iter().find(fits).map_or(62, |row| row.0)
}

// The sound's clock is in whole milliseconds.
const _: () = assert!(PACKET * 50 == RATE);

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn keyframes_come_from_running_time_alone() {
        for (fps, millis) in [(30, 2000), (30, 200), (25, 500), (24, 1001), (7, 333)] {
            let group = Duration::from_millis(millis);
            let options = TestPatternOptions { fps, group, ..Default::default() };
            let mut starts = 0;
            for frame in 1..fps as u64 * 20 {
                let start = options.group_of(frame) != options.group_of(frame - 1);
                let boundary = options.due(frame).as_nanos() / group.as_nanos();
                assert_eq!(start, options.due(frame - 1).as_nanos() / group.as_nanos() != boundary);
                starts += u64::from(start);
            }
            assert_eq!(starts, (options.due(fps as u64 * 20 - 1).as_millis() as u64) / millis);
        }
    }

    #[test]
    fn frames_and_times_agree() {
        let options = TestPatternOptions { fps: 7, ..Default::default() };
        for frame in [0, 1, 6, 7, 8, 1_000_000] {
            assert_eq!(options.frame_at(options.due(frame) + Duration::from_nanos(1)), frame);
        }
        assert_eq!(options.ticks(7), 90_000);
    }

    #[test]
    fn levels_allow_what_is_asked() {
        let with = |width, height, fps| level(&Rendition { width, height, bitrate: 800_000 }, fps);
        assert_eq!(with(640, 360, 30), 30);
        assert_eq!(with(1280, 720, 30), 31);
        assert_eq!(with(1920, 1080, 30), 40);
        assert_eq!(with(3840, 2160, 60), 52);
    }

    #[test]
    fn options_out_of_range_are_named() {
        let odd = TestPatternOptions { width: 641, ..Default::default() };
        assert!(TestPattern::new(odd).unwrap_err().to_string().contains("width must be even"));
        let further = |height, count| {
            let further = vec![Rendition { width: 320, height, bitrate: 200_000 }; count];
            let options = TestPatternOptions { further, ..Default::default() };
            TestPattern::new(options).unwrap_err().to_string()
        };
        assert!(further(90, 1).contains("height"));
        assert!(further(180, 5).contains("at most 4"));
        let still = TestPatternOptions { fps: 0, ..Default::default() };
        assert!(TestPattern::new(still).unwrap_err().to_string().contains("fps"));
    }
}
