//! [`MemoryStore`]: for tests, and for trying things out.

use super::{
    Audit, DEEDS_MAX, Deed, EXPIRE_MAX, LINES_MAX, Line, Outcomes, Place, Store, StoreError, Sums,
};
use crate::book::{Account, AccountId, Applied, Entry, Hold, HoldState, Page, Refusal};
use crate::id::Id;
use async_trait::async_trait;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Accounts in memory, gone with the process.
#[derive(Debug, Default)]
pub struct MemoryStore {
    page: Mutex<Page>,
    deeds: Mutex<BTreeMap<([u8; 32], u64), String>>,
}

impl MemoryStore {
    fn page(&self) -> MutexGuard<'_, Page> {
        // A page changes in steps that cannot panic half-way.
        self.page.lock().unwrap_or_else(PoisonError::into_inner)
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

    async fn keep(&self, deed: Deed) -> Result<Result<Applied, Refusal>, StoreError> {
        if let Err(refused) = deed.check() {
            return Ok(Err(refused));
        }
        let mut deeds = self.deeds.lock().unwrap_or_else(PoisonError::into_inner);
        let known = deeds.get(&(deed.name, deed.from_ms)).map(String::as_str);
        let kept = deeds.range((deed.name, 0)..=(deed.name, u64::MAX)).count();
        if known.is_some() || kept >= DEEDS_MAX {
            return Ok(deed.known(known));
        }
        deeds.insert((deed.name, deed.from_ms), deed.text);
        Ok(Ok(Applied::New))
    }

    async fn deed(&self, name: [u8; 32], at_ms: u64) -> Result<Option<Deed>, StoreError> {
        let deeds = self.deeds.lock().unwrap_or_else(PoisonError::into_inner);
        let last = deeds.range((name, 0)..=(name, at_ms)).next_back();
        Ok(last.map(|((name, from_ms), text)| Deed {
            name: *name,
            from_ms: *from_ms,
            text: text.clone(),
        }))
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
