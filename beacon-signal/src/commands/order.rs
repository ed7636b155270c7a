//! `beacon-signal order`: what the owner of a broadcast has a server do.

use super::client::{ask, key};
use beacon_signal::order::{Action, Order, ShortId};
use clap::ValueEnum;
use hyper::Uri;
use std::error::Error;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

#[derive(clap::Args, Debug)]
pub(crate) struct Command {
    /// The server, ws://HOST:PORT or http://HOST:PORT
    server: Uri,
    /// Name of the broadcast
    name: String,
    /// What is to be done
    what: What,
    /// Whom to ban or pardon: the first eight digits of the id, as the dashboard shows it
    #[arg(required_if_eq_any([("what", "ban"), ("what", "pardon")]))]
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
        (What::End, _) => Action::End,
        (_, None) => return Err("say which peer: the first eight digits of its id".into()),
    };
    let streams = ask(&server, "GET", "/api/streams", String::new()).await?;
    let mut streams = streams.as_array().into_iter().flatten();
    let stream = streams.find(|stream| stream["name"] == name.as_str());
    let epoch = stream.and_then(|stream| stream["epoch"].as_u64());
    let epoch = epoch.ok_or_else(|| format!("there is no broadcast {name:?} on {server}"))?;
    let at_ms = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis().try_into()?;
    let order = Order { publisher: owner.public(), epoch, at_ms, action };
    let body = serde_json::to_string(&order.sign(&owner, &name))?;
    let path: String = name.bytes().map(escaped).collect();
    ask(&server, "POST", &format!("/api/streams/{path}/order"), body).await?;
    Ok("done".into())
}

/// A byte in the path of a URL.
fn escaped(byte: u8) -> String {
    if byte.is_ascii_alphanumeric() { char::from(byte).into() } else { format!("%{byte:02X}") }
}
