//! The sample tables of an ordinary MP4 file (ISO/IEC 14496-12 §8.5–8.7).

use super::Sample;
use super::moov::decode;
use crate::boxes::child;
use crate::error::ReadError;
use mp4_atom::{Co64, Ctts, Stco, Stsc, Stss, Stsz, StszSamples, Stts};

/// The samples of a track, all inside the file. Samples without bytes are left out.
pub(super) fn samples(stbl: &[u8], file_len: u64, room: usize) -> Result<Vec<Sample>, ReadError> {
    const BROKEN: &str = "a sample table cannot be read";
    let Some(stsz) = child(stbl, b"stsz") else { return Ok(Vec::new()) };
    let sizes = match decode::<Stsz>(stsz, BROKEN)?.samples {
        StszSamples::Identical { count, size } => Sizes::Same { count, size },
        StszSamples::Different { sizes } => Sizes::Each(sizes),
    };
    let count = sizes.count();
    if count == 0 {
        return Ok(Vec::new());
    }
    if count > room {
        return Err(too_many(file_len));
    }
    let (stts, stsc) = child(stbl, b"stts").zip(child(stbl, b"stsc")).ok_or(MISSING)?;
    let offsets = offsets(stbl)?;
    let places = places(&decode(stsc, BROKEN)?, &offsets, &sizes)?;
    let times = times(&decode(stts, BROKEN)?, count)?;
    let shifts = match child(stbl, b"ctts") {
        Some(ctts) => shifts(&decode(ctts, BROKEN)?, count)?,
        None => vec![0; count],
    };
    let sync = match child(stbl, b"stss") {
        Some(stss) => {
            let mut sync = vec![false; count];
            for number in decode::<Stss>(stss, BROKEN)?.entries {
                // Numbers count from 1.
                let at = (number as usize).wrapping_sub(1);
                *sync.get_mut(at).ok_or(ReadError::Malformed("a keyframe is no sample"))? = true;
            }
            sync
        }
        None => vec![true; count],
    };
    let mut samples = Vec::with_capacity(count);
    for (at, offset) in places.into_iter().enumerate() {
        let size = sizes.of(at);
        if offset.checked_add(size.into()).is_none_or(|end| end > file_len) {
            return Err(ReadError::Truncated("samples lie behind its end"));
        }
        if size > 0 {
            let ((dts, duration), cts, keyframe) = (times[at], shifts[at], sync[at]);
            samples.push(Sample { offset, dts, size, cts, duration, keyframe });
        }
    }
    Ok(samples)
}

const MISSING: ReadError = ReadError::Malformed("a sample table is missing");
const UNEQUAL: ReadError = ReadError::Malformed("sample tables disagree on the number of samples");

pub(super) fn too_many(file_len: u64) -> ReadError {
    if file_len < super::SAMPLES_MAX as u64 {
        ReadError::Malformed("it claims more samples than it has bytes")
    } else {
        ReadError::TooLarge { what: "samples", limit: super::SAMPLES_MAX as u64 }
    }
}

enum Sizes {
    Same { count: u32, size: u32 },
    Each(Vec<u32>),
}

impl Sizes {
    fn count(&self) -> usize {
        match self {
            Self::Same { count, .. } => *count as usize,
            Self::Each(sizes) => sizes.len(),
        }
    }

    fn of(&self, at: usize) -> u32 {
        match self {
            Self::Same { size, .. } => *size,
            Self::Each(sizes) => sizes.get(at).copied().unwrap_or(0),
        }
    }
}

/// Where the chunks begin.
fn offsets(stbl: &[u8]) -> Result<Vec<u64>, ReadError> {
    if let Some(stco) = child(stbl, b"stco") {
        let stco: Stco = decode(stco, "`stco` cannot be read")?;
        return Ok(stco.entries.into_iter().map(u64::from).collect());
    }
    let co64: Co64 = decode(child(stbl, b"co64").ok_or(MISSING)?, "`co64` cannot be read")?;
    Ok(co64.entries)
}

/// Where each sample begins.
fn places(stsc: &Stsc, offsets: &[u64], sizes: &Sizes) -> Result<Vec<u64>, ReadError> {
    let count = sizes.count();
    let mut places = Vec::with_capacity(count);
    let mut runs = stsc.entries.iter().peekable();
    let mut per_chunk = 0;
    for (chunk, offset) in offsets.iter().enumerate() {
        while let Some(run) = runs.next_if(|run| run.first_chunk as usize <= chunk + 1) {
            per_chunk = run.samples_per_chunk;
        }
        let mut offset = *offset;
        for _ in 0..per_chunk {
            if places.len() == count {
                return Ok(places);
            }
            let size = sizes.of(places.len());
            places.push(offset);
            offset = offset
                .checked_add(size.into())
                .ok_or(ReadError::Malformed("a sample's place is out of range"))?;
        }
    }
    if places.len() == count { Ok(places) } else { Err(UNEQUAL) }
}

/// Decode time and duration of each sample.
fn times(stts: &Stts, count: usize) -> Result<Vec<(u64, u32)>, ReadError> {
    let mut times = Vec::with_capacity(count);
    let mut dts = 0_u64;
    for run in &stts.entries {
        for _ in 0..run.sample_count {
            if times.len() == count {
                return Ok(times);
            }
            times.push((dts, run.sample_delta));
            // At most SAMPLES_MAX steps of 32 bits each: no overflow.
            dts += u64::from(run.sample_delta);
        }
    }
    if times.len() == count { Ok(times) } else { Err(UNEQUAL) }
}

/// Presentation minus decode time of each sample.
fn shifts(ctts: &Ctts, count: usize) -> Result<Vec<i32>, ReadError> {
    let mut shifts = Vec::with_capacity(count);
    for run in &ctts.entries {
        // Some writers mark version 0 and mean version 1: negative numbers wrapped.
        let offset = i32::try_from(run.sample_offset)
            .or_else(|_| u32::try_from(run.sample_offset).map(u32::cast_signed))
            .map_err(|_| ReadError::Malformed("a composition offset is out of range"))?;
        let left = count - shifts.len();
        shifts.resize(shifts.len() + left.min(run.sample_count as usize), offset);
    }
    shifts.resize(count, 0);
    Ok(shifts)
}
