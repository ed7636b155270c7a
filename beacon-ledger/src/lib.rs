//! Credit for carried bytes: what a viewer's peers earn, and the books it is kept in.
//!
//! Three layers, each usable without the next:
//!
//! 1. **Receipts** ([`receipt`]): who received bytes signs how many, over an edge that the tracker
//!    issued. [`CreditLedger`] issues and accepts them inside the engine.
//! 2. **Accounts** ([`book`], [`store`]): double entry in whole micro-credits, append-only, behind
//!    one trait with three backends (memory, SQLite, PostgreSQL).
//! 3. **Economy** ([`economy`]): what a receipt is worth, who pays, who shares, within which caps;
//!    and the [`statement`] that explains every credit.
//!
//! No number here is a float: clippy's `float_arithmetic` is an error in this crate.

#![deny(clippy::float_arithmetic)]

/// The examples of `README.md`, compiled.
#[cfg(all(doctest, feature = "sqlite"))]
#[doc = include_str!("../README.md")]
pub struct Readme;

pub mod book;
#[cfg(feature = "conformance")]
pub mod conformance;
pub mod credit;
pub mod deposit;
pub mod economy;
mod id;
pub mod look;
pub mod money;
pub mod receipt;
pub mod signed;
pub mod split;
pub mod statement;
pub mod store;
pub mod tip;

pub use book::{AccountId, Action, Advance, Entry, Kind, Leg, Reason, Refusal, Rule};
pub use credit::{CreditConfig, CreditLedger};
pub use deposit::Deposit;
pub use economy::{Economy, Terms};
pub use id::Id;
pub use look::Look;
pub use money::{Micro, Rate};
pub use receipt::{Edge, ForkProof, Receipt, SignedEdge};
pub use signed::{Request, Signed};
pub use split::Split;
pub use statement::Statement;
pub use store::{Store, StoreError};
pub use tip::{SignedTip, Tip};
