//! The laboratory of Beacon.
//!
//! [`bound`] holds what no live stream over its viewers can beat, as formulas: every report of a
//! simulation prints its distance from them.

pub mod bound;
pub mod model;
