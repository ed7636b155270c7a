//! The pages that show what a signaling server knows, in Debian's Chromium: the list of broadcasts.
//!
//! Needs what the tests in `browser/` need. Leaves pictures of the pages in `screenshots` of the
//! target folder.
#![allow(clippy::unwrap_used, missing_docs)]

use beacon_codec_lite::{TestPattern, TestPatternOptions};
use beacon_codec_raptorq::RaptorQ;
use beacon_sdk::{About, Beacon, Broadcast, Config, Identity, Listing, Profile, Thumbnail};
use beacon_signal::Server;
use beacon_transport_webrtc::{SignalClient, WebRtc, WebRtcConfig};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use tokio::runtime::Runtime;

const PICTURE: &[u8] = include_bytes!("browser/thumbnail.jpg");

/// The target folder: this test lies in deps/ of a profile's folder of it.
fn target() -> PathBuf {
    std::env::current_exe().unwrap().ancestors().nth(3).unwrap().to_owned()
}

/// A signaling server with pages, and native peers.
struct Stage {
    runtime: Runtime,
    addr: SocketAddr,
}

impl Stage {
    fn set() -> Self {
        let runtime = Runtime::new().unwrap();
        let mut config = beacon_signal::Config::default();
        config.pages = Some(target().join("web-tests"));
        let server = runtime.block_on(Server::bind("127.0.0.1:0".parse().unwrap(), config));
        let server = server.expect("cargo xtask web --tests builds what is served");
        let addr = server.local_addr();
        runtime.spawn(server.serve(std::future::pending()));
        Self { runtime, addr }
    }

    fn beacon(&self, config: Config) -> Beacon {
        let _inside = self.runtime.enter();
        let identity = Identity::random().unwrap();
        let transport = WebRtc::new(identity.public(), WebRtcConfig::loopback()).unwrap();
        let rendezvous = SignalClient::new(&format!("ws://{}", self.addr)).unwrap();
        Beacon::new(identity, transport, rendezvous).config(config).code(RaptorQ::new())
    }

    fn broadcast(&self, name: &str, config: Config, listing: Listing) -> Broadcast {
        let pattern = TestPattern::new(TestPatternOptions::default()).unwrap();
        let (broadcast, driver) = self.beacon(config).publish(name, pattern, None).unwrap();
        broadcast.list(listing);
        self.runtime.spawn(driver);
        broadcast
    }

    /// Runs a script against the server and reads what it prints.
    fn browse<T: DeserializeOwned>(&self, script: &str, args: &[&str]) -> T {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser");
        assert!(
            folder.join("node_modules/playwright-core").is_dir(),
            "playwright-core is missing: run `npm ci` in beacon-web/tests/browser, or `cargo ci`"
        );
        let shots = target().join("screenshots");
        std::fs::create_dir_all(&shots).unwrap();
        let output = Command::new("node")
            .arg(folder.join(script))
            .arg(format!("http://{}", self.addr))
            .arg(shots)
            .args(args)
            .current_dir(&folder)
            .output()
            .expect("node is needed: apt-get install nodejs");
        let said = String::from_utf8_lossy(&output.stdout);
        let complained = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}{complained}");
        serde_json::from_str(&said).unwrap()
    }
}

fn listing(title: &str, category: &str, tags: &[&str], picture: bool) -> Listing {
    let tags = tags.iter().map(|&tag| tag.to_owned()).collect();
    let about = About::new(title, category, tags).unwrap();
    Listing { about, thumbnail: picture.then(|| Thumbnail::new(PICTURE.into()).unwrap()) }
}

#[derive(Debug, Deserialize)]
struct Card {
    name: String,
    title: String,
    facts: String,
    tags: Vec<String>,
    picture: u32,
}

#[derive(Debug, Deserialize)]
struct Home {
    all: Vec<Card>,
    category: Vec<String>,
    tag: Vec<String>,
    address: String,
    pressed: Vec<String>,
    again: Vec<String>,
    nothing: String,
    shown: Vec<String>,
    searched: Vec<String>,
    focused: Vec<String>,
    lost: String,
    errors: Vec<String>,
}

#[test]
fn the_home_page_shows_what_broadcasts_say_of_themselves() {
    let stage = Stage::set();
    let live = || Profile::Live.config();
    let _kept = [
        stage.broadcast(
            "launch",
            live(),
            listing("Night launch from the coast", "Space", &["rocket", "night"], true),
        ),
        stage.broadcast("orbit", live(), listing("", "Space", &["station"], false)),
        stage.broadcast("jam", live(), listing("Late jam", "Music", &["Night", "jazz"], false)),
    ];
    let seen: Home = stage.browse("lists.mjs", &[]);
    println!("{seen:#?}");
    assert_eq!(seen.errors, Vec::<String>::new());
    let card = |name| seen.all.iter().find(|card| card.name == name).unwrap();
    let launch = card("launch");
    assert_eq!(launch.title, "Night launch from the coast");
    assert!(launch.facts.starts_with("Space · 0 viewers · for "), "{}", launch.facts);
    assert_eq!(launch.tags, ["rocket", "night"]);
    assert_eq!(launch.picture, 320, "the thumbnail is shown");
    assert_eq!((card("orbit").title.as_str(), card("orbit").picture), ("orbit", 0));
    assert_eq!(seen.category, ["launch", "orbit"]);
    assert_eq!(seen.tag, ["launch"]);
    assert_eq!(seen.address, "?category=Space&tag=night");
    assert_eq!(seen.pressed.len(), 2);
    assert_eq!(seen.again, ["launch"]);
    assert!(seen.nothing.contains("Nothing found") && seen.nothing.contains("Show all"));
    assert_eq!(seen.shown, ["jam", "launch", "orbit"]);
    assert_eq!(seen.searched, ["launch"], "in any case of letters");
    assert_eq!(seen.focused.last().map(String::as_str), Some("A"), "{:?}", seen.focused);
    assert!(
        seen.lost.contains("does not answer") && seen.lost.contains("goes on"),
        "{}",
        seen.lost
    );
}
