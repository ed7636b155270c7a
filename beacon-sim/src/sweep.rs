//! Sweeps: one plan, played with every combination of a few settings and several seeds.
//!
//! A sweep is a TOML file:
//!
//! ```toml
//! name = "supply"
//! plan = "../schedulers.toml"    # beside this file
//! seeds = 10                     # 1 to 10; or a list
//! x = "supply"                   # the axis along which figures are drawn
//! lines = "scheduler"            # one line of a figure for each of these
//! panels = ["continuity.4", "delay_ms.p95"]
//!
//! [set]                          # the same in all cells
//! peers = 200
//!
//! [axes]
//! scheduler = ["push-pull", "rarest-first"]
//! supply = [1.15, 1.5]           # scales all uplinks to this mean, in streams
//! "network.loss" = [0, 1, 5]     # any other field of a plan, by its place
//! ```
//!
//! Every cell is played with the same seeds (common random numbers): viewers, uplinks, places,
//! comings and goings are the same in all of them, so that differences are the settings'.

mod files;
mod summary;
mod value;

pub use files::{markdown, write};
pub use summary::{Estimate, METRICS, Metric, Row, metric, summarise};

use crate::plan::{Plan, PlanError};
use crate::report::Report;
use crate::world;
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use toml::{Table, Value};
use value::{flatten, label, number_of, put};

/// Runs of one sweep at most: more is a slip of the pen.
pub const RUNS_MAX: usize = 10_000;
/// The axis that is no field of a plan: scales all uplinks of viewers to this mean, in streams.
pub const SUPPLY: &str = "supply";
const SCHEDULER: &str = "scheduler";

/// What the file holds.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: String,
    #[serde(default)]
    about: String,
    plan: PathBuf,
    seeds: Seeds,
    x: Option<String>,
    lines: Option<String>,
    #[serde(default = "default_panels")]
    panels: Vec<String>,
    #[serde(default)]
    set: Table,
    axes: Table,
}

