//! What links' tasks tell the transport.

use super::outbox::Outbox;
use beacon_sdk::PeerId;
use beacon_sdk::plugin::{CloseReason, Lane};
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use tokio::sync::{Semaphore, mpsc};

/// What a queued frame costs beside its bytes (guess at the queue's and allocator's share), so
/// that empty frames are not free either.
const FRAME_OVERHEAD: usize = 128;

/// A link or a set-up, as its task and the transport share it.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) peer: PeerId,
    pub(super) outbox: Outbox,
    /// The transport has no more use for it: what it still reports is void.
    void: AtomicBool,
    /// Bytes of control frames that may still arrive before the lane waits.
    control_room: Semaphore,
    data_waiting: AtomicUsize,
    data_max: usize,
}

#[derive(Debug)]
pub(super) enum Report {
    /// To be carried to the peer.
    Signal(Bytes),
    Up {
        binding: [u8; 32],
    },
    Frame(Lane, Bytes),
    Writable(Lane),
    /// The last report of a link.
    Down(CloseReason),
}

/// Counts since the transport was made.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) frames_dropped: AtomicU64,
    pub(super) signals_ignored: AtomicU64,
    pub(super) offers_refused: AtomicU64,
}

/// Sends a link's reports. The channel beneath has no limit of its own: frames are limited per
/// link here, and everything else is a few reports per link.
#[derive(Debug, Clone)]
pub(super) struct Reporter {
    pub(super) link: Arc<Link>,
    pub(super) to: mpsc::UnboundedSender<(Arc<Link>, Report)>,
    pub(super) counters: Arc<Counters>,
}

fn cost(frame: &[u8]) -> usize {
    frame.len() + FRAME_OVERHEAD
}

impl Link {
    pub(super) fn new(peer: PeerId, send_window: usize, inbox: usize) -> Self {
        Self {
            peer,
            outbox: Outbox::new(send_window),
            void: AtomicBool::new(false),
            control_room: Semaphore::new(inbox),
            data_waiting: AtomicUsize::new(0),
            data_max: inbox,
        }
    }

    pub(super) fn make_void(&self) {
        self.void.store(true, Ordering::Release);
    }

    pub(super) fn is_void(&self) -> bool {
        self.void.load(Ordering::Acquire)
    }

    /// The application has taken a frame.
    pub(super) fn consumed(&self, lane: Lane, frame: &[u8]) {
        match lane {
            Lane::Control => self.control_room.add_permits(cost(frame)),
            Lane::Data => {
                self.data_waiting.fetch_sub(cost(frame), Ordering::Relaxed);
            }
        }
    }
}

impl Reporter {
    pub(super) fn report(&self, report: Report) {
        // Fails only when the transport is gone, and nobody is left to be told.
        let _ = self.to.send((self.link.clone(), report));
    }

    /// Delivers a control frame once there is room for it.
    pub(super) async fn control(&self, frame: Bytes) {
        let bytes = u32::try_from(cost(&frame)).unwrap_or(u32::MAX);
        // Never closed, so this cannot fail; a frame is at most a fraction of the inbox.
        if let Ok(room) = self.link.control_room.acquire_many(bytes).await {
            room.forget();
            self.report(Report::Frame(Lane::Control, frame));
        }
    }

    /// Delivers a data frame, or drops it when the application is behind: waiting would stop
    /// the control lane too, because the stack delivers all channels of a connection in turn.
    pub(super) fn data(&self, frame: Bytes) {
        let bytes = cost(&frame);
        if self.link.data_waiting.load(Ordering::Relaxed) + bytes > self.link.data_max {
            self.counters.frames_dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        self.link.data_waiting.fetch_add(bytes, Ordering::Relaxed);
        self.report(Report::Frame(Lane::Data, frame));
    }
}
