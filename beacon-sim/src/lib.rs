//! Beacon's laboratory: the real engine of `beacon-sdk`, thousands of times, in a simulated world.
//!
//! A [`Plan`](plan::Plan) says who watches over which links; [`world::run`] plays it out
//! with integer time, a total order of events and one seeded stream of random numbers per peer and
//! purpose; a [`Report`](report::Report) says what came of it. The same plan and seed give the same
//! [`hash`](report::Report::hash) in every build and on every platform. Who wants to look on, or to
//! step in, plays it out bit by bit with a [`World`](world::World).
//!
//! A sweep (feature `program`) plays a plan with every combination of a few settings and several
//! seeds, and sums up what came of it as tables and figures.
//!
//! [`bound`] holds what no live stream over its viewers can beat, as formulas: every report
//! prints its distance from them. [`model`] holds published experiments, redone without the
//! engine: they check the laboratory's own tools.

pub mod bound;
mod draw;
mod meter;
pub mod model;
pub mod plan;
#[cfg(feature = "program")]
pub mod plot;
pub mod report;
#[cfg(feature = "program")]
pub mod suite;
#[cfg(feature = "program")]
pub mod sweep;
#[cfg(feature = "program")]
pub mod table;
pub mod world;
