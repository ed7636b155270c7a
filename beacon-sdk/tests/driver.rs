//! Peers with their drivers over the in-memory network, in tokio's own time: what an application
//! changes while it watches, and what it is told when it cannot.
#![cfg(feature = "tokio")]
#![allow(clippy::unwrap_used, missing_docs)]

use async_trait::async_trait;
use beacon_sdk::media::{Choice, Kind, Media, Object, Playout, Renditions, Track};
use beacon_sdk::memory::{MemoryNetwork, MemoryRendezvous, MemoryTransport};
use beacon_sdk::plugin::{
    CloseReason, SinkError, SourceError, TransportCaps, TransportError, TransportEvent,
    TrySendError,
};
use beacon_sdk::{
    Beacon, Broadcast, DriveError, Driver, Event, Identity, Instant, Lane, PeerId, Profile, Sink,
    Source, TrackId, Transport, Watch,
};
use bytes::{Bytes, BytesMut};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};
use tokio::time::sleep;

const FRAME: Duration = Duration::from_millis(40);

/// 25 pictures a second in two sizes, tracks 0 and 2, in groups of a second.
struct Camera {
    since: Instant,
    frame: u64,
    next: Vec<Media>,
}

impl Camera {
    #[expect(clippy::disallowed_methods, reason = "a camera is where time comes from")]
    fn new() -> Self {
        let track = |id, width, height| Track {
            id: TrackId::new(id).unwrap(),
            kind: Kind::Video { width, height },
            codec: "avc1.42C01F".into(),
            config: Bytes::from_static(b"config"),
            timescale: 90_000,
            bitrate: 800_000,
            label: String::new(),
        };
        let tracks = vec![track(0, 640, 360), track(2, 320, 180)];
        // The driver's clock is the day's, and tokio's from then on.
        let day = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        Self { since: Instant::ZERO + day, frame: 0, next: vec![Media::Tracks(tracks)] }
    }
}

#[async_trait]
impl Source for Camera {
    async fn next(&mut self) -> Result<Option<Media>, SourceError> {
        if self.next.is_empty() {
            sleep(FRAME).await;
            let object = |track, bytes| {
                Media::Object(Object {
                    track: TrackId::new(track).unwrap(),
                    dts: self.frame * 3600,
                    cts: 0,
                    duration: 3600,
                    keyframe: self.frame.is_multiple_of(25),
                    layer: 0,
                    captured: self.since + FRAME * self.frame as u32,
                    data: vec![1; bytes].into(),
                })
            };
            self.next = vec![object(2, 500), object(0, 4000)];
            self.frame += 1;
        }
        Ok(self.next.pop())
    }
}

/// Remembers which tracks it was told of, and which it was given, without repetitions.
#[derive(Clone, Default)]
struct Screen(Arc<Mutex<(Vec<u16>, Vec<u8>)>>);

#[async_trait]
impl Sink for Screen {
    async fn write(&mut self, item: Playout) -> Result<(), SinkError> {
        let (told, shown) = &mut *self.0.lock().unwrap();
        match item {
            Playout::Tracks(tracks) => told.push(tracks[0].height()),
            Playout::Segment { id, .. } => shown.push(id.track.get()),
            _ => {}
        }
        shown.dedup();
        Ok(())
    }
    async fn finish(&mut self) -> Result<(), SinkError> {
        Ok(())
    }
}

#[derive(Default)]
struct Town {
    network: MemoryNetwork,
    rendezvous: MemoryRendezvous,
}

impl Town {
    fn beacon(&self, number: u8, over: impl FnOnce(MemoryTransport) -> Tomorrow) -> Beacon {
        let identity = Identity::from_secret([number; 32]);
        let transport = over(self.network.transport(identity.public()));
        Beacon::new(identity, transport, self.rendezvous.client())
    }

    fn broadcast(&self, links: u16, speaks: u8) -> Broadcast {
        let mut config = Profile::Live.config();
        (config.links_max, config.links_target) = (links, links);
        let beacon = self.beacon(1, |inner| Tomorrow { inner, speaks }).config(config);
        let (broadcast, driver) = beacon.publish("test", Camera::new(), None).unwrap();
        tokio::spawn(driver);
        broadcast
    }

    fn watch(&self, number: u8, choice: Choice) -> (Watch, Driver, Screen) {
        let mut config = Profile::Live.config();
        config.choice = choice;
        let screen = Screen::default();
        let beacon = self.beacon(number, |inner| Tomorrow { inner, speaks: 1 }).config(config);
        let (watch, driver) = beacon.watch("test", screen.clone()).unwrap();
        (watch, driver, screen)
    }
}

