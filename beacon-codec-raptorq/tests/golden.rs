//! Repair bytes are part of the protocol: a peer re-creates symbols whose hashes another peer,
//! perhaps of another release, has signed. A change of these values needs a new `ErasureCode::id`.

#![allow(clippy::unwrap_used)]

mod support;

use beacon_codec_raptorq::RaptorQ;
use beacon_sdk::{ErasureCode, Layout};
use raptorq::{ObjectTransmissionInformation, SourceBlockEncoder};
use sha2::{Digest, Sha256};
use std::fmt::Write;

fn digest(layout: &Layout) -> String {
    let payload = support::payload(layout, 1);
    let esis: Vec<u16> = (layout.source()..layout.total()).collect();
    let mut hash = Sha256::new();
    for symbol in RaptorQ::new().repair(layout, &payload, &esis).unwrap() {
        hash.update(&symbol);
    }
    hash.finalize()[..8].iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").unwrap();
        hex
    })
}

/// K, T, bytes short of K × T, R, and the first 8 bytes of SHA-256 over all repair symbols of the
/// payload that `ChaCha8Rng::seed_from_u64(1)` fills.
const GOLDEN: &[(u16, u16, u16, u16, &str)] = &[
    (8, 64, 0, 8, "9027aa0f61f0a015"),
    (8, 1088, 1, 4, "4163701ee2a4b025"),
    (10, 64, 63, 10, "58b03872fb460fdd"),
    (11, 1024, 5, 3, "d989660b31da873f"),
    (46, 1088, 0, 12, "5cb4efa82666930b"),
    (47, 1088, 700, 47, "5f1254625f23419d"),
    (92, 1088, 17, 23, "55785cb95ccd5938"),
    (230, 960, 0, 58, "fc45b5e9e4bd8d8a"),
    (249, 64, 0, 249, "8deae15f214f5420"),
    (1000, 1088, 1087, 250, "909ba8cbed6da1c2"),
    (2048, 1088, 0, 512, "011c5e106db13716"),
];

#[test]
fn repair_bytes_never_change() {
    let found: Vec<_> = GOLDEN
        .iter()
        .map(|&(k, t, missing, r, _)| {
            (k, t, missing, r, digest(&support::layout(k, t, missing, r)))
        })
        .collect();
    let wanted: Vec<_> =
        GOLDEN.iter().map(|&(k, t, missing, r, hash)| (k, t, missing, r, hash.into())).collect();
    assert_eq!(found, wanted);
}

/// Encoding whole blocks of K′ symbols is a short cut that must not show: a peer with a plain
/// RFC 6330 encoder for K symbols makes the same bytes.
#[test]
fn repair_bytes_are_those_of_rfc_6330_for_k() {
    let mut code = RaptorQ::new();
    for k in (8..=130).chain([249, 250, 251, 1000, 1021, 2041, 2048]) {
        let layout = support::layout(k, 64, 3, 4);
        let payload = support::payload(&layout, u64::from(k));
        let plain = ObjectTransmissionInformation::new(payload.len() as u64, 64, 1, 1, 8);
        let plain = SourceBlockEncoder::new(0, &plain, &payload).repair_packets(0, 4);
        let plain: Vec<_> = plain.into_iter().map(|packet| packet.split().1).collect();
        assert_eq!(code.repair(&layout, &payload, &[k, k + 1, k + 2, k + 3]).unwrap(), plain);
    }
}
