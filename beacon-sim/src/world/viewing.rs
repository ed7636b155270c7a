//! What one viewer saw, second by second, as the sink got it.

use super::camera::{Camera, VIDEO};
use crate::report::Tally;
use beacon_sdk::Stats;
use beacon_sdk::media::Playout;

/// A viewer's record. Times are the world's, in microseconds.
#[derive(Debug, Default)]
pub(super) struct Viewing {
    pub(super) joined: u64,
    /// Its class of access links.
    pub(super) class: usize,
    /// When the first segment was played.
    pub(super) started: Option<u64>,
    /// The next segment of the picture, once playing.
    pub(super) next: Option<u32>,
    /// Born last of those that came later than the plan's limit, or never.
    pub(super) trouble: u64,
    /// Segments of the picture due since the measured time began, and had in time.
    due: u32,
    kept: u32,
    /// Of the newest segment it had: how late, and when it was born, µs.
    pub(super) seen: Option<(u64, u64)>,
    /// The engine's counters when the measured time began.
    pub(super) base: Stats,
}

/// What is measured, and against what.
#[derive(Debug)]
pub(super) struct Gauge {
    /// Measured from here on, µs.
    pub(super) from: u64,
    /// Later than this is trouble, µs.
    pub(super) limit: u64,
    /// When the segments of the picture were born: captured first, ended, µs.
    pub(super) born: Vec<(u64, u64)>,
}

impl Viewing {
    pub(super) fn new(joined: u64, class: usize) -> Self {
        Self { joined, class, ..Self::default() }
    }

    /// Takes in what the sink got at `now`.
    pub(super) fn take(
        &mut self,
        now: u64,
        item: &Playout,
        camera: &Camera,
        gauge: &Gauge,
        tally: &mut Tally,
    ) {
        match item {
            Playout::Segment { id, objects, .. } => {
                tally.bad_bytes += objects.iter().map(|o| camera.bad_bytes(o)).sum::<u64>();
                if id.track != VIDEO {
                    return;
                }
                if self.started.is_none() {
                    self.started = Some(now);
                    if self.joined >= gauge.from || gauge.from == 0 {
                        tally.startup.record((now - self.joined) / 1000);
                    }
                }
                self.next = Some(id.seq + 1);
                self.mark(id.seq, Some(now), gauge, tally);
            }
            Playout::Gap { id } if id.track == VIDEO => {
                self.next = Some(id.seq + 1);
                self.mark(id.seq, None, gauge, tally);
            }
            _ => {}
        }
    }

    /// A segment was had at `at`, or never.
    fn mark(&mut self, seq: u32, at: Option<u64>, gauge: &Gauge, tally: &mut Tally) {
        let Some(&(first, ended)) = gauge.born.get(seq as usize) else { return };
        let delay = at.map(|at| at.saturating_sub(first));
        let late = delay.is_none_or(|delay| delay > gauge.limit);
        if late {
            self.trouble = self.trouble.max(ended);
        }
        tally.look(delay);
        if at.is_some() {
            self.seen = Some((delay.unwrap_or(0), ended));
        }
        if first < gauge.from {
            return;
        }
        self.due += 1;
        self.kept += u32::from(!late);
        tally.segment(delay);
    }

    /// The viewer leaves, or the run ends: what should have been played by now and was not.
    pub(super) fn close(&mut self, now: u64, patience: u64, gauge: &Gauge, tally: &mut Tally) {
        let Some(next) = self.next else { return };
        for seq in next.. {
            let Some(&(first, _)) = gauge.born.get(seq as usize) else { break };
            if first + patience > now {
                break;
            }
            self.mark(seq, None, gauge, tally);
        }
        self.next = None;
        if self.due > 0 {
            tally.viewer(self.kept, self.due, self.class);
        }
    }
}
