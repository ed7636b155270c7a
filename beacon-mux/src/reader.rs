//! MP4 files as tracks and objects, without trusting them.

mod entry;
mod moov;
mod table;
mod traf;

use crate::boxes::Header;
use crate::error::ReadError;
use beacon_sdk::media::{Object, Track};
use beacon_sdk::{Instant, TrackId};
use bytes::Bytes;
use moov::Movie;
use std::io::{Read, Seek, SeekFrom};

/// Samples of a file at most: about 14 hours of video at 30 and audio at 50 per second. An index
/// entry takes 40 bytes, and no file has more of them than it has bytes.
pub const SAMPLES_MAX: usize = 1 << 22;
/// Bytes of one `moov` or `moof` at most. (28 bytes of tables per sample, and room.)
pub const INDEX_BYTES_MAX: u64 = 128 << 20;
/// Boxes at the top level of a file at most: two per sample where each has its fragment.
pub const BOXES_MAX: usize = 2 * SAMPLES_MAX;

/// Where one sample is, and when it is due.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Sample {
    /// Place of its first byte in the file.
    pub offset: u64,
    /// Decode time in ticks of the track.
    pub dts: u64,
    /// Bytes.
    pub size: u32,
    /// Presentation time minus decode time, in ticks.
    pub cts: i32,
    /// How long it lasts, in ticks.
    pub duration: u32,
    /// Decoding can start here.
    pub keyframe: bool,
}

/// Reads an MP4 file, ordinary or fragmented: the index at once, samples when they are asked for.
///
/// Times are those of the file after its edit lists: where a list shifts a track (as encoders with
/// B-frames and AAC priming write it), all tracks move together, so that none starts below zero.
/// Edits beyond the first stretch of media are not followed.
#[derive(Debug)]
pub struct Reader<R> {
    input: R,
    len: u64,
    movie: Movie,
    tracks: Vec<Track>,
    torn: bool,
    /// Per track, the next sample that [`Reader::next_object`] gives.
    cursor: Vec<usize>,
}

impl<R: Read + Seek> Reader<R> {
    /// Reads the index: `moov` and every `moof`. Samples themselves are not read.
    ///
    /// A fragmented file whose end is missing (a recording that was killed) is read up to its last
    /// whole fragment, see [`torn`](Reader::torn).
    ///
    /// # Errors
    /// [`ReadError`], naming what the file is or lacks. Hostile bytes are an error, never a panic,
    /// and memory stays below a small multiple of the file's size and [`SAMPLES_MAX`].
    pub fn open(mut input: R) -> Result<Self, ReadError> {
        let len = input.seek(SeekFrom::End(0))?;
        let mut scan = Scan { len, movie: None, torn: false, mdat: false };
        if len == 0 {
            return Err(ReadError::Empty);
        }
        scan.run(&mut input)?;
        let Some(mut movie) = scan.movie else {
            return Err(ReadError::Truncated(if scan.mdat {
                "it has media but no index (`moov`), which many recorders write last"
            } else {
                "it ends before the index (`moov`)"
            }));
        };
        movie.finish()?;
        let tracks: Vec<_> = movie.tracks.iter().map(moov::MovieTrack::describe).collect();
        let cursor = vec![0; tracks.len()];
        Ok(Self { input, len, movie, tracks, torn: scan.torn, cursor })
    }

    /// The tracks that can be carried and have samples; at least one. A video track of a codec that
    /// cannot be carried is an error of [`open`](Reader::open), other tracks are left out.
    pub fn tracks(&self) -> &[Track] {
        &self.tracks
    }

    /// The samples of a track in decode order; empty for a track that is not there.
    pub fn samples(&self, track: TrackId) -> &[Sample] {
        let at = self.tracks.iter().position(|candidate| candidate.id == track);
        at.map_or(&[], |at| &self.movie.tracks[at].samples)
    }

    /// Whether the file ended inside a fragment, which was left out.
    pub fn torn(&self) -> bool {
        self.torn
    }

    /// Reads the bytes of one sample.
    ///
    /// # Errors
    /// [`ReadError::Truncated`] when the file does not hold them (any more).
    pub fn read(&mut self, sample: &Sample) -> Result<Bytes, ReadError> {
        if sample.offset.checked_add(u64::from(sample.size)).is_none_or(|end| end > self.len) {
            return Err(ReadError::Truncated("a sample lies behind its end"));
        }
        self.input.seek(SeekFrom::Start(sample.offset))?;
        Ok(read_exactly(&mut self.input, u64::from(sample.size))?.into())
    }

