//! From a dial, or an offer, to two open channels, as the worker sees it.

use super::port::Order;
use crate::binding::binding;
use crate::sdp::{Fingerprint, SdpError};
use crate::signal::{Body, CANDIDATES_MAX, DialId, Signal, is_for_browsers};
use beacon_sdk::plugin::{CloseReason, Lane};
use beacon_sdk::timer::Instant;
use bytes::Bytes;
use core::time::Duration;

/// How long candidates are collected before the description, or a batch of later ones, leaves:
/// local addresses are known within it, so most set-ups need one signal each way (guess).
const GATHER: Duration = Duration::from_millis(20);
/// `open` is said again this often until it is heard (guess: about the round trip of a long path).
const GREETING_INTERVAL: Duration = Duration::from_millis(100);

/// Why a set-up came to nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum SetupError {
    #[error("a description is not usable: {0}")]
    Description(#[from] SdpError),
    #[error("the peer has no room")]
    Full,
    #[error("own description is too large to signal")]
    TooLarge,
}

impl SetupError {
    pub(super) const fn reason(&self) -> CloseReason {
        match self {
            Self::Description(_) => CloseReason::Protocol,
            Self::Full => CloseReason::Full,
            Self::TooLarge => CloseReason::Failed,
        }
    }
}

/// One set-up.
#[derive(Debug)]
pub(super) struct Setup {
    /// Known from the start to who answers, and once the offer is made to who dials.
    dial: Option<DialId>,
    dialled: bool,
    local: Option<Fingerprint>,
    remote: Option<Fingerprint>,
    /// Own description that is not sent, waiting for candidates.
    unsent: Option<String>,
    /// Own candidates that are not sent, and how many there were.
    found: Vec<String>,
    found_total: usize,
    flush_at: Option<Instant>,
    /// The peer's candidates that came before its description.
    early: Vec<String>,
    candidates_taken: usize,
    opened: [bool; 2],
    heard: bool,
    greet_at: Option<Instant>,
    pub(super) deadline: Instant,
    /// Data frames overtake the last word of the set-up, which goes another way.
    pub(super) frames: Vec<Bytes>,
}

impl Setup {
    /// A dial, with what is to be done for it.
    pub(super) fn dial(deadline: Instant) -> (Self, Vec<Order>) {
        (Self::new(None, None, deadline), vec![Order::Offer])
    }

    /// The answer to an offer, with what is to be done for it.
    pub(super) fn answer(
        dial: DialId,
        sdp: String,
        candidates: Vec<String>,
        deadline: Instant,
    ) -> Result<(Self, Vec<Order>), SetupError> {
        let remote = Fingerprint::of(&sdp)?;
        let mut setup = Self::new(Some(dial), Some(remote), deadline);
        let mut orders = vec![Order::Answer { sdp }];
        orders.extend(setup.add(candidates));
        Ok((setup, orders))
    }

    fn new(dial: Option<DialId>, remote: Option<Fingerprint>, deadline: Instant) -> Self {
        Self {
            dial,
            dialled: dial.is_none(),
            local: None,
            remote,
            unsent: None,
            found: Vec::new(),
            found_total: 0,
            flush_at: None,
            early: Vec::new(),
            candidates_taken: 0,
            opened: [false; 2],
            heard: false,
            greet_at: None,
            deadline,
            frames: Vec::new(),
        }
    }

    /// The page has made the own description.
    pub(super) fn described(&mut self, sdp: String, now: Instant) -> Result<(), SetupError> {
        let local = Fingerprint::of(&sdp)?;
        self.local = Some(local);
        if self.dialled {
            // The key pair is new for every connection, so its hash names this dial.
            let [a, b, c, d, e, f, g, h, ..] = local.0;
            self.dial = Some(DialId([a, b, c, d, e, f, g, h]));
        }
        self.unsent = Some(sdp);
        self.flush_at = Some(now + GATHER);
        Ok(())
    }

