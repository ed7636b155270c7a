//! Killed at any moment, a store has all that it acknowledged, and its books agree.

#![cfg(all(feature = "sqlite", feature = "postgres"))]
#![allow(clippy::unwrap_used)]

mod load;
#[path = "../servers/mod.rs"]
mod servers;

use beacon_ledger::book::Applied;
use beacon_ledger::store::{self, Store};
use beacon_sdk::Rng;
use servers::Server;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

/// Where the victim finds its address and round.
const ADDRESS: &str = "BEACON_CRASH_ADDRESS";
const ROUND: &str = "BEACON_CRASH_ROUND";

/// The victim: this program again, told where to apply batches until it is killed. It prints the numbers of a batch
/// once that is acknowledged. On its own it applies a few in memory.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn victim() {
    let address = std::env::var(ADDRESS);
    let batches = if address.is_ok() { u64::MAX } else { 3 };
    let store = open(address.as_deref().unwrap_or("memory:")).await;
    let round: u64 = std::env::var(ROUND).map_or(0, |round| round.parse().unwrap());
    let funded = store.apply(load::START_MS, vec![load::funds()]).await.unwrap();
    assert!(funded[0].is_ok(), "{funded:?}");
    let tasks = (0..load::TASKS).map(|task| {
        let store = store.clone();
        tokio::spawn(async move {
            for batch in 0..batches {
                let numbers = load::numbers(round, task, batch);
                let entries = numbers.iter().map(|number| load::entry(*number)).collect();
                // The server is crashed under it.
                let Ok(outcomes) = store.apply(load::START_MS, entries).await else { return };
                assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
                let line: Vec<String> = numbers.iter().map(u64::to_string).collect();
                println!("{}", line.join(" "));
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    if address.is_err() {
        let audit = store.audit().await.unwrap();
        assert_eq!((audit.entries, audit.faults), (1 + 15 * load::TASKS, Vec::new()));
    }
}

/// Loads the store from another process, kills that after a number of acknowledgements, and looks; how
/// many transfers were acknowledged, and how many more were found.
async fn round(address: &str, round: u64, rng: &mut Rng, also: impl FnOnce()) -> (u64, u64) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "victim", "--nocapture"])
        .envs([(ADDRESS, address), (ROUND, &round.to_string())])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut acknowledged: Vec<u64> = Vec::new();
    let mut take = |line: String| {
        // The test harness prints as well, sometimes before ours on the same line.
        let last = line.rsplit(' ').take(load::BATCH as usize).map(str::parse::<u64>);
        let numbers: Vec<u64> = last.map_while(Result::ok).collect();
        if numbers.len() as u64 == load::BATCH {
            acknowledged.extend(numbers);
        }
    };
    for _ in 0..10 + rng.below(60) {
        take(lines.next().expect("it ended by itself").unwrap());
    }
    also();
    child.kill().unwrap();
    // What was printed before the kill counts, but for the last line: it may be half a one.
    let mut rest: Vec<String> = lines.map_while(Result::ok).collect();
    rest.pop();
    rest.into_iter().for_each(&mut take);
    child.wait().unwrap();

    let store = open(address).await;
    let entries: Vec<_> = acknowledged.iter().map(|number| load::entry(*number)).collect();
    for batch in entries.chunks(1000) {
        for outcome in store.apply(load::START_MS, batch.to_vec()).await.unwrap() {
            assert_eq!(
                outcome,
                Ok(Applied::Replayed),
                "round {round}: an acknowledged transfer is lost"
            );
        }
    }
    let audit = store.audit().await.unwrap();
    assert_eq!(audit.faults, [""; 0], "round {round}");
    assert_eq!(audit.issued, audit.held, "round {round}");
    (acknowledged.len() as u64, audit.entries)
}

async fn open(address: &str) -> std::sync::Arc<dyn Store> {
    store::open(address).await.unwrap()
}

async fn sqlite(rounds: u64, seed: u64) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ledger.db");
    let address = format!("sqlite:{}", file.display());
    let mut rng = Rng::new([1; 32], seed);
    let (mut acknowledged, mut entries) = (0, 0);
    for number in 0..rounds {
        let (more, all) = round(&address, number, &mut rng, || {}).await;
        (acknowledged, entries) = (acknowledged + more, all);
        let connection = rusqlite::Connection::open(&file).unwrap();
        let sound =
            connection.query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0));
        assert_eq!(sound.unwrap(), "ok", "round {number}");
    }
    println!(
        "sqlite: {rounds} kills, {acknowledged} transfers acknowledged, {} found",
        entries - 1
    );
    assert!(acknowledged >= rounds * 5);
}

/// Every second time the server is crashed as well.
async fn postgres(rounds: u64, seed: u64) {
    let server = Server::start(rounds > 2);
    let address = server.database("crash");
    let mut rng = Rng::new([2; 32], seed);
    let (mut acknowledged, mut entries) = (0, 0);
    for number in 0..rounds {
        let crash = number % 2 == 1;
        let also = || {
            if crash {
                server.crash();
                server.resume();
            }
        };
        let (more, all) = round(&address, number, &mut rng, also).await;
        (acknowledged, entries) = (acknowledged + more, all);
    }
    println!(
        "postgres: {rounds} kills, {acknowledged} transfers acknowledged, {} found",
        entries - 1
    );
    assert!(acknowledged >= rounds * 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_survives_kills() {
    sqlite(8, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_survives_kills() {
    postgres(2, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "nightly: 200 kills"]
async fn sqlite_survives_200_kills() {
    sqlite(200, 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "nightly: 20 kills, 10 crashes of the server"]
async fn postgres_survives_20_kills() {
    postgres(20, 2).await;
}
