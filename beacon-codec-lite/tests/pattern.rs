//! The test pattern as a viewer sees it: encoded, decoded, read.

#![allow(clippy::unwrap_used)]

use beacon_codec_lite::pattern::{read_strip, strip_millis};
use beacon_codec_lite::{QUEUE_MAX, Rendition, TestPattern, TestPatternOptions};
use beacon_mux::h264;
use beacon_sdk::Source;
use beacon_sdk::media::{Kind, Media, Object, Track};
use rusty_h264_decoder::Decoder;
use std::time::{Duration, Instant};

/// Collects items until the video has run that long.
async fn collect(source: &mut TestPattern, millis: u64) -> (Vec<Track>, Vec<Object>) {
    let Some(Media::Tracks(tracks)) = source.next().await.unwrap() else {
        panic!("tracks come first")
    };
    let mut objects = Vec::new();
    loop {
        let Some(Media::Object(object)) = source.next().await.unwrap() else {
            panic!("only objects follow")
        };
        let done = object.track == tracks[0].id && object.dts >= millis * 90;
        objects.push(object);
        if done {
            return (tracks, objects);
        }
    }
}

/// Decodes all frames and holds every strip against its capture time.
fn decode(track: &Track, objects: &[Object]) -> usize {
    let Kind::Video { width, height } = track.kind else { panic!("video comes first") };
    let mut decoder = Decoder::new();
    let mut count = 0;
    for object in objects.iter().filter(|object| object.track == track.id) {
        let stream = h264::to_annex_b(&track.config, &object.data, object.keyframe).unwrap();
        let picture = decoder.decode(&stream).unwrap().unwrap();
        let (width, height) = (usize::from(width), usize::from(height));
        let strip = read_strip(&picture.y, picture.width, width, height);
        assert_eq!(strip, Some(strip_millis(object.captured)), "frame at {}", object.dts);
        count += 1;
    }
    count
}

#[tokio::test]
async fn keyframes_sound_and_strip() {
    let group = Duration::from_millis(500);
    let mut source = TestPattern::new(TestPatternOptions { group, ..Default::default() }).unwrap();
    let begun = Instant::now();
    let (tracks, objects) = collect(&mut source, 1600).await;
    assert!(begun.elapsed() >= Duration::from_millis(1600), "no faster than a camera");
    Track::check_all(&tracks).unwrap();
    assert_eq!(h264::size(&tracks[0].config), Some((640, 360)));
    assert_eq!(tracks[1].codec, "opus");
    // Under load frames are left out, but each group that has a frame begins with a keyframe.
    let mut last_group = None;
    for object in objects.iter().filter(|object| object.track == tracks[0].id) {
        let group = object.dts / 45_000;
        assert_eq!(object.keyframe, last_group != Some(group), "at {}", object.dts);
        last_group = Some(group);
    }
    assert!(decode(&tracks[0], &objects) >= 5);
    let sound: Vec<_> = objects.iter().filter(|object| object.track == tracks[1].id).collect();
    assert!(sound.iter().all(|object| object.keyframe && object.duration == 960));
    assert!(sound.windows(2).all(|pair| pair[0].dts < pair[1].dts));
}

#[tokio::test]
async fn every_size_survives_the_encoder() {
    // The smallest, one that no macroblock divides, and one with a cropped last row.
    for (width, height, video_bitrate) in
        [(176, 96, 100_000), (426, 240, 300_000), (848, 480, 800_000)]
    {
        let options = TestPatternOptions {
            width,
            height,
            video_bitrate,
            fps: 15,
            audio_bitrate: None,
            group: Duration::from_millis(200),
            ..Default::default()
        };
        let mut source = TestPattern::new(options).unwrap();
        let (tracks, objects) = collect(&mut source, 1000).await;
        assert_eq!(tracks.len(), 1);
        assert!(decode(&tracks[0], &objects) >= 3, "{width}x{height}");
    }
}

#[tokio::test]
async fn a_ladder_has_the_same_times_and_keyframes_in_every_size() {
    let further = vec![Rendition { width: 320, height: 180, bitrate: 200_000 }];
    let group = Duration::from_millis(500);
    let options = TestPatternOptions { further, group, ..Default::default() };
    let (tracks, objects) = collect(&mut TestPattern::new(options).unwrap(), 1500).await;
    let heights: Vec<u16> = tracks.iter().map(Track::height).collect();
    assert_eq!(heights, [360, 180, 0]);
    let times = |at: usize| -> Vec<(u64, bool)> {
        let of = objects.iter().filter(|object| object.track == tracks[at].id);
        of.map(|object| (object.dts, object.keyframe)).collect()
    };
    let both = times(0).len().min(times(1).len());
    assert!(both > 10);
    assert_eq!(times(0)[..both], times(1)[..both]);
    assert!(decode(&tracks[0], &objects) > 10 && decode(&tracks[1], &objects) > 10);
}

#[tokio::test]
async fn a_dropped_call_loses_nothing() {
    let options = TestPatternOptions { width: 320, height: 180, ..Default::default() };
    let mut source = TestPattern::new(options).unwrap();
    let mut objects = Vec::new();
    let mut tracks = None;
    while objects.len() < 40 {
        match tokio::time::timeout(Duration::from_millis(1), source.next()).await {
            Err(_) => {}
            Ok(Ok(Some(Media::Tracks(list)))) => tracks = Some(list),
            Ok(Ok(Some(Media::Object(object)))) => objects.push(object),
            Ok(other) => panic!("{other:?}"),
        }
    }
    decode(&tracks.unwrap()[0], &objects);
}

#[tokio::test]
async fn a_slow_caller_gets_fewer_frames_that_all_decode() {
    let options = TestPatternOptions { width: 320, height: 180, ..Default::default() };
    let mut source = TestPattern::new(options).unwrap();
    let Some(Media::Tracks(tracks)) = source.next().await.unwrap() else { panic!() };
    // 80 items a second: the queue is full long before.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let mut objects = Vec::new();
    while objects.len() < QUEUE_MAX + 40 {
        let Some(Media::Object(object)) = source.next().await.unwrap() else { panic!() };
        objects.push(object);
    }
    decode(&tracks[0], &objects);
    let frames: Vec<_> = objects.iter().filter(|o| o.track == tracks[0].id).collect();
    let hole = frames.windows(2).map(|pair| pair[1].dts - pair[0].dts).max().unwrap();
    assert!(hole > 45_000, "frames were left out: {hole} ticks");
}
