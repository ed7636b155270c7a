//! A server that pays: edges with the set-up of links, claims into the accounts, accounts over HTTP.
#![allow(clippy::unwrap_used)]

mod peer;
#[path = "../../beacon-ledger/tests/servers/mod.rs"]
mod servers;

use beacon_ledger::store::SqliteStore;
use beacon_ledger::tip::Recipient;
use beacon_ledger::{
    AccountId, Economy, Edge, Id, Kind, Micro, Rate, Receipt, Request as _, SignedEdge, Statement,
    Terms, Tip,
};
use beacon_sdk::PublicKey;
use beacon_sdk::signaling::{ClientMessage, ErrorCode, ReceiptData, ServerMessage};
use beacon_signal::{Config, LedgerConfig, Operator};
use peer::{HANG, Peer, Running, SESSION, broadcast, id, identity, origin, post, secret, viewer};
use serde_json::Value;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

/// Of whoever runs the servers here.
const SECRET: &str = "the operator's secret";

fn credits(text: &str) -> Micro {
    text.parse().unwrap()
}

fn paying(store: &str, change: impl FnOnce(&mut LedgerConfig)) -> Config {
    let mut ledger = LedgerConfig::new(store);
    (ledger.grant, ledger.vest) = (credits("100"), Duration::ZERO);
    change(&mut ledger);
    let mut config = Config::default();
    config.ledger = Some(ledger);
    config.operator = Some(Operator::new(SECRET).unwrap());
    config
}

/// What the server answers to whoever runs it.
async fn get(server: &Running, path: &str) -> (String, String) {
    server.get_with(path, &format!("authorization: Bearer {SECRET}\r\n")).await
}

/// A server over a file, and the folder that the file is in.
async fn with_file() -> (Running, TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let address = format!("sqlite:{}", folder.path().join("ledger.db").display());
    (Running::start(paying(&address, |_| {})).await, folder, address)
}

async fn look(server: &Running, path: &str) -> Value {
    let (head, body) = get(server, path).await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head} {body}");
    serde_json::from_str(&body).unwrap()
}

/// What a peer may spend.
async fn has(server: &Running, number: u16) -> u64 {
    let account = AccountId::peer(id(number));
    let seen = look(server, &format!("/api/accounts/{account}")).await;
    seen["accounts"][0]["available"].as_u64().unwrap()
}

