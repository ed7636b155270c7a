//! Running an engine, under tokio or in a browser: wiring, handles and the driver.

mod clock;
mod driver;
mod edge;
mod handle;
mod playback;
mod reporter;
pub mod timer;

pub use driver::{DriveError, Driver};
pub use handle::{Broadcast, Lister, Snapshot, Stopper, Tuner, Watch};

use crate::config::{Config, ConfigError, Profile};
use crate::engine::Parts;
use crate::identity::Identity;
use crate::plugin::{
    ErasureCode, Join, Ledger, Rendezvous, Scheduler, Scorer, Sink, Source, Transport,
};
use crate::policy::{MeshScore, OpenLedger, Plain, PushPull};
use crate::ticket::{Ticket, valid_name};
use clock::Clock;
use driver::Task;
use edge::Edge;
use handle::handle;
use reporter::Reporter;
use tracing::Instrument as _;

/// What a peer is made of, before it publishes or watches.
///
/// Transport and rendezvous are given; everything else has a default. Nothing runs until the
/// [`Driver`] that [`publish`](Beacon::publish) or [`watch`](Beacon::watch) gives back is
/// awaited or spawned by the caller.
pub struct Beacon {
    identity: Identity,
    transport: Box<dyn Transport>,
    rendezvous: Box<dyn Rendezvous>,
    config: Config,
    scheduler: Option<Box<dyn Scheduler>>,
    scorer: Box<dyn Scorer>,
    ledger: Box<dyn Ledger>,
    code: Box<dyn ErasureCode>,
    tells: bool,
}

impl core::fmt::Debug for Beacon {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Beacon").field("identity", &self.identity).finish_non_exhaustive()
    }
}

/// Why a broadcast or a watch cannot be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// Settings that contradict each other.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A name that cannot be one.
    #[error("{0:?} cannot be a broadcast's name: use 1 to 64 printable characters")]
    Name(String),
    /// The transport cannot carry the protocol's frames.
    #[error("the transport carries frames of {have} bytes where {need} are needed")]
    Transport {
        /// What it can carry.
        have: usize,
        /// What must fit.
        need: usize,
    },
    /// The system's random source failed.
    #[error("no random numbers from the system")]
    Random(#[from] getrandom::Error),
}

impl Beacon {
    /// A peer with the settings of [`Profile::Live`]. `identity` must be the one whose public
    /// key the transport was made with.
    pub fn new(identity: Identity, transport: impl Transport, rendezvous: impl Rendezvous) -> Self {
        Self {
            identity,
            transport: Box::new(transport),
            rendezvous: Box::new(rendezvous),
            config: Profile::Live.config(),
            scheduler: None,
            scorer: Box::new(MeshScore::default()),
            ledger: Box::new(OpenLedger::default()),
            code: Box::new(Plain),
            tells: true,
        }
    }

    /// Takes the settings of a profile.
    #[must_use]
    pub fn profile(self, profile: Profile) -> Self {
        self.config(profile.config())
    }

    /// Takes these settings.
    #[must_use]
    pub fn config(self, config: Config) -> Self {
        Self { config, ..self }
    }

    /// Decides from whom to take what. Default: [`PushPull`].
    #[must_use]
    pub fn scheduler(self, scheduler: impl Scheduler) -> Self {
        Self { scheduler: Some(Box::new(scheduler)), ..self }
    }

    /// Decides what to think of neighbours. Default: [`MeshScore`].
    #[must_use]
    pub fn scorer(self, scorer: impl Scorer) -> Self {
        Self { scorer: Box::new(scorer), ..self }
    }

    /// Counts who carried how much. Default: [`OpenLedger`].
    #[must_use]
    pub fn ledger(self, ledger: impl Ledger) -> Self {
        Self { ledger: Box::new(ledger), ..self }
    }

    /// Makes and uses repair symbols. Default: [`Plain`], which makes none.
    #[must_use]
    pub fn code(self, code: impl ErasureCode) -> Self {
        Self { code: Box::new(code), ..self }
    }

