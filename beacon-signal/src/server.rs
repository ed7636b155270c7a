//! [`Server`]: sockets in, tasks out, an orderly end.

use crate::admission::Admission;
use crate::api::READERS_MAX;
use crate::books::{Books, LedgerError};
use crate::cluster::{Cluster, ClusterError};
use crate::config::{Config, ConfigError};
use crate::http;
use crate::metrics::Metrics;
use crate::pages::Pages;
use crate::rooms::Rooms;
use crate::tracker::Tracker;
use axum::Router;
use axum::body::Body;
use beacon_sdk::Rng;
use core::future::Future;
use core::net::SocketAddr;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Instant;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};
use tokio::time::{MissedTickBehavior, interval, sleep, sleep_until, timeout};
use tower_service::Service as _;
use tracing::{debug, info, warn};

/// Sockets beside the WebSocket connections: scrapes, listings, upgrades under way.
const HTTP_MAX: usize = 64;
/// A request's header must come within this; so must the next request on an open connection.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// How often the rooms are asked what is due: the longest that news of a comer waits.
const TICK: Duration = Duration::from_millis(250);
/// For the accounts to take what waits, at the end.
const SETTLE_MAX: Duration = Duration::from_secs(10);
/// Pause after the system refuses another socket.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The server cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// A setting outside its range.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The address is in use.
    #[error(
        "{addr} is in use by another program: stop it, or listen on another port (0 takes a free one)"
    )]
    InUse {
        /// The address.
        addr: SocketAddr,
    },
    /// The address cannot be listened on.
    #[error(
        "cannot listen on {addr}: {source}; choose an address of this machine and a port above 1023"
    )]
    Listen {
        /// The address.
        addr: SocketAddr,
        /// The cause.
        source: io::Error,
    },
    /// The ledger cannot start.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The rooms cannot be shared with other nodes.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// A page cannot be read.
    #[error(
        "cannot read {}: {source}; `cargo xtask web` builds the folder beacon-web/dist",
        .file.display()
    )]
    Pages {
        /// The file.
        file: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

/// A signaling server that is listening. Connections wait until [`serve`](Self::serve) is called.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    local_addr: SocketAddr,
    shared: Arc<Shared>,
    connections: Arc<Semaphore>,
    connections_max: u32,
}

/// What all connections of a server share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) metrics: Metrics,
    pub(crate) pages: Option<Pages>,
    pub(crate) books: Option<Arc<Books>>,
    pub(crate) admission: Arc<Admission>,
    /// Places for those who look at the accounts.
    pub(crate) readers: Semaphore,
    pub(crate) stage: watch::Sender<Stage>,
    rooms: Tracker,
    places: Arc<Semaphore>,
    next_connection: AtomicU64,
}

/// How far a server is on its way to its end.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Stage {
    Serving,
    /// Nobody is let in, and every connection ends at its moment.
    Draining {
        since: Instant,
        over: Duration,
    },
    Stopped,
}

impl Stage {
    /// Waits until a connection is to end whose moment in a drain is `moment`, 0 to 1. Cancel-safe.
    pub(crate) async fn over(stage: &mut watch::Receiver<Self>, moment: f64) {
        loop {
            let end = match *stage.borrow_and_update() {
                Self::Serving => None,
                Self::Draining { since, over } => Some(since + over.mul_f64(moment)),
                Self::Stopped => return,
            };
            let ended = async {
                match end {
                    Some(end) => sleep_until(end.into()).await,
                    None => core::future::pending().await,
                }
            };
            tokio::select! {
                () = ended => return,
                // Without a server there is nothing to be connected to.
                changed = stage.changed() => if changed.is_err() { return },
            }
        }
    }
}

/// Proof that a socket is within the limit; held for as long as it is open.
pub(crate) type Lease = Arc<OwnedSemaphorePermit>;

impl Shared {
    /// The rooms, wherever they are.
    pub(crate) fn rooms(&self) -> &Tracker {
        &self.rooms
    }

    pub(crate) fn next_connection(&self) -> u64 {
        self.next_connection.fetch_add(1, Ordering::Relaxed)
    }

    /// A place for one more WebSocket connection.
    pub(crate) fn place(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.places).try_acquire_owned().ok()
    }
}

impl Server {
    /// Starts to listen on `addr`; port 0 takes a free one.
    ///
    /// # Errors
    /// [`ServerError`] with the cause and the cure.
    pub async fn bind(addr: SocketAddr, config: Config) -> Result<Self, ServerError> {
        config.check()?;
        let pages = config.pages.as_deref().map(Pages::read).transpose()?;
        let books = match &config.ledger {
            Some(ledger) => Some(Arc::new(Books::open(ledger).await?)),
            None => None,
        };
        let mut seed = [0; 32];
        // Which peers are told to whom need not be secret, only even.
        seed[..8].copy_from_slice(&RandomState::new().hash_one(addr).to_le_bytes());
        let failed = |source: io::Error| match source.kind() {
            io::ErrorKind::AddrInUse => ServerError::InUse { addr },
            _ => ServerError::Listen { addr, source },
        };
        let listener = TcpListener::bind(addr).await.map_err(failed)?;
        let local_addr = listener.local_addr().map_err(failed)?;
        let connections = config.connections_max + HTTP_MAX;
        let issuer = books.as_ref().map(|books| books.issuer().clone());
        let metrics = Metrics::new(config.cluster.is_some());
        let rng = Rng::new(seed, 0);
        let rooms = match &config.cluster {
            None => Tracker::Alone(Mutex::new(Rooms::new(&config, issuer, rng))),
            Some(at) => {
                let numbers = metrics.cluster.clone();
                Tracker::Cluster(Arc::new(Cluster::open(at, &config, issuer, rng, numbers).await?))
            }
        };
        let shared = Shared {
            rooms,
            metrics,
            pages,
            books,
            admission: Arc::new(Admission::new(&config)),
            readers: Semaphore::new(READERS_MAX),
            stage: watch::Sender::new(Stage::Serving),
            places: Arc::new(Semaphore::new(config.connections_max)),
            next_connection: AtomicU64::new(0),
            config,
        };
        Ok(Self {
            listener,
            local_addr,
            shared: Arc::new(shared),
            connections: Arc::new(Semaphore::new(connections)),
            connections_max: u32::try_from(connections).unwrap_or(u32::MAX),
        })
    }

