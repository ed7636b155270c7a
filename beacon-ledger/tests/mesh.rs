//! Real engines and drivers over a network in memory, and a rendezvous that pays: what relays earn is
//! what their children verified, what was issued is there, and a cheat earns nothing.

#![cfg(feature = "sqlite")]
#![allow(clippy::unwrap_used)]

use async_trait::async_trait;
use beacon_ledger::store::SqliteStore;
use beacon_ledger::{
    AccountId, CreditConfig, CreditLedger, Deposit, Economy, Edge, Id, Kind, Micro, Receipt,
    Request as _, Statement, Terms,
};
use beacon_sdk::media::{Kind as MediaKind, Media, Object, Playout, Track};
use beacon_sdk::memory::{MemoryClient, MemoryNetwork, MemoryRendezvous};
use beacon_sdk::plugin::{Join, RendezvousError, RendezvousEvent, Report, SinkError, SourceError};
use beacon_sdk::{
    Beacon, BroadcastId, Identity, Instant, LinkStats, PeerId, Profile, Rendezvous, Sink, Source,
    TrackId,
};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};
use tokio::sync::mpsc;

const FRAMES: u64 = 200;
const FRAME: Duration = Duration::from_millis(40);
const ISSUER: u8 = 1;
const ORIGIN: u8 = 2;
const SPONSOR: u8 = 3;
const VIEWERS: [u8; 5] = [10, 11, 12, 13, 14];
const CHEAT: u8 = 14;
const FUNDS: u64 = 50_000_000;

fn who(number: u8) -> Identity {
    Identity::from_secret([number; 32])
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis() as u64
}

/// Eight seconds of video, a frame of 12 kB every 40 ms.
struct Clip {
    ticks: tokio::time::Interval,
    frame: u64,
}

