//! Edges: who is to take a broadcast from whom. A pair comes about when this server has named one to the
//! other and set-up signals pass between them; then each is given leave to pay the other.

use beacon_ledger::{Edge, Id, SignedEdge};
use beacon_sdk::plugin::EDGE_BYTES_MAX;
use beacon_sdk::signaling::{EdgeData, ServerMessage};
use beacon_sdk::{BroadcastId, Identity, PeerId};
use std::collections::{BTreeMap, BTreeSet};

/// How long an edge holds.
const EDGE_MS: u64 = 3_600_000;
/// A receipt over an edge that ends within this is answered with a new edge.
const RENEW_MS: u64 = 600_000;
/// Peers named to one that are remembered at least; twice as many at most.
const NAMED_MIN: usize = 128;
/// Edges of one downloader that are remembered at most; a forgotten one may be issued anew.
const ISSUED_MAX: usize = 512;

const _: () = assert!(beacon_ledger::receipt::EDGE_LEN <= EDGE_BYTES_MAX);

/// What a member of a room was told, as a downloader.
#[derive(Debug, Default)]
pub(crate) struct Edges {
    /// Whom it was told of: lately, and before.
    named: [BTreeSet<PeerId>; 2],
    /// When its edges end, by uploader.
    issued: BTreeMap<PeerId, u64>,
}

impl Edges {
    /// Takes note that the member was told of a peer.
    pub(crate) fn name(&mut self, peer: PeerId) {
        self.named[0].insert(peer);
        if self.named[0].len() > NAMED_MIN {
            self.named.swap(0, 1);
            self.named[0].clear();
        }
    }

    /// Whether the member was told of a peer.
    pub(crate) fn knows(&self, peer: PeerId) -> bool {
        self.named.iter().any(|named| named.contains(&peer))
    }

    /// The edge by which the member, as `downloader` in its `session`, takes a broadcast from `uploader`, if one
    /// is due.
    pub(crate) fn issue(
        &mut self,
        issuer: &Identity,
        now_ms: u64,
        broadcast: BroadcastId,
        (downloader, session): (PeerId, u64),
        uploader: PeerId,
    ) -> Option<ServerMessage> {
        if !self.due(now_ms, uploader) {
            return None;
        }
        let edge = issue(issuer, now_ms, broadcast, (downloader, session), uploader)?;
        Some(ServerMessage::Edges { edges: vec![edge] })
    }

    /// Whether an edge from `uploader` is due, and takes note that it is issued then.
    fn due(&mut self, now_ms: u64, uploader: PeerId) -> bool {
        let holds = |end: &u64| end.saturating_sub(now_ms) > RENEW_MS;
        if self.issued.get(&uploader).is_some_and(holds) {
            return false;
        }
        self.issued.retain(|_, end| *end > now_ms);
        if self.issued.len() >= ISSUED_MAX {
            self.issued.pop_first();
        }
        self.issued.insert(uploader, now_ms + EDGE_MS);
        true
    }

    /// Another broadcast: edges of the last one pay nothing in it.
    pub(crate) fn forget_issued(&mut self) {
        self.issued.clear();
    }
}

/// Whether an edge that is still in use should be followed by another.
pub(crate) fn ends_soon(now_ms: u64, edge: &SignedEdge) -> bool {
    edge.edge.expires_ms.saturating_sub(now_ms) <= RENEW_MS
}

/// The edge by which `downloader` takes a broadcast from `uploader` from now on.
fn issue(
    issuer: &Identity,
    now_ms: u64,
    broadcast: BroadcastId,
    (downloader, session): (PeerId, u64),
    uploader: PeerId,
) -> Option<EdgeData> {
    // The same pair in the same millisecond has the same edge, whichever server issues it.
    let parts: [&[u8]; 4] = [
        uploader.as_bytes(),
        downloader.as_bytes(),
        &session.to_be_bytes(),
        &broadcast.epoch.to_be_bytes(),
    ];
    let id = Id::derived(now_ms, &parts);
    let edge = Edge { id, broadcast, uploader, downloader, session, expires_ms: now_ms + EDGE_MS };
    EdgeData::new(edge.sign(issuer).encode().into())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn peer(number: u16) -> PeerId {
        let mut bytes = [0; 32];
        bytes[..2].copy_from_slice(&number.to_be_bytes());
        PeerId::from_bytes(bytes)
    }

    #[test]
    fn an_edge_is_issued_once_and_again_near_its_end() {
        let mut edges = Edges::default();
        assert!(edges.due(1_000, peer(1)));
        assert!(!edges.due(2_000, peer(1)) && edges.due(2_000, peer(2)));
        assert!(edges.due(1_000 + EDGE_MS - RENEW_MS, peer(1)));
        edges.forget_issued();
        assert!(edges.due(3_000, peer(2)));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut edges = Edges::default();
        for number in 0..2000 {
            edges.name(peer(number));
            edges.due(5, peer(number));
        }
        assert!(edges.knows(peer(1999)) && edges.knows(peer(1999 - NAMED_MIN as u16 + 1)));
        assert!(!edges.knows(peer(1)));
        assert!(edges.named.iter().map(BTreeSet::len).sum::<usize>() <= 2 * NAMED_MIN + 1);
        assert_eq!(edges.issued.len(), ISSUED_MAX);
    }
}
