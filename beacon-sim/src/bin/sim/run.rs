//! `sim run`.

use crate::progress::Progress;
use crate::{Failure, failed, print, write};
use beacon_sdk::policy::{NAMES, SCORERS};
use beacon_sim::plan::{PEERS_MAX, Plan};
use beacon_sim::{table, world};
use clap::Args;
use clap::builder::PossibleValuesParser;
use std::path::PathBuf;

/// Prints a report to be read, or with --json one JSON object. Progress goes to standard error.
///
/// The hash is over every frame sent and every segment played: two runs with the same hash are the
/// same run, on any machine and in any build.
#[derive(Debug, Args)]
pub(crate) struct Run {
    /// The plan, a TOML file.
    plan: PathBuf,
    /// Another seed than the plan's: another audience, other losses.
    #[arg(long)]
    seed: Option<u64>,
    /// Another number of viewers than the plan's.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=i64::from(PEERS_MAX)))]
    peers: Option<u32>,
    /// Another scheduler than the plan's, for every viewer.
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(NAMES))]
    scheduler: Option<String>,
    /// Another scorer than the plan's, for every peer.
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(SCORERS))]
    scorer: Option<String>,
    /// Write the report as JSON too; `-` writes it to standard output instead.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

impl Run {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let mut plan = Plan::read(&self.plan).map_err(failed)?;
        plan.peers = self.peers.unwrap_or(plan.peers);
        plan.scheduler = self.scheduler.unwrap_or(plan.scheduler);
        plan.scorer = self.scorer.unwrap_or(plan.scorer);
        let seed = self.seed.unwrap_or(plan.seed);
        let seconds = plan.warmup_s + plan.measure_s;
        let mut progress = Progress::new();
        let report = world::run(&plan, seed, |second, line| {
            progress.show(&format!("{second:>4} of {seconds} s  {line}"));
        })
        .map_err(failed)?;
        progress.end();
        if let Some(path) = &self.json {
            let text = serde_json::to_string_pretty(&report).map_err(failed)? + "\n";
            write(path, &text)?;
            if path.as_os_str() == "-" {
                return Ok(());
            }
        }
        print(&table::report(&report));
        Ok(())
    }
}
