//! What hostile peers do: a layer around the real engine that alters, holds back or adds to what goes
//! out. It sees what its own engine sees and knows who its like are; it cannot break signatures or hashes.

use super::peer::tag;
use super::{Happening, NS, World};
use crate::draw::{Draw, Purpose};
use crate::plan::{Adversary, Kind, Plan};
use beacon_sdk::engine::Input;
use beacon_sdk::media::Manifest;
use beacon_sdk::plugin::{Report, Role};
use beacon_sdk::wire::{HAVE_COMPLETE, Have, Message, SYMBOL_HEADER_LEN, Span, SymbolHeader};
use beacon_sdk::{BroadcastId, Identity, Lane, PeerId, SegmentId};
use bytes::Bytes;
use std::collections::VecDeque;

/// What a falsified symbol begins with: no camera makes it, so it is known wherever it turns up.
const FALSE: [u8; 16] = *b"a false symbol!!";
/// How often those that add to what their engine sends do so.
const ACT_NS: u64 = 100_000_000;
/// Manifests kept to be sent again, and how many newer ones there must be before one is.
const KEPT: usize = 64;
const OLD: usize = 24;
/// From losing its neighbours to coming back under a new identity.
const RETURN_NS: u64 = NS;
/// Slots that a liar tells of.
const SLOTS: u16 = 4000;

/// A peer that does not play by the rules.
#[derive(Debug)]
pub(super) struct Hostile {
    /// Its adversary, by place in the plan.
    pub(super) which: usize,
    pub(super) what: Adversary,
    draw: Draw,
    /// When it first did something wrong, ns.
    pub(super) since: Option<u64>,
    /// A good peer hangs on it now; and when, after its first misdeed, none did for the first time.
    pub(super) depended: bool,
    pub(super) cut: Option<u64>,
    /// A good peer has hung on it since its first misdeed.
    pub(super) harmed: bool,
    /// Good neighbours it had at once, and how often one has closed a link since its first misdeed.
    most: usize,
    lost: usize,
    /// Manifests that it has seen, and the newest segment of each track among them.
    manifests: VecDeque<Bytes>,
    newest: Vec<SegmentId>,
    /// The broadcaster's own: what to sign with.
    signer: Option<(BroadcastId, Identity)>,
    stripes: u16,
    /// Turn of what is sent over and over.
    turn: usize,
}

/// Which adversary the next viewer belongs to, if to one: the golden section spreads them over all
/// that come, so that a share is met however many there are.
pub(super) fn marked(plan: &Plan, seed: u64, at: u32) -> Option<usize> {
    const SECTION: f64 = 0.618_033_988_749_894_9;
    let place = (f64::from(at) + (seed % 89) as f64) * SECTION;
    let (place, mut below) = (place - libm::floor(place), 0.0);
    plan.adversary.iter().position(|adversary| {
        let viewers = adversary.kind != Kind::Equivocator;
        below += if viewers { adversary.share } else { 0.0 };
        viewers && place < below
    })
}

/// Whether a frame is one that a polluter made.
pub(super) fn is_false(frame: &Bytes) -> bool {
    frame.get(SYMBOL_HEADER_LEN..).is_some_and(|symbol| symbol.starts_with(&FALSE))
}

impl Hostile {
    pub(super) fn new(plan: &Plan, which: usize, seed: u64, at: u32) -> Self {
        Self {
            which,
            what: plan.adversary[which].clone(),
            draw: Draw::new(seed, at, Purpose::Adversary),
            since: None,
            depended: false,
            cut: None,
            harmed: false,
            most: 0,
            lost: 0,
            manifests: VecDeque::new(),
            newest: Vec::new(),
            signer: None,
            stripes: u16::from(plan.config().stripes),
            turn: 0,
        }
    }

    /// The origin of a plan, if it is hostile.
    pub(super) fn origin(
        plan: &Plan,
        seed: u64,
        broadcast: BroadcastId,
        identity: Identity,
    ) -> Option<Self> {
        let which = plan.adversary.iter().position(|a| a.kind == Kind::Equivocator)?;
        Some(Self { signer: Some((broadcast, identity)), ..Self::new(plan, which, seed, 0) })
    }

    /// Reads nothing from its links now.
    pub(super) fn deaf(&self, now: u64) -> bool {
        self.what.kind == Kind::Loris && self.what.active(now)
    }

    /// How much later its symbols come.
    pub(super) fn lag(&self, now: u64) -> u64 {
        let lags = self.what.kind == Kind::Delayer && self.what.active(now);
        if lags { self.what.delay_ns() } else { 0 }
    }

    /// It harms those that are linked with it, not only those that it feeds.
    pub(super) fn harms_neighbours(&self) -> bool {
        matches!(self.what.kind, Kind::Flooder | Kind::Loris | Kind::FalseHave | Kind::Replayer)
    }

