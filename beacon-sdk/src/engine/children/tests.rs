use super::*;

const NOW: Instant = Instant::from_micros(5_000_000);
const ALL: Instant = Instant::ZERO;

fn silent(silent: bool) -> Judged {
    Judged { silent, poor: false, score: 50 }
}

fn origin(fanout: u16) -> Children {
    Children::new(9, Some(fanout), Capacity::of(0, 240, 8))
}

#[test]
fn an_origin_begins_every_stripe_and_more_as_its_uplink_allows() {
    let mut children = origin(3);
    for slots in [0, 8, 17, 24, 240] {
        children.resize(Capacity::of(0, slots, 8));
        assert!((0..9).all(|s| children.limit(s) == usize::from((slots / 8).clamp(1, 3))));
    }
}

#[test]
fn those_beyond_are_given_notice_the_weakest_first() {
    let mut children = Children::new(9, None, Capacity::of(0, 16, 8));
    for (key, weight) in [(1, 5), (2, 1), (3, 3)] {
        assert_eq!(children.adopt(0, PeerKey(key), (weight, ALL), NOW), Place::Taken);
    }
    assert_eq!(children.adopt(4, PeerKey(3), (3, ALL), NOW), Place::Taken);
    assert_eq!(children.shed(NOW, false), []);
    children.resize(Capacity::of(0, 2, 8));
    // One at a time of each stripe.
    assert_eq!(children.shed(NOW, false), [(0, PeerKey(2)), (4, PeerKey(3))]);
    assert_eq!(children.shed(NOW, false), []);
    children.expire(NOW + NOTICE);
    assert_eq!(children.shed(NOW + NOTICE, false), [(0, PeerKey(3))]);
    children.expire(NOW + NOTICE * 2);
    assert_eq!(children.shed(NOW + NOTICE * 2, false), []);
    assert_eq!(children.of(0).collect::<Vec<_>>(), [PeerKey(1)]);
    assert!(!children.full());
}

#[test]
fn all_go_at_once_when_nothing_is_to_be_given() {
    let mut children = Children::new(9, None, Capacity::of(0, 16, 8));
    for key in 1..=3 {
        children.adopt(0, PeerKey(key), (1, ALL), NOW);
    }
    children.resize(Capacity::of(0, 0, 8));
    let mut shed = children.shed(NOW, true);
    shed.sort_unstable();
    assert_eq!(shed, [1, 2, 3].map(|key| (0, PeerKey(key))));
    assert!(children.any_leaves());
    assert_eq!(children.expire(NOW + NOTICE).len(), 3);
    assert!(!children.any_leaves());
}

#[test]
fn half_of_the_slots_are_at_home() {
    let capacity = Capacity::of(3, 54, 8);
    assert_eq!(capacity.children(3), 27);
    assert_eq!(capacity.children(4), 3);
    assert_eq!(Capacity::of(3, 4, 8).children(4), 1);
    assert_eq!(Capacity::of(3, 1, 8).children(3), 1);
    assert_eq!(Capacity::of(3, 0, 8).children(3), 0);
    assert_eq!(Capacity::of(3, u16::MAX, 1).weight(0), CLOSED - 1);
}

