//! Views to try schedulers on: plausible ones, senseless ones, huge ones.

use crate::config::STRIPES_MAX;
use crate::id::{PeerId, SegmentId, TrackId};
use crate::identity::PublicKey;
use crate::plugin::{
    MeshView, MissingState, Need, PeerKey, PeerView, SPARE_SYMBOLS_MAX, Score, Spare, StripeView,
    stripe_of,
};
use crate::rng::Rng;
use crate::time::Instant;
use core::time::Duration;

/// The present in plausible views.
const NOW: Instant = Instant::from_micros(1_000_000_000);

fn narrow(number: usize) -> u16 {
    u16::try_from(number).unwrap_or(u16::MAX)
}

fn below(rng: &mut Rng, limit: u16) -> u16 {
    narrow(rng.below(u32::from(limit)) as usize)
}

fn byte(rng: &mut Rng) -> u8 {
    rng.bits().to_le_bytes()[0]
}

fn mask(rng: &mut Rng) -> u32 {
    u32::try_from(rng.bits() >> 32).unwrap_or_default()
}

fn id(number: usize) -> PeerId {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&(number as u64 + 1).to_be_bytes());
    PublicKey::from_bytes(bytes)
}

fn peer(rng: &mut Rng, key: usize, stripes: u8) -> PeerView {
    let mut depth = [u8::MAX; STRIPES_MAX as usize + 1];
    depth.iter_mut().zip(0..=stripes).for_each(|(depth, _)| *depth = byte(rng) % 8);
    PeerView {
        key: PeerKey(narrow(key)),
        id: id(key),
        score: Score::new(byte(rng) % 101),
        rtt: Duration::from_micros(u64::from(1000 + rng.below(200_000))),
        window: below(rng, 48),
        outstanding: below(rng, 16),
        queue: Duration::from_millis(u64::from(rng.below(2)) * 100),
        offers: mask(rng) & ((2 << stripes) - 1),
        depth,
    }
}

fn segment(seq: u32) -> SegmentId {
    SegmentId { track: TrackId::default(), seq }
}

/// A segment that `peers` neighbours hold some of. Whoever lost a symbol holds its stripe.
fn need(rng: &mut Rng, seq: u32, peers: usize, stripes: u8) -> Need {
    let source = 8 + below(rng, 56);
    let all = mask(rng) | mask(rng);
    let mut holders: Vec<(PeerKey, u32)> = Vec::new();
    for key in 0..peers {
        if rng.below(3) > 0 {
            holders.push((PeerKey(narrow(key)), mask(rng) & all & ((2 << stripes) - 1)));
        }
    }
    let (mut missing, mut expected) = (Vec::new(), 0);
    for esi in 0..source + source / 8 {
        let bit = 1 << stripe_of(seq, esi, source, stripes);
        let holder = holders.iter().find(|(_, held)| held & bit != 0);
        match (rng.below(5), holder) {
            (0, _) => expected += 1,
            (1, Some((key, _))) => missing.push((esi, MissingState::Lost(*key))),
            (2 | 3, _) => missing.push((esi, MissingState::Open)),
            _ => {}
        }
    }
    let wanted = missing.iter().filter(|(esi, _)| *esi < source).count();
    Need {
        id: segment(seq),
        deadline: NOW + Duration::from_millis(2000 + 100 * u64::from(seq % 64)),
        since: NOW - Duration::from_millis(u64::from(rng.below(1000))),
        wanted: narrow(wanted),
        expected,
        missing,
        holders,
        source,
    }
}

/// What neighbour `key` lacks of a segment.
fn spare(key: usize, seq: u32, reserved: bool, esis: core::ops::Range<u16>) -> Option<Spare> {
    let lacking = esis.len() as u16;
    (lacking > 0).then(|| Spare {
        peer: PeerKey(narrow(key)),
        id: segment(seq),
        deadline: NOW + Duration::from_millis(2000 + 100 * u64::from(seq)),
        reserved,
        lacking,
        esis: esis.take(SPARE_SYMBOLS_MAX).collect(),
    })
}

/// A view as an engine could give it.
pub(super) fn plausible(rng: &mut Rng) -> MeshView {
    let stripe_count = 1 + byte(rng) % 16;
    let count = rng.below(12) as usize;
    let peers: Vec<PeerView> = (0..count).map(|key| peer(rng, key, stripe_count)).collect();
    let stripes = (0..=stripe_count).map(|stripe| {
        let parent = peers.get(rng.below(16) as usize).map(|peer| peer.key);
        StripeView {
            stripe,
            repair: stripe == stripe_count,
            parent,
            pending: rng.below(4) == 0,
            lag: Duration::from_millis(u64::from(rng.below(4) * rng.below(500))),
            usual: Duration::from_millis(u64::from(rng.below(1500))),
            weight: rng.below(20) as u8,
        }
    });
    let stripes = stripes.collect();
    let needs = 0..rng.below(8);
    let needs = needs.map(|seq| need(rng, seq, count, stripe_count)).collect();
    let mut spares = Vec::new();
    for seq in (0..4).rev() {
        for key in 0..count {
            // Twice at most: what is reserved, and what is not; no symbol is in both.
            let (cut, end) = (below(rng, 64), 64 + below(rng, 64));
            if rng.below(2) > 0 {
                spares.extend(spare(key, seq, true, 0..cut));
                spares.extend(spare(key, seq, false, cut..end));
            }
        }
    }
    let push_room = below(rng, 200);
    MeshView { now: NOW, stripes, peers, needs, stripe_count, spares, push_room }
}

