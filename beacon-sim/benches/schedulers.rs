//! The scheduler comparison, small: `cargo bench -p beacon-sim --bench schedulers`.
//!
//! Prints one table and one plot, and leaves figures in `target/schedulers`. The full one is
//! `cargo xtask schedulers`. Called as a test, it plays one run of each scheduler, shortened.

use beacon_sim::sweep::{self, Metric, Row, Sweep, SweepError};
use beacon_sim::table;
use std::path::{Path, PathBuf};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let measured = std::env::args().any(|arg| arg == "--bench");
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let plan = here.join("plans/sweeps/small.toml");
    let mut sweep = Sweep::read(&plan, (!measured).then_some(1))?;
    if !measured {
        for cell in &mut sweep.cells {
            (cell.plan.peers, cell.plan.warmup_s, cell.plan.measure_s) = (6, 2, 1);
        }
    }
    let jobs = std::thread::available_parallelism().map_or(1, usize::from);
    let runs = sweep.runs();
    let outcomes = sweep::play(
        &sweep,
        jobs,
        |_, _| None,
        |_, ended| {
            eprint!("\r{ended} of {runs} runs ");
            Ok(())
        },
    )?;
    eprintln!();
    assert_eq!(outcomes.len(), runs, "every run came to an end");
    let rows = sweep::summarise(&sweep, &outcomes);
    if measured {
        let folder = target(here).join("schedulers");
        std::fs::create_dir_all(&folder)?;
        let files = sweep::write(&sweep, &rows, &folder)?;
        print!("{}", sweep::markdown(&sweep, &rows));
        files.iter().for_each(|file| println!("{}", file.display()));
    }
    print!("{}", plot(&sweep, &rows)?);
    Ok(())
}

/// Bars for the scarcest supply: that is where schedulers differ.
fn plot(sweep: &Sweep, rows: &[Row]) -> Result<String, SweepError> {
    let metric: &Metric = sweep::metric("continuity.10")?;
    let scarce = rows.iter().filter(|row| sweep.cells[row.cell].at[sweep.x] == 0);
    let bars: Vec<(String, f64, String)> = scarce
        .map(|row| {
            let value = row.value(metric);
            let name = sweep.cells[row.cell].plan.scheduler.clone();
            (name, value.mean, table::estimate(&value, metric.digits))
        })
        .collect();
    let title = format!("{}, supply {}", metric.axis, sweep.cells[0].plan.supply());
    Ok(table::bars(&title, 100.0, &bars))
}

/// The folder that cargo builds into: this program is in `target/PROFILE/deps`.
fn target(here: &Path) -> PathBuf {
    let exe = std::env::current_exe().unwrap_or_default();
    exe.ancestors().nth(3).map_or_else(|| here.join("../target"), Path::to_path_buf)
}
