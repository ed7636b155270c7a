//! One picture in place of another while it plays: nothing is left out and nothing comes twice,
//! where the two are cut alike.

use super::{Cursor, Player};
use crate::engine::content::Content;
use crate::engine::store::Store;
use crate::id::{SegmentId, TrackId};
use crate::media::Description;
use crate::time::Instant;

/// Two pictures meet where their times differ by no more than this, in microseconds: less than a
/// frame.
const MEETS_US: u64 = 10_000;

/// One picture in place of another, from a group on that is whole and begins where the first has
/// come to.
#[derive(Copy, Clone, Debug)]
pub(super) struct Change {
    pub(super) old: TrackId,
    pub(super) new: TrackId,
    since: Instant,
}

impl Player {
    /// Plays the tracks `wanted` from now on. When the picture that is shown is not among them but
    /// another is, it is shown until the other can take its place: then it is given back as a mask.
    pub(in crate::engine) fn change(
        &mut self,
        description: &Description,
        wanted: u64,
        now: Instant,
    ) -> u64 {
        let shown = self.change.take().map(|change| change.old).or_else(|| {
            let track = &self.cursors[self.lead()?].track;
            track.is_video().then_some(track.id)
        });
        let taken = |id: TrackId| wanted >> id.get() & 1 == 1;
        let mut tracks = description.tracks.iter().filter(|track| taken(track.id));
        let next = tracks.find(|track| track.is_video()).map(|track| track.id);
        self.change = match (shown, next) {
            // One that plays already need not wait for anything.
            (Some(old), Some(new)) if !taken(old) && !self.plays(new) && self.plays(old) => {
                Some(Change { old, new, since: now })
            }
            _ => None,
        };
        let kept = self.change.map_or(0, |change| 1 << change.old.get());
        self.describe(description, wanted | kept);
        if self.change.is_none() {
            // Other tracks at once.
            self.told = None;
        }
        kept
    }

    fn plays(&self, track: TrackId) -> bool {
        self.cursors.iter().any(|cursor| cursor.track.id == track && cursor.next.is_some())
    }

    /// Shows the other picture when its time has come.
    pub(super) fn change_over(&mut self, store: &Store, now: Instant) {
        let Some(Change { old, new, since }) = self.change else { return };
        let at = |id| self.cursors.iter().position(|cursor| cursor.track.id == id);
        let (Some(from), Some(to)) = (at(old), at(new)) else { return };
        let (cursor, track) = (&self.cursors[from], &self.cursors[to].track);
        let Some(seq) = cursor.next else { return };
        let waits = store.content(SegmentId { track: old, seq });
        let here = waits.is_some_and(Content::complete);
        let captured = waits.map_or(cursor.edge_captured, |waits| waits.manifest().captured);
        // What is shown comes no more, or the two are not cut alike: from any group that is whole.
        let late = self.deadline(captured) - self.delay / 2 <= now;
        let pressing = (!here && late) || since + self.delay <= now;
        let groups = || {
            store.track(new).filter_map(|(id, segment)| {
                let content = segment.content.as_ref()?;
                let manifest = content.manifest();
                let starts = manifest.group_start && content.complete();
                let start = track.micros(manifest.start);
                starts.then_some((id.seq, start, manifest.captured))
            })
        };
        let meets = |start: u64| start.abs_diff(cursor.edge_us) <= MEETS_US;
        let newest = || if pressing { groups().last() } else { None };
        let Some((seq, start, captured)) =
            groups().find(|(_, start, _)| meets(*start)).or_else(newest)
        else {
            return;
        };
        self.cursors[to].late = false;
        self.cursors[to].begin(seq, start, captured);
        self.cursors.remove(from);
        self.change = None;
        self.changed_over = true;
        self.told = None;
    }

    /// Until when the picture that is shown waits for the other, which has a group that begins here
    /// and is on its way: a moment at most, and it is not missed by a hair.
    pub(super) fn waits_for_other(
        &self,
        cursor: &Cursor,
        captured: Instant,
        store: &Store,
    ) -> Instant {
        let Some(change) = self.change.filter(|change| change.old == cursor.track.id) else {
            return Instant::ZERO;
        };
        let Some(to) = self.cursors.iter().find(|to| to.track.id == change.new) else {
            return Instant::ZERO;
        };
        let begins_here = store.track(change.new).any(|(_, segment)| {
            segment.content.as_ref().is_some_and(|content| {
                let start = to.track.micros(content.manifest().start);
                content.manifest().group_start && start.abs_diff(cursor.edge_us) <= MEETS_US
            })
        });
        if begins_here { self.deadline(captured) - self.delay * 7 / 8 } else { Instant::ZERO }
    }

    /// Whether another picture has been shown in place of one, since this was last asked.
    pub(in crate::engine) fn take_changed(&mut self) -> bool {
        core::mem::take(&mut self.changed_over)
    }
}
