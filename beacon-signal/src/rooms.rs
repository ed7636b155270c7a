//! Who is where: the whole state of a server, one plain structure behind one lock.

mod mesh;
mod record;

pub(crate) use mesh::Mesh;

use crate::config::Config;
use crate::outbox::{Closing, Outbox};
use axum::extract::ws::Utf8Bytes;
use beacon_sdk::plugin::{Detail, Join, PeerHint, Report};
use beacon_sdk::signaling::hints::{self, HINTS};
use beacon_sdk::signaling::{
    ErrorCode, HINTS_MAX, ServerMessage, SignalData, THUMBNAIL_INTERVAL, VERSION,
};
use beacon_sdk::{About, BroadcastId, Listing, PeerId, Rng, Thumbnail};
use core::time::Duration;
use record::Record;
use serde::Serialize;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hasher as _};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Rooms up to this size are told of every comer and leaver at once; of larger ones this many
/// peers are told of comers, and leavers just stop being told of.
const TOLD_MAX: usize = 64;
/// Details of a peer that come faster are passed over.
const DETAIL_INTERVAL: Duration = Duration::from_secs(1);
/// Peers of a room that are told anew in a second at most.
const REFRESHES_PER_SECOND: usize = 200;

/// A broadcast whose origin is here, as `GET /api/streams` lists it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[non_exhaustive]
pub struct Stream {
    /// Its name.
    pub name: String,
    /// The publisher's key.
    pub publisher: PeerId,
    /// The run of the broadcast.
    pub epoch: u64,
    /// Peers besides the origin.
    pub viewers: usize,
    /// When the origin came, in seconds since the Unix epoch.
    pub since: u64,
    /// Seconds since then by the server's clock.
    pub age: u64,
    /// Version of the signaling protocol that the origin speaks.
    pub version: u16,
    /// Title, category and tags, as far as the origin gave any.
    #[serde(flatten)]
    pub about: About,
    /// Where the thumbnail is, if there is one: another address for another picture.
    pub thumbnail: Option<String>,
}

/// A connection's place in a room. Worth nothing once a newer connection has taken it.
#[derive(Debug)]
pub(crate) struct Seat {
    name: String,
    peer: PeerId,
    connection: u64,
}

/// All rooms.
#[derive(Debug)]
pub(crate) struct Rooms {
    rooms: BTreeMap<String, Room>,
    rooms_max: usize,
    peers_max: usize,
    refresh: Duration,
    heartbeat_ms: u32,
    /// Whether it is kept what peers tell of their links and counters.
    keeps_details: bool,
    rng: Rng,
}

/// The peers that joined with one name.
#[derive(Debug)]
struct Room {
    broadcast: Option<BroadcastId>,
    /// The peer that publishes, while it is here.
    origin: Option<PeerId>,
    since: SystemTime,
    listing: Listing,
    /// When the origin gave the thumbnail.
    thumbnail_at: Option<Instant>,
    record: Record,
    members: BTreeMap<PeerId, Member>,
    /// Members in order of preference as of the last tick, later ones appended. May name some
    /// that have left.
    ranking: Vec<PeerId>,
    ranking_is_stale: bool,
    /// Came since the last tick, at most [`HINTS_MAX`].
    newcomers: Vec<PeerId>,
}

#[derive(Debug)]
struct Member {
    connection: u64,
    outbox: Outbox,
    hint: PeerHint,
    refresh_at: Instant,
    since: Instant,
    told: Option<Told>,
}

/// What a peer told of its links and counters last.
#[derive(Debug)]
struct Told {
    at: Instant,
    detail: Box<Detail>,
}

impl Rooms {
    pub(crate) fn new(config: &Config, rng: Rng) -> Self {
        Self {
            rooms: BTreeMap::new(),
            rooms_max: config.rooms_max,
            peers_max: config.peers_max,
            refresh: config.refresh,
            heartbeat_ms: u32::try_from(config.heartbeat().as_millis()).unwrap_or(u32::MAX),
            keeps_details: config.mesh,
            rng,
        }
    }

