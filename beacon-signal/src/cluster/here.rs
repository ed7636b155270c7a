//! What a node holds: its sockets, what they said last, and what waits to be said to Redis.

use super::word::{Pool, Word};
use super::{call, joined, json};
use crate::books::now_ms;
use crate::outbox::Outbox;
use crate::rooms::{ENDED, Edges, Greeting, REPLACED, SENT_AWAY, Seat, TOLD_MAX, Told, What};
use crate::rooms::{SAMPLE_INTERVAL, Sample, address, refresh_after};
use axum::extract::ws::Utf8Bytes;
use beacon_sdk::plugin::{Detail, Join, PeerHint};
use beacon_sdk::signaling::{ErrorCode, HINTS_MAX, ServerMessage, SignalData, hints};
use beacon_sdk::{BroadcastId, Identity, Listing, PeerId, Rng};
use core::time::Duration;
use redis::Cmd;
use serde_json::json as object;
use std::collections::BTreeMap;
use std::time::Instant;
use tokio::sync::oneshot;

/// Calls that wait; above it signals are lost, and with them dials that are tried again.
const CALLS_MAX: usize = 8192;
/// Peers in one call that reports.
const REPORTED_MAX: usize = 256;

pub(super) struct Here {
    pub(super) parts: BTreeMap<String, Part>,
    /// Those that ask to be let in, by connection.
    pub(super) pending: BTreeMap<u64, Pending>,
    /// What is to be said to Redis, in this order. Nothing, while it is out of reach: all is said
    /// anew when it is back.
    pub(super) calls: Vec<Cmd>,
    pub(super) within_reach: bool,
    rng: Rng,
}

/// One that asks to be let in.
pub(super) struct Pending {
    pub(super) join: Join,
    pub(super) session: u64,
    pub(super) hint: PeerHint,
    pub(super) outbox: Outbox,
    pub(super) done: oneshot::Sender<()>,
}

/// The part of a room that is at this node.
pub(super) struct Part {
    pub(super) broadcast: Option<BroadcastId>,
    /// Peers of the room at all nodes, as last heard.
    size: usize,
    pub(super) members: BTreeMap<PeerId, Member>,
    /// Came to the room since the last tick, at most [`HINTS_MAX`].
    newcomers: Vec<PeerHint>,
    /// A pool is on its way.
    asked: bool,
    /// The last sample's time, by the Unix clock in [`SAMPLE_INTERVAL`]s, and what was counted since.
    sampled: u64,
    missed: u64,
    stalls: u64,
}

pub(super) struct Member {
    connection: u64,
    session: u64,
    pub(super) outbox: Outbox,
    pub(super) edges: Edges,
    pub(super) hint: PeerHint,
    /// The run of an origin.
    pub(super) publish: Option<BroadcastId>,
    pub(super) listing: Option<Box<Listing>>,
    pub(super) thumbnail_at: Option<Instant>,
    pub(super) told: Option<Told>,
    pub(super) unsaid: Unsaid,
    refresh_at: Instant,
}

/// What Redis is not told yet.
#[derive(Default)]
pub(super) struct Unsaid {
    pub(super) hint: bool,
    pub(super) told: bool,
    pub(super) listing: bool,
}

impl Here {
    pub(super) fn new(rng: Rng) -> Self {
        Self {
            parts: BTreeMap::new(),
            pending: BTreeMap::new(),
            calls: Vec::new(),
            within_reach: false,
            rng,
        }
    }

    /// Who has a seat, unless a newer connection has it.
    pub(super) fn member(&mut self, seat: &Seat) -> Option<&mut Member> {
        let member = self.parts.get_mut(&seat.name)?.members.get_mut(&seat.peer)?;
        (member.connection == seat.connection).then_some(member)
    }

    fn remove(&mut self, seat: &Seat) -> Option<Member> {
        self.member(seat)?;
        let part = self.parts.get_mut(&seat.name)?;
        let member = part.members.remove(&seat.peer);
        if part.members.is_empty() {
            self.parts.remove(&seat.name);
        }
        member
    }

