//! Suites: one plan under many attacks and faults, each beside the same plan without it.
//!
//! A suite is a TOML file:
//!
//! ```toml
//! name = "live"
//! plan = "live.toml"             # beside this file
//! seeds = [1]
//!
//! [[attack]]
//! name = "polluters"
//! about = "A fifth of the viewers falsifies all that it passes on."
//! adversary = [{ kind = "polluter", share = 0.2, from_s = 12.0 }]
//!
//! [[attack]]
//! name = "skew"
//! about = "Clocks are off by ten seconds either way."
//! network.skew_ms = 10000        # any field of the plan
//! ```
//!
//! Where there are adversaries, the run beside it is of the same plan with viewers in their places that do
//! nothing wrong, so that what good viewers lose is the attack's doing; otherwise it is the plan itself.

use crate::plan::{Adversary, Kind, Plan};
use crate::report::{CONTINUITY_MS, Report};
use crate::sweep::{self, Cell, Outcome, Sweep, SweepError};
use crate::table::markdown;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use toml::{Table, Value};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: String,
    #[serde(default)]
    about: String,
    plan: PathBuf,
    seeds: Vec<u64>,
    attack: Vec<Table>,
}

/// A suite, read and checked: every plan of it can be run.
#[derive(Clone, PartialEq, Debug)]
pub struct Suite {
    /// Short name.
    pub name: String,
    /// What it is to show.
    pub about: String,
    /// What is done, in the file's order.
    pub attacks: Vec<Attacked>,
    /// Each plan once, whatever it is beside; played with every seed.
    runs: Sweep,
}

/// A plan under attack.
#[derive(Clone, PartialEq, Debug)]
pub struct Attacked {
    /// Short name.
    pub name: String,
    /// What is done.
    pub about: String,
    /// Its run, and the one beside it, by number of the plan.
    with: usize,
    without: usize,
}

/// What came of one attack with one seed.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Result {
    /// The attack's name.
    pub attack: String,
    /// The run.
    pub with: Report,
    /// The run beside it.
    pub without: Report,
}

impl Suite {
    /// Reads a suite; `seeds` takes the place of the file's own, and only attacks whose name is among
    /// `only` are kept, unless that is empty.
    ///
    /// # Errors
    /// [`SweepError`] with the cause.
    pub fn read(
        path: &Path,
        seeds: Option<u32>,
        only: &[String],
    ) -> core::result::Result<Self, SweepError> {
        let parse = |path: &Path, e| SweepError::Parse(path.into(), Box::new(e));
        let file: File = toml::from_str(&sweep::read(path)?).map_err(|e| parse(path, e))?;
        let base_path = path.parent().unwrap_or(Path::new(".")).join(&file.plan);
        let base: Table =
            toml::from_str(&sweep::read(&base_path)?).map_err(|e| parse(&base_path, e))?;
        let field = |field: &str, cause: String| SweepError::Field { field: field.into(), cause };
        let mut suite = Self {
            name: file.name.clone(),
            about: file.about,
            attacks: Vec::new(),
            runs: Sweep {
                name: file.name,
                about: String::new(),
                seeds: seeds.map_or(file.seeds, |count| (1..=u64::from(count)).collect()),
                axes: Vec::new(),
                x: 0,
                lines: None,
                panels: Vec::new(),
                cells: Vec::new(),
            },
        };
        if suite.runs.seeds.is_empty() {
            return Err(field("seeds", "at least one seed is needed".into()));
        }
        let plan = |table: Table, name: &str| {
            Plan::from_table(table, &base_path)
                .map_err(|error| SweepError::Cell { settings: name.to_owned(), error })
        };
        for mut attack in file.attack {
            let mut text = |key: &str| match attack.remove(key) {
                Some(Value::String(text)) => Ok(text),
                _ => Err(field("attack", format!("each needs a {key}, a text"))),
            };
            let (name, about) = (text("name")?, text("about")?);
            if !only.is_empty() && !only.contains(&name) {
                continue;
            }
            let mut table = base.clone();
            merge(&mut table, attack);
            let with = plan(table, &name)?;
            let without = match with.hostile() {
                _ if with.adversary.is_empty() => plan(base.clone(), &name)?,
                share => Plan { adversary: honest(share), ..with.clone() },
            };
            let (with, without) = (suite.number(with), suite.number(without));
            suite.attacks.push(Attacked { name, about, with, without });
        }
        if let Some(unknown) = only.iter().find(|o| suite.attacks.iter().all(|a| a.name != **o)) {
            return Err(field("attack", format!("there is none of the name {unknown:?}")));
        }
        Ok(suite)
    }

    /// The number of a plan among those to be played.
    fn number(&mut self, plan: Plan) -> usize {
        let cells = &mut self.runs.cells;
        cells.iter().position(|cell| cell.plan == plan).unwrap_or_else(|| {
            cells.push(Cell { at: Vec::new(), plan });
            cells.len() - 1
        })
    }

    /// Runs that it takes.
    #[must_use]
    pub fn runs(&self) -> usize {
        self.runs.runs()
    }

