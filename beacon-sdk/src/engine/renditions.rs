//! Which rendition of the picture is taken: the one that was chosen, or by what arrives.
//!
//! A change makes before it breaks: the rendition that is shown is carried on until the other has
//! a group that is whole and begins where the first has come to.

use super::Engine;
use crate::event::Event;
use crate::media::{Choice, Description, Renditions, Size, size};
use crate::plugin::PeerKey;
use crate::time::Instant;
use core::time::Duration;
use std::collections::VecDeque;

/// So many segments of the picture that come late or not at all, within so long, are too many.
/// (Guess: one is a burst of losses, three in a row of a second are a link that is too slow.)
const TROUBLES: usize = 3;
const TROUBLE_SPAN: Duration = Duration::from_secs(4);
/// After a change, what was on its way before does not count.
const SETTLE: Duration = Duration::from_secs(2);
/// How long all must be well before a larger picture is tried, at least and, when that fails, at
/// most. (Guess.)
const QUIET_MIN: Duration = Duration::from_secs(15);
const QUIET_MAX: Duration = Duration::from_secs(240);
/// A larger picture that does well for so long was no mistake.
const PROVEN: Duration = Duration::from_secs(30);
/// A picture that nobody has brought a whole group of by then is not to be had here: groups are
/// ten seconds long at most, as a rule.
const CHANGE_MAX: Duration = Duration::from_secs(15);
/// How long a parent that does not carry what is taken since a new description has time to say
/// that it does.
const DESCRIBED: Duration = Duration::from_secs(1);

/// How large a picture arrives in time.
#[derive(Debug)]
pub(super) struct Ladder {
    /// Not larger than this; `None` is as large as may be.
    most: Option<Size>,
    /// Late and missed segments that count, by when.
    troubles: VecDeque<Instant>,
    /// So many of the player's have been seen.
    seen: u64,
    /// When the size was last changed, and when it was last made larger.
    changed: Instant,
    climbed: Option<Instant>,
    /// Nothing has been wrong since.
    calm: Instant,
    quiet: Duration,
}

impl Ladder {
    pub(super) const fn new(now: Instant) -> Self {
        Self {
            most: None,
            troubles: VecDeque::new(),
            seen: 0,
            changed: now,
            climbed: None,
            calm: now,
            quiet: QUIET_MIN,
        }
    }

    /// A look at how many segments of the picture have been late or missed in all, while one of
    /// size `shown` is taken out of `sizes`, the smallest first. Whether another one is to be.
    fn look(&mut self, now: Instant, troubles: u64, sizes: &[Size], shown: Size) -> bool {
        let new = troubles.saturating_sub(self.seen).min(TROUBLES as u64);
        self.seen = troubles;
        if now < self.changed + SETTLE {
            return false;
        }
        (0..new).for_each(|_| self.troubles.push_back(now));
        self.troubles.retain(|at| *at + TROUBLE_SPAN > now);
        if new > 0 {
            self.calm = now;
        }
        if self.climbed.is_some_and(|climbed| climbed + PROVEN <= now) {
            (self.climbed, self.quiet) = (None, QUIET_MIN);
        }
        if self.troubles.len() >= TROUBLES {
            let Some(smaller) = sizes.iter().rev().find(|size| **size < shown) else {
                return false;
            };
            self.failed();
            return self.change(now, *smaller);
        }
        let larger = sizes.iter().find(|size| **size > shown);
        if let Some(larger) = larger
            && self.calm.max(self.changed) + self.quiet <= now
        {
            self.climbed = Some(now);
            return self.change(now, *larger);
        }
        false
    }

    /// If it has been made larger, that was too much: it is tried again after a longer while.
    fn failed(&mut self) {
        if self.climbed.take().is_some() {
            self.quiet = (self.quiet * 2).min(QUIET_MAX);
        }
    }

    /// The other size is shown from now on.
    const fn settle(&mut self, now: Instant, troubles: u64) {
        (self.changed, self.seen) = (now, troubles);
    }

    fn change(&mut self, now: Instant, most: Size) -> bool {
        self.most = Some(most);
        self.changed = now;
        self.calm = now;
        self.troubles.clear();
        true
    }
}

impl Engine {
    /// The application wants other tracks.
    pub(super) fn on_choice(&mut self, choice: Choice) {
        if self.publisher.is_some() || self.config.choice == choice {
            return;
        }
        self.config.choice = choice;
        // What was learnt of one picture says little of another choice.
        self.ladder = Ladder::new(self.now);
        self.ladder.seen = self.player.troubles();
        self.choose_tracks();
    }

    /// The tracks that the choice takes of a broadcast that has just become known.
    pub(super) fn first_tracks(
        &self,
        description: &Description,
    ) -> Result<u64, crate::media::Unplayable> {
        self.config.choice.choose_up_to(&description.tracks, self.ladder.most)
    }

    /// Takes a smaller picture when this one comes too late, and a larger one when all has been
    /// well for a while.
    pub(super) fn watch_picture(&mut self) {
        if self.kept != 0 && self.changing + CHANGE_MAX <= self.now {
            return self.stay();
        }
        if !matches!(self.config.choice.renditions, Renditions::Auto { .. }) {
            return;
        }
        let Some((description, _)) = &self.description else { return };
        let taken = |track: &&crate::media::Track| {
            track.is_video() && self.tracks >> track.id.get() & 1 == 1
        };
        let Some(shown) = description.tracks.iter().find(taken).map(size) else { return };
        if self.player.started().is_none() || self.kept != 0 {
            return;
        }
        let sizes = self.config.choice.ladder(&description.tracks);
        if self.ladder.look(self.now, self.player.troubles(), &sizes, shown) {
            tracing::debug!(most = ?self.ladder.most, "another rendition");
            self.choose_tracks();
        }
    }

