//! CPU time and memory of processes.

use anyhow::{Context, Result};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;

/// One tick of the CPU times in `/proc/PID/stat`: `USER_HZ`, 100 on every Linux platform.
const TICK_SECONDS: f64 = 0.01;

/// What this process has used so far.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Own {
    pub(crate) cpu_s: f64,
    /// Times a thread of this process went to sleep.
    pub(crate) sleeps: i64,
}

impl Own {
    pub(crate) fn now() -> Result<Self> {
        let usage = getrusage(UsageWho::RUSAGE_SELF).context("no CPU time from the system")?;
        let seconds = |time: TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
        let cpu_s = seconds(usage.user_time()) + seconds(usage.system_time());
        Ok(Self { cpu_s, sleeps: usage.voluntary_context_switches() })
    }
}

/// CPU seconds that a process has used so far.
pub(crate) fn cpu_seconds(pid: u32) -> Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .with_context(|| format!("process {pid} is gone"))?;
    // The name, in brackets, may hold anything; user and system time are the 12th and 13th
    // fields after it.
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks: f64 = after_name
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse::<f64>().ok())
        .sum();
    Ok(ticks * TICK_SECONDS)
}

/// Bytes of memory that a process has in RAM, and of those the ones it shares with no other.
pub(crate) fn memory(pid: u32) -> Result<(u64, u64)> {
    let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))
        .with_context(|| format!("process {pid} is gone"))?;
    let bytes = |names: &[&str]| -> u64 {
        rollup
            .lines()
            .filter_map(|line| {
                let (name, rest) = line.split_once(':')?;
                let wanted = names.contains(&name);
                rest.trim().split(' ').next()?.parse::<u64>().ok().filter(|_| wanted)
            })
            .sum::<u64>()
            * 1024
    };
    Ok((bytes(&["Rss"]), bytes(&["Private_Clean", "Private_Dirty"])))
}

/// The machine's load average over the last minute.
pub(crate) fn load() -> f64 {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().and_then(|first| first.parse().ok()).unwrap_or(f64::NAN)
}
