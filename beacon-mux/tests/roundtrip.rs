//! What is written is read back, by this crate and by an independent parser.

#![allow(clippy::unwrap_used)]

mod common;

use beacon_mux::{Append, MuxError, Reader, Recorder, fragment, init_segment};
use beacon_sdk::SegmentId;
use beacon_sdk::media::{Object, Playout, Track};
use common::{aac, audio, av1, id, object, video, vp9};
use mp4_atom::{Any, Codec, ReadFrom};
use proptest::prelude::*;
use std::io::Cursor;

/// Segments of one track: group starts, holes between segments, B-frame offsets.
fn segments(track: Track) -> impl Strategy<Value = Vec<(SegmentId, Vec<Object>)>> {
    let is_video = track.is_video();
    let object = (0_u32..5000, -3000_i32..3000, 1_usize..300, any::<bool>());
    let segment = (0_u64..10_000, proptest::collection::vec(object, 1..8));
    let start = prop_oneof![Just(0_u64), 0..u64::MAX / 2];
    (start, proptest::collection::vec(segment, 1..6)).prop_map(move |(start, segments)| {
        let mut dts = start;
        let mut out = Vec::new();
        for (seq, (hole, objects)) in segments.into_iter().enumerate() {
            dts += hole;
            let mut segment = Vec::new();
            for (at, (duration, cts, len, key)) in objects.into_iter().enumerate() {
                let key = !is_video || key || at == 0;
                let object = Object { cts, ..common::object(track.id, dts, duration, key, len) };
                segment.push(object);
                dts += u64::from(duration);
            }
            out.push((SegmentId { track: track.id, seq: seq as u32 }, segment));
        }
        out
    })
}

/// Where the objects say nothing of it, tracks come back without bit rate and label.
fn bare(tracks: &[Track]) -> Vec<Track> {
    tracks.iter().map(|track| Track { bitrate: 0, label: String::new(), ..track.clone() }).collect()
}

fn read_back(file: Vec<u8>) -> (Vec<Track>, Vec<Object>) {
    let mut reader = Reader::open(Cursor::new(file)).unwrap();
    assert!(!reader.torn());
    let tracks = bare(reader.tracks());
    let mut objects = Vec::new();
    while let Some(object) = reader.next_object().unwrap() {
        objects.push(object);
    }
    (tracks, objects)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn objects_come_back(
        video_segments in segments(video(3)),
        audio_segments in segments(audio(7)),
    ) {
        let tracks = [video(3), audio(7)];
        let mut file = init_segment(&tracks).unwrap();
        // Fragments of two tracks interleave in any order; each track keeps its own.
        let (mut left, mut right) = (video_segments.iter(), audio_segments.iter());
        loop {
            let pair = [left.next(), right.next()];
            if pair == [None, None] {
                break;
            }
            for (segment, objects) in pair.into_iter().flatten() {
                file.extend(fragment(*segment, objects).unwrap());
            }
        }
        let (found, objects) = read_back(file);
        prop_assert_eq!(found, tracks);
        for wanted in [&video_segments, &audio_segments] {
            let track = wanted[0].0.track;
            let wanted: Vec<_> = wanted.iter().flat_map(|(_, objects)| objects.clone()).collect();
            let got: Vec<_> = objects.iter().filter(|o| o.track == track).cloned().collect();
            prop_assert_eq!(got, wanted);
        }
    }

    #[test]
    fn hostile_files_never_panic(
        segments in segments(video(0)),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut file = init_segment(&[video(0), aac(1)]).unwrap();
        for (segment, objects) in &segments {
            file.extend(fragment(*segment, objects).unwrap());
        }
        file.truncate(cut.index(file.len()) + 1);
        for (at, byte) in changes {
            let at = at.index(file.len());
            file[at] = byte;
        }
        if let Ok(mut reader) = Reader::open(Cursor::new(file)) {
            while let Ok(Some(object)) = reader.next_object() {
                prop_assert!(!object.data.is_empty());
            }
        }
    }
}

