//! Beacon's links over WebRTC data channels.

#[cfg(not(target_family = "wasm"))]
mod rendezvous;

#[cfg(not(target_family = "wasm"))]
pub use rendezvous::SignalClient;
