//! Files as others write them: ordinary MP4, edit lists, damage.

#![allow(clippy::unwrap_used)]

mod common;

use beacon_mux::{ReadError, Reader, fragment, init_segment};
use beacon_sdk::SegmentId;
use beacon_sdk::media::Track;
use common::{aac, audio, id, object, video};
use mp4_atom::{
    Ctts, CttsEntry, Decode, Edts, Elst, ElstEntry, Encode, Mdat, Moov, Stco, Stsc, StscEntry,
    Stss, Stsz, StszSamples, Stts, SttsEntry,
};
use proptest::prelude::*;
use std::io::Cursor;

/// The `moov` our writer makes, without its fragment defaults, to be filled with tables.
fn moov(tracks: &[Track]) -> Moov {
    let init = init_segment(tracks).unwrap();
    let ftyp = u32::from_be_bytes(*init.first_chunk().unwrap()) as usize;
    let mut moov = Moov::decode(&mut &init[ftyp..]).unwrap();
    moov.mvex = None;
    moov
}

fn boxed(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let mut out = (body.len() as u32 + 8).to_be_bytes().to_vec();
    out.extend_from_slice(kind);
    out.extend_from_slice(body);
    out
}

/// `ftyp`, `mdat`, `moov` with a video track of B-frames (I P B B, shown I B B P) and AAC.
fn ordinary() -> Vec<u8> {
    let mut file = boxed(b"ftyp", b"isom\0\0\0\0isom");
    let data: Vec<u8> = (0..100).collect();
    let at = file.len() as u32 + 8;
    Mdat { data }.encode(&mut file).unwrap();
    let mut moov = moov(&[video(0), aac(1)]);
    moov.mvhd.timescale = 600;
    let edit = |media_time| Edts {
        elst: Some(Elst {
            entries: vec![ElstEntry { segment_duration: 600, media_time, media_rate: 1.into() }],
        }),
    };
    let stbl = &mut moov.trak[0].mdia.minf.stbl;
    stbl.stts = Stts { entries: vec![SttsEntry { sample_count: 4, sample_delta: 3000 }] };
    let offsets = [3000, 9000, 0, 0];
    let ctts = offsets.map(|sample_offset| CttsEntry { sample_count: 1, sample_offset });
    stbl.ctts = Some(Ctts { entries: ctts.to_vec() });
    stbl.stss = Some(Stss { entries: vec![1] });
    let run = |first_chunk, samples_per_chunk| StscEntry {
        first_chunk,
        samples_per_chunk,
        sample_description_index: 1,
    };
    stbl.stsc = Stsc { entries: vec![run(1, 3), run(2, 1)] };
    stbl.stsz = Stsz { samples: StszSamples::Different { sizes: vec![40, 10, 5, 5] } };
    stbl.stco = Some(Stco { entries: vec![at, at + 80] });
    moov.trak[0].edts = Some(edit(Some(3000)));
    let stbl = &mut moov.trak[1].mdia.minf.stbl;
    stbl.stts = Stts { entries: vec![SttsEntry { sample_count: 3, sample_delta: 1024 }] };
    stbl.stsc = Stsc { entries: vec![run(1, 3)] };
    stbl.stsz = Stsz { samples: StszSamples::Identical { count: 3, size: 5 } };
    stbl.stco = Some(Stco { entries: vec![at + 60] });
    moov.trak[1].edts = Some(edit(Some(1024)));
    moov.encode(&mut file).unwrap();
    file
}

#[test]
fn ordinary_file_with_b_frames_and_edit_lists() {
    let mut reader = Reader::open(Cursor::new(ordinary())).unwrap();
    assert_eq!(reader.tracks().len(), 2);
    assert_eq!(reader.tracks()[0].codec, video(0).codec);
    assert_eq!(reader.tracks()[0].config, video(0).config);
    assert_eq!(reader.tracks()[0].bitrate, 60 * 8 * 90_000 / 12_000);
    let shown: Vec<_> = reader
        .samples(id(0))
        .iter()
        .map(|s| (s.dts, s.dts as i64 + i64::from(s.cts), s.size, s.keyframe))
        .collect();
    // One frame (3000 ticks) is taken off by the edit list and given to all tracks.
    assert_eq!(
        shown,
        [
            (0, 3000, 40, true),
            (3000, 12_000, 10, false),
            (6000, 6000, 5, false),
            (9000, 9000, 5, false)
        ]
    );
    // 3000/90000 s is 1470 ticks at 44.1 kHz; priming takes 1024 of them.
    let sound: Vec<_> = reader.samples(id(1)).iter().map(|s| s.dts).collect();
    assert_eq!(sound, [446, 1470, 2494]);
    let mut order = Vec::new();
    while let Some(object) = reader.next_object().unwrap() {
        order.push((object.track.get(), object.data[0]));
        assert!(object.track == id(0) || object.keyframe);
    }
    assert_eq!(order, [(0, 0), (1, 60), (0, 40), (1, 65), (1, 70), (0, 50), (0, 80)]);
    reader.rewind();
    assert_eq!(reader.next_object().unwrap().unwrap().data.len(), 40);
}

