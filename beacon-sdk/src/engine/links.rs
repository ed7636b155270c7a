//! Whom to be linked with: the peers that are known, and which of them to dial.

use crate::id::PeerId;
use crate::plugin::PeerHint;
use crate::rng::Rng;
use crate::time::Instant;
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

/// Peers remembered at most.
const KNOWN_MAX: usize = 512;
/// Dials under way at most.
pub(super) const DIALS_MAX: usize = 4;
/// A dial without outcome is given up: above every transport's own limit.
const DIAL_MAX: Duration = Duration::from_secs(31);
/// First pause after a failure or refusal; doubles with each up to the longest.
const PAUSE_MIN: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(16);
/// Banned peers remembered at most.
const BANNED_MAX: usize = 4096;

#[derive(Debug, Clone, Copy)]
struct Known {
    peer: PeerId,
    /// Place in the rendezvous' list, the lower the better; peers from gossip come after.
    rank: u16,
    failures: u8,
    not_before: Instant,
}

/// The passive view and the dials under way.
#[derive(Debug, Default)]
pub(super) struct Links {
    /// By id. They are many and mostly lie there: as dense as can be.
    known: Vec<Known>,
    dialing: BTreeMap<PeerId, Instant>,
    banned: BTreeSet<PeerId>,
    /// Those that the owner has sent away, for as long as the rendezvous does not name them again.
    away: BTreeSet<PeerId>,
}

impl Links {
    /// The rendezvous names peers, best first.
    pub(super) fn hint(&mut self, me: PeerId, hints: &[PeerHint]) {
        for (rank, hint) in (0_u16..).zip(hints.iter().take(64)) {
            self.away.remove(&hint.peer);
            self.learn(me, hint.peer, rank);
        }
    }

    /// A neighbour or the rendezvous names a peer.
    pub(super) fn learn(&mut self, me: PeerId, peer: PeerId, rank: u16) {
        if peer == me || self.banned(&peer) {
            return;
        }
        if let Some(known) = self.find(&peer) {
            return known.rank = rank;
        }
        if self.known.len() >= KNOWN_MAX {
            // The least useful one goes: often failed, low in the list.
            let worst = |at: &usize| {
                let known = &self.known[*at];
                (known.failures, known.rank, known.peer)
            };
            if let Some(at) = (0..self.known.len()).max_by_key(worst) {
                self.known.remove(at);
            }
        }
        let at = self.known.partition_point(|known| known.peer < peer);
        self.known.insert(at, Known { peer, rank, failures: 0, not_before: Instant::ZERO });
    }

    fn find(&mut self, peer: &PeerId) -> Option<&mut Known> {
        let at = self.known.binary_search_by_key(peer, |known| known.peer).ok()?;
        self.known.get_mut(at)
    }

    fn forget(&mut self, peer: &PeerId) {
        if let Ok(at) = self.known.binary_search_by_key(peer, |known| known.peer) {
            self.known.remove(at);
        }
    }

    /// The rendezvous says that a peer has left.
    pub(super) fn gone(&mut self, peer: PeerId) {
        self.forget(&peer);
    }

    pub(super) fn ban(&mut self, peer: PeerId) {
        self.forget(&peer);
        self.dialing.remove(&peer);
        if self.banned.len() < BANNED_MAX {
            self.banned.insert(peer);
        }
    }

    pub(super) fn banned(&self, peer: &PeerId) -> bool {
        self.banned.contains(peer) || self.away.contains(peer)
    }

    /// The owner has sent a peer away; whether it was being dialled.
    pub(super) fn send_away(&mut self, peer: PeerId) -> bool {
        self.forget(&peer);
        if self.away.len() < BANNED_MAX {
            self.away.insert(peer);
        }
        self.dialing.remove(&peer).is_some()
    }

    /// Some known peers, for a neighbour that asks around.
    pub(super) fn sample(&self, count: usize, rng: &mut Rng) -> Vec<PeerId> {
        let mut all: Vec<PeerId> = self.known.iter().map(|known| known.peer).collect();
        rng.shuffle(&mut all);
        all.truncate(count);
        all
    }

    /// A link to the peer is up.
    pub(super) fn connected(&mut self, peer: PeerId) {
        self.dialing.remove(&peer);
    }

    /// The link has proven useful: earlier failures are forgiven.
    pub(super) fn proven(&mut self, me: PeerId, peer: PeerId) {
        if self.find(&peer).is_none() {
            self.learn(me, peer, u16::MAX);
        }
        if let Some(known) = self.find(&peer) {
            known.failures = 0;
        }
    }

    /// A dial failed, a link was refused or lost: not again at once.
    pub(super) fn failed(&mut self, peer: PeerId, now: Instant, rng: &mut Rng) {
        self.dialing.remove(&peer);
        let Some(known) = self.find(&peer) else { return };
        let pause = (PAUSE_MIN * 2_u32.pow(u32::from(known.failures.min(5)))).min(PAUSE_MAX);
        // Half of it at random, so that peers refused together do not return together.
        let spread = rng.below(pause.as_millis() as u32 / 2 + 1);
        known.failures = known.failures.saturating_add(1);
        known.not_before = now + pause / 2 + Duration::from_millis(u64::from(spread));
    }

    /// Who was refused may find a place now: earlier failures are forgiven, and the pauses after
    /// them end within the shortest.
    pub(super) fn forgive(&mut self, now: Instant, rng: &mut Rng) {
        for known in self.known.iter_mut().filter(|known| known.not_before > now) {
            let spread = rng.below(PAUSE_MIN.as_millis() as u32);
            let soon = now + Duration::from_millis(u64::from(spread));
            (known.failures, known.not_before) = (0, known.not_before.min(soon));
        }
    }

    /// Dials that were given up.
    pub(super) fn expire(&mut self, now: Instant, rng: &mut Rng) -> Vec<PeerId> {
        let overdue = |since: &Instant| *since + DIAL_MAX <= now;
        let gone: Vec<PeerId> =
            self.dialing.iter().filter(|(_, since)| overdue(since)).map(|(id, _)| *id).collect();
        for peer in &gone {
            self.failed(*peer, now, rng);
        }
        gone
    }

    pub(super) fn dialing(&self) -> usize {
        self.dialing.len()
    }

    /// The next peer to dial: the best of the list every other time, else one at random, so that
    /// the mesh has long links and no single list decides it.
    pub(super) fn next(
        &mut self,
        linked: impl Fn(&PeerId) -> bool,
        now: Instant,
        rng: &mut Rng,
    ) -> Option<PeerId> {
        let mut ready: Vec<(u16, PeerId)> = self
            .known
            .iter()
            .filter(|known| {
                let id = &known.peer;
                known.not_before <= now && !self.dialing.contains_key(id) && !linked(id)
            })
            .map(|known| (known.rank, known.peer))
            .collect();
        ready.sort_unstable();
        let at = if rng.below(2) == 0 { 0 } else { rng.below(ready.len() as u32) as usize };
        let (_, peer) = *ready.get(at)?;
        self.dialing.insert(peer, now);
        Some(peer)
    }
}
