//! Choosing among the tracks of a broadcast, and refusing it.

use super::Track;
use serde::{Deserialize, Serialize};

/// Which tracks a viewer takes, plays and passes on.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Choice {
    /// How many renditions.
    pub renditions: Renditions,
    /// Codecs that can be played, as beginnings of codec strings (`avc1`, `opus`); empty is any.
    pub codecs: Vec<String>,
}

/// All renditions of a broadcast, or one of each kind.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum Renditions {
    /// Everything: what a recorder or a relay for all viewers wants.
    #[default]
    All,
    /// The best picture within these limits, or the smallest there is, and the best sound.
    Best {
        /// Height in pixels at most.
        height_max: u16,
        /// Bits per second of the picture at most.
        bitrate_max: u32,
    },
    /// As `Best`, and a smaller picture while that one comes late or not at all.
    Auto {
        /// Height in pixels at most.
        height_max: u16,
        /// Bits per second of the picture at most.
        bitrate_max: u32,
    },
}

/// How large a picture is: height in pixels, then bits per second.
pub(crate) type Size = (u16, u32);

/// A broadcast that this viewer cannot play.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the broadcast cannot be played here: it has {}, accepted are {}; choose a player or a \
     rendition that fits",
    offered.join(", "),
    accepted.join(", ")
)]
pub struct Unplayable {
    /// Codec strings of the broadcast.
    pub offered: Vec<String>,
    /// What the choice accepts.
    pub accepted: Vec<String>,
}

impl Choice {
    /// The chosen tracks as a mask: bit i is track i.
    ///
    /// # Errors
    /// [`Unplayable`] when nothing, or nothing of the picture, is in an accepted codec.
    pub fn choose(&self, tracks: &[Track]) -> Result<u64, Unplayable> {
        self.choose_up_to(tracks, None)
    }

    /// As [`Choice::choose`], with a picture of at most this size where one is chosen by what
    /// arrives.
    pub(crate) fn choose_up_to(
        &self,
        tracks: &[Track],
        most: Option<Size>,
    ) -> Result<u64, Unplayable> {
        let playable: Vec<&Track> = tracks.iter().filter(|track| self.accepts(track)).collect();
        let has_picture = tracks.iter().any(Track::is_video);
        let shows_picture = playable.iter().any(|track| track.is_video());
        if playable.is_empty() || (has_picture && !shows_picture) {
            let offered = tracks.iter().map(|track| track.codec.clone()).collect();
            return Err(Unplayable { offered, accepted: self.codecs.clone() });
        }
        let chosen = match self.renditions {
            Renditions::All => playable,
            Renditions::Best { height_max, bitrate_max } => {
                best(&playable, height_max, bitrate_max, None)
            }
            Renditions::Auto { height_max, bitrate_max } => {
                best(&playable, height_max, bitrate_max, most)
            }
        };
        Ok(mask(&chosen))
    }

    /// The sizes of the pictures it may choose, the smallest first.
    pub(crate) fn ladder(&self, tracks: &[Track]) -> Vec<Size> {
        let (height_max, bitrate_max) = match self.renditions {
            Renditions::All => (u16::MAX, u32::MAX),
            Renditions::Best { height_max, bitrate_max }
            | Renditions::Auto { height_max, bitrate_max } => (height_max, bitrate_max),
        };
        let fits = |track: &&Track| track.height() <= height_max && track.bitrate <= bitrate_max;
        let pictures = tracks.iter().filter(|track| track.is_video() && self.accepts(track));
        let mut sizes: Vec<Size> = pictures.filter(fits).map(size).collect();
        sizes.sort_unstable();
        sizes.dedup();
        sizes
    }

    /// What to carry when a broadcast changes its tracks: of `carried`, all that is still there
    /// and accepted, so that nothing that plays is disturbed; and what the choice adds to that.
    /// A picture that is carried is not given up for a better one.
    ///
    /// # Errors
    /// [`Unplayable`] when some of what was carried is gone and the rest cannot be chosen.
    pub fn choose_again(&self, tracks: &[Track], carried: u64) -> Result<u64, Unplayable> {
        let kept = |track: &&Track| carried >> track.id.get() & 1 == 1 && self.accepts(track);
        let kept: Vec<&Track> = tracks.iter().filter(kept).collect();
        let chosen = match self.choose(tracks) {
            Ok(chosen) => chosen,
            // A new track that cannot be played does not spoil those that can.
            Err(_) if mask(&kept) == carried => 0,
            Err(unplayable) => return Err(unplayable),
        };
        let adds = |track: &&Track| {
            let another = || kept.iter().any(|kept| kept.is_video() == track.is_video());
            chosen >> track.id.get() & 1 == 1 && (self.renditions == Renditions::All || !another())
        };
        let added: Vec<&Track> = tracks.iter().filter(adds).collect();
        Ok(mask(&kept) | mask(&added))
    }

