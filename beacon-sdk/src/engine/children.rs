//! Who takes stripes from this peer, and who makes room for whom.
//!
//! A child that can serve many itself belongs near the origin: in a full stripe it takes the
//! place of the one that can serve fewest. That one is given notice and served on until it has
//! found another parent, so that no picture suffers.
//!
//! Every stripe is entitled to its share of the places. A peer with few neighbours has more places at
//! home than there are neighbours to fill them: those that no neighbour could fill are lent to other
//! stripes, and asked back when one could.
//!
//! A child of poor standing (it does not sign for what it takes) is served while nobody else wants its
//! place, and choked when somebody does. Of two that can serve as few, the one that gives less makes room.

use super::census::Count;
use crate::plugin::PeerKey;
use crate::time::Instant;
use core::time::Duration;

/// How long a child under notice is served on at most: time to ask two others in turn.
pub(super) const NOTICE: Duration = Duration::from_millis(2500);
/// A place is given up only for a child that can serve at least this many times as many, so that
/// near equals do not chase each other.
const BETTER: u16 = 2;
/// A peer with fewer neighbours lends places, and goes on until it has as many as the second. (Guesses:
/// the links that are aimed for, and half as many more. Where everybody lends, `plans/live-1000.toml` has
/// fewer duplicates and more stalls, seeds 1 and 2.)
const FEW: usize = 8;
const FEW_LEFT: usize = 12;
/// The bar of a stripe in which no child is taken.
pub(super) const CLOSED: u8 = u8::MAX;

/// How many stripe subscriptions a peer serves, and what each stripe's share of them is: half in its
/// home stripe, in which it is interior, the rest spread over the others.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) struct Capacity {
    home: u8,
    slots: u16,
    /// Stripes besides the home stripe and the repair stripe.
    others: u16,
}

impl Capacity {
    /// Of the peer whose id begins with `short`; `stripes` does not count the repair stripe.
    pub(super) fn of(short: u32, slots: u16, stripes: u8) -> Self {
        let stripes = stripes.max(1);
        let home = (short % u32::from(stripes)) as u8;
        Self { home, slots, others: u16::from(stripes - 1).max(1) }
    }

    /// Children it takes in a stripe where all stripes are asked for.
    pub(super) fn children(&self, stripe: u8) -> u16 {
        let half = self.slots / 2;
        let share = if stripe == self.home { half } else { half / self.others };
        share.max(1).min(self.slots)
    }

    /// The same as neighbours are told and compare it, below [`CLOSED`].
    pub(super) fn weight(&self, stripe: u8) -> u8 {
        self.children(stripe).min(u16::from(CLOSED) - 1) as u8
    }
}

#[derive(Copy, Clone, Debug)]
struct Child {
    key: PeerKey,
    weight: u8,
    /// Under notice until then.
    notice: Option<Instant>,
    /// Nothing has been heard of it for a while: it is served on, and its place is free.
    silent: bool,
    /// Its standing is poor: likewise, until somebody takes the place.
    poor: bool,
    /// What this peer thinks of it, 0 to 100.
    score: u8,
    /// It takes segments captured from then on, and before then.
    from: Instant,
    until: Instant,
    /// What hangs on it in this stripe, itself included; nothing until it has said so.
    count: Count,
}

impl Child {
    fn leaving(&self) -> bool {
        self.until != Instant::NEVER
    }

    /// It has a place.
    fn stays(&self) -> bool {
        self.served() && !self.poor
    }

    /// It takes what a place takes.
    fn served(&self) -> bool {
        self.notice.is_none() && !self.silent
    }

    /// The least makes room first.
    fn rank(&self) -> (u8, u8, PeerKey) {
        (self.weight, self.score, self.key)
    }
}

/// How a child stands at present.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) struct Judged {
    /// Nothing has been heard of it for a while.
    pub(super) silent: bool,
    /// The ledger would not serve it where capacity is scarce.
    pub(super) poor: bool,
    /// What the scorer thinks of it, 0 to 100.
    pub(super) score: u8,
}

