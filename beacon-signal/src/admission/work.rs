//! What strangers are asked for, and whether they did it: work, the more the more of them come.

use super::whole_seconds;
use crate::bucket::Bucket;
use crate::outbox::Closing;
use beacon_sdk::signaling::{ErrorCode, Riddle, Slate, TRIES_MAX};
use core::fmt;
use core::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

/// What [`Effort::Auto`] asks for at most, in tries: half a second in a browser and .2 s natively on the machine of
/// `docs/measurements.md`, so that who comes with everybody else still comes at once.
const AUTO_TRIES_MAX: u32 = 128;
/// Nothing is asked while this much of a bucket is left, in thousandths. (Guess.)
const ROOM: u32 = 500;
/// Joins of strangers at once, in those of a second. (Guess: a broadcast that begins.)
const BURST_SECONDS: u32 = 100;
/// A connection may join for the price that it was told until this many times as much is asked for: it took a moment
/// to come, and who opens a thousand while it costs nothing does not keep that price.
const STALE: u32 = 4;
/// Answers checked per second at most: .6 s of one core (1.4 ms each, `docs/measurements.md`).
const CHECKS: u32 = 400;
/// Answers that wait for their check at most: a quarter of a second of them.
const WAITING_MAX: u32 = CHECKS / 4;

/// What strangers, who bring no token, are to do before they are let in.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Effort {
    /// Nothing while few come, and the more the more come, from everywhere or from the same network: up to 128 tries on
    /// average. Peers of this machine are never asked.
    Auto,
    /// Nothing.
    Off,
    /// So many tries on average, 1–1024, of 2 MiB and some two milliseconds each; also peers of this machine.
    Tries(u32),
}

impl Effort {
    /// Whether clients do that much.
    pub(crate) fn is_fair(self) -> bool {
        match self {
            Self::Auto | Self::Off => true,
            Self::Tries(tries) => (1..=TRIES_MAX).contains(&tries),
        }
    }
}

impl fmt::Display for Effort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Off => f.write_str("off"),
            Self::Tries(tries) => tries.fmt(f),
        }
    }
}

/// What is no [`Effort`].
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0:?} is no work: use auto, off, or a number of tries from 1 to {TRIES_MAX}")]
pub struct EffortError(String);

impl FromStr for Effort {
    type Err = EffortError;

    fn from_str(text: &str) -> Result<Self, EffortError> {
        let effort = match text {
            "auto" => Some(Self::Auto),
            "off" => Some(Self::Off),
            number => number.parse().ok().map(Self::Tries),
        };
        effort.filter(|effort| effort.is_fair()).ok_or_else(|| EffortError(text.to_owned()))
    }
}

/// What is asked of strangers.
#[derive(Debug)]
pub(super) struct Toll {
    effort: Effort,
    buckets: Mutex<Buckets>,
    places: Semaphore,
    /// One check at a time: they take one core at most.
    slate: Arc<tokio::sync::Mutex<Slate>>,
}

#[derive(Debug)]
struct Buckets {
    /// Strangers, wherever they come from.
    strangers: Bucket,
    checks: Bucket,
}

impl Toll {
    pub(super) fn new(now: Instant, effort: Effort, strangers_rate: u32) -> Self {
        let strangers = Bucket::new(now, strangers_rate, strangers_rate * BURST_SECONDS);
        let checks = Bucket::new(now, CHECKS, WAITING_MAX);
        Self {
            effort,
            buckets: Mutex::new(Buckets { strangers, checks }),
            places: Semaphore::new(WAITING_MAX as usize),
            slate: Arc::default(),
        }
    }

    /// Tries that are asked of a stranger now, 0 for none, whose network has sent so many thousandths of what it may;
    /// `None` for one of this machine.
    pub(super) fn price(&self, now: Instant, network: Option<u32>) -> u32 {
        match (self.effort, network) {
            (Effort::Off, _) | (Effort::Auto, None) => 0,
            (Effort::Tries(tries), _) => tries,
            (Effort::Auto, Some(taken)) => tries(taken.max(self.buckets().strangers.taken(now))),
        }
    }

