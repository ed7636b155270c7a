//! The in-memory [`Rendezvous`]: a hub that clients of one process meet at.

use crate::config::DEPTH_MAX;
use crate::id::{BroadcastId, PeerId};
use crate::plugin::{
    Join, PeerHint, Rendezvous, RendezvousError, RendezvousEvent, Report, Role, SIGNAL_BYTES_MAX,
};
use async_trait::async_trait;
use bytes::Bytes;
use core::cmp::Reverse;
use core::future::poll_fn;
use core::task::{Context, Poll, Waker};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

/// Events that wait for one client at most; what comes on top of them is lost.
pub const MEMORY_QUEUE_MAX: usize = 1024;
/// Peers in one event at most.
const HINTS_MAX: usize = 64;
/// Characters of a broadcast's name at most.
const NAME_CHARS_MAX: usize = 64;
/// What is assumed of a peer that has not reported: the newcomer's score (theory.md §4).
const NEWCOMER_SCORE: u8 = 34;

/// A rendezvous inside this process. Clones are the same one.
#[derive(Debug, Clone, Default)]
pub struct MemoryRendezvous(Arc<Mutex<Hub>>);

/// One peer's access to a [`MemoryRendezvous`]. Dropping it is leaving.
#[derive(Debug)]
pub struct MemoryClient {
    hub: MemoryRendezvous,
    key: u64,
}

#[derive(Debug, Default)]
struct Hub {
    stopped: bool,
    last: u64,
    clients: BTreeMap<u64, Client>,
    wakers: Vec<Waker>,
}

#[derive(Debug, Default)]
struct Client {
    join: Option<Join>,
    /// Told `Joined`, and seen by others.
    inside: bool,
    broadcast: Option<BroadcastId>,
    report: Option<Report>,
    refused: Option<&'static str>,
    queue: VecDeque<RendezvousEvent>,
    waker: Option<Waker>,
}

impl MemoryRendezvous {
    /// A rendezvous that nobody has joined.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A client that has not joined yet.
    #[must_use]
    pub fn client(&self) -> MemoryClient {
        let key = self.with(|hub| {
            hub.last += 1;
            hub.clients.insert(hub.last, Client::default());
            hub.last
        });
        MemoryClient { hub: self.clone(), key }
    }

    /// Goes out of reach, and forgets everybody, until [`Self::start`].
    pub fn stop(&self) {
        self.with(|hub| {
            hub.stopped = true;
            hub.keys(|client| client.join.is_some()).into_iter().for_each(|key| hub.suspend(key));
        });
    }

    /// Comes back after [`Self::stop`]: every client is in again.
    pub fn start(&self) {
        self.with(|hub| {
            if core::mem::take(&mut hub.stopped) {
                let waiting = hub.keys(|client| client.join.is_some());
                waiting.into_iter().for_each(|key| hub.enter(key));
            }
        });
    }

    /// Wakers are called outside the lock: an executor may poll right inside of `wake`.
    fn with<R>(&self, act: impl FnOnce(&mut Hub) -> R) -> R {
        let (result, wakers) = {
            let mut hub = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let result = act(&mut hub);
            (result, core::mem::take(&mut hub.wakers))
        };
        wakers.into_iter().for_each(Waker::wake);
        result
    }
}

impl Client {
    fn peer(&self) -> PeerId {
        self.join.as_ref().map_or_else(PeerId::default, |join| join.peer)
    }

    fn is_in(&self, room: &str) -> bool {
        self.inside && self.join.as_ref().is_some_and(|join| join.name == room)
    }

    fn publishes(&self) -> bool {
        self.join.as_ref().is_some_and(|join| join.publish)
    }

    fn hint(&self) -> PeerHint {
        let peer = self.peer();
        match &self.report {
            Some(report) => PeerHint {
                peer,
                score: report.score.min(100),
                role: report.role,
                depth: report.depth,
                slots: report.slots,
            },
            None if self.publishes() => {
                PeerHint { peer, score: 100, role: Role::Origin, depth: 0, slots: 1 }
            }
            None => PeerHint {
                peer,
                score: NEWCOMER_SCORE,
                role: Role::Leaf,
                depth: DEPTH_MAX,
                slots: 1,
            },
        }
    }
}

impl Hub {
    fn keys(&self, wanted: impl Fn(&Client) -> bool) -> Vec<u64> {
        self.clients.iter().filter(|(_, client)| wanted(client)).map(|(key, _)| *key).collect()
    }

    fn push(&mut self, key: u64, event: RendezvousEvent) {
        let Some(client) = self.clients.get_mut(&key) else { return };
        if client.queue.len() < MEMORY_QUEUE_MAX {
            client.queue.push_back(event);
        }
        self.wakers.extend(client.waker.take());
    }

    fn suspend(&mut self, key: u64) {
        if let Some(client) = self.clients.get_mut(&key) {
            client.inside = false;
            client.broadcast = None;
            client.queue.clear();
        }
        let reason = "the in-memory rendezvous was stopped".to_owned();
        self.push(key, RendezvousEvent::Suspended { reason });
    }

    fn refuse(&mut self, key: u64, reason: &'static str) {
        if let Some(client) = self.clients.get_mut(&key) {
            client.join = None;
            client.inside = false;
            client.refused = Some(reason);
            self.wakers.extend(client.waker.take());
        }
    }

