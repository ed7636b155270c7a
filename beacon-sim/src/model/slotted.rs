//! Chunks that viewers push to each other in slots.

use beacon_sdk::Rng;

use super::sampling::{index, once_in, pick};

mod policy;

pub use policy::Policy;

/// Chunks that a viewer keeps at most: one bit each.
const WINDOW_MAX: u32 = u128::BITS;
/// Copies per slot are counted in thousandths.
const COPY: u32 = 1000;

/// Who knows whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mesh {
    /// Everyone knows everyone.
    Full,
    /// A random graph with this mean degree, of links that both ends use.
    Random(u32),
}

/// In which order the viewers of a slot decide; each knows what was decided before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// At random, anew in each slot.
    Random,
    /// Those whose latest chunk is oldest first: its deadline is the earliest.
    Deadline,
}

/// Viewers that come and go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Churn {
    /// Slots that a viewer stays on the mean; it is then replaced by a new one.
    pub stay: u32,
}

/// A swarm in slots: in each, a chunk is born, the source sends it to one viewer and every viewer
/// sends what its uplink allows. What is received in a slot can be passed on in the next.
///
/// The model of Bonald et al. (SIGMETRICS 2008), Abeni et al. (Networking 2009) and Picconi and
/// Massoulié (P2P 2008). Build it with a literal.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Slotted {
    /// Viewers; the source is none of them.
    pub viewers: u32,
    /// Who knows whom.
    pub mesh: Mesh,
    /// What is sent to whom.
    pub policy: Policy,
    /// Who decides first.
    pub order: Order,
    /// Whether a viewer receives at most one chunk per slot.
    pub one_download: bool,
    /// Whether what was decided before in a slot is known, as it is when senders announce it.
    pub reserve: bool,
    /// Chunks are born in the first of every `births.1` slots `births.0` times, evenly.
    pub births: (u32, u32),
    /// Copies that a viewer uploads per 1,000 slots.
    pub upload: u32,
    /// Viewers that come and go, or none.
    pub churn: Option<Churn>,
    /// Slots between two replacements of a link of each viewer; 0 for never.
    pub rewire: u32,
    /// Chunks that a viewer keeps, 1 to 128.
    pub window: u32,
    /// Chunks that are born before those that count.
    pub warm_up: u32,
    /// Chunks that count.
    pub measured: u32,
}

impl Slotted {
    /// `viewers` in a full mesh with an upload of one chunk per slot and one chunk born in each.
    #[must_use]
    pub fn new(viewers: u32, policy: Policy) -> Self {
        Self {
            viewers,
            mesh: Mesh::Full,
            policy,
            order: Order::Random,
            one_download: false,
            reserve: true,
            births: (1, 1),
            upload: COPY,
            churn: None,
            rewire: 0,
            window: WINDOW_MAX,
            warm_up: 200,
            measured: 200,
        }
    }
}

/// What became of the chunks that count.
#[derive(Debug, Clone, PartialEq)]
pub struct Arrivals {
    /// Share of (viewer, chunk) pairs that arrived while the chunk was in the window. Of a viewer
    /// that comes later, only chunks born after it count.
    pub coverage: f64,
    /// Slots from the start of the slot of birth to the end of that of the arrival.
    pub mean: f64,
    /// The delay that 99 % of the arrivals do not exceed.
    pub p99: u32,
    /// The latest arrival.
    pub last: u32,
    /// Share of the copies sent that were received already, or by someone else first.
    pub duplicates: f64,
}

impl Slotted {
    fn window(&self) -> u32 {
        self.window.clamp(1, WINDOW_MAX)
    }

    /// Runs until every chunk that counts has left the window.
    #[must_use]
    pub fn run(&self, seed: [u8; 32]) -> Arrivals {
        let mut swarm = Swarm::new(self, seed);
        let chunks = self.warm_up + self.measured + self.window();
        while swarm.born < chunks {
            swarm.slot();
        }
        swarm.arrivals()
    }
}

