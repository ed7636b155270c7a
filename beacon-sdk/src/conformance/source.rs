//! The suite of [`Source`]: clauses S01–S07, on a source that ends by itself.

use super::{Pending, first};
use crate::id::TrackId;
use crate::media::{Media, OBJECT_BYTES_MAX, Object, Track};
use crate::plugin::{Source, SourceError};
use crate::timer::{self, Instant};
use core::time::Duration;
use std::collections::BTreeMap;

/// Media that a fixture must give at least, for its pace to be seen.
const SPAN_MIN: Duration = Duration::from_secs(1);
/// How far tracks may be apart (S07).
const APART_MAX: u64 = 500_000;

/// Opens the source under test.
#[allow(async_fn_in_trait)] // The suite runs on one thread and needs no `Send`.
pub trait SourceFixture {
    /// A fresh source that yields the same media every time and then ends, after 1 to 10 seconds.
    async fn open(&mut self) -> Box<dyn Source>;

    /// Hang guard: how long the suite waits for the end.
    fn patience(&self) -> Duration {
        Duration::from_secs(60)
    }
}

/// One `#[test]` per clause S01–S07 for the source of the fixture that the function `$make`
/// returns: `source_conformance!(path::to::make)`.
#[macro_export]
macro_rules! source_conformance {
    ($make:path) => {
        $crate::__conformance_tests!($make, source,
            s01_tracks_come_first s02_objects_belong_and_are_in_order s03_tracks_start_at_a_keyframe
            s04_next_is_cancel_safe s05_the_end_is_final s06_paced_like_a_camera
            s07_objects_have_a_size_and_are_interleaved);
    };
}

/// All that a source gave, and how long it took.
struct Recording {
    items: Vec<Media>,
    took: Duration,
    source: Box<dyn Source>,
}

impl Recording {
    /// Reads to the end; with `fickle`, every call is polled once and dropped.
    async fn of(clause: &str, fixture: &mut impl SourceFixture, fickle: bool) -> Self {
        let patience = fixture.patience();
        let mut source = fixture.open().await;
        let mut items = Vec::new();
        let started = Instant::now();
        let end = async {
            loop {
                let told = {
                    let call: Pending<'_, Result<Option<Media>, SourceError>> =
                        Box::pin(source.next());
                    first(&mut [call], fickle).await
                };
                match told {
                    None => timer::sleep(Duration::from_millis(1)).await,
                    Some((_, Ok(Some(item)))) => items.push(item),
                    Some((_, Ok(None))) => return,
                    Some((_, Err(error))) => panic!("{clause}: the source failed: {error}"),
                }
            }
        };
        let ended = timer::timeout(patience, end).await;
        assert!(ended.is_ok(), "{clause}: the source has not ended within {patience:?}");
        Self { items, took: started.elapsed(), source }
    }

    /// Every object with the track list that is in force for it.
    fn objects(&self) -> Vec<(&[Track], &Object)> {
        let mut tracks: &[Track] = &[];
        let mut objects = Vec::new();
        for item in &self.items {
            match item {
                Media::Tracks(list) => tracks = list,
                Media::Object(object) => objects.push((tracks, object)),
            }
        }
        objects
    }

    /// Every object with its decode time in microseconds from the first one of its track.
    fn times(&self, clause: &str) -> Vec<(TrackId, u64)> {
        let mut starts = BTreeMap::new();
        let objects = self.objects();
        let times = objects.into_iter().map(|(tracks, object)| {
            let track = tracks.iter().find(|track| track.id == object.track);
            let Some(track) = track else { panic!("{clause}: an object of no announced track") };
            let start = *starts.entry(object.track).or_insert(object.dts);
            (object.track, track.micros(object.dts.saturating_sub(start)))
        });
        times.collect()
    }

    fn span(&self, clause: &str) -> Duration {
        let most = self.times(clause).iter().map(|(_, micros)| *micros).max();
        Duration::from_micros(most.unwrap_or_default())
    }
}

/// The first item is a valid list of tracks; so is every later list.
pub async fn s01_tracks_come_first(fixture: &mut impl SourceFixture) {
    let seen = Recording::of("S01", fixture, false).await;
    let leads = matches!(seen.items.first(), Some(Media::Tracks(_)));
    assert!(leads, "S01: the first item is not Tracks but {:?}", seen.items.first());
    for item in &seen.items {
        if let Media::Tracks(list) = item {
            let checked = Track::check_all(list);
            assert!(checked.is_ok(), "S01: a list of tracks does not pass: {checked:?}");
        }
    }
    assert!(!seen.objects().is_empty(), "S01: the source gave no object");
}

