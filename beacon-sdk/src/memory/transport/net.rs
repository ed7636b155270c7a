//! What happens on a memory network: endpoints, the two-signal set-up, lanes with a limit.

use super::{LANE_BYTES_MAX, MEMORY_CONTROL_FRAME_MAX, MEMORY_DATA_FRAME_MAX};
use crate::id::PeerId;
use crate::plugin::{CloseReason, Lane, Link, TransportEvent, TrySendError};
use bytes::Bytes;
use core::task::{Context, Poll, Waker};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, VecDeque};

/// Counted for each queued frame, so that empty ones cannot fill the memory either.
const FRAME_OVERHEAD: usize = 64;

/// Everything on one network.
#[derive(Debug, Default)]
pub(super) struct Net {
    ends: BTreeMap<PeerId, End>,
    /// Source of endpoint generations, dial numbers and link numbers: none is ever used twice.
    last: u64,
    wakers: Vec<Waker>,
}

/// One peer. `queue` is bounded: frames by their lanes, `Writable` to one per lane, and every
/// other event to a few per neighbour, since a new set-up needs the old events to be taken.
#[derive(Debug, Default)]
struct End {
    generation: u64,
    queue: VecDeque<TransportEvent>,
    waker: Option<Waker>,
    peers: BTreeMap<PeerId, State>,
}

#[derive(Debug)]
enum State {
    Dialling(u64),
    Accepting(u64),
    Linked(Lanes),
}

/// The sending side of a link's two lanes.
#[derive(Debug, Default)]
struct Lanes {
    control: Room,
    data: Room,
}

/// What one lane holds on its way to the reader.
#[derive(Debug, Default)]
struct Room {
    bytes: usize,
    /// A frame was given back since the last `Writable`.
    refused: bool,
    /// A `Writable` waits in the sender's queue.
    told: bool,
}

impl Lanes {
    fn room(&mut self, lane: Lane) -> &mut Room {
        match lane {
            Lane::Control => &mut self.control,
            Lane::Data => &mut self.data,
        }
    }
}

#[derive(Copy, Clone, PartialEq, Eq)]
enum Step {
    Offer,
    Answer,
}

/// A signal is `mem`, the step and the dial's number.
fn write_signal(step: Step, dial: u64) -> Bytes {
    let tag: &[u8; 4] = if step == Step::Offer { b"memO" } else { b"memA" };
    Bytes::from([tag.as_slice(), &dial.to_be_bytes()].concat())
}

fn read_signal(signal: &[u8]) -> Option<(Step, u64)> {
    let (tag, number) = signal.split_first_chunk::<4>()?;
    let step = match tag {
        b"memO" => Step::Offer,
        b"memA" => Step::Answer,
        _ => return None,
    };
    Some((step, u64::from_be_bytes(number.try_into().ok()?)))
}

/// The peer an event is about.
fn subject(event: &TransportEvent) -> PeerId {
    match event {
        TransportEvent::Signal { to, .. } | TransportEvent::Writable { to, .. } => *to,
        TransportEvent::Connected(link) => link.peer,
        TransportEvent::ConnectFailed { peer, .. } | TransportEvent::Disconnected { peer, .. } => {
            *peer
        }
        TransportEvent::Received { from, .. } => *from,
    }
}

impl Net {
    fn number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    pub(super) fn take_wakers(&mut self) -> Vec<Waker> {
        core::mem::take(&mut self.wakers)
    }

    pub(super) fn enter(&mut self, me: PeerId) -> u64 {
        self.leave(me, CloseReason::Failed);
        let generation = self.number();
        self.ends.insert(me, End { generation, ..End::default() });
        generation
    }

    pub(super) fn is_current(&self, me: PeerId, generation: u64) -> bool {
        self.ends.get(&me).is_some_and(|end| end.generation == generation)
    }

