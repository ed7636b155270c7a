//! Where settings come from: what a flag says counts before the environment, that before the file of `--config`, and that
//! before the default. The file has the names of the flags and becomes flags that stand before those that were given,
//! less what those or the environment say: so one parser reads, checks and explains all three.

use crate::options::Args;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command, CommandFactory as _, FromArgMatches as _};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use toml::{Spanned, Value};

/// What the file says, each with its place.
type File = BTreeMap<String, Spanned<Value>>;

/// The file of `--config` is of no use.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FileError {
    #[error("--config {}: {source}; name a file that this user may read", .file.display())]
    Read { file: PathBuf, source: io::Error },
    #[error("{}, line {line}: {cause}", .file.display())]
    Wrong { file: PathBuf, line: usize, cause: String },
}

/// All settings, and where they come from.
pub(crate) struct Settings {
    pub(crate) args: Args,
    command: Command,
    matches: ArgMatches,
    of_file: BTreeSet<String>,
}

impl Settings {
    /// Reads them. Ends the program where the command line or the environment cannot be read, or asks for help.
    pub(crate) fn read() -> Result<Self, FileError> {
        let command = Args::command().mut_args(with_variable);
        let mut given: Vec<OsString> = std::env::args_os().collect();
        // What is wrong with them is told by the parse that counts.
        let lenient = command.clone().ignore_errors(true).try_get_matches_from(&given);
        let lenient = lenient.ok().filter(|found| found.subcommand_name().is_none());
        let mut of_file = BTreeSet::new();
        if let Some(found) = lenient
            && let Some(file) = found.get_one::<PathBuf>("config")
        {
            for (name, flags) in flags(file, &command)? {
                let at = command.get_arguments().find(|arg| arg.get_long() == Some(&name));
                let source = at.and_then(|arg| found.value_source(arg.get_id().as_str()));
                if !matches!(source, Some(ValueSource::CommandLine | ValueSource::EnvVariable)) {
                    given.splice(1..1, flags);
                    of_file.insert(name);
                }
            }
        }
        let matches = command.clone().get_matches_from(given);
        let args = Args::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
        Ok(Self { args, command, matches, of_file })
    }

    /// What counts, as a file for `--config`, without the passwords in addresses. What is as by default is a comment:
    /// said, it would ask for what it is of use with.
    pub(crate) fn print(&self) -> String {
        let mut text = String::new();
        for arg in self.command.get_arguments() {
            let (Some(name), id) = (arg.get_long(), arg.get_id().as_str()) else { continue };
            let values = self.matches.get_raw(id).into_iter().flatten();
            let values: Vec<String> = values.map(|v| v.to_string_lossy().into_owned()).collect();
            let source = match self.matches.value_source(id) {
                Some(ValueSource::EnvVariable) => "the environment",
                Some(ValueSource::CommandLine) if self.of_file.contains(name) => "the file",
                Some(ValueSource::CommandLine) => "the command line",
                _ => "the default",
            };
            let list = || Value::Array(values.iter().map(|value| plain(value)).collect());
            let value = match arg.get_action() {
                ArgAction::Append if !values.is_empty() => list(),
                ArgAction::SetTrue if has_file(name) => Value::Boolean(self.matches.get_flag(id)),
                ArgAction::Set if has_file(name) && !values.is_empty() => plain(&values[0]),
                _ => continue,
            };
            let comment = if source == "the default" { "# " } else { "" };
            text.push_str(&format!("{comment}{name} = {value} # {source}\n"));
        }
        text
    }
}

/// Whether a flag can be in a file.
fn has_file(name: &str) -> bool {
    !matches!(name, "config" | "print-config" | "help" | "version")
}

/// A flag with its environment variable: `BEACON_` and its name.
fn with_variable(arg: Arg) -> Arg {
    let Some(name) = arg.get_long().filter(|name| *name != "print-config") else { return arg };
    let variable = format!("BEACON_{}", name.to_uppercase().replace('-', "_"));
    // An address may hold a password.
    arg.env(variable).hide_env_values(true)
}

/// A number as a number, an address without its password.
fn plain(value: &str) -> Value {
    if let Ok(number) = value.parse() {
        return Value::Integer(number);
    }
    let secret = value.split_once("://").and_then(|(scheme, rest)| {
        let (login, host) = rest.split_once('@')?;
        let (user, _) = login.split_once(':')?;
        Some(format!("{scheme}://{user}:PASSWORD@{host}"))
    });
    Value::String(secret.unwrap_or_else(|| value.to_owned()))
}

/// What a file says, as flags, by name.
fn flags(file: &Path, command: &Command) -> Result<Vec<(String, Vec<OsString>)>, FileError> {
    let text = std::fs::read_to_string(file)
        .map_err(|source| FileError::Read { file: file.to_owned(), source })?;
    let wrong = |at: usize, cause: String| {
        let line = 1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count();
        FileError::Wrong { file: file.to_owned(), line, cause }
    };
    let said: File = toml::from_str(&text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        wrong(at, format!("{}; write NAME = VALUE as TOML has it", error.message()))
    })?;
    let mut all = Vec::new();
    for (name, value) in said {
        let at = value.span().start;
        let Some(arg) = command.get_arguments().find(|arg| arg.get_long() == Some(&name)) else {
            let cause =
                format!("there is no setting {name}: they have the names of the flags, see --help");
            return Err(wrong(at, cause));
        };
        let flags = as_flags(&name, arg, value.into_inner())
            .and_then(|flags| tried(command, flags))
            .map_err(|cause| wrong(at, cause))?;
        all.push((name, flags));
    }
    Ok(all)
}

fn as_flags(name: &str, arg: &Arg, value: Value) -> Result<Vec<OsString>, String> {
    if !has_file(name) {
        return Err(format!("{name} is for the command line alone: take it out"));
    }
    let one = |value: &Value| match value {
        Value::String(text) => Ok(format!("--{name}={text}").into()),
        Value::Integer(number) => Ok(format!("--{name}={number}").into()),
        // As grants of credits may be.
        Value::Float(number) => Ok(format!("--{name}={number}").into()),
        other => Err(format!("{name} is a text or a number, not {}", other.type_str())),
    };
    match (arg.get_action(), &value) {
        (ArgAction::SetTrue, Value::Boolean(true)) => Ok(vec![format!("--{name}").into()]),
        (ArgAction::SetTrue, Value::Boolean(false)) => Ok(Vec::new()),
        (ArgAction::SetTrue, _) => Err(format!("{name} is true or false")),
        (ArgAction::Append, Value::Array(values)) => values.iter().map(one).collect(),
        (_, Value::Array(_)) => Err(format!("{name} is one value, not a list")),
        _ => Ok(vec![one(&value)?]),
    }
}

/// The flags, if each can be read by itself.
fn tried(command: &Command, flags: Vec<OsString>) -> Result<Vec<OsString>, String> {
    use clap::error::ErrorKind;
    let alone = command.clone().no_binary_name(true);
    let alone = alone.mut_args(|arg| arg.env(clap::builder::Resettable::Reset));
    match alone.try_get_matches_from(&flags) {
        // Of its kind wrong by itself; what it needs beside it may be elsewhere.
        Err(error)
            if matches!(error.kind(), ErrorKind::ValueValidation | ErrorKind::InvalidValue) =>
        {
            let text = error.to_string();
            let line = text.lines().next().unwrap_or_default();
            Err(line.trim_start_matches("error: ").to_owned())
        }
        _ => Ok(flags),
    }
}
