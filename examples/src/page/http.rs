//! The HTTP face: the page, its stream, counters, health.

use super::browser;
use super::hub::Hub;
use super::server::Lease;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use core::net::IpAddr;
use std::sync::Arc;

/// Bytes of a message from a browser at most; a page sends none.
const HEARD_BYTES_MAX: usize = 1024;
/// What a connection reads at once.
const READ_BYTES: usize = 4 * 1024;

/// The page's files: path, type, content. How pictures are played and what is told of them is the
/// same as in a page that is a peer itself.
const FILES: [(&str, &str, &str); 10] = [
    ("/", "text/html; charset=utf-8", include_str!("../../page/index.html")),
    ("/page.css", "text/css; charset=utf-8", include_str!("../../page/page.css")),
    ("/page.js", JAVASCRIPT, include_str!("../../page/page.js")),
    ("/show.js", JAVASCRIPT, include_str!("../../page/show.js")),
    ("/stream.js", JAVASCRIPT, include_str!("../../page/stream.js")),
    ("/player.js", JAVASCRIPT, include_str!("../../../beacon-web/js/player.js")),
    ("/mse.js", JAVASCRIPT, include_str!("../../../beacon-web/js/mse.js")),
    ("/panel.js", JAVASCRIPT, include_str!("../../../beacon-web/pages/panel.js")),
    ("/format.js", JAVASCRIPT, include_str!("../../../beacon-web/pages/format.js")),
    ("/icon.svg", "image/svg+xml", include_str!("../../page/icon.svg")),
];
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

/// On every answer: nothing from elsewhere runs or is loaded, and nobody frames the page.
const HEADERS: [(HeaderName, HeaderValue); 5] = [
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
             connect-src 'self'; media-src blob:; base-uri 'none'; form-action 'none'; \
             frame-ancestors 'none'",
        ),
    ),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("same-origin"),
    ),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
];

pub(super) fn router(hub: Arc<Hub>, local: IpAddr) -> Router {
    let mut router = Router::new();
    for (path, kind, content) in FILES {
        router = router.route(path, get(async move || ([(header::CONTENT_TYPE, kind)], content)));
    }
    router
        .route("/healthz", get(async || "ok\n"))
        .route("/stats", get(stats))
        .route("/stream", get(stream))
        .with_state(hub)
        .layer(middleware::from_fn(move |request, next| guard(local, request, next)))
}

/// Adds [`HEADERS`], and refuses a name that leads here by somebody else's DNS: a page that is
/// bound to this machine alone stays out of reach of the sites its browsers visit.
async fn guard(local: IpAddr, request: Request, next: Next) -> Response {
    let mut response = if local.is_loopback() && !names_this_machine(request.headers()) {
        let cause = "open this page as http://localhost or by its IP address\n";
        (StatusCode::MISDIRECTED_REQUEST, cause).into_response()
    } else {
        next.run(request).await
    };
    response.headers_mut().extend(HEADERS);
    response
}

/// Whether the `Host` is an IP address or a name of this machine in every browser.
fn names_this_machine(headers: &HeaderMap) -> bool {
    let Some(host) = text(headers, &header::HOST) else { return false };
    let port_at = host.rfind(':').filter(|at| !host[*at..].contains(']'));
    let name = port_at.map_or(host, |at| &host[..at]);
    let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    let name = name.to_ascii_lowercase();
    address.parse::<IpAddr>().is_ok() || name == "localhost" || name.ends_with(".localhost")
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// Whether a WebSocket comes from this very page, or from a program that is no browser.
/// Browsers let any site open WebSockets anywhere, and say where from.
fn same_origin(headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
    origin.is_some_and(|(_, origin)| text(headers, &header::HOST) == Some(origin))
}

async fn stats(State(hub): State<Arc<Hub>>) -> Response {
    match serde_json::to_string(&hub.snapshot()) {
        Ok(json) => ([(header::CONTENT_TYPE, "application/json")], json).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

async fn stream(
    State(hub): State<Arc<Hub>>,
    Extension(lease): Extension<Lease>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let Ok(upgrade) = upgrade else {
        let cause = "this is the page's stream: open / in a browser, or connect by WebSocket\n";
        return (StatusCode::UPGRADE_REQUIRED, [(header::UPGRADE, "websocket")], cause)
            .into_response();
    };
    if !same_origin(&headers) {
        return (StatusCode::FORBIDDEN, "only this viewer's own page may watch\n").into_response();
    }
    let Some(place) = hub.place() else {
        let cause = "too many browsers watch this viewer: close one, or start another viewer\n";
        return (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "5")], cause)
            .into_response();
    };
    upgrade
        .max_message_size(HEARD_BYTES_MAX)
        .max_frame_size(HEARD_BYTES_MAX)
        .read_buffer_size(READ_BYTES)
        // Nothing is gathered: a message is on its way before the next one is read from the log.
        .write_buffer_size(0)
        .on_upgrade(async move |socket| {
            browser::run(socket, &hub).await;
            drop((place, lease));
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(host: &'static str, origin: Option<&'static str>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_static(host));
        headers.extend(origin.map(|origin| (header::ORIGIN, HeaderValue::from_static(origin))));
        headers
    }

    #[test]
    fn names_of_this_machine() {
        for host in
            ["localhost", "LOCALHOST:80", "127.0.0.1:1", "[::1]:8080", "[::1]", "a.localhost:1"]
        {
            assert!(names_this_machine(&headers(host, None)), "{host}");
        }
        for host in ["", "evil.example", "evil.example:8080", "localhost.evil.example", "[::1"] {
            assert!(!names_this_machine(&headers(host, None)), "{host}");
        }
        assert!(!names_this_machine(&HeaderMap::new()));
    }

    #[test]
    fn only_the_page_itself_connects() {
        assert!(same_origin(&headers("127.0.0.1:1", None)));
        assert!(same_origin(&headers("127.0.0.1:1", Some("http://127.0.0.1:1"))));
        for origin in ["http://127.0.0.1:2", "http://evil.example", "null", ""] {
            assert!(!same_origin(&headers("127.0.0.1:1", Some(origin))), "{origin}");
        }
    }
}
