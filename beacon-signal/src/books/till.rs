//! What waits to be written into the accounts.

use beacon_ledger::economy::Prefix;
use beacon_ledger::{ForkProof, Id, Receipt};
use beacon_sdk::{PeerId, PublicKey};
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Receipts that wait at most (40 MB); later ones are passed over, which the next of their edge makes good.
const CLAIMS_MAX: usize = 65_536;
/// Receipts of one uploader that wait at most: twice the links that a peer can have.
const CLAIMS_OF_ONE_MAX: usize = 512;
/// Publishers that wait at most, and proofs of forks.
const GRANTS_MAX: usize = 4096;
/// Errands that are taken at once.
const TAKE_MAX: usize = 1024;

/// Something to be written.
#[derive(Clone, Debug)]
pub(crate) enum Errand {
    /// A publisher is new here.
    Grant(PublicKey),
    /// An uploader shows a receipt. Its signatures have not been looked at.
    Claim { receipt: Box<Receipt>, prefix: Option<Prefix> },
    /// Somebody shows that two histories were signed. Its signatures have not been looked at.
    Fork(Box<ForkProof>),
}

/// Of each edge the newest receipt alone: older ones count for nothing any more.
#[derive(Debug, Default)]
pub(crate) struct Till {
    waiting: Mutex<Waiting>,
    came: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    grants: BTreeSet<PublicKey>,
    /// By uploader first: nobody can put a receipt in the place of another's.
    claims: BTreeMap<(PeerId, Id), (Box<Receipt>, Option<Prefix>)>,
    /// By what it shows, whole: a forged proof does not keep a true one out.
    forks: BTreeMap<Vec<u8>, Box<ForkProof>>,
}

impl Till {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // No statement on it can panic half-way.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in, or takes back, what is to be done; whether there was room.
    pub(crate) fn put(&self, errand: Errand) -> bool {
        let mut waiting = self.waiting();
        let taken = match errand {
            Errand::Grant(publisher) => {
                waiting.grants.len() < GRANTS_MAX && {
                    waiting.grants.insert(publisher);
                    true
                }
            }
            Errand::Claim { receipt, prefix } => waiting.claim(receipt, prefix),
            Errand::Fork(proof) => {
                waiting.forks.len() < GRANTS_MAX && {
                    waiting.forks.insert(proof.encode(), proof);
                    true
                }
            }
        };
        drop(waiting);
        self.came.notify_one();
        taken
    }

    /// Up to a thousand of what waits, grants first: they are what the claims are paid from.
    pub(crate) fn take(&self) -> Vec<Errand> {
        let mut waiting = self.waiting();
        let mut taken: Vec<Errand> = Vec::new();
        while taken.len() < TAKE_MAX {
            if let Some(publisher) = waiting.grants.pop_first() {
                taken.push(Errand::Grant(publisher));
            } else if taken.iter().any(|errand| matches!(errand, Errand::Grant(_))) {
                break;
            } else if let Some((_, proof)) = waiting.forks.pop_first() {
                taken.push(Errand::Fork(proof));
            } else if let Some((_, (receipt, prefix))) = waiting.claims.pop_first() {
                taken.push(Errand::Claim { receipt, prefix });
            } else {
                break;
            }
        }
        taken
    }

    /// How much waits.
    pub(crate) fn len(&self) -> usize {
        let waiting = self.waiting();
        waiting.grants.len() + waiting.forks.len() + waiting.claims.len()
    }

    /// Completes when something waits.
    pub(crate) async fn filled(&self) {
        while self.len() == 0 {
            self.came.notified().await;
        }
    }
}

impl Waiting {
    fn claim(&mut self, receipt: Box<Receipt>, prefix: Option<Prefix>) -> bool {
        let (uploader, id) = (receipt.edge.edge.uploader, receipt.edge.edge.id);
        let (first, last) = (Id::from_bytes([0; 16]), Id::from_bytes([255; 16]));
        let full = self.claims.len() >= CLAIMS_MAX
            || self.claims.range((uploader, first)..=(uploader, last)).count() >= CLAIMS_OF_ONE_MAX;
        match self.claims.entry((uploader, id)) {
            Entry::Occupied(mut held) => {
                // One that is taken back may have been overtaken.
                if held.get().0.seq < receipt.seq {
                    held.insert((receipt, prefix));
                }
                true
            }
            Entry::Vacant(_) if full => false,
            Entry::Vacant(place) => {
                place.insert((receipt, prefix));
                true
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use beacon_ledger::Edge;
    use beacon_sdk::{BroadcastId, Identity};

    fn who(number: u8) -> Identity {
        Identity::from_secret([number; 32])
    }

    fn receipts(uploader: u8, edge: u64) -> [Receipt; 2] {
        let edge = Edge {
            id: Id::new(edge, [0; 10]),
            broadcast: BroadcastId { publisher: who(2).public(), epoch: 1 },
            uploader: who(uploader).public(),
            downloader: who(9).public(),
            session: 1,
            expires_ms: u64::MAX,
        };
        let edge = edge.sign(&who(1));
        let first = Receipt::sign(&who(9), &edge, None, 10, 0).unwrap();
        let second = Receipt::sign(&who(9), &edge, Some(&first), 20, 0).unwrap();
        [first, second]
    }

    fn claim(receipt: &Receipt) -> Errand {
        Errand::Claim { receipt: Box::new(receipt.clone()), prefix: None }
    }

    #[test]
    fn the_newest_receipt_of_an_edge_waits_and_grants_come_first() {
        let till = Till::default();
        let [first, second] = receipts(3, 1);
        let other = Receipt::sign(&who(9), &first.edge, None, 11, 0).unwrap();
        let proof = Box::new(ForkProof::new(first.clone(), other).unwrap());
        assert!(till.put(Errand::Fork(proof.clone())) && till.put(Errand::Fork(proof)));
        assert!(matches!(till.take().as_slice(), [Errand::Fork(_)]), "the same proof once");
        for receipt in [&second, &first, &receipts(4, 1)[0]] {
            assert!(till.put(claim(receipt)));
        }
        assert!(till.put(Errand::Grant(who(2).public())));
        assert!(till.put(Errand::Grant(who(2).public())));
        assert_eq!(till.len(), 3);
        assert!(matches!(till.take().as_slice(), [Errand::Grant(_)]));
        let taken = till.take();
        assert_eq!(taken.len(), 2);
        let newest = |errand: &Errand| matches!(errand, Errand::Claim { receipt, .. } if **receipt == second);
        assert!(taken.iter().any(newest), "{taken:?}");
        assert!(till.take().is_empty());
    }

    #[test]
    fn one_uploader_fills_no_more_than_its_part() {
        let till = Till::default();
        let full = CLAIMS_OF_ONE_MAX as u64;
        for edge in 0..full {
            assert!(till.put(claim(&receipts(3, edge)[0])));
        }
        assert!(!till.put(claim(&receipts(3, full)[0])), "a place too many");
        assert!(till.put(claim(&receipts(3, 7)[1])), "a newer one in its own place");
        assert!(till.put(claim(&receipts(4, 0)[0])), "another's");
    }
}
