//! The suite of [`Ledger`]: clauses L01–L07.

use crate::id::PeerId;
use crate::identity::Identity;
use crate::plugin::{EDGE_BYTES_MAX, Ledger, RECEIPT_BYTES_MAX, Standing, Transfer};
use crate::rng::Rng;
use crate::time::Instant;
use bytes::Bytes;
use core::time::Duration;

/// Receipts that one ledger may have due at once, as far as this suite waits for an end.
const RECEIPTS_MAX: usize = 10_000;

/// One `#[test]` per clause L01–L07 for the ledgers that the constructor `$make` returns for the
/// [`Identity`] of their owner: `ledger_conformance!(|_| MyLedger::default())`.
#[macro_export]
macro_rules! ledger_conformance {
    ($make:expr) => {
        $crate::__pure_conformance_tests!($make, ledger,
            l01_standing_follows_from_calls l02_a_receipt_counts_once l03_balances_never_wrap
            l04_deterministic l05_any_bytes_are_taken l06_claims_were_accepted
            l07_nothing_waits_after_the_end);
    };
}

fn owner(number: u8) -> Identity {
    Identity::from_secret([number; 32])
}

fn id(number: u8) -> PeerId {
    owner(number).public()
}

fn at(second: u64) -> Instant {
    Instant::from_micros(1_000_000 * second)
}

fn transfers(seed: u64) -> Vec<Transfer> {
    let mut rng = Rng::new([5; 32], seed);
    let peers = [10, 11, 12, 13].map(id);
    let transfers = (0..400).map(|_| Transfer {
        peer: peers[rng.below(4) as usize],
        sent: rng.below(100_000),
        received: rng.below(100_000),
    });
    transfers.collect()
}

fn record(ledger: &mut impl Ledger, transfers: &[Transfer]) {
    for (second, transfer) in (0..).zip(transfers) {
        ledger.record(at(second), *transfer);
    }
}

fn standings(ledger: &impl Ledger) -> Vec<Standing> {
    (9..15).map(|number| ledger.standing(id(number))).collect()
}

/// All receipts that are due.
fn receipts(clause: &str, ledger: &mut impl Ledger, now: Instant) -> Vec<(PeerId, Bytes)> {
    let mut due = Vec::new();
    while let Some((to, receipt)) = ledger.poll_receipt(now) {
        assert!(receipt.len() <= RECEIPT_BYTES_MAX, "{clause}: a receipt above the limit");
        due.push((to, receipt));
        assert!(due.len() <= RECEIPTS_MAX, "{clause}: receipts are due without end");
    }
    due
}

/// The balance of each peer is what it gave less what it got; asking changes nothing, and what
/// one peer does concerns no other.
pub fn l01_standing_follows_from_calls<L: Ledger>(make: impl Fn(&Identity) -> L) {
    let mut ledger = make(&owner(1));
    let stranger = ledger.standing(id(9));
    assert_eq!(stranger.balance, 0, "L01: a stranger's balance is 0");
    let transfers = transfers(1);
    record(&mut ledger, &transfers);
    for number in 9..15 {
        let (peer, mut expected) = (id(number), 0_i64);
        for transfer in transfers.iter().filter(|transfer| transfer.peer == peer) {
            expected += i64::from(transfer.received) - i64::from(transfer.sent);
        }
        let balance = ledger.standing(peer).balance;
        assert_eq!(balance, expected, "L01: received less sent of peer {number}");
        assert_eq!(ledger.standing(peer).balance, expected, "L01: asking changes a balance");
    }
    assert_eq!(ledger.standing(id(9)), stranger, "L01: others' transfers change a stranger");
}

/// A receipt given twice, or bent, changes no standing the second time.
pub fn l02_a_receipt_counts_once<L: Ledger>(make: impl Fn(&Identity) -> L) {
    let (mut reader, mut uploader) = (make(&owner(1)), make(&owner(2)));
    let (down, up) = (id(1), id(2));
    let counted = |ledger: &L| (ledger.standing(down), ledger.acknowledged());
    assert_eq!(uploader.acknowledged(), 0, "L02: bytes are acknowledged without a receipt");
    for second in 0..600 {
        let bytes = 100_000;
        reader.record(at(second), Transfer { peer: up, sent: 0, received: bytes });
        uploader.record(at(second), Transfer { peer: down, sent: bytes, received: 0 });
    }
    let now = at(600);
    let mut given: Vec<Bytes> = receipts("L02", &mut reader, now)
        .into_iter()
        .filter_map(|(to, receipt)| (to == up).then_some(receipt))
        .collect();
    // Where none are issued, what a hostile neighbour makes up.
    given.push(Bytes::from_static(b"a receipt of nothing"));
    given.push(Bytes::new());
    for receipt in given {
        let before = counted(&uploader);
        let mut bent = receipt.to_vec();
        if let Some(last) = bent.last_mut() {
            *last ^= 1;
            let refused = uploader.accept_receipt(now, down, &bent).is_err();
            assert!(refused, "L02: a receipt with a flipped bit is accepted");
        }
        assert_eq!(counted(&uploader), before, "L02: a refused receipt counts");
        let accepted = uploader.accept_receipt(now, down, &receipt).is_ok();
        let once = counted(&uploader);
        assert!(accepted || once == before, "L02: a refused receipt counts");
        assert!(once.1 >= before.1, "L02: a receipt takes back what was acknowledged");
        let _ = uploader.accept_receipt(now + Duration::from_secs(1), down, &receipt);
        assert_eq!(counted(&uploader), once, "L02: a receipt counts twice");
    }
}

