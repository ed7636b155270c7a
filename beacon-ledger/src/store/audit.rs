//! [`Audit`]: the books added up anew.

use crate::book::{Account, AccountId, Kind};
use crate::money::Micro;
use std::collections::BTreeMap;

/// Faults that are listed at most; more are counted in the last.
const FAULTS_MAX: usize = 20;

/// What the books say when they are added up.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Audit {
    /// Accounts that something has touched.
    pub accounts: usize,
    /// Entries taken.
    pub entries: u64,
    /// Transfers in the journal.
    pub transfers: u64,
    /// Micro-credits ever issued, less those returned.
    pub issued: u128,
    /// The sum of what all accounts but issuance have: what was issued, if the books agree.
    pub held: u128,
    /// What does not agree; empty when all is well.
    pub faults: Vec<String>,
}

/// What a store adds up: per account, out of the journal and out of the pending holds, what was
/// debited and what was credited.
#[derive(Clone, Debug, Default)]
pub struct Sums {
    /// Accounts as they stand.
    pub accounts: BTreeMap<AccountId, Account>,
    /// Debits and credits in the journal.
    pub posted: BTreeMap<AccountId, (i128, i128)>,
    /// Debits and credits of pending holds.
    pub pending: BTreeMap<AccountId, (i128, i128)>,
    /// Entries taken.
    pub entries: u64,
    /// Transfers in the journal.
    pub transfers: u64,
}

impl Sums {
    /// Compares counters with sums, and the whole with itself.
    #[must_use]
    pub fn audit(self) -> Audit {
        let mut faults = Vec::new();
        let (mut issued, mut held) = (0_i128, 0_i128);
        let wide = |amount: Micro| i128::from(amount.get());
        for (id, account) in &self.accounts {
            let counted = [
                (
                    "posted",
                    (wide(account.debits_posted), wide(account.credits_posted)),
                    &self.posted,
                ),
                (
                    "reserved",
                    (wide(account.debits_pending), wide(account.credits_pending)),
                    &self.pending,
                ),
            ];
            for (what, counter, sums) in counted {
                let sum = sums.get(id).copied().unwrap_or_default();
                if sum != counter {
                    faults.push(format!(
                        "{id}: {what} {counter:?} by its counters, {sum:?} by the journal"
                    ));
                }
            }
            if id.kind == Kind::Issuance {
                issued -= account.balance();
            } else {
                held += account.balance();
                if account.balance() < wide(account.debits_pending) {
                    faults.push(format!("{id}: below zero"));
                }
            }
        }
        for id in self.posted.keys().chain(self.pending.keys()) {
            if !self.accounts.contains_key(id) {
                faults.push(format!("{id}: in the journal, and no account"));
            }
        }
        if issued != held {
            faults.push(format!("{issued} micro-credits were issued, and {held} are there"));
        }
        if faults.len() > FAULTS_MAX {
            let more = faults.len() - FAULTS_MAX;
            faults.truncate(FAULTS_MAX);
            faults.push(format!("and {more} more"));
        }
        Audit {
            accounts: self.accounts.len(),
            entries: self.entries,
            transfers: self.transfers,
            issued: u128::try_from(issued).unwrap_or(0),
            held: u128::try_from(held).unwrap_or(0),
            faults,
        }
    }
}