    /// Lets a peer in and tells it so, or says why not.
    pub(crate) fn join(
        &mut self,
        now: Instant,
        join: Join,
        connection: u64,
        outbox: Outbox,
    ) -> Result<Seat, Closing> {
        match self.rooms.get(&join.name) {
            Some(room) => room.admit(&join, self.peers_max)?,
            None if self.rooms.len() >= self.rooms_max => {
                return Err((ErrorCode::Full, "no room for another broadcast: try later".into()));
            }
            None => {}
        }
        let room = self.rooms.entry(join.name.clone()).or_insert_with(|| Room::new(now));
        if join.publish {
            room.publish(join.peer, join.broadcast, self.heartbeat_ms);
        } else if room.origin == Some(join.peer) {
            room.origin = None;
        }
        let hint = hints::newcomer(join.peer, join.publish);
        let refresh_at = now + self.refresh;
        outbox.send(&room.joined(self.heartbeat_ms));
        let member = Member { connection, outbox, hint, refresh_at, since: now, told: None };
        room.enter(join.peer, member);
        let own = room.ranking.iter().rposition(|&peer| peer == join.peer);
        room.tell(join.peer, own, &mut self.rng);
        Ok(Seat { name: join.name, peer: join.peer, connection })
    }

    /// Takes a peer out, unless a newer connection has its place.
    pub(crate) fn leave(&mut self, seat: &Seat) {
        if self.member(seat).is_none() {
            return;
        }
        if let Some(room) = self.rooms.get_mut(&seat.name) {
            room.remove(seat.peer);
            if room.members.is_empty() {
                self.rooms.remove(&seat.name);
            }
        }
    }

    /// Carries a signal; whether there was someone to carry it to.
    pub(crate) fn signal(&mut self, seat: &Seat, to: PeerId, data: SignalData) -> bool {
        if self.member(seat).is_none() {
            return false;
        }
        let target = self.rooms.get(&seat.name).and_then(|room| room.members.get(&to));
        if let Some(target) = target {
            target.outbox.send(&ServerMessage::Signal { from: seat.peer, data });
        }
        target.is_some()
    }

    /// Takes note of what a peer says of itself.
    pub(crate) fn report(&mut self, now: Instant, seat: &Seat, report: Report) {
        if self.member(seat).is_none() {
            return;
        }
        let Some(room) = self.rooms.get_mut(&seat.name) else { return };
        let origin = room.origin == Some(seat.peer);
        if let Some(member) = room.members.get_mut(&seat.peer) {
            member.hint = hints::reported(seat.peer, origin, &report);
            room.ranking_is_stale = true;
            let early = |told: &Told| now.saturating_duration_since(told.at) < DETAIL_INTERVAL;
            let detail = report.detail.filter(|_| self.keeps_details);
            if let Some(detail) = detail.filter(|_| !member.told.as_ref().is_some_and(early)) {
                let before = member.told.as_ref().map(|told| &*told.detail);
                room.record.told(seat.peer, before, &detail);
                member.told = Some(Told { at: now, detail });
            }
        }
    }

    /// Takes note of what the origin says of the broadcast.
    pub(crate) fn describe(&mut self, seat: &Seat, about: About) -> Result<(), Closing> {
        self.of_origin(seat)?.listing.about = about;
        Ok(())
    }

    /// Takes the origin's picture in place of the last, unless that is too new.
    pub(crate) fn picture(
        &mut self,
        now: Instant,
        seat: &Seat,
        picture: Option<Thumbnail>,
    ) -> Result<(), Closing> {
        let room = self.of_origin(seat)?;
        let new = |at: Instant| now.saturating_duration_since(at) < THUMBNAIL_INTERVAL;
        if room.thumbnail_at.is_some_and(new) {
            let seconds = THUMBNAIL_INTERVAL.as_secs();
            let cause = format!("a thumbnail is replaced every {seconds} s at most: send it later");
            return Err((ErrorCode::Rate, cause));
        }
        room.thumbnail_at = Some(now);
        room.listing.thumbnail = picture;
        Ok(())
    }

    /// The room of a seat, if that is the origin's.
    fn of_origin(&mut self, seat: &Seat) -> Result<&mut Room, Closing> {
        let here = self.member(seat).is_some();
        let room = self.rooms.get_mut(&seat.name).filter(|_| here);
        room.filter(|room| room.origin == Some(seat.peer)).ok_or_else(|| {
            let cause = "only its origin says what a broadcast is: join with publish";
            (ErrorCode::BadListing, cause.into())
        })
    }

