//! [`SignalClient`]: the rendezvous over a `beacon-signal` server.

#[cfg(target_family = "wasm")]
mod browser;
#[cfg(not(target_family = "wasm"))]
mod native;
mod session;

use async_trait::async_trait;
use beacon_sdk::plugin::{Join, Rendezvous, RendezvousError, RendezvousEvent, Report};
use beacon_sdk::signaling::{
    ClientMessage, ReceiptData, SESSION_MAX, SignalData, Token, check_join,
};
use beacon_sdk::timer::{Sleep, sleep};
use beacon_sdk::{Identity, Listing, PeerId, Rng};
#[cfg(target_family = "wasm")]
use browser::{Address, Connecting, Socket, solve};
use bytes::Bytes;
use core::fmt;
use core::future::{Future, poll_fn};
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use core::time::Duration;
#[cfg(not(target_family = "wasm"))]
use native::{Address, Connecting, Socket, solve};
use session::{Outgoing, Session, Step};
use std::collections::VecDeque;
use tracing::{debug, info, warn};

/// The first pause before a lost server is tried again; each further one is twice as long.
const BACKOFF_MIN: Duration = Duration::from_millis(500);
/// The longest pause.
const BACKOFF_MAX: Duration = Duration::from_secs(10);
/// Servers that a client may be given.
const ADDRESSES_MAX: usize = 16;
/// A connection that lasted this long was a good one: the next pause is the first again.
const GOOD_CONNECTION: Duration = Duration::from_secs(10);

/// A [`Rendezvous`] over a `beacon-signal` server, `ws://` or `wss://`, or over several that share their rooms: when one is
/// lost, the next is tried, and after the last the first again.
///
/// Nothing is spawned: everything happens while [`next_event`](Rendezvous::next_event) is polled,
/// inside a tokio runtime with time and network, or in a page or a worker. A lost server is tried again for as long as it
/// takes, after 0.5 s at first and every 10 s in the end, each pause shortened by up to half at
/// random so that an audience does not come back in one instant. Signals given while there is no
/// connection are lost, which the dial's watchdog covers.
///
/// A server to which many come may ask for work before it lets a peer in, [`TRIES_MAX`](beacon_sdk::signaling::TRIES_MAX) tries on average at most: it is done on a
/// thread of its own, in a page or a worker in slices between which everything else goes on, and given up with the client
/// or the connection. A server that asks for more is one that refuses.
///
/// ```
/// use beacon_sdk::Identity;
/// use beacon_transport_webrtc::SignalClient;
///
/// let me = Identity::from_secret([7; 32]); // or `Identity::random()?`
/// let client = SignalClient::new("wss://signal.example.org", &me)?;
/// assert!(SignalClient::new("signal.example.org", &me).is_err());
/// # drop(client);
/// # Ok::<(), beacon_sdk::plugin::RendezvousError>(())
/// ```
pub struct SignalClient {
    /// At least one, the one in use first.
    addresses: VecDeque<Address>,
    rng: Rng,
    outgoing: Outgoing,
    state: State,
    /// Pauses since the last good connection.
    pauses: u32,
    /// The application knows that the server is out of reach.
    suspended: bool,
}

/// Work for a server under way: the answer, or `None` when the runtime ends before.
#[cfg(not(target_family = "wasm"))]
type Working = Pin<Box<dyn Future<Output = Option<u64>> + Send>>;
#[cfg(target_family = "wasm")]
type Working = Pin<Box<dyn Future<Output = Option<u64>>>>;

enum State {
    /// `join` has not been called.
    New,
    Connecting(Connecting),
    Open(Box<Session>),
    Waiting(Pin<Box<Sleep>>),
    /// Refused for good.
    Refused(RendezvousError),
    Closed,
}

