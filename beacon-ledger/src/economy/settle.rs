//! What a receipt is paid, and to whom.

use super::terms::DAY_MS;
use super::{
    ATTEMPTS_MAX, Economy, EconomyError, Limit, Prefix, SKEW_MS, Settlement, Terms, shares,
};
use crate::book::{Account, AccountId, Advance, Entry, Kind, Leg, Reason, Refusal, Rule};
use crate::id::{Id, digest};
use crate::money::Micro;
use crate::receipt::{Edge, Invalid, Receipt};
use crate::split::Split;
use crate::store::StoreError;
use std::sync::PoisonError;

/// Edges whose signature is remembered as good (15 MB).
const EDGES_MAX: usize = 65_536;

/// A payment as it would be made now.
struct Plan {
    settlement: Settlement,
    entry: Option<Entry>,
}

/// What an edge was paid before, and what it is paid now, in micro-credits.
struct Payment {
    before: u64,
    now: u64,
    /// Of that, what the viewer can pay.
    by_viewer: u64,
}

impl Economy {
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
        let limits = limits(&self.terms, now_ms, edge, prefix);
        let mut names = vec![digest("edge", &[&receipt.edge.encode()])];
        names.extend(limits.iter().map(|(name, ..)| *name));
        let counters = self.store.counters(&names).await?;
        let before = counters.first().copied().unwrap_or(0);
        let due = self.terms.rate.credits(receipt.cum_bytes).get().saturating_sub(before);

        let ids = [
            AccountId::pool(edge.broadcast.publisher),
            AccountId::peer(edge.downloader),
            AccountId::peer(edge.uploader),
            AccountId::of(Kind::Vesting, edge.uploader),
        ];
        let accounts = self.store.accounts(&ids).await?;
        let [pool, viewer, earner @ ..] = accounts.as_slice() else {
            return Err(StoreError::Broken("an answer of another length".to_owned()).into());
        };
        let by_viewer = if self.terms.viewers_pay { viewer.available().get() } else { 0 };
        let funds = pool.available().get().saturating_add(by_viewer);
        let room = limits.iter().zip(&counters[1..]);
        let room = room.map(|((_, cap, limit), used)| (cap.get().saturating_sub(*used), *limit));
        // The narrowest limit, if one is narrower than what is due.
        let (least, limit) = room.fold((funds, Limit::Funds), |a, b| if b.0 < a.0 { b } else { a });
        let now = due.min(least);
        let limit = (now < due).then_some(limit);
        let settlement = Settlement { paid: micro(now)?, withheld: micro(due - now)?, limit };
        if now == 0 {
            return Ok(Plan { settlement, entry: None });
        }
        let payment = Payment { before, now, by_viewer };
        let mut entry = self.entry(now_ms, receipt, &payment, earner).await?;
        let used = names.iter().zip(&counters);
        entry.advances = used
            .map(|(name, from)| Advance { counter: *name, from: *from, to: from + now })
            .collect();
        Ok(Plan { settlement, entry: Some(entry) })
    }

    /// The entry that pays; `earner` are the uploader's accounts.
    async fn entry(
        &self,
        now_ms: u64,
        receipt: &Receipt,
        payment: &Payment,
        earner: &[Account],
    ) -> Result<Entry, EconomyError> {
        let edge = &receipt.edge.edge;
        let (pool, publisher) =
            (AccountId::pool(edge.broadcast.publisher), edge.broadcast.publisher);
        let (before, after) = (payment.before, payment.before + payment.now);
        let by_relay = self.terms.relay_part(after) - self.terms.relay_part(before);
        let opened = earner.iter().map(|account| account.opened_ms).filter(|&at| at > 0).min();
        let ripe = now_ms.saturating_sub(opened.unwrap_or(now_ms)) >= self.terms.vest_ms;
        let kind = if ripe { Kind::Peer } else { Kind::Vesting };
        let legs = [
            (
                AccountId::peer(edge.downloader),
                pool,
                payment.now.min(payment.by_viewer),
                Rule::Watch,
            ),
            (pool, AccountId::of(kind, edge.uploader), by_relay, Rule::Relay),
        ];
        let legs = legs.into_iter().filter(|(.., amount, _)| *amount > 0);
        let legs = legs.map(|(debit, credit, amount, rule)| {
            Ok(Leg { debit, credit, amount: micro(amount)?, rule })
        });
        let mut legs = legs.collect::<Result<Vec<Leg>, EconomyError>>()?;
        let share = micro(payment.now - by_relay)?;
        let mut split = None;
        if !share.is_zero() {
            split = self.split(publisher, now_ms).await?.map(|signed| signed.request);
            legs.extend(match &split {
                Some(split) => shares(pool, &split.squad(), share, Rule::CoStream)?,
                None => shares(pool, &[(publisher, 1)], share, Rule::Share)?,
            });
        }
        let reason = explain(receipt, micro(before)?, micro(after)?, split.as_ref());
        let parts: [&[u8]; 3] = [edge.id.as_bytes(), &before.to_be_bytes(), &after.to_be_bytes()];
        Ok(Entry::transfer(Id::derived(edge.issued_ms(), &parts), legs, reason))
    }
}

fn micro(micros: u64) -> Result<Micro, EconomyError> {
    Micro::new(micros).ok_or(EconomyError::Request("out of range"))
}

/// What limits what an edge pays: the counter of what was used, the cap, and its name.
fn limits(
    terms: &Terms,
    now_ms: u64,
    edge: &Edge,
    prefix: Option<&Prefix>,
) -> Vec<([u8; 32], Micro, Limit)> {
    let (up, down, caps) = (edge.uploader, edge.downloader, &terms.caps);
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
    limits
}

fn explain(
    receipt: &Receipt,
    paid_before: Micro,
    paid_after: Micro,
    split: Option<&Split>,
) -> Reason {
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
        split_ms: split.map(|split| split.from_ms),
    }
}