    pub(super) fn leave(&mut self, me: PeerId, reason: CloseReason) {
        let peers = self.ends.get(&me).map(|end| end.peers.keys().copied().collect::<Vec<_>>());
        for peer in peers.unwrap_or_default() {
            self.close(me, peer, reason);
        }
        if let Some(waker) = self.ends.remove(&me).and_then(|end| end.waker) {
            self.wakers.push(waker);
        }
        // A dial that its addressee has not heard of yet can find nobody any more.
        let dialling = self.ends.iter().filter(|(_, end)| end.peers.contains_key(&me));
        for peer in dialling.map(|(peer, _)| *peer).collect::<Vec<_>>() {
            self.fail(peer, me, CloseReason::Failed);
        }
    }

    fn push(&mut self, to: PeerId, event: TransportEvent) {
        if let Some(end) = self.ends.get_mut(&to) {
            end.queue.push_back(event);
            self.wakers.extend(end.waker.take());
        }
    }

    fn state(&mut self, me: PeerId, peer: PeerId) -> Option<&mut State> {
        self.ends.get_mut(&me)?.peers.get_mut(&peer)
    }

    fn set(&mut self, me: PeerId, peer: PeerId, state: State) {
        if let Some(end) = self.ends.get_mut(&me) {
            end.peers.insert(peer, state);
        }
    }

    /// Starts a dial and gives its number; `None` when there is one, or a link, or it has failed
    /// already because nobody of that name is here.
    pub(super) fn dial(&mut self, me: PeerId, peer: PeerId) -> Option<u64> {
        if self.state(me, peer).is_some() {
            return None;
        }
        if peer == me || !self.ends.contains_key(&peer) {
            let reason = CloseReason::Failed;
            self.push(me, TransportEvent::ConnectFailed { peer, reason });
            return None;
        }
        let dial = self.number();
        self.set(me, peer, State::Dialling(dial));
        let signal = write_signal(Step::Offer, dial);
        self.push(me, TransportEvent::Signal { to: peer, signal });
        Some(dial)
    }

    /// The dials of `me` that are open, with their numbers.
    #[cfg(all(feature = "tokio", not(target_family = "wasm")))]
    pub(super) fn dials(&self, me: PeerId) -> BTreeMap<PeerId, u64> {
        let peers = self.ends.get(&me).into_iter().flat_map(|end| &end.peers);
        peers
            .filter_map(|(peer, state)| match state {
                State::Dialling(dial) => Some((*peer, *dial)),
                State::Accepting(_) | State::Linked(_) => None,
            })
            .collect()
    }

    /// Ends a dial that took too long, and the answer to it.
    #[cfg(all(feature = "tokio", not(target_family = "wasm")))]
    pub(super) fn expire(&mut self, me: PeerId, peer: PeerId, dial: u64) {
        if matches!(self.state(me, peer), Some(State::Dialling(open)) if *open == dial) {
            self.fail(me, peer, CloseReason::Timeout);
            if matches!(self.state(peer, me), Some(State::Accepting(open)) if *open == dial) {
                self.fail(peer, me, CloseReason::Timeout);
            }
        }
    }

    fn fail(&mut self, me: PeerId, peer: PeerId, reason: CloseReason) {
        if let Some(end) = self.ends.get_mut(&me) {
            end.peers.remove(&peer);
            end.queue
                .retain(|event| !matches!(event, TransportEvent::Signal { to, .. } if *to == peer));
            self.push(me, TransportEvent::ConnectFailed { peer, reason });
        }
    }

    pub(super) fn signal(&mut self, me: PeerId, from: PeerId, signal: &[u8]) {
        match read_signal(signal) {
            Some((Step::Offer, dial)) => self.offered(me, from, dial),
            Some((Step::Answer, dial)) => self.answered(me, from, dial),
            None => tracing::debug!(peer = ?from, "a signal that is not one of this network"),
        }
    }

    fn offered(&mut self, me: PeerId, from: PeerId, dial: u64) {
        if !matches!(self.state(from, me), Some(State::Dialling(open)) if *open == dial) {
            return;
        }
        match self.state(me, from) {
            // Both have dialled: the lower id's dial goes on, at both ends (T09).
            Some(State::Dialling(_)) if me < from => return,
            Some(State::Linked(_)) => return,
            Some(State::Dialling(_) | State::Accepting(_)) | None => {}
        }
        if let Some(end) = self.ends.get_mut(&me) {
            end.queue
                .retain(|event| !matches!(event, TransportEvent::Signal { to, .. } if *to == from));
        }
        self.set(me, from, State::Accepting(dial));
        let signal = write_signal(Step::Answer, dial);
        self.push(me, TransportEvent::Signal { to: from, signal });
    }

