//! [`Ledger`]: who carried how much for whom.

use crate::id::PeerId;
use crate::maybe_send::MaybeSend;
use crate::time::Instant;
use bytes::Bytes;
use core::fmt::Debug;

/// Bytes of a receipt at most.
pub const RECEIPT_BYTES_MAX: usize = 1024;

/// Verified payload that changed hands.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Transfer {
    /// The neighbour.
    pub peer: PeerId,
    /// Payload bytes this peer sent to it, once per symbol that its transport took.
    pub sent: u32,
    /// Verified payload bytes received from it.
    pub received: u32,
}

/// What a peer may have.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub struct Standing {
    /// Verified bytes received from it minus bytes sent to it: positive when it has given more.
    pub balance: i64,
    /// It may be served when capacity is scarce.
    pub served: bool,
}

/// A receipt that was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("receipt refused: {0}")]
pub struct ReceiptError(pub &'static str);

/// Counts transfers, issues and accepts receipts. The face of accounting inside the engine:
/// pure; the durable side lives outside.
///
/// # Contract
/// - **L01** `standing` follows from the transfers and receipts given, and nothing else.
/// - **L02** A receipt accepted twice counts once.
/// - **L03** Balances saturate; they never wrap.
/// - **L04** Deterministic: same calls, same standings.
pub trait Ledger: MaybeSend + Debug + 'static {
    /// Takes note of bytes that changed hands.
    fn record(&mut self, now: Instant, transfer: Transfer);

    /// What a peer may have.
    fn standing(&self, peer: PeerId) -> Standing;

    /// A receipt to send to a peer, if one is due; at most [`RECEIPT_BYTES_MAX`] bytes. The
    /// engine asks after every batch of transfers until `None`.
    fn poll_receipt(&mut self, now: Instant) -> Option<(PeerId, Bytes)>;

    /// Takes a receipt that a peer sent.
    ///
    /// # Errors
    /// [`ReceiptError`] when it proves nothing; the engine counts it against the sender.
    fn accept_receipt(
        &mut self,
        now: Instant,
        from: PeerId,
        receipt: &[u8],
    ) -> Result<(), ReceiptError>;
}

impl<T: Ledger + ?Sized> Ledger for Box<T> {
    fn record(&mut self, now: Instant, transfer: Transfer) {
        (**self).record(now, transfer);
    }
    fn standing(&self, peer: PeerId) -> Standing {
        (**self).standing(peer)
    }
    fn poll_receipt(&mut self, now: Instant) -> Option<(PeerId, Bytes)> {
        (**self).poll_receipt(now)
    }
    fn accept_receipt(
        &mut self,
        now: Instant,
        from: PeerId,
        receipt: &[u8],
    ) -> Result<(), ReceiptError> {
        (**self).accept_receipt(now, from, receipt)
    }
}
