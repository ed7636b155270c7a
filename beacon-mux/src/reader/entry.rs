//! Sample entries: which codec a track has, and its configuration.

use super::moov::decode;
use crate::aac::AudioSpecificConfig;
use crate::boxes::{child, children};
use crate::codec::Codec;
use crate::error::ReadError;
use crate::{h264, opus};
use beacon_sdk::media::Kind;
use bytes::Bytes;
use mp4_atom::Esds;

/// Bytes of the fields of a video entry before its boxes (ISO/IEC 14496-12 §12.1.3).
const VIDEO_FIELDS: usize = 78;
/// The same of an audio entry (§12.2.3), and of QuickTime's versions 1 and 2.
const AUDIO_FIELDS: [usize; 3] = [28, 44, 64];
/// Bytes of an `esds` at most; descriptors nest, and this bounds how deep.
const ESDS_BYTES_MAX: usize = 1024;

pub(super) enum Entry {
    Supported(Described),
    /// Not supported; its four letters.
    Other(String),
}

pub(super) struct Described {
    pub(super) kind: Kind,
    pub(super) codec: String,
    pub(super) config: Bytes,
}

/// The first entry of an `stsd` body.
pub(super) fn parse(stsd: &[u8]) -> Result<Option<Entry>, ReadError> {
    let Some((kind, body)) = stsd.get(8..).and_then(|entries| children(entries).next()) else {
        return Ok(None);
    };
    let other = || Ok(Some(Entry::Other(printable(kind))));
    let Some(codec) = Codec::of_entry(&kind) else { return other() };
    let described = match codec {
        Codec::H264 | Codec::Vp9 | Codec::Av1 => video(codec, body),
        Codec::Opus => opus_entry(body),
        Codec::Aac => match aac(body)? {
            Some(described) => Some(described),
            // MP3 and other MPEG sound hides behind the same four letters.
            None => return other(),
        },
    };
    let described = described.ok_or(ReadError::Malformed("a track's codec description is broken"));
    Ok(Some(Entry::Supported(described?)))
}

fn video(codec: Codec, body: &[u8]) -> Option<Described> {
    let size = |at: usize| Some(u16::from_be_bytes(*body.get(at..)?.first_chunk()?));
    let (mut width, mut height) = (size(24)?, size(26)?);
    let config = child(body.get(VIDEO_FIELDS..)?, codec.config_box())?;
    let name = match codec {
        Codec::H264 => {
            if width == 0 || height == 0 {
                (width, height) = h264::size(config)?;
            }
            h264::codec_string(config)?
        }
        Codec::Vp9 => {
            let [_, _, _, _, profile, level, depth, ..] = config else { return None };
            format!("vp09.{profile:02}.{level:02}.{:02}", depth >> 4)
        }
        _ => {
            let [_, profile, tier, ..] = config else { return None };
            let depth = match (tier & 0x40 != 0, tier & 0x20 != 0) {
                (true, true) => 12,
                (true, false) => 10,
                _ => 8,
            };
            let letter = if tier & 0x80 != 0 { 'H' } else { 'M' };
            format!("av01.{}.{:02}{letter}.{depth:02}", profile >> 5, profile & 31)
        }
    };
    let config = Bytes::copy_from_slice(config);
    Some(Described { kind: Kind::Video { width, height }, codec: name, config })
}

/// Channels and rate of an audio entry, and the boxes after its fields.
fn audio(body: &[u8]) -> Option<(u8, u32, &[u8])> {
    let word = |at: usize| Some(u16::from_be_bytes(*body.get(at..)?.first_chunk()?));
    let fields = *AUDIO_FIELDS.get(usize::from(word(8)?))?;
    Some((u8::try_from(word(16)?).ok()?, u32::from(word(24)?), body.get(fields..)?))
}

fn opus_entry(body: &[u8]) -> Option<Described> {
    let (_, _, boxes) = audio(body)?;
    let config = child(boxes, Codec::Opus.config_box())?;
    // Opus always decodes at 48 kHz, whatever the encoder was given (RFC 7845 §5.1).
    let kind = Kind::Audio { rate: 48_000, channels: *config.get(1)? };
    let config = Bytes::copy_from_slice(config);
    Some(Described { kind, codec: opus::CODEC.to_owned(), config })
}

fn aac(body: &[u8]) -> Result<Option<Described>, ReadError> {
    const MPEG4_AUDIO: u8 = 0x40;
    let broken = || ReadError::Malformed("an AAC track's description is broken");
    let (channels, rate, boxes) = audio(body).ok_or_else(broken)?;
    // QuickTime wraps the descriptor once more.
    let esds = child(boxes, b"esds")
        .or_else(|| child(child(boxes, b"wave")?, b"esds"))
        .filter(|esds| esds.len() <= ESDS_BYTES_MAX)
        .ok_or_else(broken)?;
    let esds: Esds = decode(esds, "`esds` cannot be read")?;
    let decoder = esds.es_desc.dec_config;
    let specific = decoder.dec_specific.filter(|_| decoder.object_type_indication == MPEG4_AUDIO);
    let Some(specific) = specific else { return Ok(None) };
    let config = AudioSpecificConfig::parse(&specific.raw).ok_or_else(broken)?;
    let kind = Kind::Audio {
        rate: if rate == 0 { config.rate } else { rate },
        channels: if config.channels == 0 { channels } else { config.channels },
    };
    Ok(Some(Described { kind, codec: config.codec_string(), config: specific.raw.into() }))
}

fn printable(kind: [u8; 4]) -> String {
    kind.iter().map(|byte| if byte.is_ascii_graphic() { char::from(*byte) } else { '?' }).collect()
}
