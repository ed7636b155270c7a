//! Stripe subscriptions: who pushes what to whom.

use super::census::Count;
use super::children::{CLOSED, Capacity, Children, Place};
use super::conduct::Word;
use crate::config::DEPTH_MAX;
use crate::id::SegmentId;
use crate::plugin::PeerKey;
use crate::time::Instant;
use crate::wire::RefuseReason;
use core::time::Duration;

/// How long an unanswered subscription is waited for.
const ANSWER_MAX: Duration = Duration::from_millis(1000);
/// How long a neighbour that refused a stripe is not asked for it again.
const REFUSED_PAUSE: Duration = Duration::from_millis(1500);
/// How long a parent may be without a way to the origin before others are looked for. Most find one
/// within a round trip or two, and all that hang on them keep theirs. (Guess. Variants with 300 ms
/// did worse on two seeds at 10 % loss, but so did one without this rule: chance is not ruled out.)
const STRANDED_MAX: Duration = Duration::from_secs(1);
/// Refusals remembered at most.
const REFUSALS_MAX: usize = 256;

/// One stripe as this peer receives it.
#[derive(Debug, Clone)]
pub(super) struct Feed {
    /// Pushes it to this peer.
    pub(super) parent: Option<PeerKey>,
    /// The parent pushes segments captured since then; and since when it does.
    pub(super) from: Instant,
    pub(super) since: Instant,
    /// Pushes those captured before.
    pub(super) before: Option<Flow>,
    /// Asked to push it, not yet answered. The parent, if any, is kept meanwhile.
    pub(super) pending: Option<Pending>,
    /// From the origin to the parent, both included; empty without a parent.
    pub(super) path: Vec<u32>,
    /// When the parent last pushed a symbol, and of which segment.
    pub(super) last: Instant,
    pub(super) at: SegmentId,
    /// It has had a parent before.
    pub(super) fed: bool,
    /// From a manifest to the last symbol, smoothed over what this parent pushed.
    pub(super) usual: Duration,
    /// The parent wants the place for another child, or does not do what it says: a new one is to be found.
    pub(super) notice: bool,
    /// Since when the parent says that it has no way to the origin itself.
    stranded: Option<Instant>,
    /// It has been so for too long: as good as no parent, but for what it still pushes.
    pub(super) cut: bool,
    /// What hangs on this peer here, as the parent was told last.
    pub(super) told: Option<(PeerKey, Count)>,
    /// What the parent did with what it owed.
    pub(super) word: Word,
}

/// What one neighbour pushes of a stripe.
#[derive(Copy, Clone, Debug)]
pub(super) struct Flow {
    pub(super) peer: PeerKey,
    pub(super) since: Instant,
    /// Its last symbol, and of which segment.
    pub(super) last: Instant,
    pub(super) at: SegmentId,
}

/// A subscription that has not been answered.
#[derive(Copy, Clone, Debug)]
pub(super) struct Pending {
    pub(super) peer: PeerKey,
    since: Instant,
    wish: HandOver,
}

/// Who is to push what while a stripe changes its parent.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) struct HandOver {
    /// The new parent pushes segments captured since then; zero is what it comes to from now on.
    pub(super) from: Instant,
    /// The old one pushes those captured before; without, they are pulled.
    pub(super) old_stays: bool,
}

impl Feed {
    /// Who pushes segments captured then.
    pub(super) fn flow(&self, captured: Instant) -> Option<Flow> {
        let (since, last, at) = (self.since, self.last, self.at);
        let parent = self.parent.map(|peer| Flow { peer, since, last, at });
        if captured < self.from { self.before } else { parent }
    }

    /// The last symbol and segment of the neighbour `from`, where it is the one that pushes
    /// segments captured then.
    pub(super) fn flow_of(
        &mut self,
        from: PeerKey,
        captured: Instant,
    ) -> Option<(&mut Instant, &mut SegmentId)> {
        if captured < self.from {
            let before = self.before.as_mut().filter(|before| before.peer == from)?;
            Some((&mut before.last, &mut before.at))
        } else {
            (self.parent == Some(from)).then_some((&mut self.last, &mut self.at))
        }
    }

