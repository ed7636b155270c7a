//! Whether the audience's uplinks carry the stream, and what the origin does when they do not.

use super::Engine;
use crate::event::Event;
use crate::time::Instant;
use core::time::Duration;

/// How often the origin looks: a change has gone through all hops by then, and is seen in what
/// comes back.
const LOOK: Duration = Duration::from_secs(5);
/// Percent of what is wanted: below this the stream does not fit; so much it is brought to; and
/// above this it may grow again.
const SHORT: u32 = 110;
const GOAL: u32 = 125;
const AMPLE: u32 = 130;
/// It grows by this part at most: what is counted is what was published, and a mesh that has had
/// more than it carries is slow to get up.
const GROWTH: u64 = 10;

/// What is known of the supply.
#[derive(Debug, Default)]
pub(super) struct Scarcity {
    look_at: Instant,
    /// Subscriptions that can be served, in percent of those that are wanted.
    percent: Option<u32>,
    /// Not all that the source makes is published; elsewhere: what is played has been thinned.
    thinning: bool,
}

impl Scarcity {
    pub(super) fn percent(&self) -> u64 {
        self.percent.unwrap_or_default().into()
    }
}

impl Engine {
    /// A segment is played whose origin left something out, or did not.
    pub(super) fn note_thinned(&mut self, thinned: bool) {
        self.stats.segments_thinned += u64::from(thinned);
        if self.publisher.is_none() && thinned != self.scarcity.thinning {
            self.scarcity.thinning = thinned;
            self.event(Event::Thinned { thinned });
        }
    }

    /// Publishes as much as the audience's uplinks carry.
    pub(super) fn watch_supply(&mut self) {
        if self.publisher.is_none() || self.now < self.scarcity.look_at {
            return;
        }
        self.scarcity.look_at = self.now + LOOK;
        let (stripes, own) = (self.data_stripes(), self.uplink.slots());
        let audience = self.audience();
        self.stats.viewers = audience.viewers.into();
        self.scarcity.percent = audience.supply(own, stripes).map(|percent| {
            // Who takes the repair stripe takes so much more.
            let repair = if self.config.push_repair { self.config.repair_percent } else { 0 };
            percent * 100 / (100 + u32::from(repair))
        });
        let (Some(percent), Some(publisher)) = (self.scarcity.percent, &mut self.publisher) else {
            return;
        };
        // As long as the origin's own uplink has not been full, it may carry what others do not.
        let thinning = self.scarcity.thinning;
        let amiss = percent < SHORT && self.uplink.known() || thinning && percent > AMPLE;
        if !amiss || !self.config.thin {
            return;
        }
        let carried = self.store.rate(self.tracks).saturating_mul(percent.into()) / u64::from(GOAL);
        let thinner = &mut publisher.thinner;
        let grown = thinner.budget().map_or(u64::MAX, |budget| budget + budget / GROWTH);
        let carried = if percent < SHORT { carried } else { carried.min(grown) };
        let enough = carried >= thinner.offered();
        thinner.limit((!enough).then_some(carried));
        if thinning == enough {
            self.scarcity.thinning = !enough;
            self.event(Event::Supply { percent, enough });
        }
    }
}
