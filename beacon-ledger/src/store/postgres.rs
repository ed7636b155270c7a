//! [`PostgresStore`]: accounts in a database that several machines share.

mod rows;
mod tls;

use super::{Audit, Deed, EXPIRE_MAX, LINES_MAX, Line, Outcomes, Place, Store, StoreError};
use crate::book::{Account, AccountId, Applied, Entry, Hold, Page, Refusal};
use crate::id::Id;
use async_trait::async_trait;
use core::time::Duration;
use deadpool_postgres::{
    Hook, HookError, Manager, ManagerConfig, Object, Pool, PoolError, RecyclingMethod, Runtime,
};
use tokio_postgres::config::SslMode;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Config, NoTls};

/// Connections at most.
const CONNECTIONS_MAX: usize = 16;
/// How long to wait for a connection, and for the server to take one.
const CONNECT: Duration = Duration::from_secs(5);
/// A statement may take this long before the server gives it up.
const STATEMENT: Duration = Duration::from_secs(30);
/// A batch that others got in the way of is tried this often.
const ATTEMPTS_MAX: u32 = 20;
/// The pause before the second attempt; twice as long each time, up to 64 times.
const PAUSE: Duration = Duration::from_millis(2);
/// The schema, version by version; a new one is appended.
const MIGRATIONS: &[&str] = &[include_str!("postgres_1.sql"), include_str!("postgres_2.sql")];

/// Accounts in a PostgreSQL database, in the schema `beacon_ledger`. Any number of processes may use it
/// at once.
///
/// A batch is one transaction at READ COMMITTED: it locks the rows that it touches, in the order of their
/// names (holds, accounts, counters), reads, decides, writes. Two batches that both make a new account or entry meet at its
/// primary key: one of them starts over, as after a deadlock or a serialisation failure. It uses no
/// advisory locks, session state or sequences.
///
/// Connections are encrypted where the address says `sslmode=require`: the server's certificate is verified then, by the
/// authorities in `sslrootcert=FILE` or else the machine's. Without it use a Unix socket, or a network that is yours.
#[derive(Debug)]
pub struct PostgresStore {
    pool: Pool,
}

/// What went wrong, and whether to start over.
enum Failure {
    Again(String),
    Final(StoreError),
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        let cause = explain(&error);
        let Some(state) = error.code() else {
            // No word from the server: the connection failed, or an answer was not what was asked for.
            let broken = !error.is_closed() && cause.contains("deserializing");
            return Self::Final(if broken {
                StoreError::Broken(cause)
            } else {
                StoreError::Unavailable(cause)
            });
        };
        if [
            SqlState::T_R_SERIALIZATION_FAILURE,
            SqlState::T_R_DEADLOCK_DETECTED,
            SqlState::UNIQUE_VIOLATION,
        ]
        .contains(state)
        {
            return Self::Again(cause);
        }
        Self::Final(match (state, state.code().get(..2)) {
            (&SqlState::DISK_FULL, _) => StoreError::Full(cause),
            // Connection, resources, operator's intervention, the machine beneath.
            (_, Some("08" | "53" | "57" | "58")) => StoreError::Unavailable(cause),
            _ => StoreError::Broken(cause),
        })
    }
}

impl From<PoolError> for Failure {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Backend(error) => match Self::from(error) {
                // A server that will not have us is out of reach, whatever it says.
                Self::Final(StoreError::Broken(cause)) | Self::Again(cause) => {
                    Self::Final(StoreError::Unavailable(cause))
                }
                other => other,
            },
            other => Self::Final(StoreError::Unavailable(other.to_string())),
        }
    }
}

impl Failure {
    fn settled(self) -> StoreError {
        match self {
            Self::Again(cause) => {
                StoreError::Unavailable(format!("others got in the way too often: {cause}"))
            }
            Self::Final(error) => error,
        }
    }
}

