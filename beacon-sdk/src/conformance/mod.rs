//! Test suites that an adapter's author runs against an implementation: one test per clause of
//! the trait's contract, under a stable name.
//!
//! Write a function that makes a fixture and call the trait's macro in a test module:
//!
//! ```
//! use beacon_sdk::conformance::TransportFixture;
//! use beacon_sdk::memory::MemoryNetwork;
//! use beacon_sdk::{PeerId, Transport};
//!
//! struct Memory(MemoryNetwork);
//!
//! impl TransportFixture for Memory {
//!     async fn transport(&mut self, me: PeerId) -> Box<dyn Transport> {
//!         Box::new(self.0.transport(me))
//!     }
//! }
//!
//! fn memory() -> Memory {
//!     Memory(MemoryNetwork::new())
//! }
//!
//! mod transport {
//!     beacon_sdk::transport_conformance!(super::memory);
//! }
//! # fn main() {}
//! ```
//!
//! Every body is also a plain `async fn`, so one clause can be called alone: see `run`, and in a
//! browser await it, or [`transport::clause`] by its name. A failure is a panic whose message
//! starts with the clause. Waits have generous hang guards; nothing
//! else depends on the clock. Not covered by semantic versioning.

pub mod erasure;
mod lab;
pub mod ledger;
pub mod rendezvous;
pub mod scheduler;
pub mod scorer;
pub mod sink;
pub mod source;
pub mod transport;
mod views;

pub use rendezvous::RendezvousFixture;
pub use sink::{SinkFixture, sample};
pub use source::SourceFixture;
pub use transport::TransportFixture;

use core::future::{Future, poll_fn};
use core::pin::Pin;
use core::task::Poll;
use core::time::Duration;

/// What the contracts call "within a second or two" and "prompt", with room for a loaded machine.
pub(crate) const PROMPT: Duration = Duration::from_secs(10);
/// A test that has not ended by then hangs, whatever it waits for.
#[cfg(not(target_family = "wasm"))]
const TEST_MAX: Duration = Duration::from_secs(240);

/// Runs one clause to its end on a tokio runtime of its own, with timers and, where the crate
/// graph has them, sockets.
///
/// # Panics
/// When the clause is not kept, or nothing has come of it after four minutes.
#[cfg(not(target_family = "wasm"))]
pub fn run(clause: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let Ok(runtime) = runtime else { panic!("no tokio runtime can be had here") };
    let ended = runtime.block_on(async { tokio::time::timeout(TEST_MAX, clause).await });
    // Tasks that an adapter left behind must not keep the test.
    runtime.shutdown_background();
    assert!(ended.is_ok(), "the clause has not come to an end within {TEST_MAX:?}");
}

/// A future that may borrow and need not be `Send`.
pub(crate) type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// The first of `futures` that is ready, with its index; with `once`, `None` when none is ready
/// at the first poll. All the others are dropped with their caller's list.
pub(crate) async fn first<T>(futures: &mut [Pending<'_, T>], once: bool) -> Option<(usize, T)> {
    poll_fn(|cx| {
        for (index, future) in futures.iter_mut().enumerate() {
            if let Poll::Ready(value) = future.as_mut().poll(cx) {
                return Poll::Ready(Some((index, value)));
            }
        }
        if once { Poll::Ready(None) } else { Poll::Pending }
    })
    .await
}

/// One `#[test]` per listed body; the bodies take the fixture that `$make` gives.
#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_tests {
    ($make:path, $suite:ident, $($clause:ident)*) => {$(
        #[test]
        fn $clause() {
            $crate::conformance::run(async {
                let mut fixture = $make();
                $crate::conformance::$suite::$clause(&mut fixture).await;
            });
        }
    )*};
}

/// One `#[test]` per listed body of a pure trait; the bodies take the constructor `$make`.
#[doc(hidden)]
#[macro_export]
macro_rules! __pure_conformance_tests {
    ($make:expr, $suite:ident, $($clause:ident)*) => {$(
        #[test]
        fn $clause() {
            $crate::conformance::$suite::$clause($make);
        }
    )*};
}
