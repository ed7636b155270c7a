//! Tables for people, JSON for programs.

use super::usage::load;
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// What every measurement can be told.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Output {
    /// Write the figures as JSON to this file as well
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

impl Output {
    /// Writes the figures with the circumstances that they were taken under.
    pub(crate) fn write(&self, circumstances: &Circumstances, mut figures: Value) -> Result<()> {
        let Some(path) = &self.json else { return Ok(()) };
        figures["circumstances"] = circumstances.json();
        let text = serde_json::to_string_pretty(&figures)? + "\n";
        std::fs::write(Path::new(path), text)
            .with_context(|| format!("--json {}: cannot be written", path.display()))
    }
}

/// What else bears on the figures.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Circumstances {
    cores: usize,
    load_before: f64,
}

impl Circumstances {
    pub(crate) fn now() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self { cores, load_before: load() }
    }

    const BUILD: &str = if cfg!(debug_assertions) { "debug" } else { "release" };

    pub(crate) fn print(&self) {
        println!(
            "\n{} cores, {} build, load {:.1} before and {:.1} after",
            self.cores,
            Self::BUILD,
            self.load_before,
            load()
        );
        if cfg!(debug_assertions) {
            println!("figures of a debug build mean nothing: cargo run --release --bin measure");
        }
    }

    fn json(&self) -> Value {
        json!({
            "cores": self.cores,
            "build": Self::BUILD,
            "load_before": self.load_before,
            "load_after": load(),
        })
    }
}

/// Percentiles of milliseconds.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Spread {
    pub(crate) count: usize,
    pub(crate) mean: f64,
    pub(crate) p50: f64,
    pub(crate) p95: f64,
    pub(crate) p99: f64,
}

impl Spread {
    pub(crate) fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let at = |share: f64| {
            let rank = (values.len() as f64 * share).ceil() as usize;
            values.get(rank.saturating_sub(1)).copied().unwrap_or(f64::NAN)
        };
        let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
        Self { count: values.len(), mean, p50: at(0.50), p95: at(0.95), p99: at(0.99) }
    }

    pub(crate) fn cells(&self) -> [String; 3] {
        [self.p50, self.p95, self.p99].map(|ms| format!("{ms:.1}"))
    }

    pub(crate) fn json(&self) -> Value {
        json!({
            "count": self.count,
            "mean": self.mean,
            "p50": self.p50,
            "p95": self.p95,
            "p99": self.p99,
        })
    }
}

/// Prints rows under headings: the first column to the left, the others to the right.
pub(crate) fn print_table(headings: &[&str], rows: &[Vec<String>]) {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain([headings[column].len()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..headings.len()).map(width).collect();
    let print = |cells: &mut dyn Iterator<Item = &str>| {
        let mut line = String::new();
        for (column, cell) in cells.enumerate() {
            let width = widths.get(column).copied().unwrap_or(0);
            if column == 0 {
                line.push_str(&format!("{cell:<width$}"));
            } else {
                line.push_str(&format!("  {cell:>width$}"));
            }
        }
        println!("{}", line.trim_end());
    };
    print(&mut headings.iter().copied());
    for row in rows {
        print(&mut row.iter().map(String::as_str));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_ranks() {
        let spread = Spread::of((1..=100).rev().map(f64::from).collect());
        assert_eq!((spread.p50, spread.p95, spread.p99), (50.0, 95.0, 99.0));
        let one = Spread::of(vec![7.0]);
        assert_eq!((one.p50, one.p95, one.p99, one.mean), (7.0, 7.0, 7.0, 7.0));
        assert!(Spread::of(Vec::new()).p50.is_nan());
    }
}
