//! Frames and links between peers.

use super::geography::pair_unit;
use super::link::LinkEnd;
use super::peer::{Peer, tag};
use super::{Happening, World};
use crate::plan::Nat;
use beacon_sdk::engine::Input;
use beacon_sdk::plugin::Link;
use beacon_sdk::{CloseReason, Lane, PeerId};
use bytes::Bytes;

/// From a dial to a link: two and a half round trips, and 50 ms of computing on both sides
/// (measured with `webrtc` 0.21 on loopback).
const SETUP_NS: u64 = 50_000_000;
/// A dial to a peer that is gone, or that cannot be reached, fails after this time.
const DIAL_MAX_NS: u64 = 5_000_000_000;

/// Frames that travel together.
#[derive(Debug)]
pub(super) struct Burst {
    to: u32,
    /// The link's place among the receiver's.
    place: u32,
    epoch: u64,
    lane: Lane,
    frames: Vec<Bytes>,
    bytes: u64,
    /// It has been through the queue of the downlink.
    queued: bool,
}

/// A frame that an engine has handed out in the present step.
#[derive(Debug)]
pub(super) struct Sending {
    to: u32,
    /// The link's place among the sender's.
    place: usize,
    lane: Lane,
    frame: Bytes,
    /// When its last byte has left.
    leave: u64,
}

impl World {
    /// A frame that an engine hands out: it takes its place in the uplink, or is given back.
    pub(super) fn send(&mut self, at: u32, to: &PeerId, lane: Lane, frame: Bytes) {
        let (now, network) = (self.now, &self.plan.network);
        let peer = &mut self.peers[at as usize];
        let up = peer.up.busy.saturating_sub(now);
        let queue = u64::from(network.queue_ms) * 1_000_000;
        let Some(place) = peer.place(tag(to)) else { return };
        let Some(end) = peer.link_at(place).filter(|end| end.up) else { return };
        let other = end.peer;
        if lane == Lane::Data {
            let uplink = (up > queue).then(|| now + up - queue / 2);
            if let Some(until) = end.held_until(now).max(uplink) {
                let epoch = end.epoch;
                if !core::mem::replace(&mut end.full, true) {
                    self.agenda.add(until, Happening::Writable { at, epoch, other });
                }
                return self.give(at, Input::Refused { to: *to, lane, frame });
            }
        }
        let bytes = frame.len() as u64 + u64::from(network.overhead);
        let leave = peer.up.pass(now, bytes);
        let Some(end) = peer.link_at(place) else { return };
        let leave = if lane == Lane::Data { end.pass(now, leave, bytes) } else { leave };
        match lane {
            Lane::Control => self.traffic.control += frame.len() as u64,
            Lane::Data => self.traffic.data += frame.len() as u64,
        }
        if at == 0 {
            self.traffic.origin += frame.len() as u64;
        }
        self.sending.push(Sending { to: other, place, lane, frame, leave });
    }

    /// Puts what a step has handed out on its way, neighbour by neighbour.
    pub(super) fn dispatch(&mut self, at: u32) {
        if self.sending.is_empty() {
            return;
        }
        let mut sending = core::mem::take(&mut self.sending);
        sending.sort_by_key(|s| (s.to, s.lane == Lane::Data, s.leave));
        let most = usize::from(self.plan.grain.burst);
        let mut rest = sending.drain(..).peekable();
        while let Some(first) = rest.next() {
            let (to, place, lane) = (first.to, first.place, first.lane);
            let mut leave = first.leave;
            let mut frames = self.lists.pop().unwrap_or_default();
            frames.push(first.frame);
            while frames.len() < most
                && let Some(next) = rest.next_if(|next| next.to == to && next.lane == lane)
            {
                leave = next.leave;
                frames.push(next.frame);
            }
            self.launch(at, (to, place), lane, frames, leave);
        }
        drop(rest);
        self.sending = sending;
    }

    fn launch(
        &mut self,
        from: u32,
        (to, place): (u32, usize),
        lane: Lane,
        mut frames: Vec<Bytes>,
        leave: u64,
    ) {
        let network = &self.plan.network;
        let peer = &mut self.peers[from as usize];
        let lag = peer.hostile.as_ref().map_or(0, |hostile| hostile.lag(self.now));
        let Some((end, draw)) = peer.link_and_draw(place) else { return };
        let (epoch, place) = (end.epoch, end.place);
        let mut arrive = match lane {
            Lane::Control => end.control(leave, frames.len() as u32, &self.loss, draw),
            Lane::Data => {
                frames.retain(|_| !end.loses(&self.loss, draw));
                leave + end.delay + lag
            }
        };
        if network.jitter_ms > 0.0 && lane == Lane::Data {
            let jitter = draw.lognormal(self.jitter, 0.3);
            arrive += (jitter.min(10.0 * network.jitter_ms) * 1e6) as u64;
        }
        if frames.is_empty() {
            return self.lists.push(frames);
        }
        let overhead = frames.len() as u64 * u64::from(network.overhead);
        let bytes = frames.iter().map(|f| f.len() as u64).sum::<u64>() + overhead;
        self.mix(arrive ^ u64::from(from) << 40 ^ u64::from(to) << 16 ^ bytes << 1);
        if lane == Lane::Control {
            for frame in &frames {
                self.mix_bytes(frame);
            }
        }
        let burst = Burst { to, place, epoch, lane, frames, bytes, queued: false };
        self.agenda.add(arrive, Happening::Burst(burst));
    }

