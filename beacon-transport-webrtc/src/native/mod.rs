//! The transport on the `webrtc` crate.

mod connection;
mod inbox;
mod link;
mod outbox;
mod pump;
mod setup;

use crate::config::{CONTROL_FRAME_MAX, DATA_FRAME_MAX, WebRtcConfig};
use crate::signal::{Body, DialId, Signal};
use async_trait::async_trait;
use beacon_sdk::PeerId;
use beacon_sdk::plugin::{
    CloseReason, Lane, Link as LinkUp, Transport, TransportCaps, TransportError, TransportEvent,
    TrySendError, TurnServer,
};
use bytes::Bytes;
use inbox::{Counters, Link, Report, Reporter};
use setup::Role;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

/// Signals of one set-up that wait for its task.
const SIGNALS_MAX: usize = 64;
/// Candidates that came before the offer they belong to, of all peers together.
const EARLY_MAX: usize = 64;
/// Refusals that wait to be signalled; beyond it an offer is ignored, and its sender times out.
const REFUSALS_MAX: usize = 64;
/// `shutdown` ends within this, by clause T12 of the trait.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_millis(900);

/// Links over WebRTC data channels.
///
/// A dial has its outcome within [`WebRtcConfig::dial_timeout`]. [`shutdown`](Transport::shutdown)
/// frees everything; a transport that is just dropped does so too, in the background, while its
/// runtime lives. After `shutdown`, [`next_event`](Transport::next_event) is an error.
///
/// Control frames are up to 16 KiB, data frames up to 1152 bytes, one packet.
///
/// When two peers dial each other at once, the offer of the smaller [`PeerId`] counts, and
/// [`Link::dialled`](LinkUp::dialled) is true at that end only.
#[derive(Debug)]
pub struct WebRtc {
    me: PeerId,
    /// As the application gave it.
    own: WebRtcConfig,
    /// The same, with the TURN server that the rendezvous grants.
    config: Arc<WebRtcConfig>,
    runtime: Handle,
    peers: HashMap<PeerId, Peer>,
    early: VecDeque<(PeerId, Signal)>,
    ready: VecDeque<TransportEvent>,
    reports: mpsc::UnboundedReceiver<(Arc<Link>, Report)>,
    report_to: mpsc::UnboundedSender<(Arc<Link>, Report)>,
    tasks: JoinSet<()>,
    counters: Arc<Counters>,
    closed: bool,
}

/// What has been counted since the transport was made.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub struct WebRtcCounters {
    /// Data frames that arrived and were dropped because `next_event` was called too seldom.
    pub frames_dropped: u64,
    /// Signals that made no sense, or came too late.
    pub signals_ignored: u64,
    /// Offers turned down for want of room.
    pub offers_refused: u64,
}

/// A link or a set-up. Dropping it ends its task.
#[derive(Debug)]
struct Peer {
    link: Arc<Link>,
    stage: Stage,
    signals: mpsc::Sender<Signal>,
    /// An offer that came while the link is up. The peer may have lost the link before we
    /// notice; or somebody plays tricks, and the link must not suffer. So it waits for the end.
    next_offer: Option<(Instant, Signal)>,
    _stop: oneshot::Sender<()>,
}

#[derive(Copy, Clone, PartialEq, Eq, Debug)]
enum Stage {
    Dialling,
    Answering(DialId),
    Up { dial: Option<DialId> },
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.link.make_void();
    }
}

