//! What can go wrong, with cause and cure.

use beacon_sdk::TrackId;
use beacon_sdk::media::TrackError;

/// Objects or tracks that MP4 cannot hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MuxError {
    /// The track list itself is not valid.
    #[error(transparent)]
    Track(#[from] TrackError),
    /// A codec this crate does not put into MP4.
    #[error(
        "track {track}: codec {codec:?} does not go into MP4; use H.264, VP9, AV1, Opus or AAC"
    )]
    Codec {
        /// The track.
        track: TrackId,
        /// Its codec string.
        codec: String,
    },
    /// A decoder configuration that does not fit the codec.
    #[error("track {track}: {codec} needs a decoder configuration of the form {needs}")]
    Config {
        /// The track.
        track: TrackId,
        /// Its codec string.
        codec: String,
        /// The box or record that was expected.
        needs: &'static str,
    },
    /// Objects that do not make up one segment of the track.
    #[error("segment of track {track}: {what}")]
    Segment {
        /// The track.
        track: TrackId,
        /// What is wrong.
        what: &'static str,
    },
    /// Media of a track that no `Tracks` item announced.
    #[error("track {0} was not announced; the first item of a broadcast names its tracks")]
    Unannounced(TrackId),
}

/// A file that cannot be read as MP4.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// No bytes at all.
    #[error("the file is empty")]
    Empty,
    /// The first bytes are not those of an MP4 file.
    #[error("this is not an MP4 file")]
    NotMp4,
    /// The file ends before it is complete.
    #[error("the file is truncated: {0}")]
    Truncated(&'static str),
    /// No track that can be carried.
    #[error("no track can be played; found {found}, supported are H.264, VP9, AV1, Opus and AAC")]
    NoTrack {
        /// The codecs that were found.
        found: String,
    },
    /// A video track whose codec is not supported.
    #[error(
        "video is {found}, supported are H.264, VP9 and AV1; convert it, for example with \
         `ffmpeg -i IN -c:v libx264 -c:a aac OUT.mp4`"
    )]
    Video {
        /// The codec that was found.
        found: String,
    },
    /// The file contradicts itself.
    #[error("the file is damaged: {0}")]
    Malformed(&'static str),
    /// The file is larger than what is read.
    #[error("{what} exceed the limit of {limit}; cut the file into shorter ones")]
    TooLarge {
        /// What there is too much of.
        what: &'static str,
        /// How much is allowed.
        limit: u64,
    },
    /// Reading failed.
    #[error("cannot read the file")]
    Io(#[from] std::io::Error),
}
