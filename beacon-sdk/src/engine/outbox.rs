//! What waits to be sent, per neighbour; and the upload limit over all of them.
//!
//! Queues live here and not in the transport, so that what has expired is dropped before it is
//! handed over.

use crate::id::SegmentId;
use crate::plugin::Lane;
use crate::time::{Instant, micros};
use crate::wire::{SYMBOL_HEADER_LEN, SymbolHeader};
use bytes::Bytes;
use core::time::Duration;
use std::collections::VecDeque;

/// Control bytes that may wait for one neighbour; more means that it does not read.
pub(super) const CONTROL_BYTES_MAX: usize = 1 << 20;
/// Symbols that may wait for one neighbour: two seconds of 4 Mbit/s. Beyond, the oldest go.
pub(super) const SYMBOLS_MAX: usize = 1024;
/// An empty queue keeps room for so many symbols: more is what one bad moment needed.
const SYMBOLS_KEPT: usize = 32;
/// Symbols waiting above which further requests are answered busy.
pub(super) const SYMBOLS_BUSY: usize = 256;

/// A symbol on its way, worthless after `expires`.
#[derive(Clone, Debug)]
struct Parcel {
    frame: Bytes,
    expires: Instant,
}

/// The queues of one neighbour.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    control: VecDeque<Bytes>,
    control_bytes: usize,
    data: VecDeque<Parcel>,
    /// So many at the front were asked for.
    asked: usize,
    control_full: bool,
    data_full: bool,
    /// Since when the transport has had no room on a lane, without a word of any.
    stuck: Option<Instant>,
}

impl Outbox {
    /// Queues a control frame; `false` when too much waits already.
    #[must_use]
    pub(super) fn control(&mut self, frame: Bytes) -> bool {
        self.control_bytes += frame.len();
        self.control.push_back(frame);
        self.control_bytes <= CONTROL_BYTES_MAX
    }

    /// Queues a symbol; when too many wait, the oldest is dropped.
    pub(super) fn symbol(&mut self, frame: Bytes, expires: Instant) {
        if self.data.len() >= SYMBOLS_MAX {
            self.data.pop_front();
        }
        self.data.push_back(Parcel { frame, expires });
    }

    /// Queues a symbol that was asked for before all that are pushed: it is late already. One that
    /// waits to be pushed is not sent twice.
    pub(super) fn symbol_first(&mut self, frame: Bytes, expires: Instant) {
        if let Some(at) = self.place(&frame) {
            self.data.remove(at);
            self.asked -= usize::from(at < self.asked);
        }
        let at = self.asked.min(self.data.len());
        self.data.insert(at, Parcel { frame, expires });
        self.asked = at + 1;
    }

    fn place(&self, frame: &Bytes) -> Option<usize> {
        let header = &frame[..SYMBOL_HEADER_LEN];
        self.data.iter().position(|parcel| parcel.frame[..SYMBOL_HEADER_LEN] == *header)
    }

    /// Whether a symbol waits.
    pub(super) fn waits(&self, frame: &Bytes) -> bool {
        self.place(frame).is_some()
    }

    /// Symbols waiting.
    pub(super) fn symbols(&self) -> usize {
        self.data.len()
    }

    /// Drops the symbols of a segment that the neighbour has no more use for.
    pub(super) fn cancel(&mut self, id: SegmentId) {
        let other =
            |frame: &Bytes| SymbolHeader::decode(frame).is_ok_and(|header| header.segment != id);
        self.data.retain(|parcel| other(&parcel.frame));
    }

    /// Drops symbols that would have been pushed, those for which `useless` says so.
    pub(super) fn unpush(&mut self, useless: impl Fn(&SymbolHeader) -> bool) {
        let mut at = 0;
        self.data.retain(|parcel| {
            at += 1;
            let header = SymbolHeader::decode(&parcel.frame);
            at <= self.asked || !header.is_ok_and(|header| useless(&header))
        });
    }

    /// The transport gave a frame back: it waits at the front.
    pub(super) fn refused(&mut self, lane: Lane, frame: Bytes, expires: Instant, now: Instant) {
        self.stuck.get_or_insert(now);
        match lane {
            Lane::Control => {
                self.control_bytes += frame.len();
                self.control.push_front(frame);
                self.control_full = true;
            }
            Lane::Data => {
                self.data.push_front(Parcel { frame, expires });
                self.data_full = true;
            }
        }
    }

