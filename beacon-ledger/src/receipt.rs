//! Receipts: who received bytes signs how many.
//!
//! The tracker issues an **edge**: this downloader takes this broadcast from this uploader, until then.
//! Over it the downloader signs **receipts**: how many payload bytes it has received *and verified* in
//! all. A receipt is cumulative, so that only the newest counts and loss, repetition and reordering do no harm; it
//! carries its edge, so that anybody who knows the tracker's key can check it alone; and it names the
//! hash of the one before, so that whoever signs two histories hands out the proof ([`ForkProof`]).
//!
//! # Layout
//!
//! Big-endian, without padding, one way to write each value.
//!
//! | bytes | edge, 201 | | bytes | receipt, 317 |
//! |---|---|---|---|---|
//! | 1 | version, 1 | | 201 | edge with its signature |
//! | 16 | id; its first 6 bytes are the Unix milliseconds of issue | | 4 | seq, from 1 |
//! | 32, 8 | publisher and epoch of the broadcast | | 8 | verified payload bytes in all, at most 2^53 |
//! | 32 | uploader | | 8 | Unix milliseconds by the downloader's clock; nothing is decided by it |
//! | 32 | downloader | | 32 | hash of the receipt `seq - 1`; zeros when seq is 1 |
//! | 8 | session of the downloader | | 64 | Ed25519 of the downloader over `beacon-receipt-v1` and all before |
//! | 8 | Unix milliseconds of expiry | | | |
//! | 64 | Ed25519 of the issuer over `beacon-edge-v1` and all before | | | |
//!
//! The hash of a receipt is SHA-256 over `beacon-receipt-hash-v1` and all but its last signature.

use crate::id::Id;
use beacon_sdk::{BroadcastId, Identity, PeerId, PublicKey, SIGNATURE_LEN, Signature};
use sha2::{Digest, Sha256};

/// Bytes of an edge and the issuer's signature.
pub const EDGE_LEN: usize = EDGE_BODY_LEN + SIGNATURE_LEN;
/// Bytes of a receipt.
pub const RECEIPT_LEN: usize = RECEIPT_BODY_LEN + SIGNATURE_LEN;
/// Bytes of a [`ForkProof`].
pub const FORK_PROOF_LEN: usize = 2 * RECEIPT_LEN;
/// What a receipt counts at most: 2^53 bytes, a week at 100 Gbit/s.
pub const CUM_BYTES_MAX: u64 = 1 << 53;

const EDGE_BODY_LEN: usize = 1 + 16 + 32 + 8 + 32 + 32 + 8 + 8;
const RECEIPT_BODY_LEN: usize = EDGE_LEN + 4 + 8 + 8 + 32;
const VERSION: u8 = 1;
const EDGE_CONTEXT: &[u8] = b"beacon-edge-v1";
const RECEIPT_CONTEXT: &[u8] = b"beacon-receipt-v1";
const HASH_CONTEXT: &[u8] = b"beacon-receipt-hash-v1";

/// Leave to be paid: one downloader takes one broadcast from one uploader.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Edge {
    /// Its name, unique for the issuer; [`Id::at_ms`] is when it was issued.
    pub id: Id,
    /// What is carried.
    pub broadcast: BroadcastId,
    /// Who carries, and earns.
    pub uploader: PeerId,
    /// Who receives, and signs.
    pub downloader: PeerId,
    /// A number that the downloader draws when it starts. After a restart it no longer knows what it
    /// signed, so it signs nothing for edges of an earlier session: it cannot fork by accident.
    pub session: u64,
    /// Unix milliseconds after which nothing more is signed.
    pub expires_ms: u64,
}

/// An edge with the issuer's signature.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct SignedEdge {
    /// The edge.
    pub edge: Edge,
    signature: Signature,
}

/// Bytes that are no edge, receipt or proof.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// Not the one length that it has.
    #[error("{got} bytes where {want} are due")]
    Length {
        /// As it came.
        got: usize,
        /// As it must be.
        want: usize,
    },
    /// Of another version.
    #[error("version {0}; this side knows 1")]
    Version(u8),
    /// A field has a value that it cannot have.
    #[error("{0} out of range")]
    Range(&'static str),
}

/// A receipt or edge that proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Invalid {
    /// The edge is not the issuer's.
    #[error("the edge is not signed by the issuer")]
    Issuer,
    /// The receipt is not the downloader's.
    #[error("the receipt is not signed by the downloader")]
    Downloader,
    /// The two receipts of a proof can both be honest.
    #[error("the two receipts do not contradict each other")]
    NoFork,
}

/// Reads fields of known length from the front. Every decoder here checks the whole length first,
/// so nothing is missing on the way: `take` of a shorter rest would give zeros, never a panic.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let Some((head, rest)) = self.0.split_first_chunk::<N>() else { return [0; N] };
        self.0 = rest;
        *head
    }

    fn u64(&mut self) -> u64 {
        u64::from_be_bytes(self.take())
    }
}

