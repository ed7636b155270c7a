//! A token bucket: how much one connection may say, and how often a network may come.

use core::time::Duration;
use std::time::Instant;

/// Fills with `rate` tokens a second up to `burst`; a message takes one.
#[derive(Debug)]
pub(crate) struct Bucket {
    /// When the bucket will be, or was, full: a single instant says it all.
    full_at: Instant,
    interval: Duration,
    depth: Duration,
}

impl Bucket {
    /// A full bucket. `rate` and `burst` are at least 1.
    pub(crate) fn new(now: Instant, rate: u32, burst: u32) -> Self {
        Self::every(now, Duration::from_secs(1) / rate.max(1), burst)
    }

    /// A full bucket that gets a token in each `interval`.
    pub(crate) fn every(now: Instant, interval: Duration, burst: u32) -> Self {
        Self { full_at: now, interval, depth: interval * burst.max(1) }
    }

    /// Takes a token, or says how long it is until there is one.
    pub(crate) fn take(&mut self, now: Instant) -> Result<(), Duration> {
        let empty_for = self.full_at.saturating_duration_since(now) + self.interval;
        match empty_for.checked_sub(self.depth) {
            Some(wait) if !wait.is_zero() => Err(wait),
            _ => {
                self.full_at = self.full_at.max(now) + self.interval;
                Ok(())
            }
        }
    }

    /// How much of it is taken: 0 is nothing, 1000 all.
    pub(crate) fn taken(&self, now: Instant) -> u32 {
        let empty_for = self.full_at.saturating_duration_since(now);
        // It is never emptier than empty.
        u32::try_from(empty_for.as_nanos() * 1000 / self.depth.as_nanos()).unwrap_or(1000)
    }

    /// Whether it is as a new one.
    pub(crate) fn is_full(&self, now: Instant) -> bool {
        self.full_at <= now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_then_the_rate() {
        let start = Instant::now();
        let mut bucket = Bucket::new(start, 10, 5);
        assert!((0..5).all(|_| bucket.take(start).is_ok()));
        assert_eq!(bucket.take(start), Err(Duration::from_millis(100)));
        let later = start + Duration::from_millis(100);
        assert_eq!(bucket.take(later), Ok(()));
        assert!(bucket.take(later).is_err());
        assert_eq!(
            (bucket.taken(later), bucket.taken(later + 2 * Duration::from_millis(100))),
            (1000, 600)
        );
        let much_later = start + Duration::from_secs(60);
        assert_eq!(bucket.taken(much_later), 0);
        assert_eq!((0..20).filter(|_| bucket.take(much_later).is_ok()).count(), 5);
    }
}
