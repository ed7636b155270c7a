//! [`PageSink`]: playout into the log.

use super::hub::Hub;
use super::log::Mark;
use super::message;
use async_trait::async_trait;
use beacon_sdk::media::{Object, Playout, Track};
use beacon_sdk::plugin::SinkError;
use beacon_sdk::{SegmentId, Sink, TrackId};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Shows a broadcast on a [`Page`](super::Page).
///
/// `write` never waits for a browser: it appends to a bounded log that every browser reads at its
/// own pace.
#[derive(Debug)]
pub struct PageSink {
    hub: Arc<Hub>,
    showing: u64,
    tracks: Vec<Track>,
    /// One bit per track that browsers are sent.
    carried: u64,
    /// Per track, the last segment and where it ended, in ticks.
    ends: BTreeMap<TrackId, (u32, u64)>,
}

impl PageSink {
    pub(super) fn new(hub: Arc<Hub>) -> Self {
        let showing = hub.restart();
        Self { hub, showing, tracks: Vec::new(), carried: 0, ends: BTreeMap::new() }
    }

    fn announce(&mut self, tracks: Vec<Track>) -> Result<(), SinkError> {
        if tracks == self.tracks {
            return Ok(());
        }
        let showing = self.hub.showing_id(self.showing);
        let (preamble, carried) =
            message::describe(showing, &tracks).map_err(|error| SinkError {
                context: format!("nothing of this broadcast can be shown on a page: {error}"),
                source: Some(Box::new(error)),
            })?;
        (self.tracks, self.carried) = (tracks, carried);
        let shown = || self.tracks.iter().filter(|track| self.carries(track.id.get()));
        let lead = shown().find(|track| track.is_video()).or_else(|| shown().next());
        self.hub.write(self.showing, |log| log.describe(preamble, lead.map(|track| track.id)));
        Ok(())
    }

    fn carries(&self, track: u8) -> bool {
        self.carried >> track & 1 == 1
    }

    fn segment(&mut self, id: SegmentId, group_start: bool, mut objects: Vec<Object>) {
        let track = self.tracks.iter().find(|track| track.id == id.track);
        let (Some(track), Some(first), Some(last)) = (track, objects.first(), objects.last())
        else {
            return;
        };
        // Sound can be picked up at any packet; a group start is only where pictures need it.
        let start = group_start || first.keyframe;
        let end = last.dts.saturating_add(u64::from(last.duration));
        let span_us = (track.micros(first.dts), track.micros(end));
        let before = self.ends.insert(id.track, (id.seq, end));
        if let Some((seq, end)) = before
            && seq.checked_add(1) == Some(id.seq)
            && track.is_video()
        {
            join(&mut objects, end);
        }
        let message = match message::segment(id, start, &objects) {
            Ok(message) => message,
            Err(error) => {
                tracing::warn!(segment = %id, %error, "a segment the page cannot show");
                return self.gap(id);
            }
        };
        let mark = Mark::Fragment { track: id.track, start, span_us };
        self.hub.write(self.showing, |log| log.push(mark, message));
    }

    fn gap(&self, id: SegmentId) {
        let mark = Mark::Gap { track: id.track };
        self.hub.write(self.showing, |log| log.push(mark, message::gap(id.track)));
    }
}

/// Lets decode time go on from `end`, where frames were left out before the first object (a busy
/// encoder, a still screen); it is shown when it was. Browsers take a step in decode time of more
/// than two frames for a discontinuity and drop what follows up to the next keyframe (Media Source
/// Extensions, coded frame processing).
fn join(objects: &mut [Object], end: u64) {
    let Some(first) = objects.first_mut() else { return };
    let skipped = first.dts.checked_sub(end).and_then(|skipped| i32::try_from(skipped).ok());
    if let Some(cts) = skipped.and_then(|skipped| first.cts.checked_add(skipped)) {
        (first.dts, first.cts) = (end, cts);
    }
}

#[async_trait]
impl Sink for PageSink {
    async fn write(&mut self, item: Playout) -> Result<(), SinkError> {
        match item {
            Playout::Tracks(tracks) => self.announce(tracks)?,
            Playout::Segment { id, group_start, objects } if self.carries(id.track.get()) => {
                self.segment(id, group_start, objects);
            }
            Playout::Gap { id } if self.carries(id.track.get()) => self.gap(id),
            Playout::Segment { .. } | Playout::Gap { .. } => {}
            Playout::End => {
                self.hub.write(self.showing, |log| log.push(Mark::Notice, message::end()));
            }
        }
        Ok(())
    }

    async fn finish(&mut self) -> Result<(), SinkError> {
        // Everything written is in the log already.
        Ok(())
    }
}
