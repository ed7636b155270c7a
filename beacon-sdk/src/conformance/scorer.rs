//! The suite of [`Scorer`]: clauses C01–C06, on random histories.

use crate::id::PeerId;
use crate::identity::PublicKey;
use crate::plugin::{Observation, Score, Scorer};
use crate::rng::Rng;
use crate::time::Instant;
use core::time::Duration;

const HISTORIES: u64 = 300;
/// What the debug output may grow by without being memory of peers.
const SLACK: usize = 4096;

/// One `#[test]` per clause C01–C06 for the scorers that the constructor `$make` returns:
/// `scorer_conformance!(MyScorer::default)`.
#[macro_export]
macro_rules! scorer_conformance {
    ($make:expr) => {
        $crate::__pure_conformance_tests!($make, scorer,
            c01_monotone c02_newcomers_are_alike c03_bounded_memory c04_forget_is_total
            c05_deterministic c06_any_history_is_scored);
    };
}

type Event = (Instant, PeerId, Observation);

fn rng(purpose: u64, number: u64) -> Rng {
    Rng::new([4; 32], purpose << 32 | number)
}

fn peer(number: u32) -> PeerId {
    let mut bytes = [0; 32];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    PublicKey::from_bytes(bytes)
}

fn observation(rng: &mut Rng) -> Observation {
    let bytes = rng.below(100_000);
    match rng.below(15) {
        0 => Observation::Connected,
        1 => Observation::Dropped,
        2..=5 => Observation::Useful { bytes },
        6 => Observation::Duplicate { bytes },
        7 if bytes < 10_000 => Observation::Invalid,
        8 if bytes < 30_000 => Observation::Malformed,
        9 => Observation::Unanswered,
        10 => Observation::Busy,
        11 if bytes < 30_000 => Observation::Breach,
        12 => Observation::Taken { bytes },
        13 => Observation::Carried { milli: bytes / 20 },
        _ => Observation::RoundTrip(Duration::from_micros(u64::from(bytes) * 5)),
    }
}

/// Up to 150 observations of three peers over some minutes.
fn history(rng: &mut Rng) -> Vec<Event> {
    let mut now = Instant::from_micros(1_000_000_000);
    let length = rng.below(150);
    let events = (0..length).map(|_| {
        now = now + Duration::from_millis(u64::from(rng.below(3000)));
        (now, peer(rng.below(3)), observation(rng))
    });
    events.collect()
}

fn end(history: &[Event]) -> Instant {
    history.last().map_or(Instant::from_micros(1_000_000_000), |(now, ..)| *now)
}

fn replay<S: Scorer>(mut scorer: S, history: &[Event]) -> S {
    history.iter().for_each(|(now, peer, seen)| scorer.observe(*now, *peer, *seen));
    scorer
}

/// Useful bytes put into a history, or more of them, never lower the score at its end or later;
/// an invalid symbol never raises it.
pub fn c01_monotone<S: Scorer>(make: impl Fn() -> S) {
    for number in 0..HISTORIES {
        let mut rng = rng(1, number);
        let plain = history(&mut rng);
        let at = rng.below(u32::try_from(plain.len() + 1).unwrap_or(1)) as usize;
        let when = end(&plain[..at]);
        let with = |seen: Observation| {
            let mut events = plain.clone();
            events.insert(at, (when, peer(0), seen));
            replay(make(), &events)
        };
        let base = replay(make(), &plain);
        let few = with(Observation::Useful { bytes: 1000 });
        let many = with(Observation::Useful { bytes: 1_000_000 });
        let bad = with(Observation::Invalid);
        for later in [0, 1, 10, 100, 1000, 100_000] {
            let now = end(&plain) + Duration::from_secs(later);
            let score = |scorer: &S| scorer.score(now, peer(0));
            let (base, few, many, bad) = (score(&base), score(&few), score(&many), score(&bad));
            let place = format!("after {later} s in history {number}");
            let kept = base <= few && few <= many;
            assert!(kept, "C01: useful bytes lower {base:?}: {few:?}, {many:?} {place}");
            assert!(bad <= base, "C01: a false symbol raises {base:?} to {bad:?} {place}");
        }
    }
}

/// Whoever is unknown has one score and one role, whatever else has been seen, at any time.
pub fn c02_newcomers_are_alike<S: Scorer>(make: impl Fn() -> S) {
    let fresh = make();
    let start = Instant::ZERO;
    let (score, role) = (fresh.score(start, peer(9)), fresh.role(start, peer(9)));
    for number in 0..HISTORIES {
        let history = history(&mut rng(2, number));
        let scorer = replay(make(), &history);
        for (now, unknown) in [(start, 5), (end(&history), 6), (Instant::NEVER, u32::MAX)] {
            let same = scorer.score(now, peer(unknown)) == score;
            assert!(same, "C02: two newcomers' scores differ in history {number}");
            assert_eq!(scorer.role(now, peer(unknown)), role, "C02: two newcomers' roles differ");
        }
    }
}

