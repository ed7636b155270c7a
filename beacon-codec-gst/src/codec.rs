//! Codecs: how each is encoded and decoded, and what a track of it looks like.

use crate::element::{Fault, first_of};
use beacon_sdk::TrackId;
use beacon_sdk::media::{Kind, Track};
use bytes::Bytes;
use gstreamer as gst;
use std::time::Duration;

/// Ticks per second of every video track.
pub(crate) const VIDEO_TIMESCALE: u32 = 90_000;
/// Samples per second of every audio track.
pub(crate) const AUDIO_RATE: u32 = 48_000;
/// Channels of every audio track.
pub(crate) const AUDIO_CHANNELS: u8 = 2;

/// How the picture is encoded.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub enum VideoCodec {
    /// x264, or OpenH264 where x264 is not installed. MSE and WebCodecs play it.
    #[default]
    H264,
    /// VP8. WebCodecs and WebM only: no browser takes VP8 in MP4.
    Vp8,
    /// VP9 profile 0. MSE and WebCodecs play it; about 1.8 × the CPU of H.264.
    Vp9,
}

/// How the sound is encoded: 48 kHz stereo.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub enum AudioCodec {
    /// 20 ms packets; 2.8 ms from the end of a packet's samples to the packet (measured).
    #[default]
    Opus,
    /// AAC-LC, 1024 samples a frame; 34 ms from capture to frame (measured).
    Aac,
}

impl VideoCodec {
    /// The chain that encodes I420 frames. The encoder is named `encoder`; it makes no keyframe
    /// of its own accord and reorders nothing, so decode time is presentation time.
    ///
    /// The settings are measured: x264 ultrafast loses 4–5 dB for half the CPU; vpx with more
    /// than one thread spins while it waits.
    pub(crate) fn encoder(self, bitrate: u32) -> Result<String, Fault> {
        let kbps = bitrate.div_ceil(1000);
        let avc = "h264parse ! video/x-h264,stream-format=avc,alignment=au";
        let vpx = format!(
            "deadline=1 threads=1 target-bitrate={bitrate} keyframe-max-dist=3000 \
             lag-in-frames=0 end-usage=cbr"
        );
        Ok(match self {
            Self::H264 if first_of(&["x264enc", "openh264enc"])? == "x264enc" => format!(
                "x264enc name=encoder tune=zerolatency speed-preset=superfast bitrate={kbps} \
                 key-int-max=3000 threads=2 option-string=scenecut=0 ! \
                 video/x-h264,profile=high ! {avc}"
            ),
            Self::H264 => format!(
                "openh264enc name=encoder complexity=low rate-control=bitrate bitrate={bitrate} \
                 gop-size=3000 scene-change-detection=false ! {avc}"
            ),
            Self::Vp8 => format!("vp8enc name=encoder {vpx} cpu-used=-8"),
            Self::Vp9 => format!(
                "vp9enc name=encoder {vpx} cpu-used=8 error-resilient=default ! vp9parse ! \
                 video/x-vp9,alignment=super-frame"
            ),
        })
    }

    /// The track that the encoder's caps describe.
    pub(crate) fn track(self, caps: &gst::CapsRef, bitrate: u32) -> Result<Track, Fault> {
        let (width, height) = (size(caps, "width")?, size(caps, "height")?);
        let fps = caps
            .structure(0)
            .and_then(|s| s.get::<gst::Fraction>("framerate").ok())
            .filter(|rate| rate.numer() > 0)
            .map_or(30.0, |rate| f64::from(rate.numer()) / f64::from(rate.denom()));
        let (codec, config) = match self {
            Self::H264 => {
                let avcc = buffer(caps, "codec_data")?;
                let &[_, profile, compatibility, level, ..] = &avcc[..] else {
                    return Err(Fault::new("the H.264 encoder's configuration is cut short"));
                };
                (format!("avc1.{profile:02X}{compatibility:02X}{level:02X}"), avcc)
            }
            Self::Vp8 => ("vp8".to_owned(), vpcc(0, 0)),
            Self::Vp9 => {
                let level = vp9_level(width, height, fps, bitrate);
                (format!("vp09.00.{level:02}.08"), vpcc(0, level))
            }
        };
        Ok(Track {
            id: VIDEO,
            kind: Kind::Video { width, height },
            codec,
            config,
            timescale: VIDEO_TIMESCALE,
            bitrate,
            label: format!("{height}p"),
        })
    }

