//! A publisher that signs anything: what is authentic need not be sane.
#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

#[path = "ordeal/rogue.rs"]
mod rogue;

use beacon_sdk::engine::Parts;
use beacon_sdk::media::{Description, Manifest, Playout};
use beacon_sdk::plugin::{Ledger, MeshView, Plan, ReceiptError, Scheduler, Standing, Transfer};
use beacon_sdk::policy::{OpenLedger, PushPull};
use beacon_sdk::wire::{HAVE_COMPLETE, Have, Message, RefuseReason, Span, Status, SymbolHeader};
use beacon_sdk::{Identity, Instant, PeerId, Profile, Rng, SegmentId, TrackId};
use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use rogue::{Rogue, description, manifest, parts};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The payload of a segment as a viewer takes it: whole segments of any bytes.
fn plays(payload: &[u8]) -> Vec<Playout> {
    let mut rogue = Rogue::new();
    rogue.describe(&description());
    rogue.publish(manifest(0, payload), payload);
    rogue.playout()
}

/// One object: a keyframe at the segment's start, 40 ticks long, of two bytes.
const OBJECT: [u8; 8] = [1, 0, 0, 40, 0, 2, 7, 7];

#[test]
fn a_sane_payload_is_played() {
    let played = plays(&[OBJECT, OBJECT].concat());
    assert!(
        matches!(&played[..], [Playout::Tracks(_), Playout::Segment { objects, .. }] if objects.len() == 2)
    );
}

#[test]
fn stripes_cannot_change() {
    let mut rogue = Rogue::new();
    rogue.describe(&description());
    rogue.describe(&Description { revision: 1, stripes: 16, ..description() });
    let payload = OBJECT.repeat(100);
    rogue.publish(manifest(0, &payload), &payload);
    rogue.advance(Duration::from_secs(1));
    assert!(rogue.playout().iter().any(|item| matches!(item, Playout::Segment { .. })));
}

#[test]
fn a_description_that_comes_again_is_free_and_an_old_one_is_not() {
    let mut rogue = Rogue::new();
    let old = description();
    let new = Description { revision: 1, ..description() };
    rogue.describe(&old);
    rogue.describe(&new);
    rogue.sent.clear();
    for _ in 0..10_000 {
        rogue.describe(&new);
    }
    assert!(rogue.up && rogue.sent.is_empty(), "what every neighbour passes on");
    for _ in 0..1000 {
        rogue.describe(&old);
    }
    assert!(!rogue.up, "each costs the check of a signature");
}

#[test]
fn a_new_configuration_is_told_with_its_first_segment() {
    let mut rogue = Rogue::new();
    rogue.describe(&description());
    rogue.publish(manifest(0, &OBJECT), &OBJECT);
    assert!(matches!(rogue.playout()[..], [Playout::Tracks(_), Playout::Segment { .. }]));
    let mut track = description().tracks[0].clone();
    track.config = vec![9; 9].into();
    rogue.describe(&Description { revision: 1, tracks: vec![track.clone()], ..description() });
    // Cut before the news and come after it.
    let later = |seq, group_start| {
        let mut manifest = manifest(seq, &OBJECT);
        manifest.start += u64::from(seq) * 40;
        manifest.group_start = group_start;
        manifest
    };
    rogue.publish(later(1, false), &OBJECT);
    assert!(matches!(rogue.playout()[..], [Playout::Segment { .. }]));
    rogue.publish(Manifest { revision: 1, ..manifest(2, &OBJECT) }, &OBJECT);
    let played = rogue.playout();
    let [Playout::Tracks(tracks), Playout::Segment { .. }] = &played[..] else {
        panic!("{played:?}")
    };
    assert_eq!(tracks[..], [track]);
}

