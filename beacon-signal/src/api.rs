//! The ledger over HTTP: accounts, statements, tips; and orders of a broadcast's owner.

use crate::books::{Books, now_ms};
use crate::http::{json, refusal};
use crate::order::SignedOrder;
use crate::rooms::Disobeyed;
use crate::server::Shared;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use beacon_ledger::book::{Account, Applied};
use beacon_ledger::economy::EconomyError;
use beacon_ledger::tip::SignedTip;
use beacon_ledger::{AccountId, Economy, Micro, Rate, Refusal, Statement, StoreError};
use beacon_sdk::PublicKey;
use core::time::Duration;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use tokio::time::timeout;
use tracing::info;

/// Bytes of a request's body at most; a tip for 32 takes 4 KiB.
const BODY_BYTES_MAX: usize = 16 * 1024;
/// For a request's body to come, and for the accounts to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// How far an owner's clock may be off.
const SKEW_MS: u64 = 90_000;
/// Lines of a statement unless more are asked for.
const LINES: usize = 100;
/// Requests that look at the accounts at once at most; a statement reads a whole history.
pub(crate) const READERS_MAX: usize = 8;

pub(crate) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/api/ledger", get(terms))
        .route("/api/accounts/{account}", get(accounts))
        .route("/api/accounts/{account}/statement", get(statement))
        .route("/api/streams/{name}/order", post(order).options(preflight))
        .route("/api/tip", post(tip).options(preflight))
}

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

#[derive(Serialize)]
struct Obeyed {
    done: bool,
}

/// What came of a tip.
#[derive(Serialize)]
struct Given {
    id: beacon_ledger::Id,
    amount: Micro,
    /// The same tip had come before, and nothing was given again.
    replayed: bool,
}

async fn terms(State(shared): State<Arc<Shared>>) -> Response {
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

async fn accounts(State(shared): State<Arc<Shared>>, Path(name): Path<String>) -> Response {
    let ids = match AccountId::named(&name) {
        Ok(ids) => ids,
        Err(error) => return refusal(StatusCode::BAD_REQUEST, &error.to_string()),
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

async fn statement(
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Response {
    let last = match query.as_deref().map(|query| query.strip_prefix("last=").map(str::parse)) {
        None => LINES,
        Some(Some(Ok(last))) => last,
        Some(_) => {
            let cause = "a statement takes ?last=N, the number of lines, and nothing else";
            return refusal(StatusCode::BAD_REQUEST, cause);
        }
    };
    let ids = match AccountId::named(&name) {
        Ok(ids) => ids,
        Err(error) => return refusal(StatusCode::BAD_REQUEST, &error.to_string()),
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

/// Reads a request's JSON, or says what is wrong with it.
async fn read<T: DeserializeOwned>(body: Body, what: &str) -> Result<T, Response> {
    let Ok(body) = timeout(PATIENCE, to_bytes(body, BODY_BYTES_MAX)).await else {
        let cause = format!("{what} did not come within 10 s");
        return Err(refusal(StatusCode::REQUEST_TIMEOUT, &cause));
    };
    let Ok(body) = body else {
        let cause = format!("{what} is at most 16384 bytes of JSON");
        return Err(refusal(StatusCode::PAYLOAD_TOO_LARGE, &cause));
    };
    serde_json::from_slice(&body)
        .map_err(|error| refusal(StatusCode::BAD_REQUEST, &format!("not {what}: {error}")))
}

async fn order(
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
    body: Body,
) -> Response {
    let signed: SignedOrder = match read(body, "an order").await {
        Ok(signed) => signed,
        Err(refused) => return refused,
    };
    if signed.order.at_ms.abs_diff(now_ms()) > SKEW_MS {
        let cause = "the order was given more than 90 s ago or ahead: set the clocks";
        return refusal(StatusCode::BAD_REQUEST, cause);
    }
    let done = shared.rooms().order(&name, &signed).await;
    match done {
        Ok(()) => {
            info!(name, order = ?signed.order.action, "the owner's order is done");
            json(&Obeyed { done: true })
        }
        Err(error) => {
            let status = match error {
                Disobeyed::Nowhere => StatusCode::NOT_FOUND,
                Disobeyed::NotOwner => StatusCode::FORBIDDEN,
                Disobeyed::Stale | Disobeyed::Full => StatusCode::CONFLICT,
                Disobeyed::Away(away) => return later(&away.to_string()),
            };
            refusal(status, &error.to_string())
        }
    }
}

async fn tip(State(shared): State<Arc<Shared>>, body: Body) -> Response {
    let signed: SignedTip = match read(body, "a tip").await {
        Ok(signed) => signed,
        Err(refused) => return refused,
    };
    answer(&shared, async |books, economy| {
        if let Err(error) = signed.verify(&books.issuer().public()) {
            return Ok(refusal(StatusCode::FORBIDDEN, &error.to_string()));
        }
        let tip = &signed.tip;
        let squad: Vec<(PublicKey, u32)> = tip.to.iter().map(|to| (to.peer, to.weight)).collect();
        let now = now_ms();
        // What the giver has earned and may spend by now counts.
        economy.vest(now, tip.from).await?;
        let applied = economy.tip(now, tip.id, tip.from, &squad, tip.amount, &tip.note).await?;
        let replayed = applied == Applied::Replayed;
        Ok(json(&Given { id: tip.id, amount: tip.amount, replayed }))
    })
    .await
}

/// A page of another origin asks before it posts JSON.
async fn preflight() -> Response {
    let headers = [
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (header::ACCESS_CONTROL_ALLOW_METHODS, "POST"),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, "content-type"),
        (header::ACCESS_CONTROL_MAX_AGE, "86400"),
    ];
    (StatusCode::NO_CONTENT, headers).into_response()
}

/// Does something with the accounts, or says why that cannot be now.
async fn answer(
    shared: &Shared,
    work: impl AsyncFnOnce(&Books, &Economy) -> Result<Response, EconomyError>,
) -> Response {
    let Some(books) = &shared.books else { return none() };
    let Some(economy) = books.opened() else {
        return later("the accounts have not been within reach yet: ask again");
    };
    let Ok(_reader) = shared.readers.try_acquire() else {
        return later("too many ask for accounts at once: ask again");
    };
    match timeout(PATIENCE, work(books, economy)).await {
        Ok(Ok(response)) => response,
        Ok(Err(error)) => refuse(&error),
        Err(_) => later(
            "the accounts did not answer within 10 s. Whether this request was taken is not known: \
             ask again with the same id, which is safe",
        ),
    }
}

fn none() -> Response {
    let cause = "this server keeps no ledger: it was started without --ledger";
    refusal(StatusCode::NOT_FOUND, cause)
}

pub(crate) fn later(cause: &str) -> Response {
    let mut response = refusal(StatusCode::SERVICE_UNAVAILABLE, cause);
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
    response
}

fn refuse(error: &EconomyError) -> Response {
    let status = match error {
        EconomyError::Store(StoreError::Broken(_)) => StatusCode::INTERNAL_SERVER_ERROR,
        EconomyError::Store(_) | EconomyError::Contended => return later(&error.to_string()),
        EconomyError::Refused(Refusal::Insufficient { .. }) => StatusCode::PAYMENT_REQUIRED,
        EconomyError::Refused(_) => StatusCode::CONFLICT,
        _ => StatusCode::BAD_REQUEST,
    };
    refusal(status, &error.to_string())
}
