//! What changes while a peer runs: what it passes on, what it takes, and whom it can talk to.

use super::net::{Net, ms};
use super::{check, introduce_all, limited, live, low_latency, of};
use beacon_sdk::engine::Input;
use beacon_sdk::media::{Choice, Playout, Renditions};
use beacon_sdk::{Event, Lane};
use bytes::{Bytes, BytesMut};

fn uploaded(net: &Net, at: usize) -> u64 {
    net.nodes[at].engine.stats().bytes_uploaded
}

fn upload(net: &mut Net, at: usize, limit: Option<u64>) {
    net.input(at, ms(0), Input::Upload(limit));
}

#[test]
fn a_relay_that_gives_no_more_costs_nobody_a_segment() {
    let mut net = Net::new(21, 8, &live(), &limited(live(), 2));
    introduce_all(&mut net, 8);
    net.run(ms(10_000));
    let relay = (1..=8).max_by_key(|at| net.nodes[*at].engine.stats().children).unwrap();
    assert!(net.nodes[relay].engine.stats().children > 0);
    upload(&mut net, relay, Some(0));
    net.run(ms(3500));
    assert_eq!(net.nodes[relay].engine.stats().children, 0);
    let (given, asked) = (uploaded(&net, relay), net.control[&0x0f].0);
    net.run(ms(8000));
    assert_eq!(uploaded(&net, relay), given, "it gives nothing");
    let asked = net.control[&0x0f].0 - asked;
    check(&net, 1..=8);
    assert!(asked < 60, "{asked} requests in 8 s: nobody asks who says that it gives nothing");
}

#[test]
fn who_gives_again_is_taken_from_again() {
    let mut net = Net::new(22, 2, &live(), &live());
    net.reach = |a, b| b == a + 1;
    introduce_all(&mut net, 2);
    net.run(ms(6000));
    check(&net, [1, 2]);
    upload(&mut net, 1, Some(0));
    net.run(ms(12_000));
    let given = uploaded(&net, 1);
    check(&net, [1]);
    let behind = net.segments(1).len() - net.segments(2).len();
    assert!(behind > 20, "the second viewer has nobody else");
    upload(&mut net, 1, None);
    net.run(ms(8000));
    assert!(uploaded(&net, 1) > given);
    check(&net, [1]);
    assert_eq!(net.segments(1).last(), net.segments(2).last());
}

#[test]
fn another_limit_holds_after_notice() {
    let mut net = Net::new(23, 6, &live(), &limited(live(), 2));
    introduce_all(&mut net, 6);
    net.run(ms(10_000));
    let relay = (1..=6).max_by_key(|at| uploaded(&net, *at)).unwrap();
    upload(&mut net, relay, Some(400_000));
    net.run(ms(3000));
    let before = uploaded(&net, relay);
    net.run(ms(10_000));
    let sent = (uploaded(&net, relay) - before) * 8 / 10;
    assert!(sent < 420_000, "{sent} bits per second");
    upload(&mut net, relay, None);
    net.run(ms(10_000));
    check(&net, 1..=6);
}

/// Says that it speaks version 2 of the protocol alone.
fn of_tomorrow(from: usize, lane: Lane, frame: Bytes) -> Bytes {
    if from != 0 || lane != Lane::Control || frame[0] != 0x01 {
        return frame;
    }
    let mut hello = BytesMut::from(&frame[..]);
    (hello[1], hello[2]) = (2, 2);
    // What later versions add.
    hello.extend_from_slice(b"and more");
    hello.freeze()
}

#[test]
fn a_peer_of_another_version_is_told_of_and_given_up() {
    let mut net = Net::new(24, 2, &live(), &live());
    net.tamper = Some(of_tomorrow);
    introduce_all(&mut net, 2);
    net.run(ms(3000));
    let told = |at: usize, net: &Net| {
        let other = |event: &&Event| matches!(event, Event::OtherVersion { .. });
        net.nodes[at].events.iter().filter(other).count()
    };
    assert!(told(1, &net) >= 1);
    assert_eq!(net.nodes[1].engine.incompatible(), None, "two old viewers have each other");
    net.run(ms(6000));
    assert_eq!(net.nodes[0].engine.incompatible(), None, "an origin waits for others");
    assert_eq!(net.nodes[0].engine.stats().peers_banned, 0);

    let mut net = Net::new(25, 1, &live(), &live());
    net.tamper = Some(of_tomorrow);
    introduce_all(&mut net, 1);
    net.run(ms(3000));
    assert_eq!(net.nodes[1].engine.incompatible(), None, "somebody else may come");
    net.run(ms(6000));
    let incompatible = net.nodes[1].engine.incompatible().unwrap();
    assert!(incompatible.outdated());
    let text = incompatible.to_string();
    assert!(text.contains("version 2") && text.contains("update this program"), "{text}");
    assert_eq!(net.nodes[1].engine.stats().peers_banned, 0, "an honest peer");
}

fn pick(height_max: u16) -> Choice {
    let renditions = Renditions::Best { height_max, bitrate_max: u32::MAX };
    Choice { renditions, ..Choice::default() }
}

