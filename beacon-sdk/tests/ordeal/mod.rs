//! Engines under inputs of every kind and in any order, and what holds whatever comes.
//!
//! [`run`] reads a script from bytes: every byte string is a valid one. The property tests draw
//! scripts at random, the fuzzer searches for them.

mod acts;
#[path = "../common/mod.rs"]
mod common;
mod oracle;
mod script;
mod world;

pub use acts::run;
