//! How many children the uplink carries: told by an upload limit, found out otherwise.
//!
//! A peer that takes more children than its uplink carries serves none of them: every stripe is
//! late, all children look for other parents, and others take their places. What an uplink carries
//! shows only when it is full, and then in a queue that stands: one that a burst leaves behind is
//! gone within the second.

use super::Engine;
use super::children::NOTICE;
use super::outbox::Pacer;
use super::peers::Peer;
use crate::config::{Config, SLOTS_MAX};
use crate::plugin::PeerKey;
use crate::time::Instant;
use crate::wire::{Message, RefuseReason};
use core::time::Duration;

/// What of an upload limit goes to children, in sixteenths; the rest answers requests. (Theory
/// notes §3: 85 % of the line, of which a limit is about 90.)
const LIMIT_SHARE: u64 = 15;
/// What of a rate that was found goes to children, in sixteenths: it holds the answers to those
/// who were served too late. (12 to 14 make no difference; played as what follows.)
const FOUND_SHARE: u64 = 13;
/// A queue stands that would take as long to send, and has not been shorter for `STANDING`: a
/// keyframe's burst is gone in less than a second. (`plans/tuning/untold.toml`, 200 viewers, seeds
/// 1 and 2: 60 to 200 ms make no difference beyond chance; standing for 1 or 2.5 s is worse.)
const QUEUE: Duration = Duration::from_millis(60);
const STANDING: Duration = Duration::from_millis(1500);
/// How long an uplink must do well before one more child is tried, at least and, when such trials
/// fail, at most. (Guess.)
const TRIAL_MIN: Duration = Duration::from_secs(2);
const TRIAL_MAX: Duration = Duration::from_secs(64);
/// Within this time of a trial a queue that stands is its fault.
const TRIAL: Duration = Duration::from_secs(6);

/// The uplink as this peer knows it.
#[derive(Debug)]
pub(super) struct Uplink {
    /// Subscriptions it carries, as far as is known.
    slots: u16,
    /// As many as the configuration allows: subscriptions, or bytes per second.
    most: u16,
    limit: Option<u64>,
    /// That they fit has been believed, and was wrong.
    found: bool,
    /// Bytes of symbols that went out until `at`, and per second lately.
    sent: u64,
    at: Instant,
    rate: u64,
    /// Since when symbols have waited.
    standing: Option<Instant>,
    /// When one more child may be tried, and the pause after that.
    trial_at: Instant,
    pause: Duration,
    tried: Instant,
}

/// What there is to see of an uplink.
#[derive(Copy, Clone, Debug)]
pub(super) struct Sight {
    /// Bytes of symbols that have gone out.
    pub(super) sent: u64,
    /// Bytes of symbols that wait, where they wait for most of those who are served: a single slow
    /// child says nothing of the uplink.
    pub(super) waiting: u64,
    /// All places are taken.
    pub(super) full: bool,
    /// Bytes per second of one stripe; 0 is unknown.
    pub(super) stripe: u64,
}

/// Subscriptions that are believed to fit before more is known.
pub(super) fn slots_believed(config: &Config, origin: bool) -> u16 {
    if origin {
        config.fanout.saturating_mul(u16::from(config.stripes) + 1)
    } else {
        config.push_slots
    }
}

impl Uplink {
    /// One of which `slots` subscriptions are believed until more is known, or what `limit` bits per
    /// second carry.
    pub(super) fn new(slots: u16, limit: Option<u64>, now: Instant) -> Self {
        let slots = if limit == Some(0) { 0 } else { slots };
        Self {
            slots,
            most: if slots == 0 { 0 } else { SLOTS_MAX },
            limit: limit.map(|bits| bits / 8),
            found: false,
            sent: 0,
            at: now,
            rate: 0,
            standing: None,
            trial_at: now + TRIAL_MIN,
            pause: TRIAL_MIN,
            tried: Instant::ZERO,
        }
    }

    /// Another limit. What was carried so far is believed on, or `slots` where that is more.
    pub(super) fn limit(&mut self, slots: u16, limit: Option<u64>) {
        let fresh = Self::new(slots.max(self.slots), limit, self.at);
        *self = Self { sent: self.sent, rate: self.rate, ..fresh };
    }

    pub(super) const fn slots(&self) -> u16 {
        self.slots
    }

    /// What it carries was told or has been found: it is more than a belief.
    pub(super) const fn known(&self) -> bool {
        self.limit.is_some() || self.found
    }

