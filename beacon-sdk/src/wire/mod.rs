//! The wire protocol: one message per frame, as `SPEC.md` writes it down.
//!
//! Decoding is total: any bytes give a [`Message`] within the documented ranges or a
//! [`DecodeError`], never a panic, and allocate at most in proportion to the frame.

pub(crate) mod codec;
mod message;
mod symbol;

pub use codec::DecodeError;
pub use message::{
    FarewellReason, HAVE_COMPLETE, HAVE_GROUP_START, HAVES_MAX, Have, Hello, Message, PEERS_MAX,
    PROTOCOL_VERSION, RefuseReason, SPANS_MAX, Span, Status,
};
pub use symbol::{SYMBOL_HEADER_LEN, SymbolHeader};

#[cfg(test)]
mod tests;
