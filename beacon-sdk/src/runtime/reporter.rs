//! What a driver adds to the engine's reports: its links and counters, for people to look at.

use crate::id::PeerId;
use crate::plugin::{DETAIL_LINKS_MAX, Detail, LinkDetail};
use crate::stats::{LinkStats, Stats};
use crate::time::Instant;
use core::cmp::Reverse;
use core::time::Duration;
use std::collections::BTreeMap;

/// At least this lies between two details: every other report of the engine has one.
const INTERVAL: Duration = Duration::from_millis(3500);

/// Counters as of the last detail.
#[derive(Debug, Default)]
pub(super) struct Reporter {
    last: Option<Last>,
}

#[derive(Debug)]
struct Last {
    at: Instant,
    origin: u64,
    peers: u64,
    up: u64,
    /// Bytes received and sent per neighbour; as many as there are links.
    links: BTreeMap<PeerId, (u64, u64)>,
}

impl Reporter {
    /// Whether it is time for another detail.
    pub(super) fn due(&self, now: Instant) -> bool {
        self.last.as_ref().is_none_or(|last| now.since(last.at) >= INTERVAL)
    }

    /// The detail of now; rates since the one before, 0 in the first.
    pub(super) fn detail(&mut self, now: Instant, stats: &Stats, links: &[LinkStats]) -> Detail {
        let before = self.last.replace(Last {
            at: now,
            origin: stats.bytes_from_origin,
            peers: stats.bytes_from_peers,
            up: stats.bytes_uploaded,
            links: links.iter().map(|link| (link.peer, (link.received, link.sent))).collect(),
        });
        let millis =
            before.as_ref().map_or(0, |before| crate::time::micros(now.since(before.at)) / 1000);
        // A link that is new has carried all it has since then.
        let rate = |is: u64, was: u64| match millis {
            0 => 0,
            millis => is.saturating_sub(was).saturating_mul(8000) / millis,
        };
        let was = |of: fn(&Last) -> u64| before.as_ref().map_or(0, of);
        let mut links: Vec<LinkDetail> = links
            .iter()
            .map(|link| {
                let last = before.as_ref().and_then(|before| before.links.get(&link.peer));
                let &(received, sent) = last.unwrap_or(&(0, 0));
                LinkDetail {
                    peer: link.peer,
                    rtt_ms: u32::try_from(link.rtt_us / 1000).unwrap_or(u32::MAX),
                    down_bps: rate(link.received, received),
                    up_bps: rate(link.sent, sent),
                    parent_of: link.parent_of,
                    child_of: link.child_of,
                }
            })
            .collect();
        links.sort_by_key(|link| {
            Reverse((link.parent_of, link.child_of, link.down_bps.saturating_add(link.up_bps)))
        });
        links.truncate(DETAIL_LINKS_MAX);
        Detail {
            origin_bps: rate(stats.bytes_from_origin, was(|last| last.origin)),
            peers_bps: rate(stats.bytes_from_peers, was(|last| last.peers)),
            up_bps: rate(stats.bytes_uploaded, was(|last| last.up)),
            expected: stats.segments_expected,
            missed: stats.segments_missed,
            stalls: stats.stalls,
            moves: stats.reparents,
            startup_ms: stats.startup_ms,
            latency_ms: stats.latency_ms,
            links,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Instant {
        Instant::from_micros(ms * 1000)
    }

    fn link(number: u8, received: u64, parent_of: u8) -> LinkStats {
        LinkStats {
            peer: PeerId::from_bytes([number; 32]),
            origin: false,
            rtt_us: 12_345,
            score: 50,
            received,
            sent: 0,
            parent_of,
            child_of: 0,
        }
    }

    #[test]
    fn rates_are_since_the_detail_before() {
        let mut reporter = Reporter::default();
        let stats = |peers| Stats { bytes_from_peers: peers, ..Stats::default() };
        assert!(reporter.due(at(0)));
        let first = reporter.detail(at(0), &stats(1000), &[link(1, 1000, 2)]);
        assert_eq!((first.peers_bps, first.links[0].down_bps, first.links[0].rtt_ms), (0, 0, 12));
        assert!(!reporter.due(at(2000)) && reporter.due(at(4000)));
        let next = reporter.detail(at(4000), &stats(5000), &[link(1, 3000, 2), link(2, 2000, 0)]);
        assert_eq!(next.peers_bps, 8000);
        assert_eq!(next.links.iter().map(|link| link.down_bps).collect::<Vec<_>>(), [4000, 4000]);
    }

    #[test]
    fn of_many_links_those_that_carry_are_told() {
        let links: Vec<LinkStats> = (0..100).map(|n| link(n, 0, u8::from(n == 77))).collect();
        let detail = Reporter::default().detail(at(0), &Stats::default(), &links);
        assert_eq!(detail.links.len(), DETAIL_LINKS_MAX);
        assert_eq!(detail.links[0].peer, PeerId::from_bytes([77; 32]));
    }
}
