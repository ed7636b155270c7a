//! The half that decides, sends and receives.

use super::inbox::{Inbox, Line, News};
use super::peer::{Peer, Stage, at};
use super::port::{Order, Report};
use super::setup::Setup;
use crate::config::{CONTROL_FRAME_MAX, DATA_FRAME_MAX, WebRtcConfig};
use crate::lane::{GO, HOLD, OPEN};
use crate::signal::{Body, Signal};
use async_trait::async_trait;
use beacon_sdk::PeerId;
use beacon_sdk::plugin::{
    CloseReason, Lane, Link as LinkUp, Transport, TransportCaps, TransportError, TransportEvent,
    TrySendError, TurnServer,
};
use beacon_sdk::timer::{Instant, sleep_until};
use bytes::Bytes;
use core::fmt;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use wasm_bindgen::JsCast as _;
use wasm_bindgen::closure::Closure;
use web_sys::{MessageEvent, MessagePort};

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
    pub(super) me: PeerId,
    pub(super) config: WebRtcConfig,
    port: MessagePort,
    inbox: Rc<Inbox>,
    pub(super) peers: BTreeMap<PeerId, Peer>,
    /// Whose a link is; what comes for another link is void.
    links: BTreeMap<u32, PeerId>,
    last_link: u32,
    pub(super) early: VecDeque<(PeerId, Signal)>,
    pub(super) ready: VecDeque<TransportEvent>,
    pub(super) counters: WebRtcCounters,
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

    pub(super) fn has_room(&self) -> bool {
        let set_ups = self.peers.values().filter(|peer| !peer.stage.is_up()).count();
        set_ups < self.config.dials_max && self.peers.len() < self.config.links_max
    }

    pub(super) fn order(&self, link: u32, orders: impl IntoIterator<Item = Order>) {
        for order in orders {
            order.post(link, &self.port);
        }
    }

    pub(super) fn start(&mut self, id: PeerId, stage: Stage, orders: Vec<Order>) {
        self.drop_peer(id);
        self.last_link = self.last_link.wrapping_add(1);
        let link = self.last_link;
        let window = self.config.send_window;
        let line = Rc::new(Line::new(link, self.config.inbox, window));
        self.inbox.lines.borrow_mut().insert(link, line.clone());
        self.links.insert(link, id);
        self.peers.insert(id, Peer::new(stage, line, window));
        self.order(link, orders);
    }

    /// Forgets a link or a set-up, and closes it.
    pub(super) fn drop_peer(&mut self, id: PeerId) -> Option<Peer> {
        let mut peer = self.peers.remove(&id)?;
        self.links.remove(&peer.link);
        self.inbox.lines.borrow_mut().remove(&peer.link);
        // Closes them; what was sent before still leaves.
        drop(peer.channels.take());
        self.order(peer.link, [Order::Close]);
        Some(peer)
    }

    /// A link or a set-up has ended at the other end, in between, or by time.
    pub(super) fn lost(&mut self, id: PeerId, reason: CloseReason) {
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
        if self.peers.get_mut(&to).is_some_and(|peer| peer.relieve(lane)) {
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

    fn turn(&mut self, server: TurnServer) {
        self.order(0, [Order::Turn(server)]);
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
            Some(peer) => peer.take(lane, frame),
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