    /// Plays all of it on `jobs` threads; `done` is told how many runs have ended.
    ///
    /// # Errors
    /// [`SweepError::Cell`] of the first run that failed.
    pub fn play(
        &self,
        jobs: usize,
        mut done: impl FnMut(usize),
    ) -> core::result::Result<Vec<Result>, SweepError> {
        let outcomes = sweep::play(
            &self.runs,
            jobs,
            |_, _| None,
            |_, ended| {
                done(ended);
                Ok(())
            },
        )?;
        let of = |cell: usize| outcomes.iter().filter(move |outcome| outcome.cell == cell);
        let pair = |attack: &Attacked, with: &Outcome, without: &Outcome| Result {
            attack: attack.name.clone(),
            with: with.report.clone(),
            without: without.report.clone(),
        };
        let pairs = self.attacks.iter().flat_map(|attack| {
            of(attack.with)
                .zip(of(attack.without))
                .map(|(with, without)| pair(attack, with, without))
        });
        Ok(pairs.collect())
    }

    /// One line for each attack, means over seeds.
    #[must_use]
    pub fn table(&self, results: &[Result]) -> String {
        let limit =
            self.runs.cells.first().map_or(0, |cell| cell.plan.config().playout.as_millis());
        let within = CONTINUITY_MS.iter().rposition(|ms| u128::from(*ms) <= limit).unwrap_or(0);
        let heads = [
            "attack".to_owned(),
            format!("in {} s, %", CONTINUITY_MS[within] as f64 / 1000.0),
            "lost".into(),
            "worst tenth, %".into(),
            "lost".into(),
            "p95, ms".into(),
            "more".into(),
            "harmful".into(),
            "left p50, ms".into(),
            "p95".into(),
            "cut p50, ms".into(),
            "p95".into(),
            "never".into(),
            "retaken".into(),
            "fed badly, %".into(),
            "duplicates, %".into(),
            "control, %".into(),
            "given, %".into(),
            "false relayed".into(),
            "false played".into(),
            "wronged".into(),
        ];
        let row = |attack: &Attacked| {
            let own: Vec<&Result> = results.iter().filter(|r| r.attack == attack.name).collect();
            row(&attack.name, &own, within)
        };
        let rows: Vec<Vec<String>> = self.attacks.iter().map(row).collect();
        markdown(&heads, &rows, 1)
    }
}

fn row(name: &str, results: &[&Result], within: usize) -> Vec<String> {
    let mean = |of: &dyn Fn(&Result) -> f64| {
        results.iter().map(|result| of(result)).sum::<f64>() / results.len().max(1) as f64
    };
    let hostile = results.iter().any(|result| result.with.attack.is_some_and(|a| a.hostile > 0));
    let attack = |of: &dyn Fn(&crate::report::Attack) -> f64, digits: usize| {
        let of = |result: &Result| result.with.attack.as_ref().map_or(0.0, of);
        if hostile { format!("{:.digits$}", mean(&of)) } else { "–".to_owned() }
    };
    let continuity = |report: &Report| {
        let c = &report.continuity;
        100.0 * [c.s0_8, c.s2, c.s4, c.s10][within]
    };
    let worst = |report: &Report| 100.0 * report.continuity_worst_decile;
    let p95 = |report: &Report| report.delay_ms.p95 as f64;
    let cut =
        results.iter().any(|r| r.with.attack.is_some_and(|a| a.cut_ms.p99 > 0 || a.harmed > 0));
    let time = |of: &dyn Fn(&crate::report::Attack) -> f64| {
        let of = |result: &Result| result.with.attack.as_ref().map_or(0.0, of);
        if cut { format!("{:.0}", mean(&of)) } else { "–".to_owned() }
    };
    vec![
        name.to_owned(),
        format!("{:.2}", mean(&|r| continuity(&r.with))),
        format!("{:.2}", mean(&|r| continuity(&r.without) - continuity(&r.with))),
        format!("{:.1}", mean(&|r| worst(&r.with))),
        format!("{:.1}", mean(&|r| worst(&r.without) - worst(&r.with))),
        format!("{:.0}", mean(&|r| p95(&r.with))),
        format!("{:.0}", mean(&|r| p95(&r.with) - p95(&r.without))),
        attack(&|a| f64::from(a.harmed), 0),
        time(&|a| a.left_ms.p50 as f64),
        time(&|a| a.left_ms.p95 as f64),
        time(&|a| a.cut_ms.p50 as f64),
        time(&|a| a.cut_ms.p95 as f64),
        time(&|a| f64::from(a.uncut)),
        attack(&|a| a.retaken as f64, 0),
        attack(&|a| 100.0 * a.fed_badly, 2),
        format!("{:.1}", mean(&|r| 100.0 * r.with.duplicates)),
        format!("{:.1}", mean(&|r| 100.0 * r.with.control)),
        attack(&|a| 100.0 * a.given, 1),
        attack(&|a| a.false_bytes_relayed as f64, 0),
        format!("{:.0}", mean(&|r| r.with.bad_bytes as f64)),
        attack(&|a| a.wronged as f64, 0),
    ]
}

/// Viewers in the places of adversaries that do nothing wrong.
fn honest(share: f64) -> Vec<Adversary> {
    let honest = Adversary {
        kind: Kind::Honest,
        share,
        from_s: 0.0,
        period_s: None,
        part: None,
        delay_ms: None,
        per_s: None,
        up: None,
        returns: false,
    };
    if share > 0.0 { vec![honest] } else { Vec::new() }
}

/// Puts what `over` has into `base`, table by table.
fn merge(base: &mut Table, over: Table) {
    for (key, value) in over {
        match (base.get_mut(&key), value) {
            (Some(Value::Table(base)), Value::Table(over)) => merge(base, over),
            (_, value) => {
                base.insert(key, value);
            }
        }
    }
}