fn default_panels() -> Vec<String> {
    ["continuity.4", "delay_ms.p95", "duplicates", "control"].map(str::to_owned).into()
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Seeds {
    Count(u32),
    List(Vec<u64>),
}

/// A setting that takes several values.
#[derive(Clone, PartialEq, Debug)]
pub struct Axis {
    /// The field of the plan, by its place: `network.loss`; or [`SUPPLY`].
    pub field: String,
    /// What it takes.
    pub values: Vec<Value>,
}

/// One combination of settings.
#[derive(Clone, PartialEq, Debug)]
pub struct Cell {
    /// Which value of each axis, by place.
    pub at: Vec<usize>,
    /// The plan with them.
    pub plan: Plan,
}

/// A sweep, read and checked: every cell's plan can be run.
#[derive(Clone, PartialEq, Debug)]
pub struct Sweep {
    /// Short name, used in titles and file names.
    pub name: String,
    /// What it is to show.
    pub about: String,
    /// Each cell is played once with each.
    pub seeds: Vec<u64>,
    /// What varies.
    pub axes: Vec<Axis>,
    /// Index of the axis along which figures are drawn.
    pub x: usize,
    /// Index of the axis whose values are the lines of a figure; `None` when there is one axis.
    pub lines: Option<usize>,
    /// Metrics that are drawn, by their names in [`METRICS`].
    pub panels: Vec<&'static Metric>,
    /// All combinations, the last axis fastest.
    pub cells: Vec<Cell>,
}

/// A sweep that cannot be run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SweepError {
    /// A file could not be read.
    #[error("cannot read {0}: {1}")]
    Read(PathBuf, std::io::Error),
    /// A result could not be written.
    #[error("cannot write {0}: {1}")]
    Write(PathBuf, std::io::Error),
    /// Neither a sweep nor a suite.
    #[error("{0} is not a sweep or suite: {1}")]
    Parse(PathBuf, Box<toml::de::Error>),
    /// A field of the sweep that makes no sense.
    #[error("{field}: {cause}")]
    Field {
        /// The field.
        field: String,
        /// What is wrong with it, and what it may be.
        cause: String,
    },
    /// One of its plans cannot be run.
    #[error("with {settings}: {error}")]
    Cell {
        /// The values of all axes.
        settings: String,
        /// The cause.
        error: PlanError,
    },
    /// A figure could not be drawn.
    #[error(transparent)]
    Plot(#[from] crate::plot::PlotError),
}

fn wrong(field: &str, cause: impl Into<String>) -> SweepError {
    SweepError::Field { field: field.to_owned(), cause: cause.into() }
}

impl Sweep {
    /// Reads and checks a sweep; `seeds` takes the place of the file's own number of seeds.
    ///
    /// # Errors
    /// [`SweepError`] with the cause; no cell is left that could fail later.
    pub fn read(path: &Path, seeds: Option<u32>) -> Result<Self, SweepError> {
        let text = read(path)?;
        let parse = |e| SweepError::Parse(path.into(), Box::new(e));
        let file: File = toml::from_str(&text).map_err(parse)?;
        let plan = path.parent().unwrap_or(Path::new(".")).join(&file.plan);
        let not_a_plan = |e| SweepError::Parse(plan.clone(), Box::new(e));
        let base: Table = toml::from_str(&read(&plan)?).map_err(not_a_plan)?;
        Self::new(file, base, &plan, seeds)
    }

    fn new(
        file: File,
        mut base: Table,
        plan: &Path,
        seeds: Option<u32>,
    ) -> Result<Self, SweepError> {
        let seeds = match (seeds, file.seeds) {
            (Some(count), _) | (None, Seeds::Count(count)) => (1..=u64::from(count)).collect(),
            (None, Seeds::List(list)) => list,
        };
        if seeds.is_empty() {
            return Err(wrong("seeds", "at least one seed is needed"));
        }
        let axes = axes(file.axes)?;
        let index = |field: &str, of: &str| {
            axes.iter().position(|axis| axis.field == field).ok_or_else(|| {
                let known: Vec<&str> = axes.iter().map(|axis| axis.field.as_str()).collect();
                wrong(of, format!("{field:?} is no axis: use one of {}", known.join(", ")))
            })
        };
        let named = |field: &Option<String>, of| field.as_deref().map(|f| index(f, of)).transpose();
        let schedulers = || axes.iter().position(|axis| axis.field == SCHEDULER);
        let lines = named(&file.lines, "lines")?.or_else(schedulers);
        let other = |axis: &usize| Some(*axis) != lines;
        let x = named(&file.x, "x")?.or_else(|| (0..axes.len()).find(other)).unwrap_or(0);
        let lines = lines.filter(|lines| *lines != x);
        let panels = file.panels.iter().map(|name| metric(name)).collect::<Result<_, _>>()?;
        let mut set = Table::new();
        flatten("", file.set, &mut set);
        let supply = set.remove(SUPPLY);
        for (field, value) in set {
            put(&mut base, &field, value)?;
        }
        let mut sweep = Self {
            name: file.name,
            about: file.about,
            seeds,
            axes,
            x,
            lines,
            panels,
            cells: Vec::new(),
        };
        let cells = sweep.axes.iter().map(|axis| axis.values.len()).product::<usize>();
        let runs = cells.saturating_mul(sweep.seeds.len());
        if runs > RUNS_MAX {
            let cause = format!("{runs} runs; at most {RUNS_MAX}: take out values or seeds");
            return Err(wrong("axes", cause));
        }
        for number in 0..cells {
            let cell = sweep.cell(number, &base, supply.as_ref(), plan)?;
            sweep.cells.push(cell);
        }
        Ok(sweep)
    }

    fn cell(
        &self,
        number: usize,
        base: &Table,
        supply: Option<&Value>,
        path: &Path,
    ) -> Result<Cell, SweepError> {
        let mut rest = number;
        let mut at: Vec<usize> = Vec::new();
        for axis in self.axes.iter().rev() {
            at.push(rest % axis.values.len());
            rest /= axis.values.len();
        }
        at.reverse();
        let (mut table, mut supply) = (base.clone(), supply.cloned());
        for (axis, place) in self.axes.iter().zip(&at) {
            let value = axis.values[*place].clone();
            if axis.field == SUPPLY {
                supply = Some(value);
            } else {
                put(&mut table, &axis.field, value)?;
            }
        }
        let settings = || self.settings(&at);
        let refused = |error| SweepError::Cell { settings: settings(), error };
        let mut plan = Plan::from_table(table, path).map_err(refused)?;
        if let Some(supply) = supply {
            let ratio = number_of(&supply).filter(|ratio| (0.01..=1000.0).contains(ratio));
            plan.scale_supply(ratio.ok_or_else(|| wrong(SUPPLY, "a number from 0.01 to 1000"))?);
            plan.check().map_err(refused)?;
        }
        Ok(Cell { at, plan })
    }

    /// The values of a cell, to be read.
    #[must_use]
    pub fn settings(&self, at: &[usize]) -> String {
        let pairs = self.axes.iter().zip(at);
        let pairs = pairs.map(|(axis, at)| format!("{} {}", axis.field, label(&axis.values[*at])));
        pairs.collect::<Vec<_>>().join(", ")
    }

    /// Runs that it takes.
    #[must_use]
    pub fn runs(&self) -> usize {
        self.cells.len() * self.seeds.len()
    }
}

/// One run of a sweep.
#[derive(Clone, PartialEq, Debug)]
pub struct Outcome {
    /// Index of the cell.
    pub cell: usize,
    /// What came of it.
    pub report: Report,
}

/// Outcomes that wait to be written at most.
const OUTCOMES_WAITING: usize = 64;

/// Plays a sweep on `jobs` threads, one run each, but for the runs that are `known`, by cell and
/// seed: those are taken as they are. `done` is told of every run as it ends and of
/// how many have; the outcomes are in the order of cells and seeds, whatever the threads did.
///
/// # Errors
/// [`SweepError::Cell`] of the first run that failed; `done`'s own errors. The runs under way are
/// finished first.
pub fn play(
    sweep: &Sweep,
    jobs: usize,
    known: impl Fn(usize, u64) -> Option<Report> + Sync,
    mut done: impl FnMut(&Outcome, usize) -> Result<(), SweepError>,
) -> Result<Vec<Outcome>, SweepError> {
    let next = AtomicUsize::new(0);
    let (tell, told) = mpsc::sync_channel(OUTCOMES_WAITING);
    let mut outcomes = Vec::with_capacity(sweep.runs());
    std::thread::scope(|scope| {
        for _ in 0..jobs.clamp(1, sweep.runs()) {
            let (tell, next, known) = (tell.clone(), &next, &known);
            scope.spawn(move || {
                loop {
                    let run = next.fetch_add(1, Ordering::Relaxed);
                    if run >= sweep.runs() {
                        break;
                    }
                    // Seed by seed: what is there when it is interrupted is a whole table.
                    let (seed, cell) = (run / sweep.cells.len(), run % sweep.cells.len());
                    let outcome = match known(cell, sweep.seeds[seed]) {
                        Some(report) => Ok(Outcome { cell, report }),
                        None => one(sweep, cell, sweep.seeds[seed]),
                    };
                    if tell.send((seed, outcome)).is_err() {
                        break;
                    }
                }
            });
        }
        drop(tell);
        // The receiver goes with this closure: after an error the threads end by themselves.
        for (seed, outcome) in told {
            let outcome = outcome?;
            done(&outcome, outcomes.len() + 1)?;
            outcomes.push((outcome.cell, seed, outcome));
        }
        Ok::<(), SweepError>(())
    })?;
    outcomes.sort_by_key(|(cell, seed, _)| (*cell, *seed));
    Ok(outcomes.into_iter().map(|(.., outcome)| outcome).collect())
}

fn one(sweep: &Sweep, cell: usize, seed: u64) -> Result<Outcome, SweepError> {
    let refused =
        |error| SweepError::Cell { settings: sweep.settings(&sweep.cells[cell].at), error };
    let report = world::run(&sweep.cells[cell].plan, seed, |_, _| {}).map_err(refused)?;
    Ok(Outcome { cell, report })
}

pub(crate) fn read(path: &Path) -> Result<String, SweepError> {
    std::fs::read_to_string(path).map_err(|e| SweepError::Read(path.into(), e))
}

fn axes(table: Table) -> Result<Vec<Axis>, SweepError> {
    let mut flat = Table::new();
    flatten("", table, &mut flat);
    let axis = |(field, value): (String, Value)| match value {
        Value::Array(values) if !values.is_empty() => Ok(Axis { field, values }),
        _ => Err(wrong(&field, "an axis is a list of at least one value")),
    };
    let axes = flat.into_iter().map(axis).collect::<Result<Vec<_>, _>>()?;
    if axes.is_empty() { Err(wrong("axes", "at least one is needed")) } else { Ok(axes) }
}
