//! Whether neighbours do what they say. Who does not is left, and not taken again for a while.
//!
//! Only what this peer has seen itself counts. Lost symbols are nobody's fault: what a parent sends when
//! it is asked again is held neither for nor against it.

use super::Engine;
use crate::id::PeerId;
use crate::plugin::{Observation, PeerKey};
use crate::time::Instant;
use crate::wire::{HAVE_COMPLETE, SYMBOL_HEADER_LEN, SymbolHeader};
use core::time::Duration;
use std::collections::BTreeMap;

/// How often a parent's word is looked at, and how often in a row it must have been broken (theory.md §3:
/// three windows of 500 ms).
const WINDOW: Duration = Duration::from_millis(500);
const BROKEN_MAX: u8 = 3;
/// The same where the parent may have had nothing itself: its own parent is left first. (Guess.)
const STARVED_MAX: u8 = 6;
/// Symbols by which a window is judged at least.
const JUDGED_MIN: u16 = 6;
/// A parent must push four of five symbols that it has (theory.md §3: .8 of a stripe).
const KEPT: u32 = 4;
const OF: u32 = 5;
/// A new parent is not judged for so long.
const SETTLE: Duration = Duration::from_millis(800);
/// How long one who broke its word is not taken, the first time and at most; doubles each time. (Theory
/// notes §3: a cool-down of 10 s.)
const DISTRUST_MIN: Duration = Duration::from_secs(10);
const DISTRUST_DOUBLINGS: u32 = 4;
/// A breach is forgotten after so long.
const FORGIVEN: Duration = Duration::from_secs(600);
/// Peers of whom a breach is remembered at most.
const REMEMBERED_MAX: usize = 1024;
/// What a neighbour may ask for: so many times the stream, so many seconds of that at once, and symbols a
/// second where the stream's rate is not known yet. (Guess: who pulls everything from one neighbour, and
/// half of it twice, is far below.)
const ASKED_TIMES: u64 = 4;
const ASKED_SECONDS: u64 = 2;
const ASKED_MIN: u64 = 1000;

/// What a stripe's parent did with what it owed since it was last judged, in symbols.
#[derive(Copy, Clone, Debug, Default)]
pub(super) struct Word {
    kept: u16,
    /// It said that it had them, and they had to be had from others.
    broken: u16,
    /// They came from others, and it never said that it had them.
    lacked: u16,
    /// Windows in a row in which too many were broken; or broken or lacked.
    bad: u8,
    starved: u8,
}

/// What a neighbour did with what it was asked for, in symbols.
#[derive(Copy, Clone, Debug, Default)]
pub(super) struct Answers {
    pub(super) served: u16,
    pub(super) failed: u16,
    bad: u8,
}

/// What a neighbour may still ask for, in symbols.
#[derive(Copy, Clone, Debug)]
pub(super) struct Allowance {
    left: u64,
    at: Instant,
}

impl Allowance {
    pub(super) const fn new(now: Instant) -> Self {
        Self { left: ASKED_MIN * ASKED_SECONDS, at: now }
    }

    /// Whether it may ask for so many, at a rate of so many a second.
    fn take(&mut self, now: Instant, symbols: u64, rate: u64) -> bool {
        let past = now.since(self.at);
        // A fraction of a symbol is not lost: time goes on only when something is gained.
        let gained = past.as_micros() as u64 * rate / 1_000_000;
        if gained > 0 {
            (self.left, self.at) = ((self.left + gained).min(rate * ASKED_SECONDS), now);
        }
        let enough = self.left >= symbols;
        self.left -= if enough { symbols } else { 0 };
        enough
    }
}

#[derive(Copy, Clone, Debug)]
struct Breach {
    count: u32,
    last: Instant,
    until: Instant,
}

/// Who broke its word.
#[derive(Debug, Default)]
pub(super) struct Conduct {
    breaches: BTreeMap<PeerId, Breach>,
    /// When words are looked at again; and when what was carried last was.
    at: Instant,
    weighed: Instant,
}

impl Conduct {
    /// Whether a peer is not to be relied on at present.
    pub(super) fn distrusts(&self, peer: &PeerId, now: Instant) -> bool {
        !self.breaches.is_empty() && self.breaches.get(peer).is_some_and(|b| b.until > now)
    }

    fn note(&mut self, peer: PeerId, now: Instant) {
        if !self.breaches.contains_key(&peer) && self.breaches.len() >= REMEMBERED_MAX {
            let oldest = self.breaches.iter().min_by_key(|(_, breach)| breach.last);
            if let Some(oldest) = oldest.map(|(id, _)| *id) {
                self.breaches.remove(&oldest);
            }
        }
        let known = self.breaches.get(&peer).filter(|breach| breach.last + FORGIVEN > now);
        let count = known.map_or(0, |breach| breach.count);
        let until = now + DISTRUST_MIN * 2_u32.pow(count.min(DISTRUST_DOUBLINGS));
        self.breaches.insert(peer, Breach { count: count + 1, last: now, until });
    }
}