    /// How many symbols go out in a time, as of late.
    pub(super) fn symbols_within(&self, span: Duration) -> usize {
        let frame = Engine::caps_needed().data_frame_max as u64;
        (self.rate * span.as_millis() as u64 / (1000 * frame)) as usize
    }

    /// A look at it, a few times a second.
    pub(super) fn look(&mut self, now: Instant, sight: Sight) {
        let past = now.since(self.at).as_millis() as u64;
        if past == 0 {
            return;
        }
        let rate = (sight.sent - self.sent).saturating_mul(1000) / past;
        self.rate = (self.rate * 7 + rate) / 8;
        (self.sent, self.at) = (sight.sent, now);
        let fits = |bytes: u64, share: u64| {
            let slots = bytes.saturating_mul(share) / (16 * sight.stripe.max(1));
            slots.min(u64::from(SLOTS_MAX)) as u16
        };
        if sight.stripe == 0 {
            return;
        }
        let most = self.limit.map_or(self.most, |limit| fits(limit, LIMIT_SHARE));
        // The rate of a stream goes up and down with its pictures: children do not.
        let far = u32::from(most.abs_diff(self.slots)) * 8 > u32::from(self.slots);
        if far && (most < self.slots || !self.found && self.limit.is_some()) {
            self.slots = most;
        }
        let queue = sight.waiting.saturating_mul(1000) > self.rate * QUEUE.as_millis() as u64;
        if !queue {
            self.standing = None;
            self.grow(now, sight.full, most);
            return;
        }
        let since = *self.standing.get_or_insert(now);
        if now.since(since) >= STANDING {
            let less = self.slots - self.slots.div_ceil(8);
            self.slots = fits(self.rate, FOUND_SHARE).min(less);
            self.found = true;
            self.standing = None;
            self.failed(now);
        }
    }

    /// One more is tried after it has done well for a while.
    fn grow(&mut self, now: Instant, full: bool, most: u16) {
        if !full || now < self.trial_at || self.slots >= most {
            return;
        }
        if now.since(self.tried) >= TRIAL {
            self.pause = (self.pause / 2).max(TRIAL_MIN);
        }
        self.slots = self.slots.saturating_add((self.slots / 4).max(1)).min(most);
        self.tried = now;
        self.trial_at = now + self.pause;
    }

    fn failed(&mut self, now: Instant) {
        if now.since(self.tried) < TRIAL {
            self.pause = (self.pause * 4).min(TRIAL_MAX);
        }
        self.trial_at = now + self.pause;
    }
}

/// A change of the upload limit that children have not all been told of, or not all followed.
#[derive(Copy, Clone, Debug)]
pub(super) struct NewLimit {
    /// Those beyond it have been given notice.
    told: bool,
    /// When the uplink keeps to it at the latest.
    by: Instant,
}

impl Engine {
    /// The application allows another upload. A lower one is kept to once those children who are
    /// beyond it have found other parents, or their notice has run out.
    pub(super) fn on_upload(&mut self, limit: Option<u64>) {
        let before = core::mem::replace(&mut self.config.upload_bps, limit);
        if before == limit {
            return;
        }
        let lower = limit.is_some_and(|limit| before.is_none_or(|before| limit < before));
        let by = if lower { self.now + NOTICE } else { self.now };
        self.new_limit = Some(NewLimit { told: false, by });
        self.uplink.limit(slots_believed(&self.config, self.publisher.is_some()), limit);
        // What it held while it gave nothing, it told nobody.
        if before == Some(0) {
            let all: Vec<PeerKey> = self.peers.ready().map(|(key, _)| key).collect();
            all.into_iter().for_each(|key| self.tell_everything(key));
        }
        self.timers.tidy = self.now;
    }

    /// Keeps to a new limit when its time has come.
    fn follow_limit(&mut self) {
        let Some(new) = &mut self.new_limit else { return };
        new.told = true;
        if new.by <= self.now || !self.feeds.children.any_leaves() {
            self.pacer = Pacer::new(self.config.upload_bps, self.now);
            self.new_limit = None;
        }
    }

    /// Counts the neighbours that could take a stripe of this peer: those further from the origin.
    fn look_around(&mut self) {
        self.feeds.children.surround(self.peers.ready().count());
        for stripe in 0..self.feeds.count() {
            let own = self.feeds.depth(stripe).unwrap_or(u8::MAX);
            let could = |peer: &Peer| {
                let depth = peer.status.depth.get(usize::from(stripe));
                peer.takes & (1 << stripe) != 0 || depth.is_some_and(|depth| *depth > own)
            };
            let neighbours = self.peers.ready().filter(|(_, peer)| could(peer)).count();
            self.feeds.children.reach(stripe, neighbours.min(usize::from(u16::MAX)) as u16);
        }
    }

