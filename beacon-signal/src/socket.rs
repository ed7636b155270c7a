//! One task per WebSocket connection.

use crate::admission::{Asking, Challenge, Visit};
use crate::books::{Errand, now_ms};
use crate::bucket::Bucket;
use crate::outbox::{Closing, Outbox, Outgoing, Verdict, outbox};
use crate::rooms::{Seat, ends_soon};
use crate::server::{Shared, Stage};
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket};
use beacon_ledger::economy::Prefix;
use beacon_ledger::receipt::FORK_PROOF_LEN;
use beacon_ledger::{ForkProof, Receipt};
use beacon_sdk::PeerId;
use beacon_sdk::signaling::{
    ClientMessage, ErrorCode, NONCE_LEN, Nonce, ReceiptData, ServerMessage,
};
use core::ops::ControlFlow;
use core::time::Duration;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::watch;
use tokio::time::{sleep, sleep_until, timeout};
use tracing::{debug, error};

/// A write that takes longer has a reader that does not read.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// For the last words and the other side's goodbye.
const FAREWELL: Duration = Duration::from_secs(1);

/// How a connection ends: with words, or because the other side went.
type End = Option<Closing>;

struct Session {
    shared: Arc<Shared>,
    socket: WebSocket,
    connection: u64,
    challenge: Challenge,
    visit: Visit,
    /// Where it comes from, if that says anything.
    prefix: Option<Prefix>,
    seat: Option<Seat>,
    outbox: Outbox,
    outgoing: Outgoing,
    verdict: Verdict,
    stage: watch::Receiver<Stage>,
    /// Where in a drain this connection's moment is, 0 to 1.
    moment: f64,
    /// When the peer gets leave to use the TURN server anew.
    turn_at: Option<Instant>,
    bucket: Bucket,
    /// When the other side was last heard, or when it came.
    heard: Instant,
    told_of_rate: bool,
}

/// Serves one connection to its end.
pub(crate) async fn run(socket: WebSocket, shared: Arc<Shared>, visit: Visit) {
    let mut nonce = [0; NONCE_LEN];
    if let Err(error) = getrandom::fill(&mut nonce) {
        return error!(%error, "the system has no random numbers: nobody can join");
    }
    let config = &shared.config;
    let now = Instant::now();
    let (outbox, outgoing, verdict) = outbox(config.queue_max, config.queue_bytes_max);
    let mut session = Session {
        socket,
        connection: shared.next_connection(),
        challenge: visit.challenge(now, Nonce::from_bytes(nonce)),
        prefix: visit.address().map(Prefix::of),
        visit,
        seat: None,
        outbox,
        outgoing,
        verdict,
        stage: shared.stage.subscribe(),
        moment: f64::from(nonce[0]) / 256.0 + f64::from(nonce[1]) / 65_536.0,
        turn_at: None,
        bucket: Bucket::new(now, config.rate, config.burst),
        heard: now,
        told_of_rate: false,
        shared: Arc::clone(&shared),
    };
    shared.metrics.connections.inc();
    let end = session.serve().await;
    // Who was told to go elsewhere keeps its place until it has come there, or other nodes see that it has not.
    let moves = matches!(end, Some((ErrorCode::Shutdown, _))) && !config.drain.is_zero();
    if let Some(seat) = session.seat.as_ref().filter(|_| !moves) {
        shared.rooms().leave(seat);
    }
    session.farewell(end).await;
    shared.metrics.connections.dec();
}

impl Session {
    async fn serve(&mut self) -> End {
        let challenge = self.challenge.message();
        if let ControlFlow::Break(end) = self.say(&challenge).await {
            return end;
        }
        // A message above the rate waits here, and nothing is read meanwhile: the sender feels
        // it as back-pressure, and no honest burst is lost.
        let mut held: Option<(Message, Duration)> = None;
        loop {
            let (deadline, silence) = self.deadline();
            let wait = held.as_ref().map(|(_, wait)| *wait);
            let received = tokio::select! {
                closing = closing(&mut self.verdict, &mut self.stage, self.moment) => return Some(closing),
                Some(text) = self.outgoing.next() => {
                    if let ControlFlow::Break(end) = self.write(text).await {
                        return end;
                    }
                    continue;
                }
                () = sleep(wait.unwrap_or_default()), if wait.is_some() => {
                    let Some((message, _)) = held.take() else { continue };
                    message
                }
                received = self.socket.recv(), if wait.is_none() => match received {
                    Some(Ok(message)) => message,
                    Some(Err(error)) => return refusal(error),
                    None => return None,
                },
                () = sleep_until(deadline.into()), if wait.is_none() => {
                    return Some((ErrorCode::Idle, silence.into()));
                }
            };
            let now = Instant::now();
            self.heard = now;
            match self.bucket.take(now) {
                Ok(()) => {
                    if let ControlFlow::Break(end) = self.receive(received).await {
                        return end;
                    }
                }
                Err(wait) => {
                    self.shared.metrics.throttled.inc();
                    held = Some((received, wait));
                    if let ControlFlow::Break(end) = self.tell_of_rate().await {
                        return end;
                    }
                }
            }
        }
    }

