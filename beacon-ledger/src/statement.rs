//! [`Statement`]: every credit of an account, and why.

use crate::book::{Account, AccountId, Reason, Rule};
use crate::id::Id;
use crate::money::Micro;
use crate::store::{LINES_MAX, Place, Store, StoreError};
use core::fmt;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// The history of an account, explained.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Statement {
    /// Whose.
    pub account: AccountId,
    /// What it may spend.
    pub available: Micro,
    /// What holds reserve of it.
    pub reserved: Micro,
    /// Lines before the first one here.
    pub earlier: u64,
    /// The last lines, the oldest first.
    pub lines: Vec<Explained>,
}

/// A line of a statement.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Explained {
    /// When, Unix milliseconds.
    pub at_ms: u64,
    /// The entry.
    pub entry: Id,
    /// By which rule.
    pub rule: Rule,
    /// Whether the account gave, rather than got.
    pub gave: bool,
    /// How much.
    pub amount: Micro,
    /// The account on the other side.
    pub other: AccountId,
    /// What the account had afterwards; below zero for issuance.
    pub balance: i64,
    /// What explains it; none if a later version wrote it.
    #[serde(default)]
    pub reason: Option<Reason>,
}

impl Statement {
    /// The last `last` lines of an account, at most [`LINES_MAX`]. Reads its whole history, a page at a time.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn of(
        store: &dyn Store,
        account: AccountId,
        last: usize,
    ) -> Result<Self, StoreError> {
        let last = last.min(LINES_MAX);
        let mut lines: VecDeque<Explained> = VecDeque::new();
        let (mut after, mut earlier, mut balance): (Option<Place>, u64, i64) = (None, 0, 0);
        loop {
            let page = store.lines(account, after, LINES_MAX).await?;
            for line in &page {
                let moved = line.moved.moved;
                let gave = moved.debit == account;
                let amount = i64::try_from(moved.amount.get()).unwrap_or(i64::MAX);
                balance = balance.saturating_add(if gave { -amount } else { amount });
                lines.push_back(Explained {
                    at_ms: line.moved.at_ms,
                    entry: line.moved.entry,
                    rule: moved.rule,
                    gave,
                    amount: moved.amount,
                    other: if gave { moved.credit } else { moved.debit },
                    balance,
                    reason: serde_json::from_str(&line.reason).ok(),
                });
                if lines.len() > last {
                    lines.pop_front();
                    earlier += 1;
                }
            }
            after = page.last().map(|line| line.moved.place());
            if page.len() < LINES_MAX {
                break;
            }
        }
        let now: Account = store.accounts(&[account]).await?.pop().unwrap_or_default();
        Ok(Self {
            account,
            available: now.available(),
            reserved: now.debits_pending,
            earlier,
            lines: lines.into(),
        })
    }
}

/// For a person: one line per movement, with what explains it.
impl fmt::Display for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.account)?;
        writeln!(f, "may spend {}, reserved {}", self.available, self.reserved)?;
        if self.earlier > 0 {
            writeln!(f, "{} earlier lines are not shown", self.earlier)?;
        }
        self.lines.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

impl fmt::Display for Explained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.gave { '-' } else { '+' };
        let (at, rule) = (seconds(self.at_ms), rule_text(self.rule));
        write!(f, "{at}  {sign}{:<18} {rule}", self.amount)?;
        write!(f, " {} {}", if self.gave { "to" } else { "from" }, self.other)?;
        match &self.reason {
            Some(reason) => write!(f, "\n    {reason}\n    entry {}", self.entry),
            None => write!(f, "\n    entry {}", self.entry),
        }
    }
}

/// Unix seconds to the millisecond.
fn seconds(at_ms: u64) -> String {
    format!("{}.{:03}", at_ms / 1000, at_ms % 1000)
}

const fn rule_text(rule: Rule) -> &'static str {
    match rule {
        Rule::Issue => "issued",
        Rule::Deposit => "deposit",
        Rule::Watch => "paid for watching",
        Rule::Relay => "earned by carrying",
        Rule::Share => "broadcaster's share",
        Rule::Tip => "tip",
        Rule::CoStream => "part of the broadcaster's share",
        Rule::Vest => "free to spend",
        Rule::Forfeit => "forfeited",
        Rule::Order => "by order",
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Receipt {
                edge,
                publisher,
                epoch,
                uploader,
                downloader,
                seq,
                cum_bytes,
                receipt,
                paid_before,
                paid_after,
                split_ms,
            } => {
                write!(
                    f,
                    "receipt {seq} ({receipt}) over edge {edge}: {downloader} has verified {cum_bytes} bytes of \
                     {publisher}/{epoch} from {uploader}; paid for the edge {paid_before} before, {paid_after} now"
                )?;
                split_ms.map_or(Ok(()), |from| {
                    write!(f, "; the broadcaster's share by its split from {}", seconds(from))
                })
            }
            Self::Tip { from, squad, note } if note.is_empty() => {
                write!(f, "tip of {from}, split among {squad}")
            }
            Self::Tip { from, squad, note } => {
                write!(f, "tip of {from}, split among {squad}: {note:?}")
            }
            Self::Vested { opened_ms } => {
                write!(f, "the account was opened at {}", seconds(*opened_ms))
            }
            Self::Fork { edge, culprit } => {
                write!(f, "{culprit} signed two histories over edge {edge}")
            }
            Self::Note { note } => write!(f, "{note:?}"),
        }
    }
}
