//! Messages to bytes and back, beside copying the same bytes.
#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

mod common;

use beacon_sdk::wire::{HAVES_MAX, Have, Message, SPANS_MAX, Span, SymbolHeader};
use beacon_sdk::{SegmentId, TrackId};
use bytes::{Bytes, BytesMut};
use common::{Bench, SYMBOL, floor_memcpy, repeat};
use std::hint::black_box;

const ITEMS: u64 = 1024;

fn id(seq: u32) -> SegmentId {
    SegmentId { track: TrackId::default(), seq }
}

fn message(bench: &mut Bench, name: &str, message: &Message) {
    let frame = message.encode();
    assert_eq!(Message::decode(frame.clone()).as_ref(), Ok(message));
    let floor = format!("wire/memcpy {} B", frame.len());
    bench.floor(&floor, floor_memcpy(&frame));
    bench.beside(&floor, &format!("wire/{name}/encode"), || {
        repeat(ITEMS, || black_box(message).encode())
    });
    bench.beside(&floor, &format!("wire/{name}/decode"), || {
        repeat(ITEMS, || Message::decode(black_box(&frame).clone()))
    });
}

fn symbol(bench: &mut Bench) {
    let header = SymbolHeader { segment: id(7), esi: 3 };
    let body = vec![0x5a; SYMBOL];
    let frame = header.frame(&body);
    assert_eq!(SymbolHeader::decode(&frame), Ok(header));
    bench.floor("wire/memcpy symbol header", floor_memcpy(&frame[..8]));
    bench.floor("wire/memcpy symbol frame", floor_memcpy(&frame));
    let mut out = BytesMut::with_capacity(8);
    bench.beside("wire/memcpy symbol header", "wire/symbol header/encode", || {
        repeat(ITEMS, || {
            out.clear();
            black_box(header).encode(&mut out);
        })
    });
    bench.beside("wire/memcpy symbol header", "wire/symbol header/decode", || {
        repeat(ITEMS, || SymbolHeader::decode(black_box(&frame)))
    });
    bench.beside("wire/memcpy symbol frame", "wire/symbol frame/encode", || {
        repeat(ITEMS, || black_box(header).frame(&body))
    });
}

fn main() {
    let mut bench = Bench::new();
    let haves =
        |count: usize| (0..count as u32).map(|seq| Have { id: id(seq), mask: 0xff }).collect();
    message(&mut bench, "have of 1", &Message::Have(haves(1)));
    message(&mut bench, "have of 64", &Message::Have(haves(HAVES_MAX)));
    let spans = (0..SPANS_MAX as u16).map(|at| Span { base: at * 64, mask: u64::MAX }).collect();
    message(&mut bench, "request of 8 spans", &Message::Request { id: id(7), spans });
    // A manifest of 256 symbols: 110 bytes, 8 pages, the signature.
    message(&mut bench, "manifest", &Message::Manifest(Bytes::from(vec![0x5a; 430])));
    message(
        &mut bench,
        "page",
        &Message::Pages { id: id(7), first: 1, leaves: vec![0x5a; 1024].into() },
    );
    symbol(&mut bench);
    bench.finish();
}
