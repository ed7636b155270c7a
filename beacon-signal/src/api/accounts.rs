//! What somebody has, and why: for its owner, whoever runs the server, and of pools for anybody.

use super::{SKEW_MS, answer, none};
use crate::books::{Books, now_ms};
use crate::http::{json, refusal};
use crate::server::Shared;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use beacon_ledger::book::{Account, Kind};
use beacon_ledger::{AccountId, Look, Micro, Rate, Signed, Statement};
use beacon_sdk::PublicKey;
use data_encoding::BASE64;
use serde::Serialize;
use std::sync::Arc;

/// Lines of a statement unless more are asked for.
const LINES: usize = 100;
/// Characters of who somebody is at most; a signed look has some 500.
const WHO_CHARS_MAX: usize = 2048;

/// What clients need to know of the ledger.
#[derive(Serialize)]
struct About {
    issuer: PublicKey,
    rate: Rate,
    vest_ms: u64,
    relay_weight: u32,
    broadcaster_weight: u32,
    viewers_pay: bool,
}

/// An account as it stands; amounts in micro-credits.
#[derive(Serialize)]
struct Shown {
    account: String,
    available: Micro,
    reserved: Micro,
    given: Micro,
    received: Micro,
    opened_ms: u64,
}

#[derive(Serialize)]
struct Accounts {
    accounts: Vec<Shown>,
}

#[derive(Serialize)]
struct Statements {
    statements: Vec<Statement>,
}

pub(super) async fn terms(State(shared): State<Arc<Shared>>) -> Response {
    let Some(books) = &shared.books else { return none() };
    let terms = books.terms();
    json(&About {
        issuer: terms.issuer,
        rate: terms.rate,
        vest_ms: terms.vest_ms,
        relay_weight: terms.relay_weight,
        broadcaster_weight: terms.broadcaster_weight,
        viewers_pay: terms.viewers_pay,
    })
}

/// In whose name accounts are read.
#[derive(Copy, Clone)]
enum Reader {
    Anybody,
    Owner(PublicKey),
    Operator,
}

impl Reader {
    /// Who asks for the accounts that `name` names; what is wrong with what it shows, if that is.
    fn of(shared: &Shared, books: &Books, name: &str, head: &HeaderMap) -> Result<Self, String> {
        let Some(shown) = head.get(header::AUTHORIZATION) else { return Ok(Self::Anybody) };
        let shown = shown.to_str().ok().filter(|shown| shown.len() <= WHO_CHARS_MAX);
        match shown.and_then(|shown| shown.split_once(' ')) {
            Some((scheme, secret)) if scheme.eq_ignore_ascii_case("bearer") => {
                let operator = shared.config.operator.as_ref();
                let is = operator.is_some_and(|operator| operator.is(secret.trim()));
                let cause = "not the operator's secret: see --operator-secret-file";
                if is { Ok(Self::Operator) } else { Err(cause.into()) }
            }
            Some((scheme, look)) if scheme.eq_ignore_ascii_case("beacon") => {
                let look = BASE64.decode(look.trim().as_bytes()).map_err(|error| error.to_string());
                let look = look.and_then(|json| {
                    serde_json::from_slice(&json).map_err(|error| error.to_string())
                });
                let look: Signed<Look> = look.map_err(|error| format!("not a look: {error}"))?;
                look.verify(&books.issuer().public()).map_err(|error| error.to_string())?;
                let Look { reader, at_ms, account, .. } = look.request;
                if at_ms.abs_diff(now_ms()) > SKEW_MS {
                    return Err("signed more than 90 s ago or ahead: set the clocks".into());
                }
                if account != name {
                    return Err(format!("signed for {account:?}, and this is {name:?}"));
                }
                Ok(Self::Owner(reader))
            }
            _ => Err("who reads is shown as `Beacon LOOK` or `Bearer SECRET`".into()),
        }
    }

    /// Whether it may see what an account has, or with `lines` why.
    fn may(self, id: AccountId, lines: bool) -> bool {
        let public = matches!(id.kind, Kind::Pool | Kind::Issuance | Kind::Forfeits);
        let owned = !matches!(id.kind, Kind::Issuance | Kind::Forfeits);
        match self {
            Self::Operator => true,
            Self::Owner(reader) if owned && id.owner == reader => true,
            Self::Owner(_) | Self::Anybody => public && !lines,
        }
    }
}

/// Why accounts are not shown.
struct Denied(StatusCode, String);

impl Denied {
    fn response(self) -> Response {
        let Self(status, cause) = self;
        let mut refused = refusal(status, &cause);
        if status == StatusCode::UNAUTHORIZED {
            let schemes = HeaderValue::from_static("Beacon, Bearer");
            refused.headers_mut().insert(header::WWW_AUTHENTICATE, schemes);
        }
        refused
    }
}

/// The accounts that are named, if whoever asks may see them.
fn asked(
    shared: &Shared,
    name: &str,
    head: &HeaderMap,
    lines: bool,
) -> Result<Vec<AccountId>, Denied> {
    let ids = AccountId::named(name)
        .map_err(|error| Denied(StatusCode::BAD_REQUEST, error.to_string()))?;
    // Without a ledger whoever asks is told that.
    let Some(books) = &shared.books else { return Ok(ids) };
    let reader = Reader::of(shared, books, name, head)
        .map_err(|cause| Denied(StatusCode::FORBIDDEN, cause))?;
    if ids.iter().all(|id| reader.may(*id, lines)) {
        return Ok(ids);
    }
    Err(match reader {
        Reader::Anybody => {
            let cause = "accounts are for their owner: sign the request with its key, as \
                         `beacon-signal statement --server` does; what pool:ID, issuance and forfeits have \
                         is for all to see";
            Denied(StatusCode::UNAUTHORIZED, cause.into())
        }
        _ => Denied(StatusCode::FORBIDDEN, "the account is another's".into()),
    })
}

pub(super) async fn accounts(
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
    head: HeaderMap,
) -> Response {
    let ids = match asked(&shared, &name, &head, false) {
        Ok(ids) => ids,
        Err(denied) => return denied.response(),
    };
    answer(&shared, async |_, economy| {
        let found = economy.store().accounts(&ids).await?;
        let accounts = ids.iter().zip(found).map(|(id, account)| show(*id, &account)).collect();
        Ok(json(&Accounts { accounts }))
    })
    .await
}

fn show(id: AccountId, account: &Account) -> Shown {
    Shown {
        account: id.to_string(),
        available: account.available(),
        reserved: account.debits_pending,
        given: account.debits_posted,
        received: account.credits_posted,
        opened_ms: account.opened_ms,
    }
}

pub(super) async fn statement(
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
    head: HeaderMap,
) -> Response {
    let last = match query.as_deref().map(|query| query.strip_prefix("last=").map(str::parse)) {
        None => LINES,
        Some(Some(Ok(last))) => last,
        Some(_) => {
            let cause = "a statement takes ?last=N, the number of lines, and nothing else";
            return refusal(StatusCode::BAD_REQUEST, cause);
        }
    };
    let ids = match asked(&shared, &name, &head, true) {
        Ok(ids) => ids,
        Err(denied) => return denied.response(),
    };
    answer(&shared, async |_, economy| {
        let mut statements = Vec::new();
        for id in ids {
            statements.push(Statement::of(&**economy.store(), id, last).await?);
        }
        Ok(json(&Statements { statements }))
    })
    .await
}
