//! [`Economy`]: what a receipt is worth, who pays, who shares, and within which limits.
//!
//! A receipt is worth [`Terms::rate`] per verified byte, counted from the beginning of its edge. What has
//! been paid for an edge is a counter of the accounts, moved on in the same entry that pays; so
//! a receipt that comes twice, late, out of order or to two servers at once is paid once, and what a
//! limit withholds stays due.
//!
//! Money is conserved: a pool that a sponsor filled pays, and, where [`Terms::viewers_pay`], the viewer
//! before it. No receipt mints credits.

mod terms;

pub use terms::{Caps, Prefix, Terms};

use crate::book::{
    AccountId, Advance, Applied, Entry, Kind, Leg, NOTE_CHARS_MAX, Reason, Refusal, Rule,
};
use crate::id::{Id, digest};
use crate::money::{Micro, split};
use crate::receipt::{ForkProof, Invalid, Receipt, SignedEdge};
use crate::store::{Store, StoreError};
use beacon_sdk::PublicKey;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use terms::DAY_MS;

/// How far another's clock may be ahead.
const SKEW_MS: u64 = 90_000;
/// Edges whose signature is remembered as good (15 MB).
const EDGES_MAX: usize = 65_536;
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

/// A payment as it would be made now.
struct Plan {
    settlement: Settlement,
    entry: Option<Entry>,
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

    /// Pays what a receipt proves and has not been paid, within the limits. `prefix` is where the
    /// uploader is. The publisher itself earns nothing by the byte: carrying its own broadcast is no service.
    ///
    /// # Errors
    /// [`EconomyError`]. Nothing was paid then, or it is not known ([`StoreError::Unavailable`]); asking again is
    /// always safe.
    pub async fn settle(
        &self,
        now_ms: u64,
        receipt: &Receipt,
        prefix: Option<&Prefix>,
    ) -> Result<Settlement, EconomyError> {
        self.verify(receipt)?;
        let edge = &receipt.edge.edge;
        if edge.issued_ms() > now_ms.saturating_add(SKEW_MS) {
            return Err(EconomyError::Early);
        }
        if now_ms > edge.expires_ms.saturating_add(self.terms.late_ms) {
            return Err(EconomyError::Late);
        }
        if edge.uploader == edge.broadcast.publisher {
            return Ok(Settlement::default());
        }
        for _ in 0..ATTEMPTS_MAX {
            let plan = self.plan(now_ms, receipt, prefix).await?;
            let Some(entry) = plan.entry else { return Ok(plan.settlement) };
            match self.order(now_ms, entry).await {
                Ok(_) => return Ok(plan.settlement),
                // Somebody was quicker: look again at what is left to pay, and who can.
                Err(EconomyError::Refused(
                    Refusal::Moved { .. } | Refusal::Insufficient { .. } | Refusal::Conflict(_),
                )) => {}
                Err(error) => return Err(error),
            }
        }
        Err(EconomyError::Contended)
    }

    fn verify(&self, receipt: &Receipt) -> Result<(), Invalid> {
        let edge = &receipt.edge;
        let lock = || self.edges.lock().unwrap_or_else(PoisonError::into_inner);
        if lock().get(&edge.edge.id) != Some(edge) {
            edge.verify(&self.terms.issuer)?;
            let mut edges = lock();
            edges.insert(edge.edge.id, *edge);
            if edges.len() > EDGES_MAX {
                edges.pop_first();
            }
        }
        receipt.verify_downloader()
    }

