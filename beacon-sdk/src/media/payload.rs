//! A segment's payload: its objects, one after the other.

use super::{OBJECT_BYTES_MAX, Object};
use crate::id::TrackId;
use crate::time::Instant;
use crate::wire::DecodeError;
use crate::wire::codec::{Reader, put_varint, unzigzag, zigzag};
use bytes::{BufMut, Bytes, BytesMut};

/// Objects of one segment at most: four seconds at 250 per second.
pub const OBJECTS_MAX: usize = 1000;

const KEYFRAME: u8 = 1;
const LAYER_SHIFT: u8 = 1;

/// Bytes an object takes in a payload at most, beyond its data.
pub(crate) const OBJECT_OVERHEAD_MAX: usize = 1 + 5 * 10;

/// Writes the payload of a segment that starts at decode time `start`, captured at `captured`.
pub(crate) fn encode(objects: &[Object], start: u64, captured: Instant) -> Bytes {
    let len = objects.iter().map(|object| object.data.len() + OBJECT_OVERHEAD_MAX).sum();
    let mut out = BytesMut::with_capacity(len);
    let mut dts = start;
    for object in objects {
        out.put_u8(u8::from(object.keyframe) | (object.layer & 7) << LAYER_SHIFT);
        put_varint(&mut out, object.dts.saturating_sub(dts));
        dts = object.dts;
        put_varint(&mut out, zigzag(i64::from(object.cts)));
        put_varint(&mut out, u64::from(object.duration));
        let delay = object.captured.as_micros().wrapping_sub(captured.as_micros());
        put_varint(&mut out, zigzag(delay as i64));
        put_varint(&mut out, object.data.len() as u64);
        out.put_slice(&object.data);
    }
    out.freeze()
}

/// Reads a verified payload. Its publisher signed it, which makes it authentic, not sane.
///
/// # Errors
/// [`DecodeError`] when it is not a list of 1 to [`OBJECTS_MAX`] objects.
pub(crate) fn decode(
    payload: Bytes,
    track: TrackId,
    start: u64,
    captured: Instant,
) -> Result<Vec<Object>, DecodeError> {
    let mut r = Reader::new(payload);
    let mut objects = Vec::new();
    let mut dts = start;
    while r.remaining() > 0 {
        if objects.len() == OBJECTS_MAX {
            return Err(DecodeError::Range("objects"));
        }
        let flags = r.u8()?;
        if flags >> (LAYER_SHIFT + 3) != 0 {
            return Err(DecodeError::Range("object flags"));
        }
        dts = dts.checked_add(r.varint()?).ok_or(DecodeError::Range("dts"))?;
        let cts = i32::try_from(unzigzag(r.varint()?)).map_err(|_| DecodeError::Range("cts"))?;
        let duration = u32::try_from(r.varint()?).map_err(|_| DecodeError::Range("duration"))?;
        let delay = unzigzag(r.varint()?);
        let len = usize::try_from(r.varint()?).map_err(|_| DecodeError::Range("object"))?;
        if len == 0 || len > OBJECT_BYTES_MAX {
            return Err(DecodeError::Range("object"));
        }
        objects.push(Object {
            track,
            dts,
            cts,
            duration,
            keyframe: flags & KEYFRAME != 0,
            layer: flags >> LAYER_SHIFT,
            captured: Instant::from_micros(captured.as_micros().wrapping_add(delay as u64)),
            data: r.bytes(len)?,
        });
    }
    if objects.is_empty() { Err(DecodeError::Range("objects")) } else { Ok(objects) }
}
