//! The sink: everything is decoded, gaps are survived, files are whole.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use beacon_codec_gst::{AudioCodec, GstSink, GstSource, SinkOptions, SourceOptions, VideoCodec};
use beacon_sdk::media::{Kind, Media, Playout, Track};
use beacon_sdk::{Profile, SegmentId, Sink, TrackId};
use bytes::Bytes;
use common::{collect, objects_of, playout, scratch, tracks_of};
use std::time::Duration;

/// Shows nothing and paces like a window.
fn unseen() -> SinkOptions {
    let mut options = SinkOptions::default();
    options.video_sink = Some("fakesink sync=true".to_owned());
    options.audio_sink = Some("fakesink sync=true".to_owned());
    options
}

async fn pattern(video: VideoCodec, audio: Option<AudioCodec>, millis: u64) -> Vec<Media> {
    let mut options = SourceOptions::new(Profile::LowLatency);
    (options.video, options.audio, options.size) = (video, audio, Some((320, 180)));
    let mut source = GstSource::open("test", &options).unwrap();
    collect(&mut source, Duration::from_millis(millis)).await
}

async fn play(sink: &mut GstSink, items: &[Media]) {
    let mut seq = 0;
    for item in items {
        sink.write(playout(item, &mut seq)).await.unwrap();
    }
    sink.write(Playout::End).await.unwrap();
    tokio::time::timeout(common::PATIENCE, sink.finish()).await.expect("hangs").unwrap();
}

async fn decodes_everything(video: VideoCodec, audio: Option<AudioCodec>) {
    let items = pattern(video, audio, 1000).await;
    let mut sink = GstSink::open("window", &unseen()).unwrap();
    let counters = sink.counters();
    play(&mut sink, &items).await;
    assert_eq!(counters.pictures(), objects_of(&items, 0).len() as u64);
    assert_eq!(counters.sounds() > 20, audio.is_some(), "{}", counters.sounds());
}

#[tokio::test]
async fn h264_and_opus_are_decoded() {
    decodes_everything(VideoCodec::H264, Some(AudioCodec::Opus)).await;
}

#[tokio::test]
async fn vp8_and_aac_are_decoded() {
    decodes_everything(VideoCodec::Vp8, Some(AudioCodec::Aac)).await;
}

#[tokio::test]
async fn vp9_without_sound_is_decoded() {
    decodes_everything(VideoCodec::Vp9, None).await;
}

/// K03: after a gap nothing is decoded before the next group.
#[tokio::test]
async fn a_gap_waits_for_the_next_group() {
    let items = pattern(VideoCodec::H264, None, 1000).await;
    let mut sink = GstSink::open("window", &unseen()).unwrap();
    let counters = sink.counters();
    let (mut seq, mut shown, mut broken) = (0, 0, false);
    for (place, item) in items.iter().enumerate() {
        let segment = playout(item, &mut seq);
        // The eighth object of some 30 is missing: the second one of its group.
        if let (8, Playout::Segment { id, .. }) = (place, &segment) {
            sink.write(Playout::Gap { id: *id }).await.unwrap();
            broken = true;
            continue;
        }
        if let Playout::Segment { group_start, .. } = &segment {
            broken &= !group_start;
            shown += u64::from(!broken);
        }
        sink.write(segment).await.unwrap();
    }
    sink.finish().await.unwrap();
    let all = objects_of(&items, 0).len() as u64;
    assert!(shown < all && shown > all - 8, "{shown} of {all}");
    assert_eq!(counters.pictures(), shown);
}

#[tokio::test]
async fn a_changed_configuration_is_followed() {
    let first = pattern(VideoCodec::H264, None, 400).await;
    let second = pattern(VideoCodec::Vp8, None, 400).await;
    let mut sink = GstSink::open("window", &unseen()).unwrap();
    let counters = sink.counters();
    let mut seq = 0;
    for item in first.iter().chain(&second) {
        sink.write(playout(item, &mut seq)).await.unwrap();
    }
    sink.finish().await.unwrap();
    // What the first player had not decoded yet is lost with it; the second one's is whole.
    assert!(counters.pictures() >= objects_of(&second, 0).len() as u64);
}

/// There is no sound server here: the picture goes on without sound.
#[tokio::test]
async fn without_a_sound_device_the_picture_goes_on() {
    let items = pattern(VideoCodec::H264, Some(AudioCodec::Opus), 600).await;
    for device in [None, Some("pulsesink server=127.0.0.1:1".to_owned())] {
        let mut options = unseen();
        options.audio_sink.clone_from(&device);
        let mut sink = GstSink::open("window", &options).unwrap();
        let counters = sink.counters();
        play(&mut sink, &items).await;
        assert_eq!(counters.pictures(), objects_of(&items, 0).len() as u64, "{device:?}");
        assert!(counters.sounds() > 10, "{device:?}");
    }
}