impl SignalClient {
    /// A client of the server at `url`: `ws://HOST:PORT` or `wss://HOST`, for the peer `identity`, which
    /// proves to the server that its id is its own. Up to 16 servers that share their rooms may be named, separated by
    /// commas; the first is tried first. No input or output yet.
    ///
    /// # Errors
    /// [`RendezvousError::Address`] for what is not such a URL, or more than 16 of them.
    pub fn new(url: &str, identity: &Identity) -> Result<Self, RendezvousError> {
        let addresses = url.split(',').map(|url| Address::parse(url.trim()));
        let addresses: VecDeque<Address> =
            addresses.collect::<Result<_, _>>().map_err(RendezvousError::Address)?;
        if addresses.len() > ADDRESSES_MAX {
            let cause = format!("{} servers are named; {ADDRESSES_MAX} do", addresses.len());
            return Err(RendezvousError::Address(cause));
        }
        let session = u64::from_le_bytes(jitter()) & SESSION_MAX;
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&jitter());
        Ok(Self {
            addresses,
            rng: Rng::new(seed, 0),
            outgoing: Outgoing::new(identity.clone(), session),
            state: State::New,
            pauses: 0,
            suspended: false,
        })
    }

    /// Shows `token` to the server with every join: one that lets nobody in without asks for it, and takes
    /// none that is for another peer than `identity`.
    #[must_use]
    pub fn token(mut self, token: Token) -> Self {
        self.outgoing.token = Some(token);
        self
    }

    /// Drawn at random for this client, and told to the server with every join: what was signed for
    /// another session binds nobody in this one.
    #[must_use]
    pub fn session(&self) -> u64 {
        self.outgoing.session
    }

    fn poll_event(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<RendezvousEvent, RendezvousError>> {
        loop {
            match &mut self.state {
                State::New => return Poll::Ready(Err(RendezvousError::NotJoined)),
                State::Closed => return Poll::Ready(Err(RendezvousError::Closed)),
                State::Refused(error) => return Poll::Ready(Err(error.clone())),
                State::Waiting(pause) => {
                    ready!(pause.as_mut().poll(context));
                    self.state = self.connect();
                }
                State::Connecting(connecting) => match ready!(connecting.as_mut().poll(context)) {
                    Ok(socket) => {
                        self.outgoing.greet();
                        self.state = State::Open(Box::new(Session::new(socket)));
                    }
                    Err(reason) => {
                        if let Some(event) = self.suspend(reason) {
                            return Poll::Ready(Ok(event));
                        }
                    }
                },
                State::Open(session) => match ready!(session.poll(context, &mut self.outgoing)) {
                    Step::Event(event) => {
                        if matches!(event, RendezvousEvent::Joined { .. }) {
                            self.suspended = false;
                        }
                        return Poll::Ready(Ok(event));
                    }
                    Step::Refused(error) => self.state = State::Refused(error),
                    Step::Lost(reason) => {
                        if session.joined_for().is_some_and(|time| time >= GOOD_CONNECTION) {
                            self.pauses = 0;
                        }
                        if let Some(event) = self.suspend(reason) {
                            return Poll::Ready(Ok(event));
                        }
                    }
                },
            }
        }
    }

    fn connect(&self) -> State {
        // There is always one.
        self.addresses.front().map_or(State::Closed, |first| State::Connecting(first.connect()))
    }

    fn server(&self) -> String {
        self.addresses.front().map(ToString::to_string).unwrap_or_default()
    }

    /// Begins a pause, after which the next server is tried; an event if the application does not know yet.
    fn suspend(&mut self, reason: String) -> Option<RendezvousEvent> {
        let pause = BACKOFF_MIN.saturating_mul(1 << self.pauses.min(8)).min(BACKOFF_MAX);
        let halves = Duration::from_millis(u64::from(self.rng.below(
            // At most 5,000.
            u32::try_from(pause.as_millis() / 2).unwrap_or(u32::MAX),
        )));
        self.pauses = self.pauses.saturating_add(1);
        self.state = State::Waiting(Box::pin(sleep(pause - halves)));
        let server = self.server();
        self.addresses.rotate_left(1);
        // An offer from before the outage would be answered long after its dial was given up.
        self.outgoing.forget_signals();
        if core::mem::replace(&mut self.suspended, true) {
            debug!(server, reason, "still out of reach");
            return None;
        }
        info!(server, reason, "the signaling server is out of reach");
        Some(RendezvousEvent::Suspended { reason })
    }
}

/// Differs between peers; it need not be secret.
fn jitter() -> [u8; 8] {
    #[cfg(target_family = "wasm")]
    return js_sys::Math::random().to_le_bytes();
    #[cfg(not(target_family = "wasm"))]
    {
        use std::hash::{BuildHasher as _, RandomState};
        RandomState::new().hash_one(0).to_le_bytes()
    }
}

impl fmt::Debug for SignalClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::New => "new",
            State::Connecting(_) => "connecting",
            State::Open(_) => "open",
            State::Waiting(_) => "waiting",
            State::Refused(_) => "refused",
            State::Closed => "closed",
        };
        write!(f, "SignalClient({}, {state})", self.server())
    }
}

#[cfg_attr(not(target_family = "wasm"), async_trait)]
#[cfg_attr(target_family = "wasm", async_trait(?Send))]
impl Rendezvous for SignalClient {
    fn join(&mut self, join: Join) {
        if !matches!(self.state, State::New) {
            return warn!("join is called once; this call is passed over");
        }
        let refused = |cause: String| State::Refused(RendezvousError::Refused(cause));
        self.state = match check_join(&join) {
            Ok(()) if join.peer == self.outgoing.identity.public() => self.connect(),
            Ok(()) => refused("a client joins as the peer whose identity it was given".into()),
            Err(error) => refused(error.to_string()),
        };
        self.outgoing.join = Some(join);
    }

    fn signal(&mut self, to: PeerId, signal: Bytes) {
        let Some(data) = SignalData::new(signal) else {
            return debug!("a signal above the limit is dropped");
        };
        if !matches!(self.state, State::Waiting(_)) {
            self.outgoing.signal(ClientMessage::Signal { to, data });
        }
    }

    fn report(&mut self, report: Report) {
        self.outgoing.report(report);
    }

    fn list(&mut self, listing: Listing) {
        self.outgoing.list(listing);
    }

    fn claim(&mut self, receipt: Bytes) {
        match ReceiptData::new(receipt) {
            Some(receipt) => self.outgoing.claim(receipt),
            None => debug!("a receipt above the limit is dropped"),
        }
    }

    async fn next_event(&mut self) -> Result<RendezvousEvent, RendezvousError> {
        // All progress is in `self`: a dropped call loses nothing.
        poll_fn(|context| self.poll_event(context)).await
    }

    async fn shutdown(&mut self) {
        if let State::Open(session) = core::mem::replace(&mut self.state, State::Closed) {
            session.leave(&mut self.outgoing).await;
        }
    }
}
