//! Tracks as GStreamer's caps, and the elements that decode them.

use crate::element::{Fault, first_of};
use beacon_sdk::media::{Kind, Object, Track};
use bytes::Bytes;
use gstreamer as gst;
use std::time::Duration;

/// A codec this sink takes.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Codec {
    H264,
    Vp8,
    Vp9,
    Opus,
    Aac,
}

impl Codec {
    /// By the start of the codec string.
    pub(crate) fn of(track: &Track) -> Result<Self, Fault> {
        let family = track.codec.split('.').next().unwrap_or_default();
        match (family, track.is_video()) {
            ("avc1", true) => Ok(Self::H264),
            ("vp8" | "vp08", true) => Ok(Self::Vp8),
            ("vp9" | "vp09", true) => Ok(Self::Vp9),
            ("opus", false) => Ok(Self::Opus),
            ("mp4a", false) if track.codec.starts_with("mp4a.40") => Ok(Self::Aac),
            _ => Err(Fault::new(format!(
                "track {} is {}, which this sink cannot take: choose H.264, VP8 or VP9 with \
                 Opus or AAC at the broadcaster",
                track.id, track.codec
            ))),
        }
    }

    /// The decoding element with its settings.
    pub(crate) fn decoder(self) -> Result<&'static str, Fault> {
        Ok(match self {
            // Threads by slice, not by frame: those would hold back as many pictures.
            Self::H264 => match first_of(&["avdec_h264", "openh264dec"])? {
                "avdec_h264" => "avdec_h264 thread-type=slice output-corrupt=false",
                // Holds one picture back (37 ms at 30 fps, measured).
                other => other,
            },
            Self::Vp8 => first_of(&["vp8dec"])?,
            Self::Vp9 => first_of(&["vp9dec"])?,
            Self::Opus => first_of(&["opusdec"])?,
            Self::Aac => first_of(&["avdec_aac", "faad"])?,
        })
    }
}

/// Whether one decoder serves both: label and bit rate are of no matter to it.
pub(crate) fn alike(one: &Track, other: &Track) -> bool {
    let Track { id, kind, codec, config, timescale, bitrate: _, label: _ } = one;
    (id, kind, codec, config, timescale)
        == (&other.id, &other.kind, &other.codec, &other.config, &other.timescale)
}

/// The caps of a track's objects.
pub(crate) fn caps(track: &Track) -> Result<gst::Caps, Fault> {
    // WebM's muxer insists on a rate; objects carry their own times.
    let varying = gst::Fraction::new(0, 1);
    let builder = match Codec::of(track)? {
        Codec::H264 => gst::Caps::builder("video/x-h264")
            .field("stream-format", "avc")
            .field("alignment", "au")
            .field("codec_data", buffer(&track.config)),
        Codec::Vp8 => gst::Caps::builder("video/x-vp8").field("framerate", varying),
        Codec::Vp9 => gst::Caps::builder("video/x-vp9").field("framerate", varying),
        Codec::Opus => {
            let head = opus_head(&track.config)?;
            // "OpusTags", an empty vendor and no comments: RFC 7845 §5.2.
            let tags = b"OpusTags\0\0\0\0\0\0\0\0";
            gst::Caps::builder("audio/x-opus")
                .field("channel-mapping-family", 0_i32)
                .field("stream-count", 1_i32)
                .field("coupled-count", i32::from(head[9] == 2))
                .field("streamheader", gst::Array::new([buffer(&head), buffer(tags)]))
        }
        Codec::Aac => gst::Caps::builder("audio/mpeg")
            .field("mpegversion", 4_i32)
            .field("stream-format", "raw")
            .field("framed", true)
            .field("codec_data", buffer(&track.config)),
    };
    Ok(match track.kind {
        Kind::Video { width, height } => {
            builder.field("width", i32::from(width)).field("height", i32::from(height)).build()
        }
        Kind::Audio { rate, channels } => {
            let rate = i32::try_from(rate).unwrap_or(i32::MAX);
            builder.field("rate", rate).field("channels", i32::from(channels)).build()
        }
    })
}