    /// Takes a connection out, here and in Redis.
    pub(super) fn take_out(&mut self, seat: &Seat, node: &str) {
        self.remove(seat);
        let mut leave = call("leave");
        leave.arg(&seat.name).arg(seat.peer.to_string()).arg(node).arg(seat.connection);
        self.say(leave);
    }

    fn say(&mut self, call: Cmd) {
        if self.within_reach {
            self.calls.push(call);
        }
    }

    /// Has a word carried to the node where a peer is; not while too much waits.
    pub(super) fn carry(&mut self, name: &str, to: PeerId, word: &Word) -> bool {
        let taken = self.within_reach && self.calls.len() < CALLS_MAX;
        if taken {
            let mut carry = call("carry");
            carry.arg(name).arg(to.to_string()).arg(json(word));
            self.calls.push(carry);
        }
        taken
    }

    /// Notes what happened to a peer of this node.
    pub(super) fn note(&mut self, seat: &Seat, steps: impl Iterator<Item = (What, u64)>) {
        for (kind, count) in steps {
            let Some(part) = self.parts.get_mut(&seat.name) else { return };
            match kind {
                What::Missed => part.missed = part.missed.saturating_add(count),
                What::Stalled => part.stalls = part.stalls.saturating_add(count),
                _ => {}
            }
            let mut note = call("note");
            let short = crate::order::ShortId::from(seat.peer).to_string();
            note.arg(&seat.name).arg(kind.word()).arg(short).arg(count);
            self.say(note);
        }
    }

    /// Does what a word says.
    pub(super) fn hear(
        &mut self,
        word: Word,
        greeting: Greeting,
        issuer: Option<&Identity>,
        refresh: Duration,
    ) {
        match word {
            Word::In { name, connection, broadcast, pool } => {
                self.let_in(name, connection, broadcast, &pool, greeting, refresh);
            }
            Word::Replaced { name, peer, connection } => {
                let seat = Seat { name, peer, connection };
                let pending = self.pending.remove(&connection).map(|pending| pending.outbox);
                let outbox = pending.or_else(|| self.remove(&seat).map(|member| member.outbox));
                if let Some(outbox) = outbox {
                    outbox.close(ErrorCode::Replaced, REPLACED);
                }
            }
            Word::Pool { name, pool } => {
                if let Some(part) = self.parts.get_mut(&name) {
                    part.refresh(Instant::now(), &pool, refresh, &mut self.rng);
                }
            }
            Word::Came { name, hint, size } => {
                let Some(part) = self.parts.get_mut(&name) else { return };
                part.size = size;
                part.newcomers.retain(|other| other.peer != hint.peer);
                if part.newcomers.len() < HINTS_MAX {
                    part.newcomers.push(hint);
                }
            }
            Word::Gone { name, peer } => {
                let Some(part) = self.parts.get_mut(&name) else { return };
                part.size = part.size.saturating_sub(1);
                part.newcomers.retain(|other| other.peer != peer);
                part.tell_all(None, &ServerMessage::Gone { peer });
            }
            Word::Run { name, broadcast, origin } => {
                let Some(part) = self.parts.get_mut(&name) else { return };
                if part.broadcast != Some(broadcast) {
                    part.broadcast = Some(broadcast);
                    part.members.values_mut().for_each(|member| member.edges.forget_issued());
                    part.tell_all(Some(origin), &joined(greeting, Some(broadcast)));
                }
            }
            // Their sessions end, and take them out.
            Word::Banned { name, peer } => {
                let members = self.parts.get(&name).into_iter().flat_map(|part| &part.members);
                let meant = |(id, member): &(&PeerId, &Member)| {
                    crate::order::ShortId::from(**id) == peer && member.publish.is_none()
                };
                for (_, member) in members.filter(meant) {
                    member.outbox.close(ErrorCode::Banned, SENT_AWAY);
                }
            }
            Word::Ended { name } => {
                let members = self.parts.get(&name).into_iter().flat_map(|part| &part.members);
                members.for_each(|(_, member)| member.outbox.close(ErrorCode::Ended, ENDED));
            }
            Word::Signal { name, to, from, knows, data } => {
                if let Some(part) = self.parts.get_mut(&name) {
                    part.deliver(issuer, from, to, data, knows);
                }
            }
            Word::Renew { name, downloader, uploader } => {
                if let (Some(part), Some(issuer)) = (self.parts.get_mut(&name), issuer) {
                    part.issue(issuer, now_ms(), downloader, uploader);
                }
            }
            Word::Beat => {}
        }
    }

