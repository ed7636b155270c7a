//! Records the test pattern, or passes an MP4 file through, into a fragmented MP4 file:
//! `record OUT.mp4 SECONDS [WIDTHxHEIGHT | IN.mp4]`.

use beacon_codec_lite::{FileSink, Mp4File, TestPattern, TestPatternOptions};
use beacon_sdk::media::{Media, Object, Playout};
use beacon_sdk::{SegmentId, Sink, Source};
use std::collections::BTreeMap;
use std::error::Error;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [out, seconds, input @ ..] = &arguments[..] else {
        return Err("use: record OUT.mp4 SECONDS [WIDTHxHEIGHT | IN.mp4]".into());
    };
    let limit = seconds.parse::<u64>()? * 1_000_000;
    let input = input.first().map_or("640x360", String::as_str);
    let mut source: Box<dyn Source> = match input.split_once('x') {
        Some((width, height)) if height.parse::<u16>().is_ok() => {
            let (width, height) = (width.parse()?, height.parse()?);
            let video_bitrate = u32::from(width) * u32::from(height) * 7 / 2;
            let options = TestPatternOptions { width, height, video_bitrate, ..Default::default() };
            Box::new(TestPattern::new(options)?)
        }
        _ => Box::new(Mp4File::open(input, true)?),
    };
    let mut sink = FileSink::create(out)?;
    let Some(Media::Tracks(tracks)) = source.next().await? else { return Ok(()) };
    sink.write(Playout::Tracks(tracks.clone())).await?;
    // One segment per group: what the engine's segmenter does, without its limits.
    let mut open: BTreeMap<_, (u32, Vec<Object>)> = BTreeMap::new();
    while let Some(Media::Object(object)) = source.next().await? {
        let track = tracks.iter().find(|track| track.id == object.track);
        let Some(track) = track.filter(|track| track.micros(object.dts) < limit) else { break };
        let (seq, objects) = open.entry(track.id).or_default();
        let full = if track.is_video() { object.keyframe } else { objects.len() == 25 };
        if full && !objects.is_empty() {
            let id = SegmentId { track: track.id, seq: *seq };
            let objects = std::mem::take(objects);
            sink.write(Playout::Segment { id, group_start: true, objects }).await?;
            *seq += 1;
        }
        objects.push(object);
    }
    for (track, (seq, objects)) in open {
        let id = SegmentId { track, seq };
        sink.write(Playout::Segment { id, group_start: true, objects }).await?;
    }
    sink.finish().await?;
    Ok(())
}
