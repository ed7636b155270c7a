//! One browser's WebSocket: it is sent the log and the counters, and says nothing.

use super::hub::Hub;
use super::log::Cursor;
use super::message::Message;
use axum::extract::ws::{CloseFrame, WebSocket, close_code};
use core::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};
use tracing::debug;

/// Counters are sent this often.
const STATS_EVERY: Duration = Duration::from_secs(1);
/// A browser that takes no message for this long is let go; it may come back.
const SEND_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a browser may take for what is left when the page closes.
pub(super) const GRACE: Duration = Duration::from_secs(1);

/// Why a browser's connection ends.
enum End {
    /// It left, or the network did.
    Gone,
    /// The page closes and everything has been sent.
    Stopped,
    /// It sent what a page never does.
    Spoke,
}

/// Serves one browser until either side goes.
pub(super) async fn run(mut socket: WebSocket, hub: &Hub) {
    let mut stop = hub.stop.subscribe();
    let last = async {
        // The hub outlives its browsers, so this waits for `true` only.
        let _ = stop.wait_for(|stop| *stop).await;
        sleep_until(Instant::now() + GRACE).await;
    };
    let end = tokio::select! {
        end = feed(&mut socket, hub) => end,
        () = last => End::Stopped,
    };
    let (code, reason) = match end {
        End::Gone => return,
        End::Stopped => (close_code::AWAY, "the viewer has stopped"),
        End::Spoke => (close_code::POLICY, "this stream is read only"),
    };
    let close = Message::Close(Some(CloseFrame { code, reason: reason.into() }));
    // A browser that cannot be told finds out by itself.
    let _ = timeout(GRACE, socket.send(close)).await;
}

async fn feed(socket: &mut WebSocket, hub: &Hub) -> End {
    let mut cursor = Cursor::default();
    let (mut news, mut stop) = (hub.news(), hub.stop.subscribe());
    let mut tick = interval(STATS_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        news.mark_unchanged();
        while let Some(message) = hub.read(&mut cursor) {
            if let Some(end) = send(socket, message).await {
                return end;
            }
        }
        if *stop.borrow_and_update() {
            return End::Stopped;
        }
        tokio::select! {
            // Neither sender goes before the hub does.
            _ = news.changed() => {}
            _ = stop.changed() => {}
            _ = tick.tick() => {
                if let Some(message) = hub.stats()
                    && let Some(end) = send(socket, message).await
                {
                    return end;
                }
            }
            heard = socket.recv() => match heard {
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(Message::Text(_) | Message::Binary(_))) => return End::Spoke,
                Some(Ok(Message::Close(_)) | Err(_)) | None => return End::Gone,
            },
        }
    }
}

/// Sends one message; what it gives is the end of the connection.
async fn send(socket: &mut WebSocket, message: Message) -> Option<End> {
    match timeout(SEND_TIMEOUT, socket.send(message)).await {
        Ok(Ok(())) => None,
        Ok(Err(error)) => {
            debug!(%error, "a browser left");
            Some(End::Gone)
        }
        Err(_) => {
            debug!("a browser takes nothing any more and is let go");
            Some(End::Gone)
        }
    }
}