    /// What its engine is told. A manifest shows what there is.
    pub(super) fn hear(&mut self, lane: Lane, frame: &Bytes) {
        if lane != Lane::Control || frame.first() != Some(&0x0c) {
            return;
        }
        let Ok(id) = Manifest::peek(&frame.slice(1..)) else { return };
        match self.newest.iter_mut().find(|newest| newest.track == id.track) {
            Some(newest) => newest.seq = newest.seq.max(id.seq),
            None => self.newest.push(id),
        }
        self.manifests.push_back(frame.clone());
        if self.manifests.len() > KEPT {
            self.manifests.pop_front();
        }
    }

    /// What becomes of a frame that its engine hands out; nothing if it is held back.
    fn outgoing(&mut self, now: u64, to: &PeerId, lane: Lane, frame: Bytes) -> Option<Bytes> {
        if !self.what.active(now) {
            return Some(frame);
        }
        let sent = match lane {
            Lane::Data => self.symbol(to, frame.clone()),
            Lane::Control => self.message(to, frame.clone()),
        };
        if sent.as_ref() != Some(&frame) {
            self.since.get_or_insert(now);
        }
        sent
    }

    fn symbol(&mut self, to: &PeerId, frame: Bytes) -> Option<Bytes> {
        let hit = |draw: &mut Draw, part: f64| part >= 1.0 || draw.chance(part);
        let part = self.what.part();
        match self.what.kind {
            Kind::Polluter if hit(&mut self.draw, part) => {
                let mut frame = frame.to_vec();
                let end = frame.len().min(SYMBOL_HEADER_LEN + FALSE.len());
                frame[SYMBOL_HEADER_LEN..end].copy_from_slice(&FALSE[..end - SYMBOL_HEADER_LEN]);
                Some(frame.into())
            }
            Kind::FreeRider | Kind::Shirker | Kind::Sybil => None,
            Kind::Stingy if hit(&mut self.draw, part) => None,
            Kind::Selective if tag(to) & 1 == 0 => {
                let header = SymbolHeader::decode(&frame).ok()?;
                let stripe = (header.segment.seq % u32::from(self.stripes)) as u16 + header.esi;
                let spared = stripe % self.stripes == self.stripes / 2;
                (!(spared && hit(&mut self.draw, part))).then_some(frame)
            }
            _ => Some(frame),
        }
    }

    fn message(&mut self, to: &PeerId, frame: Bytes) -> Option<Bytes> {
        let kind = self.what.kind;
        let lies = matches!(kind, Kind::SlotLiar | Kind::Sybil);
        match Message::decode(frame.clone()).ok()? {
            Message::Have(_) if kind == Kind::Delayer => None,
            Message::Have(mut haves) if kind == Kind::FalseHave => {
                haves.iter_mut().for_each(|have| have.mask |= HAVE_COMPLETE);
                Some(Message::Have(haves).encode())
            }
            Message::Busy { .. } if kind == Kind::FalseHave => None,
            Message::Status(mut status) if lies => {
                status.slots = SLOTS;
                status.depth.iter_mut().for_each(|depth| *depth = 1);
                status.bar.iter_mut().for_each(|bar| *bar = 0);
                Some(Message::Status(status).encode())
            }
            Message::Feed { stripe, path } if lies => {
                let path = vec![path[0], path[path.len() - 1]];
                Some(Message::Feed { stripe, path }.encode())
            }
            Message::Manifest(record) if kind == Kind::Equivocator => {
                let (broadcast, identity) = self.signer.as_ref()?;
                // Who is shown the other one stays so.
                let shown = (tag(to) >> 8) as u16;
                if f64::from(shown) >= self.what.share * 65_536.0 {
                    return Some(frame);
                }
                let mut manifest = Manifest::open(*broadcast, &record).ok()?;
                manifest.digests[0][0] ^= 1;
                Some(Message::Manifest(manifest.seal(*broadcast, identity)).encode())
            }
            _ => Some(frame),
        }
    }

    /// What it sends to each neighbour beside what its engine does, in [`ACT_NS`].
    fn extra(&mut self) -> Vec<Bytes> {
        let each = (u64::from(self.what.per_s()) * ACT_NS / NS).max(1) as usize;
        let frames =
            |one: &mut dyn FnMut(usize) -> Option<Bytes>| (0..each).filter_map(one).collect();
        let (newest, manifests, turn) = (&self.newest, &self.manifests, self.turn);
        self.turn = turn.wrapping_add(each);
        let segment = |at: usize, back: u32| {
            let newest = newest.get(at % newest.len().max(1))?;
            Some(SegmentId { seq: newest.seq.checked_sub(back)?, ..*newest })
        };
        match self.what.kind {
            Kind::Flooder => frames(&mut |at| {
                let id = segment(at, ((turn + at) % 8) as u32)?;
                let spans = (0..8).map(|at| Span { base: at * 64, mask: u64::MAX }).collect();
                Some(Message::Request { id, spans }.encode())
            }),
            Kind::Replayer => frames(&mut |at| {
                let old = manifests.len().checked_sub(OLD)?;
                manifests.get((turn + at) % old.max(1)).cloned()
            }),
            Kind::FalseHave => frames(&mut |at| {
                let newest = newest.get(at % newest.len().max(1))?;
                let id = SegmentId { seq: newest.seq + (turn + at) as u32 % 4, ..*newest };
                Some(Message::Have(vec![Have { id, mask: HAVE_COMPLETE }]).encode())
            }),
            // Who is heard is not given up.
            Kind::Loris if turn % 10 == 0 => vec![Message::Ping(0).encode()],
            _ => Vec::new(),
        }
    }

