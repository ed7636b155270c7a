//! Whole swarms of engines over a simulated network.
#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

mod changes;
mod net;

use beacon_sdk::engine::Input;
use beacon_sdk::media::{Object, Playout, Renditions};
use beacon_sdk::policy;
use beacon_sdk::{Config, Event, Lane, Offence, Profile, SegmentId};
use bytes::{Bytes, BytesMut};
use net::{Net, ms};
use std::collections::BTreeSet;

fn live() -> Config {
    Profile::Live.config()
}

fn low_latency() -> Config {
    Profile::LowLatency.config()
}

fn limited(mut config: Config, links: u16) -> Config {
    config.links_max = links;
    config.links_target = config.links_target.min(links);
    config
}

/// Everyone played a contiguous run that equals the origin's, and no gap.
fn check(net: &Net, viewers: impl IntoIterator<Item = usize>) {
    let origin = net.segments(0);
    assert!(!origin.is_empty());
    for at in viewers {
        let played = net.segments(at);
        let stats = net.nodes[at].engine.stats();
        assert_eq!(net.gaps(at), 0, "viewer {at}: {stats:?}");
        assert!(!played.is_empty(), "viewer {at} played nothing: {stats:?}");
        let first = origin.iter().position(|segment| segment == &played[0]).unwrap();
        for (mine, theirs) in played.iter().zip(&origin[first..]) {
            assert_eq!(mine, theirs, "viewer {at}");
        }
    }
}

fn introduce_all(net: &mut Net, viewers: usize) {
    for at in 1..=viewers {
        net.introduce(at, ms(50 * at as u64));
    }
}

#[test]
fn one_viewer_plays_everything_from_its_join_on() {
    let mut net = Net::new(1, 1, &live(), &live());
    net.introduce(1, ms(3300));
    net.run(ms(12_000));
    check(&net, [1]);
    let played = net.segments(1);
    assert!(played.len() > 20);
    let first = &played[0];
    assert!(first.1[0].keyframe, "starts with a keyframe");
    assert!(first.0.seq > 0, "a late viewer does not start at the beginning");
}

/// Nobody waits for the next keyframe, not even with the origin as the only neighbour.
#[test]
fn a_newcomer_begins_with_the_group_that_is_under_way() {
    for part in 0..8 {
        let joined = 3300 + 250 * part;
        let mut net = Net::new(31 + part, 1, &live(), &live());
        net.introduce(1, ms(joined));
        net.run(ms(8000));
        check(&net, [1]);
        let startup = net.nodes[1].engine.stats().startup_ms - joined;
        assert!(startup <= 400, "it has its first segment after {startup} ms");
    }
}

#[test]
fn viewers_carry_what_the_origin_sends_twice() {
    let mut net = Net::new(2, 8, &live(), &limited(live(), 2));
    introduce_all(&mut net, 8);
    net.run(ms(20_000));
    check(&net, 1..=8);
    let stats = net.nodes[0].engine.stats();
    assert!(stats.bytes_uploaded * 10 <= stats.bytes_published * 25, "{stats:?}");
}

#[test]
fn the_end_is_played_to_the_last_object() {
    let mut net = Net::new(3, 4, &live(), &live());
    introduce_all(&mut net, 4);
    net.run(ms(6_250));
    net.end();
    net.run(ms(6_000));
    check(&net, 1..=4);
    let last = net.segments(0).last().unwrap().clone();
    for at in 0..=4 {
        assert_eq!(net.nodes[at].played.last(), Some(&Playout::End), "node {at}");
        assert_eq!(net.segments(at).last().unwrap(), &last);
        assert!(net.nodes[at].engine.ended());
    }
    // Recordings of those who were there from the start are the same, item for item.
    assert_eq!(net.nodes[1].played, net.nodes[0].played);
}

#[test]
fn a_dead_relay_costs_nobody_a_segment() {
    let mut net = Net::new(4, 8, &live(), &limited(live(), 2));
    introduce_all(&mut net, 8);
    net.run(ms(10_000));
    let relay = (1..=8).max_by_key(|at| net.nodes[*at].engine.stats().children).unwrap();
    assert!(net.nodes[relay].engine.stats().children > 0);
    net.kill(relay);
    net.run(ms(15_000));
    check(&net, (1..=8).filter(|at| *at != relay));
}

#[test]
fn loss_is_repaired_hop_by_hop() {
    for (config, loss) in [(live(), 50), (low_latency(), 20)] {
        let mut net = Net::new(5, 6, &config, &limited(config.clone(), 3));
        net.loss = loss;
        introduce_all(&mut net, 6);
        net.run(ms(12_000));
        check(&net, 1..=6);
        let asked: u64 = (1..=6).map(|at| net.nodes[at].engine.stats().symbols_requested).sum();
        assert!(asked > 0, "something was lost and asked for again");
    }
}