    /// One encoded picture as an object carries it.
    pub(crate) fn object(self, data: &[u8]) -> Bytes {
        match self {
            Self::H264 => without_parameters(data),
            Self::Vp8 | Self::Vp9 => Bytes::copy_from_slice(data),
        }
    }
}

impl AudioCodec {
    /// The chain that encodes 48 kHz stereo.
    pub(crate) fn encoder(self, bitrate: u32) -> Result<String, Fault> {
        Ok(match self {
            Self::Opus => {
                format!("opusenc bitrate={bitrate} frame-size=20 audio-type=restricted-lowdelay")
            }
            Self::Aac => format!(
                "{} bitrate={bitrate} ! aacparse ! audio/mpeg,stream-format=raw",
                first_of(&["avenc_aac", "voaacenc"])?
            ),
        })
    }

    /// How long one packet lasts.
    pub(crate) fn packet(self) -> Duration {
        match self {
            Self::Opus => Duration::from_millis(20),
            Self::Aac => Duration::from_nanos(1024 * 1_000_000_000 / u64::from(AUDIO_RATE)),
        }
    }

    /// The track that the encoder's caps describe.
    pub(crate) fn track(self, caps: &gst::CapsRef, bitrate: u32) -> Result<Track, Fault> {
        let (codec, config) = match self {
            Self::Opus => ("opus".to_owned(), dops(caps)?),
            Self::Aac => {
                let asc = buffer(caps, "codec_data")?;
                // AudioSpecificConfig: the object type is its first five bits (ISO 14496-3).
                let object_type = asc.first().map_or(2, |byte| byte >> 3);
                (format!("mp4a.40.{object_type}"), asc)
            }
        };
        Ok(Track {
            id: AUDIO,
            kind: Kind::Audio { rate: AUDIO_RATE, channels: AUDIO_CHANNELS },
            codec,
            config,
            timescale: AUDIO_RATE,
            bitrate,
            label: String::new(),
        })
    }
}

const fn track_id(id: u8) -> TrackId {
    match TrackId::new(id) {
        Some(id) => id,
        None => panic!("track numbers are below 64"),
    }
}
/// The picture's track.
pub(crate) const VIDEO: TrackId = track_id(0);
/// The sound's track.
pub(crate) const AUDIO: TrackId = track_id(1);

fn size(caps: &gst::CapsRef, field: &str) -> Result<u16, Fault> {
    caps.structure(0)
        .and_then(|s| s.get::<i32>(field).ok())
        .and_then(|value| u16::try_from(value).ok())
        .ok_or_else(|| Fault::new(format!("the encoder does not tell the picture's {field}")))
}

fn buffer(caps: &gst::CapsRef, field: &str) -> Result<Bytes, Fault> {
    let told = caps.structure(0).and_then(|s| s.get::<gst::Buffer>(field).ok());
    let map = told.as_ref().and_then(|buffer| buffer.map_readable().ok());
    map.map(|map| Bytes::copy_from_slice(&map))
        .ok_or_else(|| Fault::new(format!("the encoder's caps carry no {field}")))
}

/// `vpcC` of 8-bit 4:2:0 BT.709 in limited range, version and flags first ("VP Codec ISO Media
/// File Format Binding", version 1).
fn vpcc(profile: u8, level: u8) -> Bytes {
    Bytes::from(vec![1, 0, 0, 0, profile, level, 8 << 4 | 1 << 1, 1, 1, 1, 0, 0])
}

/// `dOps` ("Encapsulation of Opus in ISO Base Media File Format", §4.3.2) from the `OpusHead`
/// of RFC 7845 §5.1 in the caps: the same fields, big-endian and without the magic.
fn dops(caps: &gst::CapsRef) -> Result<Bytes, Fault> {
    let headers = caps.structure(0).and_then(|s| s.get::<gst::Array>("streamheader").ok());
    let head = headers.and_then(|headers| headers.first()?.get::<gst::Buffer>().ok());
    let map = head.as_ref().and_then(|head| head.map_readable().ok());
    match map.as_deref() {
        Some(
            &[
                b'O',
                b'p',
                b'u',
                b's',
                b'H',
                b'e',
                b'a',
                b'd',
                _,
                channels,
                s0,
                s1,
                r0,
                r1,
                r2,
                r3,
                g0,
                g1,
                family,
                ..,
            ],
        ) => Ok(Bytes::from(vec![0, channels, s1, s0, r3, r2, r1, r0, g1, g0, family])),
        _ => Err(Fault::new("the Opus encoder's caps carry no OpusHead")),
    }
}

