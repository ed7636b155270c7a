//! The source against the contract of `beacon_sdk::Source`, on real GStreamer.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use beacon_codec_gst::{AudioCodec, GstSource, SourceOptions, VideoCodec};
use beacon_sdk::media::Kind;
use beacon_sdk::{Profile, Source};
use common::{check_contract, collect, now_micros, objects_of, tracks_of};
use std::time::Duration;

async fn pattern(
    video: VideoCodec,
    audio: Option<AudioCodec>,
    profile: Profile,
    until: Duration,
) -> Vec<beacon_sdk::media::Media> {
    let mut options = SourceOptions::new(profile);
    (options.video, options.audio, options.size) = (video, audio, Some((320, 180)));
    let mut source = GstSource::open("test", &options).unwrap();
    collect(&mut source, until).await
}

#[tokio::test]
async fn h264_and_opus_low_latency() {
    let items = pattern(
        VideoCodec::H264,
        Some(AudioCodec::Opus),
        Profile::LowLatency,
        Duration::from_millis(1500),
    )
    .await;
    check_contract(&items, Duration::from_millis(200));
    let tracks = tracks_of(&items);
    assert_eq!(tracks[0].kind, Kind::Video { width: 320, height: 180 });
    assert!(tracks[0].codec.starts_with("avc1.6400"), "{}", tracks[0].codec);
    assert_eq!((tracks[0].config[0], tracks[0].timescale), (1, 90_000));
    assert_eq!(tracks[1].codec, "opus");
    assert_eq!(tracks[1].config[..2], [0, 2]);
    assert_eq!(tracks[1].config[4..8], 48_000_u32.to_be_bytes());
    for object in objects_of(&items, 0) {
        assert_eq!(object.duration, 3000);
        let nal = object.data[4] & 0x1f;
        assert!(nal == 5 || nal == 1 || nal == 6, "unit type {nal}");
        assert_eq!(object.keyframe, nal == 5);
    }
    for pair in objects_of(&items, 1).windows(2).skip(1) {
        assert_eq!(pair[1].dts - pair[0].dts, 960);
    }
}

#[tokio::test]
async fn h264_and_aac_live() {
    let items = pattern(
        VideoCodec::H264,
        Some(AudioCodec::Aac),
        Profile::Live,
        Duration::from_millis(4500),
    )
    .await;
    check_contract(&items, Duration::from_secs(2));
    let keys = objects_of(&items, 0).into_iter().filter(|o| o.keyframe).count();
    assert_eq!(keys, 3);
    let tracks = tracks_of(&items);
    assert_eq!(tracks[1].codec, "mp4a.40.2");
    // AudioSpecificConfig: object type 2, 48 kHz is index 3, two channels.
    assert_eq!(tracks[1].config[..2], [0x11, 0x90]);
    for object in objects_of(&items, 1) {
        assert_eq!(object.duration, 1024);
        assert_ne!(object.data[..2], [0xff, 0xf1], "raw AAC, not ADTS");
    }
}

#[tokio::test]
async fn vp8_without_sound() {
    let items =
        pattern(VideoCodec::Vp8, None, Profile::LowLatency, Duration::from_millis(1100)).await;
    check_contract(&items, Duration::from_millis(200));
    let tracks = tracks_of(&items);
    assert_eq!((tracks.len(), tracks[0].codec.as_str()), (1, "vp8"));
    for object in objects_of(&items, 0) {
        // RFC 6386 §9.1: the first bit is clear in a key frame.
        assert_eq!(object.keyframe, object.data[0] & 1 == 0);
    }
}

#[tokio::test]
async fn vp9_and_opus() {
    let items = pattern(
        VideoCodec::Vp9,
        Some(AudioCodec::Opus),
        Profile::LowLatency,
        Duration::from_millis(1100),
    )
    .await;
    check_contract(&items, Duration::from_millis(200));
    let tracks = tracks_of(&items);
    assert_eq!(tracks[0].codec, "vp09.00.11.08");
    assert_eq!(tracks[0].config[..], [1, 0, 0, 0, 0, 11, 0x82, 1, 1, 1, 0, 0]);
}

#[tokio::test]
async fn capture_times_are_wall_clock_times() {
    let before = now_micros();
    let items = pattern(VideoCodec::H264, None, Profile::Live, Duration::from_millis(700)).await;
    let after = now_micros();
    for object in objects_of(&items, 0) {
        let captured = object.captured.as_micros();
        // Half a frame of rounding each way.
        assert!(captured + 20_000 >= before && captured <= after + 20_000);
    }
}

/// S04: the call is dropped over and over; nothing is lost.
#[tokio::test]
async fn a_dropped_call_loses_nothing() {
    let mut options = SourceOptions::new(Profile::LowLatency);
    (options.size, options.audio) = (Some((320, 180)), None);
    let mut source = GstSource::open("test", &options).unwrap();
    let mut items = Vec::new();
    while items.len() < 40 {
        let next = tokio::time::timeout(Duration::from_millis(3), source.next()).await;
        items.extend(next.ok().map(|next| next.unwrap().unwrap()));
    }
    check_contract(&items, Duration::from_millis(200));
    for pair in objects_of(&items, 0).windows(2) {
        assert_eq!(pair[1].dts - pair[0].dts, 3000, "a hole");
    }
}

/// The consumer sleeps: raw pictures are dropped, encoded ones are not, so what follows decodes.
#[tokio::test]
async fn a_slow_consumer_gets_whole_groups() {
    let mut options = SourceOptions::new(Profile::LowLatency);
    (options.size, options.audio) = (Some((320, 180)), None);
    let mut source = GstSource::open("test", &options).unwrap();
    let mut items = collect(&mut source, Duration::from_millis(200)).await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    items.extend(collect(&mut source, Duration::from_millis(6000)).await);
    check_contract(&items, Duration::from_millis(200));
    let objects = objects_of(&items, 0);
    assert!(objects.windows(2).any(|pair| pair[1].dts - pair[0].dts > 90_000), "nothing dropped");
}

#[tokio::test]
async fn bad_specs_and_options_are_told() {
    let options = SourceOptions::new(Profile::Live);
    let said = |spec: &str, options: &SourceOptions| {
        GstSource::open(spec, options).expect_err(spec).to_string()
    };
    assert!(said("tape", &options).contains("use test, file:PATH, camera"));
    assert!(said("camera:/dev/video99", &options).contains("/dev/video99 does not exist; connect"));
    let mut fast = options.clone();
    fast.fps = Some(1000);
    assert_eq!(said("test", &fast), "fps must be 1 to 60");
}
