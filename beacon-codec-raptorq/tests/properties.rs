//! The contract E01–E06 over random layouts, losses and orders.

#![allow(clippy::unwrap_used)]

mod support;

use beacon_codec_raptorq::RaptorQ;
use beacon_sdk::plugin::ErasureError;
use beacon_sdk::{ErasureCode, Layout};
use bytes::Bytes;
use proptest::prelude::*;
use support::{payload, shuffle, source};

/// Layouts with at least two repair symbols; small symbols, as the code treats bytes alike.
fn coded() -> impl Strategy<Value = Layout> {
    (8u16..300, 1u16..5, 0u16..64).prop_flat_map(|(k, size, missing)| {
        (2..=k).prop_map(move |r| support::layout(k, size * 64, missing, r))
    })
}

/// All K + R symbols, in order.
fn all(code: &mut RaptorQ, layout: &Layout, payload: &Bytes) -> Vec<(u16, Bytes)> {
    let esis: Vec<u16> = (layout.source()..layout.total()).collect();
    let repair = code.repair(layout, payload, &esis).unwrap();
    source(layout, payload).into_iter().chain(esis.into_iter().zip(repair)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn any_k_plus_2_recover(layout in coded(), seed: u64) {
        let mut code = RaptorQ::new();
        let payload = payload(&layout, seed);
        let mut symbols = all(&mut code, &layout, &payload);
        shuffle(&mut symbols, seed);
        symbols.truncate(usize::from(layout.source()) + 2);
        prop_assert_eq!(code.recover(&layout, &symbols).unwrap(), Some(payload));
    }

    #[test]
    fn k_recover_or_say_so(layout in coded(), seed: u64) {
        let mut code = RaptorQ::new();
        let payload = payload(&layout, seed);
        let mut symbols = all(&mut code, &layout, &payload);
        shuffle(&mut symbols, seed);
        symbols.truncate(usize::from(layout.source()));
        if let Some(recovered) = code.recover(&layout, &symbols).unwrap() {
            prop_assert_eq!(recovered, payload);
        }
    }

    #[test]
    fn more_than_needed_recover(layout in coded(), seed: u64, lost in 1usize..20) {
        let mut code = RaptorQ::new();
        let payload = payload(&layout, seed);
        let mut symbols = all(&mut code, &layout, &payload);
        shuffle(&mut symbols, seed);
        let left = symbols.len().saturating_sub(lost);
        symbols.truncate(left.max(usize::from(layout.source()) + 2));
        prop_assert_eq!(code.recover(&layout, &symbols).unwrap(), Some(payload));
    }

    #[test]
    fn too_few_are_none_even_when_given_twice(layout in coded(), seed: u64, few: prop::sample::Index) {
        let mut code = RaptorQ::new();
        let payload = payload(&layout, seed);
        let mut symbols = all(&mut code, &layout, &payload);
        shuffle(&mut symbols, seed);
        symbols.truncate(few.index(usize::from(layout.source())));
        symbols.extend(symbols.clone());
        prop_assert_eq!(code.recover(&layout, &symbols).unwrap(), None);
    }

    #[test]
    fn the_first_of_two_counts(layout in coded(), seed: u64) {
        let mut code = RaptorQ::new();
        let payload = payload(&layout, seed);
        let mut symbols = all(&mut code, &layout, &payload);
        shuffle(&mut symbols, seed);
        symbols.truncate(usize::from(layout.source()) + 2);
        let false_ones = symbols.clone().into_iter().map(|(esi, symbol)| {
            (esi, Bytes::from(vec![0xff; symbol.len()]))
        });
        let twice: Vec<_> = symbols.iter().cloned().chain(false_ones).collect();
        prop_assert_eq!(code.recover(&layout, &twice).unwrap(), Some(payload));
    }

    #[test]
    fn nothing_lost_costs_no_repair(layout in coded(), seed: u64) {
        let payload = payload(&layout, seed);
        let mut symbols = source(&layout, &payload);
        shuffle(&mut symbols, seed);
        prop_assert_eq!(RaptorQ::new().recover(&layout, &symbols).unwrap(), Some(payload));
    }

    #[test]
    fn a_symbol_of_another_length_is_an_error(
        layout in coded(), seed: u64, at: prop::sample::Index, got in 0usize..3000,
    ) {
        prop_assume!(got != layout.symbol_size());
        let mut code = RaptorQ::new();
        let mut symbols = all(&mut code, &layout, &payload(&layout, seed));
        symbols[at.index(usize::from(layout.total()))].1 = vec![0; got].into();
        let want = layout.symbol_size();
        prop_assert_eq!(code.recover(&layout, &symbols), Err(ErasureError::Length { got, want }));
    }

    #[test]
    fn an_uncommitted_symbol_is_an_error(layout in coded(), seed: u64, beyond in 0u16..) {
        let mut code = RaptorQ::new();
        let payload = payload(&layout, seed);
        let esi = layout.total().saturating_add(beyond);
        let mut symbols = source(&layout, &payload);
        symbols.push((esi, symbols[0].1.clone()));
        prop_assert_eq!(code.recover(&layout, &symbols), Err(ErasureError::Symbol(esi)));
        let committed = layout.source();
        for esi in [esi, committed - 1] {
            let repair = code.repair(&layout, &payload, &[committed, esi]);
            prop_assert_eq!(repair, Err(ErasureError::Symbol(esi)));
        }
    }

    #[test]
    fn a_payload_of_another_length_is_an_error(layout in coded(), got in 0usize..100_000) {
        prop_assume!(got != layout.padded_len());
        let repair = RaptorQ::new().repair(&layout, &vec![0; got], &[layout.source()]);
        let want = layout.padded_len();
        prop_assert_eq!(repair, Err(ErasureError::Length { got, want }));
    }

    #[test]
    fn repair_does_not_depend_on_what_was_asked_before(layout in coded(), seed: u64) {
        let payload = payload(&layout, seed);
        let mut code = RaptorQ::new();
        let mut wanted = all(&mut RaptorQ::new(), &layout, &payload);
        wanted.drain(..usize::from(layout.source()));
        shuffle(&mut wanted, seed);
        // One at a time, the last again, from two handles on the same caches.
        wanted.push(wanted[0].clone());
        for (esi, symbol) in wanted {
            let mut code = code.clone();
            prop_assert_eq!(code.repair(&layout, &payload, &[esi]).unwrap(), [symbol]);
        }
        prop_assert_eq!(code.repair(&layout, &payload, &[]).unwrap().len(), 0);
    }

    #[test]
    fn garbage_layouts_do_not_panic(
        len in prop_oneof![any::<u32>(), 0u32..40_000],
        size in prop_oneof![any::<u16>(), (0u16..20).prop_map(|n| n * 64)],
        repair in prop_oneof![any::<u16>(), 0u16..40],
        symbols in prop::collection::vec((0u16..80, any::<u8>()), 0..120),
    ) {
        let Ok(layout) = Layout::new(len, size, repair) else { return Ok(()) };
        let mut code = RaptorQ::new();
        let symbols: Vec<_> = symbols
            .into_iter()
            .filter(|(esi, _)| *esi < layout.total())
            .map(|(esi, byte)| (esi, Bytes::from(vec![byte; layout.symbol_size()])))
            .collect();
        // Inconsistent symbols may be recovered to anything of the right length.
        if let Some(payload) = code.recover(&layout, &symbols).unwrap() {
            prop_assert_eq!(payload.len(), layout.padded_len());
        }
        let payload = vec![1; layout.padded_len()];
        let first = code.repair(&layout, &payload, &[layout.source()]);
        prop_assert_eq!(first.is_ok(), layout.repair() > 0);
    }
}

#[test]
fn the_largest_segment_survives_the_loss_of_half() {
    let layout = support::layout(2048, 1088, 9, 2048);
    let payload = payload(&layout, 5);
    let mut code = RaptorQ::new();
    let mut symbols = all(&mut code, &layout, &payload);
    shuffle(&mut symbols, 5);
    symbols.truncate(2050);
    assert_eq!(code.recover(&layout, &symbols).unwrap(), Some(payload.clone()));
    // And with nothing but repair symbols.
    let esis: Vec<u16> = (2048..4096).collect();
    let repair = code.repair(&layout, &payload, &esis).unwrap();
    let symbols: Vec<_> = esis.into_iter().zip(repair).collect();
    assert_eq!(code.recover(&layout, &symbols).unwrap(), Some(payload));
}

#[test]
fn other_payloads_of_the_same_layout_are_not_mixed_up() {
    let layout = support::layout(46, 1088, 0, 12);
    let mut code = RaptorQ::new();
    let payloads: Vec<Bytes> = (0..4).map(|seed| payload(&layout, seed)).collect();
    let fresh: Vec<_> =
        payloads.iter().map(|p| RaptorQ::new().repair(&layout, p, &[46, 57]).unwrap()).collect();
    for _ in 0..2 {
        for (payload, fresh) in payloads.iter().zip(&fresh) {
            assert_eq!(code.repair(&layout, payload, &[46, 57]).unwrap(), *fresh);
        }
    }
    // K differs by one and the bytes are the same but for the padding: not the same segment.
    let [longer, shorter] = [support::layout(47, 1088, 0, 12), support::layout(48, 1088, 0, 12)];
    let zeros = vec![0; 48 * 1088];
    assert_eq!(code.repair(&longer, &zeros[1088..], &[47]).unwrap()[0].len(), 1088);
    assert_eq!(
        code.repair(&shorter, &zeros, &[47]),
        Err(ErasureError::Symbol(47)),
        "47 is a source symbol here"
    );
}
