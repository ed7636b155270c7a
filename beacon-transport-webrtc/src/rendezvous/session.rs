//! One connection to the server, from greeting to loss.

use super::{Socket, Working, solve};
use beacon_sdk::plugin::{Join, RendezvousError, RendezvousEvent, Report};
use beacon_sdk::signaling::{
    CLAIMS_MAX, ClientMessage, ErrorCode, Nonce, Proof, ProtocolError, ReceiptData, Riddle,
    ServerMessage, THUMBNAIL_INTERVAL, Token, VERSION, Work,
};
use beacon_sdk::timer::{Instant, Sleep, sleep, timeout};
use beacon_sdk::{Identity, Listing};
use core::future::{Future, poll_fn};
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;
use std::collections::VecDeque;
use tracing::{debug, info, warn};

/// Signals that wait to be sent at most: those of twenty dials with six candidates each.
const SIGNALS_MAX: usize = 128;
/// Receipts that wait to be sent at most; the oldest go, for later ones of their edges to make good.
const RECEIPTS_MAX: usize = 4 * CLAIMS_MAX;
/// Bytes of receipts in one message at most, for it to stay below [`MESSAGE_BYTES_MAX`] in base64, each with its quotes: 64
/// receipts have 20 KB.
///
/// [`MESSAGE_BYTES_MAX`]: beacon_sdk::signaling::MESSAGE_BYTES_MAX
const CLAIM_BYTES_MAX: usize = 22 * 1024;
/// Between two messages with receipts: a receipt is cumulative, and a later one counts as much as both.
const CLAIM_PAUSE: Duration = Duration::from_secs(1);
/// For the server to challenge, and to answer the join.
const GREETING_TIMEOUT: Duration = Duration::from_secs(10);
/// Silent heartbeats after which the server is lost; its own limit is the same.
const BEATS_MISSED_MAX: u32 = 3;
/// Heartbeats are never sent more often, whatever a server asks for.
const BEAT_MIN: Duration = Duration::from_millis(100);
/// For the goodbye.
const LEAVE_TIMEOUT: Duration = Duration::from_millis(900);
/// Between two pictures: what the server asks for, and what the way there may take from it.
const THUMBNAIL_PAUSE: Duration = THUMBNAIL_INTERVAL.saturating_add(Duration::from_secs(1));
/// Frames handled in one poll before others get their turn.
const FRAMES_PER_POLL: usize = 64;

/// What waits for the server, over reconnections.
pub(super) struct Outgoing {
    pub(super) identity: Identity,
    pub(super) session: u64,
    pub(super) join: Option<Join>,
    pub(super) token: Option<Token>,
    /// The server's, until it is answered, and the work that was done for it.
    challenge: Option<(Nonce, Option<u64>)>,
    report: Option<Report>,
    report_is_due: bool,
    heartbeat_is_due: bool,
    listing: Listing,
    about_is_due: bool,
    thumbnail_is_due: bool,
    /// When the server was given one on this connection.
    thumbnail_at: Option<Instant>,
    signals: VecDeque<ClientMessage>,
    receipts: VecDeque<ReceiptData>,
    /// When the server was shown some last.
    claimed_at: Option<Instant>,
}

impl Outgoing {
    pub(super) fn new(identity: Identity, session: u64) -> Self {
        Self {
            identity,
            session,
            join: None,
            token: None,
            challenge: None,
            report: None,
            report_is_due: false,
            heartbeat_is_due: false,
            listing: Listing::default(),
            about_is_due: false,
            thumbnail_is_due: false,
            thumbnail_at: None,
            signals: VecDeque::new(),
            receipts: VecDeque::new(),
            claimed_at: None,
        }
    }

    /// A new connection: the server knows nothing.
    pub(super) fn greet(&mut self) {
        self.challenge = None;
        self.heartbeat_is_due = false;
        self.report_is_due = self.report.is_some();
        let unlisted = Listing::default();
        self.about_is_due = self.listing.about != unlisted.about;
        self.thumbnail_is_due = self.listing.thumbnail.is_some();
        self.thumbnail_at = None;
    }

