//! The guarded erasure code: encode, then lose, repeat, reorder and falsify symbols.

use crate::draw::{Draw, Noise};
use beacon_codec_raptorq::RaptorQ;
use beacon_sdk::{ErasureCode, Layout};
use bytes::Bytes;
use std::collections::BTreeSet;

/// Larger payloads are left to the property tests: here they would only slow the fuzzer.
const PADDED_BYTES_MAX: usize = 64 * 1024;
/// Operations on the symbols of one input.
const OPERATIONS_MAX: usize = 512;
/// From this many symbols beyond K, a failure to recover is a bug. The contract says 2, at which
/// none of 4 000 to 20 000 random sets for each K failed (`fec_auth.md` §1.1); a set in a million
/// may (a guess: each further symbol divides the rate by about 100), and a fuzzer would find it
/// and cry wolf.
const SURPLUS_CERTAIN: usize = 4;

/// What was done to the symbols.
#[derive(Default)]
struct Harm {
    /// A wrong length or an uncommitted ESI: an error is due.
    unfit: bool,
    /// The right length and false bytes: whatever comes out is right, if it is of the right size.
    forged: bool,
}

/// Input: payload length u32, symbol size u16, repair u16, a seed byte, then operations.
pub fn run(data: &[u8]) {
    let mut draw = Draw::new(data);
    let Ok(layout) = Layout::new(draw.u32(), draw.u16(), draw.u16()) else { return };
    if layout.padded_len() > PADDED_BYTES_MAX {
        return;
    }
    let mut payload = Noise(draw.u8().into()).bytes(layout.payload_len());
    payload.resize(layout.padded_len(), 0);
    let payload = Bytes::from(payload);

    let mut code = RaptorQ::new();
    let mut symbols = encode(&mut code, &layout, &payload);
    let harm = operate(&mut draw, &layout, &mut symbols);

    let distinct = symbols.iter().map(|(esi, _)| esi).collect::<BTreeSet<_>>().len();
    let need = usize::from(layout.source());
    match code.recover(&layout, &symbols) {
        Err(error) => assert!(harm.unfit, "{layout:?}: {error}"),
        Ok(recovered) => {
            assert!(!harm.unfit, "{layout:?}: an unfit symbol passed");
            check(recovered, &payload, distinct, need, harm.forged);
        }
    }
    // A payload of another length never reaches the encoder.
    assert!(code.repair(&layout, &payload[1..], &[layout.source()]).is_err());
}

fn check(recovered: Option<Bytes>, payload: &Bytes, distinct: usize, need: usize, forged: bool) {
    match recovered {
        Some(bytes) => {
            assert!(distinct >= need, "{distinct} symbols cannot make {need}");
            assert_eq!(bytes.len(), payload.len());
            assert!(forged || bytes == payload, "wrong bytes from true symbols");
        }
        None => assert!(forged || distinct < need + SURPLUS_CERTAIN, "{distinct} of {need}"),
    }
}

/// All K + R symbols.
fn encode(code: &mut RaptorQ, layout: &Layout, payload: &Bytes) -> Vec<(u16, Bytes)> {
    let size = layout.symbol_size();
    let committed: Vec<u16> = (layout.source()..layout.total()).collect();
    let repair = match code.repair(layout, payload, &committed) {
        Ok(repair) => repair,
        Err(error) => panic!("{layout:?}: {error}"),
    };
    assert_eq!(repair.len(), committed.len());
    assert!(repair.iter().all(|symbol| symbol.len() == size));
    (0..layout.source())
        .map(|esi| (esi, payload.slice(usize::from(esi) * size..(usize::from(esi) + 1) * size)))
        .chain(committed.into_iter().zip(repair))
        .collect()
}

fn operate(draw: &mut Draw<'_>, layout: &Layout, symbols: &mut Vec<(u16, Bytes)>) -> Harm {
    let mut harm = Harm::default();
    for _ in 0..OPERATIONS_MAX {
        if !draw.more() || symbols.is_empty() {
            break;
        }
        let operation = draw.u8() % 8;
        let at = draw.below(symbols.len());
        match operation {
            0 | 1 => drop(symbols.swap_remove(at)),
            2 => {
                let many = draw.below(symbols.len() - at);
                symbols.drain(at..at + many);
            }
            3 => symbols.push(symbols[at].clone()),
            4 => symbols.rotate_left(at),
            5 => {
                let len = draw.below(2 * layout.symbol_size());
                harm.unfit |= len != layout.symbol_size();
                symbols.push((symbols[at].0, vec![1; len].into()));
                harm.forged = true;
            }
            6 => {
                let esi = layout.total().saturating_add(draw.u16());
                symbols.push((esi, symbols[at].1.clone()));
                harm.unfit = true;
            }
            _ => {
                symbols[at].1 = vec![draw.u8(); layout.symbol_size()].into();
                harm.forged = true;
            }
        }
        // What was unfit may have been dropped again: look rather than remember.
        harm.unfit = symbols
            .iter()
            .any(|(esi, symbol)| *esi >= layout.total() || symbol.len() != layout.symbol_size());
    }
    harm
}

/// One input per operation and per kind of layout.
pub fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    let seed = |len: u32, size: u16, repair: u16, operations: &[u8]| {
        [&len.to_le_bytes()[..], &size.to_le_bytes(), &repair.to_le_bytes(), &[7], operations]
            .concat()
    };
    vec![
        ("empty", vec![]),
        ("nothing-lost", seed(46 * 1088, 1088, 12, &[])),
        ("one-lost", seed(46 * 1088 - 5, 1088, 12, &[0, 3, 0])),
        ("run-lost", seed(92 * 128, 128, 23, &[2, 5, 0, 20, 0])),
        ("only-repair", seed(12 * 64, 64, 12, &[2, 0, 0, 12, 0])),
        ("too-few", seed(12 * 64, 64, 4, &[2, 0, 0, 9, 0])),
        ("exactly-k", seed(100 * 64, 64, 25, &[2, 0, 0, 25, 0, 4, 60, 0])),
        ("twice", seed(12 * 64, 64, 4, &[0, 0, 0, 3, 1, 0, 3, 2, 0])),
        ("longer", seed(12 * 64, 64, 4, &[0, 0, 0, 5, 1, 0, 65, 0])),
        ("zero-length", seed(12 * 64, 64, 4, &[0, 0, 0, 5, 1, 0, 0, 0])),
        ("uncommitted", seed(12 * 64, 64, 4, &[0, 0, 0, 6, 1, 0, 0, 0])),
        ("uncommitted-largest", seed(12 * 64, 64, 4, &[6, 1, 0, 255, 255])),
        ("forged", seed(46 * 64, 64, 12, &[0, 3, 0, 7, 9, 0, 255])),
        ("no-repair", seed(7 * 64, 64, 0, &[0, 3, 0])),
        ("many", seed(1024 * 64, 64, 64, &[2, 9, 0, 40, 0])),
        ("short-payload", seed(7 * 64 + 1, 64, 8, &[2, 1, 0, 6, 0])),
        ("out-of-range", seed(u32::MAX, 1, 9, &[0, 0, 0])),
    ]
}