    fn let_in(
        &mut self,
        name: String,
        connection: u64,
        broadcast: Option<BroadcastId>,
        pool: &Pool,
        greeting: Greeting,
        refresh: Duration,
    ) {
        // Whoever waits no longer has been taken out again.
        let Some(pending) = self.pending.remove(&connection) else { return };
        let Pending { join, session, hint, outbox, done } = pending;
        let part = self.parts.entry(name).or_insert_with(|| Part::new(broadcast));
        (part.broadcast, part.size) = (broadcast, pool.size);
        outbox.send(&joined(greeting, broadcast));
        let member = Member {
            connection,
            session,
            outbox,
            edges: Edges::default(),
            hint,
            publish: join.broadcast.filter(|_| join.publish),
            listing: None,
            thumbnail_at: None,
            told: None,
            unsaid: Unsaid::default(),
            refresh_at: Instant::now() + refresh_after(refresh, pool.size),
        };
        part.members.insert(join.peer, member);
        part.tell(join.peer, pool, &mut self.rng);
        // Its session may have ended meanwhile: then it takes the peer out.
        let _ = done.send(());
    }

    /// What is due: news of comers, and what members said since the last tick.
    pub(super) fn tick(&mut self, now: Instant, node: &str, samples: bool) {
        let mut calls = Vec::new();
        for (name, part) in &mut self.parts {
            part.announce(&mut self.rng);
            if self.within_reach {
                part.report(now, name, node, &mut calls);
                if samples {
                    calls.extend(part.sample(name));
                }
                if !part.asked && part.members.values().any(|member| member.refresh_at <= now) {
                    part.asked = true;
                    let mut ask = call("hints");
                    ask.arg(name).arg(node);
                    calls.push(ask);
                }
            }
        }
        self.calls.append(&mut calls);
    }

    /// Redis is out of reach: nobody waits for it.
    pub(super) fn lose(&mut self) {
        self.within_reach = false;
        self.pending.clear();
        self.calls.clear();
    }

    /// Redis is back, and lacks what was not said meanwhile: who is here.
    pub(super) fn regain(&mut self) -> Vec<(Seat, Join, PeerHint)> {
        self.within_reach = true;
        let mut here = Vec::new();
        for (name, part) in &mut self.parts {
            part.asked = false;
            for (&peer, member) in &mut part.members {
                let told = member.told.is_some();
                member.unsaid = Unsaid { hint: true, told, listing: member.listing.is_some() };
                let publish = member.publish.is_some();
                let join = Join { name: name.clone(), peer, broadcast: member.publish, publish };
                let seat = Seat { name: name.clone(), peer, connection: member.connection };
                here.push((seat, join, member.hint.clone()));
            }
        }
        here
    }
}

impl Part {
    fn new(broadcast: Option<BroadcastId>) -> Self {
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

    fn tell_all(&self, but: Option<PeerId>, message: &ServerMessage) {
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
    fn tell(&mut self, to: PeerId, pool: &Pool, rng: &mut Rng) {
        let peers = hints::draw(&pool.best, &pool.others, to, rng);
        if let Some(member) = self.members.get_mut(&to).filter(|_| !peers.is_empty()) {
            peers.iter().for_each(|hint| member.edges.name(hint.peer));
            member.outbox.send(&ServerMessage::Peers { peers });
        }
    }

    /// Fresh hints for those whose time has come.
    fn refresh(&mut self, now: Instant, pool: &Pool, interval: Duration, rng: &mut Rng) {
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
    fn announce(&mut self, rng: &mut Rng) {
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
    fn report(&mut self, now: Instant, name: &str, node: &str, calls: &mut Vec<Cmd>) {
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
    fn sample(&mut self, name: &str) -> Option<Cmd> {
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
