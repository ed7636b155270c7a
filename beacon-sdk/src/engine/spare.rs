//! Pushing by plan: what neighbours lack, and sending it to them unasked.
//!
//! Two senders must not push one symbol to one neighbour. A neighbour's subscriptions are its
//! reservations: a stripe that it has subscribed here is pushed here and nowhere else, and one
//! that its status shows it to be fed by another is left to that one until it is overdue. What
//! is left are stripes that nobody feeds it; several may push these, each beginning at another
//! place.

use super::Engine;
use super::peers::Peer;
use crate::id::SegmentId;
use crate::plugin::{PeerKey, SPARE_SYMBOLS_MAX, Spare};
use crate::time::Instant;
use crate::wire::HAVE_COMPLETE;
use core::cmp::Reverse;
use core::time::Duration;
use std::collections::BTreeMap;

/// How soon after a symbol came its pushing is planned: a few come together. (Guess.)
const PUSH_PAUSE: Duration = Duration::from_millis(10);
/// What may wait for the uplink: a tenth of a second of it (theory.md §2.1), but two bursts at
/// least, and four where the uplink is as fast as its links.
const QUEUE_SPAN_MS: u64 = 100;
const QUEUE_MIN: u64 = 32;
const QUEUE_UNLIMITED: u64 = 64;
/// Pushed symbols that may wait for one link. (Guess: two bursts.)
const LINK_MAX: usize = 32;
/// Segments looked at for something to push at most, newest first.
const SEGMENTS_MAX: usize = 32;

/// What was pushed of one segment to one neighbour.
#[derive(Debug)]
struct Given {
    peer: PeerKey,
    /// When the link came up: keys are used again.
    link: Instant,
    /// The last push.
    last: Instant,
    /// Bit i of word j: symbol 64 j + i.
    bits: Vec<u64>,
}

impl Given {
    fn has(&self, esi: u16) -> bool {
        self.bits.get(usize::from(esi / 64)).is_some_and(|word| word >> (esi % 64) & 1 == 1)
    }

    /// What was pushed could have been told of by now: if it was not, it is lost.
    fn unheard(&self, peer: &Peer, now: Instant) -> bool {
        peer.out.symbols() == 0 && self.last + peer.rtt.patience() * 2 <= now
    }

    fn clear(&mut self, esi: u16) {
        if let Some(word) = self.bits.get_mut(usize::from(esi / 64)) {
            *word &= !(1 << (esi % 64));
        }
    }

    fn set(&mut self, esi: u16) {
        let at = usize::from(esi / 64);
        if self.bits.len() <= at {
            self.bits.resize(at + 1, 0);
        }
        self.bits[at] |= 1 << (esi % 64);
    }
}

/// What was pushed by plan, of the segments in the window.
#[derive(Debug, Default)]
pub(super) struct Pushed(BTreeMap<SegmentId, Vec<Given>>);

impl Pushed {
    fn to(&self, id: SegmentId, key: PeerKey, link: Instant) -> Option<&Given> {
        self.0.get(&id)?.iter().find(|given| given.peer == key && given.link == link)
    }

    fn to_mut(&mut self, id: SegmentId, key: PeerKey, link: Instant) -> &mut Given {
        let all = self.0.entry(id).or_default();
        let at = all.iter().position(|given| given.peer == key).unwrap_or(all.len());
        let fresh = || Given { peer: key, link, last: Instant::ZERO, bits: Vec::new() };
        if at == all.len() {
            all.push(fresh());
        } else if all[at].link != link {
            all[at] = fresh();
        }
        &mut all[at]
    }
}

impl Engine {
    /// Something came that neighbours may lack.
    pub(super) fn push_soon(&mut self) {
        self.plan_by(self.now + PUSH_PAUSE);
    }

    /// Symbols that may be pushed now.
    fn push_room(&self) -> u16 {
        let limit = self.config.upload_bps.map_or(QUEUE_UNLIMITED, |bits| {
            let symbol = 8 * Self::caps_needed().data_frame_max as u64;
            (bits.saturating_mul(QUEUE_SPAN_MS) / (1000 * symbol)).max(QUEUE_MIN)
        });
        // A link that takes nothing now must not keep the others waiting.
        let sendable = self.peers.iter().filter(|(_, peer)| peer.out.symbols_sendable());
        let queued: u64 = sendable.map(|(_, peer)| peer.out.symbols() as u64).sum();
        u16::try_from(limit.saturating_sub(queued)).unwrap_or(u16::MAX)
    }

    /// What neighbours lack, newest segment first, and how much of it may be pushed.
    pub(super) fn spares(&self) -> (Vec<Spare>, u16) {
        let (mut spares, room) = (Vec::new(), self.push_room());
        if room == 0 {
            return (spares, room);
        }
        let mut newest: Vec<(Reverse<Instant>, SegmentId)> = self
            .store
            .iter()
            .filter_map(|(id, segment)| Some((id, segment.content.as_ref()?)))
            .filter(|(_, content)| content.held() > 0)
            .map(|(id, content)| (Reverse(self.player.deadline(content.manifest().captured)), id))
            .filter(|(deadline, _)| deadline.0 > self.now)
            .collect();
        newest.sort_unstable();
        for (Reverse(deadline), id) in newest.into_iter().take(SEGMENTS_MAX) {
            for (key, peer) in self.peers.ready() {
                let takes = peer.status.tracks >> id.track.get() & 1 == 1;
                if takes && peer.out.symbols() < LINK_MAX && peer.id != self.broadcast.publisher {
                    self.spares_for(id, deadline, key, peer, &mut spares);
                }
            }
        }
        (spares, room)
    }

