//! `sim repair`: NAK against ACK.

use crate::{Failure, print};
use beacon_sim::model;
use clap::Args;

/// Print how long a lost symbol takes over one hop: asked for (NAK), or noticed by its sender (ACK).
#[derive(Debug, Args)]
pub(crate) struct Repair {}

impl Repair {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        print(&model::repair_table(model::SEED));
        Ok(())
    }
}
