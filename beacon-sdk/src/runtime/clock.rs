//! The only place that reads a clock.

use crate::time::Instant;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Wall time at the start plus monotonic time since: comparable between machines, never
/// backwards within one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    start: Instant,
    since: tokio::time::Instant,
}

impl Clock {
    #[expect(clippy::disallowed_methods, reason = "the driver is where time comes from")]
    pub(crate) fn start() -> Self {
        // A clock before 1970 gives zero: latency is then wrong, nothing else.
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let start = Instant::ZERO + unix;
        Self { start, since: tokio::time::Instant::now() }
    }

    pub(crate) fn now(&self) -> Instant {
        self.start + self.since.elapsed()
    }

    /// The moment of `at` on tokio's clock, at most an hour ahead.
    pub(crate) fn moment(&self, at: Instant) -> tokio::time::Instant {
        self.since + at.since(self.start).min(self.since.elapsed() + Duration::from_secs(3600))
    }
}
