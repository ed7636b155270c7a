//! What sets each scheduler apart, on small views made by hand.

use super::*;
use crate::config::{Profile, STRIPES_MAX};
use crate::id::{PeerId, SegmentId, TrackId};
use crate::identity::PublicKey;
use crate::plugin::{
    Feedback, MeshView, MissingState, Need, PeerKey, PeerView, Plan, PlanAction, Score, Spare,
    StripeView,
};
use crate::rng::Rng;
use crate::time::Instant;
use core::time::Duration;
use std::collections::BTreeSet;

const NOW: Instant = Instant::from_micros(10_000_000);
const STRIPES: u8 = 4;
const SOURCE: u16 = 40;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn id(short: u32) -> PeerId {
    let mut bytes = [0; 32];
    bytes[..4].copy_from_slice(&short.to_be_bytes());
    PublicKey::from_bytes(bytes)
}

/// Neighbour `key`, 20 ms and more away, that offers all stripes.
fn peer(key: u16) -> PeerView {
    PeerView {
        key: PeerKey(key),
        id: id(key.into()),
        score: Score::new(50),
        rtt: ms(20 + 10 * u64::from(key)),
        window: 64,
        outstanding: 0,
        queue: Duration::ZERO,
        offers: 0b1_1111,
        depth: [2; STRIPES_MAX as usize + 1],
    }
}

fn segment(seq: u32) -> SegmentId {
    SegmentId { track: TrackId::default(), seq }
}

/// A segment of which nothing is here, and all is at `holders`.
fn need(seq: u32, due: Duration, state: MissingState, holders: &[u16]) -> Need {
    Need {
        id: segment(seq),
        deadline: NOW + due,
        since: NOW - ms(300),
        wanted: SOURCE,
        expected: 0,
        missing: (0..SOURCE + 8).map(|esi| (esi, state)).collect(),
        holders: holders.iter().map(|key| (PeerKey(*key), 0b1_1111)).collect(),
        source: SOURCE,
    }
}

fn view(peers: u16, needs: Vec<Need>) -> MeshView {
    let stripe = |stripe| StripeView {
        stripe,
        repair: stripe == STRIPES,
        parent: None,
        pending: false,
        lag: Duration::ZERO,
        usual: Duration::ZERO,
        weight: 2,
    };
    MeshView {
        now: NOW,
        stripes: (0..=STRIPES).map(stripe).collect(),
        peers: (0..peers).map(peer).collect(),
        needs,
        stripe_count: STRIPES,
        spares: Vec::new(),
        push_room: 0,
    }
}

fn plan(scheduler: &mut dyn Scheduler, view: &MeshView) -> Vec<PlanAction> {
    let mut plan = Plan::default();
    scheduler.plan(view, &mut Rng::new([5; 32], 0), &mut plan);
    plan.into_actions()
}

/// What was asked of whom, in order.
fn asked(actions: &[PlanAction]) -> Vec<(u16, u32, Vec<u16>)> {
    let request = |action: &PlanAction| match action {
        PlanAction::Request { peer, segment, esis } => Some((peer.0, segment.seq, esis.clone())),
        _ => None,
    };
    actions.iter().filter_map(request).collect()
}

fn symbols_of(actions: &[PlanAction], seq: u32) -> usize {
    asked(actions).iter().filter(|(_, of, _)| *of == seq).map(|(.., esis)| esis.len()).sum()
}

#[test]
fn rarest_and_earliest_are_different_orders() {
    let needs = vec![
        need(0, ms(1000), MissingState::Open, &[0, 1, 2]),
        need(1, ms(3000), MissingState::Open, &[2]),
    ];
    let view = view(3, needs);
    assert_eq!(asked(&plan(&mut RarestFirst, &view))[0].1, 1);
    assert_eq!(asked(&plan(&mut DeadlineFirst, &view))[0].1, 0);
}

#[test]
fn urgency_has_a_lane_and_no_more() {
    let config = Config::default();
    let needs = vec![
        need(0, ms(10), MissingState::Open, &[0]),
        need(1, ms(900), MissingState::Open, &[0]),
        need(2, ms(3500), MissingState::Open, &[0]),
    ];
    let (mut hybrid, view) = (Hybrid::new(&config), view(1, needs));
    let first = plan(&mut hybrid, &view);
    assert_eq!(symbols_of(&first, 0), 0, "it cannot come in time");
    assert_eq!(symbols_of(&first, 1), 1, "something, always");
    assert_eq!(symbols_of(&first, 2), 40);
    let second = plan(&mut hybrid, &view);
    assert_eq!(symbols_of(&second, 1), 4, "a tenth of what was asked for beside it");
}

