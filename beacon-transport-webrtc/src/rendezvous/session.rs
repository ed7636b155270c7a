//! One connection to the server, from greeting to loss.

use super::connect::Socket;
use beacon_sdk::plugin::{Join, RendezvousEvent, Report};
use beacon_sdk::signaling::{ClientMessage, ProtocolError, ServerMessage, VERSION};
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;
use futures_util::{SinkExt, StreamExt};
use std::collections::VecDeque;
use tokio::time::{Instant, Interval, MissedTickBehavior, Sleep, interval_at, sleep, timeout};
use tokio_tungstenite::tungstenite::{self, Message};
use tracing::{debug, warn};

/// Signals that wait to be sent at most: those of twenty dials with six candidates each.
const SIGNALS_MAX: usize = 128;
/// For the server to answer the join.
const GREETING_TIMEOUT: Duration = Duration::from_secs(10);
/// Silent heartbeats after which the server is lost; its own limit is the same.
const BEATS_MISSED_MAX: u32 = 3;
/// Heartbeats are never sent more often, whatever a server asks for.
const BEAT_MIN: Duration = Duration::from_millis(100);
/// For the goodbye.
const LEAVE_TIMEOUT: Duration = Duration::from_millis(900);
/// Frames handled in one poll before others get their turn.
const FRAMES_PER_POLL: usize = 64;

/// What waits for the server, over reconnections.
#[derive(Default)]
pub(super) struct Outgoing {
    pub(super) join: Option<Join>,
    join_is_due: bool,
    report: Option<Report>,
    report_is_due: bool,
    heartbeat_is_due: bool,
    signals: VecDeque<ClientMessage>,
}

impl Outgoing {
    /// A new connection: the server knows nothing.
    pub(super) fn greet(&mut self) {
        self.join_is_due = true;
        self.heartbeat_is_due = false;
        self.report_is_due = self.report.is_some();
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

    pub(super) fn forget_signals(&mut self) {
        self.signals.clear();
    }

    fn next(&mut self, joined: bool) -> Option<ClientMessage> {
        if core::mem::take(&mut self.join_is_due) {
            let join = self.join.clone()?;
            return Some(ClientMessage::Join { version: VERSION, join });
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
        self.signals.pop_front()
    }
}

/// What came of a poll.
pub(super) enum Step {
    Event(RendezvousEvent),
    Lost(String),
    Refused(String),
}

/// An open connection.
pub(super) struct Session {
    socket: Socket,
    joined: Option<Joined>,
    /// The connection is lost when this completes.
    patience: Pin<Box<Sleep>>,
    /// What the server said before it closed.
    last_error: Option<String>,
}

struct Joined {
    since: Instant,
    beat: Interval,
}

impl Session {
    pub(super) fn new(socket: Socket) -> Self {
        let patience = Box::pin(sleep(GREETING_TIMEOUT));
        Self { socket, joined: None, patience, last_error: None }
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
            if let Some(joined) = &mut self.joined {
                while joined.beat.poll_tick(context).is_ready() {
                    outgoing.heartbeat_is_due = true;
                }
            }
            if let Err(error) = self.write(context, outgoing) {
                return Poll::Ready(self.lost(error.to_string()));
            }
            let frame = match self.socket.poll_next_unpin(context) {
                Poll::Pending => {
                    let silent = self.patience.as_mut().poll(context).is_ready();
                    return match silent {
                        true => Poll::Ready(self.lost("the server is silent".into())),
                        false => Poll::Pending,
                    };
                }
                Poll::Ready(None) => return Poll::Ready(self.lost("the server closed".into())),
                Poll::Ready(Some(Err(error))) => return Poll::Ready(self.lost(error.to_string())),
                Poll::Ready(Some(Ok(frame))) => frame,
            };
            self.hear();
            if let Some(step) = self.read(&frame) {
                return Poll::Ready(step);
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }

    /// Says goodbye and waits for the server to close, for less than a second.
    pub(super) async fn leave(mut self) {
        let goodbye = async {
            let leave = ClientMessage::Leave.to_json();
            if self.socket.send(Message::text(leave)).await.is_ok() {
                while let Some(Ok(_)) = self.socket.next().await {}
            }
        };
        if timeout(LEAVE_TIMEOUT, goodbye).await.is_err() {
            debug!("the server did not take the goodbye in time");
        }
    }

    fn lost(&mut self, reason: String) -> Step {
        Step::Lost(self.last_error.take().unwrap_or(reason))
    }

    fn write(
        &mut self,
        context: &mut Context<'_>,
        outgoing: &mut Outgoing,
    ) -> Result<(), tungstenite::Error> {
        while let Poll::Ready(ready) = self.socket.poll_ready_unpin(context) {
            ready?;
            let Some(message) = outgoing.next(self.joined.is_some()) else { break };
            self.socket.start_send_unpin(Message::text(message.to_json()))?;
        }
        match self.socket.poll_flush_unpin(context) {
            Poll::Ready(flushed) => flushed,
            Poll::Pending => Ok(()),
        }
    }

    /// Something came: the server is alive.
    fn hear(&mut self) {
        let patience = match &self.joined {
            Some(joined) => joined.beat.period() * BEATS_MISSED_MAX,
            None => GREETING_TIMEOUT,
        };
        self.patience.as_mut().reset(Instant::now() + patience);
    }

    fn read(&mut self, frame: &Message) -> Option<Step> {
        let Message::Text(text) = frame else { return None };
        let message = match ServerMessage::parse(text) {
            Ok(message) => message,
            Err(ProtocolError::UnknownType(kind)) => {
                debug!(kind, "passing over a message of a later version");
                return None;
            }
            Err(error) => {
                warn!(%error, "passing over a message of the server");
                return None;
            }
        };
        match message {
            ServerMessage::Joined { broadcast, heartbeat_ms, .. } => {
                let period = Duration::from_millis(u64::from(heartbeat_ms)).max(BEAT_MIN);
                if self.joined.is_none() {
                    let since = Instant::now();
                    let mut beat = interval_at(since + period, period);
                    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
                    self.joined = Some(Joined { since, beat });
                    self.hear();
                }
                Some(Step::Event(RendezvousEvent::Joined { broadcast }))
            }
            ServerMessage::Error { message, fatal: true, .. } => Some(Step::Refused(message)),
            ServerMessage::Error { code, message, .. } => {
                warn!(%code, message, "the signaling server refuses");
                self.last_error = code.closes().then_some(message);
                None
            }
            // Nothing concerns a peer that is not in.
            _ if self.joined.is_none() => None,
            ServerMessage::Peers { peers } => Some(Step::Event(RendezvousEvent::Peers(peers))),
            ServerMessage::Gone { peer } => Some(Step::Event(RendezvousEvent::Gone(peer))),
            ServerMessage::Signal { from, data } => {
                let signal = data.into_bytes();
                Some(Step::Event(RendezvousEvent::Signal { from, signal }))
            }
            ServerMessage::Heartbeat => None,
        }
    }
}