#[async_trait]
impl Source for Clip {
    async fn next(&mut self) -> Result<Option<Media>, SourceError> {
        if self.frame == FRAMES {
            return Ok(None);
        }
        self.ticks.tick().await;
        let frame = self.frame;
        self.frame += 1;
        if frame == 0 {
            let track = Track {
                id: TrackId::default(),
                kind: MediaKind::Video { width: 640, height: 360 },
                codec: "avc1.42C01F".into(),
                config: Bytes::from_static(b"config"),
                timescale: 1000,
                bitrate: 2_400_000,
                label: String::new(),
            };
            return Ok(Some(Media::Tracks(vec![track])));
        }
        Ok(Some(Media::Object(Object {
            track: TrackId::default(),
            dts: frame * 40,
            cts: 0,
            duration: 40,
            keyframe: frame % 25 == 1,
            layer: 0,
            captured: Instant::from_micros(1000 * now_ms()),
            data: vec![frame as u8; 12_000].into(),
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

/// The paying half of a rendezvous.
struct Tracker {
    issuer: Identity,
    claims: mpsc::Sender<Bytes>,
    /// The newest receipt of each edge, by whoever signed it, as it was before anybody could bend it.
    signed: Mutex<BTreeMap<Id, Receipt>>,
}

/// A peer's access to it: gives edges for every peer that is named, takes claims.
struct Paying {
    inner: MemoryClient,
    tracker: Arc<Tracker>,
    me: PeerId,
    session: u64,
    broadcast: Option<BroadcastId>,
    edges: VecDeque<RendezvousEvent>,
    known: BTreeSet<PeerId>,
    issued: BTreeSet<PeerId>,
}

impl Paying {
    fn issue(&mut self, uploader: PeerId) {
        let Some(broadcast) = self.broadcast else { return };
        if uploader == self.me || !self.issued.insert(uploader) {
            return;
        }
        let now = now_ms();
        let edge = Edge {
            id: Id::derived(now, &[uploader.as_bytes(), self.me.as_bytes()]),
            broadcast,
            uploader,
            downloader: self.me,
            session: self.session,
            expires_ms: now + 600_000,
        };
        let edge = Bytes::from(edge.sign(&self.tracker.issuer).encode());
        self.edges.push_back(RendezvousEvent::Edge(edge));
    }
}

#[async_trait]
impl Rendezvous for Paying {
    fn join(&mut self, join: Join) {
        self.inner.join(join);
    }
    fn signal(&mut self, to: PeerId, signal: Bytes) {
        self.inner.signal(to, signal);
    }
    fn report(&mut self, report: Report) {
        self.inner.report(report);
    }
    fn claim(&mut self, receipt: Bytes) {
        let read = Receipt::decode(&receipt).unwrap();
        self.tracker.signed.lock().unwrap().insert(read.edge.edge.id, read);
        let mut shown = receipt.to_vec();
        if self.me == who(CHEAT).public() {
            // Says of itself that it carried a megabyte more: byte 210 is in the count.
            shown[210] = shown[210].wrapping_add(16);
        }
        self.tracker.claims.try_send(shown.into()).unwrap();
    }
    async fn next_event(&mut self) -> Result<RendezvousEvent, RendezvousError> {
        if let Some(edge) = self.edges.pop_front() {
            return Ok(edge);
        }
        let event = self.inner.next_event().await?;
        match &event {
            RendezvousEvent::Joined { broadcast } => self.broadcast = *broadcast,
            RendezvousEvent::Peers(hints) => self.known.extend(hints.iter().map(|hint| hint.peer)),
            _ => {}
        }
        // Whoever was named before the broadcast was known has its turn now.
        self.known.clone().into_iter().for_each(|peer| self.issue(peer));
        Ok(event)
    }
    async fn shutdown(&mut self) {
        self.inner.shutdown().await;
    }
}

fn beacon(
    number: u8,
    network: &MemoryNetwork,
    rendezvous: &MemoryRendezvous,
    tracker: &Arc<Tracker>,
) -> Beacon {
    let (me, session) = (who(number).public(), u64::from(number));
    let paying = Paying {
        inner: rendezvous.client(),
        tracker: tracker.clone(),
        me,
        session,
        broadcast: None,
        edges: VecDeque::new(),
        known: BTreeSet::new(),
        issued: BTreeSet::new(),
    };
    let ledger = CreditLedger::new(who(number), CreditConfig::new(who(ISSUER).public(), session));
    let mut config = Profile::LowLatency.config();
    // One copy of each stripe from the origin: the rest is the viewers' to carry.
    config.fanout = 1;
    Beacon::new(who(number), network.transport(me), paying).config(config).ledger(ledger)
}

/// Nothing that a viewer has verified is unsigned when it leaves in the middle of a broadcast.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_leaves_has_signed_for_all_it_has() {
    let (claims, _claimed) = mpsc::channel::<Bytes>(4096);
    let tracker = Arc::new(Tracker { issuer: who(ISSUER), claims, signed: Mutex::default() });
    let (network, rendezvous) = (MemoryNetwork::new(), MemoryRendezvous::new());
    let clip = Clip { ticks: tokio::time::interval(FRAME), frame: 0 };
    let origin = beacon(ORIGIN, &network, &rendezvous, &tracker);
    let (broadcast, driver) = origin.publish("launch", clip, None).unwrap();
    let origin = tokio::spawn(driver);
    let viewer = beacon(VIEWERS[0], &network, &rendezvous, &tracker);
    let (watch, driver) = viewer.watch("launch", Nowhere).unwrap();
    let viewer = tokio::spawn(driver);
    let received = || watch.snapshot().links.first().map_or(0, |link| link.received);
    let signed = || {
        let signed = tracker.signed.lock().unwrap();
        signed.values().map(|receipt| receipt.cum_bytes).sum::<u64>()
    };
    // Beyond what the first receipts are for.
    until("it has received", || received() > 500_000).await;
    watch.stop();
    viewer.await.unwrap().unwrap();
    assert!(received() > 500_000, "the last counters are kept");
    until("all is signed for", || signed() >= received()).await;
    assert_eq!(signed(), received());
    broadcast.stop();
    origin.await.unwrap().unwrap();
    assert_eq!(broadcast.snapshot().stats.bytes_acknowledged, received());
}

async fn until(what: &str, done: impl Fn() -> bool) {
    let waiting = async {
        while !done() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), waiting).await.expect(what);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn relays_earn_what_their_children_verified() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(SqliteStore::open(&folder.path().join("ledger.db")).unwrap());
    let terms = Terms { vest_ms: 0, ..Terms::new(who(ISSUER).public()) };
    let economy = Economy::new(store.clone(), terms.clone());
    let sponsor = AccountId::of(Kind::Sponsor, who(SPONSOR).public());
    let (funds, publisher) = (Micro::new(FUNDS).unwrap(), who(ORIGIN).public());
    economy.issue(now_ms(), Id::derived(1, &[]), sponsor, funds, "a sponsor pays").await.unwrap();
    let deposit = Deposit {
        id: Id::derived(2, &[]),
        issuer: terms.issuer,
        sponsor: who(SPONSOR).public(),
        publisher,
        amount: funds,
        note: String::new(),
    };
    economy.deposit(now_ms(), &deposit.sign(&who(SPONSOR))).await.unwrap();

    let (claims, mut claimed) = mpsc::channel::<Bytes>(4096);
    let tracker = Arc::new(Tracker { issuer: who(ISSUER), claims, signed: Mutex::default() });
    let (network, rendezvous) = (MemoryNetwork::new(), MemoryRendezvous::new());
    let settling = tokio::spawn(async move {
        let mut refused = 0;
        while let Some(claim) = claimed.recv().await {
            let settled = match Receipt::decode(&claim) {
                Ok(receipt) => economy.settle(now_ms(), &receipt, None).await.is_ok(),
                Err(_) => false,
            };
            refused += u32::from(!settled);
        }
        refused
    });
    let mut viewers = Vec::new();
    for number in VIEWERS {
        let beacon = beacon(number, &network, &rendezvous, &tracker);
        let (watch, driver) = beacon.watch("launch", Nowhere).unwrap();
        viewers.push((number, watch, tokio::spawn(driver)));
    }
    let clip = Clip { ticks: tokio::time::interval(FRAME), frame: 0 };
    let origin = beacon(ORIGIN, &network, &rendezvous, &tracker);
    let (_broadcast, driver) = origin.publish("launch", clip, None).unwrap();
    driver.await.unwrap();
    let mut links: BTreeMap<PeerId, Vec<LinkStats>> = BTreeMap::new();
    for (number, watch, driver) in viewers {
        driver.await.unwrap().unwrap();
        links.insert(who(number).public(), watch.snapshot().links);
    }
    let signed = std::mem::take(&mut *tracker.signed.lock().unwrap());
    drop(tracker);
    let refused = settling.await.unwrap();

    // Each relay has what its children's newest receipts are worth, and the cheat nothing.
    let mut sum = 0;
    for number in VIEWERS {
        let account = AccountId::peer(who(number).public());
        let carried = signed.values().filter(|r| r.edge.edge.uploader == account.owner);
        let worth: u64 = carried.map(|r| terms.rate.credits(r.cum_bytes).get()).sum();
        let statement = Statement::of(&*store, account, 1000).await.unwrap();
        println!("{number}: carried for {worth}, has {}", statement.available);
        let due = if number == CHEAT { 0 } else { worth };
        assert_eq!(statement.available.get(), due, "{statement}");
        assert_eq!(statement.lines.is_empty(), due == 0);
        sum += due;
    }
    assert!(sum > 0, "nobody carried anything");
    let cheated = signed.values().any(|r| r.edge.edge.uploader == who(CHEAT).public());
    assert_eq!(refused > 0, cheated);
    // Nobody signed for more than it has verified.
    for receipt in signed.values() {
        let edge = receipt.edge.edge;
        let of = |link: &&LinkStats| link.peer == edge.uploader;
        // A link that is gone by now has no counter.
        if let Some(link) = links[&edge.downloader].iter().find(of) {
            assert!(receipt.cum_bytes <= link.received, "{receipt:?} of {link:?}");
        }
    }
    let audit = beacon_ledger::Store::audit(&*store).await.unwrap();
    assert_eq!(
        (audit.faults.as_slice(), audit.issued, audit.held),
        (&[][..], u128::from(FUNDS), u128::from(FUNDS))
    );
}
