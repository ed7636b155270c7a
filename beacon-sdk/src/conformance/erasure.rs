//! The suite of [`ErasureCode`]: clauses E01–E06. Code 0 makes no repair symbols and is tried
//! without.

use crate::plugin::{ErasureCode, ErasureError, Layout, SYMBOL_BYTES_MAX};
use crate::rng::Rng;
use bytes::Bytes;
use core::panic::AssertUnwindSafe;

/// Repair symbols per hundred source symbols of the codes that make some.
const REPAIR_PERCENT: u8 = 30;
/// Subsets that are tried of every payload.
const SUBSETS: usize = 12;

/// One `#[test]` per clause E01–E06 for the codes that the constructor `$make` returns, boxed:
/// `erasure_conformance!(|| Box::new(Plain))`.
#[macro_export]
macro_rules! erasure_conformance {
    ($make:expr) => {
        $crate::__pure_conformance_tests!($make, erasure,
            e01_enough_symbols_recover e02_source_symbols_are_the_payload e03_deterministic
            e04_too_few_are_none e05_misfits_are_errors e06_repetition_and_order_are_nothing);
    };
}

/// Makes a symbol unfit for its layout.
type Spoil = fn(&Layout, &mut (u16, Bytes));

/// A payload with all its committed symbols, cut and made once.
struct Case {
    layout: Layout,
    payload: Vec<u8>,
    symbols: Vec<(u16, Bytes)>,
    rng: Rng,
}

impl Case {
    fn subset(&mut self, count: usize) -> Vec<(u16, Bytes)> {
        let mut symbols = self.symbols.clone();
        self.rng.shuffle(&mut symbols);
        symbols.truncate(count);
        symbols
    }

    /// How many symbols always recover.
    fn enough(&self) -> usize {
        (usize::from(self.layout.source()) + 2).min(self.symbols.len())
    }
}

fn done<T>(clause: &str, result: Result<T, ErasureError>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("{clause}: the code refused what it must take: {error}"),
    }
}

fn cases(clause: &str, code: &mut dyn ErasureCode) -> Vec<Case> {
    let lengths = [
        1,
        64,
        500,
        7 * SYMBOL_BYTES_MAX,
        8 * SYMBOL_BYTES_MAX,
        20_001,
        100_000,
        257 * SYMBOL_BYTES_MAX - 1,
    ];
    let percent = if code.id() == 0 { 0 } else { REPAIR_PERCENT };
    let mut cases = Vec::new();
    for (number, length) in (0..).zip(lengths) {
        let mut rng = Rng::new([6; 32], number);
        let Ok(layout) = Layout::plan(length, percent) else { continue };
        let mut payload: Vec<u8> = (0..length).map(|_| rng.bits().to_le_bytes()[0]).collect();
        payload.resize(layout.padded_len(), 0);
        let whole = Bytes::copy_from_slice(&payload);
        let size = layout.symbol_size();
        let cut = |esi: u16| {
            let from = usize::from(esi) * size;
            (esi, whole.slice(from..from + size))
        };
        let mut symbols: Vec<(u16, Bytes)> = (0..layout.source()).map(cut).collect();
        let esis: Vec<u16> = (layout.source()..layout.total()).collect();
        let repair = done(clause, code.repair(&layout, &payload, &esis));
        assert_eq!(repair.len(), esis.len(), "{clause}: one symbol per ESI that was asked for");
        let fit = repair.iter().all(|symbol| symbol.len() == size);
        assert!(fit, "{clause}: a repair symbol is as long as a source symbol");
        symbols.extend(esis.into_iter().zip(repair));
        cases.push(Case { layout, payload, symbols, rng });
    }
    cases
}

/// Any K + 2 distinct committed symbols recover, or all of them where there are fewer.
pub fn e01_enough_symbols_recover(make: impl Fn() -> Box<dyn ErasureCode>) {
    let mut code = make();
    for mut case in cases("E01", code.as_mut()) {
        for _ in 0..SUBSETS {
            let symbols = case.subset(case.enough());
            let got = done("E01", code.recover(&case.layout, &symbols));
            let whole = got.as_deref() == Some(case.payload.as_slice());
            assert!(whole, "E01: {} symbols do not recover {:?}", symbols.len(), case.layout);
        }
        // The case that repair is for: as many source symbols lost as can be.
        let from = case.symbols.len() - case.enough();
        let got = done("E01", code.recover(&case.layout, &case.symbols[from..]));
        let whole = got.as_deref() == Some(case.payload.as_slice());
        assert!(whole, "E01: all repair symbols do not recover {:?}", case.layout);
    }
}

/// The source symbols, cut from the padded payload, are all that is needed.
pub fn e02_source_symbols_are_the_payload(make: impl Fn() -> Box<dyn ErasureCode>) {
    let mut code = make();
    for case in cases("E02", code.as_mut()) {
        let source = &case.symbols[..usize::from(case.layout.source())];
        let got = done("E02", code.recover(&case.layout, source));
        let whole = got.as_deref() == Some(case.payload.as_slice());
        assert!(whole, "E02: the source symbols are not the payload of {:?}", case.layout);
    }
}

