//! [`Page`]: the rows that a batch of entries touches, and what it does to them.

use super::account::{AccountId, Kind};
use super::entry::{ADVANCES_MAX, Action, Advance, Entry, LEGS_MAX, Leg, REASON_BYTES_MAX};
use crate::id::Id;
use crate::money::Micro;
use std::collections::{BTreeMap, BTreeSet};

/// An account's counters. `pending` is what holds reserve.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub struct Account {
    /// When an entry first touched it, Unix milliseconds.
    pub opened_ms: u64,
    /// When an entry last touched it. An entry's time is never before that of another that touched one of
    /// its accounts: a clock that goes back disorders no history and revives no hold.
    pub changed_ms: u64,
    /// Reserved to be given.
    pub debits_pending: Micro,
    /// Given, ever.
    pub debits_posted: Micro,
    /// Reserved to be got.
    pub credits_pending: Micro,
    /// Got, ever.
    pub credits_posted: Micro,
}

impl Account {
    /// What it may spend: got, less given, less reserved. Zero for [`Kind::Issuance`], which may
    /// spend without end.
    #[must_use]
    pub const fn available(&self) -> Micro {
        self.credits_posted.less(self.debits_posted).less(self.debits_pending)
    }

    /// What it has, with what is reserved: got, less given.
    #[must_use]
    pub const fn balance(&self) -> i128 {
        self.credits_posted.get() as i128 - self.debits_posted.get() as i128
    }
}

/// How far a hold has come. From pending it goes to one of the others, once.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum HoldState {
    /// Reserved.
    Pending = 0,
    /// Moved, as a whole or in part.
    Posted = 1,
    /// Freed by an entry.
    Voided = 2,
    /// Freed by time.
    Expired = 3,
}

impl HoldState {
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    pub(crate) fn from_code(code: u8) -> Option<Self> {
        [Self::Pending, Self::Posted, Self::Voided, Self::Expired]
            .into_iter()
            .find(|state| *state as u8 == code)
    }
}

/// A reserved amount.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Hold {
    /// What is reserved.
    pub leg: Leg,
    /// Unix milliseconds after which it is free.
    pub expires_ms: u64,
    /// How far it has come.
    pub state: HoldState,
}

/// An entry that was taken.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Applied {
    /// Now.
    New,
    /// Before, with the same content: nothing more was done.
    Replayed,
}

/// An entry that was not taken. It leaves no trace: the same id may be used again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// An account would fall below zero.
    #[error("{account} has {available}, and {needed} are needed")]
    Insufficient {
        /// Which.
        account: AccountId,
        /// What it may spend.
        available: Micro,
        /// What was asked of it.
        needed: Micro,
    },
    /// The id was used for another request: an id belongs to one intent.
    #[error("entry {0} exists with another content: make a new id for a new intent")]
    Conflict(Id),
    /// A counter is not where the entry's author saw it: look again, and decide anew.
    #[error("a counter has moved on from {from} to {now}")]
    Moved {
        /// As it was seen.
        from: u64,
        /// As it is.
        now: u64,
    },
    /// There is no such hold.
    #[error("there is no hold {0}")]
    NoHold(Id),
    /// The hold was posted, voided or has expired.
    #[error("hold {0} is no longer pending: {1:?}")]
    HoldEnded(Id, HoldState),
    /// A hold is posted for more than it is.
    #[error("{asked} of a hold of {held}")]
    AboveHold {
        /// As asked.
        asked: Micro,
        /// As held.
        held: Micro,
    },
    /// An account would have got or given more than 2^63 − 1 micro-credits.
    #[error("{0} would overflow")]
    Overflow(AccountId),
    /// Another deed of that name begins at the same moment.
    #[error("another one begins at the same moment, {0}: choose another moment")]
    Begun(u64),
    /// More deeds are kept of that name than there may be.
    #[error("1000 of these are kept, the most there can be")]
    Kept,
    /// The entry breaks a rule of form.
    #[error("the entry is malformed: {0}")]
    Malformed(&'static str),
}

/// An amount that moved: one line of the journal.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Moved {
    /// The entry that moved it.
    pub entry: Id,
    /// Its place in the entry.
    pub leg: u8,
    /// When, Unix milliseconds.
    pub at_ms: u64,
    /// What moved.
    pub moved: Leg,
}

impl Moved {
    /// Its place in the history of its accounts.
    #[must_use]
    pub const fn place(&self) -> (u64, Id, u8) {
        (self.at_ms, self.entry, self.leg)
    }
}

/// An entry as it is kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Written {
    /// Its id.
    pub id: Id,
    /// Its [`Entry::request_hash`].
    pub hash: [u8; 32],
    /// When it was taken, Unix milliseconds.
    pub at_ms: u64,
    /// Its [`Reason`](super::Reason) as JSON.
    pub reason: String,
}

