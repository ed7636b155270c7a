//! [`ErasureCode`]: repair symbols of a segment, and the segment back from enough symbols.

use crate::maybe_send::MaybeSend;
use bytes::Bytes;
use core::fmt::Debug;

/// Symbol sizes are multiples of this, which keeps SIMD kernels on their fast path
/// (`fec_auth.md` §1.1: 29–47 % faster encode).
pub const SYMBOL_ALIGN: usize = 64;
/// Bytes of a symbol at most where it must fit one data-channel packet with its header
/// (17 × 64; Chromium splits messages above 1156 bytes).
pub const SYMBOL_BYTES_MAX: usize = 1088;
/// Source symbols of a segment at most: with [`SYMBOL_BYTES_MAX`], 2.2 MB.
pub const SOURCE_SYMBOLS_MAX: usize = 2048;
/// Bytes of a segment's payload at most.
pub const PAYLOAD_BYTES_MAX: usize = SYMBOL_BYTES_MAX * SOURCE_SYMBOLS_MAX;
/// Fewer source symbols than this get no repair symbols: a NAK is cheaper.
pub const SOURCE_SYMBOLS_CODED_MIN: usize = 8;

/// How a payload is cut into symbols. Every value of this type is within all limits: it is the
/// only way to an erasure code, so nothing out of range can reach one.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Hash)]
pub struct Layout {
    payload_len: u32,
    symbol_size: u16,
    source: u16,
    repair: u16,
}

/// A layout that no peer may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LayoutError {
    /// Empty, or above [`PAYLOAD_BYTES_MAX`].
    #[error("payload of {0} bytes is out of range")]
    Payload(u32),
    /// Zero, not a multiple of [`SYMBOL_ALIGN`], or above [`SYMBOL_BYTES_MAX`].
    #[error("symbol size {0} is out of range")]
    SymbolSize(u16),
    /// More than [`SOURCE_SYMBOLS_MAX`] source symbols.
    #[error("{0} source symbols are too many")]
    Source(u32),
    /// More repair than source symbols, or any below [`SOURCE_SYMBOLS_CODED_MIN`].
    #[error("{0} repair symbols are too many")]
    Repair(u16),
}

impl Layout {
    /// Checks a layout that came over the wire.
    ///
    /// # Errors
    /// [`LayoutError`] naming what is out of range.
    pub fn new(payload_len: u32, symbol_size: u16, repair: u16) -> Result<Self, LayoutError> {
        if payload_len == 0 || payload_len as usize > PAYLOAD_BYTES_MAX {
            return Err(LayoutError::Payload(payload_len));
        }
        let size = usize::from(symbol_size);
        if size == 0 || size % SYMBOL_ALIGN != 0 || size > SYMBOL_BYTES_MAX {
            return Err(LayoutError::SymbolSize(symbol_size));
        }
        let source = payload_len.div_ceil(u32::from(symbol_size));
        if source as usize > SOURCE_SYMBOLS_MAX {
            return Err(LayoutError::Source(source));
        }
        let source = u16::try_from(source).map_err(|_| LayoutError::Source(source))?;
        let coded = usize::from(source) >= SOURCE_SYMBOLS_CODED_MIN;
        if repair > source || (repair > 0 && !coded) {
            return Err(LayoutError::Repair(repair));
        }
        Ok(Self { payload_len, symbol_size, source, repair })
    }

    /// The layout of a new segment: as few symbols as fit, no larger than needed, and
    /// `repair_percent` of them again as repair symbols.
    ///
    /// # Errors
    /// [`LayoutError::Payload`] when the payload is empty or too large.
    pub fn plan(payload_len: usize, repair_percent: u8) -> Result<Self, LayoutError> {
        let len = u32::try_from(payload_len).map_err(|_| LayoutError::Payload(u32::MAX))?;
        if payload_len == 0 || payload_len > PAYLOAD_BYTES_MAX {
            return Err(LayoutError::Payload(len));
        }
        let count = payload_len.div_ceil(SYMBOL_BYTES_MAX);
        let size = payload_len.div_ceil(count).next_multiple_of(SYMBOL_ALIGN);
        let count = payload_len.div_ceil(size);
        let repair = if count < SOURCE_SYMBOLS_CODED_MIN {
            0
        } else {
            (count * usize::from(repair_percent.min(100))).div_ceil(100)
        };
        let narrow = |n: usize| u16::try_from(n).map_err(|_| LayoutError::Payload(len));
        Self::new(len, narrow(size)?, narrow(repair)?)
    }

    /// Bytes of the payload, 1 to [`PAYLOAD_BYTES_MAX`].
    #[must_use]
    pub const fn payload_len(&self) -> usize {
        self.payload_len as usize
    }

    /// Bytes of every symbol; the last source symbol is padded with zeros.
    #[must_use]
    pub const fn symbol_size(&self) -> usize {
        self.symbol_size as usize
    }

    /// K, the number of source symbols: ESI 0 to K − 1.
    #[must_use]
    pub const fn source(&self) -> u16 {
        self.source
    }

    /// R, the number of committed repair symbols: ESI K to K + R − 1.
    #[must_use]
    pub const fn repair(&self) -> u16 {
        self.repair
    }

    /// K + R.
    #[must_use]
    pub const fn total(&self) -> u16 {
        self.source + self.repair
    }

    /// Bytes of the payload with its padding: K × symbol size.
    #[must_use]
    pub const fn padded_len(&self) -> usize {
        self.source as usize * self.symbol_size as usize
    }
}

/// A code that was asked for what it cannot do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ErasureError {
    /// An input whose length does not fit the layout.
    #[error("input of {got} bytes where the layout wants {want}")]
    Length {
        /// Bytes given.
        got: usize,
        /// Bytes the layout names.
        want: usize,
    },
    /// An ESI at or above K + R.
    #[error("symbol {0} is not committed")]
    Symbol(u16),
    /// The code failed inside; the segment cannot be had this way.
    #[error("the code failed: {0}")]
    Code(String),
}

/// Makes committed repair symbols and recovers payloads. Stateless as seen from here; caches
/// inside are the adapter's affair.
///
/// # Contract
/// - **E01** Any K + 2 distinct committed symbols recover the payload, where K + R allows it (a
///   code may need up to two more than K).
/// - **E02** Systematic: source symbol i is bytes i·T to (i + 1)·T of the padded payload.
/// - **E03** Deterministic: the same ESI of the same payload is the same bytes, on every
///   platform and in every release that shares the code's `id`.
/// - **E04** Too few symbols are `Ok(None)`, never an error, never wrong bytes.
/// - **E05** A wrong length or an uncommitted ESI is an error, never a panic.
/// - **E06** Symbols given twice count once; their order does not matter.
pub trait ErasureCode: MaybeSend + Debug + 'static {
    /// The number that names the code in manifests: 0 none, 1 RaptorQ (RFC 6330).
    fn id(&self) -> u8;

    /// Repair symbols of the padded payload, in the order of `esis`.
    ///
    /// # Errors
    /// [`ErasureError`] when `payload` is not `layout.padded_len()` bytes or an ESI is not a
    /// repair symbol of the layout.
    fn repair(
        &mut self,
        layout: &Layout,
        payload: &[u8],
        esis: &[u16],
    ) -> Result<Vec<Bytes>, ErasureError>;

    /// The padded payload from verified symbols; `None` when they are too few.
    ///
    /// # Errors
    /// [`ErasureError`] when a symbol does not fit the layout.
    fn recover(
        &mut self,
        layout: &Layout,
        symbols: &[(u16, Bytes)],
    ) -> Result<Option<Bytes>, ErasureError>;
}