    /// When silence ends the connection, and with which words.
    fn deadline(&self) -> (Instant, &'static str) {
        let config = &self.shared.config;
        if self.seat.is_some() {
            (self.heard + config.idle_timeout, "nothing was heard for too long: send heartbeats")
        } else {
            let patience = config.heartbeat() + self.challenge.patience();
            (self.heard + patience, "no join came: send it first")
        }
    }

    async fn receive(&mut self, message: Message) -> ControlFlow<End> {
        let text = match message {
            Message::Text(text) => text,
            Message::Binary(_) => {
                let cause = "binary frames are not understood: send JSON text";
                return self.refuse((ErrorCode::Malformed, cause.into())).await;
            }
            Message::Ping(_) | Message::Pong(_) => return ControlFlow::Continue(()),
            Message::Close(_) => return ControlFlow::Break(None),
        };
        let message = match ClientMessage::parse(&text) {
            Ok(message) => message,
            Err(error) => return self.refuse((error.code(), error.to_string())).await,
        };
        self.shared.metrics.received(&message);
        match (message, &self.seat) {
            (ClientMessage::Heartbeat, _) => self.beat().await,
            (ClientMessage::Leave, _) => ControlFlow::Break(None),
            (ClientMessage::Join { join, session, proof, token, work, .. }, None) => {
                match self.join(Asking { join, session, proof, token, work }).await {
                    Ok(seat) => self.seat = Some(seat),
                    Err(refusal) => return self.refuse(refusal).await,
                }
                ControlFlow::Continue(())
            }
            (ClientMessage::Join { .. }, Some(_)) => {
                let cause = "already joined: open another connection for another broadcast";
                self.refuse((ErrorCode::AlreadyJoined, cause.into())).await
            }
            (_, None) => self.refuse((ErrorCode::NotJoined, "join first".into())).await,
            (ClientMessage::Signal { to, data }, Some(seat)) => {
                let relayed = self.shared.rooms().signal(seat, to, data);
                self.shared.metrics.signal(relayed);
                ControlFlow::Continue(())
            }
            (ClientMessage::Describe(about), Some(seat)) => {
                let taken = self.shared.rooms().describe(seat, about);
                self.answer(taken).await
            }
            (ClientMessage::Thumbnail { data }, Some(seat)) => {
                let taken = self.shared.rooms().picture(Instant::now(), seat, data);
                self.answer(taken).await
            }
            (ClientMessage::Claims { receipts }, Some(seat)) => {
                let taken = self.claim(seat, receipts);
                self.answer(taken).await
            }
            (ClientMessage::MetricsReport(report), Some(seat)) => {
                self.shared.rooms().report(Instant::now(), seat, report);
                ControlFlow::Continue(())
            }
        }
    }

    /// Answers a heartbeat, and renews what ends before many more of them.
    async fn beat(&mut self) -> ControlFlow<End> {
        let due = self.turn_at.is_some_and(|at| at <= Instant::now());
        if let Some(peer) = self.seat.as_ref().map(Seat::peer).filter(|_| due)
            && let Some(leave) = self.turn(peer)
        {
            self.say(&leave).await?;
        }
        self.say(&ServerMessage::Heartbeat).await
    }

    /// Leave to use the TURN server, if there is one.
    fn turn(&mut self, peer: PeerId) -> Option<ServerMessage> {
        let turn = self.shared.config.turn.as_ref()?;
        self.turn_at = Some(Instant::now() + turn.renewal());
        self.shared.metrics.turn.inc();
        Some(turn.grant(now_ms() / 1000, peer))
    }

    /// Lets a peer in that proves to be who it says, and may come.
    async fn join(&mut self, asking: Asking) -> Result<Seat, Closing> {
        let now = Instant::now();
        if !matches!(*self.stage.borrow(), Stage::Serving) {
            return Err(shutdown());
        }
        let metrics = &self.shared.metrics;
        self.visit.join(now).inspect_err(|_| metrics.turned_away("joins"))?;
        let admitted = self.visit.admit((now, now_ms() / 1000), &self.challenge, &asking).await;
        admitted.inspect_err(|(code, _)| {
            if *code == ErrorCode::Crowded {
                metrics.turned_away("work");
            }
        })?;
        let Asking { join, session, .. } = asking;
        let publisher = join.broadcast.filter(|_| join.publish).map(|own| own.publisher);
        let at = (self.connection, session);
        // Before any hint, so that the first dial can use it.
        if let Some(leave) = self.turn(join.peer) {
            self.outbox.send(&leave);
        }
        let seat = self.shared.rooms().join(now, join, at, self.outbox.clone()).await?;
        if let (Some(books), Some(publisher)) = (&self.shared.books, publisher) {
            books.welcome(publisher);
        }
        Ok(seat)
    }

