//! The suite of [`Store`]: clauses K01–K10, to be run against one's own.
//!
//! ```ignore
//! mod mine {
//!     beacon_ledger::store_conformance!(super::Mine::new());   // a Fixture
//! }
//! ```

pub mod model;

use crate::book::{
    AccountId, Action, Advance, Applied, Entry, HoldState, Kind, Leg, Reason, Refusal, Rule,
};
use crate::id::Id;
use crate::money::Micro;
use crate::store::{DEED_BYTES_MAX, DEEDS_MAX, Deed, Place, Store};
use async_trait::async_trait;
use beacon_sdk::PublicKey;
use std::sync::Arc;

/// Where a store under test is: opened again, it has what it had.
#[async_trait]
pub trait Fixture: Send + Sync {
    /// Opens the store.
    async fn open(&self) -> Arc<dyn Store>;
}

/// One `#[test]` per clause K01–K10 for the stores of the [`Fixture`] that `$make` returns, a new one
/// for each test. The crate that uses it needs tokio with `rt-multi-thread`.
#[macro_export]
macro_rules! store_conformance {
    ($make:expr) => {
        $crate::store_conformance!(@ $make,
            k01_whole_or_not_at_all k02_again_is_nothing k03_never_below_zero k04_books_agree
            k05_holds_end_once k06_counters_are_taken_once k07_what_was_acknowledged_stays
            k08_lines_are_complete k09_clocks_may_go_back k10_deeds_stay);
    };
    (@ $make:expr, $($clause:ident)*) => {$(
        #[test]
        fn $clause() {
            let mut runtime = tokio::runtime::Builder::new_multi_thread();
            let runtime = runtime.worker_threads(2).enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let fixture = $make;
                $crate::conformance::$clause(&fixture).await;
            });
        }
    )*};
}

/// When the suite begins: 14 November 2023.
const START_MS: u64 = 1_700_000_000_000;

/// The account of a numbered peer.
#[must_use]
pub fn peer(number: u8) -> AccountId {
    AccountId::peer(PublicKey::from_bytes([number; 32]))
}

/// An amount of so many micro-credits.
#[must_use]
pub fn micro(micros: u64) -> Micro {
    Micro::new(micros).unwrap_or(Micro::MAX)
}

fn id(number: u64) -> Id {
    Id::derived(START_MS + number, &[&number.to_be_bytes()])
}

fn leg(debit: AccountId, credit: AccountId, amount: u64) -> Leg {
    Leg { debit, credit, amount: micro(amount), rule: Rule::Order }
}

fn entry(number: u64, legs: Vec<Leg>) -> Entry {
    Entry::transfer(id(number), legs, Reason::note("suite"))
}

fn act(number: u64, action: Action) -> Entry {
    Entry { id: id(number), action, advances: Vec::new(), reason: Reason::note("suite") }
}

async fn apply(store: &dyn Store, entries: Vec<Entry>) -> Vec<Result<Applied, Refusal>> {
    apply_at(store, START_MS, entries).await
}

async fn apply_at(
    store: &dyn Store,
    now_ms: u64,
    entries: Vec<Entry>,
) -> Vec<Result<Applied, Refusal>> {
    match store.apply(now_ms, entries).await {
        Ok(outcomes) => outcomes,
        Err(error) => panic!("the store failed: {error}"),
    }
}

async fn available(store: &dyn Store, account: AccountId) -> u64 {
    match store.accounts(&[account]).await.as_deref() {
        Ok([account]) => account.available().get(),
        other => panic!("one account was asked for, got {other:?}"),
    }
}

/// A store in which peer 1 has `amount`.
async fn funded(fixture: &impl Fixture, amount: u64) -> Arc<dyn Store> {
    let store = fixture.open().await;
    let funds = entry(0, vec![leg(AccountId::ISSUANCE, peer(1), amount)]);
    assert_eq!(apply(&*store, vec![funds]).await, [Ok(Applied::New)]);
    store
}

async fn sound(clause: &str, store: &dyn Store) {
    match store.audit().await {
        Ok(audit) => {
            assert_eq!(audit.faults, [""; 0], "{clause}: the books do not agree");
            assert_eq!(audit.issued, audit.held, "{clause}: what was issued is not there");
        }
        Err(error) => panic!("{clause}: no audit: {error}"),
    }
}

