//! [`Roll`]: something about each of many peers, of whom few are met again and again.

use crate::id::PeerId;

/// So many of the first are not moved any further: as many as one line of a cache holds.
const FRONT: usize = 8;

/// A map by peer. Who is met often comes to stand in front and is found at once; nothing else
/// depends on the order.
#[derive(Debug, Clone)]
pub(super) struct Roll<V> {
    heads: Vec<u64>,
    entries: Vec<(PeerId, V)>,
}

impl<V> Default for Roll<V> {
    fn default() -> Self {
        Self { heads: Vec::new(), entries: Vec::new() }
    }
}

impl<V> Roll<V> {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    fn place(&self, peer: &PeerId) -> Option<usize> {
        let wanted = peer.head();
        let mut found = self.heads.iter().enumerate().filter(|(_, head)| **head == wanted);
        found.find(|(at, _)| self.entries[*at].0 == *peer).map(|(at, _)| at)
    }

    pub(super) fn get(&self, peer: &PeerId) -> Option<&V> {
        Some(&self.entries[self.place(peer)?].1)
    }

    /// Meets a peer; `None` if it was never entered.
    pub(super) fn meet(&mut self, peer: &PeerId) -> Option<&mut V> {
        let mut at = self.place(peer)?;
        if at >= FRONT {
            self.heads.swap(at, at / 2);
            self.entries.swap(at, at / 2);
            at /= 2;
        }
        Some(&mut self.entries[at].1)
    }

    /// Enters a peer that is not there.
    pub(super) fn enter(&mut self, peer: PeerId, value: V) -> &mut V {
        debug_assert!(self.place(&peer).is_none());
        self.heads.push(peer.head());
        self.entries.push((peer, value));
        let last = self.entries.len() - 1;
        &mut self.entries[last].1
    }

    pub(super) fn remove(&mut self, peer: &PeerId) {
        if let Some(at) = self.place(peer) {
            self.heads.swap_remove(at);
            self.entries.swap_remove(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(n: u16) -> PeerId {
        let mut bytes = [0; 32];
        bytes[7] = n as u8 % 4;
        bytes[30..].copy_from_slice(&n.to_be_bytes());
        PeerId::from_bytes(bytes)
    }

    #[test]
    fn everybody_is_found_however_often_others_are_met() {
        let mut roll = Roll::default();
        for n in 0..500 {
            roll.enter(peer(n), n);
        }
        // Heads that many share; some are met, some leave.
        for n in (0..500).chain([77; 9]).chain([490; 9]) {
            assert_eq!(roll.meet(&peer(n)), Some(&mut n.clone()));
        }
        for n in (0..500).step_by(3) {
            roll.remove(&peer(n));
            roll.remove(&peer(n));
        }
        assert_eq!(roll.len(), 333);
        for n in 0..500 {
            assert_eq!(roll.get(&peer(n)), Some(&n).filter(|n| **n % 3 != 0));
        }
        assert!(roll.meet(&peer(501)).is_none());
        assert!(roll.entries[..FRONT].iter().any(|(_, n)| *n == 77 || *n == 490));
    }
}
