//! A thread that makes media at the pace of a clock, and the bounded queue out of it.

use beacon_sdk::Instant;
use beacon_sdk::media::Media;
use beacon_sdk::plugin::SourceError;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::mpsc;

/// Items that wait for a slow caller at most: 0.8 s of video at 30 and sound at 50 per second.
pub const QUEUE_MAX: usize = 64;

/// Why the thread ends before its media does.
pub(crate) enum Stop {
    /// Nobody listens any more.
    Dropped,
    /// It cannot go on.
    Failed(SourceError),
}

impl From<SourceError> for Stop {
    fn from(error: SourceError) -> Self {
        Self::Failed(error)
    }
}

/// The caller's end. Dropping it ends the thread at once when it waits, and after the frame in
/// hand when it encodes.
#[derive(Debug)]
pub(crate) struct Feed {
    items: mpsc::Receiver<Result<Media, SourceError>>,
    /// Carries one word, "begin"; closing it says "end".
    line: SyncSender<()>,
}

impl Feed {
    /// Starts a thread that runs `body` from the first call of [`next`](Self::next) on.
    pub(crate) fn spawn(
        name: &str,
        body: impl FnOnce(&mut Outlet) -> Result<(), Stop> + Send + 'static,
    ) -> Result<Self, SourceError> {
        let (sender, items) = mpsc::channel(QUEUE_MAX);
        let (line, orders) = sync_channel(1);
        let run = move || {
            if orders.recv().is_err() {
                return;
            }
            let mut outlet = Outlet::new(sender, orders);
            if let Err(Stop::Failed(error)) = body(&mut outlet) {
                // Whoever stopped listening does not want to hear of it.
                let _ = outlet.items.blocking_send(Err(error));
            }
        };
        thread::Builder::new().name(name.to_owned()).spawn(run).map_err(|error| SourceError {
            context: format!("cannot start the thread {name}; the system is out of threads"),
            source: Some(Box::new(error)),
        })?;
        Ok(Self { items, line })
    }

    /// The next item. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Result<Option<Media>, SourceError> {
        // Full means that it has begun, disconnected that it has ended.
        let _ = self.line.try_send(());
        self.items.recv().await.transpose()
    }
}

/// The thread's end: its clock and its queue.
pub(crate) struct Outlet {
    items: mpsc::Sender<Result<Media, SourceError>>,
    orders: Receiver<()>,
    begun: std::time::Instant,
    begun_at: Instant,
}

impl Outlet {
    fn new(items: mpsc::Sender<Result<Media, SourceError>>, orders: Receiver<()>) -> Self {
        // A clock before 1970 counts as 1970.
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let begun_at = Instant::ZERO + since_epoch;
        Self { items, orders, begun: std::time::Instant::now(), begun_at }
    }

    /// Running time of the source.
    pub(crate) fn now(&self) -> Duration {
        self.begun.elapsed()
    }

    /// A running time as Unix time.
    pub(crate) fn unix(&self, running: Duration) -> Instant {
        self.begun_at + running
    }

    /// Sleeps until a running time.
    pub(crate) fn wait_until(&self, running: Duration) -> Result<(), Stop> {
        loop {
            let left = running.saturating_sub(self.now());
            if left.is_zero() {
                return Ok(());
            }
            match self.orders.recv_timeout(left) {
                Ok(()) | Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err(Stop::Dropped),
            }
        }
    }

    /// Whether [`send`](Self::send) would go through at once.
    pub(crate) fn has_room(&self) -> bool {
        self.items.capacity() > 0
    }

    /// Hands an item over, waiting for room.
    pub(crate) fn send(&self, item: Media) -> Result<(), Stop> {
        self.items.blocking_send(Ok(item)).map_err(|_| Stop::Dropped)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[tokio::test]
    async fn the_thread_ends_when_the_caller_does() {
        let alive = Arc::new(());
        let held = Arc::clone(&alive);
        let mut feed = Feed::spawn("test", move |outlet| {
            let _held = held;
            outlet.send(Media::Tracks(Vec::new()))?;
            outlet.wait_until(Duration::from_secs(3600))
        })
        .unwrap();
        assert_eq!(feed.next().await.unwrap(), Some(Media::Tracks(Vec::new())));
        drop(feed);
        for _ in 0..1000 {
            if Arc::strong_count(&alive) == 1 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the thread still waits for its hour to pass");
    }

    #[tokio::test]
    async fn a_failure_is_told_once_and_the_end_is_final() {
        let failing = |_: &mut Outlet| Err(SourceError::new("out of film").into());
        let mut feed = Feed::spawn("test", failing).unwrap();
        assert_eq!(feed.next().await.unwrap_err().to_string(), "out of film");
        assert_eq!(feed.next().await.unwrap(), None);
        assert_eq!(feed.next().await.unwrap(), None);
    }

    #[test]
    fn what_is_never_asked_never_runs() {
        let feed = Feed::spawn("test", |_| panic!("nobody asked")).unwrap();
        drop(feed);
    }
}