async fn until_has(server: &Running, number: u16, micros: u64) {
    let due = async {
        while has(server, number).await != micros {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    if tokio::time::timeout(HANG, due).await.is_err() {
        panic!("{number} has {} where {micros} are due", has(server, number).await);
    }
}

async fn until_edge(peer: &mut Peer) -> SignedEdge {
    let edges = peer.until(|message| match message {
        ServerMessage::Edges { edges } => Some(edges),
        _ => None,
    });
    let [edge] = <[_; 1]>::try_from(edges.await).unwrap();
    SignedEdge::decode(&edge.into_bytes()).unwrap()
}

/// The key that edges are signed by.
async fn issuer(server: &Running) -> PublicKey {
    look(server, "/api/ledger").await["issuer"].as_str().unwrap().parse().unwrap()
}

/// An origin (1), a relay (2) and a leaf (3) in a room, the last two linking up: the leaf's edge.
async fn pair(server: &Running) -> (Vec<Peer>, SignedEdge) {
    let (source, _) = Peer::join(server, origin("launch", 1, 7)).await;
    let (mut relay, _) = Peer::join(server, viewer("launch", 2)).await;
    let (mut leaf, _) = Peer::join(server, viewer("launch", 3)).await;
    leaf.until_told_of(2).await;
    leaf.signal(2, b"offer").await;
    relay.until_signal().await;
    relay.signal(3, b"answer").await;
    let back = until_edge(&mut relay).await.edge;
    assert_eq!((back.uploader, back.downloader), (id(3), id(2)), "each may carry for the other");
    let edge = until_edge(&mut leaf).await;
    (vec![source, relay, leaf], edge)
}

fn claim(receipts: &[&Receipt]) -> ClientMessage {
    let data = |receipt: &&Receipt| ReceiptData::new(receipt.encode().into()).unwrap();
    ClientMessage::Claims { receipts: receipts.iter().map(data).collect() }
}

async fn said(peer: &mut Peer) {
    peer.send(&ClientMessage::Heartbeat).await;
    peer.until(|message| matches!(message, ServerMessage::Heartbeat).then_some(())).await;
}

#[tokio::test]
async fn a_relay_is_paid_for_what_its_child_signed_and_nothing_else() {
    let (server, _folder, address) = with_file().await;
    let (mut peers, edge) = pair(&server).await;
    let issuer = issuer(&server).await;
    assert_eq!(edge.verify(&issuer), Ok(()));
    let said_of = (edge.edge.uploader, edge.edge.downloader, edge.edge.session);
    assert_eq!((said_of, edge.edge.broadcast), ((id(2), id(3), SESSION), broadcast(1, 7)));

    let first = Receipt::sign(&identity(3), &edge, None, 625_000, 0).unwrap();
    let second = Receipt::sign(&identity(3), &edge, Some(&first), 1_250_000, 0).unwrap();
    let relay = &mut peers[1];
    relay.send(&claim(&[&first])).await;
    until_has(&server, 2, 10_000).await;
    // The same again, both again, in the wrong order: the newest counts, once.
    relay.send(&claim(&[&second, &first])).await;
    relay.send(&claim(&[&first, &second])).await;
    until_has(&server, 2, 20_000).await;

    // What a cheat says of itself: a count that nobody signed, a receipt by a friend without an edge of this
    // server, another's receipt.
    let mut bent = second.clone();
    (bent.seq, bent.cum_bytes) = (3, 1 << 40);
    let (friend, itself) = (identity(4), identity(2));
    let own = Edge { downloader: id(4), id: Id::new(9, [9; 10]), ..edge.edge }.sign(&itself);
    let invented = Receipt::sign(&friend, &own, None, 1 << 40, 0).unwrap();
    relay.send(&claim(&[&bent, &invented])).await;
    let leaf = &mut peers[2];
    leaf.send(&claim(&[&second])).await;
    let (code, message) = leaf.until_error().await;
    assert_eq!(code, ErrorCode::BadClaim);
    assert!(message.contains("what this peer carried"), "{message}");
    leaf.send(&ClientMessage::Claims { receipts: vec![ReceiptData::default()] }).await;
    assert_eq!(leaf.until_error().await.0, ErrorCode::BadClaim);
    let refused = async {
        let line = "beacon_signal_claims_total{outcome=\"refused\"} 2";
        while !server.get("/metrics").await.1.contains(line) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(HANG, refused).await.expect("both are refused");
    assert_eq!(has(&server, 2).await, 20_000);

    let seen = look(&server, &format!("/api/accounts/{}/statement?last=1", id(2))).await;
    let of = |kind: &str| {
        let account = format!("{kind}:{}", id(2));
        let all = seen["statements"].as_array().unwrap().clone();
        all.into_iter().find(|statement| statement["account"] == account).unwrap()
    };
    let spendable = of("peer");
    assert_eq!(
        (&spendable["earlier"], spendable["lines"].as_array().unwrap().len()),
        (&1.into(), 1)
    );
    let reason = &spendable["lines"][0]["reason"];
    assert!(reason.to_string().contains(&edge.edge.id.to_string()), "{reason}");
    assert!(of("vesting")["lines"].as_array().unwrap().is_empty());
    server.stop().await;

    let run = |args: &[&str]| {
        let run = Command::new(env!("CARGO_BIN_EXE_beacon-signal")).args(args).output().unwrap();
        let (out, errors) = (String::from_utf8(run.stdout), String::from_utf8(run.stderr));
        (run.status.code(), out.unwrap(), errors.unwrap())
    };
    let (code, out, _) = run(&["statement", "--ledger", &address, &id(2).to_string()]);
    assert_eq!(code, Some(0));
    let said = format!("{} has verified 1250000 bytes", id(3));
    assert!(out.contains("earned by carrying") && out.contains(&said), "{out}");
    assert!(out.contains("may spend 0.020000"), "{out}");
    let (code, out, _) = run(&["audit", "--ledger", &address]);
    assert_eq!(code, Some(0));
    assert!(out.contains("issued     100.000000\nheld       100.000000"), "{out}");
    let (code, _, errors) = run(&["statement", "--ledger", "sqlite:/nowhere/at.db", "issuance"]);
    assert!(code == Some(1) && errors.contains("there is no file"), "{errors}");
    let (code, _, errors) = run(&["--grant", "5"]);
    assert!(code == Some(2) && errors.contains("--ledger"), "{errors}");
}

/// What peers say last is settled before the server is gone, and its key outlives it.
#[tokio::test]
async fn the_last_claims_are_settled_and_the_key_is_kept() {
    let (server, _folder, address) = with_file().await;
    let (mut peers, edge) = pair(&server).await;
    let before = issuer(&server).await;
    let receipt = Receipt::sign(&identity(3), &edge, None, 625_000, 0).unwrap();
    peers[1].send(&claim(&[&receipt])).await;
    said(&mut peers[1]).await;
    drop(peers);
    server.stop().await;
    let server = Running::start(paying(&address, |_| {})).await;
    assert_eq!(issuer(&server).await, before);
    assert_eq!(has(&server, 2).await, 10_000);
    // A receipt over an edge of before the restart, and the same broadcaster: no second grant.
    let (mut peers, _) = pair(&server).await;
    let more = Receipt::sign(&identity(3), &edge, Some(&receipt), 1_250_000, 0).unwrap();
    peers[1].send(&claim(&[&more])).await;
    until_has(&server, 2, 20_000).await;
    let pool = AccountId::pool(id(1));
    let seen = look(&server, &format!("/api/accounts/{pool}")).await;
    assert_eq!(seen["accounts"][0]["received"], credits("100").get());
}

/// A link that outlives its edge, or the server that issued it: who is paid for over it still is.
#[tokio::test]
async fn an_edge_in_use_is_followed_by_another_before_it_ends() {
    let (server, folder, _address) = with_file().await;
    let (_source, _) = Peer::join(&server, origin("launch", 1, 7)).await;
    let (mut relay, _) = Peer::join(&server, viewer("launch", 2)).await;
    let (mut leaf, _) = Peer::join(&server, viewer("launch", 3)).await;
    let key = beacon_signal::read_or_make_key(&folder.path().join("ledger.db.key")).unwrap();
    assert_eq!(key.public(), issuer(&server).await);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let expires_ms = u64::try_from(now.as_millis()).unwrap() + 60_000;
    let ending = Edge {
        id: Id::new(expires_ms - 120_000, [1; 10]),
        broadcast: broadcast(1, 7),
        uploader: id(2),
        downloader: id(3),
        session: 1,
        expires_ms,
    };
    // Not by another's word.
    let invented = Edge { id: Id::new(expires_ms - 120_000, [2; 10]), ..ending };
    for edge in [invented.sign(&identity(2)), ending.sign(&key)] {
        let receipt = Receipt::sign(&identity(3), &edge, None, 625_000, 0).unwrap();
        relay.send(&claim(&[&receipt])).await;
    }
    let next = until_edge(&mut leaf).await.edge;
    assert_eq!((next.uploader, next.session, next.id > ending.id), (id(2), SESSION, true));
    assert!(next.expires_ms > expires_ms + 600_000);
    until_has(&server, 2, 10_000).await;
    said(&mut leaf).await;
}

#[tokio::test]
async fn tips_are_signed_by_the_giver_and_given_once() {
    let (server, folder, address) = with_file().await;
    let store =
        Arc::new(SqliteStore::open(address.strip_prefix("sqlite:").unwrap().as_ref()).unwrap());
    let economy = Economy::new(store.clone(), Terms::new(id(1)));
    economy.issue(1, Id::new(1, [1; 10]), AccountId::peer(id(5)), credits("3"), "").await.unwrap();
    let ledger = issuer(&server).await;
    let tip = |number: u8, amount: &str| Tip {
        id: Id::new(5, [number; 10]),
        issuer: ledger,
        from: id(5),
        to: vec![Recipient { peer: id(6), weight: 1 }, Recipient { peer: id(7), weight: 2 }],
        amount: credits(amount),
        note: "bravo".into(),
    };
    let give = async |tip: Tip, by: u16| {
        let body = serde_json::to_string(&tip.sign(&identity(by))).unwrap();
        let (status, head, body) = post(server.addr, "/api/tip", &body).await;
        assert!(head.contains("application/json"), "{head}");
        (status, serde_json::from_str::<Value>(&body).unwrap())
    };
    let (status, given) = give(tip(1, "1"), 5).await;
    assert_eq!((status, &given["replayed"]), (200, &Value::Bool(false)), "{given}");
    assert_eq!((has(&server, 6).await, has(&server, 7).await), (333_333, 666_667));
    let (status, given) = give(tip(1, "1"), 5).await;
    assert_eq!((status, &given["replayed"]), (200, &Value::Bool(true)), "{given}");
    for (tip, by, status, word) in [
        (tip(1, "2"), 5, 409, "another content"),
        (tip(2, "2.000001"), 5, 402, "are needed"),
        (tip(3, "1"), 6, 403, "in whose name it is"),
        (Tip { issuer: id(1), ..tip(4, "1") }, 5, 403, "another ledger"),
        (Tip { to: vec![], ..tip(5, "1") }, 5, 400, "1 to 32 recipients"),
        (Tip { note: "é".repeat(141), ..tip(6, "1") }, 5, 400, "140 characters"),
    ] {
        let (got, said) = give(tip, by).await;
        let error = said["error"].as_str().unwrap();
        assert!(got == status && error.contains(word), "{got}: {error}");
    }
    for (body, status, word) in
        [("{", 400, "not a tip"), ("[]", 400, "not a tip"), (&" ".repeat(20_000), 413, "at most")]
    {
        let (got, _, said) = post(server.addr, "/api/tip", body).await;
        assert!(got == status && said.contains(word), "{got}: {said}");
    }
    assert_eq!((has(&server, 5).await, has(&server, 6).await), (2_000_000, 333_333));
    // By the program, in the name of a key in a file.
    let file = folder.path().join("viewer.key");
    let secret: String = secret(5).iter().map(|byte| format!("{byte:02x}")).collect();
    std::fs::write(&file, secret).unwrap();
    let (url, six) = (format!("ws://{}", server.addr), id(6).to_string());
    let tip_by = |amount: &str, file: &std::path::Path| {
        let (to, key) = (format!("{six}=3"), file.to_str().unwrap().to_owned());
        let args = ["tip", &url, amount, &to, "--identity", &key].map(str::to_owned);
        tokio::task::spawn_blocking(move || {
            Command::new(env!("CARGO_BIN_EXE_beacon-signal")).args(args).output().unwrap()
        })
    };
    let run = tip_by("0.25", &file).await.unwrap();
    let out = String::from_utf8(run.stdout).unwrap();
    assert!(run.status.success() && out.starts_with("gave 0.250000, tip "), "{out}");
    assert_eq!((has(&server, 5).await, has(&server, 6).await), (1_750_000, 583_333));
    for (amount, file, word) in [
        ("99", &file, "refuses (402 Payment Required)"),
        ("0", &file, "above zero"),
        ("1", &folder.path().join("none"), "there is no file"),
    ] {
        let run = tip_by(amount, file).await.unwrap();
        let said = String::from_utf8(run.stderr).unwrap();
        assert!(run.status.code() == Some(1) && said.contains(word), "{said}");
    }
    // Sixty-four at once, and enough for one.
    let tips = (10..74).map(|number| give(tip(number, "1"), 5));
    let given = futures_util::future::join_all(tips).await;
    assert_eq!(given.iter().filter(|(status, _)| *status == 200).count(), 1, "{given:?}");
    assert!(given.iter().all(|(status, _)| [200, 402, 503].contains(status)), "{given:?}");
    let why = Statement::of(&*store, AccountId::peer(id(6)), 9).await.unwrap().to_string();
    assert!(why.contains("split among 2: \"bravo\"") && why.contains("split among 1"), "{why}");
}

#[tokio::test]
async fn what_cannot_be_answered_is_told_with_the_cure() {
    let plain = Running::start(Config::default()).await;
    for path in ["/api/ledger", &format!("/api/accounts/{}", id(1))] {
        let (head, body) = plain.get(path).await;
        assert!(head.starts_with("HTTP/1.1 404") && body.contains("--ledger"), "{head} {body}");
    }
    let (mut peer, _) = Peer::join(&plain, viewer("launch", 1)).await;
    peer.send(&ClientMessage::Claims { receipts: vec![ReceiptData::default()] }).await;
    said(&mut peer).await;
    let memory = Running::start(paying("memory", |_| {})).await;
    for (path, word) in [
        ("/api/accounts/bank", "64 hexadecimal digits"),
        ("/api/accounts/issuance/statement?last=x", "?last=N"),
        ("/api/accounts/issuance/statement?first=1", "?last=N"),
    ] {
        let (head, body) = memory.get(path).await;
        assert!(head.starts_with("HTTP/1.1 400") && body.contains(word), "{head} {body}");
    }
    assert_eq!(has(&memory, 9).await, 0, "an account that nothing has touched");
    let start =
        async |config| beacon_signal::Server::bind(([127, 0, 0, 1], 0).into(), config).await;
    for (store, word) in [
        ("sqlite:/nowhere/at/all.db", "/nowhere/at/all.db"),
        ("postgres://nobody@127.0.0.1/none", "--ledger-key"),
    ] {
        let error = start(paying(store, |_| {})).await.unwrap_err().to_string();
        assert!(error.contains(word), "{error}");
    }
}

/// Signaling does not wait for accounts: those that are away at the start, or go, are found again.
#[tokio::test]
async fn a_database_that_goes_and_comes_back_loses_nothing() {
    let database = servers::Server::start(false);
    let (address, folder) = (database.database("ledger"), tempfile::tempdir().unwrap());
    database.crash();
    let config = paying(&address, |ledger| ledger.key = Some(folder.path().join("issuer.key")));
    let server = Running::start(config).await;
    let (mut peers, edge) = pair(&server).await;
    let first = Receipt::sign(&identity(3), &edge, None, 625_000, 0).unwrap();
    peers[1].send(&claim(&[&first])).await;
    said(&mut peers[1]).await;
    let (head, body) = get(&server, &format!("/api/accounts/{}", id(2))).await;
    assert!(head.starts_with("HTTP/1.1 503") && head.contains("retry-after"), "{head} {body}");
    database.resume();
    let opened = async {
        while !server.get("/api/accounts/issuance").await.0.starts_with("HTTP/1.1 200") {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(2 * HANG, opened).await.expect("the accounts are not found");
    until_has(&server, 2, 10_000).await;
    database.crash();
    let second = Receipt::sign(&identity(3), &edge, Some(&first), 1_250_000, 0).unwrap();
    peers[1].send(&claim(&[&second])).await;
    peers[2].signal(2, b"while it is away").await;
    peers[1].until_signal().await;
    database.resume();
    let back = async {
        let account = format!("/api/accounts/{}", AccountId::of(Kind::Peer, id(2)));
        while !get(&server, &account).await.1.contains("\"available\":20000,") {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(2 * HANG, back).await.expect("what was claimed meanwhile is not settled");
    assert_eq!(Rate::default().credits(1_250_000).get(), 20_000);
    drop(peers);
    server.stop().await;
}
