//! Programs started by programs: the demonstration and the measurements run others beside them.

use anyhow::{Context, Result, bail};
use std::env::consts::EXE_SUFFIX;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

/// How long a program may take to end once it is asked to.
const END_MAX: Duration = Duration::from_secs(10);
/// How long the signaling server may take to say where it listens.
const START_MAX: Duration = Duration::from_secs(10);

/// A folder for counters that goes when its owner goes.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// A new folder of this process.
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn create() -> Result<Self> {
        let path = std::env::temp_dir().join(format!("beacon-{}", std::process::id()));
        std::fs::create_dir_all(&path)
            .with_context(|| format!("{}: cannot be created", path.display()))?;
        Ok(Self(path))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The program of that name beside this one; killed when its handle is dropped.
///
/// # Errors
/// When it is not there.
pub fn program(name: &str) -> Result<Command> {
    let own = std::env::current_exe().context("where is this program?")?;
    let path = own.with_file_name(format!("{name}{EXE_SUFFIX}"));
    if !path.exists() {
        bail!("{} is not built: run `cargo build --bins`, or `cargo demo`", path.display());
    }
    let mut command = Command::new(path);
    command.stdin(Stdio::null()).kill_on_drop(true);
    Ok(command)
}

/// A signaling server in a process of its own.
#[derive(Debug)]
pub struct Signaling {
    /// Where it listens.
    pub url: String,
    /// The process.
    pub child: Child,
    /// Kept open: a server whose output nobody reads must not fail for it.
    _lines: Lines<BufReader<ChildStdout>>,
}

/// Starts the signaling server on a free port, with further options, and waits until it says where it
/// listens.
///
/// # Errors
/// When it does not start.
pub async fn start_signaling(options: &[OsString]) -> Result<Signaling> {
    let mut command = program("beacon-signal")?;
    command.args(["--listen", "127.0.0.1:0"]).args(options).stdout(Stdio::piped());
    let mut child = command.spawn().context("beacon-signal does not start")?;
    let stdout = child.stdout.take().context("no output from beacon-signal")?;
    let mut lines = BufReader::new(stdout).lines();
    let line = tokio::time::timeout(START_MAX, lines.next_line())
        .await
        .context("beacon-signal says nothing")??
        .context("beacon-signal ended at once")?;
    let at = line.find("ws://").with_context(|| format!("beacon-signal says {line:?}"))?;
    let url = line[at..].split_whitespace().next().unwrap_or_default().to_owned();
    Ok(Signaling { url, child, _lines: lines })
}

/// Asks a process to end as Ctrl-C does: it finishes what it writes.
pub fn ask_to_end(child: &mut Child) {
    #[cfg(unix)]
    {
        use nix::sys::signal::{Signal, kill};
        use nix::unistd::Pid;
        if let Some(pid) = child.id().and_then(|id| i32::try_from(id).ok()) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
    }
    #[cfg(not(unix))]
    let _ = child.start_kill();
}

/// Waits until a process that was asked to end has ended, and sees to it that it does.
pub async fn see_end(name: &str, child: &mut Child) {
    match tokio::time::timeout(END_MAX, child.wait()).await {
        Ok(Ok(status)) if !status.success() => eprintln!("{name} ended with {status}"),
        Ok(_) => {}
        Err(_) => {
            eprintln!("{name} does not end; killed");
            let _ = child.kill().await;
        }
    }
}
