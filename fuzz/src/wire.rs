//! Frames of both lanes: decoded or refused, and what was decoded has one encoding.

use beacon_sdk::wire::{
    Census, FarewellReason, Have, Message, RefuseReason, SYMBOL_HEADER_LEN, Span, Status, SymbolHeader,
};
use beacon_sdk::{Instant, PeerId, SegmentId, TrackId};
use bytes::Bytes;

/// Input: a frame.
pub fn run(data: &[u8]) {
    if let Ok(message) = Message::decode(Bytes::copy_from_slice(data)) {
        assert_eq!(&message.encode()[..], data, "{message:?}");
    }
    if let Ok(header) = SymbolHeader::decode(data) {
        assert_eq!(&header.frame(&data[SYMBOL_HEADER_LEN..])[..], data, "{header:?}");
    }
}

/// One frame of every type.
pub fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    let id = SegmentId { track: TrackId::default(), seq: 9 };
    let peers = vec![PeerId::from_bytes([5; 32]); 2];
    let spans = vec![Span { base: 64, mask: 0b1011 }];
    let record = Bytes::from_static(b"record");
    let messages = [
        ("farewell", Message::Farewell { reason: FarewellReason::Full, peers: peers.clone() }),
        ("ping", Message::Ping(1)),
        ("pong", Message::Pong(u64::MAX)),
        ("peers", Message::Peers(peers)),
        ("description", Message::Description(record.clone())),
        ("status", Message::Status(Status { tracks: 3, slots: 16, depth: vec![0, 1, 255], bar: vec![0, 1, 255] })),
        ("subscribe", Message::Subscribe { stripes: 0x1_0003, tracks: u64::MAX, from: Instant::NEVER }),
        ("unsubscribe", Message::Unsubscribe { stripes: 1, from: Instant::ZERO }),
        ("feed", Message::Feed { stripe: 16, path: vec![1, 2, 3] }),
        ("refuse", Message::Refuse { stripe: 2, reason: RefuseReason::Loop }),
        ("manifest", Message::Manifest(record.clone())),
        ("pages", Message::Pages { id, first: 3, leaves: vec![7; 64].into() }),
        ("have", Message::Have(vec![Have { id, mask: u32::MAX }])),
        ("request", Message::Request { id, spans: spans.clone() }),
        ("busy", Message::Busy { id, spans }),
        ("cancel", Message::Cancel(id)),
        ("fetch", Message::Fetch(id)),
        ("fetch-tail", Message::FetchTail { tracks: 3 }),
        ("receipt", Message::Receipt(record.clone())),
        ("equivocation", Message::Equivocation { first: record.clone(), second: record }),
        ("census", Message::Census(vec![Census { stripe: 3, viewers: 40, slots: 200 }])),
    ];
    let mut seeds: Vec<(&'static str, Vec<u8>)> =
        messages.iter().map(|(name, message)| (*name, message.encode().to_vec())).collect();
    seeds.push(("symbol", SymbolHeader { segment: id, esi: 3 }.frame(&[8; 64]).to_vec()));
    seeds.push(("empty", vec![]));
    seeds
}
