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

use anyhow::{Context, Result, ensure};
use beacon_ledger::{CreditConfig, CreditLedger};
use beacon_sdk::{Beacon, Identity, PeerId, Profile};
use beacon_transport_webrtc::{IceServer, SignalClient, WebRtc, WebRtcConfig};
use std::path::Path;

/// A peer's identity and its way to others.
#[derive(Debug)]
pub struct Edge {
    /// Drawn anew for every run, or kept in a file.
    pub identity: Identity,
    /// WebRTC links.
    pub transport: WebRtc,
    /// The signaling server.
    pub rendezvous: SignalClient,
}

impl Edge {
    /// Makes an identity or takes the one in `kept`, and opens transport and rendezvous for it.
    ///
    /// # Errors
    /// When the address is not one, the network cannot be used, or the file holds something else.
    pub fn open(signal: &str, network: &args::Network, kept: Option<&Path>) -> Result<Self> {
        let identity = match kept {
            Some(file) => beacon_signal::read_or_make_key(file).context("--identity")?,
            None => Identity::random().context("no random numbers from the system")?,
        };
        let transport = transport(identity.public(), signal, network)?;
        let rendezvous = SignalClient::new(signal, &identity)
            .with_context(|| format!("--signal {signal}: use ws://HOST:PORT or wss://HOST"))?;
        Ok(Self { identity, transport, rendezvous })
    }

    /// Opens what the options of a program say, and the peer over it. Where the signaling server keeps a ledger,
    /// it signs for what it receives and earns by what it carries; an ephemeral one leaves no trace of that kind.
    ///
    /// # Errors
    /// As [`Edge::open`].
    pub fn beacon(signal: &str, run: &args::Run) -> Result<Beacon> {
        let ephemeral = run.profile == Profile::Ephemeral;
        ensure!(
            !ephemeral || run.identity.is_none(),
            "--identity keeps a key, and --profile ephemeral keeps nothing: choose one"
        );
        let Self { identity, transport, rendezvous } =
            Self::open(signal, &run.network, run.identity.as_deref())?;
        let rendezvous = match &run.token {
            Some(token) => rendezvous.token(token.clone()),
            None => rendezvous,
        };
        let config = CreditConfig::new(None, rendezvous.session());
        let ledger = CreditLedger::new(identity.clone(), config);
        let beacon = Beacon::new(identity, transport, rendezvous).report(!run.no_report);
        Ok(if ephemeral { beacon } else { beacon.ledger(ledger) })
    }
}

/// Signaling servers that only this machine can reach have only peers of this machine.
fn transport(me: PeerId, signal: &str, network: &args::Network) -> Result<WebRtc> {
    let local = ["ws://127.", "ws://localhost", "ws://[::1]"];
    let is_local = |url: &str| local.iter().any(|prefix| url.trim().starts_with(prefix));
    let mut config = if signal.split(',').all(is_local) {
        WebRtcConfig::loopback()
    } else {
        WebRtcConfig::default()
    };
    config.ice_servers = network.ice.iter().map(|url| IceServer::stun(url.clone())).collect();
    config.relay_only = network.relay_only;
    config.links_max = 300;
    WebRtc::new(me, config).context("the network cannot be used for WebRTC")
}