/// A repair symbol is the same whichever instance makes it, alone, in any order, at any time.
pub fn e03_deterministic(make: impl Fn() -> Box<dyn ErasureCode>) {
    let (mut one, mut other) = (make(), make());
    assert_eq!(one.id(), other.id(), "E03: the id of a code is constant");
    let cases = cases("E03", one.as_mut());
    for case in cases.iter().rev() {
        for (esi, symbol) in case.symbols.iter().skip(usize::from(case.layout.source())).rev() {
            let again = done("E03", other.repair(&case.layout, &case.payload, &[*esi]));
            assert_eq!(
                again,
                std::slice::from_ref(symbol),
                "E03: two symbols {esi} of {:?}",
                case.layout
            );
        }
        let source = &case.symbols[..usize::from(case.layout.source())];
        let first = done("E03", one.recover(&case.layout, source));
        let second = done("E03", other.recover(&case.layout, source));
        assert_eq!(first, second, "E03: two payloads from the same symbols");
    }
}

/// Fewer than K symbols are `None`; at and just above K, `None` or the payload.
pub fn e04_too_few_are_none(make: impl Fn() -> Box<dyn ErasureCode>) {
    let mut code = make();
    for mut case in cases("E04", code.as_mut()) {
        let source = usize::from(case.layout.source());
        for count in [0, 1, source / 2, source.saturating_sub(2), source - 1] {
            let symbols = case.subset(count.min(source - 1));
            let got = done("E04", code.recover(&case.layout, &symbols));
            assert!(got.is_none(), "E04: {count} symbols recover {:?}", case.layout);
        }
        for count in [source, source + 1] {
            if count > case.symbols.len() {
                continue;
            }
            let symbols = case.subset(count);
            let got = done("E04", code.recover(&case.layout, &symbols));
            let right = got.is_none_or(|payload| payload == case.payload);
            assert!(right, "E04: wrong bytes from {count} symbols of {:?}", case.layout);
        }
    }
}

/// What does not fit the layout is an error and never a panic.
pub fn e05_misfits_are_errors(make: impl Fn() -> Box<dyn ErasureCode>) {
    let mut code = make();
    for case in cases("E05", code.as_mut()) {
        let layout = case.layout;
        let refused = std::panic::catch_unwind(AssertUnwindSafe(|| {
            let mut refused = true;
            for length in [0, 1, layout.padded_len() - 1, layout.padded_len() + 1] {
                let mut payload = case.payload.clone();
                payload.resize(length, 0);
                refused &= code.repair(&layout, &payload, &[layout.source()]).is_err();
            }
            for esi in [0, layout.source() - 1, layout.total(), u16::MAX] {
                refused &= code.repair(&layout, &case.payload, &[esi]).is_err();
            }
            refused
        }));
        let kept = refused.unwrap_or(false);
        assert!(kept, "E05: repair takes what does not fit {layout:?}, or panics");

        let spoil: [Spoil; 5] = [
            |layout, symbol| symbol.0 = layout.total(),
            |_, symbol| symbol.0 = u16::MAX,
            |_, symbol| symbol.1 = Bytes::new(),
            |layout, symbol| symbol.1 = symbol.1.slice(..layout.symbol_size() - 1),
            |layout, symbol| symbol.1 = Bytes::from(vec![0; layout.symbol_size() + 64]),
        ];
        // At the front, at the back and alone: wherever a code may stop reading.
        let last = case.symbols.len() - 1;
        for (spoil, at) in spoil.into_iter().flat_map(|spoil| [(spoil, 0), (spoil, last)]) {
            let mut symbols = case.symbols.clone();
            spoil(&layout, &mut symbols[at]);
            for symbols in [symbols.as_slice(), &symbols[at..=at]] {
                let result = std::panic::catch_unwind(AssertUnwindSafe(|| {
                    code.recover(&layout, symbols).is_err()
                }));
                let kept = result.unwrap_or(false);
                assert!(kept, "E05: recover takes what does not fit {layout:?}, or panics");
            }
        }
    }
}

/// A symbol given twice counts once; order does not matter.
pub fn e06_repetition_and_order_are_nothing(make: impl Fn() -> Box<dyn ErasureCode>) {
    let mut code = make();
    for mut case in cases("E06", code.as_mut()) {
        let source = usize::from(case.layout.source());
        let few = case.subset(source - 1);
        let repeated: Vec<_> = few.iter().cycle().take(few.len() * 3).cloned().collect();
        let got = done("E06", code.recover(&case.layout, &repeated));
        assert!(got.is_none(), "E06: repeated symbols count twice in {:?}", case.layout);
        let mut enough = case.subset(case.enough());
        enough.extend(enough.clone());
        for _ in 0..3 {
            case.rng.shuffle(&mut enough);
            let got = done("E06", code.recover(&case.layout, &enough));
            let whole = got.as_deref() == Some(case.payload.as_slice());
            assert!(whole, "E06: repeated symbols in disorder do not recover {:?}", case.layout);
        }
    }
}
