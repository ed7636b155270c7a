//! Sweeps: what is read, what is refused, what comes out.

#![allow(clippy::unwrap_used)]

use beacon_sim::suite::Suite;
use beacon_sim::sweep::{self, Sweep};
use std::fs;
use std::path::{Path, PathBuf};

const PLAN: &str = r#"
name = "tiny"
peers = 4
warmup_s = 2
measure_s = 2
[stream]
mbit = 0.5
[[access]]
share = 1
up = 2.0
[[access]]
share = 1
up = 0.0
[churn]
arrive_s = 0.5
"#;

fn folder(sweep: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("tiny.toml"), PLAN).unwrap();
    let path = folder.path().join("sweep.toml");
    fs::write(&path, format!("name = \"s\"\nplan = \"tiny.toml\"\n{sweep}")).unwrap();
    (folder, path)
}

fn read(sweep: &str) -> Result<Sweep, String> {
    let (_folder, path) = folder(sweep);
    Sweep::read(&path, None).map_err(|error| error.to_string())
}

#[test]
fn cells_are_all_combinations_and_fields_go_to_their_places() {
    let sweep = read(
        "seeds = [3, 9]\nx = \"network.loss\"\n[set]\nstream.fps = 10\n[axes]\nscheduler = [\"push-pull\", \"hybrid\"]\n\
         network.loss = [0, 1.5, 5]\nsupply = [2.0]\naccess.1.down = [7.0]",
    )
    .unwrap();
    assert_eq!((sweep.cells.len(), sweep.runs()), (6, 12));
    assert_eq!(sweep.seeds, [3, 9]);
    assert_eq!(sweep.axes[sweep.x].field, "network.loss");
    assert_eq!(sweep.axes[sweep.lines.unwrap()].field, "scheduler");
    for cell in &sweep.cells {
        assert_eq!(cell.plan.stream.fps, 10);
        assert_eq!(cell.plan.access[1].down, 7.0);
        assert!((cell.plan.supply() - 2.0).abs() < 1e-12);
        assert_eq!(cell.plan.access[1].up, 0.0, "who gives nothing still gives nothing");
    }
    let of = |scheduler: &str, loss: f64| {
        let same = |c: &&sweep::Cell| c.plan.scheduler == scheduler && c.plan.network.loss == loss;
        sweep.cells.iter().filter(same).count()
    };
    assert_eq!([of("push-pull", 1.5), of("hybrid", 0.0), of("hybrid", 5.0)], [1, 1, 1]);
    let dotted = read("seeds = 2\n[axes]\n\"network.loss\" = [0, 1.5, 5]").unwrap();
    assert_eq!((dotted.cells.len(), dotted.seeds.as_slice()), (3, [1, 2].as_slice()));
}

#[test]
fn what_cannot_be_run_is_refused_by_name() {
    let refused = |text: &str, words: &[&str]| {
        let error = read(text).expect_err(text);
        assert!(words.iter().all(|word| error.contains(word)), "{text}: {error}");
    };
    refused("seeds = 1\n[axes]\n", &["axes"]);
    refused("seeds = 0\n[axes]\npeers = [1]", &["seeds"]);
    refused("seeds = 1\n[axes]\npeers = 5", &["peers", "list"]);
    refused("seeds = 1\n[axes]\npeers = []", &["peers", "list"]);
    refused("seeds = 1\n[axes]\npeers = [0]", &["peers 0", "1 to 1000000"]);
    refused("seeds = 1\n[axes]\nscheduler = [\"best\"]", &["scheduler best", "push-pull"]);
    refused("seeds = 1\n[axes]\nnetwork.colour = [1]", &["colour"]);
    refused("seeds = 1\n[axes]\naccess.7.up = [1.0]", &["access.0"]);
    refused("seeds = 1\n[axes]\nsupply = [\"much\"]", &["supply", "number"]);
    refused("seeds = 1\nx = \"loss\"\n[axes]\npeers = [1]", &["loss", "peers"]);
    refused("seeds = 1\npanels = [\"speed\"]\n[axes]\npeers = [1]", &["speed", "continuity.4"]);
    refused("seeds = 5000\n[axes]\npeers = [1, 2, 3]", &["15000", "10000"]);
    refused("seeds = 1\ncolour = 1\n[axes]\npeers = [1]", &["not a sweep", "colour"]);
    let missing = Sweep::read(Path::new("nowhere/sweep.toml"), None).unwrap_err();
    assert!(missing.to_string().contains("nowhere/sweep.toml"));
}

