//! Native peers of this process: an origin that keeps what it sends, and viewers that keep what they get.

use crate::stage::{PATIENCE, Stage};
use async_trait::async_trait;
use beacon_codec_lite::{TestPattern, TestPatternOptions};
use beacon_codec_raptorq::RaptorQ;
use beacon_ledger::{CreditConfig, CreditLedger};
use beacon_sdk::media::{Object, Playout};
use beacon_sdk::plugin::{CloseReason, SinkError};
use beacon_sdk::{
    Beacon, Config, Event, Identity, PeerId, Profile, SegmentId, Sink, Snapshot, Stats, Watch,
};
use beacon_transport_webrtc::{SignalClient, WebRtc, WebRtcConfig};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::watch::Receiver;

/// Segments as they were played.
#[derive(Clone, Default)]
pub(crate) struct Kept(Arc<Mutex<BTreeMap<SegmentId, Vec<Object>>>>);

#[async_trait]
impl Sink for Kept {
    async fn write(&mut self, item: Playout) -> Result<(), SinkError> {
        if let Playout::Segment { id, objects, .. } = item {
            self.0.lock().unwrap().insert(id, objects);
        }
        Ok(())
    }
    async fn finish(&mut self) -> Result<(), SinkError> {
        Ok(())
    }
}

impl Kept {
    /// Whether what was played here is what was sent, segment for segment; gives back how many.
    pub(crate) fn is_of(&self, sent: &Kept) -> usize {
        let (mine, sent) = (self.0.lock().unwrap(), sent.0.lock().unwrap());
        for (id, objects) in mine.iter() {
            // Capture times come as microseconds of the publisher's clock; all else is the same.
            let plain = |object: &Object| {
                let Object { track, dts, cts, duration, keyframe, data, .. } = object.clone();
                (track, dts, cts, duration, keyframe, data)
            };
            let sent = sent.get(id).unwrap_or_else(|| panic!("{id:?} was never sent"));
            let same = objects.iter().map(plain).eq(sent.iter().map(plain));
            assert!(same, "{id:?} is not what was sent");
        }
        mine.len()
    }

    /// Length and checksum (FNV-1a) of each object.
    pub(crate) fn sums(&self) -> BTreeSet<(usize, u32)> {
        let kept = self.0.lock().unwrap();
        let data = kept.values().flatten().map(|object| &object.data);
        let step = |sum: u32, byte: &u8| (sum ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
        data.map(|data| (data.len(), data.iter().fold(0x811c_9dc5, step))).collect()
    }
}

fn beacon(stage: &Stage, config: Config) -> (Beacon, PeerId) {
    let identity = Identity::random().unwrap();
    let own = identity.public();
    let transport = WebRtc::new(own, WebRtcConfig::loopback()).unwrap();
    let rendezvous = SignalClient::new(&format!("ws://{}", stage.host), &identity).unwrap();
    let ledger = CreditLedger::new(identity.clone(), CreditConfig::new(None, rendezvous.session()));
    let beacon = Beacon::new(identity, transport, rendezvous).ledger(ledger);
    (beacon.config(config).code(RaptorQ::new()), own)
}

pub(crate) struct Origin {
    snapshots: Receiver<Snapshot>,
    pub(crate) sent: Kept,
    /// Who has left it, and why.
    pub(crate) left: Arc<Mutex<BTreeMap<PeerId, CloseReason>>>,
}

impl Origin {
    /// Broadcasts the test pattern as "test", to so many neighbours at most.
    pub(crate) fn with_links(stage: &Stage, links: u16) -> Self {
        let _inside = stage.runtime.enter();
        let mut config = Profile::Live.config();
        (config.links_max, config.links_target) = (links, links.min(config.links_target));
        let pattern = TestPattern::new(TestPatternOptions::default()).unwrap();
        let sent = Kept::default();
        let (beacon, _) = beacon(stage, config);
        let (mut broadcast, driver) =
            beacon.publish("test", pattern, Some(Box::new(sent.clone()))).unwrap();
        stage.runtime.spawn(driver);
        let (snapshots, left) = (broadcast.snapshots(), Arc::<Mutex<BTreeMap<_, _>>>::default());
        let leaving = left.clone();
        stage.runtime.spawn(async move {
            while let Some(event) = broadcast.next_event().await {
                if let Event::PeerLeft { peer, reason } = event {
                    leaving.lock().unwrap().insert(peer, reason);
                }
            }
        });
        Self { snapshots, sent, left }
    }

    pub(crate) fn stats(&self) -> Stats {
        self.snapshots.borrow().stats.clone()
    }

    /// Those it is linked with.
    pub(crate) fn neighbours(&self) -> BTreeSet<PeerId> {
        self.snapshots.borrow().links.iter().map(|link| link.peer).collect()
    }
}

pub(crate) struct Viewer {
    pub(crate) watch: Watch,
    pub(crate) id: PeerId,
    pub(crate) seen: Kept,
}

impl Viewer {
    /// One that gives nothing, so that nobody looks for it.
    pub(crate) fn leaf(stage: &Stage, links: u16) -> Self {
        Self::join(stage, links, Some(0))
    }

    /// Watches "test" with so many links at most.
    pub(crate) fn join(stage: &Stage, links: u16, upload_bps: Option<u64>) -> Self {
        let _inside = stage.runtime.enter();
        let mut config = Profile::Live.config();
        (config.links_max, config.links_target) = (links, links.min(config.links_target));
        config.upload_bps = upload_bps;
        let seen = Kept::default();
        let (beacon, id) = beacon(stage, config);
        let (watch, driver) = beacon.watch("test", seen.clone()).unwrap();
        stage.runtime.spawn(driver);
        Self { watch, id, seen }
    }

    pub(crate) fn stats(&self) -> Stats {
        self.watch.snapshot().stats
    }

    /// Leaves in order; its last counters.
    pub(crate) fn leave(&self) -> Snapshot {
        self.watch.stop();
        let snapshots = self.watch.snapshots();
        let until = Instant::now() + PATIENCE;
        // There are no more of them when the driver has ended.
        while snapshots.has_changed().is_ok() {
            assert!(Instant::now() < until, "it does not leave");
            std::thread::sleep(Duration::from_millis(20));
        }
        self.watch.snapshot()
    }
}
