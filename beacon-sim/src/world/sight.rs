//! A running world, as who looks on sees it, and what they may do to it.

use super::{Happening, World};
use crate::plan::{Event, PlanError, What};
use beacon_sdk::PeerId;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Events of one world at most: everything else waits in the plan.
const EVENTS_MAX: usize = 1000;
/// What is done to a running world happens this long after, ns: no whole microsecond, so that
/// nothing else happens at the same moment, and the plan that it is written into plays the same.
const SOON_NS: u64 = 1_000_007;

/// A world at one moment. Counters are since the peer came.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct Sight {
    /// Microseconds since the start.
    pub now_us: u64,
    /// Viewers that are here.
    pub viewers: u32,
    /// Of the run so far; at the end it is the report's.
    pub hash: String,
    /// Who is here, the origin first, then in the order in which they came.
    pub peers: Vec<Seen>,
    /// Delays of the segments that were due to a viewer since the last sight, in ms, ascending; as in
    /// [`Report::delay_ms`](crate::report::Report::delay_ms).
    pub delays_ms: Vec<u64>,
    /// Segments due since the last sight: `delays_ms` and those that never came.
    pub due: u32,
    /// Payload bytes of the stream.
    pub bytes_published: u64,
    /// Bytes that the origin sent, control frames included.
    pub bytes_origin: u64,
    /// Bytes of control frames that anybody sent.
    pub bytes_control: u64,
}

/// A peer of a running world.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct Seen {
    /// 0 is the origin; viewers are counted as they come.
    pub number: u32,
    /// Its class of access links, by place in the plan.
    pub class: usize,
    /// Hops from the origin on its deepest stripe; absent without a feed.
    pub hops: Option<u8>,
    /// Who pushes to it, by number.
    pub parents: Vec<Feed>,
    /// Stripe subscriptions that it serves.
    pub children: u64,
    /// How much after its capture the newest segment came, ms, once something was played.
    pub delay_ms: Option<u64>,
    /// When that segment ended, µs since the start.
    pub seen_us: u64,
    /// Symbol bytes from the origin.
    pub bytes_from_origin: u64,
    /// Symbol bytes from other viewers.
    pub bytes_from_peers: u64,
    /// Symbol bytes it passed on.
    pub bytes_uploaded: u64,
    /// Symbol bytes it had already.
    pub bytes_duplicate: u64,
    /// Segments that became gaps.
    pub segments_missed: u64,
    /// Times its picture would have stood still.
    pub stalls: u64,
}

/// What one peer pushes to another.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct Feed {
    /// Who pushes.
    pub from: u32,
    /// How many stripes.
    pub stripes: u32,
    /// There and back, ms.
    pub rtt_ms: u64,
}

impl World {
    /// Since the start.
    #[must_use]
    pub fn now(&self) -> Duration {
        Duration::from_nanos(self.now)
    }

    /// Viewers that are here.
    #[must_use]
    pub fn viewers(&self) -> u32 {
        self.peers[1..].iter().filter(|peer| peer.engine.is_some()).count() as u32
    }

    /// The world as it is. It takes note of delays from the first sight on.
    pub fn sight(&mut self) -> Sight {
        let recent = self.tally.recent.replace(Vec::new()).unwrap_or_default();
        let due = recent.len() as u32;
        let mut delays_ms: Vec<u64> = recent.into_iter().flatten().collect();
        delays_ms.sort_unstable();
        let peers: Vec<Seen> =
            (0..self.peers.len() as u32).filter_map(|number| self.seen(number)).collect();
        let origin = self.peers[0].engine.as_ref();
        Sight {
            now_us: self.now / 1000,
            viewers: self.viewers(),
            hash: format!("{:016x}", self.hash),
            peers,
            delays_ms,
            due,
            bytes_published: origin.map_or(0, |engine| engine.stats().bytes_published),
            bytes_origin: self.traffic.origin,
            bytes_control: self.traffic.control,
        }
    }

