//! Some transports of one fixture, run side by side, with their signals carried between them.

use super::transport::TransportFixture;
use super::{Pending, first};
use crate::id::PeerId;
use crate::identity::Identity;
use crate::plugin::{
    Lane, Link, SIGNAL_BYTES_MAX, Transport, TransportError, TransportEvent, TrySendError,
};
use crate::timer::{self, Instant};
use bytes::Bytes;
use core::time::Duration;

/// How long the ends must say nothing before they are taken to have nothing to say.
const QUIET: Duration = Duration::from_millis(300);
/// Genuine signals kept for tests that mutate them.
const SIGNALS_KEPT: usize = 64;

/// One transport and what it has told, signals aside.
pub(super) struct End {
    pub(super) me: PeerId,
    pub(super) transport: Box<dyn Transport>,
    pub(super) log: Vec<TransportEvent>,
    /// Nobody reads its events.
    pub(super) stalled: bool,
    /// Signals addressed to it get lost.
    pub(super) cut: bool,
}

pub(super) struct Lab<'f, F> {
    clause: &'static str,
    fixture: &'f mut F,
    pub(super) ends: Vec<End>,
    pub(super) signals: Vec<Bytes>,
    /// Every call of `next_event` is polled once and dropped.
    pub(super) fickle: bool,
    turn: usize,
}

/// The peer an event is about.
pub(super) fn subject(event: &TransportEvent) -> PeerId {
    match event {
        TransportEvent::Signal { to, .. } | TransportEvent::Writable { to, .. } => *to,
        TransportEvent::Connected(link) => link.peer,
        TransportEvent::ConnectFailed { peer, .. } | TransportEvent::Disconnected { peer, .. } => {
            *peer
        }
        TransportEvent::Received { from, .. } => *from,
    }
}

/// A peer that nobody plays.
pub(super) fn stranger(number: u8) -> PeerId {
    Identity::from_secret([0x80 | number; 32]).public()
}

impl End {
    pub(super) fn links(&self, peer: PeerId) -> Vec<Link> {
        let links = self.log.iter().filter_map(|event| match event {
            TransportEvent::Connected(link) if link.peer == peer => Some(*link),
            _ => None,
        });
        links.collect()
    }

    pub(super) fn frames(&self, peer: PeerId, on: Lane) -> Vec<Bytes> {
        let frames = self.log.iter().filter_map(|event| match event {
            TransportEvent::Received { from, lane, frame } if *from == peer && *lane == on => {
                Some(frame.clone())
            }
            _ => None,
        });
        frames.collect()
    }

    pub(super) fn count(&self, wanted: impl Fn(&TransportEvent) -> bool) -> usize {
        self.log.iter().filter(|event| wanted(event)).count()
    }

    pub(super) fn failures(&self, of: PeerId) -> usize {
        self.count(|e| matches!(e, TransportEvent::ConnectFailed { peer, .. } if *peer == of))
    }

    pub(super) fn losses(&self, of: PeerId) -> usize {
        self.count(|e| matches!(e, TransportEvent::Disconnected { peer, .. } if *peer == of))
    }

    pub(super) fn writables(&self, peer: PeerId, on: Lane) -> usize {
        self.count(
            |e| matches!(e, TransportEvent::Writable { to, lane } if *to == peer && *lane == on),
        )
    }

    /// What was said, in short, for messages.
    fn story(&self) -> String {
        let mut frames = 0;
        let mut story = Vec::new();
        for event in &self.log {
            match event {
                TransportEvent::Received { .. } => frames += 1,
                other => story.push(format!("{other:?}")),
            }
        }
        story.truncate(16);
        format!("{:?}: {frames} frames, {}", self.me, story.join(", "))
    }
}

impl<'f, F: TransportFixture> Lab<'f, F> {
    /// A lab with `count` ends, numbered from 0; ids ascend with the numbers.
    pub(super) async fn new(clause: &'static str, fixture: &'f mut F, count: u8) -> Self {
        let mut ids: Vec<PeerId> =
            (1..=count).map(|n| Identity::from_secret([n; 32]).public()).collect();
        ids.sort();
        let mut ends = Vec::new();
        for me in ids {
            let transport = fixture.transport(me).await;
            ends.push(End { me, transport, log: Vec::new(), stalled: false, cut: false });
        }
        Self { clause, fixture, ends, signals: Vec::new(), fickle: false, turn: 0 }
    }

    #[track_caller]
    pub(super) fn check(&self, kept: bool, what: &str) {
        assert!(kept, "{}: {what}; seen: {:#?}", self.clause, self.stories());
    }

    fn stories(&self) -> Vec<String> {
        self.ends.iter().map(End::story).collect()
    }

    pub(super) fn id(&self, end: usize) -> PeerId {
        self.ends[end].me
    }

    pub(super) fn dial(&mut self, from: usize, to: usize) {
        let peer = self.id(to);
        self.ends[from].transport.dial(peer);
    }

