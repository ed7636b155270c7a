//! [`Economy`]: what a receipt is worth, who pays, who shares, and within which limits.
//!
//! A receipt is worth [`Terms::rate`] per verified byte, counted from the beginning of its edge. What has
//! been paid for an edge is a counter of the accounts, moved on in the same entry that pays; so
//! a receipt that comes twice, late, out of order or to two servers at once is paid once, and what a
//! limit withholds stays due.
//!
//! Money is conserved: a pool that a sponsor filled pays, and, where [`Terms::viewers_pay`], the viewer
//! before it. No receipt mints credits.

mod settle;
mod terms;

pub use terms::{Caps, Prefix, Terms};

use crate::book::{
    AccountId, Advance, Applied, Entry, Kind, Leg, NOTE_CHARS_MAX, Reason, Refusal, Rule,
};
use crate::deposit::Deposit;
use crate::id::{Id, digest};
use crate::money::{Micro, split};
use crate::receipt::{ForkProof, Invalid, SignedEdge};
use crate::signed::{RequestError, Signed};
use crate::split::Split;
use crate::store::{Deed, Store, StoreError};
use beacon_sdk::PublicKey;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use terms::DAY_MS;

/// How far another's clock may be off.
const SKEW_MS: u64 = 90_000;
const YEAR_MS: u64 = 366 * DAY_MS;
/// A settlement that others got in the way of is tried this often.
const ATTEMPTS_MAX: usize = 32;
/// Among how many a tip or revenue is split at most.
pub const SQUAD_MAX: usize = 32;

/// What came of a receipt.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub struct Settlement {
    /// Paid now.
    pub paid: Micro,
    /// Due, and withheld; it stays due.
    pub withheld: Micro,
    /// By what.
    pub limit: Option<Limit>,
}

/// What withholds a part of a payment.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Limit {
    /// [`Caps::counterpart`].
    Counterpart,
    /// [`Caps::viewer`].
    Viewer,
    /// [`Caps::account`].
    Account,
    /// [`Caps::prefix`].
    Prefix,
    /// The pool is empty, and the viewer's account too.
    Funds,
}

