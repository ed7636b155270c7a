//! Telling neighbours what is held and what is offered.
//!
//! What a peer holds is news to few: to the children that wait to hear that a stripe has been
//! sent, to those without a feed that have to ask for everything, and, in case something is lost,
//! to the rest. Every frame on a quiet link costs both ends several wake-ups, so each is told as
//! late as it may be, together with what has come since, and only while it lacks something.

use super::Engine;
use super::peers::Peer;
use super::store::Segment;
use crate::id::{PeerId, SegmentId};
use crate::plugin::PeerKey;
use crate::time::Instant;
use crate::wire::{HAVE_COMPLETE, HAVES_MAX, Have, Message, Status};
use core::time::Duration;

/// How many telling rounds a neighbour with symbols still queued is left out of: "have" also
/// tells a child that a stripe has been sent, so it should follow the symbols.
const QUEUED_ROUNDS: u32 = 40;

impl Engine {
    /// Something about this peer itself has changed that neighbours should know.
    pub(super) fn tell_soon(&mut self) {
        self.timers.tell = self.timers.tell.min(self.now + self.tell_interval());
    }

    fn tell_interval(&self) -> Duration {
        self.config.plan_interval / 2
    }

    /// How long those may wait that are pushed everything: they ask others only for what is
    /// overdue, and should know by then whom.
    fn tell_patience(&self) -> Duration {
        (self.config.overdue / 2).max(self.tell_interval())
    }

    /// The origin has everything and asks for nothing; but it plans by what others lack where
    /// the scheduler pushes.
    fn unconcerned(&self) -> Option<PeerId> {
        (!self.parts.scheduler.wants_spare()).then_some(self.broadcast.publisher)
    }

    /// The holding of a segment may have changed: when it has, neighbours that lack something of
    /// it are to be told; not the origin, which needs nothing.
    pub(super) fn tell_holding(&mut self, id: SegmentId, mask: u32) {
        let (now, unconcerned) = (self.now, self.unconcerned());
        let (soon, late) = (now + self.tell_interval(), now + self.tell_patience());
        let pushing = self.parts.scheduler.wants_spare();
        let Some(segment) = self.store.get_mut(id) else { return };
        let Some(content) = &mut segment.content else { return };
        // Who gives nothing is not to be asked.
        if content.told == mask || self.config.upload_bps == Some(0) {
            return;
        }
        let (whole, pulled) = (mask & HAVE_COMPLETE != 0, content.pulled);
        let news = mask & !content.told;
        content.told = mask;
        for (key, peer) in self.peers.iter_mut() {
            let concerned = peer.ready && Some(peer.id) != unconcerned;
            // Who pushes by what others lack must know at once what they have.
            if !concerned || !(pushing || lacks(segment, key, peer)) {
                continue;
            }
            let takes = if peer.takes_tracks >> id.track.get() & 1 == 1 { peer.takes } else { 0 };
            let sent = takes & !mask == 0 || whole;
            let at = if pushing || takes & news != 0 && sent {
                // With the last symbols of what it takes: in the same packets, if there is luck.
                now
            } else if (takes | peer.unfed()) & news != 0 || (whole && pulled && peer.pushes != 0) {
                soon
            } else {
                late
            };
            if !peer.untold.contains(&id) {
                peer.untold.push(id);
            }
            peer.tell_at = peer.tell_at.min(at);
            self.timers.have = self.timers.have.min(peer.tell_at);
        }
    }

    /// A neighbour holds all of a segment.
    pub(super) fn need_not_tell(&mut self, to: PeerKey, id: SegmentId) {
        let Some(segment) = self.store.get(id) else { return };
        let Some(peer) = self.peers.get_mut(to) else { return };
        let pushing = self.parts.scheduler.wants_spare();
        if peer.untold.is_empty() || pushing || lacks(segment, to, peer) {
            return;
        }
        peer.untold.retain(|untold| *untold != id);
        if peer.untold.is_empty() {
            peer.tell_at = Instant::NEVER;
            self.timers.have = self.next_have();
        }
    }

    /// A neighbour is to be told by `at` of what it has not been told yet.
    pub(super) fn tell_by(&mut self, to: PeerKey, at: Instant) {
        if let Some(peer) = self.peers.get_mut(to).filter(|peer| !peer.untold.is_empty()) {
            peer.tell_at = peer.tell_at.min(at);
            self.timers.have = self.timers.have.min(at);
        }
    }

