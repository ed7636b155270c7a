//! Sources and sinks that break one clause each.

use super::caught;
use super::good::{Clip, Recorder};
use async_trait::async_trait;
use beacon_sdk::conformance::{SinkFixture, SourceFixture, run, sink, source};
use beacon_sdk::media::{Media, Playout};
use beacon_sdk::plugin::{SinkError, SourceError};
use beacon_sdk::{Sink, Source, TrackId};
use bytes::Bytes;
use std::time::Duration;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Lie {
    ObjectFirst,
    BadTracks,
    UnknownTrack,
    GoesBack,
    NoKeyframe,
    LosesOnCancel,
    GoesOn,
    AllAtOnce,
    EmptyObject,
    OneTrackLate,
}

struct BadSource {
    inner: Clip,
    lie: Lie,
    late: Vec<Media>,
    count: u32,
}

impl BadSource {
    fn bend(&mut self, item: Media) -> Option<Media> {
        self.count += 1;
        let item = match (self.lie, item) {
            (Lie::ObjectFirst, Media::Tracks(_)) => return None,
            (Lie::BadTracks, Media::Tracks(tracks)) => {
                Media::Tracks([tracks.clone(), tracks].concat())
            }
            (_, Media::Tracks(tracks)) => Media::Tracks(tracks),
            (lie, Media::Object(mut object)) => {
                match lie {
                    Lie::UnknownTrack => object.track = TrackId::new(9).unwrap(),
                    Lie::GoesBack if self.count > 100 => object.dts = 0,
                    Lie::NoKeyframe => object.keyframe = false,
                    Lie::EmptyObject => object.data = Bytes::new(),
                    Lie::OneTrackLate if object.track.get() == 1 => {
                        self.late.push(Media::Object(object));
                        return None;
                    }
                    _ => {}
                }
                Media::Object(object)
            }
        };
        Some(item)
    }
}

#[async_trait]
impl Source for BadSource {
    async fn next(&mut self) -> Result<Option<Media>, SourceError> {
        loop {
            let item = match self.lie {
                Lie::AllAtOnce => self.inner.take(),
                _ => self.inner.next().await?,
            };
            if self.lie == Lie::LosesOnCancel {
                tokio::task::yield_now().await;
            }
            let Some(item) = item else {
                self.count += 1;
                let after = self.lie == Lie::GoesOn && self.count.is_multiple_of(2);
                let more = after.then(|| Media::Tracks(Vec::new()));
                return Ok(if self.late.is_empty() { more } else { Some(self.late.remove(0)) });
            };
            if let Some(item) = self.bend(item) {
                return Ok(Some(item));
            }
        }
    }
}

impl SourceFixture for Lie {
    async fn open(&mut self) -> Box<dyn Source> {
        Box::new(BadSource { inner: Clip::new(), lie: *self, late: Vec::new(), count: 0 })
    }

    fn patience(&self) -> Duration {
        Duration::from_secs(8)
    }
}

macro_rules! lies {
    ($suite:ident, $($test:ident: $body:ident catches $($lie:expr),+;)*) => {$(
        #[test]
        fn $test() {
            let clause = stringify!($test).to_uppercase();
            $(caught(&clause, || run(async { $suite::$body(&mut $lie).await }));)+
        }
    )*};
}

lies! { source,
    s01: s01_tracks_come_first catches Lie::ObjectFirst, Lie::BadTracks;
    s02: s02_objects_belong_and_are_in_order catches Lie::UnknownTrack, Lie::GoesBack;
    s03: s03_tracks_start_at_a_keyframe catches Lie::NoKeyframe;
    s04: s04_next_is_cancel_safe catches Lie::LosesOnCancel;
    s05: s05_the_end_is_final catches Lie::GoesOn;
    s06: s06_paced_like_a_camera catches Lie::AllAtOnce;
    s07: s07_objects_have_a_size_and_are_interleaved catches Lie::EmptyObject, Lie::OneTrackLate;
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum SinkLie {
    RefusesTracks,
    Hangs,
    RefusesGaps,
    FailsToFinish,
    Panics,
}

struct BadSink {
    inner: Recorder,
    lie: SinkLie,
    count: u32,
}

#[async_trait]
impl Sink for BadSink {
    async fn write(&mut self, item: Playout) -> Result<(), SinkError> {
        self.count += 1;
        match (self.lie, &item) {
            (SinkLie::RefusesTracks, Playout::Tracks(_)) => Err(SinkError::new("no")),
            (SinkLie::Hangs, _) if self.count == 3 => std::future::pending().await,
            (SinkLie::RefusesGaps, Playout::Gap { .. }) => Err(SinkError::new("a hole")),
            (SinkLie::Panics, Playout::Segment { objects, .. }) if objects.is_empty() => {
                panic!("K05: by the sink itself")
            }
            _ => self.inner.write(item).await,
        }
    }

    async fn finish(&mut self) -> Result<(), SinkError> {
        if self.lie == SinkLie::FailsToFinish && self.count == 3 {
            return Err(SinkError::new("a group is open"));
        }
        self.inner.finish().await
    }
}

impl SinkFixture for SinkLie {
    async fn open(&mut self) -> Box<dyn Sink> {
        Box::new(BadSink { inner: Recorder::default(), lie: *self, count: 0 })
    }

    fn patience(&self) -> Duration {
        Duration::from_secs(2)
    }
}

lies! { sink,
    k01: k01_tracks_come_first catches SinkLie::RefusesTracks;
    k02: k02_every_write_ends catches SinkLie::Hangs;
    k03: k03_gaps_are_survived catches SinkLie::RefusesGaps;
    k04: k04_finish_flushes_at_any_time catches SinkLie::FailsToFinish;
    k05: k05_an_error_is_an_error catches SinkLie::Panics;
}
