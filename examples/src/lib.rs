//! What the example programs share: their common options, and how they start, report and end.

/// The README's programs, compiled.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;

pub mod args;
pub mod finish;
#[cfg(target_os = "linux")]
pub mod measure;
pub mod page;
pub mod processes;

use anyhow::{Context, Result};
use beacon_sdk::{Identity, PeerId};
use beacon_transport_webrtc::{IceServer, SignalClient, WebRtc, WebRtcConfig};

/// A peer's identity and its way to others.
#[derive(Debug)]
pub struct Edge {
    /// Drawn anew for every run.
    pub identity: Identity,
    /// WebRTC links.
    pub transport: WebRtc,
    /// The signaling server.
    pub rendezvous: SignalClient,
}

impl Edge {
    /// Makes an identity, and opens transport and rendezvous for it.
    ///
    /// # Errors
    /// When the address is not one, or the network cannot be used.
    pub fn open(signal: &str, ice: &[String]) -> Result<Self> {
        let identity = Identity::random().context("no random numbers from the system")?;
        let transport = transport(identity.public(), signal, ice)?;
        let rendezvous = SignalClient::new(signal, &identity)
            .with_context(|| format!("--signal {signal}: use ws://HOST:PORT or wss://HOST"))?;
        Ok(Self { identity, transport, rendezvous })
    }
}

/// A signaling server that only this machine can reach has only peers of this machine.
fn transport(me: PeerId, signal: &str, ice: &[String]) -> Result<WebRtc> {
    let local = ["ws://127.", "ws://localhost", "ws://[::1]"];
    let mut config = if local.iter().any(|prefix| signal.starts_with(prefix)) {
        WebRtcConfig::loopback()
    } else {
        WebRtcConfig::default()
    };
    config.ice_servers = ice.iter().map(|url| IceServer::stun(url.clone())).collect();
    config.links_max = 300;
    WebRtc::new(me, config).context("the network cannot be used for WebRTC")
}
