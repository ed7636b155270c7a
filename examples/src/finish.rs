//! How a program runs to its end: signals, time limit, counters, exit code.

use anyhow::{Context, Result};
use beacon_sdk::{DriveError, Driver, Snapshot, Stopper};
use std::future::Future;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use tokio::sync::watch;

/// Log lines go to stderr; `RUST_LOG` chooses them.
pub fn logging() {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| "warn,webrtc=error,rtc=error".into());
    let colours = std::io::IsTerminal::is_terminal(&std::io::stderr());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(colours)
        .with_writer(std::io::stderr)
        .init();
}

/// Runs `program` on a runtime of its own and turns its result into an exit code: 0 done,
/// 1 failed. (Bad usage ends with 2 before this.)
pub fn main(program: impl Future<Output = Result<()>>) -> ExitCode {
    run(tokio::runtime::Builder::new_multi_thread(), program)
}

/// As [`main`] for a program that carries one stream: one thread is enough for it, and tasks that
/// wake each other on one thread spend less than those that wake another thread.
pub fn main_on_one_thread(program: impl Future<Output = Result<()>>) -> ExitCode {
    run(tokio::runtime::Builder::new_current_thread(), program)
}

fn run(
    mut runtime: tokio::runtime::Builder,
    program: impl Future<Output = Result<()>>,
) -> ExitCode {
    logging();
    let runtime = match runtime.enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: no runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(program) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Prints a line for the user. A reader that has gone, as of `| head -1`, ends nothing.
pub fn say(line: impl std::fmt::Display) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Ends when the user or the system asks this process to end: SIGINT or SIGTERM.
pub async fn asked_to_end() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    let _ = tokio::signal::ctrl_c().await;
}

/// Drives a peer to its end: the broadcast's, the time limit's or the user's. Writes counters
/// every second and at the end.
///
/// # Errors
/// What the driver ends with, or a counters file that cannot be written.
pub async fn drive(
    driver: Driver,
    stop: Stopper,
    snapshots: watch::Receiver<Snapshot>,
    stats: Option<PathBuf>,
    duration: Option<Duration>,
) -> Result<()> {
    let limit = async {
        match duration {
            Some(duration) => tokio::time::sleep(duration).await,
            None => std::future::pending().await,
        }
    };
    let write = |snapshots: &watch::Receiver<Snapshot>| match &stats {
        Some(path) => write_stats(path, &snapshots.borrow()),
        None => Ok(()),
    };
    let mut second = tokio::time::interval(Duration::from_secs(1));
    let mut ending = false;
    tokio::pin!(driver, limit);
    let asked = asked_to_end();
    tokio::pin!(asked);
    let result: Result<(), DriveError> = loop {
        tokio::select! {
            result = &mut driver => break result,
            () = &mut limit, if !ending => { ending = true; stop.stop(); }
            () = &mut asked, if !ending => { ending = true; stop.stop(); }
            _ = second.tick() => write(&snapshots)?,
        }
    };
    write(&snapshots)?;
    result.map_err(Into::into)
}

/// Writes counters so that a reader never sees half of them.
fn write_stats(path: &Path, snapshot: &Snapshot) -> Result<()> {
    let text = serde_json::to_string_pretty(&snapshot.stats)?;
    let part = path.with_extension("part");
    std::fs::write(&part, text + "\n")
        .and_then(|()| std::fs::rename(&part, path))
        .with_context(|| format!("--stats {}: cannot be written", path.display()))
}
