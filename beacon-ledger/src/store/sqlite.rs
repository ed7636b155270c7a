//! [`SqliteStore`]: accounts in one file of this machine.

mod rows;

use super::{Audit, Deed, EXPIRE_MAX, LINES_MAX, Line, Outcomes, Place, Store, StoreError};
use crate::book::{Account, AccountId, Applied, Entry, Hold, Page, Refusal};
use crate::id::Id;
use async_trait::async_trait;
use core::fmt;
use core::time::Duration;
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};
use std::path::Path;
use std::thread::JoinHandle;
use tokio::sync::{mpsc, oneshot};

/// Requests that wait for a thread at most; further callers wait before they ask.
const QUEUE_MAX: usize = 1024;
/// Entries that one commit takes at most.
const GROUP_MAX: usize = 1000;
/// How long another process may have the file to itself.
const BUSY: Duration = Duration::from_secs(5);
/// Marks the file as one of ours: "bcnl".
const APPLICATION_ID: i64 = 0x6263_6e6c;
/// The schema, version by version; a new one is appended.
const MIGRATIONS: &[&str] = &[include_str!("sqlite_1.sql"), include_str!("sqlite_2.sql")];

/// Accounts in one SQLite file. One thread writes, and takes what waits into one commit; another
/// reads. What is acknowledged has reached the disk (WAL, `synchronous=FULL`).
///
/// Dropping it waits for the requests that are under way.
#[derive(Debug)]
pub struct SqliteStore {
    writer: Worker<Write>,
    reader: Worker<Read>,
}

/// A thread with a connection.
struct Worker<T> {
    /// `None` only while it is dropped.
    queue: Option<mpsc::Sender<T>>,
    thread: Option<JoinHandle<()>>,
}

enum Write {
    Apply { now_ms: u64, entries: Vec<Entry>, reply: oneshot::Sender<Result<Outcomes, StoreError>> },
    Expire { now_ms: u64, reply: oneshot::Sender<Result<usize, StoreError>> },
    Keep { deed: Deed, reply: oneshot::Sender<Result<Result<Applied, Refusal>, StoreError>> },
}

type Read = Box<dyn FnOnce(&Connection) + Send>;

impl<T: Send + 'static> Worker<T> {
    fn spawn(
        name: &str,
        run: impl FnOnce(mpsc::Receiver<T>) + Send + 'static,
    ) -> Result<Self, StoreError> {
        let (queue, jobs) = mpsc::channel(QUEUE_MAX);
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || run(jobs));
        let thread = thread.map_err(|error| StoreError::Unavailable(error.to_string()))?;
        Ok(Self { queue: Some(queue), thread: Some(thread) })
    }

    async fn ask<R>(
        &self,
        job: impl FnOnce(oneshot::Sender<Result<R, StoreError>>) -> T,
    ) -> Result<R, StoreError> {
        let gone = || StoreError::Unavailable("the thread of the database has ended".to_owned());
        let (reply, answer) = oneshot::channel();
        let queue = self.queue.as_ref().ok_or_else(gone)?;
        queue.send(job(reply)).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

impl<T> fmt::Debug for Worker<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Worker").field(&self.thread).finish()
    }
}

impl<T> Drop for Worker<T> {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            // One that panicked has said so on standard error.
            let _ = thread.join();
        }
    }
}

impl SqliteStore {
    /// Opens the file, or makes it.
    ///
    /// # Errors
    /// [`StoreError`]: the file cannot be opened, is another program's, or a later version's.
    pub fn open(file: &Path) -> Result<Self, StoreError> {
        Self::open_limited(file, None)
    }

    /// As [`SqliteStore::open`], and the file may not grow above `bytes_max`: what would make it is refused
    /// with [`StoreError::Full`].
    ///
    /// # Errors
    /// As [`SqliteStore::open`].
    pub fn open_limited(file: &Path, bytes_max: Option<u64>) -> Result<Self, StoreError> {
        let mut connection = Connection::open(file).map_err(|error| opening(file, &error))?;
        prepare(&mut connection, bytes_max).map_err(|error| match error {
            Prepare::Sql(error) => opening(file, &error),
            Prepare::Store(error) => error,
        })?;
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let reading = Connection::open_with_flags(file, flags)
            .and_then(|reading| reading.busy_timeout(BUSY).map(|()| reading))
            .map_err(|error| opening(file, &error))?;
        let writer = Worker::spawn("ledger-writer", move |jobs| write(connection, jobs))?;
        let reader = Worker::spawn("ledger-reader", move |mut jobs: mpsc::Receiver<Read>| {
            while let Some(job) = jobs.blocking_recv() {
                job(&reading);
            }
        })?;
        Ok(Self { writer, reader })
    }