/// A leg that cannot be paid takes the others of its entry back, and no other entry.
pub async fn k01_whole_or_not_at_all(fixture: &impl Fixture) {
    let store = funded(fixture, 100).await;
    let outcomes = apply(
        &*store,
        vec![
            entry(1, vec![leg(peer(1), peer(2), 10)]),
            entry(2, vec![leg(peer(1), peer(3), 20), leg(peer(4), peer(5), 1)]),
            entry(3, vec![leg(peer(2), peer(4), 10), leg(peer(4), peer(5), 10)]),
            entry(4, vec![]),
            entry(5, vec![leg(peer(1), peer(1), 1)]),
            entry(6, vec![leg(peer(1), peer(2), 0)]),
            entry(7, vec![leg(peer(1), peer(2), 1); 65]),
        ],
    )
    .await;
    let (account, needed) = (peer(4), micro(1));
    let missing = Refusal::Insufficient { account, available: Micro::ZERO, needed };
    assert_eq!(outcomes[..3], [Ok(Applied::New), Err(missing), Ok(Applied::New)], "K01");
    for outcome in &outcomes[3..] {
        assert!(matches!(outcome, Err(Refusal::Malformed(_))), "K01: {outcome:?}");
    }
    assert_eq!(available(&*store, peer(1)).await, 90, "K01");
    assert_eq!(available(&*store, peer(3)).await, 0, "K01: half an entry was taken");
    assert_eq!(available(&*store, peer(5)).await, 10, "K01");
    sound("K01", &*store).await;
}

/// The same request under the same id does nothing more; another one is a conflict; a refused id is free.
pub async fn k02_again_is_nothing(fixture: &impl Fixture) {
    let store = funded(fixture, 100).await;
    let once = entry(1, vec![leg(peer(1), peer(2), 10)]);
    let other = entry(1, vec![leg(peer(1), peer(2), 11)]);
    let outcomes = apply(&*store, vec![once.clone(), once.clone(), other.clone()]).await;
    let conflict = || Err(Refusal::Conflict(id(1)));
    assert_eq!(outcomes, [Ok(Applied::New), Ok(Applied::Replayed), conflict()], "K02");
    let mut reasoned = once.clone();
    reasoned.reason = Reason::note("another reason");
    let outcomes = apply(&*store, vec![once, other, reasoned]).await;
    assert_eq!(outcomes, [Ok(Applied::Replayed), conflict(), conflict()], "K02");
    assert_eq!(available(&*store, peer(2)).await, 10, "K02: paid twice");
    let early = entry(2, vec![leg(peer(3), peer(4), 5)]);
    assert!(apply(&*store, vec![early.clone()]).await[0].is_err(), "K02");
    apply(&*store, vec![entry(3, vec![leg(peer(1), peer(3), 5)])]).await;
    assert_eq!(
        apply(&*store, vec![early]).await,
        [Ok(Applied::New)],
        "K02: a refusal uses up an id"
    );
    sound("K02", &*store).await;
}

/// Of 64 tasks that spend the same credits at once, as many succeed as there are credits for.
pub async fn k03_never_below_zero(fixture: &impl Fixture) {
    let store = funded(fixture, 10).await;
    let tasks = (0..64).map(|number| {
        let store = store.clone();
        let to = peer(2 + (number % 4) as u8);
        tokio::spawn(async move {
            apply(&*store, vec![entry(100 + number, vec![leg(peer(1), to, 1)])]).await
        })
    });
    let tasks: Vec<_> = tasks.collect();
    let mut taken = 0;
    for task in tasks {
        match task.await.as_deref() {
            Ok([Ok(Applied::New)]) => taken += 1,
            Ok([Err(Refusal::Insufficient { .. })]) => {}
            other => panic!("K03: {other:?}"),
        }
    }
    assert_eq!(taken, 10, "K03: 64 tasks spend 10 credits");
    assert_eq!(available(&*store, peer(1)).await, 0, "K03");
    // What is reserved cannot be spent either, nor reserved again.
    let (mut rich, mut got) = (peer(2), 0);
    for number in 2..6 {
        let has = available(&*store, peer(number)).await;
        if has > got {
            (rich, got) = (peer(number), has);
        }
    }
    // Of ten credits among four, one has three.
    let hold = Action::Hold { leg: leg(rich, peer(6), 2), expires_ms: START_MS + 1000 };
    let outcomes =
        apply(&*store, vec![act(200, hold), entry(201, vec![leg(rich, peer(6), got - 1)])]).await;
    assert_eq!(outcomes[0], Ok(Applied::New), "K03");
    assert!(matches!(outcomes[1], Err(Refusal::Insufficient { .. })), "K03: {:?}", outcomes[1]);
    let much = vec![leg(AccountId::ISSUANCE, peer(9), Micro::MAX.get()); 2];
    let outcome = apply(&*store, vec![entry(202, much)]).await;
    assert!(matches!(outcome[0], Err(Refusal::Overflow(_))), "K03: {:?}", outcome[0]);
    sound("K03", &*store).await;
}

