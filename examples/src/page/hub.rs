//! [`Hub`]: what the sink, the server and all browsers share.

use super::log::{Cursor, Log};
use super::message::{self, Message};
use beacon_sdk::Snapshot;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// Browsers that watch at once, at most; each costs a socket and the bytes of the stream.
pub(super) const BROWSERS_MAX: usize = 32;

/// The broadcast whose counters are shown.
#[derive(Debug)]
struct Shown {
    name: String,
    snapshots: watch::Receiver<Snapshot>,
}

#[derive(Debug)]
pub(super) struct Hub {
    log: Mutex<Log>,
    /// Told whenever the log has grown.
    news: watch::Sender<()>,
    shown: Mutex<Option<Shown>>,
    /// Becomes true once, when the page closes.
    pub(super) stop: watch::Sender<bool>,
    browsers: Arc<Semaphore>,
    /// When this page opened, in milliseconds since 1970: tells its timelines from those of a
    /// viewer that had the address before.
    opened: u64,
}

/// No statement under these locks leaves a value half changed, so a poisoned one is whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Milliseconds since 1970; a clock before that counts as 1970.
fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

impl Hub {
    pub(super) fn new() -> Self {
        Self {
            log: Mutex::default(),
            news: watch::Sender::new(()),
            shown: Mutex::default(),
            stop: watch::Sender::new(false),
            browsers: Arc::new(Semaphore::new(BROWSERS_MAX)),
            opened: now_ms(),
        }
    }

    /// Begins another timeline; gives its number.
    pub(super) fn restart(&self) -> u64 {
        lock(&self.log).restart()
    }

    /// A showing's number for the page, which a JavaScript number holds exactly.
    pub(super) fn showing_id(&self, showing: u64) -> u64 {
        self.opened.saturating_add(showing)
    }

    /// Changes the log, unless another sink has taken over, and wakes the browsers.
    pub(super) fn write(&self, showing: u64, change: impl FnOnce(&mut Log)) {
        let mut log = lock(&self.log);
        if log.showing() == showing {
            change(&mut log);
            drop(log);
            self.news.send_replace(());
        }
    }

    pub(super) fn read(&self, cursor: &mut Cursor) -> Option<Message> {
        lock(&self.log).next(cursor)
    }

    /// Changes with every write.
    pub(super) fn news(&self) -> watch::Receiver<()> {
        self.news.subscribe()
    }

    pub(super) fn show(&self, name: String, snapshots: watch::Receiver<Snapshot>) {
        *lock(&self.shown) = Some(Shown { name, snapshots });
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        lock(&self.shown)
            .as_ref()
            .map_or_else(Snapshot::default, |shown| shown.snapshots.borrow().clone())
    }

    /// The counters as a message, once there are any.
    pub(super) fn stats(&self) -> Option<Message> {
        let browsers = BROWSERS_MAX - self.browsers.available_permits();
        let shown = lock(&self.shown);
        let shown = shown.as_ref()?;
        Some(message::stats(&shown.name, &shown.snapshots.borrow(), now_ms(), browsers))
    }

    /// A place for one more browser.
    pub(super) fn place(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.browsers).try_acquire_owned().ok()
    }
}
