//! Frames on their way from `try_send` to a link's task.

use beacon_sdk::plugin::{Lane, TrySendError};
use beacon_sdk::timer::Instant;
use bytes::Bytes;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use tokio::sync::Notify;

use crate::lane::{self, Gauge, frame_max};

/// Both lanes of one link, towards the peer.
#[derive(Debug)]
pub(super) struct Outbox {
    control: Queue,
    data: Queue,
    /// Wakes the link's task: something is queued, or a lane is out of room.
    pub(super) wake: Notify,
}

/// What one lane has taken. `handed - released` bytes are queued here or outstanding in the
/// stack, never more than the window (or one frame). One side writes each counter, so neither
/// needs a lock; both wrap.
#[derive(Debug)]
struct Queue {
    lane: Lane,
    /// The largest window, and the one that goes with the link's speed.
    most: usize,
    window: AtomicUsize,
    gauge: Mutex<Gauge>,
    frames: Mutex<Vec<Bytes>>,
    handed: AtomicUsize,
    released: AtomicUsize,
    /// A frame was given back and `Writable` is owed.
    starved: AtomicBool,
    /// The peer asked to be sent no more for now.
    held: AtomicBool,
}

/// What a frame counts: WebRTC sends an empty message as one byte.
pub(super) fn cost(frame: &[u8]) -> usize {
    frame.len().max(1)
}

impl Queue {
    fn new(window: usize, lane: Lane) -> Self {
        Self {
            lane,
            most: window,
            window: AtomicUsize::new(window),
            gauge: Mutex::default(),
            held: AtomicBool::new(false),
            frames: Mutex::default(),
            handed: AtomicUsize::new(0),
            released: AtomicUsize::new(0),
            starved: AtomicBool::new(false),
        }
    }

    fn used(&self) -> usize {
        let released = self.released.load(Ordering::SeqCst);
        self.handed.load(Ordering::SeqCst).wrapping_sub(released)
    }

    fn fits(&self, bytes: usize) -> bool {
        let used = self.used();
        !self.held.load(Ordering::SeqCst) && (used == 0 || used + bytes <= self.window())
    }

    fn window(&self) -> usize {
        self.window.load(Ordering::SeqCst)
    }

    fn low(&self) -> usize {
        lane::low(self.lane, self.window())
    }

    /// A frame is given back: from now on the speed of the link shows.
    fn fill(&self) {
        let mut gauge = self.gauge.lock().unwrap_or_else(PoisonError::into_inner);
        gauge.fill(Instant::now(), self.used());
    }

    /// There is room again: the window follows the speed at which it was made.
    fn drain(&self) {
        let mut gauge = self.gauge.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(window) = gauge.drain(self.lane, Instant::now(), self.used(), self.most) {
            self.window.store(window, Ordering::SeqCst);
        }
    }
}

impl Outbox {
    pub(super) fn new(window: usize) -> Self {
        Self {
            control: Queue::new(window, Lane::Control),
            data: Queue::new(window, Lane::Data),
            wake: Notify::new(),
        }
    }

    const fn queue(&self, lane: Lane) -> &Queue {
        match lane {
            Lane::Control => &self.control,
            Lane::Data => &self.data,
        }
    }

    pub(super) fn push(&self, lane: Lane, frame: Bytes) -> Result<(), TrySendError> {
        let queue = self.queue(lane);
        let bytes = cost(&frame);
        if frame.len() > frame_max(lane) {
            return Err(TrySendError::TooLarge(frame));
        }
        if !queue.fits(bytes) {
            // The flag goes up before the second look, so room that is made in between is
            // either seen here or seen with the flag by the task.
            let told = queue.starved.swap(true, Ordering::SeqCst);
            if !queue.fits(bytes) {
                if !told {
                    queue.fill();
                    self.wake.notify_one();
                }
                return Err(TrySendError::Full(frame));
            }
        }
        // Before the frame can be taken, so that no more is ever released than was handed over.
        queue.handed.fetch_add(bytes, Ordering::SeqCst);
        let first = {
            let mut frames = queue.frames.lock().unwrap_or_else(PoisonError::into_inner);
            frames.push(frame);
            frames.len() == 1
        };
        if first {
            self.wake.notify_one();
        }
        Ok(())
    }

