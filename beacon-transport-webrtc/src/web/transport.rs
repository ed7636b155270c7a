//! The half that decides, sends and receives.

use super::channel::Channel;
use super::inbox::{Inbox, Line, News};
use super::port::{Order, Report};
use super::setup::{Setup, SetupError};
use crate::config::{CONTROL_FRAME_MAX, DATA_FRAME_MAX, WebRtcConfig};
use crate::lane::{GO, HOLD, OPEN, channel, frame_max, low};
use crate::signal::{Body, DialId, Signal};
use async_trait::async_trait;
use beacon_sdk::PeerId;
use beacon_sdk::plugin::{
    CloseReason, Lane, Link as LinkUp, Transport, TransportCaps, TransportError, TransportEvent,
    TrySendError,
};
use beacon_sdk::timer::{Instant, sleep_until};
use bytes::Bytes;
use core::fmt;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use wasm_bindgen::JsCast as _;
use wasm_bindgen::closure::Closure;
use web_sys::{MessageEvent, MessagePort};

/// Candidates that came before the offer they belong to, of all peers together.
const EARLY_MAX: usize = 64;
/// Refusals that wait to be signalled; beyond it an offer is ignored, and its sender times out.
const REFUSALS_MAX: usize = 64;

/// Links over the browser's data channels.
///
/// Works in a page and in a worker; the [`Connector`](super::Connector) at the other end of the
/// port must be in a page. A dial has its outcome within [`WebRtcConfig::dial_timeout`]. After
/// [`shutdown`](Transport::shutdown), [`next_event`](Transport::next_event) is an error.
///
/// Control frames are up to 16 KiB, data frames up to 1152 bytes, one packet.
///
/// When two peers dial each other at once, the offer of the smaller [`PeerId`] counts, and
/// [`Link::dialled`](LinkUp::dialled) is true at that end only.
pub struct WebRtc {
    me: PeerId,
    config: WebRtcConfig,
    port: MessagePort,
    inbox: Rc<Inbox>,
    peers: BTreeMap<PeerId, Peer>,
    /// Whose a link is; what comes for another link is void.
    links: BTreeMap<u32, PeerId>,
    last_link: u32,
    early: VecDeque<(PeerId, Signal)>,
    ready: VecDeque<TransportEvent>,
    counters: WebRtcCounters,
    closed: bool,
    _on_message: Closure<dyn FnMut(MessageEvent)>,
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

/// A link or a set-up.
#[derive(Debug)]
struct Peer {
    link: u32,
    stage: Stage,
    line: Rc<Line>,
    channels: Option<[Channel; 2]>,
    /// A frame was given back and `Writable` is owed, per lane.
    starved: [bool; 2],
    /// The peer does not read its control lane for now.
    held: bool,
    /// An offer that came while the link is up. The peer may have lost the link before we
    /// notice; or somebody plays tricks, and the link must not suffer. So it waits for the end.
    next_offer: Option<(Instant, Signal)>,
}

#[derive(Debug)]
enum Stage {
    Dialling(Box<Setup>),
    Answering(DialId, Box<Setup>),
    Up { dial: Option<DialId> },
}

impl Stage {
    fn setup(&mut self) -> Option<&mut Setup> {
        match self {
            Self::Dialling(setup) | Self::Answering(_, setup) => Some(setup),
            Self::Up { .. } => None,
        }
    }

    const fn is_up(&self) -> bool {
        matches!(self, Self::Up { .. })
    }
}

const fn at(lane: Lane) -> usize {
    channel(lane) as usize
}

impl Peer {
    fn say(&self, word: &str) {
        if let Some([control, _]) = &self.channels {
            control.outlet.say(word);
        }
    }

