//! `beacon-signal deposit`: fills the pool of a publisher in the name of a sponsor, over a server's HTTP.

use super::client::{again, issuer, key, new_id, post};
use beacon_ledger::{Deposit, Id, Micro, Request as _};
use beacon_sdk::PublicKey;
use hyper::Uri;
use std::error::Error;
use std::path::PathBuf;

#[derive(clap::Args, Debug)]
pub(crate) struct Give {
    /// The server, ws://HOST:PORT or http://HOST:PORT
    server: Uri,
    /// Credits, with at most six decimals
    amount: Micro,
    /// Whose pool gets them: the broadcaster's id
    publisher: PublicKey,
    /// The sponsor's key; whoever runs the server fills its account by `beacon-signal issue … sponsor:ID CREDITS`
    #[arg(long, value_name = "FILE")]
    identity: PathBuf,
    /// A word with it, at most 140 characters
    #[arg(long, value_name = "TEXT", default_value = "")]
    note: String,
    /// The deposit's id, to ask again when it is not known whether it was given
    #[arg(long, value_name = "ID")]
    id: Option<Id>,
}

/// Signs the deposit for the server's ledger and gives it; the line that says what came of it.
pub(crate) async fn give(give: Give) -> Result<String, Box<dyn Error>> {
    let Give { server, amount, publisher, identity, note, id } = give;
    let sponsor = key(&identity)?;
    let (issuer, id) = (issuer(&server).await?, id.map_or_else(new_id, Ok)?);
    let deposit = Deposit { id, issuer, sponsor: sponsor.public(), publisher, amount, note };
    let given = post(&server, "/api/deposit", &deposit.sign(&sponsor)).await;
    let given = given.map_err(|error| format!("{error}; this deposit's id is {id}"))?;
    let again = again(&given);
    Ok(format!("gave {amount} to pool:{publisher}, deposit {id}{again}"))
}