/// The rows that entries touch: loaded by a store, changed by [`Page::apply`], written back by the
/// store. A row that is not loaded does not exist.
#[derive(Debug, Default)]
pub struct Page {
    /// Accounts.
    pub accounts: BTreeMap<AccountId, Account>,
    /// Holds.
    pub holds: BTreeMap<Id, Hold>,
    /// Counters.
    pub counters: BTreeMap<[u8; 32], u64>,
    /// The hashes of entries that were taken.
    pub entries: BTreeMap<Id, [u8; 32]>,
    /// What is new, in order.
    pub written: Vec<Written>,
    /// What is new, in order.
    pub moved: Vec<Moved>,
    /// Accounts that changed.
    pub changed_accounts: BTreeSet<AccountId>,
    /// Holds that changed or are new.
    pub changed_holds: BTreeSet<Id>,
    /// Counters that changed or are new.
    pub changed_counters: BTreeSet<[u8; 32]>,
}

/// What one entry would change, until it is certain.
#[derive(Default)]
struct Draft {
    accounts: BTreeMap<AccountId, Account>,
    moved: Vec<Leg>,
    hold: Option<(Id, Hold)>,
}

impl Page {
    /// Applies one entry at `now_ms`, Unix milliseconds, or at the time its accounts were last touched,
    /// whichever is later.
    ///
    /// # Errors
    /// [`Refusal`]; nothing has changed then.
    pub fn apply(&mut self, now_ms: u64, entry: &Entry) -> Result<Applied, Refusal> {
        let now_ms = self.not_before(now_ms, entry.legs(|id| self.holds.get(&id)));
        let hash = entry.request_hash();
        match self.entries.get(&entry.id) {
            Some(known) if *known == hash => return Ok(Applied::Replayed),
            Some(_) => return Err(Refusal::Conflict(entry.id)),
            None => {}
        }
        let reason = entry.reason.to_json();
        if reason.len() > REASON_BYTES_MAX {
            return Err(Refusal::Malformed("the reason is too long"));
        }
        self.check_advances(&entry.advances)?;
        let mut draft = Draft::default();
        match &entry.action {
            Action::Transfer(legs) => {
                if legs.is_empty() || legs.len() > LEGS_MAX {
                    return Err(Refusal::Malformed("1 to 64 legs"));
                }
                for leg in legs {
                    self.post(&mut draft, now_ms, leg)?;
                }
            }
            Action::Hold { leg, expires_ms } => {
                self.reserve(&mut draft, now_ms, leg)?;
                let hold = Hold { leg: *leg, expires_ms: *expires_ms, state: HoldState::Pending };
                if *expires_ms <= now_ms || *expires_ms > Micro::MAX.get() {
                    return Err(Refusal::Malformed("a hold expires in the future"));
                }
                draft.hold = Some((entry.id, hold));
            }
            Action::Post { hold, amount } => {
                let mut held = self.pending(now_ms, *hold)?;
                let asked = amount.unwrap_or(held.leg.amount);
                if asked > held.leg.amount {
                    return Err(Refusal::AboveHold { asked, held: held.leg.amount });
                }
                self.release(&mut draft, &held.leg)?;
                self.post(&mut draft, now_ms, &Leg { amount: asked, ..held.leg })?;
                held.state = HoldState::Posted;
                draft.hold = Some((*hold, held));
            }
            Action::Void { hold } => {
                let mut held = self.pending(now_ms, *hold)?;
                self.release(&mut draft, &held.leg)?;
                held.state = HoldState::Voided;
                draft.hold = Some((*hold, held));
            }
        }
        self.commit(now_ms, entry, draft);
        self.entries.insert(entry.id, hash);
        self.written.push(Written { id: entry.id, hash, at_ms: now_ms, reason });
        Ok(Applied::New)
    }

    /// Frees a loaded hold if its time is over; whether it was.
    pub fn expire(&mut self, now_ms: u64, id: Id) -> bool {
        let Some(mut held) = self.holds.get(&id).copied() else { return false };
        let now_ms = self.not_before(now_ms, core::slice::from_ref(&held.leg));
        let mut draft = Draft::default();
        if held.state != HoldState::Pending
            || held.expires_ms > now_ms
            || self.release(&mut draft, &held.leg).is_err()
        {
            return false;
        }
        held.state = HoldState::Expired;
        draft.hold = Some((id, held));
        self.keep(now_ms, draft);
        true
    }

    fn not_before(&self, now_ms: u64, legs: &[Leg]) -> u64 {
        let accounts = legs.iter().flat_map(|leg| [leg.debit, leg.credit]);
        let changed = accounts.filter_map(|id| Some(self.accounts.get(&id)?.changed_ms));
        changed.fold(now_ms, u64::max)
    }

