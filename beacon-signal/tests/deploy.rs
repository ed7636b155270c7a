//! The files for operators name what there is.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

mod peer;
mod program;
mod redis;

use beacon_signal::{ClusterConfig, Config, LedgerConfig};
use peer::{Peer, Running, viewer};
use program::{program, run};
use redis::Redis;
use serde_json::Value;
use std::collections::BTreeSet;

const DASHBOARD: &str = include_str!("../deploy/dashboard.json");
const ALERTS: &str = include_str!("../deploy/alerts.yml");
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy");

/// Every metric of ours that a text names.
fn named(text: &str) -> BTreeSet<&str> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = text.split(|c: char| !word(c));
    words.filter(|word| word.starts_with("beacon_signal_")).collect()
}

/// Every metric that a server with all its parts shows, by the names that Prometheus stores.
async fn shown() -> BTreeSet<String> {
    let redis = Redis::start();
    let mut config = Config::default();
    config.ledger = Some(LedgerConfig::new("memory"));
    config.cluster = Some(ClusterConfig::new(redis.address()));
    let server = Running::start(config).await;
    // Some are there once something has happened.
    let (mut peer, _) = Peer::join(&server, viewer("launch", 1)).await;
    peer.signal(2, b"nobody").await;
    peer.send_text("nonsense").await;
    peer.until_error().await;
    let (_, page) = server.get("/metrics").await;
    let types = page.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let name = |line: &str| match line.split_once(' ').unwrap() {
        (name, "counter") => format!("{name}_total"),
        (name, _) => name.to_owned(),
    };
    types.map(name).collect()
}

#[tokio::test]
async fn dashboard_and_alerts_name_metrics_that_a_server_shows() {
    let shown = shown().await;
    for (file, text, least) in [("dashboard", DASHBOARD, 15), ("alerts", ALERTS, 8)] {
        let named = named(text);
        assert!(named.len() >= least, "{file}: {named:?}");
        let unknown: Vec<_> = named.iter().filter(|name| !shown.contains(**name)).collect();
        assert!(unknown.is_empty(), "{file} names {unknown:?}, there are {shown:?}");
    }
    // And all there are can be looked at.
    let on_it = named(DASHBOARD);
    let missing: Vec<_> = shown.iter().filter(|name| !on_it.contains(name.as_str())).collect();
    assert!(missing.is_empty(), "the dashboard lacks {missing:?}");
}

#[test]
fn the_dashboard_can_be_read_and_every_panel_asks_something() {
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let mut places = BTreeSet::new();
    for panel in panels {
        let targets = panel["targets"].as_array().unwrap();
        assert!(!targets.is_empty() && panel["title"].is_string(), "{panel}");
        for target in targets {
            let asks = target["expr"].as_str().unwrap();
            assert_eq!(
                asks.matches(['(', '{']).count(),
                asks.matches([')', '}']).count(),
                "{asks}"
            );
        }
        let place = &panel["gridPos"];
        assert!(places.insert((place["x"].as_u64(), place["y"].as_u64())), "{place} is taken");
    }
    assert_eq!(places.len(), panels.len());
}

#[test]
fn the_settings_are_taken_and_so_are_those_that_are_commented_out() {
    let file = format!("{FOLDER}/signal.toml");
    let output = run(program().args(["--config", &file, "--print-config"]));
    let printed = String::from_utf8(output.stdout).unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{error}");
    assert!(printed.contains("drain-seconds = 5 # the file"), "{printed}");

    let setting =
        |line: &str| line.strip_prefix("# ").filter(|rest| rest.contains(" = ")).map(String::from);
    let all = std::fs::read_to_string(&file).unwrap();
    let all: Vec<String> =
        all.lines().map(|line| setting(line).unwrap_or_else(|| line.into())).collect();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("all.toml");
    std::fs::write(&file, all.join("\n")).unwrap();
    let mut command = program();
    command.arg("--config").arg(&file).arg("--print-config");
    let output = run(command.env("BEACON_REDIS", "redis://127.0.0.1:1"));
    let printed = String::from_utf8(output.stdout).unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{error}");
    for name in ["node", "turn", "turn-secret-file", "turn-ttl", "ledger", "grant", "pages"] {
        assert!(
            printed.lines().any(|line| line.starts_with(&format!("{name} = "))),
            "{name}: {printed}"
        );
    }
}

#[test]
fn the_unit_waits_longer_than_the_server_takes_to_stop() {
    let unit = std::fs::read_to_string(format!("{FOLDER}/beacon-signal.service")).unwrap();
    let value = |name: &str| unit.lines().find_map(|line| line.strip_prefix(&format!("{name}=")));
    let seconds: u64 = value("TimeoutStopSec").unwrap().parse().unwrap();
    // The drain of signal.toml, goodbyes, and the accounts, which get ten seconds.
    let takes = 5 + Config::default().grace.as_secs() + 10;
    assert!(seconds > takes, "{seconds} s, and it may take {takes}");
    let files: usize = value("LimitNOFILE").unwrap().parse().unwrap();
    assert!(files > Config::default().connections_max + 64 + 100);
}
