//! Signed records and payloads. The signature is made here: what is authentic need not be sane.

use crate::rogue::{Rogue, description, manifest};
use beacon_sdk::media::{Description, Manifest, Playout};
use beacon_sdk::{BroadcastId, Identity};
use bytes::Bytes;
use std::time::Duration;

/// Payloads above this would only slow the fuzzer.
const PAYLOAD_MAX: usize = 4096;

/// Input: which of three, then a record's body, or a payload.
pub fn run(data: &[u8]) {
    let Some((kind, rest)) = data.split_first() else { return };
    let identity = Identity::from_secret([1; 32]);
    let broadcast = BroadcastId { publisher: identity.public(), epoch: 1 };
    let signed = |context: &[u8]| {
        let head = [&broadcast.publisher.as_bytes()[..], &broadcast.epoch.to_be_bytes()].concat();
        let signature = identity.sign(context, &[&head, rest].concat());
        Bytes::from([rest, &signature].concat())
    };
    match kind % 3 {
        0 => {
            assert!(Description::open(broadcast, &Bytes::copy_from_slice(rest)).is_err());
            let record = signed(b"beacon/description/1");
            if let Ok(description) = Description::open(broadcast, &record) {
                assert_eq!(description.seal(broadcast, &identity), record);
            }
        }
        1 => {
            assert!(Manifest::open(broadcast, &Bytes::copy_from_slice(rest)).is_err());
            let record = signed(b"beacon/manifest/1");
            if let Ok(manifest) = Manifest::open(broadcast, &record) {
                assert_eq!(Manifest::peek(&record), Ok(manifest.id));
                assert_eq!(manifest.seal(broadcast, &identity), record);
            }
        }
        _ if rest.is_empty() || rest.len() > PAYLOAD_MAX => {}
        _ => {
            let mut rogue = Rogue::new();
            rogue.describe(&description());
            rogue.publish(manifest(0, rest), rest);
            rogue.advance(Duration::from_millis(50));
            let played = rogue.playout();
            let whole = matches!(
                played[..],
                [Playout::Tracks(_), Playout::Segment { .. } | Playout::Gap { .. }]
            );
            assert!(whole, "{played:?}");
        }
    }
}

/// Bodies that pass, and payloads of every fate.
pub fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    let identity = Identity::from_secret([1; 32]);
    let broadcast = BroadcastId { publisher: identity.public(), epoch: 1 };
    let body = |kind: u8, record: Bytes| [&[kind], &record[..record.len() - 64]].concat();
    let live = description();
    let ended = Description { revision: 1, ended: Some(vec![7]), ..live.clone() };
    let mut flat = manifest(3, &[1; 200]);
    flat.digests = vec![[5; 32]; 4];
    let mut paged = manifest(3, &[1; 64 * 40]);
    paged.digests = vec![[6; 32]; 2];
    let object = [1, 0, 0, 40, 0, 2, 7, 7];
    vec![
        ("empty", vec![]),
        ("description", body(0, live.seal(broadcast, &identity))),
        ("description-ended", body(0, ended.seal(broadcast, &identity))),
        ("manifest-flat", body(1, flat.seal(broadcast, &identity))),
        ("manifest-paged", body(1, paged.seal(broadcast, &identity))),
        ("payload", [&[2][..], &object].concat()),
        ("payload-of-three", [&[2][..], &object.repeat(3)].concat()),
        ("payload-paged", [&[2][..], &object.repeat(300)].concat()[..1000].to_vec()),
        ("payload-cut", [&[2][..], &object[..7]].concat()),
        ("payload-flags", vec![2, 0x80, 0, 0, 40, 0, 1, 7]),
    ]
}
