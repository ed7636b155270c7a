//! Media through the failure of a node: the mesh carries it, and signaling is back before it is missed.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

mod program;
mod redis;

use async_trait::async_trait;
use beacon_codec_lite::{TestPattern, TestPatternOptions};
use beacon_sdk::media::Playout;
use beacon_sdk::plugin::SinkError;
use beacon_sdk::{
    Beacon, DriveError, Event, Identity, Profile, Sink, Snapshot, Stats, Stopper, TrackId,
};
use beacon_transport_webrtc::{SignalClient, WebRtc, WebRtcConfig};
use bytes::Bytes;
use program::{Program, program};
use redis::Redis;
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

/// A guard against hanging, far above what anything takes.
const HANG: Duration = Duration::from_secs(60);
const VIEWERS: u8 = 6;
/// Segments that make up some seconds of picture and sound.
const A_WHILE: u64 = 20;

type Objects = BTreeMap<TrackId, Vec<(u64, Bytes)>>;

/// Every object in the order in which it was played: decode time and bytes.
#[derive(Clone, Default)]
struct Recording(Arc<Mutex<Objects>>);

#[async_trait]
impl Sink for Recording {
    async fn write(&mut self, item: Playout) -> Result<(), SinkError> {
        let Playout::Segment { objects, .. } = item else { return Ok(()) };
        let mut recorded = self.0.lock().unwrap();
        for object in objects {
            recorded.entry(object.track).or_default().push((object.dts, object.data));
        }
        Ok(())
    }
    async fn finish(&mut self) -> Result<(), SinkError> {
        Ok(())
    }
}

impl Recording {
    /// Every track is the end of the same track of `sent`, object for object.
    fn is_tail_of(&self, sent: &Recording) {
        let (seen, sent) = (self.0.lock().unwrap(), sent.0.lock().unwrap());
        assert!(seen.keys().eq(sent.keys()), "all tracks are there");
        for (track, seen) in seen.iter() {
            let sent = &sent[track];
            assert!(!seen.is_empty() && seen.len() <= sent.len(), "track {track}");
            assert!(sent.ends_with(seen), "track {track} misses an object");
        }
    }
}

/// How often a peer has lost its server, and was in again.
type Ways = watch::Sender<[u32; 2]>;

fn note(ways: &Ways, event: &Event) {
    ways.send_if_modified(|[lost, back]| {
        match event {
            Event::RendezvousLost { .. } => *lost += 1,
            Event::RendezvousBack => *back += 1,
            _ => return false,
        }
        true
    });
}

struct Member {
    ways: Ways,
    snapshots: watch::Receiver<Snapshot>,
    stopper: Stopper,
    recording: Recording,
    driver: JoinHandle<Result<(), DriveError>>,
}

/// A peer that knows both nodes, the first first.
fn beacon(nodes: [SocketAddr; 2]) -> Beacon {
    let me = Identity::random().unwrap();
    let transport = WebRtc::new(me.public(), WebRtcConfig::loopback()).unwrap();
    let urls = format!("ws://{},ws://{}", nodes[0], nodes[1]);
    let rendezvous = SignalClient::new(&urls, &me).unwrap();
    let mut config = Profile::Live.config();
    // One copy of each stripe from the origin: the rest is the viewers' to carry.
    config.fanout = 1;
    Beacon::new(me, transport, rendezvous).config(config)
}

impl Member {
    fn watch(nodes: [SocketAddr; 2]) -> Self {
        let recording = Recording::default();
        let (mut watch, driver) = beacon(nodes).watch("test", recording.clone()).unwrap();
        let (snapshots, stopper, ways) = (watch.snapshots(), watch.stopper(), Ways::default());
        let told = ways.clone();
        tokio::spawn(async move {
            while let Some(event) = watch.next_event().await {
                note(&told, &event);
            }
        });
        Self { ways, snapshots, stopper, recording, driver: tokio::spawn(driver) }
    }

