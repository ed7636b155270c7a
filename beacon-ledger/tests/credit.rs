//! The engine's face: receipts as the engine would have them made and taken.

#![allow(clippy::unwrap_used)]

use beacon_ledger::{CreditConfig, CreditLedger, Edge, Id, Receipt, SignedEdge};
use beacon_sdk::plugin::Transfer;
use beacon_sdk::{BroadcastId, Identity, Instant, Ledger};
use core::time::Duration;

fn who(number: u8) -> Identity {
    Identity::from_secret([number; 32])
}

const ISSUER: u8 = 200;
const SESSION: u64 = 5;
const KIB: u32 = 1024;

fn edge(name: u8, up: u8, down: u8) -> SignedEdge {
    let broadcast = BroadcastId { publisher: who(201).public(), epoch: 1 };
    let (uploader, downloader) = (who(up).public(), who(down).public());
    let id = Id::new(1, [name; 10]);
    Edge { id, broadcast, uploader, downloader, session: SESSION, expires_ms: 10_000_000_000 }
        .sign(&who(ISSUER))
}

fn ledger(of: u8) -> CreditLedger {
    CreditLedger::new(who(of), CreditConfig::new(who(ISSUER).public(), SESSION))
}

fn at(millis: u64) -> Instant {
    Instant::from_micros(1000 * millis)
}

/// The suite of the trait, with edges between all peers that it uses.
mod conformance {
    use super::*;

    fn make(owner: &Identity) -> CreditLedger {
        let config = CreditConfig::new(who(ISSUER).public(), SESSION);
        let mut ledger = CreditLedger::new(owner.clone(), config);
        let peers = [1, 2, 9, 10, 11, 12, 13, 14];
        for (number, up) in peers.into_iter().enumerate() {
            if who(up).public() != owner.public() {
                let down = peers.into_iter().find(|&p| who(p).public() == owner.public()).unwrap();
                let edge = edge(number as u8, up, down);
                ledger.accept_edge(at(0), &edge.encode()).unwrap();
            }
        }
        ledger
    }

    beacon_sdk::ledger_conformance!(make);
}

/// An uploader and a downloader with an edge between them.
fn pair() -> (CreditLedger, CreditLedger) {
    let (up, mut down) = (ledger(1), ledger(2));
    down.accept_edge(at(0), &edge(1, 1, 2).encode()).unwrap();
    (up, down)
}

fn carry(now: u64, up: &mut CreditLedger, down: &mut CreditLedger, bytes: u32) {
    up.record(at(now), Transfer { peer: who(2).public(), sent: bytes, received: 0 });
    down.record(at(now), Transfer { peer: who(1).public(), sent: 0, received: bytes });
}

#[test]
fn receipts_come_by_bytes_and_by_time() {
    let (mut up, mut down) = pair();
    carry(0, &mut up, &mut down, 255 * KIB);
    assert_eq!(down.poll_receipt(at(999)), None, "neither 256 KiB nor a second");
    carry(999, &mut up, &mut down, KIB);
    let (to, receipt) = down.poll_receipt(at(999)).unwrap();
    assert_eq!(to, who(1).public());
    assert_eq!(Receipt::decode(&receipt).unwrap().cum_bytes, 256 * 1024);
    carry(1000, &mut up, &mut down, 1);
    assert_eq!(down.poll_receipt(at(1999)), None);
    let (_, receipt) = down.poll_receipt(at(2000)).unwrap();
    assert_eq!(Receipt::decode(&receipt).unwrap().cum_bytes, 256 * 1024 + 1);
    assert_eq!(down.poll_receipt(at(90_000)), None, "nothing new to sign for");
    let (mut stranger, _) = pair();
    carry(0, &mut up, &mut stranger, 1024 * KIB);
    assert_eq!(stranger.poll_receipt(at(5000)), None, "no edge, no receipt");
}

/// Who leaves owes nothing: what is left is signed for at once, and what still comes as it comes.
#[test]
fn the_last_bytes_are_signed_for_before_their_time() {
    let (mut up, mut down) = pair();
    let peer = who(2).public();
    carry(0, &mut up, &mut down, 300 * KIB);
    let (_, first) = down.poll_receipt(at(0)).unwrap();
    up.accept_receipt(at(0), peer, &first).unwrap();
    carry(1, &mut up, &mut down, 7);
    assert_eq!(down.poll_receipt(at(1)), None, "neither 256 KiB nor a second");
    down.finish();
    for (owed, signed) in [(0, 7), (5, 12)] {
        carry(2, &mut up, &mut down, owed);
        let (to, last) = down.poll_receipt(at(2)).unwrap();
        assert_eq!(to, who(1).public());
        up.accept_receipt(at(3), peer, &last).unwrap();
        assert_eq!(up.acknowledged(), 300 * 1024 + signed);
        assert_eq!(down.poll_receipt(at(90_000)), None, "all is signed for");
    }
    up.accept_receipt(at(4), peer, &first).unwrap();
    assert_eq!(up.acknowledged(), 300 * 1024 + 12, "an old one acknowledges nothing anew");
}

