//! A broadcast's mesh as the public sees it: put together from what peers say of themselves.

use super::Rooms;
use super::record::{Event, SAMPLE_INTERVAL, Sample, Totals, rate, unix};
use super::room::{Member, Room};
use crate::order::ShortId;
use beacon_sdk::plugin::LinkDetail;
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
    title: String,
    version: u16,
    /// The origin; none while it is away.
    origin: Option<ShortId>,
    since: u64,
    age: u64,
    viewers: usize,
    /// Peers of which only the number is told.
    more: usize,
    sample_s: u64,
    totals: Totals,
    peers: Vec<Peer>,
    history: Vec<Sample>,
    events: Vec<Event>,
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
        let peer = |id: &PeerId| Some(self.peer(now, *id, self.members.get(id)?));
        let peers: Vec<Peer> = shown.iter().filter_map(peer).collect();
        Mesh {
            name: name.to_owned(),
            title: self.listing.about.title().to_owned(),
            version: VERSION,
            origin: self.origin.map(ShortId::from),
            since: unix(self.since),
            age: SystemTime::now().duration_since(self.since).unwrap_or_default().as_secs(),
            viewers: self.viewers(),
            more: self.members.len().saturating_sub(peers.len()),
            sample_s: SAMPLE_INTERVAL.as_secs(),
            totals: self.record.totals(),
            peers,
            history: self.record.samples(),
            events: self.record.events(),
        }
    }

    fn peer(&self, now: Instant, id: PeerId, member: &Member) -> Peer {
        let told = member.told.as_ref();
        let detail = told.map(|told| (*told.detail).clone()).unwrap_or_default();
        let origin = self.origin == Some(id);
        // Only those that are here: a lie cannot add peers to the picture.
        let parent = |link: &LinkDetail| {
            let here =
                link.parent_of > 0 && link.peer != id && self.members.contains_key(&link.peer);
            here.then(|| Parent {
                id: link.peer.into(),
                stripes: link.parent_of,
                rtt_ms: link.rtt_ms,
                bps: rate(link.down_bps),
            })
        };
        let here = |link: &&LinkDetail| link.child_of > 0 && self.members.contains_key(&link.peer);
        Peer {
            id: id.into(),
            role: member.hint.role,
            hop: (origin || told.is_some())
                .then_some(member.hint.depth)
                .filter(|&hop| hop < u8::MAX),
            age: now.saturating_duration_since(member.since).as_secs(),
            told: told.map(|told| now.saturating_duration_since(told.at).as_secs()),
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
            children: detail.links.iter().filter(here).count(),
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
