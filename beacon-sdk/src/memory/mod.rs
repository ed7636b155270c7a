//! [`Transport`](crate::Transport) and [`Rendezvous`](crate::Rendezvous) without a network: for
//! tests, examples and peers of one process.
//!
//! They keep the same contracts as real ones and pass the same suites, so what works here fails
//! elsewhere only for what a network does.

mod rendezvous;
mod transport;

pub use rendezvous::{MEMORY_QUEUE_MAX, MemoryClient, MemoryRendezvous};
pub use transport::{
    DIAL_TIMEOUT, LANE_BYTES_MAX, MEMORY_CONTROL_FRAME_MAX, MEMORY_DATA_FRAME_MAX, MemoryNetwork,
    MemoryTransport,
};
