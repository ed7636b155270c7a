//! `cargo ci`: the checks, as a table.

use std::fs;
use std::path::Path;

use crate::clip;
use crate::process::{cargo, output, program, root, run, run_and_keep, target_dir};
use crate::setup;
use crate::step::Step;
use crate::tidy;
use crate::web;

pub(crate) const HELP: &str = "
Usage: cargo ci [--list | --only STEP,STEP]

Runs every check in order and stops at the first that fails. The exit code is 0 when all passed, 1 when one failed, 2 when
the command line is wrong.

  --list              names the steps and what each does
  --only STEP,STEP    runs only these, in the order of the list
";

pub(crate) const STEPS: &[Step] = &[
    Step {
        name: "setup",
        about: "Debian packages, the wasm target and cargo tools: says what is needed, installs what is missing",
        run: setup::everything,
    },
    Step { name: "fmt", about: "formatting", run: fmt },
    Step {
        name: "tidy",
        about: "house rules: nothing unfinished, no clock in the core, file lengths",
        run: tidy::step,
    },
    Step {
        name: "clippy",
        about: "lints, all targets and features, warnings are errors",
        run: clippy,
    },
    Step { name: "clip", about: "the real clip that the swarm tests stream", run: clip },
    Step {
        name: "web",
        about: "the browser's peer, built for the tests in Chromium",
        run: web::for_tests,
    },
    Step {
        name: "test",
        about: "unit, property and integration tests, and the examples in the docs",
        run: test,
    },
    Step {
        name: "wasm",
        about: "the crates that browsers use compile for wasm32, and the engine does the same there",
        run: wasm,
    },
    Step { name: "doc", about: "API documentation, warnings are errors", run: doc },
    Step {
        name: "deny",
        about: "dependencies: licences, advisories, duplicates, sources",
        run: deny,
    },
    Step {
        name: "fuzz",
        about: "corpora replayed, then each fuzz target for 10 s",
        run: || fuzz(10),
    },
    Step { name: "bench", about: "each benchmark runs once, unmeasured", run: bench_smoke },
];

/// One selection of crates and features for all steps, so that each dependency is compiled once per profile.
const EVERYTHING: &[&str] = &["--workspace", "--all-features"];

/// Crates that a browser runs, with the features that make sense there. One that does not exist yet is passed over.
const WASM: &[(&str, &[&str])] = &[
    ("beacon-sdk", &["--no-default-features"]),
    ("beacon-codec-raptorq", &["--no-default-features"]),
    ("beacon-ledger", &[]),
    ("beacon-mux", &["--no-default-features"]),
    ("beacon-transport-webrtc", &[]),
    ("beacon-web", &["--features", "conformance"]),
    ("beacon-sim", &["--no-default-features"]),
];

fn fmt() -> Result<String, String> {
    run(&mut cargo(&["fmt", "--all", "--check"]))
        .map_err(|cause| format!("{cause}\nThe cure: cargo fmt --all"))?;
    Ok(String::new())
}

fn clippy() -> Result<String, String> {
    run(cargo(&["clippy"]).args(EVERYTHING).args(["--all-targets", "--", "-D", "warnings"]))?;
    Ok(String::new())
}

fn clip() -> Result<String, String> {
    clip::fetch(&clip::default_folder()).map(|path| path.display().to_string())
}

fn test() -> Result<String, String> {
    setup::tool(&setup::NEXTEST)?;
    // The examples in the docs first, so that the last word of the step is nextest's.
    run(cargo(&["test", "--doc"]).args(EVERYTHING))?;
    let mut nextest = cargo(&["nextest", "run", "--profile", "ci"]);
    let summary =
        run_and_keep(nextest.args(EVERYTHING), |line| line.trim_start().starts_with("Summary ["))?;
    summary.ok_or_else(|| {
        "nextest ended well but printed no summary: its output has changed".to_owned()
    })
}

fn wasm() -> Result<String, String> {
    let there: Vec<_> = WASM.iter().filter(|(name, _)| root().join(name).is_dir()).collect();
    for (name, features) in &there {
        run(cargo(&["check", "--target", "wasm32-unknown-unknown", "-p", name]).args(*features))?;
    }
    let hash = same_run()?;
    let names: Vec<_> = there.iter().map(|(name, _)| *name).collect();
    Ok(format!("{}; one run, native and wasm32: {hash}", names.join(", ")))
}