impl Word {
    /// Judges what there is, if it is enough; whether the parent is to be left, and whether that is its
    /// own fault.
    fn judge(&mut self) -> Option<bool> {
        let (kept, broken) = (u32::from(self.kept), u32::from(self.broken));
        let all = kept + broken + u32::from(self.lacked);
        if all < u32::from(JUDGED_MIN) {
            return None;
        }
        let after = |windows: u8, bad: bool| if bad { windows + 1 } else { 0 };
        let bad = after(self.bad, kept * OF < KEPT * (kept + broken));
        let starved = after(self.starved, kept * OF < KEPT * all);
        *self = Self { bad, starved, ..Self::default() };
        let verdict = (bad >= BROKEN_MAX).then_some(true);
        let verdict = verdict.or_else(|| (starved >= STARVED_MAX).then_some(false));
        if verdict.is_some() {
            *self = Self::default();
        }
        verdict
    }
}

impl Answers {
    /// Whether it has left most of what it was asked for unanswered, for long.
    fn judge(&mut self) -> bool {
        if self.served + self.failed < 2 * JUDGED_MIN {
            return false;
        }
        let bad = if self.failed > self.served.saturating_mul(2) { self.bad + 1 } else { 0 };
        *self = Self { bad, ..Self::default() };
        bad >= BROKEN_MAX
    }
}

impl Engine {
    /// A new symbol came: from the parent that owes it, or in its place from another.
    pub(super) fn account(&mut self, from: PeerKey, header: SymbolHeader, asked: bool) {
        let Some(segment) = self.store.get(header.segment) else { return };
        let Some(content) = &segment.content else { return };
        let stripe = content.stripe(header.esi);
        let feed = &mut self.feeds.stripes[usize::from(stripe)];
        let Some(parent) = feed.parent.filter(|_| content.manifest().captured >= feed.from) else {
            return;
        };
        let word = &mut feed.word;
        let count = if parent == from {
            if asked {
                return;
            }
            &mut word.kept
        } else {
            let done = HAVE_COMPLETE | 1 << stripe;
            let told = segment.holders.iter().any(|h| h.peer == parent && h.mask & done != 0);
            if told { &mut word.broken } else { &mut word.lacked }
        };
        *count = count.saturating_add(1);
    }

    /// Looks at everybody's word.
    pub(super) fn judge(&mut self) {
        let now = self.now;
        if self.conduct.at > now {
            return;
        }
        self.conduct.at = now + WINDOW;
        let (mut breaches, mut starving) = (Vec::new(), Vec::new());
        for (stripe, feed) in (0_u8..).zip(&mut self.feeds.stripes) {
            let Some(parent) = feed.parent.filter(|_| !feed.notice) else { continue };
            if feed.since + SETTLE > now {
                feed.word = Word::default();
                continue;
            }
            match feed.word.judge() {
                Some(true) => breaches.push(parent),
                Some(false) => starving.push((stripe, parent)),
                None => {}
            }
        }
        self.weigh();
        for (key, peer) in self.peers.iter_mut() {
            peer.oddities = peer.oddities.saturating_sub(1);
            if peer.answers.judge() {
                breaches.push(key);
            }
        }
        for (stripe, parent) in starving {
            self.feeds.give_notice(stripe, parent, now);
            self.timers.plan = now;
        }
        breaches.sort_unstable();
        breaches.dedup();
        breaches.into_iter().for_each(|key| self.breach(key));
    }

    /// Tells the scorer once a second what neighbours carried and took.
    fn weigh(&mut self) {
        let (now, rate) = (self.now, self.store.rate(self.tracks));
        let past = now.since(self.conduct.weighed).as_millis() as u64;
        if past < 1000 {
            return;
        }
        let first = self.conduct.weighed == Instant::ZERO;
        self.conduct.weighed = now;
        let scorer = &mut self.parts.scorer;
        for (_, peer) in self.peers.iter_mut().filter(|(_, peer)| peer.ready) {
            let (received, sent) = (peer.received - peer.weighed.0, peer.sent - peer.weighed.1);
            peer.weighed = (peer.received, peer.sent);
            if sent > 0 {
                let bytes = u32::try_from(sent).unwrap_or(u32::MAX);
                scorer.observe(now, peer.id, Observation::Taken { bytes });
            }
            // Bytes per millisecond over bytes per second are thousandths of thousandths.
            let milli = (received * 1_000_000 / past).checked_div(rate);
            if let Some(milli) = milli.filter(|_| received > 0 && !first) {
                let milli = u32::try_from(milli).unwrap_or(u32::MAX);
                scorer.observe(now, peer.id, Observation::Carried { milli });
            }
        }
    }

