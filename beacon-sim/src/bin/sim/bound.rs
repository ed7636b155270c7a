//! `sim bound`.

use crate::{Failure, failed, print};
use beacon_sim::bound::Bounds;
use beacon_sim::plan::{PEERS_MAX, Plan};
use beacon_sim::world;
use clap::Args;
use std::path::PathBuf;

/// Prints rate, supply and delay bounds of a plan's swarm. The unit is the frame of one symbol,
/// unless --unit-ms says otherwise: a bound without its unit means nothing.
#[derive(Debug, Args)]
pub(crate) struct Bound {
    /// The plan, a TOML file.
    plan: PathBuf,
    /// Another number of viewers than the plan's.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=i64::from(PEERS_MAX)))]
    peers: Option<u32>,
    /// The unit that is forwarded as a whole, in ms of the stream.
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u32).range(1..=60_000))]
    unit_ms: Option<u32>,
}

impl Bound {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let mut plan = Plan::read(&self.plan).map_err(failed)?;
        plan.peers = self.peers.unwrap_or(plan.peers);
        let mut scenario = world::scenario(&plan, plan.seed).map_err(failed)?;
        if let Some(ms) = self.unit_ms {
            scenario.unit_bytes = scenario.stream / 8.0 * f64::from(ms) / 1e3;
        }
        print(&Bounds::new(scenario).to_string());
        Ok(())
    }
}
