//! Who is let in, before the rooms are asked: how many come from one network, and with what leave.

mod gate;
mod network;
mod quota;

use crate::config::{Config, NetworkLimits};
use crate::outbox::Closing;
use axum::http::HeaderMap;
use beacon_sdk::plugin::Join;
use beacon_sdk::signaling::{ErrorCode, Token};
use core::time::Duration;
use gate::Gate;
use network::{Network, Proxies};
use quota::Quotas;
pub(crate) use quota::Surplus;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// The door of a server.
#[derive(Debug)]
pub(crate) struct Admission {
    proxies: Proxies,
    limits: NetworkLimits,
    quotas: Mutex<Quotas>,
    gate: Gate,
}

impl Admission {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            proxies: Proxies::new(&config.trusted_proxies),
            limits: config.network,
            quotas: Mutex::new(Quotas::new(config.network)),
            gate: Gate::new(&config.tokens),
        }
    }

    /// Lets a connection of `socket` in, unless its network has enough of them.
    ///
    /// # Errors
    /// Which limit it exceeds.
    pub(crate) fn visit(
        self: &Arc<Self>,
        now: Instant,
        socket: IpAddr,
        head: &HeaderMap,
    ) -> Result<Visit, Surplus> {
        let address = self.proxies.origin(socket, head);
        let network = address.map(Network::of);
        if let Some(network) = network {
            self.quotas().arrive(now, network)?;
        }
        Ok(Visit { admission: Arc::clone(self), address, network })
    }

    /// Whether a peer that has proven its key may join, at Unix second `now`.
    ///
    /// # Errors
    /// What it lacks, and how to get it.
    pub(crate) fn admit(
        &self,
        now: u64,
        join: &Join,
        token: Option<&Token>,
    ) -> Result<(), Closing> {
        self.gate.admit(now, join, token)
    }

    /// Networks that something is remembered of.
    pub(crate) fn networks(&self) -> usize {
        self.quotas().len()
    }

    fn quotas(&self) -> MutexGuard<'_, Quotas> {
        // Nothing that holds it can panic half-way.
        self.quotas.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection that was let in. It counts for its network until this is dropped.
#[derive(Debug)]
pub(crate) struct Visit {
    admission: Arc<Admission>,
    address: Option<IpAddr>,
    network: Option<Network>,
}

impl Visit {
    /// Where it comes from; `None` for this machine, which is nobody's network.
    pub(crate) fn address(&self) -> Option<IpAddr> {
        self.address
    }

    /// Lets it join, unless its network does so too often.
    pub(crate) fn join(&self, now: Instant) -> Result<(), Closing> {
        let Some(network) = self.network else { return Ok(()) };
        self.admission.quotas().join(now, network).map_err(|wait| {
            let (rate, seconds) = (self.admission.limits.rate, whole_seconds(wait));
            let cause = format!(
                "more than {rate} joins per second come from {network}: come back in {seconds} s"
            );
            (ErrorCode::Crowded, cause)
        })
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        if let Some(network) = self.network {
            self.admission.quotas().depart(network);
        }
    }
}

/// Rounded up, and never "at once".
pub(crate) fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs() + 1
}
