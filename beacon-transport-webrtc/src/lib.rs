//! Beacon's links over WebRTC data channels: a
//! [`Transport`](beacon_sdk::plugin::Transport) on the `webrtc` crate.
//!
//! ```
//! # #[cfg(not(target_family = "wasm"))] {
//! use beacon_sdk::PeerId;
//! use beacon_transport_webrtc::{IceServer, WebRtc, WebRtcConfig};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! let me = PeerId::from_bytes([1; 32]);
//! let config = WebRtcConfig {
//!     ice_servers: vec![IceServer::stun("stun:stun.example.org:3478")],
//!     ..WebRtcConfig::default()
//! };
//! let transport = WebRtc::new(me, config)?;
//! # drop(transport);
//! # Ok::<(), beacon_sdk::plugin::TransportError>(()) }).unwrap();
//! # }
//! ```
//!
//! # A link
//! A link is one peer connection with two data channels whose ids both ends know beforehand:
//! 0 is [`Lane::Control`](beacon_sdk::Lane) (ordered, reliable), 1 is `Lane::Data` (unordered, no
//! retransmission). Announced in band they would turn reliable on the accepting side, as
//! measured with `webrtc` 0.21.1.
//!
//! Before a link is reported both ends say `open` on the control lane, as text; frames are binary.
//! An end that is not read for now says `hold` there, and `go` later: a browser cannot make SCTP wait.
//! The reason is in the stack: what reaches a negotiated channel before it is open there is
//! acknowledged and lost, even on the reliable lane.
//!
//! Who the peer is, is not known here. [`Link::binding`](beacon_sdk::plugin::Link::binding) is a
//! SHA-256 over both DTLS certificates' fingerprints; the engine's handshake signs it.
//!
//! # Signals
//! JSON of at most 16 KiB, one to a few per set-up and direction: `offer`, `answer`, `candidates` and
//! `full`, each with the version and the name of the dial. Browsers hide their addresses behind
//! `.local` names and resolve each other's; native peers neither send nor try those, as multicast
//! DNS is off, and learn a browser's address from its own checks.
//!
//! # In a browser
//! On wasm32-unknown-unknown the same `WebRtc` is built on the browser's own peer connections. They
//! exist in pages only, so a `Connector` in the page makes them, and hands their data channels over
//! a `MessagePort` to the `WebRtc` in a worker, where the engine is.
//!
//! # What it costs
//! One UDP socket per local address and two tasks per link, about 260 KB of memory. A frame that
//! is sent is copied once, because the stack wants a buffer of its own; the last holder of a
//! frame is spared that copy.

mod binding;
mod config;
mod lane;
#[cfg(not(target_family = "wasm"))]
mod native;
mod rendezvous;
mod sdp;
mod signal;
#[cfg(target_family = "wasm")]
mod web;

pub use config::{IceServer, WebRtcConfig, WebRtcConfigError};
#[cfg(not(target_family = "wasm"))]
pub use native::{WebRtc, WebRtcCounters};
pub use rendezvous::SignalClient;
#[cfg(target_family = "wasm")]
pub use web::{Connector, WebRtc, WebRtcCounters};