    pub(super) fn list(&mut self, listing: Listing) {
        self.about_is_due |= self.listing.about != listing.about;
        self.thumbnail_is_due |= self.listing.thumbnail != listing.thumbnail;
        self.listing = listing;
    }

    pub(super) fn report(&mut self, report: Report) {
        self.report_is_due = self.report.as_ref() != Some(&report) || self.report_is_due;
        self.report = Some(report);
    }

    pub(super) fn signal(&mut self, signal: ClientMessage) {
        if self.signals.len() < SIGNALS_MAX {
            self.signals.push_back(signal);
        } else {
            warn!("more than {SIGNALS_MAX} signals wait for the server: one is dropped");
        }
    }

    pub(super) fn claim(&mut self, receipt: ReceiptData) {
        if self.receipts.len() == RECEIPTS_MAX {
            self.receipts.pop_front();
        }
        self.receipts.push_back(receipt);
    }

    /// Receipts that the server has not been shown; later ones of an edge come later.
    fn claims(&mut self) -> Option<ClientMessage> {
        let mut bytes = 0;
        let fits = self.receipts.iter().take(CLAIMS_MAX).take_while(|receipt| {
            bytes += receipt.len();
            bytes <= CLAIM_BYTES_MAX
        });
        let count = fits.count();
        let receipts: Vec<ReceiptData> = self.receipts.drain(..count).collect();
        (count > 0).then_some(ClientMessage::Claims { receipts })
    }

    /// As [`claims`](Self::claims), now and then. Like a picture they wait for a wake-up without a timer of
    /// their own.
    fn claims_in_time(&mut self) -> Option<ClientMessage> {
        if self.claimed_at.is_some_and(|at| at.elapsed() < CLAIM_PAUSE) {
            return None;
        }
        let claims = self.claims()?;
        self.claimed_at = Some(Instant::now());
        Some(claims)
    }

    pub(super) fn forget_signals(&mut self) {
        self.signals.clear();
    }

    fn next(&mut self, joined: bool) -> Option<ClientMessage> {
        if let Some((nonce, work)) = self.challenge.take() {
            let (join, session) = (self.join.clone()?, self.session);
            let proof = Proof::sign(&self.identity, &nonce, session, &join);
            let token = self.token.clone();
            let version = VERSION;
            return Some(ClientMessage::Join { version, join, session, proof, token, work });
        }
        if !joined {
            return None;
        }
        if core::mem::take(&mut self.heartbeat_is_due) {
            return Some(ClientMessage::Heartbeat);
        }
        if core::mem::take(&mut self.report_is_due) {
            return self.report.clone().map(ClientMessage::MetricsReport);
        }
        if core::mem::take(&mut self.about_is_due) {
            return Some(ClientMessage::Describe(self.listing.about.clone()));
        }
        let signal = self.signals.pop_front();
        signal.or_else(|| self.claims_in_time()).or_else(|| self.thumbnail())
    }

    /// The picture, when it is due and the server takes one. It waits for a wake-up without a
    /// timer of its own: reports and heartbeats come often enough.
    fn thumbnail(&mut self) -> Option<ClientMessage> {
        let early = self.thumbnail_at.is_some_and(|at| at.elapsed() < THUMBNAIL_PAUSE);
        if early || !core::mem::take(&mut self.thumbnail_is_due) {
            return None;
        }
        self.thumbnail_at = Some(Instant::now());
        Some(ClientMessage::Thumbnail { data: self.listing.thumbnail.clone() })
    }
}

/// What came of a poll.
pub(super) enum Step {
    Event(RendezvousEvent),
    Lost(String),
    Refused(RendezvousError),
}

/// An open connection.
pub(super) struct Session {
    socket: Socket,
    challenged: bool,
    /// What the server asks for before the challenge is answered.
    working: Option<(Nonce, Working)>,
    joined: Option<Joined>,
    /// The connection is lost when this completes.
    patience: Pin<Box<Sleep>>,
    /// What the server said before it closed.
    last_error: Option<String>,
    /// What it said in one message with others, and has not been told yet.
    events: VecDeque<RendezvousEvent>,
}