    /// Whether the rendezvous is told of links and counters too ([`Detail`](crate::plugin::Detail)), so that the
    /// streamer sees how the mesh does. Without it is told what parents are chosen by, and nothing
    /// else. Default: true.
    #[must_use]
    pub fn report(self, tells: bool) -> Self {
        Self { tells, ..self }
    }

    /// Publishes `source` under `name`. With `record`, everything published is also written to
    /// that sink, as a viewer that misses nothing gets it.
    ///
    /// # Errors
    /// [`StartError`] when the name, the settings or the transport do not fit.
    pub fn publish(
        self,
        name: &str,
        source: impl Source,
        record: Option<Box<dyn Sink>>,
    ) -> Result<(Broadcast, Driver), StartError> {
        let clock = Clock::start();
        // Milliseconds since 1970: larger at every restart.
        let epoch = clock.now().as_micros() / 1000;
        let publisher = self.identity.public();
        let broadcast = crate::BroadcastId { publisher, epoch };
        let ticket = Ticket { broadcast, name: name.to_owned(), rendezvous: Vec::new() };
        let join = Join {
            name: name.to_owned(),
            peer: publisher,
            broadcast: Some(broadcast),
            publish: true,
        };
        let (handle, ends) = handle(&self.config);
        let source: Box<dyn Source> = Box::new(source);
        let task = self.task(clock, join, Some(source), record)?;
        let span = tracing::info_span!("broadcast", name, peer = ?publisher);
        Ok((Broadcast::new(handle, ticket), Driver::new(task.run(ends).instrument(span))))
    }

    /// Watches the broadcast of that name; whoever the rendezvous says publishes it is believed.
    ///
    /// # Errors
    /// [`StartError`] when the name, the settings or the transport do not fit.
    pub fn watch(self, name: &str, sink: impl Sink) -> Result<(Watch, Driver), StartError> {
        self.watch_as(name, None, sink)
    }

    /// Watches the broadcast of a ticket; only its publisher's signatures are believed.
    ///
    /// # Errors
    /// [`StartError`] when the settings or the transport do not fit.
    pub fn watch_ticket(
        self,
        ticket: &Ticket,
        sink: impl Sink,
    ) -> Result<(Watch, Driver), StartError> {
        self.watch_as(&ticket.name, Some(ticket.broadcast), sink)
    }

    fn watch_as(
        self,
        name: &str,
        broadcast: Option<crate::BroadcastId>,
        sink: impl Sink,
    ) -> Result<(Watch, Driver), StartError> {
        let peer = self.identity.public();
        let join = Join { name: name.to_owned(), peer, broadcast, publish: false };
        let (handle, ends) = handle(&self.config);
        let sink: Box<dyn Sink> = Box::new(sink);
        let task = self.task(Clock::start(), join, None, Some(sink))?;
        let span = tracing::info_span!("watch", name, ?peer);
        Ok((Watch::new(handle), Driver::new(task.run(ends).instrument(span))))
    }

    fn task(
        self,
        clock: Clock,
        join: Join,
        source: Option<Box<dyn Source>>,
        sink: Option<Box<dyn Sink>>,
    ) -> Result<Task, StartError> {
        self.config.check()?;
        if !valid_name(&join.name) {
            return Err(StartError::Name(join.name));
        }
        let (caps, needed) = (self.transport.caps(), crate::Engine::caps_needed());
        for (have, need) in [
            (caps.control_frame_max, needed.control_frame_max),
            (caps.data_frame_max, needed.data_frame_max),
        ] {
            if have < need {
                return Err(StartError::Transport { have, need });
            }
        }
        let mut seed = [0; 32];
        getrandom::fill(&mut seed)?;
        let default = || -> Box<dyn Scheduler> { Box::new(PushPull::new(&self.config)) };
        let parts = Parts {
            scheduler: self.scheduler.unwrap_or_else(default),
            scorer: self.scorer,
            ledger: self.ledger,
            code: self.code,
        };
        let (transport, rendezvous) = (self.transport, self.rendezvous);
        let reporter = self.tells.then(Reporter::default);
        let edge = Edge { clock, join, transport, rendezvous, source, reporter, replaced: false };
        Ok(Task { seed, identity: self.identity, config: self.config, parts, sink, edge })
    }
}
