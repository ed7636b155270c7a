//! A crowd of real engines that comes at once, and a real server that places it.
//!
//! Media goes through memory, signaling through a socket each to a process of its own.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

mod program;

use async_trait::async_trait;
use beacon_sdk::media::{Kind, Media, Object, Playout, Track};
use beacon_sdk::memory::MemoryNetwork;
use beacon_sdk::plugin::{Join, RendezvousError, RendezvousEvent, Report, SinkError, SourceError};
use beacon_sdk::{
    Beacon, Identity, Instant, PeerId, Profile, Rendezvous, Sink, Snapshot, Source, TrackId,
};
use beacon_transport_webrtc::SignalClient;
use bytes::Bytes;
use program::{Program, program};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::{Interval, interval, sleep, timeout};

const VIEWERS: u32 = 500;
/// All of them come in this time.
const ARRIVAL: Duration = Duration::from_secs(10);
/// A guard against hanging, far above what anything takes.
const HANG: Duration = Duration::from_secs(120);
/// Hops from the origin at most.
const DEPTH_MAX: u8 = 7;
const FRAME: Duration = Duration::from_millis(100);
/// What a viewer has played by when it counts as one that plays.
const SEGMENTS: u64 = 10;

/// 160 kbit/s of video, ten frames a second.
struct Clip {
    ticks: Interval,
    frame: u64,
}

#[async_trait]
impl Source for Clip {
    async fn next(&mut self) -> Result<Option<Media>, SourceError> {
        self.ticks.tick().await;
        let frame = self.frame;
        self.frame += 1;
        if frame == 0 {
            let track = Track {
                id: TrackId::default(),
                kind: Kind::Video { width: 320, height: 180 },
                codec: "avc1.42C01F".into(),
                config: Bytes::from_static(b"config"),
                timescale: 1000,
                bitrate: 160_000,
                label: String::new(),
            };
            return Ok(Some(Media::Tracks(vec![track])));
        }
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        Ok(Some(Media::Object(Object {
            track: TrackId::default(),
            dts: frame * 100,
            cts: 0,
            duration: 100,
            keyframe: frame % 20 == 1,
            layer: 0,
            captured: Instant::from_micros(u64::try_from(since.as_micros()).unwrap()),
            data: vec![frame as u8; 2000].into(),
        })))
    }
}

struct Nowhere;

#[async_trait]
impl Sink for Nowhere {
    async fn write(&mut self, _: Playout) -> Result<(), SinkError> {
        Ok(())
    }
    async fn finish(&mut self) -> Result<(), SinkError> {
        Ok(())
    }
}

/// What the server has hinted at, all peers together.
#[derive(Default)]
struct Hints {
    lists: AtomicU64,
    empty: AtomicU64,
}

/// The way to the server, overheard.
struct Overheard {
    inner: SignalClient,
    hints: Arc<Hints>,
}

#[async_trait]
impl Rendezvous for Overheard {
    fn join(&mut self, join: Join) {
        self.inner.join(join);
    }
    fn signal(&mut self, to: PeerId, signal: Bytes) {
        self.inner.signal(to, signal);
    }
    fn report(&mut self, report: Report) {
        self.inner.report(report);
    }
    async fn next_event(&mut self) -> Result<RendezvousEvent, RendezvousError> {
        let event = self.inner.next_event().await?;
        if let RendezvousEvent::Peers(peers) = &event {
            self.hints.lists.fetch_add(1, Ordering::Relaxed);
            self.hints.empty.fetch_add(u64::from(peers.is_empty()), Ordering::Relaxed);
        }
        Ok(event)
    }
    async fn shutdown(&mut self) {
        self.inner.shutdown().await;
    }
}

/// Every stripe has a parent, and it plays.
fn is_placed(snapshot: &Snapshot, stripes: u32) -> bool {
    let fed: u32 = snapshot.links.iter().map(|link| u32::from(link.parent_of)).sum();
    fed >= stripes && snapshot.stats.segments_delivered >= SEGMENTS
}

/// The median of some numbers, the 99th percentile and the largest, in words.
fn spread(mut numbers: Vec<u64>) -> String {
    numbers.sort_unstable();
    let at = |percent: usize| numbers[(numbers.len() - 1) * percent / 100];
    format!("p50 {}, p99 {}, max {}", at(50), at(99), at(100))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_hundred_viewers_that_come_in_ten_seconds_are_all_placed() {
    let mut command = program();
    let server = Program::start(command.args(["--listen", "127.0.0.1:0"]));
    let url = format!("ws://{}", server.addr);
    let (network, hints) = (MemoryNetwork::new(), Arc::<Hints>::default());
    let config = Profile::Live.config();
    let stripes = u32::from(config.stripes);
    let beacon = || {
        let me = Identity::random().unwrap();
        let inner = SignalClient::new(&url, &me).unwrap();
        let rendezvous = Overheard { inner, hints: hints.clone() };
        Beacon::new(me.clone(), network.transport(me.public()), rendezvous).config(config.clone())
    };
    let clip = Clip { ticks: interval(FRAME), frame: 0 };
    let (broadcast, driver) = beacon().publish("test", clip, None).unwrap();
    let origin = tokio::spawn(driver);
    let mut arrivals = interval(ARRIVAL / VIEWERS);
    let mut viewers = Vec::new();
    for _ in 0..VIEWERS {
        arrivals.tick().await;
        let (watch, driver) = beacon().watch("test", Nowhere).unwrap();
        viewers.push((watch, tokio::spawn(driver)));
    }
    let begun = std::time::Instant::now();
    let all = async {
        while !viewers.iter().all(|(watch, _)| is_placed(&watch.snapshot(), stripes)) {
            sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(HANG, all).await.expect("all are placed");
    println!("all are placed {:.1?} after the last came", begun.elapsed());
    let stats: Vec<_> = viewers.iter().map(|(watch, _)| watch.snapshot().stats).collect();
    println!("hops: {}", spread(stats.iter().map(|s| u64::from(s.hops_max)).collect()));
    println!("start, ms: {}", spread(stats.iter().map(|s| s.startup_ms).collect()));
    println!("missed: {}", stats.iter().map(|s| s.segments_missed).sum::<u64>());
    println!("reparents: {}", spread(stats.iter().map(|s| s.reparents).collect()));
    println!("lists of peers: {}", hints.lists.load(Ordering::Relaxed));
    assert!(stats.iter().all(|stats| (1..=DEPTH_MAX).contains(&stats.hops_max)));
    assert!(hints.lists.load(Ordering::Relaxed) >= u64::from(VIEWERS));
    assert_eq!(hints.empty.load(Ordering::Relaxed), 0, "no list of peers is empty");
    broadcast.stop();
    timeout(HANG, origin).await.unwrap().unwrap().unwrap();
    for (_, driver) in viewers {
        timeout(HANG, driver).await.unwrap().unwrap().unwrap();
    }
}