/// Says that it speaks this version of the protocol alone.
struct Tomorrow {
    inner: MemoryTransport,
    speaks: u8,
}

#[async_trait]
impl Transport for Tomorrow {
    fn caps(&self) -> TransportCaps {
        self.inner.caps()
    }
    fn dial(&mut self, peer: PeerId) {
        self.inner.dial(peer);
    }
    fn signal(&mut self, from: PeerId, signal: Bytes) {
        self.inner.signal(from, signal);
    }
    fn close(&mut self, peer: PeerId, reason: CloseReason) {
        self.inner.close(peer, reason);
    }
    fn try_send(&mut self, to: PeerId, lane: Lane, frame: Bytes) -> Result<(), TrySendError> {
        let mut frame = BytesMut::from(&frame[..]);
        if lane == Lane::Control && frame[0] == 0x01 {
            (frame[1], frame[2]) = (self.speaks, self.speaks);
        }
        // A signature that fits the versions would be of a build that speaks them.
        self.inner.try_send(to, lane, frame.freeze())
    }
    async fn next_event(&mut self) -> Result<TransportEvent, TransportError> {
        self.inner.next_event().await
    }
    async fn shutdown(&mut self) {
        self.inner.shutdown().await;
    }
}

fn best(height_max: u16) -> Choice {
    let renditions = Renditions::Best { height_max, bitrate_max: u32::MAX };
    Choice { renditions, ..Choice::default() }
}

async fn seconds(count: u64) {
    sleep(Duration::from_secs(count)).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_passed_on_changes_while_it_plays() {
    let town = Town::default();
    // One link: one viewer has everything from the other.
    let broadcast = town.broadcast(1, 1);
    let (first, driver, _) = town.watch(2, Choice::default());
    tokio::spawn(driver);
    seconds(2).await;
    let (second, driver, _) = town.watch(3, Choice::default());
    tokio::spawn(driver);
    seconds(8).await;
    let at = |watch: &Watch| {
        let stats = watch.snapshot().stats;
        (stats.bytes_uploaded, stats.segments_delivered)
    };
    let (relay, other) = if at(&first).0 > 0 { (first, second) } else { (second, first) };
    assert!(at(&relay).0 > 100_000 && at(&other).1 > 0);
    relay.set_upload(Some(0));
    seconds(4).await;
    let (given, played) = at(&relay);
    seconds(4).await;
    assert_eq!(at(&relay).0, given, "nothing is passed on");
    assert!(at(&relay).1 > played + 20, "and it plays on");
    let missing = at(&other).1;
    relay.tuner().set_upload(Some(20_000_000));
    seconds(8).await;
    assert!(at(&relay).0 > given && at(&other).1 > missing);
    assert_eq!(relay.snapshot().stats.segments_missed, 0);
    broadcast.stop();
}

#[tokio::test(start_paused = true)]
async fn another_picture_is_taken_while_it_plays() {
    let town = Town::default();
    let broadcast = town.broadcast(8, 1);
    let (mut watch, driver, screen) = town.watch(2, best(1080));
    tokio::spawn(driver);
    seconds(5).await;
    watch.choose(best(200));
    seconds(5).await;
    watch.choose(best(1080));
    seconds(5).await;
    assert_eq!(*screen.0.lock().unwrap(), (vec![360, 180, 360], vec![0, 2, 0]));
    assert_eq!(watch.snapshot().stats.segments_missed, 0);
    // What there is to choose from was told.
    let described = loop {
        if let Event::Described { tracks } = watch.next_event().await.unwrap() {
            break tracks;
        }
    };
    assert_eq!(described.len(), 2);
    broadcast.stop();
}

#[tokio::test(start_paused = true)]
async fn a_viewer_of_another_version_ends_with_cause_and_cure() {
    for (speaks, word) in [(2, "update this program"), (0, "ask the broadcaster to update")] {
        let town = Town::default();
        let broadcast = town.broadcast(8, speaks);
        let (_watch, driver, _) = town.watch(2, Choice::default());
        let error = driver.await.unwrap_err();
        assert!(matches!(error, DriveError::Incompatible(_)), "{error}");
        let text = error.to_string();
        assert!(text.contains(word) && text.contains(&format!("version {speaks}")), "{text}");
        broadcast.stop();
    }
}
