//! [`MemoryStore`]: for tests, and for trying things out.

use super::{Audit, EXPIRE_MAX, LINES_MAX, Line, Outcomes, Place, Store, StoreError, Sums};
use crate::book::{Account, AccountId, Entry, Hold, HoldState, Page};
use crate::id::Id;
use async_trait::async_trait;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Accounts in memory, gone with the process.
#[derive(Debug, Default)]
pub struct MemoryStore(Mutex<Page>);

impl MemoryStore {
    fn page(&self) -> MutexGuard<'_, Page> {
        // A page changes in steps that cannot panic half-way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn apply(&self, now_ms: u64, entries: Vec<Entry>) -> Result<Outcomes, StoreError> {
        super::check_size(&entries)?;
        let mut page = self.page();
        Ok(entries.iter().map(|entry| page.apply(now_ms, entry)).collect())
    }

    async fn expire(&self, now_ms: u64) -> Result<usize, StoreError> {
        let mut page = self.page();
        let due = |(id, hold): (&Id, &Hold)| {
            (hold.state == HoldState::Pending && hold.expires_ms <= now_ms).then_some(*id)
        };
        let due: Vec<Id> = page.holds.iter().filter_map(due).take(EXPIRE_MAX).collect();
        Ok(due.into_iter().filter(|&id| page.expire(now_ms, id)).count())
    }

    async fn accounts(&self, ids: &[AccountId]) -> Result<Vec<Account>, StoreError> {
        let page = self.page();
        Ok(ids.iter().map(|id| super::known(&page, id)).collect())
    }

    async fn counters(&self, names: &[[u8; 32]]) -> Result<Vec<u64>, StoreError> {
        let page = self.page();
        Ok(names.iter().map(|name| page.counters.get(name).copied().unwrap_or(0)).collect())
    }

    async fn hold(&self, id: Id) -> Result<Option<Hold>, StoreError> {
        Ok(self.page().holds.get(&id).copied())
    }

    async fn lines(
        &self,
        account: AccountId,
        after: Option<Place>,
        limit: usize,
    ) -> Result<Vec<Line>, StoreError> {
        let page = self.page();
        let reasons: BTreeMap<Id, &str> =
            page.written.iter().map(|entry| (entry.id, entry.reason.as_str())).collect();
        let mut lines: Vec<Line> = page
            .moved
            .iter()
            .filter(|moved| [moved.moved.debit, moved.moved.credit].contains(&account))
            .filter(|moved| after.is_none_or(|after| moved.place() > after))
            .map(|moved| Line {
                moved: *moved,
                reason: reasons.get(&moved.entry).copied().unwrap_or_default().to_owned(),
            })
            .collect();
        lines.sort_by_key(|line| line.moved.place());
        lines.truncate(limit.min(LINES_MAX));
        Ok(lines)
    }

    async fn audit(&self) -> Result<Audit, StoreError> {
        let page = self.page();
        let mut sums = Sums {
            accounts: page.accounts.clone(),
            entries: page.written.len() as u64,
            transfers: page.moved.len() as u64,
            ..Sums::default()
        };
        for moved in &page.moved {
            let amount = i128::from(moved.moved.amount.get());
            sums.posted.entry(moved.moved.debit).or_default().0 += amount;
            sums.posted.entry(moved.moved.credit).or_default().1 += amount;
        }
        for hold in page.holds.values().filter(|hold| hold.state == HoldState::Pending) {
            let amount = i128::from(hold.leg.amount.get());
            sums.pending.entry(hold.leg.debit).or_default().0 += amount;
            sums.pending.entry(hold.leg.credit).or_default().1 += amount;
        }
        Ok(sums.audit())
    }
}
