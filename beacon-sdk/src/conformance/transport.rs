//! The suite of [`Transport`]: clauses T01–T14.

use super::PROMPT;
use super::lab::{Lab, stranger, subject};
use crate::id::PeerId;
use crate::plugin::{CloseReason, Lane, SIGNAL_BYTES_MAX, Transport, TransportEvent, TrySendError};
use crate::rng::Rng;
use crate::timer;
use bytes::Bytes;
use core::time::Duration;
use std::collections::BTreeSet;

/// Bytes that a sender may hold for a reader that does not read, all buffers on the way included.
const HELD_BYTES_MAX: usize = 64 * 1024 * 1024;
/// A lane without room for this long is stalled, not slow.
const STALL: Duration = Duration::from_millis(1500);
const LANES: [Lane; 2] = [Lane::Control, Lane::Data];

/// Makes the transports under test. All that one fixture makes can reach each other; their
/// signals are carried by the suite.
#[allow(async_fn_in_trait)] // The suite runs on one thread and needs no `Send`.
pub trait TransportFixture {
    /// A new transport for `me`, ready to dial and to be dialled.
    async fn transport(&mut self, me: PeerId) -> Box<dyn Transport>;

    /// Hang guard: how long the suite waits for anything before it fails. Above the longest time
    /// the adapter takes to give up a dial.
    fn patience(&self) -> Duration {
        Duration::from_secs(40)
    }
}

/// One `#[test]` per clause T01–T14 for the transports of the fixture that the function `$make`
/// returns: `transport_conformance!(path::to::make)`.
#[macro_export]
macro_rules! transport_conformance {
    ($make:path) => {
        $crate::__transport_clauses!([$crate::__conformance_tests] $make, transport,);
    };
}

/// Calls a macro with what is given and the names of all clauses.
#[doc(hidden)]
#[macro_export]
macro_rules! __transport_clauses {
    ([$($then:tt)*] $($with:tt)*) => {
        $($then)*!($($with)*
            t01_one_outcome_per_dial t02_bindings_agree_and_differ t03_full_gives_the_frame_back
            t04_control_is_reliable_and_ordered t05_frames_stay_whole
            t06_too_large_is_refused_and_survived t07_next_event_is_cancel_safe
            t08_nothing_after_disconnected t09_crossing_dials_make_one_link
            t10_unknown_peers_are_harmless t11_a_stalled_reader_is_felt
            t12_shutdown_ends_and_is_learned t13_garbage_signals_disturb_nothing
            t14_close_is_prompt);
    };
}

macro_rules! by_name {
    ($($clause:ident)*) => {
        /// The names of all clauses' functions, in order: for where there is no `#[test]`.
        pub const CLAUSES: &[&str] = &[$(stringify!($clause)),*];

        /// Runs the clause of that name; false when there is none. Its caller has timers, and
        /// ends what hangs.
        ///
        /// # Panics
        /// When the clause is not kept.
        pub async fn clause(name: &str, fixture: &mut impl TransportFixture) -> bool {
            match name {
                $(stringify!($clause) => $clause(fixture).await,)*
                _ => return false,
            }
            true
        }
    };
}

__transport_clauses!([by_name]);

/// A frame of `len` bytes that no other `(stream, number)` shares, when `len` is 4 or more.
fn frame(stream: u64, number: u32, len: usize) -> Bytes {
    let mut rng = Rng::new([7; 32], stream << 32 | u64::from(number));
    let mut bytes: Vec<u8> = number.to_be_bytes().to_vec();
    while bytes.len() < len {
        bytes.extend_from_slice(&rng.bits().to_le_bytes());
    }
    bytes.truncate(len);
    Bytes::from(bytes)
}

/// A dial ends in exactly one `Connected` or `ConnectFailed`, also when it is repeated.
pub async fn t01_one_outcome_per_dial(fixture: &mut impl TransportFixture) {
    let mut lab = Lab::new("T01", fixture, 3).await;
    let (a, b, c) = (lab.id(0), lab.id(1), lab.id(2));
    lab.dial(0, 1);
    lab.dial(0, 1);
    lab.until("a dial leads to Connected at both ends", |ends| {
        !ends[0].links(b).is_empty() && !ends[1].links(a).is_empty()
    })
    .await;
    lab.dial(0, 1);
    lab.settle().await;
    for (end, peer) in [(0, b), (1, a)] {
        let seen = &lab.ends[end];
        let once = seen.links(peer).len() == 1 && seen.failures(peer) + seen.losses(peer) == 0;
        lab.check(once, "a dial to a peer that answers has one outcome, Connected");
    }
    let ghost = stranger(1);
    lab.ends[2].cut = true;
    lab.ends[0].transport.dial(c);
    lab.ends[0].transport.dial(ghost);
    lab.until("a dial that nobody answers leads to ConnectFailed", |ends| {
        ends[0].failures(c) > 0 && ends[0].failures(ghost) > 0
    })
    .await;
    lab.settle().await;
    for peer in [c, ghost] {
        let seen = &lab.ends[0];
        let once = seen.failures(peer) == 1 && seen.links(peer).is_empty();
        lab.check(once, "a dial that nobody answers has one outcome, ConnectFailed");
    }
}

