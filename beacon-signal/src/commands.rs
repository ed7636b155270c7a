//! `beacon-signal statement`, `issue` and `audit`: what an operator does with the accounts; `tip`, by which
//! anybody gives; `order`, for the owner of a broadcast; and `token`, for whoever says who may join.

mod client;
mod order;
mod tip;
mod token;

use beacon_ledger::{AccountId, Economy, Id, Micro, Statement, Store, Terms, store};
use clap::Subcommand;
use std::error::Error;
use std::io::{self, Write as _};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Prints why an account has what it has: every credit, with edge, receipt and rule
    Statement {
        #[command(flatten)]
        accounts: Accounts,
        /// A peer's id, for all of its accounts, or one account, as in pool:ID
        account: String,
        /// Lines at most, the last ones
        #[arg(long, value_name = "N", default_value_t = 100)]
        last: usize,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
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
    /// Bans or pardons a peer, or ends a broadcast, in the name of its owner
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

impl Accounts {
    async fn open(&self) -> Result<Arc<dyn Store>, Box<dyn Error>> {
        let file = self.address.strip_prefix("sqlite:");
        if let Some(file) = file.filter(|file| !std::path::Path::new(file).exists()) {
            return Err(format!("--ledger: there is no file {file}").into());
        }
        Ok(store::open(&self.address).await.map_err(|error| format!("--ledger: {error}"))?)
    }
}

/// Does it; the error is for people.
pub(crate) async fn run(command: Command) -> Result<(), Box<dyn Error>> {
    let mut out = io::stdout();
    match command {
        Command::Statement { accounts, account, last, json } => {
            let (ids, store) = (AccountId::named(&account)?, accounts.open().await?);
            let mut statements = Vec::new();
            for id in &ids {
                statements.push(Statement::of(&*store, *id, last).await?);
            }
            if json {
                writeln!(out, "{}", serde_json::to_string(&statements)?)?;
                return Ok(());
            }
            let used = |statement: &&Statement| !statement.lines.is_empty() || ids.len() == 1;
            let mut used = statements.iter().filter(used).peekable();
            if used.peek().is_none() {
                writeln!(out, "{account} has never had a credit")?;
            }
            used.try_for_each(|statement| writeln!(out, "{statement}"))?;
        }
        Command::Issue { accounts, to, amount, note, id } => {
            let store = accounts.open().await?;
            let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis().try_into()?;
            let mut random = [0; 10];
            getrandom::fill(&mut random)?;
            let id = id.unwrap_or(Id::new(now, random));
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
        Command::Audit { accounts } => {
            let audit = accounts.open().await?.audit().await?;
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
