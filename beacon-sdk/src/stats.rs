//! Counters of one peer, as DESIGN §9 names them.

use serde::{Deserialize, Serialize};

/// A snapshot of one peer's counters; serialises to the fields that `--stats` writes.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Stats {
    /// Segments due since the first one played.
    pub segments_expected: u64,
    /// Segments given to the sink.
    pub segments_delivered: u64,
    /// Of those, given after they were due.
    pub segments_late: u64,
    /// Segments that became gaps.
    pub segments_missed: u64,
    /// Segments sealed here (the origin).
    pub segments_published: u64,
    /// Payload bytes sealed here (the origin): the stream itself.
    pub bytes_published: u64,
    /// Viewers in the mesh, as counted along the stripes (the origin).
    pub viewers: u64,
    /// Subscriptions that all uplinks can serve, in percent of those that are wanted (the origin);
    /// 0 is not known yet. Below 110 part of the pictures is left out.
    pub supply_percent: u64,
    /// Segments given to the sink of which the origin had left out pictures for want of uplinks.
    pub segments_thinned: u64,
    /// Verified symbol bytes received from the origin itself.
    pub bytes_from_origin: u64,
    /// Verified symbol bytes received from other peers.
    pub bytes_from_peers: u64,
    /// Symbol bytes that links took.
    pub bytes_uploaded: u64,
    /// Of those, what neighbours have signed for and a ledger pays by; 0 where none is kept.
    pub bytes_acknowledged: u64,
    /// Symbol bytes received that were here already.
    pub bytes_duplicate: u64,
    /// Control-lane bytes, both directions.
    pub bytes_control: u64,
    /// From joining to the first segment played.
    pub startup_ms: u64,
    /// From capture to the sink, where clocks are shared.
    pub latency_ms: Percentiles,
    /// Times the picture would have stood still.
    pub stalls: u64,
    /// For how long in all.
    pub stall_ms: u64,
    /// Hops from the origin on the deepest stripe there has been.
    pub hops_max: u8,
    /// Links with a proven peer. This and the next two: now, or when the broadcast ended.
    pub peers: u64,
    /// Distinct parents over all stripes.
    pub parents: u64,
    /// Stripe subscriptions this peer serves.
    pub children: u64,
    /// Changes of a stripe's parent after the first.
    pub reparents: u64,
    /// Symbols that failed verification.
    pub symbols_invalid: u64,
    /// Symbols asked for again after a loss.
    pub symbols_requested: u64,
    /// Segments recovered with repair symbols.
    pub segments_recovered: u64,
    /// Peers that were banned.
    pub peers_banned: u64,
    /// This peer's own estimate of its score, 0–100.
    pub score: u8,
    /// Balance of the ledger in bytes: sent minus received.
    pub credits: i64,
    /// What the peer is in the mesh now.
    pub role: crate::plugin::Role,
}

/// What goes over one link.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LinkStats {
    /// The neighbour.
    pub peer: crate::id::PeerId,
    /// It is the origin itself.
    pub origin: bool,
    /// Smoothed round trip in microseconds.
    pub rtt_us: u64,
    /// This peer's score of it, 0–100.
    pub score: u8,
    /// Verified new symbol bytes received from it.
    pub received: u64,
    /// Symbol bytes that its link took.
    pub sent: u64,
    /// Stripes it pushes to this peer.
    pub parent_of: u8,
    /// Stripes this peer pushes to it.
    pub child_of: u8,
}

/// Percentiles of a distribution, in milliseconds.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Percentiles {
    /// Half of the values are at most this.
    pub p50: u64,
    /// 95 % of the values are at most this.
    pub p95: u64,
    /// 99 % of the values are at most this.
    pub p99: u64,
}

/// A histogram of durations with buckets of 1 ms up to 4 s and of 100 ms up to 100 s: exact
/// where it matters, bounded everywhere.
#[derive(Clone, Debug, Default)]
pub(crate) struct Histogram {
    /// Buckets that are not empty, ascending, and how many are in each: a peer's delays lie close
    /// together.
    counts: Vec<(u16, u32)>,
    total: u64,
}

const FINE: u64 = 4000;
const COARSE_MS: u64 = 100;
const BUCKETS: u64 = FINE + 960;

impl Histogram {
    pub(crate) fn record(&mut self, ms: u64) {
        let bucket = if ms < FINE { ms } else { FINE + (ms - FINE) / COARSE_MS };
        let bucket = bucket.min(BUCKETS - 1) as u16;
        match self.counts.binary_search_by_key(&bucket, |(bucket, _)| *bucket) {
            Ok(at) => self.counts[at].1 = self.counts[at].1.saturating_add(1),
            Err(at) => self.counts.insert(at, (bucket, 1)),
        }
        self.total += 1;
    }

    pub(crate) fn percentiles(&self) -> Percentiles {
        Percentiles { p50: self.at(50), p95: self.at(95), p99: self.at(99) }
    }

    fn at(&self, percent: u64) -> u64 {
        let rank = (self.total * percent).div_ceil(100).max(1);
        let mut seen = 0;
        for (bucket, count) in &self.counts {
            let bucket = u64::from(*bucket);
            seen += u64::from(*count);
            if seen >= rank {
                return if bucket < FINE { bucket } else { FINE + (bucket - FINE) * COARSE_MS };
            }
        }
        0
    }
}
