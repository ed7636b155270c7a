//! The traits that applications wire together, one file each, with a numbered contract each.
//!
//! Async at the edge ([`Transport`], [`Rendezvous`], [`Source`], [`Sink`]), pure and synchronous
//! inside ([`Scheduler`], [`Scorer`], [`Ledger`], [`ErasureCode`]). Every trait is object-safe.
//! The clause numbers are the test names of the suites in `conformance`.

mod detail;
mod erasure;
mod ledger;
mod rendezvous;
mod scheduler;
mod scorer;
mod sink;
mod source;
mod transport;

pub use detail::{DETAIL_LINKS_MAX, Detail, LinkDetail};
pub use erasure::{
    ErasureCode, ErasureError, Layout, LayoutError, PAYLOAD_BYTES_MAX, SOURCE_SYMBOLS_CODED_MIN,
    SOURCE_SYMBOLS_MAX, SYMBOL_ALIGN, SYMBOL_BYTES_MAX,
};
pub use ledger::{EDGE_BYTES_MAX, Ledger, RECEIPT_BYTES_MAX, ReceiptError, Standing, Transfer};
pub use rendezvous::{
    Join, PeerHint, Rendezvous, RendezvousError, RendezvousEvent, Report, SIGNAL_BYTES_MAX,
    TURN_URLS_MAX, TurnServer,
};
pub use scheduler::{
    Feedback, MeshView, MissingState, Need, PLAN_ACTIONS_MAX, PeerKey, PeerView, Plan, PlanAction,
    SPARE_SYMBOLS_MAX, Scheduler, Spare, StripeView, stripe_of,
};
pub use scorer::{Observation, Role, Score, Scorer};
pub use sink::{Sink, SinkError};
pub use source::{Source, SourceError};
pub use transport::{
    CloseReason, Lane, Link, Transport, TransportCaps, TransportError, TransportEvent, TrySendError,
};
