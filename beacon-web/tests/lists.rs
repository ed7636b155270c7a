//! The pages that show what a signaling server knows, in Debian's Chromium: the list of broadcasts, and the dashboard of one.
//!
//! Needs what the tests in `browser/` need. Leaves pictures of the pages in `screenshots` of the
//! target folder.
#![allow(clippy::unwrap_used, missing_docs)]

mod stage;

use beacon_codec_lite::{NullSink, TestPattern, TestPatternOptions};
use beacon_codec_raptorq::RaptorQ;
use beacon_sdk::{
    About, Beacon, Broadcast, Config, Identity, Listing, PeerId, Profile, Thumbnail, Watch,
};
use beacon_transport_webrtc::{SignalClient, WebRtc, WebRtcConfig};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use stage::{Stage, screenshots};
use std::time::{Duration, Instant};

/// Far more than any step takes, for a machine that does ten things at once.
const PATIENCE: Duration = Duration::from_secs(60);
const PICTURE: &[u8] = include_bytes!("browser/thumbnail.jpg");

/// Native peers.
struct Mesh(Stage);

impl Mesh {
    fn set() -> Self {
        Self(Stage::set())
    }

    fn beacon(&self, config: Config) -> (Beacon, PeerId) {
        let _inside = self.0.runtime.enter();
        let identity = Identity::random().unwrap();
        let transport = WebRtc::new(identity.public(), WebRtcConfig::loopback()).unwrap();
        let rendezvous = SignalClient::new(&format!("ws://{}", self.0.host), &identity).unwrap();
        let own = identity.public();
        let beacon = Beacon::new(identity, transport, rendezvous);
        (beacon.config(config).code(RaptorQ::new()), own)
    }

    fn broadcast(&self, name: &str, config: Config, listing: Listing) -> Broadcast {
        let pattern = TestPattern::new(TestPatternOptions::default()).unwrap();
        let (beacon, _) = self.beacon(config);
        let (broadcast, driver) = beacon.publish(name, pattern, None).unwrap();
        broadcast.list(listing);
        self.0.runtime.spawn(driver);
        broadcast
    }

    /// A native viewer, and its id as the dashboard shows it.
    fn watch(&self, name: &str, config: Config, tells: bool) -> (Watch, String) {
        let (beacon, own) = self.beacon(config);
        let (watch, driver) = beacon.report(tells).watch(name, NullSink::new()).unwrap();
        self.0.runtime.spawn(driver);
        (watch, own.to_string()[..8].to_owned())
    }