    /// One event of any end that is read; false when `until` has come.
    async fn step(&mut self, until: Instant) -> bool {
        self.turn += 1;
        let mut active: Vec<usize> =
            (0..self.ends.len()).filter(|end| !self.ends[*end].stalled).collect();
        let turn = self.turn % active.len().max(1);
        active.rotate_left(turn);
        let fickle = self.fickle;
        let told = {
            let mut waits: Vec<(usize, Pending<'_, Result<TransportEvent, TransportError>>)> = self
                .ends
                .iter_mut()
                .enumerate()
                .filter(|(_, end)| !end.stalled)
                .map(wait)
                .collect();
            waits.rotate_left(turn);
            let mut waits: Vec<_> = waits.into_iter().map(|(_, wait)| wait).collect();
            timer::timeout_at(until, first(&mut waits, fickle)).await
        };
        match told {
            Err(_) => false,
            Ok(None) => {
                // Time for the transports' own tasks between two dropped calls.
                timer::sleep(Duration::from_millis(1)).await;
                Instant::now() < until
            }
            Ok(Some((at, Ok(event)))) => {
                self.told(active[at], event);
                true
            }
            Ok(Some((_, Err(error)))) => {
                panic!("{}: a whole transport failed: {error}", self.clause)
            }
        }
    }

    fn told(&mut self, end: usize, event: TransportEvent) {
        let TransportEvent::Signal { to, signal } = event else {
            return self.ends[end].log.push(event);
        };
        self.check(signal.len() <= SIGNAL_BYTES_MAX, "a signal exceeds the rendezvous' limit");
        if self.signals.len() < SIGNALS_KEPT {
            self.signals.push(signal.clone());
        }
        let from = self.ends[end].me;
        if let Some(addressee) = self.ends.iter_mut().find(|end| end.me == to && !end.cut) {
            addressee.transport.signal(from, signal);
        }
    }

    /// Runs the ends until `done`, at most for `limit`; whether it came to that.
    pub(super) async fn wait(&mut self, limit: Duration, done: impl Fn(&[End]) -> bool) -> bool {
        let until = Instant::now() + limit;
        while !done(&self.ends) {
            if !self.step(until).await {
                return done(&self.ends);
            }
        }
        true
    }

    /// Runs the ends until `done`; fails when the fixture's patience ends first.
    pub(super) async fn until(&mut self, what: &str, done: impl Fn(&[End]) -> bool) {
        let patience = self.fixture.patience();
        let came = self.wait(patience, done).await;
        self.check(came, &format!("{what}: not within {patience:?}"));
    }

    /// Runs the ends until they have been silent for a while.
    pub(super) async fn settle(&mut self) {
        let end = Instant::now() + self.fixture.patience();
        loop {
            let told = |ends: &[End]| ends.iter().map(|end| end.log.len()).sum::<usize>();
            let before = told(&self.ends);
            self.wait(QUIET, |_| false).await;
            if told(&self.ends) == before || Instant::now() >= end {
                return;
            }
        }
    }

    /// Links two ends; `from` dials.
    pub(super) async fn connect(&mut self, from: usize, to: usize) -> (Link, Link) {
        let (a, b) = (self.id(from), self.id(to));
        let before = (self.ends[from].links(b).len(), self.ends[to].links(a).len());
        self.dial(from, to);
        self.until("a dial leads to Connected at both ends", |ends| {
            ends[from].links(b).len() > before.0 && ends[to].links(a).len() > before.1
        })
        .await;
        (self.ends[from].links(b)[before.0], self.ends[to].links(a)[before.1])
    }

    /// Hands over a frame and checks that a refusal gives it back whole.
    pub(super) fn try_send(&mut self, from: usize, to: usize, lane: Lane, frame: &Bytes) -> bool {
        let peer = self.id(to);
        match self.ends[from].transport.try_send(peer, lane, frame.clone()) {
            Ok(()) => true,
            Err(TrySendError::Full(back)) => {
                self.check(back == frame, "Full gives back another frame");
                false
            }
            Err(error) => panic!("{}: a frame was refused: {error}", self.clause),
        }
    }

    /// Hands over a frame, waiting for room.
    pub(super) async fn send(&mut self, from: usize, to: usize, lane: Lane, frame: &Bytes) {
        let peer = self.id(to);
        loop {
            let before = self.ends[from].writables(peer, lane);
            if self.try_send(from, to, lane, frame) {
                return;
            }
            self.until("Writable follows Full", |ends| ends[from].writables(peer, lane) > before)
                .await;
        }
    }

    /// Proves that a link carries a frame each way on the control lane.
    pub(super) async fn exchange(&mut self, a: usize, b: usize, mark: &[u8]) {
        let mark = Bytes::copy_from_slice(mark);
        for (from, to) in [(a, b), (b, a)] {
            let sender = self.id(from);
            self.send(from, to, Lane::Control, &mark).await;
            self.until("a live link carries a control frame", |ends| {
                ends[to].frames(sender, Lane::Control).contains(&mark)
            })
            .await;
        }
    }
}

fn wait(
    (index, end): (usize, &mut End),
) -> (usize, Pending<'_, Result<TransportEvent, TransportError>>) {
    (index, Box::pin(end.transport.next_event()))
}
