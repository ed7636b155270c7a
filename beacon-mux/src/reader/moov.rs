//! The `moov` box: tracks, their sample tables, and the defaults of fragments.

use super::entry::{self, Entry};
use super::{SAMPLES_MAX, Sample, table, traf};
use crate::boxes::{child, children, descend};
use crate::error::ReadError;
use beacon_sdk::TrackId;
use beacon_sdk::media::{Kind, TRACKS_MAX, Track};
use bytes::Bytes;
use mp4_atom::{Atom, Elst, Mdhd, Trex};

/// Decodes the body of one box that has no boxes inside.
pub(super) fn decode<T: Atom>(body: &[u8], broken: &'static str) -> Result<T, ReadError> {
    let mut body = body;
    T::decode_body(&mut body).map_err(|error| {
        tracing::debug!(%error, broken, "box not understood");
        ReadError::Malformed(broken)
    })
}

#[derive(Debug)]
pub(super) struct Movie {
    pub(super) tracks: Vec<MovieTrack>,
    pub(super) fragmented: bool,
    file_len: u64,
}

#[derive(Debug)]
pub(super) struct MovieTrack {
    /// The number in the file.
    pub(super) mp4_id: u32,
    id: TrackId,
    pub(super) timescale: u32,
    kind: Kind,
    codec: String,
    config: Bytes,
    pub(super) samples: Vec<Sample>,
    /// Defaults of its fragments.
    pub(super) trex: Trex,
    /// How far the edit list moves the track, in its ticks.
    edit: i64,
    /// Where the next fragment without a time of its own begins.
    pub(super) end: u64,
}

impl Movie {
    pub(super) fn parse(moov: &[u8], file_len: u64) -> Result<Self, ReadError> {
        let movie_timescale = child(moov, b"mvhd").and_then(timescale_of_mvhd).unwrap_or(1000);
        let mvex = child(moov, b"mvex");
        let fragmented = mvex.is_some();
        let mut movie = Self { tracks: Vec::new(), fragmented, file_len };
        let mut found = Vec::new();
        for (_, trak) in children(moov).filter(|(kind, _)| kind == b"trak").take(64) {
            let stsd = descend(trak, &[b"mdia", b"minf", b"stbl", b"stsd"]);
            let handler = descend(trak, &[b"mdia", b"hdlr"]).and_then(|hdlr| hdlr.get(8..12));
            let entry = match stsd.map_or(Ok(None), entry::parse)? {
                Some(Entry::Supported(entry)) if movie.tracks.len() < TRACKS_MAX => entry,
                Some(Entry::Supported(_)) | None => continue,
                Some(Entry::Other(name)) if handler == Some(b"vide") => {
                    return Err(ReadError::Video { found: name });
                }
                Some(Entry::Other(name)) => {
                    found.push(name);
                    continue;
                }
            };
            let track = MovieTrack::parse(trak, entry, movie_timescale)?;
            movie.add(track, trak)?;
        }
        if movie.tracks.is_empty() {
            let found = if found.is_empty() { "none".to_owned() } else { found.join(", ") };
            return Err(ReadError::NoTrack { found });
        }
        for (_, trex) in mvex.into_iter().flat_map(children).filter(|(kind, _)| kind == b"trex") {
            let trex: Trex = decode(trex, "`trex` cannot be read")?;
            if let Some(track) = movie.tracks.iter_mut().find(|t| t.mp4_id == trex.track_id) {
                track.trex = trex;
            }
        }
        movie.number();
        Ok(movie)
    }

    fn add(&mut self, mut track: MovieTrack, trak: &[u8]) -> Result<(), ReadError> {
        if let Some(stbl) = descend(trak, &[b"mdia", b"minf", b"stbl"]) {
            track.samples = table::samples(stbl, self.file_len, self.room())?;
            track.end = track
                .samples
                .last()
                .map_or(Some(0), |last| last.dts.checked_add(last.duration.into()))
                .ok_or(ReadError::Malformed("times are out of range"))?;
        }
        self.tracks.push(track);
        Ok(())
    }

    /// How many more samples the index takes.
    fn room(&self) -> usize {
        let held: usize = self.tracks.iter().map(|track| track.samples.len()).sum();
        let file = usize::try_from(self.file_len).unwrap_or(usize::MAX);
        SAMPLES_MAX.min(file).saturating_sub(held)
    }

    /// Keeps the numbers of the file, which our own writer counts from 1, where they fit.
    fn number(&mut self) {
        let wanted = |track: &MovieTrack| {
            u8::try_from(track.mp4_id.checked_sub(1)?).ok().and_then(TrackId::new)
        };
        let mut seen = 0_u64;
        let fits = self.tracks.iter().all(|track| {
            let bit = wanted(track).map_or(0, |id| 1 << id.get());
            let new = bit != 0 && seen & bit == 0;
            seen |= bit;
            new
        });
        for (at, track) in self.tracks.iter_mut().enumerate() {
            // At most TRACKS_MAX tracks, which is below TrackId::LIMIT.
            let place = TrackId::new(at as u8).unwrap_or_default();
            track.id = if fits { wanted(track).unwrap_or(place) } else { place };
        }
    }