    /// The next sample of all tracks by decode time, as an object captured at time zero; `None`
    /// at the end.
    ///
    /// # Errors
    /// As [`read`](Reader::read); the sample is not skipped.
    pub fn next_object(&mut self) -> Result<Option<Object>, ReadError> {
        let mut next: Option<(usize, Sample)> = None;
        for (at, track) in self.movie.tracks.iter().enumerate() {
            let Some(sample) = track.samples.get(self.cursor[at]) else { continue };
            let earlier = next.is_none_or(|(other, best)| {
                let (scale, other) = (track.timescale, self.movie.tracks[other].timescale);
                u128::from(sample.dts) * u128::from(other)
                    < u128::from(best.dts) * u128::from(scale)
            });
            if earlier {
                next = Some((at, *sample));
            }
        }
        let Some((at, sample)) = next else { return Ok(None) };
        let data = self.read(&sample)?;
        self.cursor[at] += 1;
        Ok(Some(Object {
            track: self.tracks[at].id,
            dts: sample.dts,
            cts: sample.cts,
            duration: sample.duration,
            keyframe: sample.keyframe,
            layer: 0,
            captured: Instant::ZERO,
            data,
        }))
    }

    /// Lets [`next_object`](Reader::next_object) begin again.
    pub fn rewind(&mut self) {
        self.cursor.fill(0);
    }
}

/// Reads `len` bytes, growing as they come: the length is the file's word.
fn read_exactly(input: &mut impl Read, len: u64) -> Result<Vec<u8>, ReadError> {
    let mut bytes = Vec::with_capacity(usize::try_from(len.min(1 << 20)).unwrap_or(0));
    input.take(len).read_to_end(&mut bytes)?;
    if bytes.len() as u64 == len {
        Ok(bytes)
    } else {
        Err(ReadError::Truncated("it became shorter while it was read"))
    }
}

/// One pass over the top level of a file.
struct Scan {
    len: u64,
    movie: Option<Movie>,
    torn: bool,
    mdat: bool,
}

impl Scan {
    fn run(&mut self, input: &mut (impl Read + Seek)) -> Result<(), ReadError> {
        let mut at = 0;
        for count in 0.. {
            if at == self.len {
                return Ok(());
            }
            if count == BOXES_MAX {
                return Err(ReadError::TooLarge { what: "boxes", limit: BOXES_MAX as u64 });
            }
            input.seek(SeekFrom::Start(at))?;
            let bytes = read_exactly(input, (self.len - at).min(16))?;
            let header = Header::parse(&bytes);
            if at == 0 && !header.is_some_and(|header| begins_mp4(header.kind)) {
                return Err(ReadError::NotMp4);
            }
            self.mdat |= header.is_some_and(|header| header.kind == *b"mdat");
            let whole = header.and_then(|header| {
                let end = header.size.map_or(Some(self.len), |size| at.checked_add(size))?;
                (end <= self.len).then_some((header, end))
            });
            let Some((header, end)) = whole else {
                self.ends_early();
                return Ok(());
            };
            input.seek(SeekFrom::Start(at + header.len))?;
            if !self.enter(input, header.kind, at, end - at - header.len)? {
                return Ok(());
            }
            at = end;
        }
        Ok(())
    }

    /// Takes in one box; false when nothing after it is to be read.
    fn enter(
        &mut self,
        input: &mut impl Read,
        kind: [u8; 4],
        at: u64,
        body: u64,
    ) -> Result<bool, ReadError> {
        if !matches!(&kind, b"moov" | b"moof") {
            return Ok(true);
        }
        if body > INDEX_BYTES_MAX {
            return Err(ReadError::TooLarge { what: "index bytes", limit: INDEX_BYTES_MAX });
        }
        match (&kind, &mut self.movie) {
            (b"moov", None) => {
                let body = read_exactly(input, body)?;
                self.movie = Some(Movie::parse(&body, self.len)?);
            }
            // What follows a second `moov` has another configuration.
            (b"moov", Some(_)) => return Ok(false),
            (_, Some(movie)) => {
                let body = read_exactly(input, body)?;
                if !movie.fragment(&body, at)? {
                    self.torn = true;
                    return Ok(false);
                }
            }
            (_, None) => {
                return Err(ReadError::Malformed("a fragment (`moof`) comes before `moov`"));
            }
        }
        Ok(true)
    }

    /// The last box is not whole: normal for a recording that was killed. In an ordinary file the
    /// sample tables have told whether media is missing; without `moov`, the caller does.
    fn ends_early(&mut self) {
        self.torn = self.movie.as_ref().is_some_and(|movie| movie.fragmented);
    }
}

/// Boxes that files in use begin with; QuickTime has some of its own.
fn begins_mp4(kind: [u8; 4]) -> bool {
    matches!(&kind, b"ftyp" | b"styp" | b"moov" | b"mdat" | b"free" | b"skip" | b"wide" | b"pnot")
}
