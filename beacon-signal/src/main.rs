//! `beacon-signal`: the signaling and tracker server.

mod commands;
mod options;

use beacon_signal::Server;
use clap::Parser;
use options::Args;
use std::io::Write;
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .with_writer(std::io::stderr)
        .init();
    let config = args.config();
    if let Some(command) = args.command {
        return match commands::run(command).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("beacon-signal: {error}");
                ExitCode::FAILURE
            }
        };
    }
    if let Err(error) = config.check() {
        eprintln!("beacon-signal: {error}; see --help");
        return ExitCode::from(2);
    }
    // Listened for before the port is announced, so that no signal falls between.
    let stopped = match stop_signal() {
        Ok(stopped) => stopped,
        Err(error) => {
            eprintln!("beacon-signal: cannot listen for signals of the system: {error}");
            return ExitCode::FAILURE;
        }
    };
    let server = match Server::bind(args.listen, config).await {
        Ok(server) => server,
        Err(error) => {
            eprintln!("beacon-signal: {error}");
            return ExitCode::FAILURE;
        }
    };
    // Whoever started it may have closed the pipe; serving does not depend on it.
    let _ = writeln!(std::io::stdout(), "listening on ws://{}", server.local_addr());
    server.serve(stopped).await;
    ExitCode::SUCCESS
}

/// Completes at SIGINT or SIGTERM.
#[cfg(unix)]
fn stop_signal() -> std::io::Result<impl Future<Output = ()> + Send> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// Completes at Ctrl-C.
#[cfg(not(unix))]
fn stop_signal() -> std::io::Result<impl Future<Output = ()> + Send> {
    let mut interrupt = tokio::signal::windows::ctrl_c()?;
    Ok(async move {
        interrupt.recv().await;
    })
}
