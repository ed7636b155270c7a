//! The ledger over HTTP: accounts and statements, and what is asked of it; and orders of a broadcast's owner.

mod accounts;
mod order;
mod requests;

use crate::books::Books;
use crate::http::refusal;
use crate::server::Shared;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use beacon_ledger::economy::EconomyError;
use beacon_ledger::signed::RequestError;
use beacon_ledger::{Economy, Refusal, StoreError};
use core::time::Duration;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use tokio::time::timeout;

/// Bytes of a request's body at most; a tip for 32 takes 4 KiB.
const BODY_BYTES_MAX: usize = 16 * 1024;
/// For a request's body to come, and for the accounts to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// How far the clock of whoever signs may be off.
const SKEW_MS: u64 = 90_000;
/// Requests that look at the accounts at once at most; a statement reads a whole history.
pub(crate) const READERS_MAX: usize = 8;

pub(crate) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/api/ledger", get(accounts::terms))
        .route("/api/accounts/{account}", get(accounts::accounts).options(preflight))
        .route("/api/accounts/{account}/statement", get(accounts::statement).options(preflight))
        .route("/api/streams/{name}/order", post(order::order).options(preflight))
        .route("/api/tip", post(requests::tip).options(preflight))
        .route("/api/deposit", post(requests::deposit).options(preflight))
        .route("/api/split", post(requests::split).options(preflight))
        .route("/api/fork", post(requests::fork).options(preflight))
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

/// A page of another origin asks before it posts JSON, or shows who it is.
async fn preflight() -> Response {
    let headers = [
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST"),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, "authorization, content-type"),
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
        EconomyError::Refused(Refusal::Malformed(_)) => StatusCode::BAD_REQUEST,
        EconomyError::Refused(_) => StatusCode::CONFLICT,
        EconomyError::Unsigned(RequestError::Issuer(..) | RequestError::Signature(..)) => {
            StatusCode::FORBIDDEN
        }
        _ => StatusCode::BAD_REQUEST,
    };
    refusal(status, &error.to_string())
}