    /// Whether a stranger who was asked for so many tries has done them, where `price` is what they cost now.
    pub(super) async fn take(
        &self,
        now: Instant,
        (asked, price): (u32, u32),
        riddle: Riddle,
        answer: Option<u64>,
    ) -> Result<(), Closing> {
        if price > asked.max(1) * STALE {
            let cause = "so many have come since this connection was opened that more work is asked \
                         for: connect again";
            return Err((ErrorCode::Crowded, cause.into()));
        }
        if asked == 0 {
            return Ok(());
        }
        let Some(answer) = answer else {
            let cause = format!(
                "so many come that this server asks for work, {asked} tries, and none was done: update \
                 this program, or try later"
            );
            return Err((ErrorCode::WorkMissing, cause));
        };
        if !self.check(now, riddle, answer).await? {
            let cause = "too little work: the answer does not solve this connection's challenge for this \
                         peer and broadcast; search for one that does, from its nonce";
            return Err((ErrorCode::WorkWrong, cause.into()));
        }
        Ok(())
    }

    /// One has been let in that comes from a network.
    pub(super) fn passed(&self, now: Instant) {
        // Who comes when all have come counts no more.
        let _ = self.buckets().strangers.take(now);
    }

    /// Whether an answer solves its riddle, away from the tasks that serve others. False ones cost as much as
    /// good ones: there are only so many a second, whoever sends them.
    async fn check(&self, now: Instant, riddle: Riddle, answer: u64) -> Result<bool, Closing> {
        let busy = |wait| {
            let seconds = whole_seconds(wait);
            let cause = format!("more work has come than can be checked: come back in {seconds} s");
            (ErrorCode::Crowded, cause)
        };
        let _place = self.places.try_acquire().map_err(|_| busy(core::time::Duration::ZERO))?;
        self.buckets().checks.take(now).map_err(busy)?;
        let mut slate = Arc::clone(&self.slate).lock_owned().await;
        let checked = spawn_blocking(move || riddle.is_solved_by(answer, &mut slate)).await;
        // It fails when the runtime ends: nobody is let in any more.
        Ok(checked.unwrap_or(false))
    }

    fn buckets(&self) -> MutexGuard<'_, Buckets> {
        // Nothing that holds it can panic half-way.
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a bucket costs of which so many thousandths are taken: nothing while there is room, then 1, 2, 4 and so on up to
/// the most, in equal steps.
fn tries(taken: u32) -> u32 {
    const STEPS: u32 = AUTO_TRIES_MAX.ilog2() + 1;
    let above = |above: u32| 1 << (above * STEPS / (1001 - ROOM)).min(STEPS - 1);
    taken.checked_sub(ROOM).map_or(0, above)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use core::time::Duration;

    #[test]
    fn the_price_doubles_from_nothing_to_the_most() {
        assert_eq!((tries(0), tries(499), tries(500), tries(562)), (0, 0, 1, 1));
        assert_eq!((tries(563), tries(750), tries(937), tries(1000)), (2, 8, 64, AUTO_TRIES_MAX));
        assert!((0..1000).all(|taken| tries(taken) <= tries(taken + 1)));
    }

    #[test]
    fn all_networks_pay_when_all_have_come_and_one_when_it_has() {
        let now = Instant::now();
        let toll = Toll::new(now, Effort::Auto, 2);
        assert_eq!((toll.price(now, Some(0)), toll.price(now, Some(1000))), (0, AUTO_TRIES_MAX));
        (0..99).for_each(|_| toll.passed(now));
        assert_eq!(toll.price(now, Some(0)), 0);
        (0..51).for_each(|_| toll.passed(now));
        assert_eq!((toll.price(now, Some(0)), toll.price(now, Some(900))), (8, 64));
        assert_eq!(toll.price(now, None), 0, "this machine");
        (0..1000).for_each(|_| toll.passed(now));
        assert_eq!(toll.price(now, Some(0)), AUTO_TRIES_MAX);
        assert_eq!(toll.price(now + Duration::from_secs(51), Some(0)), 0);
        let fixed = |effort| Toll::new(now, effort, 2).price(now, None);
        assert_eq!((fixed(Effort::Off), fixed(Effort::Tries(9))), (0, 9));
    }

    #[test]
    fn an_effort_is_read_as_it_is_written() {
        for effort in [Effort::Auto, Effort::Off, Effort::Tries(1), Effort::Tries(TRIES_MAX)] {
            assert_eq!(effort.to_string().parse(), Ok(effort));
        }
        for text in ["", "0", "1025", "-1", "on", "99999999999"] {
            let error = text.parse::<Effort>().unwrap_err().to_string();
            assert!(error.contains("auto, off, or a number"), "{error}");
        }
    }
}
