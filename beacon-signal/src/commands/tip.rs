//! `beacon-signal tip`: gives credits away in the name of a key, over a server's HTTP.

use super::client::{again, issuer, key, new_id, post};
use beacon_ledger::tip::Recipient;
use beacon_ledger::{Id, Micro, Request as _, Tip};
use beacon_sdk::PublicKey;
use hyper::Uri;
use std::error::Error;
use std::path::PathBuf;

#[derive(clap::Args, Debug)]
pub(crate) struct Give {
    /// The server, ws://HOST:PORT or http://HOST:PORT
    server: Uri,
    /// Credits in all, with at most six decimals
    amount: Micro,
    /// Who gets them: a peer's id, or ID=WEIGHT for a part beside those of others
    #[arg(required = true, value_parser = recipient)]
    to: Vec<Recipient>,
    /// The giver's key, as `viewer --identity FILE` keeps it
    #[arg(long, value_name = "FILE")]
    identity: PathBuf,
    /// A word with it, at most 140 characters
    #[arg(long, value_name = "TEXT", default_value = "")]
    note: String,
    /// The tip's id, to ask again when it is not known whether it was given
    #[arg(long, value_name = "ID")]
    id: Option<Id>,
}

pub(super) fn recipient(text: &str) -> Result<Recipient, String> {
    let (peer, weight) = text.split_once('=').unwrap_or((text, "1"));
    let peer: PublicKey = peer.parse().map_err(|error| format!("{error}"))?;
    let weight = weight.parse().map_err(|_| format!("{weight:?} is no weight: use ID=2"))?;
    Ok(Recipient { peer, weight })
}

/// Signs the tip for the server's ledger and gives it; the line that says what came of it.
pub(crate) async fn give(give: Give) -> Result<String, Box<dyn Error>> {
    let Give { server, amount, to, identity, note, id } = give;
    let giver = key(&identity)?;
    let (issuer, id) = (issuer(&server).await?, id.map_or_else(new_id, Ok)?);
    let tip = Tip { id, issuer, from: giver.public(), to, amount, note };
    let given = post(&server, "/api/tip", &tip.sign(&giver)).await;
    let given = given.map_err(|error| format!("{error}; this tip's id is {id}"))?;
    let again = again(&given);
    Ok(format!("gave {amount}, tip {id}{again}"))
}