    /// Swaps what is queued with `batch`, which is empty: both keep their allocation.
    pub(super) fn take(&self, lane: Lane, batch: &mut Vec<Bytes>) {
        let mut frames = self.queue(lane).frames.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::swap(&mut *frames, batch);
    }

    /// Notes that all but `outstanding` of `sent` bytes are done with. `true` when `Writable` is
    /// owed and there is room.
    pub(super) fn release(&self, lane: Lane, sent: usize, outstanding: usize) -> bool {
        let queue = self.queue(lane);
        queue.released.store(sent.wrapping_sub(outstanding), Ordering::SeqCst);
        let held = queue.held.load(Ordering::SeqCst);
        let room = !held && queue.used() <= queue.low();
        let owed = room && queue.starved.swap(false, Ordering::SeqCst);
        if owed {
            queue.drain();
        }
        owed
    }

    /// The peer does not read its control lane for now, or does so again.
    pub(super) fn hold(&self, held: bool) {
        self.control.held.store(held, Ordering::SeqCst);
        if !held {
            self.wake.notify_one();
        }
    }

    pub(super) fn is_starved(&self, lane: Lane) -> bool {
        self.queue(lane).starved.load(Ordering::SeqCst)
    }

    /// More than half the window is in use, as far as is known.
    pub(super) fn is_high(&self, lane: Lane) -> bool {
        self.queue(lane).used() > self.queue(lane).low()
    }

    /// The level below which a lane that was full is writable again.
    pub(super) fn low(&self, lane: Lane) -> usize {
        self.queue(lane).low()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{CONTROL_FRAME_MAX, DATA_FRAME_MAX};

    #[test]
    fn the_window_holds_and_room_is_told_once() {
        let outbox = Outbox::new(64 * 1024);
        let frame = Bytes::from(vec![7; CONTROL_FRAME_MAX]);
        for _ in 0..4 {
            assert_eq!(outbox.push(Lane::Control, frame.clone()), Ok(()));
        }
        let full = Err(TrySendError::Full(frame.clone()));
        assert_eq!(outbox.push(Lane::Control, frame.clone()), full);
        assert_eq!(outbox.push(Lane::Data, frame.slice(..9)), Ok(()), "lanes are separate");
        let mut batch = Vec::new();
        outbox.take(Lane::Control, &mut batch);
        assert_eq!(batch.len(), 4);
        let sent = 4 * CONTROL_FRAME_MAX;
        assert!(!outbox.release(Lane::Control, sent, sent));
        assert_eq!(outbox.push(Lane::Control, frame.clone()), full);
        assert!(outbox.release(Lane::Control, sent, 0));
        assert!(!outbox.release(Lane::Control, sent, 0), "owed once");
        assert_eq!(outbox.push(Lane::Control, frame.clone()), Ok(()));
        outbox.take(Lane::Control, &mut batch);
        outbox.hold(true);
        assert_eq!(outbox.push(Lane::Control, frame.clone()), full);
        assert!(!outbox.release(Lane::Control, sent, 0), "held");
        outbox.hold(false);
        assert!(outbox.release(Lane::Control, sent, 0));
        assert_eq!(outbox.push(Lane::Control, frame), Ok(()));
    }

    #[test]
    fn frames_are_limited_in_size_and_number() {
        let outbox = Outbox::new(16 * 1024);
        let large = Bytes::from(vec![0; DATA_FRAME_MAX + 1]);
        let refused = outbox.push(Lane::Data, large.clone());
        assert_eq!(refused, Err(TrySendError::TooLarge(large)));
        let taken = (0..100_000).take_while(|_| outbox.push(Lane::Data, Bytes::new()).is_ok());
        assert_eq!(taken.count(), 16 * 1024, "an empty frame is not free");
        let whole = Bytes::from(vec![0; CONTROL_FRAME_MAX]);
        assert_eq!(outbox.push(Lane::Control, whole), Ok(()), "one frame always fits");
    }
}