/// Both ends of a link report one binding, and no two links share it, not even of one pair.
pub async fn t02_bindings_agree_and_differ(fixture: &mut impl TransportFixture) {
    let mut lab = Lab::new("T02", fixture, 3).await;
    let mut bindings = BTreeSet::new();
    for (from, to) in [(0, 1), (2, 0), (1, 2), (0, 1)] {
        let (a, b) = (lab.id(from), lab.id(to));
        if !lab.ends[from].links(b).is_empty() {
            lab.ends[from].transport.close(b, CloseReason::Done);
            lab.until("the other end learns of a close", |ends| ends[to].losses(a) > 0).await;
        }
        let (dialler, other) = lab.connect(from, to).await;
        lab.check(dialler.peer == b && other.peer == a, "each end names the other");
        lab.check(dialler.dialled && !other.dialled, "the dialling end knows that it dialled");
        lab.check(dialler.binding == other.binding, "both ends report the same binding");
        lab.check(bindings.insert(dialler.binding), "two links share a binding");
    }
}

/// `Full` returns the very frame, `Writable` follows, and then there is room.
pub async fn t03_full_gives_the_frame_back(fixture: &mut impl TransportFixture) {
    let mut lab = Lab::new("T03", fixture, 2).await;
    lab.connect(0, 1).await;
    let (a, b) = (lab.id(0), lab.id(1));
    let caps = lab.ends[0].transport.caps();
    for (lane, len) in [(Lane::Control, 16 * 1024), (Lane::Data, 1152)] {
        let mut number = 0;
        let refused = loop {
            let frame = frame(3, number, len);
            let before = lab.ends[0].writables(b, lane);
            if !lab.try_send(0, 1, lane, &frame) {
                break (frame, before);
            }
            number += 1;
            lab.check(number as usize * len <= HELD_BYTES_MAX, "a lane is never Full");
        };
        let (back, before) = refused;
        lab.until("Writable follows Full", |ends| ends[0].writables(b, lane) > before).await;
        let taken = lab.try_send(0, 1, lane, &back);
        lab.check(taken, "after Writable there is room for the frame that was given back");
        if lane == Lane::Control || !caps.data_is_lossy {
            let wanted = number as usize + 1;
            lab.until("every accepted frame arrives", |ends| {
                ends[1].frames(a, lane).len() >= wanted
            })
            .await;
        }
    }
}

/// Frames on the control lane arrive all and in order, both ways, beside a busy data lane.
pub async fn t04_control_is_reliable_and_ordered(fixture: &mut impl TransportFixture) {
    const FRAMES: u32 = 600;
    let mut lab = Lab::new("T04", fixture, 2).await;
    lab.connect(0, 1).await;
    let size = |number: u32| [4, 40, 400, 4000, 16_384][number as usize % 5];
    for number in 0..FRAMES {
        for (from, to) in [(0, 1), (1, 0)] {
            lab.send(from, to, Lane::Control, &frame(from as u64, number, size(number))).await;
            // Its room may be gone: this lane is only there to be in the way.
            lab.try_send(from, to, Lane::Data, &frame(9, number, 1000));
        }
    }
    for (from, to) in [(0_usize, 1_usize), (1, 0)] {
        let sender = lab.id(from);
        lab.until("every control frame arrives", |ends| {
            ends[to].frames(sender, Lane::Control).len() >= FRAMES as usize
        })
        .await;
        let got = lab.ends[to].frames(sender, Lane::Control);
        let sent: Vec<Bytes> =
            (0..FRAMES).map(|number| frame(from as u64, number, size(number))).collect();
        lab.check(got == sent, "control frames arrive once and in the order they were sent");
    }
}

