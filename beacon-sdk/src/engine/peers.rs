//! The neighbours: one record per link, addressed by a small key.

use super::conduct::{Allowance, Answers};
use super::outbox::Outbox;
use super::proof::Accused;
use super::supply::QUEUE_MAX;
use crate::config::STRIPES_MAX;
use crate::id::{PeerId, SegmentId};
use crate::plugin::PeerKey;
use crate::time::{Instant, micros};
use crate::wire::Status;
use core::time::Duration;

/// Requested symbols in flight per neighbour: where a link starts, and its bounds.
const WINDOW_START: u16 = 64;
const WINDOW_MIN: u16 = 8;
const WINDOW_MAX: u16 = 512;

/// Behind such a queue a symbol is as good as lost.
const STRAGGLE_MAX: Duration = Duration::from_secs(1);

/// One link and what is known through it.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) id: PeerId,
    pub(super) binding: [u8; 32],
    /// The hello has been verified: the id is proven.
    pub(super) ready: bool,
    /// It was told farewell instead of hello: whatever it says, it will not be ready.
    pub(super) turned_away: bool,
    pub(super) since: Instant,
    pub(super) heard: Instant,
    /// It let a request go unanswered and has said nothing meanwhile: until it does, it is not asked.
    /// The dead would be asked again and again, for they stay the nearest. (`plans/kill-300.toml`,
    /// seeds 1 to 3: of those left when 30 % vanish 4, 1 and 4 stall instead of 9, 14 and 8.)
    pub(super) mute: bool,
    pub(super) pinged: Instant,
    /// Since when the rendezvous takes it for gone, which an answer to a ping disproves.
    pub(super) doubted: Option<Instant>,
    pub(super) rtt: Rtt,
    /// By how much its symbols come later than its word that they were sent.
    pub(super) straggle: Duration,
    pub(super) status: Told,
    pub(super) out: Outbox,
    /// Symbols requested and not yet answered, and how many may be.
    pub(super) asked: u16,
    window: u16,
    /// When the queue that made it busy will have gone out.
    pub(super) busy_until: Instant,
    /// Segments whose holdings it has not been told of; and when it is to be.
    pub(super) untold: Vec<SegmentId>,
    pub(super) tell_at: Instant,
    /// When it last asked for the tail.
    pub(super) tail_asked: Instant,
    /// Symbols of it that wait for their manifest.
    pub(super) quarantined: u16,
    /// Stripes it pushes to this peer, and takes from it: bit i is stripe i.
    pub(super) pushes: u32,
    pub(super) takes: u32,
    /// The tracks that it was asked to push have changed since.
    pub(super) outdated: bool,
    /// Tracks it takes.
    pub(super) takes_tracks: u64,
    /// Frames that were harmless nonsense: unrequested, out of place. Two a second are forgiven.
    pub(super) oddities: u16,
    /// What it may ask for, and what it did with what it was asked.
    pub(super) allowance: Allowance,
    pub(super) answers: Answers,
    /// It sent something false, and has to show its manifest.
    pub(super) accused: Option<Accused>,
    /// Verified new symbol bytes from it, symbol bytes that its link took.
    pub(super) received: u64,
    pub(super) sent: u64,
    /// The same when the scorer was last told.
    pub(super) weighed: (u64, u64),
}

/// The status that a neighbour has told, laid out for the eye of a planner, who looks at every
/// neighbour's.
#[derive(Debug, Clone)]
pub(super) struct Told {
    pub(super) tracks: u64,
    pub(super) slots: u16,
    /// Stripes that it has told of; what follows is the largest number for the others.
    stripes: u8,
    pub(super) depth: [u8; STRIPES_MAX as usize + 1],
    pub(super) bar: [u8; STRIPES_MAX as usize + 1],
}

impl Default for Told {
    fn default() -> Self {
        Self::from(Status::default())
    }
}

impl From<Status> for Told {
    fn from(status: Status) -> Self {
        let spread = |told: &[u8]| {
            let mut all = [u8::MAX; STRIPES_MAX as usize + 1];
            all.iter_mut().zip(told).for_each(|(here, there)| *here = *there);
            all
        };
        let most = usize::from(STRIPES_MAX) + 1;
        Self {
            tracks: status.tracks,
            slots: status.slots,
            stripes: status.depth.len().min(most) as u8,
            depth: spread(&status.depth),
            bar: spread(&status.bar),
        }
    }
}

/// Smoothed round trip (RFC 6298 §2 with integer microseconds).
#[derive(Copy, Clone, Debug)]
pub(super) struct Rtt {
    srtt_us: u64,
    var_us: u64,
    known: bool,
}

impl Rtt {
    const fn unknown() -> Self {
        Self { srtt_us: 100_000, var_us: 50_000, known: false }
    }

    pub(super) fn sample(&mut self, rtt: Duration) {
        let rtt = micros(rtt).min(10_000_000);
        if self.known {
            self.var_us = (3 * self.var_us + self.srtt_us.abs_diff(rtt)) / 4;
            self.srtt_us = (7 * self.srtt_us + rtt) / 8;
        } else {
            *self = Self { srtt_us: rtt, var_us: rtt / 2, known: true };
        }
    }

    pub(super) const fn smoothed(&self) -> Duration {
        Duration::from_micros(self.srtt_us)
    }

    /// When an answer is overdue: the usual bound, and time for a queue of 100 ms at the supplier
    /// (theory.md §2.1), which is what a supplier takes on before it says busy.
    pub(super) const fn patience(&self) -> Duration {
        Duration::from_micros(self.srtt_us + 4 * self.var_us + 100_000)
    }
}