#[test]
fn a_queue_is_a_longer_way() {
    let ways = |queue: [u64; 2]| {
        let mut view = view(2, vec![need(0, ms(3000), MissingState::Open, &[0, 1])]);
        view.peers.iter_mut().zip(queue).for_each(|(peer, queue)| peer.queue = ms(queue));
        view.needs[0].missing.truncate(1);
        asked(&plan(&mut RarestFirst, &view))[0].0
    };
    assert_eq!(ways([0, 0]), 0, "the nearest");
    assert_eq!(ways([100, 0]), 1);
    assert_eq!(ways([100, 100]), 0, "and it is asked where all have one");
}

#[test]
fn what_one_alone_holds_is_shared_out() {
    let stripes = |needs: Vec<Need>| {
        let view = view(4, needs);
        let requests = asked(&plan(&mut RarestFirst, &view));
        let esis = requests.into_iter().flat_map(|(.., esis)| esis);
        esis.map(|esi| view.stripe(&view.needs[0], esi)).collect::<BTreeSet<u8>>()
    };
    // With four neighbours a turn is 400 ms.
    let alone =
        |known: u64| Need { since: NOW - ms(known), ..need(0, ms(2000), MissingState::Open, &[2]) };
    assert_eq!(stripes(vec![alone(0)]).len(), 0, "the others bring it");
    let first = stripes(vec![alone(400)]);
    assert_eq!(first.len(), 1, "one stripe in one turn");
    assert!(!first.contains(&STRIPES), "nobody begins with repair symbols");
    assert_eq!(stripes(vec![alone(800)]).len(), 2, "another one in the next");
    assert_eq!(stripes(vec![alone(4000)]).len(), 5, "half the time has passed");
    let hasty = need(0, ms(1000), MissingState::Open, &[2]);
    assert_eq!(stripes(vec![hasty]).len(), 5, "no time for turns");
    let mut begun = alone(0);
    // Five of the ten symbols of stripe 3 are here.
    begun.missing.retain(|(esi, _)| esi % u16::from(STRIPES) != 3 || *esi >= SOURCE / 2);
    assert_eq!(stripes(vec![begun]), BTreeSet::from([3]), "what is begun is made whole");
    let common = need(0, ms(2000), MissingState::Open, &[1, 2]);
    assert_eq!(stripes(vec![common]).len(), 5, "what two hold is for all");

    let view = view(4, vec![alone(0)]);
    let mut plan = Plan::default();
    RarestFirst.plan(&view, &mut Rng::new([1; 32], 0), &mut plan);
    let later = plan.wakes_at().expect("what is left to others is looked at again");
    assert!(later > NOW && later <= NOW + ms(400));
}

