//! The body of every fuzz target: plain functions that panic when a promise is broken. The
//! fuzzer calls them under nightly, `tests/replay.rs` under any toolchain.

#![forbid(unsafe_code)]

pub mod draw;
pub mod erasure;
pub mod layout;

/// One fuzz target.
pub struct Target {
    /// The name of its binary and of its folder under `corpus/`.
    pub name: &'static str,
    /// Its body. Panics on a broken promise; returns for everything else.
    pub run: fn(&[u8]),
    /// The inputs that are checked in: a file name, and the bytes.
    pub seeds: fn() -> Vec<(&'static str, Vec<u8>)>,
}

/// All targets. A new one is listed here and in `Cargo.toml`.
pub const TARGETS: &[Target] = &[
    Target { name: "erasure", run: erasure::run, seeds: erasure::seeds },
    Target { name: "layout", run: layout::run, seeds: layout::seeds },
];