#[test]
fn what_no_neighbour_could_fill_is_lent_and_asked_back() {
    // Eight places at home, and one in each of seven others.
    let mut children = Children::new(9, None, Capacity::of(0, 16, 8));
    (0..8).for_each(|stripe| children.reach(stripe, 4));
    children.surround(FEW - 1);
    let take =
        |children: &mut Children, stripe, key| children.adopt(stripe, PeerKey(key), (1, ALL), NOW);
    assert_eq!(take(&mut children, 3, 1), Place::Taken);
    // Four are kept at home, and one in each of the six others: five are left.
    for key in 2..=4 {
        assert_eq!(take(&mut children, 3, key), Place::Taken);
    }
    for key in 1..=3 {
        assert_eq!(take(&mut children, 5, key), Place::Taken);
    }
    assert_eq!(children.bar(5), 2, "what is left is kept for the others");
    assert_eq!(children.bar(4), 0);
    for stripe in [1, 2, 4, 6, 7] {
        assert_eq!(take(&mut children, stripe, 1), Place::Taken);
    }
    // Another neighbour comes: a fifth could be at home, where there are four.
    (1..=4).for_each(|key| assert_eq!(take(&mut children, 0, key), Place::Taken));
    assert!(children.full());
    assert_eq!(children.shed(NOW, false), []);
    children.reach(0, 5);
    assert_eq!(children.bar(0), 0);
    assert_eq!(take(&mut children, 0, 5), Place::Taken);
    assert_eq!(children.shed(NOW, false), [(3, PeerKey(1))], "where most are lent");
    // As many as there are places, all within reach of more: nothing is lent any more.
    assert_eq!(children.bar(3), CLOSED);
    // Once there are many neighbours, each stripe has its share.
    children.expire(NOW + NOTICE);
    children.surround(FEW_LEFT - 1);
    assert_eq!(children.shed(NOW, true), []);
    children.surround(FEW_LEFT);
    let gone = children.shed(NOW, true);
    assert_eq!(gone, [(5, PeerKey(1)), (3, PeerKey(2)), (5, PeerKey(2)), (3, PeerKey(3))]);
}

#[test]
fn the_weakest_makes_room_for_one_twice_as_strong() {
    let mut children = origin(2);
    assert_eq!(children.bar(1), 0);
    assert_eq!(children.adopt(1, PeerKey(1), (0, ALL), NOW), Place::Taken);
    assert_eq!(children.adopt(1, PeerKey(2), (4, ALL), NOW), Place::Taken);
    assert_eq!(children.bar(1), 1);
    assert_eq!(children.adopt(1, PeerKey(3), (0, ALL), NOW), Place::Full);
    assert_eq!(children.adopt(1, PeerKey(4), (3, ALL), NOW), Place::TakenFrom(PeerKey(1)));
    // While one is under notice no other is.
    assert_eq!(children.bar(1), CLOSED);
    assert_eq!(children.adopt(1, PeerKey(5), (9, ALL), NOW), Place::Full);
    assert_eq!(children.of(1).count(), 3);
    assert_eq!(children.expire(NOW), []);
    assert_eq!(children.expire(NOW + NOTICE), [(1, PeerKey(1))]);
    assert_eq!(children.bar(1), 6);
    assert_eq!(children.adopt(1, PeerKey(5), (5, ALL), NOW), Place::Full);
    assert_eq!(children.adopt(1, PeerKey(5), (6, ALL), NOW), Place::TakenFrom(PeerKey(4)));
}

#[test]
fn a_child_is_taken_once_and_slots_bound_all_stripes() {
    let mut children = Children::new(9, None, Capacity::of(0, 2, 8));
    assert_eq!(children.adopt(0, PeerKey(1), (1, ALL), NOW), Place::Taken);
    assert_eq!(children.adopt(0, PeerKey(1), (1, ALL), NOW), Place::Taken);
    assert_eq!(children.total(), 1);
    assert_eq!(children.adopt(1, PeerKey(1), (1, ALL), NOW), Place::Taken);
    assert_eq!(children.bar(2), CLOSED);
    assert_eq!(children.adopt(2, PeerKey(2), (200, ALL), NOW), Place::Full);
    children.abandon(1, PeerKey(1));
    assert_eq!(children.bar(2), 0);
    assert_eq!(Children::new(9, None, Capacity::of(0, 0, 8)).bar(0), CLOSED);
}

#[test]
fn a_silent_childs_place_is_free_until_it_is_heard_again() {
    let mut children = origin(1);
    assert_eq!(children.adopt(1, PeerKey(1), (9, ALL), NOW), Place::Taken);
    assert_eq!(children.bar(1), 18);
    assert!(children.judge(|key| silent(key == PeerKey(1))));
    assert_eq!(children.bar(1), 0);
    assert_eq!(children.adopt(1, PeerKey(2), (1, ALL), NOW), Place::Taken);
    assert_eq!(children.of(1).count(), 2, "it may have been the network");
    assert!(children.judge(|_| silent(false)));
    assert!(!children.judge(|_| silent(false)));
    assert_eq!(children.shed(NOW, false), [(1, PeerKey(2))], "the weaker makes room");
}

