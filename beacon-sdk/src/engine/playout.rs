//! Playout: segments in order, gaps told, stalls counted.

mod exchange;

use super::store::Store;
use crate::id::{SegmentId, TrackId};
use crate::media::{Description, Manifest, Playout, Track, payload};
use crate::stats::{Histogram, Stats};
use crate::time::{Instant, micros};
use core::time::Duration;
use exchange::Change;

/// How long the first segment of a further track is waited for after the first track's.
const ALIGN_MAX: Duration = Duration::from_millis(500);

/// Where one track stands.
#[derive(Debug)]
struct Cursor {
    track: Track,
    /// The next segment to play; `None` until the track has started.
    next: Option<u32>,
    /// The track was announced while others played. It starts with a group that is whole, so
    /// that they never wait for it.
    late: bool,
    /// Where that segment starts at the earliest, in microseconds of media time.
    edge_us: u64,
    /// Capture time up to which the track has played.
    edge_captured: Instant,
}

/// What comes next.
enum Step {
    Deliver(usize, SegmentId),
    Gap(usize, SegmentId),
    /// Nothing before this instant, unless something arrives.
    Wait(Instant),
}

/// The playout of one peer.
#[derive(Debug)]
pub(super) struct Player {
    delay: Duration,
    joined: Instant,
    /// Local time minus publisher's time: the smallest seen, which is the clock difference and
    /// the shortest way together.
    offset_us: Option<i64>,
    cursors: Vec<Cursor>,
    revision: Option<u32>,
    told: Option<u32>,
    /// Video tracks, as a set, that are configured anew, and the revision that says so. What was
    /// cut under an earlier one may still be on its way.
    changed: u64,
    changed_at: u32,
    /// The tracks that were told, as a set.
    known: u64,
    started: Option<Instant>,
    /// Start of the first group played, in microseconds of media time.
    start_us: u64,
    ended: bool,
    latency: Histogram,
    /// How far the virtual player has fallen behind by stalling.
    behind: Duration,
    /// Segments of the picture that were late for a smooth picture, or missed.
    troubles: u64,
    /// One picture is to be shown in place of another.
    change: Option<Change>,
    /// It has been, since that was last asked.
    changed_over: bool,
}

impl Player {
    pub(super) fn new(delay: Duration, now: Instant) -> Self {
        Self {
            delay,
            joined: now,
            offset_us: None,
            cursors: Vec::new(),
            revision: None,
            told: None,
            changed: 0,
            changed_at: 0,
            known: 0,
            started: None,
            start_us: 0,
            ended: false,
            latency: Histogram::default(),
            behind: Duration::ZERO,
            troubles: 0,
            change: None,
            changed_over: false,
        }
    }

    /// A description came: the tracks that this peer plays.
    pub(super) fn describe(&mut self, description: &Description, wanted: u64) {
        self.revision = Some(description.revision);
        self.cursors.retain(|cursor| wanted >> cursor.track.id.get() & 1 == 1);
        self.changed &= wanted;
        let edge_us = self.lead().map_or(0, |lead| self.cursors[lead].edge_us);
        for track in &description.tracks {
            if wanted >> track.id.get() & 1 == 0 {
                continue;
            }
            match self.cursors.iter_mut().find(|cursor| cursor.track.id == track.id) {
                Some(cursor) => {
                    if track.is_video() && cursor.track != *track && self.told.is_some() {
                        self.changed |= 1 << track.id.get();
                        self.changed_at = description.revision;
                    }
                    cursor.track = track.clone();
                }
                None => self.cursors.push(Cursor {
                    track: track.clone(),
                    next: None,
                    late: self.started.is_some(),
                    edge_us,
                    edge_captured: Instant::ZERO,
                }),
            }
        }
        self.cursors.sort_by_key(|cursor| cursor.track.id);
    }

    /// Segments of the picture that have been missed, or came later than a player close to the
    /// moment waits for.
    pub(super) const fn troubles(&self) -> u64 {
        self.troubles
    }

