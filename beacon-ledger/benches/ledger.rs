//! Transfers per second beside the raw engine that inserts the same rows, and receipts per second
//! beside plain `verify_strict`: ratios of one run. As a test (without `--bench`) each part runs once, small.

#![allow(clippy::unwrap_used, clippy::float_arithmetic, missing_docs)]

#[path = "../tests/crash/load.rs"]
mod load;
#[path = "../tests/servers/mod.rs"]
mod servers;

use beacon_ledger::store::{PostgresStore, SqliteStore, Store};
use beacon_ledger::{Edge, Entry, Id, Receipt};
use beacon_sdk::{BroadcastId, Identity};
use ed25519_dalek::{Signer, SigningKey};
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

/// Entries per request of the store, and rows per commit of the raw engine.
const BATCH: u64 = 500;
/// Requests at once.
const TASKS: u64 = 4;

fn main() {
    let measured = std::env::args().any(|arg| arg == "--bench");
    let (transfers, rounds) = if measured { (40_000, 3) } else { (2 * BATCH * TASKS, 1) };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    receipts(if measured { 4000 } else { 10 });
    // In turns, so that a busy machine slows both; the best of each counts.
    let mut best = [0.0_f64; 2];
    for _ in 0..rounds {
        let folder = tempfile::tempdir().unwrap();
        best[0] = best[0].max(raw_sqlite(&folder.path().join("raw.db"), transfers));
        let store = Arc::new(SqliteStore::open(&folder.path().join("ledger.db")).unwrap());
        best[1] = best[1].max(runtime.block_on(through(store, transfers)));
    }
    report("SQLite, transfers/s", "raw inserts", best);
    let server = servers::Server::start(true);
    let mut best = [0.0_f64; 2];
    for round in 0..rounds {
        let address = server.database(&format!("raw{round}"));
        best[0] = best[0].max(runtime.block_on(raw_postgres(&address, transfers)));
        let address = server.database(&format!("ledger{round}"));
        let store = Arc::new(runtime.block_on(PostgresStore::connect(&address)).unwrap());
        best[1] = best[1].max(runtime.block_on(through(store, transfers)));
    }
    report("PostgreSQL, transfers/s", "raw inserts", best);
}

fn report(what: &str, floor: &str, [raw, ours]: [f64; 2]) {
    println!("{what}: {ours:.0}, {floor} {raw:.0}: {:.0} %", 100.0 * ours / raw);
}

fn per_second(count: u64, since: Instant) -> f64 {
    count as f64 / since.elapsed().as_secs_f64()
}

