//! Which peers are told to whom: the origin while it has room, good parents near it, and others
//! at random, so that the mesh does not become a star around the best. The server and the
//! simulator go by it.

use crate::plugin::{PeerHint, Report};
use crate::{DEPTH_MAX, PeerId, Rng, Role};
use core::cmp::Reverse;

/// Hints in one message: half good parents, half random ones.
pub const HINTS: usize = 20;
/// Good parents are drawn from this many, so that comers do not all dial the same ten.
pub const BEST_OF: usize = 30;
/// Rooms up to this size are told of every comer and leaver at once; of larger ones this many
/// peers are told of comers, and leavers just stop being told of.
pub const TOLD_MAX: usize = 64;
/// What an origin is taken to have room for before it reports. (Guess.)
const ORIGIN_SLOTS: u16 = 4;

/// What is told of a peer that has not reported yet. The engine's newcomer score is 50.
#[must_use]
pub fn newcomer(peer: PeerId, origin: bool) -> PeerHint {
    if origin {
        PeerHint { peer, score: 100, role: Role::Origin, depth: 0, slots: ORIGIN_SLOTS }
    } else {
        PeerHint { peer, score: 50, role: Role::Leaf, depth: DEPTH_MAX, slots: 1 }
    }
}

/// What is told of a peer after it reported. Nobody but the origin is the origin, or as near.
#[must_use]
pub fn reported(peer: PeerId, origin: bool, report: &Report) -> PeerHint {
    let slots = report.slots;
    if origin {
        return PeerHint { slots, ..newcomer(peer, true) };
    }
    let role = if report.role == Role::Origin { Role::Leaf } else { report.role };
    PeerHint { peer, score: report.score.min(100), role, depth: report.depth.max(1), slots }
}

/// What is kept of a peer that the owner of the broadcast has muted: it is told to nobody, and ranks last.
#[must_use]
pub fn muted(peer: PeerId) -> PeerHint {
    PeerHint { score: 0, slots: 0, ..newcomer(peer, false) }
}

/// Order of preference as a parent, best first: room, nearness, score, room again.
pub fn preference(hint: &PeerHint) -> impl Ord + use<> {
    (hint.slots == 0, hint.depth, Reverse(hint.score), Reverse(hint.slots), hint.peer)
}

/// Chooses up to [`HINTS`] places of a ranking of `ranked` peers, ascending, without `own`.
#[must_use]
pub fn choose(ranked: usize, own: Option<usize>, rng: &mut Rng) -> Vec<usize> {
    let others = || (0..ranked).filter(|&place| Some(place) != own);
    // One more than needed: a member may have left since the ranking was made.
    if ranked <= HINTS + 1 {
        return others().collect();
    }
    // The first is the origin while it has room, and always told.
    let mut best: Vec<usize> = others().take(BEST_OF).collect();
    rng.shuffle(&mut best[1..]);
    let mut chosen: Vec<usize> = best.into_iter().take(HINTS / 2).collect();
    // Random places may fall on chosen ones: a few draws more, then fewer hints.
    for _ in 0..2 * HINTS {
        let place = rng.below(u32::try_from(ranked).unwrap_or(u32::MAX)) as usize;
        if Some(place) != own && !chosen.contains(&place) {
            chosen.push(place);
        }
        if chosen.len() == HINTS {
            break;
        }
    }
    chosen.sort_unstable();
    chosen
}

/// As [`choose`], for whoever sees of a ranking only its head and `others` drawn from all of it at random: `best`
/// are the first of it, best first, and all of it where it has no more than [`BEST_OF`] peers. Up to
/// [`HINTS`] without `own`, best first; a ranking of one more besides is told whole.
#[must_use]
pub fn draw(best: &[PeerHint], others: &[PeerHint], own: PeerId, rng: &mut Rng) -> Vec<PeerHint> {
    let mut best: Vec<&PeerHint> = best.iter().filter(|hint| hint.peer != own).collect();
    let mut chosen: Vec<PeerHint> = Vec::with_capacity(HINTS + 1);
    if others.is_empty() && best.len() <= HINTS + 1 {
        chosen.extend(best.into_iter().cloned());
    } else {
        // The first is the origin while it has room, and always told.
        if let Some((_, rest)) = best.split_first_mut() {
            rng.shuffle(rest);
        }
        let mut others: Vec<&PeerHint> = others.iter().filter(|hint| hint.peer != own).collect();
        rng.shuffle(&mut others);
        let (good, left) = best.split_at(best.len().min(HINTS / 2));
        // Where all are among the best, the rest of them are the others.
        let random = if others.is_empty() { left } else { &others };
        for hint in good.iter().chain(random) {
            if chosen.len() < HINTS && chosen.iter().all(|told| told.peer != hint.peer) {
                chosen.push((*hint).clone());
            }
        }
    }
    chosen.sort_by_key(preference);
    chosen
}

