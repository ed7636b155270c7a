//! An erasure code without an adapter.

use beacon_sdk::plugin::{ErasureCode, ErasureError, Layout};
use bytes::Bytes;
use std::collections::BTreeMap;

/// A systematic code of single parities: repair symbol K + j is the XOR of the source symbols
/// i ≡ j mod R. Enough to test the engine's paths without an adapter.
#[derive(Debug)]
pub struct Parity;
impl ErasureCode for Parity {
    fn id(&self) -> u8 {
        200
    }
    fn repair(
        &mut self,
        layout: &Layout,
        payload: &[u8],
        esis: &[u16],
    ) -> Result<Vec<Bytes>, ErasureError> {
        let size = layout.symbol_size();
        let one = |esi: &u16| {
            let class = usize::from(esi - layout.source());
            let mut out = vec![0; size];
            for (at, symbol) in payload.chunks_exact(size).enumerate() {
                if at % usize::from(layout.repair()) == class {
                    out.iter_mut().zip(symbol).for_each(|(a, b)| *a ^= b);
                }
            }
            Bytes::from(out)
        };
        Ok(esis.iter().map(one).collect())
    }
    fn recover(
        &mut self,
        layout: &Layout,
        symbols: &[(u16, Bytes)],
    ) -> Result<Option<Bytes>, ErasureError> {
        let held: BTreeMap<u16, &Bytes> = symbols.iter().map(|(esi, s)| (*esi, s)).collect();
        let size = layout.symbol_size();
        let mut out = vec![0; layout.padded_len()];
        let missing: Vec<u16> = (0..layout.source()).filter(|e| !held.contains_key(e)).collect();
        for (esi, symbol) in &held {
            if *esi < layout.source() {
                out[usize::from(*esi) * size..][..size].copy_from_slice(symbol);
            }
        }
        for gone in missing {
            let class = gone % layout.repair().max(1);
            let Some(parity) = held.get(&(layout.source() + class)) else { return Ok(None) };
            let mut symbol = parity.to_vec();
            for esi in (0..layout.source()).filter(|e| e % layout.repair() == class && *e != gone) {
                let Some(other) = held.get(&esi) else { return Ok(None) };
                symbol.iter_mut().zip(other.iter()).for_each(|(a, b)| *a ^= b);
            }
            out[usize::from(gone) * size..][..size].copy_from_slice(&symbol);
        }
        Ok(Some(out.into()))
    }
}
