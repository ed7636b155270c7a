//! What waits to be sent to one connection.

use axum::extract::ws::Utf8Bytes;
use beacon_sdk::signaling::{ErrorCode, ServerMessage};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::{mpsc, watch};

/// Why a connection is to be closed: the code, and its cause and cure for people.
pub(crate) type Closing = (ErrorCode, String);

/// The sending end: held by the room. Never blocks; a reader that is too slow is closed.
#[derive(Clone, Debug)]
pub(crate) struct Outbox {
    queue: mpsc::Sender<Utf8Bytes>,
    bytes: Arc<AtomicUsize>,
    bytes_max: usize,
    closing: Arc<watch::Sender<Option<Closing>>>,
}

/// The receiving end: held by the connection's task.
#[derive(Debug)]
pub(crate) struct Outgoing {
    queue: mpsc::Receiver<Utf8Bytes>,
    bytes: Arc<AtomicUsize>,
}

/// Becomes `Some` once, when a connection is to be closed.
pub(crate) type Verdict = watch::Receiver<Option<Closing>>;

/// An empty queue of at most `messages_max` messages and `bytes_max` bytes.
pub(crate) fn outbox(messages_max: usize, bytes_max: usize) -> (Outbox, Outgoing, Verdict) {
    let (sender, queue) = mpsc::channel(messages_max);
    let (close, verdict) = watch::channel(None);
    let bytes = Arc::new(AtomicUsize::new(0));
    let outgoing = Outgoing { queue, bytes: Arc::clone(&bytes) };
    (Outbox { queue: sender, bytes, bytes_max, closing: Arc::new(close) }, outgoing, verdict)
}

impl Outbox {
    /// Queues a message; the connection is closed instead when there is no room.
    pub(crate) fn send(&self, message: &ServerMessage) {
        self.send_text(message.to_json().into());
    }

    /// As [`send`](Self::send), for a text that goes to many.
    pub(crate) fn send_text(&self, text: Utf8Bytes) {
        let length = text.len();
        // Every sender holds the lock of the rooms, so nothing comes between load and add.
        if self.bytes.load(Ordering::Relaxed) + length > self.bytes_max {
            return self.close_slow();
        }
        self.bytes.fetch_add(length, Ordering::Relaxed);
        if let Err(mpsc::error::TrySendError::Full(_)) = self.queue.try_send(text) {
            self.close_slow();
        }
    }

    /// Has the connection closed; the first reason stands.
    pub(crate) fn close(&self, code: ErrorCode, message: &str) {
        self.closing.send_if_modified(|closing| {
            let first = closing.is_none();
            if first {
                *closing = Some((code, message.to_owned()));
            }
            first
        });
    }

    fn close_slow(&self) {
        self.close(ErrorCode::Slow, "messages were not read in time: connect again");
    }
}

impl Outgoing {
    /// The next message. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Option<Utf8Bytes> {
        let text = self.queue.recv().await?;
        self.bytes.fetch_sub(text.len(), Ordering::Relaxed);
        Some(text)
    }
}
