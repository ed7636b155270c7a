//! The pages of `beacon-signal` in Debian's Chromium: they list a broadcast, play it and pass it on.
//!
//! Needs what the tests in `browser/` need. Leaves pictures of the pages in `screenshots` of the
//! target folder.
#![allow(clippy::unwrap_used, missing_docs)]

use async_trait::async_trait;
use beacon_codec_lite::{TestPattern, TestPatternOptions};
use beacon_codec_raptorq::RaptorQ;
use beacon_sdk::media::Media;
use beacon_sdk::plugin::SourceError;
use beacon_sdk::{Beacon, Broadcast, Identity, Profile, Source, Stats};
use beacon_transport_webrtc::{SignalClient, WebRtc, WebRtcConfig};
use serde::Deserialize;
use stage::{Stage, screenshots};
use std::ops::Range;
use std::time::Duration;

mod stage;

/// How long two pages are watched.
const SECONDS: u32 = 10;

/// What a page's player is at.
#[derive(Debug, Deserialize)]
struct Look {
    time: f64,
    frames: u64,
    audio: u64,
    buffered: f64,
    state: String,
    /// None before the player has asked for the first time.
    stats: Option<Stats>,
}

#[derive(Debug, Deserialize)]
struct Seen {
    first: Vec<Look>,
    last: Vec<Look>,
    listed: String,
    errors: Vec<String>,
}

/// Publishes as "test", to so many neighbours.
fn publish(stage: &Stage, source: impl Source + 'static, links: u16) -> Broadcast {
    let inside = stage.runtime.enter();
    let identity = Identity::random().unwrap();
    let transport = WebRtc::new(identity.public(), WebRtcConfig::loopback()).unwrap();
    let rendezvous = SignalClient::new(&format!("ws://{}", stage.host), &identity).unwrap();
    let mut config = Profile::Live.config();
    (config.links_max, config.links_target) = (links, links);
    let beacon = Beacon::new(identity, transport, rendezvous).config(config).code(RaptorQ::new());
    let (broadcast, driver) = beacon.publish("test", source, None).unwrap();
    stage.runtime.spawn(driver);
    drop(inside);
    broadcast
}

#[test]
fn pages_play_and_pass_on() {
    let stage = Stage::set();
    let pattern = TestPattern::new(TestPatternOptions::default()).unwrap();
    // One link: the second page has its bytes from the first.
    let broadcast = publish(&stage, pattern, 1);

    let shots = screenshots();
    let args = [&SECONDS.to_string(), shots.to_str().unwrap()];
    let seen: Seen = stage.play("pages.mjs", &args).finish();
    println!("{seen:#?}");
    assert_eq!(seen.errors, Vec::<String>::new());
    assert!(seen.listed.contains("test") && seen.listed.contains("viewer"), "{}", seen.listed);
    assert_eq!(seen.last.len(), 2);
    for (first, last) in seen.first.iter().zip(&seen.last) {
        assert!(last.time > first.time + 2.0, "it plays: {last:?}");
        assert!(last.frames > first.frames + 20, "pictures are shown: {last:?}");
        assert!(last.audio > first.audio, "sound is decoded: {last:?}");
        assert!(last.buffered < 40.0, "what is old is let go: {last:?}");
        assert!(["playing", "buffering"].contains(&last.state.as_str()), "{last:?}");
        assert_eq!(last.stats.as_ref().unwrap().symbols_invalid, 0);
    }
    let stats: Vec<&Stats> = seen.last.iter().flat_map(|look| &look.stats).collect();
    let most = stats.iter().max_by_key(|stats| stats.bytes_from_peers).unwrap();
    let given: u64 = stats.iter().map(|stats| stats.bytes_uploaded).sum();
    assert!(most.bytes_from_peers > 50_000, "one page serves the other: {most:?}");
    assert!(given > 50_000, "pages have passed on {given}");
    drop(broadcast);
}

/// The test pattern without the end of each group: a hole of 0.4 s in every second, in picture and sound.
struct Leaky {
    pattern: TestPattern,
    /// Pictures since the last keyframe.
    pictures: u32,
}

#[async_trait]
impl Source for Leaky {
    async fn next(&mut self) -> Result<Option<Media>, SourceError> {
        loop {
            let media = self.pattern.next().await?;
            let Some(Media::Object(object)) = &media else { return Ok(media) };
            if object.track.get() == 0 {
                self.pictures = if object.keyframe { 0 } else { self.pictures + 1 };
            }
            if self.pictures < 18 {
                return Ok(media);
            }
        }
    }
}

