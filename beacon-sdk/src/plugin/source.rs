//! [`Source`]: encoded media in.

use crate::maybe_send::MaybeSend;
use crate::media::Media;
use async_trait::async_trait;

/// A source that cannot go on. The message names the cause and the cure.
#[derive(Debug, thiserror::Error)]
#[error("{context}")]
pub struct SourceError {
    /// What went wrong, and what can be done about it.
    pub context: String,
    /// The underlying cause.
    #[source]
    pub source: Option<Box<dyn core::error::Error + Send + Sync>>,
}

impl SourceError {
    /// An error with nothing beneath it.
    #[must_use]
    pub fn new(context: impl Into<String>) -> Self {
        Self { context: context.into(), source: None }
    }
}

/// Encoded media, in real time.
///
/// # Contract
/// - **S01** The first item is [`Media::Tracks`], a list that passes
///   [`Track::check_all`](crate::media::Track::check_all).
/// - **S02** Every object belongs to an announced track; within a track `dts` never decreases.
/// - **S03** The first object of every video track is a keyframe; every audio object is one.
/// - **S04** `next` is cancel-safe: a dropped call loses nothing.
/// - **S05** `None` is final: every later call gives `None` at once.
/// - **S06** Objects come at the pace they are captured; a file is paced like a camera.
/// - **S07** Objects are 1 to [`OBJECT_BYTES_MAX`](crate::media::OBJECT_BYTES_MAX) bytes, and
///   tracks are interleaved by time within half a second.
#[cfg_attr(not(target_family = "wasm"), async_trait)]
#[cfg_attr(target_family = "wasm", async_trait(?Send))]
pub trait Source: MaybeSend + 'static {
    /// The next item; `None` at the end.
    ///
    /// # Errors
    /// [`SourceError`] when the source has failed; the broadcast ends.
    ///
    /// # Cancel safety
    /// Cancel-safe (S04).
    async fn next(&mut self) -> Result<Option<Media>, SourceError>;
}

#[cfg_attr(not(target_family = "wasm"), async_trait)]
#[cfg_attr(target_family = "wasm", async_trait(?Send))]
impl<T: Source + ?Sized> Source for Box<T> {
    async fn next(&mut self) -> Result<Option<Media>, SourceError> {
        (**self).next().await
    }
}