    /// Takes as many children as the uplink carries, and gives notice to those beyond.
    pub(super) fn watch_uplink(&mut self) {
        let stripes = u64::from(self.feeds.count() - 1).max(1);
        let children = || self.peers.iter().filter(|(_, peer)| peer.takes != 0);
        let held_up = children().filter(|(_, peer)| peer.out.symbols() > 0).count();
        let waits = 2 * held_up > children().count();
        let symbols: usize = self.peers.iter().map(|(_, peer)| peer.out.symbols()).sum();
        let frame = Self::caps_needed().data_frame_max;
        self.uplink.look(
            self.now,
            Sight {
                sent: self.stats.bytes_uploaded,
                waiting: if waits { (symbols * frame) as u64 } else { 0 },
                full: self.feeds.children.full(),
                stripe: self.store.rate(self.tracks) / stripes,
            },
        );
        self.look_around();
        if self.feeds.resize(self.uplink.slots()) {
            self.tell_soon();
        }
        // By their upload limit people mean now: all go at once.
        let at_once = self.new_limit.is_some_and(|new| !new.told);
        for (stripe, child) in self.feeds.children.shed(self.now, at_once) {
            self.send(child, &Message::Refuse { stripe, reason: RefuseReason::Notice });
        }
        self.follow_limit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STRIPE: u64 = 40_000;

    /// Looks ten times a second at an uplink of `carries` bytes per second that is given `offered`.
    struct Line {
        uplink: Uplink,
        now: Instant,
        sent: u64,
        waiting: u64,
    }

    impl Line {
        fn new(slots: u16, limit: Option<u64>) -> Self {
            let now = Instant::from_micros(1_000_000);
            Self { uplink: Uplink::new(slots, limit, now), now, sent: 0, waiting: 0 }
        }

        fn run(&mut self, seconds: u64, carries: u64, offered: impl Fn(u16) -> u64) {
            for _ in 0..seconds * 10 {
                self.now = self.now + Duration::from_millis(100);
                let all = self.waiting + offered(self.uplink.slots()) / 10;
                let out = all.min(carries / 10);
                (self.sent, self.waiting) = (self.sent + out, all - out);
                let (sent, waiting) = (self.sent, self.waiting);
                self.uplink.look(self.now, Sight { sent, waiting, full: true, stripe: STRIPE });
            }
        }
    }

    #[test]
    fn a_limit_says_what_fits_as_soon_as_the_stream_is_known() {
        let mut line = Line::new(16, Some(8 * 1_000_000));
        assert_eq!(line.uplink.slots(), 16);
        line.run(1, 10_000_000, |_| 0);
        assert_eq!(line.uplink.slots(), 23, "15/16 of 25 stripes");
        line.run(60, 10_000_000, |_| 0);
        assert_eq!(line.uplink.slots(), 23);
        assert_eq!(Line::new(16, Some(0)).uplink.slots(), 0);
    }

    #[test]
    fn a_full_uplink_is_found_out_and_kept_to() {
        let mut line = Line::new(16, None);
        line.run(4, 5 * STRIPE, |slots| u64::from(slots) * STRIPE);
        assert!((1..=4).contains(&line.uplink.slots()), "{:?}", line.uplink);
        // What waits is dropped when it has expired.
        line.waiting = 0;
        for _ in 0..12 {
            line.run(10, 5 * STRIPE, |slots| u64::from(slots) * STRIPE);
            assert!((1..=7).contains(&line.uplink.slots()), "{:?}", line.uplink);
        }
    }

    #[test]
    fn an_uplink_that_does_well_is_given_more() {
        let mut line = Line::new(16, None);
        line.run(30, 100 * STRIPE, |slots| u64::from(slots) * STRIPE);
        assert!(line.uplink.slots() > 60, "{:?}", line.uplink);
    }

    #[test]
    fn a_burst_is_no_queue_that_stands() {
        let mut line = Line::new(16, None);
        for _ in 0..10 {
            line.waiting += 16 * STRIPE;
            line.run(2, 32 * STRIPE, |_| 16 * STRIPE);
        }
        assert!(line.uplink.slots() >= 16, "{:?}", line.uplink);
    }
}
