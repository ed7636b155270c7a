//! What the benches share: measuring beside a physical floor, and a stage to measure on.
//!
//! Every measurement is a *pass*: untimed preparation, then many like items timed together.
//! Criterion gets the time of a pass; the table at the end has the time of one item, as the
//! median and the best of all passes, and both as multiples of a floor measured in the same run.
//! On a loaded machine the best is the one to trust: it was interrupted least.
#![allow(dead_code, reason = "each bench uses its part of it")]

pub mod mesh;
pub mod stage;

use criterion::Criterion;
use sha2::{Digest as _, Sha256};
use std::hint::black_box;
use std::time::{Duration, Instant};

/// Bytes of a full symbol.
pub const SYMBOL: usize = 1088;

/// One pass: how long the timed part took, for how many items.
pub type Pass = (Duration, u64);

/// Times `work`.
#[expect(clippy::disallowed_methods, reason = "a bench reads the clock")]
pub fn clock<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let start = Instant::now();
    let done = work();
    (start.elapsed(), done)
}

/// Times `count` calls of `work`.
pub fn repeat<T>(count: u64, mut work: impl FnMut() -> T) -> Pass {
    let (took, ()) = clock(|| {
        for _ in 0..count {
            black_box(work());
        }
    });
    (took, count)
}

struct Row {
    id: String,
    floor: Option<String>,
    /// Nanoseconds per item of every pass.
    passes: Vec<f64>,
}

impl Row {
    fn best(&self) -> f64 {
        self.passes.first().copied().unwrap_or(f64::NAN)
    }

    fn median(&self) -> f64 {
        self.passes.get(self.passes.len() / 2).copied().unwrap_or(f64::NAN)
    }
}

/// Criterion, and a table of ratios.
pub struct Bench {
    criterion: Criterion,
    rows: Vec<Row>,
}

impl Bench {
    pub fn new() -> Self {
        let criterion = Criterion::default()
            .sample_size(20)
            .warm_up_time(Duration::from_millis(300))
            .measurement_time(Duration::from_millis(1500))
            .configure_from_args();
        Self { criterion, rows: Vec::new() }
    }

    /// Measures a floor: what physics wants of one item.
    pub fn floor(&mut self, id: &str, pass: impl FnMut() -> Pass) {
        self.row(id, None, pass);
    }

    /// Measures an item beside a floor that was measured before.
    pub fn beside(&mut self, floor: &str, id: &str, pass: impl FnMut() -> Pass) {
        self.row(id, Some(floor.to_owned()), pass);
    }

    fn row(&mut self, id: &str, floor: Option<String>, mut pass: impl FnMut() -> Pass) {
        let mut passes = Vec::new();
        self.criterion.bench_function(id, |bencher| {
            bencher.iter_custom(|count| {
                let mut sum = Duration::ZERO;
                for _ in 0..count {
                    let (took, items) = pass();
                    sum += took;
                    passes.push(took.as_nanos() as f64 / items.max(1) as f64);
                }
                sum
            });
        });
        passes.sort_by(f64::total_cmp);
        self.rows.push(Row { id: id.to_owned(), floor, passes });
    }

    /// Prints the table, unless this was only a smoke test.
    pub fn finish(self) {
        self.criterion.final_summary();
        let given = |name: &str| std::env::args().any(|arg| arg == name);
        if !given("--bench") || given("--test") || given("--list") {
            return;
        }
        println!("\n{:<44} {:>11} {:>11}   x floor", "per item", "median", "best");
        for row in self.rows.iter().filter(|row| !row.passes.is_empty()) {
            let (median, best) = (row.median(), row.best());
            print!("{:<44} {:>8.0} ns {:>8.0} ns", row.id, median, best);
            let floor = row.floor.as_ref().and_then(|id| self.rows.iter().find(|r| r.id == *id));
            match floor {
                Some(floor) => {
                    let (by_median, by_best) = (median / floor.median(), best / floor.best());
                    println!("   {by_median:.2} ({by_best:.2} best) x {}", floor.id);
                }
                None => println!("   floor"),
            }
        }
    }
}

/// Plain SHA-256 of one symbol.
pub fn floor_sha256() -> impl FnMut() -> Pass {
    let symbol = vec![0x5a_u8; SYMBOL];
    move || repeat(256, || Sha256::digest(black_box(&symbol)))
}

/// Copying `bytes` over and over.
pub fn floor_memcpy(bytes: &[u8]) -> impl FnMut() -> Pass + use<> {
    let from = bytes.to_vec();
    let mut to = vec![0; from.len()];
    move || {
        repeat(4096, || {
            black_box(&mut to).copy_from_slice(black_box(&from));
        })
    }
}
