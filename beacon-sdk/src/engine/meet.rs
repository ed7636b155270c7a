//! Links coming and going: handshake, goodbye, liveness.

use super::peers::Peer;
use super::{Engine, Output};
use crate::event::{Event, Incompatible, Offence};
use crate::id::PeerId;
use crate::plugin::{CloseReason, Link, Observation, PeerKey};
use crate::time::Instant;
use crate::wire::{FarewellReason, Hello, Message, Versions};
use core::time::Duration;

/// A peer that connects must prove itself within this time.
const HELLO_MAX: Duration = Duration::from_secs(5);
/// Who meets nobody but peers of another version looks on for so long: one of its own, or one that
/// speaks both, may be among those it is told of. (Guess.)
const FOREIGN_MAX: Duration = Duration::from_secs(5);
/// A neighbour that the rendezvous takes for gone has so long to answer, and half of it to be heard
/// at all: time for a lost ping to be sent once more. (Guess.)
const GONE_MAX: Duration = Duration::from_secs(1);
/// Peers suggested to one that is turned away, or told to a new neighbour.
const SUGGESTED: usize = 8;
/// Peers above the limit of links that may be told so at the same time; further ones are closed
/// without a word.
const TURNED_AWAY_MAX: usize = 32;
/// How often a full peer lets go of an idle neighbour, and how long one may be idle. (Guess.)
const ROOM_INTERVAL: Duration = Duration::from_millis(500);
const IDLE_MIN: Duration = Duration::from_millis(3000);
/// Links beyond the target before idle ones are let go.
const SPARE_LINKS: u16 = 4;
/// How often a peer looks for better parents: at first, and when it finds none. (Guess.)
pub(super) const EXPLORE_MIN: Duration = Duration::from_secs(1);
const EXPLORE_MAX: Duration = Duration::from_secs(60);
/// Odd but harmless frames of one neighbour before the link is closed.
const ODDITIES_MAX: u16 = 200;

impl Engine {
    pub(super) fn on_connected(&mut self, link: Link) {
        self.links.connected(link.peer);
        // A transport that reaches this peer itself has been led in a circle.
        if link.peer == self.me || self.links.banned(&link.peer) {
            return self.output(Output::Close { peer: link.peer, reason: CloseReason::Protocol });
        }
        if self.conduct.distrusts(&link.peer, self.now) {
            return self.output(Output::Close { peer: link.peer, reason: CloseReason::Full });
        }
        let links_max = usize::from(self.config.links_max);
        if self.peers.len() >= links_max + TURNED_AWAY_MAX {
            return self.output(Output::Close { peer: link.peer, reason: CloseReason::Full });
        }
        let Some(key) = self.peers.add(link.peer, link.binding, self.now) else {
            return tracing::warn!(peer = ?link.peer, "second link reported by the transport");
        };
        if self.peers.len() > links_max {
            let peers = self.links.sample(SUGGESTED, &mut self.rng);
            return self.turn_away(key, FarewellReason::Full, peers);
        }
        let hello = Hello::sign(&self.identity, self.broadcast, &link.binding, &link.peer);
        if let Some(commons) = &self.commons {
            commons.greets(link.peer, link.binding, &hello);
        }
        self.send(key, &Message::Hello(hello));
    }

    pub(super) fn on_hello(&mut self, from: PeerKey, hello: &Hello) {
        let Some(peer) = self.peers.get_mut(from) else { return };
        if hello.broadcast != self.broadcast {
            return self.turn_away(from, FarewellReason::Broadcast, Vec::new());
        }
        let (commons, binding) = (self.commons.as_ref(), peer.binding);
        let signed = || {
            let transcript = hello.transcript(&binding, &self.me);
            hello.peer.verify(Hello::CONTEXT, &transcript, &hello.signature)
        };
        let proven = hello.peer == peer.id
            && (commons.is_some_and(|c| c.greeted(self.me, binding, hello)) || signed());
        if !proven {
            return self.ban(from, Offence::FalseIdentity);
        }
        peer.ready = true;
        self.foreign = None;
        let id = peer.id;
        self.links.proven(self.me, id);
        self.observe(id, Observation::Connected);
        self.event(Event::PeerJoined { peer: id });
        self.welcome(from);
    }

    /// A hello names versions of which this build speaks none.
    pub(super) fn on_other_version(&mut self, from: PeerKey, theirs: Versions) {
        let Some(peer) = self.peers.get(from) else { return };
        if peer.ready {
            return self.ban(from, Offence::BrokenFrame);
        }
        if peer.turned_away {
            return;
        }
        self.event(Event::OtherVersion { peer: peer.id, versions: theirs });
        if self.peers.ready().next().is_none() {
            let since = self.foreign.map_or(self.now, |(since, _)| since);
            self.foreign = Some((since, Incompatible { theirs }));
        }
        self.turn_away(from, FarewellReason::Version, Vec::new());
    }

