//! The programs as an outsider runs them: a signaling server, processes, a real clip, recordings.
//!
//! The clip comes from `cargo xtask clip`, which `cargo ci` runs; `BEACON_CLIP` names another.
#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

mod hostile;
mod ledger;
mod stage;

use beacon_sdk::{PublicKey, Ticket};
use stage::{Stage, contains_tail};
use std::time::Duration;

const VIEWERS: usize = 8;

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// One broadcaster with two links, eight viewers, the clip looped for 60 s; a relay dies half-way.
#[test]
fn recordings_are_the_broadcast_though_a_relay_dies() {
    let stage = Stage::set("relay");
    let clip = stage.clip();
    let source = format!("file:{}", clip.display());
    let broadcaster =
        stage.broadcaster(&["--source", &source, "--loop", "--max-links", "2", "--duration", "60"]);
    let mut viewers: Vec<_> = (0..VIEWERS).map(|at| stage.viewer(at, &[])).collect();
    std::thread::sleep(secs(30));
    let relay = (0..VIEWERS).max_by_key(|at| viewers[*at].stats().children).unwrap();
    let children = viewers[relay].stats().children;
    assert!(children > 0, "a relay with children dies");
    viewers.remove(relay).kill();
    let sent = broadcaster.finish();
    assert!(
        sent.bytes_uploaded * 10 <= sent.bytes_published * 25,
        "the broadcaster sent {} for a stream of {}",
        sent.bytes_uploaded,
        sent.bytes_published
    );
    let recording = stage.objects("sent");
    assert!(recording.values().all(|objects| objects.len() > 1000), "a minute of objects");
    for viewer in viewers {
        let name = viewer.name.clone();
        let stats = viewer.finish();
        assert_eq!((stats.segments_missed, stats.segments_late), (0, 0), "{name}: {stats:?}");
        assert!(stats.bytes_from_peers + stats.bytes_from_origin > 1_000_000);
        contains_tail(&recording, &stage.objects(&name), &name);
    }
}

/// A viewer that was there from the start has the broadcaster's file, byte for byte.
#[test]
fn an_early_viewer_has_the_same_file() {
    let stage = Stage::set("early");
    let viewer = stage.viewer(0, &[]);
    std::thread::sleep(secs(1));
    let broadcaster = stage.broadcaster(&["--source", "test", "--duration", "8"]);
    broadcaster.finish();
    let stats = viewer.finish();
    assert_eq!(stats.segments_missed, 0);
    let (sent, seen) = (stage.bytes("sent"), stage.bytes("viewer-0"));
    assert!(sent == seen, "{} and {} bytes", sent.len(), seen.len());
    // How many pictures there are depends on how much of the processor the encoder gets; how long they last does not.
    let seconds = stage.seconds("sent");
    assert_eq!(seconds.len(), 2, "picture and sound");
    assert!(seconds.iter().all(|seconds| *seconds >= 5), "{seconds:?}");
}

/// A ticket is all that a viewer needs, and it trusts no other publisher.
#[test]
fn a_ticket_leads_to_its_broadcast_only() {
    let stage = Stage::set("ticket");
    let mut broadcaster = stage.broadcaster(&["--source", "test", "--duration", "12"]);
    let text = broadcaster.says("ticket");
    let holder = stage.ticket_holder("holder", &text);
    let mut other: Ticket = text.parse().unwrap();
    other.broadcast.publisher = PublicKey::from_bytes([9; 32]);
    let (code, said) = stage.fails("viewer", &["--ticket", &other.to_string()]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("ask for a new ticket"), "{said}");
    broadcaster.finish();
    let stats = holder.finish();
    assert_eq!(stats.segments_missed, 0, "{stats:?}");
    contains_tail(&stage.objects("sent"), &stage.objects("holder"), "holder");
}

/// Signaling dies and comes back: media goes on, and a newcomer finds the broadcast again.
#[test]
fn media_goes_on_without_signaling() {
    let mut stage = Stage::set("signal");
    let broadcaster = stage.broadcaster(&["--source", "test", "--duration", "24"]);
    let first = stage.viewer(0, &[]);
    std::thread::sleep(secs(5));
    stage.kill_signaling();
    std::thread::sleep(secs(5));
    let before = first.stats().segments_delivered;
    stage.restart_signaling();
    std::thread::sleep(secs(4));
    assert!(first.stats().segments_delivered > before, "media went on");
    let second = stage.viewer(1, &[]);
    broadcaster.finish();
    let recording = stage.objects("sent");
    for viewer in [first, second] {
        let name = viewer.name.clone();
        let stats = viewer.finish();
        assert_eq!(stats.segments_missed, 0, "{name}: {stats:?}");
        contains_tail(&recording, &stage.objects(&name), &name);
    }
}

/// A hostile viewer forges symbols and manifests: nobody records a false byte, and whoever is
/// attacked lets go of it.
#[test]
fn forgers_are_banned_and_nothing_false_is_recorded() {
    for forgery in [hostile::Forgery::Symbols, hostile::Forgery::Manifests] {
        let stage = Stage::set("hostile");
        // Two links, and the forger comes first: at most one viewer has its stream from the origin, the
        // others have theirs from it or from the forger.
        let broadcaster =
            stage.broadcaster(&["--source", "test", "--max-links", "2", "--duration", "20"]);
        std::thread::sleep(secs(1));
        let forger = hostile::join(stage.signal(), forgery);
        std::thread::sleep(secs(1));
        let viewers: Vec<_> = (0..4).map(|at| stage.viewer(at, &[])).collect();
        broadcaster.finish();
        let recording = stage.objects("sent");
        let mut bans = 0;
        for viewer in viewers {
            let name = viewer.name.clone();
            let stats = viewer.finish();
            assert_eq!(stats.segments_missed, 0, "{name}: {stats:?}");
            bans += stats.peers_banned;
            contains_tail(&recording, &stage.objects(&name), &name);
        }
        let forged = forger.stop();
        assert!(forged > 0, "the attack was made");
        assert!(bans > 0, "the attack reached someone, who let go of the forger");
    }
}

#[test]
fn bad_usage_and_failures_say_why() {
    let stage = Stage::set("errors");
    let cases: [(&str, &[&str], i32, &str); 7] = [
        ("viewer", &[], 2, "--signal"),
        ("viewer", &["--signal", "http://x", "--name", "a"], 1, "ws://"),
        ("viewer", &["--ticket", "beacon1nonsense"], 2, "damaged"),
        (
            "viewer",
            &["--signal", "ws://127.0.0.1:1", "--name", "a", "--sink", "paper"],
            1,
            "--sink",
        ),
        (
            "broadcaster",
            &["--signal", "ws://127.0.0.1:1", "--name", "a", "--source", "file:none.mp4"],
            1,
            "none.mp4",
        ),
        (
            "broadcaster",
            &["--signal", "ws://127.0.0.1:1", "--name", "", "--source", "test"],
            1,
            "name",
        ),
        (
            "broadcaster",
            &["--signal", "ws://127.0.0.1:1", "--name", "a", "--duration", "0"],
            2,
            "above zero",
        ),
    ];
    for (program, args, code, words) in cases {
        let (got, said) = stage.fails(program, args);
        assert_eq!(got, Some(code), "{program} {args:?}: {said}");
        assert!(said.contains(words), "{program} {args:?} says {said:?}, not {words:?}");
    }
}
