//! What is still to happen, in total order: by time, then by the order in which it was planned.
//!
//! Most of it happens within a second or two. A single heap over everything costs more per event
//! the more peers there are; so time is cut into slots, what falls into a later slot is thrown
//! onto its pile unsorted, and only the present slot is a heap.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

/// A slot is 2^19 ns (half a millisecond): with 10,000 peers the present one holds some thousand
/// entries.
const SLOT_BITS: u32 = 19;
/// Slots ahead: half a second. What is later waits in a heap of its own.
const SLOTS: u64 = 1 << 10;

/// A queue of things to come. Time is in nanoseconds.
///
/// Things lie in their slot's pile, one beside the other: they are read in the order of memory
/// when their slot comes, which a processor can foresee.
#[derive(Debug)]
pub(super) struct Agenda<T> {
    /// Of the present slot and before, by place in `here`.
    near: BinaryHeap<Reverse<Entry>>,
    here: Vec<Option<T>>,
    /// Slots after the present one, by number modulo [`SLOTS`].
    slots: Vec<Vec<Planned<T>>>,
    /// After those.
    far: BinaryHeap<Reverse<Planned<T>>>,
    /// The number of the present slot.
    slot: u64,
    /// Things in `slots`.
    piled: usize,
    serial: u64,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    at: u64,
    serial: u64,
    place: u32,
}

#[derive(Debug)]
struct Planned<T> {
    at: u64,
    serial: u64,
    thing: T,
}

impl<T> Ord for Planned<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at, self.serial).cmp(&(other.at, other.serial))
    }
}

impl<T> PartialOrd for Planned<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> PartialEq for Planned<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<T> Eq for Planned<T> {}

impl<T> Agenda<T> {
    pub(super) fn new() -> Self {
        Self {
            near: BinaryHeap::new(),
            here: Vec::new(),
            slots: (0..SLOTS).map(|_| Vec::new()).collect(),
            far: BinaryHeap::new(),
            slot: 0,
            piled: 0,
            serial: 0,
        }
    }

    pub(super) fn add(&mut self, at: u64, thing: T) {
        self.serial += 1;
        self.put(Planned { at, serial: self.serial, thing });
    }

    fn put(&mut self, planned: Planned<T>) {
        let slot = planned.at >> SLOT_BITS;
        if slot <= self.slot {
            self.put_here(planned);
        } else if slot < self.slot + SLOTS {
            self.slots[(slot % SLOTS) as usize].push(planned);
            self.piled += 1;
        } else {
            self.far.push(Reverse(planned));
        }
    }

    fn put_here(&mut self, planned: Planned<T>) {
        let Planned { at, serial, thing } = planned;
        self.near.push(Reverse(Entry { at, serial, place: self.here.len() as u32 }));
        self.here.push(Some(thing));
    }

    /// Goes to the next slot that has something, if there is one not after that of `until`.
    fn advance(&mut self, until: u64) -> bool {
        let last = until >> SLOT_BITS;
        while self.near.is_empty() {
            let far = self.far.peek().map_or(u64::MAX, |planned| planned.0.at >> SLOT_BITS);
            let next = if self.piled == 0 { far } else { self.slot + 1 };
            if next > last || next == u64::MAX {
                return false;
            }
            self.slot = next;
            self.here.clear();
            let mut pile = core::mem::take(&mut self.slots[(next % SLOTS) as usize]);
            self.piled -= pile.len();
            pile.drain(..).for_each(|planned| self.put_here(planned));
            self.slots[(next % SLOTS) as usize] = pile;
            while let Some(planned) = self.far.peek()
                && planned.0.at >> SLOT_BITS < next + SLOTS
                && let Some(Reverse(planned)) = self.far.pop()
            {
                self.put(planned);
            }
        }
        true
    }

    /// The next thing not later than `until`, with its time.
    pub(super) fn next(&mut self, until: u64) -> Option<(u64, T)> {
        if !self.advance(until) || self.near.peek()?.0.at > until {
            return None;
        }
        let Reverse(entry) = self.near.pop()?;
        Some((entry.at, self.here[entry.place as usize].take()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_is_by_time_then_by_planning() {
        let mut agenda = Agenda::new();
        for (at, name) in [(5, 'c'), (1, 'a'), (5, 'd'), (1, 'b'), (9, 'e')] {
            agenda.add(at, name);
        }
        let mut told = String::new();
        while let Some((_, name)) = agenda.next(5) {
            told.push(name);
        }
        assert_eq!(told, "abcd");
        assert_eq!(agenda.next(9), Some((9, 'e')));
        assert_eq!(agenda.next(u64::MAX), None);
    }

    #[test]
    fn slots_change_nothing_about_the_order() {
        let mut word = 7_u64;
        let mut draw = |below: u64| {
            word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (word >> 33) % below
        };
        let mut agenda = Agenda::new();
        let (mut now, mut serial) = (0, 0_u64);
        let mut all = std::collections::BTreeSet::new();
        for _ in 0..2000 {
            for _ in 0..draw(6) {
                // From the present slot to far beyond the last.
                let span = 1 << (4 + draw(32));
                let at = now + draw(span);
                agenda.add(at, serial);
                all.insert((at, serial));
                serial += 1;
            }
            let until = now + draw(1 << 30);
            while let Some(first) = all.first().copied().filter(|(at, _)| *at <= until) {
                assert_eq!(agenda.next(until), Some(first));
                all.remove(&first);
            }
            assert_eq!(agenda.next(until), None);
            now = until;
        }
    }
}
