//! The program `sim`, from outside: exit codes, what goes where, the same run twice.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

const PLAN: &str = r#"
name = "tiny"
seed = 5
peers = 5
warmup_s = 3
measure_s = 3
[stream]
mbit = 0.5
[network]
latency = { planetlab = { scale = 0.5 } }
loss = 2.0
[churn]
arrive_s = 1.0
stay = { exponential = { mean = 10.0 } }
"#;
/// Of [`PLAN`]. It is the same in every build and on every platform; it moves with whatever the
/// engine or the world does differently, and then the change is to be understood before the
/// constant is.
const HASH: &str = "c58da73f0daba0b9";

fn sim(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sim")).args(args).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn plan(folder: &Path) -> String {
    let path = folder.join("tiny.toml");
    fs::write(&path, PLAN).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn the_same_plan_and_seed_are_the_same_run() {
    let folder = tempfile::tempdir().unwrap();
    let plan = plan(folder.path());
    let json = folder.path().join("out.json");
    let readable = sim(&["run", &plan, "--json", json.to_str().unwrap()]);
    assert!(readable.status.success(), "{}", text(&readable.stderr));
    let shown = text(&readable.stdout);
    assert!(shown.contains("delivered in") && shown.contains("snowball"), "{shown}");
    let first: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(json).unwrap()).unwrap();
    let second = sim(&["run", &plan, "--json", "-"]);
    let second: serde_json::Value = serde_json::from_str(&text(&second.stdout)).unwrap();
    assert_eq!(first["hash"], second["hash"]);
    assert_eq!(first["hash"], HASH);
    assert!(shown.contains(HASH));
    assert_eq!(first["bad_bytes"], 0);
    assert!(first["continuity"]["4"].as_f64().unwrap() > 0.5, "{first}");
    assert!(
        first["bound_ms"].as_f64().unwrap() > 10.0 && first["eta_delay"].as_f64().unwrap() > 0.0
    );
    let other =
        sim(&["run", &plan, "--json", "-", "--seed", "6", "--peers", "4", "--scheduler", "hybrid"]);
    let other: serde_json::Value = serde_json::from_str(&text(&other.stdout)).unwrap();
    assert_ne!(other["hash"], first["hash"]);
    assert_eq!(
        (&other["seed"], &other["peers"], &other["scheduler"]),
        (&6.into(), &4.into(), &"hybrid".into())
    );
}

#[test]
fn exit_codes_tell_usage_from_failure() {
    let folder = tempfile::tempdir().unwrap();
    let plan = plan(folder.path());
    let ends = |args: &[&str], code: i32, word: &str| {
        let output = sim(args);
        let said = text(&output.stderr) + &text(&output.stdout);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
        assert!(said.contains(word), "{args:?}: {said}");
    };
    ends(&["--help"], 0, "Exit codes");
    ends(&["run", "--help"], 0, "--scheduler");
    ends(&[], 2, "Usage");
    ends(&["run"], 2, "PLAN");
    ends(&["run", &plan, "--scheduler", "best"], 2, "push-pull");
    ends(&["run", &plan, "--peers", "0"], 2, "peers");
    ends(&["run", "nowhere.toml"], 1, "nowhere.toml");
    let bad = folder.path().join("bad.toml");
    fs::write(&bad, PLAN.replace("loss = 2.0", "loss = 99.0")).unwrap();
    ends(&["run", bad.to_str().unwrap()], 1, "network.loss must be 0 to 50 percent");
    ends(&["bound", &plan], 0, "supply ratio");
    ends(&["bound", &plan, "--unit-ms", "100"], 0, "(100.0 ms)");
    ends(&["sweep", &plan, "--out", "nowhere"], 1, "is not a sweep");
    ends(&["sweep", &plan], 2, "--out");
    ends(&["run", &plan, "--scorer", "best"], 2, "mesh");
    ends(&["attack", &plan], 1, "is not a sweep");
}

#[test]
fn a_sweep_leaves_its_files() {
    let folder = tempfile::tempdir().unwrap();
    plan(folder.path());
    let sweep = folder.path().join("s.toml");
    fs::write(&sweep, "name = \"s\"\nplan = \"tiny.toml\"\nseeds = 1\n[axes]\npeers = [2, 3]")
        .unwrap();
    let out = folder.path().join("out/of/it");
    let ended =
        sim(&["sweep", sweep.to_str().unwrap(), "--out", out.to_str().unwrap(), "--jobs", "1"]);
    assert!(ended.status.success(), "{}", text(&ended.stderr));
    assert_eq!(text(&ended.stdout).lines().count(), 3);
    let lines = fs::read_to_string(out.join("s.jsonl")).unwrap();
    let peers = |line: &str| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        line["report"]["peers"].as_u64()
    };
    assert_eq!(lines.lines().map(peers).collect::<Vec<_>>(), [Some(2), Some(3)]);
    assert!(out.join("s.svg").is_file() && out.join("s.csv").is_file());

    // Interrupted while the second line was written: the first is taken as it is.
    let marked = lines.replacen("\"depth_max\":", "\"depth_max\":7", 1);
    assert_ne!(marked, lines);
    fs::write(out.join("s.jsonl"), &marked[..marked.len() - 9]).unwrap();
    let again = ["sweep", sweep.to_str().unwrap(), "--out", out.to_str().unwrap(), "--resume"];
    assert!(sim(&again).status.success());
    let resumed = fs::read_to_string(out.join("s.jsonl")).unwrap();
    assert_eq!(resumed.lines().map(peers).collect::<BTreeSet<_>>(), [Some(2), Some(3)].into());
    assert!(resumed.contains("\"depth_max\":7"), "three peers are no seven deep: {resumed}");
}

#[test]
fn a_suite_sets_each_attack_beside_its_absence() {
    let folder = tempfile::tempdir().unwrap();
    plan(folder.path());
    let suite = folder.path().join("suite.toml");
    let attacks = "name = 's'\nplan = 'tiny.toml'\nseeds = [1]
        [[attack]]\nname = 'a'\nabout = 'polluters'\nadversary = [{ kind = 'polluter', share = 0.4 }]
        [[attack]]\nname = 'b'\nabout = 'loss'\nnetwork.loss = 5.0";
    fs::write(&suite, attacks).unwrap();
    let path = suite.to_str().unwrap();
    let table = sim(&["attack", path, "--jobs", "1"]);
    let shown = text(&table.stdout);
    assert!(table.status.success(), "{}", text(&table.stderr));
    assert_eq!(shown.lines().count(), 4, "{shown}");
    let only = sim(&["attack", path, "--only", "a", "--json", "-"]);
    let only: serde_json::Value = serde_json::from_str(&text(&only.stdout)).unwrap();
    assert_eq!(only.as_array().unwrap().len(), 1);
    assert_eq!(only[0]["attack"], "a");
    assert_eq!(only[0]["with"]["bad_bytes"], 0);
    assert!(only[0]["with"]["attack"]["hostile"].as_u64() > Some(0), "{only}");
    assert_eq!(only[0]["without"]["symbols_invalid"], 0);
    let none = sim(&["attack", path, "--only", "c"]);
    assert_eq!((none.status.code(), text(&none.stderr).contains("\"c\"")), (Some(1), true));
}
