//! Frames between a link's lanes and its channels.

use super::connection::Connection;
use super::inbox::{Report, Reporter};
use super::outbox::cost;
use crate::lane::{GO, HOLD, OPEN, frame_max};
use beacon_sdk::plugin::{CloseReason, Lane};
use bytes::{Bytes, BytesMut};
use std::time::Duration;
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep};
use webrtc::data_channel::{DataChannel, DataChannelEvent};
use webrtc::peer_connection::RTCPeerConnectionState;

/// A lane that is out of room looks again this often, beside the stack's own event, which is
/// edge-triggered and counts otherwise than we do.
const ROOM_POLL: Duration = Duration::from_millis(5);
/// After `close`, what is queued has this long to be acknowledged.
const LINGER: Duration = Duration::from_millis(200);

/// Carries frames until the link is lost, and says why it was, or until `stop` resolves.
pub(super) async fn run(
    connection: &Connection,
    reporter: &Reporter,
    stop: oneshot::Receiver<()>,
) -> CloseReason {
    tokio::select! {
        reason = send(connection, reporter, stop) => reason,
        reason = receive(Lane::Control, connection, reporter) => reason,
        reason = receive(Lane::Data, connection, reporter) => reason,
        reason = watch(connection.state.clone()) => reason,
    }
}

async fn watch(mut state: watch::Receiver<RTCPeerConnectionState>) -> CloseReason {
    loop {
        match *state.borrow_and_update() {
            RTCPeerConnectionState::Disconnected | RTCPeerConnectionState::Failed => {
                return CloseReason::Timeout;
            }
            RTCPeerConnectionState::Closed => return CloseReason::Remote,
            _ => {}
        }
        if state.changed().await.is_err() {
            return CloseReason::Failed;
        }
    }
}

struct Sender<'a> {
    lane: Lane,
    channel: &'a dyn DataChannel,
    batch: Vec<Bytes>,
    sent: usize,
}

impl<'a> Sender<'a> {
    fn new(lane: Lane, connection: &'a Connection) -> Self {
        Self { lane, channel: &**connection.channel(lane), batch: Vec::new(), sent: 0 }
    }

    /// Hands all that is queued to the stack. The window bounds it, so it all fits.
    async fn drain(&mut self, reporter: &Reporter) -> webrtc::error::Result<()> {
        reporter.link.outbox.take(self.lane, &mut self.batch);
        for frame in self.batch.drain(..) {
            self.sent = self.sent.wrapping_add(cost(&frame));
            let owned = frame.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&shared[..]));
            self.channel.try_send(owned).await?;
        }
        Ok(())
    }

    /// Learns what the stack is done with, where it matters. `true` when the lane still waits
    /// for room.
    async fn release(&self, reporter: &Reporter) -> webrtc::error::Result<bool> {
        let outbox = &reporter.link.outbox;
        if outbox.is_starved(self.lane) || outbox.is_high(self.lane) {
            let outstanding = self.channel.outstanding_bytes().await?;
            if outbox.release(self.lane, self.sent, outstanding) {
                reporter.report(Report::Writable(self.lane));
            }
        }
        Ok(outbox.is_starved(self.lane))
    }
}

async fn send(
    connection: &Connection,
    reporter: &Reporter,
    mut stop: oneshot::Receiver<()>,
) -> CloseReason {
    let outbox = &reporter.link.outbox;
    let mut lanes = [Lane::Control, Lane::Data].map(|lane| Sender::new(lane, connection));
    let rounds = async {
        for sender in &lanes {
            let low = u32::try_from(outbox.low(sender.lane)).unwrap_or(u32::MAX);
            sender.channel.set_buffered_amount_low_threshold(low).await?;
        }
        loop {
            let mut starved = false;
            for sender in &mut lanes {
                sender.drain(reporter).await?;
            }
            for sender in &lanes {
                starved |= sender.release(reporter).await?;
            }
            tokio::select! {
                () = outbox.wake.notified() => {}
                () = sleep(ROOM_POLL), if starved => {}
                _ = &mut stop => break,
            }
        }
        for sender in &mut lanes {
            sender.drain(reporter).await?;
        }
        // What was sent last has some time to arrive: the engine says why it closes, and closes.
        let deadline = Instant::now() + LINGER;
        while connection.control.outstanding_bytes().await? > 0 && Instant::now() < deadline {
            sleep(ROOM_POLL).await;
        }
        Ok::<_, webrtc::error::Error>(())
    };
    match rounds.await {
        Ok(()) => CloseReason::Done,
        // The usual cause is a channel that the peer closed; `receive` is only sometimes first.
        Err(webrtc::error::Error::ErrDataChannelClosed) => CloseReason::Remote,
        Err(error) => {
            tracing::debug!(%error, peer = ?reporter.link.peer, "sending failed");
            CloseReason::Failed
        }
    }
}

async fn receive(lane: Lane, connection: &Connection, reporter: &Reporter) -> CloseReason {
    let channel = connection.channel(lane);
    let outbox = &reporter.link.outbox;
    loop {
        match channel.poll().await {
            Some(DataChannelEvent::OnMessage(message)) if message.is_string => {
                match (lane, message.data.as_ref()) {
                    // Repeated before we were heard.
                    (Lane::Control, word) if word == OPEN.as_bytes() => {}
                    (Lane::Control, word) if word == HOLD.as_bytes() => outbox.hold(true),
                    (Lane::Control, word) if word == GO.as_bytes() => outbox.hold(false),
                    _ => return CloseReason::Protocol,
                }
            }
            Some(DataChannelEvent::OnMessage(message)) if message.data.len() > frame_max(lane) => {
                return CloseReason::Protocol;
            }
            Some(DataChannelEvent::OnMessage(message)) => match lane {
                Lane::Control => reporter.control(message.data.freeze()).await,
                Lane::Data => reporter.data(message.data.freeze()),
            },
            Some(DataChannelEvent::OnBufferedAmountLow) => {
                if outbox.is_starved(lane) {
                    outbox.wake.notify_one();
                }
            }
            Some(DataChannelEvent::OnClose) => return CloseReason::Remote,
            Some(_) => {}
            // The stack's task has ended by itself.
            None => return CloseReason::Failed,
        }
    }
}
