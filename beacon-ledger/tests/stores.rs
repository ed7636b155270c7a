//! The three stores keep the contract; what only a database can do wrong.

#![cfg(all(feature = "conformance", feature = "sqlite", feature = "postgres"))]
#![allow(clippy::unwrap_used)]

mod servers;

use async_trait::async_trait;
use beacon_ledger::conformance::{self, Fixture, micro, model, peer};
use beacon_ledger::store::{MemoryStore, PostgresStore, SqliteStore, Store, StoreError};
use beacon_ledger::{AccountId, Entry, Id, Leg, Reason, Rule};
use proptest::prelude::*;
use servers::Server;
use std::path::PathBuf;
use std::sync::Arc;

struct Memory(Arc<MemoryStore>);

#[async_trait]
impl Fixture for Memory {
    async fn open(&self) -> Arc<dyn Store> {
        self.0.clone()
    }
}

mod memory {
    beacon_ledger::store_conformance!(super::Memory(std::sync::Arc::default()));
}

struct File(tempfile::TempDir);

impl File {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("ledger.db")
    }
}

#[async_trait]
impl Fixture for File {
    async fn open(&self) -> Arc<dyn Store> {
        Arc::new(SqliteStore::open(&self.path()).unwrap())
    }
}

mod sqlite {
    beacon_ledger::store_conformance!(super::File::new());
}

struct Database(String);

#[async_trait]
impl Fixture for Database {
    async fn open(&self) -> Arc<dyn Store> {
        Arc::new(PostgresStore::connect(&self.0).await.unwrap())
    }
}

/// All clauses over one server, a database each: a server takes seconds to make.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_keeps_the_contract() {
    let server = Server::start(false);
    let fixture = |name| Database(server.database(name));
    conformance::k01_whole_or_not_at_all(&fixture("k01")).await;
    conformance::k02_again_is_nothing(&fixture("k02")).await;
    conformance::k03_never_below_zero(&fixture("k03")).await;
    conformance::k04_books_agree(&fixture("k04")).await;
    conformance::k05_holds_end_once(&fixture("k05")).await;
    conformance::k06_counters_are_taken_once(&fixture("k06")).await;
    conformance::k07_what_was_acknowledged_stays(&fixture("k07")).await;
    conformance::k08_lines_are_complete(&fixture("k08")).await;
    conformance::k09_clocks_may_go_back(&fixture("k09")).await;
    conformance::k10_deeds_stay(&fixture("k10")).await;
    // Several processes may make the schema at once.
    let address = server.database("together");
    let opened = (0..4).map(|_| {
        let address = address.clone();
        tokio::spawn(async move { PostgresStore::connect(&address).await.map(drop) })
    });
    for opened in opened.collect::<Vec<_>>() {
        assert_eq!(opened.await.unwrap(), Ok(()));
    }
    the_schema_itself_refuses(&|sql| server.sql("k05", &sql.replace("$", "beacon_ledger.")));
    the_server_goes_away_and_returns(&server).await;
}

/// Over the network the server is spoken to by TLS, if its certificate is by an authority that is named.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_over_tls_is_the_one_that_is_meant() {
    let server = Server::start_tls();
    server.sql("postgres", "CREATE DATABASE far").unwrap();
    let (address, roots) = (server.network_address("far"), server.authority());
    let with = |roots: &std::path::Path| {
        let roots = roots.to_str().unwrap().replace('/', "%2F");
        format!("{address}?sslmode=require&sslrootcert={roots}")
    };
    let store = PostgresStore::connect(&with(&roots)).await.unwrap();
    assert!(store.apply(1, vec![issue(1, 100), pay(2, 10)]).await.unwrap()[1].is_ok());
    assert_eq!(store.audit().await.unwrap().faults, [""; 0]);
    let ours = "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
                WHERE application_name = 'beacon-ledger'";
    assert_eq!(server.sql("far", ours).as_deref(), Ok("t"));
    // By nobody whom the machine knows, by another authority, for another name, and without TLS.
    let other = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let stranger = folder.path().join("stranger.pem");
    std::fs::write(&stranger, other.cert.pem()).unwrap();
    for (address, word) in [
        (format!("{address}?sslmode=require"), "certificate"),
        (with(&stranger), "certificate"),
        (with(&roots).replace("127.0.0.1", "localhost"), "certificate"),
        (address.clone(), "no encryption"),
    ] {
        let error = PostgresStore::connect(&address).await.map(drop).unwrap_err();
        assert!(matches!(error, StoreError::Unavailable(_)), "{address}: {error:?}");
        assert!(error.to_string().contains(word), "{address}: {error}");
    }
}

