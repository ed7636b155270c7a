//! `beacon-signal token`: makes join tokens, and the key that they are signed by.

use beacon_sdk::PeerId;
use beacon_signal::read_or_make_key;
use beacon_signal::token::{Grant, Mint, Right};
use clap::ValueEnum;
use std::error::Error;
use std::io::Write;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

#[derive(clap::Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Command {
    /// The key that tokens are signed by, made if it is not there
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Name of the broadcast. Without it the public half of the key is printed, for a server's --tokens
    #[arg(requires = "whom")]
    broadcast: Option<String>,
    #[command(flatten)]
    whom: Whom,
    /// What the peer may do; may be repeated
    #[arg(long = "right", value_name = "RIGHT", default_value = "watch", requires = "broadcast")]
    rights: Vec<Grants>,
    /// Seconds from now in which it may join, and come back after a loss
    #[arg(long, value_name = "SECS", default_value_t = 43_200, requires = "broadcast")]
    valid: u64,
}

/// Whom the token is for.
#[derive(clap::Args, Debug)]
#[group(id = "whom", multiple = false, requires = "broadcast")]
struct Whom {
    /// Who may join: a peer's id
    #[arg(long, value_name = "ID")]
    peer: Option<PeerId>,
    /// The same by its key, as `viewer --identity FILE` keeps it; made if it is not there
    #[arg(long, value_name = "FILE")]
    identity: Option<PathBuf>,
}

const AFTER_HELP: &str = "\
A token is worth nothing without the key of the peer that it names, and is looked at when that joins.

Example:
  beacon-signal --tokens \"$(beacon-signal token --key gate.key)\"
  broadcaster --name launch --identity me.key --source test --signal ws://127.0.0.1:3001 \\
      --token \"$(beacon-signal token --key gate.key launch --right publish --identity me.key)\"
  viewer --name launch --identity you.key --sink null --signal ws://127.0.0.1:3001 \\
      --token \"$(beacon-signal token --key gate.key launch --identity you.key)\"";

#[derive(Copy, Clone, Debug, ValueEnum)]
enum Grants {
    /// To watch the broadcast, and carry it on
    Watch,
    /// To be its origin
    Publish,
}

/// Prints a token, or the key that a server is to be told.
pub(crate) fn make(command: Command, out: &mut impl Write) -> Result<(), Box<dyn Error>> {
    let Command { key, broadcast, whom, rights, valid } = command;
    let mint = Mint::open(&key).map_err(|error| format!("--key: {error}"))?;
    let Some(broadcast) = broadcast else { return Ok(writeln!(out, "{}", mint.key())?) };
    let peer = match (whom.peer, whom.identity) {
        (Some(peer), _) => peer,
        (None, Some(file)) => {
            let kept = read_or_make_key(&file).map_err(|error| format!("--identity: {error}"))?;
            kept.public()
        }
        (None, None) => return Err("say who may join: --peer ID or --identity FILE".into()),
    };
    let right = |right: Grants| match right {
        Grants::Watch => Right::Watch,
        Grants::Publish => Right::Publish,
    };
    let rights = rights.into_iter().map(right).collect();
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let expires = now.saturating_add(valid);
    let grant = Grant { broadcast, peer, rights, not_before: None, expires };
    Ok(writeln!(out, "{}", mint.sign(&grant)?.as_str())?)
}
