//! The signaling and tracker server: where peers of a broadcast find each other.
//!
//! Peers connect over WebSocket, prove that their id is their own, join a broadcast by name, are told of
//! peers worth a dial, and have their opaque connection set-up carried to each other. Media never passes
//! through here, and what the server knows is in memory and gone with it, but for the accounts of a
//! [ledger](LedgerConfig), if it keeps one, and for rooms that [several nodes](ClusterConfig) share. The protocol is in `PROTOCOL.md`, its types in
//! [`beacon_sdk::signaling`].
//!
//! ```
//! # #[tokio::main] async fn main() -> Result<(), beacon_signal::ServerError> {
//! let any_port = ([127, 0, 0, 1], 0).into();
//! let server = beacon_signal::Server::bind(any_port, beacon_signal::Config::default()).await?;
//! println!("ws://{}", server.local_addr());
//! server.serve(async { /* returns when it is time to stop */ }).await;
//! # Ok(()) }
//! ```

mod admission;
mod api;
mod books;
mod bucket;
mod cluster;
mod config;
mod http;
mod metrics;
mod operator;
pub mod order;
mod outbox;
mod pages;
mod rooms;
mod server;
mod socket;
pub mod token;
mod tracker;
mod turn;

pub use admission::{Effort, EffortError};
pub use books::{KeyError, LedgerError, read_or_make_key};
pub use cluster::ClusterError;
pub use config::{ClusterConfig, Config, ConfigError, LedgerConfig, NetworkLimits};
pub use ipnet::IpNet;
pub use operator::{Operator, OperatorError};
pub use rooms::Stream;
pub use server::{Server, ServerError};
pub use turn::TurnConfig;
