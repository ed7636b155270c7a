//! The signed description of a broadcast: its tracks, how it is striped, how it ended.

use super::track::{CODEC_BYTES_MAX, CONFIG_BYTES_MAX, LABEL_BYTES_MAX, TRACKS_MAX};
use super::{Kind, Track};
use crate::config::STRIPES_MAX;
use crate::id::{BroadcastId, TrackId};
use crate::identity::{Identity, SIGNATURE_LEN};
use crate::wire::DecodeError;
use crate::wire::codec::{Reader, put_varint};
use bytes::{BufMut, Bytes, BytesMut};

const VERSION: u8 = 1;
const CONTEXT: &[u8] = b"beacon/description/1";

/// What every viewer must know before the first segment. Signed by the publisher; a newer
/// `revision` replaces an older one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Description {
    /// Counts up from 0 with every change.
    pub revision: u32,
    /// Stripes, 1–[`STRIPES_MAX`]; the repair stripe comes on top.
    pub stripes: u8,
    /// Longest time a segment covers, in microseconds.
    pub segment_us: u32,
    /// The tracks, 1–[`TRACKS_MAX`].
    pub tracks: Vec<Track>,
    /// Once the broadcast has ended: the number of segments of each track, in the order of
    /// `tracks`.
    pub ended: Option<Vec<u32>>,
}

/// Why a record that a peer sent is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// Not a record of this version.
    #[error("record: {0}")]
    Decode(#[from] DecodeError),
    /// Not signed by the publisher for this broadcast.
    #[error("the publisher did not sign this")]
    Signature,
}

/// What is signed: the broadcast, then the body.
pub(super) fn signed(broadcast: BroadcastId, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(40 + body.len());
    out.extend_from_slice(broadcast.publisher.as_bytes());
    out.extend_from_slice(&broadcast.epoch.to_be_bytes());
    out.extend_from_slice(body);
    out
}

/// Splits a record into body and signature, and checks the signature.
pub(super) fn open(
    broadcast: BroadcastId,
    context: &[u8],
    record: &Bytes,
) -> Result<Bytes, RecordError> {
    let split = record.len().checked_sub(SIGNATURE_LEN).ok_or(DecodeError::Truncated)?;
    let body = record.slice(..split);
    let signature: [u8; SIGNATURE_LEN] =
        record[split..].try_into().map_err(|_| DecodeError::Truncated)?;
    if broadcast.publisher.verify(context, &signed(broadcast, &body), &signature) {
        Ok(body)
    } else {
        Err(RecordError::Signature)
    }
}

/// Body and signature in one record.
pub(super) fn seal(
    broadcast: BroadcastId,
    identity: &Identity,
    context: &[u8],
    mut body: BytesMut,
) -> Bytes {
    let signature = identity.sign(context, &signed(broadcast, &body));
    body.put_slice(&signature);
    body.freeze()
}

impl Description {
    /// Signs the description for `broadcast`.
    #[must_use]
    pub fn seal(&self, broadcast: BroadcastId, identity: &Identity) -> Bytes {
        seal(broadcast, identity, CONTEXT, self.body())
    }

    /// Checks the signature, then every range.
    ///
    /// # Errors
    /// [`RecordError`] when it is not a description that the publisher signed for `broadcast`.
    pub fn open(broadcast: BroadcastId, record: &Bytes) -> Result<Self, RecordError> {
        let body = open(broadcast, CONTEXT, record)?;
        Ok(Self::decode(body)?)
    }

    /// The track of this number.
    #[must_use]
    pub fn track(&self, id: TrackId) -> Option<&Track> {
        self.tracks.iter().find(|track| track.id == id)
    }

    /// Segments the track had, once the broadcast has ended.
    #[must_use]
    pub fn end_of(&self, id: TrackId) -> Option<u32> {
        let at = self.tracks.iter().position(|track| track.id == id)?;
        self.ended.as_ref()?.get(at).copied()
    }