#[test]
fn a_segment_is_as_rare_as_its_rarest_stripe() {
    let mut partly = need(1, ms(1000), MissingState::Open, &[1, 2, 3]);
    // Two hold everything but the last stripe of the stream.
    partly.holders[1..].iter_mut().for_each(|(_, mask)| *mask = 0b111);
    let view = view(4, vec![partly, need(2, ms(1500), MissingState::Open, &[1, 2])]);
    assert_eq!(view.needs.iter().map(|need| view.copies(need)).collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn random_useful_uses_all_holders() {
    let view = view(4, vec![need(0, ms(2000), MissingState::Open, &[0, 1, 2, 3])]);
    let whom: BTreeSet<u16> =
        asked(&plan(&mut RandomUseful, &view)).into_iter().map(|(peer, ..)| peer).collect();
    assert_eq!(whom.len(), 4);
}

#[test]
fn bursts_are_of_one_stripe_and_windows_follow_the_rate() {
    let view = view(1, vec![need(0, ms(2000), MissingState::Open, &[0])]);
    let mut scheduler = PipelinedPull::default();
    let requests = asked(&plan(&mut scheduler, &view));
    assert_eq!(requests.iter().map(|(.., esis)| esis.len()).sum::<usize>(), 16, "one burst");
    for (_, _, esis) in &requests {
        let stripes: BTreeSet<u8> =
            esis.iter().map(|esi| view.stripe(&view.needs[0], *esi)).collect();
        assert_eq!(stripes.len(), 1, "{esis:?}");
    }
    // 2000 symbols a second over 20 ms are 40 in flight: two bursts, and one to find out more.
    let peer = PeerKey(0);
    scheduler.feedback(NOW, Feedback::Served { peer, symbols: 1 });
    scheduler.feedback(NOW + ms(500), Feedback::Served { peer, symbols: 2000 });
    let symbols = symbols_of(&plan(&mut scheduler, &view), 0);
    assert_eq!(symbols, 40, "all that is wanted fits in the window now");
}

#[test]
fn a_nak_goes_to_the_parent_twice_and_then_elsewhere() {
    let mut lost = need(0, ms(2000), MissingState::Lost(PeerKey(1)), &[0, 1]);
    lost.missing.truncate(3);
    lost.wanted = 3;
    let mut view = view(2, vec![lost]);
    for stripe in &mut view.stripes {
        stripe.parent = Some(PeerKey(1));
    }
    let mut scheduler = NakDriven::new(&Config::default());
    let whom: Vec<u16> = (0..3).map(|_| asked(&plan(&mut scheduler, &view))[0].0).collect();
    assert_eq!(whom, [1, 1, 0]);
    view.needs[0].wanted = 0;
    assert!(asked(&plan(&mut scheduler, &view)).is_empty(), "enough is on its way");
}

#[test]
fn a_storm_of_losses_replaces_the_parent() {
    let parent = PeerKey(1);
    let mut view = view(2, Vec::new());
    for stripe in &mut view.stripes {
        stripe.parent = Some(parent);
    }
    let mut scheduler = NakDriven::new(&Config::default());
    assert!(plan(&mut scheduler, &view).is_empty());
    view.now = NOW + ms(3000);
    for seq in 0..4 {
        let mut lost = need(seq, ms(5000), MissingState::Lost(parent), &[0, 1]);
        lost.since = NOW + ms(2000);
        // Stripe 0 alone is lost.
        lost.missing
            .retain(|(esi, _)| *esi < SOURCE && (seq + u32::from(*esi)) % u32::from(STRIPES) == 0);
        lost.wanted = lost.missing.len() as u16;
        view.needs.push(lost);
    }
    let actions = plan(&mut scheduler, &view);
    assert_eq!(actions, [PlanAction::Subscribe { stripe: 0, peer: PeerKey(0) }]);
}

#[test]
fn a_fountain_takes_any_symbols_and_moves_a_late_class() {
    let view = view(4, vec![need(0, ms(2000), MissingState::Open, &[0, 1, 2, 3])]);
    let mut scheduler = Fountain::new(&Config::default());
    let requests = asked(&plan(&mut scheduler, &view));
    let whom: BTreeSet<u16> = requests.iter().map(|(peer, ..)| *peer).collect();
    assert_eq!(whom.len(), 4, "a class each: {requests:?}");
    assert_eq!(symbols_of(&plan(&mut scheduler, &view), 0), 42, "two more than are needed");
    for (_, _, esis) in &requests {
        assert_eq!(esis.iter().map(|esi| esi % 4).collect::<BTreeSet<u16>>().len(), 1);
    }
    let (late, _, esis) = &requests[0];
    scheduler.feedback(NOW, Feedback::TimedOut { peer: PeerKey(*late), symbols: 1 });
    let moved = asked(&plan(&mut scheduler, &view));
    let now = moved.iter().find(|(.., other)| other.contains(&esis[0])).map(|(peer, ..)| *peer);
    assert_ne!(now, Some(*late));
}

#[test]
fn trees_hang_on_those_who_are_interior_in_them() {
    // Neighbour i is interior in stripe i, and the nearest is neighbour 0.
    let view = view(4, vec![need(0, ms(2000), MissingState::Open, &[0, 1, 2, 3])]);
    let actions = plan(&mut MultiTree::new(&Config::default()), &view);
    for stripe in 0..STRIPES {
        let peer = PeerKey(stripe.into());
        assert!(actions.contains(&PlanAction::Subscribe { stripe, peer }), "{actions:?}");
    }
    assert_eq!(actions.len(), 5, "the repair stripe too, and nothing else: {actions:?}");
}

#[test]
fn the_newest_is_pushed_to_who_lacks_most() {
    let spare = |peer: u16, seq: u32, reserved, lacking: u16| Spare {
        peer: PeerKey(peer),
        id: segment(seq),
        deadline: NOW + ms(1000 * u64::from(seq)),
        reserved,
        lacking,
        esis: (0..lacking.min(16)).collect(),
    };
    let mut view = view(3, Vec::new());
    view.stripes.clear();
    view.spares = vec![
        spare(0, 2, false, 40),
        spare(0, 2, true, 10),
        spare(1, 2, true, 30),
        spare(2, 1, true, 40),
    ];
    view.push_room = 50;
    let pushed: Vec<(u16, u32, usize)> = plan(&mut LatestUseful::new(&Config::default()), &view)
        .into_iter()
        .filter_map(|action| match action {
            PlanAction::Push { peer, segment, esis } => Some((peer.0, segment.seq, esis.len())),
            _ => None,
        })
        .collect();
    assert_eq!(pushed, [(1, 2, 16), (0, 2, 10), (2, 1, 16), (0, 2, 8)]);
}

#[test]
fn a_stripe_moves_nearer_and_away_from_a_slow_parent() {
    let mut scheduler = PushPull::new(&Config::default());
    let mut view = view(3, Vec::new());
    for (at, stripe) in view.stripes.iter_mut().enumerate() {
        stripe.parent = Some(PeerKey(0));
        stripe.usual = ms(100);
        stripe.weight = if at == 2 { 8 } else { 1 };
    }
    for (at, peer) in view.peers.iter_mut().enumerate() {
        peer.offers = if at == 0 { 0 } else { u32::MAX };
        peer.depth = [2; 17];
    }
    assert!(subscribed(&plan(&mut scheduler, &view)).is_empty(), "nothing is gained");
    // One hop less is worth it where others hang on this peer, two hops anywhere.
    view.peers[1].depth[1] = 1;
    assert!(subscribed(&plan(&mut scheduler, &view)).is_empty());
    view.peers[1].depth[2] = 1;
    assert_eq!(subscribed(&plan(&mut scheduler, &view)), [(2, 1)]);
    view.now = view.now + ms(1000);
    (view.peers[1].depth[2], view.peers[2].depth[1]) = (2, 0);
    assert_eq!(subscribed(&plan(&mut scheduler, &view)), [(1, 2)]);
    // A slow parent is left once it has had time.
    view.now = view.now + ms(1000);
    view.peers[2].depth[1] = 2;
    view.stripes[3].usual = ms(900);
    let moved = subscribed(&plan(&mut scheduler, &view));
    assert_eq!(moved.iter().map(|(stripe, _)| *stripe).collect::<Vec<_>>(), [3]);
    view.now = view.now + ms(1000);
    view.stripes[3].parent = Some(PeerKey(1));
    assert!(subscribed(&plan(&mut scheduler, &view)).is_empty(), "a new one is given time");
}

/// Each parent that was left for lagging makes patience with the next one longer, for a while.
#[test]
fn who_has_left_parents_waits_longer() {
    let mut scheduler = PushPull::new(&Profile::Live.config());
    let mut moves = |at: Duration, parent: u16, lag: Duration| {
        let mut view = view(3, Vec::new());
        view.now = NOW + at;
        for stripe in &mut view.stripes {
            (stripe.parent, stripe.lag) = (Some(PeerKey(0)), Duration::ZERO);
        }
        (view.stripes[1].parent, view.stripes[1].lag) = (Some(PeerKey(parent)), lag);
        let plan = plan(&mut scheduler, &view);
        subscribed(&plan).iter().any(|(stripe, _)| *stripe == 1)
    };
    assert!(!moves(ms(0), 0, ms(1200)));
    assert!(moves(ms(50), 0, ms(1250)));
    assert!(moves(ms(100), 0, ms(1300)), "it is still to be left");
    assert!(!moves(ms(1500), 1, ms(2400)));
    assert!(moves(ms(1550), 1, ms(2450)));
    assert!(!moves(ms(4000), 2, ms(4800)));
    assert!(moves(ms(4050), 2, ms(4850)));
    // Twice five seconds without are enough of calm.
    assert!(!moves(ms(9100), 0, ms(2400)));
    assert!(moves(ms(14_200), 0, ms(1250)));
}

/// The subscriptions of a plan: stripe and neighbour.
fn subscribed(plan: &[PlanAction]) -> Vec<(u8, u16)> {
    let subscription = |action: &PlanAction| match action {
        PlanAction::Subscribe { stripe, peer } => Some((*stripe, peer.0)),
        _ => None,
    };
    plan.iter().filter_map(subscription).collect()
}
