//! [`CreditLedger`]: receipts inside the engine.

use crate::id::Id;
use crate::receipt::{CUM_BYTES_MAX, ForkProof, Receipt, Relation, SignedEdge};
use beacon_sdk::plugin::{ReceiptError, Standing, Transfer};
use beacon_sdk::{Identity, Instant, Ledger, PeerId, PublicKey};
use bytes::Bytes;
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Neighbours that are counted at most (10 MB); transfers with further ones go uncounted, and those are
/// served as newcomers are.
pub const NEIGHBOURS_MAX: usize = 65_536;
/// Edges over which this peer uploads that are kept at most; the oldest go first.
pub const UPLOADS_MAX: usize = 4096;
/// Proven forks that are kept at most.
pub const FORKS_MAX: usize = 64;
/// How far another's clock may be behind or ahead.
const SKEW: Duration = Duration::from_secs(90);
/// Every receipt pays for a quarter more than it counts: what is lost on the way, or comes twice, was
/// sent all the same. (Guess: twice the duplicates and losses that the laboratory's plans show.)
const SPOILAGE_SHARE: u64 = 4;

/// What a [`CreditLedger`] goes by.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CreditConfig {
    /// Whose edges count: the tracker's key. None: whoever the rendezvous names, and until it does nothing is
    /// signed, kept or held against anybody.
    pub issuer: Option<PublicKey>,
    /// Drawn at random for each run of the program; see [`crate::Edge::session`].
    pub session: u64,
    /// A receipt is due after so many verified bytes. Default: 256 KiB.
    pub step_bytes: u64,
    /// And after so long, if there is anything to sign for. Default: 1 s.
    pub interval: Duration,
    /// Bytes that a neighbour may have before its first receipt, when capacity is scarce. Default: 2 MiB,
    /// four seconds of 4 Mbit/s (guess).
    pub newcomer_bytes: u64,
    /// Bytes that it may be ahead of its receipts afterwards: what it can cheat this peer of. Default: 1 MiB,
    /// two seconds of 4 Mbit/s, and more than one step and an interval's worth.
    pub window_bytes: u64,
}

impl CreditConfig {
    /// The defaults, for edges of `issuer`; `None` for the rendezvous's.
    #[must_use]
    pub fn new(issuer: impl Into<Option<PublicKey>>, session: u64) -> Self {
        Self {
            issuer: issuer.into(),
            session,
            step_bytes: 256 * 1024,
            interval: Duration::from_secs(1),
            newcomer_bytes: 2 * 1024 * 1024,
            window_bytes: 1024 * 1024,
        }
    }
}

/// Signs for what it receives, and serves who signs.
///
/// - **As downloader** it signs a cumulative receipt over the tracker's edge every
///   [`step_bytes`](CreditConfig::step_bytes) or [`interval`](CreditConfig::interval), over verified bytes alone, and for
///   the rest when it [leaves](Ledger::finish). So it loses nothing to a cheat: what it has not verified it has not signed for.
/// - **As uploader** it keeps the newest receipt per edge, to be [claimed](CreditLedger::poll_claim), and serves a
///   neighbour under scarcity while that is not further ahead of its receipts than the window, and what
///   it has given itself, allow. So it loses at most [`window_bytes`](CreditConfig::window_bytes) and a fifth per neighbour.
/// - A neighbour that forks its receipts is served no more; the proof is [kept](CreditLedger::forks), and claimed as
///   receipts are: whoever issued the edge takes from the culprit what it may not spend yet.
///
/// Deterministic: no clock, no randomness, whole numbers.
#[derive(Debug)]
pub struct CreditLedger {
    identity: Identity,
    config: CreditConfig,
    /// Whose edges count.
    issuer: Option<PublicKey>,
    neighbours: BTreeMap<PeerId, Neighbour>,
    /// Those to whom a receipt may be due.
    unsigned: BTreeSet<PeerId>,
    uploads: BTreeMap<Id, Receipt>,
    /// Edges with a receipt that has not been claimed.
    unclaimed: BTreeSet<Id>,
    forks: VecDeque<ForkProof>,
    /// Those of them that have not been claimed: the first against each culprit.
    unshown: VecDeque<ForkProof>,
    /// Bytes that neighbours have signed for.
    acknowledged: u64,
    /// Receipts wait for nothing any more.
    finished: bool,
}

#[derive(Debug, Default)]
struct Neighbour {
    /// Received less sent.
    balance: i64,
    /// Sent, and not signed for.
    unpaid: u64,
    /// It has signed a receipt.
    paying: bool,
    /// It has signed two histories.
    forked: bool,
    /// Verified, and not signed for by this peer.
    owed: u64,
    /// Since when something is owed.
    since: Instant,
    /// The edge over which this peer downloads from it.
    edge: Option<SignedEdge>,
    last: Option<Receipt>,
}