    /// A verified manifest came at `now`.
    pub(super) fn clock(&mut self, manifest: &Manifest, now: Instant) {
        let offset = now.as_micros() as i64 - manifest.published.as_micros() as i64;
        self.offset_us = Some(self.offset_us.map_or(offset, |least| least.min(offset)));
    }

    /// Publisher's time as local time.
    fn local(&self, publisher: Instant) -> Instant {
        let offset = self.offset_us.unwrap_or(0);
        Instant::from_micros(publisher.as_micros().saturating_add_signed(offset))
    }

    /// When a segment captured at `captured` is given up. What was captured before this peer
    /// came is given the same time from then on.
    pub(super) fn deadline(&self, captured: Instant) -> Instant {
        self.local(captured).max(self.joined) + self.delay
    }

    pub(super) fn started(&self) -> Option<Instant> {
        self.started
    }

    /// Every track knows where it starts; until then manifests of the beginning are wanting.
    pub(super) fn aligned(&self) -> bool {
        let begun = |cursor: &Cursor| cursor.next.is_some() || cursor.late;
        self.started.is_some() && self.cursors.iter().all(begun)
    }

    pub(super) fn ended(&self) -> bool {
        self.ended
    }

    pub(super) fn latency(&self) -> &Histogram {
        &self.latency
    }

    /// The first segment of a track that is still of use to this peer's own playout.
    pub(super) fn from(&self, track: TrackId) -> Option<u32> {
        let cursor = self.cursors.iter().find(|cursor| cursor.track.id == track)?;
        cursor.next.or(cursor.late.then_some(0))
    }

    /// Fixes where each track starts, once that can be known.
    fn start(&mut self, store: &Store, now: Instant) {
        let Some(lead) = self.lead() else { return };
        if self.started.is_none() {
            let track = self.cursors[lead].track.id;
            let first = store.track(track).find_map(|(id, segment)| {
                let manifest = segment.content.as_ref()?.manifest();
                manifest.group_start.then_some((id.seq, manifest.start, manifest.captured))
            });
            let Some((seq, start, captured)) = first else { return };
            self.start_us = self.cursors[lead].track.micros(start);
            self.cursors[lead].begin(seq, self.start_us, captured);
            self.started = Some(now);
        }
        let late = self.started.is_some_and(|started| started + ALIGN_MAX <= now);
        let coming = self.change.map(|change| change.new);
        for cursor in self.cursors.iter_mut().filter(|cursor| cursor.next.is_none()) {
            if Some(cursor.track.id) == coming {
                continue;
            }
            let from_us = self.start_us.max(cursor.edge_us);
            let found = store.track(cursor.track.id).find_map(|(id, segment)| {
                let content = segment.content.as_ref()?;
                let manifest = content.manifest();
                if cursor.late && !(manifest.group_start && content.complete()) {
                    return None;
                }
                let start = cursor.track.micros(manifest.start);
                let duration = cursor.track.micros(u64::from(manifest.duration));
                let end = start.saturating_add(duration);
                (end > from_us).then_some((id.seq, start, manifest.captured))
            });
            if let Some((seq, start, captured)) = found
                && (start <= self.start_us || seq == 0 || late)
            {
                cursor.begin(seq, start, captured);
            }
        }
    }

    /// The track that decides where playout starts: the first video, or else the first track.
    fn lead(&self) -> Option<usize> {
        let coming = self.change.map(|change| change.new);
        let shown = |cursor: &Cursor| cursor.track.is_video() && Some(cursor.track.id) != coming;
        let video = self.cursors.iter().position(shown);
        video.or(if self.cursors.is_empty() { None } else { Some(0) })
    }

