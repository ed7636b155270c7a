//! Receipts by themselves: layout, chain, forks, hostile bytes.

#![allow(clippy::unwrap_used)]

use beacon_ledger::receipt::{
    CUM_BYTES_MAX, DecodeError, EDGE_LEN, FORK_PROOF_LEN, Invalid, RECEIPT_LEN, Relation,
};
use beacon_ledger::{Edge, ForkProof, Id, Receipt, SignedEdge};
use beacon_sdk::{BroadcastId, Identity};
use data_encoding::HEXLOWER;
use proptest::prelude::*;
use sha2::{Digest, Sha256};

fn who(number: u8) -> Identity {
    Identity::from_secret([number; 32])
}

const ISSUER: u8 = 1;
const UP: u8 = 2;
const DOWN: u8 = 3;

fn edge(name: u8) -> SignedEdge {
    let broadcast = BroadcastId { publisher: who(9).public(), epoch: 7 };
    let (uploader, downloader) = (who(UP).public(), who(DOWN).public());
    let id = Id::new(1_700_000_000_000, [name; 10]);
    let expires_ms = 1_700_000_600_000;
    Edge { id, broadcast, uploader, downloader, session: 5, expires_ms }.sign(&who(ISSUER))
}

fn next(edge: &SignedEdge, last: Option<&Receipt>, cum: u64) -> Receipt {
    Receipt::sign(&who(DOWN), edge, last, cum, 1_700_000_001_000).unwrap()
}

/// The layout is a promise: other programs, and receipts that are kept, depend on it.
#[test]
fn golden() {
    let first = next(&edge(4), None, 262_144);
    let second = next(&edge(4), Some(&first), 524_288);
    let text = HEXLOWER.encode(&first.encode());
    assert_eq!(edge(4).encode().len(), EDGE_LEN);
    assert_eq!(second.encode().len(), RECEIPT_LEN);
    // version, id with its time, publisher, epoch
    assert!(text.starts_with("01018bcfe5680004040404040404040404"), "{text}");
    assert_eq!(&text[2 * 201..2 * 213], "000000010000000000040000");
    let digest = |bytes: &[u8]| HEXLOWER.encode(&Sha256::digest(bytes));
    let got = [
        digest(&edge(4).encode()),
        digest(&first.encode()),
        digest(&second.encode()),
        HEXLOWER.encode(&second.hash()),
    ];
    assert_eq!(got, GOLDEN);
}

/// SHA-256 of an edge, of two receipts over it, and the hash by which a third would name the second.
const GOLDEN: [&str; 4] = [
    "1e7f8cffec0654448322d6d984fb3413f5070acbe7c0a3007979f6a91e02fe59",
    "13c95da6707d58a67e211c31d2da3c143322b9b8202c14e45160ce87ae51877a",
    "da87bbfe68f5ff1a034f82578d57666a5fbf092af2fe191ad706576415baffd1",
    "079090e8f2aaa9d1679b1e43af2c02058683160ec502ee20a6f5a29b793c36f0",
];

#[test]
fn a_chain_counts_up_and_anything_older_is_known() {
    let edge = edge(1);
    let first = next(&edge, None, 10);
    let second = next(&edge, Some(&first), 20);
    let third = next(&edge, Some(&second), 5);
    for receipt in [&first, &second, &third] {
        assert_eq!(receipt.verify(&who(ISSUER).public()), Ok(()));
    }
    assert_eq!(third.cum_bytes, 20, "never less than before");
    assert_eq!(second.compare(&first), Relation::Newer);
    assert_eq!(third.compare(&first), Relation::Newer, "one may be lost on the way");
    assert_eq!(first.compare(&third), Relation::Known);
    assert_eq!(third.compare(&third), Relation::Known);
    assert_eq!(next(&edge, None, u64::MAX).cum_bytes, CUM_BYTES_MAX);
}