    fn take(&mut self, lane: Lane, frame: Bytes, window: usize) -> Result<(), TrySendError> {
        let Some(channels) = self.channels.as_ref().filter(|_| self.stage.is_up()) else {
            return Err(TrySendError::NotConnected(frame));
        };
        if frame.len() > frame_max(lane) {
            return Err(TrySendError::TooLarge(frame));
        }
        let outlet = &channels[at(lane)].outlet;
        let buffered = outlet.buffered();
        let full = buffered > 0 && buffered + frame.len() > window;
        if full || (lane == Lane::Control && self.held) {
            self.starved[at(lane)] = true;
            return Err(TrySendError::Full(frame));
        }
        if outlet.send(&frame) { Ok(()) } else { Err(TrySendError::NotConnected(frame)) }
    }

    /// Whether `Writable` is owed and true.
    fn relieve(&mut self, lane: Lane, window: usize) -> bool {
        let held = lane == Lane::Control && self.held;
        let waiting = self.channels.as_ref().map(|both| both[at(lane)].outlet.buffered());
        let room = waiting.is_some_and(|bytes| bytes <= low(lane, window));
        room && !held && core::mem::take(&mut self.starved[at(lane)])
    }
}

impl WebRtc {
    /// A transport of peer `me`, with the connector at the other end of `port`. The addresses to
    /// bind and the silence timeout are the browser's own; the rest of `config` counts.
    ///
    /// # Errors
    /// When the configuration cannot work.
    pub fn new(
        me: PeerId,
        config: WebRtcConfig,
        port: MessagePort,
    ) -> Result<Self, TransportError> {
        config.check().map_err(|error| TransportError {
            context: "the configuration is not usable".into(),
            source: Some(Box::new(error)),
        })?;
        let inbox = Rc::<Inbox>::default();
        let (to, from) = (inbox.clone(), port.clone());
        let on_message = Closure::<dyn FnMut(MessageEvent)>::new(move |event: MessageEvent| {
            if let Some((link, report)) = Report::read(&event.data()) {
                to.report(link, report, &from);
            }
        });
        // Starts the port, too.
        port.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
        Ok(Self {
            me,
            config,
            port,
            inbox,
            peers: BTreeMap::new(),
            links: BTreeMap::new(),
            last_link: 0,
            early: VecDeque::new(),
            ready: VecDeque::new(),
            counters: WebRtcCounters::default(),
            closed: false,
            _on_message: on_message,
        })
    }

    /// What has been counted so far.
    #[must_use]
    pub fn counters(&self) -> WebRtcCounters {
        WebRtcCounters { frames_dropped: self.inbox.frames_dropped.get(), ..self.counters }
    }

    fn has_room(&self) -> bool {
        let set_ups = self.peers.values().filter(|peer| !peer.stage.is_up()).count();
        set_ups < self.config.dials_max && self.peers.len() < self.config.links_max
    }

    fn order(&self, link: u32, orders: impl IntoIterator<Item = Order>) {
        for order in orders {
            order.post(link, &self.port);
        }
    }

    fn start(&mut self, id: PeerId, stage: Stage, orders: Vec<Order>) {
        self.drop_peer(id);
        self.last_link = self.last_link.wrapping_add(1);
        let link = self.last_link;
        let line = Rc::new(Line::new(link, self.config.inbox, self.config.send_window));
        self.inbox.lines.borrow_mut().insert(link, line.clone());
        self.links.insert(link, id);
        let peer = Peer {
            link,
            stage,
            line,
            channels: None,
            starved: [false; 2],
            held: false,
            next_offer: None,
        };
        self.peers.insert(id, peer);
        self.order(link, orders);
    }

    /// Forgets a link or a set-up, and closes it.
    fn drop_peer(&mut self, id: PeerId) -> Option<Peer> {
        let mut peer = self.peers.remove(&id)?;
        self.links.remove(&peer.link);
        self.inbox.lines.borrow_mut().remove(&peer.link);
        // Closes them; what was sent before still leaves.
        drop(peer.channels.take());
        self.order(peer.link, [Order::Close]);
        Some(peer)
    }

