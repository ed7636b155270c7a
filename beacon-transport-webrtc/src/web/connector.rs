//! The half in the page: owns the peer connections and does as it is told.

use super::port::{Order, Report};
use crate::config::IceServer;
use crate::lane::{LANES, channel, low};
use beacon_sdk::plugin::{CloseReason, Lane, TurnServer};
use beacon_sdk::timer::sleep;
use core::cell::{Cell, RefCell};
use core::fmt;
use core::time::Duration;
use js_sys::{Array, ArrayBuffer, JsString, Uint8Array};
use std::collections::BTreeMap;
use std::rc::Rc;
use tokio::sync::mpsc;
use wasm_bindgen::closure::Closure;
use wasm_bindgen::{JsCast as _, JsValue};
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{
    Event, MessageEvent, MessagePort, RtcConfiguration, RtcDataChannel, RtcDataChannelInit,
    RtcDataChannelType, RtcIceCandidateInit, RtcIceServer, RtcPeerConnection,
    RtcPeerConnectionIceEvent, RtcPeerConnectionState, RtcSdpType, RtcSessionDescriptionInit,
};

/// Connections at most, whatever the other half asks for: a browser has about 500.
const CONNECTIONS_MAX: usize = 256;
/// Steps of one set-up that wait for the one before: the transport sends a few.
const STEPS_MAX: usize = 64;
/// After `close`, what was sent last has this long to leave.
const LINGER: Duration = Duration::from_millis(200);
/// The window of a channel that stays in the page as it begins: the other half's, which it is to
/// be told of when half of it is used up.
const KEPT_WINDOW: usize = 64 * 1024;

/// The page's half of the transport; see [`WebRtc`](super::WebRtc) for the other one. It does
/// nothing by itself. Dropping it closes every connection.
pub struct Connector {
    inner: Rc<Inner>,
    _on_message: Closure<dyn FnMut(MessageEvent)>,
}

struct Inner {
    port: MessagePort,
    /// Of the application.
    own: Vec<IceServer>,
    /// With the TURN server that the rendezvous grants.
    configuration: RefCell<RtcConfiguration>,
    connections: RefCell<BTreeMap<u32, Connection>>,
    hand_over: bool,
}

/// A peer connection with its listeners. Dropping it closes it.
struct Connection {
    peer: RtcPeerConnection,
    steps: mpsc::Sender<Order>,
    kept: Option<[Kept; 2]>,
    _on_candidate: Closure<dyn FnMut(RtcPeerConnectionIceEvent)>,
    _on_state: Closure<dyn FnMut(Event)>,
}

/// A channel that the browser cannot hand over.
struct Kept {
    channel: RtcDataChannel,
    /// Bytes it was given; wraps.
    sent: Rc<Cell<u32>>,
    _on_event: [Closure<dyn FnMut(Event)>; 3],
    _on_message: Closure<dyn FnMut(MessageEvent)>,
}

impl Connector {
    /// Serves the transport at the other end of `port`. Call it in a page.
    #[must_use]
    pub fn new(port: MessagePort, ice_servers: &[IceServer]) -> Self {
        Self::with(port, ice_servers, true)
    }

    /// As [`new`](Self::new), but data channels stay in the page, as they must in browsers that
    /// cannot hand them over: for tests.
    #[must_use]
    pub fn keeping_channels(port: MessagePort, ice_servers: &[IceServer]) -> Self {
        Self::with(port, ice_servers, false)
    }

    fn with(port: MessagePort, ice_servers: &[IceServer], hand_over: bool) -> Self {
        let own = ice_servers.to_vec();
        let configuration = RefCell::new(configuration(&own));
        let connections = RefCell::default();
        let inner = Rc::new(Inner { port, own, configuration, connections, hand_over });
        let serving = Rc::downgrade(&inner);
        let on_message = Closure::<dyn FnMut(MessageEvent)>::new(move |event: MessageEvent| {
            if let (Some(inner), Some((link, order))) =
                (serving.upgrade(), Order::read(&event.data()))
            {
                inner.take(link, order);
            }
        });
        // Starts the port, too.
        inner.port.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
        Self { inner, _on_message: on_message }
    }

