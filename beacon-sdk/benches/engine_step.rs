//! What the engine costs when little or nothing happens, and what a whole swarm costs.
#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

mod common;

use beacon_sdk::SegmentId;
use beacon_sdk::engine::Input;
use beacon_sdk::wire::{HAVE_COMPLETE, HAVES_MAX, Have, Message, Status};
use common::mesh::Mesh;
use common::stage::{SEGMENT, Stage, config};
use common::{Bench, Pass, SYMBOL, clock, floor_memcpy, floor_sha256, repeat};
use sha2::{Digest as _, Sha256};
use std::hint::black_box;
use std::time::Duration;

const SHA: &str = "step/sha-256 of a symbol";

/// A viewer in the middle of a stream, with the segments of ten seconds behind it.
fn playing(neighbours: u8) -> Stage {
    let mut stage = Stage::new(&config(), neighbours - 1, 4.min(neighbours - 1));
    for _ in 0..20 {
        let fresh = stage.segment(64);
        stage.take_in(fresh.records);
        stage.receive(fresh.symbols);
        stage.run(SEGMENT);
    }
    assert_eq!(stage.viewer.neighbours().len(), usize::from(neighbours));
    stage
}

/// A driver's step on a wake-up for nothing.
fn idle(neighbours: u8) -> impl FnMut() -> Pass {
    let mut stage = playing(neighbours);
    move || {
        repeat(256, || {
            stage.viewer.handle(stage.now, Input::Timeout);
            stage.drain();
            black_box(stage.viewer.poll_playout());
            stage.viewer.poll_timeout()
        })
    }
}

/// The steps of a second in which nothing comes, by their due times: pings, plans, status.
fn clockwork(neighbours: u8) -> impl FnMut() -> Pass {
    let mut stage = playing(neighbours);
    move || {
        let until = stage.now + Duration::from_secs(1);
        let (mut sum, mut steps) = (Duration::ZERO, 0);
        loop {
            let next = stage.viewer.poll_timeout().max(stage.now + Duration::from_micros(1));
            if next > until {
                break;
            }
            stage.now = next;
            let (took, ()) = clock(|| {
                stage.viewer.handle(next, Input::Timeout);
                black_box(stage.viewer.poll_playout());
                black_box(stage.viewer.poll_timeout());
            });
            // The network answers outside of what is timed.
            stage.settle();
            (sum, steps) = (sum + took, steps + 1);
        }
        stage.run(Duration::from_micros(1));
        (sum, steps)
    }
}

/// One asking of an engine that has nothing to say.
fn nothing_waits(neighbours: u8) -> impl FnMut() -> Pass {
    let mut stage = playing(neighbours);
    move || repeat(1024, || stage.viewer.poll_output())
}

/// A viewer with `segments` manifests and no symbol of them, whose neighbours have them all.
fn starving(segments: u32) -> Stage {
    let mut config = config();
    config.playout = Duration::from_secs(60);
    config.window = Duration::from_secs(120);
    let mut stage = Stage::new(&config, 7, 1);
    let mut haves = Vec::new();
    for _ in 0..segments {
        let fresh = stage.segment(64);
        let Ok(Message::Manifest(record)) = Message::decode(fresh.records[0].clone()) else {
            panic!("the manifest comes first");
        };
        let id = beacon_sdk::media::Manifest::peek(&record).unwrap();
        haves.push(Have { id, mask: HAVE_COMPLETE });
        stage.take_in(fresh.records);
    }
    for pal in stage.pals.clone() {
        stage.says(pal, &Message::Have(haves.clone()));
    }
    stage.drain();
    stage
}

/// One round of planning, and the tidying that goes with it every 100 ms; requests go out and
/// nobody answers them.
fn plan(segments: u32) -> impl FnMut() -> Pass {
    const ROUNDS: u32 = 20;
    let mut stage = starving(segments);
    let mut rounds = 0;
    move || {
        if rounds == ROUNDS {
            let asked = stage.viewer.stats().symbols_requested;
            assert_eq!(asked > 0, segments > 0, "what is missing is asked for: {asked}");
            (stage, rounds) = (starving(segments), 0);
        }
        rounds += 1;
        // A neighbour's news has the engine plan soon, whether or not anything is missing.
        stage.says(stage.pals[0], &Message::Status(Status::default()));
        stage.now = stage.now + Duration::from_millis(100);
        let (took, ()) = clock(|| stage.viewer.handle(stage.now, Input::Timeout));
        while stage.viewer.poll_output().is_some() {}
        (took, 1)
    }
}

/// Neighbours that change their mind about 64 segments with every message; per entry.
fn haves(known: bool) -> impl FnMut() -> Pass {
    let mut stage = playing(8);
    let mut round = 0_u32;
    move || {
        round += 1;
        // Segments behind the playhead that are whole here, or ones ahead that are only heard of.
        let first = if known { 4 } else { 24 };
        let count = if known { 16 } else { HAVES_MAX as u32 - 16 };
        let mask = if round.is_multiple_of(2) { 0x0f } else { 0xf0 };
        let track = beacon_sdk::TrackId::default();
        let entry = |at: u32| Have { id: SegmentId { track, seq: first + at % count }, mask };
        let message = Message::Have((0..count).map(entry).collect());
        let frame = message.encode();
        let now = stage.now;
        let pals = stage.pals.clone();
        let (took, ()) = clock(|| {
            for &from in &pals {
                let lane = beacon_sdk::Lane::Control;
                let frame = frame.clone();
                stage.viewer.handle(now, Input::Received { from, lane, frame });
            }
        });
        stage.drain();
        (took, pals.len() as u64 * u64::from(count))
    }
}

/// A second of an origin and eight viewers at 4 Mbit/s, per input handled.
fn swarm(bench: &mut Bench) {
    let mut mesh = Mesh::new(8);
    mesh.run(Duration::from_secs(6));
    let (events, bytes) = (mesh.events, mesh.verified());
    mesh.run(Duration::from_secs(1));
    let (events, bytes) = (mesh.events - events, mesh.verified() - bytes);
    let symbol = vec![0x5a_u8; SYMBOL];
    let floor = "step/sha-256 of the swarm's symbols";
    bench.floor(floor, || {
        let (took, _) = repeat(bytes / SYMBOL as u64, || Sha256::digest(black_box(&symbol)));
        (took, events)
    });
    bench.beside(floor, "step/input in a swarm of 9", || {
        let before = mesh.events;
        let (took, ()) = clock(|| mesh.run(Duration::from_secs(1)));
        (took, mesh.events - before)
    });
    let (played, missed) = mesh.played();
    assert!(played > 0 && missed == 0, "the swarm plays: {played} segments, {missed} missed");
}

fn main() {
    let mut bench = Bench::new();
    bench.floor(SHA, floor_sha256());
    bench.floor("step/memcpy of a have", floor_memcpy(&[0x5a; 9]));
    for neighbours in [8, 24] {
        let id = |what: &str| format!("step/{what}, {neighbours} neighbours");
        bench.beside(SHA, &id("idle"), idle(neighbours));
        bench.beside(SHA, &id("by the clock"), clockwork(neighbours));
        bench.beside(SHA, &id("poll_output"), nothing_waits(neighbours));
    }
    for segments in [0, 16, 64] {
        bench.beside(SHA, &format!("step/plan, {segments} incomplete"), plan(segments));
    }
    bench.beside("step/memcpy of a have", "step/have of a whole segment", haves(true));
    bench.beside("step/memcpy of a have", "step/have of an unknown segment", haves(false));
    swarm(&mut bench);
    bench.finish();
}