#[test]
fn a_track_that_is_gone_does_not_hold_up_the_end() {
    let mut rogue = Rogue::new();
    let (picture, mut other) = (description().tracks[0].clone(), description().tracks[0].clone());
    other.id = TrackId::new(1).unwrap();
    rogue.describe(&Description { tracks: vec![picture.clone(), other], ..description() });
    rogue.publish(manifest(0, &OBJECT), &OBJECT);
    let (tracks, ended) = (vec![picture], Some(vec![1]));
    rogue.describe(&Description { revision: 1, tracks, ended, ..description() });
    rogue.advance(Duration::from_secs(5));
    assert_eq!(rogue.playout().last(), Some(&Playout::End));
}

/// Counts the plans that are made.
#[derive(Debug)]
struct Counting(PushPull, Arc<AtomicUsize>);
impl Scheduler for Counting {
    fn name(&self) -> &'static str {
        "counting"
    }
    fn plan(&mut self, view: &MeshView, rng: &mut Rng, plan: &mut Plan) {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.plan(view, rng, plan);
    }
}

#[test]
fn a_flood_of_refusals_is_not_worth_a_flood_of_plans() {
    let (config, plans) = (Profile::LowLatency.config(), Arc::new(AtomicUsize::new(0)));
    let scheduler = Box::new(Counting(PushPull::new(&config), plans.clone()));
    let mut rogue = Rogue::with(config.clone(), Parts { scheduler, ..parts(&config) });
    rogue.describe(&description());
    let offers = Status { tracks: 1, slots: 16, depth: vec![0, 0], bar: vec![0, 0] };
    rogue.control(Message::Status(offers).encode());
    rogue.advance(Duration::from_millis(100));
    let subscribed = |frame| matches!(Message::decode(frame), Ok(Message::Subscribe { .. }));
    assert!(rogue.sent.iter().cloned().any(subscribed));
    let before = plans.load(Ordering::Relaxed);
    for _ in 0..1000 {
        rogue.control(Message::Refuse { stripe: 0, reason: RefuseReason::Full }.encode());
    }
    let made = plans.load(Ordering::Relaxed) - before;
    assert!((1..=2).contains(&made), "the answer to the subscription is worth one: {made}");
}

/// Keeps what its only neighbour was said to have waiting.
#[derive(Debug)]
struct Queues(PushPull, Arc<Mutex<Vec<Duration>>>);
impl Scheduler for Queues {
    fn name(&self) -> &'static str {
        "queues"
    }
    fn plan(&mut self, view: &MeshView, rng: &mut Rng, plan: &mut Plan) {
        self.1.lock().unwrap().extend(view.peers.first().map(|peer| peer.queue));
        self.0.plan(view, rng, plan);
    }
}

#[test]
fn who_is_busy_has_a_queue_for_a_while() {
    let (config, queues) = (Profile::LowLatency.config(), Arc::new(Mutex::new(Vec::new())));
    let scheduler = Box::new(Queues(PushPull::new(&config), queues.clone()));
    let mut rogue = Rogue::with(config.clone(), Parts { scheduler, ..parts(&config) });
    let all = || core::mem::take(&mut *queues.lock().unwrap());
    rogue.describe(&description());
    let (id, payload) = (manifest(0, &OBJECT).id, OBJECT.repeat(100));
    rogue.publish_manifest(manifest(0, &payload), &payload);
    rogue.control(Message::Have(vec![Have { id, mask: HAVE_COMPLETE }]).encode());
    rogue.advance(Duration::from_millis(150));
    let requests = sent(&rogue, |message| matches!(message, Message::Request { .. }));
    let [Message::Request { spans, .. }, ..] = &requests[..] else { panic!("{requests:?}") };
    assert!(all().iter().all(Duration::is_zero));
    rogue.control(Message::Busy { id, spans: spans.clone() }.encode());
    rogue.advance(Duration::from_millis(80));
    let some = all();
    assert!(some.iter().all(|queue| (20..=100).contains(&queue.as_millis())), "{some:?}");
    assert!(!some.is_empty() && some.is_sorted_by(|a, b| a >= b), "{some:?}");
    let asked_again = sent(&rogue, |message| matches!(message, Message::Request { .. }));
    assert!(asked_again.len() > requests.len(), "nobody else has it");
    rogue.advance(Duration::from_millis(40));
    assert_eq!(all().last(), Some(&Duration::ZERO));
}

