//! Schedulers, scorers, ledgers and codes that break one clause each.

use super::caught;
use super::good::Greedy;
use beacon_sdk::conformance::{erasure, ledger, scheduler, scorer};
use beacon_sdk::plugin::{
    ErasureError, Layout, MeshView, Observation, Plan, PlanAction, ReceiptError, Standing, Transfer,
};
use beacon_sdk::policy::{MeshScore, OpenLedger, Plain};
use beacon_sdk::{
    ErasureCode, Identity, Instant, Ledger, PeerId, Rng, Role, Scheduler, Score, Scorer,
};
use bytes::Bytes;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A source of difference between two instances.
static CALLS: AtomicU64 = AtomicU64::new(0);

fn odd_call() -> bool {
    CALLS.fetch_add(1, Ordering::Relaxed) % 3 == 1
}

#[derive(Debug)]
enum BadScheduler {
    Random,
    AsksAnybody,
    SubscribesAnybody,
    Idle,
    Slow,
    Indexes,
    Repeats,
}

impl Scheduler for BadScheduler {
    fn name(&self) -> &'static str {
        "bad"
    }

    fn plan(&mut self, view: &MeshView, rng: &mut Rng, plan: &mut Plan) {
        let anybody = view.peers.first();
        match self {
            Self::Random if odd_call() => return,
            Self::Idle => return,
            Self::AsksAnybody => {
                for need in &view.needs {
                    let esis = need.missing.iter().map(|(esi, _)| *esi).collect();
                    if let Some(peer) = anybody {
                        plan.request(peer.key, need.id, esis);
                    }
                }
            }
            Self::SubscribesAnybody => {
                for stripe in &view.stripes {
                    if let Some(peer) = anybody {
                        plan.subscribe(stripe.stripe, peer.key);
                    }
                }
            }
            Self::Slow if view.needs.len() > 50_000 => {
                std::thread::sleep(Duration::from_secs(11));
            }
            Self::Indexes => {
                let parents = view.stripes.iter().filter_map(|stripe| stripe.parent);
                parents.for_each(|parent| assert!(view.peer(parent).is_some(), "no such peer"));
            }
            _ => {}
        }
        Greedy.plan(view, rng, plan);
        if let Self::Repeats = self {
            for action in plan.actions().to_vec() {
                if let PlanAction::Request { peer, segment, esis } = action {
                    plan.request(peer, segment, esis);
                }
            }
        }
    }
}