    /// Connections there are, those being set up included.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.inner.connections.borrow().len()
    }
}

impl Drop for Connector {
    fn drop(&mut self) {
        self.inner.port.set_onmessage(None);
        self.inner.connections.borrow_mut().clear();
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector").field("connections", &self.connections()).finish()
    }
}

impl Inner {
    fn take(self: &Rc<Self>, link: u32, order: Order) {
        match order {
            Order::Offer | Order::Answer { .. } => self.open(link, order),
            Order::Accept { .. } | Order::Candidates(_) => self.step(link, order),
            Order::Send { lane, message } => self.send(link, lane, &message),
            Order::Level { lane, bytes } => self.level(link, lane, bytes),
            Order::Turn(server) => self.turn(server),
            Order::Close => {
                let connection = self.connections.borrow_mut().remove(&link);
                if let Some(connection) = connection {
                    spawn_local(async move {
                        sleep(LINGER).await;
                        drop(connection);
                    });
                }
            }
        }
    }

    /// Uses a TURN server from now on, unless the browser will not have it: one wrong address of a server that is not
    /// ours would fail every connection.
    fn turn(&self, TurnServer { urls, username, credential }: TurnServer) {
        let granted = IceServer { urls, username, credential };
        let servers: Vec<IceServer> = self.own.iter().cloned().chain([granted]).collect();
        let configuration = configuration(&servers);
        match RtcPeerConnection::new_with_configuration(&configuration) {
            Ok(tried) => {
                tried.close();
                self.configuration.replace(configuration);
            }
            Err(error) => tracing::warn!(?error, "the browser refuses the TURN server"),
        }
    }

    fn open(self: &Rc<Self>, link: u32, first: Order) {
        let room = self.connections.borrow().len() < CONNECTIONS_MAX;
        let opened = room.then(|| Connection::open(self, link));
        let Some(Ok((connection, steps))) = opened else {
            return Report::Failed(CloseReason::Failed).post(link, &self.port);
        };
        let peer = connection.peer.clone();
        self.connections.borrow_mut().insert(link, connection);
        spawn_local(run(self.port.clone(), link, peer, steps));
        self.step(link, first);
    }

    fn step(&self, link: u32, step: Order) {
        let connections = self.connections.borrow();
        let full = connections.get(&link).is_some_and(|at| at.steps.try_send(step).is_err());
        if full {
            Report::Failed(CloseReason::Protocol).post(link, &self.port);
        }
    }

    fn send(&self, link: u32, lane: Lane, message: &JsValue) {
        let connections = self.connections.borrow();
        let kept = connections.get(&link).and_then(|connection| connection.kept.as_ref());
        let Some(kept) = kept.map(|kept| &kept[usize::from(channel(lane))]) else { return };
        // A channel that is closing says so by an event.
        let mut len = 0;
        if let Some(word) = message.dyn_ref::<JsString>() {
            len = word.length();
            let _ = kept.channel.send_with_str(&String::from(word));
        } else if let Some(buffer) = message.dyn_ref::<ArrayBuffer>() {
            len = buffer.byte_length();
            let _ = kept.channel.send_with_js_u8_array(&Uint8Array::new(buffer));
        }
        kept.sent.set(kept.sent.get().wrapping_add(len));
        // Above that, the event tells.
        kept.tell(link, lane, &self.port);
    }

    fn level(&self, link: u32, lane: Lane, bytes: u32) {
        let connections = self.connections.borrow();
        let kept = connections.get(&link).and_then(|connection| connection.kept.as_ref());
        if let Some(kept) = kept.map(|kept| &kept[usize::from(channel(lane))]) {
            kept.channel.set_buffered_amount_low_threshold(bytes);
            kept.tell(link, lane, &self.port);
        }
    }
}

