//! Asking a server over HTTP.

use axum::body::{Body, to_bytes};
use beacon_ledger::Id;
use beacon_sdk::{Identity, PublicKey};
use hyper::http::request;
use hyper::{Request, Uri, header};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde_json::Value;
use std::error::Error;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// For an answer to come; the server's own patience is shorter.
const PATIENCE: Duration = Duration::from_secs(15);
/// Bytes of an answer at most: a list of a thousand broadcasts.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// The key in a file that is there.
pub(super) fn key(file: &Path) -> Result<Identity, Box<dyn Error>> {
    if !file.exists() {
        return Err(format!("--identity: there is no file {}", file.display()).into());
    }
    Ok(beacon_signal::read_or_make_key(file)?)
}

/// Unix milliseconds.
pub(super) fn now_ms() -> Result<u64, Box<dyn Error>> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis().try_into()?)
}

/// A new id, of now.
pub(super) fn new_id() -> Result<Id, Box<dyn Error>> {
    let mut random = [0; 10];
    getrandom::fill(&mut random)?;
    Ok(Id::new(now_ms()?, random))
}

/// The key that the server's edges are signed by, for which requests to its ledger are signed.
pub(super) async fn issuer(server: &Uri) -> Result<PublicKey, Box<dyn Error>> {
    let ledger = get(server, "/api/ledger", None).await?;
    Ok(ledger["issuer"].as_str().unwrap_or_default().parse()?)
}

/// What the server answers; its refusal as an error.
pub(super) async fn get(
    server: &Uri,
    path: &str,
    authorization: Option<&str>,
) -> Result<Value, Box<dyn Error>> {
    let mut request = Request::builder().method("GET").uri(path);
    if let Some(authorization) = authorization {
        request = request.header(header::AUTHORIZATION, authorization);
    }
    ask(server, request, String::new()).await
}

/// What the server answers to JSON; its refusal as an error.
pub(super) async fn post(
    server: &Uri,
    path: &str,
    body: &impl Serialize,
) -> Result<Value, Box<dyn Error>> {
    ask(server, Request::builder().method("POST").uri(path), serde_json::to_string(body)?).await
}

async fn ask(
    server: &Uri,
    request: request::Builder,
    body: String,
) -> Result<Value, Box<dyn Error>> {
    let cure =
        "use ws://HOST:PORT or http://HOST:PORT, behind a TLS proxy the server's own address";
    let plain = matches!(server.scheme_str(), Some("ws" | "http"));
    let host = server.host().filter(|_| plain).ok_or_else(|| format!("{server}: {cure}"))?;
    let address = format!("{host}:{}", server.port_u16().unwrap_or(80));
    let request = request
        .header(header::HOST, &address)
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::CONNECTION, "close")
        .body(body)?;
    let answer = async {
        let socket = TcpStream::connect(&address).await?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(socket)).await?;
        tokio::spawn(connection);
        let answer = sender.send_request(request).await?;
        let status = answer.status();
        let body = to_bytes(Body::new(answer.into_body()), ANSWER_BYTES_MAX).await?;
        Ok::<_, Box<dyn Error>>((status, body))
    };
    let answer = timeout(PATIENCE, answer).await.map_err(|_| format!("{address} is silent"))?;
    let (status, body) = answer.map_err(|error| format!("{address}: {error}"))?;
    let value: Value = serde_json::from_slice(&body)
        .map_err(|_| format!("{address} answers {status} without JSON: is it beacon-signal?"))?;
    match value["error"].as_str() {
        None if status.is_success() => Ok(value),
        cause => Err(format!("the server refuses ({status}): {}", cause.unwrap_or("")).into()),
    }
}

/// What is added to the line that says what was given.
pub(super) fn again(given: &Value) -> &'static str {
    match given["replayed"].as_bool() {
        Some(true) => "  (had come before: nothing was given again)",
        _ => "",
    }
}
