//! `Layout` never lets a number through that an erasure code cannot take.

use crate::draw::Draw;
use beacon_sdk::Layout;
use beacon_sdk::plugin::{
    PAYLOAD_BYTES_MAX, SOURCE_SYMBOLS_CODED_MIN, SOURCE_SYMBOLS_MAX, SYMBOL_ALIGN, SYMBOL_BYTES_MAX,
};

/// Input: payload length u32, symbol size u16, repair u16, per cent u8.
pub fn run(data: &[u8]) {
    let mut draw = Draw::new(data);
    let (len, size, repair, percent) = (draw.u32(), draw.u16(), draw.u16(), draw.u8());
    if let Ok(layout) = Layout::new(len, size, repair) {
        check(&layout);
        assert_eq!(layout.payload_len(), len as usize);
        assert_eq!(layout.symbol_size(), usize::from(size));
        assert_eq!(layout.repair(), repair);
    }
    // The upper bits of most lengths are out of range, so try the lower ones alone as well.
    for len in [len as usize, len as usize % (PAYLOAD_BYTES_MAX + 2)] {
        let planned = Layout::plan(len, percent);
        assert_eq!(planned.is_ok(), (1..=PAYLOAD_BYTES_MAX).contains(&len), "{len} bytes");
        if let Ok(layout) = planned {
            check(&layout);
            assert_eq!(layout.payload_len(), len);
        }
    }
}

fn check(layout: &Layout) {
    let (size, source) = (layout.symbol_size(), usize::from(layout.source()));
    assert!(size > 0 && size.is_multiple_of(SYMBOL_ALIGN) && size <= SYMBOL_BYTES_MAX);
    assert!((1..=SOURCE_SYMBOLS_MAX).contains(&source));
    assert!(layout.repair() <= layout.source());
    assert!(layout.repair() == 0 || source >= SOURCE_SYMBOLS_CODED_MIN);
    assert_eq!(layout.total(), layout.source() + layout.repair());
    assert_eq!(layout.padded_len(), source * size);
    assert!((0..size).contains(&(layout.padded_len() - layout.payload_len())));
    let [len, size] = [layout.payload_len(), size].map(|n| n.try_into().unwrap_or(u32::MAX));
    assert_eq!(Layout::new(len, size as u16, layout.repair()), Ok(*layout));
}

/// The edges of every range.
pub fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    let seed = |len: u32, size: u16, repair: u16, percent: u8| {
        [&len.to_le_bytes()[..], &size.to_le_bytes(), &repair.to_le_bytes(), &[percent]].concat()
    };
    let most = PAYLOAD_BYTES_MAX as u32;
    vec![
        ("empty", vec![]),
        ("one-byte", seed(1, 64, 0, 100)),
        ("one-byte-repair", seed(1, 64, 1, 25)),
        ("usual", seed(100_000, 1088, 23, 25)),
        ("k-7", seed(7 * 1088, 1088, 1, 25)),
        ("k-8", seed(7 * 1088 + 1, 1088, 8, 100)),
        ("most", seed(most, 1088, 2048, 100)),
        ("above-most", seed(most + 1, 1088, 0, 255)),
        ("too-many", seed(2048 * 64 + 1, 64, 0, 1)),
        ("size-0", seed(1000, 0, 0, 0)),
        ("size-65", seed(1000, 65, 0, 0)),
        ("size-1152", seed(100_000, 1152, 0, 0)),
        ("all-ones", seed(u32::MAX, u16::MAX, u16::MAX, u8::MAX)),
    ]
}
