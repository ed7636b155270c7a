//! What happens by the clock.

use super::{Engine, Output};
use crate::plugin::{PeerKey, Report};
use crate::time::Instant;
use crate::wire::Message;
use core::time::Duration;

/// How often links, windows and dials are looked after until this peer plays and dials no more;
/// then less often: silence is what is left to be noticed, within this share of its limit.
const TIDY_INTERVAL: Duration = Duration::from_millis(100);
const TIDY_INTERVAL_MAX: Duration = Duration::from_millis(250);
const TIDY_SHARE: u32 = 12;
/// How often a newcomer asks for the tail until it plays.
const TAIL_INTERVAL: Duration = Duration::from_millis(250);
/// How often the rendezvous is told how this peer does.
const REPORT_INTERVAL: Duration = Duration::from_secs(2);
/// Receipts sent per round at most.
const RECEIPTS_MAX: usize = 64;
/// And with the goodbyes: to every parent of the last moments, in a peer with more links than any profile has.
const RECEIPTS_LAST_MAX: usize = 1024;
/// Receipts shown to the rendezvous per round at most: the newest of each child.
const CLAIMS_MAX: usize = 64;

impl Engine {
    pub(super) fn on_timers(&mut self) {
        let now = self.now;
        if self.timers.tidy <= now {
            self.tidy();
            self.timers.tidy = now + self.tidy_interval();
            // In the same round, for what no event announces.
            self.plan_by(self.timers.tidy);
        }
        if self.timers.tail <= now {
            self.ask_for_tail();
        }
        if self.timers.plan <= now {
            self.plan();
        }
        if self.timers.tell <= now {
            self.tell_status();
        }
    }

    fn tidy(&mut self) {
        self.playable = Instant::ZERO;
        self.check_links();
        self.convict();
        self.judge();
        self.end_notices();
        self.watch_roots();
        self.judge_children();
        self.watch_uplink();
        self.tell_census();
        self.watch_supply();
        self.watch_picture();
        self.make_room();
        self.seek_links();
        self.store.expire(self.config.window);
        self.sweep_quarantine();
        self.renew_subscriptions();
        self.exchange_receipts(RECEIPTS_MAX);
        if self.timers.report <= self.now {
            self.timers.report = self.now + REPORT_INTERVAL;
            self.report();
        }
        // Status follows from feeds that change in many places: a look now and then is cheaper,
        // and a timer of its own would be another wake-up.
        self.tell_status();
        if !self.player.aligned() {
            self.timers.tail = self.timers.tail.min(self.now + TAIL_INTERVAL);
        }
    }

    /// Signs for what was received, and shows the rendezvous what others have signed for.
    fn exchange_receipts(&mut self, receipts_max: usize) {
        for _ in 0..receipts_max {
            let Some((to, receipt)) = self.parts.ledger.poll_receipt(self.now) else { break };
            if let Some(key) = self.peers.key(&to) {
                self.send(key, &Message::Receipt(receipt));
            }
        }
        for _ in 0..CLAIMS_MAX {
            let Some(claim) = self.parts.ledger.poll_claim() else { break };
            self.output(Output::Claim(claim));
        }
    }

    /// The last word to the ledgers of others: it goes before the goodbyes, on the lane that keeps the order.
    pub(super) fn sign_off(&mut self) {
        self.parts.ledger.finish();
        self.exchange_receipts(RECEIPTS_LAST_MAX);
    }

    fn tidy_interval(&self) -> Duration {
        let settled = self.player.started().is_some() && self.links.dialing() == 0;
        let quiet = if settled { self.config.silence / TIDY_SHARE } else { Duration::ZERO };
        quiet.clamp(TIDY_INTERVAL, TIDY_INTERVAL_MAX)
    }

    /// A newcomer asks one or two neighbours for manifests to begin with.
    fn ask_for_tail(&mut self) {
        (self.timers.tail, self.timers.tail_wanted) = (Instant::NEVER, false);
        let waiting = !self.player.aligned() && self.description.is_some();
        if self.publisher.is_some() || !waiting {
            return;
        }
        self.timers.tail = self.now + TAIL_INTERVAL;
        let tracks = self.tracks;
        let mut able: Vec<PeerKey> = self
            .peers
            .ready()
            .filter(|(_, peer)| tracks & !peer.status.tracks == 0)
            .map(|(key, _)| key)
            .collect();
        self.timers.tail_wanted = able.is_empty();
        self.rng.shuffle(&mut able);
        for key in able.into_iter().take(2) {
            self.send(key, &Message::FetchTail { tracks });
        }
    }

    fn report(&mut self) {
        let depth = (0..self.feeds.count()).filter_map(|s| self.feeds.depth(s)).max();
        let links = self.peers.len() as u16;
        let seconds = self.now.since(self.joined).as_secs().max(1);
        let report = Report {
            score: self.own_score(),
            role: self.own_role(),
            depth: depth.unwrap_or(u8::MAX),
            slots: self.config.links_max.saturating_sub(links),
            upload_bps: self.stats.bytes_uploaded * 8 / seconds,
            // The driver's, which knows whether it is wanted.
            detail: None,
        };
        self.output(Output::Report(report));
    }
}