    fn join(&mut self, key: u64, join: Join) {
        let length = join.name.chars().count();
        let Some(client) = self.clients.get_mut(&key) else { return };
        if client.join.is_some() || client.refused.is_some() {
            return;
        }
        client.join = Some(join);
        if !(1..=NAME_CHARS_MAX).contains(&length) {
            self.refuse(key, "a broadcast's name has 1 to 64 characters");
        } else if self.stopped {
            self.suspend(key);
        } else {
            self.enter(key);
        }
    }

    /// What goes against a join: the name may be taken by another publisher.
    fn objection(join: &Join, origin: Option<BroadcastId>) -> Option<&'static str> {
        let (own, other) = match (join.broadcast, origin) {
            (None, _) if join.publish => return Some("a publisher must name its broadcast"),
            (Some(own), Some(other)) => (own, other),
            _ => return None,
        };
        if own.publisher != other.publisher {
            return Some("another publisher's broadcast has this name: choose another name");
        }
        let stale = join.publish && own.epoch < other.epoch;
        stale.then_some("a later run of this broadcast is on")
    }

    fn enter(&mut self, key: u64) {
        let Some(join) = self.clients.get(&key).and_then(|client| client.join.clone()) else {
            return;
        };
        let room = self.keys(|client| client.is_in(&join.name));
        let known = room.iter().filter_map(|key| self.clients.get(key)?.broadcast).max();
        if let Some(reason) = Self::objection(&join, known) {
            return self.refuse(key, reason);
        }
        let twin = |hub: &Self, key: &u64| {
            hub.clients.get(key).is_some_and(|client| client.peer() == join.peer)
        };
        let (twins, others): (Vec<u64>, Vec<u64>) =
            room.into_iter().partition(|key| twin(self, key));
        for twin in twins {
            self.refuse(twin, "this peer has joined again elsewhere");
        }
        let broadcast = if join.publish { join.broadcast } else { known };
        if let Some(client) = self.clients.get_mut(&key) {
            client.inside = true;
            client.broadcast = broadcast;
        }
        self.push(key, RendezvousEvent::Joined { broadcast });
        let mut hints: Vec<PeerHint> =
            others.iter().filter_map(|key| Some(self.clients.get(key)?.hint())).collect();
        hints.sort_by_key(|hint| (Reverse(hint.score), hint.depth, hint.peer));
        hints.truncate(HINTS_MAX);
        if !hints.is_empty() {
            self.push(key, RendezvousEvent::Peers(hints));
        }
        let hint = self.clients.get(&key).map(Client::hint);
        for other in others {
            if let Some(client) = self.clients.get_mut(&other)
                && client.broadcast != broadcast
            {
                client.broadcast = broadcast;
                self.push(other, RendezvousEvent::Joined { broadcast });
            }
            self.push(other, RendezvousEvent::Peers(hint.iter().cloned().collect()));
        }
    }

    fn room_of(&self, key: u64) -> Option<&str> {
        let client = self.clients.get(&key).filter(|client| client.inside)?;
        client.join.as_ref().map(|join| join.name.as_str())
    }

    fn signal(&mut self, key: u64, to: PeerId, signal: Bytes) {
        let Some(room) = self.room_of(key) else { return };
        if signal.len() > SIGNAL_BYTES_MAX {
            return;
        }
        let addressee = self.keys(|client| client.is_in(room) && client.peer() == to);
        let from = self.clients.get(&key).map(Client::peer).unwrap_or_default();
        if let Some(addressee) = addressee.first() {
            self.push(*addressee, RendezvousEvent::Signal { from, signal });
        }
    }

    fn leave(&mut self, key: u64) {
        let others = match self.room_of(key) {
            Some(room) => self.keys(|client| client.is_in(room)),
            None => Vec::new(),
        };
        let Some(client) = self.clients.remove(&key) else { return };
        for other in others {
            self.push(other, RendezvousEvent::Gone(client.peer()));
        }
        self.wakers.extend(client.waker);
    }

    fn poll(
        &mut self,
        key: u64,
        cx: &Context<'_>,
    ) -> Poll<Result<RendezvousEvent, RendezvousError>> {
        let Some(client) = self.clients.get_mut(&key) else {
            return Poll::Ready(Err(RendezvousError::Closed));
        };
        if let Some(reason) = client.refused {
            return Poll::Ready(Err(RendezvousError::Refused(reason.to_owned())));
        }
        if client.join.is_none() {
            return Poll::Ready(Err(RendezvousError::NotJoined));
        }
        if let Some(event) = client.queue.pop_front() {
            return Poll::Ready(Ok(event));
        }
        client.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

#[cfg_attr(not(target_family = "wasm"), async_trait)]
#[cfg_attr(target_family = "wasm", async_trait(?Send))]
impl Rendezvous for MemoryClient {
    fn join(&mut self, join: Join) {
        self.hub.with(|hub| hub.join(self.key, join));
    }

    fn signal(&mut self, to: PeerId, signal: Bytes) {
        self.hub.with(|hub| hub.signal(self.key, to, signal));
    }

    fn report(&mut self, report: Report) {
        self.hub.with(|hub| {
            if let Some(client) = hub.clients.get_mut(&self.key) {
                client.report = Some(report);
            }
        });
    }

    async fn next_event(&mut self) -> Result<RendezvousEvent, RendezvousError> {
        poll_fn(|cx| self.hub.with(|hub| hub.poll(self.key, cx))).await
    }

    async fn shutdown(&mut self) {
        self.hub.with(|hub| hub.leave(self.key));
    }
}

impl Drop for MemoryClient {
    fn drop(&mut self) {
        self.hub.with(|hub| hub.leave(self.key));
    }
}