/// Frames of every size arrive as they were sent, on both lanes, or not at all.
pub async fn t05_frames_stay_whole(fixture: &mut impl TransportFixture) {
    let mut lab = Lab::new("T05", fixture, 2).await;
    lab.connect(0, 1).await;
    let a = lab.id(0);
    let caps = lab.ends[0].transport.caps();
    for lane in LANES {
        let most = if lane == Lane::Control { caps.control_frame_max } else { caps.data_frame_max };
        let sizes = [4, 5, 63, 64, 65, 500, 1000, 1024, 1025, 1151, 1152, most - 1, most];
        let sent: Vec<Bytes> =
            (0..130).map(|number| frame(5, number, sizes[number as usize % sizes.len()])).collect();
        for frame in &sent {
            lab.send(0, 1, lane, frame).await;
        }
        let whole = lane == Lane::Control || !caps.data_is_lossy;
        let wanted = if whole { sent.len() } else { 1 };
        lab.until("frames arrive", |ends| ends[1].frames(a, lane).len() >= wanted).await;
        lab.settle().await;
        let mut left = sent;
        for frame in lab.ends[1].frames(a, lane) {
            let at = left.iter().position(|sent| *sent == frame);
            lab.check(at.is_some(), "a frame arrives that was not sent so, or arrives twice");
            left.swap_remove(at.unwrap_or_default());
        }
        lab.check(!whole || left.is_empty(), "a frame is missing on a lane that loses none");
    }
}

/// A frame above the limit comes back as `TooLarge`; the link goes on.
pub async fn t06_too_large_is_refused_and_survived(fixture: &mut impl TransportFixture) {
    let mut lab = Lab::new("T06", fixture, 2).await;
    lab.connect(0, 1).await;
    let (a, b) = (lab.id(0), lab.id(1));
    let caps = lab.ends[0].transport.caps();
    lab.check(caps.control_frame_max >= 16 * 1024, "control frames of 16 KiB are carried");
    lab.check(caps.data_frame_max >= 1152, "data frames of 1152 bytes are carried");
    for (lane, most) in [(Lane::Control, caps.control_frame_max), (Lane::Data, caps.data_frame_max)]
    {
        let large = frame(6, 0, most + 1);
        let answer = lab.ends[0].transport.try_send(b, lane, large.clone());
        let refused = answer == Err(TrySendError::TooLarge(large));
        lab.check(refused, "a frame above the limit is given back as TooLarge");
    }
    lab.exchange(0, 1, b"small").await;
    lab.settle().await;
    let lived = lab.ends[0].losses(b) + lab.ends[1].losses(a) == 0;
    lab.check(lived, "the link lives on after TooLarge");
    let frames = lab.ends[1].frames(a, Lane::Control).len();
    let others = lab.ends[1].frames(a, Lane::Data).len();
    lab.check(frames == 1 && others == 0, "nothing of a refused frame arrives");
}

/// Every call of `next_event` is dropped unless ready at once: set-up and frames still come.
pub async fn t07_next_event_is_cancel_safe(fixture: &mut impl TransportFixture) {
    const FRAMES: u32 = 300;
    let mut lab = Lab::new("T07", fixture, 2).await;
    lab.fickle = true;
    lab.connect(0, 1).await;
    let sender = lab.id(0);
    for number in 0..FRAMES {
        lab.send(0, 1, Lane::Control, &frame(7, number, 64)).await;
        if number % 10 == 0 {
            lab.wait(Duration::from_millis(2), |_| false).await;
        }
    }
    lab.until("every control frame arrives though calls were dropped", |ends| {
        ends[1].frames(sender, Lane::Control).len() >= FRAMES as usize
    })
    .await;
    let sent: Vec<Bytes> = (0..FRAMES).map(|number| frame(7, number, 64)).collect();
    let whole = lab.ends[1].frames(sender, Lane::Control) == sent;
    lab.check(whole, "dropped calls lose, repeat or reorder nothing");
}