#[test]
fn a_child_that_leaves_has_what_it_asked_for_and_no_place() {
    let mut children = origin(1);
    let (before, from, until) = (NOW, NOW + NOTICE, NOW + NOTICE * 2);
    assert_eq!(children.adopt(1, PeerKey(1), (2, from), NOW), Place::Taken);
    let taking = |children: &Children, at| children.taking(1, at).collect::<Vec<_>>();
    assert_eq!(taking(&children, before), []);
    assert_eq!(taking(&children, from), [PeerKey(1)]);
    children.leave(1, PeerKey(1), until, NOW);
    assert_eq!(taking(&children, from), [PeerKey(1)]);
    assert_eq!(taking(&children, until), []);
    assert_eq!((children.of(1).count(), children.bar(1)), (0, 0));
    assert_eq!(children.adopt(1, PeerKey(2), (2, ALL), NOW), Place::Taken);
    // It knows that it is no child any more.
    assert_eq!(children.expire(NOW + NOTICE), []);
    assert_eq!(taking(&children, from), [PeerKey(2)]);
    children.leave(1, PeerKey(2), Instant::ZERO, NOW);
    assert_eq!(taking(&children, from), []);
}

#[test]
fn who_does_not_pay_is_choked_when_its_place_is_wanted_and_not_before() {
    let mut children = origin(1);
    assert_eq!(children.adopt(1, PeerKey(1), (9, ALL), NOW), Place::Taken);
    let poor = |key| Judged { silent: false, poor: key == PeerKey(1), score: 50 };
    assert!(children.judge(poor));
    assert_eq!(children.shed(NOW, false), [], "nobody wants its place");
    assert_eq!(children.bar(1), 0);
    assert_eq!(children.adopt(1, PeerKey(2), (0, ALL), NOW), Place::Taken);
    assert!(!children.judge(poor));
    assert_eq!(children.shed(NOW, false), [(1, PeerKey(1))]);
    assert_eq!(children.shed(NOW, false), []);
    assert_eq!(children.expire(NOW + NOTICE), [(1, PeerKey(1))]);
    // It comes again: there is no room.
    assert_eq!(children.adopt(1, PeerKey(1), (0, ALL), NOW), Place::Full);
}

#[test]
fn who_pays_again_in_time_keeps_its_place() {
    let mut children = Children::new(9, None, Capacity::of(0, 2, 8));
    let poor = |key| Judged { silent: false, poor: key == PeerKey(1), score: 50 };
    assert_eq!(children.adopt(0, PeerKey(1), (1, ALL), NOW), Place::Taken);
    assert_eq!(children.adopt(3, PeerKey(2), (1, ALL), NOW), Place::Taken);
    assert!(children.judge(poor));
    assert_eq!(children.bar(5), 0, "one of two places is free");
    assert!(children.judge(|_| silent(false)));
    assert_eq!(children.bar(5), CLOSED);
    assert!(children.judge(poor));
    assert_eq!(children.adopt(5, PeerKey(3), (1, ALL), NOW), Place::Taken);
    assert_eq!(children.shed(NOW, false), [(0, PeerKey(1))], "three take what two places give");
}

#[test]
fn of_two_that_serve_as_few_the_one_that_gives_less_makes_room() {
    let mut children = origin(2);
    assert_eq!(children.adopt(1, PeerKey(1), (1, ALL), NOW), Place::Taken);
    assert_eq!(children.adopt(1, PeerKey(2), (1, ALL), NOW), Place::Taken);
    let judged = |key: PeerKey| Judged { silent: false, poor: false, score: 60 - key.0 as u8 };
    assert!(!children.judge(judged));
    assert_eq!(children.adopt(1, PeerKey(3), (4, ALL), NOW), Place::TakenFrom(PeerKey(2)));
}