    async fn plan(
        &self,
        now_ms: u64,
        receipt: &Receipt,
        prefix: Option<&Prefix>,
    ) -> Result<Plan, EconomyError> {
        let edge = &receipt.edge.edge;
        let (up, down, publisher) = (edge.uploader, edge.downloader, edge.broadcast.publisher);
        let caps = &self.terms.caps;
        let day = (now_ms / DAY_MS).to_be_bytes();
        let counter = |what: &str, parts: &[&[u8]]| digest(what, parts);
        let mut limits = vec![
            (
                counter("counterpart", &[&day, up.as_bytes(), down.as_bytes()]),
                caps.counterpart,
                Limit::Counterpart,
            ),
            (counter("viewer", &[&day, down.as_bytes()]), caps.viewer, Limit::Viewer),
            (counter("account", &[&day, up.as_bytes()]), caps.account, Limit::Account),
        ];
        limits.extend(
            prefix.map(|Prefix(at)| (counter("prefix", &[&day, at]), caps.prefix, Limit::Prefix)),
        );
        let mut names = vec![counter("edge", &[&receipt.edge.encode()])];
        names.extend(limits.iter().map(|(name, ..)| *name));
        let counters = self.store.counters(&names).await?;
        let paid = counters.first().copied().unwrap_or(0);
        let due = self.terms.rate.credits(receipt.cum_bytes).get().saturating_sub(paid);

        let ids = [
            AccountId::pool(publisher),
            AccountId::peer(down),
            AccountId::peer(up),
            AccountId::of(Kind::Vesting, up),
        ];
        let accounts = self.store.accounts(&ids).await?;
        let [pool, viewer, relay, vesting] = accounts.as_slice() else {
            return Err(StoreError::Broken("an answer of another length".to_owned()).into());
        };
        let by_viewer = if self.terms.viewers_pay { viewer.available().get() } else { 0 };
        let funds = pool.available().get().saturating_add(by_viewer);
        let room = limits.iter().zip(&counters[1..]);
        let room = room.map(|((_, cap, limit), used)| (cap.get().saturating_sub(*used), *limit));
        // The narrowest limit, if one is narrower than what is due.
        let (least, limit) = room.fold((funds, Limit::Funds), |a, b| if b.0 < a.0 { b } else { a });
        let pay = due.min(least);
        let micro = |micros| Micro::new(micros).ok_or(EconomyError::Request("out of range"));
        let settlement = Settlement {
            paid: micro(pay)?,
            withheld: micro(due - pay)?,
            limit: (pay < due).then_some(limit),
        };
        if pay == 0 {
            return Ok(Plan { settlement, entry: None });
        }

        let by_relay = self.terms.relay_part(paid + pay) - self.terms.relay_part(paid);
        let opened = [relay.opened_ms, vesting.opened_ms].into_iter().filter(|&at| at > 0).min();
        let ripe = now_ms.saturating_sub(opened.unwrap_or(now_ms)) >= self.terms.vest_ms;
        let earner = if ripe { ids[2] } else { ids[3] };
        let legs = [
            (ids[1], ids[0], pay.min(by_viewer), Rule::Watch),
            (ids[0], earner, by_relay, Rule::Relay),
            (ids[0], AccountId::peer(publisher), pay - by_relay, Rule::Share),
        ];
        let legs = legs.into_iter().filter(|(.., amount, _)| *amount > 0);
        let legs = legs.map(|(debit, credit, amount, rule)| {
            Ok(Leg { debit, credit, amount: micro(amount)?, rule })
        });
        let used = names.iter().zip(&counters);
        let reason = explain(receipt, micro(paid)?, micro(paid + pay)?);
        let parts: [&[u8]; 3] =
            [edge.id.as_bytes(), &paid.to_be_bytes(), &(paid + pay).to_be_bytes()];
        let mut entry = Entry::transfer(
            Id::derived(edge.issued_ms(), &parts),
            legs.collect::<Result<_, EconomyError>>()?,
            reason,
        );
        entry.advances = used
            .map(|(name, from)| Advance { counter: *name, from: *from, to: from + pay })
            .collect();
        Ok(Plan { settlement, entry: Some(entry) })
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
        id: Id,
        sponsor: PublicKey,
        publisher: PublicKey,
        amount: Micro,
    ) -> Result<Applied, EconomyError> {
        let debit = AccountId::of(Kind::Sponsor, sponsor);
        let leg = Leg { debit, credit: AccountId::pool(publisher), amount, rule: Rule::Deposit };
        self.order(now_ms, Entry::transfer(id, vec![leg], Reason::note("deposit"))).await
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

    /// Revenue in the pool of a publisher goes to those who broadcast together, by weights.
    ///
    /// # Errors
    /// As [`Economy::tip`].
    pub async fn co_stream(
        &self,
        now_ms: u64,
        id: Id,
        publisher: PublicKey,
        squad: &[(PublicKey, u32)],
        amount: Micro,
    ) -> Result<Applied, EconomyError> {
        let legs = shares(AccountId::pool(publisher), squad, amount, Rule::CoStream)?;
        let reason = Reason::note("revenue of a broadcast together");
        self.order(now_ms, Entry::transfer(id, legs, reason)).await
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

fn explain(receipt: &Receipt, paid_before: Micro, paid_after: Micro) -> Reason {
    let edge = &receipt.edge.edge;
    let mut name = [0; 16];
    name.copy_from_slice(&receipt.hash()[..16]);
    Reason::Receipt {
        edge: edge.id,
        publisher: edge.broadcast.publisher,
        epoch: edge.broadcast.epoch,
        uploader: edge.uploader,
        downloader: edge.downloader,
        seq: receipt.seq,
        cum_bytes: receipt.cum_bytes,
        receipt: Id::from_bytes(name),
        paid_before,
        paid_after,
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
