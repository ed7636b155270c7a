//! What an attack does to the good peers, and what becomes of those who attack.

use super::adversary::marked;
use super::{Happening, World};
use crate::plan::Kind;
use crate::report::{Attack, Counts, Spread, ratio};
use beacon_sdk::{Event, PeerId};
use std::collections::BTreeMap;

/// How often who hangs on whom is looked at.
const LOOK_NS: u64 = 100_000_000;

/// What was seen so far.
#[derive(Debug, Default)]
pub(super) struct Watched {
    /// Stripes that good viewers had from a viewer, and from a hostile one that was up to something.
    fed: u64,
    fed_badly: u64,
    /// Who hangs on which hostile one that is up to something (good, hostile), and since when; and how long
    /// that lasted where it is over, ns.
    hangs: BTreeMap<(u32, u32), u64>,
    hung: Vec<u64>,
    /// A hostile one that no good peer hung on any more was taken again.
    retaken: u64,
    /// Good peers that good peers banned.
    wronged: u64,
    /// When good viewers learnt that the broadcaster signs two streams, ns after it began.
    disclosed: Vec<u64>,
}

impl World {
    /// Looks who hangs on whom.
    pub(super) fn watch(&mut self) {
        let now = self.now;
        self.agenda.add(now + LOOK_NS, Happening::Watch);
        let active = |world: &Self, at: u32| {
            let hostile = world.peers[at as usize].hostile.as_ref();
            hostile.is_some_and(|hostile| hostile.what.active(now))
        };
        let mut depended = vec![false; self.peers.len()];
        let mut hangs: Vec<(u32, u32)> = Vec::new();
        for at in 1..self.peers.len() as u32 {
            let Some(engine) = &self.peers[at as usize].engine else { continue };
            if self.hostile(at) {
                continue;
            }
            for parent in engine.parents().into_iter().flatten() {
                let Some(&from) = self.ids.get(&parent) else { continue };
                depended[from as usize] = true;
                self.watched.fed += 1;
                let badly = from > 0 && active(self, from);
                self.watched.fed_badly += u64::from(badly);
                if badly {
                    hangs.push((at, from));
                }
            }
        }
        for at in 1..self.peers.len() {
            let peer = &self.peers[at];
            let Some(hostile) = &peer.hostile else { continue };
            let good = |id: PeerId| self.ids.get(&id).copied().filter(|at| !self.hostile(*at));
            let here = peer.engine.is_some();
            if here && hostile.harms_neighbours() {
                let near: Vec<u32> = peer.neighbours().filter_map(good).collect();
                depended[at] |= !near.is_empty();
                if hostile.what.active(now) {
                    hangs.extend(near.into_iter().map(|near| (near, at as u32)));
                }
            }
            let depended = here && depended[at];
            let Some(hostile) = &mut self.peers[at].hostile else { continue };
            let Some(since) = hostile.since else { continue };
            hostile.harmed |= depended;
            if !depended && hostile.harmed {
                hostile.cut.get_or_insert(now - since);
            }
            self.watched.retaken +=
                u64::from(depended && !hostile.depended && hostile.cut.is_some());
            hostile.depended = depended;
        }
        hangs.sort_unstable();
        let watched = &mut self.watched;
        watched.hangs.retain(|pair, since| {
            let still = hangs.binary_search(pair).is_ok();
            if !still {
                watched.hung.push(now - *since);
            }
            still
        });
        hangs.into_iter().for_each(|pair| _ = watched.hangs.entry(pair).or_insert(now));
    }

    /// An engine tells something.
    pub(super) fn note(&mut self, at: u32, event: &Event) {
        if self.plan.adversary.is_empty() || self.hostile(at) {
            return;
        }
        match event {
            Event::PeerBanned { peer, .. } => {
                let good = |peer: &PeerId| self.ids.get(peer).is_some_and(|at| !self.hostile(*at));
                self.watched.wronged += u64::from(good(peer));
            }
            Event::Equivocation { .. } => {
                let since = self.peers[0].hostile.as_ref().and_then(|hostile| hostile.since);
                self.watched.disclosed.push(self.now.saturating_sub(since.unwrap_or(self.now)));
            }
            _ => {}
        }
    }

    /// What came of the attack, if the plan has one.
    pub(super) fn attack(&self) -> Option<Attack> {
        if self.plan.adversary.is_empty() {
            return None;
        }
        let viewers = &self.peers[1..];
        let hostile = || viewers.iter().filter_map(|peer| peer.hostile.as_ref());
        let mut cut = Counts::default();
        hostile().filter_map(|hostile| hostile.cut).for_each(|ns| cut.record(ns / 1_000_000));
        self.watched.disclosed.iter().for_each(|ns| cut.record(ns / 1_000_000));
        let mut left = Counts::default();
        let still = self.watched.hangs.values().map(|since| self.now - since);
        let ended = self.watched.hung.iter().copied();
        ended.chain(still).for_each(|ns| left.record(ns / 1_000_000));
        let good = (1..self.peers.len() as u32)
            .filter(|at| marked(&self.plan, self.seed, *at).is_none())
            .count() as u32;
        let harmed = hostile().filter(|hostile| hostile.harmed);
        let equivocates = self.plan.adversary.iter().any(|a| a.kind == Kind::Equivocator);
        let unaware =
            if equivocates { good.saturating_sub(self.watched.disclosed.len() as u32) } else { 0 };
        Some(Attack {
            hostile: hostile().count() as u32,
            uncut: harmed.clone().filter(|hostile| hostile.cut.is_none()).count() as u32 + unaware,
            harmed: harmed.count() as u32,
            cut_ms: Spread::from(&cut),
            left_ms: Spread::from(&left),
            retaken: self.watched.retaken,
            wronged: self.watched.wronged,
            fed_badly: ratio(self.watched.fed_badly, self.watched.fed),
            false_bytes_relayed: self.traffic.falsehood,
            given: ratio(self.traffic.to_hostile, self.traffic.data),
        })
    }
}