    fn mix_bytes(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.mix(u64::from_le_bytes(*word));
        }
        rest.iter().for_each(|byte| self.mix(u64::from(*byte)));
    }

    pub(super) fn arrive(&mut self, mut burst: Burst) {
        let to = burst.to;
        let peer = &mut self.peers[to as usize];
        if peer.engine.is_none() {
            return;
        }
        let place = burst.place as usize;
        let Some(end) = peer.link_at(place).filter(|end| end.epoch == burst.epoch) else { return };
        let from = end.id;
        if !burst.queued {
            let through = peer.down.pass(self.now, burst.bytes);
            // A millisecond in a queue is not worth an event.
            if through > self.now + 1_000_000 {
                burst.queued = true;
                return self.agenda.add(through, Happening::Burst(burst));
            }
        }
        let lane = burst.lane;
        if self.ignores(to, &from, lane, &burst.frames) {
            return;
        }
        for frame in burst.frames.drain(..) {
            self.give(to, Input::Received { from, lane, frame });
        }
        self.lists.push(burst.frames);
        self.settle(to);
    }

    // ---- links

    pub(super) fn dial(&mut self, at: u32, to: &PeerId) {
        let Some(&other) = self.ids.get(to) else { return };
        if self.peers[at as usize].link(tag(to)).is_some() {
            return;
        }
        let there = self.peers[other as usize].engine.is_some();
        let apart = self.split.parts(self.now, at, other);
        if !there || other == at || apart || !self.reaches(at, other) {
            return self.agenda.add(self.now + DIAL_MAX_NS, Happening::Failed { at, other });
        }
        let (a, b) = (&self.peers[at as usize], &self.peers[other as usize]);
        let (a_id, b_id) = (a.id, b.id);
        let delay = self.geography.delay((at, &a.place), (other, &b.place));
        self.epochs += 1;
        let epoch = self.epochs;
        let network = &self.plan.network;
        let (here, there) = (a.room(tag(&b_id)), b.room(tag(&a_id)));
        let end = LinkEnd::new((other, b_id, there), epoch, delay, network);
        self.peers[at as usize].add_link(here, end);
        let end = LinkEnd::new((at, a_id, here), epoch, delay, network);
        self.peers[other as usize].add_link(there, end);
        let when = self.now + SETUP_NS + 5 * delay;
        self.agenda.add(when, Happening::Up { at, epoch, other, dialled: true });
        self.agenda.add(when, Happening::Up { at: other, epoch, other: at, dialled: false });
    }

    /// Whether these two can connect at all (theory.md §3): decided once for each pair.
    fn reaches(&self, a: u32, b: u32) -> bool {
        let (low, high) = (a.min(b), a.max(b));
        let mut kinds = [self.peers[a as usize].nat, self.peers[b as usize].nat];
        kinds.sort_unstable();
        let chance = match kinds {
            [Nat::Open, _] => return true,
            [Nat::Eim, Nat::Eim] => 0.9,
            [Nat::Eim, _] => 0.6,
            _ => 0.05,
        };
        pair_unit(self.seed, low, high, 77) < chance
    }

    pub(super) fn up(&mut self, at: u32, epoch: u64, other: u32, dialled: bool) {
        let gone = self.peers[other as usize].engine.is_none();
        let id = self.peers[other as usize].id;
        let peer = &mut self.peers[at as usize];
        let Some(end) = peer.link(tag(&id)).filter(|end| end.epoch == epoch) else { return };
        if gone {
            peer.cut(tag(&id));
            if dialled {
                self.agenda.add(self.now + DIAL_MAX_NS, Happening::Failed { at, other });
            }
            return;
        }
        end.up = true;
        let mut binding = [0; 32];
        binding[..8].copy_from_slice(&epoch.to_le_bytes());
        self.step(at, Input::Connected(Link { peer: id, binding, dialled }));
    }

    pub(super) fn failed(&mut self, at: u32, other: u32) {
        let peer = self.peers[other as usize].id;
        self.step(at, Input::ConnectFailed { peer, reason: CloseReason::Failed });
    }

    pub(super) fn writable(&mut self, at: u32, epoch: u64, other: u32) {
        let to = self.peers[other as usize].id;
        let peer = &mut self.peers[at as usize];
        let Some(end) = peer.link(tag(&to)).filter(|end| end.epoch == epoch) else { return };
        end.full = false;
        self.step(at, Input::Writable { to, lane: Lane::Data });
    }

    pub(super) fn close(&mut self, at: u32, to: &PeerId) {
        let Some(end) = self.peers[at as usize].cut(tag(to)) else { return };
        let happening = Happening::Down { at: end.peer, epoch: end.epoch, other: at };
        self.agenda.add(self.now + end.delay, happening);
    }

    pub(super) fn down(&mut self, at: u32, epoch: u64, other: u32) {
        let id = self.peers[other as usize].id;
        let peer: &mut Peer = &mut self.peers[at as usize];
        let known = peer.link(tag(&id)).filter(|end| end.epoch == epoch).map(|end| end.up);
        let Some(up) = known else { return };
        peer.cut(tag(&id));
        self.shunned(at);
        let reason = CloseReason::Remote;
        self.step(
            at,
            if up {
                Input::Disconnected { peer: id, reason }
            } else {
                Input::ConnectFailed { peer: id, reason }
            },
        );
    }
}
