//! What the bytes of a script mean.

use super::common::track;
use super::script::Script;
use super::world::{ENGINES, NODES, Tally, World};
use beacon_sdk::engine::Input;
use beacon_sdk::media::{Kind, Media, Object};
use beacon_sdk::plugin::{PeerHint, Role};
use beacon_sdk::wire::{
    FarewellReason, Have, Message, RefuseReason, SPANS_MAX, Span, Status, SymbolHeader,
};
use beacon_sdk::{Config, Instant, Lane, PeerId, Profile, SegmentId, TrackId};
use bytes::{Bytes, BytesMut};
use std::time::Duration;

/// Acts of one script at most.
const ACTS_MAX: usize = 400;
/// Frames of media in one script at most: the oracle keeps them all.
const MEDIA_MAX: u64 = 600;

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

struct Play<'a> {
    script: Script<'a>,
    world: World,
    /// Video frames published.
    frames: u64,
    timescale: u32,
}

/// Plays a script to its end. Panics where an invariant breaks.
pub fn run(bytes: &[u8]) -> Tally {
    let mut script = Script::new(bytes);
    let (origin, viewer) = configs(&mut script);
    let mut play =
        Play { world: World::new(&origin, &viewer), script, frames: 0, timescale: 90_000 };
    // Most scripts begin with a mesh that works; without it little is reached by chance.
    if play.script.u8() != 0 {
        play.warm_up();
    }
    for _ in 0..ACTS_MAX {
        if !play.script.more() {
            break;
        }
        play.act();
    }
    play.world.settle(20);
    play.world.tally
}

fn configs(script: &mut Script<'_>) -> (Config, Config) {
    let choice = script.u8();
    let profile = if choice & 1 == 0 { Profile::LowLatency } else { Profile::Live };
    let mut origin = profile.config();
    origin.segment = if choice & 2 == 0 { ms(100) } else { ms(20) };
    origin.repair_percent = if choice & 4 == 0 { 25 } else { 0 };
    origin.stripes = [1, 2, 8, 16][usize::from(choice >> 3 & 3)];
    let mut viewer = origin.clone();
    viewer.links_max = if choice & 32 == 0 { 24 } else { 2 };
    viewer.links_target = viewer.links_target.min(viewer.links_max);
    viewer.upload_bps = [None, None, Some(2_000_000), Some(1)][usize::from(choice >> 6 & 3)];
    (origin, viewer)
}