/// One object as a buffer to be shown at `time`.
pub(crate) fn object(
    track: &Track,
    object: &Object,
    time: Duration,
    after_gap: bool,
) -> gst::Buffer {
    let mut frame = gst::Buffer::from_slice(object.data.clone());
    let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX - 1);
    let length = Duration::from_micros(track.micros(u64::from(object.duration)));
    if let Some(frame) = frame.get_mut() {
        frame.set_pts(gst::ClockTime::from_nseconds(nanos(time)));
        frame.set_duration(gst::ClockTime::from_nseconds(nanos(length)));
        if !object.keyframe {
            frame.set_flags(gst::BufferFlags::DELTA_UNIT);
        }
        if after_gap {
            frame.set_flags(gst::BufferFlags::DISCONT);
        }
    }
    frame
}

/// Presentation time of an object in its broadcast.
pub(crate) fn media_time(track: &Track, object: &Object) -> Duration {
    let ticks = object.dts.saturating_add_signed(i64::from(object.cts));
    Duration::from_micros(track.micros(ticks))
}

fn buffer(bytes: &[u8]) -> gst::Buffer {
    gst::Buffer::from_slice(Bytes::copy_from_slice(bytes))
}

/// `OpusHead` (RFC 7845 §5.1) from `dOps`: the same fields, little-endian, behind a magic.
fn opus_head(dops: &[u8]) -> Result<Vec<u8>, Fault> {
    let &[_, channels @ 1..=2, s1, s0, r3, r2, r1, r0, g1, g0, 0] = dops else {
        return Err(Fault::new(
            "the Opus track's configuration is not that of mono or stereo: the broadcaster's \
             source is at fault",
        ));
    };
    Ok([&b"OpusHead"[..], &[1, channels, s0, s1, r0, r1, r2, r3, g0, g1, 0]].concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use beacon_sdk::TrackId;

    fn track(kind: Kind, codec: &str, config: &[u8]) -> Track {
        Track {
            id: TrackId::default(),
            kind,
            codec: codec.to_owned(),
            config: Bytes::copy_from_slice(config),
            timescale: 48_000,
            bitrate: 0,
            label: String::new(),
        }
    }

    #[test]
    fn foreign_tracks_are_refused_by_name() {
        let picture = Kind::Video { width: 16, height: 16 };
        let sound = Kind::Audio { rate: 48_000, channels: 2 };
        for (kind, codec) in
            [(picture, "hvc1.1"), (picture, "opus"), (sound, "mp4a.6b"), (sound, "")]
        {
            let fault = Codec::of(&track(kind, codec, &[])).expect_err(codec);
            assert!(fault.context.contains(codec), "{}", fault.context);
        }
    }

    #[test]
    fn a_new_label_is_no_new_track() {
        let one = track(Kind::Video { width: 16, height: 16 }, "vp8", &[]);
        let renamed = Track { label: "low".to_owned(), bitrate: 9, ..one.clone() };
        assert!(alike(&one, &renamed));
        assert!(!alike(&one, &Track { timescale: 1000, ..one.clone() }));
    }

    #[test]
    fn opus_configurations_of_any_bytes_are_survived() {
        crate::element::init().expect("GStreamer");
        let sound = Kind::Audio { rate: 48_000, channels: 2 };
        let dops = [0, 2, 1, 0x38, 0, 0, 0xbb, 0x80, 0, 0, 0];
        for cut in 0..dops.len() {
            assert!(caps(&track(sound, "opus", &dops[..cut])).is_err());
        }
        let told = caps(&track(sound, "opus", &dops)).expect("caps").to_string();
        assert!(told.contains("4f707573486561640102380180bb0000000000"), "{told}");
    }
}
