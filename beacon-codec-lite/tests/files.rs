//! Recording to a file, and playing one.

#![allow(clippy::unwrap_used)]

use beacon_codec_lite::{FileSink, Mp4File, NullSink};
use beacon_mux::{Reader, h264, opus};
use beacon_sdk::media::{Kind, Media, Object, Playout, Track};
use beacon_sdk::{Instant, SegmentId, Sink, Source, TrackId};
use std::path::Path;
use std::time::Duration;

const SPS: [u8; 25] = [
    0x67, 0x42, 0xc0, 0x1e, 0xd9, 0x00, 0xa0, 0x2f, 0xf9, 0x70, 0x11, 0x00, 0x00, 0x03, 0x00, 0x01,
    0x00, 0x00, 0x03, 0x00, 0x32, 0x0f, 0x16, 0x2e, 0x48,
];
const PPS: [u8; 5] = [0x68, 0xcb, 0x83, 0xcb, 0x20];

fn id(number: u8) -> TrackId {
    TrackId::new(number).unwrap()
}

fn tracks() -> Vec<Track> {
    let config = h264::config(&[&SPS], &[&PPS]).unwrap();
    let video = Track {
        id: id(0),
        kind: Kind::Video { width: 640, height: 360 },
        codec: h264::codec_string(&config).unwrap(),
        config,
        timescale: 90_000,
        bitrate: 0,
        label: String::new(),
    };
    let audio = Track {
        id: id(1),
        kind: Kind::Audio { rate: 48_000, channels: 2 },
        codec: opus::CODEC.into(),
        config: opus::config(2, 312),
        timescale: 48_000,
        ..video.clone()
    };
    vec![video, audio]
}

/// Ten frames of 1/50 s and eleven packets of 20 ms from second 5 on, in segments of both tracks.
fn playout() -> Vec<Playout> {
    let object = |track: u8, dts: u64, duration, keyframe| Object {
        track: id(track),
        dts,
        cts: 0,
        duration,
        keyframe,
        layer: 0,
        captured: Instant::from_micros(7),
        data: vec![track, dts as u8, (dts >> 8) as u8].into(),
    };
    let frames = |range: core::ops::Range<u64>| {
        range.map(|at| object(0, 450_000 + at * 1800, 1800, at == 0 || at == 5)).collect()
    };
    let sound = (0..11).map(|at| object(1, 240_000 + at * 960, 960, true)).collect();
    let segment = |track, seq, objects| Playout::Segment {
        id: SegmentId { track: id(track), seq },
        group_start: true,
        objects,
    };
    vec![
        Playout::Tracks(tracks()),
        segment(0, 0, frames(0..5)),
        segment(1, 0, sound),
        Playout::Gap { id: SegmentId { track: id(1), seq: 1 } },
        segment(0, 1, frames(5..10)),
        Playout::End,
    ]
}

fn objects(playout: &[Playout]) -> Vec<Object> {
    let segments = playout.iter().filter_map(|item| match item {
        Playout::Segment { objects, .. } => Some(objects.clone()),
        _ => None,
    });
    segments.flatten().collect()
}

async fn record(path: &Path, items: Vec<Playout>) {
    let mut sink = FileSink::create(path).unwrap();
    for item in items {
        sink.write(item).await.unwrap();
    }
    sink.finish().await.unwrap();
}

#[tokio::test]
async fn a_recording_plays_at_its_pace() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clip.mp4");
    record(&path, playout()).await;
    let mut source = Mp4File::open(&path, false).unwrap();
    let begun = std::time::Instant::now();
    let Some(Media::Tracks(found)) = source.next().await.unwrap() else { panic!("tracks first") };
    assert_eq!(found, source.tracks());
    assert_eq!((&found[0].config, &found[1].codec), (&tracks()[0].config, &tracks()[1].codec));
    let mut played = Vec::new();
    while let Some(item) = source.next().await.unwrap() {
        let Media::Object(object) = item else { panic!("only objects follow") };
        played.push(object);
    }
    assert!(begun.elapsed() >= Duration::from_millis(200), "the last packet is due then");
    assert_eq!(source.next().await.unwrap(), None, "the end is final");
    let time = |object: &Object| found[usize::from(object.track.get())].micros(object.dts);
    assert!(played.windows(2).all(|pair| time(&pair[0]) <= time(&pair[1])), "in order of time");
    for number in [0, 1] {
        let of = |objects: &[Object]| -> Vec<_> {
            objects.iter().filter(|o| o.track == id(number)).map(|o| o.data.clone()).collect()
        };
        assert_eq!(of(&played), of(&objects(&playout())));
    }
    let first = played[0].captured;
    for object in &played {
        assert_eq!(object.captured.since(first), Duration::from_micros(time(object)));
    }
}

