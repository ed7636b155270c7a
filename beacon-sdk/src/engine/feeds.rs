//! Stripe subscriptions: who pushes what to whom.

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
/// Refusals remembered at most.
const REFUSALS_MAX: usize = 256;

/// One stripe as this peer receives it.
#[derive(Debug, Clone)]
pub(super) struct Feed {
    /// Pushes it to this peer.
    pub(super) parent: Option<PeerKey>,
    /// Asked to push it, not yet answered. The parent, if any, is kept meanwhile.
    pub(super) pending: Option<(PeerKey, Instant)>,
    /// From the origin to the parent, both included; empty without a parent.
    pub(super) path: Vec<u32>,
    /// The last symbol that the parent pushed.
    pub(super) last: Instant,
    /// It has had a parent before.
    pub(super) fed: bool,
}

/// What a subscription answer changes.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Switch {
    /// Nothing to do.
    None,
    /// The stripe has a new parent; the old one, if any, is to be told.
    Taken { old: Option<PeerKey> },
    /// The path runs through this peer: give the parent up.
    Loop,
}

/// All subscriptions, both ways.
#[derive(Debug)]
pub(super) struct Feeds {
    me: u32,
    origin: bool,
    pub(super) stripes: Vec<Feed>,
    /// Children per stripe.
    children: Vec<Vec<PeerKey>>,
    refused: Vec<(PeerKey, u8, Instant)>,
    /// Stripe in which this peer is interior.
    home: u8,
    fanout: usize,
    slots: usize,
}

impl Feeds {
    /// `stripes` does not count the repair stripe.
    pub(super) fn new(me: u32, origin: bool, stripes: u8, fanout: u16, slots: u16) -> Self {
        let count = usize::from(stripes) + 1;
        let feed =
            Feed { parent: None, pending: None, path: Vec::new(), last: Instant::ZERO, fed: false };
        Self {
            me,
            origin,
            stripes: vec![feed; count],
            children: vec![Vec::new(); count],
            refused: Vec::new(),
            home: (me % u32::from(stripes.max(1))) as u8,
            fanout: usize::from(fanout),
            slots: usize::from(slots),
        }
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

    pub(super) fn children(&self, stripe: u8) -> &[PeerKey] {
        self.children.get(usize::from(stripe)).map_or(&[], Vec::as_slice)
    }

    /// Subscriptions served in all.
    pub(super) fn children_total(&self) -> usize {
        self.children.iter().map(Vec::len).sum()
    }

    /// Hops from the origin to this peer on a stripe; `None` without a feed.
    pub(super) fn depth(&self, stripe: u8) -> Option<u8> {
        if self.origin {
            return Some(0);
        }
        let feed = self.stripes.get(usize::from(stripe))?;
        feed.parent.map(|_| feed.path.len() as u8)
    }

    /// The way a stripe takes to this peer's children: its own path and itself.
    pub(super) fn path_to_children(&self, stripe: u8) -> Vec<u32> {
        let mut path = self.stripes.get(usize::from(stripe)).map_or(Vec::new(), |f| f.path.clone());
        path.push(self.me);
        path
    }

    /// Children this peer takes in a stripe.
    fn limit(&self, stripe: u8) -> usize {
        if self.origin {
            return self.fanout;
        }
        let others = self.stripes.len().saturating_sub(2).max(1);
        if stripe == self.home { (self.slots / 2).max(1) } else { (self.slots / 2 / others).max(1) }
    }

    /// Whether another child of a stripe would be taken.
    pub(super) fn open(&self, stripe: u8) -> bool {
        let room = self.children(stripe).len() < self.limit(stripe);
        let slots = self.origin || self.children_total() < self.slots;
        room && slots && self.depth(stripe).is_some_and(|depth| depth < DEPTH_MAX)
    }

    /// Takes a child, or says why not.
    pub(super) fn adopt(
        &mut self,
        stripe: u8,
        child: PeerKey,
        child_short: u32,
    ) -> Result<(), RefuseReason> {
        if self.children(stripe).contains(&child) {
            return Ok(());
        }
        let Some(depth) = self.depth(stripe) else { return Err(RefuseReason::Unavailable) };
        if self.path_to_children(stripe).contains(&child_short) {
            return Err(RefuseReason::Loop);
        }
        if depth >= DEPTH_MAX {
            return Err(RefuseReason::Depth);
        }
        if !self.open(stripe) {
            return Err(RefuseReason::Full);
        }
        self.children[usize::from(stripe)].push(child);
        Ok(())
    }

    pub(super) fn abandon(&mut self, stripe: u8, child: PeerKey) {
        if let Some(children) = self.children.get_mut(usize::from(stripe)) {
            children.retain(|key| *key != child);
        }
    }

    /// Notes that a neighbour was asked for a stripe; `false` when that makes no sense.
    pub(super) fn ask(&mut self, stripe: u8, peer: PeerKey, now: Instant) -> bool {
        let paused = self.paused(stripe, peer, now);
        let Some(feed) = self.stripes.get_mut(usize::from(stripe)) else { return false };
        if paused || feed.pending.is_some() || feed.parent == Some(peer) {
            return false;
        }
        feed.pending = Some((peer, now));
        true
    }

    /// Whether a neighbour refused a stripe just now.
    pub(super) fn paused(&self, stripe: u8, peer: PeerKey, now: Instant) -> bool {
        let until = |since: Instant| since + REFUSED_PAUSE;
        self.refused.iter().any(|&(p, s, at)| p == peer && s == stripe && until(at) > now)
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
        if feed.pending.is_none_or(|(pending, _)| pending != peer) {
            return Switch::None;
        }
        if looped {
            return Switch::Loop;
        }
        let old = feed.parent.replace(peer);
        feed.pending = None;
        feed.path = path;
        feed.last = now;
        feed.fed = true;
        Switch::Taken { old }
    }

    /// A neighbour does not push a stripe (any more).
    pub(super) fn refuse(&mut self, stripe: u8, peer: PeerKey, now: Instant) {
        self.drop_parent(stripe, peer);
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
            feed.path.clear();
        }
        if feed.pending.is_some_and(|(pending, _)| pending == peer) {
            feed.pending = None;
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
            self.abandon(stripe, peer);
        }
        orphaned
    }

    /// Gives up subscriptions that nobody answered; gives them back as `(stripe, peer)`.
    pub(super) fn expire(&mut self, now: Instant) -> Vec<(u8, PeerKey)> {
        let mut gone = Vec::new();
        for (stripe, feed) in (0_u8..).zip(&mut self.stripes) {
            if let Some((peer, since)) = feed.pending
                && since + ANSWER_MAX <= now
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
