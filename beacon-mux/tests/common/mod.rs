//! Tracks, objects and files for the tests.

#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use beacon_mux::{h264, opus};
use beacon_sdk::media::{Kind, Object, Track};
use beacon_sdk::{Instant, TrackId};
use bytes::Bytes;

pub const SPS_640X360: [u8; 25] = [
    0x67, 0x42, 0xc0, 0x1e, 0xd9, 0x00, 0xa0, 0x2f, 0xf9, 0x70, 0x11, 0x00, 0x00, 0x03, 0x00, 0x01,
    0x00, 0x00, 0x03, 0x00, 0x32, 0x0f, 0x16, 0x2e, 0x48,
];
pub const PPS: [u8; 5] = [0x68, 0xcb, 0x83, 0xcb, 0x20];

pub fn id(number: u8) -> TrackId {
    TrackId::new(number).unwrap()
}

pub fn video(number: u8) -> Track {
    let config = h264::config(&[&SPS_640X360], &[&PPS]).unwrap();
    Track {
        id: id(number),
        kind: Kind::Video { width: 640, height: 360 },
        codec: h264::codec_string(&config).unwrap(),
        config,
        timescale: 90_000,
        bitrate: 0,
        label: String::new(),
    }
}

pub fn audio(number: u8) -> Track {
    Track {
        id: id(number),
        kind: Kind::Audio { rate: 48_000, channels: 2 },
        codec: opus::CODEC.into(),
        config: opus::config(2, 312),
        timescale: 48_000,
        bitrate: 0,
        label: String::new(),
    }
}

pub fn aac(number: u8) -> Track {
    Track {
        kind: Kind::Audio { rate: 44_100, channels: 2 },
        codec: "mp4a.40.2".into(),
        config: Bytes::from_static(&[0x12, 0x10]),
        timescale: 44_100,
        ..audio(number)
    }
}

pub fn vp9(number: u8) -> Track {
    Track {
        codec: "vp09.00.31.08".into(),
        config: Bytes::from_static(&[1, 0, 0, 0, 0, 31, 0x82, 1, 1, 1, 0, 0]),
        ..video(number)
    }
}

pub fn av1(number: u8) -> Track {
    Track {
        codec: "av01.0.04M.08".into(),
        config: Bytes::from_static(&[0x81, 0x04, 0x0c, 0x00, 0x0a, 0x01, 0x00]),
        ..video(number)
    }
}

/// An object whose bytes tell its place.
pub fn object(track: TrackId, dts: u64, duration: u32, keyframe: bool, len: usize) -> Object {
    let data = (0..len).map(|at| (dts as usize + at * 7 + usize::from(track.get())) as u8);
    Object {
        track,
        dts,
        cts: 0,
        duration,
        keyframe,
        layer: 0,
        captured: Instant::ZERO,
        data: data.collect(),
    }
}
