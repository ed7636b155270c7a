//! The body of every fuzz target: plain functions that panic when a promise is broken. The
//! fuzzer calls them under nightly, `tests/replay.rs` under any toolchain.

#![forbid(unsafe_code)]

pub mod draw;
pub mod engine;
pub mod erasure;
pub mod hello;
pub mod layout;
#[path = "../../beacon-sdk/tests/ordeal/mod.rs"]
mod ordeal;
pub mod receipt;
pub mod record;
#[path = "../../beacon-sdk/tests/ordeal/rogue.rs"]
mod rogue;
pub mod signaling;
pub mod ticket;
pub mod wire;

/// One fuzz target.
pub struct Target {
    /// The name of its binary and of its folder under `corpus/`.
    pub name: &'static str,
    /// Its body. Panics on a broken promise; returns for everything else.
    pub run: fn(&[u8]),
    /// The inputs that are checked in: a file name, and the bytes.
    pub seeds: fn() -> Vec<(&'static str, Vec<u8>)>,
    /// Inputs that the replay test makes up, of each kind: fewer where one takes long.
    pub replays: u64,
}

/// All targets. A new one is listed here and in `Cargo.toml`.
pub const TARGETS: &[Target] = &[
    Target { name: "engine", run: engine::run, seeds: engine::seeds, replays: 150 },
    Target { name: "erasure", run: erasure::run, seeds: erasure::seeds, replays: 1500 },
    Target { name: "hello", run: hello::run, seeds: hello::seeds, replays: 1500 },
    Target { name: "layout", run: layout::run, seeds: layout::seeds, replays: 1500 },
    Target { name: "receipt", run: receipt::run, seeds: receipt::seeds, replays: 300 },
    Target { name: "record", run: record::run, seeds: record::seeds, replays: 1500 },
    Target { name: "signaling", run: signaling::run, seeds: signaling::seeds, replays: 1500 },
    Target { name: "ticket", run: ticket::run, seeds: ticket::seeds, replays: 1500 },
    Target { name: "wire", run: wire::run, seeds: wire::seeds, replays: 1500 },
];
