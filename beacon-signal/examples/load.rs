//! How long a join takes while many peers are in: one process, loopback, server and peers together.
//!
//! `cargo run --release -p beacon-signal --example load -- 2000` opens 2000 connections in rooms of
//! 500, then measures 500 further joins, one after the other, from `connect` to the first hints.
//! Both ends need an open file: `ulimit -n` must be above twice the number.

mod client;

use beacon_signal::{Config, Server};
use client::{Failed, MEASURED, join, read_on, spread};
use std::time::{Duration, Instant};

/// Resident memory of this process in KiB, where the system tells.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[tokio::main]
async fn main() -> Result<(), Failed> {
    let idle: u32 = std::env::args().nth(1).map_or(Ok(2000), |count| count.parse())?;
    let server = Server::bind(([127, 0, 0, 1], 0).into(), Config::default()).await?;
    let url = format!("ws://{}", server.local_addr());
    let serving = tokio::spawn(server.serve(std::future::pending()));

    let before = resident();
    let start = Instant::now();
    let mut drains = Vec::new();
    for number in 0..idle {
        let (socket, _) = join(&url, number).await?;
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
        let (socket, _) = join(&url, number).await?;
        times.push(start.elapsed());
        drains.push(tokio::spawn(read_on(socket)));
        // Apart from each other, as an audience comes.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    println!("connect to hints: {}", spread(times));
    serving.abort();
    drains.iter().for_each(tokio::task::JoinHandle::abort);
    Ok(())
}
