//! Tracks: what a viewer must know to choose, refuse and decode.

use crate::id::TrackId;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// Tracks of one broadcast at most.
pub const TRACKS_MAX: usize = 16;
/// Bytes of a codec string at most; the longest in RFC 6381 practice are about 30.
pub const CODEC_BYTES_MAX: usize = 64;
/// Bytes of a decoder configuration at most.
pub const CONFIG_BYTES_MAX: usize = 4096;
/// Bytes of a label at most.
pub const LABEL_BYTES_MAX: usize = 64;

/// Video or audio, with what a player must know before the first object.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A rendition of the picture.
    Video {
        /// Coded width in pixels, 1–16384.
        width: u16,
        /// Coded height in pixels, 1–16384.
        height: u16,
    },
    /// Sound.
    Audio {
        /// Samples per second, 8000–192000.
        rate: u32,
        /// Channels, 1–8.
        channels: u8,
    },
}

/// One track as the signed description names it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Track {
    /// Its number, unique in the broadcast.
    pub id: TrackId,
    /// Video or audio.
    pub kind: Kind,
    /// RFC 6381 codec string, as MSE and WebCodecs take it (`avc1.42C01F`, `opus`, `mp4a.40.2`).
    pub codec: String,
    /// Decoder configuration: `avcC`, `vpcC`, `av1C`, `dOps` box body or AudioSpecificConfig.
    /// Empty where the codec needs none.
    #[serde(skip)]
    pub config: Bytes,
    /// Ticks per second of its objects' times, 1–1,000,000.
    pub timescale: u32,
    /// Expected bits per second; a hint for choosing a rendition.
    pub bitrate: u32,
    /// A name for people (`720p`, `English`), possibly empty.
    pub label: String,
}

/// A track that no peer would accept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TrackError {
    /// More tracks than [`TRACKS_MAX`], or none.
    #[error("a broadcast has 1 to {TRACKS_MAX} tracks, not {0}")]
    Count(usize),
    /// Two tracks under one number.
    #[error("track {0} is named twice")]
    Duplicate(TrackId),
    /// A field outside its range.
    #[error("track {track}: {field} is out of range")]
    Range {
        /// The track.
        track: TrackId,
        /// The field's name.
        field: &'static str,
    },
}

impl core::fmt::Display for Track {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self.kind {
            Kind::Video { width, height } => write!(f, "picture {width}x{height} {}", self.codec),
            Kind::Audio { rate, .. } => write!(f, "sound {rate} Hz {}", self.codec),
        }
    }
}

impl Track {
    /// Whether the track is video.
    #[must_use]
    pub const fn is_video(&self) -> bool {
        matches!(self.kind, Kind::Video { .. })
    }

    /// Height of the picture in pixels; 0 for sound.
    #[must_use]
    pub const fn height(&self) -> u16 {
        match self.kind {
            Kind::Video { height, .. } => height,
            Kind::Audio { .. } => 0,
        }
    }

    /// Ticks of this track as microseconds, saturating.
    #[must_use]
    pub fn micros(&self, ticks: u64) -> u64 {
        let micros = u128::from(ticks) * 1_000_000 / u128::from(self.timescale.max(1));
        u64::try_from(micros).unwrap_or(u64::MAX)
    }

    /// Checks every field against its documented range.
    ///
    /// # Errors
    /// [`TrackError::Range`] naming the field.
    pub fn check(&self) -> Result<(), TrackError> {
        let kind_ok = match self.kind {
            Kind::Video { width, height } => {
                (1..=16384).contains(&width) && (1..=16384).contains(&height)
            }
            Kind::Audio { rate, channels } => {
                (8000..=192_000).contains(&rate) && (1..=8).contains(&channels)
            }
        };
        let checks = [
            (kind_ok, "kind"),
            ((1..=CODEC_BYTES_MAX).contains(&self.codec.len()), "codec"),
            (self.config.len() <= CONFIG_BYTES_MAX, "config"),
            ((1..=1_000_000).contains(&self.timescale), "timescale"),
            (self.label.len() <= LABEL_BYTES_MAX, "label"),
        ];
        match checks.iter().find(|(ok, _)| !ok) {
            Some((_, field)) => Err(TrackError::Range { track: self.id, field }),
            None => Ok(()),
        }
    }

    /// Checks a whole list: count, fields, unique numbers.
    ///
    /// # Errors
    /// The first [`TrackError`] found.
    pub fn check_all(tracks: &[Self]) -> Result<(), TrackError> {
        if tracks.is_empty() || tracks.len() > TRACKS_MAX {
            return Err(TrackError::Count(tracks.len()));
        }
        let mut seen = 0_u64;
        for track in tracks {
            track.check()?;
            let bit = 1 << track.id.get();
            if seen & bit != 0 {
                return Err(TrackError::Duplicate(track.id));
            }
            seen |= bit;
        }
        Ok(())
    }
}