#[test]
fn every_prefix_is_an_error_or_whole() {
    let file = ordinary();
    for len in 0..file.len() {
        let error = Reader::open(Cursor::new(&file[..len])).unwrap_err();
        match len {
            0 => assert!(matches!(error, ReadError::Empty)),
            1..8 => assert!(matches!(error, ReadError::NotMp4), "{len}: {error}"),
            _ => assert!(matches!(error, ReadError::Truncated(_)), "{len}: {error}"),
        }
    }
}

#[test]
fn a_killed_recording_keeps_its_whole_fragments() {
    let mut file = init_segment(&[video(0)]).unwrap();
    let mut ends = vec![file.len()];
    for seq in 0..3 {
        let objects = [object(id(0), u64::from(seq) * 3000, 3000, true, 30)];
        file.extend(fragment(SegmentId { track: id(0), seq }, &objects).unwrap());
        ends.push(file.len());
    }
    for len in ends[0]..=file.len() {
        let whole = ends.iter().filter(|end| **end <= len).count() - 1;
        match Reader::open(Cursor::new(&file[..len])) {
            Ok(reader) => {
                assert_eq!(reader.samples(id(0)).len(), whole, "{len}");
                assert_eq!(reader.torn(), !ends.contains(&len), "{len}");
            }
            Err(error) => {
                assert_eq!(whole, 0);
                assert!(matches!(error, ReadError::Truncated(_)), "{error}");
            }
        }
    }
}

#[test]
fn what_it_is_not_is_named() {
    let open = |bytes: &[u8]| Reader::open(Cursor::new(bytes.to_vec())).unwrap_err();
    assert!(matches!(open(b"# a text file, no video"), ReadError::NotMp4));
    assert!(matches!(open(b"\x1aE\xdf\xa3 a Matroska file"), ReadError::NotMp4));
    let rename = |tracks: &[Track], from: &[u8; 4], to: &[u8; 4]| {
        let mut init = init_segment(tracks).unwrap();
        let at = init.windows(4).position(|window| window == from).unwrap();
        init[at..at + 4].copy_from_slice(to);
        open(&init)
    };
    let hevc = rename(&[video(0), aac(1)], b"avc1", b"hvc1");
    assert!(matches!(&hevc, ReadError::Video { found } if found == "hvc1"), "{hevc}");
    let ac3 = rename(&[audio(1)], b"Opus", b"ac-3");
    assert!(matches!(&ac3, ReadError::NoTrack { found } if found == "ac-3"), "{ac3}");
    let empty = open(&init_segment(&[video(0)]).unwrap());
    assert!(matches!(empty, ReadError::Truncated(_)), "{empty}");
}

#[test]
fn nested_headers_do_not_exhaust_the_stack() {
    // Half a million boxes, each inside the one before; a recursive parser overflows.
    let mut nested = Vec::new();
    for depth in 0..500_000_u32 {
        nested.extend_from_slice(&(8 * (500_000 - depth)).to_be_bytes());
        nested.extend_from_slice(b"moov");
    }
    let mut file = boxed(b"ftyp", b"isom\0\0\0\0isom");
    file.extend_from_slice(&nested);
    assert!(matches!(Reader::open(Cursor::new(file)), Err(ReadError::NoTrack { .. })));
}

#[test]
fn claims_beyond_the_file_allocate_nothing() {
    let mut file = boxed(b"ftyp", b"isom\0\0\0\0isom");
    let mut moov = moov(&[audio(1)]);
    let stbl = &mut moov.trak[0].mdia.minf.stbl;
    stbl.stts = Stts { entries: vec![SttsEntry { sample_count: u32::MAX, sample_delta: 1 }] };
    stbl.stsz = Stsz { samples: StszSamples::Identical { count: u32::MAX, size: 1 } };
    stbl.stco = Some(Stco { entries: vec![0] });
    moov.encode(&mut file).unwrap();
    let error = Reader::open(Cursor::new(file)).unwrap_err();
    assert!(matches!(error, ReadError::Malformed(_)), "{error}");
    let huge = [&[0, 0, 0, 1][..], b"moov", &u64::MAX.to_be_bytes()].concat();
    assert!(matches!(Reader::open(Cursor::new(huge)), Err(ReadError::Truncated(_))));
}

proptest! {
    #[test]
    fn damaged_files_never_panic(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in proptest::option::of(any::<prop::sample::Index>()),
    ) {
        let mut file = ordinary();
        for (at, byte) in changes {
            let at = at.index(file.len());
            file[at] = byte;
        }
        if let Some(cut) = cut {
            file.truncate(cut.index(file.len()));
        }
        if let Ok(mut reader) = Reader::open(Cursor::new(&file)) {
            let mut bytes = 0;
            while let Ok(Some(object)) = reader.next_object() {
                bytes += object.data.len();
            }
            // Each sample lies in the file, and there are fewer of them than bytes.
            prop_assert!(bytes <= file.len() * file.len());
        }
    }
}