/// With the server's own words, which the error's text leaves out.
fn explain(error: &tokio_postgres::Error) -> String {
    use std::error::Error as _;
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

/// How often a batch has been tried.
#[derive(Default)]
struct Attempts(u32);

impl Attempts {
    /// Pauses, if it is worth another try after `failure`.
    async fn another(&mut self, failure: Failure) -> Result<(), StoreError> {
        self.0 += 1;
        match failure {
            Failure::Again(cause) if self.0 < ATTEMPTS_MAX => {
                tracing::debug!(target: "beacon::ledger", attempt = self.0, cause, "starting over");
                tokio::time::sleep(PAUSE * (1 << self.0.min(6))).await;
                Ok(())
            }
            failure => Err(failure.settled()),
        }
    }
}

enum Work<'a> {
    Apply(&'a [Entry]),
    Expire,
}

impl PostgresStore {
    /// Connects to the database of a [libpq URL](https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING) and
    /// makes the schema if it is not there.
    ///
    /// # Errors
    /// [`StoreError`]: no such address, out of reach, or a later version's schema.
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        let (url, tls) = tls::read(url)?;
        let config: Result<Config, _> = url.parse();
        let mut config = config.map_err(|error| StoreError::Address(explain(&error)))?;
        config.application_name("beacon-ledger");
        config.connect_timeout(CONNECT);
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        config.ssl_mode(if tls.is_some() { SslMode::Require } else { SslMode::Disable });
        let manager = match tls {
            Some(tls) => Manager::from_config(config, tls, recycling),
            None => Manager::from_config(config, NoTls, recycling),
        };
        let settings = format!("SET statement_timeout = {}", STATEMENT.as_millis());
        let settle = Hook::async_fn(move |client: &mut deadpool_postgres::ClientWrapper, _| {
            let settings = settings.clone();
            Box::pin(
                async move { client.batch_execute(&settings).await.map_err(HookError::Backend) },
            )
        });
        let pool = Pool::builder(manager)
            .max_size(CONNECTIONS_MAX)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(CONNECT))
            .create_timeout(Some(CONNECT))
            .recycle_timeout(Some(CONNECT))
            .post_create(settle)
            .build()
            .map_err(|error| StoreError::Unavailable(error.to_string()))?;
        let store = Self { pool };
        let mut attempts = Attempts::default();
        while let Err(failure) = store.migrate().await {
            attempts.another(failure).await?;
        }
        Ok(store)
    }

    async fn client(&self) -> Result<Object, Failure> {
        Ok(self.pool.get().await?)
    }

    async fn migrate(&self) -> Result<(), Failure> {
        let mut client = self.client().await?;
        let change = client.transaction().await?;
        change
            .batch_execute(
                "CREATE SCHEMA IF NOT EXISTS beacon_ledger;
                 CREATE TABLE IF NOT EXISTS beacon_ledger.version (one BOOLEAN PRIMARY KEY CHECK (one), version BIGINT NOT NULL);
                 INSERT INTO beacon_ledger.version VALUES (true, 0) ON CONFLICT DO NOTHING;",
            )
            .await?;
        let found: i64 = change
            .query_one("SELECT version FROM beacon_ledger.version FOR UPDATE", &[])
            .await?
            .try_get(0)?;
        let known = MIGRATIONS.len() as i64;
        if found > known {
            return Err(Failure::Final(StoreError::Version { found, known }));
        }
        for schema in MIGRATIONS.iter().skip(usize::try_from(found).unwrap_or(0)) {
            change.batch_execute(schema).await?;
        }
        if found < known {
            change.execute("UPDATE beacon_ledger.version SET version = $1", &[&known]).await?;
        }
        change.commit().await?;
        Ok(())
    }

    async fn work(&self, now_ms: u64, work: Work<'_>) -> Result<(Outcomes, usize), StoreError> {
        let mut attempts = Attempts::default();
        loop {
            match self.try_once(now_ms, &work).await {
                Ok(done) => return Ok(done),
                Err(failure) => attempts.another(failure).await?,
            }
        }
    }

    async fn try_once(&self, now_ms: u64, work: &Work<'_>) -> Result<(Outcomes, usize), Failure> {
        let mut client = self.client().await?;
        let change = client.transaction().await?;
        let mut page = Page::default();
        let mut done = (Vec::new(), 0);
        let known = match work {
            Work::Apply(entries) => {
                let known = rows::load(&change, &mut page, entries).await?;
                done.0 = entries.iter().map(|entry| page.apply(now_ms, entry)).collect();
                known
            }
            Work::Expire => {
                let (known, due) = rows::due(&change, &mut page, now_ms, EXPIRE_MAX).await?;
                done.1 = due.into_iter().filter(|&id| page.expire(now_ms, id)).count();
                known
            }
        };
        rows::save(&change, &page, &known).await?;
        change.commit().await?;
        Ok(done)
    }
}

#[async_trait]
impl Store for PostgresStore {
    async fn apply(&self, now_ms: u64, entries: Vec<Entry>) -> Result<Outcomes, StoreError> {
        super::check_size(&entries)?;
        Ok(self.work(now_ms, Work::Apply(&entries)).await?.0)
    }

    async fn expire(&self, now_ms: u64) -> Result<usize, StoreError> {
        Ok(self.work(now_ms, Work::Expire).await?.1)
    }

    async fn accounts(&self, ids: &[AccountId]) -> Result<Vec<Account>, StoreError> {
        let client = self.client().await.map_err(Failure::settled)?;
        let found = rows::accounts(&client, ids, "").await.map_err(Failure::settled)?;
        Ok(ids.iter().map(|id| found.get(id).copied().unwrap_or_default()).collect())
    }

    async fn counters(&self, names: &[[u8; 32]]) -> Result<Vec<u64>, StoreError> {
        let client = self.client().await.map_err(Failure::settled)?;
        let found = rows::counters(&client, names, "").await.map_err(Failure::settled)?;
        Ok(names.iter().map(|name| found.get(name).copied().unwrap_or(0)).collect())
    }

    async fn hold(&self, id: Id) -> Result<Option<Hold>, StoreError> {
        let client = self.client().await.map_err(Failure::settled)?;
        let mut found = rows::holds(&client, vec![id], "").await.map_err(Failure::settled)?;
        Ok(found.remove(&id))
    }

    async fn lines(
        &self,
        account: AccountId,
        after: Option<Place>,
        limit: usize,
    ) -> Result<Vec<Line>, StoreError> {
        let client = self.client().await.map_err(Failure::settled)?;
        let lines = rows::lines(&client, account, after, limit.min(LINES_MAX)).await;
        lines.map_err(Failure::settled)
    }

    async fn keep(&self, deed: Deed) -> Result<Result<Applied, Refusal>, StoreError> {
        if let Err(refused) = deed.check() {
            return Ok(Err(refused));
        }
        let client = self.client().await.map_err(Failure::settled)?;
        rows::keep(&client, &deed).await.map_err(Failure::settled)
    }

    async fn deed(&self, name: [u8; 32], at_ms: u64) -> Result<Option<Deed>, StoreError> {
        let client = self.client().await.map_err(Failure::settled)?;
        rows::deed(&client, name, at_ms).await.map_err(Failure::settled)
    }

    async fn audit(&self) -> Result<Audit, StoreError> {
        let mut client = self.client().await.map_err(Failure::settled)?;
        Ok(rows::sums(&mut client).await.map_err(Failure::settled)?.audit())
    }
}