/// The viewer hangs on the publisher.
fn fed(rogue: &mut Rogue) {
    let offers = Status { tracks: 1, slots: 16, depth: vec![0, 0], bar: vec![0, 0] };
    rogue.control(Message::Status(offers).encode());
    rogue.advance(Duration::from_millis(100));
    rogue.feed();
}

/// Serves all but one, once that has been said.
#[derive(Debug)]
struct Strict(OpenLedger, PeerId, Arc<AtomicBool>);
impl Ledger for Strict {
    fn record(&mut self, now: Instant, transfer: Transfer) {
        self.0.record(now, transfer);
    }
    fn standing(&self, peer: PeerId) -> Standing {
        let poor = peer == self.1 && self.2.load(Ordering::Relaxed);
        Standing { served: !poor, ..self.0.standing(peer) }
    }
    fn poll_receipt(&mut self, now: Instant) -> Option<(PeerId, Bytes)> {
        self.0.poll_receipt(now)
    }
    fn accept_receipt(&mut self, _: Instant, _: PeerId, _: &[u8]) -> Result<(), ReceiptError> {
        Ok(())
    }
}

#[test]
fn who_does_not_pay_is_served_until_its_place_is_wanted() {
    let (poor, other) = (3, 4);
    let mut config = Profile::Live.config();
    config.push_slots = 1;
    let freeloads = Arc::new(AtomicBool::new(false));
    let id = Identity::from_secret([poor; 32]).public();
    let ledger = Box::new(Strict(OpenLedger::default(), id, freeloads.clone()));
    let mut rogue = Rogue::with(config.clone(), Parts { ledger, ..parts(&config) });
    let refusals = |rogue: &Rogue| sent(rogue, |m| matches!(m, Message::Refuse { .. }));
    rogue.describe(&description());
    fed(&mut rogue);
    // They are quiet, and there.
    let stay = |rogue: &mut Rogue, children: &[PeerId], halves: usize| {
        for _ in 0..halves {
            rogue.advance(Duration::from_millis(500));
            children.iter().for_each(|child| rogue.say(*child, Message::Ping(0)));
        }
    };
    let poor = rogue.child(poor);
    freeloads.store(true, Ordering::Relaxed);
    stay(&mut rogue, &[poor], 3);
    assert_eq!(refusals(&rogue), [], "nobody else wants the place");
    let both = [poor, rogue.child(other)];
    let fed = sent(&rogue, |message| matches!(message, Message::Feed { .. }));
    assert_eq!(fed.len(), 2, "the place is free for who pays");
    stay(&mut rogue, &both, 2);
    let refused = |reason| Message::Refuse { stripe: 0, reason };
    assert_eq!(refusals(&rogue), [refused(RefuseReason::Notice)]);
    stay(&mut rogue, &both, 6);
    let all = [RefuseReason::Notice, RefuseReason::Full].map(refused);
    assert_eq!(refusals(&rogue), all, "it has no place any more");
    let subscribe = Message::Subscribe { stripes: 1, tracks: 1, from: Instant::ZERO };
    rogue.say(poor, subscribe);
    assert_eq!(refusals(&rogue).last(), Some(&refused(RefuseReason::Full)));
    assert_eq!(refusals(&rogue).len(), 3);
}

/// What a parent lacked itself and passes on late is often asked of it at the same time.
#[test]
fn what_has_been_sent_while_it_was_asked_for_is_not_sent_again() {
    for (profile, copies) in [(Profile::Live, 1), (Profile::LowLatency, 2)] {
        sent_while_it_was_asked_for(profile, copies);
    }
}

