//! What has happened in a room lately: samples and events, as far as its peers tell.

use crate::order::ShortId;
use beacon_sdk::PeerId;
use beacon_sdk::plugin::Detail;
use core::time::Duration;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Time between two samples.
pub(crate) const SAMPLE_INTERVAL: Duration = Duration::from_secs(5);
/// Samples kept: ten minutes.
const SAMPLES_MAX: usize = 120;
/// Events kept.
const EVENTS_MAX: usize = 100;
/// What one report may add to a count: nobody has a million stalls in a few seconds.
const STEP_MAX: u64 = 1000;
/// Rates are cut here, 100 Gbit/s: their sums stay exact in JavaScript.
const RATE_MAX: u64 = 100_000_000_000;

/// A room at one moment.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Sample {
    /// Seconds since the Unix epoch.
    pub(crate) at: u64,
    /// Peers besides the origin.
    pub(crate) viewers: usize,
    /// Of those, peers that tell how they do.
    pub(crate) telling: usize,
    /// Bits per second that the origin gives.
    pub(crate) origin_up_bps: u64,
    /// Bits per second that viewers have from the origin, and from each other.
    pub(crate) from_origin_bps: u64,
    pub(crate) from_peers_bps: u64,
    /// From capture to the picture: the median of the viewers' medians, and of their 95th
    /// percentiles the largest but the worst twentieth.
    pub(crate) latency_p50_ms: u64,
    pub(crate) latency_p95_ms: u64,
    /// Since the sample before.
    pub(crate) missed: u64,
    pub(crate) stalls: u64,
}

/// Something that happened to a peer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Event {
    /// Counts up.
    id: u64,
    /// Seconds since the Unix epoch.
    at: u64,
    kind: What,
    peer: ShortId,
    /// How many segments, stalls or stripes; 1 where there is nothing to count.
    count: u64,
}

#[derive(Copy, Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum What {
    /// The origin came.
    Live,
    /// The origin went.
    Ended,
    Joined,
    Left,
    /// It took its own place on a new connection, or came back after it left.
    Returned,
    /// The picture stood still.
    Stalled,
    /// Segments were not had in time.
    Missed,
    /// Stripes have other parents.
    Moved,
}

impl What {
    /// The word for it, as in JSON.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Ended => "ended",
            Self::Joined => "joined",
            Self::Left => "left",
            Self::Returned => "returned",
            Self::Stalled => "stalled",
            Self::Missed => "missed",
            Self::Moved => "moved",
        }
    }
}

/// Counts since the room was opened.
#[derive(Copy, Clone, Debug, Default, Serialize)]
pub(crate) struct Totals {
    pub(crate) joined: u64,
    pub(crate) left: u64,
    pub(crate) returned: u64,
    pub(crate) missed: u64,
    pub(crate) stalls: u64,
    pub(crate) moves: u64,
}

#[derive(Debug)]
pub(super) struct Record {
    samples: VecDeque<Sample>,
    sample_at: Instant,
    events: VecDeque<Event>,
    next_event: u64,
    totals: Totals,
    /// As of the last sample.
    sampled: Totals,
}

impl Record {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            samples: VecDeque::new(),
            sample_at: now,
            events: VecDeque::new(),
            next_event: 0,
            totals: Totals::default(),
            sampled: Totals::default(),
        }
    }

    pub(super) fn samples(&self) -> Vec<Sample> {
        self.samples.iter().cloned().collect()
    }

    /// The newest first.
    pub(super) fn events(&self) -> Vec<Event> {
        self.events.iter().rev().cloned().collect()
    }

    pub(super) fn totals(&self) -> Totals {
        self.totals
    }

    fn add(&mut self, kind: What, peer: PeerId, count: u64) {
        let totals = &mut self.totals;
        let total = match kind {
            What::Live | What::Ended => None,
            What::Joined => Some(&mut totals.joined),
            What::Left => Some(&mut totals.left),
            What::Returned => Some(&mut totals.returned),
            What::Stalled => Some(&mut totals.stalls),
            What::Missed => Some(&mut totals.missed),
            What::Moved => Some(&mut totals.moves),
        };
        if let Some(total) = total {
            *total = total.saturating_add(count);
        }
        if self.events.len() == EVENTS_MAX {
            self.events.pop_front();
        }
        let at = unix(SystemTime::now());
        self.events.push_back(Event { id: self.next_event, at, kind, peer: peer.into(), count });
        self.next_event += 1;
    }

    pub(super) fn live(&mut self, origin: PeerId) {
        self.add(What::Live, origin, 1);
    }

    pub(super) fn ended(&mut self, origin: PeerId) {
        self.add(What::Ended, origin, 1);
    }

    /// A viewer came; `again` on a new connection in place of an older one.
    pub(super) fn came(&mut self, peer: PeerId, again: bool) {
        let short = ShortId::from(peer);
        let left = |event: &Event| event.peer == short && event.kind == What::Left;
        let known = again || self.events.iter().any(left);
        self.add(if known { What::Returned } else { What::Joined }, peer, 1);
    }

    pub(super) fn left(&mut self, peer: PeerId) {
        self.add(What::Left, peer, 1);
    }

    /// A peer told how it does; `before` is what it told last.
    pub(super) fn told(&mut self, peer: PeerId, before: Option<&Detail>, now: &Detail) {
        let Some(before) = before else { return };
        for (kind, more) in steps(before, now) {
            self.add(kind, peer, more);
        }
    }

    /// Takes a sample if it is time: of the origin and of the viewers that tell.
    pub(super) fn sample<'a>(
        &mut self,
        now: Instant,
        viewers: usize,
        origin: Option<&Detail>,
        telling: impl Iterator<Item = &'a Detail>,
    ) {
        if now < self.sample_at {
            return;
        }
        self.sample_at = now + SAMPLE_INTERVAL;
        let mut sample = Sample::of(viewers, origin, telling);
        sample.missed = self.totals.missed - self.sampled.missed;
        sample.stalls = self.totals.stalls - self.sampled.stalls;
        self.sampled = self.totals;
        if self.samples.len() == SAMPLES_MAX {
            self.samples.pop_front();
        }
        self.samples.push_back(sample);
    }
}

