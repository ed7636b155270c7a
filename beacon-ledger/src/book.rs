//! The rules of the accounts, without a database: what an entry does to the rows that it touches.
//!
//! Double entry: each leg of an entry debits one account and credits another by the same amount, so
//! the sum over all accounts is zero at any time. An account has four counters that only grow or, for
//! what is reserved, come and go; a balance is a difference of counters and never stored. Every
//! account but [`Kind::Issuance`] stays at or above zero, what is reserved included.
//!
//! A [`Store`](crate::store::Store) loads the rows that entries name into a [`Page`], lets the page
//! decide, and writes back what changed, in one transaction of its own.

mod account;
mod entry;
mod page;

pub use account::{AccountId, Kind, ParseAccountError};
pub use entry::{
    ADVANCES_MAX, Action, Advance, Entry, LEGS_MAX, Leg, NOTE_CHARS_MAX, REASON_BYTES_MAX, Reason,
    Rule,
};
pub use page::{Account, Applied, Hold, HoldState, Moved, Page, Refusal, Written};
