//! Sockets in, within limits.

use super::browser::GRACE;
use super::http;
use super::hub::{BROWSERS_MAX, Hub};
use axum::Router;
use axum::body::Body;
use core::time::Duration;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{sleep, timeout};
use tower_service::Service as _;
use tracing::{debug, warn};

/// Sockets beside those of browsers that watch.
const HTTP_MAX: usize = 32;
const SOCKETS_MAX: usize = BROWSERS_MAX + HTTP_MAX;
/// A request's header must come within this; so must the next request on an open connection.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of a request's header at most.
const HEADER_BYTES_MAX: usize = 16 * 1024;
/// A connection that does not become a WebSocket is closed after this, whatever it does.
const HTTP_TIMEOUT: Duration = Duration::from_secs(60);
/// Pause after the system refuses another socket.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Proof that a socket is within the limit; held for as long as it is open.
pub(super) type Lease = Arc<OwnedSemaphorePermit>;

/// Accepts and answers until the hub says stop, then waits for the sockets, for a moment.
pub(super) async fn serve(listener: TcpListener, hub: Arc<Hub>) {
    let local = listener.local_addr().map_or([127, 0, 0, 1].into(), |addr| addr.ip());
    let router = http::router(Arc::clone(&hub), local);
    let sockets = Arc::new(Semaphore::new(SOCKETS_MAX));
    let mut stop = hub.stop.subscribe();
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &sockets) => accepted,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        match accepted {
            Ok((stream, lease)) => {
                tokio::spawn(answer(stream, lease, router.clone(), hub.stop.subscribe()));
            }
            Err(error) => {
                warn!(%error, "the page cannot accept a browser: raise the limit of open files?");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    // Every socket holds a permit: with all of them back, all are closed.
    let all = sockets.acquire_many(SOCKETS_MAX as u32);
    if timeout(3 * GRACE, all).await.is_err() {
        debug!("some browsers did not take their goodbye in time");
    }
}

/// The next socket, once there is room for one. Cancel-safe.
async fn accept(
    listener: &TcpListener,
    sockets: &Arc<Semaphore>,
) -> std::io::Result<(TcpStream, Lease)> {
    let permit = Arc::clone(sockets).acquire_owned().await.map_err(std::io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    Ok((stream, Arc::new(permit)))
}

/// Speaks HTTP until the connection closes or becomes a WebSocket, which holds the lease on.
async fn answer(stream: TcpStream, lease: Lease, router: Router, mut stop: watch::Receiver<bool>) {
    // A segment is as long as it is; its tail is waited for.
    let _ = stream.set_nodelay(true);
    let service = hyper::service::service_fn(move |request: hyper::Request<_>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(Arc::clone(&lease));
        router.clone().call(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(HEADER_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    tokio::select! {
        ended = timeout(HTTP_TIMEOUT, connection) => if let Ok(Err(error)) = ended {
            debug!(%error, "an HTTP connection failed");
        },
        _ = stop.wait_for(|stop| *stop) => {}
    }
}