    fn refuse(&mut self, from: PeerId, dial: DialId) {
        self.counters.offers_refused += 1;
        let Some(signal) = Signal::new(dial, Body::Full).encode() else { return };
        let waiting = |event: &&TransportEvent| matches!(event, TransportEvent::Signal { .. });
        if self.ready.iter().filter(waiting).count() < REFUSALS_MAX {
            self.ready.push_back(TransportEvent::Signal { to: from, signal });
        }
    }

    fn ignore(&mut self, from: PeerId) {
        tracing::debug!(?from, "a signal is ignored");
        self.counters.signals_ignored += 1;
    }

    fn on_offer(&mut self, from: PeerId, signal: Signal) {
        let dial = signal.dial;
        let room = self.has_room();
        let answer = match self.peers.get_mut(&from).map(|peer| (&peer.stage, &mut peer.next_offer))
        {
            None if room => true,
            None => return self.refuse(from, dial),
            // Both dialled at once: the smaller id's offer counts.
            Some((Stage::Dialling(_), _)) => from < self.me,
            // The peer has given its last dial up and started anew.
            Some((Stage::Answering(current, _), _)) => *current != dial,
            Some((Stage::Up { dial: current }, next_offer)) => {
                if *current != Some(dial) {
                    *next_offer = Some((Instant::now(), signal));
                }
                return;
            }
        };
        match signal.body {
            Body::Offer { sdp, candidates } if answer => self.answer(from, dial, sdp, candidates),
            _ => self.ignore(from),
        }
    }

    fn answer(&mut self, from: PeerId, dial: DialId, sdp: String, mut candidates: Vec<String>) {
        self.early.retain(|(peer, signal)| {
            let mine = *peer == from && signal.dial == dial;
            if let (true, Body::Candidates { candidates: early }) = (mine, &signal.body) {
                candidates.extend_from_slice(early);
            }
            !mine
        });
        let deadline = Instant::now() + self.config.dial_timeout;
        match Setup::answer(dial, sdp, candidates, deadline) {
            Ok((setup, orders)) => {
                self.start(from, Stage::Answering(dial, Box::new(setup)), orders);
            }
            Err(error) => {
                tracing::debug!(?from, %error, "an offer is not usable");
                self.drop_peer(from);
                let reason = error.reason();
                self.ready.push_back(TransportEvent::ConnectFailed { peer: from, reason });
            }
        }
    }

    /// Gives a signal to its set-up.
    fn forward(&mut self, from: PeerId, signal: Signal) {
        let Some(peer) = self.peers.get_mut(&from) else { return self.ignore(from) };
        let link = peer.link;
        let Some(setup) = peer.stage.setup() else { return self.ignore(from) };
        match setup.take(signal) {
            Ok(orders) => self.order(link, orders),
            Err(error) => self.failed(from, &error),
        }
    }

    fn failed(&mut self, peer: PeerId, error: &SetupError) {
        tracing::debug!(?peer, %error, "set-up failed");
        self.lost(peer, error.reason());
    }

    fn on_candidates(&mut self, from: PeerId, signal: Signal) {
        match self.peers.get(&from).map(|peer| &peer.stage) {
            Some(Stage::Dialling(_)) => self.forward(from, signal),
            Some(Stage::Answering(dial, _)) if *dial == signal.dial => self.forward(from, signal),
            _ => {
                if self.early.len() == EARLY_MAX {
                    self.early.pop_front();
                }
                self.early.push_back((from, signal));
            }
        }
    }

    /// A link or a set-up has ended at the other end, in between, or by time.
    fn lost(&mut self, id: PeerId, reason: CloseReason) {
        let Some(mut peer) = self.drop_peer(id) else { return };
        self.ready.push_back(if peer.stage.is_up() {
            TransportEvent::Disconnected { peer: id, reason }
        } else {
            TransportEvent::ConnectFailed { peer: id, reason }
        });
        if let Some((since, offer)) = peer.next_offer.take()
            && since.elapsed() < self.config.dial_timeout
        {
            self.on_offer(id, offer);
        }
    }

