//! Running other programs: what is run is shown, what fails says so.

use std::env;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// The folder of the workspace.
pub(crate) fn root() -> PathBuf {
    // `cargo run` sets the variable; without it the current folder is the best guess.
    env::var_os("CARGO_MANIFEST_DIR")
        .and_then(|xtask| PathBuf::from(xtask).parent().map(PathBuf::from))
        .unwrap_or_else(|| PathBuf::from("."))
}

/// The folder that cargo builds into.
pub(crate) fn target_dir() -> PathBuf {
    // A relative CARGO_TARGET_DIR is relative to where cargo was called; `join` keeps an absolute one as it is.
    env::var_os("CARGO_TARGET_DIR").map_or_else(
        || root().join("target"),
        |dir| env::current_dir().unwrap_or_else(|_| root()).join(dir),
    )
}

/// A program at the root of the workspace.
///
/// The variables by which `cargo run` describes xtask to itself are taken away: build scripts that watch them
/// (ring's does) would be run again each time cargo is called from here and then from a shell.
pub(crate) fn program(name: &str, args: &[&str]) -> Command {
    let mut command = Command::new(name);
    command.args(args).current_dir(root());
    for (key, _) in env::vars_os() {
        let watched = key.to_str().is_some_and(|key| {
            key.starts_with("CARGO_PKG_")
                || key.starts_with("CARGO_MANIFEST_")
                || matches!(key, "CARGO_BIN_NAME" | "CARGO_CRATE_NAME" | "CARGO_PRIMARY_PACKAGE")
        });
        if watched {
            command.env_remove(key);
        }
    }
    command.env("CARGO_TARGET_DIR", target_dir());
    command
}

/// The cargo that runs xtask, with `args`.
pub(crate) fn cargo(args: &[&str]) -> Command {
    let cargo = env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    program(&cargo, args)
}

/// Prints `text` as a line of standard output. A reader that has gone away (`| head`) is no error.
pub(crate) fn print(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// Shows and runs `command`; its output goes where ours goes.
pub(crate) fn run(command: &mut Command) -> Result<(), String> {
    let line = shown(command);
    eprintln!("$ {line}");
    let status = command.status().map_err(|error| cannot_start(&line, &error))?;
    if status.success() { Ok(()) } else { Err(format!("'{line}' failed: {status}")) }
}

/// Runs `command` quietly and returns its standard output.
pub(crate) fn output(command: &mut Command) -> Result<String, String> {
    let line = shown(command);
    let output = command.output().map_err(|error| cannot_start(&line, &error))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("'{line}' failed: {}\n{}", output.status, said.trim()))
}

/// Whether `command` starts and ends well; what it prints is dropped.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// As [`run`], and returns the last line of standard error for which `wanted` holds.
pub(crate) fn run_and_keep(
    command: &mut Command,
    wanted: fn(&str) -> bool,
) -> Result<Option<String>, String> {
    let line = shown(command);
    eprintln!("$ {line}");
    let mut child =
        command.stderr(Stdio::piped()).spawn().map_err(|error| cannot_start(&line, &error))?;
    let mut kept = None;
    if let Some(stderr) = child.stderr.take() {
        let mut stderr = BufReader::new(stderr);
        let mut bytes = Vec::new();
        while stderr.read_until(b'\n', &mut bytes).is_ok_and(|read| read > 0) {
            // Nobody may be reading our standard error; the child's result counts all the same.
            let _ = std::io::stderr().write_all(&bytes);
            let text = String::from_utf8_lossy(&bytes);
            if wanted(&text) {
                kept = Some(text.trim().to_owned());
            }
            bytes.clear();
        }
    }
    let status = child.wait().map_err(|error| format!("'{line}' was lost: {error}"))?;
    if status.success() { Ok(kept) } else { Err(format!("'{line}' failed: {status}")) }
}

fn cannot_start(line: &str, error: &std::io::Error) -> String {
    format!("'{line}' did not start: {error}. Is it installed and in PATH?")
}

/// The command as one would type it, without quoting.
fn shown(command: &Command) -> String {
    let program = PathBuf::from(command.get_program());
    let mut line = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
    for arg in command.get_args() {
        line.push(' ');
        line.push_str(&arg.to_string_lossy());
    }
    line
}
