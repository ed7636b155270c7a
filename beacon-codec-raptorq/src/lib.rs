//! Beacon's erasure code: RaptorQ (RFC 6330) over the [`raptorq`] crate, behind
//! [`Layout`](beacon_sdk::Layout)s that have been checked.
//!
//! That crate trusts its caller: a length or a transfer parameter out of range makes it panic,
//! abort on an allocation or return wrong bytes without a word. Here every parameter comes from a
//! `Layout`, which is in range by construction, every symbol is measured before it is passed on,
//! and one block with one sub-block and an alignment of 8 bytes are constants that no peer can
//! choose. What remains for the caller is to verify symbols first: a *false* symbol of the right
//! length is not noticed by any erasure code.
//!
//! ```
//! use beacon_codec_raptorq::RaptorQ;
//! use beacon_sdk::{ErasureCode, Layout};
//! # use bytes::Bytes;
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut code = RaptorQ::new();
//! let layout = Layout::plan(20_000, 25)?; // bytes, per cent of repair symbols
//! let mut payload = vec![7; 20_000];
//! payload.resize(layout.padded_len(), 0);
//!
//! let esis: Vec<u16> = (layout.source()..layout.total()).collect();
//! let repair = code.repair(&layout, &payload, &esis)?;
//!
//! // Source symbols 0 and 1 are lost; all others and two repair symbols have come.
//! let payload = Bytes::from(payload);
//! let cut = |i: u16| payload.slice(usize::from(i) * layout.symbol_size()..);
//! let mut symbols: Vec<(u16, Bytes)> =
//!     (2..layout.source()).map(|i| (i, cut(i).slice(..layout.symbol_size()))).collect();
//! symbols.extend(esis.into_iter().zip(repair).take(2));
//! assert_eq!(code.recover(&layout, &symbols)?, Some(payload.clone()));
//! # Ok(())
//! # }
//! ```

mod block;
mod code;
mod recent;

pub use code::RaptorQ;