#[test]
fn a_fragment_is_what_its_segment_says() {
    let objects = [object(id(5), 90_000, 3000, true, 40), object(id(5), 93_000, 3000, false, 7)];
    let segment = SegmentId { track: id(5), seq: 41 };
    let bytes = fragment(segment, &objects).unwrap();
    assert_eq!(bytes.len(), 96 + 2 * 16 + 47, "no byte that is not accounted for");
    let mut rest = &bytes[..];
    let Any::Moof(moof) = Any::read_from(&mut rest).unwrap() else { panic!("moof comes first") };
    assert_eq!(moof.mfhd.sequence_number, 42);
    let traf = &moof.traf[0];
    assert_eq!((moof.traf.len(), traf.tfhd.track_id), (1, 6));
    assert!(traf.tfhd.default_base_is_moof);
    assert_eq!(traf.tfdt.as_ref().unwrap().base_media_decode_time, 90_000);
    let samples: Vec<_> = traf.trun[0].samples.iter().collect();
    assert_eq!(samples.iter().map(|s| s.size.unwrap()).collect::<Vec<_>>(), [40, 7]);
    assert_eq!(samples[1].flags.unwrap(), 0x0101_0000);
    let data_at = traf.trun[0].data_offset.unwrap() as usize;
    assert_eq!(bytes[data_at..data_at + 40], objects[0].data[..]);
    assert!(matches!(Any::read_from(&mut rest).unwrap(), Any::Mdat(mdat) if mdat.data.len() == 47));
    assert!(rest.is_empty());
}

#[test]
fn a_sample_lasts_until_the_next_one() {
    let dropped = [object(id(0), 0, 3000, true, 9), object(id(0), 9000, 3000, false, 9)];
    let mut file = init_segment(&[video(0)]).unwrap();
    file.extend(fragment(SegmentId { track: id(0), seq: 0 }, &dropped).unwrap());
    let (_, objects) = read_back(file);
    assert_eq!(
        objects.iter().map(|o| (o.dts, o.duration)).collect::<Vec<_>>(),
        [(0, 9000), (9000, 3000)]
    );
}

#[test]
fn every_codec_is_understood_elsewhere() {
    let tracks = [video(0), vp9(1), av1(2), audio(3), aac(4)];
    let init = init_segment(&tracks).unwrap();
    let mut rest = &init[..];
    assert!(matches!(Any::read_from(&mut rest).unwrap(), Any::Ftyp(_)));
    let Any::Moov(moov) = Any::read_from(&mut rest).unwrap() else { panic!("moov follows ftyp") };
    assert_eq!(moov.mvex.unwrap().trex.len(), 5);
    for (trak, track) in moov.trak.iter().zip(&tracks) {
        assert_eq!(trak.tkhd.track_id, u32::from(track.id.get()) + 1);
        assert_eq!(trak.mdia.mdhd.timescale, track.timescale);
    }
    let codec = |at: usize| &moov.trak[at].mdia.minf.stbl.stsd.codecs[0];
    assert!(matches!(codec(0), Codec::Avc1(avc) if avc.visual.width == 640
        && avc.avcc.sequence_parameter_sets == [common::SPS_640X360]));
    assert!(matches!(codec(1), Codec::Vp09(vp9) if vp9.vpcc.level == 31));
    assert!(matches!(codec(2), Codec::Av01(av1) if av1.av1c.seq_level_idx_0 == 4));
    assert!(matches!(codec(3), Codec::Opus(opus) if opus.dops.pre_skip == 312));
    assert!(matches!(codec(4), Codec::Mp4a(aac)
        if aac.esds.es_desc.dec_config.dec_specific.as_ref().unwrap().raw == [0x12, 0x10]));
}

