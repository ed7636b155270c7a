//! How long a join takes while many peers are in: one process, loopback, server and peers together.
//!
//! `cargo run --release -p beacon-signal --example load -- 2000` opens 2000 connections in rooms of
//! 500, then measures 500 further joins, one after the other, from `connect` to the first hints.
//! Both ends need an open file: `ulimit -n` must be above twice the number.

use beacon_sdk::plugin::Join;
use beacon_sdk::signaling::{ClientMessage, Proof, ServerMessage, VERSION};
use beacon_sdk::{BroadcastId, Identity};
use beacon_signal::{Config, Server};
use futures_util::{SinkExt, StreamExt};
use std::error::Error;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

const ROOM: u32 = 500;
const MEASURED: u32 = 500;

fn identity(number: u32) -> Identity {
    let mut secret = [0; 32];
    secret[..4].copy_from_slice(&number.to_be_bytes());
    Identity::from_secret(secret)
}

/// Joins as the `number`-th peer; the first of a room is its origin, and has no hints to wait for.
async fn join(url: &str, number: u32) -> Result<Socket, Box<dyn Error>> {
    // The default buffer of 128 KiB would hide what the server's end takes.
    let small = WebSocketConfig::default().read_buffer_size(4 * 1024);
    let (mut socket, _) = connect_async_with_config(url, Some(small), true).await?;
    let publish = number.is_multiple_of(ROOM);
    let (me, session) = (identity(number), 1);
    let broadcast = publish.then_some(BroadcastId { publisher: me.public(), epoch: 1 });
    let name = format!("room-{}", number / ROOM);
    let join = Join { name, peer: me.public(), broadcast, publish };
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
                socket.send(Message::text(join.to_json())).await?;
            }
            ServerMessage::Joined { .. } if publish => return Ok(socket),
            ServerMessage::Peers { .. } => return Ok(socket),
            ServerMessage::Error { message, .. } => return Err(message.into()),
            _ => {}
        }
    }
    Err("closed".into())
}

/// Resident memory of this process in KiB, where the system tells.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let idle: u32 = std::env::args().nth(1).map_or(Ok(2000), |count| count.parse())?;
    let server = Server::bind(([127, 0, 0, 1], 0).into(), Config::default()).await?;
    let url = format!("ws://{}", server.local_addr());
    let serving = tokio::spawn(server.serve(std::future::pending()));

    let before = resident();
    let start = Instant::now();
    let mut drains = Vec::new();
    for number in 0..idle {
        let socket = join(&url, number).await?;
        drains.push(tokio::spawn(read_on(socket)));
    }
    let opened = start.elapsed();
    println!("{idle} connections in {opened:.2?}, {:.0}/s", f64::from(idle) / opened.as_secs_f64());
    if let (Some(before), Some(after)) = (before, resident()) {
        println!(
            "{} KiB per connection, both ends",
            after.saturating_sub(before) / u64::from(idle)
        );
    }

    let mut times = Vec::new();
    for number in idle..idle + MEASURED {
        let start = Instant::now();
        let socket = join(&url, number).await?;
        times.push(start.elapsed());
        drains.push(tokio::spawn(read_on(socket)));
        // Apart from each other, as an audience comes.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    times.sort();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100];
    println!("connect to hints: p50 {:.2?}, p99 {:.2?}, max {:.2?}", at(50), at(99), at(100));
    serving.abort();
    drains.iter().for_each(tokio::task::JoinHandle::abort);
    Ok(())
}

/// An idle peer: heartbeats, and reads what comes.
async fn read_on(mut socket: Socket) {
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