    /// The next step, by start time, then by track number.
    fn step(&self, store: &Store, description: &Description, now: Instant) -> Step {
        let mut wake = Instant::NEVER;
        // Few tracks: finding the next one each time is cheaper than a sorted list every step.
        let order = |at: usize| (self.cursors[at].edge_us, self.cursors[at].track.id);
        let mut last = None;
        while let Some(at) = (0..self.cursors.len())
            .filter(|&at| last.is_none_or(|last| order(at) > last))
            .min_by_key(|&at| order(at))
        {
            last = Some(order(at));
            let cursor = &self.cursors[at];
            let id = |seq| SegmentId { track: cursor.track.id, seq };
            let Some(seq) = cursor.next else {
                if self.change.is_some_and(|change| change.new == cursor.track.id) {
                    continue;
                }
                // Not started: it holds the others back for a moment only.
                match self.started.map(|started| started + ALIGN_MAX) {
                    Some(until) if until > now => return Step::Wait(wake.min(until)),
                    _ => continue,
                }
            };
            if description.end_of(cursor.track.id).is_some_and(|end| seq >= end) {
                continue;
            }
            let content = store.content(id(seq));
            let captured = content.map_or(cursor.edge_captured, |c| c.manifest().captured);
            if content.is_some_and(super::content::Content::complete) {
                let until = self.waits_for_other(cursor, captured, store);
                if until > now {
                    return Step::Wait(wake.min(until));
                }
                return Step::Deliver(at, id(seq));
            }
            let due = self.deadline(captured);
            if due > now {
                return Step::Wait(wake.min(due));
            }
            let exists = content.is_some()
                || store.newest(cursor.track.id).is_some_and(|newest| newest > seq)
                || description.end_of(cursor.track.id).is_some();
            if exists {
                return Step::Gap(at, id(seq));
            }
            // Overdue and unheard of: the track has paused. The others go on.
            wake = Instant::NEVER;
        }
        Step::Wait(wake)
    }

    /// Whether what comes next was cut under the description that is not told yet.
    fn takes_effect(&self, step: &Step, store: &Store) -> bool {
        match step {
            Step::Wait(_) => false,
            _ if self.changed == 0 => true,
            Step::Gap(_, id) | Step::Deliver(_, id) if self.known >> id.track.get() & 1 == 0 => {
                true
            }
            Step::Gap(..) => false,
            Step::Deliver(_, id) => {
                let content = store.content(*id);
                self.changed >> id.track.get() & 1 == 1
                    && content.is_some_and(|content| content.manifest().revision >= self.changed_at)
            }
        }
    }

    /// The next item, if there is one at `now`.
    pub(super) fn poll(
        &mut self,
        store: &Store,
        description: &Description,
        now: Instant,
        stats: &mut Stats,
    ) -> Option<Playout> {
        if self.ended {
            return None;
        }
        self.start(store, now);
        self.change_over(store, now);
        let step = self.step(store, description, now);
        if self.told != self.revision && self.takes_effect(&step, store) {
            self.told = self.revision;
            self.changed = 0;
            self.known =
                self.cursors.iter().fold(0, |set, cursor| set | 1 << cursor.track.id.get());
            let coming = self.change.map(|change| change.new);
            let told = self.cursors.iter().filter(|cursor| Some(cursor.track.id) != coming);
            let tracks = told.map(|cursor| cursor.track.clone()).collect();
            return Some(Playout::Tracks(tracks));
        }
        let (at, id) = match step {
            Step::Wait(_) => return self.finish(description, now),
            Step::Gap(at, id) => {
                self.tell_gap(at, id, store, now, stats);
                return Some(Playout::Gap { id });
            }
            Step::Deliver(at, id) => (at, id),
        };
        let content = store.content(id)?;
        let manifest = content.manifest();
        let objects = content
            .payload()
            .and_then(|bytes| {
                payload::decode(bytes, id.track, manifest.start, manifest.captured).ok()
            })
            .filter(|objects| !objects.is_empty());
        let Some(objects) = objects else {
            // Signed, whole, and still not a list of objects: the publisher's own fault.
            self.tell_gap(at, id, store, now, stats);
            return Some(Playout::Gap { id });
        };
        self.deliver(at, manifest, now, stats);
        Some(Playout::Segment { id, group_start: manifest.group_start, objects })
    }