async fn the_server_goes_away_and_returns(server: &Server) {
    let store = Database(server.database("away")).open().await;
    assert!(store.apply(1, vec![issue(1, 100)]).await.unwrap()[0].is_ok());
    server.crash();
    let gone = store.apply(2, vec![pay(2, 10)]).await;
    assert!(matches!(gone, Err(StoreError::Unavailable(_))), "{gone:?}");
    assert!(gone.unwrap_err().to_string().contains("ask again with the same ids"));
    let connecting = PostgresStore::connect(&server.address("away")).await;
    assert!(matches!(connecting, Err(StoreError::Unavailable(_))), "{connecting:?}");
    server.resume();
    // The same store, the same ids.
    let outcomes = store.apply(3, vec![issue(1, 100), pay(2, 10)]).await.unwrap();
    assert_eq!(outcomes[0], Ok(beacon_ledger::book::Applied::Replayed));
    assert!(outcomes[1].is_ok());
    assert_eq!(store.audit().await.unwrap().faults, [""; 0]);
    server.sql("away", "UPDATE beacon_ledger.version SET version = 99").unwrap();
    let newer = PostgresStore::connect(&server.address("away")).await.map(drop);
    assert_eq!(newer, Err(StoreError::Version { found: 99, known: 2 }));
}

fn entry(number: u64, leg: Leg) -> Entry {
    Entry::transfer(Id::derived(number, &[b"test"]), vec![leg], Reason::note("a test"))
}

fn issue(number: u64, amount: u64) -> Entry {
    let (debit, credit) = (AccountId::ISSUANCE, peer(1));
    entry(number, Leg { debit, credit, amount: micro(amount), rule: Rule::Issue })
}

fn pay(number: u64, amount: u64) -> Entry {
    let (debit, credit) = (peer(1), peer(2));
    entry(number, Leg { debit, credit, amount: micro(amount), rule: Rule::Order })
}

/// What the program would never ask for is refused by the database. The tables, behind `$`, are those
/// that K05 leaves: entries, transfers, and a hold of each kind.
fn the_schema_itself_refuses(sql: &dyn Fn(&str) -> Result<String, String>) {
    sql("INSERT INTO $deeds SELECT DISTINCT hash, 1, 'a deed' FROM $entries").unwrap();
    for (what, order) in [
        ("change a transfer", "UPDATE $transfers SET amount = amount + 1"),
        ("delete a transfer", "DELETE FROM $transfers"),
        ("change an entry", "UPDATE $entries SET at_ms = at_ms + 1"),
        ("delete an entry", "DELETE FROM $entries"),
        ("delete an account", "DELETE FROM $accounts"),
        (
            "take back what was posted",
            "UPDATE $accounts SET credits_posted = credits_posted - 1 WHERE credits_posted > 0",
        ),
        (
            "spend what is not there",
            "UPDATE $accounts SET debits_posted = debits_posted + 1000000 WHERE credits_posted > 0",
        ),
        (
            "reserve what is not there",
            "UPDATE $accounts SET debits_pending = 1000000 WHERE credits_posted > 0",
        ),
        ("a negative counter", "UPDATE $accounts SET debits_pending = -1"),
        ("revive a hold", "UPDATE $holds SET state = 0"),
        ("end a hold twice", "UPDATE $holds SET state = 1 WHERE state = 2"),
        ("delete a hold", "DELETE FROM $holds"),
        ("change a deed", "UPDATE $deeds SET text = ''"),
        ("delete a deed", "DELETE FROM $deeds"),
        (
            "pay oneself",
            "INSERT INTO $transfers SELECT entry, 63, at_ms, debit, debit, 1, 1 FROM $transfers",
        ),
        (
            "move nothing",
            "INSERT INTO $transfers SELECT entry, 63, at_ms, debit, credit, 0, 1 FROM $transfers",
        ),
        (
            "without an entry",
            "INSERT INTO $transfers SELECT hash, 1, at_ms, hash, hash, 1, 1 FROM $entries",
        ),
    ] {
        assert!(sql(order).is_err(), "the schema lets somebody {what}");
    }
}

#[tokio::test]
async fn the_schema_of_sqlite_refuses_by_itself() {
    let file = File::new();
    conformance::k05_holds_end_once(&file).await;
    let connection = rusqlite::Connection::open(file.path()).unwrap();
    connection.pragma_update(None, "foreign_keys", true).unwrap();
    the_schema_itself_refuses(&|sql| {
        let done = connection.execute(&sql.replace('$', ""), []);
        done.map(|rows| rows.to_string()).map_err(|error| error.to_string())
    });
    let sound = connection.query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0));
    assert_eq!(sound.unwrap(), "ok");
}

