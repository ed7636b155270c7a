//! Random orders against a store, and against an oracle that knows no counters: it keeps all that was
//! taken, and adds up from the beginning at every question.

use super::{START_MS, micro, peer};
use crate::book::{AccountId, Action, Advance, Applied, Entry, Leg, Reason, Rule};
use crate::id::Id;
use crate::store::Store;
use beacon_sdk::Rng;

const PEERS: u32 = 6;

/// All that was taken.
#[derive(Debug, Default)]
struct Oracle {
    moved: Vec<Leg>,
    /// Holds with their time, and whether they are still pending.
    held: Vec<(Id, Leg, u64, bool)>,
    /// Counters are all one here.
    counter: u64,
    taken: Vec<Entry>,
}

impl Oracle {
    /// What an account may spend.
    fn available(&self, account: AccountId) -> i128 {
        let mut sum = 0;
        for leg in &self.moved {
            sum += if leg.credit == account { i128::from(leg.amount.get()) } else { 0 };
            sum -= if leg.debit == account { i128::from(leg.amount.get()) } else { 0 };
        }
        let reserved = self.held.iter().filter(|(.., pending)| *pending);
        sum - reserved
            .filter(|(_, leg, ..)| leg.debit == account)
            .map(|(_, leg, ..)| i128::from(leg.amount.get()))
            .sum::<i128>()
    }

    fn can_pay(&self, leg: &Leg) -> bool {
        leg.debit == AccountId::ISSUANCE
            || self.available(leg.debit) >= i128::from(leg.amount.get())
    }

    /// Takes an entry that was not taken before, if it can be.
    fn take(&mut self, now_ms: u64, entry: &Entry) -> bool {
        if entry.advances.iter().any(|advance| advance.from != self.counter) {
            return false;
        }
        let taken = match &entry.action {
            Action::Transfer(legs) => {
                let before = self.moved.len();
                let paid = legs.iter().all(|leg| {
                    let can = self.can_pay(leg);
                    self.moved.push(*leg);
                    can
                });
                if !paid {
                    self.moved.truncate(before);
                }
                paid
            }
            Action::Hold { leg, expires_ms } => {
                let can = self.can_pay(leg);
                if can {
                    self.held.push((entry.id, *leg, *expires_ms, true));
                }
                can
            }
            Action::Post { hold, amount } => self.end(now_ms, *hold, |moved, leg| {
                moved.push(Leg { amount: amount.unwrap_or(leg.amount), ..leg });
            }),
            Action::Void { hold } => self.end(now_ms, *hold, |_, _| {}),
        };
        if taken {
            self.counter = entry.advances.first().map_or(self.counter, |advance| advance.to);
            self.taken.push(entry.clone());
        }
        taken
    }

    fn end(&mut self, now_ms: u64, hold: Id, then: impl FnOnce(&mut Vec<Leg>, Leg)) -> bool {
        let found = self.held.iter_mut().find(|(id, ..)| *id == hold);
        match found {
            Some((_, leg, expires_ms, pending)) if *pending && *expires_ms > now_ms => {
                *pending = false;
                then(&mut self.moved, *leg);
                true
            }
            _ => false,
        }
    }

    fn expire(&mut self, now_ms: u64) -> usize {
        let due = |(.., expires_ms, pending): &&mut (Id, Leg, u64, bool)| {
            *pending && *expires_ms <= now_ms
        };
        self.held.iter_mut().filter(due).map(|(.., pending)| *pending = false).count()
    }
}

fn random_entry(rng: &mut Rng, oracle: &Oracle, now_ms: u64) -> Entry {
    let leg = |rng: &mut Rng| {
        let debit = rng.below(PEERS);
        let credit = (debit + 1 + rng.below(PEERS - 1)) % PEERS;
        let debit = if rng.below(8) == 0 { AccountId::ISSUANCE } else { peer(1 + debit as u8) };
        let amount = micro(1 + u64::from(rng.below(50)));
        Leg { debit, credit: peer(1 + credit as u8), amount, rule: Rule::Order }
    };
    let held = oracle.held.len() as u32;
    let hold = |rng: &mut Rng| oracle.held[rng.below(held) as usize].0;
    let action = match rng.below(10) {
        0 | 1 => Action::Hold { leg: leg(rng), expires_ms: now_ms + 1 + u64::from(rng.below(300)) },
        2 if held > 0 => Action::Post { hold: hold(rng), amount: None },
        3 if held > 0 => Action::Post { hold: hold(rng), amount: Some(micro(1)) },
        4 if held > 0 => Action::Void { hold: hold(rng) },
        _ => Action::Transfer((0..=rng.below(4)).map(|_| leg(rng)).collect()),
    };
    let mut entry = Entry {
        id: Id::derived(now_ms, &[&rng.bits().to_be_bytes()]),
        action,
        advances: Vec::new(),
        reason: Reason::note("model"),
    };
    if rng.below(5) == 0 {
        // Sometimes as somebody would who has not looked lately.
        let from = oracle.counter.saturating_sub(u64::from(rng.below(4) == 0));
        entry.advances.push(Advance { counter: [1; 32], from, to: from + 1 });
    }
    entry
}

/// Plays `steps` random orders, some of them again, at a clock that mostly goes on, in batches; and
/// compares every outcome and account with the oracle's.
///
/// # Panics
/// When store and oracle disagree.
pub async fn play(store: &dyn Store, seed: u64, steps: usize) {
    let mut rng = Rng::new([9; 32], seed);
    let mut oracle = Oracle::default();
    // The time of an entry is never before that of the accounts it touches; as all touch each other here
    // sooner or later, the clock of this model does not go back (K09 has that).
    let mut now_ms = START_MS;
    let mut done = 0;
    while done < steps {
        now_ms += u64::from(rng.below(40));
        let mut batch = Vec::new();
        let mut expected = Vec::new();
        for _ in 0..=rng.below(12) {
            let again = !oracle.taken.is_empty() && rng.below(6) == 0;
            if again {
                let place = rng.below(oracle.taken.len() as u32) as usize;
                batch.push(oracle.taken[place].clone());
                expected.push(Some(Applied::Replayed));
            } else {
                let entry = random_entry(&mut rng, &oracle, now_ms);
                expected.push(oracle.take(now_ms, &entry).then_some(Applied::New));
                batch.push(entry);
            }
        }
        done += batch.len();
        let outcomes = match store.apply(now_ms, batch.clone()).await {
            Ok(outcomes) => outcomes,
            Err(error) => panic!("K04: {error}"),
        };
        for ((outcome, expected), entry) in outcomes.iter().zip(expected).zip(&batch) {
            assert_eq!(outcome.as_ref().ok(), expected.as_ref(), "K04: {entry:?}: {outcome:?}");
        }
        if rng.below(4) == 0 {
            assert_eq!(store.expire(now_ms).await, Ok(oracle.expire(now_ms)), "K04: expired");
        }
        let peers: Vec<AccountId> = (1..=PEERS as u8).map(peer).collect();
        let Ok(accounts) = store.accounts(&peers).await else { panic!("K04: no accounts") };
        for (id, account) in peers.iter().zip(accounts) {
            let (got, due) = (i128::from(account.available().get()), oracle.available(*id));
            assert_eq!(got, due, "K04: {id} after {done} orders");
        }
    }
    assert_eq!(store.counters(&[[1; 32]]).await, Ok(vec![oracle.counter]), "K04");
}
