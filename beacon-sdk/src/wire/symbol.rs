//! The data lane's only frame: a symbol with a header that no hop changes.

use super::codec::DecodeError;
use crate::id::{SegmentId, TrackId};
use bytes::{BufMut, Bytes, BytesMut};

/// Bytes before the symbol itself: type, track, segment, ESI.
pub const SYMBOL_HEADER_LEN: usize = 8;
/// The type byte of a symbol frame.
const SYMBOL: u8 = 0x80;

/// Which symbol a frame on the data lane is.
///
/// The header is the same at every hop, so a relay forwards the very frame it received.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SymbolHeader {
    /// The segment.
    pub segment: SegmentId,
    /// Encoding symbol id: 0 to K − 1 are the payload itself, K to K + R − 1 repair.
    pub esi: u16,
}

impl SymbolHeader {
    /// Appends the header.
    pub fn encode(self, out: &mut BytesMut) {
        out.put_u8(SYMBOL);
        out.put_u8(self.segment.track.get());
        out.put_u32(self.segment.seq);
        out.put_u16(self.esi);
    }

    /// Reads the header of a data-lane frame; the symbol is what follows
    /// [`SYMBOL_HEADER_LEN`] bytes.
    ///
    /// # Errors
    /// [`DecodeError`] when the frame is not a symbol with at least one byte.
    pub fn decode(frame: &[u8]) -> Result<Self, DecodeError> {
        let &[kind, track, s0, s1, s2, s3, e0, e1, _, ..] = frame else {
            return Err(DecodeError::Truncated);
        };
        if kind != SYMBOL {
            return Err(DecodeError::Type(kind));
        }
        let track = TrackId::new(track).ok_or(DecodeError::Range("track"))?;
        let seq = u32::from_be_bytes([s0, s1, s2, s3]);
        Ok(Self { segment: SegmentId { track, seq }, esi: u16::from_be_bytes([e0, e1]) })
    }

    /// A whole frame around a symbol.
    #[must_use]
    pub fn frame(self, symbol: &[u8]) -> Bytes {
        let mut out = BytesMut::with_capacity(SYMBOL_HEADER_LEN + symbol.len());
        self.encode(&mut out);
        out.put_slice(symbol);
        out.freeze()
    }
}