#[derive(Debug, Deserialize)]
struct Crossing {
    to: f64,
    edge: f64,
}

#[derive(Debug, Deserialize)]
struct Holes {
    crossings: Vec<Crossing>,
    errors: Vec<String>,
}

#[test]
fn a_player_keeps_its_reserve_at_holes() {
    let stage = Stage::set();
    let options = TestPatternOptions { group: Duration::from_secs(1), ..Default::default() };
    let pattern = TestPattern::new(options).unwrap();
    let broadcast = publish(&stage, Leaky { pattern, pictures: 0 }, 1);
    let seen: Holes = stage.play("holes.mjs", &["6"]).finish();
    println!("{seen:#?}");
    assert_eq!(seen.errors, Vec::<String>::new());
    assert!(seen.crossings.windows(2).all(|pair| pair[1].to > pair[0].to), "only ever forward");
    // A segment and two of reserve are 0.75 s, and it goes on when half a segment less is there.
    for crossing in &seen.crossings {
        assert!(crossing.edge - crossing.to > 0.5, "the reserve is spent: {crossing:?}");
    }
    drop(broadcast);
}

#[derive(Debug, Deserialize)]
struct Noticed {
    hidden: bool,
    muted: bool,
    /// The window of picture in picture is there.
    window: bool,
    crossed: u32,
    /// Seconds.
    played: f64,
    behind: f64,
}

#[derive(Debug, Deserialize)]
struct Heard {
    heard: Noticed,
    above: Noticed,
}

#[test]
fn a_hidden_player_that_is_heard_or_seen_elsewhere_goes_on_over_holes() {
    let stage = Stage::set();
    let options = TestPatternOptions { group: Duration::from_secs(1), ..Default::default() };
    let pattern = TestPattern::new(options).unwrap();
    let broadcast = publish(&stage, Leaky { pattern, pictures: 0 }, 1);
    let Heard { heard, above } = stage.play("heard.mjs", &["3"]).finish();
    println!("{heard:#?} {above:#?}");
    assert!(heard.hidden && !heard.muted && !heard.window);
    assert!(above.hidden && above.muted && above.window);
    for noticed in [heard, above] {
        assert!(noticed.crossed >= 3 && noticed.played > 1.0 && noticed.behind < 10.0);
    }
    drop(broadcast);
}

/// The test pattern, with sound from one time on and up to another.
struct Hushed {
    pattern: TestPattern,
    /// Pictures so far, and those between which there is sound.
    pictures: u32,
    sound: Range<u32>,
}

#[async_trait]
impl Source for Hushed {
    async fn next(&mut self) -> Result<Option<Media>, SourceError> {
        loop {
            let media = self.pattern.next().await?;
            let Some(Media::Object(object)) = &media else { return Ok(media) };
            let picture = object.track.get() == 0;
            self.pictures += u32::from(picture);
            if picture || self.sound.contains(&self.pictures) {
                return Ok(media);
            }
        }
    }
}

/// A player at a sound that comes and goes.
#[derive(Debug, Deserialize)]
struct Sound {
    remark: String,
    /// The kinds of the tracks that are played.
    tracks: Vec<String>,
    time: f64,
    /// Bytes of sound decoded.
    audio: u64,
}

#[derive(Debug, Deserialize)]
struct Sounds {
    without: Sound,
    with: Sound,
    after: Sound,
    errors: Vec<String>,
}

#[test]
fn a_sound_that_is_not_there_does_not_hold_the_picture() {
    let stage = Stage::set();
    let options = TestPatternOptions { group: Duration::from_secs(1), ..Default::default() };
    let pattern = TestPattern::new(options).unwrap();
    let broadcast = publish(&stage, Hushed { pattern, pictures: 0, sound: 900..1800 }, 1);
    let Sounds { without, with, after, errors } = stage.play("hushed.mjs", &[]).finish();
    println!("{without:#?} {with:#?} {after:#?}");
    assert_eq!(errors, Vec::<String>::new());
    for silent in [&without, &after] {
        assert_eq!(silent.remark, "The sound does not arrive.");
        assert_eq!(silent.tracks, ["video"]);
    }
    assert_eq!((without.audio, with.remark.as_str()), (0, ""));
    assert_eq!(with.tracks, ["video", "audio"]);
    assert!(with.audio > 0 && with.time > without.time && after.time > with.time);
    drop(broadcast);
}
