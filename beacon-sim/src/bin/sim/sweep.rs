//! `sim sweep`.

use crate::progress::Progress;
use crate::{Failure, failed, print};
use beacon_sim::report::Report;
use beacon_sim::sweep::{self, SweepError};
use clap::Args;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Every cell is played with the same seeds. Writes NAME.jsonl (one line per run, as runs end),
/// NAME.csv and NAME.md (means and 95 % intervals) and NAME.svg into the folder.
///
/// What a sweep file holds: the name, the base plan, seeds, `[set]` and `[axes]`; see the files in
/// beacon-sim/plans/sweeps. Memory per peer is the whole process's and means nothing here.
#[derive(Debug, Args)]
pub(crate) struct Sweep {
    /// The sweep, a TOML file.
    sweep: PathBuf,
    /// The folder for what comes out; made when it is not there.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Runs at the same time; as many as there are cores if absent.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    jobs: Option<u32>,
    /// Seeds 1 to N instead of the file's.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    seeds: Option<u32>,
    /// Takes runs from a NAME.jsonl that an interrupted sweep has left in the folder. Only for the
    /// same plans and the same program: nothing checks that.
    #[arg(long)]
    resume: bool,
}

/// A line of the JSON file.
#[derive(Serialize, Deserialize)]
struct Line {
    settings: String,
    report: Report,
}

/// Runs by settings and seed.
type Known = BTreeMap<(String, u64), Report>;

/// The runs of an earlier sweep; none where there was none. A last line that was cut short is left
/// out.
fn known(lines: &Path) -> Known {
    let text = fs::read_to_string(lines).unwrap_or_default();
    let lines = text.lines().filter_map(|line| serde_json::from_str::<Line>(line).ok());
    lines.map(|line| ((line.settings, line.report.seed), line.report)).collect()
}

impl Sweep {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let sweep = sweep::Sweep::read(&self.sweep, self.seeds).map_err(failed)?;
        let out = &self.out;
        let cannot = |error| failed(format!("cannot write to {}: {error}", out.display()));
        fs::create_dir_all(out).map_err(cannot)?;
        let lines = out.join(format!("{}.jsonl", sweep.name));
        let known = if self.resume { known(&lines) } else { Known::new() };
        let mut file = File::create(&lines).map_err(cannot)?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let jobs = self.jobs.map_or(cores, |jobs| jobs as usize);
        let (runs, cells) = (sweep.runs(), sweep.cells.len());
        let seeds = sweep.seeds.len();
        eprintln!("{}: {cells} cells, {seeds} seeds, {runs} runs, {jobs} at a time", sweep.name);
        let (begun, mut progress) = (Instant::now(), Progress::new());
        let settings_of = |cell: usize| sweep.settings(&sweep.cells[cell].at);
        let known = |cell, seed| known.get(&(settings_of(cell), seed)).cloned();
        let outcomes = sweep::play(&sweep, jobs, known, |outcome, ended| {
            let settings = settings_of(outcome.cell);
            let passed = begun.elapsed().as_secs_f64();
            let left = passed / ended as f64 * (runs - ended) as f64;
            let told = format!("{ended} of {runs} runs, {left:.0} s left  {settings}");
            progress.show(&told);
            let line = Line { settings, report: outcome.report.clone() };
            let written = serde_json::to_string(&line).map_err(std::io::Error::from);
            written
                .and_then(|text| writeln!(file, "{text}"))
                .map_err(|error| SweepError::Write(lines.clone(), error))
        })
        .map_err(failed)?;
        progress.end();
        let rows = sweep::summarise(&sweep, &outcomes);
        for path in sweep::write(&sweep, &rows, out).map_err(failed)? {
            print(&format!("{}\n", path.display()));
        }
        Ok(())
    }
}