/// Takes the steps of a set-up one after the other.
async fn run(
    port: MessagePort,
    link: u32,
    peer: RtcPeerConnection,
    mut steps: mpsc::Receiver<Order>,
) {
    while let Some(order) = steps.recv().await {
        let described = match order {
            Order::Offer => offer(&peer).await,
            Order::Answer { sdp } => answer(&peer, &sdp).await,
            Order::Accept { sdp } => accept(&peer, &sdp).await,
            Order::Candidates(list) => {
                for candidate in list {
                    add(&peer, &candidate).await;
                }
                Ok(None)
            }
            Order::Send { .. } | Order::Level { .. } | Order::Turn(_) | Order::Close => Ok(None),
        };
        match described {
            Ok(Some(sdp)) => Report::Described { sdp }.post(link, &port),
            Ok(None) => {}
            Err(error) => {
                tracing::debug!(?error, "the browser refuses a step of a set-up");
                Report::Failed(CloseReason::Failed).post(link, &port);
            }
        }
    }
}

type Described = Result<Option<String>, JsValue>;

async fn offer(peer: &RtcPeerConnection) -> Described {
    let offer = JsFuture::from(peer.create_offer()).await?;
    describe(peer, offer).await
}

async fn answer(peer: &RtcPeerConnection, sdp: &str) -> Described {
    let offer = RtcSessionDescriptionInit::new(RtcSdpType::Offer);
    offer.set_sdp(sdp);
    JsFuture::from(peer.set_remote_description(&offer)).await?;
    let answer = JsFuture::from(peer.create_answer()).await?;
    describe(peer, answer).await
}

async fn accept(peer: &RtcPeerConnection, sdp: &str) -> Described {
    let answer = RtcSessionDescriptionInit::new(RtcSdpType::Answer);
    answer.set_sdp(sdp);
    JsFuture::from(peer.set_remote_description(&answer)).await?;
    Ok(None)
}

async fn describe(peer: &RtcPeerConnection, own: JsValue) -> Described {
    let own: RtcSessionDescriptionInit = own.unchecked_into();
    JsFuture::from(peer.set_local_description(&own)).await?;
    Ok(own.get_sdp())
}

/// Adds a candidate; one that the browser cannot read is passed over.
async fn add(peer: &RtcPeerConnection, candidate: &str) {
    let init = RtcIceCandidateInit::new(candidate);
    init.set_sdp_m_line_index(Some(0));
    let adding = peer.add_ice_candidate_with_opt_rtc_ice_candidate_init(Some(&init));
    if let Err(error) = JsFuture::from(adding).await {
        tracing::debug!(?error, "a candidate of the peer is skipped");
    }
}

impl Connection {
    fn open(inner: &Rc<Inner>, link: u32) -> Result<(Self, mpsc::Receiver<Order>), JsValue> {
        let peer = RtcPeerConnection::new_with_configuration(&inner.configuration.borrow())?;
        let port = inner.port.clone();
        let on_candidate = Closure::new(move |event: RtcPeerConnectionIceEvent| {
            match event.candidate().map(|candidate| candidate.candidate()) {
                // An empty one says that there are no more of some kind.
                Some(candidate) if candidate.is_empty() => {}
                Some(candidate) => Report::Candidate(candidate).post(link, &port),
                None => Report::Gathered.post(link, &port),
            }
        });
        let (port, state_of) = (inner.port.clone(), peer.clone());
        let on_state = Closure::<dyn FnMut(Event)>::new(move |_| {
            // "disconnected" may pass; who cannot wait has pings of its own.
            if state_of.connection_state() == RtcPeerConnectionState::Failed {
                Report::Failed(CloseReason::Timeout).post(link, &port);
            }
        });
        peer.set_onicecandidate(Some(on_candidate.as_ref().unchecked_ref()));
        peer.set_onconnectionstatechange(Some(on_state.as_ref().unchecked_ref()));
        let channels = LANES.map(|lane| create(&peer, lane));
        let [control, data] = &channels;
        let handed = inner.hand_over && Report::hand_over(link, control, data, &inner.port);
        let kept = (!handed).then(|| {
            Report::Kept.post(link, &inner.port);
            let mut lanes = LANES.into_iter();
            channels.map(|channel| Kept::new(channel, link, lanes.next(), &inner.port))
        });
        let (steps, steps_in) = mpsc::channel(STEPS_MAX);
        let connection =
            Self { peer, steps, kept, _on_candidate: on_candidate, _on_state: on_state };
        Ok((connection, steps_in))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.peer.set_onicecandidate(None);
        self.peer.set_onconnectionstatechange(None);
        self.peer.close();
    }
}