    fn body(&self) -> BytesMut {
        let mut out = BytesMut::with_capacity(256);
        out.put_u8(VERSION);
        out.put_u32(self.revision);
        out.put_u8(self.stripes);
        out.put_u32(self.segment_us);
        out.put_u8(self.tracks.len().min(TRACKS_MAX) as u8);
        for track in self.tracks.iter().take(TRACKS_MAX) {
            encode_track(&mut out, track);
        }
        match &self.ended {
            None => out.put_u8(0),
            Some(counts) => {
                out.put_u8(1);
                counts.iter().take(self.tracks.len()).for_each(|count| out.put_u32(*count));
            }
        }
        out
    }

    fn decode(body: Bytes) -> Result<Self, DecodeError> {
        let mut r = Reader::new(body);
        if r.u8()? != VERSION {
            return Err(DecodeError::Range("description version"));
        }
        let revision = r.u32()?;
        let stripes = r.u8()?;
        if !(1..=STRIPES_MAX).contains(&stripes) {
            return Err(DecodeError::Range("stripes"));
        }
        let segment_us = r.u32()?;
        if !(1_000..=10_000_000).contains(&segment_us) {
            return Err(DecodeError::Range("segment"));
        }
        let count = r.count(TRACKS_MAX, 12, "tracks")?;
        let tracks: Vec<Track> =
            (0..count).map(|_| decode_track(&mut r)).collect::<Result<_, _>>()?;
        Track::check_all(&tracks).map_err(|_| DecodeError::Range("track"))?;
        let ended = match r.u8()? {
            0 => None,
            1 => Some((0..count).map(|_| r.u32()).collect::<Result<_, _>>()?),
            _ => return Err(DecodeError::Range("ended")),
        };
        r.end()?;
        Ok(Self { revision, stripes, segment_us, tracks, ended })
    }
}

fn put_text(out: &mut BytesMut, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.put_slice(bytes);
}

fn text(r: &mut Reader, max: usize, name: &'static str) -> Result<Bytes, DecodeError> {
    let len = usize::try_from(r.varint()?).map_err(|_| DecodeError::Range(name))?;
    if len > max { Err(DecodeError::Range(name)) } else { r.bytes(len) }
}

fn utf8(bytes: &Bytes, name: &'static str) -> Result<String, DecodeError> {
    let text = core::str::from_utf8(bytes).map_err(|_| DecodeError::Range(name))?;
    if text.chars().any(char::is_control) { Err(DecodeError::Range(name)) } else { Ok(text.into()) }
}

fn encode_track(out: &mut BytesMut, track: &Track) {
    out.put_u8(track.id.get());
    match track.kind {
        Kind::Video { width, height } => {
            out.put_u8(0);
            out.put_u16(width);
            out.put_u16(height);
        }
        Kind::Audio { rate, channels } => {
            out.put_u8(1);
            out.put_u32(rate);
            out.put_u8(channels);
        }
    }
    out.put_u32(track.timescale);
    out.put_u32(track.bitrate);
    put_text(out, track.codec.as_bytes());
    put_text(out, track.label.as_bytes());
    put_text(out, &track.config);
}

fn decode_track(r: &mut Reader) -> Result<Track, DecodeError> {
    let id = TrackId::new(r.u8()?).ok_or(DecodeError::Range("track"))?;
    let kind = match r.u8()? {
        0 => Kind::Video { width: r.u16()?, height: r.u16()? },
        1 => Kind::Audio { rate: r.u32()?, channels: r.u8()? },
        _ => return Err(DecodeError::Range("kind")),
    };
    let (timescale, bitrate) = (r.u32()?, r.u32()?);
    let codec = utf8(&text(r, CODEC_BYTES_MAX, "codec")?, "codec")?;
    let label = utf8(&text(r, LABEL_BYTES_MAX, "label")?, "label")?;
    // A copy of its own: a small config must not keep a whole frame alive for the broadcast.
    let config = Bytes::copy_from_slice(&text(r, CONFIG_BYTES_MAX, "config")?);
    Ok(Track { id, kind, codec, config, timescale, bitrate, label })
}