impl WebRtc {
    /// A transport of peer `me`. Call it inside a tokio runtime with time and I/O enabled: two
    /// tasks per link run there.
    ///
    /// # Errors
    /// When the configuration cannot work, or there is no runtime.
    pub fn new(me: PeerId, config: WebRtcConfig) -> Result<Self, TransportError> {
        config.check().map_err(|error| TransportError {
            context: "the configuration is not usable".into(),
            source: Some(Box::new(error)),
        })?;
        let runtime = Handle::try_current().map_err(|error| TransportError {
            context: "no tokio runtime; call WebRtc::new inside one".into(),
            source: Some(Box::new(error)),
        })?;
        #[expect(
            clippy::disallowed_methods,
            reason = "frames are bounded per link by `inbox` bytes, other reports are a few per link"
        )]
        let (report_to, reports) = mpsc::unbounded_channel();
        Ok(Self {
            me,
            config: Arc::new(config.clone()),
            own: config,
            runtime,
            peers: HashMap::new(),
            early: VecDeque::new(),
            ready: VecDeque::new(),
            reports,
            report_to,
            tasks: JoinSet::new(),
            counters: Arc::default(),
            closed: false,
        })
    }

    /// What has been counted so far.
    #[must_use]
    pub fn counters(&self) -> WebRtcCounters {
        let Counters { frames_dropped, signals_ignored, offers_refused } = &*self.counters;
        WebRtcCounters {
            frames_dropped: frames_dropped.load(Ordering::Relaxed),
            signals_ignored: signals_ignored.load(Ordering::Relaxed),
            offers_refused: offers_refused.load(Ordering::Relaxed),
        }
    }

    fn has_room(&mut self) -> bool {
        while self.tasks.try_join_next().is_some() {}
        let up = |peer: &&Peer| matches!(peer.stage, Stage::Up { .. });
        let set_ups = self.peers.len() - self.peers.values().filter(up).count();
        // Links that are closing have tasks and sockets still; they may be as many again.
        let tasks_max = 2 * self.config.links_max;
        set_ups < self.config.dials_max
            && self.peers.len() < self.config.links_max
            && self.tasks.len() < tasks_max
    }

    fn start(&mut self, peer: PeerId, stage: Stage, role: Role) {
        let link = Arc::new(Link::new(peer, self.config.send_window, self.config.inbox));
        let (signals, signals_in) = mpsc::channel(SIGNALS_MAX);
        let (stop, stopped) = oneshot::channel();
        let reporter = Reporter {
            link: link.clone(),
            to: self.report_to.clone(),
            counters: self.counters.clone(),
        };
        let task = link::run(self.config.clone(), reporter, role, signals_in, stopped);
        self.tasks.spawn_on(task, &self.runtime);
        let entry = Peer { link, stage, signals, next_offer: None, _stop: stop };
        self.peers.insert(peer, entry);
    }

    fn answer(&mut self, from: PeerId, dial: DialId, sdp: String, candidates: Vec<String>) {
        self.start(from, Stage::Answering(dial), Role::Answer { dial, sdp, candidates });
        let (mine, rest) = std::mem::take(&mut self.early)
            .into_iter()
            .partition(|(peer, signal)| *peer == from && signal.dial == dial);
        self.early = rest;
        let mine: VecDeque<_> = mine;
        for (_, signal) in mine {
            self.forward(from, signal);
        }
    }

    fn refuse(&mut self, from: PeerId, dial: DialId) {
        self.counters.offers_refused.fetch_add(1, Ordering::Relaxed);
        let Some(signal) = Signal::new(dial, Body::Full).encode() else { return };
        let waiting = |event: &&TransportEvent| matches!(event, TransportEvent::Signal { .. });
        if self.ready.iter().filter(waiting).count() < REFUSALS_MAX {
            self.ready.push_back(TransportEvent::Signal { to: from, signal });
        }
    }

    fn ignore(&self, from: PeerId) {
        tracing::debug!(?from, "a signal is ignored");
        self.counters.signals_ignored.fetch_add(1, Ordering::Relaxed);
    }

    /// Gives a signal to the task of a set-up.
    fn forward(&self, from: PeerId, signal: Signal) {
        let taken = self.peers.get(&from).is_some_and(|peer| {
            !matches!(peer.stage, Stage::Up { .. }) && peer.signals.try_send(signal).is_ok()
        });
        if !taken {
            self.ignore(from);
        }
    }

    fn on_offer(&mut self, from: PeerId, signal: Signal) {
        let me = self.me;
        let dial = signal.dial;
        let stage = self.peers.get(&from).map(|peer| peer.stage);
        let answer = match stage {
            None if self.has_room() => true,
            None => return self.refuse(from, dial),
            // Both dialled at once: the smaller id's offer counts.
            Some(Stage::Dialling) => from < me,
            // The peer has given its last dial up and started anew.
            Some(Stage::Answering(current)) => current != dial && self.tasks_left(),
            Some(Stage::Up { dial: current }) => {
                if let Some(peer) = self.peers.get_mut(&from).filter(|_| current != Some(dial)) {
                    peer.next_offer = Some((Instant::now(), signal));
                }
                return;
            }
        };
        match signal.body {
            Body::Offer { sdp, candidates } if answer => self.answer(from, dial, sdp, candidates),
            _ => self.ignore(from),
        }
    }

    fn tasks_left(&mut self) -> bool {
        while self.tasks.try_join_next().is_some() {}
        self.tasks.len() < 2 * self.config.links_max
    }

    fn on_candidates(&mut self, from: PeerId, signal: Signal) {
        let stage = self.peers.get(&from).map(|peer| peer.stage);
        match stage {
            Some(Stage::Dialling) => self.forward(from, signal),
            Some(Stage::Answering(dial)) if dial == signal.dial => self.forward(from, signal),
            _ => {
                if self.early.len() == EARLY_MAX {
                    self.early.pop_front();
                }
                self.early.push_back((from, signal));
            }
        }
    }

    /// Turns a task's report into an event. `None` when there is nothing to tell.
    fn on_report(&mut self, link: &Arc<Link>, report: Report) -> Option<TransportEvent> {
        if let Report::Frame(lane, frame) = &report {
            link.consumed(*lane, frame);
        }
        if link.is_void() {
            return None;
        }
        let peer = link.peer;
        match report {
            Report::Frame(lane, frame) => {
                Some(TransportEvent::Received { from: peer, lane, frame })
            }
            Report::Writable(lane) => Some(TransportEvent::Writable { to: peer, lane }),
            Report::Signal(signal) => Some(TransportEvent::Signal { to: peer, signal }),
            Report::Up { binding } => {
                let entry = self.peers.get_mut(&peer)?;
                let dialled = entry.stage == Stage::Dialling;
                let dial = match entry.stage {
                    Stage::Answering(dial) => Some(dial),
                    _ => None,
                };
                entry.stage = Stage::Up { dial };
                Some(TransportEvent::Connected(LinkUp { peer, binding, dialled }))
            }
            Report::Down(reason) => {
                let mut entry = self.peers.remove(&peer)?;
                let was_up = matches!(entry.stage, Stage::Up { .. });
                let waiting = entry.next_offer.take();
                drop(entry);
                if let Some((since, offer)) = waiting
                    && since.elapsed() < self.config.dial_timeout
                {
                    self.on_offer(peer, offer);
                }
                Some(if was_up {
                    TransportEvent::Disconnected { peer, reason }
                } else {
                    TransportEvent::ConnectFailed { peer, reason }
                })
            }
        }
    }
}

