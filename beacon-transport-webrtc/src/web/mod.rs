//! The transport on the browser's own WebRTC.
//!
//! Peer connections exist in pages only, and a page's main thread is no place for an engine. So
//! there are two halves, joined by a `MessagePort`: [`Connector`] in the page owns the connections
//! and does as it is told; [`WebRtc`] in a worker decides, and sends and receives through the data
//! channels that the page hands over to it. Both halves may live on one thread, too.

mod channel;
mod connector;
mod inbox;
mod offers;
mod peer;
mod port;
mod setup;
mod transport;

pub use connector::Connector;
pub use transport::{WebRtc, WebRtcCounters};
