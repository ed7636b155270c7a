//! `beacon-signal order`: what the owner of a broadcast has a server do.

use super::client::{get, key, now_ms, post};
use beacon_signal::order::{Action, Order, ShortId};
use clap::ValueEnum;
use hyper::Uri;
use std::error::Error;
use std::path::PathBuf;

#[derive(clap::Args, Debug)]
pub(crate) struct Command {
    /// The server, ws://HOST:PORT or http://HOST:PORT
    server: Uri,
    /// Name of the broadcast
    name: String,
    /// What is to be done
    what: What,
    /// Whom: the first eight digits of the id, as the dashboard shows it
    #[arg(required_if_eq_any([("what", "ban"), ("what", "pardon"), ("what", "mute"), ("what", "unmute")]))]
    peer: Option<ShortId>,
    /// The broadcaster's key, as `broadcaster --identity FILE` keeps it
    #[arg(long, value_name = "FILE")]
    identity: PathBuf,
}

#[derive(Copy, Clone, Debug, ValueEnum)]
enum What {
    /// The peer is sent away, and not let in again while the broadcast lasts
    Ban,
    /// A banned peer may come again
    Pardon,
    /// The peer may watch, and nothing that it says of itself counts
    Mute,
    /// What a muted peer says counts again
    Unmute,
    /// The broadcast ends
    End,
}

/// Signs the order for the run that is there and gives it; the line that says what came of it.
pub(crate) async fn give(command: Command) -> Result<String, Box<dyn Error>> {
    let Command { server, name, what, peer, identity } = command;
    let owner = key(&identity)?;
    let action = match (what, peer) {
        (What::Ban, Some(peer)) => Action::Ban { peer },
        (What::Pardon, Some(peer)) => Action::Pardon { peer },
        (What::Mute, Some(peer)) => Action::Mute { peer },
        (What::Unmute, Some(peer)) => Action::Unmute { peer },
        (What::End, _) => Action::End,
        (_, None) => return Err("say which peer: the first eight digits of its id".into()),
    };
    let streams = get(&server, "/api/streams", None).await?;
    let mut streams = streams.as_array().into_iter().flatten();
    let stream = streams.find(|stream| stream["name"] == name.as_str());
    let epoch = stream.and_then(|stream| stream["epoch"].as_u64());
    let epoch = epoch.ok_or_else(|| format!("there is no broadcast {name:?} on {server}"))?;
    let order = Order { publisher: owner.public(), epoch, at_ms: now_ms()?, action };
    let path: String = name.bytes().map(escaped).collect();
    post(&server, &format!("/api/streams/{path}/order"), &order.sign(&owner, &name)).await?;
    Ok("done".into())
}

/// A byte in the path of a URL.
fn escaped(byte: u8) -> String {
    if byte.is_ascii_alphanumeric() { char::from(byte).into() } else { format!("%{byte:02X}") }
}
