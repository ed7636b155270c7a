//! `sim`: plays out plans.

use beacon_sim::plan::Plan;
use beacon_sim::world;
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

/// Beacon's laboratory: the real engine in a simulated world.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Play out one plan and report what came of it.
    Run(Run),
}

#[derive(Debug, Args)]
struct Run {
    /// The plan, a TOML file.
    plan: PathBuf,
    /// Another seed than the plan's.
    #[arg(long)]
    seed: Option<u64>,
    /// Another number of viewers than the plan's.
    #[arg(long)]
    peers: Option<u32>,
    /// Another scheduler than the plan's.
    #[arg(long)]
    scheduler: Option<String>,
    /// Write the report as JSON; `-` is standard output.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Run(run) => match play(run) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("error: {error}");
                ExitCode::FAILURE
            }
        },
    }
}

fn play(run: Run) -> Result<(), Box<dyn std::error::Error>> {
    let mut plan = Plan::read(&run.plan)?;
    plan.peers = run.peers.unwrap_or(plan.peers);
    plan.scheduler = run.scheduler.unwrap_or(plan.scheduler);
    let seed = run.seed.unwrap_or(plan.seed);
    let report = world::run(&plan, seed, |second, line| {
        eprintln!("{second:>4} s  {line}");
    })?;
    println!("{}", serde_json::to_string_pretty(&report)?);
    Ok(())
}
