//! What changes while a page plays: what it passes on, which picture it takes; and a page that meets a
//! broadcast of another version.
//!
//! Needs what the tests in `browser/` need.
#![allow(clippy::unwrap_used, missing_docs)]

use async_trait::async_trait;
use beacon_codec_lite::{Rendition, TestPattern, TestPatternOptions};
use beacon_codec_raptorq::RaptorQ;
use beacon_sdk::plugin::{
    CloseReason, TransportCaps, TransportError, TransportEvent, TrySendError,
};
use beacon_sdk::{Beacon, Broadcast, Identity, Lane, PeerId, Profile, Transport};
use beacon_transport_webrtc::{SignalClient, WebRtc, WebRtcConfig};
use bytes::{Bytes, BytesMut};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use stage::{Stage, screenshots};
use std::time::Duration;

mod stage;

/// What a page's player is at.
#[derive(Debug, Deserialize)]
struct Look {
    time: f64,
    height: u32,
    playback: Option<String>,
    state: String,
    reason: String,
    uploaded: u64,
    received: u64,
    /// All that there were.
    states: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Seen<T> {
    seen: T,
    errors: Vec<String>,
}

/// Publishes the test pattern in two sizes as "test".
fn publish<T: Transport>(stage: &Stage, links: u16, over: impl FnOnce(WebRtc) -> T) -> Broadcast {
    let inside = stage.runtime.enter();
    let identity = Identity::random().unwrap();
    let transport = over(WebRtc::new(identity.public(), WebRtcConfig::loopback()).unwrap());
    let rendezvous = SignalClient::new(&format!("ws://{}", stage.host), &identity).unwrap();
    let further = vec![Rendition { width: 320, height: 180, bitrate: 200_000 }];
    let group = Duration::from_secs(1);
    let options = TestPatternOptions { further, group, ..TestPatternOptions::default() };
    let pattern = TestPattern::new(options).unwrap();
    let mut config = Profile::Live.config();
    (config.links_max, config.links_target) = (links, links.min(config.links_target));
    let beacon = Beacon::new(identity, transport, rendezvous).config(config).code(RaptorQ::new());
    let (broadcast, driver) = beacon.publish("test", pattern, None).unwrap();
    stage.runtime.spawn(driver);
    drop(inside);
    broadcast
}

fn play<T: DeserializeOwned + std::fmt::Debug>(stage: &Stage, what: &str) -> T {
    let folder = screenshots();
    let Seen { seen, errors } =
        stage.play("change.mjs", &[folder.to_str().unwrap(), what]).finish::<Seen<T>>();
    println!("{seen:#?}");
    assert_eq!(errors, Vec::<String>::new());
    seen
}

/// Since it played for the first time, the player has never been anything else.
fn played_on(look: &Look) {
    let since = look.states.iter().skip_while(|state| *state != "playing");
    let other: Vec<&String> = since.filter(|state| *state == "connecting").collect();
    assert!(other.is_empty() && look.state == "playing", "it connected anew: {look:?}");
}

#[derive(Debug, Deserialize)]
struct Upload {
    began: Look,
    off: Look,
    saver: Look,
    again: Look,
}

#[test]
fn a_page_passes_on_more_or_less_while_it_plays() {
    let stage = Stage::set();
    // One link: the second page has its bytes from the first.
    let broadcast = publish(&stage, 1, |transport| transport);
    let Upload { began, off, saver, again } = play(&stage, "upload");
    assert!(began.uploaded > 0 && off.time > began.time && off.received > began.received);
    assert_eq!((began.height, saver.height, again.height), (360, 180, 360));
    assert_eq!(saver.uploaded, off.uploaded, "who saves data passes nothing on");
    assert!(again.uploaded > off.uploaded);
    // Counters that began anew would tell of another connection.
    assert!(again.received > saver.received && saver.received > off.received);
    played_on(&again);
    drop(broadcast);
}

#[derive(Debug, Deserialize)]
struct Sizes {
    began: Look,
    small: Look,
    large: Look,
    menu: String,
}

#[derive(Debug, Deserialize)]
struct Renditions {
    mse: Sizes,
    webcodecs: Sizes,
}

#[test]
fn a_page_takes_another_picture_while_it_plays() {
    let stage = Stage::set();
    let broadcast = publish(&stage, 8, |transport| transport);
    let Renditions { mse, webcodecs } = play(&stage, "renditions");
    for (playback, sizes) in [("mse", mse), ("webcodecs", webcodecs)] {
        let Sizes { began, small, large, menu } = sizes;
        assert_eq!((began.height, small.height, large.height), (360, 180, 360));
        assert_eq!(large.playback.as_deref(), Some(playback));
        assert!(small.time > began.time && large.time > small.time);
        assert!(menu.contains("Automatic") && menu.contains("360p") && menu.contains("180p"));
        assert!(menu.contains("shown now"), "{menu}");
        played_on(&large);
    }
    drop(broadcast);
}

#[test]
fn a_page_broadcasts_two_sizes() {
    let Sizes { began, small, large, menu } = play(&Stage::set(), "ladder");
    assert_eq!((began.height, small.height, large.height), (360, 180, 360));
    assert!(small.time > began.time && large.time > small.time);
    assert_eq!(menu, "360 180");
    played_on(&large);
}

/// Says that it speaks this version of the protocol alone.
struct Speaks(WebRtc, u8);

#[async_trait]
impl Transport for Speaks {
    fn caps(&self) -> TransportCaps {
        self.0.caps()
    }
    fn dial(&mut self, peer: PeerId) {
        self.0.dial(peer);
    }
    fn signal(&mut self, from: PeerId, signal: Bytes) {
        self.0.signal(from, signal);
    }
    fn close(&mut self, peer: PeerId, reason: CloseReason) {
        self.0.close(peer, reason);
    }
    fn try_send(&mut self, to: PeerId, lane: Lane, frame: Bytes) -> Result<(), TrySendError> {
        let mut frame = BytesMut::from(&frame[..]);
        if lane == Lane::Control && frame[0] == 0x01 {
            (frame[1], frame[2]) = (self.1, self.1);
        }
        self.0.try_send(to, lane, frame.freeze())
    }
    async fn next_event(&mut self) -> Result<TransportEvent, TransportError> {
        self.0.next_event().await
    }
    async fn shutdown(&mut self) {
        self.0.shutdown().await;
    }
}

#[test]
fn an_old_page_says_that_it_is_old() {
    let stage = Stage::set();
    let broadcast = publish(&stage, 8, |transport| Speaks(transport, 2));
    let look: Look = play(&stage, "version");
    assert_eq!(look.state, "refused");
    assert!(look.reason.contains("older than the broadcast"), "{look:?}");
    assert!(look.reason.contains("Reload this page"), "{look:?}");
    drop(broadcast);
}

#[test]
fn a_page_says_that_the_broadcast_is_old() {
    let stage = Stage::set();
    let broadcast = publish(&stage, 8, |transport| Speaks(transport, 0));
    let look: Look = play(&stage, "version");
    assert_eq!(look.state, "refused");
    assert!(look.reason.contains("older than this page"), "{look:?}");
    assert!(look.reason.contains("Ask the broadcaster"), "{look:?}");
    drop(broadcast);
}
