//! `file:` as a source: files that GStreamer itself made, and files that are none.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use beacon_codec_gst::{AudioCodec, GstSource, SourceOptions, VideoCodec};
use beacon_sdk::media::Kind;
use beacon_sdk::{Profile, Source};
use common::{check_contract, collect, objects_of, run_pipeline, scratch, tracks_of};
use std::path::Path;
use std::time::{Duration, Instant};

/// Two seconds of 25 pictures with sound.
fn clip(name: &str, video: &str, audio: &str, muxer: &str) -> String {
    let path = scratch(name);
    run_pipeline(&format!(
        "{muxer} name=mux ! filesink location={path} \
         videotestsrc num-buffers=50 ! video/x-raw,width=320,height=240,framerate=25/1 ! {video} ! mux. \
         audiotestsrc num-buffers=94 samplesperbuffer=1024 ! audio/x-raw,rate=48000,channels=1 ! {audio} ! mux.",
        path = path.display()
    ));
    format!("file:{}", path.display())
}

fn low_latency() -> SourceOptions {
    SourceOptions::new(Profile::LowLatency)
}

#[tokio::test]
async fn a_matroska_file_is_paced_and_ends() {
    let spec = clip("vp8.mkv", "vp8enc deadline=1", "vorbisenc", "matroskamux");
    let mut source = GstSource::open(&spec, &low_latency()).unwrap();
    let begun = Instant::now();
    let items = collect(&mut source, Duration::MAX).await;
    // S06: two seconds take at least nearly two.
    assert!(begun.elapsed() > Duration::from_millis(1700), "{:?}", begun.elapsed());
    check_contract(&items, Duration::from_millis(200));
    let tracks = tracks_of(&items);
    assert_eq!(tracks[0].kind, Kind::Video { width: 320, height: 240 });
    let pictures = objects_of(&items, 0);
    assert!((49..=51).contains(&pictures.len()), "{}", pictures.len());
    assert!(pictures.windows(2).all(|pair| pair[1].dts - pair[0].dts == 3600), "25 a second");
    let sound: u64 = objects_of(&items, 1).iter().map(|o| u64::from(o.duration)).sum();
    assert!((90_000..=100_000).contains(&sound), "{sound}");
    // S05
    assert_eq!(source.next().await.unwrap(), None);
    assert_eq!(source.next().await.unwrap(), None);
}

#[tokio::test]
async fn an_mp4_file_goes_round_and_round() {
    let spec = clip("h264.mp4", "x264enc ! h264parse", "avenc_aac ! aacparse", "mp4mux");
    let mut options = low_latency();
    (options.looped, options.video, options.audio) = (true, VideoCodec::Vp8, Some(AudioCodec::Aac));
    (options.size, options.fps) = (Some((160, 120)), Some(20));
    let mut source = GstSource::open(&spec, &options).unwrap();
    let items = collect(&mut source, Duration::from_millis(5000)).await;
    check_contract(&items, Duration::from_millis(200));
    assert_eq!(tracks_of(&items)[0].kind, Kind::Video { width: 160, height: 120 });
    for (track, second) in [(0, 90_000), (1, 48_000)] {
        for pair in objects_of(&items, track).windows(2) {
            assert!(pair[1].dts - pair[0].dts < second, "a hole in track {track}: {pair:?}");
        }
    }
    let last = objects_of(&items, 0).last().unwrap().dts;
    assert!(last >= 5 * 90_000, "ended after {last}");
    // The tracks are announced once: nothing changes from round to round.
    let announced = items.iter().filter(|i| matches!(i, beacon_sdk::media::Media::Tracks(_)));
    assert_eq!(announced.count(), 1);
}

#[tokio::test]
async fn a_file_without_sound_gives_one_track() {
    let path = scratch("silent.webm");
    run_pipeline(&format!(
        "videotestsrc num-buffers=20 ! video/x-raw,width=322,height=182,framerate=30/1 ! vp8enc \
         deadline=1 ! webmmux ! filesink location={}",
        path.display()
    ));
    let mut source = GstSource::open(&format!("file:{}", path.display()), &low_latency()).unwrap();
    let items = collect(&mut source, Duration::MAX).await;
    check_contract(&items, Duration::from_millis(200));
    assert_eq!(tracks_of(&items).len(), 1);
}

