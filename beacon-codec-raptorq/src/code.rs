//! [`RaptorQ`].

use crate::block::{block_symbols, transmission};
use crate::recent::Recent;
use beacon_sdk::plugin::ErasureError;
use beacon_sdk::{ErasureCode, Layout};
use bytes::{Bytes, BytesMut};
use core::fmt;
use raptorq::{
    EncodingPacket, PayloadId, SourceBlockDecoder, SourceBlockEncoder, SourceBlockEncodingPlan,
};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// Encoding plans kept: one per K′, about 2.4 kB per source symbol, so 40 MB at most.
const PLANS_MAX: usize = 8;
/// Encoders kept, each 3.5 times its payload: 16 MB at most. Two, as a peer serves repair symbols
/// of the segment at the edge and of the one before.
const ENCODERS_MAX: usize = 2;
/// Symbols beyond K passed to the first attempt at solving. From 13 on, the solver has enough
/// binary equations to do without those over GF(256), which are slower; more only add rows.
const SURPLUS_MAX: usize = 16;

/// RaptorQ, number 1 in manifests.
///
/// Nothing is computed until it is asked for: [`repair`](ErasureCode::repair) solves for a
/// payload's intermediate symbols once and then makes further symbols of the same payload
/// cheaply, and [`recover`](ErasureCode::recover) only concatenates while no source symbol is
/// lost. A clone shares the caches, so that a process with several engines should make one and
/// clone it.
///
/// Stateless apart from those caches. A call blocks the thread: 50 kB take some 30 µs to make a
/// first repair symbol and 70 µs to solve, 2 MB 1.5 and 3.5 ms (thread CPU time on x86-64 with
/// AVX-512 and the plan cached, `fec_auth.md` §1.1; a new plan doubles the former).
#[derive(Clone, Default)]
pub struct RaptorQ(Arc<Caches>);

#[derive(Default)]
struct Caches {
    plans: Recent<Plan, PLANS_MAX>,
    encoders: Recent<Encoder, ENCODERS_MAX>,
}

struct Plan {
    block: u16,
    steps: SourceBlockEncodingPlan,
}

/// The solved intermediate symbols of one payload. The payload itself is the key, compared byte
/// for byte: that takes a tenth of a hash's time and cannot collide.
struct Encoder {
    layout: Layout,
    padded: Vec<u8>,
    solved: SourceBlockEncoder,
}

impl RaptorQ {
    /// A code with empty caches.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn plan(&self, block: u16) -> Arc<Plan> {
        let plans = &self.0.plans;
        plans.find(|plan| plan.block == block).unwrap_or_else(|| {
            plans.keep(Plan { block, steps: SourceBlockEncodingPlan::generate(block) })
        })
    }

    fn encoder(&self, layout: &Layout, payload: &[u8]) -> Arc<Encoder> {
        let encoders = &self.0.encoders;
        encoders.find(|encoder| encoder.is_of(layout, payload)).unwrap_or_else(|| {
            let block = block_symbols(layout.source());
            let mut padded = vec![0; usize::from(block) * layout.symbol_size()];
            padded[..payload.len()].copy_from_slice(payload);
            let solved = SourceBlockEncoder::with_encoding_plan(
                0,
                &transmission(layout, block),
                &padded,
                &self.plan(block).steps,
            );
            encoders.keep(Encoder { layout: *layout, padded, solved })
        })
    }
}

impl Encoder {
    fn is_of(&self, layout: &Layout, payload: &[u8]) -> bool {
        // How many repair symbols are committed changes none of them.
        self.layout.source() == layout.source()
            && self.layout.symbol_size() == layout.symbol_size()
            && self.padded[..payload.len()] == *payload
    }
}

impl fmt::Debug for RaptorQ {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RaptorQ")
            .field("plans", &self.0.plans.len())
            .field("encoders", &self.0.encoders.len())
            .finish()
    }
}

impl ErasureCode for RaptorQ {
    fn id(&self) -> u8 {
        1
    }

