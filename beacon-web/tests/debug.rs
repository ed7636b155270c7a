//! The laboratory's page in Debian's Chromium: what it shows, and that a run there is the run that `sim` plays.
//!
//! Needs what the tests in `browser/` need. Leaves pictures of the page in `screenshots` of the
//! target folder.
#![allow(clippy::unwrap_used, missing_docs)]

mod stage;

use beacon_sim::plan::Plan;
use beacon_sim::world;
use serde::Deserialize;
use stage::{Stage, screenshots};
use std::collections::BTreeMap;

#[derive(Debug, Deserialize)]
struct Node {
    id: String,
    role: String,
    hop: String,
}

#[derive(Debug, Deserialize)]
struct Wire {
    from: String,
    to: String,
}

#[derive(Debug, Deserialize)]
struct Seen {
    schedulers: usize,
    refused: bool,
    nodes: Vec<Node>,
    wires: Vec<Wire>,
    tiles: BTreeMap<String, String>,
    charts: Vec<String>,
    /// Of each canvas of a chart: dots that are not empty.
    painted: Vec<u64>,
    rows: Vec<Vec<String>>,
    /// The clocks in the two test pictures, ms.
    sent: Option<i64>,
    seen: Option<i64>,
    behind: String,
    paused: bool,
    killed: u32,
    crowded: u32,
    hash: String,
    plan: String,
    trouble: bool,
    plain_rows: usize,
    errors: Vec<String>,
}

#[test]
fn a_run_in_the_page_is_the_run_that_sim_plays() {
    let seen: Seen = Stage::set().play("debug.mjs", &[screenshots().to_str().unwrap()]).finish();
    println!("{seen:#?}");
    assert_eq!(seen.errors, Vec::<String>::new());
    assert!(!seen.trouble && seen.refused && seen.paused);
    assert_eq!(seen.schedulers, beacon_sdk::policy::NAMES.len());

    assert_eq!(seen.nodes.len(), 13, "the origin and 12 viewers");
    let root = seen.nodes.iter().find(|node| node.role == "origin").unwrap();
    assert_eq!((root.id.as_str(), root.hop.as_str()), ("origin", "0"));
    assert!(seen.nodes.iter().any(|node| node.role == "relay"), "viewers pass it on");
    assert!(seen.wires.iter().any(|wire| wire.from == "origin"));
    assert!(seen.wires.iter().any(|wire| wire.from != "origin" && wire.to != "origin"));
    let tile = |name: &str| seen.tiles[name].split(' ').next().unwrap().parse::<f64>().unwrap();
    assert_eq!(tile("viewers"), 12.0);
    assert!(tile("delivered") > 50.0 && tile("offload") > 10.0, "{:?}", seen.tiles);
    assert!(seen.charts.len() == 4 && seen.painted.iter().all(|&dots| dots > 200), "{seen:?}");
    assert_eq!(seen.rows.len(), 12);
    let late = seen.sent.unwrap() - seen.seen.unwrap();
    assert!((50..10_000).contains(&late), "the second picture is {late} ms later");
    assert!(seen.behind.ends_with("behind"), "{}", seen.behind);

    assert_eq!(seen.killed, 9, "30 % of 12 are 3");
    assert!(seen.crowded > 9);
    assert!(seen.plain_rows >= 6, "the table needs no charts");

    let plan = Plan::parse(&seen.plan).unwrap();
    assert_eq!(plan.event.len(), 3, "what was done stands in the plan: {}", seen.plan);
    let native = world::run(&plan, plan.seed, |_, _| {}).unwrap();
    assert_eq!(native.hash, seen.hash, "{}", seen.plan);
}