    /// Everybody whom a viewer has met for a while speaks another version of the protocol.
    #[must_use]
    pub fn incompatible(&self) -> Option<Incompatible> {
        let (since, with) = self.foreign?;
        let waiting = self.publisher.is_none() && self.description.is_none();
        (waiting && since + FOREIGN_MAX <= self.now).then_some(with)
    }

    /// Says farewell to a peer that is not to become a neighbour. It closes the link, or the time
    /// to prove itself runs out.
    fn turn_away(&mut self, key: PeerKey, reason: FarewellReason, peers: Vec<PeerId>) {
        if let Some(peer) = self.peers.get_mut(key) {
            peer.turned_away = true;
        }
        self.send(key, &Message::Farewell { reason, peers });
    }

    /// Tells a new neighbour what there is.
    fn welcome(&mut self, to: PeerKey) {
        if let Some((_, frame)) = &self.description {
            let frame = frame.clone();
            self.send_frame(to, frame);
        }
        let status = self.status.clone();
        self.send(to, &Message::Status(status));
        self.tell_everything(to);
        if let Some((_, proof)) = &self.forked {
            let proof = proof.clone();
            self.send_frame(to, proof);
        }
        let peers = self.links.sample(SUGGESTED, &mut self.rng);
        self.send(to, &Message::Peers(peers));
        self.timers.plan = self.now;
        if self.player.started().is_none() && self.publisher.is_none() {
            self.timers.tail = self.now;
        }
    }

    pub(super) fn on_farewell(&mut self, from: PeerKey, reason: FarewellReason, peers: &[PeerId]) {
        for peer in peers {
            self.links.learn(self.me, *peer, u16::MAX);
        }
        let close = match reason {
            FarewellReason::Full => CloseReason::Full,
            FarewellReason::Done => CloseReason::Remote,
            FarewellReason::Version => CloseReason::Version,
            _ => CloseReason::Protocol,
        };
        if let Some(peer) = self.peers.get(from) {
            tracing::debug!(peer = ?peer.id, ?reason, "farewell");
        }
        self.drop_link(from, close);
    }

    /// Ends a link from this side.
    pub(super) fn drop_link(&mut self, key: PeerKey, reason: CloseReason) {
        let Some(id) = self.peers.get(key).map(|peer| peer.id) else { return };
        self.output(Output::Close { peer: id, reason });
        self.lose(key, reason);
    }

    /// Ends a link for good, because of what the peer did.
    pub(super) fn ban(&mut self, key: PeerKey, offence: Offence) {
        let Some(id) = self.peers.get(key).map(|peer| peer.id) else { return };
        let seen = match offence {
            Offence::BrokenFrame => Observation::Malformed,
            _ => Observation::Invalid,
        };
        self.observe(id, seen);
        self.stats.peers_banned += 1;
        self.links.ban(id);
        tracing::warn!(peer = ?id, %offence, "banned");
        self.event(Event::PeerBanned { peer: id, offence });
        self.drop_link(key, CloseReason::Protocol);
    }

    /// Counts a frame that makes no sense where it comes but may be honest.
    pub(super) fn odd(&mut self, key: PeerKey) {
        let Some(peer) = self.peers.get_mut(key) else { return };
        peer.oddities = peer.oddities.saturating_add(1);
        if peer.oddities > ODDITIES_MAX {
            self.ban(key, Offence::BrokenFrame);
        }
    }

    /// The rendezvous says that a peer has left. It may have lost the rendezvous alone: if it is a
    /// neighbour it is asked, and has less time to answer than one that is merely silent.
    pub(super) fn on_gone(&mut self, peer: PeerId) {
        self.links.gone(peer);
        let Some(key) = self.peers.key(&peer) else { return };
        let now = self.now;
        let Some(peer) = self.peers.get_mut(key).filter(|peer| peer.ready) else { return };
        (peer.doubted, peer.mute, peer.pinged) = (Some(now), true, now);
        self.send(key, &Message::Ping(now.as_micros()));
    }

    /// The owner of the broadcast has sent a peer away, as the rendezvous says: no link to it until that names it again. It
    /// has done nothing that a neighbour could hold against it. Nobody sends the origin away.
    pub(super) fn on_sent_away(&mut self, peer: PeerId) {
        if peer == self.broadcast.publisher {
            return;
        }
        let dialed = self.links.send_away(peer);
        match self.peers.key(&peer) {
            Some(key) => self.drop_link(key, CloseReason::Done),
            None if dialed => self.output(Output::Close { peer, reason: CloseReason::Done }),
            None => {}
        }
    }

    /// A link is no more: everything that hung on it is let go.
    pub(super) fn lose(&mut self, key: PeerKey, reason: CloseReason) {
        let Some(peer) = self.peers.remove(key) else { return };
        self.store.forget(key);
        self.quarantine.forget(key);
        self.feeds.forget(key);
        self.links.failed(peer.id, self.now, &mut self.rng);
        if peer.pushes != 0 {
            self.links.forgive(self.now, &mut self.rng);
        }
        if peer.ready {
            if matches!(reason, CloseReason::Timeout | CloseReason::Failed) {
                self.observe(peer.id, Observation::Dropped);
            }
            self.event(Event::PeerLeft { peer: peer.id, reason });
        }
        self.timers.plan = self.now;
        self.tell_soon();
    }

