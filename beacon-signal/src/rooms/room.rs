//! One room: the peers that joined with one name, what they are told, and of whom.

use super::Disobeyed;
use super::edges::Edges;
use super::record::Record;
use super::refused::{REPLACED, Refused};
use crate::config::Config;
use crate::order::{Action, Order, ShortId};
use crate::outbox::Outbox;
use axum::extract::ws::Utf8Bytes;
use beacon_sdk::plugin::{Detail, Join, PeerHint};
use beacon_sdk::signaling::hints::{self, HINTS, TOLD_MAX};
use beacon_sdk::signaling::{ErrorCode, HINTS_MAX, ServerMessage, VERSION};
use beacon_sdk::{BroadcastId, Identity, Listing, PeerId, PublicKey, Rng};
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Instant, SystemTime};

/// Peers that one owner sends away at most, and mutes.
const BANNED_MAX: usize = 1024;
/// What a peer is told when its owner sends it away, and when the owner ends the broadcast.
pub(crate) const SENT_AWAY: &str = "the broadcaster has sent this peer away";
pub(crate) const ENDED: &str = "the broadcaster has ended this";
/// Peers of a room that are told anew in a second at most.
const REFRESHES_PER_SECOND: usize = 200;
/// What everybody is told at the door.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Greeting {
    pub(crate) heartbeat_ms: u32,
    pub(crate) issuer: Option<PublicKey>,
}

impl Greeting {
    pub(crate) fn of(config: &Config, issuer: Option<&Identity>) -> Self {
        let heartbeat_ms = u32::try_from(config.heartbeat().as_millis()).unwrap_or(u32::MAX);
        Self { heartbeat_ms, issuer: issuer.map(Identity::public) }
    }

    /// What a member is told of the broadcast, at the door and when it changes.
    pub(crate) fn joined(self, broadcast: Option<BroadcastId>) -> ServerMessage {
        let Self { heartbeat_ms, issuer } = self;
        ServerMessage::Joined { version: VERSION, broadcast, heartbeat_ms, issuer }
    }
}

/// The peers that joined with one name.
#[derive(Debug)]
pub(super) struct Room {
    pub(super) broadcast: Option<BroadcastId>,
    /// The peer that publishes, while it is here.
    pub(super) origin: Option<PeerId>,
    pub(super) since: SystemTime,
    pub(super) listing: Listing,
    /// When the origin gave the thumbnail.
    pub(super) thumbnail_at: Option<Instant>,
    pub(super) record: Record,
    pub(super) members: BTreeMap<PeerId, Member>,
    /// Those that the owner has sent away, at most [`BANNED_MAX`].
    pub(super) banned: BTreeSet<ShortId>,
    /// Those that it has muted, at most [`BANNED_MAX`]: what they say of themselves is not looked at.
    pub(super) muted: BTreeSet<ShortId>,
    /// When the owner gave its last order, by its clock.
    pub(super) ordered_ms: u64,
    /// Members in order of preference as of the last tick, later ones appended. May name some
    /// that have left.
    pub(super) ranking: Vec<PeerId>,
    pub(super) ranking_is_stale: bool,
    /// Came since the last tick, at most [`HINTS_MAX`].
    pub(super) newcomers: Vec<PeerId>,
}

#[derive(Debug)]
pub(super) struct Member {
    pub(super) connection: u64,
    /// Drawn by the peer for its run: edges are for one run of the downloader.
    pub(super) session: u64,
    pub(super) outbox: Outbox,
    pub(super) edges: Edges,
    pub(super) hint: PeerHint,
    pub(super) refresh_at: Instant,
    pub(super) since: Instant,
    pub(super) told: Option<Told>,
}

/// What a peer told of its links and counters last.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) at: Instant,
    pub(crate) detail: Box<Detail>,
}

