//! Everything the core ships runs the suite of its trait.
#![cfg(feature = "conformance")]
#![allow(clippy::unwrap_used)]

use beacon_sdk::conformance::TransportFixture;
use beacon_sdk::memory::MemoryNetwork;
use beacon_sdk::{PeerId, Transport};

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
