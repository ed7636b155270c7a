//! `beacon-signal`: the signaling and tracker server.

mod commands;
mod options;
mod settings;

use beacon_signal::Server;
use options::{Args, LogFormat};
use settings::Settings;
use std::fmt::Display;
use std::io::Write;
use std::process::ExitCode;
use tokio::sync::watch;
use tracing::{error, info};
use tracing_subscriber::EnvFilter;

#[tokio::main]
async fn main() -> ExitCode {
    let settings = match Settings::read() {
        Ok(settings) => settings,
        Err(error) => return usage(error),
    };
    if settings.args.print_config {
        // Whoever reads it may have closed the pipe.
        let _ = write!(std::io::stdout(), "{}", settings.print());
        return ExitCode::SUCCESS;
    }
    log(settings.args.log_format);
    match settings.args.command {
        Some(command) => match commands::run(command).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("beacon-signal: {error}");
                ExitCode::FAILURE
            }
        },
        None => serve(settings.args).await,
    }
}

fn log(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => {
            log.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).init()
        }
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
}

async fn serve(args: Args) -> ExitCode {
    let config = match args.config() {
        Ok(config) => config,
        Err(error) => return usage(error),
    };
    if let Err(error) = config.check() {
        return usage(format_args!("{error}; see --help"));
    }
    let failed = |cause: String| {
        match args.log_format {
            LogFormat::Text => eprintln!("beacon-signal: {cause}"),
            LogFormat::Json => error!("{cause}"),
        }
        ExitCode::FAILURE
    };
    // Listened for before the port is announced, so that no signal falls between.
    let mut signals = match signals() {
        Ok(signals) => signals,
        Err(error) => return failed(format!("cannot listen for signals of the system: {error}")),
    };
    let server = match Server::bind(args.listen, config).await {
        Ok(server) => server,
        Err(error) => return failed(error.to_string()),
    };
    let addr = server.local_addr();
    // Whoever started it may have closed the pipe; serving does not depend on it.
    let _ = writeln!(std::io::stdout(), "listening on ws://{addr}");
    info!(%addr, version = env!("CARGO_PKG_VERSION"), "listening");
    let mut first = signals.clone();
    let stopped = async move {
        let _ = first.wait_for(|count| *count > 0).await;
    };
    tokio::select! {
        () = server.serve(stopped) => ExitCode::SUCCESS,
        _ = signals.wait_for(|count| *count > 1) => {
            failed("stopped by a second signal: peers were not told, and what waited for the accounts is lost".into())
        }
    }
}

/// What was given cannot be used.
fn usage(error: impl Display) -> ExitCode {
    eprintln!("beacon-signal: {error}");
    ExitCode::from(2)
}

/// How many SIGINT and SIGTERM have come.
#[cfg(unix)]
fn signals() -> std::io::Result<watch::Receiver<u32>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let (come, count) = watch::channel(0);
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            come.send_modify(|count| *count += 1);
        }
    });
    Ok(count)
}

/// How many Ctrl-C have come.
#[cfg(not(unix))]
fn signals() -> std::io::Result<watch::Receiver<u32>> {
    let mut interrupt = tokio::signal::windows::ctrl_c()?;
    let (come, count) = watch::channel(0);
    tokio::spawn(async move {
        while interrupt.recv().await.is_some() {
            come.send_modify(|count| *count += 1);
        }
    });
    Ok(count)
}
