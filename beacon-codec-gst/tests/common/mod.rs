//! What the tests share: taking items, and checking them against the contract.
#![allow(dead_code, unreachable_pub)]

use beacon_sdk::media::{Media, OBJECT_BYTES_MAX, Object, Playout, Track};
use beacon_sdk::{SegmentId, Source};
use gstreamer::{self as gst, prelude::*};
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A hang guard, far beyond what anything takes.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Items until a picture at or after `until`, or the end.
pub async fn collect(source: &mut impl Source, until: Duration) -> Vec<Media> {
    let take = async {
        let mut items = Vec::new();
        while let Some(item) = source.next().await.expect("the source goes on") {
            let last = matches!(&item, Media::Object(object) if object.track.get() == 0
                && Duration::from_micros(object.dts * 1_000_000 / 90_000) >= until);
            items.push(item);
            if last {
                break;
            }
        }
        items
    };
    tokio::time::timeout(PATIENCE, take).await.expect("the source hangs")
}

pub fn tracks_of(items: &[Media]) -> &[Track] {
    match items.first() {
        Some(Media::Tracks(tracks)) => tracks,
        other => panic!("S01: the first item is {other:?}"),
    }
}

pub fn objects_of(items: &[Media], track: u8) -> Vec<&Object> {
    let objects = items.iter().filter_map(|item| match item {
        Media::Object(object) => Some(object),
        Media::Tracks(_) => None,
    });
    objects.filter(|object| object.track.get() == track).collect()
}

/// S01–S03, S07 and the keyframe cadence.
pub fn check_contract(items: &[Media], group: Duration) {
    let tracks = tracks_of(items);
    Track::check_all(tracks).expect("S01");
    let mut newest = 0_u64;
    for item in items {
        if let Media::Object(object) = item {
            let track = tracks.iter().find(|track| track.id == object.track).expect("S02");
            let at = track.micros(object.dts);
            assert!(at + 500_000 >= newest, "S07: {at} µs after {newest} µs");
            newest = newest.max(at);
            assert!((1..=OBJECT_BYTES_MAX).contains(&object.data.len()), "S07: size");
            assert_eq!(object.cts, 0);
        }
    }
    for track in tracks {
        let objects = objects_of(items, track.id.get());
        assert!(!objects.is_empty(), "nothing on track {}", track.id);
        assert!(objects[0].keyframe, "S03");
        assert!(objects.windows(2).all(|pair| pair[0].dts < pair[1].dts), "S02: dts");
        if !track.is_video() {
            assert!(objects.iter().all(|object| object.keyframe), "S03: audio");
            continue;
        }
        check_cadence(&objects, track, group);
    }
}

/// A keyframe is exactly the first picture at or after a multiple of the group length.
fn check_cadence(objects: &[&Object], track: &Track, group: Duration) {
    let group = group.as_micros() as u64;
    let half = u64::from(objects[0].duration) * 500_000 / u64::from(track.timescale);
    let number = |object: &Object| (track.micros(object.dts) + half) / group;
    for pair in objects.windows(2) {
        let starts = number(pair[0]) != number(pair[1]);
        assert_eq!(
            pair[1].keyframe,
            starts,
            "picture at {} µs after one at {} µs",
            track.micros(pair[1].dts),
            track.micros(pair[0].dts)
        );
    }
}

pub fn now_micros() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_micros() as u64
}

/// A file in a folder of this test binary.
pub fn scratch(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("gst");
    std::fs::create_dir_all(&folder).expect("a folder to write into");
    folder.join(format!("{}-{name}", std::process::id()))
}

/// What a viewer's engine would hand to a sink: every object a segment of its own.
pub fn playout(item: &Media, seq: &mut u32) -> Playout {
    match item {
        Media::Tracks(tracks) => Playout::Tracks(tracks.clone()),
        Media::Object(object) => {
            *seq += 1;
            let id = SegmentId { track: object.track, seq: *seq };
            Playout::Segment { id, group_start: object.keyframe, objects: vec![object.clone()] }
        }
    }
}

/// Runs a GStreamer pipeline to its end.
pub fn run_pipeline(description: &str) {
    gst::init().expect("GStreamer");
    let pipeline = gst::parse::launch(description).expect(description);
    pipeline.set_state(gst::State::Playing).expect("playing");
    let kinds = [gst::MessageType::Eos, gst::MessageType::Error];
    let bus = pipeline.bus().expect("a bus");
    let message = bus.timed_pop_filtered(gst::ClockTime::from_seconds(60), &kinds);
    let message = message.expect("the pipeline hangs");
    assert_eq!(message.type_(), gst::MessageType::Eos, "{message:?}");
    pipeline.set_state(gst::State::Null).expect("stopped");
}
