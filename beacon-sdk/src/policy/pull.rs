//! Turning an order of needs into requests: shared by every scheduler that pulls, so that they
//! differ in what they ask for first and not in how.

use crate::config::STRIPES_MAX;
use crate::plugin::{MeshView, MissingState, Need, PeerKey, PeerView, Plan};
use crate::rng::Rng;
use core::time::Duration;

/// What one symbol already in flight costs, beside the round trip: about the time a 4 Mbit/s
/// uplink takes to send one.
const LOAD_COST_US: u64 = 2_000;
/// Symbols of one stripe asked of one neighbour in one go (theory.md §2.2 F).
pub(super) const BURST: u16 = 16;

/// Hands out the neighbours' windows during one plan.
#[derive(Debug)]
pub(super) struct Puller<'a> {
    view: &'a MeshView,
    /// Room and load per neighbour, in the order of the view.
    room: Vec<(u16, u64)>,
    /// Room of all neighbours.
    left: u32,
    /// Symbols of one need by turn of their stripe; kept for its memory.
    turns: Vec<(u16, u16)>,
}

/// Symbols to ask for, per neighbour.
type Batches = Vec<(usize, Vec<u16>)>;

/// Who may be asked for a symbol.
#[derive(Debug, Clone, Copy)]
pub(super) enum Ask {
    /// The cheapest holder.
    Anyone,
    /// This one, or the cheapest holder when its window is full.
    First(PeerKey),
    /// This one and nobody else.
    Only(PeerKey),
    /// The cheapest other holder.
    NotOf(PeerKey),
}

/// A symbol that somebody is to be asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Symbol {
    pub(super) esi: u16,
    pub(super) stripe: u8,
}

impl<'a> Puller<'a> {
    pub(super) fn new(view: &'a MeshView) -> Self {
        Self::within(view, |peer| peer.window)
    }

    /// With windows of the scheduler's own; the neighbours' remain the limit.
    pub(super) fn within(view: &'a MeshView, window: impl Fn(&PeerView) -> u16) -> Self {
        let room: Vec<(u16, u64)> = view
            .peers
            .iter()
            .map(|p| (window(p).min(p.window), u64::from(p.outstanding)))
            .collect();
        let left = room.iter().map(|(room, _)| u32::from(*room)).sum();
        Self { view, room, left, turns: Vec::new() }
    }

    /// Symbols that may still be requested, of all neighbours together.
    pub(super) const fn room(&self) -> u32 {
        self.left
    }

    /// Asks parents again for what they say they have sent; gives back for how much.
    pub(super) fn nak(&mut self, need: &Need, plan: &mut Plan) -> u32 {
        let lost = |_, state: &MissingState| match state {
            MissingState::Lost(parent) => Some(Ask::First(*parent)),
            MissingState::Open => None,
        };
        self.pull(need, u32::from(need.wanted), lost, plan)
    }

    /// Asks anyone for up to `limit` symbols that nobody is expected to push; gives back for how
    /// many.
    pub(super) fn open(&mut self, need: &Need, limit: u32, plan: &mut Plan) -> u32 {
        let open = |_, state: &MissingState| (*state == MissingState::Open).then_some(Ask::Anyone);
        self.pull(need, limit, open, plan)
    }

    /// Asks for up to `limit` missing symbols, of whom `ask` says.
    pub(super) fn pull(
        &mut self,
        need: &Need,
        limit: u32,
        mut ask: impl FnMut(u16, &MissingState) -> Option<Ask>,
        plan: &mut Plan,
    ) -> u32 {
        let mut left = limit.min(self.left);
        if left == 0 || need.missing.is_empty() {
            return 0;
        }
        let holders = self.holders(need);
        let mut batches = Batches::new();
        for (esi, state) in &need.missing {
            if left == 0 {
                break;
            }
            let Some(ask) = ask(*esi, state) else { continue };
            let stripe = self.view.stripe(need, *esi);
            let Some(at) = self.whom(ask, &holders, stripe) else { continue };
            self.take(at, 1);
            left -= 1;
            add(&mut batches, at, *esi);
        }
        self.send(need, batches, plan)
    }