    async fn read<R: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<R> + Send + 'static,
    ) -> Result<R, StoreError> {
        let job = |reply: oneshot::Sender<Result<R, StoreError>>| -> Read {
            // Whoever asked may have gone.
            Box::new(move |connection| drop(reply.send(read(connection).map_err(|e| failure(&e)))))
        };
        self.reader.ask(job).await
    }
}

enum Prepare {
    Sql(rusqlite::Error),
    Store(StoreError),
}

impl From<rusqlite::Error> for Prepare {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

/// Settings, then the schema's missing versions, each in a transaction of its own.
fn prepare(connection: &mut Connection, bytes_max: Option<u64>) -> Result<(), Prepare> {
    connection.busy_timeout(BUSY)?;
    let pragma = |connection: &Connection, name: &str| {
        connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0))
    };
    let (application, found) =
        (pragma(connection, "application_id")?, pragma(connection, "user_version")?);
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if application != APPLICATION_ID && (tables > 0 || application != 0) {
        let cause = "the file is another program's database".to_owned();
        return Err(Prepare::Store(StoreError::Broken(cause)));
    }
    let known = MIGRATIONS.len() as i64;
    if found > known || found < 0 {
        return Err(Prepare::Store(StoreError::Version { found, known }));
    }
    connection.execute_batch(
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;
         PRAGMA wal_autocheckpoint=4000; PRAGMA cache_size=-64000; PRAGMA trusted_schema=OFF;",
    )?;
    if let Some(bytes) = bytes_max {
        let pages = bytes / u64::try_from(pragma(connection, "page_size")?.max(1)).unwrap_or(1);
        connection.pragma_update(None, "max_page_count", pages.max(1))?;
    }
    for (version, schema) in (1_i64..).zip(MIGRATIONS).skip(usize::try_from(found).unwrap_or(0)) {
        let change = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        // Another process may have done it since.
        if pragma(&change, "user_version")? < version {
            change.execute_batch(schema)?;
            change.pragma_update(None, "application_id", APPLICATION_ID)?;
            change.pragma_update(None, "user_version", version)?;
        }
        change.commit()?;
    }
    Ok(())
}

/// The writing thread: all that waits goes into one commit, up to [`GROUP_MAX`] entries.
fn write(mut connection: Connection, mut jobs: mpsc::Receiver<Write>) {
    while let Some(first) = jobs.blocking_recv() {
        let mut group = vec![first];
        let mut size = group.iter().map(Write::size).sum::<usize>();
        while size < GROUP_MAX
            && let Ok(job) = jobs.try_recv()
        {
            size += job.size();
            group.push(job);
        }
        match commit(&mut connection, &group) {
            // One job may spoil the commit of all, as when the disk is nearly full: each for itself.
            Err(_) if group.len() > 1 => {
                for job in group {
                    let done = commit(&mut connection, core::slice::from_ref(&job));
                    job.answer(done.and_then(|mut done| {
                        done.pop().ok_or_else(|| StoreError::Broken("no outcome".to_owned()))
                    }));
                }
            }
            Err(error) => group.into_iter().for_each(|job| job.answer(Err(error.clone()))),
            Ok(done) => {
                group.into_iter().zip(done).for_each(|(job, done)| job.answer(Ok(done)));
            }
        }
    }
}

/// What came of a job.
enum Done {
    Applied(Outcomes),
    Expired(usize),
    Kept(Result<Applied, Refusal>),
}

impl Write {
    fn size(&self) -> usize {
        match self {
            Self::Apply { entries, .. } => entries.len(),
            Self::Expire { .. } | Self::Keep { .. } => 1,
        }
    }

    /// Whoever asked may have gone.
    fn answer(self, done: Result<Done, StoreError>) {
        let other = || StoreError::Broken("another job's outcome".to_owned());
        match (self, done) {
            (Self::Apply { reply, .. }, Ok(Done::Applied(done))) => drop(reply.send(Ok(done))),
            (Self::Expire { reply, .. }, Ok(Done::Expired(done))) => drop(reply.send(Ok(done))),
            (Self::Keep { reply, .. }, Ok(Done::Kept(done))) => drop(reply.send(Ok(done))),
            (job, done) => {
                let error = done.err().unwrap_or_else(other);
                match job {
                    Self::Apply { reply, .. } => drop(reply.send(Err(error))),
                    Self::Expire { reply, .. } => drop(reply.send(Err(error))),
                    Self::Keep { reply, .. } => drop(reply.send(Err(error))),
                }
            }
        }
    }
}