/// One that is due soon is: it may be lost, and there is no time to ask again.
fn sent_while_it_was_asked_for(profile: Profile, expected: usize) {
    let config = profile.config();
    let mut rogue = Rogue::with(config.clone(), parts(&config));
    rogue.describe(&description());
    fed(&mut rogue);
    let child = rogue.child(3);
    let (id, payload) = (manifest(0, &OBJECT).id, OBJECT.repeat(24));
    let padded = rogue.publish_manifest(manifest(0, &payload), &payload);
    let frames: Vec<Bytes> = (0_u16..)
        .zip(padded.chunks(64))
        .map(|(esi, symbol)| SymbolHeader { segment: id, esi }.frame(symbol))
        .collect();
    let [first, late, last] = &frames[..] else { panic!("{} symbols", frames.len()) };
    let copies = |rogue: &Rogue| rogue.sent.iter().filter(|frame| *frame == late).count();
    let ask = |rogue: &mut Rogue| {
        let spans = vec![Span { base: 1, mask: 1 }];
        rogue.say(child, Message::Request { id, spans });
    };
    rogue.data(first.clone());
    rogue.data(last.clone());
    assert!(rogue.sent.contains(last), "the child is no child");
    ask(&mut rogue);
    assert_eq!(copies(&rogue), 0);
    rogue.data(late.clone());
    assert_eq!(copies(&rogue), 1);
    ask(&mut rogue);
    assert_eq!(copies(&rogue), expected, "the request was on its way when the symbol came");
    rogue.advance(Duration::from_millis(400));
    ask(&mut rogue);
    assert_eq!(copies(&rogue), expected + 1, "the symbol was lost");
}

/// Whoever loses its rendezvous alone is no worse a neighbour for that.
#[test]
fn who_is_said_to_be_gone_has_a_second_to_answer() {
    for answers in [true, false] {
        let mut rogue = Rogue::new();
        rogue.describe(&description());
        rogue.silence(Duration::from_millis(100));
        rogue.sent.clear();
        rogue.gone();
        let pings = sent(&rogue, |message| matches!(message, Message::Ping(_)));
        let [Message::Ping(token)] = pings[..] else { panic!("{pings:?}") };
        if answers {
            rogue.control(Message::Pong(token).encode());
        }
        rogue.silence(Duration::from_millis(900));
        assert!(rogue.up);
        rogue.silence(Duration::from_millis(350));
        assert_eq!(rogue.up, answers, "that is less than silence alone takes");
    }
}

#[test]
fn hearsay_from_before_the_first_manifest_does_not_deafen() {
    let mut rogue = Rogue::new();
    rogue.describe(&description());
    for round in 0..32_u32 {
        let have = |n| {
            let id = SegmentId { track: TrackId::default(), seq: 1_000_000 + round * 64 + n };
            Have { id, mask: HAVE_COMPLETE }
        };
        rogue.control(Message::Have((0..64).map(have).collect()).encode());
    }
    rogue.publish(manifest(0, &OBJECT), &OBJECT);
    assert_eq!(rogue.playout().len(), 2);
    rogue.advance(Duration::from_secs(1));
    rogue.sent.clear();
    // The next segment is known by hearsay only: its manifest must be asked for.
    let id = SegmentId { track: TrackId::default(), seq: 1 };
    rogue.control(Message::Have(vec![Have { id, mask: HAVE_COMPLETE }]).encode());
    rogue.advance(Duration::from_secs(1));
    assert!(rogue.sent.contains(&Message::Fetch(id).encode()), "deaf to what is news");
}

