//! One end of a link: what its sender owes to the network.

use crate::draw::Draw;
use crate::plan::Network;
use beacon_sdk::PeerId;

/// A frame's payload on a data channel, for the congestion bound.
const MSS: f64 = 1152.0;
/// Bytes a link takes before it holds the sender back: what it carries in a fifth of a second, within
/// these bounds. The WebRTC transport does the same and counts what is under way too.
const WINDOW_MIN: u64 = 16 * 1024;
const WINDOW_MAX: u64 = 64 * 1024;
const WINDOW_NS: u64 = 200_000_000;
/// Losses of one control frame in a row at most; the next try arrives.
const RETRIES_MAX: u32 = 8;

/// Gilbert–Elliott loss: a good and a bad state, each frame moves between them.
#[derive(Copy, Clone, Debug)]
pub(super) struct Loss {
    to_bad: f64,
    to_good: f64,
    good: f64,
    bad: f64,
}

/// Loss inside a bad spell. (Guess: theory.md §6.2 has 10 %, with which no mean above that is
/// possible; a spell that loses half of its frames covers the range of plans.)
const BAD_LOSS: f64 = 0.5;

impl Loss {
    /// `percent` of all frames, in bad spells of `burst / BAD_LOSS` frames on average; outside
    /// them a tenth of the mean.
    pub(super) fn new(percent: f64, burst: f64) -> Self {
        let mean = percent / 100.0;
        let good = mean / 10.0;
        let bad = BAD_LOSS.max(mean);
        // mean = share · bad + (1 − share) · good
        let share = if mean > 0.0 { (mean - good) / (bad - good) } else { 0.0 };
        let to_good = (1.0 / (burst / bad)).min(1.0);
        let to_bad = if share < 1.0 { (to_good * share / (1.0 - share)).min(1.0) } else { 1.0 };
        Self { to_bad, to_good, good, bad }
    }

    /// The part of time spent in the bad state.
    #[cfg(test)]
    fn share(&self) -> f64 {
        self.to_bad / (self.to_bad + self.to_good)
    }
}

/// One direction of a link.
#[derive(Debug)]
pub(super) struct LinkEnd {
    pub(super) peer: u32,
    pub(super) id: PeerId,
    /// The place of the other end among that peer's links.
    pub(super) place: u32,
    /// Tells this link from earlier ones of the same pair.
    pub(super) epoch: u64,
    /// Both sides have been told.
    pub(super) up: bool,
    /// One way, ns.
    pub(super) delay: u64,
    /// What congestion control allows, ns per byte; 0 is no limit.
    limit: u64,
    /// When the last frame leaves under that limit.
    busy: u64,
    /// Nothing on the control lane arrives before what was sent earlier.
    control_at: u64,
    bad: bool,
    /// The sender has been held back and waits for `Writable`.
    pub(super) full: bool,
    /// Bytes that the other end has not read.
    unread: u64,
}

impl LinkEnd {
    pub(super) fn new(
        (peer, id, place): (u32, PeerId, usize),
        epoch: u64,
        delay: u64,
        network: &Network,
    ) -> Self {
        let (up, bad, full, unread) = (false, false, false, 0);
        let (limit, busy, control_at, place) = (0, 0, 0, place as u32);
        let mut end =
            Self { peer, id, place, epoch, up, delay, limit, busy, control_at, bad, full, unread };
        end.limit_to(network);
        end
    }

    /// Holds it to what congestion control gives in this network.
    pub(super) fn limit_to(&mut self, network: &Network) {
        self.limit = if network.loss_limited && network.loss > 0.0 {
            let rtt = 2.0 * self.delay as f64 / 1e9;
            let p = network.loss / 100.0;
            (1e9 * rtt * libm::sqrt(2.0 * p / 3.0) / MSS) as u64
        } else {
            0
        };
    }

    /// When the link takes frames again, if it takes none now.
    pub(super) fn held_until(&self, now: u64) -> Option<u64> {
        let backlog = self.busy.saturating_sub(now);
        let window = WINDOW_NS.clamp(WINDOW_MIN * self.limit, WINDOW_MAX * self.limit);
        (backlog > window).then(|| now + backlog - window / 2)
    }

    /// Whether an end that reads nothing leaves no room for so many bytes more.
    pub(super) fn clogged(&mut self, bytes: usize) -> bool {
        let unread = self.unread + bytes as u64;
        let clogged = unread > WINDOW_MAX;
        self.unread = if clogged { self.unread } else { unread };
        clogged
    }

