//! Pages at a server that keeps a ledger: they earn by what they carry, and sign for what they are brought.

use crate::native::{Origin, Viewer};
use crate::pages::{Look, Pages};
use crate::stage::{PATIENCE, Stage};
use crate::wait_for;
use beacon_ledger::{AccountId, Rate};
use beacon_sdk::{LinkStats, PeerId};
use beacon_signal::{LedgerConfig, Operator};
use serde_json::Value;
use std::time::{Duration, Instant};

const GRANT: u64 = 100_000_000;
/// Of whoever runs the server, who may read every account.
const SECRET: &str = "of sixteen characters or more";
/// Bytes that need several receipts.
const SOME: u64 = 1_000_000;

/// Micro-credits that an account can spend.
fn available(stage: &Stage, account: AccountId) -> u64 {
    let operator = format!("authorization: Bearer {SECRET}\r\n");
    let answer = stage.get_with(&format!("/api/accounts/{account}"), &operator);
    let read: Value = serde_json::from_str(&answer).unwrap_or_else(|_| panic!("{answer}"));
    assert!(read["accounts"].is_array(), "{answer}");
    // None before it is paid for the first time.
    read["accounts"][0]["available"].as_u64().unwrap_or_default()
}

/// Waits until a peer has been paid for so many bytes and no more.
fn is_paid(stage: &Stage, peer: PeerId, bytes: u64) -> u64 {
    let due = Rate::default().credits(bytes).get();
    let until = Instant::now() + PATIENCE;
    loop {
        let has = available(stage, AccountId::peer(peer));
        if has == due {
            return has;
        }
        assert!(has < due && Instant::now() < until, "{has} of {due} for {bytes} bytes");
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Origin, viewer, page, viewer, in a chain. The last two leave while the broadcast goes on.
#[test]
fn a_page_earns_what_its_children_verified_and_pays_for_what_it_got() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ledger.db");
    let stage = Stage::set_with(|config| {
        let mut ledger = LedgerConfig::new(format!("sqlite:{}", file.display()));
        (ledger.grant, ledger.vest) = (GRANT.try_into().unwrap(), Duration::ZERO);
        config.ledger = Some(ledger);
        config.operator = Some(Operator::new(SECRET).unwrap());
    });
    let origin = Origin::with_links(&stage, 1);
    let relay = Viewer::join(&stage, 2, None);
    wait_for("a viewer has the origin's link", || origin.stats(), |stats| stats.children > 0);
    let pages = Pages::of(&stage);
    pages.hear("page", 2);
    pages.until("page", "it is served", |look| look.stats().bytes_from_peers > 0);
    let child = Viewer::leaf(&stage, 1);
    wait_for("the page serves", || child.stats(), |stats| stats.bytes_from_peers > SOME);

    let left = child.leave();
    let [LinkStats { peer: page, received, .. }] = left.links[..] else { panic!("{left:#?}") };
    pages.until("page", "all is acknowledged", |look| look.stats().bytes_acknowledged == received);
    let earned = is_paid(&stage, page, received);

    pages.make("page", "stop");
    let taken = |look: &Look| {
        let links = &look.stats.as_ref().unwrap().links;
        links.iter().find(|link| link.peer == relay.id).map_or(0, |link| link.received)
    };
    let all =
        |look: &Look| look.state == "ended" && taken(look) == relay.stats().bytes_acknowledged;
    let page = pages.until("page", "all that it took is signed for", all);
    assert!(taken(&page) >= received, "{page:#?}");
    assert_eq!(page.stats().bytes_from_origin, 0, "it has all from the viewer: {page:#?}");
    let relayed = is_paid(&stage, relay.id, taken(&page));

    let links = relay.watch.snapshot().links;
    let publisher = links.iter().find(|link| link.origin).unwrap().peer;
    let pool = available(&stage, AccountId::pool(publisher));
    assert_eq!(pool + earned + relayed, GRANT, "what the pool gave is what the two have");
    assert_eq!(pages.errors(), Vec::<String>::new());
}
