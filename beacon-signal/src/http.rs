//! The HTTP face: WebSocket upgrade, health, metrics, list of broadcasts, pages.

use crate::admission::{Surplus, whole_seconds};
use crate::api;
use crate::pages;
use crate::server::{Lease, Shared, Stage};
use crate::socket;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use beacon_sdk::signaling::MESSAGE_BYTES_MAX;
use core::time::Duration;
use serde::Serialize;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

/// What a connection reads and gathers at once; the default of 128 KiB each is for bulk.
const BUFFER_BYTES: usize = 4 * 1024;
/// Bytes of one connection that the network does not take at once, at most: the largest message
/// and a few control frames.
const UNSENT_BYTES_MAX: usize = 4 * MESSAGE_BYTES_MAX;

pub(crate) fn router(shared: Arc<Shared>) -> Router {
    let counted = middleware::from_fn_with_state(Arc::clone(&shared), counted);
    Router::new()
        .route("/api/openapi.json", get(description))
        .route("/api/streams", get(streams))
        .route("/api/streams/{name}/thumbnail", get(thumbnail))
        .route("/api/streams/{name}/mesh", get(mesh))
        .merge(api::routes())
        .fallback(get(pages::page))
        .layer(counted)
        // Connections of peers are counted as such; of those who watch over the server nothing is.
        .route("/", get(upgrade))
        .route("/ws", get(upgrade))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(shared)
}

/// Passes a request on, unless its network asks too often.
async fn counted(
    State(shared): State<Arc<Shared>>,
    Extension(from): Extension<SocketAddr>,
    request: Request,
    next: Next,
) -> Response {
    match shared.admission.request(Instant::now(), from.ip(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(wait) => too_often(&shared, wait),
    }
}

fn too_often(shared: &Shared, wait: Duration) -> Response {
    shared.metrics.turned_away("requests");
    let rate = shared.config.network.requests;
    let cause = format!("more than {rate} requests per second come from your network: ask later");
    let mut response = refusal(StatusCode::TOO_MANY_REQUESTS, &cause);
    response.headers_mut().insert(header::RETRY_AFTER, whole_seconds(wait).into());
    response
}

async fn upgrade(
    State(shared): State<Arc<Shared>>,
    Extension(lease): Extension<Lease>,
    Extension(from): Extension<SocketAddr>,
    request: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let Ok(upgrade) = upgrade else {
        if let Err(wait) = shared.admission.request(Instant::now(), from.ip(), &request) {
            return too_often(&shared, wait);
        }
        if let Some(pages) = &shared.pages {
            return pages.answer("/", &request);
        }
        let cause = "This is a Beacon signaling server: connect with WebSocket, as in \
                     --signal ws://HOST:PORT. Pages: /healthz, /metrics, /api/streams; pages to \
                     watch on come with --pages beacon-web/dist, which `cargo xtask web` builds.\n";
        return (StatusCode::UPGRADE_REQUIRED, [(header::UPGRADE, "websocket")], cause)
            .into_response();
    };
    if !matches!(*shared.stage.borrow(), Stage::Serving) {
        shared.metrics.turned_away("draining");
        return draining();
    }
    let visit = match shared.admission.visit(Instant::now(), from.ip(), &request) {
        Ok(visit) => visit,
        Err(surplus) => return too_many(&shared, surplus),
    };
    let Some(place) = shared.place() else {
        shared.metrics.turned_away("full");
        let cause = "no room for another connection: try later\n";
        return (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "5")], cause)
            .into_response();
    };
    upgrade
        .max_message_size(MESSAGE_BYTES_MAX)
        .max_frame_size(MESSAGE_BYTES_MAX)
        .read_buffer_size(BUFFER_BYTES)
        .write_buffer_size(0)
        .max_write_buffer_size(UNSENT_BYTES_MAX)
        .on_upgrade(async move |socket| {
            socket::run(socket, shared, visit).await;
            drop((place, lease));
        })
}

/// Whether connections are to be sent here. Redis is not looked at: without it no node could let anybody in, and
/// whoever balances between them had better have all than none.
async fn ready(State(shared): State<Arc<Shared>>) -> Response {
    match *shared.stage.borrow() {
        Stage::Serving => "ready\n".into_response(),
        _ => draining(),
    }
}

fn draining() -> Response {
    let cause = "this server stops: connect to another one, or try later\n";
    (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "5")], cause).into_response()
}

/// Refuses a connection of a network that has enough of them.
fn too_many(shared: &Shared, surplus: Surplus) -> Response {
    let (reason, wait, cause) = match surplus {
        Surplus::Open(most) => {
            let cause = format!("{most} connections of your network are open: close some\n");
            ("connections", shared.config.heartbeat(), cause)
        }
        Surplus::Rate(wait) => {
            ("rate", wait, "too many connections of your network: try later\n".to_owned())
        }
    };
    shared.metrics.turned_away(reason);
    let retry = [(header::RETRY_AFTER, whole_seconds(wait))];
    (StatusCode::TOO_MANY_REQUESTS, retry, cause).into_response()
}

async fn metrics(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    let census = shared.rooms().census();
    shared.metrics.networks(shared.admission.networks());
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], shared.metrics.page(census))
}

/// What paths there are and what they answer, for programs; `tests/openapi.rs` holds it to the truth.
async fn description() -> Response {
    text(include_str!("openapi.json"))
}

async fn streams(State(shared): State<Arc<Shared>>) -> Response {
    match shared.rooms().streams().await {
        Ok(streams) => json(&streams),
        Err(away) => api::later(&away.to_string()),
    }
}

async fn thumbnail(State(shared): State<Arc<Shared>>, Path(name): Path<String>) -> Response {
    let picture = match shared.rooms().thumbnail(&name).await {
        Ok(picture) => picture,
        Err(away) => return api::later(&away.to_string()),
    };
    let Some(picture) = picture else {
        let cause = "there is no such broadcast here, or it has no thumbnail";
        return refusal(StatusCode::NOT_FOUND, cause);
    };
    let headers = [
        (header::CONTENT_TYPE, picture.picture().media_type),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // Strangers' bytes: nothing in them may run, should somebody open them as a page.
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox"),
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        // The list names another address for another picture.
        (header::CACHE_CONTROL, "public, max-age=60"),
    ];
    (headers, picture.bytes().clone()).into_response()
}

async fn mesh(State(shared): State<Arc<Shared>>, Path(name): Path<String>) -> Response {
    if !shared.config.mesh {
        let cause = "this server keeps nothing of how meshes do: it was started with --no-mesh";
        return refusal(StatusCode::NOT_FOUND, cause);
    }
    match shared.rooms().mesh(Instant::now(), &name).await {
        Ok(Some(mesh)) => json(&mesh),
        Err(away) => api::later(&away.to_string()),
        Ok(None) => refusal(StatusCode::NOT_FOUND, "there is no such broadcast here"),
    }
}

/// Public: pages of any origin may read it.
pub(crate) fn json(body: &impl Serialize) -> Response {
    match serde_json::to_string(body) {
        Ok(body) => text(body),
        Err(error) => refusal(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

/// A text that is JSON.
fn text(json: impl IntoResponse) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "application/json"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (headers, json).into_response()
}

/// A refusal that programs can read.
pub(crate) fn refusal(status: StatusCode, error: &str) -> Response {
    let mut response = json(&Refusal { error });
    *response.status_mut() = status;
    response
}

#[derive(Serialize)]
struct Refusal<'a> {
    error: &'a str,
}