/// Sums far above 32 bits stay exact in both directions.
pub fn l03_balances_never_wrap<L: Ledger>(make: impl Fn(&Identity) -> L) {
    const TRANSFERS: i64 = 100_000;
    let mut ledger = make(&owner(1));
    let (giver, taker) = (id(10), id(11));
    for second in 0..TRANSFERS.unsigned_abs() {
        ledger.record(at(second), Transfer { peer: giver, sent: 0, received: u32::MAX });
        ledger.record(at(second), Transfer { peer: taker, sent: u32::MAX, received: 0 });
    }
    let expected = TRANSFERS * i64::from(u32::MAX);
    assert_eq!(ledger.standing(giver).balance, expected, "L03: a large balance is not exact");
    assert_eq!(ledger.standing(taker).balance, -expected, "L03: a large debt is not exact");
}

/// Two ledgers of one owner that see the same say the same, receipts included.
pub fn l04_deterministic<L: Ledger>(make: impl Fn(&Identity) -> L) {
    for seed in 0..20 {
        let transfers = transfers(seed);
        let (mut one, mut other) = (make(&owner(1)), make(&owner(1)));
        record(&mut one, &transfers);
        record(&mut other, &transfers);
        let now = at(1000);
        let (first, second) = (receipts("L04", &mut one, now), receipts("L04", &mut other, now));
        assert_eq!(first, second, "L04: two ledgers issue different receipts");
        assert_eq!(standings(&one), standings(&other), "L04: two standings for the same calls");
    }
}

/// Noise as edge and as receipt is refused, and has no effect.
pub fn l05_any_bytes_are_taken<L: Ledger>(make: impl Fn(&Identity) -> L) {
    let mut ledger = make(&owner(1));
    let before = standings(&ledger);
    let mut rng = Rng::new([6; 32], 0);
    for length in (0..400).chain([EDGE_BYTES_MAX, RECEIPT_BYTES_MAX, 100_000]) {
        let noise: Vec<u8> = (0..length).map(|_| rng.bits() as u8).collect();
        let now = at(u64::from(rng.below(1000)));
        assert!(ledger.accept_edge(now, &noise).is_err(), "L05: noise is taken for an edge");
        let refused = ledger.accept_receipt(now, id(9), &noise).is_err();
        assert!(refused, "L05: noise is taken for a receipt");
    }
    assert_eq!(standings(&ledger), before, "L05: noise changes a standing");
    assert_eq!(ledger.acknowledged(), 0, "L05: noise acknowledges bytes");
    assert_eq!(receipts("L05", &mut ledger, at(1000)), [], "L05: noise makes a receipt due");
    assert_eq!(ledger.poll_claim(), None, "L05: noise is claimed");
}

/// Claims end, are within the limit, differ from each other, and are among the receipts accepted.
pub fn l06_claims_were_accepted<L: Ledger>(make: impl Fn(&Identity) -> L) {
    let (mut reader, mut uploader) = (make(&owner(1)), make(&owner(2)));
    uploader.record(at(1), Transfer { peer: id(1), sent: 1_000_000, received: 2_000_000 });
    assert_eq!(uploader.poll_claim(), None, "L06: a claim without a receipt");
    reader.record(at(1), Transfer { peer: id(2), sent: 0, received: 1_000_000 });
    let mut accepted = Vec::new();
    for (to, receipt) in receipts("L06", &mut reader, at(60)) {
        if to == id(2) && uploader.accept_receipt(at(60), id(1), &receipt).is_ok() {
            accepted.push(receipt);
        }
    }
    let mut claims = Vec::new();
    while let Some(claim) = uploader.poll_claim() {
        assert!(claim.len() <= RECEIPT_BYTES_MAX, "L06: a claim above the limit");
        assert!(accepted.contains(&claim), "L06: a claim that was never accepted");
        assert!(!claims.contains(&claim), "L06: a claim is made twice");
        claims.push(claim);
    }
}

/// Once this peer leaves, all that it will ever sign for what it has is due at once.
pub fn l07_nothing_waits_after_the_end<L: Ledger>(make: impl Fn(&Identity) -> L) {
    let mut ledger = make(&owner(1));
    for peer in [10, 11] {
        ledger.record(at(1), Transfer { peer: id(peer), sent: 0, received: 1 });
    }
    ledger.finish();
    receipts("L07", &mut ledger, at(1));
    assert_eq!(receipts("L07", &mut ledger, at(3600)), [], "L07: a receipt waits for a later time");
    ledger.record(at(3600), Transfer { peer: id(10), sent: 0, received: 1 });
    receipts("L07", &mut ledger, at(3600));
    assert_eq!(
        receipts("L07", &mut ledger, at(7200)),
        [],
        "L07: a late byte waits for a later time"
    );
}