impl CreditLedger {
    /// A ledger of the peer with this identity.
    #[must_use]
    pub const fn new(identity: Identity, config: CreditConfig) -> Self {
        Self {
            identity,
            issuer: config.issuer,
            config,
            neighbours: BTreeMap::new(),
            unsigned: BTreeSet::new(),
            uploads: BTreeMap::new(),
            unclaimed: BTreeSet::new(),
            forks: VecDeque::new(),
            unshown: VecDeque::new(),
            acknowledged: 0,
            finished: false,
        }
    }

    /// Proofs against neighbours that signed two histories, the newest last.
    pub fn forks(&self) -> impl Iterator<Item = &ForkProof> {
        self.forks.iter()
    }

    /// The entry of a peer, made if there is room.
    fn neighbour(&mut self, peer: PeerId) -> Option<&mut Neighbour> {
        if self.neighbours.len() >= NEIGHBOURS_MAX && !self.neighbours.contains_key(&peer) {
            return None;
        }
        Some(self.neighbours.entry(peer).or_default())
    }

    fn check_edge(&self, now: Instant, edge: &SignedEdge) -> Result<(), ReceiptError> {
        if expired(now, edge) {
            return Err(ReceiptError("its edge has expired"));
        }
        let issuer = self.issuer.ok_or(ReceiptError("nobody has said whose edges count"))?;
        edge.verify(&issuer).map_err(|_| ReceiptError("its edge is not the issuer's"))
    }

    /// Signs what is owed to a neighbour, if it is time.
    fn sign(&mut self, now: Instant, peer: PeerId) -> Option<Receipt> {
        let neighbour = self.neighbours.get_mut(&peer)?;
        let edge = neighbour.edge.filter(|edge| !expired(now, edge))?;
        let due = self.finished
            || neighbour.owed >= self.config.step_bytes
            || now.since(neighbour.since) >= self.config.interval;
        if neighbour.owed == 0 || !due {
            return None;
        }
        let before = neighbour.last.as_ref().map_or(0, |last| last.cum_bytes);
        if before == CUM_BYTES_MAX {
            return None;
        }
        let cum = before.saturating_add(neighbour.owed);
        let at_ms = now.as_micros() / 1000;
        let last = neighbour.last.as_ref();
        let receipt = Receipt::sign(&self.identity, &edge, last, cum, at_ms)?;
        neighbour.owed = 0;
        neighbour.last = Some(receipt.clone());
        self.unsigned.remove(&peer);
        Some(receipt)
    }

    /// Keeps a proof; the first against each culprit is shown to the issuer too.
    fn convict(&mut self, proof: Option<ForkProof>) {
        let Some(proof) = proof else { return };
        if self.forks.iter().all(|known| known.culprit() != proof.culprit()) {
            self.unshown.truncate(FORKS_MAX - 1);
            self.unshown.push_back(proof.clone());
        }
        if self.forks.len() == FORKS_MAX {
            self.forks.pop_front();
        }
        self.forks.push_back(proof);
    }

    /// Keeps a verified receipt of a downloader if it is newer; what it newly pays for, if so.
    fn keep(&mut self, receipt: Receipt) -> Result<Option<u64>, ReceiptError> {
        let id = receipt.edge.edge.id;
        let known = match self.uploads.get(&id) {
            None => 0,
            Some(held) => match receipt.compare(held) {
                Relation::Newer => held.cum_bytes,
                Relation::Known => return Ok(None),
                Relation::Foreign => return Err(ReceiptError("its edge has another's name")),
                Relation::Fork => {
                    self.convict(ForkProof::new(held.clone(), receipt));
                    return Err(ReceiptError("it contradicts an earlier one"));
                }
            },
        };
        let more = receipt.cum_bytes - known;
        self.acknowledged = self.acknowledged.saturating_add(more);
        self.uploads.insert(id, receipt);
        self.unclaimed.insert(id);
        if self.uploads.len() > UPLOADS_MAX
            && let Some((oldest, _)) = self.uploads.pop_first()
        {
            self.unclaimed.remove(&oldest);
        }
        Ok(Some(more))
    }
}

/// Past its time, by a clock that may be ahead.
fn expired(now: Instant, edge: &SignedEdge) -> bool {
    let end = edge.edge.expires_ms.saturating_mul(1000);
    now > Instant::from_micros(end) + SKEW
}

