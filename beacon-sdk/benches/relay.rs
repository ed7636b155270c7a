//! What a viewer does for every symbol: check it, keep it, hand it on.
#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

mod common;

use beacon_sdk::Identity;
use beacon_sdk::engine::Input;
use beacon_sdk::media::{Manifest, SegmentHasher};
use beacon_sdk::wire::Message;
use bytes::Bytes;
use common::stage::{SEGMENT, Stage, config};
use common::{Bench, Pass, SYMBOL, clock, floor_memcpy, floor_sha256, repeat};
use ed25519_dalek::{Signature, Signer as _, SigningKey};
use sha2::{Digest as _, Sha256};
use std::hint::black_box;

/// Symbols of a segment: half a second of 4.4 Mbit/s.
const SYMBOLS: usize = 256;
const SHA: &str = "relay/sha-256 of a symbol";
const STRICT: &str = "relay/verify_strict";

/// Symbols of segments whose manifest is here, at one instant.
fn verify_and_relay(children: u8) -> impl FnMut() -> Pass {
    let mut stage = Stage::new(&config(), 7, children);
    move || {
        let fresh = stage.segment(SYMBOLS);
        stage.take_in(fresh.records);
        let (took, sent) = clock(|| stage.receive(fresh.symbols));
        assert_eq!(sent, SYMBOLS as u64 * u64::from(children), "every child gets every symbol");
        stage.run(SEGMENT);
        (took, SYMBOLS as u64)
    }
}

/// The whole stream as it comes, one driver step per frame: manifests, pages, timers, playout.
fn stream(children: u8) -> impl FnMut() -> Pass {
    let mut stage = Stage::new(&config(), 7, children);
    move || {
        let start = stage.now;
        let fresh = stage.segment(SYMBOLS);
        let pace = SEGMENT / SYMBOLS as u32;
        let (took, sent) = clock(|| {
            let records = fresh.records.into_iter();
            records.for_each(|frame| stage.viewer.handle(start, stage.control(frame)));
            let mut sent = stage.drain();
            for frame in fresh.symbols {
                stage.now = stage.now + pace;
                sent += stage.receive(vec![frame]);
                while black_box(stage.viewer.poll_playout()).is_some() {}
                black_box(stage.viewer.poll_timeout());
            }
            sent
        });
        assert_eq!(sent, SYMBOLS as u64 * u64::from(children), "every child gets every symbol");
        stage.run(SEGMENT / 8);
        (took, SYMBOLS as u64)
    }
}

/// Symbols that are here already.
fn duplicates() -> impl FnMut() -> Pass {
    let mut stage = Stage::new(&config(), 7, 1);
    move || {
        let fresh = stage.segment(SYMBOLS);
        stage.take_in(fresh.records);
        stage.receive(fresh.symbols.clone());
        let before = stage.viewer.stats().bytes_duplicate;
        let (took, sent) = clock(|| stage.receive(fresh.symbols));
        let known = stage.viewer.stats().bytes_duplicate - before;
        assert_eq!((sent, known), (0, (SYMBOLS * SYMBOL) as u64), "all of them are known");
        stage.run(SEGMENT);
        (took, SYMBOLS as u64)
    }
}

/// 64 symbols that waited for their manifest and its two pages.
fn quarantine() -> impl FnMut() -> Pass {
    let mut stage = Stage::new(&config(), 7, 1);
    move || {
        let fresh = stage.segment(64);
        assert_eq!(stage.receive(fresh.symbols), 0, "nothing is passed on unverified");
        let (took, sent) = clock(|| {
            let records = fresh.records.into_iter();
            records.for_each(|frame| stage.viewer.handle(stage.now, stage.control(frame)));
            stage.drain()
        });
        assert_eq!(sent, 64, "all of them were released");
        stage.run(SEGMENT);
        (took, 64)
    }
}

/// The cryptography of that: one signature, two pages, 64 symbols.
fn quarantine_floor() -> impl FnMut() -> Pass {
    let (symbol, page) = (vec![0x5a_u8; SYMBOL], vec![0x5a_u8; 1024]);
    let mut verify = strict(&[0x5a; 300]);
    move || {
        let (took, ()) = clock(|| {
            verify();
            for part in core::iter::repeat_n(&page, 2).chain(core::iter::repeat_n(&symbol, 64)) {
                black_box(Sha256::digest(black_box(part)));
            }
        });
        (took, 64)
    }
}

