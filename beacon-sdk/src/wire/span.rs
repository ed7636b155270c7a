//! Sets of symbols, packed.

use super::codec::{DecodeError, Reader};
use bytes::{BufMut, BytesMut};

/// Spans of one request at most: 8 × 64 symbols.
pub const SPANS_MAX: usize = 8;

/// Up to 64 symbols: bit i of the mask is ESI `base + i`.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Span {
    /// The ESI of bit 0.
    pub base: u16,
    /// Which of the 64.
    pub mask: u64,
}

impl Span {
    /// Packs ascending ESIs into spans, at most [`SPANS_MAX`] of them; gives back how many ESIs
    /// went in.
    #[must_use]
    pub fn pack(esis: &[u16]) -> (Vec<Self>, usize) {
        let mut spans: Vec<Self> = Vec::new();
        for (at, &esi) in esis.iter().enumerate() {
            if let Some(span) = spans.last_mut()
                && (span.base..=span.base.saturating_add(63)).contains(&esi)
            {
                span.mask |= 1 << (esi - span.base);
            } else if spans.len() == SPANS_MAX {
                return (spans, at);
            } else {
                spans.push(Self { base: esi, mask: 1 });
            }
        }
        (spans, esis.len())
    }

    /// The ESIs named, ascending; those above `u16::MAX` are not.
    pub fn esis(self) -> impl Iterator<Item = u16> {
        (0..64_u16)
            .filter(move |bit| self.mask >> bit & 1 == 1)
            .filter_map(move |bit| self.base.checked_add(bit))
    }

    /// Appends a list, at most [`SPANS_MAX`] of them.
    pub(super) fn put(spans: &[Self], out: &mut BytesMut) {
        let spans = &spans[..spans.len().min(SPANS_MAX)];
        out.put_u8(spans.len() as u8);
        for span in spans {
            out.put_u16(span.base);
            out.put_u64(span.mask);
        }
    }

    pub(super) fn take(r: &mut Reader) -> Result<Vec<Self>, DecodeError> {
        let count = r.count(SPANS_MAX, 10, "spans")?;
        (0..count).map(|_| Ok(Self { base: r.u16()?, mask: r.u64()? })).collect()
    }
}
