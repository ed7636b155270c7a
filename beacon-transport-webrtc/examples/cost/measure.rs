//! The load, and the clocks.

use beacon_sdk::plugin::Lane;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// One tick of the CPU times in `/proc/self/stat`: `USER_HZ`, 100 on every Linux platform.
const TICK_SECONDS: f64 = 0.01;

#[derive(Copy, Clone, PartialEq, Eq)]
pub(crate) enum Flow {
    Flood,
    Paced,
}

#[derive(Copy, Clone)]
pub(crate) struct Load {
    pub(crate) lane: Lane,
    pub(crate) frame: usize,
    pub(crate) flow: Flow,
}

impl Load {
    pub(crate) const fn new(lane: Lane, frame: usize, flow: Flow) -> Self {
        Self { lane, frame, flow }
    }
}

/// Interval and frames of a burst: 9 × 1152 bytes in 2 ms are 41 Mbit/s.
pub(crate) const BURST_INTERVAL: Duration = Duration::from_millis(2);
pub(crate) const BURST_FRAMES: usize = 9;

pub(crate) struct Clock {
    began: Instant,
    cpu: f64,
    bytes: u64,
}

pub(crate) struct Cost {
    seconds: f64,
    cpu: f64,
    bytes: u64,
}

fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("/proc");
    let after_name = stat.rsplit(')').next().expect("a process line");
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    // User and system time are fields 14 and 15 of the line, 2 of which come before.
    let ticks: f64 = fields[11..13].iter().map(|field| field.parse::<f64>().expect("ticks")).sum();
    ticks * TICK_SECONDS
}

impl Clock {
    pub(crate) fn start(received: &AtomicU64) -> Self {
        let bytes = received.load(Ordering::Relaxed);
        Self { began: Instant::now(), cpu: cpu_seconds(), bytes }
    }

    pub(crate) fn stop(self, received: &AtomicU64) -> Cost {
        Cost {
            seconds: self.began.elapsed().as_secs_f64(),
            cpu: cpu_seconds() - self.cpu,
            bytes: received.load(Ordering::Relaxed) - self.bytes,
        }
    }
}

impl Cost {
    /// CPU seconds per gigabyte.
    pub(crate) fn print(self, name: &str) -> f64 {
        let gigabytes = self.bytes as f64 / 1e9;
        let (rate, cost) = (gigabytes * 8e3 / self.seconds, self.cpu / gigabytes);
        println!("{name} {rate:7.0} Mbit/s {cost:6.2} CPU s/GB");
        cost
    }
}

pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
