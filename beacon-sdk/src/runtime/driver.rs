//! The driver: one future from joining to shutting down, and what it may end with.

use super::edge::Edge;
use super::handle::Ends;
use super::playback::Playback;
use crate::config::Config;
use crate::engine::{Engine, Parts, PublishError};
use crate::identity::Identity;
use crate::maybe_send::MaybeSend;
use crate::plugin::{RendezvousError, Sink, SinkError, SourceError, TransportError};
use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};

/// Why a broadcast or a watch ended in failure.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DriveError {
    /// The transport as a whole.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The rendezvous would not have this peer.
    #[error(transparent)]
    Rendezvous(#[from] RendezvousError),
    /// The source.
    #[error("source: {0}")]
    Source(#[from] SourceError),
    /// What the source yields cannot be published.
    #[error("source: {0}")]
    Publish(#[from] PublishError),
    /// The sink.
    #[error("sink: {0}")]
    Sink(#[from] SinkError),
    /// The rendezvous names another publisher than the ticket.
    #[error(
        "the broadcast of this name is by {found}, the ticket is for {wanted}: ask for a new ticket"
    )]
    Publisher {
        /// The ticket's publisher.
        wanted: crate::PublicKey,
        /// The one at the rendezvous.
        found: crate::PublicKey,
    },
    /// The broadcast has nothing that this viewer may play.
    #[error(transparent)]
    Unplayable(#[from] crate::media::Unplayable),
    /// The peers of the broadcast speak another version of the protocol.
    #[error(transparent)]
    Incompatible(#[from] crate::Incompatible),
    /// The broadcaster has signed two manifests for one segment, and which of the streams is the true one
    /// cannot be known.
    #[error(
        "the broadcaster signs two different streams (two manifests for segment {0}): ask for another broadcast"
    )]
    Equivocation(crate::SegmentId),
    /// The engine's settings.
    #[error(transparent)]
    Config(#[from] crate::ConfigError),
}

/// Runs a peer while it is polled: await it, or spawn it. Ends when the broadcast has ended or
/// [`stop`](super::Watch::stop) was called; dropping it ends at once, without goodbyes.
#[must_use = "nothing happens until the driver is awaited or spawned"]
pub struct Driver(Run);

#[cfg(not(target_family = "wasm"))]
type Run = Pin<Box<dyn Future<Output = Result<(), DriveError>> + Send>>;
#[cfg(target_family = "wasm")]
type Run = Pin<Box<dyn Future<Output = Result<(), DriveError>>>>;

impl Driver {
    pub(super) fn new(
        run: impl Future<Output = Result<(), DriveError>> + MaybeSend + 'static,
    ) -> Self {
        Self(Box::pin(run))
    }
}

impl Future for Driver {
    type Output = Result<(), DriveError>;
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx)
    }
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Driver")
    }
}

/// Everything a driver starts from.
pub(super) struct Task {
    pub(super) seed: [u8; 32],
    pub(super) identity: Identity,
    pub(super) config: Config,
    pub(super) parts: Parts,
    pub(super) sink: Option<Box<dyn Sink>>,
    pub(super) edge: Edge,
}

impl Task {
    pub(super) async fn run(self, mut ends: Ends) -> Result<(), DriveError> {
        let Self { seed, identity, config, parts, sink, mut edge } = self;
        edge.rendezvous.join(edge.join.clone());
        let mut playback = Playback::new(sink);
        let result = match edge.meet(&ends).await {
            Ok(Some(broadcast)) => {
                let (now, epoch) = (edge.clock.now(), broadcast.epoch);
                let engine = if edge.join.publish {
                    Engine::publish(now, config, seed, identity, epoch, parts)
                } else {
                    Engine::watch(now, config, seed, identity, broadcast, parts)
                };
                match engine {
                    Ok(engine) => edge.run(engine, &mut playback, &mut ends).await,
                    Err(error) => Err(error.into()),
                }
            }
            // Stopped before the broadcast began.
            Ok(None) => Ok(()),
            Err(error) => Err(error),
        };
        let finished = playback.finish().await;
        edge.rendezvous.shutdown().await;
        edge.transport.shutdown().await;
        result.and(finished.map_err(DriveError::from))
    }
}
