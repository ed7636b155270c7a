//! A page that any browser on this machine watches a broadcast on: a player, and where its bytes
//! come from.
//!
//! [`Page::bind`] serves it, [`Page::sink`] feeds it, [`Page::show`] shows a watch's counters.
//! Media goes to browsers as fragmented MP4 over one WebSocket each (`/stream`, see [`message`]),
//! and into Media Source Extensions there. Each browser reads the same bounded log at its own
//! pace: a slow or stalled one skips to the newest group and holds nobody up.
//!
//! | path | answer |
//! |---|---|
//! | `/` | the page |
//! | `/stats` | the counters ([`Snapshot`]) as JSON |
//! | `/stream` | the stream (WebSocket) |
//! | `/healthz` | `ok` |

mod browser;
mod http;
mod hub;
mod log;
pub mod message;
mod server;
mod sink;

pub use sink::PageSink;

use beacon_sdk::Snapshot;
use core::net::SocketAddr;
use hub::Hub;
use std::io;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// The page cannot be served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PageError {
    /// The address is in use.
    #[error(
        "{addr} is in use by another program: stop it, or give the page another port (0 takes a free one)"
    )]
    InUse {
        /// The address.
        addr: SocketAddr,
    },
    /// The address cannot be listened on.
    #[error(
        "cannot serve the page on {addr}: {source}; choose an address of this machine and a port above 1023"
    )]
    Listen {
        /// The address.
        addr: SocketAddr,
        /// The cause.
        source: io::Error,
    },
}

/// A page being served. Dropping it closes it without waiting; [`close`](Page::close) waits.
#[derive(Debug)]
pub struct Page {
    addr: SocketAddr,
    hub: Arc<Hub>,
    server: Option<JoinHandle<()>>,
}

impl Page {
    /// Serves the page on `addr` from a task of the current tokio runtime; port 0 takes a free one.
    ///
    /// # Errors
    /// [`PageError`] with the cause and the cure.
    pub async fn bind(addr: SocketAddr) -> Result<Self, PageError> {
        let failed = |source: io::Error| match source.kind() {
            io::ErrorKind::AddrInUse => PageError::InUse { addr },
            _ => PageError::Listen { addr, source },
        };
        let listener = TcpListener::bind(addr).await.map_err(failed)?;
        let bound = listener.local_addr().map_err(failed)?;
        let hub = Arc::new(Hub::new());
        let server = tokio::spawn(server::serve(listener, Arc::clone(&hub)));
        Ok(Self { addr: bound, hub, server: Some(server) })
    }

    /// The address that is listened on.
    #[must_use]
    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// A sink whose broadcast is shown from now on, in place of what another sink showed before.
    #[must_use]
    pub fn sink(&self) -> PageSink {
        PageSink::new(Arc::clone(&self.hub))
    }

    /// Shows the counters of the watch of that name, live.
    pub fn show(&self, name: impl Into<String>, snapshots: watch::Receiver<Snapshot>) {
        self.hub.show(name.into(), snapshots);
    }

    /// Closes: browsers get what has been written and are told, for at most a few seconds.
    ///
    /// # Cancel safety
    /// When dropped, the page closes all the same.
    pub async fn close(mut self) {
        self.hub.stop.send_replace(true);
        if let Some(server) = self.server.take() {
            // It ends by itself, or has panicked and said so.
            let _ = server.await;
        }
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        self.hub.stop.send_replace(true);
    }
}