#[test]
fn whoever_signs_two_histories_hands_out_the_proof() {
    let edge = edge(1);
    let issuer = who(ISSUER).public();
    let first = next(&edge, None, 10);
    let (left, right) = (next(&edge, Some(&first), 20), next(&edge, Some(&first), 30));
    let after_right = next(&edge, Some(&right), 40);
    let far = next(&edge, Some(&after_right), 41);
    let other_first = next(&edge, None, 500);
    for (one, other) in [
        (&left, &right),        // one number twice
        (&left, &after_right),  // another predecessor
        (&other_first, &far),   // counts less than before
        (&first, &other_first), // from the start
    ] {
        for (one, other) in [(one, other), (other, one)] {
            assert_eq!(one.compare(other), Relation::Fork);
            let proof = ForkProof::new(one.clone(), other.clone()).unwrap();
            assert_eq!(proof.verify(&issuer), Ok(()));
            assert_eq!(proof.culprit(), who(DOWN).public());
            let bytes = proof.encode();
            assert_eq!(bytes.len(), FORK_PROOF_LEN);
            let read = ForkProof::decode(&bytes).unwrap();
            assert_eq!((read.verify(&issuer), &read), (Ok(()), &proof));
            assert_eq!(read.verify(&who(8).public()), Err(Invalid::Issuer));
            assert_eq!(read.edge(), &edge.edge);
        }
    }
    // What is honest proves nothing.
    assert!(ForkProof::new(first.clone(), left.clone()).is_none());
    assert!(ForkProof::new(first.clone(), first.clone()).is_none());
    let honest = [first.encode(), left.encode()].concat();
    assert_eq!(ForkProof::decode(&honest), Err(DecodeError::Range("contradiction")));
}

#[test]
fn nobody_else_can_sign_and_nothing_crosses_edges() {
    let (here, there) = (edge(1), edge(2));
    let first = next(&here, None, 10);
    assert_eq!(Receipt::sign(&who(UP), &here, None, 10, 0), None, "not the downloader");
    assert_eq!(Receipt::sign(&who(DOWN), &there, Some(&first), 10, 0), None, "another chain");
    assert_eq!(next(&there, None, 10).compare(&first), Relation::Foreign);
    let mut moved = first.clone();
    moved.edge = there;
    assert_eq!(moved.verify(&who(ISSUER).public()), Err(Invalid::Downloader));
    assert_eq!(first.verify(&who(UP).public()), Err(Invalid::Issuer), "an issuer of one's own");
    // The uploader raises what it is owed.
    let mut raised = first.clone();
    raised.cum_bytes += 1;
    assert_eq!(raised.verify(&who(ISSUER).public()), Err(Invalid::Downloader));
    // A contradiction with a signature that is not the downloader's convicts nobody.
    let proof = ForkProof::new(first, raised).unwrap();
    assert_eq!(proof.verify(&who(ISSUER).public()), Err(Invalid::Downloader));
}

#[test]
fn every_bit_counts() {
    let bytes = next(&edge(1), None, 10).encode();
    let issuer = who(ISSUER).public();
    for bit in 0..bytes.len() * 8 {
        let mut bent = bytes.clone();
        bent[bit / 8] ^= 1 << (bit % 8);
        let accepted = Receipt::decode(&bent).is_ok_and(|receipt| receipt.verify(&issuer).is_ok());
        assert!(!accepted, "bit {bit} flipped");
    }
    for cut in 0..bytes.len() {
        assert!(Receipt::decode(&bytes[..cut]).is_err());
    }
}

proptest! {
    /// Whatever comes: an error, or the one encoding of what was read.
    #[test]
    fn decoders_take_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..700)) {
        if let Ok(receipt) = Receipt::decode(&bytes) {
            prop_assert_eq!(receipt.encode(), bytes.clone());
        }
        if let Ok(proof) = ForkProof::decode(&bytes) {
            prop_assert_eq!(proof.encode(), bytes.clone());
        }
        if let Ok(edge) = SignedEdge::decode(&bytes) {
            prop_assert_eq!(edge.encode(), bytes);
        }
    }

    /// In whatever order and how often receipts of one history come, the newest is kept and none
    /// is taken for a fork.
    #[test]
    fn order_and_repetition_do_no_harm(
        steps in prop::collection::vec(0..1_000_000_u64, 1..20),
        order in prop::collection::vec(any::<prop::sample::Index>(), 1..60),
    ) {
        let edge = edge(1);
        let mut history: Vec<Receipt> = Vec::new();
        let mut cum = 0;
        for step in steps {
            cum += step;
            let receipt = next(&edge, history.last(), cum);
            history.push(receipt);
        }
        let mut held: Option<Receipt> = None;
        let mut newest = 0;
        for index in order {
            let shown = index.get(&history);
            newest = newest.max(shown.seq);
            match held.as_ref().map(|held| shown.compare(held)) {
                None | Some(Relation::Newer) => held = Some(shown.clone()),
                Some(standing) => prop_assert_eq!(standing, Relation::Known),
            }
        }
        prop_assert_eq!(held.map(|held| held.seq), Some(newest));
    }
}
