//! A viewer that lies: everything about it is honest but what it passes on.

use async_trait::async_trait;
use beacon_codec_lite::NullSink;
use beacon_sdk::plugin::{
    CloseReason, TransportCaps, TransportError, TransportEvent, TrySendError,
};
use beacon_sdk::{Beacon, Identity, Lane, PeerId, Stopper, Transport};
use beacon_transport_webrtc::{SignalClient, WebRtc, WebRtcConfig};
use bytes::{Bytes, BytesMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

/// What is forged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forgery {
    Symbols,
    Manifests,
}

/// Type byte of a manifest on the control lane (SPEC §5).
const MANIFEST: u8 = 0x0c;

struct Forging {
    inner: WebRtc,
    forgery: Forgery,
    forged: Arc<AtomicU64>,
}

impl Forging {
    fn forge(&self, lane: Lane, frame: Bytes) -> Bytes {
        let target = match self.forgery {
            Forgery::Symbols => lane == Lane::Data,
            Forgery::Manifests => lane == Lane::Control && frame.first() == Some(&MANIFEST),
        };
        if !target {
            return frame;
        }
        self.forged.fetch_add(1, Ordering::Relaxed);
        let mut forged = BytesMut::from(&frame[..]);
        let at = forged.len() - 70;
        forged[at] ^= 1;
        forged.freeze()
    }
}

#[async_trait]
impl Transport for Forging {
    fn caps(&self) -> TransportCaps {
        self.inner.caps()
    }
    fn dial(&mut self, peer: PeerId) {
        self.inner.dial(peer);
    }
    fn signal(&mut self, from: PeerId, signal: Bytes) {
        self.inner.signal(from, signal);
    }
    fn close(&mut self, peer: PeerId, reason: CloseReason) {
        self.inner.close(peer, reason);
    }
    fn try_send(&mut self, to: PeerId, lane: Lane, frame: Bytes) -> Result<(), TrySendError> {
        let forged = self.forge(lane, frame);
        self.inner.try_send(to, lane, forged)
    }
    async fn next_event(&mut self) -> Result<TransportEvent, TransportError> {
        self.inner.next_event().await
    }
    async fn shutdown(&mut self) {
        self.inner.shutdown().await;
    }
}

/// A forger at work in a thread of its own.
pub struct Forger {
    thread: Option<JoinHandle<()>>,
    stop: Stopper,
    forged: Arc<AtomicU64>,
}

/// Joins the broadcast "test" as a viewer that forges what it relays.
pub fn join(signal: String, forgery: Forgery) -> Forger {
    let forged = Arc::new(AtomicU64::new(0));
    let count = forged.clone();
    let (tell, told) = std::sync::mpsc::sync_channel(1);
    let thread = std::thread::spawn(move || {
        tokio::runtime::Runtime::new().unwrap().block_on(async {
            let identity = Identity::random().unwrap();
            let inner = WebRtc::new(identity.public(), WebRtcConfig::loopback()).unwrap();
            let transport = Forging { inner, forgery, forged: count };
            let rendezvous = SignalClient::new(&signal, &identity).unwrap();
            let (watch, driver) = Beacon::new(identity, transport, rendezvous)
                .watch("test", NullSink::new())
                .unwrap();
            tell.send(watch.stopper()).unwrap();
            // However it ends: others may have thrown it out.
            let _ = driver.await;
        });
    });
    Forger { thread: Some(thread), stop: told.recv().unwrap(), forged }
}

impl Forger {
    /// Leaves; gives back how many frames were forged.
    pub fn stop(mut self) -> u64 {
        self.stop.stop();
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
        self.forged.load(Ordering::Relaxed)
    }
}
