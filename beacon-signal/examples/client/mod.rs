//! A peer that joins, beats and reads, for measurements: no client of ours in between.

use beacon_sdk::plugin::Join;
use beacon_sdk::signaling::{ClientMessage, Proof, ServerMessage, VERSION};
use beacon_sdk::{BroadcastId, Identity};
use futures_util::{SinkExt, StreamExt};
use std::error::Error;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

pub(crate) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;
pub(crate) type Failed = Box<dyn Error + Send + Sync>;

/// Peers of a room, its origin included.
const ROOM: u32 = 500;
/// Joins that are measured, one after the other.
pub(crate) const MEASURED: u32 = 500;

/// Who comes as the `number`-th: the first of a room is its origin.
pub(crate) fn guest(number: u32) -> (Identity, Join) {
    let mut secret = [0; 32];
    secret[..4].copy_from_slice(&number.to_be_bytes());
    let me = Identity::from_secret(secret);
    let publish = number.is_multiple_of(ROOM);
    let broadcast = publish.then_some(BroadcastId { publisher: me.public(), epoch: 1 });
    let name = format!("room-{}", number / ROOM);
    let join = Join { name, peer: me.public(), broadcast, publish };
    (me, join)
}

/// Connects and joins; the time from the join to the first hints, which an origin does not wait for.
pub(crate) async fn join(url: &str, number: u32) -> Result<(Socket, Duration), Failed> {
    // The default buffer of 128 KiB would hide what the server's end takes.
    let small = WebSocketConfig::default().read_buffer_size(4 * 1024);
    let (mut socket, _) = connect_async_with_config(url, Some(small), true).await?;
    let (me, join) = guest(number);
    let (publish, session) = (join.publish, 1);
    let mut asked = Instant::now();
    while let Some(frame) = socket.next().await {
        match ServerMessage::parse(frame?.to_text()?)? {
            ServerMessage::Challenge { nonce, .. } => {
                let (proof, join) = (Proof::sign(&me, &nonce, session, &join), join.clone());
                let join = ClientMessage::Join {
                    version: VERSION,
                    join,
                    session,
                    proof,
                    token: None,
                    work: None,
                };
                asked = Instant::now();
                socket.send(Message::text(join.to_json())).await?;
            }
            ServerMessage::Joined { .. } if publish => return Ok((socket, asked.elapsed())),
            ServerMessage::Peers { .. } => return Ok((socket, asked.elapsed())),
            ServerMessage::Error { message, .. } => return Err(message.into()),
            _ => {}
        }
    }
    Err("closed".into())
}

/// An idle peer: heartbeats, and reads what comes.
pub(crate) async fn read_on(mut socket: Socket) {
    let mut beat = tokio::time::interval(Duration::from_secs(10));
    loop {
        tokio::select! {
            _ = beat.tick() => {
                let beat = ClientMessage::Heartbeat.to_json();
                if socket.send(Message::text(beat)).await.is_err() { return; }
            }
            frame = socket.next() => if !matches!(frame, Some(Ok(_))) { return; },
        }
    }
}

/// The median of some times, the 99th percentile and the longest, in words.
pub(crate) fn spread(mut times: Vec<Duration>) -> String {
    times.sort();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100];
    format!("p50 {:.2?}, p99 {:.2?}, max {:.2?}", at(50), at(99), at(100))
}
