//! A suite is worth what it catches: for every clause a small lie, and the clause must fail.
#![cfg(feature = "conformance")]
#![allow(clippy::unwrap_used)]

#[path = "broken/transport.rs"]
mod transport;

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs a clause that must fail, and fail for its own reason.
fn caught(clause: &str, run: impl FnOnce()) {
    let failure = catch_unwind(AssertUnwindSafe(run)).expect_err("the lie was not noticed");
    let message = failure.downcast_ref::<String>().cloned().unwrap_or_default();
    assert!(message.starts_with(clause), "{clause} failed for another reason: {message}");
}