/// Every object is of an announced track, and decode times never go back.
pub async fn s02_objects_belong_and_are_in_order(fixture: &mut impl SourceFixture) {
    let seen = Recording::of("S02", fixture, false).await;
    let mut last = BTreeMap::new();
    for (tracks, object) in seen.objects() {
        let known = tracks.iter().any(|track| track.id == object.track);
        assert!(known, "S02: an object of track {}, which is not announced", object.track);
        let before = last.insert(object.track, object.dts).unwrap_or_default();
        let (track, dts) = (object.track, object.dts);
        assert!(dts >= before, "S02: track {track} goes back from {before} to {dts}");
    }
}

/// Video starts at a keyframe; sound is nothing but keyframes.
pub async fn s03_tracks_start_at_a_keyframe(fixture: &mut impl SourceFixture) {
    let seen = Recording::of("S03", fixture, false).await;
    let mut begun = std::collections::BTreeSet::new();
    for (tracks, object) in seen.objects() {
        let track = tracks.iter().find(|track| track.id == object.track);
        let start = begun.insert(object.track);
        let sound = track.is_some_and(|track| !track.is_video());
        let kept = object.keyframe || !(start || sound);
        assert!(kept, "S03: track {} has no keyframe where one must be", object.track);
    }
    assert!(!begun.is_empty(), "S03: the source gave no object");
}

/// A source whose calls are dropped unless ready at once gives the same objects.
pub async fn s04_next_is_cancel_safe(fixture: &mut impl SourceFixture) {
    let patient = Recording::of("S04", fixture, false).await;
    let fickle = Recording::of("S04", fixture, true).await;
    let sorted = |seen: &Recording| {
        // Tracks may be interleaved a little differently from one run to the next.
        let mut times = seen.times("S04");
        times.sort();
        times
    };
    let (expected, got) = (sorted(&patient), sorted(&fickle));
    assert!(!expected.is_empty(), "S04: the source gave no object");
    let (many, few) = (expected.len(), got.len());
    assert!(expected == got, "S04: {few} objects with dropped calls, {many} without");
}

/// After the end there is nothing but the end.
pub async fn s05_the_end_is_final(fixture: &mut impl SourceFixture) {
    let mut seen = Recording::of("S05", fixture, false).await;
    for _ in 0..3 {
        let again = timer::timeout(super::PROMPT, seen.source.next()).await;
        let ended = matches!(again, Ok(Ok(None)));
        assert!(ended, "S05: after None comes something else, or nothing at once");
    }
}

/// Media comes no faster than it plays. Only that is judged: a slow machine proves nothing.
pub async fn s06_paced_like_a_camera(fixture: &mut impl SourceFixture) {
    let seen = Recording::of("S06", fixture, false).await;
    let (span, took) = (seen.span("S06"), seen.took);
    assert!(span >= SPAN_MIN, "S06: {span:?} of media are too few to tell: give {SPAN_MIN:?}");
    // Half leaves room for what was captured while the source was opened.
    assert!(took >= span / 2, "S06: {span:?} of media came within {took:?}");
    let mut captured = BTreeMap::new();
    for (_, object) in seen.objects() {
        let before = captured.insert(object.track, object.captured);
        let kept = before.is_none_or(|before| before <= object.captured);
        assert!(kept, "S06: the capture time of track {} goes back", object.track);
    }
}

/// Objects are within their limits, and no track runs half a second ahead of another.
pub async fn s07_objects_have_a_size_and_are_interleaved(fixture: &mut impl SourceFixture) {
    let seen = Recording::of("S07", fixture, false).await;
    for (_, object) in seen.objects() {
        let (track, size) = (object.track, object.data.len());
        assert!((1..=OBJECT_BYTES_MAX).contains(&size), "S07: {size} bytes in track {track}");
    }
    let mut furthest = 0;
    for (track, micros) in seen.times("S07") {
        furthest = furthest.max(micros);
        let behind = furthest - micros;
        assert!(behind <= APART_MAX, "S07: track {track} is {behind} µs behind another");
    }
}
