//! Timers of the runtime at hand: tokio's natively, the browser's own in a page or a worker.
//!
//! For drivers, and for adapters that run in both places. The engine is told the time and has no
//! use for this.

#[cfg(target_family = "wasm")]
mod browser;

#[cfg(target_family = "wasm")]
pub(super) use browser::wall;
#[cfg(target_family = "wasm")]
pub use browser::{Elapsed, Instant, Sleep, sleep, sleep_until, timeout, timeout_at};
#[cfg(not(target_family = "wasm"))]
pub use tokio::time::{Instant, Sleep, error::Elapsed, sleep, sleep_until, timeout, timeout_at};
