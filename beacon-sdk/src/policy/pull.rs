//! Turning an order of needs into requests: shared by every scheduler that pulls, so that they
//! differ in what they ask for first and not in how.

use crate::config::STRIPES_MAX;
use crate::plugin::{MeshView, MissingState, Need, PeerKey, PeerView, Plan};
use crate::rng::Rng;
use crate::time::Instant;
use core::time::Duration;

/// What one symbol already in flight costs, beside the round trip: about the time a 4 Mbit/s
/// uplink takes to send one.
const LOAD_COST_US: u64 = 2_000;
/// What asking the origin costs more than asking another: more than any round trip between two
/// continents. (Guess.)
const ORIGIN_COST_US: u64 = 500_000;
/// From one neighbour's beginning with a stripe that another holds alone to the next one's, in
/// microseconds: by the time a few have begun, the first one tells of it. (Guess.)
const TURN_US: u64 = 100_000;
/// With less than this until half the time to the deadline there are no turns: news of what others
/// have begun comes too late. (Guess: ten turns.)
const TURNS_MIN: Duration = Duration::from_secs(1);
/// Spreads microseconds evenly over a turn: a large odd number, 2^64 over the golden ratio.
const MIX: u64 = 0x9E37_79B9_7F4A_7C15;
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

/// Which stripes of a segment are left to others for now.
///
/// Where one neighbour alone holds a stripe, each of those around it takes a part of what it
/// holds and gets the rest from the others. If all took all, it would send everything to everybody,
/// nobody would have a whole stripe in time to tell of it, and the uplinks of all others would
/// stand idle. Neighbours begin with one stripe each, one after the other, then with another; by then
/// most is told of by somebody else. When half the time to the deadline has passed, all take all.
#[derive(Debug)]
struct Shares {
    /// Stripes that are asked for: others hold them as well, or they have been begun.
    free: u32,
    /// Further ones that may be begun now.
    room: u32,
    /// Those that may be begun at all: not the one of repair symbols, until everything may be.
    ripe: u32,
    /// When one more may be begun.
    more_at: Instant,
    /// Something was left to others.
    left: bool,
}

impl Shares {
    fn new(view: &MeshView, need: &Need, holders: &[(usize, u32)]) -> Self {
        let span = need.deadline.since(need.since) / 2;
        let half = need.since + span;
        let alone = view.peers.len() < 2;
        if view.now >= half || span < TURNS_MIN || alone {
            return Self { free: u32::MAX, room: 0, ripe: 0, more_at: half, left: false };
        }
        let (mut once, mut common) = (0, 0);
        for (_, mask) in holders {
            common |= once & mask;
            once |= mask;
        }
        let mut open = [0_u16; STRIPES_MAX as usize + 1];
        for (esi, _) in &need.missing {
            if let Some(open) = open.get_mut(usize::from(view.stripe(need, *esi))) {
                *open += 1;
            }
        }
        // Source symbols are dealt out to the stripes in turn.
        let whole = need.source / u16::from(view.stripe_count).max(1);
        let begun = (0..view.stripe_count).zip(open).filter(|(_, open)| *open < whole);
        let begun = begun.fold(0, |mask, (stripe, _)| mask | bit(stripe)) & !common;
        // At which time of a turn, the microsecond decides in which the manifest came.
        let turn = (TURN_US * view.peers.len() as u64).min(micros(span));
        let early = micros(need.since.since(Instant::ZERO)).wrapping_mul(MIX) % turn;
        let turns = (micros(view.now.since(need.since)) + early) / turn;
        let more_at = need.since + Duration::from_micros((turns + 1) * turn - early);
        let turns = u32::try_from(turns).unwrap_or(u32::MAX);
        Self {
            free: common | begun,
            room: turns.saturating_sub(begun.count_ones()),
            ripe: bit(view.stripe_count).wrapping_sub(1),
            more_at: more_at.min(half),
            left: false,
        }
    }

    /// Whether a stripe is asked for now.
    fn takes(&mut self, stripe: u8) -> bool {
        if self.free & bit(stripe) != 0 {
            return true;
        }
        // Repair symbols stand in for what does not come: nobody begins with them.
        if self.room == 0 || self.ripe & bit(stripe) == 0 {
            self.left = true;
            return false;
        }
        self.room -= 1;
        self.free |= bit(stripe);
        true
    }

    /// What is left to others now is looked at again.
    fn end(&self, plan: &mut Plan) {
        if self.left {
            plan.replan_at(self.more_at);
        }
    }
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
            puller.sparing(holders, symbol.stripe)
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
        let mut shares = Shares::new(self.view, need, &holders);
        let mut batches = Batches::new();
        for (_, esi) in &turns {
            if left == 0 {
                break;
            }
            let symbol = Symbol { esi: *esi, stripe: self.view.stripe(need, *esi) };
            if !shares.takes(symbol.stripe) {
                continue;
            }
            let Some(at) = pick(self, &holders, symbol, rng).filter(|at| self.room[*at].0 > 0)
            else {
                continue;
            };
            self.take(at, 1);
            left -= 1;
            add(&mut batches, at, *esi);
        }
        self.turns = turns;
        shares.end(plan);
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
        let mut shares = Shares::new(self.view, need, &holders);
        for class in turns.chunk_by(|a, b| a.0 == b.0) {
            for burst in class.chunks(usize::from(BURST)) {
                let stripe = self.view.stripe(need, burst[0].1);
                if left == 0 || !shares.takes(stripe) {
                    break;
                }
                let Some(at) = self.sparing(&holders, stripe) else { break };
                let size = (burst.len() as u16).min(self.room[at].0).min(left.min(1024) as u16);
                self.take(at, size);
                left -= u32::from(size);
                let esis = burst[..usize::from(size)].iter().map(|(_, esi)| *esi).collect();
                plan.request(self.view.peers[at].key, need.id, esis);
            }
        }
        self.turns = turns;
        shares.end(plan);
        limit - left
    }

    /// Open symbols in the order of their classes: those that have been begun first, then from a
    /// random class on. What has been begun is made whole, for only whole stripes are told
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
        // The classes are dealt out evenly, but for the last, which holds the repair symbols.
        let even = need.source / (count - 1).max(1);
        let repair = (count - 1 + count - first) % count;
        let begun = |class: u16| {
            let lack = lacks[usize::from(class).min(lacks.len() - 1)];
            class != repair && lack < even
        };
        turns.sort_by_key(|(class, _)| (!begun(*class), *class));
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

    /// As [`Puller::cheapest`], the origin last: what others hold as well, it need not send.
    pub(super) fn sparing(&self, holders: &[(usize, u32)], stripe: u8) -> Option<usize> {
        let origin = |at: usize| self.view.peers[at].depth.contains(&0);
        self.best(holders, stripe, |at| if origin(at) { ORIGIN_COST_US } else { 0 })
    }

    /// The holder of a stripe that is cheapest when `extra`, in microseconds, is added.
    pub(super) fn best(
        &self,
        holders: &[(usize, u32)],
        stripe: u8,
        extra: impl Fn(usize) -> u64,
    ) -> Option<usize> {
        let cost = |at: usize| {
            let peer = &self.view.peers[at];
            micros(peer.rtt) + micros(peer.queue) + self.room[at].1 * LOAD_COST_US + extra(at)
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