    pub(super) fn on_pong(&mut self, from: PeerKey, token: u64) {
        let now = self.now;
        let Some(peer) = self.peers.get_mut(from) else { return };
        // The token is the time of the ping; one that was never sent gives no sample.
        if peer.pinged == Instant::ZERO || Instant::from_micros(token) != peer.pinged {
            return;
        }
        let rtt = now.since(peer.pinged);
        peer.rtt.sample(rtt);
        peer.doubted = None;
        let id = peer.id;
        self.observe(id, Observation::RoundTrip(rtt));
    }

    /// Pings, and lets go of links that are silent or never proved themselves. A link that is
    /// heard anyway is pinged for its round trip only: on a quiet lane a ping and its answer wake
    /// four tasks at each end.
    pub(super) fn check_links(&mut self) {
        let (now, silence) = (self.now, self.config.silence);
        let (mut lost, mut stuck) = (Vec::new(), Vec::new());
        let mut pings = Vec::new();
        for (key, peer) in self.peers.iter_mut() {
            let unproven = !peer.ready && peer.since + HELLO_MAX <= now;
            let gone = peer.doubted.is_some_and(|since| since + GONE_MAX <= now)
                && peer.heard + GONE_MAX / 2 <= now;
            if peer.out.stuck_since().is_some_and(|since| since + silence <= now) {
                stuck.push(key);
                continue;
            }
            let quiet = peer.heard + silence / 4 <= now;
            let pause = if quiet { silence / 4 } else { silence };
            if unproven || gone || peer.heard + silence <= now {
                lost.push(key);
            } else if peer.ready && peer.pinged + pause <= now {
                peer.pinged = now;
                pings.push(key);
            }
        }
        for key in stuck {
            // It takes a place and reads nothing.
            self.breach(key);
            self.drop_link(key, CloseReason::Timeout);
        }
        for key in lost {
            self.drop_link(key, CloseReason::Timeout);
        }
        for key in pings {
            self.send(key, &Message::Ping(now.as_micros()));
        }
    }

    /// A peer with many links lets go of a neighbour that neither gives nor takes a stripe, the one
    /// that can serve least, so that those who can are not kept out by those who came first.
    pub(super) fn make_room(&mut self) {
        let now = self.now;
        let (target, max) = (self.config.links_target, self.config.links_max);
        let most = if self.publisher.is_some() { max } else { (target + SPARE_LINKS).min(max) };
        if self.peers.len() < usize::from(most) || self.timers.room > now {
            return;
        }
        self.timers.room = now + ROOM_INTERVAL;
        let idle = self.peers.ready().filter(|(_, peer)| {
            peer.takes == 0 && peer.pushes == 0 && peer.since + IDLE_MIN <= now
        });
        let trusted = |id: &PeerId| !self.conduct.distrusts(id, now);
        let first = |(key, peer): &(PeerKey, &Peer)| (trusted(&peer.id), peer.status.slots, *key);
        let Some((key, _)) = idle.min_by_key(first) else {
            return;
        };
        let peers = self.links.sample(SUGGESTED, &mut self.rng);
        self.turn_away(key, FarewellReason::Full, peers);
    }

    /// Opens links up to the target.
    pub(super) fn seek_links(&mut self) {
        for peer in self.links.expire(self.now, &mut self.rng) {
            self.output(Output::Close { peer, reason: CloseReason::Timeout });
        }
        let target = usize::from(self.config.links_target.min(self.config.links_max));
        while self.links.dialing() < super::links::DIALS_MAX
            && self.peers.len() + self.links.dialing() < target
        {
            if !self.dial_next() {
                break;
            }
        }
        self.explore();
    }

    fn dial_next(&mut self) -> bool {
        let peers = &self.peers;
        let linked = |id: &PeerId| peers.key(id).is_some();
        let Some(peer) = self.links.next(linked, self.now, &mut self.rng) else { return false };
        self.output(Output::Dial(peer));
        true
    }

    /// Looks for better parents than there are among the neighbours: less and less often, until a
    /// stripe changes its parent.
    fn explore(&mut self) {
        let far = self.feeds.depths().any(|depth| depth.is_none_or(|depth| depth > 1));
        let room = self.peers.len() + self.links.dialing() < usize::from(self.config.links_max);
        if self.publisher.is_some() || self.timers.explore > self.now || !far || !room {
            return;
        }
        self.timers.explore = self.now + self.explore_pause;
        self.explore_pause = (self.explore_pause * 2).min(EXPLORE_MAX);
        self.dial_next();
    }

    /// A stripe has a new parent, so there may be still better ones.
    pub(super) fn explore_soon(&mut self) {
        self.explore_pause = EXPLORE_MIN;
    }
}