/// The lowest level of VP9's table ("VP9 Levels", Annex A of the bitstream specification) that
/// allows this picture size, sample rate and bit rate, as `vpcC` writes it: 31 is level 3.1.
fn vp9_level(width: u16, height: u16, fps: f64, bitrate: u32) -> u8 {
    // level, luma samples per second, luma samples per picture, kbit/s
    const LEVELS: [(u8, u64, u64, u32); 11] = [
        (10, 829_440, 36_864, 200),
        (11, 2_764_800, 73_728, 800),
        (20, 4_608_000, 122_880, 1_800),
        (21, 9_216_000, 245_760, 3_600),
        (30, 20_736_000, 552_960, 7_200),
        (31, 36_864_000, 983_040, 12_000),
        (40, 83_558_400, 2_228_224, 18_000),
        (41, 160_432_128, 2_228_224, 30_000),
        (50, 311_951_360, 8_912_896, 60_000),
        (51, 588_251_136, 8_912_896, 120_000),
        (52, 1_176_502_272, 8_912_896, 180_000),
    ];
    let picture = u64::from(width) * u64::from(height);
    let rate = (picture as f64 * fps).ceil() as u64;
    let kbps = bitrate.div_ceil(1000);
    let fits = |&&(_, r, p, k): &&(u8, u64, u64, u32)| rate <= r && picture <= p && kbps <= k;
    LEVELS.iter().find(fits).map_or(62, |&(level, ..)| level)
}

/// H.264 with four-byte lengths, without what does not belong in an object: parameter sets (they
/// are in the track), access unit delimiters, and the encoder's name card (an unregistered
/// user-data SEI, about 700 bytes of x264's settings).
///
/// Bytes that are not such units are passed as they are: the data is our own encoder's.
fn without_parameters(data: &[u8]) -> Bytes {
    const SEI: u8 = 6;
    const SPS: u8 = 7;
    const PPS: u8 = 8;
    const DELIMITER: u8 = 9;
    const USER_DATA_UNREGISTERED: u8 = 5;
    let mut kept = Vec::with_capacity(data.len());
    let mut rest = data;
    while let Some((length, tail)) = rest.split_first_chunk::<4>() {
        let length = u32::from_be_bytes(*length) as usize;
        let Some(unit) = tail.get(..length) else { return Bytes::copy_from_slice(data) };
        let drop = match unit.first().map(|header| header & 0x1f) {
            Some(SPS | PPS | DELIMITER) | None => true,
            Some(SEI) => unit.get(1) == Some(&USER_DATA_UNREGISTERED),
            Some(_) => false,
        };
        if !drop {
            kept.extend_from_slice(&rest[..4 + length]);
        }
        rest = &tail[length..];
    }
    Bytes::from(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameter_sets_are_left_out_and_the_picture_is_kept() {
        let unit = |bytes: &[u8]| [&(bytes.len() as u32).to_be_bytes()[..], bytes].concat();
        let slice = unit(&[0x65, 1, 2, 3]);
        let recovery = unit(&[6, 6, 1, 0x80]);
        let frame = [
            unit(&[9, 0x10]),
            unit(&[0x67, 1]),
            unit(&[0x68, 1]),
            unit(&[6, 5, 1, 0]),
            recovery.clone(),
            slice.clone(),
        ]
        .concat();
        assert_eq!(without_parameters(&frame), [recovery, slice].concat());
        let torn = [0, 0, 0, 9, 0x65];
        assert_eq!(without_parameters(&torn), torn[..]);
    }

    #[test]
    fn vp9_levels_follow_the_table() {
        assert_eq!(vp9_level(640, 360, 30.0, 800_000), 21);
        assert_eq!(vp9_level(1280, 720, 30.0, 2_500_000), 31);
        assert_eq!(vp9_level(1920, 1080, 30.0, 4_500_000), 40);
        assert_eq!(vp9_level(1920, 1080, 60.0, 4_500_000), 41);
        assert_eq!(vp9_level(256, 144, 15.0, 150_000), 10);
        assert_eq!(vp9_level(16_000, 16_000, 60.0, 1), 62);
    }
}
