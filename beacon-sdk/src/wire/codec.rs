//! Reading and writing bytes: big-endian, length-checked, nothing trusted.

use bytes::{Buf as _, BufMut, Bytes, BytesMut};

/// What is wrong with bytes that came from a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The frame ends before the message does.
    #[error("truncated")]
    Truncated,
    /// Bytes follow the end of the message.
    #[error("{0} trailing bytes")]
    Trailing(usize),
    /// No message of this type in this version.
    #[error("unknown message type {0:#04x}")]
    Type(u8),
    /// A field is outside its documented range.
    #[error("{0} is out of range")]
    Range(&'static str),
    /// A number that is not in its shortest form, or larger than 64 bits.
    #[error("malformed number")]
    Varint,
}

/// A cursor over a received frame. Byte fields come out as slices of it: nothing is copied.
#[derive(Debug, Clone)]
pub(crate) struct Reader(Bytes);

impl Reader {
    pub(crate) fn new(frame: Bytes) -> Self {
        Self(frame)
    }

    pub(crate) fn remaining(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn bytes(&mut self, len: usize) -> Result<Bytes, DecodeError> {
        if len > self.0.len() {
            return Err(DecodeError::Truncated);
        }
        Ok(self.0.split_to(len))
    }

    pub(crate) fn rest(&mut self) -> Bytes {
        core::mem::take(&mut self.0)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        // Not by way of `bytes`: a slice is counted, and most fields are a few bytes long.
        let array = *self.0.first_chunk().ok_or(DecodeError::Truncated)?;
        self.0.advance(N);
        Ok(array)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, DecodeError> {
        Ok(self.array::<1>()?[0])
    }

    pub(crate) fn u16(&mut self) -> Result<u16, DecodeError> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    pub(crate) fn u32(&mut self) -> Result<u32, DecodeError> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    pub(crate) fn u64(&mut self) -> Result<u64, DecodeError> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    /// A count of items of at least `item` bytes each: refused when they cannot be there, so a
    /// claimed count never sizes an allocation beyond the frame.
    pub(crate) fn count(
        &mut self,
        max: usize,
        item: usize,
        name: &'static str,
    ) -> Result<usize, DecodeError> {
        let count = usize::from(self.u8()?);
        if count > max {
            return Err(DecodeError::Range(name));
        }
        if count * item > self.remaining() {
            return Err(DecodeError::Truncated);
        }
        Ok(count)
    }

    /// Unsigned LEB128 in its shortest form.
    pub(crate) fn varint(&mut self) -> Result<u64, DecodeError> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return Err(DecodeError::Varint);
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                let shortest = byte != 0 || shift == 0;
                return if shortest { Ok(value) } else { Err(DecodeError::Varint) };
            }
        }
        Err(DecodeError::Varint)
    }

    pub(crate) fn end(self) -> Result<(), DecodeError> {
        match self.0.len() {
            0 => Ok(()),
            left => Err(DecodeError::Trailing(left)),
        }
    }
}

/// Appends `value` as unsigned LEB128.
pub(crate) fn put_varint(out: &mut BytesMut, mut value: u64) {
    while value >= 0x80 {
        out.put_u8((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

/// Maps small negative numbers to small positive ones.
pub(crate) const fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

/// The inverse of [`zigzag`].
pub(crate) const fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}