/// No room: a clear error, nothing of the request taken, all before it there, and it goes on when there
/// is room again.
#[tokio::test]
async fn a_full_disk_loses_nothing() {
    let file = File::new();
    let store = SqliteStore::open_limited(&file.path(), Some(300 * 1024)).unwrap();
    assert!(store.apply(1, vec![issue(0, 1_000_000)]).await.unwrap()[0].is_ok());
    let mut acknowledged = Vec::new();
    let refused = loop {
        let first = acknowledged.len() as u64 + 1;
        let batch: Vec<Entry> = (first..first + 50).map(|number| pay(number, 1)).collect();
        match store.apply(2, batch.clone()).await {
            Ok(outcomes) => {
                assert!(outcomes.iter().all(Result::is_ok));
                acknowledged.extend(batch);
            }
            Err(error) => break (error, batch),
        }
        assert!(acknowledged.len() < 100_000, "the limit has no effect");
    };
    assert!(matches!(refused.0, StoreError::Full(_)), "{:?}", refused.0);
    assert!(refused.0.to_string().contains("make room"), "{}", refused.0);
    let paid = store.accounts(&[peer(2)]).await.unwrap()[0].available().get();
    assert_eq!(paid, acknowledged.len() as u64, "a part of a refused request was taken");
    drop(store);
    let store = SqliteStore::open(&file.path()).unwrap();
    for batch in acknowledged.chunks(1000) {
        for outcome in store.apply(3, batch.to_vec()).await.unwrap() {
            assert_eq!(outcome, Ok(beacon_ledger::book::Applied::Replayed), "a transfer is lost");
        }
    }
    let outcomes = store.apply(3, refused.1).await.unwrap();
    assert!(outcomes.iter().all(|o| *o == Ok(beacon_ledger::book::Applied::New)));
    assert_eq!(store.audit().await.unwrap().faults, [""; 0]);
}

#[tokio::test]
async fn another_programs_file_is_left_alone() {
    let file = File::new();
    std::fs::write(file.path(), b"this is no database, and longer than a header of one, which is a hundred bytes long: so here are some more of them").unwrap();
    let error = SqliteStore::open(&file.path()).unwrap_err();
    assert!(error.to_string().contains("ledger.db"), "{error}");
    std::fs::remove_file(file.path()).unwrap();
    let other = rusqlite::Connection::open(file.path()).unwrap();
    other.execute_batch("CREATE TABLE letters (body TEXT)").unwrap();
    let error = SqliteStore::open(&file.path()).unwrap_err();
    assert!(
        matches!(&error, StoreError::Broken(cause) if cause.contains("another program")),
        "{error}"
    );
    drop(other);
    std::fs::remove_file(file.path()).unwrap();
    drop(SqliteStore::open(&file.path()).unwrap());
    let newer = rusqlite::Connection::open(file.path()).unwrap();
    newer.pragma_update(None, "user_version", 99).unwrap();
    let error = SqliteStore::open(&file.path()).unwrap_err();
    assert_eq!(error, StoreError::Version { found: 99, known: 2 });
    let nowhere = file.0.path().join("no/such/folder/ledger.db");
    let error = SqliteStore::open(&nowhere).unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
}

#[tokio::test]
async fn addresses() {
    let file = File::new();
    let address = format!("sqlite:{}", file.path().display());
    let store = beacon_ledger::store::open(&address).await.unwrap();
    assert!(store.apply(1, vec![issue(0, 1)]).await.unwrap()[0].is_ok());
    assert!(beacon_ledger::store::open("memory:").await.is_ok());
    for bad in ["", "sqlite:", "ledger.db", "mysql://host/db", "postgres://host:port/db"] {
        let error = beacon_ledger::store::open(bad).await.map(drop).unwrap_err();
        assert!(matches!(error, StoreError::Address(_)), "{bad}: {error}");
    }
    let many = vec![issue(0, 1); 5000];
    assert_eq!(store.apply(1, many).await, Err(StoreError::TooMany(5000)));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Any history of orders leaves what the oracle says.
    #[test]
    fn any_history(seed in any::<u64>()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (memory, file) = (MemoryStore::default(), File::new());
            model::play(&memory, seed, 200).await;
            let stored = file.open().await;
            model::play(&*stored, seed, 200).await;
            let (one, other) = (memory.audit().await.unwrap(), stored.audit().await.unwrap());
            assert_eq!(one.faults, [""; 0]);
            assert_eq!(one, other, "two stores, the same books");
        });
    }
}
