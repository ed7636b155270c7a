//! Properties of what is signed, cut and written as text.
#![allow(clippy::unwrap_used, missing_docs)]

use beacon_sdk::media::{
    Cut, Description, Kind, Manifest, Object, PAGE_LEAVES, RecordError, Segmenter, Track,
};
use beacon_sdk::plugin::{
    PAYLOAD_BYTES_MAX, SOURCE_SYMBOLS_CODED_MIN, SOURCE_SYMBOLS_MAX, SYMBOL_ALIGN, SYMBOL_BYTES_MAX,
};
use beacon_sdk::wire::{SPANS_MAX, Span};
use beacon_sdk::{BroadcastId, Identity, Instant, Layout, SegmentId, Ticket, TrackId};
use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

fn identity() -> Identity {
    Identity::from_secret([1; 32])
}

fn broadcast(epoch: u64) -> BroadcastId {
    BroadcastId { publisher: identity().public(), epoch }
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![
        (1..=16384_u16, 1..=16384_u16).prop_map(|(width, height)| Kind::Video { width, height }),
        (8000..=192_000_u32, 1..=8_u8).prop_map(|(rate, channels)| Kind::Audio { rate, channels }),
    ]
}

fn track(id: u8) -> impl Strategy<Value = Track> {
    let texts = ("[a-zA-Z0-9.]{1,64}", "[^\\p{Cc}]{0,16}", vec(any::<u8>(), 0..200));
    (kind(), texts, 1..=1_000_000_u32, any::<u32>()).prop_map(
        move |(kind, (codec, label, config), timescale, bitrate)| Track {
            id: TrackId::new(id).unwrap(),
            kind,
            codec,
            config: config.into(),
            timescale,
            bitrate,
            label,
        },
    )
}

fn description() -> impl Strategy<Value = Description> {
    let tracks = prop::collection::btree_set(0..64_u8, 1..=16)
        .prop_flat_map(|ids| ids.into_iter().map(track).collect::<Vec<_>>());
    let counts = proptest::option::of(vec(any::<u32>(), 16));
    (any::<u32>(), 1..=16_u8, 1_000..=10_000_000_u32, tracks, counts).prop_map(
        |(revision, stripes, segment_us, tracks, counts)| {
            let ended = counts.map(|counts| counts[..tracks.len()].to_vec());
            Description { revision, stripes, segment_us, tracks, ended }
        },
    )
}

fn layout() -> impl Strategy<Value = Layout> {
    (1..=17_u16, 1..=300_u32, any::<u16>(), any::<u16>()).prop_map(|(size, k, pad, repair)| {
        let size = size * 64;
        let len = k * u32::from(size) - u32::from(pad % size);
        let repair = if k < 8 { 0 } else { repair % (k as u16 + 1) };
        Layout::new(len, size, repair).unwrap()
    })
}

fn manifest() -> impl Strategy<Value = Manifest> {
    let times = (0..1_u64 << 48, any::<u32>(), 0..1_u64 << 56, 0..1_u64 << 56);
    let hashes = (any::<[u8; 32]>(), any::<[u8; 32]>());
    (0..64_u8, any::<(u32, bool, u32, u8)>(), times, layout(), hashes).prop_map(
        |(track, (seq, group_start, revision, code), (start, duration, a, b), layout, hashes)| {
            let total = usize::from(layout.total());
            let flat = Manifest::is_flat(&layout);
            assert_eq!(flat, Manifest::pages(&layout) == 0);
            let count = if flat { total } else { total.div_ceil(PAGE_LEAVES) };
            Manifest {
                id: SegmentId { track: TrackId::new(track).unwrap(), seq },
                group_start,
                thinned: !group_start,
                revision,
                start,
                duration,
                captured: Instant::from_micros(a),
                published: Instant::from_micros(b),
                layout,
                code,
                payload_hash: hashes.0,
                digests: vec![hashes.1; count],
            }
        },
    )
}

fn flip(record: &Bytes, bit: Index) -> Bytes {
    let mut bytes = record.to_vec();
    let bit = bit.index(bytes.len() * 8);
    bytes[bit / 8] ^= 1 << (bit % 8);
    bytes.into()
}

