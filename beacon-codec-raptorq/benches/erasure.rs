//! Encode and recover, beside their physical floors in the same run: a copy of the payload, and
//! plain raptorq without our wrapper (its best use: a cached plan, packets ready made).
//!
//! `cargo bench -p beacon-codec-raptorq --bench erasure`

#![allow(clippy::unwrap_used, missing_docs)]

use beacon_codec_raptorq::RaptorQ;
use beacon_sdk::{ErasureCode, Layout};
use bytes::Bytes;
use criterion::{BatchSize, measurement::WallTime};
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use raptorq::{
    EncodingPacket, ObjectTransmissionInformation, PayloadId, SourceBlockDecoder,
    SourceBlockEncoder, SourceBlockEncodingPlan,
};
use std::time::Duration;

const SYMBOL_SIZE: u16 = 1088;
const SOURCE: [u16; 5] = [8, 46, 92, 230, 1000];
const LOST_PERCENT: [u16; 4] = [0, 1, 10, 30];
/// Committed repair symbols; enough for the largest loss.
const REPAIR_PERCENT: u16 = 50;

/// A segment, its committed symbols, and raptorq's own view of it.
struct Case {
    layout: Layout,
    payload: Bytes,
    symbols: Vec<(u16, Bytes)>,
    block: ObjectTransmissionInformation,
}

impl Case {
    fn new(source: u16, seed: u64) -> Self {
        let repair = (source * REPAIR_PERCENT).div_ceil(100);
        let len = u32::from(source) * u32::from(SYMBOL_SIZE);
        let layout = Layout::new(len, SYMBOL_SIZE, repair).unwrap();
        let mut payload = vec![0; layout.padded_len()];
        ChaCha8Rng::seed_from_u64(seed).fill_bytes(&mut payload);
        let payload = Bytes::from(payload);
        let esis: Vec<u16> = (source..layout.total()).collect();
        let repair = RaptorQ::new().repair(&layout, &payload, &esis).unwrap();
        let size = layout.symbol_size();
        let symbols = (0..source)
            .map(|i| (i, payload.slice(usize::from(i) * size..(usize::from(i) + 1) * size)))
            .chain(esis.into_iter().zip(repair))
            .collect();
        let block = ObjectTransmissionInformation::new(len.into(), SYMBOL_SIZE, 1, 1, 8);
        Self { layout, payload, symbols, block }
    }

    /// K + 1 symbols (K when nothing is lost), of which the lost source symbols are evenly spread.
    fn received(&self, lost_percent: u16) -> Vec<(u16, Bytes)> {
        let k = u32::from(self.layout.source());
        let lost = (k * u32::from(lost_percent)).div_ceil(100);
        let is_lost = |esi: u32| esi < k && (esi * lost) % k < lost;
        let want = (k + u32::from(lost > 0)) as usize;
        self.symbols.iter().filter(|(esi, _)| !is_lost((*esi).into())).take(want).cloned().collect()
    }

    fn packets(symbols: &[(u16, Bytes)]) -> Vec<EncodingPacket> {
        let packet = |(esi, symbol): &(u16, Bytes)| {
            EncodingPacket::new(PayloadId::new(0, (*esi).into()), symbol.to_vec())
        };
        symbols.iter().map(packet).collect()
    }
}

fn group<'a>(c: &'a mut Criterion, name: String, case: &Case) -> BenchmarkGroup<'a, WallTime> {
    let mut group = c.benchmark_group(name);
    group.sample_size(30).warm_up_time(Duration::from_millis(200));
    group.measurement_time(Duration::from_millis(800));
    group.throughput(Throughput::Bytes(case.layout.payload_len() as u64));
    group.bench_function("floor/memcpy", |b| b.iter(|| case.payload.to_vec()));
    group
}

/// 20 % of repair symbols of a payload.
fn encode(c: &mut Criterion) {
    for source in SOURCE {
        let case = Case::new(source, 1);
        let mut group = group(c, format!("encode/K{source}"), &case);
        let count = (source * 20).div_ceil(100);
        let esis: Vec<u16> = (source..source + count).collect();

        let plan = SourceBlockEncodingPlan::generate(source);
        group.bench_function("floor/raptorq", |b| {
            b.iter(|| {
                let (block, payload) = (&case.block, &case.payload);
                let encoder = SourceBlockEncoder::with_encoding_plan(0, block, payload, &plan);
                encoder.repair_packets(0, count.into())
            });
        });
        // Three payloads in turn never meet one of the two kept encoders.
        let others = [Case::new(source, 2), Case::new(source, 3), Case::new(source, 4)];
        let mut code = RaptorQ::new();
        let mut turn = 0;
        group.bench_function("new payload", |b| {
            b.iter(|| {
                turn = (turn + 1) % others.len();
                code.repair(&case.layout, &others[turn].payload, &esis).unwrap()
            });
        });
        group.bench_function("new payload, no plan", |b| {
            b.iter_batched(
                RaptorQ::new,
                |mut code| code.repair(&case.layout, &case.payload, &esis).unwrap(),
                BatchSize::LargeInput,
            );
        });
        group.bench_function("one symbol, kept encoder", |b| {
            b.iter(|| code.repair(&case.layout, &case.payload, &esis[..1]).unwrap());
        });
    }
}

fn recover(c: &mut Criterion) {
    for source in SOURCE {
        let case = Case::new(source, 1);
        for lost in LOST_PERCENT {
            let mut group = group(c, format!("recover/K{source}/lost{lost}%"), &case);
            let symbols = case.received(lost);
            let len = case.layout.padded_len() as u64;
            group.bench_function("floor/raptorq", |b| {
                b.iter_batched(
                    || Case::packets(&symbols),
                    |packets| SourceBlockDecoder::new(0, &case.block, len).decode(packets).unwrap(),
                    BatchSize::LargeInput,
                );
            });
            let mut code = RaptorQ::new();
            group.bench_function("ours", |b| {
                b.iter(|| code.recover(&case.layout, &symbols).unwrap().unwrap());
            });
            if lost > 0 && case.symbols.len() > symbols.len() + 16 {
                let mut all = case.received(lost);
                all.extend(case.symbols.iter().rev().take(15).cloned());
                group.bench_function("ours, 16 symbols beyond K", |b| {
                    b.iter(|| code.recover(&case.layout, &all).unwrap().unwrap());
                });
            }
        }
    }
}

criterion_group!(benches, encode, recover);
criterion_main!(benches);
