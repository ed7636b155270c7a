//! [`OpenLedger`]: counts, and grants all.

use super::roll::Roll;
use crate::id::PeerId;
use crate::plugin::{Ledger, ReceiptError, Standing, Transfer};
use crate::time::Instant;
use bytes::Bytes;

/// Peers that are counted at most (3 MB); transfers with further ones go uncounted.
pub const COUNTED_PEERS_MAX: usize = 65_536;

/// Keeps balances, serves everybody, issues no receipts and knows none.
#[derive(Debug, Clone, Default)]
pub struct OpenLedger {
    balances: Roll<i64>,
}

impl Ledger for OpenLedger {
    fn record(&mut self, _now: Instant, transfer: Transfer) {
        let full = self.balances.len() >= COUNTED_PEERS_MAX;
        let balance = match self.balances.meet(&transfer.peer) {
            Some(balance) => balance,
            None if full => return,
            None => self.balances.enter(transfer.peer, 0),
        };
        *balance = balance
            .saturating_add(i64::from(transfer.received))
            .saturating_sub(i64::from(transfer.sent));
    }

    fn standing(&self, peer: PeerId) -> Standing {
        let balance = self.balances.get(&peer).copied().unwrap_or_default();
        Standing { balance, served: true }
    }

    fn poll_receipt(&mut self, _now: Instant) -> Option<(PeerId, Bytes)> {
        None
    }

    fn accept_receipt(
        &mut self,
        _now: Instant,
        _from: PeerId,
        _receipt: &[u8],
    ) -> Result<(), ReceiptError> {
        Err(ReceiptError("an open ledger keeps no receipts"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn balances_saturate() {
        let peer = PeerId::default();
        let mut ledger = OpenLedger::default();
        ledger.balances.enter(peer, i64::MAX - 1);
        ledger.record(Instant::ZERO, Transfer { peer, sent: 0, received: u32::MAX });
        assert_eq!(ledger.standing(peer).balance, i64::MAX);
        *ledger.balances.meet(&peer).expect("it was entered") = i64::MIN + 1;
        ledger.record(Instant::ZERO, Transfer { peer, sent: u32::MAX, received: 0 });
        assert_eq!(ledger.standing(peer).balance, i64::MIN);
    }
}