/// The children of all stripes.
#[derive(Debug)]
pub(super) struct Children {
    stripes: Vec<Vec<Child>>,
    /// Children per stripe, at the origin.
    fanout: Option<u16>,
    own: Capacity,
    /// Neighbours that are children of a stripe, or could be.
    within_reach: Vec<u16>,
    /// There are few neighbours: places are lent.
    lends: bool,
}

/// Whether a child is taken.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Place {
    /// There was room, or it is a child already.
    Taken,
    /// There is room once this child, now under notice, has gone.
    TakenFrom(PeerKey),
    /// No.
    Full,
}

impl Children {
    /// `count` stripes with the repair stripe. The origin takes `fanout` in each.
    pub(super) fn new(count: u8, fanout: Option<u16>, own: Capacity) -> Self {
        let count = usize::from(count);
        Self {
            stripes: vec![Vec::new(); count],
            fanout,
            own,
            within_reach: vec![0; count],
            lends: false,
        }
    }

    fn all(&self, stripe: u8) -> impl Iterator<Item = &Child> {
        self.stripes.get(usize::from(stripe)).into_iter().flatten()
    }

    /// Those that stay.
    pub(super) fn of(&self, stripe: u8) -> impl Iterator<Item = PeerKey> + '_ {
        self.all(stripe).filter(|child| !child.leaving()).map(|child| child.key)
    }

    /// Those that take a segment captured then.
    pub(super) fn taking(&self, stripe: u8, captured: Instant) -> impl Iterator<Item = PeerKey> {
        let takes = move |child: &&Child| child.from <= captured && captured < child.until;
        self.all(stripe).filter(takes).map(|child| child.key)
    }

    pub(super) fn total(&self) -> usize {
        self.stripes.iter().map(Vec::len).sum()
    }

    /// The share of a stripe. The origin spreads what it has evenly: every stripe begins with it.
    fn limit(&self, stripe: u8) -> usize {
        let each = self.own.slots / (self.own.others + 1);
        let even = |fanout: u16| fanout.min(each).max(1);
        usize::from(self.fanout.map_or_else(|| self.own.children(stripe), even))
    }

    /// Takes up to so many from now on.
    pub(super) fn resize(&mut self, own: Capacity) {
        self.own = own;
    }

    /// There are so many neighbours.
    pub(super) fn surround(&mut self, neighbours: usize) {
        let few = if self.lends { FEW_LEFT } else { FEW };
        self.lends = self.fanout.is_none() && neighbours < few;
    }

    /// So many neighbours are children of a stripe, or could be.
    pub(super) fn reach(&mut self, stripe: u8, neighbours: u16) {
        if let Some(within_reach) = self.within_reach.get_mut(usize::from(stripe)) {
            *within_reach = neighbours;
        }
    }

    /// No stripe but the last has room, which is the repair stripe; or, where places are lent, all are
    /// taken.
    pub(super) fn full(&self) -> bool {
        let stripes = self.stripes.len() as u8;
        if self.lends {
            return self.staying() >= usize::from(self.own.slots);
        }
        (0..stripes - 1).all(|stripe| !self.room(stripe))
    }

    /// Children that stay, in one stripe.
    fn staying_in(&self, stripe: u8) -> usize {
        self.all(stripe).filter(|child| child.stays()).count()
    }

    /// Children that stay, in all stripes.
    fn staying(&self) -> usize {
        self.stripes.iter().flatten().filter(|child| child.stays()).count()
    }

    /// By how many children a stripe is beyond its share.
    fn beyond(&self, stripe: u8) -> usize {
        self.staying_in(stripe).saturating_sub(self.limit(stripe))
    }

    /// Gives notice to the weakest where there are more than places: whom, in which stripe. Lent
    /// places are asked back first. One at a time of each stripe, or all `at_once`.
    pub(super) fn shed(&mut self, now: Instant, at_once: bool) -> Vec<(u8, PeerKey)> {
        let mut shed = self.choke(now);
        let weakest = |children: &Self, stripe: u8| {
            let staying = children.all(stripe).filter(|child| child.stays());
            let all = staying.min_by_key(|child| child.rank()).map(|child| child.key);
            if at_once { all } else { children.weakest(stripe).map(|child| child.key) }
        };
        loop {
            let all_over = self.fanout.is_none() && self.staying() > usize::from(self.own.slots);
            let over = |stripe: u8| all_over || !self.lends && self.beyond(stripe) > 0;
            let fullest = (0..self.stripes.len() as u8)
                .map(|stripe| (self.staying_in(stripe), stripe))
                .filter(|&(count, stripe)| count > 0 && over(stripe))
                .filter_map(|(count, stripe)| {
                    let lent = if self.lends { self.beyond(stripe) } else { 0 };
                    Some((lent, count, stripe, weakest(self, stripe)?))
                })
                .max();
            let Some((.., stripe, key)) = fullest else { return shed };
            let child = self.stripes[usize::from(stripe)].iter_mut().find(|c| c.key == key);
            if let Some(child) = child {
                child.notice = Some(now + NOTICE);
            }
            shed.push((stripe, key));
        }
    }

    /// Gives notice to children of poor standing whose places others have taken: whom, in which stripe.
    fn choke(&mut self, now: Instant) -> Vec<(u8, PeerKey)> {
        let mut choked = Vec::new();
        let slots = usize::from(self.own.slots);
        let mut all = self.stripes.iter().flatten().filter(|child| child.served()).count();
        for stripe in 0..self.stripes.len() as u8 {
            let limit = self.limit(stripe);
            let children = &mut self.stripes[usize::from(stripe)];
            let mut here = children.iter().filter(|child| child.served()).count();
            for child in children.iter_mut().filter(|child| child.poor && child.served()) {
                let over = here > limit && !self.lends || all > slots && self.fanout.is_none();
                if over {
                    child.notice = Some(now + NOTICE);
                    choked.push((stripe, child.key));
                    (here, all) = (here - 1, all - 1);
                }
            }
        }
        choked
    }

    /// A child is under notice, or leaves by itself.
    pub(super) fn any_leaves(&self) -> bool {
        self.stripes.iter().flatten().any(|child| child.notice.is_some())
    }

    /// Places of all stripes' shares that neighbours could still fill.
    fn kept(&self) -> usize {
        let kept = |(stripe, reach): (u8, &u16)| {
            self.limit(stripe).min(usize::from(*reach)).saturating_sub(self.staying_in(stripe))
        };
        (0..).zip(&self.within_reach).map(kept).sum()
    }

    /// Whether another child finds an empty place, or one that is lent to another stripe.
    fn room(&self, stripe: u8) -> bool {
        let count = self.stripes.len() as u8;
        let within = stripe < count && self.staying_in(stripe) < self.limit(stripe);
        if self.fanout.is_some() {
            return within;
        }
        let (all, slots) = (self.staying(), usize::from(self.own.slots));
        if within {
            all < slots || self.lends && (0..count).any(|other| self.beyond(other) > 0)
        } else {
            self.lends && stripe < count && all + self.kept() < slots
        }
    }

    /// The one that would make room, unless one is about to already.
    fn weakest(&self, stripe: u8) -> Option<&Child> {
        let children = self.stripes.get(usize::from(stripe))?;
        let staying = children.iter().filter(|child| !child.leaving());
        if staying.clone().any(|child| child.notice.is_some()) {
            return None;
        }
        staying.min_by_key(|child| child.rank())
    }

    /// What a newcomer must weigh in a stripe to be taken: 0 is anybody, [`CLOSED`] nobody.
    pub(super) fn bar(&self, stripe: u8) -> u8 {
        if self.room(stripe) {
            return 0;
        }
        self.weakest(stripe).map_or(CLOSED, |child| bar_over(child.weight))
    }

    /// Takes a child that wants segments captured since `from`.
    pub(super) fn adopt(
        &mut self,
        stripe: u8,
        key: PeerKey,
        (weight, from): (u8, Instant),
        now: Instant,
    ) -> Place {
        let Some(children) = self.stripes.get_mut(usize::from(stripe)) else { return Place::Full };
        if let Some(child) = children.iter_mut().find(|child| child.key == key) {
            // It has not found another place, or changed its mind: if there is room, it stays.
            if child.leaving() {
                child.notice = None;
            }
            (child.weight, child.from, child.until) = (weight, from, Instant::NEVER);
            return Place::Taken;
        }
        let newcomer = Child {
            key,
            weight,
            notice: None,
            silent: false,
            poor: false,
            score: 0,
            from,
            until: Instant::NEVER,
            count: Count::default(),
        };
        if self.room(stripe) {
            self.stripes[usize::from(stripe)].push(newcomer);
            return Place::Taken;
        }
        let Some(weakest) = self.weakest(stripe).filter(|child| weight >= bar_over(child.weight))
        else {
            return Place::Full;
        };
        let leaving = weakest.key;
        let children = &mut self.stripes[usize::from(stripe)];
        if let Some(child) = children.iter_mut().find(|child| child.key == leaving) {
            child.notice = Some(now + NOTICE);
        }
        children.push(newcomer);
        Place::TakenFrom(leaving)
    }

    /// A child can serve more or less than it could; whether that is news for those who want its
    /// place.
    pub(super) fn reweigh(&mut self, key: PeerKey, capacity: Capacity) -> bool {
        let mut new = false;
        for (stripe, children) in (0_u8..).zip(&mut self.stripes) {
            for child in children.iter_mut().filter(|child| child.key == key) {
                new |= child.weight != capacity.weight(stripe);
                child.weight = capacity.weight(stripe);
            }
        }
        new
    }

    /// What hangs on a child has been told.
    pub(super) fn counted(&mut self, stripe: u8, key: PeerKey, count: Count) {
        let children = self.stripes.get_mut(usize::from(stripe)).into_iter().flatten();
        children.filter(|child| child.key == key).for_each(|child| child.count = count);
    }

    /// What hangs on all children that stay in a stripe. One under notice is looking for another
    /// parent and counted here until it has one.
    pub(super) fn count(&self, stripe: u8) -> Count {
        let there = self.all(stripe).filter(|child| !child.silent && !child.leaving());
        there.fold(Count::default(), |sum, child| sum.plus(child.count))
    }

    /// Says of every child how it stands; whether that frees a place, or takes one back.
    pub(super) fn judge(&mut self, judged: impl Fn(PeerKey) -> Judged) -> bool {
        let mut new = false;
        for child in self.stripes.iter_mut().flatten() {
            let Judged { silent, poor, score } = judged(child.key);
            new |= (child.silent, child.poor) != (silent, poor);
            (child.silent, child.poor, child.score) = (silent, poor, score);
        }
        new
    }

    /// A child has another parent for what is captured from `until` on.
    pub(super) fn leave(&mut self, stripe: u8, key: PeerKey, until: Instant, now: Instant) {
        if until == Instant::ZERO {
            return self.abandon(stripe, key);
        }
        let Some(children) = self.stripes.get_mut(usize::from(stripe)) else { return };
        if let Some(child) = children.iter_mut().find(|child| child.key == key) {
            (child.until, child.notice) = (until, Some(now + NOTICE));
        }
    }

    /// A child is to find another parent; whether that is news for it.
    pub(super) fn give_notice(&mut self, stripe: u8, key: PeerKey, now: Instant) -> bool {
        let Some(children) = self.stripes.get_mut(usize::from(stripe)) else { return false };
        let child = children.iter_mut().find(|child| child.key == key && child.notice.is_none());
        child.map(|child| child.notice = Some(now + NOTICE)).is_some()
    }

    pub(super) fn abandon(&mut self, stripe: u8, key: PeerKey) {
        if let Some(children) = self.stripes.get_mut(usize::from(stripe)) {
            children.retain(|child| child.key != key);
        }
    }

    /// Those whose notice has run out and who do not know it; they are children no more.
    pub(super) fn expire(&mut self, now: Instant) -> Vec<(u8, PeerKey)> {
        let mut gone = Vec::new();
        for (stripe, children) in (0_u8..).zip(&mut self.stripes) {
            children.retain(|child| {
                let over = child.notice.is_some_and(|until| until <= now);
                if over && !child.leaving() {
                    gone.push((stripe, child.key));
                }
                !over
            });
        }
        gone
    }
}

/// What a child must weigh to take the place of one of this weight.
fn bar_over(weight: u8) -> u8 {
    (u16::from(weight) * BETTER).clamp(1, u16::from(CLOSED)) as u8
}

#[cfg(test)]
mod tests;