/// Some of every kind of nonsense: unknown keys, masks and stripes out of range, disorder,
/// repetition, extremes.
pub(super) fn wild(rng: &mut Rng) -> MeshView {
    let mut view = plausible(rng);
    let extreme = [0, 1, u16::MAX];
    for peer in &mut view.peers {
        peer.window = extreme[rng.below(3) as usize];
        peer.outstanding = extreme[rng.below(3) as usize];
        peer.offers = mask(rng);
        peer.depth[rng.below(4) as usize..].fill(u8::MAX);
        peer.rtt = [Duration::ZERO, Duration::MAX][rng.below(2) as usize];
        peer.queue = [Duration::ZERO, Duration::MAX][rng.below(2) as usize];
    }
    for need in &mut view.needs {
        need.deadline = [Instant::ZERO, NOW, Instant::NEVER][rng.below(3) as usize];
        need.since = [Instant::ZERO, Instant::NEVER][rng.below(2) as usize];
        need.source = extreme[rng.below(3) as usize];
        need.wanted = extreme[rng.below(3) as usize];
        need.expected = extreme[rng.below(3) as usize];
        need.holders.push((PeerKey(below(rng, u16::MAX)), mask(rng)));
        need.missing.push((u16::MAX, MissingState::Lost(PeerKey(u16::MAX))));
        need.missing.push((0, MissingState::Open));
        rng.shuffle(&mut need.holders);
        rng.shuffle(&mut need.missing);
    }
    for stripe in &mut view.stripes {
        stripe.stripe = byte(rng);
        stripe.parent = Some(PeerKey(below(rng, u16::MAX)));
        stripe.lag = Duration::MAX;
    }
    view.push_room = extreme[rng.below(3) as usize];
    for spare in &mut view.spares {
        spare.peer = PeerKey(below(rng, u16::MAX));
        spare.lacking = extreme[rng.below(3) as usize];
        spare.deadline = [Instant::ZERO, NOW, Instant::NEVER][rng.below(3) as usize];
    }
    rng.shuffle(&mut view.spares);
    view.stripe_count = [0, 1, 16, 32, u8::MAX][rng.below(5) as usize];
    view.now = [Instant::ZERO, NOW, Instant::NEVER][rng.below(3) as usize];
    let twins: Vec<Need> = view.needs.first().cloned().into_iter().collect();
    view.needs.extend(twins);
    match rng.below(8) {
        0 => view.peers.clear(),
        1 => view.stripes.clear(),
        2 => view.needs.clear(),
        3 => view.peers.reverse(),
        _ => {}
    }
    view
}

/// A view without anything.
pub(super) fn empty() -> MeshView {
    MeshView {
        now: Instant::ZERO,
        stripes: Vec::new(),
        peers: Vec::new(),
        needs: Vec::new(),
        stripe_count: 0,
        spares: Vec::new(),
        push_room: 0,
    }
}

/// A view that is long in one or more directions.
pub(super) fn huge(rng: &mut Rng, peers: usize, needs: u32, missing: u16) -> MeshView {
    const STRIPES: u8 = 8;
    let held = (1 << STRIPES) - 1;
    let one = |seq: u32| Need {
        id: segment(seq),
        deadline: NOW + Duration::from_millis(2000 + u64::from(seq)),
        since: NOW,
        wanted: missing,
        expected: 0,
        missing: (0..missing).map(|esi| (esi, MissingState::Open)).collect(),
        holders: if needs == 1 {
            (0..peers).map(|key| (PeerKey(narrow(key)), held)).collect()
        } else {
            vec![(PeerKey(narrow(seq as usize % peers.max(1))), held)]
        },
        source: missing,
    };
    MeshView {
        now: NOW,
        stripes: (0..=STRIPES)
            .map(|stripe| StripeView {
                stripe,
                repair: stripe == STRIPES,
                parent: None,
                pending: false,
                lag: Duration::ZERO,
                usual: Duration::from_millis(100),
                weight: 2,
            })
            .collect(),
        peers: (0..peers).map(|key| peer(rng, key, STRIPES)).collect(),
        needs: (0..needs).map(one).collect(),
        stripe_count: STRIPES,
        spares: (0..needs)
            .rev()
            .filter_map(|seq| spare(seq as usize % peers.max(1), seq, seq % 2 == 0, 0..missing))
            .collect(),
        push_room: u16::MAX,
    }
}
