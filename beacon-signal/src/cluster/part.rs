//! The part of a room that is at one node.

use super::word::Pool;
use super::{call, json};
use crate::books::now_ms;
use crate::outbox::Outbox;
use crate::rooms::{Edges, SAMPLE_INTERVAL, Sample, Told, address, refresh_after};
use axum::extract::ws::Utf8Bytes;
use beacon_sdk::plugin::{Detail, PeerHint};
use beacon_sdk::signaling::hints::{self, TOLD_MAX};
use beacon_sdk::signaling::{ServerMessage, SignalData};
use beacon_sdk::{BroadcastId, Identity, Listing, PeerId, Rng};
use core::time::Duration;
use redis::Cmd;
use serde_json::json as object;
use std::collections::BTreeMap;
use std::time::Instant;

/// Peers in one call that reports.
const REPORTED_MAX: usize = 256;

/// The part of a room that is at this node.
pub(super) struct Part {
    pub(super) broadcast: Option<BroadcastId>,
    /// Peers of the room at all nodes, as last heard.
    pub(super) size: usize,
    pub(super) members: BTreeMap<PeerId, Member>,
    /// Came to the room since the last tick, at most [`HINTS_MAX`].
    pub(super) newcomers: Vec<PeerHint>,
    /// A pool is on its way.
    pub(super) asked: bool,
    /// The last sample's time, by the Unix clock in [`SAMPLE_INTERVAL`]s, and what was counted since.
    sampled: u64,
    pub(super) missed: u64,
    pub(super) stalls: u64,
}

pub(super) struct Member {
    pub(super) connection: u64,
    pub(super) session: u64,
    pub(super) outbox: Outbox,
    pub(super) edges: Edges,
    pub(super) hint: PeerHint,
    /// The owner has muted it: what it says of itself is not looked at.
    pub(super) muted: bool,
    /// The run of an origin.
    pub(super) publish: Option<BroadcastId>,
    pub(super) listing: Option<Box<Listing>>,
    pub(super) thumbnail_at: Option<Instant>,
    pub(super) told: Option<Told>,
    pub(super) unsaid: Unsaid,
    pub(super) refresh_at: Instant,
}

/// What Redis is not told yet.
#[derive(Default)]
pub(super) struct Unsaid {
    pub(super) hint: bool,
    pub(super) told: bool,
    pub(super) listing: bool,
}

impl Member {
    /// Forgets what it has said of itself.
    pub(super) fn hush(&mut self, muted: bool) {
        let peer = self.hint.peer;
        self.hint = if muted { hints::muted(peer) } else { hints::newcomer(peer, false) };
        (self.muted, self.told) = (muted, None);
        self.unsaid = Unsaid { hint: true, told: false, ..core::mem::take(&mut self.unsaid) };
    }
}

impl Part {
    pub(super) fn new(broadcast: Option<BroadcastId>) -> Self {
        Self {
            broadcast,
            size: 0,
            members: BTreeMap::new(),
            newcomers: Vec::new(),
            asked: false,
            sampled: 0,
            missed: 0,
            stalls: 0,
        }
    }

    pub(super) fn tell_all(&self, but: Option<PeerId>, message: &ServerMessage) {
        let text = Utf8Bytes::from(message.to_json());
        for (_, member) in self.members.iter().filter(|(peer, _)| Some(**peer) != but) {
            member.outbox.send_text(text.clone());
        }
    }

    /// Gives a signal to a member, and an edge with it if one of the two was told of the other.
    pub(super) fn deliver(
        &mut self,
        issuer: Option<&Identity>,
        from: PeerId,
        to: PeerId,
        data: SignalData,
        knows: bool,
    ) {
        let Some(member) = self.members.get(&to) else { return };
        member.outbox.send(&ServerMessage::Signal { from, data });
        let knows = knows || member.edges.knows(from);
        if let Some(issuer) = issuer.filter(|_| knows) {
            self.issue(issuer, now_ms(), to, from);
        }
    }

    /// Issues an edge to a member if one is due.
    pub(super) fn issue(
        &mut self,
        issuer: &Identity,
        now_ms: u64,
        downloader: PeerId,
        uploader: PeerId,
    ) {
        let Some(broadcast) = self.broadcast else { return };
        let Some(member) = self.members.get_mut(&downloader) else { return };
        if member.publish.is_some() {
            return;
        }
        let taker = (downloader, member.session);
        if let Some(edges) = member.edges.issue(issuer, now_ms, broadcast, taker, uploader) {
            member.outbox.send(&edges);
        }
    }

    /// Hints for a member.
    pub(super) fn tell(&mut self, to: PeerId, pool: &Pool, rng: &mut Rng) {
        let peers = hints::draw(&pool.best, &pool.others, to, rng);
        if let Some(member) = self.members.get_mut(&to).filter(|_| !peers.is_empty()) {
            peers.iter().for_each(|hint| member.edges.name(hint.peer));
            member.outbox.send(&ServerMessage::Peers { peers });
        }
    }

