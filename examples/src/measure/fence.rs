//! A transport that reaches some peers only, so that a mesh takes the shape to be measured, and
//! that notes when symbols come and go.

use super::unix_now;
use async_trait::async_trait;
use beacon_sdk::media::Manifest;
use beacon_sdk::plugin::{
    CloseReason, TransportCaps, TransportError, TransportEvent, TrySendError,
};
use beacon_sdk::wire::{Message, SymbolHeader};
use beacon_sdk::{Instant, Lane, PeerId, SegmentId, Transport};
use beacon_transport_webrtc::WebRtc;
use bytes::Bytes;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Segments and symbols remembered at most.
const SEGMENTS_MAX: usize = 256;
const SYMBOLS_MAX: usize = 8192;
/// Times in the relay kept at most.
const DWELLS_MAX: usize = 1 << 20;

/// What a [`Fence`] has seen; clones are the same one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Traffic(Arc<Mutex<Seen>>);

#[derive(Debug, Default)]
struct Seen {
    /// When the latest symbol, page or manifest of a segment came.
    segments: BTreeMap<SegmentId, Instant>,
    symbols: BTreeMap<(SegmentId, u16), Instant>,
    dwells: Vec<Duration>,
}

impl Traffic {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When the last piece of a segment came, as of now.
    pub(crate) fn last_arrival(&self, id: SegmentId) -> Option<Instant> {
        self.seen().segments.get(&id).copied()
    }

    /// How long symbols stayed between being received and being handed to the next link.
    pub(crate) fn dwells(&self) -> Vec<Duration> {
        std::mem::take(&mut self.seen().dwells)
    }

    fn came(&self, lane: Lane, frame: &Bytes) {
        let (id, esi) = match lane {
            Lane::Data => match SymbolHeader::decode(frame) {
                Ok(header) => (header.segment, Some(header.esi)),
                Err(_) => return,
            },
            Lane::Control => match Message::decode(frame.clone()) {
                Ok(Message::Pages { id, .. }) => (id, None),
                Ok(Message::Manifest(record)) => match Manifest::peek(&record) {
                    Ok(id) => (id, None),
                    Err(_) => return,
                },
                _ => return,
            },
        };
        let now = unix_now();
        let mut seen = self.seen();
        seen.segments.insert(id, now);
        if let Some(esi) = esi {
            seen.symbols.entry((id, esi)).or_insert(now);
        }
        while seen.segments.len() > SEGMENTS_MAX {
            seen.segments.pop_first();
        }
        while seen.symbols.len() > SYMBOLS_MAX {
            seen.symbols.pop_first();
        }
    }

    fn went(&self, frame: &Bytes) {
        let Ok(header) = SymbolHeader::decode(frame) else { return };
        let mut seen = self.seen();
        let came = seen.symbols.get(&(header.segment, header.esi)).copied();
        if let Some(came) = came
            && seen.dwells.len() < DWELLS_MAX
        {
            seen.dwells.push(unix_now().since(came));
        }
    }
}

/// Whom a peer may have a link with.
type Admits = Box<dyn Fn(&PeerId) -> bool + Send>;

/// The transport itself.
pub(crate) struct Fence {
    inner: WebRtc,
    admits: Admits,
    refused: VecDeque<PeerId>,
    traffic: Option<Traffic>,
}

impl Fence {
    pub(crate) fn new(inner: WebRtc, admits: impl Fn(&PeerId) -> bool + Send + 'static) -> Self {
        Self { inner, admits: Box::new(admits), refused: VecDeque::new(), traffic: None }
    }

    /// Also notes what comes and goes.
    pub(crate) fn watched(self, traffic: Traffic) -> Self {
        Self { traffic: Some(traffic), ..self }
    }
}

#[async_trait]
impl Transport for Fence {
    fn caps(&self) -> TransportCaps {
        self.inner.caps()
    }

    fn dial(&mut self, peer: PeerId) {
        if (self.admits)(&peer) {
            self.inner.dial(peer);
        } else {
            self.refused.push_back(peer);
        }
    }

    fn signal(&mut self, from: PeerId, signal: Bytes) {
        if (self.admits)(&from) {
            self.inner.signal(from, signal);
        }
    }

    fn close(&mut self, peer: PeerId, reason: CloseReason) {
        self.inner.close(peer, reason);
    }

    fn try_send(&mut self, to: PeerId, lane: Lane, frame: Bytes) -> Result<(), TrySendError> {
        if let (Some(traffic), Lane::Data) = (&self.traffic, lane) {
            traffic.went(&frame);
        }
        self.inner.try_send(to, lane, frame)
    }

    async fn next_event(&mut self) -> Result<TransportEvent, TransportError> {
        if let Some(peer) = self.refused.pop_front() {
            return Ok(TransportEvent::ConnectFailed { peer, reason: CloseReason::Full });
        }
        let event = self.inner.next_event().await?;
        if let (Some(traffic), TransportEvent::Received { lane, frame, .. }) =
            (&self.traffic, &event)
        {
            traffic.came(*lane, frame);
        }
        Ok(event)
    }

    async fn shutdown(&mut self) {
        self.inner.shutdown().await;
    }
}
