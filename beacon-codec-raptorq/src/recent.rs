//! The few things used last.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// At most `MAX` shared items; to keep another lets go of the one not used for longest.
pub(crate) struct Recent<T, const MAX: usize>(Mutex<Vec<Arc<T>>>);

impl<T, const MAX: usize> Default for Recent<T, MAX> {
    fn default() -> Self {
        Self(Mutex::new(Vec::with_capacity(MAX)))
    }
}

impl<T, const MAX: usize> Recent<T, MAX> {
    /// The item that `is` wanted, now the newest.
    pub(crate) fn find(&self, is: impl Fn(&T) -> bool) -> Option<Arc<T>> {
        let mut items = self.lock();
        let at = items.iter().position(|item| is(item))?;
        items[at..].rotate_left(1);
        items.last().cloned()
    }

    /// Keeps `item` as the newest.
    pub(crate) fn keep(&self, item: T) -> Arc<T> {
        let item = Arc::new(item);
        let mut items = self.lock();
        if items.len() >= MAX {
            items.remove(0);
        }
        items.push(Arc::clone(&item));
        item
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    /// A list of whole items is sound whoever panicked beside it.
    fn lock(&self) -> MutexGuard<'_, Vec<Arc<T>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_not_used_for_longest_goes() {
        let recent = Recent::<u8, 2>::default();
        recent.keep(1);
        recent.keep(2);
        assert_eq!(recent.find(|n| *n == 1).as_deref(), Some(&1));
        recent.keep(3);
        assert_eq!(recent.len(), 2);
        assert!(recent.find(|n| *n == 2).is_none());
        assert!(recent.find(|n| *n == 1).is_some());
    }
}
