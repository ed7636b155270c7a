//! What no schedule can beat, as closed forms and short exact computations.
//!
//! Rates are bits per second, times are seconds, and both are `f64`; a slot is the time in which a
//! viewer uploads one unit of the stream. The *unit* is what is forwarded as a whole: a segment for
//! store and forward, a symbol for cut-through. A distance from a delay bound means nothing without
//! the unit the bound was computed for.
//!
//! The unit tests hold the tables of the project's theory notes to the digits printed there.

mod erasure;
mod growth;
mod mix;
mod outage;
mod rate;
mod report;
mod slot;
mod snowball;
mod universal;

pub use erasure::{REPAIR_MAX, coupon_overhead, end_to_end_overhead, hop_overhead, repair_symbols};
pub use growth::{growth_rate, growth_rate_fan_out};
pub use mix::{Class, Mix};
pub use outage::{connected, outage, tree_reach};
pub use rate::{fluid_rate, source_at_least};
pub use report::{Bounds, Scenario, Tree};
pub use slot::{
    Gossip, SLOTS_MAX, algebraic_gossip, centralised, fibonacci_growth, fibonacci_slots,
    interleave, makespan, parallel_slots, slots,
};
pub use snowball::{Delay, Snowball, direct_bound};
pub use universal::{TwoClasses, poisson};