/// The state of a run. In masks of chunks, bit `a` is the chunk that was born `a` chunks before
/// the latest one.
struct Swarm<'a> {
    config: &'a Slotted,
    rng: Rng,
    now: u32,
    born: u32,
    /// Slot of birth of each chunk.
    births: Vec<u32>,
    have: Vec<u128>,
    /// What arrives at the end of this slot.
    incoming: Vec<u128>,
    /// Chunks born since the viewer came.
    wanted: Vec<u128>,
    links: Vec<Vec<u32>>,
    everyone: Vec<u32>,
    /// Viewers by their latest chunk, oldest first, and the place of each in that order.
    by_latest: Vec<u32>,
    place: Vec<u32>,
    /// The chunks of the last sender in `by_latest` order, and the place it got to in this slot.
    scanned: (u128, usize),
    expected: u64,
    received: u64,
    sent: u64,
    in_vain: u64,
    /// Arrivals by delay in slots.
    delays: Vec<u64>,
}

impl<'a> Swarm<'a> {
    fn new(config: &'a Slotted, seed: [u8; 32]) -> Self {
        let viewers = config.viewers as usize;
        let mut swarm = Self {
            config,
            rng: Rng::new(seed, 0),
            now: 0,
            born: 0,
            births: Vec::new(),
            have: vec![0; viewers],
            incoming: vec![0; viewers],
            wanted: vec![0; viewers],
            links: vec![Vec::new(); viewers],
            everyone: (0..config.viewers).collect(),
            by_latest: (0..config.viewers).collect(),
            place: vec![0; viewers],
            scanned: (0, 0),
            expected: 0,
            received: 0,
            sent: 0,
            in_vain: 0,
            delays: Vec::new(),
        };
        if let Mesh::Random(degree) = config.mesh {
            // By turns, so that nobody has less than half of the mean.
            for link in 0..viewers * degree as usize / 2 {
                swarm.link(link % viewers);
            }
        }
        swarm
    }

    fn slot(&mut self) {
        let due = |slot: u32| {
            u64::from(slot) * u64::from(self.config.births.0) / u64::from(self.config.births.1)
        };
        let birth = due(self.now + 1) > due(self.now);
        if birth {
            self.bear();
        }
        self.come_and_go();
        self.sort_by_latest();
        let mut senders = match self.config.order {
            Order::Deadline => self.by_latest.clone(),
            Order::Random => self.everyone.clone(),
        };
        if self.config.order == Order::Random {
            self.rng.shuffle(&mut senders);
            if birth {
                self.source_sends();
            }
        }
        let copies = |slot: u32| u64::from(slot) * u64::from(self.config.upload) / u64::from(COPY);
        let copies = copies(self.now + 1) - copies(self.now);
        for sender in senders {
            for _ in 0..copies {
                self.send(sender as usize);
            }
        }
        if self.config.order == Order::Deadline && birth {
            self.source_sends();
        }
        for (have, incoming) in self.have.iter_mut().zip(&mut self.incoming) {
            *have |= core::mem::take(incoming);
        }
        self.now += 1;
    }

    /// A chunk is born, and the oldest leaves the window.
    fn bear(&mut self) {
        let oldest = self.config.window() - 1;
        let counts = self.born.checked_sub(oldest + 1).is_some_and(|chunk| self.counts(chunk));
        let kept = u128::MAX >> (WINDOW_MAX - 1 - oldest);
        for (have, wanted) in self.have.iter_mut().zip(&mut self.wanted) {
            if counts {
                self.expected += u64::from(*wanted >> oldest & 1 == 1);
                self.received += u64::from((*wanted & *have) >> oldest & 1 == 1);
            }
            *have = *have << 1 & kept;
            *wanted = (*wanted << 1 | 1) & kept;
        }
        self.births.push(self.now);
        self.born += 1;
    }

    fn counts(&self, chunk: u32) -> bool {
        (self.config.warm_up..self.config.warm_up + self.config.measured).contains(&chunk)
    }

