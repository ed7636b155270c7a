//! Which sample entry a codec string stands for.

use crate::aac::AudioSpecificConfig;
use crate::error::MuxError;
use beacon_sdk::media::Track;

/// The codecs that go into MP4, with what Chromium, ffmpeg and the RFCs agree on.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Codec {
    H264,
    Vp9,
    Av1,
    Opus,
    Aac,
}

impl Codec {
    /// By RFC 6381 string.
    fn of_string(codec: &str) -> Option<Self> {
        let (name, _) = codec.split_once('.').unwrap_or((codec, ""));
        match name {
            "avc1" => Some(Self::H264),
            "vp09" => Some(Self::Vp9),
            "av01" => Some(Self::Av1),
            "mp4a" if codec.starts_with("mp4a.40.") => Some(Self::Aac),
            "opus" | "Opus" => Some(Self::Opus),
            _ => None,
        }
    }

    /// By sample entry type.
    pub(crate) fn of_entry(kind: &[u8; 4]) -> Option<Self> {
        [Self::H264, Self::Vp9, Self::Av1, Self::Opus, Self::Aac]
            .into_iter()
            .find(|codec| codec.entry() == kind)
    }

    /// The codec of a track, its configuration checked for shape.
    pub(crate) fn of_track(track: &Track) -> Result<Self, MuxError> {
        let codec = Self::of_string(&track.codec).filter(|codec| {
            let video = matches!(codec, Self::H264 | Self::Vp9 | Self::Av1);
            video == track.is_video()
        });
        let Some(codec) = codec else {
            return Err(MuxError::Codec { track: track.id, codec: track.codec.clone() });
        };
        let config = &track.config[..];
        let fits = match codec {
            Self::H264 => config.first() == Some(&1) && config.len() >= 7,
            Self::Vp9 => config.len() >= 12,
            Self::Av1 => config.first() == Some(&0x81) && config.len() >= 4,
            Self::Opus => config.len() >= 11,
            // One byte of length is all the descriptors have room for.
            Self::Aac => config.len() <= 100 && AudioSpecificConfig::parse(config).is_some(),
        };
        if fits {
            return Ok(codec);
        }
        let needs = match codec {
            Self::Aac => "AudioSpecificConfig",
            Self::H264 => "avcC",
            Self::Vp9 => "vpcC",
            Self::Av1 => "av1C",
            Self::Opus => "dOps",
        };
        Err(MuxError::Config { track: track.id, codec: track.codec.clone(), needs })
    }

    /// Type of the sample entry.
    pub(crate) const fn entry(self) -> &'static [u8; 4] {
        match self {
            Self::H264 => b"avc1",
            Self::Vp9 => b"vp09",
            Self::Av1 => b"av01",
            Self::Opus => b"Opus",
            Self::Aac => b"mp4a",
        }
    }

    /// Type of the configuration box inside it.
    pub(crate) const fn config_box(self) -> &'static [u8; 4] {
        match self {
            Self::H264 => b"avcC",
            Self::Vp9 => b"vpcC",
            Self::Av1 => b"av1C",
            Self::Opus => b"dOps",
            Self::Aac => b"esds",
        }
    }
}
