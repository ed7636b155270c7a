//! [`Log`]: the last seconds of the broadcast as messages, written once and read by every browser
//! at its own pace.

use super::message::{self, Message};
use beacon_sdk::TrackId;
use std::collections::VecDeque;

/// Messages kept at most: several groups of a few tracks in 100 ms segments.
pub(super) const MESSAGES_MAX: usize = 1024;
/// Bytes kept at most: 10 s at 25 Mbit/s.
pub(super) const BYTES_MAX: usize = 32 << 20;
/// Media older than this is let go once a newer group can be started from, in microseconds.
/// (Guess: the page seeks to the live edge long before it is so late.)
const AGE_MAX_US: u64 = 10_000_000;
/// A newcomer starts at the newest group that has this much media behind it, in microseconds, so
/// that it does not begin by waiting. (Guess.)
const HEAD_START_US: u64 = 1_000_000;

/// What a message means to a reader that joins, falls behind or has missed something.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Mark {
    /// One segment of a track.
    Fragment {
        track: TrackId,
        /// Decoding can start here.
        start: bool,
        /// Where it begins and ends, in microseconds of media time.
        span_us: (u64, u64),
    },
    /// Nothing of this track decodes until it starts again.
    Gap { track: TrackId },
    /// Another decoder configuration; nothing of this track decodes before it starts.
    Init { track: TrackId },
    /// For everybody: descriptions, the end.
    Notice,
}

#[derive(Debug)]
struct Entry {
    mark: Mark,
    message: Message,
}

/// Where a browser is in the log.
#[derive(Debug, Default)]
pub(super) struct Cursor {
    /// The showing it follows; 0 is none yet.
    showing: u64,
    /// Number of the next entry.
    next: u64,
    /// One bit per track: the browser can decode what follows.
    fed: u64,
    /// What it gets before that entry.
    first: VecDeque<Message>,
}

/// A bounded log. Entries are numbered from 0 on and never change; the oldest go.
#[derive(Debug, Default)]
pub(super) struct Log {
    entries: VecDeque<Entry>,
    /// Number of the oldest entry.
    oldest: u64,
    bytes: usize,
    /// Counts sinks; a new one starts a new timeline.
    showing: u64,
    /// The descriptions in force.
    preamble: Vec<Message>,
    /// The track whose groups are places to start at.
    lead: Option<TrackId>,
    /// Entries at which the lead track starts a group, with their time. Never more than entries.
    starts: VecDeque<(u64, u64)>,
    edge_us: u64,
}

impl Log {
    /// Forgets everything: another timeline begins.
    pub(super) fn restart(&mut self) -> u64 {
        let (oldest, showing) = (self.end(), self.showing + 1);
        *self = Self { oldest, showing, ..Self::default() };
        showing
    }

    /// Number of the timeline under way.
    pub(super) const fn showing(&self) -> u64 {
        self.showing
    }

    /// Number of the entry that comes next.
    fn end(&self) -> u64 {
        self.oldest + self.entries.len() as u64
    }

    /// New descriptions: `preamble` is what a newcomer needs before any fragment that follows,
    /// `lead` the track that it starts by.
    pub(super) fn describe(&mut self, preamble: Vec<(Mark, Message)>, lead: Option<TrackId>) {
        // What came before is of another description: nobody starts there any more.
        self.starts.clear();
        self.lead = lead;
        let messages: Vec<_> = preamble.iter().map(|(_, message)| message.clone()).collect();
        let known = core::mem::replace(&mut self.preamble, messages);
        for (mark, message) in preamble {
            // A configuration that stays breaks off nothing.
            let mark = if known.contains(&message) { Mark::Notice } else { mark };
            self.push(mark, message);
        }
    }

    /// Appends a message, and lets the oldest go.
    pub(super) fn push(&mut self, mark: Mark, message: Message) {
        if let Mark::Fragment { track, start, span_us: (from_us, to_us) } = mark {
            self.edge_us = self.edge_us.max(to_us);
            if start && self.lead == Some(track) {
                self.starts.push_back((self.end(), from_us));
            }
        }
        self.bytes += message::len(&message);
        self.entries.push_back(Entry { mark, message });
        while self.too_much() {
            let Some(entry) = self.entries.pop_front() else { break };
            self.bytes -= message::len(&entry.message);
            self.oldest += 1;
        }
        while self.starts.front().is_some_and(|(at, _)| *at < self.oldest) {
            self.starts.pop_front();
        }
    }

    fn too_much(&self) -> bool {
        let Some(front) = self.entries.front() else { return false };
        let old = match front.mark {
            Mark::Fragment { span_us, .. } => self.edge_us.saturating_sub(span_us.0) > AGE_MAX_US,
            Mark::Gap { .. } | Mark::Init { .. } | Mark::Notice => true,
        };
        let needed = self.oldest >= self.start();
        self.entries.len() > MESSAGES_MAX || self.bytes > BYTES_MAX || (old && !needed)
    }

    /// Where a newcomer starts.
    fn start(&self) -> u64 {
        let ripe =
            |(_, from_us): &&(u64, u64)| self.edge_us.saturating_sub(*from_us) >= HEAD_START_US;
        let start = self.starts.iter().rev().find(ripe).or(self.starts.front());
        start.map_or(self.end(), |(at, _)| *at)
    }