    /// What one neighbour lacks of one segment: reserved here, and free for all.
    fn spares_for(
        &self,
        id: SegmentId,
        deadline: Instant,
        key: PeerKey,
        peer: &Peer,
        spares: &mut Vec<Spare>,
    ) {
        let Some(segment) = self.store.get(id) else { return };
        let Some(content) = &segment.content else { return };
        let told = segment.holders.iter().find(|h| h.peer == key).map_or(0, |h| h.mask);
        if told & HAVE_COMPLETE != 0 {
            return;
        }
        let given = self.pushed.to(id, key, peer.since);
        let again = given.is_some_and(|given| given.unheard(peer, self.now));
        let overdue = content.since + self.config.overdue * 3 <= self.now;
        // Of what is free, a burst at a time, and then news of the neighbour: others push it too.
        let quiet = peer.rtt.smoothed() + self.config.plan_interval;
        let heard = given.is_none_or(|given| given.last + quiet <= self.now);
        // Nobody need feed it the repair stripe.
        let last = self.feeds.count() - 1;
        let unfed = |stripe: u8| {
            let depth = peer.status.depth.get(usize::from(stripe));
            stripe < last && depth.is_none_or(|depth| *depth == u8::MAX)
        };
        // Per stripe: nothing to push, reserved, or free; and whether to push it again.
        let (mut reserved, mut free, mut repeat) = (0_u32, 0_u32, 0_u32);
        for stripe in (0..self.feeds.count()).filter(|stripe| told >> stripe & 1 == 0) {
            let bit = 1 << stripe;
            if peer.takes & bit != 0 {
                reserved |= bit;
            } else if heard && (unfed(stripe) || overdue) {
                free |= bit;
            }
            // Of a stripe that is not whole here it cannot be said what the neighbour lacks.
            if again && content.mask() & bit != 0 {
                repeat |= bit;
            }
        }
        let mut lacks = [Lack::default(), Lack::default()];
        let total = content.manifest().layout.total();
        // Free symbols are begun with at another place by every sender.
        let turn = (self.me.short() ^ peer.id.short()) % u32::from(total.max(1));
        let turn = if reserved == 0 { turn as u16 } else { 0 };
        for esi in (turn..total).chain(0..turn) {
            let bit = 1 << content.stripe(esi);
            let kind = match (reserved & bit, free & bit) {
                (0, 0) => continue,
                (0, _) => 1,
                _ => 0,
            };
            let done = given.is_some_and(|given| given.has(esi)) && repeat & bit == 0;
            if !done && content.symbol(esi).is_some() {
                lacks[kind].add(esi);
            }
        }
        for (lack, reserved) in lacks.into_iter().zip([true, false]) {
            let Lack { lacking, esis } = lack;
            if lacking > 0 {
                spares.push(Spare { peer: key, id, deadline, reserved, lacking, esis });
            }
        }
    }

    /// Sends symbols that nobody asked for, as far as the neighbour takes them and the uplink has
    /// room.
    pub(super) fn push(&mut self, key: PeerKey, id: SegmentId, esis: &[u16]) {
        let room = usize::from(self.push_room());
        let expires = self.expiry(id);
        let Some(segment) = self.store.get(id) else { return };
        let Some(content) = &segment.content else { return };
        let told = segment.holders.iter().find(|h| h.peer == key).map_or(0, |h| h.mask);
        let Some(peer) = self.peers.get_mut(key).filter(|peer| peer.ready) else { return };
        let takes = peer.status.tracks >> id.track.get() & 1 == 1;
        if !takes || told & HAVE_COMPLETE != 0 {
            return;
        }
        let given = self.pushed.to_mut(id, key, peer.since);
        if given.unheard(peer, self.now) {
            let lost = content.mask() & !told;
            let total = content.manifest().layout.total();
            (0..total).filter(|e| lost >> content.stripe(*e) & 1 == 1).for_each(|e| given.clear(e));
        }
        let mut left = room.min(LINK_MAX.saturating_sub(peer.out.symbols()));
        for &esi in esis.iter().filter(|esi| told >> content.stripe(**esi) & 1 == 0) {
            let Some(frame) = content.symbol(esi).filter(|_| left > 0 && !given.has(esi)) else {
                continue;
            };
            given.set(esi);
            given.last = self.now;
            peer.out.symbol(frame.clone(), expires);
            self.data_waits.add(key);
            left -= 1;
        }
    }

    /// What was pushed of segments that have left the window is forgotten.
    pub(super) fn sweep_pushed(&mut self) {
        let store = &self.store;
        self.pushed.0.retain(|id, _| store.get(*id).is_some());
    }
}

/// Symbols that a neighbour lacks.
#[derive(Debug, Default)]
struct Lack {
    lacking: u16,
    esis: Vec<u16>,
}

impl Lack {
    fn add(&mut self, esi: u16) {
        self.lacking = self.lacking.saturating_add(1);
        if self.esis.len() < SPARE_SYMBOLS_MAX {
            self.esis.push(esi);
        }
    }
}