/// What is kept grows with the peers that are not forgotten, and with nothing else. Memory is
/// judged by the debug output, which must therefore show it.
pub fn c03_bounded_memory<S: Scorer>(make: impl Fn() -> S) {
    let mut scorer = make();
    let mut random = rng(3, 0);
    let mut now = Instant::ZERO;
    let size = |scorer: &S| format!("{scorer:?}").len();
    let empty = size(&scorer);
    for number in 0..20_000 {
        now = now + Duration::from_millis(20);
        let guest = peer(number + 10);
        scorer.observe(now, guest, observation(&mut random));
        scorer.forget(guest);
    }
    let after = size(&scorer);
    assert!(after <= empty + SLACK, "C03: forgotten peers are kept: {empty} to {after}");
    for _ in 0..20_000 {
        now = now + Duration::from_millis(20);
        scorer.observe(now, peer(0), observation(&mut random));
    }
    let after = size(&scorer);
    assert!(after <= empty + SLACK, "C03: every observation is kept: {empty} to {after}");
}

/// A forgotten peer is a newcomer, and has the future of one.
pub fn c04_forget_is_total<S: Scorer>(make: impl Fn() -> S) {
    for number in 0..HISTORIES {
        let mut rng = rng(4, number);
        let past = history(&mut rng);
        let (now, known) = (end(&past), peer(0));
        let mut scorer = replay(make(), &past);
        scorer.forget(known);
        scorer.forget(known);
        let newcomer = make();
        let alike = scorer.score(now, known) == newcomer.score(now, known)
            && scorer.role(now, known) == newcomer.role(now, known);
        assert!(alike, "C04: a forgotten peer is not a newcomer in history {number}");
        let shift = now.since(Instant::ZERO);
        let future: Vec<Event> = history(&mut rng)
            .into_iter()
            .filter(|(_, peer, _)| *peer == known)
            .map(|(at, peer, seen)| (at + shift, peer, seen))
            .collect();
        let (scorer, newcomer) = (replay(scorer, &future), replay(newcomer, &future));
        let now = end(&future).max(now);
        let alike = scorer.score(now, known) == newcomer.score(now, known);
        assert!(alike, "C04: something of a forgotten peer comes back in history {number}");
    }
}

/// Two scorers that see the same give the same scores and roles, also when asked in between.
pub fn c05_deterministic<S: Scorer>(make: impl Fn() -> S) {
    for number in 0..HISTORIES {
        let history = history(&mut rng(5, number));
        let (mut asked, mut silent) = (make(), make());
        for (now, about, seen) in &history {
            asked.observe(*now, *about, *seen);
            silent.observe(*now, *about, *seen);
            let _ = (asked.score(*now, *about), asked.role(*now, peer(1)));
        }
        let now = end(&history) + Duration::from_secs(1);
        for about in [peer(0), peer(1), peer(2)] {
            let same = asked.score(now, about) == silent.score(now, about)
                && asked.role(now, about) == silent.role(now, about);
            assert!(same, "C05: two scores for one history, {number}");
        }
    }
}

/// Extremes, repetition and a clock that goes back give a score, and never a panic.
pub fn c06_any_history_is_scored<S: Scorer>(make: impl Fn() -> S) {
    let extremes = [
        Observation::Connected,
        Observation::Dropped,
        Observation::Useful { bytes: u32::MAX },
        Observation::Duplicate { bytes: u32::MAX },
        Observation::Invalid,
        Observation::Malformed,
        Observation::Unanswered,
        Observation::Busy,
        Observation::Breach,
        Observation::Taken { bytes: u32::MAX },
        Observation::Carried { milli: u32::MAX },
        Observation::RoundTrip(Duration::MAX),
        Observation::RoundTrip(Duration::ZERO),
    ];
    let scored = std::panic::catch_unwind(core::panic::AssertUnwindSafe(|| {
        let mut scorer = make();
        for (number, seen) in (0..).zip(extremes) {
            for _ in 0..5000 {
                scorer.observe(Instant::from_micros(1000), peer(number), seen);
                scorer.observe(Instant::from_micros(1000), peer(99), seen);
            }
        }
        for now in [Instant::NEVER, Instant::ZERO, Instant::from_micros(1000), Instant::NEVER] {
            for number in [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 99] {
                scorer.observe(now, peer(number), extremes[number as usize % extremes.len()]);
                let score = scorer.score(now, peer(number));
                assert!(score <= Score::MAX, "{score:?}");
                scorer.role(now, peer(number));
            }
        }
    }));
    assert!(scored.is_ok(), "C06: a panic, or a score above 100, after extreme observations");
}