    /// Viewers are replaced and links are moved.
    fn come_and_go(&mut self) {
        for viewer in 0..self.have.len() {
            if self.config.churn.is_some_and(|churn| once_in(&mut self.rng, churn.stay)) {
                self.have[viewer] = 0;
                self.wanted[viewer] = 0;
                while let Some(&other) = self.links[viewer].last() {
                    self.unlink(viewer, other);
                }
                if let Mesh::Random(degree) = self.config.mesh {
                    for _ in 0..degree {
                        self.link(viewer);
                    }
                }
            }
            if once_in(&mut self.rng, self.config.rewire)
                && let Some(other) = pick(&mut self.rng, &self.links[viewer])
            {
                self.unlink(viewer, other);
                self.link(viewer);
            }
        }
    }

    /// Links `viewer` to another one at random. Two may have more than one link, which is rare.
    fn link(&mut self, viewer: usize) {
        let other = index(&mut self.rng, self.have.len());
        if other != viewer {
            self.links[viewer].push(other as u32);
            self.links[other].push(viewer as u32);
        }
    }

    fn unlink(&mut self, viewer: usize, other: u32) {
        for (end, gone) in [(viewer, other), (other as usize, viewer as u32)] {
            if let Some(at) = self.links[end].iter().rposition(|&link| link == gone) {
                self.links[end].swap_remove(at);
            }
        }
    }

    fn sort_by_latest(&mut self) {
        if !self.config.policy.looks_at_latest() && self.config.order == Order::Random {
            return;
        }
        self.scanned = (0, 0);
        // Shuffled first, so that equals are in random order.
        self.rng.shuffle(&mut self.by_latest);
        let have = &self.have;
        self.by_latest
            .sort_by_key(|&viewer| core::cmp::Reverse(have[viewer as usize].trailing_zeros()));
        for (place, &viewer) in (0..).zip(&self.by_latest) {
            self.place[viewer as usize] = place;
        }
    }

    /// The source sends the latest chunk: to the viewer whose own latest is the oldest where the
    /// policy looks at that, and to any otherwise.
    fn source_sends(&mut self) {
        let free = |target: usize| !self.config.one_download || self.incoming[target] == 0;
        let target = if self.config.policy.looks_at_latest() {
            self.by_latest.iter().map(|&viewer| viewer as usize).find(|&viewer| free(viewer))
        } else {
            Some(index(&mut self.rng, self.have.len()))
        };
        if let Some(target) = target {
            self.receive(target, 1);
        }
    }

    /// A copy of `chunk`, a mask of one bit, goes to `target`.
    fn receive(&mut self, target: usize, chunk: u128) {
        self.sent += 1;
        if (self.have[target] | self.incoming[target]) & chunk != 0 {
            self.in_vain += 1;
            return;
        }
        self.incoming[target] |= chunk;
        let number = self.born - 1 - chunk.trailing_zeros();
        if self.counts(number) {
            let delay = (self.now - self.births[number as usize] + 1) as usize;
            if self.delays.len() <= delay {
                self.delays.resize(delay + 1, 0);
            }
            self.delays[delay] += 1;
        }
    }

    fn arrivals(&self) -> Arrivals {
        let arrived: u64 = self.delays.iter().sum();
        let slots: u64 = (0..).zip(&self.delays).map(|(slot, &count): (u64, _)| slot * count).sum();
        let mut below = 0;
        let p99 = self.delays.iter().position(|&count| {
            below += count;
            below * 100 >= arrived * 99
        });
        let share = |part: u64, of: u64| if of == 0 { 0.0 } else { part as f64 / of as f64 };
        Arrivals {
            coverage: share(self.received, self.expected),
            mean: share(slots, arrived),
            p99: p99.unwrap_or(0) as u32,
            last: self.delays.len().saturating_sub(1) as u32,
            duplicates: share(self.in_vain, self.sent),
        }
    }
}

#[cfg(test)]
mod tests;