#[tokio::test]
async fn a_still_picture_is_a_short_video() {
    let path = scratch("still.png");
    run_pipeline(&format!(
        "videotestsrc num-buffers=1 ! video/x-raw,width=64,height=64 ! pngenc ! filesink location={}",
        path.display()
    ));
    let mut source = GstSource::open(&format!("file:{}", path.display()), &low_latency()).unwrap();
    let items = collect(&mut source, Duration::MAX).await;
    assert_eq!(tracks_of(&items).len(), 1);
    assert_eq!(objects_of(&items, 0).len(), 1);
}

/// Threads and open files of this process.
#[cfg(target_os = "linux")]
fn footprint() -> (usize, usize) {
    let count = |folder: &str| std::fs::read_dir(folder).unwrap().count();
    (count("/proc/self/task"), count("/proc/self/fd"))
}

/// Dropped unused and dropped in the middle: nothing hangs and nothing stays behind.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_dropped_source_leaves_nothing_behind() {
    let spec = clip("dropped.mkv", "vp8enc deadline=1", "vorbisenc", "matroskamux");
    let mut options = low_latency();
    options.looped = true;
    let mut before = (usize::MAX, usize::MAX);
    for round in 0..25 {
        let mut source = GstSource::open(&spec, &options).unwrap();
        if round % 2 == 0 {
            assert!(source.next().await.unwrap().is_some());
        }
        drop(source);
        if round == 4 {
            before = footprint();
        }
    }
    let after = footprint();
    // GLib keeps a few threads in reserve; one thread or file a round would be twenty.
    assert!(after.0 <= before.0 + 8 && after.1 <= before.1 + 8, "{before:?} became {after:?}");
}

#[test]
fn what_is_no_video_is_told_plainly() {
    let said = |path: &Path| {
        let spec = format!("file:{}", path.display());
        GstSource::open(&spec, &low_latency()).expect_err(&spec).to_string()
    };
    let missing = said(Path::new("no/such/clip.mp4"));
    assert!(missing.contains("no/such/clip.mp4 does not exist: check the path"), "{missing}");
    let empty = scratch("empty.mp4");
    std::fs::write(&empty, b"").unwrap();
    assert!(said(&empty).contains("is empty"), "{}", said(&empty));
    assert!(said(empty.parent().unwrap()).contains("is a folder"));
    let text = scratch("letter.mp4");
    std::fs::write(&text, "Dear Sir or Madam, this is no film.\n".repeat(200)).unwrap();
    assert!(said(&text).contains("is not a video that can be played"), "{}", said(&text));
    let noise = scratch("noise.mp4");
    let bytes: Vec<u8> =
        (0..60_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    std::fs::write(&noise, bytes).unwrap();
    assert!(said(&noise).contains("is not a video that can be played"), "{}", said(&noise));
    let sound = scratch("sound.ogg");
    run_pipeline(&format!(
        "audiotestsrc num-buffers=20 ! vorbisenc ! oggmux ! filesink location={}",
        sound.display()
    ));
    assert!(said(&sound).contains("has no picture"), "{}", said(&sound));
}

/// A file cut off in the middle plays as far as it goes, or says that it is broken.
#[tokio::test]
async fn a_torn_file_ends_in_a_word_or_an_end() {
    let spec = clip("whole.mkv", "vp8enc deadline=1", "vorbisenc", "matroskamux");
    let bytes = std::fs::read(spec.trim_start_matches("file:")).unwrap();
    let torn = scratch("torn.mkv");
    std::fs::write(&torn, &bytes[..bytes.len() / 2]).unwrap();
    let mut source = GstSource::open(&format!("file:{}", torn.display()), &low_latency()).unwrap();
    let mut objects = 0;
    let played = async {
        loop {
            match source.next().await {
                Ok(Some(_)) => objects += 1,
                Ok(None) => break,
                Err(error) => {
                    assert!(error.to_string().contains("torn.mkv"), "{error}");
                    break;
                }
            }
        }
    };
    tokio::time::timeout(common::PATIENCE, played).await.unwrap();
    assert!(objects > 10, "{objects}");
}
