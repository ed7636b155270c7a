//! How many watch, and what their uplinks carry together: counted along the stripes.
//!
//! Each child tells its parent in a stripe how many viewers hang on it there, itself included, and
//! how many subscriptions they serve. What comes together at the origin is the supply of the whole
//! audience. A peer can lie about those beneath it in one stripe or two; the stripes have different
//! trees, so the origin goes by the one in the middle.

use super::Engine;
use crate::config::SLOTS_MAX;
use crate::plugin::PeerKey;
use crate::wire::{Census, Message};
use core::time::Duration;

/// How often parents are told at most.
const INTERVAL: Duration = Duration::from_secs(1);
/// What is told again: a change by more than this part.
const CHANGE: u32 = 16;

/// A part of the audience.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Count {
    pub(super) viewers: u32,
    /// Subscriptions that they serve together.
    pub(super) slots: u32,
}

impl Count {
    /// As told by a neighbour: no viewer serves more than [`SLOTS_MAX`].
    fn told(census: &Census) -> Self {
        let most = census.viewers.saturating_mul(u32::from(SLOTS_MAX));
        Self { viewers: census.viewers, slots: census.slots.min(most) }
    }

    pub(super) const fn plus(self, other: Self) -> Self {
        Self {
            viewers: self.viewers.saturating_add(other.viewers),
            slots: self.slots.saturating_add(other.slots),
        }
    }

    /// What they serve of `stripes` for each of them and of `own` more, in percent.
    pub(super) fn supply(self, own: u16, stripes: u8) -> Option<u32> {
        let wanted = u64::from(self.viewers) * u64::from(stripes);
        let served = u64::from(self.slots) + u64::from(own);
        let percent = (served * 100).checked_div(wanted)?;
        Some(u32::try_from(percent).unwrap_or(u32::MAX))
    }

    fn differs(self, other: Self) -> bool {
        let far = |a: u32, b: u32| a.abs_diff(b) * CHANGE > a.max(b);
        far(self.viewers, other.viewers) || far(self.slots, other.slots)
    }
}

impl Engine {
    pub(super) fn on_census(&mut self, from: PeerKey, entries: &[Census]) {
        for census in entries {
            // One that is a child no more has not heard of it yet.
            self.feeds.children.counted(census.stripe, from, Count::told(census));
        }
    }

    /// Tells each parent what hangs on this peer in its stripes, where that has changed.
    pub(super) fn tell_census(&mut self) {
        if self.publisher.is_some() || self.now < self.timers.census {
            return;
        }
        self.timers.census = self.now + INTERVAL;
        let me = Count { viewers: 1, slots: self.uplink.slots().into() };
        let mut news: Vec<(PeerKey, Census)> = Vec::new();
        let (stripes, children) = (self.data_stripes(), &self.feeds.children);
        for (stripe, feed) in (0_u8..stripes).zip(&mut self.feeds.stripes) {
            let Some(parent) = feed.parent else { continue };
            let count = me.plus(children.count(stripe));
            if feed.told.is_none_or(|(to, last)| to != parent || last.differs(count)) {
                feed.told = Some((parent, count));
                let Count { viewers, slots } = count;
                news.push((parent, Census { stripe, viewers, slots }));
            }
        }
        news.sort_by_key(|(parent, census)| (*parent, census.stripe));
        for batch in news.chunk_by(|a, b| a.0 == b.0) {
            let entries = batch.iter().map(|(_, census)| *census).collect();
            self.send(batch[0].0, &Message::Census(entries));
        }
    }

    /// All who watch, as the stripe in the middle has it; at the origin.
    pub(super) fn audience(&self) -> Count {
        let stripes = 0..self.data_stripes();
        let mut counts: Vec<Count> =
            stripes.map(|stripe| self.feeds.children.count(stripe)).collect();
        counts.sort_by_key(|count| (count.supply(0, 1), count.viewers));
        counts.get(counts.len() / 2).copied().unwrap_or_default()
    }

    /// All but the repair stripe, which not everyone takes.
    pub(super) fn data_stripes(&self) -> u8 {
        self.feeds.count() - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn supply_is_what_is_served_of_what_is_wanted() {
        let count = Count { viewers: 10, slots: 60 };
        assert_eq!(count.supply(20, 8), Some(100));
        assert_eq!(count.supply(0, 8), Some(75));
        assert_eq!(Count::default().supply(20, 8), None);
        assert_eq!(Count { viewers: u32::MAX, slots: u32::MAX }.supply(9, 8), Some(12));
    }

    #[test]
    fn nobody_is_believed_to_serve_more_than_can_be() {
        let told = Count::told(&Census { stripe: 0, viewers: 2, slots: u32::MAX });
        assert_eq!(told.slots, 2 * u32::from(SLOTS_MAX));
    }

    #[test]
    fn a_twentieth_more_is_no_news_and_a_tenth_is() {
        let count = |viewers| Count { viewers, slots: 8 };
        assert!(!count(100).differs(count(105)));
        assert!(count(100).differs(count(110)));
        assert!(count(1).differs(count(2)));
        assert!(!Count::default().differs(Count::default()));
    }
}