#[test]
fn schedulers() {
    use BadScheduler::*;
    caught("H01", || scheduler::h01_deterministic(|| Random));
    caught("H02", || scheduler::h02_asks_only_holders(|| AsksAnybody));
    caught("H02", || scheduler::h02_asks_only_holders(|| SubscribesAnybody));
    caught("H03", || scheduler::h03_progress(|| Idle));
    caught("H04", || scheduler::h04_bounded_cost(|| Slow));
    caught("H05", || scheduler::h05_no_panic_on_any_view(|| Indexes));
    caught("H06", || scheduler::h06_asks_once(|| Repeats));
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum ScoreLie {
    UsefulHurts,
    InvalidHelps,
    FavoursSome,
    Remembers,
    ForgetsHalf,
    Random,
    Overflows,
}

#[derive(Debug)]
struct BadScorer {
    inner: MeshScore,
    lie: ScoreLie,
    seen: Vec<PeerId>,
    invalid: BTreeSet<PeerId>,
    sum: u32,
}

fn bad_scorer(lie: ScoreLie) -> BadScorer {
    BadScorer {
        inner: MeshScore::default(),
        lie,
        seen: Vec::new(),
        invalid: BTreeSet::new(),
        sum: 0,
    }
}

impl Scorer for BadScorer {
    fn observe(&mut self, now: Instant, peer: PeerId, seen: Observation) {
        match (self.lie, seen) {
            (ScoreLie::UsefulHurts, Observation::Useful { bytes: 1_000_000.. }) => {
                self.inner.observe(now, peer, Observation::Unanswered);
            }
            (ScoreLie::InvalidHelps, Observation::Invalid) => {
                self.inner.observe(now, peer, Observation::Useful { bytes: 100_000 });
            }
            (ScoreLie::Overflows, Observation::Useful { bytes }) => {
                self.sum = self.sum.checked_add(bytes).expect("overflow");
            }
            _ => self.inner.observe(now, peer, seen),
        }
        if self.lie == ScoreLie::Remembers {
            self.seen.push(peer);
        }
        if seen == Observation::Dropped {
            self.invalid.insert(peer);
        }
    }

    fn score(&self, now: Instant, peer: PeerId) -> Score {
        let score = self.inner.score(now, peer).get();
        match self.lie {
            ScoreLie::FavoursSome if peer.short() == u32::MAX => Score::new(100),
            ScoreLie::ForgetsHalf if self.invalid.contains(&peer) => Score::new(0),
            ScoreLie::Random if odd_call() => Score::new(score.saturating_sub(1)),
            _ => Score::new(score),
        }
    }

    fn role(&self, now: Instant, peer: PeerId) -> Role {
        self.inner.role(now, peer)
    }

    fn forget(&mut self, peer: PeerId) {
        self.inner.forget(peer);
    }
}

#[test]
fn scorers() {
    caught("C01", || scorer::c01_monotone(|| bad_scorer(ScoreLie::UsefulHurts)));
    caught("C01", || scorer::c01_monotone(|| bad_scorer(ScoreLie::InvalidHelps)));
    caught("C02", || scorer::c02_newcomers_are_alike(|| bad_scorer(ScoreLie::FavoursSome)));
    caught("C03", || scorer::c03_bounded_memory(|| bad_scorer(ScoreLie::Remembers)));
    caught("C04", || scorer::c04_forget_is_total(|| bad_scorer(ScoreLie::ForgetsHalf)));
    caught("C05", || scorer::c05_deterministic(|| bad_scorer(ScoreLie::Random)));
    caught("C06", || scorer::c06_any_history_is_scored(|| bad_scorer(ScoreLie::Overflows)));
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum LedgerLie {
    None,
    SharesBalances,
    AnyReceipt,
    CountsTwice,
    Wraps,
    Random,
    EndlessReceipts,
    TakesNoise,
    ClaimsUnseen,
    ClaimsTwice,
    AcknowledgesMore,
    WaitsForTheMorrow,
}

/// An open ledger with receipts that are the owner's key and one credit for their first showing.
#[derive(Debug)]
struct BadLedger {
    inner: OpenLedger,
    lie: LedgerLie,
    owner: PeerId,
    due: BTreeSet<PeerId>,
    accepted: BTreeSet<PeerId>,
    claims: Vec<Bytes>,
    sum: i32,
    /// Times that anything was shown as a receipt.
    shown: u64,
}

fn bad_ledger(lie: LedgerLie) -> impl Fn(&Identity) -> BadLedger {
    move |owner| BadLedger {
        inner: OpenLedger::default(),
        lie,
        owner: owner.public(),
        due: BTreeSet::new(),
        accepted: BTreeSet::new(),
        claims: Vec::new(),
        sum: 0,
        shown: 0,
    }
}

impl Ledger for BadLedger {
    fn record(&mut self, now: Instant, transfer: Transfer) {
        self.due.insert(transfer.peer);
        self.sum = self.sum.wrapping_add_unsigned(transfer.received);
        self.sum = self.sum.wrapping_sub_unsigned(transfer.sent);
        if self.lie == LedgerLie::Random && odd_call() {
            return;
        }
        self.inner.record(now, transfer);
    }

    fn standing(&self, peer: PeerId) -> Standing {
        let standing = self.inner.standing(peer);
        match self.lie {
            LedgerLie::SharesBalances | LedgerLie::Wraps => {
                Standing { balance: i64::from(self.sum), ..standing }
            }
            _ => standing,
        }
    }

    fn accept_edge(&mut self, _now: Instant, _edge: &[u8]) -> Result<(), ReceiptError> {
        match self.lie {
            LedgerLie::TakesNoise => Ok(()),
            _ => Err(ReceiptError("not an edge")),
        }
    }

    fn poll_receipt(&mut self, now: Instant) -> Option<(PeerId, Bytes)> {
        if self.lie == LedgerLie::WaitsForTheMorrow && now < Instant::from_micros(60_000_000) {
            return None;
        }
        let receipt = Bytes::copy_from_slice(self.owner.as_bytes());
        if self.lie == LedgerLie::EndlessReceipts {
            return Some((self.owner, receipt));
        }
        Some((self.due.pop_first()?, receipt))
    }

    fn accept_receipt(
        &mut self,
        now: Instant,
        from: PeerId,
        receipt: &[u8],
    ) -> Result<(), ReceiptError> {
        self.shown += 1;
        let known = receipt == from.as_bytes();
        if !known && self.lie != LedgerLie::AnyReceipt {
            return Err(ReceiptError("not a receipt"));
        }
        if self.accepted.insert(from) || self.lie == LedgerLie::CountsTwice {
            self.inner.record(now, Transfer { peer: from, sent: 0, received: 1 });
            self.claims.push(Bytes::copy_from_slice(receipt));
        }
        Ok(())
    }

    fn poll_claim(&mut self) -> Option<Bytes> {
        match self.lie {
            LedgerLie::ClaimsUnseen => Some(Bytes::from_static(b"a claim")),
            LedgerLie::ClaimsTwice => self.claims.first().cloned(),
            _ => self.claims.pop(),
        }
    }

    fn acknowledged(&self) -> u64 {
        match self.lie {
            LedgerLie::AcknowledgesMore => self.shown,
            _ => self.accepted.len() as u64,
        }
    }
}

#[test]
fn ledgers() {
    use LedgerLie::*;
    // With receipts, and honest.
    ledger::l02_a_receipt_counts_once(bad_ledger(None));
    ledger::l04_deterministic(bad_ledger(None));
    ledger::l05_any_bytes_are_taken(bad_ledger(None));
    ledger::l06_claims_were_accepted(bad_ledger(None));
    ledger::l07_nothing_waits_after_the_end(bad_ledger(None));
    caught("L01", || ledger::l01_standing_follows_from_calls(bad_ledger(SharesBalances)));
    caught("L02", || ledger::l02_a_receipt_counts_once(bad_ledger(AnyReceipt)));
    caught("L02", || ledger::l02_a_receipt_counts_once(bad_ledger(CountsTwice)));
    caught("L02", || ledger::l02_a_receipt_counts_once(bad_ledger(EndlessReceipts)));
    caught("L03", || ledger::l03_balances_never_wrap(bad_ledger(Wraps)));
    caught("L04", || ledger::l04_deterministic(bad_ledger(Random)));
    caught("L05", || ledger::l05_any_bytes_are_taken(bad_ledger(TakesNoise)));
    caught("L05", || ledger::l05_any_bytes_are_taken(bad_ledger(AnyReceipt)));
    caught("L06", || ledger::l06_claims_were_accepted(bad_ledger(ClaimsUnseen)));
    caught("L06", || ledger::l06_claims_were_accepted(bad_ledger(ClaimsTwice)));
    caught("L02", || ledger::l02_a_receipt_counts_once(bad_ledger(AcknowledgesMore)));
    caught("L07", || ledger::l07_nothing_waits_after_the_end(bad_ledger(WaitsForTheMorrow)));
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum CodeLie {
    None,
    WantsAll,
    Reverses,
    Random,
    Guesses,
    TakesAnything,
    Panics,
    CountsTwice,
}

/// Without repair like [`Plain`], except for the lies that need some: those make worthless ones.
#[derive(Debug)]
struct BadCode(CodeLie);

fn bad_code(lie: CodeLie) -> impl Fn() -> Box<dyn ErasureCode> {
    move || Box::new(BadCode(lie))
}

impl ErasureCode for BadCode {
    fn id(&self) -> u8 {
        u8::from(matches!(self.0, CodeLie::WantsAll | CodeLie::Random))
    }

    fn repair(
        &mut self,
        layout: &Layout,
        payload: &[u8],
        esis: &[u16],
    ) -> Result<Vec<Bytes>, ErasureError> {
        match self.0 {
            CodeLie::TakesAnything => return Ok(Vec::new()),
            CodeLie::WantsAll | CodeLie::Random => {}
            _ => return Plain.repair(layout, payload, esis),
        }
        let mut sum = vec![0_u8; layout.symbol_size()];
        if self.0 == CodeLie::Random {
            sum[0] = u8::from(odd_call());
        }
        Ok(esis.iter().map(|_| Bytes::from(sum.clone())).collect())
    }

    fn recover(
        &mut self,
        layout: &Layout,
        symbols: &[(u16, Bytes)],
    ) -> Result<Option<Bytes>, ErasureError> {
        let enough = symbols.len() >= usize::from(layout.source());
        let got = match self.0 {
            CodeLie::TakesAnything => return Ok(None),
            CodeLie::Panics => {
                assert!(symbols.iter().all(|(_, s)| s.len() == layout.symbol_size()));
                return Plain.recover(layout, symbols);
            }
            CodeLie::Guesses => Some(Bytes::from(vec![0; layout.padded_len()])),
            CodeLie::CountsTwice if enough => Some(Bytes::from(vec![0; layout.padded_len()])),
            _ => Plain.recover(layout, symbols)?,
        };
        if self.0 != CodeLie::Reverses {
            return Ok(got);
        }
        Ok(got.map(|payload| payload.iter().rev().copied().collect()))
    }
}

#[test]
fn codes() {
    use CodeLie::*;
    erasure::e01_enough_symbols_recover(bad_code(None));
    caught("E01", || erasure::e01_enough_symbols_recover(bad_code(WantsAll)));
    caught("E02", || erasure::e02_source_symbols_are_the_payload(bad_code(Reverses)));
    caught("E03", || erasure::e03_deterministic(bad_code(Random)));
    caught("E04", || erasure::e04_too_few_are_none(bad_code(Guesses)));
    caught("E05", || erasure::e05_misfits_are_errors(bad_code(TakesAnything)));
    caught("E05", || erasure::e05_misfits_are_errors(bad_code(Panics)));
    caught("E06", || erasure::e06_repetition_and_order_are_nothing(bad_code(CountsTwice)));
}
