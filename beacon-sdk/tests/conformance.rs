//! Everything the core ships runs the suite of its trait. So do the small ones written here,
//! which show that the suites of traits without an implementation in the core can be kept.
#![cfg(feature = "conformance")]
#![allow(clippy::unwrap_used)]

#[path = "specimens/good.rs"]
mod good;

use beacon_sdk::conformance::{RendezvousFixture, SinkFixture, SourceFixture, TransportFixture};
use beacon_sdk::memory::{MemoryNetwork, MemoryRendezvous};
use beacon_sdk::policy::{self, MeshScore, OpenLedger, Plain, ServiceScore};
use beacon_sdk::{Config, Identity, PeerId, Rendezvous, Scheduler, Sink, Source, Transport};
use good::{Clip, Greedy, Recorder};

struct Memory(MemoryNetwork);

impl TransportFixture for Memory {
    async fn transport(&mut self, me: PeerId) -> Box<dyn Transport> {
        Box::new(self.0.transport(me))
    }
}

fn memory() -> Memory {
    Memory(MemoryNetwork::new())
}

mod memory_transport {
    beacon_sdk::transport_conformance!(super::memory);
}

struct Hub(MemoryRendezvous);

impl RendezvousFixture for Hub {
    async fn client(&mut self, _me: &Identity) -> Box<dyn Rendezvous> {
        Box::new(self.0.client())
    }

    async fn interrupt(&mut self) -> bool {
        self.0.stop();
        self.0.start();
        true
    }
}

fn hub() -> Hub {
    Hub(MemoryRendezvous::new())
}

mod memory_rendezvous {
    beacon_sdk::rendezvous_conformance!(super::hub);
}

mod greedy {
    beacon_sdk::scheduler_conformance!(|| super::Greedy);
}

/// The suite for a scheduler of [`policy::NAMES`].
macro_rules! built_in {
    ($($module:ident $name:literal)*) => {
        $(mod $module {
            beacon_sdk::scheduler_conformance!(|| super::built_in($name));
        })*

        #[test]
        fn every_scheduler_runs_the_suite() {
            assert_eq!([$($name),*], policy::NAMES);
            assert!(policy::scheduler("fastest", &Config::default()).is_none());
        }
    };
}

fn built_in(name: &str) -> Box<dyn Scheduler> {
    let scheduler = policy::scheduler(name, &Config::default()).unwrap();
    assert_eq!(scheduler.name(), name);
    scheduler
}

built_in! {
    push_pull "push-pull"
    rarest_first "rarest-first"
    deadline_first "deadline-first"
    latest_useful "latest-useful"
    random_useful "random-useful"
    hybrid "hybrid"
    pipelined_pull "pipelined-pull"
    nak_driven "nak-driven"
    fountain "fountain"
    multi_tree "multi-tree"
}

mod mesh_score {
    beacon_sdk::scorer_conformance!(super::MeshScore::default);
}

mod service_score {
    beacon_sdk::scorer_conformance!(super::ServiceScore::default);
}

mod open_ledger {
    beacon_sdk::ledger_conformance!(|_| super::OpenLedger::default());
}

mod plain {
    beacon_sdk::erasure_conformance!(|| Box::new(super::Plain));
}

struct Clips;

impl SourceFixture for Clips {
    async fn open(&mut self) -> Box<dyn Source> {
        Box::new(Clip::new())
    }
}

fn clips() -> Clips {
    Clips
}

mod clip {
    beacon_sdk::source_conformance!(super::clips);
}

struct Recorders;

impl SinkFixture for Recorders {
    async fn open(&mut self) -> Box<dyn Sink> {
        Box::new(Recorder::default())
    }
}

fn recorders() -> Recorders {
    Recorders
}

mod recorder {
    beacon_sdk::sink_conformance!(super::recorders);
}
