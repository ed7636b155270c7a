//! Rooms as lists and dashboards show them, whichever node is asked.

use super::{Cluster, call};
use crate::rooms::{Away, Event, Mesh, Sample, Seen, Stream, Totals};
use beacon_sdk::plugin::{Detail, PeerHint};
use beacon_sdk::signaling::VERSION;
use beacon_sdk::{About, BroadcastId, PeerId, Thumbnail};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeSet;
use std::time::{SystemTime, UNIX_EPOCH};

/// What a peer told, and when by its node's clock.
#[derive(Deserialize)]
struct Told {
    /// Unix milliseconds.
    at: u64,
    detail: Detail,
}

/// Name, broadcast, viewers, since, about, and the thumbnail's path of a room.
type Listed = (String, String, usize, u64, String, String);

/// Facts of a room, its size, peers with since, hint and what they told, events, samples, and the time by Redis.
type Found =
    (Vec<String>, usize, Vec<(String, u64, String, String)>, Vec<String>, Vec<String>, u64);

impl Cluster {
    pub(crate) async fn streams(&self) -> Result<Vec<Stream>, Away> {
        let found: Vec<Listed> = self.ask(&call("streams")).await?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let stream = |(name, broadcast, viewers, since, about, path): Listed| {
            let BroadcastId { publisher, epoch } = read(&broadcast)?;
            let about: About = read(&about).unwrap_or_default();
            let age = now.saturating_sub(since);
            let thumbnail = Some(path).filter(|path| !path.is_empty());
            let version = VERSION;
            Some(Stream { name, publisher, epoch, viewers, since, age, version, about, thumbnail })
        };
        let mut streams: Vec<Stream> = found.into_iter().filter_map(stream).collect();
        streams.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(streams)
    }

    pub(crate) async fn thumbnail(&self, name: &str) -> Result<Option<Thumbnail>, Away> {
        let mut room = redis::cmd("HMGET");
        room.arg(format!("beacon:room:{name}")).arg("origin").arg("thumbnail");
        let (origin, picture): (Option<String>, Option<Vec<u8>>) = self.ask(&room).await?;
        Ok(origin.and(picture).and_then(|bytes| Thumbnail::new(bytes.into()).ok()))
    }

    pub(crate) async fn mesh(&self, name: &str) -> Result<Option<Mesh>, Away> {
        let mut ask = call("mesh");
        let found: Found = self.ask(ask.arg(name)).await?;
        Ok(mesh(name, found))
    }
}

fn read<T: DeserializeOwned>(json: &str) -> Option<T> {
    serde_json::from_str(json).ok()
}

/// Puts a mesh together; `None` without a broadcast.
fn mesh(name: &str, (facts, size, peers, events, samples, now): Found) -> Option<Mesh> {
    let fact = |place: usize| facts.get(place).map_or("", String::as_str);
    let count = |place: usize| fact(place).parse().unwrap_or(0);
    if fact(0).is_empty() {
        return None;
    }
    let origin: Option<PeerId> = fact(1).parse().ok();
    let seen = |(_, since, hint, told): &(String, u64, String, String)| {
        let hint: PeerHint = read(hint)?;
        let passed = |at: u64| now.saturating_sub(at) / 1000;
        let told: Option<Told> = read(told);
        let told = told.map(|told| (passed(told.at), told.detail));
        Some(Seen { hint, age: passed(*since), told })
    };
    let seen: Vec<Seen> = peers.iter().filter_map(seen).collect();
    // Of a room that is shown in part, links lead to those that are shown.
    let shown: BTreeSet<PeerId> = seen.iter().map(|seen| seen.hint.peer).collect();
    let about: About = read(fact(3)).unwrap_or_default();
    let mut events: Vec<Event> = events.iter().filter_map(|event| read(event)).collect();
    events.reverse();
    let mut mesh = Mesh::of(name, origin, seen, |id| shown.contains(id));
    mesh.title = about.title().to_owned();
    mesh.since = fact(2).parse().unwrap_or(0);
    mesh.viewers = size.saturating_sub(usize::from(origin.is_some()));
    mesh.totals = Totals {
        joined: count(4),
        left: count(5),
        returned: count(6),
        missed: count(7),
        stalls: count(8),
        moves: count(9),
    };
    mesh.history = together(samples.iter().filter_map(|sample| read(sample)));
    mesh.events = events;
    Some(mesh.aged(size))
}

/// Each node samples its own peers: adds up what belongs to one moment. The median latency is the mean of the nodes',
/// by their viewers that tell; the 95th percentile is the largest.
fn together(parts: impl Iterator<Item = Sample>) -> Vec<Sample> {
    let mut history: Vec<Sample> = Vec::new();
    for part in parts {
        // Nodes differ by moments: what belongs together is near the end.
        let Some(sum) = history.iter_mut().rev().take(8).find(|sum| sum.at == part.at) else {
            history.push(part);
            continue;
        };
        let weighed = |sample: &Sample| sample.latency_p50_ms.saturating_mul(sample.telling as u64);
        let told =
            |sample: &Sample| if sample.latency_p50_ms > 0 { sample.telling as u64 } else { 0 };
        let latency = weighed(sum).saturating_add(weighed(&part));
        sum.latency_p50_ms = latency / (told(sum) + told(&part)).max(1);
        sum.latency_p95_ms = sum.latency_p95_ms.max(part.latency_p95_ms);
        sum.viewers += part.viewers;
        sum.telling += part.telling;
        sum.origin_up_bps = sum.origin_up_bps.saturating_add(part.origin_up_bps);
        sum.from_origin_bps = sum.from_origin_bps.saturating_add(part.from_origin_bps);
        sum.from_peers_bps = sum.from_peers_bps.saturating_add(part.from_peers_bps);
        sum.missed += part.missed;
        sum.stalls += part.stalls;
    }
    history
}
