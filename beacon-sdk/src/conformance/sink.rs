//! The suite of [`Sink`]: clauses K01–K05, as far as they show from outside.

use crate::id::{SegmentId, TrackId};
use crate::media::{Kind, Object, Playout, Track};
use crate::plugin::{Sink, SinkError};
use crate::time::Instant;
use crate::timer;
use bytes::Bytes;
use core::time::Duration;

/// Opens the sink under test.
#[allow(async_fn_in_trait)] // The suite runs on one thread and needs no `Send`.
pub trait SinkFixture {
    /// A fresh sink.
    async fn open(&mut self) -> Box<dyn Sink>;

    /// A short broadcast that the sink can take: `Tracks` first, at least two segments that start
    /// a group of each track, `End` last. By default [`sample`], which has the right form and no
    /// picture: a sink that decodes needs its own.
    fn broadcast(&self) -> Vec<Playout> {
        sample()
    }

    /// Hang guard: how long the suite waits for one call.
    fn patience(&self) -> Duration {
        Duration::from_secs(30)
    }
}

/// One `#[test]` per clause K01–K05 for the sinks of the fixture that the function `$make`
/// returns: `sink_conformance!(path::to::make)`.
#[macro_export]
macro_rules! sink_conformance {
    ($make:path) => {
        $crate::__conformance_tests!($make, sink,
            k01_tracks_come_first k02_every_write_ends k03_gaps_are_survived
            k04_finish_flushes_at_any_time k05_an_error_is_an_error);
    };
}

fn object(track: &Track, number: u64, keyframe: bool) -> Object {
    let (ticks, len) = if track.is_video() { (3000, 400) } else { (960, 100) };
    let byte = number.to_le_bytes()[0];
    // One NAL unit with its length in front, as H.264 travels; for Opus any bytes are a packet.
    let mut data = vec![0, 0, 1, 0x90, if keyframe { 0x65 } else { 0x41 }];
    data.resize(4 + len, byte);
    Object {
        track: track.id,
        dts: number * ticks,
        cts: 0,
        duration: u32::try_from(ticks).unwrap_or_default(),
        keyframe: keyframe || !track.is_video(),
        layer: 0,
        captured: Instant::from_micros(number * 1_000_000 / 30),
        data: Bytes::from(data),
    }
}

/// A broadcast of H.264 and Opus in form, two seconds in four segments per track.
#[must_use]
pub fn sample() -> Vec<Playout> {
    let [video, audio] = [0, 1].map(|id| TrackId::new(id).unwrap_or_default());
    // Baseline 3.1 with one parameter set each; Opus: version, 2 channels, 312 samples, 48 kHz.
    let avcc = [
        &[1, 0x42, 0xC0, 0x1F, 0xFF, 0xE1, 0, 9][..],
        &[0x67, 0x42, 0xC0, 0x1F, 0xDA, 0x01, 0x40, 0x16, 0xE8],
        &[1, 0, 4, 0x68, 0xCE, 0x3C, 0x80],
    ];
    let dops = [0, 2, 0x01, 0x38, 0, 0, 0xBB, 0x80, 0, 0, 0];
    let tracks = vec![
        Track {
            id: video,
            kind: Kind::Video { width: 1280, height: 720 },
            codec: "avc1.42C01F".to_owned(),
            config: Bytes::from(avcc.concat()),
            timescale: 90_000,
            bitrate: 100_000,
            label: "720p".to_owned(),
        },
        Track {
            id: audio,
            kind: Kind::Audio { rate: 48_000, channels: 2 },
            codec: "opus".to_owned(),
            config: Bytes::copy_from_slice(&dops),
            timescale: 48_000,
            bitrate: 40_000,
            label: String::new(),
        },
    ];
    let mut items = vec![Playout::Tracks(tracks.clone())];
    for seq in 0..4_u32 {
        for (track, count) in tracks.iter().zip([15, 25]) {
            // Two segments are a group.
            let group_start = seq.is_multiple_of(2) || !track.is_video();
            let first = u64::from(seq) * count;
            let objects = (first..first + count)
                .map(|number| object(track, number, group_start && number == first));
            let id = SegmentId { track: track.id, seq };
            items.push(Playout::Segment { id, group_start, objects: objects.collect() });
        }
    }
    items.push(Playout::End);
    items
}

/// A sink under a hang guard.
struct Guarded {
    clause: &'static str,
    sink: Box<dyn Sink>,
    patience: Duration,
}

impl Guarded {
    async fn open(clause: &'static str, fixture: &mut impl SinkFixture) -> Self {
        let sink = fixture.open().await;
        Self { clause, sink, patience: fixture.patience() }
    }

    async fn write(&mut self, item: &Playout) -> Result<(), SinkError> {
        let written = timer::timeout(self.patience, self.sink.write(item.clone())).await;
        match written {
            Ok(result) => result,
            Err(_) => panic!("{}: a write has not ended within {:?}", self.clause, self.patience),
        }
    }