    /// Does what is due in set-ups.
    fn tick(&mut self, now: Instant) {
        let due: Vec<PeerId> = self
            .peers
            .iter_mut()
            .filter_map(|(id, peer)| Some((*id, peer.stage.setup()?.timer())))
            .filter_map(|(id, at)| (at <= now).then_some(id))
            .collect();
        for id in due {
            let Some(peer) = self.peers.get_mut(&id) else { continue };
            let Some(setup) = peer.stage.setup() else { continue };
            if setup.deadline <= now {
                self.lost(id, CloseReason::Timeout);
                continue;
            }
            let (flushed, greets) = (setup.flush(now, false), setup.greets(now));
            if greets {
                peer.say(OPEN);
            }
            self.flushed(id, flushed);
        }
    }

    fn flushed(&mut self, to: PeerId, flushed: Result<Option<Bytes>, SetupError>) {
        match flushed {
            Ok(Some(signal)) => self.ready.push_back(TransportEvent::Signal { to, signal }),
            Ok(None) => {}
            Err(error) => self.failed(to, &error),
        }
    }

    fn on_news(&mut self, link: u32, news: News) {
        let Some(id) = self.links.get(&link).copied() else { return };
        let Some(peer) = self.peers.get_mut(&id) else { return };
        match news {
            News::Frame(lane, frame) => match peer.stage.setup() {
                None => {
                    peer.line.consumed(lane, &frame);
                    self.ready.push_back(TransportEvent::Received { from: id, lane, frame });
                }
                Some(setup) if lane == Lane::Data => setup.frames.push(frame),
                // The other end has not kept to the order.
                Some(_) => self.lost(id, CloseReason::Protocol),
            },
            News::Attached(channels) => peer.channels = Some(*channels),
            News::Low(lane) => self.relieve(id, lane),
            News::Word(word) => self.on_word(id, &word),
            News::Opened(lane) => {
                let now = Instant::now();
                if peer.stage.setup().is_some_and(|setup| setup.opened(lane, now)) {
                    peer.say(OPEN);
                }
                self.check_up(id);
            }
            News::Closed if peer.stage.is_up() => self.lost(id, CloseReason::Remote),
            News::Closed => self.lost(id, CloseReason::Failed),
            News::Broken => self.lost(id, CloseReason::Protocol),
            News::Report(report) => self.on_report(id, report),
        }
    }

    fn on_report(&mut self, id: PeerId, report: Report) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let (setup, now) = (peer.stage.setup(), Instant::now());
        match (report, setup) {
            (Report::Described { sdp }, Some(setup)) => {
                if let Err(error) = setup.described(sdp, now) {
                    self.failed(id, &error);
                }
            }
            (Report::Candidate(candidate), Some(setup)) => setup.found(candidate, now),
            (Report::Gathered, Some(setup)) => {
                let flushed = setup.flush(now, true);
                self.flushed(id, flushed);
            }
            (Report::Left { lane, bytes }, _) => {
                if let Some(channels) = &peer.channels {
                    channels[at(lane)].outlet.left(bytes);
                }
                self.relieve(id, lane);
            }
            (Report::Failed(reason), _) => self.lost(id, reason),
            _ => {}
        }
    }