    /// Fresh hints for those whose time has come.
    pub(super) fn refresh(&mut self, now: Instant, pool: &Pool, interval: Duration, rng: &mut Rng) {
        (self.asked, self.size) = (false, pool.size);
        let next = now + refresh_after(interval, pool.size);
        let due = self.members.iter().filter(|(_, member)| member.refresh_at <= now);
        let due: Vec<PeerId> = due.map(|(peer, _)| *peer).collect();
        for peer in due {
            if let Some(member) = self.members.get_mut(&peer) {
                member.refresh_at = next;
            }
            self.tell(peer, pool, rng);
        }
    }

    /// Tells members of those that came since the last tick: all of a small room, this node's share
    /// of a larger one.
    pub(super) fn announce(&mut self, rng: &mut Rng) {
        let mut newcomers = core::mem::take(&mut self.newcomers);
        if newcomers.is_empty() {
            return;
        }
        newcomers.sort_by_key(hints::preference);
        let mut told: Vec<PeerId> = self.members.keys().copied().collect();
        if self.size > TOLD_MAX {
            let share = (TOLD_MAX * told.len()).div_ceil(self.size);
            rng.shuffle(&mut told);
            told.truncate(share);
        }
        let to_most = ServerMessage::Peers { peers: newcomers.clone() };
        let to_most = Utf8Bytes::from(to_most.to_json());
        for peer in told {
            let Some(member) = self.members.get_mut(&peer) else { continue };
            newcomers.iter().for_each(|newcomer| member.edges.name(newcomer.peer));
            let others: Vec<PeerHint> =
                newcomers.iter().filter(|newcomer| newcomer.peer != peer).cloned().collect();
            if others.len() == newcomers.len() {
                member.outbox.send_text(to_most.clone());
            } else if !others.is_empty() {
                member.outbox.send(&ServerMessage::Peers { peers: others });
            }
        }
    }

    /// Says what members said since the last tick.
    pub(super) fn report(&mut self, now: Instant, name: &str, node: &str, calls: &mut Vec<Cmd>) {
        let mut reported = 0;
        let mut report = call("report");
        report.arg(name).arg(node);
        let empty = report.clone();
        for (peer, member) in &mut self.members {
            let unsaid = core::mem::take(&mut member.unsaid);
            if let Some(listing) = member.listing.as_deref().filter(|_| unsaid.listing) {
                calls.push(list(name, peer, node, member.connection, listing));
            }
            if !unsaid.hint && !unsaid.told {
                continue;
            }
            report.arg(peer.to_string()).arg(member.connection);
            report.arg(json(&member.hint)).arg(hints::rank(&member.hint));
            report.arg(match member.told.as_ref().filter(|_| unsaid.told) {
                Some(told) => {
                    let ago = now.saturating_duration_since(told.at).as_millis();
                    let ago = u64::try_from(ago).unwrap_or(u64::MAX);
                    let at = now_ms().saturating_sub(ago);
                    object!({"at": at, "detail": told.detail}).to_string()
                }
                None => String::new(),
            });
            reported += 1;
            if reported == REPORTED_MAX {
                calls.push(core::mem::replace(&mut report, empty.clone()));
                reported = 0;
            }
        }
        if reported > 0 {
            calls.push(report);
        }
    }

    /// This node's part of a sample, if it is time.
    pub(super) fn sample(&mut self, name: &str) -> Option<Cmd> {
        let time = now_ms() / 1000 / SAMPLE_INTERVAL.as_secs();
        if core::mem::replace(&mut self.sampled, time) == time {
            return None;
        }
        fn told(member: &Member) -> Option<&Detail> {
            member.told.as_ref().map(|told| &*told.detail)
        }
        let origin = self.members.values().find(|member| member.publish.is_some());
        let viewers = || self.members.values().filter(|member| member.publish.is_none());
        let telling = viewers().filter_map(told);
        let mut sample = Sample::of(viewers().count(), origin.and_then(told), telling);
        sample.at = time * SAMPLE_INTERVAL.as_secs();
        sample.missed = core::mem::take(&mut self.missed);
        sample.stalls = core::mem::take(&mut self.stalls);
        let mut call = call("sample");
        call.arg(name).arg(json(&sample));
        Some(call)
    }
}

fn list(name: &str, peer: &PeerId, node: &str, connection: u64, listing: &Listing) -> Cmd {
    let mut list = call("list");
    list.arg(name).arg(peer.to_string()).arg(node).arg(connection).arg(json(&listing.about));
    match &listing.thumbnail {
        Some(picture) => list.arg(address(name, picture)).arg(&picture.bytes()[..]),
        None => list.arg("").arg(""),
    };
    list
}
