//! The only place that reads a clock.

use super::timer;
use crate::time::Instant;
use std::time::Duration;

/// Wall time at the start plus monotonic time since: comparable between machines, never
/// backwards within one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    start: Instant,
    since: timer::Instant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        let (wall, since) = wall();
        Self { start: Instant::ZERO + wall, since }
    }

    pub(crate) fn now(&self) -> Instant {
        self.start + self.since.elapsed()
    }

    /// The moment of `at` on the timers' clock, at most an hour ahead.
    pub(crate) fn moment(&self, at: Instant) -> timer::Instant {
        self.since + at.since(self.start).min(self.since.elapsed() + Duration::from_secs(3600))
    }
}

/// Wall time since 1970, and the same moment on the timers' clock.
#[cfg(not(target_family = "wasm"))]
#[expect(clippy::disallowed_methods, reason = "the driver is where time comes from")]
fn wall() -> (Duration, timer::Instant) {
    use std::time::{SystemTime, UNIX_EPOCH};
    // A clock before 1970 gives zero: latency is then wrong, nothing else.
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    (unix, timer::Instant::now())
}

/// Wall time since 1970, and the same moment on the timers' clock.
#[cfg(target_family = "wasm")]
fn wall() -> (Duration, timer::Instant) {
    timer::wall()
}