    fn on_word(&mut self, id: PeerId, word: &str) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        match (word, peer.stage.setup()) {
            (OPEN, Some(setup)) => {
                if setup.heard() {
                    peer.say(OPEN);
                }
                self.check_up(id);
            }
            // Repeated before we were heard.
            (OPEN, None) => {}
            (HOLD, None) => peer.held = true,
            (GO, None) => {
                peer.held = false;
                self.relieve(id, Lane::Control);
            }
            _ => self.lost(id, CloseReason::Protocol),
        }
    }

    fn relieve(&mut self, to: PeerId, lane: Lane) {
        let window = self.config.send_window;
        if self.peers.get_mut(&to).is_some_and(|peer| peer.relieve(lane, window)) {
            self.ready.push_back(TransportEvent::Writable { to, lane });
        }
    }

    fn check_up(&mut self, id: PeerId) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let Some(binding) = peer.stage.setup().and_then(|setup| setup.up()) else { return };
        let (dial, dialled) = match peer.stage {
            Stage::Answering(dial, _) => (Some(dial), false),
            _ => (None, true),
        };
        let setup = core::mem::replace(&mut peer.stage, Stage::Up { dial });
        self.ready.push_back(TransportEvent::Connected(LinkUp { peer: id, binding, dialled }));
        if let Stage::Dialling(setup) | Stage::Answering(_, setup) = setup {
            for frame in setup.frames {
                peer.line.consumed(Lane::Data, &frame);
                let lane = Lane::Data;
                self.ready.push_back(TransportEvent::Received { from: id, lane, frame });
            }
        }
    }

    fn next_timer(&mut self) -> Option<Instant> {
        self.peers.values_mut().filter_map(|peer| peer.stage.setup()).map(|s| s.timer()).min()
    }
}

#[async_trait(?Send)]
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
            let (setup, orders) = Setup::dial(Instant::now() + self.config.dial_timeout);
            self.start(peer, Stage::Dialling(Box::new(setup)), orders);
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

    fn close(&mut self, peer: PeerId, reason: CloseReason) {
        if self.drop_peer(peer).is_some() {
            tracing::debug!(?peer, %reason, "closing");
        }
        self.early.retain(|(from, _)| *from != peer);
        self.ready.retain(|event| subject(event) != Some(peer));
    }

    fn try_send(&mut self, to: PeerId, lane: Lane, frame: Bytes) -> Result<(), TrySendError> {
        match self.peers.get_mut(&to) {
            Some(peer) => peer.take(lane, frame, self.config.send_window),
            None => Err(TrySendError::NotConnected(frame)),
        }
    }

    async fn next_event(&mut self) -> Result<TransportEvent, TransportError> {
        while !self.closed {
            if let Some(event) = self.ready.pop_front() {
                return Ok(event);
            }
            let timer = self.next_timer();
            if timer.is_some_and(|at| at <= Instant::now()) {
                self.tick(Instant::now());
                continue;
            }
            let inbox = self.inbox.clone();
            let news = match timer {
                None => Some(inbox.wait().await),
                Some(at) => tokio::select! {
                    biased;
                    news = inbox.wait() => Some(news),
                    () = sleep_until(at) => None,
                },
            };
            if let Some((link, news)) = news {
                self.on_news(link, news);
            }
        }
        Err(TransportError {
            context: "it was shut down; make a new one to go on".into(),
            source: None,
        })
    }

    async fn shutdown(&mut self) {
        self.closed = true;
        let peers: Vec<PeerId> = self.peers.keys().copied().collect();
        for peer in peers {
            self.drop_peer(peer);
        }
        self.early.clear();
        self.ready.clear();
    }
}

impl Drop for WebRtc {
    fn drop(&mut self) {
        self.port.set_onmessage(None);
        self.inbox.clear();
        for peer in self.peers.values() {
            Order::Close.post(peer.link, &self.port);
        }
    }
}

impl fmt::Debug for WebRtc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebRtc").field("me", &self.me).field("peers", &self.peers.len()).finish()
    }
}

/// Whom an event is about.
const fn subject(event: &TransportEvent) -> Option<PeerId> {
    Some(match event {
        TransportEvent::Signal { to, .. } | TransportEvent::Writable { to, .. } => *to,
        TransportEvent::Connected(link) => link.peer,
        TransportEvent::ConnectFailed { peer, .. } | TransportEvent::Disconnected { peer, .. } => {
            *peer
        }
        TransportEvent::Received { from, .. } => *from,
        _ => return None,
    })
}