    /// The transport has room again.
    pub(super) fn writable(&mut self, lane: Lane) {
        self.stuck = None;
        match lane {
            Lane::Control => self.control_full = false,
            Lane::Data => self.data_full = false,
        }
    }

    pub(super) fn next_control(&mut self) -> Option<Bytes> {
        if self.control_full {
            return None;
        }
        let frame = self.control.pop_front()?;
        self.control_bytes -= frame.len();
        Some(frame)
    }

    /// The next symbol that is still worth something.
    pub(super) fn next_symbol(&mut self, now: Instant) -> Option<Bytes> {
        if self.data_full {
            return None;
        }
        loop {
            let parcel = self.data.pop_front()?;
            self.asked = self.asked.saturating_sub(1);
            if self.data.is_empty() && self.data.capacity() > SYMBOLS_KEPT {
                self.data = VecDeque::new();
            }
            if parcel.expires > now {
                return Some(parcel.frame);
            }
        }
    }

    /// Since when nothing that was sent has been read, as far as the transport tells.
    pub(super) const fn stuck_since(&self) -> Option<Instant> {
        self.stuck
    }

    /// Nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.control.is_empty() && self.data.is_empty()
    }

    /// A symbol could be sent now.
    pub(super) fn symbols_sendable(&self) -> bool {
        !self.data_full && !self.data.is_empty()
    }
}

/// A token bucket over all symbols sent: the upload limit.
#[derive(Debug)]
pub(super) struct Pacer {
    /// Bytes per second; `None` is no limit.
    rate: Option<u64>,
    /// Millionths of a byte: a byte per second is one per microsecond, so nothing is rounded.
    tokens: i64,
    last: Instant,
}

/// The burst a limited uplink may send: 20 ms of its rate, and at least four symbols.
const BURST: Duration = Duration::from_millis(20);
const BURST_BYTES_MIN: u64 = 4600;
/// A symbol with its header, for what a queue may hold.
const SYMBOL_BYTES: u64 = 1096;
/// Tokens per byte.
const MICRO: u64 = 1_000_000;

impl Pacer {
    pub(super) fn new(bits_per_second: Option<u64>, now: Instant) -> Self {
        Self { rate: bits_per_second.map(|bits| (bits / 8).max(1)), tokens: 0, last: now }
    }

    fn burst(rate: u64) -> i64 {
        let burst = u128::from(rate) * BURST.as_micros();
        i64::try_from(burst.max(u128::from(BURST_BYTES_MIN * MICRO))).unwrap_or(i64::MAX)
    }

    /// Whether a symbol may go now.
    pub(super) fn open(&mut self, now: Instant) -> bool {
        let Some(rate) = self.rate else { return true };
        let gained = u128::from(micros(now.since(self.last))) * u128::from(rate);
        self.last = self.last.max(now);
        let gained = i64::try_from(gained).unwrap_or(i64::MAX);
        self.tokens = self.tokens.saturating_add(gained).min(Self::burst(rate));
        self.tokens > 0
    }

    /// How many full symbols the limit lets through in a time; `None` without a limit.
    pub(super) fn symbols_within(&self, span: Duration) -> Option<usize> {
        let bytes = u128::from(self.rate?) * span.as_micros() / u128::from(MICRO);
        Some((bytes / u128::from(SYMBOL_BYTES)) as usize)
    }

    /// A symbol of `bytes` went.
    pub(super) fn spend(&mut self, bytes: usize) {
        if self.rate.is_some() {
            let spent = i64::try_from(bytes as u64 * MICRO).unwrap_or(i64::MAX);
            self.tokens = self.tokens.saturating_sub(spent);
        }
    }

    /// When [`Pacer::open`] will say yes.
    pub(super) fn opens_at(&self) -> Instant {
        match self.rate {
            Some(rate) if self.tokens <= 0 => {
                let wait = self.tokens.unsigned_abs() / rate + 1;
                self.last + Duration::from_micros(wait)
            }
            _ => self.last,
        }
    }
}
