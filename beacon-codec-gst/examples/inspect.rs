//! What a source gives: `cargo run -p beacon-codec-gst --example inspect -- test 10 [vp8|vp9] [window|FILE.webm|FILE.mkv]`.
//!
//! Prints the tracks, then cadence, rates and the delay from capture to encoded object. With a
//! sink, shows or writes what comes.
#![allow(clippy::unwrap_used)]

use beacon_codec_gst::{GstSink, GstSource, SinkOptions, SourceOptions, VideoCodec};
use beacon_sdk::media::{Media, Playout};
use beacon_sdk::{Profile, SegmentId, Sink, Source};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let arg = |n: usize, default: &str| args.get(n).map_or(default.to_owned(), String::clone);
    let seconds: u64 = arg(1, "10").parse()?;
    let mut options = SourceOptions::new(Profile::Live);
    options.video = match arg(2, "h264").as_str() {
        "vp8" => VideoCodec::Vp8,
        "vp9" => VideoCodec::Vp9,
        _ => VideoCodec::H264,
    };
    let mut source = GstSource::open(&arg(0, "test"), &options)?;
    let mut sink = match arg(3, "").as_str() {
        "" => None,
        "window" => Some(GstSink::open("window", &SinkOptions::default())?),
        path => Some(GstSink::open(&format!("file:{path}"), &SinkOptions::default())?),
    };
    let (mut objects, mut bytes, mut keys, mut delays) = (0_u32, 0, 0, Vec::new());
    let until = Instant::now() + Duration::from_secs(seconds);
    while Instant::now() < until {
        let Some(item) = source.next().await? else { break };
        let playout = match item {
            Media::Tracks(tracks) => {
                println!("{tracks:#?}");
                Playout::Tracks(tracks)
            }
            Media::Object(object) => {
                let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_micros() as u64;
                if object.track.get() == 0 {
                    delays.push(now.saturating_sub(object.captured.as_micros()));
                    keys += u32::from(object.keyframe);
                }
                (objects, bytes) = (objects + 1, bytes + object.data.len());
                let id = SegmentId { track: object.track, seq: objects };
                Playout::Segment { id, group_start: object.keyframe, objects: vec![object] }
            }
        };
        if let Some(sink) = &mut sink {
            sink.write(playout).await?;
        }
    }
    if let Some(sink) = &mut sink {
        sink.finish().await?;
    }
    delays.sort_unstable();
    let at = |percent: usize| delays.get(delays.len().saturating_sub(1) * percent / 100);
    println!("{objects} objects, {} pictures, {keys} keyframes, {bytes} bytes", delays.len());
    println!("capture to object: p50 {:?} p95 {:?} p99 {:?} µs", at(50), at(95), at(99));
    Ok(())
}