/// After `Disconnected`, and after an own `close`, nothing more is told of the peer until a new
/// link is up; that one carries nothing of the old.
pub async fn t08_nothing_after_disconnected(fixture: &mut impl TransportFixture) {
    let mut lab = Lab::new("T08", fixture, 2).await;
    lab.connect(0, 1).await;
    let (a, b) = (lab.id(0), lab.id(1));
    lab.ends[1].stalled = true;
    for number in 0..50 {
        for lane in LANES {
            lab.try_send(0, 1, lane, &frame(8, number, 1000));
            lab.try_send(1, 0, lane, &frame(8, number, 1000));
        }
    }
    // Fill a lane, so that a Writable is owed.
    let mut number = 0;
    while number < 60_000 && lab.try_send(1, 0, Lane::Data, &frame(8, number, 1000)) {
        number += 1;
    }
    lab.ends[0].transport.close(b, CloseReason::Done);
    let told = lab.ends[0].log.len();
    lab.ends[1].stalled = false;
    lab.until("the other end reports Disconnected", |ends| ends[1].losses(a) > 0).await;
    lab.settle().await;
    lab.check(lab.ends[0].log.len() == told, "an end that closed is told nothing more");
    let last = lab.ends[1].log.last();
    let ended = matches!(last, Some(TransportEvent::Disconnected { peer, .. }) if *peer == a);
    lab.check(ended && lab.ends[1].losses(a) == 1, "Disconnected is the last of a link");

    lab.connect(0, 1).await;
    lab.exchange(0, 1, b"new").await;
    lab.settle().await;
    for (end, peer) in [(0, b), (1, a)] {
        let log = &lab.ends[end].log;
        let up = |event: &TransportEvent| matches!(event, TransportEvent::Connected(_));
        let from = log.iter().rposition(up).unwrap_or_default();
        let mut later = log[from + 1..].iter().filter(|event| subject(event) == peer);
        let fresh = later
            .all(|event| matches!(event, TransportEvent::Received { frame, .. } if frame == "new"));
        lab.check(fresh, "a new link carries nothing of the old one");
    }
}

/// Two peers that dial each other at once end with one link.
pub async fn t09_crossing_dials_make_one_link(fixture: &mut impl TransportFixture) {
    let mut lab = Lab::new("T09", fixture, 4).await;
    for (first, second) in [(0, 1), (1, 2), (3, 2), (3, 0)] {
        let (a, b) = (lab.id(first), lab.id(second));
        lab.dial(first, second);
        lab.dial(second, first);
        lab.until("crossing dials lead to Connected at both ends", |ends| {
            !ends[first].links(b).is_empty() && !ends[second].links(a).is_empty()
        })
        .await;
        lab.settle().await;
        let (links, others) = (lab.ends[first].links(b), lab.ends[second].links(a));
        lab.check(links.len() == 1 && others.len() == 1, "crossing dials make exactly one link");
        lab.check(links[0].binding == others[0].binding, "both ends hold the same link");
        lab.check(links[0].dialled != others[0].dialled, "one end of a link has dialled");
        let troubles = lab.ends[first].failures(b)
            + lab.ends[first].losses(b)
            + lab.ends[second].failures(a)
            + lab.ends[second].losses(a);
        lab.check(troubles == 0, "crossing dials fail and lose nothing");
        lab.exchange(first, second, b"crossed").await;
    }
}

/// Calls about a peer that is not there do nothing.
pub async fn t10_unknown_peers_are_harmless(fixture: &mut impl TransportFixture) {
    let mut lab = Lab::new("T10", fixture, 3).await;
    lab.connect(0, 1).await;
    let (b, c, ghost) = (lab.id(1), lab.id(2), stranger(1));
    let told = lab.ends[0].log.len();
    let transport = &mut lab.ends[0].transport;
    let mut refused = true;
    for peer in [ghost, c] {
        for lane in LANES {
            let frame = frame(10, 0, 100);
            let answer = transport.try_send(peer, lane, frame.clone());
            refused &= answer == Err(TrySendError::NotConnected(frame));
        }
        transport.close(peer, CloseReason::Done);
        transport.close(peer, CloseReason::Protocol);
    }
    lab.check(refused, "a frame for an unknown peer is given back as NotConnected");
    lab.settle().await;
    lab.check(lab.ends[0].log.len() == told, "nothing is told of an unknown peer");
    lab.exchange(0, 1, b"still here").await;
    lab.ends[0].transport.close(b, CloseReason::Done);
    let frame = frame(10, 1, 100);
    let answer = lab.ends[0].transport.try_send(b, Lane::Control, frame.clone());
    lab.check(answer == Err(TrySendError::NotConnected(frame)), "a closed peer is unknown");
    lab.connect(0, 2).await;
}

/// A reader that does not read makes its sender's lane `Full`, and it stays so.
pub async fn t11_a_stalled_reader_is_felt(fixture: &mut impl TransportFixture) {
    let mut lab = Lab::new("T11", fixture, 2).await;
    lab.connect(0, 1).await;
    let (a, b) = (lab.id(0), lab.id(1));
    let lossy = lab.ends[0].transport.caps().data_is_lossy;
    // A lane that may lose frames may do so rather than wait for the reader.
    for lane in LANES.into_iter().filter(|lane| *lane == Lane::Control || !lossy) {
        lab.ends[1].stalled = true;
        let mut sent = Vec::new();
        loop {
            let before = lab.ends[0].writables(b, lane);
            let frame = frame(11, u32::try_from(sent.len()).unwrap_or(u32::MAX), 1152);
            if lab.try_send(0, 1, lane, &frame) {
                sent.push(frame);
                lab.check(sent.len() * 1152 <= HELD_BYTES_MAX, "a stalled reader is never felt");
            } else if !lab.wait(STALL, |ends| ends[0].writables(b, lane) > before).await {
                break;
            }
        }
        lab.ends[1].stalled = false;
        lab.until("a reader that reads again gets every frame", |ends| {
            ends[1].frames(a, lane).len() >= sent.len()
        })
        .await;
    }
    lab.exchange(0, 1, b"reading").await;
}

