//! [`Scheduler`]: from whom to take what.

use super::Score;
use crate::config::STRIPES_MAX;
use crate::id::{PeerId, SegmentId};
use crate::maybe_send::MaybeSend;
use crate::rng::Rng;
use crate::time::Instant;
use core::fmt::Debug;
use core::time::Duration;

/// A neighbour, named for the length of one link. Not stable across links.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PeerKey(pub(crate) u16);

/// A neighbour as a scheduler sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PeerView {
    /// Name for the plan.
    pub key: PeerKey,
    /// Who it is.
    pub id: PeerId,
    /// This peer's score of it.
    pub score: Score,
    /// Smoothed round trip on the control lane.
    pub rtt: Duration,
    /// Symbols that may be requested of it now. Requests above are clamped.
    pub window: u16,
    /// Symbols requested of it and not yet answered.
    pub outstanding: u16,
    /// How long what waits for its uplink will take, as far as it has said: 100 ms when it has just
    /// been busy, then less.
    pub queue: Duration,
    /// Stripes it would push, as far as known: bit i is stripe i.
    pub offers: u32,
    /// Hops from the origin per stripe, as it advertised; 255 where it has no feed.
    pub depth: [u8; STRIPES_MAX as usize + 1],
}

/// A stripe as a scheduler sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StripeView {
    /// Stripe number; the last one carries repair symbols.
    pub stripe: u8,
    /// Carries repair symbols only.
    pub repair: bool,
    /// Who pushes it to this peer.
    pub parent: Option<PeerKey>,
    /// A subscription is being set up.
    pub pending: bool,
    /// How long the stripe has been late compared with what neighbours hold; zero when on time.
    pub lag: Duration,
    /// Children that this peer serves in the stripe at most.
    pub weight: u8,
    /// From a manifest to the last symbol of the stripe, smoothed over this parent's segments.
    pub usual: Duration,
}

/// Why a symbol that nobody is expected to push is still missing.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum MissingState {
    /// The stripe's parent says it has sent it: ask it again (a NAK).
    Lost(PeerKey),
    /// Nobody pushes its stripe, or the parent is overdue.
    Open,
}

/// A segment that is not whole yet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Need {
    /// Which segment.
    pub id: SegmentId,
    /// When its first object is due for playout.
    pub deadline: Instant,
    /// When its manifest came.
    pub since: Instant,
    /// Symbols still needed before the segment is whole, beyond those that were asked for and those
    /// that parents are expected to push (any symbol counts where repair symbols can stand in).
    pub wanted: u16,
    /// Missing symbols that their stripes' parents are expected to push still.
    pub expected: u16,
    /// Missing symbols that nobody is expected to push and nobody was asked for, ascending by
    /// ESI.
    pub missing: Vec<(u16, MissingState)>,
    /// Neighbours that hold something of it: bit i of the mask is stripe i.
    pub holders: Vec<(PeerKey, u32)>,
    /// Source symbols of the segment, K.
    pub source: u16,
}

/// Symbols of one segment that are held here and that a neighbour lacks, as far as it has told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Spare {
    /// Who lacks them.
    pub peer: PeerKey,
    /// Of which segment.
    pub id: SegmentId,
    /// When the segment's first object is due for playout.
    pub deadline: Instant,
    /// The neighbour has subscribed their stripes here, so nobody else pushes them to it. Where
    /// this is false, the neighbour has nobody for their stripes, or has lacked them for long.
    pub reserved: bool,
    /// How many there are.
    pub lacking: u16,
    /// The first of them, [`SPARE_SYMBOLS_MAX`] at most.
    pub esis: Vec<u16>,
}

/// Symbols that one [`Spare`] names at most: a burst (theory.md §2.1).
pub const SPARE_SYMBOLS_MAX: usize = 16;

