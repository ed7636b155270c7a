//! What the laboratory's models give beside what was published: `R1` to `R9` of the theory notes.
//!
//! The bands stand in the models, beside the experiment they belong to. What takes more than
//! seconds runs in `cargo xtask nightly --only external`.

use beacon_sim::model::{EXPERIMENTS, SEED};

/// Runs the experiment `id` and fails with all that is out of its band.
fn holds(id: &str) {
    let experiment = EXPERIMENTS.iter().find(|experiment| experiment.id == id);
    let experiment = experiment.unwrap_or_else(|| panic!("there is no experiment {id}"));
    let checks = (experiment.run)(SEED);
    assert!(!checks.is_empty(), "{id} measures nothing");
    let report: Vec<String> = checks.iter().map(ToString::to_string).collect();
    assert!(
        checks.iter().all(beacon_sim::model::Check::ok),
        "{id}, {}:\n{}",
        experiment.about,
        report.join("\n")
    );
}

#[test]
fn r1_every_chunk_arrives_in_log2_n_plus_1_slots() {
    holds("R1");
}

#[test]
fn r2_blind_push_covers_what_its_closed_form_says() {
    holds("R2");
}

#[test]
fn r3_three_pull_strategies_have_the_published_continuity() {
    holds("R3");
}

#[test]
fn r5_universal_streaming_has_a_phase_transition() {
    holds("R5");
}

#[test]
fn r6_the_parallel_capacity_bound_is_the_published_one() {
    holds("R6");
}

#[test]
fn r9_gossip_connects_as_a_random_graph_does() {
    holds("R9");
}

#[test]
#[ignore = "nightly: tens of seconds"]
fn r1_log2_n_neighbours_are_enough() {
    holds("R1-sparse");
}

#[test]
#[ignore = "nightly: with R7 and R8, whose question it shares"]
fn r6_periodic_maps_make_most_of_the_gap() {
    holds("R6-gap");
}

#[test]
#[ignore = "nightly: tens of seconds"]
fn r7_an_unstructured_mesh_comes_close_to_the_fluid_rate() {
    holds("R7");
}

#[test]
#[ignore = "nightly: tens of seconds"]
fn r8_hyparview_survives_the_loss_of_most_nodes() {
    holds("R8");
}

#[test]
#[ignore = "nightly: tens of seconds"]
fn the_slot_model_repeats_its_reference_table() {
    holds("slots");
}

/// Every experiment is run by one of the tests above, nightly ones by an ignored one.
#[test]
fn no_experiment_is_forgotten() {
    let named: Vec<(&str, bool)> =
        EXPERIMENTS.iter().map(|experiment| (experiment.id, experiment.nightly)).collect();
    assert_eq!(
        named,
        [
            ("R1", false),
            ("R1-sparse", true),
            ("R2", false),
            ("R3", false),
            ("R5", false),
            ("R6", false),
            ("R6-gap", true),
            ("R7", true),
            ("R8", true),
            ("R9", false),
            ("slots", true),
        ]
    );
}

/// The same seed gives the same numbers, to the last bit.
#[test]
fn a_run_repeats_itself() {
    for id in ["R2", "R3"] {
        let run = || {
            let experiment = EXPERIMENTS.iter().find(|experiment| experiment.id == id);
            experiment.map(|experiment| (experiment.run)(SEED))
        };
        assert_eq!(run(), run(), "{id}");
    }
}
