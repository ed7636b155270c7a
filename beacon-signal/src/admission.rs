//! Who is let in, before the rooms are asked: how many come from one network, and with what leave.

mod gate;
mod network;
mod quota;
mod work;

use crate::config::{Config, NetworkLimits};
use crate::outbox::Closing;
use axum::http::HeaderMap;
use beacon_sdk::plugin::Join;
use beacon_sdk::signaling::{ErrorCode, Nonce, Proof, Riddle, ServerMessage, Token, VERSION, Work};
use core::time::Duration;
use gate::{Gate, Guest};
use network::{Network, Proxies};
use quota::Quotas;
pub(crate) use quota::Surplus;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use work::Toll;
pub use work::{Effort, EffortError};

/// A peer that is asked for work may be silent so much longer for each try: 25 times what a try takes natively, for a slow
/// phone and ten times as many tries as it takes on average.
const TRY_PATIENCE: Duration = Duration::from_millis(500);

/// The door of a server.
#[derive(Debug)]
pub(crate) struct Admission {
    proxies: Proxies,
    limits: NetworkLimits,
    quotas: Mutex<Quotas>,
    gate: Gate,
    toll: Toll,
}

impl Admission {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            proxies: Proxies::new(&config.trusted_proxies),
            limits: config.network,
            quotas: Mutex::new(Quotas::new(config.network)),
            gate: Gate::new(config),
            toll: Toll::new(Instant::now(), config.work, config.strangers_rate),
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

    /// Lets a request for a page or for `/api` pass, unless its network asks too often.
    ///
    /// # Errors
    /// How long it is to wait.
    pub(crate) fn request(
        &self,
        now: Instant,
        socket: IpAddr,
        head: &HeaderMap,
    ) -> Result<(), Duration> {
        let network = self.proxies.origin(socket, head).map(Network::of);
        network.map_or(Ok(()), |network| self.quotas().request(now, network))
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

/// What whoever joins on a connection is asked for.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Challenge {
    nonce: Nonce,
    work: Option<Work>,
}

impl Challenge {
    pub(crate) fn message(&self) -> ServerMessage {
        ServerMessage::Challenge { version: VERSION, nonce: self.nonce, work: self.work }
    }

    fn tries(&self) -> u32 {
        self.work.map_or(0, |work| work.tries)
    }

    /// For the work, beyond what any join is given.
    pub(crate) fn patience(&self) -> Duration {
        TRY_PATIENCE * self.tries()
    }
}

/// A peer that wants to join, and what it shows for it.
#[derive(Debug)]
pub(crate) struct Asking {
    pub(crate) join: Join,
    pub(crate) session: u64,
    pub(crate) proof: Proof,
    pub(crate) token: Option<Token>,
    pub(crate) work: Option<u64>,
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

    /// Asks for the signature of `nonce`, which nobody can foretell, and for what it costs to join now.
    pub(crate) fn challenge(&self, now: Instant, nonce: Nonce) -> Challenge {
        let Admission { gate, .. } = &*self.admission;
        let tries = if gate.takes_strangers() { self.price(now) } else { 0 };
        let work = (tries > 0).then(|| Work { tries, token: gate.takes_tokens() });
        Challenge { nonce, work }
    }

    /// Tries that a stranger from here is asked for.
    fn price(&self, now: Instant) -> u32 {
        let taken = self.network.map(|network| self.admission.quotas().strangers(now, network));
        self.admission.toll.price(now, taken)
    }

    /// Whether a peer may join, at Unix second `unix`: it proves its key, and brings a token or has done the work
    /// that is asked for. What is cheap to look at comes first.
    ///
    /// # Errors
    /// What it lacks, and how to get it.
    pub(crate) async fn admit(
        &self,
        (now, unix): (Instant, u64),
        challenge: &Challenge,
        asking: &Asking,
    ) -> Result<(), Closing> {
        let Admission { gate, toll, .. } = &*self.admission;
        let Asking { join, session, proof, token, work } = asking;
        if !proof.verify(&challenge.nonce, *session, join) {
            let cause = "the join is not signed by the key of this peer: sign this connection's \
                         challenge with the identity that the peer id is of";
            return Err((ErrorCode::Unproven, cause.into()));
        }
        if gate.admit(unix, join, token.as_ref())? == Guest::Bearer {
            return Ok(());
        }
        let (asked, price) = (challenge.tries(), self.price(now));
        if let Some(network) = self.network {
            self.admission.quotas().stranger(now, network);
        }
        let riddle = Riddle::new(&challenge.nonce, *session, join, asked);
        toll.take(now, (asked, price), riddle, *work).await?;
        // Only now: false answers make it dear for their own network alone.
        if self.network.is_some() {
            toll.passed(now);
        }
        Ok(())
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