    /// The address that is listened on.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Serves until `shutdown` completes. Then nobody is let in, every peer is told to go at some moment within
    /// [`Config::drain`], and it returns once all have gone, after [`Config::grace`] more at the latest, and what they
    /// claimed is settled, which takes ten seconds more at the most.
    ///
    /// # Cancel safety
    /// When dropped, nothing more is accepted, and open connections are told to close.
    pub async fn serve(self, shutdown: impl Future<Output = ()> + Send) {
        let Self { listener, shared, connections, connections_max, .. } = self;
        let _stop = StopOnDrop(Arc::clone(&shared));
        let (close_books, closing) = oneshot::channel::<()>();
        let keep = |books: &Arc<Books>| {
            tokio::spawn(Arc::clone(books).keep(shared.metrics.ledger.clone(), closing))
        };
        let keeping = shared.books.as_ref().map(keep);
        let (close_cluster, closing) = oneshot::channel::<()>();
        let sharing = match shared.rooms() {
            Tracker::Alone(_) => None,
            Tracker::Cluster(cluster) => Some(tokio::spawn(Arc::clone(cluster).keep(closing))),
        };
        let router = http::router(Arc::clone(&shared));
        let accepting = Accepting { listener, connections, shared: &shared, router };
        accepting.until(shutdown).await;
        accepting.drain().await;
        let Accepting { listener, connections, .. } = accepting;
        drop(listener);
        shared.stage.send_replace(Stage::Stopped);
        // Every socket holds a permit: with all of them back, all are closed.
        let all = connections.acquire_many(connections_max);
        match timeout(shared.config.grace, all).await {
            Ok(_) => info!("stopped"),
            Err(_) => info!("stopped; some peers did not take their goodbye in time"),
        }
        // When all have left, so does the node.
        drop(close_cluster);
        if let Some(sharing) = sharing {
            let _ = sharing.await;
        }
        // With the last words of the peers in the till.
        drop(close_books);
        if let Some(keeping) = keeping
            && timeout(SETTLE_MAX, keeping).await.is_err()
        {
            warn!("the accounts did not take what was left in time: it is lost");
        }
    }
}

/// Lets connections come.
struct Accepting<'a> {
    listener: TcpListener,
    connections: Arc<Semaphore>,
    shared: &'a Arc<Shared>,
    router: Router,
}

impl Accepting<'_> {
    /// Answers who comes, and has the rooms do what is due, until `end` completes.
    async fn until(&self, end: impl Future<Output = ()> + Send) {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        tokio::pin!(end);
        loop {
            let accepted = tokio::select! {
                () = &mut end => return,
                _ = tick.tick() => {
                    self.shared.rooms().tick(Instant::now());
                    continue;
                }
                accepted = accept(&self.listener, &self.connections) => accepted,
            };
            match accepted {
                Ok((stream, from, lease)) => {
                    let stage = self.shared.stage.subscribe();
                    tokio::spawn(answer(stream, (from, lease), self.router.clone(), stage));
                }
                Err(error) => {
                    warn!(%error, "cannot accept: raise the limit of open files?");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// Has all peers told to go, one after the other, and still answers those who ask how it does; ends when they have
    /// gone, or it is time.
    async fn drain(&self) {
        let Config { drain, connections_max, .. } = self.shared.config;
        if drain.is_zero() {
            return;
        }
        self.shared.metrics.draining.set(1);
        self.shared.stage.send_replace(Stage::Draining { since: Instant::now(), over: drain });
        info!(seconds = drain.as_secs(), "stopping: nobody is let in, and peers are told to go");
        let all = u32::try_from(connections_max).unwrap_or(u32::MAX);
        self.until(async {
            let _ = timeout(drain, self.shared.places.acquire_many(all)).await;
        })
        .await;
    }
}

/// Tells connections to close however serving ends.
struct StopOnDrop(Arc<Shared>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.stage.send_replace(Stage::Stopped);
    }
}

/// The next socket, once there is room for one. Cancel-safe.
async fn accept(
    listener: &TcpListener,
    connections: &Arc<Semaphore>,
) -> io::Result<(TcpStream, SocketAddr, Lease)> {
    let permit = Arc::clone(connections).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, from) = listener.accept().await?;
    Ok((stream, from, Arc::new(permit)))
}

/// Speaks HTTP until the connection closes or becomes a WebSocket, which holds the lease on.
async fn answer(
    stream: TcpStream,
    (from, lease): (SocketAddr, Lease),
    router: Router,
    mut stage: watch::Receiver<Stage>,
) {
    // Signals are small and each is waited for.
    let _ = stream.set_nodelay(true);
    let service = hyper::service::service_fn(move |request: hyper::Request<_>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(Arc::clone(&lease));
        request.extensions_mut().insert(from);
        router.clone().call(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(16 * 1024)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    tokio::select! {
        ended = connection => if let Err(error) = ended {
            debug!(%error, "an HTTP connection failed");
        },
        _ = stage.wait_for(|stage| *stage == Stage::Stopped) => {}
    }
}
