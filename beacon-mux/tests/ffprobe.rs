//! ffmpeg's demuxer agrees with what is written, and this reader with what ffmpeg writes.
//! Needs `ffprobe` and `ffmpeg`; run with `--features external-tools`.

#![cfg(feature = "external-tools")]
#![allow(clippy::unwrap_used)]

use beacon_mux::{Reader, fragment, init_segment};
use beacon_sdk::SegmentId;
use beacon_sdk::media::{Object, Track};
use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::process::Command;

fn run(program: &str, arguments: &[&str], file: &Path) -> String {
    let output = Command::new(program).args(arguments).arg(file).output().unwrap_or_else(|error| {
        panic!("{program} cannot be run ({error}); install it: apt-get install ffmpeg")
    });
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{program}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

/// Three seconds of picture with B-frames and AAC or Opus sound.
fn make(file: &Path, sound: &str, layout: &[&str]) {
    let input = "-v error -f lavfi -i testsrc2=size=320x180:rate=25:duration=3 -f lavfi -i \
                 sine=frequency=440:duration=3 -c:v libx264 -g 25 -bf 2 -c:a";
    let arguments: Vec<_> =
        input.split_whitespace().chain([sound]).chain(layout.iter().copied()).collect();
    run("ffmpeg", &arguments, file);
}

/// A packet as ffprobe reports it: dts, pts, bytes, keyframe.
type Packet = (i64, i64, u32, bool);

fn packets(file: &Path, streams: &str) -> Vec<Packet> {
    let arguments = ["-v", "error", "-show_packets", "-select_streams", streams, "-of", "json"];
    let report: serde_json::Value =
        serde_json::from_str(&run("ffprobe", &arguments, file)).unwrap();
    let packet = |packet: &serde_json::Value| {
        let key = packet["flags"].as_str().unwrap().starts_with('K');
        let size = packet["size"].as_str().unwrap().parse().unwrap();
        (packet["dts"].as_i64().unwrap(), packet["pts"].as_i64().unwrap(), size, key)
    };
    report["packets"].as_array().unwrap().iter().map(packet).collect()
}

/// What this crate reads of a track, in the same form.
fn ours(reader: &Reader<File>, track: &Track) -> Vec<Packet> {
    let packet = |sample: &beacon_mux::Sample| {
        let dts = sample.dts as i64;
        (dts, dts + i64::from(sample.cts), sample.size, sample.keyframe)
    };
    reader.samples(track.id).iter().map(packet).collect()
}

/// The same packets, counted from a common start.
fn moved(packets: &[Packet], by: i64) -> Vec<Packet> {
    packets.iter().map(|(dts, pts, size, key)| (dts + by, pts + by, *size, *key)).collect()
}

#[test]
fn files_of_ffmpeg_read_as_ffprobe_reads_them() {
    let folder = tempfile::tempdir().unwrap();
    let layouts: [&[&str]; 4] = [
        &[],
        &["-movflags", "+faststart"],
        &["-movflags", "frag_keyframe+empty_moov+default_base_moof"],
        &["-movflags", "frag_keyframe+delay_moov"],
    ];
    for (at, layout) in layouts.into_iter().enumerate() {
        let path = folder.path().join(format!("{at}.mp4"));
        make(&path, if at % 2 == 0 { "aac" } else { "libopus" }, layout);
        let reader = Reader::open(File::open(&path).unwrap()).unwrap();
        let (mut apart, mut theirs_apart) = (0.0, 0.0);
        for (track, stream) in reader.tracks().iter().zip(["v", "a"]) {
            let (ours, theirs) = (ours(&reader, track), packets(&path, stream));
            assert!(stream == "a" || ours.iter().any(|(dts, pts, ..)| pts > dts), "B-frames");
            // ffprobe counts from the edit lists' zero, this reader from the earliest sample.
            let shift = ours[0].0 - theirs[0].0;
            assert_eq!(ours, moved(&theirs, shift), "layout {at}, {stream}");
            let first = |packets: &[Packet]| packets.iter().map(|packet| packet.1).min().unwrap();
            let seconds = |ticks: i64| ticks as f64 / f64::from(track.timescale);
            apart = seconds(first(&ours)) - apart;
            theirs_apart = seconds(first(&theirs)) - theirs_apart;
        }
        assert!(f64::abs(apart - theirs_apart) < 0.0001, "{apart} {theirs_apart} in layout {at}");
    }
}

#[test]
fn ffprobe_sees_every_packet_of_what_is_written() {
    let folder = tempfile::tempdir().unwrap();
    for sound in ["aac", "libopus"] {
        let (path, copy) = (folder.path().join("in.mp4"), folder.path().join("out.mp4"));
        make(&path, sound, &["-y"]);
        let mut reader = Reader::open(File::open(&path).unwrap()).unwrap();
        let tracks = reader.tracks().to_vec();
        let mut file = init_segment(&tracks).unwrap();
        // One segment per group of pictures, and per 10 packets of sound.
        let mut open: BTreeMap<_, (u32, Vec<Object>)> = BTreeMap::new();
        while let Some(object) = reader.next_object().unwrap() {
            let (seq, objects) = open.entry(object.track).or_default();
            let video = object.track == tracks[0].id;
            if !objects.is_empty() && object.keyframe && (video || objects.len() == 10) {
                let id = SegmentId { track: object.track, seq: *seq };
                file.extend(fragment(id, objects).unwrap());
                objects.clear();
                *seq += 1;
            }
            objects.push(object);
        }
        for (track, (seq, objects)) in open {
            file.extend(fragment(SegmentId { track, seq }, &objects).unwrap());
        }
        std::fs::write(&copy, file).unwrap();
        for (track, stream) in tracks.iter().zip(["v", "a"]) {
            assert_eq!(packets(&copy, stream), ours(&reader, track), "{stream} with {sound}");
        }
        // Every picture and every sound decodes without a complaint.
        let decode = ["-v", "warning", "-nostdin", "-i", copy.to_str().unwrap(), "-f", "null"];
        run("ffmpeg", &decode, Path::new("-"));
    }
}
