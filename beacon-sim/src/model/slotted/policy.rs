//! What a viewer sends to whom.

use super::{Mesh, Swarm};
use crate::model::sampling::{index, once_in};

/// What a viewer sends, and to which of those it knows. *Useful* is a chunk that the sender has
/// and the receiver lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// Any peer, the latest chunk of the sender, useful or not (rp/lb).
    BlindLatest,
    /// Any peer, the latest chunk that is useful to it (rp/lu).
    LatestUseful,
    /// Any peer, any chunk that is useful to it (rp/ru).
    RandomUseful,
    /// The latest chunk that some peer lacks, to any of those (lu/up).
    LatestChunkFirst,
    /// Any peer to which something is useful, the latest such chunk (up/lu).
    UsefulPeer,
    /// The peer to which the most is useful, the latest such chunk (dp/lu).
    Deprived,
    /// The peer whose own latest chunk is the oldest among those to which something is useful, the
    /// latest such chunk (ELp/lu).
    EarliestLatest,
}

impl Policy {
    pub(super) fn looks_at_latest(self) -> bool {
        self == Self::EarliestLatest
    }
}

/// The latest chunk of a mask, as a mask.
fn latest(chunks: u128) -> u128 {
    chunks & chunks.wrapping_neg()
}

impl Swarm<'_> {
    /// `sender` sends one copy, if its policy finds one to send.
    pub(super) fn send(&mut self, sender: usize) {
        if self.have[sender] == 0 {
            return;
        }
        let choice = match self.config.policy {
            Policy::BlindLatest => {
                self.any_peer(sender).map(|peer| (peer, latest(self.have[sender])))
            }
            Policy::LatestUseful => {
                self.any_peer(sender).map(|peer| (peer, latest(self.useful(sender, peer))))
            }
            Policy::RandomUseful => self.any_peer(sender).map(|peer| {
                let useful = self.useful(sender, peer);
                (peer, self.any_chunk(useful))
            }),
            Policy::LatestChunkFirst => self.latest_chunk_first(sender),
            Policy::UsefulPeer => self.one_of(sender, |useful| useful != 0),
            Policy::Deprived => self.most_deprived(sender),
            Policy::EarliestLatest => self.earliest_latest(sender),
        };
        if let Some((peer, chunk)) = choice.filter(|&(_, chunk)| chunk != 0) {
            self.receive(peer, chunk);
        }
    }

    /// Those whom `viewer` knows; in a full mesh, itself too, to which nothing is useful.
    fn peers(&self, viewer: usize) -> &[u32] {
        match self.config.mesh {
            Mesh::Full => &self.everyone,
            Mesh::Random(_) => &self.links[viewer],
        }
    }

    fn any_peer(&mut self, viewer: usize) -> Option<usize> {
        // The place of the viewer itself in a full mesh is taken by the last one.
        let full = self.config.mesh == Mesh::Full;
        let peers = self.peers(viewer).len() - usize::from(full);
        if peers == 0 {
            return None;
        }
        let at = index(&mut self.rng, peers);
        let at = if full && at == viewer { peers } else { at };
        Some(self.peers(viewer)[at] as usize)
    }

    /// The chunks of `sender` that `peer` wants and lacks, as far as `sender` can know.
    fn useful(&self, sender: usize, peer: usize) -> u128 {
        let incoming = self.incoming[peer];
        if sender == peer || self.config.one_download && incoming != 0 {
            return 0;
        }
        let known = if self.config.reserve { incoming } else { 0 };
        self.have[sender] & self.wanted[peer] & !(self.have[peer] | known)
    }

    fn any_chunk(&mut self, mut chunks: u128) -> u128 {
        for _ in 0..index(&mut self.rng, chunks.count_ones() as usize) {
            chunks &= chunks.wrapping_sub(1);
        }
        latest(chunks)
    }

    /// Any peer of which `fits` likes what is useful to it, and the latest chunk of that.
    fn one_of(&mut self, sender: usize, fits: impl Fn(u128) -> bool) -> Option<(usize, u128)> {
        let useful = |peer: &u32| self.useful(sender, *peer as usize);
        let count = self.peers(sender).iter().filter(|peer| fits(useful(peer))).count();
        let at = index(&mut self.rng, count);
        let useful = |peer: &u32| self.useful(sender, *peer as usize);
        let peer = self.peers(sender).iter().filter(|peer| fits(useful(peer))).nth(at)?;
        Some((*peer as usize, latest(useful(peer))))
    }

    fn latest_chunk_first(&mut self, sender: usize) -> Option<(usize, u128)> {
        let peers = self.peers(sender).iter();
        let lacked = peers.fold(0, |lacked, &peer| lacked | self.useful(sender, peer as usize));
        let chunk = latest(lacked);
        let (peer, _) = self.one_of(sender, |useful| useful & chunk != 0)?;
        Some((peer, chunk))
    }

    fn most_deprived(&mut self, sender: usize) -> Option<(usize, u128)> {
        let mut best = None;
        let (mut most, mut equals) = (0, 0);
        for at in 0..self.peers(sender).len() {
            let peer = self.peers(sender)[at] as usize;
            let useful = self.useful(sender, peer);
            let count = useful.count_ones();
            if count > most {
                (most, equals) = (count, 0);
            }
            if count > 0 && count == most {
                // Each of several equals is the last to be chosen with the same probability.
                equals += 1;
                if once_in(&mut self.rng, equals) {
                    best = Some((peer, latest(useful)));
                }
            }
        }
        best
    }

    fn earliest_latest(&mut self, sender: usize) -> Option<(usize, u128)> {
        let useful = |peer: u32| (peer as usize, latest(self.useful(sender, peer as usize)));
        if self.config.mesh != Mesh::Full {
            let found = self.links[sender].iter().map(|&peer| useful(peer));
            return found
                .filter(|&(_, chunk)| chunk != 0)
                .min_by_key(|&(peer, _)| self.place[peer]);
        }
        // What was useless to a sender with the same chunks is so now, as viewers only receive.
        let have = self.have[sender];
        let start = if self.scanned.0 == have { self.scanned.1 } else { 0 };
        let places = (start..).zip(&self.by_latest[start..]);
        let found =
            places.map(|(place, &peer)| (place, useful(peer))).find(|(_, (_, chunk))| *chunk != 0);
        self.scanned = (have, found.map_or(self.by_latest.len(), |(place, _)| place));
        found.map(|(_, choice)| choice)
    }
}