    /// A neighbour broke its word: it pushes on what it does until there is another parent.
    pub(super) fn breach(&mut self, key: PeerKey) {
        let now = self.now;
        let Some(id) = self.peers.get(key).map(|peer| peer.id) else { return };
        // There is no other origin; and a poor parent is better than none.
        let others = || self.peers.ready().filter(|(other, _)| *other != key);
        if id == self.broadcast.publisher
            || !others().any(|(other, peer)| self.peer_view(other, peer).offers != 0)
        {
            return;
        }
        tracing::debug!(peer = ?id, "does not do what it says");
        self.conduct.note(id, now);
        self.observe(id, Observation::Breach);
        for stripe in 0..self.feeds.count() {
            self.feeds.give_notice(stripe, key, now);
        }
        self.timers.plan = now;
    }

    /// Whether a neighbour may have so many frames more of what it asks for; if not, that is held against
    /// it.
    pub(super) fn allows(&mut self, key: PeerKey, symbols: u64) -> bool {
        let frame = (Self::caps_needed().data_frame_max - SYMBOL_HEADER_LEN) as u64;
        let rate = (self.store.rate(self.tracks) / frame * ASKED_TIMES).max(ASKED_MIN);
        let now = self.now;
        let Some(peer) = self.peers.get_mut(key) else { return false };
        let allowed = peer.allowance.take(now, symbols, rate);
        if !allowed {
            self.odd(key);
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(kept: u16, broken: u16, lacked: u16) -> Word {
        Word { kept, broken, lacked, ..Word::default() }
    }

    /// After so many windows of the same the verdict.
    fn after(windows: u8, of: Word) -> Option<bool> {
        let mut word = Word::default();
        (0..windows).fold(None, |before, _| {
            assert_eq!(before, None, "sooner than that");
            word = Word { bad: word.bad, starved: word.starved, ..of };
            word.judge()
        })
    }

    #[test]
    fn a_parent_that_keeps_what_it_has_is_left_after_three_windows() {
        assert_eq!(after(3, word(0, 18, 0)), Some(true));
        assert_eq!(after(3, word(9, 9, 0)), Some(true));
        assert_eq!(after(9, word(16, 2, 0)), None, "what a lossy link does");
        assert_eq!(after(9, word(0, 3, 0)), None, "too little to judge by");
    }

    #[test]
    fn a_parent_that_has_nothing_is_left_later_and_is_not_to_blame() {
        assert_eq!(after(6, word(4, 0, 14)), Some(false));
        assert_eq!(after(12, word(15, 0, 3)), None);
    }

    #[test]
    fn who_answers_a_third_of_what_it_is_asked_is_let_be() {
        let mut good = Answers::default();
        let mut bad = Answers::default();
        for _ in 0..BROKEN_MAX {
            (good.served, good.failed) = (10, 20);
            assert!(!good.judge());
            (bad.served, bad.failed) = (10, 21);
            assert_eq!(bad.judge(), bad.bad == BROKEN_MAX);
        }
        assert_eq!(bad.bad, BROKEN_MAX);
    }

    #[test]
    fn distrust_grows_and_is_forgotten() {
        let (mut conduct, peer) = (Conduct::default(), PeerId::default());
        let mut now = Instant::from_micros(1_000_000_000);
        assert!(!conduct.distrusts(&peer, now));
        for seconds in [10, 20, 40] {
            conduct.note(peer, now);
            assert!(conduct.distrusts(&peer, now + Duration::from_secs(seconds - 1)));
            now = now + Duration::from_secs(seconds);
            assert!(!conduct.distrusts(&peer, now));
        }
        now = now + FORGIVEN;
        conduct.note(peer, now);
        assert!(!conduct.distrusts(&peer, now + DISTRUST_MIN));
        for number in 0..2 * REMEMBERED_MAX {
            let mut id = [0; 32];
            id[..8].copy_from_slice(&(number as u64).to_be_bytes());
            conduct.note(PeerId::from_bytes(id), now);
        }
        assert_eq!(conduct.breaches.len(), REMEMBERED_MAX);
    }

    #[test]
    fn an_allowance_refills_with_time() {
        let now = Instant::from_micros(1_000_000);
        let mut allowance = Allowance::new(now);
        assert!(allowance.take(now, ASKED_MIN * ASKED_SECONDS, ASKED_MIN));
        assert!(!allowance.take(now, 1, ASKED_MIN));
        let later = now + Duration::from_millis(100);
        assert!(allowance.take(later, ASKED_MIN / 10, ASKED_MIN));
        assert!(!allowance.take(later, 1, ASKED_MIN));
    }
}