    fn repair(
        &mut self,
        layout: &Layout,
        payload: &[u8],
        esis: &[u16],
    ) -> Result<Vec<Bytes>, ErasureError> {
        check_len(payload.len(), layout.padded_len())?;
        let committed = layout.source()..layout.total();
        if let Some(&esi) = esis.iter().find(|esi| !committed.contains(esi)) {
            return Err(ErasureError::Symbol(esi));
        }
        if esis.is_empty() {
            return Ok(Vec::new());
        }
        guard(|| {
            let encoder = self.encoder(layout, payload);
            let mut symbols = Vec::with_capacity(esis.len());
            // The crate looks its constants up once per call, so ask for whole runs.
            for run in esis.chunk_by(|a, b| *b == *a + 1) {
                let first = u32::from(run[0] - layout.source());
                let packets = encoder.solved.repair_packets(first, run.len() as u32);
                symbols.extend(packets.into_iter().map(|packet| Bytes::from(packet.split().1)));
            }
            symbols
        })
    }

    fn recover(
        &mut self,
        layout: &Layout,
        symbols: &[(u16, Bytes)],
    ) -> Result<Option<Bytes>, ErasureError> {
        let slots = Slots::fill(layout, symbols)?;
        let need = usize::from(layout.source());
        if slots.source.iter().all(Option::is_some) {
            return Ok(Some(slots.concatenate(layout)));
        }
        let have = slots.count();
        if have < need {
            return Ok(None);
        }
        guard(|| {
            let first = have.min(need + SURPLUS_MAX);
            let solved = slots.solve(layout, first);
            // Sixteen surplus symbols never leave a system unsolved by chance, but a publisher
            // may have chosen these by hand.
            if solved.is_none() && first < have { slots.solve(layout, have) } else { solved }
        })
    }
}

/// Symbols by ESI; of one given twice the first counts.
struct Slots<'a> {
    source: Vec<Option<&'a [u8]>>,
    repair: Vec<Option<&'a [u8]>>,
}

impl<'a> Slots<'a> {
    fn fill(layout: &Layout, symbols: &'a [(u16, Bytes)]) -> Result<Self, ErasureError> {
        let mut source = vec![None; usize::from(layout.source())];
        let mut repair = vec![None; usize::from(layout.repair())];
        for (esi, symbol) in symbols {
            check_len(symbol.len(), layout.symbol_size())?;
            let at = usize::from(*esi);
            let slot = match at.checked_sub(source.len()) {
                None => source.get_mut(at),
                Some(at) => repair.get_mut(at),
            };
            slot.ok_or(ErasureError::Symbol(*esi))?.get_or_insert(&symbol[..]);
        }
        Ok(Self { source, repair })
    }

    fn count(&self) -> usize {
        self.source.iter().chain(&self.repair).flatten().count()
    }

    fn concatenate(&self, layout: &Layout) -> Bytes {
        let mut payload = BytesMut::with_capacity(layout.padded_len());
        for symbol in self.source.iter().flatten() {
            payload.extend_from_slice(symbol);
        }
        payload.freeze()
    }

    /// One attempt with the first `count` symbols, source symbols before repair symbols.
    fn solve(&self, layout: &Layout, count: usize) -> Option<Bytes> {
        let packets = (0..)
            .zip(self.source.iter().chain(&self.repair))
            .filter_map(|(esi, symbol)| Some((esi, (*symbol)?)))
            .take(count)
            .map(|(esi, symbol)| EncodingPacket::new(PayloadId::new(0, esi), symbol.to_vec()));
        let block = transmission(layout, layout.source());
        let mut decoder = SourceBlockDecoder::new(0, &block, layout.padded_len() as u64);
        decoder.decode(packets).map(Bytes::from)
    }
}

fn check_len(got: usize, want: usize) -> Result<(), ErasureError> {
    if got == want { Ok(()) } else { Err(ErasureError::Length { got, want }) }
}

/// The second line of defence: a panic of the crate costs the segment, not the process (where
/// panics unwind, so not under wasm). Unwinding is safe to look past: the caches change only
/// by whole items, after the crate has returned.
fn guard<T>(work: impl FnOnce() -> T) -> Result<T, ErasureError> {
    catch_unwind(AssertUnwindSafe(work))
        .map_err(|_| ErasureError::Code("raptorq panicked; drop the segment".into()))
}
