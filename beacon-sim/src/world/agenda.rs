//! What is still to happen, in total order: by time, then by the order in which it was planned.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// A queue of things to come. Time is in nanoseconds.
#[derive(Debug)]
pub(super) struct Agenda<T> {
    heap: BinaryHeap<Reverse<Entry>>,
    /// What the entries stand for; freed places are used again, so entries stay small.
    things: Vec<Option<T>>,
    free: Vec<u32>,
    serial: u64,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    at: u64,
    serial: u64,
    place: u32,
}

impl<T> Agenda<T> {
    pub(super) fn new() -> Self {
        Self { heap: BinaryHeap::new(), things: Vec::new(), free: Vec::new(), serial: 0 }
    }

    pub(super) fn add(&mut self, at: u64, thing: T) {
        self.serial += 1;
        let place = self.free.pop().unwrap_or_else(|| {
            self.things.push(None);
            (self.things.len() - 1) as u32
        });
        self.things[place as usize] = Some(thing);
        self.heap.push(Reverse(Entry { at, serial: self.serial, place }));
    }

    /// The next thing not later than `until`, with its time.
    pub(super) fn next(&mut self, until: u64) -> Option<(u64, T)> {
        if self.heap.peek()?.0.at > until {
            return None;
        }
        let Reverse(entry) = self.heap.pop()?;
        self.free.push(entry.place);
        Some((entry.at, self.things[entry.place as usize].take()?))
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
}
