//! What a run showed: the fields of DESIGN §9 and those around them.

use serde::{Deserialize, Serialize};

/// Delays within which continuity is counted, in ms.
pub const CONTINUITY_MS: [u64; 4] = [800, 2000, 4000, 10_000];
/// The histogram's range, in ms: no plan waits longer for a segment.
const HISTOGRAM_MS: usize = 65_536;
/// Delays that are kept for who looks next.
const RECENT_MAX: usize = 65_536;

/// Counts per millisecond; exact, whatever the number of samples.
#[derive(Clone, Debug)]
pub struct Counts {
    counts: Vec<u64>,
    total: u64,
    sum: u64,
}

impl Default for Counts {
    fn default() -> Self {
        Self { counts: vec![0; HISTOGRAM_MS], total: 0, sum: 0 }
    }
}

impl Counts {
    pub(crate) fn record(&mut self, ms: u64) {
        let bucket = usize::try_from(ms).unwrap_or(usize::MAX).min(HISTOGRAM_MS - 1);
        self.counts[bucket] += 1;
        self.total += 1;
        self.sum += ms;
    }

    /// The smallest value that `share` of the samples do not exceed; 0 without samples.
    #[must_use]
    pub fn percentile(&self, share: f64) -> u64 {
        let rank = (self.total as f64 * share).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (ms, count) in (0_u64..).zip(&self.counts) {
            seen += count;
            if seen >= rank {
                return ms;
            }
        }
        0
    }

    fn mean(&self) -> f64 {
        if self.total == 0 { 0.0 } else { self.sum as f64 / self.total as f64 }
    }
}

/// What is added up while a run goes on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) delays: Counts,
    pub(crate) startup: Counts,
    pub(crate) due: u64,
    pub(crate) within: [u64; 4],
    pub(crate) bad_bytes: u64,
    /// Segments in time and due, and the access class, per viewer that has gone or stayed to the
    /// end.
    pub(crate) viewers: Vec<(u32, u32, usize)>,
    /// Delays of what was due since somebody looked last, ms, `None` for what never came; for those who look.
    pub(crate) recent: Option<Vec<Option<u64>>>,
}

impl Tally {
    /// A segment was due; `delay` in µs, or it never came.
    pub(crate) fn segment(&mut self, delay: Option<u64>) {
        self.due += 1;
        let Some(delay) = delay else { return };
        let ms = delay / 1000;
        self.delays.record(ms);
        for (within, limit) in self.within.iter_mut().zip(CONTINUITY_MS) {
            *within += u64::from(ms <= limit);
        }
    }

    /// The same, measured or not.
    pub(crate) fn look(&mut self, delay: Option<u64>) {
        if let Some(recent) = self.recent.as_mut().filter(|recent| recent.len() < RECENT_MAX) {
            recent.push(delay.map(|delay| delay / 1000));
        }
    }

    pub(crate) fn viewer(&mut self, kept: u32, due: u32, class: usize) {
        self.viewers.push((kept, due, class));
    }
}

/// 50th, 95th and 99th percentile in ms.
#[derive(Copy, Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Spread {
    /// Median.
    pub p50: u64,
    /// 95th.
    pub p95: u64,
    /// 99th.
    pub p99: u64,
}

impl From<&Counts> for Spread {
    fn from(counts: &Counts) -> Self {
        let at = |share| counts.percentile(share);
        Self { p50: at(0.5), p95: at(0.95), p99: at(0.99) }
    }
}

/// Parts of all (viewer, segment) pairs that reached the sink within a delay.
#[derive(Copy, Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Continuity {
    /// 0.8 s.
    #[serde(rename = "0.8")]
    pub s0_8: f64,
    /// 2 s.
    #[serde(rename = "2")]
    pub s2: f64,
    /// 4 s.
    #[serde(rename = "4")]
    pub s4: f64,
    /// 10 s.
    #[serde(rename = "10")]
    pub s10: f64,
}