fn exactly(bytes: &[u8], want: usize) -> Result<Fields<'_>, DecodeError> {
    if bytes.len() == want {
        Ok(Fields(bytes))
    } else {
        Err(DecodeError::Length { got: bytes.len(), want })
    }
}

impl Edge {
    /// When it was issued, by the issuer's clock: Unix milliseconds.
    #[must_use]
    pub const fn issued_ms(&self) -> u64 {
        self.id.at_ms()
    }

    /// The issuer signs it.
    #[must_use]
    pub fn sign(self, issuer: &Identity) -> SignedEdge {
        SignedEdge { edge: self, signature: issuer.sign(EDGE_CONTEXT, &self.body()) }
    }

    fn body(&self) -> Vec<u8> {
        let mut body = Vec::with_capacity(EDGE_LEN);
        body.push(VERSION);
        body.extend_from_slice(self.id.as_bytes());
        body.extend_from_slice(self.broadcast.publisher.as_bytes());
        body.extend_from_slice(&self.broadcast.epoch.to_be_bytes());
        body.extend_from_slice(self.uploader.as_bytes());
        body.extend_from_slice(self.downloader.as_bytes());
        body.extend_from_slice(&self.session.to_be_bytes());
        body.extend_from_slice(&self.expires_ms.to_be_bytes());
        body
    }
}

impl SignedEdge {
    /// As it travels: [`EDGE_LEN`] bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = self.edge.body();
        bytes.extend_from_slice(&self.signature);
        bytes
    }

    /// Reads what [`SignedEdge::encode`] wrote. The signature is not checked: see
    /// [`SignedEdge::verify`].
    ///
    /// # Errors
    /// [`DecodeError`] for anything that `encode` does not write.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut fields = exactly(bytes, EDGE_LEN)?;
        let [version] = fields.take();
        if version != VERSION {
            return Err(DecodeError::Version(version));
        }
        let edge = Edge {
            id: Id::from_bytes(fields.take()),
            broadcast: BroadcastId {
                publisher: PublicKey::from_bytes(fields.take()),
                epoch: fields.u64(),
            },
            uploader: PublicKey::from_bytes(fields.take()),
            downloader: PublicKey::from_bytes(fields.take()),
            session: fields.u64(),
            expires_ms: fields.u64(),
        };
        if edge.uploader == edge.downloader {
            return Err(DecodeError::Range("downloader"));
        }
        if edge.expires_ms <= edge.issued_ms() {
            return Err(DecodeError::Range("expiry"));
        }
        Ok(Self { edge, signature: fields.take() })
    }

    /// Whether `issuer` signed it.
    ///
    /// # Errors
    /// [`Invalid::Issuer`].
    pub fn verify(&self, issuer: &PublicKey) -> Result<(), Invalid> {
        let signed = issuer.verify(EDGE_CONTEXT, &self.edge.body(), &self.signature);
        if signed { Ok(()) } else { Err(Invalid::Issuer) }
    }
}

/// A downloader's word for what it has received and verified over an edge, in all.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Receipt {
    /// The edge that it is for.
    pub edge: SignedEdge,
    /// Counts up from 1.
    pub seq: u32,
    /// Verified payload bytes since the edge was issued; at most [`CUM_BYTES_MAX`].
    pub cum_bytes: u64,
    /// When it was signed, by the downloader's clock: for people to look at.
    pub at_ms: u64,
    prev: [u8; 32],
    signature: Signature,
}

/// What a receipt is to the one that is held.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Relation {
    /// It counts in place of the one held.
    Newer,
    /// It is the one held, or came before it: nothing changes.
    Known,
    /// They are of different edges.
    Foreign,
    /// They contradict each other: [`ForkProof`] says so to anybody.
    Fork,
}

impl Receipt {
    /// The downloader signs the receipt after `last` (none: the first): `cum_bytes` verified bytes in
    /// all, cut at [`CUM_BYTES_MAX`] and never less than before.
    ///
    /// `None` when `identity` is not the edge's downloader, when `last` is of another edge, or after
    /// 2^32 − 1 receipts: take a new edge.
    #[must_use]
    pub fn sign(
        identity: &Identity,
        edge: &SignedEdge,
        last: Option<&Self>,
        cum_bytes: u64,
        at_ms: u64,
    ) -> Option<Self> {
        if identity.public() != edge.edge.downloader || last.is_some_and(|last| last.edge != *edge)
        {
            return None;
        }
        let before = last.map_or(0, |last| last.cum_bytes);
        let mut receipt = Self {
            edge: *edge,
            seq: last.map_or(0, |last| last.seq).checked_add(1)?,
            cum_bytes: cum_bytes.clamp(before, CUM_BYTES_MAX),
            at_ms,
            prev: last.map_or([0; 32], Self::hash),
            signature: [0; SIGNATURE_LEN],
        };
        receipt.signature = identity.sign(RECEIPT_CONTEXT, &receipt.body());
        Some(receipt)
    }

