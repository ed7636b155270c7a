//! [`Sink`]: encoded media out.

use crate::maybe_send::MaybeSend;
use crate::media::Playout;
use async_trait::async_trait;

/// A sink that cannot go on. The message names the cause and the cure.
#[derive(Debug, thiserror::Error)]
#[error("{context}")]
pub struct SinkError {
    /// What went wrong, and what can be done about it.
    pub context: String,
    /// The underlying cause.
    #[source]
    pub source: Option<Box<dyn core::error::Error + Send + Sync>>,
}

impl SinkError {
    /// An error with nothing beneath it.
    #[must_use]
    pub fn new(context: impl Into<String>) -> Self {
        Self { context: context.into(), source: None }
    }
}

/// Takes media in playout order.
///
/// # Contract
/// - **K01** The first item is [`Playout::Tracks`]; a sink may refuse tracks it cannot take.
/// - **K02** Waiting in `write` is back-pressure: nothing else of the peer stalls, and what the
///   sink is too slow for becomes a `Gap`.
/// - **K03** A `Gap` is survived.
/// - **K04** `finish` flushes; it is called once, after `End` or when the viewer leaves, and
///   nothing is written after it.
/// - **K05** An error ends the watch and never the process.
#[cfg_attr(not(target_family = "wasm"), async_trait)]
#[cfg_attr(target_family = "wasm", async_trait(?Send))]
pub trait Sink: MaybeSend + 'static {
    /// Takes the next item.
    ///
    /// # Errors
    /// [`SinkError`] when it can take no more.
    ///
    /// # Cancel safety
    /// Not required: the driver never drops this call while it is pending, except to end.
    async fn write(&mut self, item: Playout) -> Result<(), SinkError>;

    /// Flushes and closes.
    ///
    /// # Errors
    /// [`SinkError`] when what was written may not be whole.
    async fn finish(&mut self) -> Result<(), SinkError>;
}

#[cfg_attr(not(target_family = "wasm"), async_trait)]
#[cfg_attr(target_family = "wasm", async_trait(?Send))]
impl<T: Sink + ?Sized> Sink for Box<T> {
    async fn write(&mut self, item: Playout) -> Result<(), SinkError> {
        (**self).write(item).await
    }
    async fn finish(&mut self) -> Result<(), SinkError> {
        (**self).finish().await
    }
}