/// A hint's [`preference`] as one number, the best lowest; those alike go by their id.
#[must_use]
pub fn rank(hint: &PeerHint) -> u32 {
    let full = u32::from(hint.slots == 0) << 31;
    let (depth, score) = (u32::from(hint.depth), u32::from(hint.score.min(100)));
    full | depth << 23 | (100 - score) << 16 | u32::from(u16::MAX - hint.slots)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(score: u8, role: Role, depth: u8, slots: u16) -> Report {
        Report { score, role, depth, slots, upload_bps: 0, detail: None }
    }

    #[test]
    fn nobody_passes_for_the_origin() {
        let peer = PeerId::from_bytes([1; 32]);
        let liar = reported(peer, false, &report(255, Role::Origin, 0, 9));
        assert_eq!((liar.score, liar.role, liar.depth), (100, Role::Leaf, 1));
        let origin = reported(peer, true, &report(0, Role::Leaf, 7, 2));
        assert_eq!(
            (origin.score, origin.role, origin.depth, origin.slots),
            (100, Role::Origin, 0, 2)
        );
    }

    #[test]
    fn a_full_origin_comes_after_those_with_room() {
        let peer = |byte| PeerId::from_bytes([byte; 32]);
        let mut ranked = [
            reported(peer(1), true, &report(0, Role::Origin, 0, 0)),
            reported(peer(2), false, &report(60, Role::Relay, 2, 3)),
            reported(peer(3), false, &report(80, Role::SuperSeed, 1, 3)),
            reported(peer(4), false, &report(90, Role::SuperSeed, 2, 1)),
        ];
        ranked.sort_by_key(preference);
        assert_eq!(ranked.map(|hint| hint.peer), [peer(3), peer(4), peer(2), peer(1)]);
    }

    #[test]
    fn small_rooms_are_told_whole() {
        let mut rng = Rng::new([0; 32], 0);
        assert_eq!(choose(4, Some(2), &mut rng), [0, 1, 3]);
        assert_eq!(choose(1, Some(0), &mut rng), [0; 0]);
        assert_eq!(choose(HINTS + 1, None, &mut rng).len(), HINTS + 1);
    }

    #[test]
    fn the_number_of_a_hint_orders_as_its_preference() {
        let mut hints = Vec::new();
        for (at, slots) in [0, 1, 7, u16::MAX].into_iter().enumerate() {
            for depth in [0, 1, 7, 255] {
                for score in [0, 50, 100] {
                    let peer = PeerId::from_bytes([at as u8; 32]);
                    hints.push(PeerHint { peer, score, role: Role::Relay, depth, slots });
                }
            }
        }
        for one in &hints {
            for other in &hints {
                let numbers = (rank(one), one.peer).cmp(&(rank(other), other.peer));
                assert_eq!(numbers, preference(one).cmp(&preference(other)), "{one:?} {other:?}");
            }
        }
    }

    #[test]
    fn the_head_of_a_ranking_and_others_at_random_do_for_all_of_it() {
        let mut rng = Rng::new([0; 32], 0);
        let hint = |number: u16| {
            let mut id = [0; 32];
            id[..2].copy_from_slice(&number.to_be_bytes());
            reported(PeerId::from_bytes(id), number == 0, &report(50, Role::Relay, 2, 3))
        };
        let all: Vec<PeerHint> = (0..1000).map(hint).collect();
        let ids = |hints: &[PeerHint]| hints.iter().map(|hint| hint.peer).collect::<Vec<_>>();
        // A small room is told whole, but for the peer itself.
        let told = draw(&all[..HINTS + 2], &[], all[3].peer, &mut rng);
        assert_eq!((told.len(), ids(&told).contains(&all[3].peer)), (HINTS + 1, false));
        assert_eq!(draw(&all[..BEST_OF], &[], all[3].peer, &mut rng).len(), HINTS);
        let told = draw(&all[..BEST_OF], &all[500..520], all[510].peer, &mut rng);
        assert_eq!((told.len(), told[0].peer), (HINTS, all[0].peer), "the origin is told");
        assert_eq!(told.iter().filter(|hint| all[500..520].contains(hint)).count(), HINTS / 2);
        assert!(!ids(&told).contains(&all[510].peer));
    }

    #[test]
    fn large_rooms_get_the_first_good_ones_and_random_ones() {
        let mut rng = Rng::new([0; 32], 0);
        let mut seen = std::collections::BTreeSet::new();
        for own in [None, Some(0), Some(5), Some(999)] {
            for _ in 0..500 {
                let chosen = choose(1000, own, &mut rng);
                assert_eq!(chosen.len(), HINTS);
                assert!(chosen.is_sorted_by(|a, b| a < b));
                assert!(own.is_none_or(|own| !chosen.contains(&own)));
                assert_eq!(chosen[0], usize::from(own == Some(0)));
                seen.extend(chosen);
            }
        }
        assert!(seen.len() > 950, "random peers are told as well: {}", seen.len());
    }
}