    fn body(&self) -> Vec<u8> {
        let mut body = Vec::with_capacity(RECEIPT_LEN);
        body.extend_from_slice(&self.edge.encode());
        body.extend_from_slice(&self.seq.to_be_bytes());
        body.extend_from_slice(&self.cum_bytes.to_be_bytes());
        body.extend_from_slice(&self.at_ms.to_be_bytes());
        body.extend_from_slice(&self.prev);
        body
    }

    /// As it travels: [`RECEIPT_LEN`] bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = self.body();
        bytes.extend_from_slice(&self.signature);
        bytes
    }

    /// Reads what [`Receipt::encode`] wrote. No signature is checked: see [`Receipt::verify`].
    ///
    /// # Errors
    /// [`DecodeError`] for anything that `encode` does not write.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut fields = exactly(bytes, RECEIPT_LEN)?;
        let edge = SignedEdge::decode(&fields.take::<EDGE_LEN>())?;
        let receipt = Self {
            edge,
            seq: u32::from_be_bytes(fields.take()),
            cum_bytes: fields.u64(),
            at_ms: fields.u64(),
            prev: fields.take(),
            signature: fields.take(),
        };
        if (receipt.seq <= 1) != (receipt.prev == [0; 32]) || receipt.seq == 0 {
            return Err(DecodeError::Range("seq"));
        }
        if receipt.cum_bytes > CUM_BYTES_MAX {
            return Err(DecodeError::Range("bytes"));
        }
        Ok(receipt)
    }

    /// What the next receipt names as the one before it; a short name of this one in statements.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(HASH_CONTEXT);
        hash.update(self.body());
        hash.finalize().into()
    }

    /// Whether `issuer` signed the edge and the edge's downloader the receipt.
    ///
    /// # Errors
    /// [`Invalid`].
    pub fn verify(&self, issuer: &PublicKey) -> Result<(), Invalid> {
        self.edge.verify(issuer)?;
        self.verify_downloader()
    }

    /// As [`Receipt::verify`] for an edge that is known to be the issuer's: half the work.
    ///
    /// # Errors
    /// [`Invalid::Downloader`].
    pub fn verify_downloader(&self) -> Result<(), Invalid> {
        let key = &self.edge.edge.downloader;
        let signed = key.verify(RECEIPT_CONTEXT, &self.body(), &self.signature);
        if signed { Ok(()) } else { Err(Invalid::Downloader) }
    }

    /// What this receipt is to `held`, both verified. Whoever holds one receipt per edge, the
    /// newest, has all that it needs.
    #[must_use]
    pub fn compare(&self, held: &Self) -> Relation {
        if self.edge != held.edge {
            // Two signatures of the issuer under one id are two edges as well.
            return Relation::Foreign;
        }
        let (early, late) = if self.seq >= held.seq { (held, self) } else { (self, held) };
        let contradiction = if early.seq == late.seq {
            early.body() != late.body()
        } else {
            early.cum_bytes > late.cum_bytes
                || (early.seq + 1 == late.seq && late.prev != early.hash())
        };
        if contradiction {
            Relation::Fork
        } else if self.seq > held.seq {
            Relation::Newer
        } else {
            Relation::Known
        }
    }
}

/// Two receipts of one downloader over one edge that cannot both belong to one history: two with one
/// number, one that counts less than an earlier one, or one that names another predecessor. It
/// convinces whoever knows the issuer's key, without asking anybody.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ForkProof {
    one: Receipt,
    other: Receipt,
}

impl ForkProof {
    /// The proof that two receipts make, if they contradict each other.
    #[must_use]
    pub fn new(one: Receipt, other: Receipt) -> Option<Self> {
        (one.compare(&other) == Relation::Fork).then_some(Self { one, other })
    }

    /// Who signed both.
    #[must_use]
    pub const fn culprit(&self) -> PeerId {
        self.one.edge.edge.downloader
    }

    /// The edge that both are for.
    #[must_use]
    pub const fn edge(&self) -> &Edge {
        &self.one.edge.edge
    }

    /// Checks all signatures and the contradiction.
    ///
    /// # Errors
    /// [`Invalid`].
    pub fn verify(&self, issuer: &PublicKey) -> Result<(), Invalid> {
        self.one.verify(issuer)?;
        // The edge is the same to the last byte.
        self.other.verify_downloader()?;
        match self.one.compare(&self.other) {
            Relation::Fork => Ok(()),
            _ => Err(Invalid::NoFork),
        }
    }

    /// As it travels: [`FORK_PROOF_LEN`] bytes, one receipt after the other.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        [self.one.encode(), self.other.encode()].concat()
    }

    /// Reads what [`ForkProof::encode`] wrote. No signature is checked: see [`ForkProof::verify`].
    ///
    /// # Errors
    /// [`DecodeError`], also when the two do not contradict each other.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut fields = exactly(bytes, FORK_PROOF_LEN)?;
        let one = Receipt::decode(&fields.take::<RECEIPT_LEN>())?;
        let other = Receipt::decode(&fields.take::<RECEIPT_LEN>())?;
        Self::new(one, other).ok_or(DecodeError::Range("contradiction"))
    }
}
