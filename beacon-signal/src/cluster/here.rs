//! What a node holds: its sockets, what they said last, and what waits to be said to Redis.

use super::part::{Member, Part, Unsaid};
use super::word::{Pool, Word};
use super::{call, json};
use crate::books::now_ms;
use crate::order::ShortId;
use crate::outbox::Outbox;
use crate::rooms::{ENDED, Edges, Greeting, REPLACED, SENT_AWAY, Seat, What, refresh_after};
use beacon_sdk::plugin::{Join, PeerHint};
use beacon_sdk::signaling::{ErrorCode, HINTS_MAX, ServerMessage};
use beacon_sdk::{BroadcastId, Identity, PeerId, Rng};
use core::time::Duration;
use redis::Cmd;
use std::collections::BTreeMap;
use std::time::Instant;
use tokio::sync::oneshot;

/// Calls that wait; above it signals are lost, which dials get over, and reports wait. Those that leave are always said.
const CALLS_MAX: usize = 8192;

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
            let short = ShortId::from(seat.peer).to_string();
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
            Word::In { name, connection, broadcast, pool, muted } => {
                self.let_in((name, connection, muted), broadcast, &pool, greeting, refresh);
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
                part.tell_all(None, &ServerMessage::Gone { peer, banned: false });
            }
            Word::Run { name, broadcast, origin } => {
                let Some(part) = self.parts.get_mut(&name) else { return };
                if part.broadcast != Some(broadcast) {
                    let before = part.broadcast.replace(broadcast).map(|run| run.publisher);
                    part.members.values_mut().for_each(|member| member.edges.forget_issued());
                    if before != Some(broadcast.publisher) {
                        // What another owner ordered is no longer meant.
                        let muted = part.members.values_mut().filter(|member| member.muted);
                        muted.for_each(|member| member.hush(false));
                    }
                    part.tell_all(Some(origin), &greeting.joined(Some(broadcast)));
                }
            }
            Word::Banned { name, peer, peers } => {
                let Some(part) = self.parts.get(&name) else { return };
                // Their sessions end, and take them out.
                for (_, member) in part.members.iter().filter(|member| meant(peer, member)) {
                    member.outbox.close(ErrorCode::Banned, SENT_AWAY);
                }
                for peer in peers {
                    part.tell_all(Some(peer), &ServerMessage::Gone { peer, banned: true });
                }
            }
            Word::Muted { name, peer, on } => {
                let Some(part) = self.parts.get_mut(&name) else { return };
                for (id, member) in &mut part.members {
                    if meant(peer, &(id, &*member)) {
                        member.hush(on);
                    }
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
        (name, connection, muted): (String, u64, bool),
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
        outbox.send(&greeting.joined(broadcast));
        let mut member = Member {
            connection,
            session,
            outbox,
            edges: Edges::default(),
            hint,
            muted: false,
            publish: join.broadcast.filter(|_| join.publish),
            listing: None,
            thumbnail_at: None,
            told: None,
            unsaid: Unsaid::default(),
            refresh_at: Instant::now() + refresh_after(refresh, pool.size),
        };
        if muted {
            member.hush(true);
        }
        part.members.insert(join.peer, member);
        part.tell(join.peer, pool, &mut self.rng);
        // Its session may have ended meanwhile: then it takes the peer out.
        let _ = done.send(());
    }

    /// What is due: news of comers, and what members said since the last tick.
    pub(super) fn tick(&mut self, now: Instant, node: &str, samples: bool) {
        // What is not said now waits with its member, and costs no more later.
        let says = self.within_reach && self.calls.len() < CALLS_MAX;
        let mut calls = Vec::new();
        for (name, part) in &mut self.parts {
            part.announce(&mut self.rng);
            if says {
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

/// Whether an order about `peer` means a member; the origin cannot be meant.
fn meant(peer: ShortId, (id, member): &(&PeerId, &Member)) -> bool {
    ShortId::from(**id) == peer && member.publish.is_none()
}
