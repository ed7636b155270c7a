//! The block sizes of RFC 6330, and what is fixed about a block.

use beacon_sdk::{Layout, plugin::SOURCE_SYMBOLS_MAX};
use raptorq::ObjectTransmissionInformation;

/// Beacon never splits a segment: one source block.
const SOURCE_BLOCKS: u8 = 1;
/// Nor a symbol: one sub-block.
const SUB_BLOCKS: u16 = 1;
/// Bytes that symbol sizes are a multiple of; `Layout` promises 64.
const ALIGNMENT: u8 = 8;

/// K′ of RFC 6330 §5.6, table 2, up to the first that holds [`SOURCE_SYMBOLS_MAX`].
const BLOCKS: [u16; 172] = [
    10, 12, 18, 20, 26, 30, 32, 36, 42, 46, 48, 49, 55, 60, 62, 69, 75, 84, 88, 91, 95, 97, 101,
    114, 119, 125, 127, 138, 140, 149, 153, 160, 166, 168, 179, 181, 185, 187, 200, 213, 217, 225,
    236, 242, 248, 257, 263, 269, 280, 295, 301, 305, 324, 337, 341, 347, 355, 362, 368, 372, 380,
    385, 393, 405, 418, 428, 434, 447, 453, 466, 478, 486, 491, 497, 511, 526, 532, 542, 549, 557,
    563, 573, 580, 588, 594, 600, 606, 619, 633, 640, 648, 666, 675, 685, 693, 703, 718, 728, 736,
    747, 759, 778, 792, 802, 811, 821, 835, 845, 860, 870, 891, 903, 913, 926, 938, 950, 963, 977,
    989, 1002, 1020, 1032, 1050, 1074, 1085, 1099, 1111, 1136, 1152, 1169, 1183, 1205, 1220, 1236,
    1255, 1269, 1285, 1306, 1347, 1361, 1389, 1404, 1420, 1436, 1461, 1477, 1502, 1522, 1539, 1561,
    1579, 1600, 1616, 1649, 1673, 1698, 1716, 1734, 1759, 1777, 1800, 1824, 1844, 1863, 1887, 1906,
    1926, 1954, 1979, 2005, 2040, 2070,
];

const _: () = assert!(BLOCKS[BLOCKS.len() - 1] as usize >= SOURCE_SYMBOLS_MAX);

/// K′: the source symbols of the smallest block of RFC 6330 that holds `source` of them.
///
/// The code works on K′ symbols whatever K is, those above K being zeros that are never sent. To
/// encode K′ symbols gives the same repair bytes, so one plan serves every K up to its K′.
pub(crate) fn block_symbols(source: u16) -> u16 {
    BLOCKS[BLOCKS.partition_point(|&block| block < source).min(BLOCKS.len() - 1)]
}

/// What `raptorq` has to be told of a block of `symbols` symbols. None of its assertions can
/// fail: a `Layout`'s symbol size is 64 to 1088, a multiple of 64, and `symbols` is at most 2070.
pub(crate) fn transmission(layout: &Layout, symbols: u16) -> ObjectTransmissionInformation {
    let size = layout.symbol_size();
    ObjectTransmissionInformation::new(
        u64::from(symbols) * size as u64,
        size as u16,
        SOURCE_BLOCKS,
        SUB_BLOCKS,
        ALIGNMENT,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_block_that_holds_k() {
        for (source, block) in
            [(1, 10), (8, 10), (10, 10), (11, 12), (46, 46), (92, 95), (1000, 1002), (2048, 2070)]
        {
            assert_eq!(block_symbols(source), block, "K = {source}");
        }
        assert!(BLOCKS.is_sorted());
    }
}