/// After hundreds of random orders the accounts are what a naive oracle says, and the sums agree.
pub async fn k04_books_agree(fixture: &impl Fixture) {
    let store = fixture.open().await;
    model::play(&*store, 4, 400).await;
    sound("K04", &*store).await;
}

/// A hold reserves, and is posted, voided or expired once.
pub async fn k05_holds_end_once(fixture: &impl Fixture) {
    let store = funded(fixture, 100).await;
    let hold = |number, amount, expires_ms| {
        act(number, Action::Hold { leg: leg(peer(1), peer(2), amount), expires_ms })
    };
    let later = START_MS + 1000;
    let outcomes =
        apply(&*store, vec![hold(1, 30, later), hold(2, 30, later), hold(3, 30, later)]).await;
    assert_eq!(outcomes, [Ok(Applied::New), Ok(Applied::New), Ok(Applied::New)], "K05");
    assert_eq!(available(&*store, peer(1)).await, 10, "K05: reserved is not spendable");
    assert_eq!(available(&*store, peer(2)).await, 0, "K05: reserved is not got");
    let past = apply(&*store, vec![hold(4, 1, START_MS)]).await;
    assert!(matches!(past[0], Err(Refusal::Malformed(_))), "K05: {past:?}");
    let post = |number, hold, amount| {
        act(number, Action::Post { hold: id(hold), amount: Some(micro(amount)) })
    };
    let void = |number, hold| act(number, Action::Void { hold: id(hold) });
    let outcomes = apply(
        &*store,
        vec![
            post(10, 1, 31),
            post(11, 1, 20),
            post(12, 1, 1),
            void(13, 1),
            void(14, 2),
            void(15, 9),
        ],
    )
    .await;
    let ended = |hold, state| Err(Refusal::HoldEnded(id(hold), state));
    let above = Err(Refusal::AboveHold { asked: micro(31), held: micro(30) });
    let posted = || ended(1, HoldState::Posted);
    let none = Err(Refusal::NoHold(id(9)));
    let due = [above, Ok(Applied::New), posted(), posted(), Ok(Applied::New), none];
    assert_eq!(outcomes, due, "K05");
    assert_eq!(available(&*store, peer(1)).await, 50, "K05: what is not posted is free again");
    assert_eq!(available(&*store, peer(2)).await, 20, "K05");
    // Time alone ends a hold for whoever would post it, and frees it when it is told.
    let late = apply_at(&*store, later, vec![post(16, 3, 1)]).await;
    assert_eq!(late, [ended(3, HoldState::Expired)], "K05");
    assert_eq!(store.expire(later - 1).await, Ok(0), "K05: too early");
    assert_eq!(store.expire(later).await, Ok(1), "K05");
    assert_eq!(store.expire(later).await, Ok(0), "K05: expired twice");
    assert_eq!(available(&*store, peer(1)).await, 80, "K05");
    let state = store.hold(id(3)).await.map(|hold| hold.map(|hold| hold.state));
    assert_eq!(state, Ok(Some(HoldState::Expired)), "K05");
    assert_eq!(store.hold(id(77)).await, Ok(None), "K05");
    sound("K05", &*store).await;
}

