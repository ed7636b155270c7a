//! Whose turn it is to send: sets of neighbours that may have something waiting.

use crate::plugin::PeerKey;

/// Neighbours by key, as bits; as many words as the highest key needs.
#[derive(Debug, Default)]
pub(super) struct Turns(Vec<u64>);

impl Turns {
    pub(super) fn add(&mut self, key: PeerKey) {
        let (word, bit) = (usize::from(key.0 / 64), key.0 % 64);
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        self.0[word] |= 1 << bit;
    }

    pub(super) fn remove(&mut self, key: PeerKey) {
        if let Some(word) = self.0.get_mut(usize::from(key.0 / 64)) {
            *word &= !(1 << (key.0 % 64));
        }
    }

    /// The first from `from` on, and round.
    pub(super) fn next(&self, from: usize) -> Option<PeerKey> {
        let whole = self.0.get(from / 64).map(|word| word & u64::MAX << (from % 64));
        let rest = self.0.iter().copied().enumerate().skip(from / 64 + 1);
        let after = whole.into_iter().map(|word| (from / 64, word)).chain(rest);
        let all = self.0.iter().copied().enumerate();
        let (at, word) = after.chain(all).find(|(_, word)| *word != 0)?;
        // Keys are 16 bits wide.
        Some(PeerKey((at * 64) as u16 + word.trailing_zeros() as u16))
    }

    /// All of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = PeerKey> {
        (0_u16..).step_by(64).zip(&self.0).flat_map(|(base, &word)| {
            let mut left = word;
            core::iter::from_fn(move || {
                let bit = (left != 0).then(|| left.trailing_zeros() as u16)?;
                left &= left - 1;
                Some(PeerKey(base + bit))
            })
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_go_round() {
        let mut turns = Turns::default();
        assert_eq!(turns.next(0), None);
        [3, 64, 200].into_iter().for_each(|key| turns.add(PeerKey(key)));
        let next = |from| turns.next(from).map(|key| key.0);
        assert_eq!([0, 3, 4, 64, 65, 200].map(next), [3, 3, 64, 64, 200, 200].map(Some));
        assert_eq!([201, 255, 256, 100_000].map(next), [Some(3); 4]);
        assert!(turns.iter().map(|key| key.0).eq([3, 64, 200]));
        [3, 64, 200, 500].into_iter().for_each(|key| turns.remove(PeerKey(key)));
        assert!(turns.is_empty());
    }
}
