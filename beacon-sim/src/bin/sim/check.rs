//! `sim check`.

use crate::{Failure, failed, print};
use beacon_sim::model::{EXPERIMENTS, SEED};
use clap::Args;

/// Runs the models of published experiments and compares what comes out with what was published.
/// Fails when a number is out of its band.
#[derive(Debug, Args)]
pub(crate) struct Check {
    /// Those that take minutes as well.
    #[arg(long)]
    nightly: bool,
}

impl Check {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let mut out = 0;
        for experiment in EXPERIMENTS.iter().filter(|e| self.nightly || !e.nightly) {
            print(&format!("{}: {}\n", experiment.id, experiment.about));
            for check in (experiment.run)(SEED) {
                out += usize::from(!check.ok());
                print(&format!("  {check}\n"));
            }
        }
        if out == 0 {
            return Ok(());
        }
        Err(failed(format!("{out} numbers are out of their bands: see the lines with FAIL")))
    }
}
