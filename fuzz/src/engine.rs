//! Three engines and two rogues under a script of operations; see `tests/ordeal` of beacon-sdk.

use crate::ordeal;

/// Input: a script.
pub fn run(data: &[u8]) {
    ordeal::run(data);
}

/// A quiet run, and one act of every kind after it.
pub fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    let after = |acts: &[u8]| [&[0, 1], acts].concat();
    vec![
        ("empty", vec![]),
        ("quiet", after(&[])),
        ("live", vec![1, 1, 0, 0, 0]),
        ("many-stripes", vec![0b0001_1000, 1, 0, 0, 0]),
        ("two-links", vec![0b0010_0000, 1, 0, 0, 0]),
        ("slow-uplink", vec![0b1100_0000, 1, 0, 0, 0]),
        ("cold", vec![0, 0, 36, 0, 0, 5, 1, 3, 1]),
        ("leap", after(&[2, 0, 0, 0, 0, 0, 0, 16, 0, 0, 0])),
        ("backwards", after(&[2, 0, 0, 1, 1, 0, 0, 16, 0])),
        ("media", after(&[3, 0, 0, 200, 30, 0, 0, 0])),
        ("cut", after(&[6, 1, 2, 1, 0, 0, 100])),
        ("lost-frames", after(&[3, 0, 0, 0, 90, 135, 0, 1, 0, 5, 0, 0, 0])),
        ("clogged", after(&[9, 1, 3, 0, 3, 0, 0, 0, 9, 9, 1, 3, 0])),
        ("stalled", after(&[10, 1, 0, 3, 0, 0, 9, 9, 10, 1, 0])),
        ("hints", after(&[11, 1, 0, 2, 9, 8, 1, 0, 9, 1, 0])),
        ("end", after(&[12, 0, 0, 0, 0, 0])),
        ("replay", after(&[13, 1, 3, 0, 9, 0])),
        ("forged-symbol", after(&[110, 1, 3, 0, 9, 0, 40, 0, 3])),
        ("flood", after(&[17, 1, 3, 255, 7, 1, 0, 0])),
        ("have", after(&[17, 1, 3, 0, 11, 3, 0, 2, 1, 0, 4, 1])),
        ("request", after(&[17, 1, 3, 0, 13, 0, 5, 2, 1, 0, 0])),
    ]
}
