//! The rendezvous of the simulated world: the rules of `beacon-signal`, without its sockets.

use crate::draw::Draw;
use beacon_sdk::PeerId;
use beacon_sdk::plugin::{PeerHint, Report};
use beacon_sdk::signaling::hints;
use std::collections::BTreeMap;

/// Who is there and how they say they do.
#[derive(Debug)]
pub(super) struct Tracker {
    members: BTreeMap<PeerId, PeerHint>,
    /// In order of preference as of the last round; later ones appended.
    ranking: Vec<PeerId>,
    origin: PeerId,
    draw: Draw,
}

impl Tracker {
    pub(super) fn new(origin: PeerId, draw: Draw) -> Self {
        let members = BTreeMap::from([(origin, hints::newcomer(origin, true))]);
        Self { members, ranking: vec![origin], origin, draw }
    }

    pub(super) fn enter(&mut self, peer: PeerId) {
        self.members.insert(peer, hints::newcomer(peer, false));
        self.ranking.push(peer);
    }

    pub(super) fn leave(&mut self, peer: &PeerId) {
        self.members.remove(peer);
    }

    /// Who is told at once of those that leave.
    pub(super) fn audience(&self) -> Vec<PeerId> {
        let small = self.members.len() <= hints::TOLD_MAX;
        self.members.keys().filter(|_| small).copied().collect()
    }

    pub(super) fn report(&mut self, peer: PeerId, report: &Report) {
        let origin = peer == self.origin;
        if let Some(hint) = self.members.get_mut(&peer) {
            *hint = hints::reported(peer, origin, report);
        }
    }

    /// Orders everybody anew: once a second, as the server does.
    pub(super) fn rank(&mut self) {
        let mut all: Vec<&PeerHint> = self.members.values().collect();
        all.sort_by_cached_key(|hint| hints::preference(hint));
        self.ranking = all.into_iter().map(|hint| hint.peer).collect();
    }

    /// What a peer is told.
    pub(super) fn hints(&mut self, own: &PeerId) -> Vec<PeerHint> {
        // Looking up the own place would cost a walk over everybody.
        let chosen = hints::choose(self.ranking.len(), None, self.draw.rng());
        let known = chosen.into_iter().filter_map(|at| self.members.get(&self.ranking[at]));
        let mut told: Vec<PeerHint> = known.filter(|hint| hint.peer != *own).cloned().collect();
        told.sort_by_key(hints::preference);
        told
    }
}