    /// Puts receipts and proofs into the till. Whether they prove anything is seen there.
    fn claim(&self, seat: &Seat, receipts: Vec<ReceiptData>) -> Result<(), Closing> {
        let Some(books) = &self.shared.books else { return Ok(()) };
        for data in receipts {
            let data = data.into_bytes();
            if data.len() == FORK_PROOF_LEN
                && let Ok(proof) = ForkProof::decode(&data)
            {
                books.till.put(Errand::Fork(Box::new(proof)));
                continue;
            }
            let receipt = Receipt::decode(&data);
            let receipt = receipt.ok().filter(|read| read.edge.edge.uploader == seat.peer());
            let Some(receipt) = receipt else {
                let cause = "a claim is a receipt for what this peer carried, or proves that one was \
                             forked: show those that neighbours signed for it";
                return Err((ErrorCode::BadClaim, cause.into()));
            };
            let edge = receipt.edge;
            if ends_soon(now_ms(), &edge) && edge.verify(&books.issuer().public()).is_ok() {
                self.shared.rooms().renew(seat, &edge.edge);
            }
            let prefix = self.prefix.clone();
            books.till.put(Errand::Claim { receipt: Box::new(receipt), prefix });
        }
        Ok(())
    }

    /// Tells what was wrong, if anything was.
    async fn answer(&mut self, taken: Result<(), Closing>) -> ControlFlow<End> {
        match taken {
            Ok(()) => ControlFlow::Continue(()),
            Err(refusal) => self.refuse(refusal).await,
        }
    }

    /// Tells an error; ends the connection when the code says so.
    async fn refuse(&mut self, (code, cause): Closing) -> ControlFlow<End> {
        if code.closes() {
            return ControlFlow::Break(Some((code, cause)));
        }
        self.shared.metrics.refused(code);
        self.say(&ServerMessage::error(code, cause)).await
    }

    /// Once per connection: a client's author should learn why it is slow.
    async fn tell_of_rate(&mut self) -> ControlFlow<End> {
        if core::mem::replace(&mut self.told_of_rate, true) {
            return ControlFlow::Continue(());
        }
        let rate = self.shared.config.rate;
        let cause = format!("more than {rate} messages per second: the surplus waits");
        self.refuse((ErrorCode::Rate, cause)).await
    }

    async fn say(&mut self, message: &ServerMessage) -> ControlFlow<End> {
        self.write(message.to_json().into()).await
    }

    async fn write(&mut self, text: Utf8Bytes) -> ControlFlow<End> {
        let sending = timeout(WRITE_TIMEOUT, self.socket.send(Message::Text(text)));
        tokio::select! {
            sent = sending => match sent {
                Ok(Ok(())) => {
                    self.shared.metrics.sent.inc();
                    ControlFlow::Continue(())
                }
                Ok(Err(_)) => ControlFlow::Break(None),
                Err(_) => {
                    let cause = "messages were not read in time: connect again";
                    ControlFlow::Break(Some((ErrorCode::Slow, cause.into())))
                }
            },
            // A reader that does not read must not hold up its own end.
            closing = closing(&mut self.verdict, &mut self.stage, self.moment) => {
                ControlFlow::Break(Some(closing))
            }
        }
    }

    /// Says why, closes, and reads on for a moment: a socket closed over unread input is reset,
    /// and the reset would overtake the reason.
    async fn farewell(mut self, end: End) {
        let frame = match end {
            Some((code, cause)) => {
                debug!(connection = self.connection, %code, cause, "closing a connection");
                self.shared.metrics.refused(code);
                let error = ServerMessage::error(code, &cause).to_json();
                let error = Message::Text(error.into());
                if !matches!(timeout(FAREWELL, self.socket.send(error)).await, Ok(Ok(()))) {
                    return;
                }
                CloseFrame { code: code.close_code(), reason: code.as_str().into() }
            }
            None => CloseFrame { code: 1000, reason: "".into() },
        };
        let _ = timeout(FAREWELL, async {
            if self.socket.send(Message::Close(Some(frame))).await.is_ok() {
                while let Some(Ok(_)) = self.socket.recv().await {}
            }
        })
        .await;
    }
}

/// What a peer is told when the server stops.
fn shutdown() -> Closing {
    (ErrorCode::Shutdown, "the server stops: connect again, to another one if there is".to_owned())
}

/// Waits until the rooms or the server want the connection closed.
async fn closing(
    verdict: &mut Verdict,
    stage: &mut watch::Receiver<Stage>,
    moment: f64,
) -> Closing {
    tokio::select! {
        closing = verdict.wait_for(Option::is_some) => match closing {
            Ok(closing) => closing.clone().unwrap_or_else(shutdown),
            // The session holds an outbox itself: the sender cannot be gone.
            Err(_) => shutdown(),
        },
        () = Stage::over(stage, moment) => shutdown(),
    }
}

/// What a failed read means: too large a message has an answer, a broken connection has none.
fn refusal(error: axum::Error) -> End {
    let error = error.into_inner();
    let error = error.downcast_ref::<tungstenite::Error>()?;
    match error {
        tungstenite::Error::Capacity(_) => {
            Some((ErrorCode::TooLarge, "a message is at most 32768 bytes".into()))
        }
        tungstenite::Error::Protocol(_) | tungstenite::Error::Utf8(_) => {
            Some((ErrorCode::Malformed, format!("not WebSocket: {error}")))
        }
        _ => None,
    }
}