fn create(peer: &RtcPeerConnection, lane: Lane) -> RtcDataChannel {
    let init = RtcDataChannelInit::new();
    init.set_negotiated(true);
    init.set_id(channel(lane));
    let label = match lane {
        Lane::Control => "control",
        Lane::Data => {
            init.set_ordered(false);
            init.set_max_retransmits(0);
            "data"
        }
    };
    peer.create_data_channel_with_data_channel_dict(label, &init)
}

impl Kept {
    fn new(channel: RtcDataChannel, link: u32, lane: Option<Lane>, port: &MessagePort) -> Self {
        let lane = lane.unwrap_or(Lane::Data);
        channel.set_binary_type(RtcDataChannelType::Arraybuffer);
        let low = u32::try_from(low(lane, KEPT_WINDOW)).unwrap_or(u32::MAX);
        channel.set_buffered_amount_low_threshold(low);
        let sent = Rc::<Cell<u32>>::default();
        let listen = |report: fn(Lane, &RtcDataChannel, &Cell<u32>) -> Report| {
            let (port, channel, sent) = (port.clone(), channel.clone(), sent.clone());
            Closure::<dyn FnMut(Event)>::new(move |_| {
                report(lane, &channel, &sent).post(link, &port);
            })
        };
        let on_event = [
            listen(|lane, _, _| Report::Opened(lane)),
            listen(left),
            listen(|_, _, _| Report::Closed),
        ];
        let [open, low, close] = &on_event;
        channel.set_onopen(Some(open.as_ref().unchecked_ref()));
        channel.set_onbufferedamountlow(Some(low.as_ref().unchecked_ref()));
        channel.set_onclose(Some(close.as_ref().unchecked_ref()));
        let port = port.clone();
        let on_message = Closure::<dyn FnMut(MessageEvent)>::new(move |event: MessageEvent| {
            Report::Message { lane, message: event.data() }.post(link, &port);
        });
        channel.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
        Self { channel, sent, _on_event: on_event, _on_message: on_message }
    }
}

impl Kept {
    /// Says how much has left, unless an event will.
    fn tell(&self, link: u32, lane: Lane, port: &MessagePort) {
        if self.channel.buffered_amount() <= self.channel.buffered_amount_low_threshold() {
            left(lane, &self.channel, &self.sent).post(link, port);
        }
    }
}

fn left(lane: Lane, channel: &RtcDataChannel, sent: &Cell<u32>) -> Report {
    Report::Left { lane, bytes: sent.get().wrapping_sub(channel.buffered_amount()) }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.channel.set_onopen(None);
        self.channel.set_onbufferedamountlow(None);
        self.channel.set_onclose(None);
        self.channel.set_onmessage(None);
    }
}

fn configuration(ice_servers: &[IceServer]) -> RtcConfiguration {
    let servers: Array = ice_servers
        .iter()
        .map(|server| {
            let urls: Array = server.urls.iter().map(JsValue::from).collect();
            let entry = RtcIceServer::new();
            entry.set_urls(&urls);
            if !server.username.is_empty() {
                entry.set_username(&server.username);
                entry.set_credential(&server.credential);
            }
            entry
        })
        .collect();
    let configuration = RtcConfiguration::new();
    configuration.set_ice_servers(&servers);
    configuration
}