proptest! {
    /// Any bytes are objects or a gap.
    #[test]
    fn any_payload_is_played_or_a_gap(payload in prop_oneof![
        vec(any::<u8>(), 1..300),
        (vec(any::<u8>(), 0..40), 0..6_usize).prop_map(|(tail, sane)| [OBJECT.repeat(sane), tail].concat()),
    ]) {
        prop_assume!(!payload.is_empty());
        let played = plays(&payload);
        prop_assert!(matches!(
            played[..],
            [Playout::Tracks(_), Playout::Segment { .. } | Playout::Gap { .. }]
        ), "{:?}", played);
    }

    /// Numbers at the ends of their ranges, in every signed field.
    #[test]
    fn signed_extremes_are_survived(
        fields in vec((any::<prop::sample::Index>(), any::<(u32, u16)>()), 1..12),
        timescale in prop_oneof![Just(1_u32), Just(1_000_000), 1..=1_000_000_u32],
        stripes in 1..=16_u8,
    ) {
        let mut rogue = Rogue::new();
        let mut described = description();
        described.tracks[0].timescale = timescale;
        rogue.describe(&described);
        for (revision, (index, (seq, extra))) in (1..).zip(fields) {
            let payload = OBJECT.repeat(1 + usize::from(extra % 40));
            let pick = |ends: &[u64]| ends[index.index(ends.len())];
            let mut manifest = manifest(if extra & 1 == 0 { seq % 80 } else { seq }, &payload);
            manifest.start = pick(&[0, 1, u64::from(seq), (1 << 48) - 1]);
            manifest.duration = pick(&[40, 0, u64::from(u32::MAX)]) as u32;
            manifest.captured = Instant::from_micros(pick(&[1 << 50, 0, (1 << 56) - 1]));
            manifest.published = Instant::from_micros(pick(&[1 << 50, (1 << 56) - 1, 0, 7]));
            rogue.publish(manifest, &payload);
            let ended = (extra & 2 == 0).then(|| vec![seq]);
            rogue.describe(&Description { revision, stripes, ended, ..described.clone() });
            rogue.advance(Duration::from_millis(u64::from(extra)));
            rogue.control(Message::FetchTail { tracks: 1 }.encode());
            let _ = rogue.playout();
        }
    }
}

/// What the viewer has sent that is a message of this kind.
fn sent(rogue: &Rogue, kind: impl Fn(&Message) -> bool) -> Vec<Message> {
    let messages = rogue.sent.iter().filter_map(|frame| Message::decode(frame.clone()).ok());
    messages.filter(kind).collect()
}

#[test]
fn two_manifests_for_one_segment_end_the_watch_and_prove_it() {
    let mut rogue = Rogue::new();
    rogue.describe(&description());
    rogue.publish(manifest(0, &OBJECT), &OBJECT);
    assert_eq!(rogue.playout().len(), 2);
    rogue.publish(manifest(1, &OBJECT), &OBJECT);
    rogue.publish(Manifest { duration: 101, ..manifest(1, &OBJECT) }, &OBJECT);
    let proof = sent(&rogue, |message| matches!(message, Message::Equivocation { .. }));
    assert_eq!(rogue.viewer.equivocation(), Some(manifest(1, &OBJECT).id));
    rogue.advance(Duration::from_secs(5));
    assert_eq!(rogue.playout(), [], "nobody knows which stream is the true one");

    // Whoever is shown the proof knows it too, though it has seen neither.
    let [proof] = &proof[..] else { panic!("{proof:?}") };
    let mut other = Rogue::new();
    other.control(proof.encode());
    assert_eq!(other.viewer.equivocation(), Some(manifest(1, &OBJECT).id));
    assert_eq!(sent(&other, |message| message == proof).len(), 1, "and tells it, once");
    other.control(proof.encode());
    assert_eq!(sent(&other, |message| message == proof).len(), 1);
}

#[test]
fn what_proves_nothing_is_held_against_who_says_it() {
    let mut rogue = Rogue::new();
    rogue.describe(&description());
    rogue.publish(manifest(0, &OBJECT), &OBJECT);
    rogue.publish(Manifest { duration: 101, ..manifest(0, &OBJECT) }, &OBJECT);
    let proof = sent(&rogue, |message| matches!(message, Message::Equivocation { .. }));
    let [Message::Equivocation { first, second }] = &proof[..] else { panic!("{proof:?}") };
    let mut forged = second.to_vec();
    *forged.last_mut().unwrap() ^= 1;
    for second in [first.clone(), forged.into(), first.slice(..9), bytes::Bytes::new()] {
        let mut other = Rogue::new();
        other.control(Message::Equivocation { first: first.clone(), second }.encode());
        assert_eq!((other.up, other.viewer.equivocation()), (false, None));
    }
}

