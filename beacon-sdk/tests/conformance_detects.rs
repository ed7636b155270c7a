//! A suite is worth what it catches: for every clause a small lie, and the clause must fail.
#![cfg(feature = "conformance")]
#![allow(clippy::unwrap_used)]

#[path = "specimens/good.rs"]
mod good;
#[path = "specimens/media.rs"]
mod media;
#[path = "specimens/pure.rs"]
mod pure;
#[path = "specimens/rendezvous.rs"]
mod rendezvous;
#[path = "specimens/transport.rs"]
mod transport;

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs a clause that must fail, and fail for its own reason.
fn caught(clause: &str, run: impl FnOnce()) {
    let failure = catch_unwind(AssertUnwindSafe(run)).expect_err("the lie was not noticed");
    let message = failure.downcast_ref::<String>().cloned().unwrap_or_default();
    let message = match failure.downcast_ref::<&str>() {
        Some(literal) => (*literal).to_owned(),
        None => message,
    };
    // `assert_eq!` puts its own words in front.
    let own = message.starts_with(clause) || message.contains(&format!("failed: {clause}: "));
    assert!(own, "{clause} failed for another reason: {message}");
}
