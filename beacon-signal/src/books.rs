//! The ledger behind a server: the key that its edges are signed by, and the accounts that receipts are
//! settled into. Signaling never waits for a database: what is to be written goes into the till, and a
//! task of its own empties it.

mod key;
mod till;

pub(crate) use key::read_or_make_secret;
pub use key::{KeyError, read_or_make as read_or_make_key};

use crate::config::LedgerConfig;
use crate::metrics::{Claimed, LedgerMetrics};
use beacon_ledger::economy::EconomyError;
use beacon_ledger::{AccountId, Economy, Id, Refusal, StoreError, Terms, store};
use beacon_sdk::{Identity, PublicKey};
use core::time::Duration;
use futures_util::{StreamExt as _, stream};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};
pub(crate) use till::{Errand, Till};
use tokio::sync::oneshot;
use tokio::time::sleep;
use tracing::{debug, error, info, warn};

/// How often the till is emptied: receipts are cumulative, so what waits longer costs less.
const ROUND: Duration = Duration::from_secs(1);
/// The longest pause after the database was out of reach.
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// Errands under way at once: as many as share a commit of SQLite, and half of PostgreSQL's connections.
const AT_ONCE: usize = 8;

/// The ledger cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// The accounts cannot be opened.
    #[error("--ledger: {0}")]
    Store(#[from] StoreError),
    /// The issuer's key cannot be had.
    #[error("--ledger-key: {0}")]
    Key(#[from] KeyError),
    /// Nothing says where the issuer's key is kept.
    #[error(
        "accounts that several servers share need the same --ledger-key FILE on each: the key that signs edges"
    )]
    NoKey,
}

/// The key of a server that pays, its terms, and its accounts as soon as they are within reach.
#[derive(Debug)]
pub(crate) struct Books {
    issuer: Identity,
    terms: Terms,
    address: String,
    grant: beacon_ledger::Micro,
    economy: OnceLock<Economy>,
    pub(crate) till: Till,
}

/// Unix milliseconds.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

impl Books {
    /// Reads or makes the key, and opens the accounts. A database of the network that is out of reach is tried
    /// again later.
    pub(crate) async fn open(config: &LedgerConfig) -> Result<Self, LedgerError> {
        let local = config.store.strip_prefix("sqlite:");
        let file = config.key.clone().or(local.map(|file| PathBuf::from(format!("{file}.key"))));
        let memory = matches!(config.store.as_str(), "memory" | "memory:");
        let issuer = match file {
            Some(file) => key::read_or_make(&file)?,
            None if memory => key::new()?,
            None => return Err(LedgerError::NoKey),
        };
        let mut terms = Terms::new(issuer.public());
        (terms.relay_weight, terms.broadcaster_weight) =
            (config.relay_weight, config.broadcaster_weight);
        terms.viewers_pay = config.viewers_pay;
        terms.vest_ms = u64::try_from(config.vest.as_millis()).unwrap_or(u64::MAX);
        let books = Self {
            issuer,
            terms,
            address: if memory { "memory:".into() } else { config.store.clone() },
            grant: config.grant,
            economy: OnceLock::new(),
            till: Till::default(),
        };
        match books.economy().await {
            Err(error @ StoreError::Unavailable(_)) if local.is_none() => {
                warn!(%error, "serving without accounts until they can be reached");
            }
            opened => drop(opened?),
        }
        Ok(books)
    }

    /// The key that edges are signed by.
    pub(crate) fn issuer(&self) -> &Identity {
        &self.issuer
    }

    /// The rules by which receipts are paid.
    pub(crate) fn terms(&self) -> &Terms {
        &self.terms
    }

    /// The accounts and their rules, if they were ever within reach.
    pub(crate) fn opened(&self) -> Option<&Economy> {
        self.economy.get()
    }

    async fn economy(&self) -> Result<&Economy, StoreError> {
        if let Some(economy) = self.economy.get() {
            return Ok(economy);
        }
        let economy = Economy::new(store::open(&self.address).await?, self.terms.clone());
        Ok(self.economy.get_or_init(|| economy))
    }

    /// Takes note that a publisher broadcasts here: its pool gets what the operator grants to new ones.
    pub(crate) fn welcome(&self, publisher: PublicKey) {
        if !self.grant.is_zero() {
            self.till.put(Errand::Grant(publisher));
        }
    }