    /// Takes in a `moof`; false when its media is not whole.
    pub(super) fn fragment(&mut self, moof: &[u8], at: u64) -> Result<bool, ReadError> {
        let room = self.room();
        traf::samples(moof, at, &mut self.tracks, self.file_len, room)
    }

    /// Applies the edit lists and drops what cannot be decoded.
    pub(super) fn finish(&mut self) -> Result<(), ReadError> {
        let range = ReadError::Malformed;
        // The furthest that a track is moved below zero, as ticks and timescale.
        let (back, scale) = self
            .tracks
            .iter()
            .map(|track| ((-i128::from(track.edit)).max(0), i128::from(track.timescale)))
            .max_by(|(a, a_scale), (b, b_scale)| (a * b_scale).cmp(&(b * a_scale)))
            .unwrap_or((0, 1));
        for track in &mut self.tracks {
            let up = (back * i128::from(track.timescale) + scale - 1) / scale;
            let shift = up + i128::from(track.edit);
            for sample in &mut track.samples {
                sample.dts = u64::try_from(i128::from(sample.dts) + shift)
                    .map_err(|_| range("times are out of range"))?;
            }
            if matches!(track.kind, Kind::Video { .. }) {
                let first = track.samples.iter().position(|sample| sample.keyframe);
                track.samples.drain(..first.unwrap_or(track.samples.len()));
            } else {
                track.samples.iter_mut().for_each(|sample| sample.keyframe = true);
            }
        }
        self.tracks.retain(|track| !track.samples.is_empty());
        if self.tracks.is_empty() {
            return Err(if self.fragmented {
                ReadError::Truncated("it has tracks but not one whole fragment")
            } else {
                range("its tracks have no samples")
            });
        }
        Ok(())
    }
}

impl MovieTrack {
    fn parse(trak: &[u8], entry: entry::Described, movie_scale: u32) -> Result<Self, ReadError> {
        let tkhd = child(trak, b"tkhd").unwrap_or_default();
        let at = if tkhd.first() == Some(&1) { 20 } else { 12 };
        let mp4_id = tkhd.get(at..).and_then(|bytes| bytes.first_chunk());
        let mp4_id = mp4_id.ok_or(ReadError::Malformed("a track has no number (`tkhd`)"))?;
        let mdhd = descend(trak, &[b"mdia", b"mdhd"])
            .ok_or(ReadError::Malformed("a track has no timescale (`mdhd`)"))?;
        let mdhd: Mdhd = decode(mdhd, "`mdhd` cannot be read")?;
        let mut track = Self {
            mp4_id: u32::from_be_bytes(*mp4_id),
            id: TrackId::default(),
            timescale: mdhd.timescale,
            kind: entry.kind,
            codec: entry.codec,
            config: entry.config,
            samples: Vec::new(),
            trex: Trex::default(),
            edit: 0,
            end: 0,
        };
        track.describe().check().map_err(|error| {
            tracing::debug!(%error, "track refused");
            ReadError::Malformed("a track's size, rate, timescale or configuration is out of range")
        })?;
        if let Some(elst) = descend(trak, &[b"edts", b"elst"]) {
            track.edit =
                edit(&decode(elst, "`elst` cannot be read")?, movie_scale, mdhd.timescale)?;
        }
        Ok(track)
    }

    /// The track as a broadcast announces it; the bit rate is that of its samples.
    pub(super) fn describe(&self) -> Track {
        let bytes: u64 = self.samples.iter().map(|sample| u64::from(sample.size)).sum();
        let span = match (self.samples.first(), self.samples.last()) {
            (Some(first), Some(last)) => {
                (last.dts - first.dts).saturating_add(last.duration.into())
            }
            _ => 0,
        };
        let bits = u128::from(bytes) * 8 * u128::from(self.timescale) / u128::from(span.max(1));
        Track {
            id: self.id,
            kind: self.kind,
            codec: self.codec.clone(),
            config: self.config.clone(),
            timescale: self.timescale,
            bitrate: u32::try_from(bits).unwrap_or(u32::MAX),
            label: String::new(),
        }
    }
}

fn timescale_of_mvhd(mvhd: &[u8]) -> Option<u32> {
    let at = if mvhd.first() == Some(&1) { 20 } else { 12 };
    let scale = u32::from_be_bytes(*mvhd.get(at..)?.first_chunk()?);
    (scale > 0).then_some(scale)
}

/// How far an edit list moves its track: up by the empty edits it begins with, down by where
/// the media then starts.
fn edit(elst: &Elst, movie_scale: u32, scale: u32) -> Result<i64, ReadError> {
    let mut empty = 0_u128;
    for entry in &elst.entries {
        match entry.media_time {
            None => empty += u128::from(entry.segment_duration),
            Some(start) => {
                let up = i128::try_from(empty * u128::from(scale) / u128::from(movie_scale));
                return up
                    .ok()
                    .and_then(|up| i64::try_from(up - i128::from(start)).ok())
                    .ok_or(ReadError::Malformed("an edit list is out of range"));
            }
        }
    }
    Ok(0)
}
