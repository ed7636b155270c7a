//! Who is where: the whole state of a server, one plain structure behind one lock.

mod edges;
mod mesh;
mod record;
mod refused;
mod room;

pub(crate) use edges::{Edges, ends_soon};
pub(crate) use mesh::{Mesh, Seen};
pub(crate) use record::{Event, SAMPLE_INTERVAL, Sample, Totals, What, steps};
pub(crate) use refused::{REPLACED, Refused};
pub(crate) use room::{ENDED, Greeting, SENT_AWAY, Told, refresh_after};

use crate::books::now_ms;
use crate::config::Config;
use crate::order::SignedOrder;
use crate::outbox::{Closing, Outbox};
use beacon_ledger::Edge;
use beacon_sdk::plugin::{Join, Report};
use beacon_sdk::signaling::hints;
use beacon_sdk::signaling::{ErrorCode, ServerMessage, SignalData, THUMBNAIL_INTERVAL, VERSION};
use beacon_sdk::{About, Identity, PeerId, Rng, Thumbnail};
use core::time::Duration;
use room::{Member, Room};
use serde::Serialize;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hasher as _};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Details of a peer that come faster are passed over.
pub(crate) const DETAIL_INTERVAL: Duration = Duration::from_secs(1);

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
    pub(crate) name: String,
    pub(crate) peer: PeerId,
    pub(crate) connection: u64,
}

impl Seat {
    /// Who has it.
    pub(crate) fn peer(&self) -> PeerId {
        self.peer
    }
}

/// Why an order is not done.
#[derive(Copy, Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum Disobeyed {
    #[error("there is no such broadcast here")]
    Nowhere,
    #[error(
        "the order is not signed by the publisher for this run of the broadcast: sign it with the broadcaster's key"
    )]
    NotOwner,
    #[error("an order of the same time or a later one has come: give it again")]
    Stale,
    #[error("1024 peers are banned or muted, the most there can be: pardon or unmute some")]
    Full,
    #[error(transparent)]
    Away(#[from] Away),
}

/// The rooms are shared with other nodes, and what they share them through does not answer.
#[derive(Copy, Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the rooms are out of reach, Redis does not answer: try again in a few seconds")]
pub(crate) struct Away;

/// All rooms, in memory.
#[derive(Debug)]
pub(crate) struct Rooms {
    rooms: BTreeMap<String, Room>,
    rooms_max: usize,
    peers_max: usize,
    refresh: Duration,
    greeting: Greeting,
    /// Signs edges, if there is a ledger.
    issuer: Option<Identity>,
    /// Whether it is kept what peers tell of their links and counters.
    keeps_details: bool,
    rng: Rng,
}

impl Rooms {
    pub(crate) fn new(config: &Config, issuer: Option<Identity>, rng: Rng) -> Self {
        Self {
            rooms: BTreeMap::new(),
            rooms_max: config.rooms_max,
            peers_max: config.peers_max,
            refresh: config.refresh,
            greeting: Greeting::of(config, issuer.as_ref()),
            issuer,
            keeps_details: config.mesh,
            rng,
        }
    }

    /// Lets a peer in and tells it so, or says why not.
    pub(crate) fn join(
        &mut self,
        now: Instant,
        join: Join,
        (connection, session): (u64, u64),
        outbox: Outbox,
    ) -> Result<Seat, Closing> {
        match self.rooms.get(&join.name) {
            Some(room) => {
                room.admit(&join, self.peers_max).map_err(|refused| refused.closing(&join.name))?
            }
            None if self.rooms.len() >= self.rooms_max => {
                return Err(Refused::RoomsFull.closing(&join.name));
            }
            None => {}
        }
        let room = self.rooms.entry(join.name.clone()).or_insert_with(|| Room::new(now));
        if join.publish {
            room.publish(join.peer, join.broadcast, self.greeting);
        } else if room.origin == Some(join.peer) {
            room.origin = None;
        }
        let muted = !join.publish && room.muted.contains(&join.peer.into());
        let hint =
            if muted { hints::muted(join.peer) } else { hints::newcomer(join.peer, join.publish) };
        let refresh_at = now + self.refresh;
        outbox.send(&self.greeting.joined(room.broadcast));
        let edges = Edges::default();
        let member =
            Member { connection, session, outbox, edges, hint, refresh_at, since: now, told: None };
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
        let Some(room) = self.rooms.get_mut(&seat.name) else { return false };
        let Some(target) = room.members.get(&to) else { return false };
        target.outbox.send(&ServerMessage::Signal { from: seat.peer, data });
        if let Some(issuer) = &self.issuer {
            room.pair(issuer, now_ms(), seat.peer, to);
        }
        true
    }

    /// Follows an edge of this server that ends soon by another; whoever holds `seat` carried over it.
    pub(crate) fn renew(&mut self, seat: &Seat, edge: &Edge) {
        let here = self.member(seat).is_some();
        let (Some(issuer), Some(room)) = (&self.issuer, self.rooms.get_mut(&seat.name)) else {
            return;
        };
        if here && room.broadcast == Some(edge.broadcast) {
            room.issue(issuer, now_ms(), edge.downloader, edge.uploader);
        }
    }

    /// Takes note of what a peer says of itself.
    pub(crate) fn report(&mut self, now: Instant, seat: &Seat, report: Report) {
        if self.member(seat).is_none() {
            return;
        }
        let Some(room) = self.rooms.get_mut(&seat.name) else { return };
        let origin = room.origin == Some(seat.peer);
        if !origin && room.muted.contains(&seat.peer.into()) {
            return;
        }
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
            return Err(too_soon());
        }
        room.thumbnail_at = Some(now);
        room.listing.thumbnail = picture;
        Ok(())
    }

    /// The room of a seat, if that is the origin's.
    fn of_origin(&mut self, seat: &Seat) -> Result<&mut Room, Closing> {
        let here = self.member(seat).is_some();
        let room = self.rooms.get_mut(&seat.name).filter(|_| here);
        room.filter(|room| room.origin == Some(seat.peer)).ok_or_else(not_origin)
    }

    /// Does what the owner of the broadcast `name` orders.
    pub(crate) fn order(&mut self, name: &str, signed: &SignedOrder) -> Result<(), Disobeyed> {
        let room = self.rooms.get_mut(name).filter(|room| room.origin.is_some());
        let (room, owner) = room
            .and_then(|room| room.broadcast.map(|owner| (room, owner)))
            .ok_or(Disobeyed::Nowhere)?;
        if !signed.verify(&owner, name) {
            return Err(Disobeyed::NotOwner);
        }
        room.obey(&signed.order)?;
        if room.members.is_empty() {
            self.rooms.remove(name);
        }
        Ok(())
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

/// A thumbnail came too soon after the last.
pub(crate) fn too_soon() -> Closing {
    let seconds = THUMBNAIL_INTERVAL.as_secs();
    let cause = format!("a thumbnail is replaced every {seconds} s at most: send it later");
    (ErrorCode::Rate, cause)
}

/// Somebody else describes a broadcast.
pub(crate) fn not_origin() -> Closing {
    let cause = "only its origin says what a broadcast is: join with publish";
    (ErrorCode::BadListing, cause.into())
}

/// Where a thumbnail is, with a part that changes with the picture.
pub(crate) fn address(name: &str, picture: &Thumbnail) -> String {
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
