//! Round trips and hostile bytes.
#![allow(clippy::unwrap_used)]

use super::codec::{Reader, put_varint, unzigzag, zigzag};
use super::*;
use crate::id::{BroadcastId, SegmentId, TrackId};
use crate::identity::PublicKey;
use crate::time::Instant;
use bytes::{Bytes, BytesMut};
use proptest::collection::vec;
use proptest::prelude::*;

fn key() -> impl Strategy<Value = PublicKey> {
    any::<[u8; 32]>().prop_map(PublicKey::from_bytes)
}

fn segment() -> impl Strategy<Value = SegmentId> {
    (0..64_u8, any::<u32>())
        .prop_map(|(track, seq)| SegmentId { track: TrackId::new(track).unwrap(), seq })
}

fn spans() -> impl Strategy<Value = Vec<Span>> {
    vec((any::<u16>(), any::<u64>()).prop_map(|(base, mask)| Span { base, mask }), 0..=SPANS_MAX)
}

fn hello() -> impl Strategy<Value = Message> {
    (any::<(u8, u8, u64)>(), key(), key(), vec(any::<u8>(), 64)).prop_map(
        |((version_min, version_max, epoch), publisher, peer, signature)| {
            let broadcast = BroadcastId { publisher, epoch };
            let signature = signature.try_into().unwrap();
            Message::Hello(Hello { version_min, version_max, broadcast, peer, signature })
        },
    )
}

fn farewell() -> impl Strategy<Value = Message> {
    use FarewellReason as R;
    let reasons = [R::Done, R::Full, R::Broadcast, R::Version, R::Protocol];
    (proptest::sample::select(reasons.to_vec()), vec(key(), 0..=PEERS_MAX))
        .prop_map(|(reason, peers)| Message::Farewell { reason, peers })
}

fn refuse() -> impl Strategy<Value = Message> {
    use RefuseReason as R;
    let reasons = [R::Full, R::Depth, R::Loop, R::Unavailable, R::Notice];
    (0..=16_u8, proptest::sample::select(reasons.to_vec()))
        .prop_map(|(stripe, reason)| Message::Refuse { stripe, reason })
}

fn status() -> impl Strategy<Value = Message> {
    (any::<u64>(), any::<u16>(), vec(any::<(u8, u8)>(), 0..=17)).prop_map(
        |(tracks, slots, stripes)| {
            let (depth, bar) = stripes.into_iter().unzip();
            Message::Status(Status { tracks, slots, depth, bar })
        },
    )
}

fn record() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..300).prop_map(Bytes::from)
}

fn pages() -> impl Strategy<Value = Message> {
    (segment(), any::<u8>(), 1..=PAGES_MAX * 32, any::<u8>()).prop_map(
        |(id, first, count, fill)| Message::Pages {
            id,
            first,
            leaves: vec![fill; count * 32].into(),
        },
    )
}

fn time() -> impl Strategy<Value = Instant> {
    any::<u64>().prop_map(Instant::from_micros)
}

fn message() -> impl Strategy<Value = Message> {
    let census = (0..=16_u8, any::<(u32, u32)>()).prop_map(|(stripe, (viewers, slots))| Census {
        stripe,
        viewers,
        slots,
    });
    let have = (segment(), any::<u32>()).prop_map(|(id, mask)| Have { id, mask });
    prop_oneof![
        hello(),
        farewell(),
        any::<u64>().prop_map(Message::Ping),
        any::<u64>().prop_map(Message::Pong),
        vec(key(), 0..=PEERS_MAX).prop_map(Message::Peers),
        record().prop_map(Message::Description),
        status(),
        (0..1_u32 << 17, any::<u64>(), time())
            .prop_map(|(stripes, tracks, from)| Message::Subscribe { stripes, tracks, from }),
        (0..1_u32 << 17, time()).prop_map(|(stripes, from)| Message::Unsubscribe { stripes, from }),
        (0..=16_u8, vec(any::<u32>(), 1..=7))
            .prop_map(|(stripe, path)| Message::Feed { stripe, path }),
        refuse(),
        record().prop_map(Message::Manifest),
        pages(),
        vec(have, 0..=HAVES_MAX).prop_map(Message::Have),
        (segment(), spans()).prop_map(|(id, spans)| Message::Request { id, spans }),
        (segment(), spans()).prop_map(|(id, spans)| Message::Busy { id, spans }),
        segment().prop_map(Message::Cancel),
        segment().prop_map(Message::Fetch),
        any::<u64>().prop_map(|tracks| Message::FetchTail { tracks }),
        record().prop_map(Message::Receipt),
        vec(census, 0..=17).prop_map(Message::Census),
    ]
}

proptest! {
    #[test]
    fn messages_survive_the_wire(message in message()) {
        prop_assert_eq!(Message::decode(message.encode()), Ok(message));
    }

    #[test]
    fn a_cut_message_is_refused_or_shorter(message in message(), cut in any::<prop::sample::Index>()) {
        let frame = message.encode();
        let cut = frame.slice(..cut.index(frame.len()));
        // Messages that end in opaque bytes may still be read; they are never the same message.
        prop_assert_ne!(Message::decode(cut), Ok(message));
    }

    #[test]
    fn any_bytes_are_decoded_or_refused(bytes in vec(any::<u8>(), 0..400)) {
        if let Ok(message) = Message::decode(bytes.clone().into()) {
            prop_assert_eq!(&message.encode()[..], &bytes[..], "one encoding per message");
        }
        let _ = SymbolHeader::decode(&bytes);
    }

    #[test]
    fn trailing_bytes_are_refused(token in any::<u64>(), extra in 1..9_usize) {
        let mut frame = BytesMut::from(&Message::Ping(token).encode()[..]);
        frame.resize(frame.len() + extra, 0);
        prop_assert_eq!(Message::decode(frame.freeze()), Err(DecodeError::Trailing(extra)));
    }

    #[test]
    fn symbol_frames_survive_the_wire(id in segment(), esi in any::<u16>(), symbol in vec(any::<u8>(), 1..1100)) {
        let header = SymbolHeader { segment: id, esi };
        let frame = header.frame(&symbol);
        prop_assert_eq!(SymbolHeader::decode(&frame), Ok(header));
        prop_assert_eq!(&frame[SYMBOL_HEADER_LEN..], &symbol[..]);
    }

    #[test]
    fn varints_survive_and_have_one_form(value in any::<u64>()) {
        let mut out = BytesMut::new();
        put_varint(&mut out, value);
        let mut reader = Reader::new(out.clone().freeze());
        prop_assert_eq!(reader.varint(), Ok(value));
        prop_assert_eq!(reader.end(), Ok(()));
        // The same number with a needless zero group.
        let last = out.len() - 1;
        out[last] |= 0x80;
        out.extend_from_slice(&[0]);
        prop_assert_eq!(Reader::new(out.freeze()).varint(), Err(DecodeError::Varint));
    }

    #[test]
    fn zigzag_is_its_own_way_back(value in any::<i64>()) {
        prop_assert_eq!(unzigzag(zigzag(value)), value);
    }

    #[test]
    fn spans_hold_exactly_what_was_packed(esis in prop::collection::btree_set(0..4096_u16, 0..600)) {
        let esis: Vec<u16> = esis.into_iter().collect();
        let (spans, packed) = Span::pack(&esis);
        prop_assert!(spans.len() <= SPANS_MAX);
        let unpacked: Vec<u16> = spans.iter().flat_map(|span| span.esis()).collect();
        prop_assert_eq!(&unpacked[..], &esis[..packed]);
        prop_assert!(packed == esis.len() || spans.len() == SPANS_MAX);
    }
}