    fn accepts(&self, track: &Track) -> bool {
        self.codecs.is_empty() || self.codecs.iter().any(|codec| track.codec.starts_with(codec))
    }
}

fn mask(tracks: &[&Track]) -> u64 {
    tracks.iter().fold(0, |mask, track| mask | 1 << track.id.get())
}

/// How large a picture is.
pub(crate) fn size(track: &Track) -> Size {
    (track.height(), track.bitrate)
}

fn best<'a>(
    playable: &[&'a Track],
    height_max: u16,
    bitrate_max: u32,
    most: Option<Size>,
) -> Vec<&'a Track> {
    let (pictures, sounds): (Vec<&Track>, Vec<&Track>) =
        playable.iter().partition(|track| track.is_video());
    let fits = |track: &&&Track| {
        track.height() <= height_max
            && track.bitrate <= bitrate_max
            && most.is_none_or(|most| size(track) <= most)
    };
    let size = |track: &&&Track| size(track);
    let picture =
        pictures.iter().filter(fits).max_by_key(size).or_else(|| pictures.iter().min_by_key(size));
    let sound = sounds.iter().max_by_key(|track| track.bitrate);
    picture.into_iter().chain(sound).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::TrackId;
    use crate::media::Kind;
    use bytes::Bytes;

    fn track(id: u8, codec: &str, kind: Kind, bitrate: u32) -> Track {
        let id = TrackId::new(id).unwrap_or_default();
        let (config, label) = (Bytes::new(), String::new());
        Track { id, kind, codec: codec.into(), config, timescale: 90_000, bitrate, label }
    }

    fn ladder() -> Vec<Track> {
        let video = |width, height| Kind::Video { width, height };
        vec![
            track(0, "avc1.64001F", video(1280, 720), 2_500_000),
            track(1, "avc1.42C01E", video(640, 360), 700_000),
            track(2, "vp09.00.31.08", video(1920, 1080), 4_000_000),
            track(3, "opus", Kind::Audio { rate: 48_000, channels: 2 }, 64_000),
        ]
    }

    fn best(height_max: u16, codecs: &[&str]) -> Choice {
        let codecs = codecs.iter().map(|codec| (*codec).to_owned()).collect();
        Choice { renditions: Renditions::Best { height_max, bitrate_max: u32::MAX }, codecs }
    }

    #[test]
    fn everything_by_default() {
        assert_eq!(Choice::default().choose(&ladder()), Ok(0b1111));
    }

    #[test]
    fn the_best_that_fits() {
        assert_eq!(best(1080, &[]).choose(&ladder()), Ok(0b1100));
        assert_eq!(best(1080, &["avc1", "opus"]).choose(&ladder()), Ok(0b1001));
        assert_eq!(best(480, &["avc1", "opus"]).choose(&ladder()), Ok(0b1010));
        assert_eq!(best(100, &["avc1", "opus"]).choose(&ladder()), Ok(0b1010), "the smallest");
        assert_eq!(best(480, &["avc1"]).choose(&ladder()), Ok(0b0010), "silent rather than not");
    }

    #[test]
    fn what_is_carried_stays_and_the_rest_is_chosen_again() {
        let ladder = ladder();
        assert_eq!(Choice::default().choose_again(&ladder, 0b0001), Ok(0b1111));
        let best = best(1080, &["avc1", "opus"]);
        assert_eq!(best.choose_again(&ladder, 0b0010), Ok(0b1010), "not the better picture");
        assert_eq!(best.choose_again(&ladder, 0b1001), Ok(0b1001));
        assert_eq!(best.choose_again(&ladder[1..], 0b1001), Ok(0b1010), "its picture is gone");
        let sound = self::best(1080, &["opus"]);
        assert_eq!(sound.choose_again(&ladder, 0b1000), Ok(0b1000), "it cannot show the picture");
        let mut recoded = ladder;
        recoded[3].codec = "mp4a.40.2".into();
        assert!(sound.choose_again(&recoded, 0b1000).is_err(), "what it played is gone");
    }

    #[test]
    fn a_picture_in_no_accepted_codec_is_refused() {
        let refused = best(1080, &["av01", "opus"]).choose(&ladder());
        assert!(refused.is_err_and(|why| why.to_string().contains("vp09.00.31.08")));
    }
}
