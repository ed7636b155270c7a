//! What both backends know of lanes: channel ids, limits, and the words said beside the frames.

use crate::config::{CONTROL_FRAME_MAX, DATA_FRAME_MAX};
use beacon_sdk::plugin::Lane;
use beacon_sdk::timer::Instant;
use core::time::Duration;

/// Said by each end when its channels are open; see the crate's documentation.
pub(crate) const OPEN: &str = "open";
/// Said by an end whose control lane is not read for now: send no more frames on it. What is under
/// way still arrives. A browser cannot make its SCTP wait, so it asks.
pub(crate) const HOLD: &str = "hold";
/// Takes back [`HOLD`].
pub(crate) const GO: &str = "go";

/// What a link's stack may hold: a long round trip (bytes count until they are acknowledged) and a
/// tenth of a second of queue.
const DRAIN: Duration = Duration::from_millis(300);
/// A window is never smaller: a dozen symbols.
const WINDOW_MIN: usize = 16 * 1024;

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

/// The window of a lane that took `elapsed` to let `drained` bytes go: what the link carries in
/// [`DRAIN`], so that a slow link queues no more than that. What waits longer belongs in the
/// engine, which drops it when it is worth nothing.
fn window(drained: usize, elapsed: Duration, most: usize) -> usize {
    let elapsed = elapsed.as_micros().max(1);
    let window = drained as u128 * DRAIN.as_micros() / elapsed;
    usize::try_from(window).unwrap_or(usize::MAX).max(WINDOW_MIN).min(most)
}

/// When a lane was last full, and how much it held then: how fast it drains from there says how
/// large its window should be.
#[derive(Debug, Default)]
pub(crate) struct Gauge(Option<(Instant, usize)>);

impl Gauge {
    /// A frame is given back while `used` bytes are under way: from now on the speed of the link
    /// shows.
    pub(crate) fn fill(&mut self, now: Instant, used: usize) {
        self.0 = Some((now, used));
    }

    /// There is room again, with `used` bytes still under way. The window that goes with the speed
    /// at which it was made, `most` at most. The control lane keeps its own: its frames are large,
    /// and few.
    pub(crate) fn drain(
        &mut self,
        lane: Lane,
        now: Instant,
        used: usize,
        most: usize,
    ) -> Option<usize> {
        let (since, full) = self.0.take().filter(|_| lane == Lane::Data)?;
        Some(window(full.saturating_sub(used), now - since, most))
    }
}

/// The level of a window below which a lane that was full is writable again: half of it, unless a
/// frame of the largest size would still not fit.
pub(crate) fn low(lane: Lane, window: usize) -> usize {
    (window / 2).min(window.saturating_sub(frame_max(lane)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_that_was_full_is_gauged_once() {
        let (now, most) = (Instant::now(), 64 * 1024);
        let later = now + Duration::from_millis(300);
        let mut gauge = Gauge::default();
        assert_eq!(gauge.drain(Lane::Data, later, 0, most), None);
        gauge.fill(now, 60_000);
        assert_eq!(gauge.drain(Lane::Data, later, 20_000, most), Some(40_000));
        assert_eq!(gauge.drain(Lane::Data, later, 20_000, most), None);
        gauge.fill(now, 60_000);
        assert_eq!(gauge.drain(Lane::Control, later, 20_000, most), None);
    }

    #[test]
    fn a_slow_link_has_a_small_window() {
        let ms = Duration::from_millis;
        let most = 64 * 1024;
        assert_eq!(window(32 * 1024, ms(1), most), most);
        assert_eq!(window(32 * 1024, Duration::ZERO, most), most);
        // 800 kbit/s.
        assert_eq!(window(20_000, ms(200), most), 30_000);
        assert_eq!(window(8 * 1024, ms(1000), most), WINDOW_MIN);
        assert_eq!(window(0, ms(1000), most), WINDOW_MIN);
        assert_eq!(window(32 * 1024, ms(100), 20 * 1024), 20 * 1024);
    }
}