    fn seen(&self, number: u32) -> Option<Seen> {
        let peer = &self.peers[number as usize];
        let engine = peer.engine.as_deref()?;
        let stats = engine.stats();
        let mut stripes: BTreeMap<PeerId, u32> = BTreeMap::new();
        engine.parents().into_iter().flatten().for_each(|id| *stripes.entry(id).or_default() += 1);
        let delay = |from: u32| {
            let other = &self.peers[from as usize];
            self.geography.delay((number, &peer.place), (from, &other.place))
        };
        let feed = |(id, stripes): (PeerId, u32)| {
            let from = *self.ids.get(&id)?;
            Some(Feed { from, stripes, rtt_ms: 2 * delay(from) / 1_000_000 })
        };
        let (delay_ms, seen_us) = peer.viewing.seen.unzip();
        Some(Seen {
            number,
            class: peer.viewing.class,
            hops: if number == 0 { Some(0) } else { engine.depths().into_iter().flatten().max() },
            parents: stripes.into_iter().filter_map(feed).collect(),
            children: stats.children,
            delay_ms: delay_ms.map(|us| us / 1000),
            seen_us: seen_us.unwrap_or(0),
            bytes_from_origin: stats.bytes_from_origin,
            bytes_from_peers: stats.bytes_from_peers,
            bytes_uploaded: stats.bytes_uploaded,
            bytes_duplicate: stats.bytes_duplicate,
            segments_missed: stats.segments_missed,
            stalls: stats.stalls,
        })
    }

    /// Has something happen a moment from now, and gives it as an event of the plan: the plan with it plays the same.
    ///
    /// # Errors
    /// [`PlanError::Range`] when it cannot happen, or when too much has happened already.
    pub fn happen_soon(&mut self, what: What) -> Result<Event, PlanError> {
        if self.plan.event.len() >= EVENTS_MAX {
            return Err(PlanError::Range { field: "event", range: "at most 1000 of them" });
        }
        let event = Event { at_s: (self.now + SOON_NS) as f64 / 1e9, what };
        let mut plan = (*self.plan).clone();
        plan.event.push(event.clone());
        plan.check()?;
        self.agenda.add(event.at_ns(), Happening::Event(plan.event.len() - 1));
        self.plan = Arc::new(plan);
        Ok(event)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::plan::Plan;
    use crate::world;

    fn tiny() -> Plan {
        Plan::parse(include_str!("../../plans/tiny.toml")).unwrap()
    }

    /// Plays a plan to its end in steps of this many milliseconds, and looks at it each time.
    fn steps(world: &mut World, plan: &Plan, ms: u64) -> Vec<Sight> {
        let end = Duration::from_secs((plan.warmup_s + plan.measure_s).into());
        let mut sights = Vec::new();
        while world.now() < end {
            world.run_until((world.now() + Duration::from_millis(ms)).min(end));
            sights.push(world.sight());
        }
        sights
    }

    #[test]
    fn steps_and_looks_change_nothing() {
        let plan = tiny();
        let mut world = World::new(&plan, plan.seed).unwrap();
        let sights = steps(&mut world, &plan, 37);
        let last = sights.last().unwrap();
        let whole = world::run(&plan, plan.seed, |_, _| {}).unwrap();
        assert_eq!(last.hash, whole.hash);
        assert_eq!(world.finish().hash, whole.hash);

        assert_eq!((last.peers[0].number, last.peers[0].hops), (0, Some(0)));
        assert_eq!(last.peers.len() as u32, last.viewers + 1);
        assert!(last.peers[1..].iter().any(|peer| !peer.parents.is_empty()));
        let due: u32 = sights.iter().map(|sight| sight.due).sum();
        assert!(due > 100, "segments were due: {due}");
        assert!(sights.iter().all(|sight| sight.delays_ms.is_sorted()));
    }

    #[test]
    fn what_is_done_to_a_world_is_an_event_of_its_plan() {
        let mut plan = tiny();
        let mut world = World::new(&plan, plan.seed).unwrap();
        let mut doings = Vec::new();
        for (ms, what) in [
            (5_000, What::Kill(40)),
            (6_020, What::Loss(9.0)),
            (7_000, What::Crowd { peers: 3, tau_s: 0.5 }),
        ] {
            world.run_until(Duration::from_millis(ms));
            let before = world.sight().viewers;
            doings.push(world.happen_soon(what.clone()).unwrap());
            world.run_until(Duration::from_millis(ms + 2));
            let fewer = world.sight().viewers < before;
            assert_eq!(fewer, matches!(what, What::Kill(_)), "{what:?}");
        }
        steps(&mut world, &plan, 500);
        let quiet = world::run(&plan, plan.seed, |_, _| {}).unwrap();
        plan.event.extend(doings);
        let same = world::run(&plan, plan.seed, |_, _| {}).unwrap();
        let hash = world.finish().hash;
        assert_eq!(hash, same.hash);
        assert_ne!(hash, quiet.hash);
    }

    #[test]
    fn what_cannot_happen_is_refused() {
        let mut world = World::new(&tiny(), 1).unwrap();
        assert!(world.happen_soon(What::Loss(51.0)).is_err());
        assert!(world.happen_soon(What::Loss(50.0)).is_ok());
    }
}
