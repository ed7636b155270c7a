//! Receipts, edges and proofs as bytes, and a ledger that is given them.

use crate::draw::Draw;
use beacon_ledger::receipt::{RECEIPT_LEN, Relation};
use beacon_ledger::{CreditConfig, CreditLedger, Edge, ForkProof, Id, Receipt, SignedEdge};
use beacon_sdk::plugin::Transfer;
use beacon_sdk::{BroadcastId, Identity, Instant, Ledger};

/// Calls on the ledger at most.
const CALLS_MAX: usize = 64;

fn who(number: u8) -> Identity {
    Identity::from_secret([number; 32])
}

fn edge(name: u8) -> SignedEdge {
    let broadcast = BroadcastId { publisher: who(9).public(), epoch: 7 };
    let (uploader, downloader) = (who(2).public(), who(3).public());
    let id = Id::new(1, [name; 10]);
    Edge { id, broadcast, uploader, downloader, session: 5, expires_ms: 100_000 }.sign(&who(1))
}

/// Input: a first byte that chooses, then bytes of a record, or choices of a history.
pub fn run(data: &[u8]) {
    match data.split_first() {
        Some((kind, rest)) if kind & 1 == 0 => records(rest),
        Some((_, rest)) => history(rest),
        None => {}
    }
}

/// What is read is written the same; no bytes are two things.
fn records(bytes: &[u8]) {
    if let Ok(edge) = SignedEdge::decode(bytes) {
        assert_eq!(edge.encode(), bytes);
    }
    if let Ok(receipt) = Receipt::decode(bytes) {
        assert_eq!(receipt.encode(), bytes);
        assert_eq!(receipt.compare(&receipt), Relation::Known);
    }
    if let Ok(proof) = ForkProof::decode(bytes) {
        assert_eq!(proof.encode(), bytes);
    }
    let config = CreditConfig::new(who(1).public(), 5);
    let mut ledger = CreditLedger::new(who(3), config);
    let _ = ledger.accept_edge(Instant::from_micros(1), bytes);
    let _ = ledger.accept_receipt(Instant::from_micros(1), who(2).public(), bytes);
}

/// A downloader signs, honestly or not, and an uploader is shown what it signs in any order: an honest
/// history makes no fork, and what is claimed only grows.
fn history(choices: &[u8]) {
    let mut draw = Draw::new(choices);
    let edges = [edge(1), edge(2)];
    let mut made: Vec<Receipt> = Vec::new();
    let mut last: [Option<Receipt>; 2] = [None, None];
    let mut honest = true;
    let mut ledger = CreditLedger::new(who(2), CreditConfig::new(who(1).public(), 5));
    let mut claimed = [0; 2];
    for _ in 0..CALLS_MAX {
        if !draw.more() {
            break;
        }
        let (what, which) = (draw.u8(), usize::from(draw.u8() & 1));
        let cum = u64::from(draw.u32());
        match what % 5 {
            0 | 1 => {
                // A forger continues from the beginning.
                let forge = what & 0x80 != 0 && last[which].is_some();
                honest &= !forge;
                let before = if forge { None } else { last[which].as_ref() };
                let receipt = Receipt::sign(&who(3), &edges[which], before, cum, 1).unwrap();
                last[which] = Some(receipt.clone());
                made.push(receipt);
            }
            2 if !made.is_empty() => {
                let receipt = &made[cum as usize % made.len()];
                let now = Instant::from_micros(1000);
                let taken = ledger.accept_receipt(now, who(3).public(), &receipt.encode());
                assert!(taken.is_ok() || !honest, "an honest receipt is refused: {taken:?}");
            }
            3 => {
                let transfer = Transfer { peer: who(3).public(), sent: cum as u32, received: 1 };
                ledger.record(Instant::from_micros(cum), transfer);
            }
            _ => {
                while let Some(claim) = ledger.poll_claim() {
                    if let Ok(proof) = ForkProof::decode(&claim) {
                        assert!(!honest, "an honest history is claimed to be a fork");
                        assert_eq!(proof.verify(&who(1).public()), Ok(()));
                        continue;
                    }
                    let receipt = Receipt::decode(&claim).unwrap();
                    assert_eq!(receipt.verify(&who(1).public()), Ok(()));
                    let which = usize::from(receipt.edge == edges[1]);
                    assert!(receipt.cum_bytes >= claimed[which], "a claim goes back");
                    claimed[which] = receipt.cum_bytes;
                }
            }
        }
    }
    for proof in ledger.forks() {
        assert!(!honest, "an honest history is taken for a fork");
        assert_eq!(proof.verify(&who(1).public()), Ok(()));
    }
}

/// Each kind of record, whole and spoilt, and histories with and without a fork.
pub fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    let first = Receipt::sign(&who(3), &edge(1), None, 5, 1).unwrap();
    let second = Receipt::sign(&who(3), &edge(1), Some(&first), 9, 1).unwrap();
    let fork = Receipt::sign(&who(3), &edge(1), None, 6, 1).unwrap();
    let proof = ForkProof::new(fork, first.clone()).unwrap();
    let record = |bytes: Vec<u8>| [vec![0], bytes].concat();
    let mut version = second.encode();
    version[0] = 2;
    let step = |what: u8, which: u8, cum: u32| [vec![what, which], cum.to_le_bytes().to_vec()].concat();
    let honest = [step(0, 0, 5), step(0, 0, 9), step(2, 0, 1), step(2, 0, 0), step(4, 0, 0)].concat();
    let forged = [step(0, 0, 5), step(2, 0, 0), step(0x80, 0, 9), step(2, 0, 1), step(4, 0, 0)].concat();
    vec![
        ("empty", vec![]),
        ("edge", record(edge(1).encode())),
        ("first", record(first.encode())),
        ("second", record(second.encode())),
        ("cut", record(second.encode()[..RECEIPT_LEN - 1].to_vec())),
        ("another-version", record(version)),
        ("proof", record(proof.encode())),
        ("honest", [vec![1], honest].concat()),
        ("forged", [vec![1], forged].concat()),
    ]
}