proptest! {
    #[test]
    fn descriptions_survive(description in description(), epoch in any::<u64>()) {
        let record = description.seal(broadcast(epoch), &identity());
        prop_assert_eq!(Description::open(broadcast(epoch), &record), Ok(description));
    }

    #[test]
    fn a_spoilt_description_is_refused(description in description(), bit in any::<Index>(), cut in any::<Index>()) {
        let record = description.seal(broadcast(1), &identity());
        prop_assert_eq!(Description::open(broadcast(1), &flip(&record, bit)), Err(RecordError::Signature));
        let short = record.slice(..cut.index(record.len()));
        prop_assert!(Description::open(broadcast(1), &short).is_err());
    }

    #[test]
    fn manifests_survive(manifest in manifest(), epoch in any::<u64>()) {
        let record = manifest.seal(broadcast(epoch), &identity());
        prop_assert_eq!(Manifest::peek(&record), Ok(manifest.id));
        prop_assert_eq!(Manifest::open(broadcast(epoch), &record), Ok(manifest));
    }

    #[test]
    fn a_spoilt_manifest_is_refused(manifest in manifest(), bit in any::<Index>(), cut in any::<Index>()) {
        let record = manifest.seal(broadcast(1), &identity());
        prop_assert!(Manifest::open(broadcast(1), &flip(&record, bit)).is_err());
        let short = record.slice(..cut.index(record.len()));
        prop_assert!(Manifest::open(broadcast(1), &short).is_err());
    }

    /// Also: a record of one kind is never one of the other.
    #[test]
    fn records_are_of_one_broadcast(manifest in manifest(), description in description(), epochs in any::<(u64, u64)>(), other in any::<[u8; 32]>()) {
        prop_assume!(epochs.0 != epochs.1);
        let (mine, later) = (broadcast(epochs.0), broadcast(epochs.1));
        let other = BroadcastId { publisher: Identity::from_secret(other).public(), ..mine };
        let manifest = manifest.seal(mine, &identity());
        let description = description.seal(mine, &identity());
        for wrong in [later, other] {
            prop_assert_eq!(Manifest::open(wrong, &manifest), Err(RecordError::Signature));
            prop_assert_eq!(Description::open(wrong, &description), Err(RecordError::Signature));
        }
        prop_assert!(Manifest::open(mine, &description).is_err());
        prop_assert!(Description::open(mine, &manifest).is_err());
    }

    #[test]
    fn random_bytes_are_no_records(bytes in vec(any::<u8>(), 0..400)) {
        let bytes = Bytes::from(bytes);
        let _ = Manifest::peek(&bytes);
        prop_assert!(Manifest::open(broadcast(1), &bytes).is_err());
        prop_assert!(Description::open(broadcast(1), &bytes).is_err());
    }

    #[test]
    fn layouts_are_within_all_limits(len in prop_oneof![any::<u32>(), 0..3_000_000_u32], size in prop_oneof![any::<u16>(), (0..20_u16).prop_map(|n| n * 64)], repair in prop_oneof![any::<u16>(), 0..64_u16]) {
        let k = if size == 0 { 0 } else { (len as usize).div_ceil(usize::from(size)) };
        let fits = (1..=PAYLOAD_BYTES_MAX).contains(&(len as usize))
            && (1..=SYMBOL_BYTES_MAX).contains(&usize::from(size))
            && usize::from(size) % SYMBOL_ALIGN == 0
            && (1..=SOURCE_SYMBOLS_MAX).contains(&k)
            && (repair == 0 || k >= SOURCE_SYMBOLS_CODED_MIN && usize::from(repair) <= k);
        let layout = Layout::new(len, size, repair);
        prop_assert_eq!(layout.is_ok(), fits, "{:?}", layout);
        if let Ok(layout) = layout {
            prop_assert_eq!(usize::from(layout.source()), k);
            prop_assert_eq!(layout.padded_len(), k * usize::from(size));
            prop_assert_eq!(layout.total(), layout.source() + repair);
        }
    }

    #[test]
    fn spans_of_any_list_name_nothing_else(esis in vec(any::<u16>(), 0..300)) {
        let (spans, packed) = Span::pack(&esis);
        prop_assert!(spans.len() <= SPANS_MAX && packed <= esis.len());
        let named: std::collections::BTreeSet<u16> = spans.iter().flat_map(|span| span.esis()).collect();
        prop_assert_eq!(named, esis[..packed].iter().copied().collect());
    }

    #[test]
    fn tickets_survive_and_damage_shows(name in "[^\\p{Cc}\\s]{1,64}", addresses in vec("wss?://[a-z0-9.:/]{1,100}", 0..=4), epoch in any::<u64>(), at in any::<Index>(), to in "[a-z2-7!]") {
        let ticket = Ticket { broadcast: broadcast(epoch), name, rendezvous: addresses };
        let text = ticket.to_string();
        prop_assert_eq!(text.parse(), Ok(ticket.clone()));
        prop_assert_eq!(format!(" {}\n", text.to_uppercase()).parse(), Ok(ticket));
        let at = at.index(text.len());
        let spoilt = format!("{}{to}{}", &text[..at], &text[at + 1..]);
        prop_assert_eq!(spoilt.parse::<Ticket>().is_ok(), spoilt == text);
        prop_assert!(text[..at].parse::<Ticket>().is_err());
    }

    #[test]
    fn any_text_is_a_ticket_or_refused(text in "(beacon1)?[a-z2-7 é]{0,200}", long in any::<String>()) {
        for text in [text, long] {
            if let Ok(ticket) = text.parse::<Ticket>() {
                prop_assert_eq!(ticket.to_string().parse(), Ok(ticket));
            }
        }
    }
}