/// What was asked cannot be done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EconomyError {
    /// The accounts are out of reach, full or broken.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The accounts refuse it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The receipt or proof proves nothing.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// It is not asked by whom it says.
    #[error(transparent)]
    Unsigned(#[from] RequestError),
    /// The receipt's edge has expired, and the time for settling it too.
    #[error("the receipt comes too late: its edge has expired")]
    Late,
    /// The receipt's edge is of the future.
    #[error("the receipt's edge was issued in the future: set the clocks")]
    Early,
    /// The request contradicts itself.
    #[error("{0}")]
    Request(&'static str),
    /// Others changed the same accounts all the time.
    #[error("too many work on the same accounts at once: ask again")]
    Contended,
}

/// The rules by which credits come, go and are shared, over a [`Store`].
///
/// Every order takes an [`Id`] that its author made for it, and does nothing when it comes again.
#[derive(Debug)]
pub struct Economy {
    store: Arc<dyn Store>,
    terms: Terms,
    /// Edges that the issuer has signed: their later receipts cost one signature check instead of two.
    edges: Mutex<BTreeMap<Id, SignedEdge>>,
}

impl Economy {
    /// An economy of these terms.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, terms: Terms) -> Self {
        Self { store, terms, edges: Mutex::default() }
    }

    /// The accounts.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// The terms.
    #[must_use]
    pub const fn terms(&self) -> &Terms {
        &self.terms
    }

    /// Applies one entry.
    ///
    /// # Errors
    /// [`EconomyError::Store`] and [`EconomyError::Refused`].
    pub async fn order(&self, now_ms: u64, entry: Entry) -> Result<Applied, EconomyError> {
        let mut outcomes = self.store.apply(now_ms, vec![entry]).await?;
        let missing = || StoreError::Broken("an entry has no outcome".to_owned());
        Ok(outcomes.pop().ok_or_else(missing)??)
    }

    /// Makes credits: the only way they come to be.
    ///
    /// # Errors
    /// [`EconomyError`].
    pub async fn issue(
        &self,
        now_ms: u64,
        id: Id,
        to: AccountId,
        amount: Micro,
        note: &str,
    ) -> Result<Applied, EconomyError> {
        let leg = Leg { debit: AccountId::ISSUANCE, credit: to, amount, rule: Rule::Issue };
        self.order(now_ms, Entry::transfer(id, vec![leg], Reason::note(note))).await
    }

    /// A sponsor gives to the pool of a publisher.
    ///
    /// # Errors
    /// [`EconomyError`].
    pub async fn deposit(
        &self,
        now_ms: u64,
        signed: &Signed<Deposit>,
    ) -> Result<Applied, EconomyError> {
        signed.verify(&self.terms.issuer)?;
        let Deposit { id, sponsor, publisher, amount, ref note, .. } = signed.request;
        let debit = AccountId::of(Kind::Sponsor, sponsor);
        let leg = Leg { debit, credit: AccountId::pool(publisher), amount, rule: Rule::Deposit };
        self.order(now_ms, Entry::transfer(id, vec![leg], Reason::note(note))).await
    }

    /// A gift to one or several, by weights, to the last micro-credit; all get their part or nobody.
    ///
    /// # Errors
    /// [`EconomyError`]; [`EconomyError::Request`] for a squad that is empty, above [`SQUAD_MAX`], names one
    /// twice, the giver, or has no weight.
    pub async fn tip(
        &self,
        now_ms: u64,
        id: Id,
        from: PublicKey,
        squad: &[(PublicKey, u32)],
        amount: Micro,
        note: &str,
    ) -> Result<Applied, EconomyError> {
        if note.chars().count() > NOTE_CHARS_MAX {
            return Err(EconomyError::Request("a note has at most 140 characters"));
        }
        let reason = Reason::Tip { from, squad: squad.len() as u32, note: note.to_owned() };
        let legs = shares(AccountId::peer(from), squad, amount, Rule::Tip)?;
        self.order(now_ms, Entry::transfer(id, legs, reason)).await
    }

    /// Has a publisher's share divided as it has signed, from when it says, at most 90 s ago and a year ahead. Only
    /// of a publisher whose pool has ever had anything.
    ///
    /// # Errors
    /// [`EconomyError`].
    pub async fn agree(
        &self,
        now_ms: u64,
        signed: &Signed<Split>,
    ) -> Result<Applied, EconomyError> {
        signed.verify(&self.terms.issuer)?;
        let split = &signed.request;
        let (earliest, latest) = (now_ms.saturating_sub(SKEW_MS), now_ms.saturating_add(YEAR_MS));
        if !(earliest..=latest).contains(&split.from_ms) {
            let cause = "a split begins now or within a year: set the clocks, or another time";
            return Err(EconomyError::Request(cause));
        }
        let pool = self.store.accounts(&[AccountId::pool(split.publisher)]).await?;
        if pool.iter().all(|pool| pool.opened_ms == 0) {
            let cause = "a split is for a publisher whose pool has had something: fill it first";
            return Err(EconomyError::Request(cause));
        }
        let deed = Deed {
            name: Split::name(&split.publisher),
            from_ms: split.from_ms,
            // Strings and whole numbers: serialisation has no way to fail.
            text: serde_json::to_string(signed).unwrap_or_default(),
        };
        Ok(self.store.keep(deed).await??)
    }

    /// How a publisher's share is divided at `at_ms`, if it has signed anything of that.
    ///
    /// # Errors
    /// [`EconomyError::Store`].
    pub async fn split(
        &self,
        publisher: PublicKey,
        at_ms: u64,
    ) -> Result<Option<Signed<Split>>, EconomyError> {
        let Some(deed) = self.store.deed(Split::name(&publisher), at_ms).await? else {
            return Ok(None);
        };
        let broken = |error| StoreError::Broken(format!("a split cannot be read: {error}"));
        Ok(Some(serde_json::from_str(&deed.text).map_err(broken)?))
    }

    /// What a peer has earned while it was new may be spent, if its account is old enough; how much.
    ///
    /// # Errors
    /// [`EconomyError`].
    pub async fn vest(&self, now_ms: u64, peer: PublicKey) -> Result<Micro, EconomyError> {
        for _ in 0..ATTEMPTS_MAX {
            let ids = [AccountId::of(Kind::Vesting, peer), AccountId::peer(peer)];
            let accounts = self.store.accounts(&ids).await?;
            let opened_ms = accounts.iter().map(|a| a.opened_ms).filter(|&at| at > 0).min();
            let [vesting, _] = accounts.as_slice() else { return Ok(Micro::ZERO) };
            let (amount, Some(opened_ms)) = (vesting.available(), opened_ms) else {
                return Ok(Micro::ZERO);
            };
            if amount.is_zero() || now_ms.saturating_sub(opened_ms) < self.terms.vest_ms {
                return Ok(Micro::ZERO);
            }
            let vested = vesting.debits_posted.get().to_be_bytes();
            let id = Id::derived(opened_ms, &[b"vest", peer.as_bytes(), &vested]);
            let leg = Leg { debit: ids[0], credit: ids[1], amount, rule: Rule::Vest };
            match self
                .order(now_ms, Entry::transfer(id, vec![leg], Reason::Vested { opened_ms }))
                .await
            {
                Ok(_) => return Ok(amount),
                Err(EconomyError::Refused(Refusal::Insufficient { .. } | Refusal::Conflict(_))) => {
                }
                Err(error) => return Err(error),
            }
        }
        Err(EconomyError::Contended)
    }

    /// Takes from whoever signed two histories what it has earned and may not spend yet; how much. Once per
    /// edge.
    ///
    /// # Errors
    /// [`EconomyError`]; [`EconomyError::Invalid`] for a proof that is none.
    pub async fn forfeit(&self, now_ms: u64, proof: &ForkProof) -> Result<Micro, EconomyError> {
        proof.verify(&self.terms.issuer)?;
        let (culprit, edge) = (proof.culprit(), proof.edge().id);
        let debit = AccountId::of(Kind::Vesting, culprit);
        for _ in 0..ATTEMPTS_MAX {
            let accounts = self.store.accounts(&[debit]).await?;
            let amount = accounts.first().map_or(Micro::ZERO, |vesting| vesting.available());
            if amount.is_zero() {
                return Ok(amount);
            }
            let credit = AccountId::FORFEITS;
            let legs = vec![Leg { debit, credit, amount, rule: Rule::Forfeit }];
            let counter = digest("fork", &[edge.as_bytes(), culprit.as_bytes()]);
            let id = Id::derived(edge.at_ms(), &[b"fork", edge.as_bytes()]);
            let mut entry = Entry::transfer(id, legs, Reason::Fork { edge, culprit });
            entry.advances = vec![Advance { counter, from: 0, to: 1 }];
            match self.order(now_ms, entry).await {
                Ok(Applied::New) => return Ok(amount),
                Ok(Applied::Replayed)
                | Err(EconomyError::Refused(Refusal::Moved { .. } | Refusal::Conflict(_))) => {
                    return Ok(Micro::ZERO);
                }
                Err(EconomyError::Refused(Refusal::Insufficient { .. })) => {}
                Err(error) => return Err(error),
            }
        }
        Err(EconomyError::Contended)
    }
}

