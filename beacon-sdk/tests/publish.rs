//! What a source may yield: an origin refuses what its viewers would ban it for.
#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

mod common;

use beacon_sdk::engine::{Input, PublishError};
use beacon_sdk::media::{Description, Kind, Media, Object, Track, TrackError};
use beacon_sdk::{BroadcastId, Engine, Identity, Instant, Profile, TrackId};

fn origin() -> Engine {
    let config = Profile::Live.config();
    let parts = common::parts(&config);
    let me = Identity::from_secret([1; 32]);
    Engine::publish(Instant::from_micros(1 << 50), config, [2; 32], me, 1, parts).unwrap()
}

fn tracks(ids: impl IntoIterator<Item = u8>, config: usize) -> Vec<Track> {
    let video = Kind::Video { width: 640, height: 360 };
    let track = |id| Track {
        config: vec![1; config].into(),
        label: "720p".into(),
        ..common::track(id, video, "avc1.42C01F", 1_000_000)
    };
    ids.into_iter().map(track).collect()
}

fn publish(engine: &mut Engine, media: Media) -> Option<PublishError> {
    engine.handle(Instant::from_micros(1 << 50), Input::Media(media));
    engine.take_publish_error()
}

#[test]
fn later_tracks_count_with_earlier_ones() {
    let mut engine = origin();
    assert_eq!(publish(&mut engine, Media::Tracks(tracks(0..16, 0))), None);
    assert_eq!(publish(&mut engine, Media::Tracks(tracks(8..16, 9))), None);
    let error = publish(&mut engine, Media::Tracks(tracks([16], 0)));
    assert_eq!(error, Some(PublishError::Tracks(TrackError::Count(17))));
    assert_eq!(engine.description().unwrap().tracks.len(), 16);
}

#[test]
fn a_description_fits_a_control_frame() {
    let error = publish(&mut origin(), Media::Tracks(tracks(0..4, 4096)));
    assert!(matches!(error, Some(PublishError::Description(_))), "{error:?}");
    // The largest that passes is sealed, with its end, within the limit.
    let fits = (1..=4096)
        .rev()
        .find(|len| publish(&mut origin(), Media::Tracks(tracks(0..16, *len))).is_none());
    let tracks = tracks(0..16, fits.unwrap());
    let ended = Some(vec![u32::MAX; 16]);
    let identity = Identity::from_secret([1; 32]);
    let broadcast = BroadcastId { publisher: identity.public(), epoch: 1 };
    let description = Description { revision: 1, stripes: 8, segment_us: 500_000, tracks, ended };
    let frame = 1 + description.seal(broadcast, &identity).len();
    assert!((16_000..=16_384).contains(&frame), "{frame}");
}

#[test]
fn times_fit_a_manifest() {
    let object = |dts, captured| {
        Media::Object(Object {
            track: TrackId::default(),
            dts,
            cts: 0,
            duration: 1,
            keyframe: true,
            layer: 0,
            captured: Instant::from_micros(captured),
            data: vec![1].into(),
        })
    };
    let mut engine = origin();
    assert_eq!(publish(&mut engine, Media::Tracks(tracks([0], 0))), None);
    let out_of_range = Some(PublishError::Time(TrackId::default()));
    assert_eq!(publish(&mut engine, object(0, 1 << 56)), out_of_range);
    // Microseconds since 1970, as a careless source counts them.
    assert_eq!(publish(&mut engine, object(1_700_000_000_000_000, 0)), out_of_range);
    assert_eq!(publish(&mut engine, object((1 << 48) - 1, (1 << 56) - 1)), None);
}
