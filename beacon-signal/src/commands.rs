//! `beacon-signal issue` and `audit`: what an operator does with the accounts; `statement`, for it and their owners; `tip`,
//! `deposit`, `split` and `fork`, which ask something of the ledger; `order`, for the owner of a broadcast; and `token`,
//! for whoever says who may join.

mod client;
mod deposit;
mod fork;
mod order;
mod split;
mod statement;
mod tip;
mod token;

use beacon_ledger::{AccountId, Economy, Id, Micro, Store, Terms, store};
use clap::Subcommand;
use std::error::Error;
use std::io::{self, Write as _};
use std::sync::Arc;

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Prints why an account has what it has: every credit, with edge, receipt and rule
    Statement(statement::Command),
    /// Makes credits, as when a sponsor has paid for them: the only way they come to be
    Issue {
        #[command(flatten)]
        accounts: Accounts,
        /// Who gets them, as in sponsor:ID, pool:ID or peer:ID
        to: AccountId,
        /// Credits, with at most six decimals
        amount: Micro,
        /// What the statement is to say
        #[arg(long, value_name = "TEXT", default_value = "")]
        note: String,
        /// 32 hexadecimal digits: the same again makes nothing more. Without it every call makes credits
        #[arg(long, value_name = "ID")]
        id: Option<Id>,
    },
    /// Gives credits of a key to one or several others, over a server's HTTP
    Tip(tip::Give),
    /// Fills the pool of a publisher in the name of a sponsor, over a server's HTTP
    Deposit(deposit::Give),
    /// Divides a broadcaster's share among those who broadcast together, over a server's HTTP
    Split(split::Command),
    /// Shows a proof that somebody signed two histories, who then loses what it may not spend yet
    Fork(fork::Show),
    /// Bans, pardons, mutes or unmutes a peer, or ends a broadcast, in the name of its owner
    Order(order::Command),
    /// Makes tokens that let peers join a server with --tokens, and the key that they are signed by
    Token(token::Command),
    /// Adds everything up anew, and says whether the accounts agree
    Audit {
        #[command(flatten)]
        accounts: Accounts,
    },
}

#[derive(clap::Args, Debug)]
pub(crate) struct Accounts {
    /// sqlite:FILE or postgres://USER@HOST/DATABASE
    #[arg(long = "ledger", value_name = "ADDRESS")]
    address: String,
}

/// The accounts at an address; a file has to be there.
async fn open(address: &str) -> Result<Arc<dyn Store>, Box<dyn Error>> {
    let file = address.strip_prefix("sqlite:");
    if let Some(file) = file.filter(|file| !std::path::Path::new(file).exists()) {
        return Err(format!("--ledger: there is no file {file}").into());
    }
    Ok(store::open(address).await.map_err(|error| format!("--ledger: {error}"))?)
}

/// Does it; the error is for people.
pub(crate) async fn run(command: Command) -> Result<(), Box<dyn Error>> {
    let mut out = io::stdout();
    match command {
        Command::Statement(statement) => statement::print(statement, &mut out).await?,
        Command::Issue { accounts, to, amount, note, id } => {
            let store = open(&accounts.address).await?;
            let (now, id) = (client::now_ms()?, id.map_or_else(client::new_id, Ok)?);
            // Whose edges count is of no matter for credits that come of none.
            let economy = Economy::new(store, Terms::new(to.owner));
            let applied = economy.issue(now, id, to, amount, &note).await?;
            let again = match applied {
                beacon_ledger::book::Applied::Replayed => "  (had come before: nothing was made)",
                beacon_ledger::book::Applied::New => "",
            };
            writeln!(out, "{amount} to {to}, entry {id}{again}")?;
        }
        Command::Order(order) => writeln!(out, "{}", order::give(order).await?)?,
        Command::Token(token) => token::make(token, &mut out)?,
        Command::Tip(give) => writeln!(out, "{}", tip::give(give).await?)?,
        Command::Deposit(give) => writeln!(out, "{}", deposit::give(give).await?)?,
        Command::Split(split) => writeln!(out, "{}", split::give(split).await?)?,
        Command::Fork(show) => writeln!(out, "{}", fork::show(show).await?)?,
        Command::Audit { accounts } => {
            let audit = open(&accounts.address).await?.audit().await?;
            let held = |micros: u128| u64::try_from(micros).ok().and_then(Micro::new);
            let (issued, sum) = (held(audit.issued), held(audit.held));
            let text = |amount: Option<Micro>| amount.unwrap_or(Micro::MAX).to_string();
            writeln!(out, "accounts   {}", audit.accounts)?;
            writeln!(out, "entries    {}", audit.entries)?;
            writeln!(out, "transfers  {}", audit.transfers)?;
            writeln!(out, "issued     {}", text(issued))?;
            writeln!(out, "held       {}", text(sum))?;
            if !audit.faults.is_empty() {
                return Err(
                    format!("the accounts do not agree: {}", audit.faults.join("; ")).into()
                );
            }
            writeln!(out, "the accounts agree")?;
        }
    }
    Ok(())
}