    fn whom(&self, ask: Ask, holders: &[(usize, u32)], stripe: u8) -> Option<usize> {
        let named = |key| self.index(key).filter(|at| self.room[*at].0 > 0);
        match ask {
            Ask::Anyone => self.cheapest(holders, stripe),
            Ask::First(key) => named(key).or_else(|| self.cheapest(holders, stripe)),
            Ask::Only(key) => named(key),
            Ask::NotOf(key) => {
                let not = self.index(key);
                self.best(holders, stripe, |at| if Some(at) == not { u64::MAX / 4 } else { 0 })
            }
        }
    }

    /// As [`Puller::open`], stripe after stripe from a random one on, for schedulers without
    /// parents: viewers that begin at different places have something to give each other, and
    /// a stripe that is whole can be told of and passed on.
    pub(super) fn spread(
        &mut self,
        need: &Need,
        limit: u32,
        rng: &mut Rng,
        plan: &mut Plan,
    ) -> u32 {
        let class = |symbol: Symbol| symbol.stripe;
        self.spread_to(need, limit, rng, plan, class, |puller, holders, symbol, _| {
            puller.cheapest(holders, symbol.stripe)
        })
    }

    /// As [`Puller::spread`], class after class, from whom `pick` says, given the holders and a
    /// symbol.
    pub(super) fn spread_to(
        &mut self,
        need: &Need,
        limit: u32,
        rng: &mut Rng,
        plan: &mut Plan,
        class: impl Fn(Symbol) -> u8,
        mut pick: impl FnMut(&Self, &[(usize, u32)], Symbol, &mut Rng) -> Option<usize>,
    ) -> u32 {
        let mut left = limit.min(self.left);
        if left == 0 || need.missing.is_empty() {
            return 0;
        }
        let holders = self.holders(need);
        let turns = self.turns(need, rng, class);
        let mut batches = Batches::new();
        for (_, esi) in &turns {
            if left == 0 {
                break;
            }
            let symbol = Symbol { esi: *esi, stripe: self.view.stripe(need, *esi) };
            let Some(at) = pick(self, &holders, symbol, rng).filter(|at| self.room[*at].0 > 0)
            else {
                continue;
            };
            self.take(at, 1);
            left -= 1;
            add(&mut batches, at, *esi);
        }
        self.turns = turns;
        self.send(need, batches, plan)
    }

    /// As [`Puller::spread`], a whole burst of a stripe from one holder.
    pub(super) fn bursts(
        &mut self,
        need: &Need,
        limit: u32,
        rng: &mut Rng,
        plan: &mut Plan,
    ) -> u32 {
        let limit = limit.min(self.left);
        if limit == 0 || need.missing.is_empty() {
            return 0;
        }
        let holders = self.holders(need);
        let turns = self.turns(need, rng, |symbol| symbol.stripe);
        let mut left = limit;
        for class in turns.chunk_by(|a, b| a.0 == b.0) {
            for burst in class.chunks(usize::from(BURST)) {
                let stripe = self.view.stripe(need, burst[0].1);
                if left == 0 {
                    break;
                }
                let Some(at) = self.cheapest(&holders, stripe) else { break };
                let size = (burst.len() as u16).min(self.room[at].0).min(left.min(1024) as u16);
                self.take(at, size);
                left -= u32::from(size);
                let esis = burst[..usize::from(size)].iter().map(|(_, esi)| *esi).collect();
                plan.request(self.view.peers[at].key, need.id, esis);
            }
        }
        self.turns = turns;
        limit - left
    }

