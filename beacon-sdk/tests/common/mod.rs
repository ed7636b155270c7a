//! What several tests are made of.

mod parity;

use beacon_sdk::engine::Parts;
use beacon_sdk::media::{Kind, Track};
use beacon_sdk::policy::{MeshScore, OpenLedger, PushPull};
use beacon_sdk::{Config, TrackId};
use bytes::Bytes;
use parity::Parity;

/// The policies an application gets by default, and a code that makes repair symbols.
pub fn parts(config: &Config) -> Parts {
    Parts {
        scheduler: Box::new(PushPull::new(config)),
        scorer: Box::new(MeshScore::default()),
        ledger: Box::new(OpenLedger::default()),
        code: Box::new(Parity),
    }
}

pub fn track(id: u8, kind: Kind, codec: &str, timescale: u32) -> Track {
    Track {
        id: TrackId::new(id).unwrap(),
        kind,
        codec: codec.into(),
        config: Bytes::from_static(b"config"),
        timescale,
        bitrate: 1_000_000,
        label: String::new(),
    }
}
