//! Nothing is shown, everything is counted.

use async_trait::async_trait;
use beacon_sdk::Sink;
use beacon_sdk::media::Playout;
use beacon_sdk::plugin::SinkError;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What has come so far; may be read while the sink is in use elsewhere.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    counters: Arc<Counters>,
}

#[derive(Debug, Default)]
struct Counters {
    segments: AtomicU64,
    objects: AtomicU64,
    bytes: AtomicU64,
    gaps: AtomicU64,
}

impl Counts {
    /// Segments played.
    #[must_use]
    pub fn segments(&self) -> u64 {
        self.counters.segments.load(Relaxed)
    }

    /// Objects in them.
    #[must_use]
    pub fn objects(&self) -> u64 {
        self.counters.objects.load(Relaxed)
    }

    /// Bytes of those objects.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.counters.bytes.load(Relaxed)
    }

    /// Segments that were missed.
    #[must_use]
    pub fn gaps(&self) -> u64 {
        self.counters.gaps.load(Relaxed)
    }
}

/// Takes everything at once and keeps nothing but [`Counts`]; for relays, load tests and servers.
#[derive(Debug, Default)]
pub struct NullSink {
    counts: Counts,
}

impl NullSink {
    /// A sink that has counted nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The counters, to be read after the sink has been given away.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts.clone()
    }
}

#[async_trait]
impl Sink for NullSink {
    async fn write(&mut self, item: Playout) -> Result<(), SinkError> {
        let counters = &self.counts.counters;
        match item {
            Playout::Segment { objects, .. } => {
                let bytes: usize = objects.iter().map(|object| object.data.len()).sum();
                counters.segments.fetch_add(1, Relaxed);
                counters.objects.fetch_add(objects.len() as u64, Relaxed);
                counters.bytes.fetch_add(bytes as u64, Relaxed);
            }
            Playout::Gap { .. } => {
                counters.gaps.fetch_add(1, Relaxed);
            }
            Playout::Tracks(_) | Playout::End => {}
        }
        Ok(())
    }

    async fn finish(&mut self) -> Result<(), SinkError> {
        Ok(())
    }
}