// ---- the segmenter

fn video() -> Track {
    Track {
        id: TrackId::new(0).unwrap(),
        kind: Kind::Video { width: 64, height: 64 },
        codec: "avc1.42C01F".into(),
        config: Bytes::new(),
        timescale: 90_000,
        bitrate: 0,
        label: String::new(),
    }
}

/// Objects from steps of decode time, durations, sizes and keyframes.
fn objects(track: &Track, steps: &[(u32, u32, usize, bool)]) -> Vec<Object> {
    let mut dts = 0_u64;
    let one = |&(step, duration, len, keyframe): &(u32, u32, usize, bool)| {
        dts += u64::from(step);
        Object {
            track: track.id,
            dts,
            cts: 0,
            duration,
            keyframe,
            layer: 0,
            captured: Instant::ZERO,
            data: vec![1; len].into(),
        }
    };
    steps.iter().map(one).collect()
}

fn cuts(track: &Track, segment_us: u64, objects: &[Object]) -> Vec<Cut> {
    let mut segmenter = Segmenter::new(track.clone(), segment_us);
    let mut cuts: Vec<Cut> = objects.iter().flat_map(|o| segmenter.push(o.clone())).collect();
    cuts.extend(segmenter.flush());
    assert_eq!(segmenter.flush(), None);
    cuts
}

fn steps() -> impl Strategy<Value = Vec<(u32, u32, usize, bool)>> {
    let ticks = prop_oneof![Just(3600_u32), 0..8_000_u32, any::<u32>()];
    let len = prop_oneof![20 => 1..3000_usize, 1 => Just(1 << 20)];
    vec((ticks.clone(), ticks, len, proptest::bool::weighted(0.2)), 1..120)
}

proptest! {
    /// Decode times of one segment span less than the segment length; what is beyond it is the
    /// duration of its last object.
    #[test]
    fn segments_hold_all_objects_in_order(steps in steps(), segment_us in 1..2_000_000_u64, audio in any::<bool>()) {
        let mut track = video();
        if audio {
            track.kind = Kind::Audio { rate: 48_000, channels: 2 };
        }
        let objects = objects(&track, &steps);
        let cuts = cuts(&track, segment_us, &objects);
        let all: Vec<Object> = cuts.iter().flat_map(|cut| cut.objects.clone()).collect();
        prop_assert_eq!(all, objects);
        for cut in &cuts {
            let (first, last) = (&cut.objects[0], &cut.objects[cut.objects.len() - 1]);
            prop_assert_eq!(cut.group_start, first.keyframe);
            prop_assert!(track.micros(last.dts) - track.micros(first.dts) < segment_us);
            prop_assert!(audio || cut.objects[1..].iter().all(|object| !object.keyframe));
            prop_assert!(cut.objects.len() <= beacon_sdk::media::OBJECTS_MAX);
            let bytes: usize = cut.objects.iter().map(|object| object.data.len()).sum();
            prop_assert!(bytes <= PAYLOAD_BYTES_MAX);
        }
    }

    /// Renditions with the same times and keyframes are cut at the same times, whatever their
    /// sizes and time scales.
    #[test]
    fn renditions_are_cut_alike(keys in vec(proptest::bool::weighted(0.1), 1..200), segment_ms in 20..2000_u64, scale in 1..=10_u32) {
        let one: Vec<_> = keys.iter().map(|key| (3600, 3600, 10, *key)).collect();
        let two: Vec<_> = keys.iter().map(|key| (3600 * scale, 3600 * scale, 999, *key)).collect();
        let mut other = video();
        other.timescale *= scale;
        let starts = |track: &Track, steps: &[_]| -> Vec<u64> {
            let cuts = cuts(track, segment_ms * 1000, &objects(track, steps));
            cuts.iter().map(|cut| track.micros(cut.objects[0].dts)).collect()
        };
        prop_assert_eq!(starts(&video(), &one), starts(&other, &two));
    }

    #[test]
    fn times_at_the_end_of_their_range(dts in (u64::MAX - 10)..=u64::MAX, timescale in 1..=1_000_000_u32) {
        let mut track = video();
        track.timescale = timescale;
        let mut object = objects(&track, &[(0, u32::MAX, 1, true)]).remove(0);
        object.dts = dts;
        prop_assert_eq!(cuts(&track, 20_000, &[object]).len(), 1);
    }
}