    /// What it tells the tracker.
    fn report(&self, now: u64, report: Report) -> Report {
        match self.what.kind {
            Kind::Sybil | Kind::SlotLiar if self.what.active(now) => {
                Report { score: 100, role: Role::SuperSeed, depth: 1, slots: SLOTS, ..report }
            }
            _ => report,
        }
    }
}

impl World {
    /// Whether a peer is hostile, whatever it does at present.
    pub(super) fn hostile(&self, at: u32) -> bool {
        self.peers[at as usize].hostile.is_some() && at > 0
    }

    /// A hostile peer's timer.
    pub(super) fn act(&mut self, at: u32) {
        let now = self.now;
        let peer = &mut self.peers[at as usize];
        let neighbours: Vec<PeerId> = peer.neighbours().collect();
        let (Some(hostile), true) = (&mut peer.hostile, peer.engine.is_some()) else { return };
        hostile.most = hostile.most.max(neighbours.len());
        if hostile.what.active(now) {
            for frame in hostile.extra() {
                self.peers[at as usize].hostile.iter_mut().for_each(|hostile| {
                    hostile.since.get_or_insert(now);
                });
                for to in &neighbours {
                    self.traffic.hostile_control += frame.len() as u64;
                    self.send(at, to, Lane::Control, frame.clone());
                }
            }
            self.dispatch(at);
        }
        self.agenda.add(now + ACT_NS, Happening::Act(at));
    }

    /// A frame that an engine hands out: it is sent, or what its peer makes of it.
    pub(super) fn mislead(&mut self, at: u32, to: PeerId, lane: Lane, frame: Bytes) {
        if self.plan.adversary.is_empty() {
            return self.send(at, &to, lane, frame);
        }
        let now = self.now;
        let Some(&other) = self.ids.get(&to) else { return };
        if self.peers[other as usize].hostile.as_ref().is_some_and(|hostile| hostile.deaf(now))
            && self.peers[at as usize].link(tag(&to)).is_some_and(|end| end.clogged(frame.len()))
        {
            // When there is room again is never told.
            return self.give(at, Input::Refused { to, lane, frame });
        }
        let Some(hostile) = &mut self.peers[at as usize].hostile else {
            if lane == Lane::Data {
                let len = frame.len() as u64;
                self.traffic.to_hostile += if self.hostile(other) { len } else { 0 };
                self.traffic.falsehood += if is_false(&frame) { len } else { 0 };
            }
            return self.send(at, &to, lane, frame);
        };
        let Some(frame) = hostile.outgoing(now, &to, lane, frame) else { return };
        let colludes = hostile.what.kind == Kind::Sybil && hostile.what.active(now);
        let which = hostile.which;
        let frame = match Message::decode(frame.clone()) {
            Ok(Message::Peers(_)) if colludes && lane == Lane::Control => {
                let like = |peer: &&super::Peer| {
                    peer.engine.is_some() && peer.hostile.as_ref().is_some_and(|h| h.which == which)
                };
                let all: Vec<PeerId> = self.peers.iter().filter(like).map(|p| p.id).collect();
                let named = all.iter().cycle().skip(tag(&to) as usize % all.len().max(1)).take(8);
                Message::Peers(named.copied().collect()).encode()
            }
            _ => frame,
        };
        if lane == Lane::Control && at > 0 {
            self.traffic.hostile_control += frame.len() as u64;
        }
        self.send(at, &to, lane, frame);
    }

    /// Frames that have come to a peer: it may look into them, or not read them at all.
    pub(super) fn ignores(&mut self, at: u32, from: &PeerId, lane: Lane, frames: &[Bytes]) -> bool {
        if self.ids.get(from).is_some_and(|from| self.split.parts(self.now, *from, at)) {
            return true;
        }
        let now = self.now;
        let Some(hostile) = &mut self.peers[at as usize].hostile else { return false };
        frames.iter().for_each(|frame| hostile.hear(lane, frame));
        hostile.deaf(now)
    }

    /// What a peer tells the tracker.
    pub(super) fn tell_tracker(&mut self, at: u32, report: Report) {
        let peer = &self.peers[at as usize];
        let report = match &peer.hostile {
            Some(hostile) => hostile.report(self.now, report),
            None => report,
        };
        self.tracker.report(peer.id, &report);
    }

    /// A hostile peer has lost a neighbour that closed the link: one that is known as what it is may come
    /// back as somebody else.
    pub(super) fn shunned(&mut self, at: u32) {
        let Some(hostile) = &mut self.peers[at as usize].hostile else { return };
        hostile.lost += usize::from(hostile.since.is_some());
        if hostile.what.returns && hostile.lost * 2 > hostile.most.max(2) {
            let which = hostile.which;
            self.retire(at);
            self.agenda.add(self.now + RETURN_NS, Happening::Return(which));
        }
    }
}