/// What a scheduler may know: only what messages told this peer.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct MeshView {
    /// The present.
    pub now: Instant,
    /// All stripes, by number.
    pub stripes: Vec<StripeView>,
    /// All neighbours, by key.
    pub peers: Vec<PeerView>,
    /// Segments that are not whole, by ascending deadline.
    pub needs: Vec<Need>,
    /// Stripes the broadcast has, not counting the repair stripe.
    pub stripe_count: u8,
    /// What neighbours lack, newest segment first. Empty unless the scheduler wants it
    /// ([`Scheduler::wants_spare`]), and while `push_room` is 0.
    pub spares: Vec<Spare>,
    /// Symbols that may be pushed now, to all neighbours together: what the uplink takes in a
    /// tenth of a second, less what waits for it already.
    pub push_room: u16,
}

impl MeshView {
    /// The view of one neighbour.
    #[must_use]
    pub fn peer(&self, key: PeerKey) -> Option<&PeerView> {
        self.peers.binary_search_by_key(&key, |peer| peer.key).ok().map(|at| &self.peers[at])
    }

    /// How many neighbours hold the rarest of the stripes that are missing of a segment: the rarity
    /// that rarest-first sorts by. A segment that nearly all hold in part is rare all the same
    /// while a stripe of it is with one alone.
    #[must_use]
    pub fn copies(&self, need: &Need) -> usize {
        let bit = |stripe: u8| 1_u32.checked_shl(stripe.into()).unwrap_or_default();
        let missing = need.missing.iter().map(|(esi, _)| bit(self.stripe(need, *esi)));
        let missing = missing.fold(0, |mask, stripe| mask | stripe);
        let holding =
            |stripe: u8| need.holders.iter().filter(|(_, mask)| mask & bit(stripe) != 0).count();
        // Repair symbols stand in for what does not come: without them a segment is no rarer.
        let counts = (0..self.stripe_count).filter(|s| missing & bit(*s) != 0).map(holding);
        counts.filter(|count| *count > 0).min().unwrap_or(need.holders.len())
    }

    /// The stripe a symbol belongs to; see [`stripe_of`].
    #[must_use]
    pub fn stripe(&self, need: &Need, esi: u16) -> u8 {
        stripe_of(need.id.seq, esi, need.source, self.stripe_count)
    }
}

/// The stripe of symbol `esi` of segment `seq`: source symbols go round, starting at a stripe
/// that moves with the segment so that short segments load all stripes alike; repair symbols are
/// the stripe after the last.
#[must_use]
pub fn stripe_of(seq: u32, esi: u16, source: u16, stripes: u8) -> u8 {
    if esi >= source {
        return stripes;
    }
    let at = (u64::from(seq) + u64::from(esi)) % u64::from(stripes.max(1));
    u8::try_from(at).unwrap_or(0)
}

/// One thing a scheduler wants done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PlanAction {
    /// Ask a neighbour for symbols of a segment.
    Request {
        /// Whom.
        peer: PeerKey,
        /// Of which segment.
        segment: SegmentId,
        /// Which symbols.
        esis: Vec<u16>,
    },
    /// Ask a neighbour to push a stripe. When the stripe has a parent, the old one is kept until
    /// the new one delivers (make before break).
    Subscribe {
        /// Which stripe.
        stripe: u8,
        /// Whom.
        peer: PeerKey,
    },
    /// Give up the parent of a stripe.
    Unsubscribe {
        /// Which stripe.
        stripe: u8,
    },
    /// Send symbols that nobody asked for.
    Push {
        /// To whom.
        peer: PeerKey,
        /// Of which segment.
        segment: SegmentId,
        /// Which symbols.
        esis: Vec<u16>,
    },
}

/// What a scheduler wants done. A wish list: the engine checks each action against windows,
/// holders and loop rules, and drops what does not fit.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Plan {
    actions: Vec<PlanAction>,
    replan_at: Option<Instant>,
}

/// Actions of one plan at most; what comes after is ignored.
pub const PLAN_ACTIONS_MAX: usize = 1024;

