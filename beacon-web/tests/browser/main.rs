//! The browser as a peer, in Debian's Chromium, beside native peers of this process.
//!
//! Needs Chromium, Node.js, `npm ci` in this folder and `cargo xtask web --tests`; `cargo ci` sees
//! to all of them. Off unless the feature `browser-tests` is on.
#![allow(clippy::unwrap_used, missing_docs)]

use beacon_codec_lite::{Counts, NullSink, TestPattern, TestPatternOptions};
use beacon_codec_raptorq::RaptorQ;
use beacon_sdk::conformance::transport::CLAUSES;
use beacon_sdk::{Beacon, Broadcast, Config, Identity, Profile, Stats, Watch};
use beacon_signal::Server;
use beacon_transport_webrtc::{SignalClient, WebRtc, WebRtcConfig};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

/// Far more than any step takes, for a machine that does ten things at once.
const PATIENCE: Duration = Duration::from_secs(60);

/// Chromium, driven by run.mjs.
struct Browser(Child);

impl Browser {
    fn start(args: &[&str]) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser");
        assert!(
            folder.join("node_modules/playwright-core").is_dir(),
            "playwright-core is missing: run `npm ci` in beacon-web/tests/browser, or `cargo ci`"
        );
        let child = Command::new("node")
            .arg(folder.join("run.mjs"))
            .arg(dist())
            .args(args)
            .current_dir(&folder)
            .stdout(Stdio::piped())
            .spawn()
            .expect("node is needed: apt-get install nodejs");
        Self(child)
    }

    fn finish<T: DeserializeOwned>(self) -> T {
        let output = self.0.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{said}");
        serde_json::from_str(&said).unwrap()
    }
}

/// What `cargo xtask web --tests` has built.
fn dist() -> PathBuf {
    // This test lies in deps/ of a profile's folder of cargo's target folder.
    let own = std::env::current_exe().unwrap();
    let folder = own.ancestors().nth(3).unwrap().join("web-tests");
    let there = folder.join("beacon_bg.wasm").is_file();
    assert!(there, "the build for browsers is missing: run `cargo xtask web --tests`");
    folder
}

#[derive(Debug, Deserialize)]
struct Clause {
    name: String,
    error: Option<String>,
}