impl Sample {
    /// What the origin and the viewers tell now.
    pub(crate) fn of<'a>(
        viewers: usize,
        origin: Option<&Detail>,
        telling: impl Iterator<Item = &'a Detail>,
    ) -> Self {
        let mut sample = Sample { at: unix(SystemTime::now()), viewers, ..Sample::default() };
        sample.origin_up_bps = origin.map_or(0, |detail| rate(detail.up_bps));
        let (mut medians, mut worst) = (Vec::new(), Vec::new());
        for detail in telling {
            sample.telling += 1;
            sample.from_origin_bps = sample.from_origin_bps.saturating_add(rate(detail.origin_bps));
            sample.from_peers_bps = sample.from_peers_bps.saturating_add(rate(detail.peers_bps));
            // A peer that has played nothing yet has no latency.
            if detail.latency_ms.p50 > 0 {
                medians.push(detail.latency_ms.p50);
                worst.push(detail.latency_ms.p95);
            }
        }
        sample.latency_p50_ms = at_share(&mut medians, 50);
        sample.latency_p95_ms = at_share(&mut worst, 95);
        sample
    }
}

/// What has happened to a peer between two details, and how often.
pub(crate) fn steps(before: &Detail, now: &Detail) -> impl Iterator<Item = (What, u64)> + use<> {
    [
        (What::Stalled, before.stalls, now.stalls),
        (What::Missed, before.missed, now.missed),
        (What::Moved, before.moves, now.moves),
    ]
    .map(|(kind, was, is)| (kind, is.saturating_sub(was).min(STEP_MAX)))
    .into_iter()
    .filter(|(_, more)| *more > 0)
}

/// A rate that a peer claims, within reason.
pub(super) fn rate(bps: u64) -> u64 {
    bps.min(RATE_MAX)
}

pub(crate) fn unix(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// The value that `percent` of the values do not exceed; 0 without any.
fn at_share(values: &mut [u64], percent: usize) -> u64 {
    let place = (values.len() * percent).div_ceil(100).saturating_sub(1);
    if place >= values.len() {
        return 0;
    }
    *values.select_nth_unstable(place).1
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use beacon_sdk::Percentiles;

    fn peer(number: u8) -> PeerId {
        PeerId::from_bytes([number; 32])
    }

    fn detail(p50: u64, origin_bps: u64) -> Detail {
        let latency_ms = Percentiles { p50, p95: 2 * p50, p99: 2 * p50 };
        Detail { latency_ms, origin_bps, peers_bps: u64::MAX, ..Detail::default() }
    }

    #[test]
    fn samples_and_events_are_bounded_and_lies_are_cut() {
        let start = Instant::now();
        let mut record = Record::new(start);
        let lies = Detail { missed: u64::MAX, stalls: u64::MAX, ..detail(7, u64::MAX) };
        for round in 0..500 {
            record.came(peer(1), false);
            record.left(peer(1));
            record.told(peer(2), Some(&Detail::default()), &lies);
            let now = start + SAMPLE_INTERVAL * round;
            record.sample(now, 2, None, [&lies, &detail(9, 5)].into_iter());
            record.sample(now, 2, None, core::iter::empty());
        }
        let (samples, events) = (record.samples(), record.events());
        assert_eq!((samples.len(), events.len()), (SAMPLES_MAX, EVENTS_MAX));
        let last = samples.last().unwrap();
        assert_eq!(last.from_origin_bps, RATE_MAX + 5);
        assert_eq!((last.missed, last.stalls), (STEP_MAX, STEP_MAX));
        assert_eq!((last.latency_p50_ms, last.latency_p95_ms), (7, 18));
        assert!(events[0].id > events[1].id, "the newest first");
        assert_eq!(record.totals().joined, 1, "later it returned");
        assert_eq!(record.totals().returned, 499);
    }

    #[test]
    fn what_a_peer_counts_is_told_once_and_a_restart_tells_nothing() {
        let mut record = Record::new(Instant::now());
        let at = |stalls| Detail { stalls, ..Detail::default() };
        record.told(peer(1), None, &at(9));
        record.told(peer(1), Some(&at(9)), &at(9));
        record.told(peer(1), Some(&at(9)), &at(12));
        record.told(peer(1), Some(&at(12)), &at(1));
        assert_eq!(record.totals().stalls, 3);
        assert_eq!(record.events().len(), 1);
        assert_eq!(serde_json::to_value(&record.events()[0]).unwrap()["peer"], "01010101");
    }
}
