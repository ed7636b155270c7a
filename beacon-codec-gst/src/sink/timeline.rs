//! When to show what: the broadcast's time on the pipelines' clock.

use std::time::Duration;

/// Media handed to the decoders ahead of its time; beyond it the sink waits. It bounds the
/// decoders' queues.
const AHEAD: Duration = Duration::from_secs(1);
/// A segment further ahead than this is no early one: the timeline has jumped.
const JUMP: Duration = Duration::from_secs(15);

/// Where the broadcast's time stands on the running time of the pipelines. One for all tracks,
/// so picture and sound move together.
#[derive(Debug)]
pub(crate) struct Timeline {
    buffer: Duration,
    /// Media time and the running time at which it is shown.
    anchor: Option<(Duration, Duration)>,
}

/// What to do with a segment.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) struct Place {
    /// Wait this long before handing it over.
    pub(crate) wait: Duration,
    /// It could not be shown where it belongs: the picture stood still, or time jumped.
    pub(crate) rebased: bool,
}

impl Timeline {
    pub(crate) const fn new(buffer: Duration) -> Self {
        Self { buffer, anchor: None }
    }

    /// Finds the place of a segment that starts at `media` and is here at running time `now`.
    pub(crate) fn place(&mut self, media: Duration, now: Duration) -> Place {
        let due = self.show_at(media);
        match due.filter(|due| *due >= now && *due <= now + JUMP) {
            Some(due) => {
                Place { wait: due.saturating_sub(now + AHEAD + self.buffer), rebased: false }
            }
            None => {
                let rebased = self.anchor.is_some();
                self.anchor = Some((media, now + self.buffer));
                Place { wait: Duration::ZERO, rebased }
            }
        }
    }

    /// The running time at which `media` is shown; `None` before the first segment and for what
    /// lies before the start.
    pub(crate) fn show_at(&self, media: Duration) -> Option<Duration> {
        let (from, shown) = self.anchor?;
        (shown + media).checked_sub(from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn early_segments_wait_and_late_ones_move_the_anchor() {
        let mut timeline = Timeline::new(ms(100));
        let place = timeline.place(ms(5000), ms(40));
        assert_eq!(place, Place { wait: ms(0), rebased: false });
        assert_eq!(timeline.show_at(ms(5000)), Some(ms(140)));
        assert_eq!(timeline.show_at(ms(5200)), Some(ms(340)));
        // Two seconds early: handed over one second and the buffer before its time.
        assert_eq!(timeline.place(ms(7000), ms(140)).wait, ms(900));
        // Due at 1140, here at 1200.
        let late = timeline.place(ms(6000), ms(1200));
        assert!(late.rebased);
        assert_eq!(timeline.show_at(ms(6000)), Some(ms(1300)));
    }

    #[test]
    fn a_jump_is_followed_either_way() {
        let mut timeline = Timeline::new(ms(0));
        timeline.place(ms(100_000), ms(1000));
        assert!(timeline.place(ms(900_000), ms(2000)).rebased);
        assert!(timeline.place(ms(0), ms(3000)).rebased);
        assert_eq!(timeline.show_at(ms(10)), Some(ms(3010)));
        // Before everything that was shown: nowhere.
        timeline.place(ms(100_000), ms(0));
        assert_eq!(timeline.show_at(ms(0)), None);
    }
}