    fn publish(nodes: [SocketAddr; 2]) -> Self {
        let recording = Recording::default();
        let pattern = TestPattern::new(TestPatternOptions::default()).unwrap();
        let record: Box<dyn Sink> = Box::new(recording.clone());
        let (mut broadcast, driver) = beacon(nodes).publish("test", pattern, Some(record)).unwrap();
        let (snapshots, stopper, ways) =
            (broadcast.snapshots(), broadcast.stopper(), Ways::default());
        let told = ways.clone();
        tokio::spawn(async move {
            while let Some(event) = broadcast.next_event().await {
                note(&told, &event);
            }
        });
        Self { ways, snapshots, stopper, recording, driver: tokio::spawn(driver) }
    }

    async fn until(&self, what: &str, done: impl Fn(&Stats) -> bool) {
        let mut snapshots = self.snapshots.clone();
        let waiting = snapshots.wait_for(|now| done(&now.stats));
        timeout(HANG, waiting).await.expect(what).unwrap();
    }

    /// Waits until it is in again, after it has lost its server.
    async fn is_back(&self, before: u32) {
        let mut ways = self.ways.subscribe();
        let waiting = ways.wait_for(|[lost, back]| *lost > 0 && *back > before);
        timeout(HANG, waiting).await.expect("it is back").unwrap();
    }

    fn played(&self) -> u64 {
        self.snapshots.borrow().stats.segments_delivered
    }
}

/// Peers that a node knows in the room.
async fn viewers(node: SocketAddr) -> u64 {
    let mut stream = TcpStream::connect(node).await.unwrap();
    let request = b"GET /api/streams/test/mesh HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    serde_json::from_str::<Value>(body).unwrap()["viewers"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_node_costs_no_viewer_an_object_and_its_peers_are_back() {
    let redis = Redis::start();
    let node = || {
        let mut command = program();
        command.args(["--listen", "127.0.0.1:0", "--redis", &redis.address()]);
        Program::start(&mut command)
    };
    let (victim, other) = (node(), node());
    let (ours, theirs) = ([victim.addr, other.addr], [other.addr, victim.addr]);
    let origin = Member::publish(ours);
    // By turns at this node and at the other.
    let watching = (0..VIEWERS).map(|at| Member::watch(if at % 2 == 0 { ours } else { theirs }));
    let mut members: Vec<Member> = watching.collect();
    for member in &members {
        member.until("it plays", |stats| stats.segments_delivered > A_WHILE).await;
    }
    let carried = members.iter().filter(|m| m.snapshots.borrow().stats.bytes_uploaded > 0).count();
    assert!(carried > 0, "viewers carry for each other");

    let stranded: Vec<&Member> = [&origin].into_iter().chain(members.iter().step_by(2)).collect();
    let before: Vec<u32> = stranded.iter().map(|member| member.ways.borrow()[1]).collect();
    let killed = Instant::now();
    drop(victim);
    for (member, before) in stranded.iter().zip(before) {
        member.is_back(before).await;
    }
    println!("{} peers are back after {:.1?}", stranded.len(), killed.elapsed());
    let played: Vec<u64> = members.iter().map(Member::played).collect();
    // The room is whole at the node that is left, and leads whoever comes to the broadcast.
    members.push(Member::watch(theirs));
    members[usize::from(VIEWERS)].until("a newcomer plays", |stats| stats.peers > 0).await;
    let whole = async {
        while viewers(other.addr).await != u64::from(VIEWERS) + 1 {
            sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(HANG, whole).await.expect("all are in the room of the other node");
    for (member, played) in members.iter().zip(played.into_iter().chain([0])) {
        member.until("it plays on", |stats| stats.segments_delivered > played + A_WHILE).await;
    }
    for member in members.iter().skip(1).step_by(2) {
        assert_eq!(member.ways.borrow()[0], 0, "peers of the other node have lost nothing");
    }
    origin.stopper.stop();
    timeout(HANG, origin.driver).await.unwrap().unwrap().unwrap();
    for member in members {
        timeout(HANG, member.driver).await.unwrap().unwrap().unwrap();
        let stats = member.snapshots.borrow().stats.clone();
        assert_eq!((stats.segments_missed, stats.symbols_invalid), (0, 0), "{stats:?}");
        member.recording.is_tail_of(&origin.recording);
    }
}