    /// The next message for a reader; `None` until there is news.
    ///
    /// A reader whose place has gone is told that every track has a gap and goes on where a
    /// newcomer starts.
    pub(super) fn next(&self, cursor: &mut Cursor) -> Option<Message> {
        if self.preamble.is_empty() {
            return None;
        }
        if cursor.showing != self.showing || cursor.next < self.oldest {
            cursor.first = self.preamble.iter().cloned().collect();
            let fed = if cursor.showing == self.showing { cursor.fed } else { 0 };
            let gaps = (0..TrackId::LIMIT).filter(|track| fed >> track & 1 == 1);
            cursor.first.extend(gaps.filter_map(TrackId::new).map(message::gap));
            (cursor.showing, cursor.next, cursor.fed) = (self.showing, self.start(), 0);
        }
        if let Some(message) = cursor.first.pop_front() {
            return Some(message);
        }
        loop {
            let at = usize::try_from(cursor.next - self.oldest).ok()?;
            let entry = self.entries.get(at)?;
            cursor.next += 1;
            let wanted = match entry.mark {
                Mark::Fragment { track, start, .. } => {
                    let bit = 1 << track.get();
                    cursor.fed |= if start { bit } else { 0 };
                    cursor.fed & bit != 0
                }
                Mark::Gap { track } => {
                    let bit = 1 << track.get();
                    let told = cursor.fed & bit == 0;
                    cursor.fed &= !bit;
                    !told
                }
                Mark::Init { track } => {
                    cursor.fed &= !(1 << track.get());
                    true
                }
                Mark::Notice => true,
            };
            if wanted {
                return Some(entry.message.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEGMENT_US: u64 = 500_000;

    fn track(number: u8) -> TrackId {
        TrackId::new(number).unwrap_or_default()
    }

    fn log() -> Log {
        let mut log = Log::default();
        log.restart();
        log.describe(vec![(Mark::Notice, Message::text("tracks"))], Some(track(0)));
        log
    }

    /// Four segments a group, each a message that names itself.
    fn push(log: &mut Log, seq: u64, body: usize) {
        let span_us = (seq * SEGMENT_US, (seq + 1) * SEGMENT_US);
        let mark = Mark::Fragment { track: track(0), start: seq.is_multiple_of(4), span_us };
        log.push(mark, Message::text("0".repeat(body) + &seq.to_string()));
    }

    fn read(log: &mut Log, cursor: &mut Cursor) -> Vec<String> {
        core::iter::from_fn(|| log.next(cursor))
            .map(|message| match message {
                Message::Text(text) => text.trim_start_matches('0').to_owned(),
                _ => "gap".to_owned(),
            })
            .collect()
    }

    #[test]
    fn a_newcomer_starts_at_a_group_with_a_second_behind_it() {
        let mut log = log();
        let mut early = Cursor::default();
        assert_eq!(read(&mut log, &mut early), ["tracks"]);
        (0..13).for_each(|seq| push(&mut log, seq, 1));
        // The group of 12 is half a second old.
        assert_eq!(read(&mut log, &mut Cursor::default()), ["tracks", "8", "9", "10", "11", "12"]);
        push(&mut log, 13, 1);
        assert_eq!(read(&mut log, &mut Cursor::default()), ["tracks", "12", "13"]);
        assert_eq!(read(&mut log, &mut early).len(), 14, "whoever was there missed nothing");
    }

    #[test]
    fn memory_is_bounded_and_the_slow_go_on_at_the_newest_group() {
        let mut log = log();
        let mut slow = Cursor::default();
        (0..2).for_each(|seq| push(&mut log, seq, 1));
        assert_eq!(read(&mut log, &mut slow), ["tracks", "", "1"]);
        (2..600).for_each(|seq| push(&mut log, seq, 1 << 18));
        assert!(log.entries.len() <= 4 + 21, "{}", log.entries.len());
        assert!(log.starts.len() <= log.entries.len());
        assert_eq!(read(&mut log, &mut slow), ["tracks", "gap", "596", "597", "598", "599"]);
        // A group that never ends does not grow without limit either.
        for seq in 0..3000 {
            push(&mut log, 601 + 4 * seq, 1 << 10);
        }
        assert!(log.entries.len() <= MESSAGES_MAX);
        (0..20).for_each(|seq| push(&mut log, 12_601 + 4 * seq, 1 << 22));
        assert!(log.bytes <= BYTES_MAX && log.entries.len() < 9);
    }

    #[test]
    fn after_a_gap_a_track_waits_for_its_next_start() {
        let mut log = log();
        (0..2).for_each(|seq| push(&mut log, seq, 1));
        log.push(Mark::Gap { track: track(0) }, message::gap(track(0)));
        log.push(Mark::Gap { track: track(0) }, message::gap(track(0)));
        (4..6).for_each(|seq| push(&mut log, seq - 1, 1));
        assert_eq!(read(&mut log, &mut Cursor::default()), ["tracks", "", "1", "gap", "4"]);
    }

    #[test]
    fn another_showing_starts_over() {
        let mut log = log();
        let mut cursor = Cursor::default();
        (0..4).for_each(|seq| push(&mut log, seq, 1));
        assert_eq!(read(&mut log, &mut cursor).len(), 5);
        log.restart();
        assert_eq!(read(&mut log, &mut cursor), [""; 0]);
        log.describe(
            vec![(Mark::Init { track: track(0) }, Message::text("others"))],
            Some(track(0)),
        );
        push(&mut log, 0, 1);
        assert_eq!(read(&mut log, &mut cursor), ["others", ""]);
    }
}