    /// Segments captured then are asked of a neighbour that will have answered by now if it does.
    pub(super) fn awaited(&self, captured: Instant, since: Instant) -> bool {
        self.pending.is_some_and(|pending| pending.wish.from <= captured && pending.since > since)
    }
}

/// What a subscription answer changes.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Switch {
    /// Nothing to do.
    None,
    /// The stripe has a new parent; the old one, if any, is to be told.
    Taken {
        old: Option<PeerKey>,
        /// Segments captured before are still wanted of the old one.
        until: Instant,
    },
    /// The path runs through this peer: give the parent up.
    Loop,
}

/// All subscriptions, both ways.
#[derive(Debug)]
pub(super) struct Feeds {
    me: u32,
    origin: bool,
    pub(super) stripes: Vec<Feed>,
    pub(super) children: Children,
    /// What this peer can serve.
    pub(super) own: Capacity,
    refused: Vec<(PeerKey, u8, Instant)>,
    /// From a manifest to the last symbol of a stripe, smoothed.
    pub(super) usual: Duration,
}

impl Feeds {
    /// `stripes` does not count the repair stripe.
    pub(super) fn new(me: u32, origin: bool, stripes: u8, fanout: u16, slots: u16) -> Self {
        let count = usize::from(stripes) + 1;
        let feed = Feed {
            parent: None,
            from: Instant::ZERO,
            since: Instant::ZERO,
            before: None,
            pending: None,
            path: Vec::new(),
            last: Instant::ZERO,
            at: SegmentId::default(),
            fed: false,
            notice: false,
            stranded: None,
            cut: false,
            word: Word::default(),
            usual: Duration::ZERO,
            told: None,
        };
        let own = Capacity::of(me, slots, stripes);
        let children = Children::new(stripes + 1, origin.then_some(fanout), own);
        Self {
            me,
            origin,
            stripes: vec![feed; count],
            children,
            own,
            refused: Vec::new(),
            usual: Duration::ZERO,
        }
    }

    /// Serves up to so many subscriptions from now on; whether that is new.
    pub(super) fn resize(&mut self, slots: u16) -> bool {
        let own = Capacity::of(self.me, slots, self.count() - 1);
        let new = own != self.own;
        self.own = own;
        self.children.resize(own);
        new
    }

    /// Stripes including the repair stripe.
    pub(super) fn count(&self) -> u8 {
        self.stripes.len() as u8
    }

    /// The stripe that the manifest and the pages of a segment travel with: that of its first
    /// symbol.
    pub(super) fn stripe_of_records(&self, id: SegmentId) -> u8 {
        let stripes = self.stripes.len().saturating_sub(1).max(1) as u32;
        (id.seq % stripes) as u8
    }

    /// Hops from the origin to this peer on a stripe; `None` without a feed.
    pub(super) fn depth(&self, stripe: u8) -> Option<u8> {
        if self.origin {
            return Some(0);
        }
        let feed = self.stripes.get(usize::from(stripe))?;
        feed.parent.filter(|_| !feed.cut).map(|_| feed.path.len() as u8)
    }