    /// The picture of a broadcast whose origin is here.
    pub(crate) fn thumbnail(&self, name: &str) -> Option<Thumbnail> {
        let room = self.rooms.get(name)?;
        room.origin.and(room.listing.thumbnail.clone())
    }

    /// What is due: order, news of comers, and fresh hints. To be called a few times a second.
    pub(crate) fn tick(&mut self, now: Instant) {
        for room in self.rooms.values_mut() {
            room.rank();
            room.announce(&mut self.rng);
            room.refresh(now, self.refresh, &mut self.rng);
            room.sample(now);
        }
    }

    /// The broadcasts whose origin is here, by name.
    pub(crate) fn streams(&self) -> Vec<Stream> {
        let now = SystemTime::now();
        let stream = |(name, room): (&String, &Room)| {
            let broadcast = room.origin.and(room.broadcast)?;
            Some(Stream {
                name: name.clone(),
                publisher: broadcast.publisher,
                epoch: broadcast.epoch,
                viewers: room.viewers(),
                since: room.since.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
                age: now.duration_since(room.since).unwrap_or_default().as_secs(),
                version: VERSION,
                about: room.listing.about.clone(),
                thumbnail: room.listing.thumbnail.as_ref().map(|picture| address(name, picture)),
            })
        };
        self.rooms.iter().filter_map(stream).collect()
    }

    /// Rooms, and peers in them.
    pub(crate) fn census(&self) -> (usize, usize) {
        (self.rooms.len(), self.rooms.values().map(|room| room.members.len()).sum())
    }

    fn member(&self, seat: &Seat) -> Option<&Member> {
        let member = self.rooms.get(&seat.name)?.members.get(&seat.peer)?;
        (member.connection == seat.connection).then_some(member)
    }
}

/// Where a thumbnail is, with a part that changes with the picture.
fn address(name: &str, picture: &Thumbnail) -> String {
    let mut hasher = DefaultHasher::new();
    hasher.write(picture.bytes());
    let mut path = String::from("/api/streams/");
    for byte in name.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                path.push(byte.into())
            }
            _ => path.push_str(&format!("%{byte:02X}")),
        }
    }
    path.push_str(&format!("/thumbnail?v={:016x}", hasher.finish()));
    path
}

impl Room {
    fn new(now: Instant) -> Self {
        Self {
            broadcast: None,
            origin: None,
            since: SystemTime::now(),
            listing: Listing::default(),
            thumbnail_at: None,
            record: Record::new(now),
            members: BTreeMap::new(),
            ranking: Vec::new(),
            ranking_is_stale: false,
            newcomers: Vec::new(),
        }
    }

    /// Peers besides the origin.
    fn viewers(&self) -> usize {
        self.members.len().saturating_sub(usize::from(self.origin.is_some()))
    }

    /// Keeps how the room does now, if it is time.
    fn sample(&mut self, now: Instant) {
        fn told(member: &Member) -> Option<&Detail> {
            member.told.as_ref().map(|told| &*told.detail)
        }
        let (origin, count) = (self.origin, self.viewers());
        let of_origin = origin.and_then(|origin| self.members.get(&origin)).and_then(told);
        let viewers = self.members.iter().filter(|(peer, _)| Some(**peer) != origin);
        let telling = viewers.filter_map(|(_, member)| told(member));
        self.record.sample(now, count, of_origin, telling);
    }

    fn joined(&self, heartbeat_ms: u32) -> ServerMessage {
        ServerMessage::Joined { version: VERSION, broadcast: self.broadcast, heartbeat_ms }
    }