    fn check_advances(&self, advances: &[Advance]) -> Result<(), Refusal> {
        let names: BTreeSet<_> = advances.iter().map(|advance| advance.counter).collect();
        if advances.len() > ADVANCES_MAX || names.len() < advances.len() {
            return Err(Refusal::Malformed("at most 8 counters, none twice"));
        }
        for advance in advances {
            if advance.to <= advance.from || advance.to > Micro::MAX.get() {
                return Err(Refusal::Malformed("a counter only grows, and stays below 2^63"));
            }
            let now = self.counters.get(&advance.counter).copied().unwrap_or(0);
            if now != advance.from {
                return Err(Refusal::Moved { from: advance.from, now });
            }
        }
        Ok(())
    }

    fn pending(&self, now_ms: u64, id: Id) -> Result<Hold, Refusal> {
        let hold = self.holds.get(&id).ok_or(Refusal::NoHold(id))?;
        match hold.state {
            // Nobody may have told it yet that its time is over.
            HoldState::Pending if hold.expires_ms <= now_ms => {
                Err(Refusal::HoldEnded(id, HoldState::Expired))
            }
            HoldState::Pending => Ok(*hold),
            ended => Err(Refusal::HoldEnded(id, ended)),
        }
    }

    fn account(&self, draft: &Draft, now_ms: u64, id: AccountId) -> Account {
        let known = draft.accounts.get(&id).or_else(|| self.accounts.get(&id));
        known.copied().unwrap_or(Account { opened_ms: now_ms, ..Account::default() })
    }

    /// The two accounts of a leg that can be paid.
    fn payable(
        &self,
        draft: &Draft,
        now_ms: u64,
        leg: &Leg,
    ) -> Result<(Account, Account), Refusal> {
        if leg.amount.is_zero() {
            return Err(Refusal::Malformed("an amount is above zero"));
        }
        if leg.debit == leg.credit {
            return Err(Refusal::Malformed("an account cannot pay itself"));
        }
        let payer = self.account(draft, now_ms, leg.debit);
        let available = payer.available();
        if leg.debit.kind != Kind::Issuance && available < leg.amount {
            let (account, needed) = (leg.debit, leg.amount);
            return Err(Refusal::Insufficient { account, available, needed });
        }
        Ok((payer, self.account(draft, now_ms, leg.credit)))
    }

    fn post(&self, draft: &mut Draft, now_ms: u64, leg: &Leg) -> Result<(), Refusal> {
        let (mut payer, mut payee) = self.payable(draft, now_ms, leg)?;
        add(leg.debit, &mut payer.debits_posted, leg.amount)?;
        add(leg.credit, &mut payee.credits_posted, leg.amount)?;
        draft.accounts.insert(leg.debit, payer);
        draft.accounts.insert(leg.credit, payee);
        draft.moved.push(*leg);
        Ok(())
    }

    fn reserve(&self, draft: &mut Draft, now_ms: u64, leg: &Leg) -> Result<(), Refusal> {
        let (mut payer, mut payee) = self.payable(draft, now_ms, leg)?;
        add(leg.debit, &mut payer.debits_pending, leg.amount)?;
        add(leg.credit, &mut payee.credits_pending, leg.amount)?;
        draft.accounts.insert(leg.debit, payer);
        draft.accounts.insert(leg.credit, payee);
        Ok(())
    }

    fn release(&self, draft: &mut Draft, leg: &Leg) -> Result<(), Refusal> {
        let mut payer = self.account(draft, 0, leg.debit);
        let mut payee = self.account(draft, 0, leg.credit);
        let missing = Refusal::Malformed("the accounts of a hold do not know it");
        payer.debits_pending =
            payer.debits_pending.minus(leg.amount).ok_or_else(|| missing.clone())?;
        payee.credits_pending = payee.credits_pending.minus(leg.amount).ok_or(missing)?;
        draft.accounts.insert(leg.debit, payer);
        draft.accounts.insert(leg.credit, payee);
        Ok(())
    }

    fn commit(&mut self, now_ms: u64, entry: &Entry, mut draft: Draft) {
        let moved = core::mem::take(&mut draft.moved);
        let moved = (0..).zip(moved);
        self.moved.extend(moved.map(|(leg, moved)| Moved {
            entry: entry.id,
            leg,
            at_ms: now_ms,
            moved,
        }));
        for advance in &entry.advances {
            self.counters.insert(advance.counter, advance.to);
            self.changed_counters.insert(advance.counter);
        }
        self.keep(now_ms, draft);
    }

    fn keep(&mut self, now_ms: u64, draft: Draft) {
        for (id, account) in draft.accounts {
            self.changed_accounts.insert(id);
            self.accounts.insert(id, Account { changed_ms: now_ms, ..account });
        }
        if let Some((id, hold)) = draft.hold {
            self.holds.insert(id, hold);
            self.changed_holds.insert(id);
        }
    }
}

fn add(account: AccountId, counter: &mut Micro, amount: Micro) -> Result<(), Refusal> {
    *counter = counter.plus(amount).ok_or(Refusal::Overflow(account))?;
    Ok(())
}