#[tokio::test]
async fn a_loop_goes_on_without_a_step() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clip.mp4");
    record(&path, playout()).await;
    let mut source = Mp4File::open(&path, true).unwrap();
    source.next().await.unwrap();
    let mut played = [Vec::new(), Vec::new()];
    while played[0].len() < 35 {
        let Some(Media::Object(object)) = source.next().await.unwrap() else { panic!() };
        played[usize::from(object.track.get())].push(object);
    }
    // The sound is longest: 11 packets of 20 ms. Every round begins 220 ms after the one before.
    for (at, frame) in played[0].iter().enumerate() {
        let (round, place) = (at as u64 / 10, at as u64 % 10);
        assert_eq!(frame.dts, round * 19_800 + place * 1800);
        assert_eq!(frame.keyframe, place % 5 == 0);
        // The last picture stands until the sound has ended too.
        assert_eq!(frame.duration, if place == 9 { 3600 } else { 1800 });
    }
    for (at, packet) in played[1].iter().enumerate() {
        assert_eq!(packet.dts, at as u64 * 960);
    }
}

#[tokio::test]
async fn two_peers_write_the_same_file() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (folder.path().join("one.mp4"), folder.path().join("two.mp4"));
    record(&one, playout()).await;
    let later = |item: Playout| match item {
        Playout::Segment { id, group_start, mut objects } => {
            objects.iter_mut().for_each(|object| object.captured = Instant::from_micros(9));
            Playout::Segment { id, group_start, objects }
        }
        other => other,
    };
    record(&two, playout().into_iter().map(later).collect()).await;
    assert_eq!(std::fs::read(one).unwrap(), std::fs::read(two).unwrap());
}

#[tokio::test]
async fn what_is_written_is_there_before_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("live.mp4");
    let mut sink = FileSink::create(&path).unwrap();
    let mut frames = 0;
    for item in playout() {
        if let Playout::Segment { id: SegmentId { track, .. }, objects, .. } = &item
            && *track == id(0)
        {
            frames += objects.len();
        }
        let media = matches!(item, Playout::Segment { .. });
        sink.write(item).await.unwrap();
        if media {
            // As after `kill -9` at this point: nothing is finished or closed.
            let reader = Reader::open(std::fs::File::open(&path).unwrap()).unwrap();
            assert_eq!(reader.samples(id(0)).len(), frames);
            assert!(!reader.torn());
        }
    }
}

#[tokio::test]
async fn a_new_configuration_begins_a_new_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("two.parts.mp4");
    let mut changed = tracks();
    changed[0].kind = Kind::Video { width: 320, height: 180 };
    let mut again = playout();
    again[0] = Playout::Tracks(changed);
    record(&path, playout().into_iter().chain(again).collect()).await;
    let open = |path: &Path| Reader::open(std::fs::File::open(path).unwrap()).unwrap();
    assert_eq!(open(&path).samples(id(0)).len(), 10);
    let second = open(&folder.path().join("two.parts.2.mp4"));
    assert_eq!(second.samples(id(0)).len(), 10);
    assert_eq!(second.tracks()[0].kind, Kind::Video { width: 320, height: 180 });
}

#[tokio::test]
async fn sinks_name_cause_and_cure() {
    let folder = tempfile::tempdir().unwrap();
    let error = FileSink::create(folder.path().join("none/clip.mp4")).unwrap_err();
    assert!(error.to_string().contains("create the folder first"), "{error}");
    let mut sink = FileSink::create(folder.path().join("clip.mp4")).unwrap();
    let early = playout().remove(1);
    let error = sink.write(early).await.unwrap_err();
    assert!(error.to_string().contains("was not announced"), "{error}");
    if cfg!(target_os = "linux") {
        let mut full = FileSink::create("/dev/full").unwrap();
        let error = full.write(playout().remove(0)).await.unwrap_err();
        assert!(error.to_string().contains("make room on the disk"), "{error}");
    }
}

#[test]
fn sources_name_cause_and_cure() {
    let folder = tempfile::tempdir().unwrap();
    let said = |name: &str, bytes: Option<&[u8]>| {
        let path = folder.path().join(name);
        if let Some(bytes) = bytes {
            std::fs::write(&path, bytes).unwrap();
        }
        let error = Mp4File::open(&path, false).unwrap_err().to_string();
        assert!(error.contains(name), "{error}");
        error
    };
    assert!(said("missing.mp4", None).contains("check the path"));
    assert!(said("empty.mp4", Some(b"")).contains("is empty"));
    let text = said("text.mp4", Some(b"It was a dark and stormy night."));
    assert!(text.contains("not an MP4") && text.contains("`gst` feature"), "{text}");
    let mut hevc = beacon_mux::init_segment(&tracks()).unwrap();
    let at = hevc.windows(4).position(|window| window == b"avc1").unwrap();
    hevc[at..at + 4].copy_from_slice(b"hvc1");
    let hevc = said("hevc.mp4", Some(&hevc));
    assert!(hevc.contains("video is hvc1") && hevc.contains("H.264"), "{hevc}");
    assert!(Mp4File::open(folder.path(), false).is_err(), "a folder is not a file");
}

#[tokio::test]
async fn the_null_sink_counts() {
    let mut sink = NullSink::new();
    let counts = sink.counts();
    for item in playout() {
        sink.write(item).await.unwrap();
    }
    sink.finish().await.unwrap();
    assert_eq!((counts.segments(), counts.objects(), counts.gaps()), (3, 21, 1));
    assert_eq!(counts.bytes(), 63);
}