/// One run, as `sim run --json` prints it. Bytes and segments are those of the measured time.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Report {
    /// The plan's name.
    pub plan: String,
    /// The scheduler.
    pub scheduler: String,
    /// The seed.
    pub seed: u64,
    /// Of every frame sent and segment played, in order: the identity of the run.
    pub hash: String,
    /// Viewers of the plan.
    pub peers: u32,
    /// Viewers there have been in all.
    pub viewers: u32,
    /// Of them, those that were there for 10 s and played nothing.
    pub never_played: u32,
    /// Parts of all (viewer, segment) pairs that reached the sink in time, from each viewer's
    /// first segment to its leaving.
    pub continuity: Continuity,
    /// The same at the plan's playout delay for the tenth of viewers that had it worst.
    pub continuity_worst_decile: f64,
    /// The same for each class of access links, in the plan's order.
    pub continuity_by_access: Vec<f64>,
    /// From the capture of a segment's first picture to the sink: the longest that any picture of
    /// it took.
    pub delay_ms: Spread,
    /// Mean of the same.
    pub delay_mean_ms: f64,
    /// From joining to the first segment played, of those that joined in the measured time.
    pub startup_ms: Spread,
    /// From the first event of the plan that takes viewers away until the last segment born that
    /// a survivor had later than the plan's limit (or never); 0 for survivors that had all in time.
    pub recovery_ms: Spread,
    /// Survivors of that event whose picture stood still after it.
    pub stalled_survivors: u32,
    /// Bytes of symbols that were there already, of all received.
    pub duplicates: f64,
    /// Bytes of control frames sent, of the useful symbol bytes received.
    pub control: f64,
    /// Bytes that the origin sent, of the stream's.
    pub source_ratio: f64,
    /// Part of what the camera made that the origin published: less than all where it found that
    /// uplinks are too few.
    pub published: f64,
    /// Part of what viewers received that the origin did not send.
    pub offload: f64,
    /// Jain's index of goodput over viewers that were there for 10 s.
    pub jain: f64,
    /// Deepest feed, hops.
    pub depth_max: u8,
    /// Bytes played that are not what the camera made. Must be 0.
    pub bad_bytes: u64,
    /// Symbols that failed verification.
    pub symbols_invalid: u64,
    /// Changes of a stripe's parent, per viewer and minute.
    pub reparents_per_peer_min: f64,
    /// Segments recovered with repair symbols, of all due.
    pub recovered: f64,
    /// Symbols asked for, of all received.
    pub requested: f64,
    /// Times a picture stood still, per viewer and minute.
    pub stalls_per_peer_min: f64,
    /// Mean of uplinks that give, over the stream's rate (supply ratio).
    pub supply: f64,
    /// Subscriptions that can be served, over those that are wanted, as the origin counts them in
    /// the end; of the stream as it was published.
    pub supply_seen: f64,
    /// When the last viewer would have one symbol if everybody copied it without pause to the
    /// fastest that has none yet, ms: the greedy snowball of theory.md §1.3, with the plan's
    /// uplinks, the frame of one symbol as the unit and the plan's median one-way delay. A
    /// reference: with the median delay it is no strict bound. 0 when uplinks do not reach all.
    pub bound_ms: f64,
    /// What the p99 delay is beyond the length of a segment, over `bound_ms`. A viewer needs all
    /// symbols of a segment, and uplinks are shared: 1 cannot be reached.
    pub eta_delay: f64,
    /// Inputs handled by engines.
    pub events: u64,
    /// The same per second of CPU time, all of the simulator included.
    pub events_per_cpu_s: u64,
    /// CPU seconds of the run.
    pub cpu_s: f64,
    /// Peak of resident memory over what the process had before, per peer; 0 where unknown.
    pub bytes_per_peer: u64,
    /// What came of the plan's adversaries. Where there are any, all of the above is of the other
    /// viewers, but for `peers`, `viewers` and what the origin sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attack: Option<Attack>,
}

