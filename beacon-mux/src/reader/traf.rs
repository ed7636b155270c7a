//! Fragments (ISO/IEC 14496-12 §8.8).

use super::Sample;
use super::moov::{MovieTrack, decode};
use super::table::too_many;
use crate::boxes::{child, children};
use crate::error::ReadError;
use crate::fragment::NOT_SYNC_BIT;
use mp4_atom::{Tfdt, Tfhd, Trun, TrunEntry};

const RANGE: ReadError = ReadError::Malformed("times or places of a fragment are out of range");

/// Adds the samples of a `moof` whose box begins at `at`; false, and nothing added, when
/// some of them lie behind the end of the file.
pub(super) fn samples(
    moof: &[u8],
    at: u64,
    tracks: &mut [MovieTrack],
    file_len: u64,
    mut room: usize,
) -> Result<bool, ReadError> {
    let mut fragment = Vec::new();
    // Data of a run that gives no offset follows that of the run before.
    let mut next_data = at;
    for (_, traf) in children(moof).filter(|(kind, _)| kind == b"traf") {
        let tfhd = child(traf, b"tfhd").ok_or(ReadError::Malformed("`tfhd` is missing"))?;
        let tfhd: Tfhd = decode(tfhd, "`tfhd` cannot be read")?;
        let base = match tfhd.base_data_offset {
            Some(base) => base,
            None if tfhd.default_base_is_moof => at,
            None => next_data,
        };
        let Some(index) = tracks.iter().position(|track| track.mp4_id == tfhd.track_id) else {
            continue;
        };
        let track = &tracks[index];
        let mut run = Run {
            data: base,
            dts: match child(traf, b"tfdt") {
                Some(tfdt) => decode::<Tfdt>(tfdt, "`tfdt` cannot be read")?.base_media_decode_time,
                None => track.end,
            },
            duration: tfhd.default_sample_duration.unwrap_or(track.trex.default_sample_duration),
            size: tfhd.default_sample_size.unwrap_or(track.trex.default_sample_size),
            flags: tfhd.default_sample_flags.unwrap_or(track.trex.default_sample_flags),
        };
        let mut samples = Vec::new();
        for (_, trun) in children(traf).filter(|(kind, _)| kind == b"trun") {
            let trun: Trun = decode(trun, "`trun` cannot be read")?;
            if let Some(offset) = trun.data_offset {
                run.data = base.checked_add_signed(offset.into()).ok_or(RANGE)?;
            }
            if trun.samples.len() > room {
                return Err(too_many(file_len));
            }
            room -= trun.samples.len();
            for entry in &trun.samples {
                samples.extend(Some(run.sample(&entry)?).filter(|sample| sample.size > 0));
                if run.data > file_len {
                    return Ok(false);
                }
            }
            next_data = run.data;
        }
        fragment.push((index, samples, run.dts));
    }
    for (index, samples, end) in fragment {
        let track = &mut tracks[index];
        let last = track.samples.last().map_or(0, |sample| sample.dts);
        if samples.first().is_some_and(|first| first.dts < last) {
            return Err(ReadError::Malformed("a fragment goes back in time"));
        }
        track.samples.extend(samples);
        track.end = end;
    }
    Ok(true)
}

/// Place and time of the next sample, and the defaults of its fields.
struct Run {
    data: u64,
    dts: u64,
    duration: u32,
    size: u32,
    flags: u32,
}

impl Run {
    fn sample(&mut self, entry: &TrunEntry) -> Result<Sample, ReadError> {
        let duration = entry.duration.unwrap_or(self.duration);
        let size = entry.size.unwrap_or(self.size);
        let cts = entry.cts.unwrap_or(0);
        let cts = i32::try_from(cts).or_else(|_| u32::try_from(cts).map(u32::cast_signed));
        let flags = entry.flags.unwrap_or(self.flags);
        let sample = Sample {
            offset: self.data,
            dts: self.dts,
            size,
            cts: cts.map_err(|_| RANGE)?,
            duration,
            keyframe: flags & NOT_SYNC_BIT == 0,
        };
        self.data = self.data.checked_add(size.into()).ok_or(RANGE)?;
        self.dts = self.dts.checked_add(duration.into()).ok_or(RANGE)?;
        Ok(sample)
    }
}