/// Of many that move a counter on from the same value, one is taken.
pub async fn k06_counters_are_taken_once(fixture: &impl Fixture) {
    let store = funded(fixture, 1000).await;
    let advance = |number, from, to| {
        let mut entry = entry(number, vec![leg(peer(1), peer(2), to - from)]);
        entry.advances = vec![Advance { counter: [7; 32], from, to }];
        entry
    };
    for (round, (from, to)) in (0..).zip([(0, 5), (5, 9)]) {
        let tasks = (0..32).map(|number| {
            let store = store.clone();
            let entry = advance(100 + 100 * round + number, from, to);
            tokio::spawn(async move { apply(&*store, vec![entry]).await })
        });
        let tasks: Vec<_> = tasks.collect();
        let mut taken = 0;
        for task in tasks {
            match task.await.as_deref() {
                Ok([Ok(Applied::New)]) => taken += 1,
                Ok([Err(Refusal::Moved { .. })]) => {}
                other => panic!("K06: {other:?}"),
            }
        }
        assert_eq!(taken, 1, "K06: a step is taken once");
        assert_eq!(store.counters(&[[7; 32], [8; 32]]).await, Ok(vec![to, 0]), "K06");
    }
    assert_eq!(available(&*store, peer(2)).await, 9, "K06");
    let mut twice = advance(900, 9, 10);
    twice.advances.push(twice.advances[0]);
    let mut back = advance(901, 9, 10);
    back.advances[0].to = 9;
    for outcome in apply(&*store, vec![twice, back]).await {
        assert!(matches!(outcome, Err(Refusal::Malformed(_))), "K06: {outcome:?}");
    }
    sound("K06", &*store).await;
}

/// Opened again, the store has everything, and knows what it was asked before.
pub async fn k07_what_was_acknowledged_stays(fixture: &impl Fixture) {
    let store = funded(fixture, 100).await;
    let paid = entry(1, vec![leg(peer(1), peer(2), 10)]);
    let held = act(2, Action::Hold { leg: leg(peer(1), peer(3), 5), expires_ms: START_MS + 9 });
    apply(&*store, vec![paid.clone(), held.clone()]).await;
    drop(store);
    let store = fixture.open().await;
    let again = apply(&*store, vec![paid, held]).await;
    assert_eq!(again, [Ok(Applied::Replayed), Ok(Applied::Replayed)], "K07");
    assert_eq!(available(&*store, peer(1)).await, 85, "K07");
    assert_eq!(available(&*store, peer(2)).await, 10, "K07");
    let post = act(3, Action::Post { hold: id(2), amount: None });
    assert_eq!(apply(&*store, vec![post]).await, [Ok(Applied::New)], "K07: the hold is gone");
    sound("K07", &*store).await;
}

/// All lines of an account, in order, by pages of any size.
pub async fn k08_lines_are_complete(fixture: &impl Fixture) {
    let store = funded(fixture, 1000).await;
    for step in 0..20_u64 {
        let legs = vec![leg(peer(1), peer(2), 2), leg(peer(2), peer(3), 1)];
        // Ids that do not grow with time.
        let entry = entry(500 - step, legs);
        assert_eq!(apply_at(&*store, START_MS + step / 3, vec![entry]).await, [Ok(Applied::New)]);
    }
    let mut whole = None;
    for size in [1, 3, 7, 1000] {
        let mut lines = Vec::new();
        let mut after: Option<Place> = None;
        loop {
            let Ok(page) = store.lines(peer(2), after, size).await else { panic!("K08: no lines") };
            assert!(page.len() <= size, "K08: more than asked for");
            let Some(last) = page.last() else { break };
            after = Some(last.moved.place());
            lines.extend(page);
        }
        assert_eq!(lines.len(), 40, "K08: pages of {size}");
        let places: Vec<Place> = lines.iter().map(|line| line.moved.place()).collect();
        assert!(places.is_sorted(), "K08: out of order");
        let got = lines.iter().filter(|line| line.moved.moved.credit == peer(2)).count();
        assert_eq!(got, 20, "K08");
        let reason = Reason::note("suite").to_json();
        assert!(lines.iter().all(|line| line.reason == reason), "K08: without a reason");
        assert!(whole.is_none() || whole == Some(lines.clone()), "K08: pages of {size} differ");
        whole = Some(lines);
    }
    assert_eq!(store.lines(peer(99), None, 10).await, Ok(vec![]), "K08");
}