    /// Runs a script against the server and reads what it prints.
    fn browse<T: DeserializeOwned>(&self, script: &str) -> T {
        self.0.play(script, &[screenshots().to_str().unwrap()]).finish()
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
    let mesh = Mesh::set();
    let live = || Profile::Live.config();
    let _kept = [
        mesh.broadcast(
            "launch",
            live(),
            listing("Night launch from the coast", "Space", &["rocket", "night"], true),
        ),
        mesh.broadcast("orbit", live(), listing("", "Space", &["station"], false)),
        mesh.broadcast("jam", live(), listing("Late jam", "Music", &["Night", "jazz"], false)),
    ];
    let seen: Home = mesh.browse("lists.mjs");
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

#[derive(Debug, Deserialize)]
struct Node {
    id: String,
    role: String,
    hop: String,
}

#[derive(Debug, Deserialize)]
struct Wire {
    from: String,
    to: String,
}

#[derive(Debug, Deserialize)]
struct Board {
    title: String,
    tiles: Vec<String>,
    nodes: Vec<Node>,
    wires: Vec<Wire>,
    graph: String,
    charts: Vec<String>,
    /// Of each canvas: dots that are not empty.
    painted: Vec<u64>,
    rows: Vec<Vec<String>>,
    history: usize,
    events: Vec<String>,
    left: Vec<String>,
    plain: String,
    plain_rows: usize,
    unknown: String,
    choices: Vec<String>,
    errors: Vec<String>,
}

#[test]
fn the_dashboard_shows_the_mesh_as_it_is() {
    let mesh = Mesh::set();
    // One link: whoever has it is a relay, and all others are further away.
    let mut narrow = Profile::Live.config();
    (narrow.links_max, narrow.links_target) = (1, 1);
    let title = listing("Night launch from the coast", "Space", &["rocket"], true);
    let origin = mesh.broadcast("launch", narrow, title);
    let live = || Profile::Live.config();
    let relay = mesh.watch("launch", live(), true);
    let until = Instant::now() + PATIENCE;
    while origin.snapshot().stats.children == 0 {
        assert!(Instant::now() < until, "the first viewer takes the origin's link");
        std::thread::sleep(Duration::from_millis(50));
    }
    let others = [mesh.watch("launch", live(), true), mesh.watch("launch", live(), false)];
    let seen: Board = mesh.browse("dashboard.mjs");
    println!("{seen:#?}");
    assert_eq!(seen.errors, Vec::<String>::new());
    assert_eq!(seen.title, "Night launch from the coast");

    let node = |id: &str| seen.nodes.iter().find(|node| node.id == id).unwrap();
    let root = &origin.ticket().broadcast.publisher.to_string()[..8];
    assert_eq!((node(root).role.as_str(), node(root).hop.as_str()), ("origin", "0"));
    assert_eq!(seen.nodes.len(), 5, "origin, three native viewers and a page");
    let (first, second, silent) = (node(&relay.1), node(&others[0].1), node(&others[1].1));
    assert_eq!((first.role.as_str(), first.hop.as_str()), ("relay", "1"));
    assert_eq!((silent.role.as_str(), silent.hop.as_str()), ("silent", ""));
    let near: Vec<&Node> = seen.nodes.iter().filter(|node| node.hop == "1").collect();
    assert_eq!(near.len(), 1, "the origin has one link");
    assert!(second.hop.parse::<u8>().unwrap() >= 2, "{second:?}");
    let of = |id: &str| -> Vec<&str> {
        let wires = seen.wires.iter().filter(|wire| wire.from == id);
        wires.map(|wire| wire.to.as_str()).collect()
    };
    assert_eq!(of(root), [relay.1.as_str()]);
    assert!(seen.wires.iter().any(|wire| wire.to == second.id && wire.from != root));
    for node in &seen.nodes {
        let gives = of(&node.id).is_empty() || node.role != "leaf";
        assert!(gives, "a leaf has no children: {node:?}");
    }
    assert!(seen.graph.contains("hops at most"), "{}", seen.graph);

    assert_eq!(seen.tiles[0], "4", "viewers");
    assert!(
        seen.tiles[1].ends_with('%') && seen.tiles[1] != "0 %",
        "carried by viewers: {:?}",
        seen.tiles
    );
    assert!(seen.tiles[2].contains("bit/s") && seen.tiles[2] != "0 kbit/s", "{:?}", seen.tiles);
    assert_eq!(seen.charts.len(), 4);
    assert!(
        seen.charts.iter().all(|label| label.starts_with("Chart of the last")),
        "{:?}",
        seen.charts
    );
    assert!(seen.painted.iter().all(|&dots| dots > 200), "{:?}", seen.painted);
    assert_eq!(seen.rows.len(), 5);
    assert_eq!(&seen.rows[0][..3], [root, "origin", "0"]);
    assert!(seen.history >= 2);
    assert!(seen.events.iter().any(|event| event.contains(&relay.1) && event.contains("joined")));
    assert!(seen.left.iter().any(|event| event.contains("left")), "{:?}", seen.left);

    assert!(seen.plain.contains("npm") && seen.plain.contains("cargo xtask web"), "{}", seen.plain);
    assert!(seen.plain_rows >= 4, "the tables need no charts");
    assert!(seen.unknown.contains("no such broadcast"), "{}", seen.unknown);
    assert_eq!(seen.choices, ["Night launch from the coast"]);
}