/// What a cheat can have: the newcomer's allowance or the window, and no more until it signs.
#[test]
fn who_does_not_sign_is_not_served() {
    let (mut up, mut down) = pair();
    let peer = who(2).public();
    let served = |up: &CreditLedger| up.standing(peer).served;
    let mut taken = 0_u64;
    while served(&up) {
        carry(0, &mut up, &mut down, 64 * KIB);
        taken += 64 * 1024;
    }
    assert_eq!(taken, 2 * 1024 * 1024, "a newcomer's allowance");
    let (_, receipt) = down.poll_receipt(at(1000)).unwrap();
    up.accept_receipt(at(1000), peer, &receipt).unwrap();
    assert!(served(&up), "it has signed");
    taken = 0;
    while served(&up) {
        carry(2000, &mut up, &mut down, 64 * KIB);
        taken += 64 * 1024;
    }
    assert_eq!(taken, 1024 * 1024, "the window");
    // Who has given has that much more.
    up.record(at(2000), Transfer { peer, sent: 0, received: 8 * 1024 * KIB });
    assert!(served(&up), "it has given more than it got");
    // A fifth lost or doubled on the way starves nobody who signs.
    let (mut up, mut down) = pair();
    for second in 1..600 {
        up.record(at(1000 * second), Transfer { peer, sent: 600 * KIB, received: 0 });
        let received = Transfer { peer: who(1).public(), sent: 0, received: 480 * KIB };
        down.record(at(1000 * second), received);
        let (_, receipt) = down.poll_receipt(at(1000 * second + 10)).unwrap();
        up.accept_receipt(at(1000 * second + 20), peer, &receipt).unwrap();
        assert!(served(&up), "starved after {second} s");
    }
}

#[test]
fn replayed_reordered_and_foreign_receipts_change_nothing() {
    let (mut up, mut down) = pair();
    let peer = who(2).public();
    let mut receipts = Vec::new();
    for second in 1..=5 {
        carry(1000 * second, &mut up, &mut down, 300 * KIB);
        receipts.push(down.poll_receipt(at(1000 * second)).unwrap().1);
    }
    up.accept_receipt(at(6000), peer, &receipts[3]).unwrap();
    let before = up.standing(peer);
    let claim = up.poll_claim().unwrap();
    assert_eq!(claim, receipts[3]);
    for receipt in [&receipts[3], &receipts[0], &receipts[2]] {
        up.accept_receipt(at(6000), peer, receipt).unwrap();
        assert_eq!((up.standing(peer), up.poll_claim()), (before, None));
    }
    // Somebody else shows it, or shows it to somebody else.
    assert!(up.accept_receipt(at(6000), who(3).public(), &receipts[4]).is_err());
    assert!(ledger(3).accept_receipt(at(6000), peer, &receipts[4]).is_err());
    // An edge of an issuer of one's own.
    let mut forged = edge(1, 1, 2).edge;
    forged.id = Id::new(2, [9; 10]);
    let own = Receipt::sign(&who(2), &forged.sign(&who(2)), None, 1 << 40, 0).unwrap();
    assert!(up.accept_receipt(at(6000), peer, &own.encode()).is_err());
    // Past its time, by more than clocks differ.
    assert!(up.accept_receipt(at(10_000_090_000), peer, &receipts[4]).is_ok());
    assert!(up.accept_receipt(at(10_000_090_002), peer, &receipts[4]).is_err());
    assert_eq!(up.poll_claim(), Some(receipts[4].clone()));
}

#[test]
fn a_fork_is_kept_and_its_author_served_no_more() {
    let (mut up, mut down) = pair();
    let (peer, edge) = (who(2).public(), edge(1, 1, 2));
    carry(0, &mut up, &mut down, 400 * KIB);
    let (_, receipt) = down.poll_receipt(at(0)).unwrap();
    up.accept_receipt(at(0), peer, &receipt).unwrap();
    assert!(up.standing(peer).served);
    let other = Receipt::sign(&who(2), &edge, None, 5, 0).unwrap();
    assert!(up.accept_receipt(at(0), peer, &other.encode()).is_err());
    assert!(!up.standing(peer).served);
    let proof = up.forks().next().unwrap().clone();
    assert_eq!(proof.culprit(), peer);
    assert_eq!(proof.verify(&who(ISSUER).public()), Ok(()));
    // It is shown to the issuer, once, and the receipt that counts as well; a second fork of the same proves no more.
    let third = Receipt::sign(&who(2), &edge, None, 6, 0).unwrap();
    assert!(up.accept_receipt(at(0), peer, &third.encode()).is_err());
    assert_eq!(up.forks().count(), 2);
    assert_eq!(up.poll_claim(), Some(proof.encode().into()));
    assert_eq!((up.poll_claim(), up.poll_claim()), (Some(receipt), None));
}