    /// The page has found an own candidate.
    pub(super) fn found(&mut self, candidate: String, now: Instant) {
        if self.found_total < CANDIDATES_MAX && is_for_browsers(&candidate) {
            self.found_total += 1;
            self.found.push(candidate);
            // None overtakes the description.
            if self.local.is_some() {
                self.flush_at.get_or_insert(now + GATHER);
            }
        }
    }

    /// Takes a signal of the peer; one that does not belong here is ignored.
    pub(super) fn take(&mut self, signal: Signal) -> Result<Vec<Order>, SetupError> {
        if Some(signal.dial) != self.dial {
            return Ok(Vec::new());
        }
        match signal.body {
            Body::Answer { sdp, mut candidates } if self.remote.is_none() => {
                self.remote = Some(Fingerprint::of(&sdp)?);
                let mut orders = vec![Order::Accept { sdp }];
                candidates.append(&mut self.early);
                orders.extend(self.add(candidates));
                Ok(orders)
            }
            Body::Candidates { candidates } => Ok(self.add(candidates).into_iter().collect()),
            Body::Full if self.remote.is_none() => Err(SetupError::Full),
            Body::Full | Body::Offer { .. } | Body::Answer { .. } => Ok(Vec::new()),
        }
    }

    /// Candidates of the peer to try, or to keep until its description is there: at most
    /// [`CANDIDATES_MAX`] in all.
    fn add(&mut self, mut candidates: Vec<String>) -> Option<Order> {
        candidates.retain(|candidate| is_for_browsers(candidate));
        if self.remote.is_none() {
            candidates.truncate(CANDIDATES_MAX - self.early.len());
            self.early.append(&mut candidates);
            return None;
        }
        candidates.truncate(CANDIDATES_MAX - self.candidates_taken);
        self.candidates_taken += candidates.len();
        (!candidates.is_empty()).then_some(Order::Candidates(candidates))
    }

    /// When there is something to do unasked.
    pub(super) fn timer(&self) -> Instant {
        [self.flush_at, self.greet_at].into_iter().flatten().fold(self.deadline, Instant::min)
    }

    /// The signal that is due, if one is.
    pub(super) fn flush(&mut self, now: Instant, all: bool) -> Result<Option<Bytes>, SetupError> {
        let due = self.flush_at.is_some_and(|at| all || at <= now);
        let (true, Some(dial)) = (due, self.dial) else { return Ok(None) };
        self.flush_at = None;
        let candidates = core::mem::take(&mut self.found);
        let body = match self.unsent.take() {
            Some(sdp) if self.dialled => Body::Offer { sdp, candidates },
            Some(sdp) => Body::Answer { sdp, candidates },
            None if candidates.is_empty() => return Ok(None),
            None => Body::Candidates { candidates },
        };
        Signal::new(dial, body).encode().map(Some).ok_or(SetupError::TooLarge)
    }

    /// A channel has opened. `true` when a word is to be said.
    pub(super) fn opened(&mut self, lane: Lane, now: Instant) -> bool {
        self.opened[usize::from(crate::lane::channel(lane))] = true;
        let both = self.opened == [true; 2];
        self.greet_at = (both && !self.heard).then(|| now + GREETING_INTERVAL);
        both
    }

    /// The other end's word was heard. `true` when it is to be said once more.
    pub(super) fn heard(&mut self) -> bool {
        self.greet_at = None;
        !core::mem::replace(&mut self.heard, true) && self.opened == [true; 2]
    }

    /// Whether the word is to be said again.
    pub(super) fn greets(&mut self, now: Instant) -> bool {
        let due = self.greet_at.is_some_and(|at| at <= now);
        if due {
            self.greet_at = Some(now + GREETING_INTERVAL);
        }
        due
    }

    /// What ties the link to its ends, once it is up.
    pub(super) fn up(&self) -> Option<[u8; 32]> {
        let ready = self.heard && self.opened == [true; 2];
        ready.then(|| Some(binding(self.local?, self.remote?))).flatten()
    }
}