/// A rogue that has published a segment of which it then sends a false symbol.
fn caught() -> Rogue {
    let mut rogue = Rogue::new();
    rogue.describe(&description());
    let payload = OBJECT.repeat(100);
    let mut first = manifest(0, &payload);
    first.start = 0;
    rogue.publish(first, &payload);
    let mut next = manifest(1, &payload);
    next.layout = beacon_sdk::Layout::new(payload.len() as u32, 64, 0).unwrap();
    rogue.publish_manifest(next, &payload);
    rogue.sent.clear();
    let id = SegmentId { track: TrackId::default(), seq: 1 };
    rogue.data(beacon_sdk::wire::SymbolHeader { segment: id, esi: 0 }.frame(&[7; 64]));
    rogue
}

#[test]
fn a_false_symbol_is_asked_to_be_explained_and_silence_convicts() {
    let mut rogue = caught();
    assert_eq!(rogue.viewer.stats().symbols_invalid, 1);
    assert!(rogue.up && !sent(&rogue, |message| matches!(message, Message::Fetch(_))).is_empty());
    let id = SegmentId { track: TrackId::default(), seq: 1 };
    rogue.data(beacon_sdk::wire::SymbolHeader { segment: id, esi: 1 }.frame(&[7; 64]));
    assert_eq!(rogue.viewer.stats().symbols_invalid, 1, "it is not listened to");
    rogue.advance(Duration::from_secs(1));
    assert!(!rogue.up);
    assert_eq!(rogue.viewer.stats().peers_banned, 1);
}

#[test]
fn the_same_manifest_convicts_the_forger_and_another_one_the_publisher() {
    let payload = OBJECT.repeat(100);
    let mut rogue = caught();
    rogue.publish_manifest(manifest(1, &payload), &payload);
    assert!(!rogue.up && rogue.viewer.equivocation().is_none());

    let mut rogue = caught();
    rogue.publish_manifest(Manifest { duration: 101, ..manifest(1, &payload) }, &payload);
    assert_eq!(rogue.viewer.stats().peers_banned, 0, "it passed on what the publisher signed");
    assert!(rogue.viewer.equivocation().is_some());
}

#[test]
fn a_flood_costs_who_sends_it() {
    let id = SegmentId { track: TrackId::default(), seq: 0 };
    let spans = (0..8).map(|at| Span { base: at * 64, mask: u64::MAX }).collect();
    for flood in [Message::Request { id, spans }, Message::Fetch(id), Message::Ping(1)] {
        let mut rogue = Rogue::new();
        rogue.describe(&description());
        rogue.publish(manifest(0, &OBJECT), &OBJECT);
        rogue.sent.clear();
        let frame = flood.encode();
        for _ in 0..10_000 {
            rogue.control(frame.clone());
        }
        assert!(!rogue.up, "{flood:?}");
        assert!(rogue.sent.len() < 2500, "{} frames in answer to {flood:?}", rogue.sent.len());
    }
}

#[test]
fn manifests_of_long_ago_are_not_listened_to_for_long() {
    let mut rogue = Rogue::new();
    rogue.describe(&description());
    for seq in 0..30 {
        rogue.publish(Manifest { start: u64::from(seq) * 100, ..manifest(seq, &OBJECT) }, &OBJECT);
    }
    for round in 0..300 {
        assert!(rogue.up || round > 200, "an honest peer may send some twice");
        rogue.publish_manifest(manifest(3, &OBJECT), &OBJECT);
    }
    assert!(!rogue.up);
}

/// Nobody can say anything of a third: whatever a neighbour sends, no other is thought of less or more.
#[test]
fn there_is_no_place_for_slander_or_praise() {
    let peer = Identity::from_secret([9; 32]).public();
    let mut rogue = Rogue::new();
    rogue.describe(&description());
    let before = rogue.viewer.links();
    let said = [
        Message::Peers(vec![peer; 16]),
        Message::Peers(vec![peer, peer]),
        Message::Status(Status { tracks: 1, slots: 4000, depth: vec![1, 1], bar: vec![0, 0] }),
    ];
    for message in &said {
        rogue.control(message.encode());
    }
    let after = rogue.viewer.links();
    assert_eq!((before.len(), after.len()), (1, 1));
    assert_eq!(before[0].score, after[0].score, "nor does praise of oneself help");
}
