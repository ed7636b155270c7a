//! `cargo xtask nightly`: the checks that take long.

use crate::ci;
use crate::clip;
use crate::process::{cargo, program, root, run, target_dir};
use crate::schedulers;
use crate::setup;
use crate::step::Step;
use crate::web;
use std::env::consts::EXE_SUFFIX;

pub(crate) const HELP: &str = "
Usage: cargo xtask nightly [--list | --only STEP,STEP]

Runs the checks that take too long for each change, in order, and stops at the first that fails.

  --list              names the steps and what each does
  --only STEP,STEP    runs only these, in the order of the list
";

pub(crate) const STEPS: &[Step] = &[
    Step {
        name: "fuzz",
        about: "corpora replayed, then each fuzz target for 10 minutes",
        run: || ci::fuzz(600),
    },
    Step {
        name: "bench",
        about: "each benchmark, measured, with an optimised build",
        run: ci::bench_full,
    },
    Step {
        name: "external",
        about: "the simulator's models against published results that take long to repeat",
        run: external,
    },
    Step {
        name: "schedulers",
        about: "every scheduler in every sweep of the laboratory, 10 seeds: hours",
        run: || schedulers::compare(&schedulers::Request::default()),
    },
    Step {
        name: "ledger",
        about: "accounts killed 200 times under load on SQLite, 20 times on PostgreSQL",
        run: ledger,
    },
    Step {
        name: "attacks",
        about: "the laboratory's attacks and faults, each beside its absence: a table",
        run: attacks,
    },
    Step {
        name: "live-10000",
        about: "10,000 simulated viewers for a minute; reports CPU time and what each costs",
        run: || simulate("live-10000"),
    },
    Step {
        name: "chain",
        about: "latency over 7 hops; fails when a segment is missed",
        run: || measure("chain", &[]),
    },
    Step {
        name: "crowd",
        about: "60 viewers on this machine for a minute; fails when one stalls",
        run: || measure("crowd", &[]),
    },
    Step {
        name: "relay",
        about: "CPU time of a relay against the bare channel; fails when a child misses a segment",
        run: || measure("relay", &["--rounds", "3"]),
    },
    Step {
        name: "pages",
        about: "four pages and two viewers on one link of the origin for a minute; fails on a stall or a missed segment",
        run: || in_chromium("crowd"),
    },
    Step {
        name: "page-memory",
        about: "a page plays and passes on for ten minutes; fails when its memory grows",
        run: || in_chromium("memory"),
    },
    Step {
        name: "page-cost",
        about: "CPU time and size of a page; fails on a stall or a missed segment",
        run: || in_chromium("cost"),
    },
    Step {
        name: "page-start",
        about: "how long a page takes to the first picture, and for what; fails on a stall",
        run: || in_chromium("start"),
    },
    Step {
        name: "compare",
        about: "Beacon and p2p-media-loader, the same clip to the same number of pages",
        run: || in_chromium("compare"),
    },
];

/// Runs the tests of `beacon-sim` that wait for this, with an optimised build.
fn external() -> Result<String, String> {
    run(&mut cargo(&[
        "test",
        "--release",
        "--tests",
        "--package",
        "beacon-sim",
        "--",
        "--ignored",
    ]))?;
    Ok(String::new())
}

/// Runs the tests of `beacon-ledger` that wait for this.
fn ledger() -> Result<String, String> {
    run(&mut cargo(&[
        "test",
        "--package",
        "beacon-ledger",
        "--all-features",
        "--test",
        "crash",
        "--",
        "--ignored",
        "--nocapture",
    ]))?;
    Ok(String::new())
}

/// Plays the suite of attacks; the table goes to standard output, the reports stay as JSON in the folder that
/// cargo builds into.
fn attacks() -> Result<String, String> {
    run(&mut cargo(&["build", "--release", "--package", "beacon-sim", "--bin", "sim"]))?;
    let sim = target_dir().join(format!("release/sim{EXE_SUFFIX}"));
    let json = target_dir().join("attacks.json");
    let mut command = program(&sim.to_string_lossy(), &["attack"]);
    let suite = root().join("beacon-sim/plans/attacks/live.toml");
    run(command.arg(suite).arg("--json").arg(&json))?;
    Ok(format!("reports in {}", json.display()))
}

/// Plays out one plan of the laboratory; its report stays as JSON in the folder that cargo builds
/// into.
fn simulate(plan: &str) -> Result<String, String> {
    run(&mut cargo(&["build", "--release", "--package", "beacon-sim", "--bin", "sim"]))?;
    let sim = target_dir().join(format!("release/sim{EXE_SUFFIX}"));
    let path = root().join(format!("beacon-sim/plans/{plan}.toml"));
    let json = target_dir().join(format!("{plan}.json"));
    let mut command = program(&sim.to_string_lossy(), &["run"]);
    run(command.arg(path).arg("--json").arg(&json))?;
    Ok(format!("report in {}", json.display()))
}

/// Runs one measurement of the program `measure`, which fails on what must never be and prints
/// the rest; its figures stay as JSON in the folder that cargo builds into.
fn measure(name: &str, args: &[&str]) -> Result<String, String> {
    run(&mut cargo(&[
        "build",
        "--release",
        "--bins",
        "--package",
        "beacon-examples",
        "--package",
        "beacon-signal",
    ]))?;
    let measure = target_dir().join(format!("release/measure{EXE_SUFFIX}"));
    let json = target_dir().join(format!("measure-{name}.json"));
    let mut command = program(&measure.to_string_lossy(), &[name]);
    run(command.args(args).arg("--json").arg(&json))?;
    Ok(format!("figures in {}", json.display()))
}

/// Runs one measurement of `beacon-web/measure`, in Chromium, over optimised builds; its figures stay as JSON in the
/// folder that cargo builds into.
fn in_chromium(name: &str) -> Result<String, String> {
    const MEASURE: &str = "beacon-web/measure";
    setup::npm_ci("beacon-web/tests/browser")?;
    setup::npm_ci(MEASURE)?;
    let pages = web::optimised()?;
    let mut build = cargo(&["build", "--release", "--package", "beacon-signal"]);
    build.args(["--package", "beacon-examples", "--bin", "beacon-signal"]);
    run(build.args(["--bin", "broadcaster", "--bin", "viewer"]))?;
    let json = target_dir().join(format!("page-{name}.json"));
    let mut command = program("node", &[&format!("{MEASURE}/{name}.mjs")]);
    command.arg("--bins").arg(target_dir().join("release")).arg("--pages").arg(pages);
    command.arg("--clip").arg(clip::fetch(&clip::default_folder())?).arg("--json").arg(&json);
    run(&mut command)?;
    Ok(format!("figures in {}", json.display()))
}
