//! The in-memory [`Transport`]. All state of a network is in one place behind one lock, so what
//! happens follows from the order of calls alone.

mod net;

use crate::id::PeerId;
use crate::plugin::{
    CloseReason, Lane, Transport, TransportCaps, TransportError, TransportEvent, TrySendError,
};
use async_trait::async_trait;
use bytes::Bytes;
use core::future::poll_fn;
use core::task::{Context, Poll};
use core::time::Duration;
use net::Net;
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes of a control frame at most.
pub const MEMORY_CONTROL_FRAME_MAX: usize = 64 * 1024;
/// Bytes of a data frame at most: the least that a transport may offer, so that nothing built
/// on this one relies on more.
pub const MEMORY_DATA_FRAME_MAX: usize = 1152;
/// Bytes that one lane of a link holds in one direction at most; 64 are counted for each frame
/// on top of its own.
pub const LANE_BYTES_MAX: usize = 256 * 1024;
/// A dial that nobody answers fails after this time (T01).
pub const DIAL_TIMEOUT: Duration = Duration::from_secs(5);

/// A network inside this process. Clones are the same network.
///
/// Connections are set up by two signals that the caller carries, like over WebRTC. Nothing is
/// lost or reordered on either lane. Without the `tokio` feature, and in a browser, there is no
/// clock here: a dial whose signals get lost then ends only when one of the two peers leaves.
#[derive(Debug, Clone, Default)]
pub struct MemoryNetwork(Arc<Mutex<Net>>);

impl MemoryNetwork {
    /// A network with nobody on it.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The endpoint of `me`. A former endpoint of the same name is taken off the network, as if
    /// its process had ended. Dropping an endpoint does the same.
    #[must_use]
    pub fn transport(&self, me: PeerId) -> MemoryTransport {
        let generation = self.with(|net| net.enter(me));
        MemoryTransport {
            network: self.clone(),
            me,
            generation,
            #[cfg(all(feature = "tokio", not(target_family = "wasm")))]
            deadlines: std::collections::BTreeMap::new(),
        }
    }

    /// Wakers are called outside the lock: an executor may poll right inside of `wake`.
    fn with<R>(&self, act: impl FnOnce(&mut Net) -> R) -> R {
        let (result, wakers) = {
            let mut net = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let result = act(&mut net);
            (result, net.take_wakers())
        };
        wakers.into_iter().for_each(core::task::Waker::wake);
        result
    }
}

/// One peer's end of a [`MemoryNetwork`].
#[derive(Debug)]
pub struct MemoryTransport {
    network: MemoryNetwork,
    me: PeerId,
    /// Tells this endpoint from a later one of the same peer.
    generation: u64,
    /// When each open dial has failed.
    #[cfg(all(feature = "tokio", not(target_family = "wasm")))]
    deadlines: std::collections::BTreeMap<PeerId, (u64, tokio::time::Instant)>,
}

impl MemoryTransport {
    fn with<R>(&self, act: impl FnOnce(&mut Net) -> R) -> Option<R> {
        let (me, generation) = (self.me, self.generation);
        self.network.with(|net| net.is_current(me, generation).then(|| act(net)))
    }

    fn poll_event(&self, cx: &Context<'_>) -> Poll<Result<TransportEvent, TransportError>> {
        let me = self.me;
        match self.with(|net| net.poll(me, cx)) {
            Some(poll) => poll.map(Ok),
            None => Poll::Ready(Err(TransportError {
                context: "this endpoint has left the network: ask the network for a new one".into(),
                source: None,
            })),
        }
    }

    #[cfg(all(feature = "tokio", not(target_family = "wasm")))]
    async fn next(&mut self) -> Result<TransportEvent, TransportError> {
        loop {
            let me = self.me;
            let open = self.with(|net| net.dials(me)).unwrap_or_default();
            self.deadlines.retain(|peer, (dial, _)| open.get(peer) == Some(dial));
            let first = self.deadlines.iter().map(|(peer, (dial, at))| (*at, *peer, *dial)).min();
            let Some((at, peer, dial)) = first else {
                return poll_fn(|cx| self.poll_event(cx)).await;
            };
            tokio::select! {
                biased;
                event = poll_fn(|cx| self.poll_event(cx)) => return event,
                () = tokio::time::sleep_until(at) => {
                    self.with(|net| net.expire(me, peer, dial));
                }
            }
        }
    }

    #[cfg(not(all(feature = "tokio", not(target_family = "wasm"))))]
    async fn next(&mut self) -> Result<TransportEvent, TransportError> {
        poll_fn(|cx| self.poll_event(cx)).await
    }

    fn leave(&self, reason: CloseReason) {
        let me = self.me;
        self.with(|net| net.leave(me, reason));
    }
}

#[cfg_attr(not(target_family = "wasm"), async_trait)]
#[cfg_attr(target_family = "wasm", async_trait(?Send))]
impl Transport for MemoryTransport {
    fn caps(&self) -> TransportCaps {
        TransportCaps {
            control_frame_max: MEMORY_CONTROL_FRAME_MAX,
            data_frame_max: MEMORY_DATA_FRAME_MAX,
            data_is_lossy: false,
        }
    }

    fn dial(&mut self, peer: PeerId) {
        let me = self.me;
        let _dial = self.with(|net| net.dial(me, peer)).flatten();
        #[cfg(all(feature = "tokio", not(target_family = "wasm")))]
        if let Some(dial) = _dial {
            self.deadlines.insert(peer, (dial, tokio::time::Instant::now() + DIAL_TIMEOUT));
        }
    }

    fn signal(&mut self, from: PeerId, signal: Bytes) {
        let me = self.me;
        self.with(|net| net.signal(me, from, &signal));
    }

    fn close(&mut self, peer: PeerId, _reason: CloseReason) {
        let me = self.me;
        self.with(|net| net.close(me, peer, CloseReason::Remote));
    }

    fn try_send(&mut self, to: PeerId, lane: Lane, frame: Bytes) -> Result<(), TrySendError> {
        let me = self.me;
        let mut frame = Some(frame);
        let sent = self.with(|net| net.send(me, to, lane, frame.take().unwrap_or_default()));
        match (sent, frame) {
            (Some(result), _) => result,
            (None, frame) => Err(TrySendError::NotConnected(frame.unwrap_or_default())),
        }
    }

    async fn next_event(&mut self) -> Result<TransportEvent, TransportError> {
        self.next().await
    }

    async fn shutdown(&mut self) {
        self.leave(CloseReason::Remote);
    }
}

impl Drop for MemoryTransport {
    fn drop(&mut self) {
        self.leave(CloseReason::Failed);
    }
}
