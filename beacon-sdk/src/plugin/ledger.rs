//! [`Ledger`]: who carried how much for whom.

use crate::id::PeerId;
use crate::identity::PublicKey;
use crate::maybe_send::MaybeSend;
use crate::time::Instant;
use bytes::Bytes;
use core::fmt::Debug;

/// Bytes of a receipt at most.
pub const RECEIPT_BYTES_MAX: usize = 1024;
/// Bytes of an edge at most.
pub const EDGE_BYTES_MAX: usize = 512;

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

/// A receipt, or an edge, that was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("receipt refused: {0}")]
pub struct ReceiptError(pub &'static str);

/// Counts transfers, issues and accepts receipts. The face of accounting inside the engine:
/// pure; the durable side lives outside.
///
/// # Contract
/// - **L01** `standing` follows from the transfers and receipts given, and nothing else.
/// - **L02** A receipt accepted twice counts once, for the standing and for what is acknowledged.
/// - **L03** Balances saturate; they never wrap.
/// - **L04** Deterministic: same calls, same standings.
/// - **L05** Any bytes may be given as edge or receipt: what is none is an error and changes no
///   standing, acknowledges nothing, makes no receipt due and no claim.
/// - **L06** What is claimed was accepted: without receipts there are no claims, and each claim is made once.
/// - **L07** After `finish` no receipt waits for more bytes or a later time.
pub trait Ledger: MaybeSend + Debug + 'static {
    /// Takes note of bytes that changed hands.
    fn record(&mut self, now: Instant, transfer: Transfer);

    /// What a peer may have.
    fn standing(&self, peer: PeerId) -> Standing;

    /// Learns whose edges count: the key of a rendezvous that pays. One that signs nothing does nothing.
    fn accept_issuer(&mut self, issuer: PublicKey) {
        let _ = issuer;
    }

    /// Takes an edge: the word of a rendezvous that may pay for bytes, that this peer is to take them
    /// from another. A ledger that signs nothing refuses every one.
    ///
    /// # Errors
    /// [`ReceiptError`] when it is no edge, or none of this peer's.
    fn accept_edge(&mut self, now: Instant, edge: &[u8]) -> Result<(), ReceiptError> {
        let _ = (now, edge);
        Err(ReceiptError("this ledger signs nothing"))
    }

    /// A receipt to send to a peer, if one is due; at most [`RECEIPT_BYTES_MAX`] bytes. The
    /// engine asks after every batch of transfers until `None`.
    fn poll_receipt(&mut self, now: Instant) -> Option<(PeerId, Bytes)>;

    /// This peer leaves, or nothing more is to come: what it has verified and not signed for is due now, however
    /// little, and so is what it still verifies. A ledger that signs nothing does nothing.
    fn finish(&mut self) {}

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

    /// The next accepted receipt to show to whoever issued its edge, at most [`RECEIPT_BYTES_MAX`] bytes:
    /// the newest of an edge, and each once. One that is lost on the way is made good by the next of its
    /// edge. A proof that a neighbour has signed what it must not is shown in the same way. A ledger that claims
    /// nothing has none.
    fn poll_claim(&mut self) -> Option<Bytes> {
        None
    }

    /// Payload bytes that neighbours have signed for in all. A ledger that takes no receipts has none.
    fn acknowledged(&self) -> u64 {
        0
    }
}

impl<T: Ledger + ?Sized> Ledger for Box<T> {
    fn record(&mut self, now: Instant, transfer: Transfer) {
        (**self).record(now, transfer);
    }
    fn standing(&self, peer: PeerId) -> Standing {
        (**self).standing(peer)
    }
    fn accept_issuer(&mut self, issuer: PublicKey) {
        (**self).accept_issuer(issuer);
    }
    fn accept_edge(&mut self, now: Instant, edge: &[u8]) -> Result<(), ReceiptError> {
        (**self).accept_edge(now, edge)
    }
    fn poll_receipt(&mut self, now: Instant) -> Option<(PeerId, Bytes)> {
        (**self).poll_receipt(now)
    }
    fn finish(&mut self) {
        (**self).finish();
    }
    fn accept_receipt(
        &mut self,
        now: Instant,
        from: PeerId,
        receipt: &[u8],
    ) -> Result<(), ReceiptError> {
        (**self).accept_receipt(now, from, receipt)
    }
    fn poll_claim(&mut self) -> Option<Bytes> {
        (**self).poll_claim()
    }
    fn acknowledged(&self) -> u64 {
        (**self).acknowledged()
    }
}
