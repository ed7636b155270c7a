//! One peer: its engine, its access link, its links, its record.

use super::EPOCH_US;
use super::adversary::Hostile;
use super::geography::Place;
use super::link::LinkEnd;
use super::viewing::Viewing;
use crate::draw::{Draw, Purpose};
use crate::plan::{Access, CONTROL_MBIT, Nat, Network, Plan};
use beacon_sdk::{Engine, Instant, PeerId};
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// Which number a peer has. Looked up, never iterated.
pub(super) type Ids = HashMap<PeerId, u32, BuildHasherDefault<KeyBits>>;

/// Keys are random already: their first bytes will do for a hash.
#[derive(Debug, Default)]
pub(super) struct KeyBits(u64);

impl Hasher for KeyBits {
    fn write(&mut self, bytes: &[u8]) {
        let mut word = [0; 8];
        let len = bytes.len().min(8);
        word[..len].copy_from_slice(&bytes[..len]);
        self.0 ^= u64::from_le_bytes(word);
    }
    fn write_usize(&mut self, _: usize) {}
    fn finish(&self) -> u64 {
        self.0
    }
}

/// The first bytes of a peer's id: no two of one run have the same.
pub(super) fn tag(id: &PeerId) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = *id.as_bytes();
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

/// An access link: bytes wait for each other in both directions.
#[derive(Copy, Clone, Debug)]
pub(super) struct Line {
    /// Nanoseconds per byte.
    cost: u64,
    /// When all that waits has gone.
    pub(super) busy: u64,
}

impl Line {
    pub(super) fn new(mbit: f64) -> Self {
        Self { cost: (8000.0 / mbit) as u64, busy: 0 }
    }

    /// When these bytes have gone through.
    pub(super) fn pass(&mut self, now: u64, bytes: u64) -> u64 {
        self.busy = self.busy.max(now) + bytes * self.cost;
        self.busy
    }
}

#[derive(Debug)]
pub(super) struct Peer {
    pub(super) id: PeerId,
    /// While it is here.
    pub(super) engine: Option<Box<Engine>>,
    pub(super) up: Line,
    pub(super) down: Line,
    pub(super) nat: Nat,
    pub(super) place: Place,
    /// Tags of the peers at the other ends, 0 where there is no link; and the links in the same
    /// places, which they keep.
    tags: Vec<u64>,
    links: Vec<Option<LinkEnd>>,
    /// When its timer is set, and when it last went off, ns.
    pub(super) wake: u64,
    pub(super) woken: u64,
    /// Loss and jitter of what it sends.
    network: Draw,
    /// What its clock shows too much, µs.
    skew: i64,
    /// It does not play by the rules.
    pub(super) hostile: Option<Box<Hostile>>,
    pub(super) viewing: Viewing,
}

impl Peer {
    pub(super) fn origin(plan: &Plan, seed: u64, id: PeerId, engine: Engine, place: Place) -> Self {
        let up = Line::new(plan.origin.up);
        Self::new(seed, 0, id, engine, up, Line::new(1000.0), Nat::Open, place)
    }

    #[expect(clippy::too_many_arguments, reason = "a peer is many things, each named once")]
    fn new(
        seed: u64,
        at: u32,
        id: PeerId,
        engine: Engine,
        up: Line,
        down: Line,
        nat: Nat,
        place: Place,
    ) -> Self {
        Self {
            id,
            engine: Some(Box::new(engine)),
            up,
            down,
            nat,
            place,
            tags: Vec::new(),
            links: Vec::new(),
            wake: u64::MAX,
            woken: 0,
            network: Draw::new(seed, at, Purpose::Network),
            skew: 0,
            hostile: None,
            viewing: Viewing::default(),
        }
    }

    /// A viewer that comes at `now` (ns), over an access link of the class of this number.
    #[expect(clippy::too_many_arguments, reason = "as above")]
    pub(super) fn viewer(
        access: &Access,
        seed: u64,
        at: u32,
        now: u64,
        class: usize,
        (id, engine): (PeerId, Engine),
        place: Place,
        skew: i64,
    ) -> Self {
        let up = Line::new(if access.up > 0.0 { access.up } else { CONTROL_MBIT });
        let down = Line::new(access.down);
        let viewing = Viewing::new(now / 1000, class);
        Self {
            skew,
            viewing,
            woken: now,
            ..Self::new(seed, at, id, engine, up, down, access.nat, place)
        }
    }

    /// What its clock shows.
    pub(super) fn clock(skew: i64, now: u64) -> Instant {
        Instant::from_micros((EPOCH_US + now / 1000).saturating_add_signed(skew))
    }

    /// The engine and its clock, while the peer is here.
    pub(super) fn awake(&mut self, now: u64) -> Option<(&mut Engine, Instant)> {
        let clock = Self::clock(self.skew, now);
        self.engine.as_deref_mut().map(|engine| (engine, clock))
    }

    /// When to set the timer, if it has to be set anew: not sooner than `apart` after it last went
    /// off.
    pub(super) fn next_wake(&mut self, now: u64, apart: u64) -> Option<u64> {
        let engine = self.engine.as_deref()?;
        let due = engine.poll_timeout();
        if due == Instant::NEVER {
            return None;
        }
        let due = due.as_micros().saturating_add_signed(-self.skew).saturating_sub(EPOCH_US) * 1000;
        let due = due.max(self.woken + apart).max(now + 1);
        (due < self.wake).then(|| {
            self.wake = due;
            due
        })
    }

    // ---- links

    /// The peers at the other ends of links that are up.
    pub(super) fn neighbours(&self) -> impl Iterator<Item = PeerId> {
        self.links.iter().flatten().filter(|end| end.up).map(|end| end.id)
    }

    /// The place of the link to the peer of this tag.
    pub(super) fn place(&self, tag: u64) -> Option<usize> {
        self.tags.iter().position(|known| *known == tag)
    }

    /// The link at a place.
    pub(super) fn link_at(&mut self, place: usize) -> Option<&mut LinkEnd> {
        self.links.get_mut(place)?.as_mut()
    }

    /// The link to the peer of this tag.
    pub(super) fn link(&mut self, tag: u64) -> Option<&mut LinkEnd> {
        let place = self.place(tag)?;
        self.link_at(place)
    }

    /// Where a link to the peer of this tag would come to be.
    pub(super) fn room(&self, tag: u64) -> usize {
        self.place(tag).or_else(|| self.place(0)).unwrap_or(self.tags.len())
    }

    pub(super) fn add_link(&mut self, place: usize, end: LinkEnd) {
        if place == self.tags.len() {
            self.tags.push(0);
            self.links.push(None);
        }
        self.tags[place] = tag(&end.id);
        self.links[place] = Some(end);
    }

    /// Takes a link out; `None` when there is none.
    pub(super) fn cut(&mut self, tag: u64) -> Option<LinkEnd> {
        let place = self.place(tag)?;
        self.tags[place] = 0;
        self.links[place].take()
    }

    /// A link and the random numbers of this peer's sending.
    pub(super) fn link_and_draw(&mut self, place: usize) -> Option<(&mut LinkEnd, &mut Draw)> {
        Some((self.links.get_mut(place)?.as_mut()?, &mut self.network))
    }

    /// The network is another one: so is what its links are held to.
    pub(super) fn limit_links(&mut self, network: &Network) {
        self.links.iter_mut().flatten().for_each(|end| end.limit_to(network));
    }

    /// It is gone: the other ends find out by themselves.
    pub(super) fn forget_links(&mut self) {
        self.tags = Vec::new();
        self.links = Vec::new();
    }
}
