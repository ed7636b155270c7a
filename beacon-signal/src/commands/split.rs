//! `beacon-signal split`: divides a broadcaster's share among those who broadcast together, over a server's HTTP.

use super::client::{issuer, key, now_ms, post};
use super::tip::recipient;
use beacon_ledger::tip::Recipient;
use beacon_ledger::{Request as _, Split};
use hyper::Uri;
use std::error::Error;
use std::path::PathBuf;

#[derive(clap::Args, Debug)]
pub(crate) struct Command {
    /// The server, ws://HOST:PORT or http://HOST:PORT
    server: Uri,
    /// Who gets which part: a peer's id, or ID=WEIGHT. The broadcaster has a part if it is named; its id alone ends
    /// an earlier split
    #[arg(required = true, value_parser = recipient)]
    to: Vec<Recipient>,
    /// The broadcaster's key, as `broadcaster --identity FILE` keeps it
    #[arg(long, value_name = "FILE")]
    identity: PathBuf,
    /// From when it holds, Unix milliseconds; from now on by default
    #[arg(long, value_name = "MS")]
    from: Option<u64>,
}

/// Signs the split for the server's ledger and gives it; the line that says what came of it.
pub(crate) async fn give(command: Command) -> Result<String, Box<dyn Error>> {
    let Command { server, to, identity, from } = command;
    let publisher = key(&identity)?;
    let (issuer, from_ms) = (issuer(&server).await?, from.map_or_else(now_ms, Ok)?);
    let split = Split { issuer, publisher: publisher.public(), from_ms, to };
    post(&server, "/api/split", &split.sign(&publisher)).await?;
    Ok(format!("the broadcaster's share is divided so from {from_ms} on"))
}
