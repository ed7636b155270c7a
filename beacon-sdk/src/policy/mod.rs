//! Built-in policies: always there, without dependencies.

mod deadline_first;
mod pull;
mod push_pull;
mod rarest_first;

pub use deadline_first::DeadlineFirst;
pub use push_pull::PushPull;
pub use rarest_first::RarestFirst;
