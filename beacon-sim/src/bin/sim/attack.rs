//! `sim attack`.

use crate::progress::Progress;
use crate::{Failure, failed, print, write};
use beacon_sim::suite::Suite;
use clap::Args;
use std::path::PathBuf;

/// Prints a table with one line for each attack: what the viewers that are not hostile had, and what they
/// lost to the attack (continuity, delay); how many of the hostile did harm, how long until no good viewer
/// hung on one any more, and how many never were left; what it cost. Means over seeds.
///
/// What a suite holds: a plan, seeds, and for each `[[attack]]` a name and whatever of the plan is different;
/// see the files in beacon-sim/plans/attacks. docs/attacks.md says what the columns mean.
#[derive(Debug, Args)]
pub(crate) struct Attack {
    /// The suite, a TOML file.
    suite: PathBuf,
    /// Only these attacks, by name.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    only: Vec<String>,
    /// Seeds 1 to N instead of the file's.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    seeds: Option<u32>,
    /// Runs at the same time; as many as there are cores if absent.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    jobs: Option<u32>,
    /// Write all reports as JSON too; `-` writes them to standard output instead of the table.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

impl Attack {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let suite = Suite::read(&self.suite, self.seeds, &self.only).map_err(failed)?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let jobs = self.jobs.map_or(cores, |jobs| jobs as usize);
        let runs = suite.runs();
        let mut progress = Progress::new();
        progress.show(&format!("{}: {runs} runs, {jobs} at a time", suite.name));
        let results = suite
            .play(jobs, |ended| progress.show(&format!("{ended} of {runs} runs")))
            .map_err(failed)?;
        progress.end();
        if let Some(path) = &self.json {
            let text = serde_json::to_string_pretty(&results).map_err(failed)? + "\n";
            write(path, &text)?;
            if path.as_os_str() == "-" {
                return Ok(());
            }
        }
        print(&suite.table(&results));
        Ok(())
    }
}