#[test]
fn seven_hops_in_a_chain() {
    let config = low_latency();
    let mut net = Net::new(6, 7, &config, &config);
    net.latency = ms(5);
    net.reach = |a, b| b == a + 1;
    introduce_all(&mut net, 7);
    net.run(ms(12_000));
    check(&net, 1..=7);
    for at in 1..=7 {
        assert_eq!(usize::from(net.nodes[at].engine.stats().hops_max), at);
    }
    assert!(net.nodes[7].engine.stats().latency_ms.p95 < 300);
}

#[test]
fn an_eighth_hop_is_refused_as_a_subscription_and_served_by_pull() {
    let config = live();
    let mut net = Net::new(7, 8, &config, &config);
    net.latency = ms(5);
    net.reach = |a, b| b == a + 1;
    introduce_all(&mut net, 8);
    net.run(ms(15_000));
    check(&net, 1..=8);
    assert_eq!(net.nodes[8].engine.stats().parents, 0);
}

/// How a scheduler gets its symbols.
#[derive(PartialEq)]
enum Means {
    Pull,
    Push,
    /// Pushed, and asked for again when lost.
    Both,
}

fn delivers_by(name: &str, means: Means) {
    // Where repair symbols are pushed, what comes after a segment is whole counts as a duplicate.
    for (config, twice_percent_max) in [(live(), 2), (low_latency(), 10)] {
        let mut net = Net::new(8, 6, &config, &limited(config.clone(), 3));
        net.loss = if means == Means::Both { 10 } else { 0 };
        net.schedule(|config| policy::scheduler(name, config).unwrap());
        introduce_all(&mut net, 6);
        net.run(ms(12_000));
        if means == Means::Pull {
            check(&net, 1..=6);
        }
        for at in 1..=6 {
            // Who does not pull has no use for what was published before it had parents.
            let settled = |item: &&Playout| match item {
                Playout::Gap { id } => id.seq > 10,
                _ => false,
            };
            assert_eq!(net.nodes[at].played.iter().find(settled), None, "{name}: viewer {at}");
            assert!(net.segments(at).len() > 40, "{name}: viewer {at}");
        }
        let all: Vec<_> = (1..=6).map(|at| net.nodes[at].engine.stats()).collect();
        let asked: u64 = all.iter().map(|stats| stats.symbols_requested).sum();
        let parents = all.iter().filter(|stats| stats.parents > 0).count();
        let (useful, twice) = all.iter().fold((0, 0), |(useful, twice), stats| {
            let useful = useful + stats.bytes_from_origin + stats.bytes_from_peers;
            (useful, twice + stats.bytes_duplicate)
        });
        assert_eq!(asked == 0, means == Means::Push, "{name} asked for {asked}");
        assert_eq!(parents, if means == Means::Pull { 0 } else { 6 }, "{name}");
        let few = twice * 100 <= useful * twice_percent_max;
        assert!(few, "{name}: {twice} of {useful} bytes came twice");
        assert!(all.iter().any(|stats| stats.bytes_from_peers > 0), "{name}: peers give nothing");
    }
}

#[test]
fn pulling_alone_delivers() {
    for name in
        ["rarest-first", "deadline-first", "random-useful", "hybrid", "pipelined-pull", "fountain"]
    {
        delivers_by(name, Means::Pull);
    }
}

#[test]
fn pushing_alone_delivers() {
    for name in ["latest-useful", "multi-tree"] {
        delivers_by(name, Means::Push);
    }
}

#[test]
fn what_was_pushed_and_lost_is_pushed_again() {
    let mut net = Net::new(16, 6, &live(), &limited(live(), 3));
    net.schedule(|config| policy::scheduler("latest-useful", config).unwrap());
    net.loss = 20;
    introduce_all(&mut net, 6);
    net.run(ms(12_000));
    check(&net, 1..=6);
    assert!((1..=6).all(|at| net.nodes[at].engine.stats().symbols_requested == 0));
}

#[test]
fn pushing_and_asking_again_delivers() {
    delivers_by("nak-driven", Means::Both);
    delivers_by("push-pull", Means::Both);
}

/// Flips one byte of every symbol that node 2 sends.
fn forge_symbols(at: usize, lane: Lane, frame: Bytes) -> Bytes {
    if at != 2 || lane != Lane::Data {
        return frame;
    }
    let mut forged = BytesMut::from(&frame[..]);
    let last = forged.len() - 1;
    forged[last] ^= 1;
    forged.freeze()
}