    /// Empties the till again and again, until `closing` completes and what waits then is done as well.
    pub(crate) async fn keep(
        self: Arc<Self>,
        metrics: LedgerMetrics,
        mut closing: oneshot::Receiver<()>,
    ) {
        let mut pause = ROUND;
        loop {
            let closed = tokio::select! {
                biased;
                _ = &mut closing => true,
                () = async { sleep(pause).await; self.till.filled().await } => false,
            };
            match self.round(&metrics).await {
                Ok(()) if pause > ROUND => {
                    info!("the accounts are back: all that waited is settled");
                    pause = ROUND;
                }
                Ok(()) => {}
                Err(error) => {
                    let waiting = self.till.len();
                    if pause == ROUND {
                        warn!(%error, waiting, "claims wait and are tried again; signaling goes on");
                    }
                    pause = (2 * pause).min(PAUSE_MAX);
                }
            }
            metrics.waiting(self.till.len());
            if closed {
                if self.till.len() > 0 {
                    error!(claims = self.till.len(), "the server stops with claims unsettled");
                }
                return;
            }
        }
    }

    /// Does all that waits. With an error, what is not done waits on.
    async fn round(&self, metrics: &LedgerMetrics) -> Result<(), StoreError> {
        let economy = self.economy().await?;
        loop {
            let errands = self.till.take();
            if errands.is_empty() {
                return Ok(());
            }
            let failed: OnceLock<StoreError> = OnceLock::new();
            let does = |errand: Errand| {
                let failed = &failed;
                async move {
                    // What the first one met, all others would meet after the same wait.
                    let done = match failed.get() {
                        Some(error) => Err(error.clone()),
                        None => self.run(economy, &errand, metrics).await,
                    };
                    if let Err(error) = done {
                        let _ = failed.set(error);
                        self.till.put(errand);
                    }
                }
            };
            stream::iter(errands).map(does).buffer_unordered(AT_ONCE).for_each(async |()| {}).await;
            if let Some(error) = failed.into_inner() {
                return Err(error);
            }
        }
    }

    /// Does one thing; an error when it is to be tried again.
    async fn run(
        &self,
        economy: &Economy,
        errand: &Errand,
        metrics: &LedgerMetrics,
    ) -> Result<(), StoreError> {
        let outcome = match errand {
            Errand::Claim { receipt, prefix } => {
                let settled = economy.settle(now_ms(), receipt, prefix.as_ref()).await;
                settled.map(|settled| {
                    if let Some(limit) = settled.limit {
                        debug!(uploader = ?receipt.edge.edge.uploader, ?limit, "a payment is limited");
                    }
                    metrics.claim(Claimed::Settled, settled.paid.get());
                })
            }
            Errand::Fork(proof) => {
                let forfeited = economy.forfeit(now_ms(), proof).await;
                forfeited.map(|forfeited| {
                    if !forfeited.is_zero() {
                        warn!(culprit = ?proof.culprit(), %forfeited, "a fork of receipts is proven");
                        metrics.forfeited(forfeited.get());
                    }
                })
            }
            Errand::Grant(publisher) => {
                // One id per publisher: it is granted once, whatever the grant is later.
                let id = Id::derived(0, &[b"grant", publisher.as_bytes()]);
                let (to, note) = (AccountId::pool(*publisher), "for a new publisher");
                match economy.issue(now_ms(), id, to, self.grant, note).await {
                    Err(EconomyError::Refused(Refusal::Conflict(_))) => Ok(()),
                    granted => granted.map(|_| ()),
                }
            }
        };
        match outcome {
            Ok(()) => Ok(()),
            Err(EconomyError::Store(StoreError::Broken(cause))) => {
                error!(cause, "the accounts are broken: look at them with `beacon-signal audit`");
                metrics.claim(Claimed::Lost, 0);
                Ok(())
            }
            Err(EconomyError::Store(error)) => Err(error),
            Err(error @ EconomyError::Contended) => Err(StoreError::Unavailable(error.to_string())),
            Err(error) => {
                debug!(%error, ?errand, "a claim is not paid");
                metrics.claim(Claimed::Refused, 0);
                Ok(())
            }
        }
    }
}
