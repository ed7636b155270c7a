//! [`Transport`](crate::Transport) without a network: for tests, examples and peers of one process.
//!
//! It keeps the same contract as a real one and passes the same suite, so what works here fails
//! elsewhere only for what a network does.

mod transport;

pub use transport::{
    DIAL_TIMEOUT, LANE_BYTES_MAX, MEMORY_CONTROL_FRAME_MAX, MEMORY_DATA_FRAME_MAX, MemoryNetwork,
    MemoryTransport,
};