/// `shutdown` ends, twice, and every neighbour reports `Disconnected`.
pub async fn t12_shutdown_ends_and_is_learned(fixture: &mut impl TransportFixture) {
    let mut lab = Lab::new("T12", fixture, 3).await;
    for (from, to) in [(0, 1), (2, 0), (1, 2)] {
        lab.connect(from, to).await;
    }
    let (a, b) = (lab.id(0), lab.id(1));
    for _ in 0..2 {
        let ended = timer::timeout(PROMPT, lab.ends[0].transport.shutdown()).await;
        lab.check(ended.is_ok(), "shutdown ends within a second");
    }
    lab.ends[0].stalled = true;
    let learned = lab.wait(PROMPT, |ends| ends[1].losses(a) == 1 && ends[2].losses(a) == 1).await;
    lab.check(learned, "every neighbour learns of a shutdown");
    let frame = frame(12, 0, 100);
    let answer = lab.ends[0].transport.try_send(b, Lane::Control, frame.clone());
    lab.check(answer == Err(TrySendError::NotConnected(frame)), "no link is left after shutdown");
    lab.exchange(1, 2, b"the others go on").await;
}

/// Garbage signals, from strangers and from neighbours, disturb no link and make none.
pub async fn t13_garbage_signals_disturb_nothing(fixture: &mut impl TransportFixture) {
    let mut lab = Lab::new("T13", fixture, 4).await;
    lab.connect(0, 1).await;
    let (a, b, c) = (lab.id(0), lab.id(1), lab.id(2));
    let garbage = [
        Bytes::new(),
        Bytes::from_static(b"\xff"),
        Bytes::from_static(b"{\"type\":\"offer\",\"sdp\":\"v=0\\r\\n\"}"),
        Bytes::from_static(b"{}"),
        frame(13, 0, SIGNAL_BYTES_MAX),
        Bytes::from(vec![b'['; SIGNAL_BYTES_MAX]),
    ];
    // A dial that is under way, and whose answer never comes.
    lab.ends[2].cut = true;
    lab.ends[0].transport.dial(c);
    for signal in &garbage {
        for from in [b, c, stranger(1)] {
            lab.ends[0].transport.signal(from, signal.clone());
        }
    }
    // Genuine signals, cut short or with a flipped bit.
    for (number, genuine) in (2..).zip(lab.signals.clone()) {
        let mut bytes = genuine.to_vec();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x10;
        for signal in [genuine.slice(..middle), Bytes::from(bytes), genuine] {
            lab.ends[0].transport.signal(stranger(number), signal);
        }
    }
    lab.exchange(0, 1, b"after garbage").await;
    lab.connect(3, 0).await;
    lab.settle().await;
    let lived = lab.ends[0].losses(b) + lab.ends[1].losses(a) == 0;
    lab.check(lived, "garbage signals disturb no link");
    let known = [b, lab.id(3)];
    let made = |event: &TransportEvent| match event {
        TransportEvent::Connected(link) => !known.contains(&link.peer),
        _ => false,
    };
    lab.check(lab.ends[0].count(made) == 0, "garbage signals make no link");
    lab.exchange(0, 1, b"and later").await;
}

/// The other end of a closed link reports `Disconnected` soon, whoever dialled.
pub async fn t14_close_is_prompt(fixture: &mut impl TransportFixture) {
    let mut lab = Lab::new("T14", fixture, 2).await;
    for (round, closer) in [(1, 0), (2, 1)] {
        lab.connect(0, 1).await;
        lab.exchange(0, 1, &[round]).await;
        let other = 1 - closer;
        let (me, peer) = (lab.id(closer), lab.id(other));
        let before = lab.ends[other].losses(me);
        let told = lab.ends[closer].losses(peer);
        lab.ends[closer].transport.close(peer, CloseReason::Done);
        let learned = lab.wait(PROMPT, |ends| ends[other].losses(me) > before).await;
        lab.check(learned, "the other end of a closed link learns of it within seconds");
        lab.check(lab.ends[closer].losses(peer) == told, "an end that closed is told nothing");
    }
}
