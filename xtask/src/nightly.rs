//! `cargo xtask nightly`: the checks that take long.

use crate::ci;
use crate::step::Step;

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
];