impl Ledger for CreditLedger {
    fn record(&mut self, now: Instant, transfer: Transfer) {
        let Some(neighbour) = self.neighbour(transfer.peer) else { return };
        neighbour.balance = neighbour
            .balance
            .saturating_add(i64::from(transfer.received))
            .saturating_sub(i64::from(transfer.sent));
        neighbour.unpaid = neighbour.unpaid.saturating_add(u64::from(transfer.sent));
        if transfer.received > 0 {
            if neighbour.owed == 0 {
                neighbour.since = now;
            }
            neighbour.owed = neighbour.owed.saturating_add(u64::from(transfer.received));
            if neighbour.edge.is_some() {
                self.unsigned.insert(transfer.peer);
            }
        }
    }

    fn standing(&self, peer: PeerId) -> Standing {
        let Some(neighbour) = self.neighbours.get(&peer) else {
            if self.issuer.is_none() {
                return Standing { balance: 0, served: true };
            }
            return Standing { balance: 0, served: self.config.newcomer_bytes > 0 };
        };
        let leave =
            if neighbour.paying { self.config.window_bytes } else { self.config.newcomer_bytes };
        // Who has given this peer bytes may take as many without a signature.
        let given = u64::try_from(neighbour.balance).unwrap_or(0);
        let pays = self.issuer.is_none() || neighbour.unpaid < leave.saturating_add(given);
        let served = !neighbour.forked && pays;
        Standing { balance: neighbour.balance, served }
    }

    fn accept_issuer(&mut self, issuer: PublicKey) {
        // One that the application names stays.
        self.issuer = self.config.issuer.or(Some(issuer));
    }

    fn accept_edge(&mut self, now: Instant, edge: &[u8]) -> Result<(), ReceiptError> {
        let edge = SignedEdge::decode(edge).map_err(|_| ReceiptError("not an edge"))?;
        self.check_edge(now, &edge)?;
        if edge.edge.downloader != self.identity.public() {
            return Err(ReceiptError("an edge of another downloader"));
        }
        if edge.edge.session != self.config.session {
            return Err(ReceiptError("an edge of an earlier session"));
        }
        let uploader = edge.edge.uploader;
        let Some(neighbour) = self.neighbour(uploader) else { return Ok(()) };
        // What an older edge counted stays counted there, and an older edge changes nothing.
        if neighbour.edge.is_none_or(|known| known.edge.id < edge.edge.id) {
            neighbour.edge = Some(edge);
            neighbour.last = None;
            if neighbour.owed > 0 {
                self.unsigned.insert(uploader);
            }
        }
        Ok(())
    }

    fn poll_receipt(&mut self, now: Instant) -> Option<(PeerId, Bytes)> {
        let candidates: Vec<PeerId> = self.unsigned.iter().copied().collect();
        candidates.into_iter().find_map(|peer| {
            let receipt = self.sign(now, peer)?;
            Some((peer, Bytes::from(receipt.encode())))
        })
    }

    fn finish(&mut self) {
        self.finished = true;
    }

    fn accept_receipt(
        &mut self,
        now: Instant,
        from: PeerId,
        receipt: &[u8],
    ) -> Result<(), ReceiptError> {
        let receipt = Receipt::decode(receipt).map_err(|_| ReceiptError("not a receipt"))?;
        let edge = receipt.edge.edge;
        if edge.uploader != self.identity.public() || edge.downloader != from {
            return Err(ReceiptError("of another edge than that between these two"));
        }
        if self.issuer.is_none() {
            // The neighbour knows a tracker that this peer does not: nothing to gain, and no offence.
            return Ok(());
        }
        if self.uploads.get(&edge.id).is_none_or(|held| held.edge != receipt.edge) {
            self.check_edge(now, &receipt.edge)?;
        } else if expired(now, &receipt.edge) {
            return Err(ReceiptError("its edge has expired"));
        }
        receipt.verify_downloader().map_err(|_| ReceiptError("not signed by its downloader"))?;
        let more = self.keep(receipt);
        let forked = self.forks.back().is_some_and(|fork| fork.culprit() == from);
        let Some(neighbour) = self.neighbour(from) else { return more.map(|_| ()) };
        match more {
            Ok(Some(bytes)) => {
                neighbour.paying = true;
                let forgiven = bytes.saturating_add(bytes / SPOILAGE_SHARE);
                neighbour.unpaid = neighbour.unpaid.saturating_sub(forgiven);
                Ok(())
            }
            Ok(None) => Ok(()),
            Err(error) => {
                neighbour.forked |= forked;
                Err(error)
            }
        }
    }

    fn poll_claim(&mut self) -> Option<Bytes> {
        if let Some(proof) = self.unshown.pop_front() {
            return Some(Bytes::from(proof.encode()));
        }
        let id = self.unclaimed.pop_first()?;
        self.uploads.get(&id).map(|receipt| Bytes::from(receipt.encode()))
    }

    fn acknowledged(&self) -> u64 {
        self.acknowledged
    }
}