#[test]
fn what_does_not_go_into_mp4_is_named() {
    let vp8 = Track { codec: "vp8".into(), ..video(2) };
    let error = init_segment(&[vp8]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "track 2: codec \"vp8\" does not go into MP4; use H.264, VP9, AV1, Opus or AAC"
    );
    let bare = Track { config: bytes::Bytes::new(), ..video(2) };
    assert!(matches!(init_segment(&[bare]), Err(MuxError::Config { needs: "avcC", .. })));
    let sound_as_picture = Track { codec: "opus".into(), ..video(2) };
    assert!(matches!(init_segment(&[sound_as_picture]), Err(MuxError::Codec { .. })));
    let segment = SegmentId { track: id(1), seq: 0 };
    assert!(fragment(segment, &[]).is_err());
    assert!(fragment(segment, &[object(id(2), 0, 1, true, 1)]).is_err());
    let back = [object(id(1), 5, 1, true, 1), object(id(1), 4, 1, true, 1)];
    assert!(fragment(segment, &back).is_err());
}

fn segment(track: u8, seq: u32, group_start: bool) -> Playout {
    let dts = u64::from(seq) * 3000;
    let objects = vec![object(id(track), dts, 3000, group_start, 20 + seq as usize)];
    Playout::Segment { id: SegmentId { track: id(track), seq }, group_start, objects }
}

#[test]
fn a_late_recording_is_the_tail_of_an_early_one() {
    let tracks = Playout::Tracks(vec![video(0), audio(1)]);
    let playout: Vec<_> =
        (0..12).flat_map(|seq| [segment(0, seq, seq % 4 == 0), segment(1, seq, true)]).collect();
    let record = |items: &[Playout]| {
        let mut recorder = Recorder::new();
        let mut file = Vec::new();
        let mut init_len = 0;
        for item in core::iter::once(&tracks).chain(items) {
            match recorder.push(item).unwrap() {
                Append::Init(bytes) => {
                    init_len = bytes.len();
                    file.extend(bytes);
                }
                Append::Fragment(bytes) => file.extend(bytes),
                Append::Nothing => {}
            }
        }
        (file, init_len)
    };
    let (whole, init_len) = record(&playout);
    let (late, _) = record(&playout[8..]);
    assert_eq!(late[..init_len], whole[..init_len]);
    assert!(whole.ends_with(&late[init_len..]), "from segment 4 on, byte for byte");
}

#[test]
fn after_a_gap_a_track_goes_on_at_its_next_group() {
    let mut recorder = Recorder::new();
    let mut push = |item: &Playout| recorder.push(item).unwrap();
    assert!(matches!(push(&Playout::Tracks(vec![video(0), audio(1)])), Append::Init(_)));
    assert_eq!(push(&segment(0, 1, false)), Append::Nothing, "joined inside a group");
    assert!(matches!(push(&segment(0, 2, true)), Append::Fragment(_)));
    assert!(matches!(push(&segment(0, 3, false)), Append::Fragment(_)));
    assert_eq!(push(&Playout::Gap { id: SegmentId { track: id(0), seq: 4 } }), Append::Nothing);
    assert_eq!(push(&segment(0, 5, false)), Append::Nothing);
    assert!(matches!(push(&segment(1, 5, true)), Append::Fragment(_)), "sound goes on");
    assert!(matches!(push(&segment(0, 6, true)), Append::Fragment(_)));
    assert_eq!(push(&Playout::Tracks(vec![video(0), audio(1)])), Append::Nothing, "unchanged");
    assert!(matches!(push(&Playout::Tracks(vec![vp9(0), audio(1)])), Append::Init(_)));
    assert_eq!(push(&segment(0, 7, false)), Append::Nothing, "a new configuration is a new start");
    assert_eq!(push(&Playout::End), Append::Nothing);
    assert_eq!(recorder.push(&segment(9, 0, true)), Err(MuxError::Unannounced(id(9))));
}
