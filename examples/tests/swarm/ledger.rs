//! Who carries earns: real links, a real server and its accounts, and a viewer that boasts.

use async_trait::async_trait;
use beacon_codec_lite::{NullSink, TestPattern, TestPatternOptions};
use beacon_ledger::store::SqliteStore;
use beacon_ledger::{
    AccountId, CreditConfig, CreditLedger, Edge, Id, Rate, Receipt, SignedEdge, Statement, Store,
};
use beacon_sdk::plugin::{Join, RendezvousError, RendezvousEvent, Report};
use beacon_sdk::{Beacon, Identity, LinkStats, Listing, PeerId, Profile, Rendezvous};
use beacon_signal::{Config, LedgerConfig, Server};
use beacon_transport_webrtc::{SignalClient, WebRtc, WebRtcConfig};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::oneshot;

const ORIGIN: u8 = 2;
const VIEWERS: [u8; 5] = [10, 11, 12, 13, 14];
const CHEAT: u8 = 14;
const GRANT: u64 = 100_000_000;

fn who(number: u8) -> Identity {
    Identity::from_secret([number; 32])
}

/// What was claimed, as it was before anybody could bend it: the newest receipt of each edge.
type Signed = Arc<Mutex<BTreeMap<Id, Receipt>>>;

/// The way to the server, overheard; the cheat's says more than is true.
struct Overheard {
    inner: SignalClient,
    cheats: bool,
    signed: Signed,
    boasts: Arc<AtomicU64>,
}

impl Overheard {
    /// Claims a gigabyte over an edge that the cheat made itself, signed by a friend that is nobody.
    fn boast(&mut self, edge: &[u8]) {
        let (me, friend) = (who(CHEAT), who(99));
        let given = SignedEdge::decode(edge).unwrap().edge;
        let parties = (me.public(), friend.public());
        let own = Edge { uploader: parties.0, downloader: parties.1, ..given }.sign(&me);
        let receipt = Receipt::sign(&friend, &own, None, 1 << 30, 0).unwrap();
        self.inner.claim(receipt.encode().into());
        self.boasts.fetch_add(1, Ordering::Relaxed);
    }
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
        let boast = Report { upload_bps: 10_000_000_000, score: 100, ..report.clone() };
        self.inner.report(if self.cheats { boast } else { report });
    }
    fn list(&mut self, listing: Listing) {
        self.inner.list(listing);
    }
    fn claim(&mut self, receipt: Bytes) {
        let mut read = Receipt::decode(&receipt).unwrap();
        self.signed.lock().unwrap().insert(read.edge.edge.id, read.clone());
        if self.cheats {
            read.cum_bytes += 1 << 30;
        }
        self.inner.claim(read.encode().into());
    }
    async fn next_event(&mut self) -> Result<RendezvousEvent, RendezvousError> {
        let event = self.inner.next_event().await?;
        if let RendezvousEvent::Edge(edge) = &event
            && self.cheats
        {
            self.boast(edge);
        }
        Ok(event)
    }
    async fn shutdown(&mut self) {
        self.inner.shutdown().await;
    }
}