    fn answered(&mut self, me: PeerId, from: PeerId, dial: u64) {
        let dialled = matches!(self.state(me, from), Some(State::Dialling(open)) if *open == dial);
        let accepted =
            matches!(self.state(from, me), Some(State::Accepting(open)) if *open == dial);
        if !dialled || !accepted {
            return;
        }
        // Dial numbers are unique, hence bindings are.
        let digest = Sha256::new().chain_update(b"memory link").chain_update(dial.to_be_bytes());
        let binding = digest.finalize().into();
        for (end, peer, dialled) in [(me, from, true), (from, me, false)] {
            self.set(end, peer, State::Linked(Lanes::default()));
            self.push(end, TransportEvent::Connected(Link { peer, binding, dialled }));
        }
    }

    /// Ends whatever there is between two peers; the other one is told `reason`.
    pub(super) fn close(&mut self, me: PeerId, peer: PeerId, reason: CloseReason) {
        let Some(end) = self.ends.get_mut(&me) else { return };
        end.queue.retain(|event| subject(event) != peer);
        if end.peers.remove(&peer).is_none() {
            return;
        }
        match self.state(peer, me) {
            Some(State::Linked(_)) => {
                if let Some(end) = self.ends.get_mut(&peer) {
                    end.peers.remove(&me);
                }
                self.push(peer, TransportEvent::Disconnected { peer: me, reason });
            }
            Some(State::Dialling(_) | State::Accepting(_)) => self.fail(peer, me, reason),
            None => {}
        }
    }

    pub(super) fn send(
        &mut self,
        me: PeerId,
        to: PeerId,
        lane: Lane,
        frame: Bytes,
    ) -> Result<(), TrySendError> {
        let Some(State::Linked(lanes)) = self.state(me, to) else {
            return Err(TrySendError::NotConnected(frame));
        };
        let limit = match lane {
            Lane::Control => MEMORY_CONTROL_FRAME_MAX,
            Lane::Data => MEMORY_DATA_FRAME_MAX,
        };
        if frame.len() > limit {
            return Err(TrySendError::TooLarge(frame));
        }
        let room = lanes.room(lane);
        if room.bytes + frame.len() + FRAME_OVERHEAD > LANE_BYTES_MAX {
            room.refused = true;
            return Err(TrySendError::Full(frame));
        }
        room.bytes += frame.len() + FRAME_OVERHEAD;
        self.push(to, TransportEvent::Received { from: me, lane, frame });
        Ok(())
    }

    pub(super) fn poll(&mut self, me: PeerId, cx: &Context<'_>) -> Poll<TransportEvent> {
        let Some(end) = self.ends.get_mut(&me) else { return Poll::Pending };
        let Some(event) = end.queue.pop_front() else {
            end.waker = Some(cx.waker().clone());
            return Poll::Pending;
        };
        match &event {
            TransportEvent::Received { from, lane, frame } => {
                self.taken(*from, me, *lane, frame.len());
            }
            TransportEvent::Writable { to, lane } => {
                if let Some(State::Linked(lanes)) = self.state(me, *to) {
                    lanes.room(*lane).told = false;
                }
            }
            _ => {}
        }
        Poll::Ready(event)
    }

    /// The reader took a frame: half an empty lane is room enough to say so.
    fn taken(&mut self, from: PeerId, me: PeerId, lane: Lane, len: usize) {
        let Some(State::Linked(lanes)) = self.state(from, me) else { return };
        let room = lanes.room(lane);
        room.bytes = room.bytes.saturating_sub(len + FRAME_OVERHEAD);
        if room.refused && !room.told && room.bytes <= LANE_BYTES_MAX / 2 {
            room.refused = false;
            room.told = true;
            self.push(from, TransportEvent::Writable { to: me, lane });
        }
    }
}