impl Peer {
    fn new(id: PeerId, binding: [u8; 32], now: Instant) -> Self {
        Self {
            id,
            binding,
            ready: false,
            turned_away: false,
            since: now,
            heard: now,
            mute: false,
            pinged: Instant::ZERO,
            doubted: None,
            rtt: Rtt::unknown(),
            straggle: Duration::ZERO,
            status: Told::default(),
            out: Outbox::default(),
            asked: 0,
            window: WINDOW_START,
            busy_until: Instant::ZERO,
            untold: Vec::new(),
            tell_at: Instant::NEVER,
            tail_asked: Instant::ZERO,
            quarantined: 0,
            pushes: 0,
            takes: 0,
            outdated: false,
            takes_tracks: 0,
            oddities: 0,
            allowance: Allowance::new(now),
            answers: Answers::default(),
            accused: None,
            received: 0,
            sent: 0,
            weighed: (0, 0),
        }
    }

    /// A symbol came so long after word that it was sent.
    pub(super) fn straggled(&mut self, late: Duration) {
        self.straggle = late.max(self.straggle * 63 / 64).min(STRAGGLE_MAX);
    }

    /// Symbols that may be requested now: none of one that may be dead.
    pub(super) const fn room(&self) -> u16 {
        if self.mute { 0 } else { self.window.saturating_sub(self.asked) }
    }

    /// Stripes of the stream that nobody pushes to it, so that it has to ask for them.
    pub(super) fn unfed(&self) -> u32 {
        // The last is the repair stripe, which not everyone takes.
        let told = &self.status.depth[..usize::from(self.status.stripes)];
        let Some((_, stream)) = told.split_last() else { return u32::MAX };
        let unfed = (0_u8..).zip(stream).filter(|(_, depth)| **depth == u8::MAX);
        unfed.fold(0, |mask, (stripe, _)| mask | 1 << stripe)
    }

    /// A requested symbol came.
    pub(super) fn served(&mut self) {
        self.asked = self.asked.saturating_sub(1);
        self.answers.served = self.answers.served.saturating_add(1);
        self.window = (self.window + 1).min(WINDOW_MAX);
    }

    /// Requested symbols did not come: the rate was too high (theory.md §2.1, × 0.7).
    pub(super) fn timed_out(&mut self, symbols: u16) {
        self.asked = self.asked.saturating_sub(symbols);
        self.answers.failed = self.answers.failed.saturating_add(symbols);
        self.window = (self.window * 7 / 10).max(WINDOW_MIN);
    }

    /// The neighbour is busy (theory.md §2.1, × 0.9).
    pub(super) fn busy(&mut self, symbols: u16, now: Instant) {
        self.busy_until = now + QUEUE_MAX;
        self.asked = self.asked.saturating_sub(symbols);
        self.window = (self.window * 9 / 10).max(WINDOW_MIN);
    }
}

/// All links.
#[derive(Debug, Default)]
pub(super) struct Peers {
    slots: Vec<Option<Peer>>,
    /// The head of the id in each slot, for finding one without looking at the records; 0 where
    /// there is none.
    heads: Vec<u64>,
    count: usize,
}

impl Peers {
    /// A record for a new link; `None` when there is one already.
    pub(super) fn add(&mut self, id: PeerId, binding: [u8; 32], now: Instant) -> Option<PeerKey> {
        if self.key(&id).is_some() {
            return None;
        }
        let free = self.slots.iter().position(Option::is_none).unwrap_or(self.slots.len());
        let key = PeerKey(u16::try_from(free).ok()?);
        if free == self.slots.len() {
            self.slots.push(None);
            self.heads.push(0);
        }
        self.slots[free] = Some(Peer::new(id, binding, now));
        self.heads[free] = id.head();
        self.count += 1;
        Some(key)
    }

    pub(super) fn remove(&mut self, key: PeerKey) -> Option<Peer> {
        let peer = self.slots.get_mut(usize::from(key.0))?.take()?;
        self.heads[usize::from(key.0)] = 0;
        self.count -= 1;
        Some(peer)
    }

    pub(super) fn key(&self, id: &PeerId) -> Option<PeerKey> {
        let wanted = id.head();
        let mut found = (0_u16..).zip(&self.heads).filter(|(_, head)| **head == wanted);
        found.find_map(|(at, _)| {
            let peer = self.slots[usize::from(at)].as_ref()?;
            (peer.id == *id).then_some(PeerKey(at))
        })
    }

    pub(super) fn get(&self, key: PeerKey) -> Option<&Peer> {
        self.slots.get(usize::from(key.0))?.as_ref()
    }

    pub(super) fn get_mut(&mut self, key: PeerKey) -> Option<&mut Peer> {
        self.slots.get_mut(usize::from(key.0))?.as_mut()
    }

    /// All links by key.
    pub(super) fn iter(&self) -> impl Iterator<Item = (PeerKey, &Peer)> {
        (0_u16..).zip(&self.slots).filter_map(|(at, slot)| Some((PeerKey(at), slot.as_ref()?)))
    }

    /// All links by key.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (PeerKey, &mut Peer)> {
        (0_u16..).zip(&mut self.slots).filter_map(|(at, slot)| Some((PeerKey(at), slot.as_mut()?)))
    }

    /// Links whose peer has proven its id.
    pub(super) fn ready(&self) -> impl Iterator<Item = (PeerKey, &Peer)> {
        self.iter().filter(|(_, peer)| peer.ready)
    }

    pub(super) fn len(&self) -> usize {
        self.count
    }
}
