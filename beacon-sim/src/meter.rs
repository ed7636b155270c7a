//! What a run costs the machine: CPU time of this thread, memory of this process.

use std::time::Instant;

/// Runs from [`Meter::start`].
#[derive(Debug)]
pub(crate) struct Meter {
    cpu: f64,
    memory: u64,
}

impl Meter {
    pub(crate) fn start() -> Self {
        Self { cpu: cpu_s(), memory: resident("VmRSS:") }
    }

    /// CPU seconds of this thread since; wall-clock seconds where those cannot be had.
    pub(crate) fn cpu_s(&self) -> f64 {
        cpu_s() - self.cpu
    }

    /// Bytes by which the process has grown at its largest; 0 where that cannot be had.
    pub(crate) fn memory(&self) -> u64 {
        resident("VmHWM:").saturating_sub(self.memory)
    }
}

#[cfg(target_os = "linux")]
fn cpu_s() -> f64 {
    use nix::sys::resource::{UsageWho, getrusage};
    let seconds = |t: nix::sys::time::TimeVal| t.tv_sec() as f64 + t.tv_usec() as f64 / 1e6;
    getrusage(UsageWho::RUSAGE_THREAD).map_or_else(
        |_| wall_s(),
        |usage| seconds(usage.user_time()) + seconds(usage.system_time()),
    )
}

#[cfg(not(target_os = "linux"))]
fn cpu_s() -> f64 {
    wall_s()
}

fn wall_s() -> f64 {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_secs_f64()
}

/// A line of `/proc/self/status`, in bytes.
fn resident(line: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let found = status.lines().find_map(|text| text.strip_prefix(line));
    let kib = found.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}
