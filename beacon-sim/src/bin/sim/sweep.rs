//! `sim sweep`.

use crate::progress::Progress;
use crate::{Failure, failed, print};
use beacon_sim::report::Report;
use beacon_sim::sweep::{self, SweepError};
use clap::Args;
use serde::Serialize;
use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
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
}

/// A line of the JSON file.
#[derive(Serialize)]
struct Line<'a> {
    settings: String,
    report: &'a Report,
}

impl Sweep {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let sweep = sweep::Sweep::read(&self.sweep, self.seeds).map_err(failed)?;
        let out = &self.out;
        let cannot = |error| failed(format!("cannot write to {}: {error}", out.display()));
        fs::create_dir_all(out).map_err(cannot)?;
        let lines = out.join(format!("{}.jsonl", sweep.name));
        let mut file = File::create(&lines).map_err(cannot)?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let jobs = self.jobs.map_or(cores, |jobs| jobs as usize);
        let (runs, cells) = (sweep.runs(), sweep.cells.len());
        let seeds = sweep.seeds.len();
        eprintln!("{}: {cells} cells, {seeds} seeds, {runs} runs, {jobs} at a time", sweep.name);
        let (begun, mut progress) = (Instant::now(), Progress::new());
        let outcomes = sweep::play(&sweep, jobs, |outcome, ended| {
            let settings = sweep.settings(&sweep.cells[outcome.cell].at);
            let passed = begun.elapsed().as_secs_f64();
            let left = passed / ended as f64 * (runs - ended) as f64;
            let told = format!("{ended} of {runs} runs, {left:.0} s left  {settings}");
            progress.show(&told);
            let line = Line { settings, report: &outcome.report };
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