    fn admit(&self, join: &Join, peers_max: usize) -> Result<(), Closing> {
        if self.members.len() >= peers_max && !self.members.contains_key(&join.peer) {
            return Err((ErrorCode::Full, "no room for another peer: try later".into()));
        }
        let (Some(origin), Some(now), Some(new)) = (self.origin, self.broadcast, join.broadcast)
        else {
            return Ok(());
        };
        if !join.publish {
            return Ok(());
        }
        let name = &join.name;
        // An origin is the publisher: its key is proven by now.
        if origin != join.peer {
            let cause = format!("{name:?} is being published by another: choose another name");
            return Err((ErrorCode::NameTaken, cause));
        }
        if new.epoch < now.epoch {
            let cause = format!("a later run of {name:?} is here: start again with a later epoch");
            return Err((ErrorCode::StaleEpoch, cause));
        }
        Ok(())
    }

    /// Makes `peer` the origin, and tells all if the broadcast changed.
    fn publish(&mut self, peer: PeerId, broadcast: Option<BroadcastId>, heartbeat_ms: u32) {
        if self.origin.is_none() || self.broadcast != broadcast {
            self.since = SystemTime::now();
            self.record.live(peer);
        }
        // An origin that comes back says again what it said before.
        self.listing = Listing::default();
        self.thumbnail_at = None;
        self.origin = Some(peer);
        if self.broadcast != broadcast {
            self.broadcast = broadcast;
            let text = Utf8Bytes::from(self.joined(heartbeat_ms).to_json());
            for (_, member) in self.members.iter().filter(|(other, _)| **other != peer) {
                member.outbox.send_text(text.clone());
            }
        }
    }

    fn enter(&mut self, peer: PeerId, member: Member) {
        let older = self.members.insert(peer, member);
        if self.origin != Some(peer) {
            self.record.came(peer, older.is_some());
        }
        if let Some(older) = older {
            let cause = "a newer connection of the same peer has taken its place";
            older.outbox.close(ErrorCode::Replaced, cause);
        } else {
            self.ranking.push(peer);
        }
        self.ranking_is_stale = true;
        if self.newcomers.len() < HINTS_MAX && !self.newcomers.contains(&peer) {
            self.newcomers.push(peer);
        }
    }

    fn remove(&mut self, peer: PeerId) -> Option<Member> {
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
        if self.members.len() <= TOLD_MAX {
            let text = Utf8Bytes::from(ServerMessage::Gone { peer }.to_json());
            for other in self.members.values() {
                other.outbox.send_text(text.clone());
            }
        }
        Some(member)
    }

    /// Hints for `to`, whose place in the ranking is `own`.
    fn tell(&self, to: PeerId, own: Option<usize>, rng: &mut Rng) {
        let mut peers: Vec<PeerHint> = Vec::with_capacity(HINTS);
        for place in hints::choose(self.ranking.len(), own, rng) {
            let Some(member) = self.members.get(&self.ranking[place]) else { continue };
            // One that left and came again within a tick has two places.
            let hint = &member.hint;
            if hint.peer != to && peers.iter().all(|told| told.peer != hint.peer) {
                peers.push(hint.clone());
            }
        }
        peers.sort_by_key(hints::preference);
        if let Some(member) = self.members.get(&to).filter(|_| !peers.is_empty()) {
            member.outbox.send(&ServerMessage::Peers { peers });
        }
    }

    fn rank(&mut self) {
        if !self.ranking_is_stale {
            return;
        }
        self.ranking_is_stale = false;
        let mut hints: Vec<&PeerHint> = self.members.values().map(|member| &member.hint).collect();
        hints.sort_by_cached_key(|hint| hints::preference(hint));
        self.ranking = hints.into_iter().map(|hint| hint.peer).collect();
    }

    /// Tells those here of those that came since the last tick. The ranking is fresh.
    fn announce(&mut self, rng: &mut Rng) {
        let newcomers = core::mem::take(&mut self.newcomers);
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
        for peer in told {
            let Some(member) = self.members.get(&peer) else { continue };
            if !newcomers.contains(&peer) {
                member.outbox.send_text(to_most.clone());
            } else if newcomers.len() > 1 {
                member.outbox.send(&news(Some(peer)));
            }
        }
    }

    /// Fresh hints for those whose time has come. The ranking is fresh.
    fn refresh(&mut self, now: Instant, interval: Duration, rng: &mut Rng) {
        let fair = Duration::from_secs(1) * u32::try_from(self.members.len()).unwrap_or(u32::MAX)
            / REFRESHES_PER_SECOND as u32;
        let next = now + interval.max(fair);
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