#[async_trait]
impl Transport for WebRtc {
    fn caps(&self) -> TransportCaps {
        TransportCaps {
            control_frame_max: CONTROL_FRAME_MAX,
            data_frame_max: DATA_FRAME_MAX,
            data_is_lossy: true,
        }
    }

    fn dial(&mut self, peer: PeerId) {
        if self.closed || peer == self.me || self.peers.contains_key(&peer) {
            return;
        }
        if self.has_room() {
            self.start(peer, Stage::Dialling, Role::Dial);
        } else {
            let reason = CloseReason::Full;
            self.ready.push_back(TransportEvent::ConnectFailed { peer, reason });
        }
    }

    fn signal(&mut self, from: PeerId, signal: Bytes) {
        if self.closed || from == self.me {
            return;
        }
        let Some(signal) = Signal::decode(&signal) else { return self.ignore(from) };
        match &signal.body {
            Body::Offer { .. } => self.on_offer(from, signal),
            Body::Candidates { .. } => self.on_candidates(from, signal),
            Body::Answer { .. } | Body::Full => self.forward(from, signal),
        }
    }

    fn turn(&mut self, server: TurnServer) {
        self.config = Arc::new(self.own.granted(server));
    }

    fn close(&mut self, peer: PeerId, reason: CloseReason) {
        if self.peers.remove(&peer).is_some() {
            tracing::debug!(?peer, %reason, "closing");
        }
        self.early.retain(|(from, _)| *from != peer);
        self.ready.retain(|event| !concerns(event, peer));
    }

    fn try_send(&mut self, to: PeerId, lane: Lane, frame: Bytes) -> Result<(), TrySendError> {
        match self.peers.get(&to) {
            Some(peer) if matches!(peer.stage, Stage::Up { .. }) => {
                peer.link.outbox.push(lane, frame)
            }
            _ => Err(TrySendError::NotConnected(frame)),
        }
    }

    async fn next_event(&mut self) -> Result<TransportEvent, TransportError> {
        while !self.closed {
            if let Some(event) = self.ready.pop_front() {
                return Ok(event);
            }
            // Never `None`: this value holds a sender itself.
            let Some((link, report)) = self.reports.recv().await else { break };
            if let Some(event) = self.on_report(&link, report) {
                return Ok(event);
            }
        }
        Err(TransportError {
            context: "it was shut down; make a new one to go on".into(),
            source: None,
        })
    }

    async fn shutdown(&mut self) {
        self.closed = true;
        self.peers.clear();
        self.early.clear();
        self.ready.clear();
        let all = async { while self.tasks.join_next().await.is_some() {} };
        if timeout(SHUTDOWN_TIMEOUT, all).await.is_err() {
            tracing::warn!("links still closing after {SHUTDOWN_TIMEOUT:?} are left to themselves");
            self.tasks.detach_all();
        }
    }
}

impl Drop for WebRtc {
    fn drop(&mut self) {
        // Tasks end by themselves once their links are dropped; aborted, they would not close.
        self.tasks.detach_all();
    }
}

fn concerns(event: &TransportEvent, peer: PeerId) -> bool {
    match event {
        TransportEvent::Signal { to, .. } => *to == peer,
        TransportEvent::ConnectFailed { peer: failed, .. } => *failed == peer,
        _ => false,
    }
}
