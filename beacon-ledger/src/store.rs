//! [`Store`]: where accounts are kept. Three come with this crate: [`MemoryStore`],
#![cfg_attr(feature = "sqlite", doc = "[`SqliteStore`] and")]
#![cfg_attr(feature = "postgres", doc = "[`PostgresStore`].")]
//! All keep to the same rules, because [`Page`] decides for each of them.

mod audit;
mod memory;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "sqlite")]
mod sqlite;

pub use audit::{Audit, Sums};
pub use memory::MemoryStore;
#[cfg(feature = "postgres")]
pub use postgres::PostgresStore;
#[cfg(feature = "sqlite")]
pub use sqlite::SqliteStore;

use crate::book::{Account, AccountId, Applied, Entry, Hold, Moved, Page, Refusal};
use crate::id::Id;
use crate::money::Micro;
use async_trait::async_trait;
use core::fmt::Debug;

/// Entries of one [`Store::apply`] at most.
pub const BATCH_MAX: usize = 4096;
/// Holds that one [`Store::expire`] frees at most.
pub const EXPIRE_MAX: usize = 1000;
/// Lines that one [`Store::lines`] gives at most.
pub const LINES_MAX: usize = 1000;
/// Deeds of one name that are kept at most.
pub const DEEDS_MAX: usize = 1000;
/// Bytes of a deed's text at most.
pub const DEED_BYTES_MAX: usize = 8192;

/// The outcome of each entry of a batch, in its order.
pub type Outcomes = Vec<Result<Applied, Refusal>>;

/// The store could not do it. Whether an entry is refused is no error: see [`Refusal`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// There is no room. Nothing of the batch was taken.
    #[error(
        "no room for the accounts: {0}. Nothing of this request was taken: make room and ask again with the same ids"
    )]
    Full(String),
    /// The database is out of reach. The batch may have been taken or not.
    #[error(
        "the accounts are out of reach: {0}. Whether this request was taken is not known: ask again with the same ids, which is safe"
    )]
    Unavailable(String),
    /// The schema is of a later version of this program.
    #[error(
        "the accounts have schema {found}, and this program knows up to {known}: use a newer one"
    )]
    Version {
        /// As found.
        found: i64,
        /// As known.
        known: i64,
    },
    /// More than [`BATCH_MAX`] entries.
    #[error("{0} entries at once; at most 4096")]
    TooMany(usize),
    /// The address of the store is none.
    #[error("no address of accounts: {0}; as in sqlite:FILE or postgres://USER@HOST/DATABASE")]
    Address(String),
    /// What is stored contradicts itself, or the database failed in a way that asking again does not
    /// cure. Nothing of the batch was taken.
    #[error("the accounts are broken: {0}")]
    Broken(String),
}

/// A movement of an account, and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Line {
    /// What moved.
    pub moved: Moved,
    /// The entry's [`Reason`](crate::book::Reason) as JSON.
    pub reason: String,
}

/// What somebody signed that holds from a moment on, kept beside the accounts for good.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Deed {
    /// What it is about.
    pub name: [u8; 32],
    /// From when it holds, Unix milliseconds below 2^63, until the next one of its name begins.
    pub from_ms: u64,
    /// What was signed, at most [`DEED_BYTES_MAX`].
    pub text: String,
}

impl Deed {
    fn check(&self) -> Result<(), Refusal> {
        let fits = self.text.len() <= DEED_BYTES_MAX && self.from_ms <= Micro::MAX.get();
        if fits { Ok(()) } else { Err(Refusal::Malformed("a deed has at most 8192 bytes")) }
    }

    /// What comes of it where `known` begins at the same moment, and it was not taken: it is full where none does.
    fn known(&self, known: Option<&str>) -> Result<Applied, Refusal> {
        match known {
            Some(text) if *text == self.text => Ok(Applied::Replayed),
            Some(_) => Err(Refusal::Begun(self.from_ms)),
            None => Err(Refusal::Kept),
        }
    }
}

/// The place of a line in the history of an account: lines are ordered by time, then entry, then leg. So within
/// one millisecond a later line may come before an earlier one: whoever follows an account reads on from
/// a place that is a moment old.
pub type Place = (u64, Id, u8);

