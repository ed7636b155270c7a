//! The wire protocol: one message per frame, as `SPEC.md` writes it down.
//!
//! Decoding is total: any bytes give a [`Message`] within the documented ranges or a
//! [`DecodeError`], never a panic, and allocate at most in proportion to the frame.

pub(crate) mod codec;
mod hello;
mod message;
mod span;
mod symbol;

pub use codec::DecodeError;
pub use hello::{FarewellReason, Hello, PROTOCOL_VERSION, Versions};
pub use message::{
    Census, HAVE_COMPLETE, HAVE_GROUP_START, HAVES_MAX, Have, Message, PAGES_MAX, PEERS_MAX,
    RefuseReason, Status,
};
pub use span::{SPANS_MAX, Span};
pub use symbol::{SYMBOL_HEADER_LEN, SymbolHeader};

#[cfg(test)]
mod tests;
