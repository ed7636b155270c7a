//! `beacon-signal statement`: why an account has what it has, from the accounts themselves or over a server's HTTP.

use super::client::{get, issuer, key, now_ms};
use super::open;
use beacon_ledger::{AccountId, Look, Request as _, Statement};
use beacon_sdk::Identity;
use data_encoding::BASE64;
use hyper::Uri;
use serde::Deserialize;
use std::error::Error;
use std::io::Write;
use std::path::PathBuf;

#[derive(clap::Args, Debug)]
pub(crate) struct Command {
    #[command(flatten)]
    source: Source,
    /// A peer's id, for all of its accounts, or one account, as in pool:ID. With --identity its own by default
    #[arg(required_unless_present = "identity")]
    account: Option<String>,
    /// Over a server's HTTP: the key of whose accounts they are
    #[arg(long, value_name = "FILE", requires = "server")]
    identity: Option<PathBuf>,
    /// Over a server's HTTP, for whoever runs it: the file that its --operator-secret-file names
    #[arg(long, value_name = "FILE", requires = "server", conflicts_with = "identity")]
    operator_secret_file: Option<PathBuf>,
    /// Lines at most, the last ones
    #[arg(long, value_name = "N", default_value_t = 100)]
    last: usize,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Where the accounts are.
#[derive(clap::Args, Debug)]
#[group(required = true, multiple = false)]
struct Source {
    /// The accounts themselves: sqlite:FILE or postgres://USER@HOST/DATABASE
    #[arg(long = "ledger", value_name = "ADDRESS")]
    address: Option<String>,
    /// A server that has them, ws://HOST:PORT or http://HOST:PORT
    #[arg(long, value_name = "URL")]
    server: Option<Uri>,
}

/// What a server answers.
#[derive(Deserialize)]
struct Told {
    statements: Vec<Statement>,
}

/// Prints it.
pub(crate) async fn print(command: Command, out: &mut impl Write) -> Result<(), Box<dyn Error>> {
    let owner = command.identity.as_deref().map(key).transpose()?;
    let own = || owner.as_ref().map(|owner| owner.public().to_string());
    let account = command.account.clone().or_else(own).unwrap_or_default();
    let ids = AccountId::named(&account)?;
    let statements = match (&command.source.address, &command.source.server) {
        (Some(address), _) => {
            let store = open(address).await?;
            let mut statements = Vec::new();
            for id in &ids {
                statements.push(Statement::of(&*store, *id, command.last).await?);
            }
            statements
        }
        (None, Some(server)) => ask(server, &command, &account, owner.as_ref()).await?,
        (None, None) => return Err("say where the accounts are: --ledger or --server".into()),
    };
    if command.json {
        return Ok(writeln!(out, "{}", serde_json::to_string(&statements)?)?);
    }
    let used = |statement: &&Statement| !statement.lines.is_empty() || ids.len() == 1;
    let mut used = statements.iter().filter(used).peekable();
    if used.peek().is_none() {
        writeln!(out, "{account} has never had a credit")?;
    }
    Ok(used.try_for_each(|statement| writeln!(out, "{statement}"))?)
}

/// Asks a server for them, as their owner or as whoever runs it.
async fn ask(
    server: &Uri,
    command: &Command,
    account: &str,
    owner: Option<&Identity>,
) -> Result<Vec<Statement>, Box<dyn Error>> {
    let who = match (owner, &command.operator_secret_file) {
        (Some(owner), _) => {
            let (issuer, at_ms) = (issuer(server).await?, now_ms()?);
            let look = Look { issuer, reader: owner.public(), at_ms, account: account.to_owned() };
            let look = serde_json::to_string(&look.sign(owner))?;
            format!("Beacon {}", BASE64.encode(look.as_bytes()))
        }
        (None, Some(file)) => {
            let secret = std::fs::read_to_string(file)
                .map_err(|error| format!("--operator-secret-file {}: {error}", file.display()))?;
            format!("Bearer {}", secret.trim())
        }
        (None, None) => {
            return Err(
                "accounts are for their owner: --identity FILE, or --operator-secret-file".into()
            );
        }
    };
    let path = format!("/api/accounts/{account}/statement?last={}", command.last);
    let told = get(server, &path, Some(&who)).await?;
    Ok(serde_json::from_value::<Told>(told)?.statements)
}