impl Plan {
    /// Asks for symbols.
    pub fn request(&mut self, peer: PeerKey, segment: SegmentId, esis: Vec<u16>) {
        if !esis.is_empty() {
            self.add(PlanAction::Request { peer, segment, esis });
        }
    }

    /// Asks for a stripe.
    pub fn subscribe(&mut self, stripe: u8, peer: PeerKey) {
        self.add(PlanAction::Subscribe { stripe, peer });
    }

    /// Gives up a stripe's parent.
    pub fn unsubscribe(&mut self, stripe: u8) {
        self.add(PlanAction::Unsubscribe { stripe });
    }

    /// Sends symbols that nobody asked for.
    pub fn push(&mut self, peer: PeerKey, segment: SegmentId, esis: Vec<u16>) {
        if !esis.is_empty() {
            self.add(PlanAction::Push { peer, segment, esis });
        }
    }

    /// Wants to be asked again at `at`, though nothing happens till then.
    pub fn replan_at(&mut self, at: Instant) {
        self.replan_at = Some(self.replan_at.map_or(at, |earlier| earlier.min(at)));
    }

    fn add(&mut self, action: PlanAction) {
        if self.actions.len() < PLAN_ACTIONS_MAX {
            self.actions.push(action);
        }
    }

    /// The actions in order.
    #[must_use]
    pub fn actions(&self) -> &[PlanAction] {
        &self.actions
    }

    /// The actions in order, to be carried out.
    #[must_use]
    pub fn into_actions(self) -> Vec<PlanAction> {
        self.actions
    }

    /// When to plan again at the latest.
    #[must_use]
    pub const fn wakes_at(&self) -> Option<Instant> {
        self.replan_at
    }
}

/// What became of a request.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Feedback {
    /// Symbols came.
    Served {
        /// From whom.
        peer: PeerKey,
        /// How many.
        symbols: u16,
    },
    /// Symbols did not come in time.
    TimedOut {
        /// From whom.
        peer: PeerKey,
        /// How many.
        symbols: u16,
    },
    /// The neighbour is busy.
    Busy {
        /// Who.
        peer: PeerKey,
    },
}

/// Decides from whom to take what. Pure: it may use the view, the generator and its own state,
/// and nothing else.
///
/// # Contract
/// - **H01** Same state, view and generator: same plan.
/// - **H02** It never asks a neighbour for what that neighbour does not hold, and pushes only
///   what `spares` names.
/// - **H03** Progress: where something is open, someone holds it and has window, it requests,
///   subscribes, pushes or sets `replan_at`.
/// - **H04** Bounded cost: linear, up to a logarithm, in the size of the view.
/// - **H05** No panic on any view: empty, contradictory, huge.
/// - **H06** It does not ask twice for one symbol in one plan, nor push one twice to one
///   neighbour.
pub trait Scheduler: MaybeSend + Debug + 'static {
    /// A short name for logs and benchmarks.
    fn name(&self) -> &'static str;

    /// Fills `plan` for the present view. Called at least every
    /// [`plan_interval`](crate::Config::plan_interval) while something is missing.
    fn plan(&mut self, view: &MeshView, rng: &mut Rng, plan: &mut Plan);

    /// Learns what became of requests.
    fn feedback(&mut self, _now: Instant, _feedback: Feedback) {}

    /// Whether this scheduler pushes by plan: it is then shown `spares`, at the origin too, and a
    /// subscription only reserves a stripe: the engine passes nothing on by itself. Always the
    /// same answer.
    fn wants_spare(&self) -> bool {
        false
    }
}

impl<T: Scheduler + ?Sized> Scheduler for Box<T> {
    fn name(&self) -> &'static str {
        (**self).name()
    }
    fn plan(&mut self, view: &MeshView, rng: &mut Rng, plan: &mut Plan) {
        (**self).plan(view, rng, plan);
    }
    fn feedback(&mut self, now: Instant, feedback: Feedback) {
        (**self).feedback(now, feedback);
    }
    fn wants_spare(&self) -> bool {
        (**self).wants_spare()
    }
}