/// The pictures that a node was shown, one after the other: track and how many segments.
fn pictures(net: &Net, at: usize) -> Vec<(u8, usize)> {
    let mut shown: Vec<(u8, usize)> = Vec::new();
    for (id, _) in net.segments(at).iter().filter(|(id, _)| id.track.get() != 1) {
        match shown.last_mut() {
            Some((track, count)) if *track == id.track.get() => *count += 1,
            _ => shown.push((id.track.get(), 1)),
        }
    }
    shown
}

#[test]
fn another_picture_takes_over_at_a_group_and_nothing_is_lost() {
    for config in [live(), low_latency()] {
        let mut chosen = config.clone();
        chosen.choice = pick(1080);
        let mut net = Net::new(26, 4, &config, &config);
        net.publish_small();
        net.configure(1, &chosen);
        introduce_all(&mut net, 4);
        net.run(ms(6100));
        net.input(1, ms(0), Input::Choice(pick(200)));
        // Longer than what is known of the first picture reaches ahead.
        net.run(ms(30_000));
        net.input(1, ms(0), Input::Choice(pick(1080)));
        net.run(ms(5000));
        assert_eq!(net.gaps(1), 0);
        let shown = pictures(&net, 1);
        assert_eq!(shown.iter().map(|(track, _)| *track).collect::<Vec<_>>(), [0, 2, 0]);
        // Every frame once, in order, whichever picture it is of; a keyframe at each change.
        let mut next = None;
        let mut last = 0;
        for (id, objects) in net.segments(1).iter().filter(|(id, _)| id.track.get() != 1) {
            assert!(id.track.get() == last || objects[0].keyframe);
            last = id.track.get();
            for object in objects {
                assert!(next.is_none_or(|next| next == object.dts), "{object:?}");
                next = Some(object.dts + u64::from(object.duration));
            }
        }
        // The sink is told before each.
        let played = &net.nodes[1].played;
        let lists = played.iter().filter(|item| matches!(item, Playout::Tracks(_)));
        assert_eq!(lists.count(), 3);
        let of_two = |item: &Playout| matches!(item, Playout::Tracks(list) if list.len() == 2);
        assert!(played.iter().all(|item| !matches!(item, Playout::Tracks(_)) || of_two(item)));
        // What is not shown is not taken.
        let stats = net.nodes[1].engine.stats();
        assert!(stats.symbols_requested < 40, "{stats:?}");
        check(&net, 2..=4);
    }
}

#[test]
fn a_parent_without_the_other_picture_is_left_for_one_that_has_it() {
    let mut small = live();
    small.choice = pick(200);
    let mut net = Net::new(27, 6, &live(), &live());
    net.publish_small();
    (2..=6).for_each(|at| net.configure(at, &small));
    introduce_all(&mut net, 6);
    net.run(ms(8000));
    net.input(4, ms(0), Input::Choice(pick(1080)));
    net.run(ms(8000));
    assert_eq!(net.gaps(4), 0);
    assert_eq!(pictures(&net, 4).iter().map(|(track, _)| *track).collect::<Vec<_>>(), [2, 0]);
    assert_eq!(of(&net, 4, 0).last(), of(&net, 0, 0).last(), "it has come to the present");
    for at in [2, 3, 5, 6] {
        assert_eq!(net.gaps(at), 0, "viewer {at}");
        assert_eq!(pictures(&net, at).len(), 1);
    }
}

#[test]
fn a_picture_that_nobody_has_is_given_up_and_the_one_before_stays() {
    let mut small = live();
    small.choice = pick(200);
    let mut net = Net::new(29, 3, &small, &live());
    net.publish_small();
    // The third has no way to the origin.
    net.reach = |a, b| a != 0 || b != 3;
    introduce_all(&mut net, 3);
    net.run(ms(8000));
    net.input(3, ms(0), Input::Choice(pick(1080)));
    net.run(ms(30_000));
    assert_eq!(net.gaps(3), 0);
    assert_eq!(pictures(&net, 3).len(), 1);
    assert_eq!(of(&net, 3, 2).last(), of(&net, 0, 2).last(), "it goes on with what it had");
    assert!(net.nodes[3].engine.stats().parents > 0);
}

#[test]
fn a_picture_that_comes_too_late_is_exchanged_for_a_smaller_one() {
    let mut auto = live();
    auto.choice.renditions = Renditions::Auto { height_max: 1080, bitrate_max: u32::MAX };
    // The uplink of the origin carries the small picture and the sound, and not the large one.
    let mut origin = limited(live(), 1);
    origin.upload_bps = Some(500_000);
    let mut net = Net::new(28, 1, &auto, &origin);
    net.publish_small();
    introduce_all(&mut net, 1);
    net.run(ms(15_000));
    let shown = pictures(&net, 1);
    assert_eq!(shown.last().unwrap().0, 2, "{shown:?}");
    let missed = net.nodes[1].engine.stats().segments_missed;
    assert!(missed < 40, "{missed}");
    // Then it carries both.
    upload(&mut net, 0, None);
    net.run(ms(60_000));
    let shown = pictures(&net, 1);
    assert_eq!(shown.last().unwrap().0, 0, "{shown:?}");
    assert_eq!(net.nodes[1].engine.stats().segments_missed, missed);
}
