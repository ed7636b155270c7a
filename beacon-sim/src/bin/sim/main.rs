//! `sim`: plays out plans and sweeps, prints bounds, repeats published results.

mod attack;
mod bound;
mod check;
mod pages;
mod progress;
mod repair;
mod run;
mod sweep;

use clap::{Parser, Subcommand};
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

/// Beacon's laboratory: the real engine in a simulated world.
///
/// A plan (TOML) says who watches over which links; plan and seed decide a run down to the last
/// bit, which the hash at the end of its report shows.
#[derive(Debug, Parser)]
#[command(version, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  sim run beacon-sim/plans/live-1000.toml
  sim run beacon-sim/plans/live-1000.toml --peers 100 --scheduler rarest-first --json -
  sim bound beacon-sim/plans/live-1000.toml
  sim sweep beacon-sim/plans/sweeps/supply.toml --out target/supply
  sim attack beacon-sim/plans/attacks/live.toml --only polluters,flood
  sim check

Exit codes: 0 done, 1 failed, 2 the command line makes no sense.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Play a plan under many attacks and faults, each beside the same plan without it.
    Attack(attack::Attack),
    /// Play out one plan and report what came of it.
    Run(run::Run),
    /// Print what no schedule could beat on a plan, without playing it.
    Bound(bound::Bound),
    /// Repeat published results with the laboratory's models, and compare.
    Check(check::Check),
    /// Compare NAK with ACK over one hop: how much later a lost symbol comes.
    Repair(repair::Repair),
    /// Play a plan with many settings and seeds: tables, CSV and figures.
    Sweep(sweep::Sweep),
}

/// Why a command did not do its work: exit code 1. What makes no sense on the command line ends in
/// `clap`, with exit code 2.
#[derive(Debug)]
struct Failure(String);

/// Any error, as a failure.
fn failed(error: impl core::fmt::Display) -> Failure {
    Failure(error.to_string())
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    pages::enlarge();
    let outcome = end_on_interrupt().and_then(|()| match cli.command {
        Command::Run(run) => run.run(),
        Command::Attack(attack) => attack.run(),
        Command::Bound(bound) => bound.run(),
        Command::Check(check) => check.run(),
        Command::Repair(repair) => repair.run(),
        Command::Sweep(sweep) => sweep.run(),
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure(text)) => {
            eprintln!("error: {text}");
            ExitCode::FAILURE
        }
    }
}

/// Files are written whole or line by line: the process may end between any two.
fn end_on_interrupt() -> Result<(), Failure> {
    #[cfg(not(target_family = "wasm"))]
    ctrlc::set_handler(|| {
        eprintln!("\ninterrupted: what has been written stays, nothing more will come");
        std::process::exit(1);
    })
    .map_err(|error| failed(format!("cannot listen for Ctrl-C: {error}")))?;
    Ok(())
}

/// Prints to standard output. A reader that has gone away (`| head`) is no error.
fn print(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

/// Writes a file, or to standard output for `-`.
fn write(path: &Path, text: &str) -> Result<(), Failure> {
    if path == Path::new("-") {
        print(text);
        return Ok(());
    }
    std::fs::write(path, text)
        .map_err(|error| failed(format!("cannot write {}: {error}", path.display())))
}