/// Plain strict verification of a signature over `message`, the key parsed beforehand.
fn strict(message: &[u8]) -> impl FnMut() + use<> {
    let key = SigningKey::from_bytes(&[9; 32]);
    let signature: Signature = key.sign(message);
    let (key, message) = (key.verifying_key(), message.to_vec());
    move || assert!(black_box(&key).verify_strict(black_box(&message), &signature).is_ok())
}

/// A manifest record of a published segment.
fn manifest(stage: &mut Stage) -> Bytes {
    let fresh = stage.segment(SYMBOLS);
    match Message::decode(fresh.records[0].clone()) {
        Ok(Message::Manifest(record)) => record,
        other => panic!("the manifest comes first, not {other:?}"),
    }
}

fn manifests(bench: &mut Bench) {
    let mut stage = Stage::new(&config(), 1, 1);
    let record = manifest(&mut stage);
    let mut verify = strict(&record);
    bench.floor(STRICT, || repeat(16, &mut verify));
    let broadcast = stage.viewer.broadcast();
    bench.beside(STRICT, "relay/manifest, opened", || {
        repeat(16, || Manifest::open(broadcast, black_box(&record)).unwrap())
    });
    bench.beside(STRICT, "relay/manifest, handled and passed on", || {
        let frame = stage.segment(SYMBOLS).records.swap_remove(0);
        let input = stage.control(frame);
        let (took, ()) = clock(|| {
            stage.viewer.handle(stage.now, input);
            stage.drain();
        });
        stage.run(SEGMENT);
        (took, 1)
    });
    bench.beside(STRICT, "relay/manifest, known already", || {
        let fresh = stage.segment(SYMBOLS);
        let frame = fresh.records[0].clone();
        stage.take_in(fresh.records);
        let pass = repeat(64, || stage.viewer.handle(stage.now, stage.control(frame.clone())));
        stage.run(SEGMENT);
        pass
    });
    let id = Manifest::open(broadcast, &record).unwrap().id;
    let (hasher, symbol) = (SegmentHasher::new(broadcast, id), vec![0x5a; SYMBOL]);
    bench.beside(SHA, "relay/leaf hash alone", || {
        repeat(256, || hasher.leaf(7, black_box(&symbol)))
    });
}

/// A hello is one signature made and one checked per link.
fn hello(bench: &mut Bench) {
    let identity = Identity::from_secret([9; 32]);
    let (key, message) = (identity.public(), [0x5a; 160]);
    let signature = identity.sign(b"context", &message);
    bench.beside(STRICT, "relay/signature of 160 B, checked", || {
        repeat(16, || assert!(key.verify(b"context", black_box(&message), &signature)))
    });
}

/// A frame from nobody: what remains when there is nothing to do.
fn stranger() -> impl FnMut() -> Pass {
    let mut stage = Stage::new(&config(), 7, 1);
    let from = Identity::from_secret([99; 32]).public();
    let frame = Bytes::from(vec![0x80; SYMBOL + 8]);
    move || {
        repeat(256, || {
            let lane = beacon_sdk::Lane::Data;
            stage.viewer.handle(stage.now, Input::Received { from, lane, frame: frame.clone() });
            stage.drain()
        })
    }
}

fn main() {
    let mut bench = Bench::new();
    bench.floor(SHA, floor_sha256());
    bench.floor("relay/memcpy of a symbol", floor_memcpy(&[0x5a; SYMBOL]));
    for children in [0, 1, 4] {
        let id = format!("relay/symbol, {children} children");
        bench.beside(SHA, &id, verify_and_relay(children));
    }
    bench.beside(SHA, "relay/symbol of a stream, 1 child", stream(1));
    bench.beside("relay/memcpy of a symbol", "relay/symbol, duplicate", duplicates());
    bench.beside("relay/memcpy of a symbol", "relay/symbol from a stranger", stranger());
    bench.floor("relay/crypto of 64 in quarantine", quarantine_floor());
    bench.beside("relay/crypto of 64 in quarantine", "relay/quarantine release", quarantine());
    manifests(&mut bench);
    hello(&mut bench);
    bench.finish();
}
