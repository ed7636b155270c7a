//! One segment as one `moof` and `mdat`.

use crate::boxes::{boxed, full, put32};
use crate::error::MuxError;
use crate::init::mp4_id;
use beacon_sdk::SegmentId;
use beacon_sdk::media::Object;

/// Sample flags of a picture that depends on none, and of one that does and is no sync sample
/// (ISO/IEC 14496-12 §8.8.3.1).
pub(crate) const SYNC: u32 = 0x0200_0000;
pub(crate) const NOT_SYNC: u32 = 0x0101_0000;
/// The bit of the flags that says "no sync sample".
pub(crate) const NOT_SYNC_BIT: u32 = 0x0001_0000;
/// Bytes of everything but the samples: `moof` to `trun`, and the header of `mdat`.
const OVERHEAD: usize = 96;
/// Bytes of one sample in `trun`.
const ENTRY: usize = 16;

/// One segment as a fragment that any player joins at when the segment starts a group.
///
/// Every byte follows from the segment alone (its number, its track, its objects), so it is the
/// same at every peer, whenever that peer joined. The fragment's sequence number is the segment's
/// plus one. Inside a fragment MP4 knows no holes: a sample lasts until the next one begins, and
/// only the last keeps its own [`duration`](Object::duration).
///
/// # Errors
/// [`MuxError::Segment`] when there is no object, one is of another track, decode times
/// decrease, or the whole exceeds 4 GiB.
pub fn fragment(id: SegmentId, objects: &[Object]) -> Result<Vec<u8>, MuxError> {
    let wrong = |what| MuxError::Segment { track: id.track, what };
    let first = objects.first().ok_or_else(|| wrong("no objects"))?;
    if objects.iter().any(|object| object.track != id.track) {
        return Err(wrong("an object belongs to another track"));
    }
    let durations = durations(objects).ok_or_else(|| wrong("decode times decrease or jump"))?;
    let payload: usize = objects.iter().map(|object| object.data.len()).sum();
    let moof_len = OVERHEAD - 8 + ENTRY * objects.len();
    let whole = payload.checked_add(moof_len + 8).and_then(|len| u32::try_from(len).ok());
    if whole.is_none() {
        return Err(wrong("larger than 4 GiB"));
    }

    let mut out = Vec::with_capacity(payload + moof_len + 8);
    boxed(&mut out, b"moof", |out| {
        full(out, b"mfhd", 0, 0, |out| put32(out, id.seq.saturating_add(1)));
        boxed(out, b"traf", |out| {
            full(out, b"tfhd", 0, 0x02_0000, |out| put32(out, mp4_id(id.track)));
            full(out, b"tfdt", 1, 0, |out| out.extend_from_slice(&first.dts.to_be_bytes()));
            full(out, b"trun", 1, 0xf01, |out| {
                put32(out, objects.len() as u32);
                put32(out, moof_len as u32 + 8);
                for (object, duration) in objects.iter().zip(durations) {
                    put32(out, duration);
                    put32(out, object.data.len() as u32);
                    put32(out, if object.keyframe { SYNC } else { NOT_SYNC });
                    put32(out, object.cts.cast_unsigned());
                }
            });
        });
    });
    boxed(&mut out, b"mdat", |out| {
        objects.iter().for_each(|object| out.extend_from_slice(&object.data));
    });
    Ok(out)
}

/// From each object to the next; `None` when time goes back or a step does not fit.
fn durations(objects: &[Object]) -> Option<Vec<u32>> {
    let steps = objects.windows(2).map(|pair| {
        let step = pair[1].dts.checked_sub(pair[0].dts)?;
        u32::try_from(step).ok()
    });
    steps.chain(objects.last().map(|last| Some(last.duration))).collect()
}