/// The whole way: rules, journal, counters, acknowledgement.
async fn through(store: Arc<dyn Store>, transfers: u64) -> f64 {
    store.apply(load::START_MS, vec![load::funds()]).await.unwrap();
    let start = Instant::now();
    let tasks = (0..TASKS).map(|task| {
        let store = store.clone();
        tokio::spawn(async move {
            for batch in 0..transfers / TASKS / BATCH {
                let entries = entries(task, batch);
                let outcomes = store.apply(load::START_MS, entries).await.unwrap();
                assert!(outcomes.iter().all(Result::is_ok));
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    per_second(transfers, start)
}

fn entries(task: u64, batch: u64) -> Vec<Entry> {
    (0..BATCH).map(|at| load::entry((task << 32) | (batch * BATCH + at))).collect()
}

/// The rows of a transfer, ready to be inserted.
struct Row {
    id: Vec<u8>,
    hash: Vec<u8>,
    reason: String,
    debit: Vec<u8>,
    credit: Vec<u8>,
    amount: i64,
}

fn rows(task: u64, batch: u64) -> Vec<Row> {
    let row = |entry: Entry| {
        let beacon_ledger::Action::Transfer(legs) = &entry.action else { unreachable!() };
        Row {
            id: entry.id.as_bytes().to_vec(),
            hash: entry.request_hash().to_vec(),
            reason: entry.reason.to_json(),
            debit: legs[0].debit.to_bytes().to_vec(),
            credit: legs[0].credit.to_bytes().to_vec(),
            amount: legs[0].amount.get() as i64,
        }
    };
    entries(task, batch).into_iter().map(row).collect()
}

/// The same tables, pragmas and rows, and nothing decided: the entry, the transfer, both counters.
fn raw_sqlite(file: &std::path::Path, transfers: u64) -> f64 {
    drop(SqliteStore::open(file).unwrap());
    let mut raw = rusqlite::Connection::open(file).unwrap();
    raw.execute_batch(
        "PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON; PRAGMA wal_autocheckpoint=4000; PRAGMA cache_size=-64000;",
    )
    .unwrap();
    let batches: Vec<Vec<Row>> = (0..TASKS)
        .flat_map(|task| (0..transfers / TASKS / BATCH).map(move |batch| rows(task, batch)))
        .collect();
    let accounts: std::collections::BTreeSet<&Vec<u8>> =
        batches.iter().flatten().flat_map(|row| [&row.debit, &row.credit]).collect();
    for account in accounts {
        let sql = "INSERT INTO accounts VALUES (?1, 0, 0, 0, 0, 0, ?2)";
        raw.execute(sql, rusqlite::params![account, 1_i64 << 50]).unwrap();
    }
    let start = Instant::now();
    for batch in &batches {
        let change = raw.transaction().unwrap();
        for row in batch {
            let mut put =
                change.prepare_cached("INSERT INTO entries VALUES (?1, ?2, ?3, ?4)").unwrap();
            put.execute(rusqlite::params![row.id, row.hash, load::START_MS, row.reason]).unwrap();
            let sql = "INSERT INTO transfers VALUES (?1, 0, ?2, ?3, ?4, ?5, 10)";
            let mut put = change.prepare_cached(sql).unwrap();
            put.execute(rusqlite::params![
                row.id,
                load::START_MS,
                row.debit,
                row.credit,
                row.amount
            ])
            .unwrap();
            let sql = "UPDATE accounts SET debits_posted = debits_posted + ?2 WHERE id = ?1";
            let mut put = change.prepare_cached(sql).unwrap();
            put.execute(rusqlite::params![row.debit, row.amount]).unwrap();
            let sql = "UPDATE accounts SET credits_posted = credits_posted + ?2 WHERE id = ?1";
            let mut put = change.prepare_cached(sql).unwrap();
            put.execute(rusqlite::params![row.credit, row.amount]).unwrap();
        }
        change.commit().unwrap();
    }
    per_second(transfers, start)
}

/// The same tables and rows by whole batches over as many connections, and nothing decided.
async fn raw_postgres(address: &str, transfers: u64) -> f64 {
    drop(PostgresStore::connect(address).await.unwrap());
    let connect = || async {
        let (client, connection) =
            tokio_postgres::connect(address, tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    };
    let first = connect().await;
    let funds = rows(0, 0);
    let mut accounts: Vec<Vec<u8>> = funds.into_iter().map(|row| row.debit).collect();
    accounts.sort();
    accounts.dedup();
    let sql = "INSERT INTO beacon_ledger.accounts SELECT u, 0, 0, 0, 0, 0, $2::bigint FROM unnest($1::bytea[]) u";
    first.execute(sql, &[&accounts, &(1_i64 << 50)]).await.unwrap();
    let mut tasks = Vec::new();
    let start = Instant::now();
    for task in 0..TASKS {
        let mut client = connect().await;
        tasks.push(tokio::spawn(async move {
            for batch in 0..transfers / TASKS / BATCH {
                insert(&mut client, rows(task, batch)).await;
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    per_second(transfers, start)
}

async fn insert(client: &mut tokio_postgres::Client, rows: Vec<Row>) {
    let column = |of: fn(&Row) -> Vec<u8>| rows.iter().map(of).collect::<Vec<_>>();
    let (ids, hashes) = (column(|row| row.id.clone()), column(|row| row.hash.clone()));
    let (debits, credits) = (column(|row| row.debit.clone()), column(|row| row.credit.clone()));
    let reasons: Vec<&str> = rows.iter().map(|row| row.reason.as_str()).collect();
    let amounts: Vec<i64> = rows.iter().map(|row| row.amount).collect();
    let now = load::START_MS as i64;
    let change = client.transaction().await.unwrap();
    // In order, so that the tasks do not deadlock: as the store does it.
    change
        .query("SELECT id FROM beacon_ledger.accounts ORDER BY id FOR UPDATE", &[])
        .await
        .unwrap();
    let sql = "INSERT INTO beacon_ledger.entries SELECT a, b, $4::bigint, c FROM unnest($1::bytea[], $2::bytea[], $3::text[]) u (a, b, c)";
    change.execute(sql, &[&ids, &hashes, &reasons, &now]).await.unwrap();
    let sql = "INSERT INTO beacon_ledger.transfers SELECT a, 0, $5::bigint, b, c, d, 10
               FROM unnest($1::bytea[], $2::bytea[], $3::bytea[], $4::bigint[]) u (a, b, c, d)";
    change.execute(sql, &[&ids, &debits, &credits, &amounts, &now]).await.unwrap();
    for (side, names) in [("debits_posted", &debits), ("credits_posted", &credits)] {
        let sql = format!(
            "UPDATE beacon_ledger.accounts a SET {side} = {side} + u.d FROM
             (SELECT n, sum(m)::bigint AS d FROM unnest($1::bytea[], $2::bigint[]) x (n, m) GROUP BY n) u WHERE a.id = u.n"
        );
        change.execute(&sql, &[names, &amounts]).await.unwrap();
    }
    change.commit().await.unwrap();
}

/// Receipts off the wire, read and checked, beside the check of one signature over as many bytes.
fn receipts(count: u64) {
    let who = |number: u8| Identity::from_secret([number; 32]);
    let broadcast = BroadcastId { publisher: who(1).public(), epoch: 1 };
    let (uploader, downloader) = (who(2).public(), who(3).public());
    let id = Id::new(1, [1; 10]);
    let edge = Edge { id, broadcast, uploader, downloader, session: 1, expires_ms: 2 };
    let edge = edge.sign(&who(4));
    let receipt = Receipt::sign(&who(3), &edge, None, 1, 1).unwrap().encode();
    let key = SigningKey::from_bytes(&[3; 32]);
    let message = [7; 17 + beacon_ledger::receipt::RECEIPT_LEN - 64];
    let signature = key.sign(&message);
    let issuer = who(4).public();
    let mut best = [0.0_f64; 3];
    for _ in 0..3 {
        let start = Instant::now();
        for _ in 0..count {
            black_box(key.verifying_key().verify_strict(black_box(&message), &signature)).unwrap();
        }
        best[0] = best[0].max(per_second(count, start));
        let start = Instant::now();
        for _ in 0..count {
            black_box(Receipt::decode(black_box(&receipt)).unwrap().verify_downloader()).unwrap();
        }
        best[1] = best[1].max(per_second(count, start));
        let start = Instant::now();
        for _ in 0..count {
            black_box(Receipt::decode(black_box(&receipt)).unwrap().verify(&issuer)).unwrap();
        }
        best[2] = best[2].max(per_second(count, start));
    }
    report("receipts/s over a known edge", "verify_strict", [best[0], best[1]]);
    report("receipts/s over a new edge", "verify_strict", [best[0], best[2]]);
}