/// Changes a byte in every manifest that node 2 sends.
fn forge_manifests(at: usize, lane: Lane, frame: Bytes) -> Bytes {
    const MANIFEST: u8 = 0x0c;
    if at != 2 || lane != Lane::Control || frame.first() != Some(&MANIFEST) {
        return frame;
    }
    let mut forged = BytesMut::from(&frame[..]);
    let middle = forged.len() / 2;
    forged[middle] ^= 1;
    forged.freeze()
}

#[test]
fn a_forger_is_banned_and_nothing_false_is_played() {
    type Forge = fn(usize, Lane, Bytes) -> Bytes;
    let cases: [(Forge, Offence); 2] =
        [(forge_symbols, Offence::FalseSymbol), (forge_manifests, Offence::ForgedRecord)];
    for (tamper, offence) in cases {
        let mut net = Net::new(9, 6, &live(), &limited(live(), 3));
        net.tamper = Some(tamper);
        introduce_all(&mut net, 6);
        net.run(ms(15_000));
        check(&net, [1, 3, 4, 5, 6]);
        let forger = net.ids[2];
        let banned = |at: &usize| {
            let events = &net.nodes[*at].events;
            events.contains(&Event::PeerBanned { peer: forger, offence })
        };
        assert!([1, 3, 4, 5, 6].iter().any(banned), "the attack reached someone: {offence}");
        for at in [1, 3, 4, 5, 6] {
            for event in &net.nodes[at].events {
                if let Event::PeerBanned { peer, .. } = event {
                    assert_eq!(*peer, forger, "only the forger is banned");
                }
            }
        }
    }
}

#[test]
fn garbage_of_any_kind_harms_nobody() {
    let mut net = Net::new(10, 3, &live(), &live());
    introduce_all(&mut net, 3);
    net.run(ms(3000));
    let liar = net.ids[3];
    for (round, lane) in [(0_u8, Lane::Control), (1, Lane::Data)] {
        for len in [0_usize, 1, 7, 8, 9, 100, 2000, 70_000] {
            let frame = Bytes::from(vec![round.wrapping_mul(0x80) | len as u8; len]);
            let input = Input::Received { from: liar, lane, frame };
            net.input(1, ms(1), input);
        }
    }
    net.run(ms(8000));
    check(&net, [1, 2]);
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let run = |seed| {
        let mut net = Net::new(seed, 6, &live(), &limited(live(), 2));
        net.loss = 20;
        introduce_all(&mut net, 6);
        net.run(ms(5000));
        net.kill(1);
        net.run(ms(3000));
        net.log
    };
    let first = run(11);
    assert!(first.lines().count() > 5_000);
    assert!(first == run(11), "two runs of one seed differ");
    assert!(first != run(12), "the seed matters");
}

#[test]
fn an_upload_limit_holds() {
    let mut config = live();
    config.upload_bps = Some(400_000);
    let mut net = Net::new(13, 4, &config, &limited(live(), 4));
    introduce_all(&mut net, 4);
    net.run(ms(20_000));
    check(&net, 1..=4);
    for at in 1..=4 {
        let sent = net.nodes[at].engine.stats().bytes_uploaded;
        assert!(sent * 8 / 20 < 420_000, "node {at} sent {sent} bytes in 20 s");
    }
}

#[test]
fn viewers_choose_renditions_and_refuse_codecs() {
    let best = |height_max| {
        let mut config = live();
        config.choice.renditions = Renditions::Best { height_max, bitrate_max: u32::MAX };
        config
    };
    let (large, small) = (best(1080), best(200));
    let mut refusing = live();
    refusing.choice.codecs = vec!["av01".into(), "opus".into()];
    let mut net = Net::new(14, 6, &live(), &live());
    net.publish_small();
    let choices = [&large, &small, &large, &small, &live(), &refusing];
    for (at, config) in (1..).zip(choices) {
        net.configure(at, config);
    }
    introduce_all(&mut net, 6);
    net.run(ms(12_000));
    let tracks = |at: usize| {
        let played = net.segments(at);
        assert!(net.gaps(at) == 0 && (at == 6 || played.len() > 20), "viewer {at}");
        played.iter().map(|(id, _)| id.track.get()).collect::<BTreeSet<u8>>()
    };
    for (at, wanted) in [(1, [0, 1]), (2, [1, 2]), (3, [0, 1]), (4, [1, 2])] {
        assert_eq!(tracks(at), BTreeSet::from(wanted), "viewer {at}");
    }
    assert_eq!(tracks(5), BTreeSet::from([0, 1, 2]));
    assert_eq!(tracks(6), BTreeSet::new());
    assert!(net.nodes[6].engine.unplayable().is_some());
}

/// The segments of one track as a node played them.
fn of(net: &Net, at: usize, track: u8) -> Vec<(SegmentId, Vec<Object>)> {
    let mut played = net.segments(at);
    played.retain(|(id, _)| id.track.get() == track);
    played
}