/// After a restart a downloader no longer knows what it has signed: it signs for new edges only.
#[test]
fn restarts_do_no_harm() {
    let (mut up, mut down) = pair();
    let peer = who(2).public();
    carry(0, &mut up, &mut down, 512 * KIB);
    let (_, receipt) = down.poll_receipt(at(0)).unwrap();
    up.accept_receipt(at(0), peer, &receipt).unwrap();
    let config = CreditConfig::new(who(ISSUER).public(), SESSION + 1);
    let mut down = CreditLedger::new(who(2), config);
    assert!(down.accept_edge(at(1), &edge(1, 1, 2).encode()).is_err(), "of an earlier session");
    carry(1, &mut up, &mut down, 512 * KIB);
    assert_eq!(down.poll_receipt(at(5000)), None);
    let mut fresh = edge(1, 1, 2).edge;
    (fresh.id, fresh.session) = (Id::new(2, [2; 10]), SESSION + 1);
    down.accept_edge(at(2), &fresh.sign(&who(ISSUER)).encode()).unwrap();
    let (_, receipt) = down.poll_receipt(at(5000)).unwrap();
    up.accept_receipt(at(5000), peer, &receipt).unwrap();
    assert_eq!(up.forks().count(), 0);
    // The uploader restarts: what comes next still counts.
    let mut up = ledger(1);
    carry(6000, &mut up, &mut down, 512 * KIB);
    let (_, receipt) = down.poll_receipt(at(6000)).unwrap();
    up.accept_receipt(at(6000), peer, &receipt).unwrap();
    assert_eq!(up.poll_claim(), Some(receipt));
}

/// A tracker renews edges: what was carried before the new one comes is signed over it.
#[test]
fn edges_are_renewed_and_old_ones_stay_old() {
    let (mut up, mut down) = pair();
    let peer = who(2).public();
    carry(0, &mut up, &mut down, 300 * KIB);
    let (_, first) = down.poll_receipt(at(0)).unwrap();
    carry(10, &mut up, &mut down, 100 * KIB);
    let mut renewed = edge(1, 1, 2).edge;
    renewed.id = Id::new(2, [2; 10]);
    down.accept_edge(at(20), &renewed.sign(&who(ISSUER)).encode()).unwrap();
    down.accept_edge(at(30), &edge(1, 1, 2).encode()).unwrap();
    let (_, second) = down.poll_receipt(at(1010)).unwrap();
    let read = Receipt::decode(&second).unwrap();
    assert_eq!((read.edge.edge.id, read.seq, read.cum_bytes), (renewed.id, 1, 100 * 1024));
    for receipt in [second, first] {
        up.accept_receipt(at(1100), peer, &receipt).unwrap();
    }
    assert_eq!([up.poll_claim(), up.poll_claim()].iter().flatten().count(), 2, "one per edge");
    assert_eq!(up.poll_claim(), None);
    // Not this peer's, and not the issuer's.
    assert!(down.accept_edge(at(40), &edge(3, 2, 1).encode()).is_err());
    assert!(down.accept_edge(at(40), &renewed.sign(&who(9)).encode()).is_err());
    let later = at(10_000_000_000) + Duration::from_secs(91);
    assert!(down.accept_edge(later, &edge(4, 1, 2).encode()).is_err(), "expired");
}

/// Until a rendezvous names its key, nothing is signed or claimed, and nobody is choked for it.
#[test]
fn whose_edges_count_is_learned_or_given() {
    let untold = |of| CreditLedger::new(who(of), CreditConfig::new(None, SESSION));
    let (mut up, mut down) = (untold(1), untold(2));
    let (issuer, peer) = (who(ISSUER).public(), who(2).public());
    assert!(down.accept_edge(at(0), &edge(1, 1, 2).encode()).is_err());
    carry(0, &mut up, &mut down, 8 * 1024 * KIB);
    assert_eq!(down.poll_receipt(at(5000)), None);
    assert!(up.standing(peer).served, "nobody could have signed");
    let (_, mut told) = pair();
    carry(0, &mut up, &mut told, 512 * KIB);
    let (_, receipt) = told.poll_receipt(at(0)).unwrap();
    assert_eq!(up.accept_receipt(at(1), peer, &receipt), Ok(()), "no offence");
    assert_eq!(up.poll_claim(), None);

    for ledger in [&mut up, &mut down] {
        ledger.accept_issuer(issuer);
    }
    assert!(!up.standing(peer).served, "by now it could");
    down.accept_edge(at(2), &edge(1, 1, 2).encode()).unwrap();
    let (_, receipt) = down.poll_receipt(at(5000)).unwrap();
    assert_eq!(Receipt::decode(&receipt).unwrap().cum_bytes, 8 * 1024 * 1024);
    up.accept_receipt(at(5001), peer, &receipt).unwrap();
    assert!(up.poll_claim().is_some());
    // One that the application names stays.
    let (_, mut pinned) = pair();
    pinned.accept_issuer(who(8).public());
    assert!(pinned.accept_edge(at(3), &edge(2, 3, 2).encode()).is_ok());
}
