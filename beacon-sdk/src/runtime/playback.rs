//! Feeding a sink without waiting for it.

use crate::media::Playout;
use crate::plugin::{Sink, SinkError};
use core::future::Future;
use core::pin::Pin;

/// What a write gives back.
type Written = (Box<dyn Sink>, Result<(), SinkError>);
#[cfg(not(target_family = "wasm"))]
type Writing = Pin<Box<dyn Future<Output = Written> + Send>>;
#[cfg(target_family = "wasm")]
type Writing = Pin<Box<dyn Future<Output = Written>>>;

/// A sink and the write that it is busy with, if any.
pub(super) enum Playback {
    /// There is no sink, or it has been finished.
    None,
    /// Ready for the next item.
    Idle(Box<dyn Sink>),
    /// Busy; nothing else of the peer waits for it.
    Busy(Writing),
}

impl Playback {
    pub(super) fn new(sink: Option<Box<dyn Sink>>) -> Self {
        sink.map_or(Self::None, Self::Idle)
    }

    pub(super) const fn idle(&self) -> bool {
        matches!(self, Self::Idle(_))
    }

    pub(super) const fn busy(&self) -> bool {
        matches!(self, Self::Busy(_))
    }

    /// Starts to write an item. Only when idle.
    pub(super) fn write(&mut self, item: Playout) {
        match core::mem::replace(self, Self::None) {
            Self::Idle(mut sink) => {
                *self = Self::Busy(Box::pin(async move {
                    let result = sink.write(item).await;
                    (sink, result)
                }));
            }
            other => *self = other,
        }
    }

    /// Waits for the write under way. Only when busy.
    ///
    /// # Cancel safety
    /// Cancel-safe: the write goes on with the next call.
    pub(super) async fn written(&mut self) -> Result<(), SinkError> {
        let Self::Busy(writing) = self else { return Ok(()) };
        let (sink, result) = writing.await;
        *self = Self::Idle(sink);
        result
    }

    /// Finishes the sink, after the write under way.
    pub(super) async fn finish(&mut self) -> Result<(), SinkError> {
        let written = self.written().await;
        match core::mem::replace(self, Self::None) {
            Self::Idle(mut sink) => written.and(sink.finish().await),
            _ => written,
        }
    }
}