/// Plays out a small plan natively and as WebAssembly: the engine must do the very same.
fn same_run() -> Result<String, String> {
    const TARGET: &str = "wasm32-wasip1";
    let example = ["--quiet", "--package", "beacon-sim", "--example", "hash"];
    let native = output(cargo(&["run"]).args(example))?;
    run(cargo(&["build", "--target", TARGET]).args(example))?;
    let wasm = target_dir().join(TARGET).join("debug/examples/hash.wasm");
    let runner = root().join("beacon-sim/examples/wasi.mjs");
    let mut node = program("node", &["--no-warnings"]);
    let there = output(node.arg(runner).arg(wasm))?;
    let (native, there) = (native.trim(), there.trim());
    if native == there {
        Ok(native.to_owned())
    } else {
        Err(format!("the same plan and seed gave {native} natively and {there} as WebAssembly"))
    }
}

fn doc() -> Result<String, String> {
    let mut doc = cargo(&["doc", "--no-deps"]);
    run(doc.args(EVERYTHING).env("RUSTDOCFLAGS", "-Dwarnings"))?;
    Ok(String::new())
}

fn deny() -> Result<String, String> {
    setup::tool(&setup::DENY)?;
    run(&mut cargo(&["deny", "check", "bans", "licenses", "sources"]))?;
    // Advisories are news about the world, not about the change at hand: a machine that cannot fetch them says so, in the
    // closing table too, and goes on. One that can fails on what it finds.
    let mut reach = program("git", &["ls-remote", "--quiet", ADVISORIES, "HEAD"]);
    if let Err(cause) = output(reach.env("GIT_TERMINAL_PROMPT", "0")) {
        eprintln!("WARNING: advisories are NOT CHECKED: their database is out of reach\n{cause}");
        return Ok(format!("advisories NOT CHECKED: {ADVISORIES} is out of reach"));
    }
    run(&mut cargo(&["deny", "check", "advisories"]))?;
    Ok("advisories checked".to_owned())
}

/// The database that cargo-deny reads unless told otherwise.
const ADVISORIES: &str = "https://github.com/RustSec/advisory-db";

/// Replays the corpora on the stable toolchain, then runs each fuzz target for `seconds`.
pub(crate) fn fuzz(seconds: u32) -> Result<String, String> {
    if !root().join("fuzz/Cargo.toml").is_file() {
        return Ok("there is no fuzz/ yet".to_owned());
    }
    run(&mut cargo(&["test", "--manifest-path", "fuzz/Cargo.toml"]))?;
    setup::nightly()?;
    setup::tool(&setup::FUZZ)?;
    let targets = output(&mut on_nightly(&["list"]))?;
    let targets: Vec<&str> = targets.split_whitespace().collect();
    // Optimised: with the debug assertions of raptorq, one input of the erasure target takes minutes.
    run(&mut on_nightly(&["build", "-O"]))?;
    for target in &targets {
        // libFuzzer writes what it finds into the first folder: the committed corpus stays as it is.
        let found = target_dir().join("fuzz-corpus").join(target);
        fs::create_dir_all(&found)
            .map_err(|error| format!("cannot create {}: {error}", found.display()))?;
        let mut fuzz = on_nightly(&["run", "-O", target]);
        fuzz.arg(&found);
        let committed = Path::new("fuzz/corpus").join(target);
        if root().join(&committed).is_dir() {
            fuzz.arg(&committed);
        }
        let time = format!("-max_total_time={seconds}");
        run(fuzz.args(["--", &time, "-timeout=60", "-max_len=4096", "-print_final_stats=1"]))?;
    }
    Ok(format!("{} targets, {seconds} s each", targets.len()))
}

fn on_nightly(args: &[&str]) -> std::process::Command {
    // The pinned toolchain knows no sanitizer.
    let mut command = program("rustup", &["run", "nightly", "cargo", "fuzz"]);
    command.args(args);
    command
}

fn bench_smoke() -> Result<String, String> {
    let crates = with_benches()?;
    if crates.is_empty() {
        return Ok("no crate has benches/ yet".to_owned());
    }
    // Called as a test, criterion runs each benchmark once; and what the tests compiled is used again.
    run(cargo(&["test", "--bench", "*"]).args(EVERYTHING))?;
    Ok(crates.join(", "))
}

/// Measures each benchmark.
pub(crate) fn bench_full() -> Result<String, String> {
    let crates = with_benches()?;
    if crates.is_empty() {
        return Ok("no crate has benches/ yet".to_owned());
    }
    run(cargo(&["bench", "--bench", "*"]).args(EVERYTHING))?;
    Ok(crates.join(", "))
}

/// The crates that have benchmarks: cargo takes a `--bench` that matches nothing for a mistake.
fn with_benches() -> Result<Vec<String>, String> {
    let entries =
        fs::read_dir(root()).map_err(|error| format!("cannot read the workspace: {error}"))?;
    let mut crates: Vec<String> = entries
        .filter_map(Result::ok)
        .filter(|entry| {
            entry.path().join("Cargo.toml").is_file() && entry.path().join("benches").is_dir()
        })
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    crates.sort();
    Ok(crates)
}