/// What came of an attack.
#[derive(Copy, Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Attack {
    /// Hostile viewers there have been.
    pub hostile: u32,
    /// Of them, those on whom a good viewer hung after their first misdeed: as the child of a parent, or,
    /// where a link is enough to do harm, as a neighbour.
    pub harmed: u32,
    /// From the first misdeed of one of those to the first moment at which no good viewer hung on it. With
    /// a broadcaster that signs two streams: until a good viewer knew.
    pub cut_ms: Spread,
    /// How long a good viewer hung on a hostile one that was up to something, each time it did; looked at
    /// every 100 ms, so that what is over at once is not seen.
    pub left_ms: Spread,
    /// Those that have never been left; good viewers that never knew.
    pub uncut: u32,
    /// How often one that had been left by all was taken again.
    pub retaken: u64,
    /// How often a good peer banned a good peer.
    pub wronged: u64,
    /// Of the stripes that good viewers were fed, those that came from a hostile viewer while it was up to
    /// something.
    pub fed_badly: f64,
    /// Bytes of false symbols that good viewers passed on. Must be 0.
    pub false_bytes_relayed: u64,
    /// Symbol bytes that went from good peers to hostile viewers, of all that anybody sent.
    pub given: f64,
}

/// Jain's fairness index (Jain, Chiu and Hawe 1984): 1 when all are equal, 1/n when one has all.
#[must_use]
pub fn jain(values: &[f64]) -> f64 {
    let sum: f64 = values.iter().sum();
    let squares: f64 = values.iter().map(|value| value * value).sum();
    if squares == 0.0 { 1.0 } else { sum * sum / (values.len() as f64 * squares) }
}

/// `part / whole`; 0 of nothing.
pub(crate) fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

impl Report {
    /// Takes over what was added up.
    pub(crate) fn fill(&mut self, tally: &Tally) {
        let part = |at: usize| ratio(tally.within[at], tally.due);
        self.continuity = Continuity { s0_8: part(0), s2: part(1), s4: part(2), s10: part(3) };
        self.delay_ms = Spread::from(&tally.delays);
        self.delay_mean_ms = tally.delays.mean();
        self.startup_ms = Spread::from(&tally.startup);
        self.bad_bytes = tally.bad_bytes;
        let mut shares: Vec<f64> =
            tally.viewers.iter().map(|&(kept, due, _)| ratio(kept.into(), due.into())).collect();
        shares.sort_by(f64::total_cmp);
        let classes = tally.viewers.iter().map(|viewer| viewer.2 + 1).max().unwrap_or(0);
        let of = |class: usize| {
            let own = tally.viewers.iter().filter(|viewer| viewer.2 == class);
            own.fold((0, 0), |sum, v| (sum.0 + u64::from(v.0), sum.1 + u64::from(v.1)))
        };
        self.continuity_by_access =
            (0..classes).map(of).map(|(kept, due)| ratio(kept, due)).collect();
        let worst = &shares[..shares.len().div_ceil(10)];
        self.continuity_worst_decile = worst.iter().sum::<f64>() / worst.len().max(1) as f64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_samples() {
        let mut counts = Counts::default();
        assert_eq!(counts.percentile(0.5), 0);
        (1..=100).for_each(|ms| counts.record(ms));
        assert_eq!(counts.percentile(0.5), 50);
        assert_eq!(counts.percentile(0.99), 99);
        assert_eq!(counts.percentile(1.0), 100);
        counts.record(u64::MAX / 2);
        assert_eq!(counts.percentile(1.0), HISTOGRAM_MS as u64 - 1);
    }

    #[test]
    fn jains_index_is_one_for_equals() {
        assert_eq!(jain(&[2.0, 2.0, 2.0]), 1.0);
        assert!((jain(&[1.0, 0.0, 0.0, 0.0]) - 0.25).abs() < 1e-12);
    }
}
