//! Published experiments, rebuilt small: the external checks R1 to R9 of the laboratory.
//!
//! Nothing here drives the engine. Each model is the one of its paper: slots or populations, and
//! only what the result depends on. They show that the laboratory's ways of counting, seeding and
//! averaging give the numbers that others got, before its simulator is believed.
//!
//! Every model is deterministic: integer time, [`Rng`](beacon_sdk::Rng) streams of a seed, and
//! ordered collections only. (Logarithms are the platform's: R5 may differ elsewhere, in digits far
//! below its band.) An [`Experiment`] runs a model and compares it with its paper.
//! R4 (Chainsaw) needs the engine and is part of the simulator.

mod blind;
mod buffer;
mod check;
mod gossip;
mod hyparview;
mod maps;
mod mesh;
mod optimal;
mod population;
mod reference;
mod repair;
mod sampling;
mod slotted;

pub use blind::blind_coverage;
pub use buffer::{Buffer, Strategy, continuity};
pub use check::{Band, Check, Experiment, SEED};
pub use gossip::{Graph, atomic};
pub use hyparview::{Overlay, Settings};
pub use maps::Maps;
pub use population::{Lifetimes, Population, Service};
pub use repair::{Hop, Notice, Repair, table as repair_table};
pub use slotted::{Arrivals, Churn, Mesh, Order, Policy, Slotted};

/// All experiments, in the order of their numbers.
pub const EXPERIMENTS: &[Experiment] = &[
    Experiment {
        id: "R1",
        about: "Abeni, Kiraly, Lo Cigno 2009: every chunk in log2 N + 1 slots",
        nightly: false,
        run: optimal::experiment,
    },
    Experiment {
        id: "R1-sparse",
        about: "Abeni, Kiraly, Lo Cigno 2009: log2 N neighbours are enough",
        nightly: true,
        run: optimal::sparse,
    },
    Experiment {
        id: "R2",
        about: "Bonald et al. 2008: coverage of blind push",
        nightly: false,
        run: blind::experiment,
    },
    Experiment {
        id: "R3",
        about: "Zhou, Chiu, Lui 2007: continuity of three pull strategies",
        nightly: false,
        run: buffer::experiment,
    },
    Experiment {
        id: "R5",
        about: "Kumar, Liu, Ross 2007: all are served, or none, under churn",
        nightly: false,
        run: population::experiment,
    },
    Experiment {
        id: "R6",
        about: "Feng, Li, Li 2009: the bound on pull",
        nightly: false,
        run: maps::bound,
    },
    Experiment {
        id: "R6-gap",
        about: "Feng, Li, Li 2009: periodic maps make most of the gap to it",
        nightly: true,
        run: maps::gap,
    },
    Experiment {
        id: "R7",
        about: "Picconi, Massoulié 2008: DP/LU on an unstructured mesh",
        nightly: true,
        run: mesh::experiment,
    },
    Experiment {
        id: "R8",
        about: "Leitão, Pereira, Rodrigues 2007: HyParView after mass failures",
        nightly: true,
        run: hyparview::experiment,
    },
    Experiment {
        id: "R9",
        about: "Erdős, Rényi: gossip with a fan-out of ln N + c",
        nightly: false,
        run: gossip::experiment,
    },
    Experiment {
        id: "slots",
        about: "the slot model's reference table: seven policies, three meshes",
        nightly: true,
        run: reference::experiment,
    },
];

/// Runs every experiment with [`SEED`], those that take long only when `nightly`.
#[must_use]
pub fn checks(nightly: bool) -> Vec<(&'static Experiment, Vec<Check>)> {
    EXPERIMENTS
        .iter()
        .filter(|experiment| nightly || !experiment.nightly)
        .map(|experiment| (experiment, (experiment.run)(SEED)))
        .collect()
}