/// Where accounts are kept.
///
/// # Contract
/// - **K01** Each entry is applied whole or not at all, in the batch's order; a refused one has no effect and
///   spoils no other.
/// - **K02** An entry given again does nothing and is [`Applied::Replayed`]; another content under a used id is
///   [`Refusal::Conflict`].
/// - **K03** No account but issuance falls below zero, reserved amounts included, however many spend at once.
/// - **K04** The sum of all balances is zero, and every counter is what the journal and the holds say.
/// - **K05** A hold is posted, voided or expired, once.
/// - **K06** A counter only grows, and of entries that saw the same value one is taken.
/// - **K07** What was acknowledged is there after a restart, a crash included (not for [`MemoryStore`]).
/// - **K08** Lines are complete, in order, and the same for every way of paging through them.
/// - **K09** A clock that goes back disorders no history and revives no hold.
/// - **K10** A deed is kept for good, one of a name and moment; of those that have begun the latest holds.
#[async_trait]
pub trait Store: Debug + Send + Sync + 'static {
    /// Applies `entries` in order at `now_ms` (Unix milliseconds). What is acknowledged is durable.
    ///
    /// # Errors
    /// [`StoreError`]; its text says what is known of the batch.
    ///
    /// # Cancel safety
    /// The batch may be taken all the same: ask again with the same ids.
    async fn apply(&self, now_ms: u64, entries: Vec<Entry>) -> Result<Outcomes, StoreError>;

    /// Frees holds whose time is over, at most [`EXPIRE_MAX`]; how many.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn expire(&self, now_ms: u64) -> Result<usize, StoreError>;

    /// Accounts by name; one that nothing has touched is all zeros, its times included.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn accounts(&self, ids: &[AccountId]) -> Result<Vec<Account>, StoreError>;

    /// Counters by name; one that nothing has advanced is 0.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn counters(&self, names: &[[u8; 32]]) -> Result<Vec<u64>, StoreError>;

    /// A hold.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn hold(&self, id: Id) -> Result<Option<Hold>, StoreError>;

    /// The next lines of an account after `after` (none: from the beginning), at most `limit` and
    /// [`LINES_MAX`].
    ///
    /// # Errors
    /// [`StoreError`].
    async fn lines(
        &self,
        account: AccountId,
        after: Option<Place>,
        limit: usize,
    ) -> Result<Vec<Line>, StoreError>;

    /// Keeps a deed. What is acknowledged is durable; the same again does nothing.
    ///
    /// # Errors
    /// [`StoreError`]. Within: [`Refusal::Begun`] where another begins at the same moment, [`Refusal::Kept`] above
    /// [`DEEDS_MAX`], and [`Refusal::Malformed`].
    async fn keep(&self, deed: Deed) -> Result<Result<Applied, Refusal>, StoreError>;

    /// The deed of a name that holds at `at_ms`, Unix milliseconds.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn deed(&self, name: [u8; 32], at_ms: u64) -> Result<Option<Deed>, StoreError>;

    /// Adds everything up anew and compares. Reads all there is: minutes for millions of transfers.
    ///
    /// # Errors
    /// [`StoreError`]; that the books do not agree is no error but [`Audit::faults`].
    async fn audit(&self) -> Result<Audit, StoreError>;
}

/// The account as [`Store::accounts`] gives it.
fn known(page: &Page, id: &AccountId) -> Account {
    page.accounts.get(id).copied().unwrap_or_default()
}

fn check_size(entries: &[Entry]) -> Result<(), StoreError> {
    if entries.len() <= BATCH_MAX { Ok(()) } else { Err(StoreError::TooMany(entries.len())) }
}

/// Opens the store of an address: `sqlite:FILE`, `postgres://…` as [libpq writes
/// it](https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING), or `memory:`.
///
/// # Errors
/// [`StoreError`], also for an address whose feature is not compiled in.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub async fn open(address: &str) -> Result<std::sync::Arc<dyn Store>, StoreError> {
    match address.split_once(':') {
        #[cfg(feature = "sqlite")]
        Some(("sqlite", file)) if !file.is_empty() => {
            Ok(std::sync::Arc::new(SqliteStore::open(file.as_ref())?))
        }
        #[cfg(feature = "postgres")]
        Some(("postgres" | "postgresql", _)) => {
            Ok(std::sync::Arc::new(PostgresStore::connect(address).await?))
        }
        Some(("memory", "")) => Ok(std::sync::Arc::new(MemoryStore::default())),
        _ => Err(StoreError::Address(format!("'{address}'"))),
    }
}