    /// Open symbols in the order of their classes: those that lack least first, from a random
    /// class on among equals. What has been begun is made whole, for only whole stripes are told
    /// of: viewers that each hold a part of every stripe have nothing to give each other.
    fn turns(
        &mut self,
        need: &Need,
        rng: &mut Rng,
        class: impl Fn(Symbol) -> u8,
    ) -> Vec<(u16, u16)> {
        let mut turns = core::mem::take(&mut self.turns);
        let count = u16::from(self.view.stripe_count) + 1;
        let first = rng.below(u32::from(count)) as u16;
        let open = need.missing.iter().filter(|(_, state)| *state == MissingState::Open);
        turns.clear();
        turns.extend(open.map(|(esi, _)| {
            let symbol = Symbol { esi: *esi, stripe: self.view.stripe(need, *esi) };
            ((u16::from(class(symbol)) + count - first) % count, *esi)
        }));
        turns.sort_unstable();
        turns.dedup();
        let mut lacks = [0_u16; STRIPES_MAX as usize + 1];
        for (class, _) in &turns {
            lacks[usize::from(*class).min(lacks.len() - 1)] += 1;
        }
        let lack = |class: u16| lacks[usize::from(class).min(lacks.len() - 1)];
        turns.sort_by_key(|(class, _)| (lack(*class), *class));
        turns
    }

    /// The neighbours in the view that hold something of a segment, and what.
    pub(super) fn holders(&self, need: &Need) -> Vec<(usize, u32)> {
        let known = |(key, mask): &(PeerKey, u32)| Some((self.index(*key)?, *mask));
        need.holders.iter().filter_map(known).collect()
    }

    fn send(&self, need: &Need, batches: Batches, plan: &mut Plan) -> u32 {
        let mut sent = 0;
        for (at, esis) in batches {
            sent += esis.len() as u32;
            plan.request(self.view.peers[at].key, need.id, esis);
        }
        sent
    }

    fn take(&mut self, at: usize, symbols: u16) {
        self.room[at].0 -= symbols;
        self.room[at].1 += u64::from(symbols);
        self.left -= u32::from(symbols);
    }

    pub(super) fn index(&self, key: PeerKey) -> Option<usize> {
        self.view.peers.binary_search_by_key(&key, |peer| peer.key).ok()
    }

    /// Whether a holder can be asked for a symbol of a stripe.
    pub(super) fn able(&self, (at, mask): (usize, u32), stripe: u8) -> bool {
        mask & bit(stripe) != 0 && self.room[at].0 > 0
    }

    /// The holder of a stripe that would answer first.
    pub(super) fn cheapest(&self, holders: &[(usize, u32)], stripe: u8) -> Option<usize> {
        self.best(holders, stripe, |_| 0)
    }

    /// The holder of a stripe that is cheapest when `extra`, in microseconds, is added.
    pub(super) fn best(
        &self,
        holders: &[(usize, u32)],
        stripe: u8,
        extra: impl Fn(usize) -> u64,
    ) -> Option<usize> {
        let cost = |at: usize| {
            micros(self.view.peers[at].rtt) + self.room[at].1 * LOAD_COST_US + extra(at)
        };
        holders
            .iter()
            .filter(|holder| self.able(**holder, stripe))
            .min_by_key(|(at, _)| cost(*at))
            .map(|(at, _)| *at)
    }

    /// Any holder of a stripe, all alike.
    pub(super) fn any(&self, holders: &[(usize, u32)], stripe: u8, rng: &mut Rng) -> Option<usize> {
        let able = || holders.iter().filter(|holder| self.able(**holder, stripe));
        let chosen = rng.below(u32::try_from(able().count()).unwrap_or(u32::MAX));
        able().nth(chosen as usize).map(|(at, _)| *at)
    }
}

fn add(batches: &mut Batches, at: usize, esi: u16) {
    match batches.iter_mut().find(|(peer, _)| *peer == at) {
        Some((_, esis)) => esis.push(esi),
        None => batches.push((at, vec![esi])),
    }
}

/// The bit of a stripe; none for one that is out of range.
pub(super) fn bit(stripe: u8) -> u32 {
    1_u32.checked_shl(stripe.into()).unwrap_or_default()
}

/// Microseconds that sums of a few cannot overflow.
pub(super) fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX).min(u64::MAX / 4)
}

/// What is due too soon to be asked for: a round trip to the nearest holder and sending one
/// symbol take longer.
pub(super) fn too_late(view: &MeshView, need: &Need) -> bool {
    let nearest = need.holders.iter().filter_map(|(key, _)| view.peer(*key)).map(|peer| peer.rtt);
    let service = Duration::from_micros(LOAD_COST_US);
    let soonest = nearest.min().unwrap_or_default().saturating_add(service);
    need.deadline.since(view.now) < soonest
}
