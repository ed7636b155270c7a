//! The init segment: `ftyp` and `moov` without samples.

use crate::boxes::{boxed, full, put16, put32, zeros};
use crate::codec::Codec;
use crate::error::MuxError;
use beacon_sdk::TrackId;
use beacon_sdk::media::{Kind, Track};

/// Ticks per second of `mvhd`; nothing in a fragmented file is counted in them.
const MOVIE_TIMESCALE: u32 = 1000;
/// The transformation that leaves the picture as it is.
const MATRIX: [u32; 9] = [0x1_0000, 0, 0, 0, 0x1_0000, 0, 0, 0, 0x4000_0000];
/// "und", packed as ISO/IEC 14496-12 §8.4.2.3 says.
const LANGUAGE_UNKNOWN: u16 = 0x55c4;

/// The MP4 number of a track; MP4 counts from 1.
pub(crate) fn mp4_id(id: TrackId) -> u32 {
    u32::from(id.get()) + 1
}

/// What a player needs before the first fragment: for MSE one list per source buffer, for a file
/// all tracks. The bytes follow from the tracks alone.
///
/// # Errors
/// [`MuxError`] when a track is out of its ranges, or its codec or configuration does not go into
/// MP4.
pub fn init_segment(tracks: &[Track]) -> Result<Vec<u8>, MuxError> {
    Track::check_all(tracks)?;
    let codecs = tracks.iter().map(Codec::of_track).collect::<Result<Vec<_>, _>>()?;
    let mut out = Vec::with_capacity(1024);
    boxed(&mut out, b"ftyp", |out| {
        out.extend_from_slice(b"iso6");
        put32(out, 0);
        out.extend_from_slice(b"iso6cmfcmp41");
    });
    boxed(&mut out, b"moov", |out| {
        full(out, b"mvhd", 0, 0, |out| {
            zeros(out, 8);
            put32(out, MOVIE_TIMESCALE);
            put32(out, 0);
            put32(out, 0x1_0000);
            put16(out, 0x100);
            zeros(out, 10);
            MATRIX.iter().for_each(|value| put32(out, *value));
            zeros(out, 24);
            put32(out, u32::from(TrackId::LIMIT) + 1);
        });
        for (track, codec) in tracks.iter().zip(&codecs) {
            boxed(out, b"trak", |out| trak(out, track, *codec));
        }
        boxed(out, b"mvex", |out| {
            for track in tracks {
                full(out, b"trex", 0, 0, |out| {
                    put32(out, mp4_id(track.id));
                    put32(out, 1);
                    zeros(out, 12);
                });
            }
        });
    });
    Ok(out)
}

fn trak(out: &mut Vec<u8>, track: &Track, codec: Codec) {
    let (width, height) = match track.kind {
        Kind::Video { width, height } => (width, height),
        Kind::Audio { .. } => (0, 0),
    };
    full(out, b"tkhd", 0, 3, |out| {
        zeros(out, 8);
        put32(out, mp4_id(track.id));
        zeros(out, 20);
        put16(out, if track.is_video() { 0 } else { 0x100 });
        put16(out, 0);
        MATRIX.iter().for_each(|value| put32(out, *value));
        put32(out, u32::from(width) << 16);
        put32(out, u32::from(height) << 16);
    });
    boxed(out, b"mdia", |out| {
        full(out, b"mdhd", 0, 0, |out| {
            zeros(out, 8);
            put32(out, track.timescale);
            put32(out, 0);
            put16(out, LANGUAGE_UNKNOWN);
            put16(out, 0);
        });
        full(out, b"hdlr", 0, 0, |out| {
            zeros(out, 4);
            out.extend_from_slice(if track.is_video() { b"vide" } else { b"soun" });
            zeros(out, 12);
            // A label with a NUL inside would end early and leave bytes behind it.
            out.extend(track.label.bytes().filter(|byte| *byte != 0));
            out.push(0);
        });
        boxed(out, b"minf", |out| minf(out, track, codec));
    });
}

fn minf(out: &mut Vec<u8>, track: &Track, codec: Codec) {
    if track.is_video() {
        full(out, b"vmhd", 0, 1, |out| zeros(out, 8));
    } else {
        full(out, b"smhd", 0, 0, |out| zeros(out, 4));
    }
    boxed(out, b"dinf", |out| {
        full(out, b"dref", 0, 0, |out| {
            put32(out, 1);
            full(out, b"url ", 0, 1, |_| ());
        });
    });
    boxed(out, b"stbl", |out| {
        full(out, b"stsd", 0, 0, |out| {
            put32(out, 1);
            boxed(out, codec.entry(), |out| entry(out, track, codec));
        });
        for table in [b"stts", b"stsc", b"stco"] {
            full(out, table, 0, 0, |out| put32(out, 0));
        }
        full(out, b"stsz", 0, 0, |out| zeros(out, 8));
    });
}

fn entry(out: &mut Vec<u8>, track: &Track, codec: Codec) {
    zeros(out, 6);
    put16(out, 1);
    match track.kind {
        Kind::Video { width, height } => {
            zeros(out, 16);
            put16(out, width);
            put16(out, height);
            put32(out, 0x48_0000);
            put32(out, 0x48_0000);
            zeros(out, 4);
            put16(out, 1);
            zeros(out, 32);
            put16(out, 24);
            put16(out, 0xffff);
        }
        Kind::Audio { rate, channels } => {
            zeros(out, 8);
            put16(out, u16::from(channels));
            put16(out, 16);
            zeros(out, 4);
            // 16.16 fixed point; what does not fit is left to the decoder configuration.
            put32(out, u16::try_from(rate).map_or(0, |rate| u32::from(rate) << 16));
        }
    }
    if codec == Codec::Aac {
        full(out, b"esds", 0, 0, |out| descriptors(out, &track.config));
    } else {
        boxed(out, codec.config_box(), |out| out.extend_from_slice(&track.config));
    }
}

/// The MPEG-4 elementary stream descriptor around an AudioSpecificConfig (ISO/IEC 14496-1
/// §7.2.6.5); lengths fit one byte, as [`Codec::of_track`] has checked.
fn descriptors(out: &mut Vec<u8>, config: &[u8]) {
    let len = config.len() as u8;
    out.extend_from_slice(&[0x03, 23 + len, 0, 0, 0, 0x04, 15 + len, 0x40, 0x15]);
    zeros(out, 11);
    out.extend_from_slice(&[0x05, len]);
    out.extend_from_slice(config);
    out.extend_from_slice(&[0x06, 1, 2]);
}
