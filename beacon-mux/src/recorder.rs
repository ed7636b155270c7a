//! A broadcast's playout as a file.

use crate::error::MuxError;
use crate::fragment::fragment;
use crate::init::init_segment;
use beacon_sdk::media::{Playout, Track};

/// What the next item adds to a recording.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Append {
    /// Nothing: a gap, the end, tracks that did not change, or media that no decoder could use.
    Nothing,
    /// An init segment: the first bytes of a recording, and again when a configuration changes.
    /// MSE takes the new one in the same source buffer; a file has one `moov` only, so a file
    /// sink goes on in another file.
    Init(Vec<u8>),
    /// One whole fragment.
    Fragment(Vec<u8>),
}

/// Turns [`Playout`] items, in order, into the bytes to append.
///
/// The recording is what a decoder may be fed: a track begins at its first group start, and after
/// a [`Playout::Gap`] goes on at the next. Items of two peers that agree from some point on give
/// the same bytes from there on.
#[derive(Debug, Default)]
pub struct Recorder {
    tracks: Vec<Track>,
    init: Vec<u8>,
    /// One bit per track: it may be fed at its current place.
    decodable: u64,
}

impl Recorder {
    /// A recorder that waits for the tracks.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The bytes that `item` adds.
    ///
    /// # Errors
    /// [`MuxError`] when tracks or objects do not go into MP4; the recorder is left as it was.
    pub fn push(&mut self, item: &Playout) -> Result<Append, MuxError> {
        match item {
            Playout::Tracks(tracks) => {
                let init = init_segment(tracks)?;
                self.tracks.clone_from(tracks);
                if init == self.init {
                    return Ok(Append::Nothing);
                }
                self.init.clone_from(&init);
                self.decodable = 0;
                Ok(Append::Init(init))
            }
            Playout::Segment { id, group_start, objects } => {
                if !self.tracks.iter().any(|track| track.id == id.track) {
                    return Err(MuxError::Unannounced(id.track));
                }
                let bit = 1 << id.track.get();
                if !group_start && self.decodable & bit == 0 {
                    return Ok(Append::Nothing);
                }
                let bytes = fragment(*id, objects)?;
                self.decodable |= bit;
                Ok(Append::Fragment(bytes))
            }
            Playout::Gap { id } => {
                self.decodable &= !(1 << id.track.get());
                Ok(Append::Nothing)
            }
            Playout::End => Ok(Append::Nothing),
        }
    }
}