fn commit(connection: &mut Connection, group: &[Write]) -> Result<Vec<Done>, StoreError> {
    let mut work = || -> rusqlite::Result<Vec<Done>> {
        let change = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut page = Page::default();
        let mut done = Vec::with_capacity(group.len());
        for job in group {
            match job {
                Write::Apply { now_ms, entries, .. } => {
                    rows::load(&change, &mut page, entries)?;
                    let outcomes = entries.iter().map(|entry| page.apply(*now_ms, entry));
                    done.push(Done::Applied(outcomes.collect()));
                }
                Write::Expire { now_ms, .. } => {
                    let due = rows::due(&change, &mut page, *now_ms, EXPIRE_MAX)?;
                    let freed = due.into_iter().filter(|&id| page.expire(*now_ms, id)).count();
                    done.push(Done::Expired(freed));
                }
                Write::Keep { deed, .. } => done.push(Done::Kept(rows::keep(&change, deed)?)),
            }
        }
        rows::save(&change, &page)?;
        change.commit()?;
        Ok(done)
    };
    work().map_err(|error| failure(&error))
}

fn opening(file: &Path, error: &rusqlite::Error) -> StoreError {
    match failure(error) {
        StoreError::Full(cause) => StoreError::Full(format!("{}: {cause}", file.display())),
        StoreError::Broken(cause) => StoreError::Broken(format!("{}: {cause}", file.display())),
        _ => StoreError::Unavailable(format!("{}: {error}", file.display())),
    }
}

fn failure(error: &rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StoreError::Full(error.to_string()),
        Some(
            ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseLocked
            | ErrorCode::CannotOpen
            | ErrorCode::SystemIoFailure
            | ErrorCode::FileLockingProtocolFailed
            | ErrorCode::PermissionDenied
            | ErrorCode::ReadOnly
            | ErrorCode::OutOfMemory,
        ) => StoreError::Unavailable(error.to_string()),
        _ => StoreError::Broken(error.to_string()),
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn apply(&self, now_ms: u64, entries: Vec<Entry>) -> Result<Outcomes, StoreError> {
        super::check_size(&entries)?;
        self.writer.ask(|reply| Write::Apply { now_ms, entries, reply }).await
    }

    async fn expire(&self, now_ms: u64) -> Result<usize, StoreError> {
        self.writer.ask(|reply| Write::Expire { now_ms, reply }).await
    }

    async fn accounts(&self, ids: &[AccountId]) -> Result<Vec<Account>, StoreError> {
        let ids = ids.to_vec();
        self.read(move |connection| {
            ids.iter().map(|id| Ok(rows::account(connection, *id)?.unwrap_or_default())).collect()
        })
        .await
    }

    async fn counters(&self, names: &[[u8; 32]]) -> Result<Vec<u64>, StoreError> {
        let names = names.to_vec();
        self.read(move |connection| {
            names.iter().map(|name| Ok(rows::counter(connection, name)?.unwrap_or(0))).collect()
        })
        .await
    }

    async fn hold(&self, id: Id) -> Result<Option<Hold>, StoreError> {
        self.read(move |connection| rows::hold(connection, id)).await
    }

    async fn lines(
        &self,
        account: AccountId,
        after: Option<Place>,
        limit: usize,
    ) -> Result<Vec<Line>, StoreError> {
        let limit = limit.min(LINES_MAX);
        self.read(move |connection| rows::lines(connection, account, after, limit)).await
    }

    async fn keep(&self, deed: Deed) -> Result<Result<Applied, Refusal>, StoreError> {
        match deed.check() {
            Ok(()) => self.writer.ask(|reply| Write::Keep { deed, reply }).await,
            Err(refused) => Ok(Err(refused)),
        }
    }

    async fn deed(&self, name: [u8; 32], at_ms: u64) -> Result<Option<Deed>, StoreError> {
        self.read(move |connection| rows::deed(connection, name, at_ms)).await
    }

    async fn audit(&self) -> Result<Audit, StoreError> {
        self.read(|connection| Ok(rows::sums(connection)?.audit())).await
    }
}