/// Entries at an earlier time than those before go after them.
pub async fn k09_clocks_may_go_back(fixture: &impl Fixture) {
    let store = funded(fixture, 100).await;
    let day = 86_400_000;
    let hold = |number, expires_ms| {
        act(number, Action::Hold { leg: leg(peer(1), peer(2), 10), expires_ms })
    };
    let tomorrow = START_MS + day;
    apply(&*store, vec![hold(1, tomorrow), hold(2, tomorrow)]).await;
    let first = entry(10, vec![leg(peer(1), peer(2), 1)]);
    apply_at(&*store, tomorrow + 5, vec![first]).await;
    let second = entry(15, vec![leg(peer(1), peer(2), 2)]);
    assert_eq!(apply_at(&*store, START_MS - day, vec![second]).await, [Ok(Applied::New)], "K09");
    let Ok(lines) = store.lines(peer(2), None, 10).await else { panic!("K09: no lines") };
    let amounts: Vec<u64> = lines.iter().map(|line| line.moved.moved.amount.get()).collect();
    assert_eq!(amounts, [1, 2], "K09: the past was rewritten");
    let post = act(20, Action::Post { hold: id(1), amount: None });
    let outcome = apply_at(&*store, START_MS, vec![post]).await;
    assert_eq!(outcome, [Err(Refusal::HoldEnded(id(1), HoldState::Expired))], "K09: revived");
    let Ok(account) =
        store.accounts(&[peer(1), AccountId::of(Kind::Pool, PublicKey::default())]).await
    else {
        panic!("K09: no accounts")
    };
    assert_eq!((account[0].opened_ms, account[0].changed_ms), (START_MS, tomorrow + 5), "K09");
    assert_eq!(account[1].opened_ms, 0, "K09: an account that nothing has touched");
    sound("K09", &*store).await;
}

/// Of a name and moment the first deed is kept, also by a store that is opened again; the latest that has begun holds.
pub async fn k10_deeds_stay(fixture: &impl Fixture) {
    let store = fixture.open().await;
    let deed =
        |name: u8, from_ms, text: &str| Deed { name: [name; 32], from_ms, text: text.into() };
    for (deed, due) in [
        (deed(1, 500, "b"), Ok(Applied::New)),
        (deed(1, 100, "a"), Ok(Applied::New)),
        (deed(2, 100, "other"), Ok(Applied::New)),
        (deed(1, 500, "b"), Ok(Applied::Replayed)),
        (deed(1, 500, "c"), Err(Refusal::Begun(500))),
    ] {
        assert_eq!(store.keep(deed.clone()).await, Ok(due), "K10: {deed:?}");
    }
    let long = store.keep(deed(1, 7, &"x".repeat(DEED_BYTES_MAX + 1))).await;
    assert!(matches!(long, Ok(Err(Refusal::Malformed(_)))), "K10: {long:?}");
    drop(store);
    let store = fixture.open().await;
    for (at_ms, due) in [(99, None), (100, Some("a")), (499, Some("a")), (u64::MAX, Some("b"))] {
        let found = store.deed([1; 32], at_ms).await.map(|deed| deed.map(|deed| deed.text));
        assert_eq!(found, Ok(due.map(str::to_owned)), "K10: at {at_ms}");
    }
    assert_eq!(store.deed([3; 32], u64::MAX).await, Ok(None), "K10");
    let tasks = (1..DEEDS_MAX as u64).map(|after| {
        let (store, deed) = (store.clone(), deed(2, 100 + after, "x"));
        tokio::spawn(async move { store.keep(deed).await })
    });
    for task in tasks.collect::<Vec<_>>() {
        assert!(matches!(task.await, Ok(Ok(Ok(Applied::New)))), "K10: there is room");
    }
    assert_eq!(store.keep(deed(2, 5000, "x")).await, Ok(Err(Refusal::Kept)), "K10");
    assert_eq!(store.keep(deed(2, 101, "x")).await, Ok(Ok(Applied::Replayed)), "K10");
    assert_eq!(store.keep(deed(3, 5000, "x")).await, Ok(Ok(Applied::New)), "K10");
}
