//! A broadcast's mesh as the public sees it: put together from what peers say of themselves.

use super::Rooms;
use super::record::{Event, SAMPLE_INTERVAL, Sample, Totals, rate, unix};
use super::room::{Member, Room};
use crate::order::ShortId;
use beacon_sdk::plugin::{Detail, LinkDetail, PeerHint};
use beacon_sdk::signaling::VERSION;
use beacon_sdk::{PeerId, Percentiles, Role};
use serde::Serialize;
use std::time::{Instant, SystemTime};

/// Peers that are shown one by one; the others are counted.
const PEERS_SHOWN_MAX: usize = 300;

/// `GET /api/streams/NAME/mesh`.
#[derive(Debug, Serialize)]
pub(crate) struct Mesh {
    name: String,
    pub(crate) title: String,
    version: u16,
    /// The origin; none while it is away.
    origin: Option<ShortId>,
    pub(crate) since: u64,
    age: u64,
    pub(crate) viewers: usize,
    /// Peers of which only the number is told.
    more: usize,
    sample_s: u64,
    pub(crate) totals: Totals,
    peers: Vec<Peer>,
    pub(crate) history: Vec<Sample>,
    pub(crate) events: Vec<Event>,
}

/// One peer, by its own account.
#[derive(Debug, Serialize)]
struct Peer {
    id: ShortId,
    role: Role,
    /// Hops from the origin; none before it has a parent.
    hop: Option<u8>,
    /// Seconds since it joined.
    age: u64,
    /// Seconds since it told how it does; none when it does not. Then all below is empty.
    told: Option<u64>,
    origin_bps: u64,
    peers_bps: u64,
    up_bps: u64,
    expected: u64,
    missed: u64,
    stalls: u64,
    moves: u64,
    startup_ms: u64,
    latency_ms: Percentiles,
    /// Peers that it says it pushes to.
    children: usize,
    parents: Vec<Parent>,
}

/// Who pushes to a peer, by that peer's account.
#[derive(Debug, Serialize)]
struct Parent {
    id: ShortId,
    stripes: u8,
    rtt_ms: u32,
    bps: u64,
}

impl Rooms {
    /// The mesh of a broadcast, if one of that name is or was here.
    pub(crate) fn mesh(&self, now: Instant, name: &str) -> Option<Mesh> {
        let room = self.rooms.get(name).filter(|room| room.broadcast.is_some())?;
        Some(room.mesh(now, name))
    }
}

impl Room {
    fn mesh(&self, now: Instant, name: &str) -> Mesh {
        // The origin first, then in order of preference: who matters most to the others.
        let others = self.ranking.iter().filter(|&&peer| Some(peer) != self.origin);
        let mut shown: Vec<PeerId> = self.origin.iter().chain(others).copied().collect();
        // One that left and came again within a tick has two places.
        let mut seen = std::collections::BTreeSet::new();
        shown.retain(|peer| self.members.contains_key(peer) && seen.insert(*peer));
        shown.truncate(PEERS_SHOWN_MAX);
        let passed = |since: Instant| now.saturating_duration_since(since).as_secs();
        let seen = |id: &PeerId| {
            let Member { hint, since, told, .. } = self.members.get(id)?;
            let told = told.as_ref().map(|told| (passed(told.at), (*told.detail).clone()));
            Some(Seen { hint: hint.clone(), age: passed(*since), told })
        };
        let seen = shown.iter().filter_map(seen).collect();
        Mesh {
            title: self.listing.about.title().to_owned(),
            since: unix(self.since),
            viewers: self.viewers(),
            totals: self.record.totals(),
            history: self.record.samples(),
            events: self.record.events(),
            ..Mesh::of(name, self.origin, seen, |id| self.members.contains_key(id))
        }
        .aged(self.members.len())
    }
}

/// What is known of one peer.
pub(crate) struct Seen {
    pub(crate) hint: PeerHint,
    /// Seconds since it joined.
    pub(crate) age: u64,
    /// What it told last, and seconds since.
    pub(crate) told: Option<(u64, Detail)>,
}

impl Mesh {
    /// The peers of a mesh; `here` says of any id whether it is in the room. All else is empty.
    pub(crate) fn of(
        name: &str,
        origin: Option<PeerId>,
        seen: Vec<Seen>,
        here: impl Fn(&PeerId) -> bool,
    ) -> Self {
        let peers = seen.into_iter().map(|seen| Peer::of(seen, origin, &here)).collect();
        Self {
            name: name.to_owned(),
            title: String::new(),
            version: VERSION,
            origin: origin.map(ShortId::from),
            since: 0,
            age: 0,
            viewers: 0,
            more: 0,
            sample_s: SAMPLE_INTERVAL.as_secs(),
            totals: Totals::default(),
            peers,
            history: Vec::new(),
            events: Vec::new(),
        }
    }

    /// With the age of the broadcast by this server's clock, and the number of those in the room that are not shown.
    pub(crate) fn aged(mut self, members: usize) -> Self {
        self.age = unix(SystemTime::now()).saturating_sub(self.since);
        self.more = members.saturating_sub(self.peers.len());
        self
    }
}

impl Peer {
    fn of(seen: Seen, origin: Option<PeerId>, here: &impl Fn(&PeerId) -> bool) -> Self {
        let Seen { hint, age, told } = seen;
        let id = hint.peer;
        let origin = origin == Some(id);
        let hop = (origin || told.is_some()).then_some(hint.depth).filter(|&hop| hop < u8::MAX);
        let (told, detail) = told.unzip();
        let detail = detail.unwrap_or_default();
        // Only those that are here: a lie cannot add peers to the picture.
        let parent = |link: &LinkDetail| {
            let here = link.parent_of > 0 && link.peer != id && here(&link.peer);
            here.then(|| Parent {
                id: link.peer.into(),
                stripes: link.parent_of,
                rtt_ms: link.rtt_ms,
                bps: rate(link.down_bps),
            })
        };
        let child = |link: &&LinkDetail| link.child_of > 0 && here(&link.peer);
        Self {
            id: id.into(),
            role: hint.role,
            hop,
            age,
            told,
            origin_bps: rate(detail.origin_bps),
            peers_bps: rate(detail.peers_bps),
            up_bps: rate(detail.up_bps),
            expected: exact(detail.expected),
            missed: exact(detail.missed),
            stalls: exact(detail.stalls),
            moves: exact(detail.moves),
            startup_ms: exact(detail.startup_ms),
            latency_ms: Percentiles {
                p50: exact(detail.latency_ms.p50),
                p95: exact(detail.latency_ms.p95),
                p99: exact(detail.latency_ms.p99),
            },
            children: detail.links.iter().filter(child).count(),
            parents: if origin {
                Vec::new()
            } else {
                detail.links.iter().filter_map(parent).collect()
            },
        }
    }
}

/// As JavaScript can hold it.
fn exact(count: u64) -> u64 {
    count.min(1 << 53)
}
