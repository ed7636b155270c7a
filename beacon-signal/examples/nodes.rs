//! What signaling costs with one node and with two that share their rooms, and how long peers of a killed node are away.
//!
//! `cargo run --release -p beacon-signal --example nodes -- 15000 [REDIS]` opens 15,000 idle peers in rooms of 500, half at
//! each node if `REDIS` is an address such as `unix:///run/redis.sock` (an empty one: all its keys of ours are in the way),
//! and then measures 500 further joins, one after the other. Nodes are processes of their own, so that what an idle peer takes
//! is the server's end alone; `target/release/beacon-signal` has to be built. With Redis, 1000 peers more come as clients
//! do, half to each node, and one node is killed. Needs as many open files as peers (`ulimit -n`).

mod client;

use beacon_sdk::Rendezvous;
use beacon_sdk::plugin::RendezvousEvent;
use beacon_transport_webrtc::SignalClient;
use client::{Failed, MEASURED, guest, join, read_on, spread};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

const CLIENTS: u32 = 1000;
/// Seconds for which idle peers are watched.
const IDLE: u64 = 30;

/// A server that is a process of its own.
struct Node {
    process: Child,
    url: String,
}

impl Node {
    fn start(redis: Option<&str>) -> Result<Self, Failed> {
        let program = std::env::current_exe()?;
        let folder = program.parent().and_then(|examples| examples.parent()).ok_or("no folder")?;
        let mut command = Command::new(folder.join("beacon-signal"));
        command.args(["--listen", "127.0.0.1:0", "--connections-max", "18000"]);
        command.args(["--peers-max", "20000"]).env("RUST_LOG", "warn");
        command.args(redis.into_iter().flat_map(|redis| ["--redis", redis]));
        let mut process = command.stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        BufReader::new(process.stdout.take().ok_or("no output")?).read_line(&mut line)?;
        let url = line.trim().strip_prefix("listening on ").ok_or("the node did not start")?;
        Ok(Self { url: url.to_owned(), process })
    }

    /// Resident KiB, and hundredths of a second of processor time, where the system tells.
    fn takes(&self) -> Option<(u64, u64)> {
        let id = self.process.id();
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).ok()?;
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        // Fields 14 and 15, counted after the name in brackets.
        let fields: Vec<&str> = stat.rsplit(')').next()?.split_whitespace().collect();
        let time = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
        Some((resident.split_whitespace().next()?.parse().ok()?, time))
    }
}

impl Drop for Node {
    /// By SIGKILL, where there is one.
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn takes(nodes: &[Node]) -> (u64, u64) {
    let sum = |(resident, time), more: (u64, u64)| (resident + more.0, time + more.1);
    nodes.iter().filter_map(Node::takes).fold((0, 0), sum)
}

/// Idle peers, and what one of them takes of the nodes and how long it waits for its first hints.
async fn idle(nodes: &[Node], peers: u32) -> Result<(), Failed> {
    let url = |number: u32| nodes[number as usize % nodes.len()].url.as_str();
    let (before, start) = (takes(nodes), Instant::now());
    for number in 0..peers {
        let (socket, _) = join(url(number), number).await?;
        tokio::spawn(read_on(socket));
    }
    println!("{peers} peers in {:.1?}", start.elapsed());
    let opened = takes(nodes);
    let each = |of: u64| of as f64 / f64::from(peers);
    println!("{:.1} KiB each", each(opened.0.saturating_sub(before.0)));
    tokio::time::sleep(Duration::from_secs(IDLE)).await;
    let micros = takes(nodes).1.saturating_sub(opened.1) * 10_000 / IDLE;
    println!("{:.1} us of processor time each and second", each(micros));

    let mut times = Vec::new();
    for number in peers..peers + MEASURED {
        let (socket, time) = join(url(number), number).await?;
        times.push(time);
        tokio::spawn(read_on(socket));
        // Apart from each other, as an audience comes.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    println!("join to hints: {}", spread(times));
    Ok(())
}

/// Kills the first of two nodes; seconds until all its clients are in at the other.
async fn killed(mut nodes: Vec<Node>, first: u32) -> Result<(), Failed> {
    let (told, mut joined) = mpsc::channel(CLIENTS as usize);
    for number in first..first + CLIENTS {
        let turn = number as usize % 2;
        let urls = format!("{},{}", nodes[turn].url, nodes[1 - turn].url);
        let ((me, join), told) = (guest(number), told.clone());
        let mut client = SignalClient::new(&urls, &me)?;
        client.join(join);
        tokio::spawn(async move {
            while let Ok(event) = client.next_event().await {
                let joined = matches!(event, RendezvousEvent::Joined { .. });
                if joined && told.send(number).await.is_err() {
                    return;
                }
            }
        });
    }
    for _ in 0..CLIENTS {
        joined.recv().await;
    }
    // An origin that came late has its viewers told of it by the same event.
    tokio::time::sleep(Duration::from_secs(2)).await;
    while joined.try_recv().is_ok() {}
    drop(nodes.remove(0));
    let start = Instant::now();
    let mut back: Vec<u32> = (first..first + CLIENTS).filter(|number| number % 2 == 0).collect();
    let away = back.len();
    while !back.is_empty() {
        let number = joined.recv().await.ok_or("all clients have ended")?;
        back.retain(|other| *other != number);
    }
    println!("{away} clients of the killed node are back after {:.1?}", start.elapsed());
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Failed> {
    let mut args = std::env::args().skip(1);
    let peers: u32 = args.next().map_or(Ok(2000), |count| count.parse())?;
    let redis = args.next();
    let count = if redis.is_some() { 2 } else { 1 };
    let nodes: Vec<Node> =
        (0..count).map(|_| Node::start(redis.as_deref())).collect::<Result<_, _>>()?;
    println!("{count} node(s)");
    idle(&nodes, peers).await?;
    if redis.is_some() {
        killed(nodes, peers + MEASURED).await?;
    }
    Ok(())
}