impl Play<'_> {
    fn warm_up(&mut self) {
        self.tracks();
        for (a, b) in [(0, 1), (0, 2), (1, 2), (1, 3), (2, 4)] {
            self.world.connect(a, b);
        }
        self.world.introduce(3, 1);
        self.world.introduce(4, 2);
        self.world.settle(4);
        for _ in 0..12 {
            self.frame(2000);
            self.world.settle(8);
        }
    }

    fn tracks(&mut self) {
        let video = Kind::Video { width: 640, height: 360 };
        let audio = Kind::Audio { rate: 48_000, channels: 2 };
        self.world.media(Media::Tracks(vec![
            track(0, video, "avc1.42C01F", self.timescale),
            track(1, audio, "opus", 48_000),
        ]));
    }

    /// One video frame and its sound.
    fn frame(&mut self, len: usize) {
        if self.frames == MEDIA_MAX {
            return;
        }
        let n = self.frames;
        self.frames += 1;
        let captured = self.world.now;
        let object = |track, dts, duration, keyframe, data: Vec<u8>| Object {
            track: TrackId::new(track).unwrap(),
            dts,
            cts: 0,
            duration,
            keyframe,
            layer: 0,
            captured,
            data: data.into(),
        };
        let data: Vec<u8> = (0..len.max(1)).map(|at| ((at as u64 * (n + 1)) >> 3) as u8).collect();
        let ticks = u64::from(self.timescale) / 25;
        let video = object(0, n * ticks, ticks as u32, n.is_multiple_of(10), data);
        self.world.media(Media::Object(video));
        for half in 0..2 {
            let audio = object(1, (n * 2 + half) * 960, 960, true, vec![half as u8; 100]);
            self.world.media(Media::Object(audio));
        }
    }

    fn act(&mut self) {
        let act = self.script.u8();
        let at = self.script.below(ENGINES);
        let other = self.script.below(NODES);
        match act % 24 {
            0 => self.world.settle(1 + usize::from(act >> 6)),
            1 => {
                let span = ms(self.script.below(400) as u64);
                self.world.advance(span);
            }
            2 => self.leap(),
            3 | 4 => {
                let len = self.script.below(40_000);
                for _ in 0..=act >> 6 {
                    self.frame(len);
                    self.world.advance(ms(40));
                }
            }
            5 => {
                self.world.rename(other);
                self.world.connect(at, other);
                if other >= ENGINES && !self.script.u8().is_multiple_of(8) {
                    self.world.introduce(other, at);
                }
            }
            6 => self.world.disconnect(at, other),
            7 | 8 => self.wire(at, other, act >> 5),
            9 => self.clog(at, other),
            10 => self.world.nodes[at].stalled ^= true,
            11 => self.rendezvous(at, other),
            12 => self.source(act >> 5),
            13 => self.hostile(at, other, |play| play.replay(act & 0x80 != 0)),
            14 | 15 => self.hostile(at, other, |play| play.symbol(act >> 5)),
            16 => self.hostile(at, other, Self::noise),
            // Engines never subscribe in a circle of their own accord.
            23 if other < ENGINES => {
                let all = Message::Subscribe {
                    stripes: (1 << 17) - 1,
                    tracks: u64::MAX,
                    from: Instant::ZERO,
                };
                self.world.receive(at, other, Lane::Control, all.encode());
            }
            _ => self.hostile(at, other, |play| (Lane::Control, play.message().encode())),
        }
    }

    /// A long time passes at once, or an input comes with an old time.
    fn leap(&mut self) {
        let at = self.script.below(ENGINES);
        if self.script.chance() {
            let past = self.world.now - ms(self.script.u32().into());
            return self.world.input_at(at, past, Input::Timeout);
        }
        // Up to 12 days.
        self.world.now = self.world.now + ms(u64::from(self.script.u32() >> 2));
        for at in 0..ENGINES {
            self.world.input(at, Input::Timeout);
        }
    }

    /// Something happens to a frame under way.
    fn wire(&mut self, from: usize, to: usize, what: u8) {
        let lane = if self.script.chance() { Lane::Control } else { Lane::Data };
        let pick = self.script.u8();
        let Some(wire) = self.world.wires.get_mut(&(from, to, lane)) else { return };
        if wire.is_empty() {
            return;
        }
        let pick = usize::from(pick) % wire.len();
        match what {
            0 => drop(wire.remove(pick)),
            1 => wire.push_back(wire[pick].clone()),
            2 => wire.rotate_left(pick),
            3 => wire[pick] = damage(&mut self.script, &wire[pick]),
            4 => wire.clear(),
            _ => {
                let frames: Vec<Bytes> = wire.drain(..=pick).collect();
                for frame in frames {
                    self.world.receive(to, from, lane, frame);
                }
            }
        }
    }

    fn clog(&mut self, at: usize, other: usize) {
        let lane = if self.script.chance() { Lane::Control } else { Lane::Data };
        let (to, node) = (self.world.ids[other], &mut self.world.nodes[at]);
        if node.clogged.remove(&(to, lane)) {
            self.world.input(at, Input::Writable { to, lane });
        } else if node.links.contains_key(&to) {
            node.clogged.insert((to, lane));
        }
    }

    fn rendezvous(&mut self, at: usize, other: usize) {
        let peer = self.world.ids[other];
        match self.script.below(4) {
            0 => self.world.input(at, Input::Gone(peer)),
            1 => {
                if let Some(peer) = self.world.nodes[at].dials.first().copied() {
                    self.world.fail_dial(at, peer);
                }
            }
            _ => {
                let hint = |peer| PeerHint { peer, score: 9, role: Role::Leaf, depth: 1, slots: 1 };
                let count = self.script.below(80);
                let hints = (0..count).map(|_| hint(self.peer())).collect();
                self.world.input(at, Input::Discovered(hints));
            }
        }
    }

    fn source(&mut self, what: u8) {
        match what {
            0 => self.world.end(),
            1 => self.tracks(),
            2 => self.world.media(Media::Tracks(Vec::new())),
            3 => {
                let len = self.script.below(3);
                self.frame(len * 200_000);
            }
            _ => {
                let at = self.script.below(ENGINES);
                let now = self.world.now;
                if self.script.u8() == 0 {
                    self.world.nodes[at].engine.leave(now);
                    self.world.input(at, Input::Timeout);
                }
            }
        }
    }

    /// A rogue sends a frame to an engine.
    fn hostile(&mut self, at: usize, other: usize, make: impl Fn(&mut Self) -> (Lane, Bytes)) {
        let rogue = ENGINES + other % (NODES - ENGINES);
        let again = self.script.u8();
        let (lane, frame) = make(self);
        let times = if again > 250 { 300 } else { 1 + u32::from(again % 2) };
        for _ in 0..times {
            self.world.receive(at, rogue, lane, frame.clone());
        }
    }

    fn replay(&mut self, harm: bool) -> (Lane, Bytes) {
        let seen = self.world.seen.len();
        let pick = self.script.below(seen);
        let Some((lane, frame)) = self.world.seen.get(pick).cloned() else {
            return (Lane::Control, Bytes::new());
        };
        if harm { (lane, damage(&mut self.script, &frame)) } else { (lane, frame) }
    }

    fn symbol(&mut self, how: u8) -> (Lane, Bytes) {
        let pick = self.script.u16();
        let count = self.world.oracle.symbols.len();
        let nth = usize::from(pick) % count.max(1);
        let truth = self.world.oracle.symbols.values().rev().nth(nth).cloned();
        let Some(frame) = truth else { return (Lane::Data, Bytes::from_static(&[0x80; 9])) };
        let frame = match how {
            0..=2 => frame,
            3 => damage(&mut self.script, &frame),
            4 => {
                let mut long = BytesMut::from(&frame[..]);
                long.resize(usize::from(self.script.u16()), 1);
                long.freeze()
            }
            _ => SymbolHeader { segment: self.segment(), esi: self.esi() }.frame(&frame[8..]),
        };
        (Lane::Data, frame)
    }

    fn noise(&mut self) -> (Lane, Bytes) {
        let lane = if self.script.chance() { Lane::Control } else { Lane::Data };
        let len = self.script.below(64);
        (lane, Bytes::copy_from_slice(self.script.bytes(len)))
    }

    /// A peer that is here, or one made up.
    fn peer(&mut self) -> PeerId {
        let pick = self.script.u8();
        self.world.ids.get(usize::from(pick & 7)).copied().unwrap_or_else(|| {
            let mut key = [pick; 32];
            key[1..3].copy_from_slice(&self.script.u16().to_le_bytes());
            PeerId::from_bytes(key)
        })
    }

    fn segment(&mut self) -> SegmentId {
        let track = TrackId::new(self.script.u8() & 1).unwrap();
        let newest = self.world.oracle.segments.keys().rev().find(|id| id.track == track);
        let newest = newest.map_or(0, |id| id.seq);
        let seq = match self.script.u8() {
            offset @ 0..200 => (newest + 4).saturating_sub(u32::from(offset % 24)),
            offset @ 200..250 => newest + u32::from(offset - 190),
            _ => self.script.u32(),
        };
        SegmentId { track, seq }
    }

    fn esi(&mut self) -> u16 {
        let esi = self.script.u16();
        if esi & 0xff00 == 0xff00 { esi } else { esi % 96 }
    }

    fn mask(&mut self) -> u32 {
        if self.script.chance() { u32::MAX } else { self.script.u32() }
    }

    fn spans(&mut self) -> Vec<Span> {
        let count = self.script.below(SPANS_MAX + 1);
        let mut span = || {
            let low = self.mask();
            Span { base: self.esi(), mask: u64::from(low) << 32 | u64::from(low) }
        };
        (0..count).map(|_| span()).collect()
    }

    fn message(&mut self) -> Message {
        let stripe = |play: &mut Self| play.script.u8() % 17;
        let stripes = |play: &mut Self| play.mask() & ((1 << 17) - 1);
        let time = |play: &mut Self| match play.script.below(4) {
            0 => Instant::ZERO,
            1 => Instant::NEVER,
            _ => play.world.now - Duration::from_millis(play.script.u8().into()),
        };
        match self.script.u8() % 18 {
            0 => {
                let reason = [FarewellReason::Done, FarewellReason::Full][self.script.below(2)];
                let count = self.script.below(17);
                Message::Farewell { reason, peers: (0..count).map(|_| self.peer()).collect() }
            }
            1 => Message::Ping(self.script.u32().into()),
            2 => Message::Pong(if self.script.chance() { 0 } else { self.world.now.as_micros() }),
            3 => {
                let count = self.script.below(17);
                Message::Peers((0..count).map(|_| self.peer()).collect())
            }
            4 => {
                let depth = self.script.bytes(17).to_vec();
                let bar = depth.iter().map(|depth| depth.rotate_left(3)).collect();
                let (tracks, slots) = (self.mask().into(), self.script.u16());
                Message::Status(Status { tracks, slots, depth, bar })
            }
            5 => Message::Status(Status {
                tracks: u64::MAX,
                slots: u16::MAX,
                depth: vec![0; 17],
                bar: vec![0; 17],
            }),
            6 | 7 => {
                Message::Subscribe { stripes: stripes(self), tracks: u64::MAX, from: time(self) }
            }
            8 => Message::Unsubscribe { stripes: stripes(self), from: time(self) },
            9 => {
                let count = 1 + self.script.below(7);
                let hop = |play: &mut Self| play.peer().short();
                Message::Feed {
                    stripe: stripe(self),
                    path: (0..count).map(|_| hop(self)).collect(),
                }
            }
            10 => Message::Refuse { stripe: stripe(self), reason: RefuseReason::Full },
            11 | 12 => {
                let count = 1 + self.script.below(64);
                let have = |play: &mut Self| Have { id: play.segment(), mask: play.mask() };
                Message::Have((0..count).map(|_| have(self)).collect())
            }
            13 => Message::Request { id: self.segment(), spans: self.spans() },
            14 => Message::Busy { id: self.segment(), spans: self.spans() },
            15 => Message::Cancel(self.segment()),
            16 => Message::Fetch(self.segment()),
            _ => Message::FetchTail { tracks: self.mask().into() },
        }
    }
}

/// One byte changed, or the end cut off.
fn damage(script: &mut Script<'_>, frame: &Bytes) -> Bytes {
    let at = script.below(frame.len());
    if script.chance() {
        return frame.slice(..at);
    }
    let mut damaged = BytesMut::from(&frame[..]);
    if let Some(byte) = damaged.get_mut(at) {
        *byte ^= 1 << (script.u8() & 7);
    }
    damaged.freeze()
}