    /// Of all stripes but the repair stripe.
    pub(super) fn depths(&self) -> impl Iterator<Item = Option<u8>> + '_ {
        (0..self.count() - 1).map(|stripe| self.depth(stripe))
    }

    /// The way a stripe takes to this peer's children: its own path and itself.
    pub(super) fn path_to_children(&self, stripe: u8) -> Vec<u32> {
        let mut path = self.stripes.get(usize::from(stripe)).map_or(Vec::new(), |f| f.path.clone());
        path.push(self.me);
        path
    }

    /// What a newcomer must weigh in a stripe to be taken as a child.
    pub(super) fn bar(&self, stripe: u8) -> u8 {
        if self.depth(stripe).is_some_and(|depth| depth < DEPTH_MAX) {
            self.children.bar(stripe)
        } else {
            CLOSED
        }
    }

    /// Takes a child, and says who makes room for it; or says why not.
    pub(super) fn adopt(
        &mut self,
        stripe: u8,
        child: PeerKey,
        short: u32,
        (weight, from): (u8, Instant),
        now: Instant,
    ) -> Result<Option<PeerKey>, RefuseReason> {
        let Some(depth) = self.depth(stripe) else { return Err(RefuseReason::Unavailable) };
        if self.path_to_children(stripe).contains(&short) {
            return Err(RefuseReason::Loop);
        }
        if depth >= DEPTH_MAX {
            return Err(RefuseReason::Depth);
        }
        match self.children.adopt(stripe, child, (weight, from), now) {
            Place::Taken => Ok(None),
            Place::TakenFrom(other) => Ok(Some(other)),
            Place::Full => Err(RefuseReason::Full),
        }
    }

    /// A stripe of a segment is whole, so long after its manifest came.
    pub(super) fn completed(&mut self, stripe: u8, took: Duration) {
        self.usual = (self.usual * 15 + took) / 16;
        let feed = &mut self.stripes[usize::from(stripe)];
        feed.usual = (feed.usual * 3 + took) / 4;
    }

    /// Whether a neighbour is a stripe's parent, or is asked to become it.
    pub(super) fn hangs_on(&self, stripe: u8, peer: PeerKey) -> bool {
        let pending = |feed: &Feed| feed.pending.is_some_and(|pending| pending.peer == peer);
        let feed = self.stripes.get(usize::from(stripe));
        feed.is_some_and(|feed| feed.parent == Some(peer) || pending(feed))
    }

    /// Notes that a neighbour was asked for a stripe; `false` when that makes no sense.
    pub(super) fn ask(&mut self, stripe: u8, peer: PeerKey, wish: HandOver, now: Instant) -> bool {
        let paused = self.pauses(peer, now) >> stripe & 1 == 1;
        let Some(feed) = self.stripes.get_mut(usize::from(stripe)) else { return false };
        if paused || feed.pending.is_some() || feed.parent == Some(peer) {
            return false;
        }
        feed.pending = Some(Pending { peer, since: now, wish });
        true
    }

    /// Stripes that a neighbour refused just now: bit i is stripe i.
    pub(super) fn pauses(&self, peer: PeerKey, now: Instant) -> u32 {
        let refused =
            self.refused.iter().filter(|(p, _, at)| *p == peer && *at + REFUSED_PAUSE > now);
        refused.fold(0, |mask, (_, stripe, _)| mask | 1 << stripe)
    }

    /// A neighbour says that it pushes a stripe, and along which path.
    pub(super) fn fed(
        &mut self,
        stripe: u8,
        peer: PeerKey,
        path: Vec<u32>,
        now: Instant,
    ) -> Switch {
        let me = self.me;
        let Some(feed) = self.stripes.get_mut(usize::from(stripe)) else { return Switch::None };
        let looped = path.contains(&me);
        if feed.parent == Some(peer) {
            if looped {
                return Switch::Loop;
            }
            feed.path = path;
            return Switch::None;
        }
        let Some(Pending { wish, .. }) = feed.pending.filter(|pending| pending.peer == peer) else {
            return Switch::None;
        };
        if looped {
            return Switch::Loop;
        }
        feed.before = feed.flow(Instant::NEVER).filter(|_| wish.old_stays);
        let until = if feed.before.is_some() { wish.from } else { Instant::ZERO };
        let old = feed.parent.replace(peer);
        (feed.from, feed.since) = (wish.from, now);
        feed.pending = None;
        feed.path = path;
        feed.last = now;
        feed.fed = true;
        feed.notice = false;
        (feed.stranded, feed.cut) = (None, false);
        feed.word = Word::default();
        // The new one starts with the credit of the others.
        feed.usual = self.usual;
        Switch::Taken { old, until }
    }

    /// A parent needs the place for another; it pushes on for a while.
    pub(super) fn give_notice(&mut self, stripe: u8, parent: PeerKey, now: Instant) {
        if let Some(feed) = self.stripes.get_mut(usize::from(stripe))
            && feed.parent == Some(parent)
        {
            feed.notice = true;
            self.pause(stripe, parent, now);
        }
    }

    /// Looks which parents have a way to the origin themselves; whether that has changed for any
    /// stripe. Those who hang on one that has none would keep it from finding one, for all that it
    /// could ask may hang on it in turn.
    pub(super) fn watch_roots(
        &mut self,
        now: Instant,
        rooted: impl Fn(PeerKey, u8) -> bool,
    ) -> bool {
        let mut changed = false;
        for (stripe, feed) in (0_u8..).zip(&mut self.stripes) {
            let Some(parent) = feed.parent else { continue };
            feed.stranded = (!rooted(parent, stripe)).then(|| feed.stranded.unwrap_or(now));
            let cut = feed.stranded.is_some_and(|since| since + STRANDED_MAX <= now);
            changed |= core::mem::replace(&mut feed.cut, cut) != cut;
        }
        changed
    }

    /// A neighbour does not push a stripe (any more).
    pub(super) fn refuse(&mut self, stripe: u8, peer: PeerKey, now: Instant) {
        self.drop_parent(stripe, peer);
        self.pause(stripe, peer, now);
    }

    /// It is not asked for the stripe for a while.
    fn pause(&mut self, stripe: u8, peer: PeerKey, now: Instant) {
        self.refused.retain(|(_, _, at)| *at + REFUSED_PAUSE > now);
        if self.refused.len() < REFUSALS_MAX {
            self.refused.push((peer, stripe, now));
        }
    }

    /// A neighbour is not, or not to be, a stripe's parent.
    pub(super) fn drop_parent(&mut self, stripe: u8, peer: PeerKey) {
        let Some(feed) = self.stripes.get_mut(usize::from(stripe)) else { return };
        if feed.parent == Some(peer) {
            feed.parent = None;
            feed.notice = false;
            (feed.stranded, feed.cut) = (None, false);
            feed.path.clear();
        }
        if feed.pending.is_some_and(|pending| pending.peer == peer) {
            feed.pending = None;
        }
        if feed.before.is_some_and(|before| before.peer == peer) {
            feed.before = None;
        }
    }

    /// A neighbour is gone altogether; gives back the stripes it fed.
    pub(super) fn forget(&mut self, peer: PeerKey) -> Vec<u8> {
        self.refused.retain(|(refuser, ..)| *refuser != peer);
        let mut orphaned = Vec::new();
        for stripe in 0..self.count() {
            if self.stripes[usize::from(stripe)].parent == Some(peer) {
                orphaned.push(stripe);
            }
            self.drop_parent(stripe, peer);
            self.children.abandon(stripe, peer);
        }
        orphaned
    }

    /// Gives up subscriptions that nobody answered in `patience`; gives them back as
    /// `(stripe, peer)`.
    pub(super) fn expire(
        &mut self,
        now: Instant,
        patience: impl Fn(PeerKey) -> Duration,
    ) -> Vec<(u8, PeerKey)> {
        let mut gone = Vec::new();
        for (stripe, feed) in (0_u8..).zip(&mut self.stripes) {
            if let Some(Pending { peer, since, .. }) = feed.pending
                && since + patience(peer).min(ANSWER_MAX) <= now
            {
                feed.pending = None;
                gone.push((stripe, peer));
            }
        }
        for &(stripe, peer) in &gone {
            self.refuse(stripe, peer, now);
        }
        gone
    }
}