    async fn take(&mut self, item: &Playout) {
        if let Err(error) = self.write(item).await {
            panic!("{}: refused {:.200}: {error}", self.clause, format!("{item:?}"));
        }
    }

    async fn finish(&mut self) -> Result<(), SinkError> {
        match timer::timeout(self.patience, self.sink.finish()).await {
            Ok(result) => result,
            Err(_) => panic!("{}: finish has not ended within {:?}", self.clause, self.patience),
        }
    }

    async fn close(&mut self) {
        if let Err(error) = self.finish().await {
            panic!("{}: finish failed: {error}", self.clause);
        }
    }
}

fn id_of(item: &Playout) -> Option<SegmentId> {
    match item {
        Playout::Segment { id, .. } | Playout::Gap { id } => Some(*id),
        Playout::Tracks(_) | Playout::End => None,
    }
}

/// `Tracks` are taken first; the fixture's are not refused.
pub async fn k01_tracks_come_first(fixture: &mut impl SinkFixture) {
    let broadcast = fixture.broadcast();
    let leads = matches!(broadcast.first(), Some(Playout::Tracks(_)));
    assert!(leads, "K01: the fixture's broadcast does not start with Tracks");
    let mut sink = Guarded::open("K01", fixture).await;
    sink.take(&broadcast[0]).await;
    sink.take(&broadcast[1]).await;
    sink.close().await;
}

/// A whole broadcast is taken, each write in its time.
pub async fn k02_every_write_ends(fixture: &mut impl SinkFixture) {
    let broadcast = fixture.broadcast();
    let mut sink = Guarded::open("K02", fixture).await;
    for item in &broadcast {
        sink.take(item).await;
    }
    sink.close().await;
}

/// Gaps at the start, in the middle and in a row are taken, and so is what follows them.
pub async fn k03_gaps_are_survived(fixture: &mut impl SinkFixture) {
    let broadcast = fixture.broadcast();
    let segments = broadcast.iter().filter_map(id_of).count();
    // Every segment lost on its own, then the first half, then everything.
    let mut losses: Vec<Vec<usize>> = (0..segments.min(8)).map(|lost| vec![lost]).collect();
    losses.push((0..segments / 2).collect());
    losses.push((0..segments).collect());
    for lost in losses {
        let mut sink = Guarded::open("K03", fixture).await;
        let mut number = 0;
        // After a gap a track goes on at its next group; until then its segments are gaps too.
        let mut broken = std::collections::BTreeSet::new();
        for item in &broadcast {
            let Some(id) = id_of(item) else {
                sink.take(item).await;
                continue;
            };
            if lost.contains(&number) {
                broken.insert(id.track);
            } else if matches!(item, Playout::Segment { group_start: true, .. }) {
                broken.remove(&id.track);
            }
            number += 1;
            let gap = Playout::Gap { id };
            sink.take(if broken.contains(&id.track) { &gap } else { item }).await;
        }
        sink.close().await;
    }
}

/// `finish` succeeds after `End`, and after any item at which a viewer may leave.
pub async fn k04_finish_flushes_at_any_time(fixture: &mut impl SinkFixture) {
    let broadcast = fixture.broadcast();
    let middle = broadcast.len() / 2;
    for length in [1, 2, 3, middle, broadcast.len() - 1, broadcast.len()] {
        let mut sink = Guarded::open("K04", fixture).await;
        for item in broadcast.iter().take(length) {
            sink.take(item).await;
        }
        sink.close().await;
    }
}

/// What no engine would write is taken or refused; it ends in no panic and no hang.
pub async fn k05_an_error_is_an_error(fixture: &mut impl SinkFixture) {
    let broadcast = fixture.broadcast();
    let unknown = SegmentId { track: TrackId::new(63).unwrap_or_default(), seq: 7 };
    let nonsense = [
        Playout::Tracks(Vec::new()),
        Playout::Gap { id: unknown },
        Playout::Segment { id: unknown, group_start: true, objects: Vec::new() },
        Playout::End,
    ];
    let empty = |item: &Playout| {
        let id = id_of(item)?;
        Some(Playout::Segment { id, group_start: true, objects: Vec::new() })
    };
    // Before Tracks, after them, in the middle, and nothing at all.
    for at in [0, 1, broadcast.len() / 2] {
        for odd in nonsense.iter().cloned().chain(broadcast.iter().find_map(empty)) {
            let mut items = broadcast.clone();
            items.insert(at, odd);
            let mut sink = Guarded::open("K05", fixture).await;
            for item in &items {
                if sink.write(item).await.is_err() {
                    break;
                }
            }
            // Whether it is whole after nonsense is the sink's to say.
            let _ = sink.finish().await;
        }
    }
    let mut unused = Guarded::open("K05", fixture).await;
    let _ = unused.finish().await;
}