fn conformance(mode: &[&str]) {
    let results: Vec<Clause> = Browser::start(&[&["clauses"], mode, CLAUSES].concat()).finish();
    let names: Vec<&str> = results.iter().map(|clause| clause.name.as_str()).collect();
    assert_eq!(names, CLAUSES);
    let broken: Vec<&Clause> = results.iter().filter(|clause| clause.error.is_some()).collect();
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn the_transport_keeps_its_contract_with_channels_in_a_worker() {
    conformance(&[]);
}

#[test]
fn the_transport_keeps_its_contract_with_channels_in_the_page() {
    conformance(&["--keep"]);
}

/// A signaling server, and native peers.
struct Stage {
    runtime: Runtime,
    signal: String,
}

impl Stage {
    fn set() -> Self {
        let runtime = Runtime::new().unwrap();
        let config = beacon_signal::Config::default();
        let server =
            runtime.block_on(Server::bind("127.0.0.1:0".parse().unwrap(), config)).unwrap();
        let signal = format!("ws://{}", server.local_addr());
        runtime.spawn(server.serve(std::future::pending()));
        Self { runtime, signal }
    }

    fn beacon(&self, config: Config) -> Beacon {
        let _inside = self.runtime.enter();
        let identity = Identity::random().unwrap();
        let transport = WebRtc::new(identity.public(), WebRtcConfig::loopback()).unwrap();
        let rendezvous = SignalClient::new(&self.signal, &identity).unwrap();
        Beacon::new(identity, transport, rendezvous).config(config).code(RaptorQ::new())
    }

    fn broadcast(&self, config: Config) -> Broadcast {
        let pattern = TestPattern::new(TestPatternOptions::default()).unwrap();
        let (broadcast, driver) = self.beacon(config).publish("test", pattern, None).unwrap();
        self.runtime.spawn(driver);
        broadcast
    }

    fn watch(&self, config: Config) -> (Watch, Counts) {
        let sink = NullSink::new();
        let counts = sink.counts();
        let (watch, driver) = self.beacon(config).watch("test", sink).unwrap();
        self.runtime.spawn(driver);
        (watch, counts)
    }

    fn options(&self, mode: &str) -> Value {
        json!({"signal": self.signal, "name": "test", "mode": mode})
    }
}

fn live() -> Config {
    Profile::Live.config()
}

fn wait_for(what: &str, stats: impl Fn() -> Stats, done: impl Fn(&Stats) -> bool) -> Stats {
    let until = Instant::now() + PATIENCE;
    loop {
        let now = stats();
        if done(&now) {
            return now;
        }
        assert!(Instant::now() < until, "{what}: {now:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// What the server answers, head and body; bytes that are no text are replaced.
fn get(stage: &Stage, path: &str) -> String {
    let mut stream = TcpStream::connect(stage.signal.trim_start_matches("ws://")).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

/// The one broadcast of the server's list, once it is as wanted.
fn wait_until_listed(stage: &Stage, done: impl Fn(&Value) -> bool) -> Value {
    let until = Instant::now() + PATIENCE;
    loop {
        let answer = get(stage, "/api/streams");
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        let list: Value = serde_json::from_str(body).unwrap();
        if done(&list[0]) {
            return list[0].clone();
        }
        assert!(Instant::now() < until, "{list}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// What one page has seen.
#[derive(Debug, Deserialize)]
struct Seen {
    tracks: Vec<Value>,
    objects: u64,
    fragments: u64,
    gaps: u64,
    failed: Option<String>,
    errors: Vec<String>,
    stats: Stats,
}

impl Seen {
    fn is_well(&self) {
        assert_eq!(self.failed, None);
        assert_eq!(self.errors, Vec::<String>::new());
        assert_eq!(self.stats.symbols_invalid, 0, "every symbol was verified: {:?}", self.stats);
        assert!(self.stats.segments_delivered > 20, "it plays: {:?}", self.stats);
    }
}

#[test]
fn pages_watch_a_native_broadcast() {
    let stage = Stage::set();
    let broadcast = stage.broadcast(live());
    let pages = json!([stage.options("mse"), stage.options("objects")]).to_string();
    let seen: Vec<Seen> = Browser::start(&["watch", &pages, "12"]).finish();
    println!("{seen:#?}");
    let [fragments, objects] = seen.as_slice() else { panic!("two pages") };
    for page in &seen {
        page.is_well();
        assert_eq!(page.tracks.len(), 2);
        assert_eq!(page.tracks[0]["mime"], "video/mp4; codecs=\"avc1.42401E\"");
        // The counters are from a moment ago.
        assert!(page.gaps.abs_diff(page.stats.segments_missed) <= 8, "{page:?}");
    }
    assert_eq!(fragments.objects, 0);
    assert!(fragments.fragments >= fragments.stats.segments_delivered, "one per segment");
    assert!(objects.objects > 5 * objects.stats.segments_delivered, "frames and packets");
    let carried = |seen: &Seen| seen.stats.bytes_from_origin + seen.stats.bytes_from_peers;
    assert!(seen.iter().all(|page| carried(page) > 100_000));
    drop(broadcast);
}

#[test]
fn a_native_viewer_gets_its_bytes_from_pages() {
    let stage = Stage::set();
    let mut narrow = live();
    (narrow.links_max, narrow.links_target) = (1, 1);
    let origin = stage.broadcast(narrow);
    let page = stage.options("objects");
    let pages = json!([page, page]).to_string();
    let browser = Browser::start(&["watch", &pages, "40"]);
    let of_origin = || origin.snapshot().stats;
    wait_for("a page takes the origin's one link", of_origin, |stats| stats.children > 0);
    // One that gives nothing is not let near the origin.
    let mut leaf = live();
    leaf.upload_bps = Some(0);
    let (viewer, counts) = stage.watch(leaf);
    let of_viewer = || viewer.snapshot().stats;
    let enough = |stats: &Stats| stats.bytes_from_peers > 200_000;
    let stats = wait_for("a native viewer is served by pages", of_viewer, enough);
    let seen: Vec<Seen> = browser.finish();
    println!("{stats:#?}\n{seen:#?}");
    seen.iter().for_each(Seen::is_well);
    let uploaded: u64 = seen.iter().map(|page| page.stats.bytes_uploaded).sum();
    assert!(uploaded >= 200_000, "pages have uploaded {uploaded}");
    assert_eq!(stats.symbols_invalid, 0);
    assert!(counts.objects() > 0);
}

#[test]
fn a_page_publishes_to_native_viewers() {
    let stage = Stage::set();
    let track = json!({"id": 0, "kind": "video", "codec": "vp8", "width": 320, "height": 180});
    let listing = json!({"title": "From a page", "category": "Web", "tags": ["page"]});
    let options = json!({
        "signal": stage.signal, "name": "test", "tracks": [track], "title": "To begin with",
        "listing": listing,
    });
    let options = options.to_string();
    let browser = Browser::start(&["publish", &options, "12"]);
    let (viewer, counts) = stage.watch(live());
    let of_viewer = || viewer.snapshot().stats;
    let stats = wait_for("segments of the page", of_viewer, |stats| stats.segments_delivered > 10);
    let listed = wait_until_listed(&stage, |listed| listed["thumbnail"].is_string());
    assert_eq!(listed["title"], listing["title"], "in place of what it said first");
    assert_eq!((&listed["category"], &listed["tags"]), (&listing["category"], &listing["tags"]));
    let picture = get(&stage, listed["thumbnail"].as_str().unwrap());
    assert!(picture.contains("content-type: image/jpeg"), "{picture}");
    let published: Value = browser.finish();
    println!("{published:#}");
    assert_eq!(published["failed"], Value::Null);
    assert!(published["ticket"].as_str().unwrap().starts_with("beacon1"));
    assert!(stats.bytes_from_origin > 10_000, "{stats:?}");
    assert!(counts.objects() > 50);
}