#[test]
fn the_repositorys_sweeps_can_be_run() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("plans/sweeps");
    let mut count = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let sweep = Sweep::read(&path, None).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(path.file_stem().unwrap().to_str(), Some(sweep.name.as_str()));
        count += 1;
    }
    assert!(count > 0);
}

#[test]
fn the_repositorys_suites_can_be_played() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("plans/attacks");
    let mut attacks = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.file_stem().unwrap() == "base" {
            continue;
        }
        let suite = Suite::read(&path, None, &[]).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(path.file_stem().unwrap().to_str(), Some(suite.name.as_str()));
        // What is set beside most attacks is the same, and played once.
        assert!(suite.runs() <= 2 * suite.attacks.len());
        attacks += suite.attacks.len();
    }
    assert!(attacks > 20, "{attacks}");
}

#[test]
fn outcomes_do_not_depend_on_threads_and_files_hold_them() {
    let (folder, path) = folder(
        "seeds = 2\nx = \"supply\"\n[axes]\nscheduler = [\"push-pull\", \"rarest-first\"]\nsupply = [2.0, 4.0]",
    );
    let sweep = Sweep::read(&path, None).unwrap();
    let mut told = Vec::new();
    let one = sweep::play(
        &sweep,
        1,
        |_, _| None,
        |_, ended| {
            told.push(ended);
            Ok(())
        },
    );
    let one = one.unwrap();
    let two = sweep::play(&sweep, 2, |_, _| None, |_, _| Ok(())).unwrap();
    assert_eq!(told, (1..=8).collect::<Vec<_>>());
    let hashes = |outcomes: &[sweep::Outcome]| {
        outcomes.iter().map(|o| (o.cell, o.report.seed, o.report.hash.clone())).collect::<Vec<_>>()
    };
    assert_eq!(hashes(&one), hashes(&two));

    let rows = sweep::summarise(&sweep, &one);
    assert_eq!(rows.len(), 4);
    assert!(rows.iter().all(|row| row.runs == 2));
    let files = sweep::write(&sweep, &rows, folder.path()).unwrap();
    let names: Vec<_> = files.iter().map(|f| f.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(names, ["s.csv", "s.md", "s.svg"]);
    let [csv, table, svg] = [0, 1, 2].map(|at| fs::read_to_string(&files[at]).unwrap());
    let widths: Vec<usize> = csv.lines().map(|line| line.split(',').count()).collect();
    assert_eq!(widths, vec![widths[0]; 5], "{csv}");
    assert!(csv.starts_with("scheduler,supply,runs,continuity.0.8,"));
    assert!(table.contains("| push-pull") && table.contains("](s.svg)"), "{table}");
    assert!(
        svg.starts_with("<svg") && svg.contains("supply ratio") && svg.trim().ends_with("</svg>")
    );
}

#[test]
fn a_failing_listener_ends_the_sweep() {
    let (_folder, path) = folder("seeds = 2\n[axes]\nsupply = [2.0]");
    let sweep = Sweep::read(&path, None).unwrap();
    let full = || sweep::SweepError::Write("full".into(), std::io::Error::other("disk full"));
    let error = sweep::play(&sweep, 1, |_, _| None, |_, _| Err(full())).unwrap_err();
    assert!(error.to_string().contains("disk full"));
}