/// The legs by which `amount` goes from `payer` to each of `squad`; parts of nothing are left out.
fn shares(
    payer: AccountId,
    squad: &[(PublicKey, u32)],
    amount: Micro,
    rule: Rule,
) -> Result<Vec<Leg>, EconomyError> {
    if squad.is_empty() || squad.len() > SQUAD_MAX {
        return Err(EconomyError::Request("a squad has 1 to 32 members"));
    }
    let names: std::collections::BTreeSet<_> = squad.iter().map(|(member, _)| member).collect();
    if names.len() < squad.len() {
        return Err(EconomyError::Request("a squad names each member once"));
    }
    if squad.iter().any(|(member, _)| AccountId::peer(*member) == payer) {
        return Err(EconomyError::Request("nobody can give to themselves"));
    }
    let weights: Vec<u32> = squad.iter().map(|(_, weight)| *weight).collect();
    let parts = split(amount, &weights)
        .ok_or(EconomyError::Request("a squad has a member with a weight above zero"))?;
    let legs = squad.iter().zip(parts).filter(|(_, part)| !part.is_zero());
    let legs: Vec<Leg> = legs
        .map(|((member, _), amount)| Leg {
            debit: payer,
            credit: AccountId::peer(*member),
            amount,
            rule,
        })
        .collect();
    if legs.is_empty() { Err(EconomyError::Request("an amount is above zero")) } else { Ok(legs) }
}