impl Room {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            broadcast: None,
            origin: None,
            since: SystemTime::now(),
            listing: Listing::default(),
            thumbnail_at: None,
            record: Record::new(now),
            members: BTreeMap::new(),
            banned: BTreeSet::new(),
            muted: BTreeSet::new(),
            ordered_ms: 0,
            ranking: Vec::new(),
            ranking_is_stale: false,
            newcomers: Vec::new(),
        }
    }

    /// Peers besides the origin.
    pub(super) fn viewers(&self) -> usize {
        self.members.len().saturating_sub(usize::from(self.origin.is_some()))
    }

    /// Keeps how the room does now, if it is time.
    pub(super) fn sample(&mut self, now: Instant) {
        fn told(member: &Member) -> Option<&Detail> {
            member.told.as_ref().map(|told| &*told.detail)
        }
        let (origin, count) = (self.origin, self.viewers());
        let of_origin = origin.and_then(|origin| self.members.get(&origin)).and_then(told);
        let viewers = self.members.iter().filter(|(peer, _)| Some(**peer) != origin);
        let telling = viewers.filter_map(|(_, member)| told(member));
        self.record.sample(now, count, of_origin, telling);
    }

    /// Two set up a link: if one was told of the other, each may take the broadcast from the other. Those who
    /// find each other by themselves are no pair, and pay each other nothing.
    pub(super) fn pair(&mut self, issuer: &Identity, now_ms: u64, one: PeerId, other: PeerId) {
        let knows = |of: PeerId, whom: PeerId| {
            self.members.get(&of).is_some_and(|member| member.edges.knows(whom))
        };
        if knows(one, other) || knows(other, one) {
            self.issue(issuer, now_ms, one, other);
            self.issue(issuer, now_ms, other, one);
        }
    }

    /// Issues an edge if one is due.
    pub(super) fn issue(
        &mut self,
        issuer: &Identity,
        now_ms: u64,
        downloader: PeerId,
        uploader: PeerId,
    ) {
        let Some(broadcast) = self.broadcast.filter(|_| self.origin != Some(downloader)) else {
            return;
        };
        let Some(member) = self.members.get_mut(&downloader) else { return };
        let taker = (downloader, member.session);
        if let Some(edges) = member.edges.issue(issuer, now_ms, broadcast, taker, uploader) {
            member.outbox.send(&edges);
        }
    }

    pub(super) fn admit(&self, join: &Join, peers_max: usize) -> Result<(), Refused> {
        if !join.publish && self.banned.contains(&join.peer.into()) {
            return Err(Refused::Banned);
        }
        if self.members.len() >= peers_max && !self.members.contains_key(&join.peer) {
            return Err(Refused::RoomFull);
        }
        let (Some(origin), Some(now), Some(new)) = (self.origin, self.broadcast, join.broadcast)
        else {
            return Ok(());
        };
        match join.publish {
            // An origin is the publisher: its key is proven by now.
            true if origin != join.peer => Err(Refused::NameTaken),
            true if new.epoch < now.epoch => Err(Refused::StaleEpoch),
            _ => Ok(()),
        }
    }

    /// Makes `peer` the origin, and tells all if the broadcast changed.
    pub(super) fn publish(
        &mut self,
        peer: PeerId,
        broadcast: Option<BroadcastId>,
        greeting: Greeting,
    ) {
        if self.origin.is_none() || self.broadcast != broadcast {
            self.since = SystemTime::now();
            self.record.live(peer);
        }
        let publisher = |run: Option<BroadcastId>| run.map(|run| run.publisher);
        if publisher(self.broadcast) != publisher(broadcast) {
            // What another owner ordered is no longer meant.
            self.banned.clear();
            self.muted.clear();
            self.ordered_ms = 0;
        }
        // An origin that comes back says again what it said before.
        self.listing = Listing::default();
        self.thumbnail_at = None;
        self.origin = Some(peer);
        if self.broadcast != broadcast {
            self.broadcast = broadcast;
            self.members.values_mut().for_each(|member| member.edges.forget_issued());
            let text = Utf8Bytes::from(greeting.joined(broadcast).to_json());
            for (_, member) in self.members.iter().filter(|(other, _)| **other != peer) {
                member.outbox.send_text(text.clone());
            }
        }
    }

    /// Does what the owner orders, who has proven to be it.
    pub(super) fn obey(&mut self, order: &Order) -> Result<(), Disobeyed> {
        if order.at_ms <= self.ordered_ms {
            return Err(Disobeyed::Stale);
        }
        match order.action {
            Action::Ban { .. } if self.banned.len() >= BANNED_MAX => return Err(Disobeyed::Full),
            Action::Mute { .. } if self.muted.len() >= BANNED_MAX => return Err(Disobeyed::Full),
            Action::Ban { peer } => {
                self.banned.insert(peer);
                for id in self.meant(peer) {
                    if let Some(member) = self.take_out(id) {
                        member.outbox.close(ErrorCode::Banned, SENT_AWAY);
                        // To all, however many: links that it has are to end.
                        self.tell_all(&ServerMessage::Gone { peer: id, banned: true });
                    }
                }
            }
            Action::Pardon { peer } => drop(self.banned.remove(&peer)),
            Action::Mute { peer } => {
                self.muted.insert(peer);
                self.hush(peer, hints::muted);
            }
            Action::Unmute { peer } => {
                if self.muted.remove(&peer) {
                    self.hush(peer, |id| hints::newcomer(id, false));
                }
            }
            Action::End => {
                for member in core::mem::take(&mut self.members).into_values() {
                    member.outbox.close(ErrorCode::Ended, ENDED);
                }
            }
        }
        self.ordered_ms = order.at_ms;
        Ok(())
    }

    /// The members that an order means; the origin cannot be meant.
    fn meant(&self, peer: ShortId) -> Vec<PeerId> {
        let meant = |id: &&PeerId| ShortId::from(**id) == peer && self.origin != Some(**id);
        self.members.keys().filter(meant).copied().collect()
    }

    /// Forgets what members have said of themselves.
    fn hush(&mut self, peer: ShortId, hint: impl Fn(PeerId) -> PeerHint) {
        for id in self.meant(peer) {
            if let Some(member) = self.members.get_mut(&id) {
                (member.hint, member.told) = (hint(id), None);
                self.ranking_is_stale = true;
            }
        }
    }

    /// Whether a member may be named to others.
    fn named(&self, member: &Member) -> bool {
        let peer = member.hint.peer;
        self.muted.is_empty() || self.origin == Some(peer) || !self.muted.contains(&peer.into())
    }

    fn tell_all(&self, message: &ServerMessage) {
        let text = Utf8Bytes::from(message.to_json());
        for member in self.members.values() {
            member.outbox.send_text(text.clone());
        }
    }

    pub(super) fn enter(&mut self, peer: PeerId, member: Member) {
        let older = self.members.insert(peer, member);
        if self.origin != Some(peer) {
            self.record.came(peer, older.is_some());
        }
        if let Some(older) = older {
            older.outbox.close(ErrorCode::Replaced, REPLACED);
        } else {
            self.ranking.push(peer);
        }
        self.ranking_is_stale = true;
        if self.newcomers.len() < HINTS_MAX && !self.newcomers.contains(&peer) {
            self.newcomers.push(peer);
        }
    }

    /// Takes a member out, and tells the others of a small room.
    pub(super) fn remove(&mut self, peer: PeerId) -> Option<Member> {
        let member = self.take_out(peer)?;
        if self.members.len() <= TOLD_MAX {
            self.tell_all(&ServerMessage::Gone { peer, banned: false });
        }
        Some(member)
    }

    fn take_out(&mut self, peer: PeerId) -> Option<Member> {
        let member = self.members.remove(&peer)?;
        if self.origin == Some(peer) {
            self.record.ended(peer)
        } else {
            self.record.left(peer)
        }
        self.ranking_is_stale = true;
        self.newcomers.retain(|&newcomer| newcomer != peer);
        if self.origin == Some(peer) {
            self.origin = None;
        }
        Some(member)
    }

    /// Hints for `to`, whose place in the ranking is `own`.
    pub(super) fn tell(&mut self, to: PeerId, own: Option<usize>, rng: &mut Rng) {
        let mut peers: Vec<PeerHint> = Vec::with_capacity(HINTS);
        for place in hints::choose(self.ranking.len(), own, rng) {
            let Some(member) = self.members.get(&self.ranking[place]) else { continue };
            if !self.named(member) {
                continue;
            }
            // One that left and came again within a tick has two places.
            let hint = &member.hint;
            if hint.peer != to && peers.iter().all(|told| told.peer != hint.peer) {
                peers.push(hint.clone());
            }
        }
        peers.sort_by_key(hints::preference);
        if let Some(member) = self.members.get_mut(&to).filter(|_| !peers.is_empty()) {
            peers.iter().for_each(|hint| member.edges.name(hint.peer));
            member.outbox.send(&ServerMessage::Peers { peers });
        }
    }

    pub(super) fn rank(&mut self) {
        if !self.ranking_is_stale {
            return;
        }
        self.ranking_is_stale = false;
        let mut hints: Vec<&PeerHint> = self.members.values().map(|member| &member.hint).collect();
        hints.sort_by_cached_key(|hint| hints::preference(hint));
        self.ranking = hints.into_iter().map(|hint| hint.peer).collect();
    }

    /// Tells those here of those that came since the last tick. The ranking is fresh.
    pub(super) fn announce(&mut self, rng: &mut Rng) {
        let mut newcomers = core::mem::take(&mut self.newcomers);
        newcomers.retain(|peer| self.members.get(peer).is_some_and(|member| self.named(member)));
        if newcomers.is_empty() {
            return;
        }
        let mut told = self.ranking.clone();
        if told.len() > TOLD_MAX {
            rng.shuffle(&mut told);
            told.truncate(TOLD_MAX);
        }
        let news = |to: Option<PeerId>| {
            let others = newcomers.iter().filter(|&&peer| Some(peer) != to);
            let hints = others.filter_map(|peer| self.members.get(peer));
            let mut peers: Vec<PeerHint> = hints.map(|member| member.hint.clone()).collect();
            peers.sort_by_key(hints::preference);
            ServerMessage::Peers { peers }
        };
        let to_most = Utf8Bytes::from(news(None).to_json());
        for &peer in &told {
            let Some(member) = self.members.get(&peer) else { continue };
            if !newcomers.contains(&peer) {
                member.outbox.send_text(to_most.clone());
            } else if newcomers.len() > 1 {
                member.outbox.send(&news(Some(peer)));
            }
        }
        for peer in told {
            let Some(member) = self.members.get_mut(&peer) else { continue };
            newcomers.iter().for_each(|newcomer| member.edges.name(*newcomer));
        }
    }

    /// Fresh hints for those whose time has come. The ranking is fresh.
    pub(super) fn refresh(&mut self, now: Instant, interval: Duration, rng: &mut Rng) {
        let next = now + refresh_after(interval, self.members.len());
        for place in 0..self.ranking.len() {
            let peer = self.ranking[place];
            let Some(member) = self.members.get_mut(&peer) else { continue };
            if member.refresh_at <= now {
                member.refresh_at = next;
                self.tell(peer, Some(place), rng);
            }
        }
    }
}

/// How long until a member of a room of `size` peers is told anew.
pub(crate) fn refresh_after(interval: Duration, size: usize) -> Duration {
    let size = u32::try_from(size).unwrap_or(u32::MAX);
    interval.max(Duration::from_secs(1) * size / REFRESHES_PER_SECOND as u32)
}