struct Joined {
    since: Instant,
    period: Duration,
    beat: Pin<Box<Sleep>>,
}

impl Session {
    pub(super) fn new(socket: Socket) -> Self {
        let patience = Box::pin(sleep(GREETING_TIMEOUT));
        Self {
            socket,
            challenged: false,
            working: None,
            joined: None,
            patience,
            last_error: None,
            events: VecDeque::new(),
        }
    }

    /// How long this peer has been in.
    pub(super) fn joined_for(&self) -> Option<Duration> {
        self.joined.as_ref().map(|joined| joined.since.elapsed())
    }

    /// Sends what waits and reads until there is something to tell.
    pub(super) fn poll(
        &mut self,
        context: &mut Context<'_>,
        outgoing: &mut Outgoing,
    ) -> Poll<Step> {
        for _ in 0..FRAMES_PER_POLL {
            if let Some(event) = self.events.pop_front() {
                return Poll::Ready(Step::Event(event));
            }
            if let Some(joined) = &mut self.joined {
                while joined.beat.as_mut().poll(context).is_ready() {
                    joined.beat.as_mut().reset(Instant::now() + joined.period);
                    outgoing.heartbeat_is_due = true;
                }
            }
            if let Some((nonce, working)) = &mut self.working
                && let Poll::Ready(answer) = working.as_mut().poll(context)
            {
                outgoing.challenge = Some((*nonce, answer));
                self.working = None;
                self.hear();
            }
            if let Err(error) = self.write(context, outgoing) {
                return Poll::Ready(self.lost(error));
            }
            let text = match self.socket.poll_next(context) {
                Poll::Pending => {
                    // While this side works it is the server that waits.
                    let waits = self.working.is_none();
                    let silent = waits && self.patience.as_mut().poll(context).is_ready();
                    return match silent {
                        true => Poll::Ready(self.lost(self.silence().into())),
                        false => Poll::Pending,
                    };
                }
                Poll::Ready(Err(reason)) => return Poll::Ready(self.lost(reason)),
                Poll::Ready(Ok(text)) => text,
            };
            self.hear();
            if let Some(step) = text.and_then(|text| self.read(&text, outgoing)) {
                return Poll::Ready(step);
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }

    /// Shows what receipts are left, says goodbye and waits for the server to close, for less than a
    /// second.
    pub(super) async fn leave(mut self, outgoing: &mut Outgoing) {
        if timeout(LEAVE_TIMEOUT, self.part(outgoing)).await.is_err() {
            debug!("the server did not take the goodbye in time");
        }
    }

    /// Ends with the connection.
    async fn part(&mut self, outgoing: &mut Outgoing) -> Result<(), String> {
        let joined = self.joined.is_some();
        while let Some(claims) = outgoing.claims().filter(|_| joined) {
            poll_fn(|context| self.socket.poll_ready(context)).await?;
            self.socket.send(&claims.to_json())?;
        }
        poll_fn(|context| self.socket.poll_ready(context)).await?;
        self.socket.send(&ClientMessage::Leave.to_json())?;
        poll_fn(|context| self.socket.poll_flush(context)).await?;
        loop {
            poll_fn(|context| self.socket.poll_next(context)).await?;
        }
    }

    fn lost(&mut self, reason: String) -> Step {
        Step::Lost(self.last_error.take().unwrap_or(reason))
    }

    fn write(&mut self, context: &mut Context<'_>, outgoing: &mut Outgoing) -> Result<(), String> {
        while let Poll::Ready(ready) = self.socket.poll_ready(context) {
            ready?;
            let Some(message) = outgoing.next(self.joined.is_some()) else { break };
            self.socket.send(&message.to_json())?;
        }
        match self.socket.poll_flush(context) {
            Poll::Ready(flushed) => flushed,
            Poll::Pending => Ok(()),
        }
    }

    fn silence(&self) -> &'static str {
        match self.challenged {
            true => "the server is silent",
            false => {
                "no challenge came: the server is no beacon-signal, or older than this program"
            }
        }
    }

    /// Something came: the server is alive.
    fn hear(&mut self) {
        let patience = match &self.joined {
            Some(joined) => joined.period * BEATS_MISSED_MAX,
            None => GREETING_TIMEOUT,
        };
        self.patience.as_mut().reset(Instant::now() + patience);
    }

    /// Begins to answer a challenge: at once, or when the work that it asks for is done.
    fn challenge(
        &mut self,
        nonce: Nonce,
        work: Option<Work>,
        outgoing: &mut Outgoing,
    ) -> Option<Step> {
        let spared = |work: &Work| work.tries == 0 || (work.token && outgoing.token.is_some());
        let Some(work) = work.filter(|work| !spared(work)) else {
            outgoing.challenge = Some((nonce, None));
            return None;
        };
        if let Err(absurd) = work.check() {
            return Some(Step::Refused(RendezvousError::Refused(absurd.to_string())));
        }
        let join = outgoing.join.as_ref()?;
        info!(tries = work.tries, "many come to the signaling server: it asks for work");
        let riddle = Riddle::new(&nonce, outgoing.session, join, work.tries);
        self.working = Some((nonce, solve(riddle)));
        None
    }

    fn read(&mut self, text: &str, outgoing: &mut Outgoing) -> Option<Step> {
        let message = match ServerMessage::parse(text) {
            Ok(message) => message,
            Err(ProtocolError::UnknownType(kind)) => {
                debug!(kind, "passing over a message of a later version");
                return None;
            }
            Err(error @ ProtocolError::Version(_)) => {
                return Some(Step::Refused(RendezvousError::Version(error.to_string())));
            }
            Err(error) => {
                warn!(%error, "passing over a message of the server");
                return None;
            }
        };
        match message {
            // One per connection: there is nothing to sign for later.
            ServerMessage::Challenge { .. } if self.challenged => None,
            ServerMessage::Challenge { nonce, work, .. } => {
                self.challenged = true;
                self.challenge(nonce, work, outgoing)
            }
            ServerMessage::Joined { broadcast, heartbeat_ms, issuer, .. } => {
                let period = Duration::from_millis(u64::from(heartbeat_ms)).max(BEAT_MIN);
                if self.joined.is_none() {
                    let since = Instant::now();
                    let beat = Box::pin(sleep(period));
                    self.joined = Some(Joined { since, period, beat });
                    self.hear();
                }
                self.events.extend(issuer.map(RendezvousEvent::Issuer));
                Some(Step::Event(RendezvousEvent::Joined { broadcast }))
            }
            ServerMessage::Error { code: ErrorCode::Version, message, .. } => {
                Some(Step::Refused(RendezvousError::Version(message)))
            }
            ServerMessage::Error { message, fatal: true, .. } => {
                Some(Step::Refused(RendezvousError::Refused(message)))
            }
            ServerMessage::Error { code, message, .. } => {
                warn!(%code, message, "the signaling server refuses");
                self.last_error = code.closes().then_some(message);
                None
            }
            ServerMessage::Turn(server) => Some(Step::Event(RendezvousEvent::Turn(server))),
            // Nothing else concerns a peer that is not in.
            _ if self.joined.is_none() => None,
            ServerMessage::Peers { peers } => Some(Step::Event(RendezvousEvent::Peers(peers))),
            ServerMessage::Gone { peer, banned: false } => {
                Some(Step::Event(RendezvousEvent::Gone(peer)))
            }
            ServerMessage::Gone { peer, banned: true } => {
                Some(Step::Event(RendezvousEvent::Banned(peer)))
            }
            ServerMessage::Signal { from, data } => {
                let signal = data.into_bytes();
                Some(Step::Event(RendezvousEvent::Signal { from, signal }))
            }
            ServerMessage::Edges { edges } => {
                let edges = edges.into_iter().map(|edge| RendezvousEvent::Edge(edge.into_bytes()));
                self.events.extend(edges);
                None
            }
            ServerMessage::Heartbeat => None,
        }
    }
}