#[tokio::test]
async fn a_webm_file_is_written_and_read_back() {
    let items = pattern(VideoCodec::Vp8, Some(AudioCodec::Opus), 1200).await;
    let path = scratch("recording.webm");
    let spec = format!("file:{}", path.display());
    let mut sink = GstSink::open(&spec, &SinkOptions::default()).unwrap();
    play(&mut sink, &items).await;
    let mut source = GstSource::open(&spec, &SourceOptions::new(Profile::LowLatency)).unwrap();
    let again = collect(&mut source, Duration::MAX).await;
    assert_eq!(tracks_of(&again)[0].kind, Kind::Video { width: 320, height: 180 });
    let (was, is) = (objects_of(&items, 0).len(), objects_of(&again, 0).len());
    assert!(is.abs_diff(was) <= 2, "{was} pictures written, {is} read");
    assert!(objects_of(&again, 1).len() > 40);
}

#[tokio::test]
async fn a_matroska_file_takes_h264_and_aac() {
    let items = pattern(VideoCodec::H264, Some(AudioCodec::Aac), 800).await;
    let path = scratch("recording.mkv");
    let spec = format!("file:{}", path.display());
    let mut sink = GstSink::open(&spec, &SinkOptions::default()).unwrap();
    play(&mut sink, &items).await;
    let mut source = GstSource::open(&spec, &SourceOptions::new(Profile::LowLatency)).unwrap();
    let again = collect(&mut source, Duration::MAX).await;
    assert!(objects_of(&again, 0).len() + 2 >= objects_of(&items, 0).len());
    assert_eq!(tracks_of(&again).len(), 2);

    let spec = format!("file:{}", scratch("refused.webm").display());
    let mut sink = GstSink::open(&spec, &SinkOptions::default()).unwrap();
    let refused = sink.write(playout(&items[0], &mut 0)).await.expect_err("H.264 in WebM");
    assert!(refused.to_string().contains("WebM does not take avc1"), "{refused}");
}

/// K05: whatever comes, the process lives and nothing hangs.
#[tokio::test]
async fn garbage_is_survived() {
    let mut items = pattern(VideoCodec::H264, Some(AudioCodec::Opus), 600).await;
    for (place, item) in items.iter_mut().enumerate() {
        if let Media::Object(object) = item {
            let mut bytes = object.data.to_vec();
            for (n, byte) in bytes.iter_mut().enumerate() {
                *byte ^= (n * 7 + place * 13) as u8;
            }
            bytes.truncate(bytes.len() / 2 + 1);
            object.data = Bytes::from(bytes);
            object.dts = object.dts.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        }
    }
    let file = format!("file:{}", scratch("garbage.mkv").display());
    for spec in ["window", &file] {
        let mut sink = GstSink::open(spec, &unseen()).unwrap();
        let fed = async {
            let mut seq = 0;
            for item in &items {
                if sink.write(playout(item, &mut seq)).await.is_err() {
                    break;
                }
            }
            // May fail; must come back.
            let _ = sink.finish().await;
            let _ = sink.finish().await;
        };
        tokio::time::timeout(common::PATIENCE, fed).await.expect("hangs");
    }
}

#[tokio::test]
async fn foreign_tracks_and_bad_specs_are_told() {
    let said = |spec: &str, options: &SinkOptions| {
        GstSink::open(spec, options).expect_err(spec).to_string()
    };
    assert!(said("screen", &unseen()).contains("use window, file:PATH.webm"));
    assert!(said("file:clip.mp4", &unseen()).contains("neither .webm nor .mkv"));
    assert!(said("file:no/such/folder/x.mkv", &unseen()).contains("cannot be written"));
    let mut options = unseen();
    options.video_sink = Some("nosuchsink".to_owned());
    assert!(said("window", &options).contains("no GStreamer element nosuchsink"));
    options.video_sink = Some("glimagesink".to_owned());
    assert!(said("window", &options).contains("apt-get install gstreamer1.0-gl"));

    let foreign = Track {
        id: TrackId::default(),
        kind: Kind::Video { width: 640, height: 360 },
        codec: "hvc1.1.6.L93.B0".to_owned(),
        config: Bytes::new(),
        timescale: 90_000,
        bitrate: 0,
        label: String::new(),
    };
    let mut sink = GstSink::open("window", &unseen()).unwrap();
    let refused = sink.write(Playout::Tracks(vec![foreign])).await.expect_err("HEVC");
    assert!(refused.to_string().contains("hvc1"), "{refused}");
    let none = sink.write(Playout::Tracks(Vec::new())).await.expect_err("no tracks");
    assert!(none.to_string().contains("no sink can take"), "{none}");
    // A gap of a track that is not played is none of the sink's business.
    let id = SegmentId { track: TrackId::default(), seq: 1 };
    sink.write(Playout::Gap { id }).await.unwrap();
    sink.finish().await.unwrap();
}