fn beacon(number: u8, url: &str, signed: &Signed, boasts: &Arc<AtomicU64>) -> Beacon {
    let me = who(number);
    let transport = WebRtc::new(me.public(), WebRtcConfig::loopback()).unwrap();
    let inner = SignalClient::new(url, &me).unwrap();
    let ledger = CreditLedger::new(me.clone(), CreditConfig::new(None, inner.session()));
    let cheats = number == CHEAT;
    let rendezvous = Overheard { inner, cheats, signed: signed.clone(), boasts: boasts.clone() };
    let mut config = Profile::LowLatency.config();
    // One copy of each stripe from the origin: the rest is the viewers' to carry.
    config.fanout = 1;
    Beacon::new(me, transport, rendezvous).config(config).ledger(ledger)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn relays_have_what_their_children_verified_and_a_cheat_has_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ledger.db");
    let mut config = Config::default();
    let mut ledger = LedgerConfig::new(format!("sqlite:{}", file.display()));
    (ledger.grant, ledger.vest) = (GRANT.try_into().unwrap(), Duration::ZERO);
    config.ledger = Some(ledger);
    let server = Server::bind(([127, 0, 0, 1], 0).into(), config).await.unwrap();
    let url = format!("ws://{}", server.local_addr());
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = tokio::spawn(server.serve(async { drop(stopped.await) }));

    let (signed, boasts) = (Signed::default(), Arc::default());
    let viewer = |number: u8| {
        let (watch, driver) =
            beacon(number, &url, &signed, &boasts).watch("test", NullSink::new()).unwrap();
        (number, watch, tokio::spawn(driver))
    };
    let viewers = VIEWERS.map(viewer);
    let pattern = TestPattern::new(TestPatternOptions {
        group: Duration::from_millis(500),
        video_bitrate: 2_000_000,
        ..TestPatternOptions::default()
    });
    let origin = beacon(ORIGIN, &url, &signed, &boasts);
    let (broadcast, driver) = origin.publish("test", pattern.unwrap(), None).unwrap();
    let stopper = broadcast.stopper();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(15)).await;
        stopper.stop();
    });
    driver.await.unwrap();
    let mut links: BTreeMap<PeerId, Vec<LinkStats>> = BTreeMap::new();
    for (number, watch, driver) in viewers {
        driver.await.unwrap().unwrap();
        links.insert(who(number).public(), watch.snapshot().links);
    }
    drop(stop);
    serving.await.unwrap();

    let store = SqliteStore::open(&file).unwrap();
    let audit = store.audit().await.unwrap();
    let issued = u128::from(GRANT);
    assert_eq!((audit.faults, audit.issued, audit.held), (vec![], issued, issued));
    let signed = std::mem::take(&mut *signed.lock().unwrap());
    let of = |number: u8| {
        let me = who(number).public();
        signed.values().filter(move |receipt| receipt.edge.edge.uploader == me)
    };
    let (mut sum, mut carriers) = (0, 0);
    for number in VIEWERS {
        let worth: u64 = of(number).map(|r| Rate::default().credits(r.cum_bytes).get()).sum();
        let account = AccountId::peer(who(number).public());
        let statement = Statement::of(&store, account, 1000).await.unwrap();
        println!("{number}: its children signed for {worth}, it has {}", statement.available);
        let due = if number == CHEAT { 0 } else { worth };
        assert_eq!(statement.available.get(), due, "{statement}");
        assert_eq!(statement.to_string().contains("earned by carrying"), due > 0);
        (sum, carriers) = (sum + due, carriers + u32::from(due > 0));
    }
    assert!(carriers >= 2, "hardly anybody carried");
    assert!(boasts.load(Ordering::Relaxed) > 0, "the cheat has said nothing");
    let pool = AccountId::pool(who(ORIGIN).public());
    let left = store.accounts(&[pool]).await.unwrap()[0].available().get();
    assert_eq!(left + sum, GRANT, "what the pool gave is what relays have");
    // Children sign for what they have verified, no more, and not much less.
    let (mut compared, mut verified, mut signed_for) = (0, 0, 0);
    for receipt in signed.values() {
        let edge = receipt.edge.edge;
        let of = |link: &&LinkStats| link.peer == edge.uploader;
        // A link that is gone by now has no counter.
        let Some(link) = links[&edge.downloader].iter().find(of) else { continue };
        compared += 1;
        assert!(receipt.cum_bytes <= link.received, "{receipt:?} of {link:?}");
        (verified, signed_for) = (verified + link.received, signed_for + receipt.cum_bytes);
    }
    println!("{compared} of {} edges: {signed_for} bytes signed for of {verified}", signed.len());
    // What came in the last second of fifteen has no receipt.
    assert!(compared > 0 && signed_for * 4 >= verified * 3, "{signed_for} of {verified}");
}