#[test]
fn a_track_that_comes_later_is_carried_too() {
    let mut best = limited(live(), 8);
    best.choice.renditions = Renditions::Best { height_max: 1080, bitrate_max: u32::MAX };
    for pull in [false, true] {
        let mut net = Net::new(16, 6, &live(), &limited(live(), 2));
        if pull {
            net.schedule(|_| Box::new(policy::RarestFirst));
        }
        net.configure(6, &best);
        introduce_all(&mut net, 6);
        net.run(ms(6000));
        net.publish_small();
        net.run(ms(1500));
        let asked = |net: &Net| -> u64 {
            (1..=5).map(|at| net.nodes[at].engine.stats().symbols_requested).sum()
        };
        let before = asked(&net);
        net.run(ms(6500));
        assert_eq!(asked(&net) > before + 10, pull, "{before} {}", asked(&net));
        for at in 1..=6 {
            let stats = net.nodes[at].engine.stats();
            assert_eq!((net.gaps(at), stats.segments_late, stats.stalls), (0, 0, 0), "viewer {at}");
            for track in 0..3 {
                let (played, origin) = (of(&net, at, track), of(&net, 0, track));
                if track == 2 && at == 6 {
                    assert_eq!(played, [], "it has a picture that is as good");
                    continue;
                }
                let first = origin.iter().position(|s| s == &played[0]).unwrap();
                assert!(track != 2 || first <= 4, "viewer {at} begins with {first}");
                assert!(played[0].1[0].keyframe && played.len() > 8);
                assert_eq!(played, origin[first..first + played.len()], "viewer {at}");
            }
        }
    }
}

#[test]
fn who_comes_after_the_end_is_told_so() {
    let mut net = Net::new(15, 2, &live(), &live());
    net.introduce(1, ms(100));
    net.run(ms(3000));
    net.end();
    net.run(ms(20_000));
    net.introduce(2, ms(1));
    net.run(ms(8000));
    // What is left of the broadcast, or nothing; and then the end.
    assert_eq!(net.nodes[2].played.last(), Some(&Playout::End));
}

/// What peers say to each other beside the media: every signed record reaches everyone about
/// once, and holdings are told to those who lack something.
#[test]
fn talk_is_a_small_share_of_the_media() {
    const VIEWERS: usize = 24;
    const SECONDS: u64 = 8;
    const MANIFEST: u8 = 0x0c;
    let mut net = Net::new(16, VIEWERS, &live(), &limited(live(), 4));
    net.frame_bytes = 12_500;
    introduce_all(&mut net, VIEWERS);
    net.run(ms(8000));
    let received = |net: &Net| -> u64 {
        let stats = net.nodes[1..].iter().map(|node| node.engine.stats());
        stats.map(|stats| stats.bytes_from_origin + stats.bytes_from_peers).sum()
    };
    let before = received(&net);
    net.control.clear();
    net.run(ms(1000 * SECONDS));
    let media = received(&net) - before;
    let control: u64 = net.control.values().map(|(_, bytes)| bytes).sum();
    // 32 of 1088 bytes are hashes, of the repair symbols too: 3.3 % that cannot be saved.
    assert!(control * 1000 < media * 45, "{control} to {media}: {:?}", net.control);
    // Two tracks, four segments a second.
    let manifests = 8 * SECONDS * VIEWERS as u64;
    let sent = net.control[&MANIFEST].0;
    assert!(sent * 20 <= manifests * 21, "{sent} manifests for {manifests}");
    check(&net, 1..=VIEWERS);
}

/// Whoever can serve others moves towards the origin, though those who cannot came first; and
/// nobody's picture suffers from making room.
#[test]
fn the_strong_come_to_stand_near_the_origin() {
    let (mut weak, mut strong) = (live(), live());
    (weak.push_slots, strong.push_slots) = (0, 120);
    let mut origin = live();
    origin.fanout = 2;
    let mut net = Net::new(17, 8, &weak, &origin);
    for at in 7..=8 {
        net.configure(at, &strong);
    }
    for at in 1..=8 {
        net.introduce(at, if at < 7 { ms(10 * at as u64) } else { ms(4000) });
    }
    net.run(ms(25_000));
    check(&net, 1..=8);
    let depths = |at: usize| net.nodes[at].engine.depths();
    let near = |at: usize| depths(at).iter().filter(|depth| **depth == Some(1)).count();
    assert!(near(7) + near(8) >= 12, "{:?} {:?}", depths(7), depths(8));
    for at in 1..=6 {
        let fed = depths(at).iter().flatten().count();
        assert!(fed >= 8, "viewer {at}: {:?}", depths(at));
    }
}
