//! What both backends know of lanes: channel ids, limits, and the words said beside the frames.

use crate::config::{CONTROL_FRAME_MAX, DATA_FRAME_MAX};
use beacon_sdk::plugin::Lane;

/// Said by each end when its channels are open; see the crate's documentation.
pub(crate) const OPEN: &str = "open";
/// Said by an end whose control lane is not read for now: send no more frames on it. What is under
/// way still arrives. A browser cannot make its SCTP wait, so it asks.
pub(crate) const HOLD: &str = "hold";
/// Takes back [`HOLD`].
pub(crate) const GO: &str = "go";

#[cfg(target_family = "wasm")]
pub(crate) const LANES: [Lane; 2] = [Lane::Control, Lane::Data];

/// The id of a lane's channel.
pub(crate) const fn channel(lane: Lane) -> u16 {
    match lane {
        Lane::Control => 0,
        Lane::Data => 1,
    }
}

/// The lane of a channel's id.
#[cfg(target_family = "wasm")]
pub(crate) fn of_channel(id: u16) -> Option<Lane> {
    LANES.into_iter().find(|lane| channel(*lane) == id)
}

pub(crate) const fn frame_max(lane: Lane) -> usize {
    match lane {
        Lane::Control => CONTROL_FRAME_MAX,
        Lane::Data => DATA_FRAME_MAX,
    }
}

/// The level of a window below which a lane that was full is writable again: half of it, unless a
/// frame of the largest size would still not fit.
pub(crate) fn low(lane: Lane, window: usize) -> usize {
    (window / 2).min(window.saturating_sub(frame_max(lane)))
}