    fn deliver(&mut self, at: usize, manifest: &Manifest, now: Instant, stats: &mut Stats) {
        stats.segments_expected += 1;
        stats.segments_delivered += 1;
        if stats.segments_delivered == 1 {
            stats.startup_ms = micros(now.since(self.joined)) / 1000;
        }
        self.latency.record(micros(now.since(manifest.captured)) / 1000);
        let soon = self.deadline(manifest.captured) - self.delay * 5 / 8;
        self.troubles += u64::from(self.cursors[at].track.is_video() && now > soon);
        let due = self.deadline(manifest.captured) + self.behind;
        if now > due {
            stats.segments_late += 1;
            stats.stalls += 1;
            stats.stall_ms += micros(now.since(due)) / 1000;
            self.behind += now.since(due);
        }
        self.cursors[at].advance(Some(manifest));
    }

    fn tell_gap(
        &mut self,
        at: usize,
        id: SegmentId,
        store: &Store,
        now: Instant,
        stats: &mut Stats,
    ) {
        stats.segments_expected += 1;
        stats.segments_missed += 1;
        stats.stalls += 1;
        let manifest = store.content(id).map(|content| content.manifest());
        let track = &self.cursors[at].track;
        self.troubles += u64::from(track.is_video());
        stats.stall_ms += manifest.map_or(0, |m| track.micros(u64::from(m.duration)) / 1000);
        tracing::debug!(target: "beacon::playout", segment = %id, ?now, "gap");
        self.cursors[at].advance(manifest);
        if manifest.is_none() {
            // Where it ended is learnt from the one that follows.
            let next = SegmentId { seq: id.seq.saturating_add(1), ..id };
            if let Some(content) = store.content(next) {
                let start = self.cursors[at].track.micros(content.manifest().start);
                self.cursors[at].edge_us = start;
                self.cursors[at].edge_captured = content.manifest().captured;
            }
        }
    }

    /// `End`, once every track has played to its end; or when the broadcast had ended and nothing
    /// of it could be had any more.
    fn finish(&mut self, description: &Description, now: Instant) -> Option<Playout> {
        let played = |cursor: &Cursor| {
            let end = description.end_of(cursor.track.id)?;
            Some(cursor.next.unwrap_or(if self.started.is_some() { end } else { 0 }) >= end)
        };
        let done = !self.cursors.is_empty()
            && self.cursors.iter().all(|cursor| played(cursor) == Some(true));
        let too_late = self.started.is_none()
            && description.ended.is_some()
            && self.joined + self.delay <= now;
        if !done && !too_late {
            return None;
        }
        self.ended = true;
        Some(Playout::End)
    }

    /// When [`Player::poll`] may have something new though nothing arrives. What can be had
    /// already waits for the sink, not for the clock.
    pub(super) fn wakes_at(
        &self,
        store: &Store,
        description: &Description,
        now: Instant,
    ) -> Instant {
        if self.ended || self.started.is_none() {
            return Instant::NEVER;
        }
        match self.step(store, description, now) {
            Step::Wait(at) => at,
            Step::Deliver(..) | Step::Gap(..) => Instant::NEVER,
        }
    }
}

impl Cursor {
    fn begin(&mut self, seq: u32, start_us: u64, captured: Instant) {
        self.next = Some(seq);
        self.edge_us = start_us;
        self.edge_captured = captured;
    }

    fn advance(&mut self, played: Option<&Manifest>) {
        self.next = self.next.map(|seq| seq.saturating_add(1));
        if let Some(manifest) = played {
            let duration = self.track.micros(u64::from(manifest.duration));
            self.edge_us = self.track.micros(manifest.start).saturating_add(duration);
            self.edge_captured = manifest.captured + Duration::from_micros(duration);
        }
    }
}