    /// Chooses again among the tracks there are.
    fn choose_tracks(&mut self) {
        let Some((description, _)) = &self.description else { return };
        // One that cannot be played does not spoil what plays.
        let Ok(tracks) = self.first_tracks(description) else { return };
        if tracks == self.tracks {
            return;
        }
        self.kept = self.player.change(description, tracks, self.now);
        // What was not taken for a while has moved on, out of the window that was known of it.
        let carried = self.tracks | self.kept;
        for track in description.tracks.iter().map(|track| track.id) {
            if tracks >> track.get() & 1 == 1 && carried >> track.get() & 1 == 0 {
                self.store.restart(track);
            }
        }
        self.tracks = tracks;
        self.changing = self.now;
        self.retake();
    }

    /// The other picture does not come: the one that is shown stays.
    fn stay(&mut self) {
        let Some((description, _)) = &self.description else { return };
        let shown = |track: &&crate::media::Track| self.kept >> track.id.get() & 1 == 1;
        let most = description.tracks.iter().find(shown).map(size);
        let sounds = description.tracks.iter().filter(|track| !track.is_video());
        let sounds = sounds.fold(0, |mask, track| mask | 1_u64 << track.id.get());
        let tracks = self.tracks & sounds | self.kept;
        self.kept = self.player.change(description, tracks, self.now);
        self.tracks = tracks;
        self.ladder.most = most;
        self.ladder.failed();
        self.ladder.settle(self.now, self.player.troubles());
        self.retake();
    }

    /// The picture has changed: what was kept for that is carried no more.
    pub(super) fn end_change(&mut self) {
        if self.player.take_changed() {
            self.kept = 0;
            self.ladder.settle(self.now, self.player.troubles());
            self.retake();
        }
    }

    /// Asks parents again, for the tracks that are taken now.
    fn retake(&mut self) {
        self.peers.iter_mut().for_each(|(_, peer)| peer.outdated = true);
        self.described = Instant::ZERO;
        self.timers.tidy = self.now;
        self.timers.plan = self.now;
        self.tell_soon();
    }

    /// What a parent is asked for that says it carries `has`: what is taken, and what is shown yet.
    pub(super) const fn tracks_of(&self, has: u64) -> u64 {
        self.tracks | (self.kept & has)
    }

    /// Looks for others in place of parents who do not carry what is taken. They push on until
    /// then.
    pub(super) fn leave_parents_without(&mut self) {
        if self.publisher.is_some() || self.described + DESCRIBED > self.now {
            return;
        }
        let lacking = |key: &PeerKey| {
            let peer = self.peers.get(*key);
            peer.is_some_and(|peer| self.tracks & !peer.status.tracks != 0)
        };
        let left: Vec<(u8, PeerKey)> = (0_u8..)
            .zip(&self.feeds.stripes)
            .filter(|(_, feed)| !feed.notice)
            .filter_map(|(stripe, feed)| Some((stripe, feed.parent.filter(lacking)?)))
            .collect();
        for &(stripe, parent) in &left {
            self.feeds.give_notice(stripe, parent, self.now);
        }
        if !left.is_empty() {
            self.timers.plan = self.now;
        }
    }

    /// Tells the application which tracks there are.
    pub(super) fn tell_tracks(&mut self, description: &Description) {
        self.event(Event::Described { tracks: description.tracks.clone() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZES: [Size; 3] = [(180, 200_000), (360, 700_000), (720, 2_500_000)];

    struct View {
        ladder: Ladder,
        now: Instant,
        troubles: u64,
        at: usize,
    }

    impl View {
        fn new() -> Self {
            let now = Instant::from_micros(1_000_000);
            Self { ladder: Ladder::new(now), now, troubles: 0, at: 2 }
        }

        /// Four segments a second; those of sizes above `carries` are late. The sizes that were
        /// shown, one after the other.
        fn run(&mut self, seconds: u64, carries: usize) -> Vec<usize> {
            let mut shown = Vec::new();
            for _ in 0..seconds * 4 {
                self.now = self.now + Duration::from_millis(250);
                self.troubles += u64::from(self.at > carries);
                if self.ladder.look(self.now, self.troubles, &SIZES, SIZES[self.at]) {
                    self.at = SIZES.iter().position(|s| Some(*s) == self.ladder.most).unwrap_or(0);
                    shown.push(self.at);
                }
            }
            shown
        }
    }

    #[test]
    fn it_falls_as_far_as_it_must_and_no_further() {
        let mut view = View::new();
        assert_eq!(view.run(6, 1), [1]);
        assert_eq!(view.run(6, 0), [0]);
        assert!(view.run(8, 0).is_empty());
        // There is none below the smallest.
        view.troubles += 100;
        assert!(view.run(1, 0).is_empty());
    }

    #[test]
    fn a_single_late_segment_is_nothing() {
        let mut view = View::new();
        view.run(4, 2);
        for _ in 0..10 {
            view.troubles += 1;
            assert!(view.run(3, 2).is_empty());
        }
    }

    #[test]
    fn it_climbs_after_a_quiet_while_and_tries_in_vain_less_and_less_often() {
        let mut view = View::new();
        view.run(6, 1);
        // Two minutes: after 15 s, 30 s and 60 s.
        let tried = view.run(120, 1);
        assert_eq!(tried, [2, 1, 2, 1, 2, 1]);
        // The link is better now.
        assert_eq!(view.run(145, 2), [2]);
        assert_eq!(view.ladder.quiet, QUIET_MIN);
    }
}