    /// A new neighbour is told of all that is held.
    pub(super) fn tell_everything(&mut self, to: PeerKey) {
        if self.config.upload_bps == Some(0) {
            return;
        }
        let held: Vec<SegmentId> = self
            .store
            .iter()
            .filter(|(_, segment)| segment.content.as_ref().is_some_and(|c| c.held() != 0))
            .map(|(id, _)| id)
            .collect();
        let unconcerned = self.unconcerned();
        let concerned = |peer: &&mut Peer| Some(peer.id) != unconcerned;
        if let Some(peer) = self.peers.get_mut(to).filter(concerned) {
            peer.untold = held;
        }
        self.flush_haves(to);
    }

    /// Sends the haves that are due, once the symbols they speak of have gone; whether there were
    /// any. Comes after everything else that can be sent.
    pub(super) fn tell_haves(&mut self) -> bool {
        let now = self.now;
        if self.timers.have > now {
            return false;
        }
        // Who would be due in a moment is told now, and wakes nobody once more.
        let soon = now + self.tell_interval();
        let patience = self.tell_interval() * QUEUED_ROUNDS;
        let due = |peer: &Peer| {
            let sent = peer.out.symbols() == 0;
            peer.ready && if sent { peer.tell_at <= soon } else { peer.tell_at + patience <= now }
        };
        let due: Vec<PeerKey> =
            self.peers.iter().filter(|(_, peer)| due(peer)).map(|(key, _)| key).collect();
        for key in &due {
            self.flush_haves(*key);
        }
        self.timers.have = self.next_have();
        !due.is_empty()
    }

    /// When [`Engine::tell_haves`] has something to do though nothing happens.
    fn next_have(&self) -> Instant {
        let patience = self.tell_interval() * QUEUED_ROUNDS;
        let waits = |peer: &Peer| if peer.out.symbols() == 0 { Duration::ZERO } else { patience };
        let untold = self.peers.ready().filter(|(_, peer)| !peer.untold.is_empty());
        untold.map(|(_, peer)| peer.tell_at + waits(peer)).min().unwrap_or(Instant::NEVER)
    }

    fn flush_haves(&mut self, to: PeerKey) {
        let Some(peer) = self.peers.get_mut(to) else { return };
        peer.tell_at = Instant::NEVER;
        let ids = core::mem::take(&mut peer.untold);
        let have = |id: SegmentId| Some(Have { id, mask: self.store.content(id)?.mask() });
        let haves: Vec<Have> = ids.into_iter().filter_map(have).collect();
        for chunk in haves.chunks(HAVES_MAX) {
            self.send(to, &Message::Have(chunk.to_vec()));
        }
    }

    /// Tells everyone the status when it has changed.
    pub(super) fn tell_status(&mut self) {
        self.timers.tell = Instant::NEVER;
        let status = self.current_status();
        if status == self.status {
            return;
        }
        self.status = status.clone();
        let all: Vec<PeerKey> = self.peers.ready().map(|(key, _)| key).collect();
        let frame = Message::Status(status).encode();
        for key in all {
            self.send_frame(key, frame.clone());
        }
    }

    fn current_status(&self) -> Status {
        let stripes = 0..self.feeds.count();
        let depth = |stripe| self.feeds.depth(stripe).unwrap_or(u8::MAX);
        Status {
            tracks: if self.description.is_some() { self.tracks } else { 0 },
            slots: self.uplink.slots(),
            depth: stripes.clone().map(depth).collect(),
            bar: stripes.map(|stripe| self.feeds.bar(stripe)).collect(),
        }
    }
}

/// Whether news of a segment is of use to a neighbour. One that has said that it is whole needs
/// nothing, unless it pushes what has come another way: then it should know to stop.
fn lacks(segment: &Segment, key: PeerKey, peer: &Peer) -> bool {
    let whole = segment.holders.iter().any(|h| h.peer == key && h.mask & HAVE_COMPLETE != 0);
    !whole || (peer.pushes != 0 && pulled(segment))
}

fn pulled(segment: &Segment) -> bool {
    segment.content.as_ref().is_some_and(|content| content.pulled)
}
