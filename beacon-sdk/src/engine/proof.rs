//! False symbols, and publishers that sign two streams.
//!
//! Who sends a symbol or page that does not match its manifest is a forger, or has another manifest that the
//! publisher signed as well. It is asked for its manifest and listened to no more until it has shown it:
//! the same one convicts it, another one convicts the publisher.

use super::Engine;
use crate::event::{Event, Offence};
use crate::id::SegmentId;
use crate::media::Manifest;
use crate::plugin::PeerKey;
use crate::time::Instant;
use crate::wire::Message;
use bytes::Bytes;
use core::time::Duration;

/// How long one that is accused may take to show its manifest. (Guess: the longest round trips.)
const ANSWER_MAX: Duration = Duration::from_millis(800);

/// What a neighbour is accused of.
#[derive(Copy, Clone, Debug)]
pub(super) struct Accused {
    id: SegmentId,
    offence: Offence,
    until: Instant,
}

impl Engine {
    /// A neighbour sent something of a segment that does not match its manifest.
    pub(super) fn accuse(&mut self, key: PeerKey, id: SegmentId, offence: Offence) {
        let until = self.now + ANSWER_MAX;
        let Some(peer) = self.peers.get_mut(key).filter(|peer| peer.accused.is_none()) else {
            return;
        };
        peer.accused = Some(Accused { id, offence, until });
        peer.pushes = 0;
        self.store.forget(key);
        self.quarantine.forget(key);
        let fed = |stripe: &u8| self.feeds.hangs_on(*stripe, key);
        let stripes: Vec<u8> = (0..self.feeds.count()).filter(fed).collect();
        for stripe in stripes {
            self.feeds.refuse(stripe, key, self.now);
            self.unsubscribe_at(key, stripe);
        }
        self.send(key, &Message::Fetch(id));
        self.timers.plan = self.now;
        self.tell_soon();
    }

    /// Bans those that have not shown their manifest in time.
    pub(super) fn convict(&mut self) {
        let accused = self.peers.iter().filter_map(|(key, peer)| Some((key, peer.accused?)));
        let due: Vec<(PeerKey, Accused)> =
            accused.filter(|(_, accused)| accused.until <= self.now).collect();
        for (key, accused) in due {
            self.ban(key, accused.offence);
        }
    }

    /// One that is accused shows the manifest that is known here.
    pub(super) fn confess(&mut self, key: PeerKey, id: SegmentId) {
        let accused = self.peers.get(key).and_then(|peer| peer.accused);
        if let Some(accused) = accused.filter(|accused| accused.id == id) {
            self.ban(key, accused.offence);
        }
    }

    /// The publisher has signed two manifests for one segment: that is told to everybody, with the proof,
    /// and there is nothing more to be played.
    pub(super) fn disclose(&mut self, id: SegmentId, first: Bytes, second: Bytes) {
        if self.forked.is_some() {
            return;
        }
        let frame = Message::Equivocation { first, second }.encode();
        self.forked = Some((id, frame.clone()));
        self.event(Event::Equivocation { id });
        let all: Vec<PeerKey> = self.peers.ready().map(|(key, _)| key).collect();
        for key in all {
            self.send_frame(key, frame.clone());
        }
    }

    /// A neighbour says that the publisher signed two manifests for one segment.
    pub(super) fn on_equivocation(&mut self, from: PeerKey, first: Bytes, second: Bytes) {
        if self.forked.is_some() {
            return;
        }
        let open = |record| Manifest::open(self.broadcast, record);
        match (open(&first), open(&second)) {
            (Ok(a), Ok(b)) if a.id == b.id && a != b => self.disclose(a.id, first, second),
            _ => self.ban(from, Offence::ForgedRecord),
        }
    }

    /// For which segment the publisher has signed two manifests, if it is known to have. A viewer then
    /// plays nothing more: which of two streams is the true one cannot be known.
    #[must_use]
    pub fn equivocation(&self) -> Option<SegmentId> {
        self.forked.as_ref().map(|(id, _)| *id)
    }
}