    /// When a frame that leaves the uplink at `leave` has passed the link's own limit.
    pub(super) fn pass(&mut self, now: u64, leave: u64, bytes: u64) -> u64 {
        self.busy = self.busy.max(now) + bytes * self.limit;
        leave.max(self.busy)
    }

    /// Whether the next frame is lost.
    pub(super) fn loses(&mut self, loss: &Loss, draw: &mut Draw) -> bool {
        if loss.bad == 0.0 || loss.good == 0.0 && loss.to_bad == 0.0 {
            return false;
        }
        let turn = if self.bad { loss.to_good } else { loss.to_bad };
        self.bad ^= draw.chance(turn);
        draw.chance(if self.bad { loss.bad } else { loss.good })
    }

    /// When control frames sent together arrive: in order, each loss costing a retransmission.
    pub(super) fn control(&mut self, leave: u64, frames: u32, loss: &Loss, draw: &mut Draw) -> u64 {
        let mut arrive = leave + self.delay;
        let mut retries = 0;
        for _ in 0..frames {
            while retries < RETRIES_MAX && self.loses(loss, draw) {
                retries += 1;
                // What follows reports the gap a round trip later (SCTP fast retransmission).
                arrive += 2 * self.delay + 10_000_000;
            }
        }
        self.control_at = self.control_at.max(arrive);
        self.control_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draw::Purpose;

    #[test]
    fn loss_has_its_mean_and_comes_in_bursts() {
        for (percent, burst) in [(1.0, 1.5), (5.0, 2.0), (10.0, 5.0)] {
            let loss = Loss::new(percent, burst);
            assert!((0.0..=1.0).contains(&loss.share()));
            let mut end = LinkEnd::new((1, PeerId::default(), 0), 0, 1, &Network::default());
            let mut draw = Draw::new(5, 1, Purpose::Network);
            let fates: Vec<bool> = (0..400_000).map(|_| end.loses(&loss, &mut draw)).collect();
            let lost = fates.iter().filter(|lost| **lost).count() as f64;
            let mean = 100.0 * lost / fates.len() as f64;
            assert!((mean / percent - 1.0).abs() < 0.06, "{mean:.2} %, not {percent} %");
            let after = fates.windows(2).filter(|pair| pair[0] && pair[1]).count() as f64;
            assert!(after / lost > 3.0 * percent / 100.0, "losses keep company");
        }
    }

    #[test]
    fn a_lossless_link_draws_nothing_and_loses_nothing() {
        let loss = Loss::new(0.0, 1.5);
        let mut end = LinkEnd::new((1, PeerId::default(), 0), 0, 1, &Network::default());
        let mut draw = Draw::new(5, 1, Purpose::Network);
        assert!((0..1000).all(|_| !end.loses(&loss, &mut draw)));
        assert_eq!(draw.unit(), Draw::new(5, 1, Purpose::Network).unit());
    }

    #[test]
    fn congestion_control_bounds_a_lossy_link() {
        // 25 ms one way and 1 % loss: 1152 / (0.05 · √(0.02/3)) = 2.26 Mbit/s.
        let network = Network { loss: 1.0, ..Network::default() };
        let mut end = LinkEnd::new((1, PeerId::default(), 0), 0, 25_000_000, &network);
        let mut last = 0;
        for _ in 0..1000 {
            last = end.pass(0, 0, 1152);
        }
        let mbit = 1000.0 * 1152.0 * 8.0 / (last as f64 / 1e9) / 1e6;
        assert!((mbit - 2.26).abs() < 0.02, "{mbit:.2} Mbit/s");
        let until = end.held_until(0).expect("a second's worth is too much to wait");
        assert!(end.held_until(until).is_none());
    }

    #[test]
    fn control_frames_keep_their_order() {
        let network = Network { loss: 20.0, ..Network::default() };
        let loss = Loss::new(20.0, 1.5);
        let mut end = LinkEnd::new((1, PeerId::default(), 0), 0, 20_000_000, &network);
        let mut draw = Draw::new(5, 1, Purpose::Network);
        let arrivals: Vec<u64> =
            (0..200).map(|n| end.control(n * 1_000_000, 1, &loss, &mut draw)).collect();
        assert!(arrivals.is_sorted());
        assert!(arrivals[199] >= 199_000_000 + 20_000_000);
    }
}
