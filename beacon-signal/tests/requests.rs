//! What is asked of a ledger over HTTP and by the program, and who may read of it.
#![allow(clippy::unwrap_used)]

mod peer;

use beacon_ledger::store::SqliteStore;
use beacon_ledger::tip::Recipient;
use beacon_ledger::{
    AccountId, Deposit, Economy, Edge, ForkProof, Id, Kind, Look, Micro, Receipt, Request,
    SignedEdge, Split, Statement, Store, Terms,
};
use beacon_sdk::signaling::{ClientMessage, ReceiptData};
use beacon_sdk::{Identity, PublicKey};
use beacon_signal::{Config, LedgerConfig, Operator, read_or_make_key};
use data_encoding::BASE64;
use peer::{HANG, Peer, Running, broadcast, id, identity, origin, post, secret, viewer};
use serde_json::{Value, json};
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tempfile::TempDir;

const SECRET: &str = "the operator's secret";

fn credits(text: &str) -> Micro {
    text.parse().unwrap()
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis().try_into().unwrap()
}

/// A server over a file, with what tests do to the accounts beside it.
struct Bank {
    server: Running,
    folder: TempDir,
    store: Arc<SqliteStore>,
    economy: Economy,
    issuer: Identity,
}

impl Bank {
    async fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ledger.db");
        let mut ledger = LedgerConfig::new(format!("sqlite:{}", file.display()));
        (ledger.vest, ledger.broadcaster_weight) = (Duration::from_secs(3600), 1);
        let mut config = Config::default();
        config.ledger = Some(ledger);
        config.operator = Some(Operator::new(SECRET).unwrap());
        let server = Running::start(config).await;
        let issuer = read_or_make_key(&folder.path().join("ledger.db.key")).unwrap();
        let store = Arc::new(SqliteStore::open(&file).unwrap());
        let economy = Economy::new(store.clone(), Terms::new(issuer.public()));
        Self { server, folder, store, economy, issuer }
    }

    async fn issue(&self, number: u8, to: AccountId, amount: &str) {
        let id = Id::new(1, [number; 10]);
        self.economy.issue(now_ms(), id, to, credits(amount), "").await.unwrap();
    }

    async fn has(&self, account: AccountId) -> u64 {
        self.store.accounts(&[account]).await.unwrap()[0].available().get()
    }

    async fn ask<R: Request + serde::Serialize>(
        &self,
        path: &str,
        request: R,
        by: u16,
    ) -> (u16, Value) {
        let body = serde_json::to_string(&request.sign(&identity(by))).unwrap();
        let (status, head, body) = post(self.server.addr, path, &body).await;
        assert!(head.contains("application/json"), "{head}");
        (status, serde_json::from_str(&body).unwrap())
    }

    /// The program, with the key of a peer in a file.
    async fn program(&self, by: u16, words: &[&str]) -> Output {
        let file = self.folder.path().join(format!("{by}.key"));
        let digits: String = secret(by).iter().map(|byte| format!("{byte:02x}")).collect();
        std::fs::write(&file, digits).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_beacon-signal"));
        command.args(words).arg("--identity").arg(file);
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
    }

    fn url(&self) -> String {
        format!("ws://{}", self.server.addr)
    }

    async fn get(&self, path: &str, who: &str) -> (u16, Value) {
        let line = if who.is_empty() { String::new() } else { format!("authorization: {who}\r\n") };
        let (head, body) = self.server.get_with(path, &line).await;
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        assert_eq!(status == 401, head.contains("www-authenticate: Beacon, Bearer"), "{head}");
        (status, serde_json::from_str(&body).unwrap())
    }

    fn edge(&self, name: u8, up: u16, down: u16) -> SignedEdge {
        let now = now_ms();
        let (uploader, downloader, broadcast) = (id(up), id(down), broadcast(1, 7));
        let id = Id::new(now, [name; 10]);
        Edge { id, broadcast, uploader, downloader, session: 1, expires_ms: now + 600_000 }
            .sign(&self.issuer)
    }
}

fn words(output: &Output) -> String {
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8(text).unwrap()
}

fn error(said: &Value) -> &str {
    said["error"].as_str().unwrap_or("")
}

#[tokio::test]
async fn a_sponsor_fills_a_pool_with_what_it_has() {
    let bank = Bank::open().await;
    let (sponsor, pool) = (AccountId::of(Kind::Sponsor, id(5)), AccountId::pool(id(1)));
    bank.issue(1, sponsor, "3").await;
    let deposit = |number: u8, amount: &str| Deposit {
        id: Id::new(5, [number; 10]),
        issuer: bank.issuer.public(),
        sponsor: id(5),
        publisher: id(1),
        amount: credits(amount),
        note: "for the show".into(),
    };
    for (deposit, by, status, word) in [
        (deposit(1, "1"), 5, 200, "\"replayed\":false"),
        (deposit(1, "1"), 5, 200, "\"replayed\":true"),
        (deposit(1, "2"), 5, 409, "another content"),
        (deposit(2, "2.000001"), 5, 402, "are needed"),
        (deposit(3, "1"), 1, 403, "in whose name it is"),
        (Deposit { issuer: id(1), ..deposit(4, "1") }, 5, 403, "another ledger"),
        (Deposit { note: "é".repeat(141), ..deposit(5, "1") }, 5, 400, "140 characters"),
        (deposit(6, "0"), 5, 400, "above zero"),
    ] {
        let (got, said) = bank.ask("/api/deposit", deposit, by).await;
        assert!(got == status && said.to_string().contains(word), "{got}: {said}");
    }
    assert_eq!((bank.has(sponsor).await, bank.has(pool).await), (2_000_000, 1_000_000));
    let (url, one) = (bank.url(), id(1).to_string());
    let given = bank.program(5, &["deposit", &url, "0.5", &one, "--note", "more"]).await;
    assert!(given.status.success() && words(&given).starts_with("gave 0.500000 to pool:"));
    let much = bank.program(5, &["deposit", &url, "9", &one]).await;
    assert!(words(&much).contains("402") && words(&much).contains("this deposit's id is"));
    let why = Statement::of(&*bank.store, pool, 9).await.unwrap().to_string();
    assert!(why.contains("deposit from sponsor:") && why.contains("\"for the show\""), "{why}");
    assert_eq!(bank.store.audit().await.unwrap().faults, [""; 0]);
}

#[tokio::test]
async fn a_broadcaster_divides_its_share() {
    let bank = Bank::open().await;
    let (_source, _) = Peer::join(&bank.server, origin("launch", 1, 7)).await;
    let (mut relay, _) = Peer::join(&bank.server, viewer("launch", 2)).await;
    let to = |number, weight| Recipient { peer: id(number), weight };
    let split = |from_ms, to| Split { issuer: bank.issuer.public(), publisher: id(1), from_ms, to };
    let now = now_ms();
    let early = bank.ask("/api/split", split(now, vec![to(6, 1)]), 1).await;
    assert!(early.0 == 400 && error(&early.1).contains("fill it first"), "{early:?}");
    bank.issue(1, AccountId::pool(id(1)), "5").await;
    for (split, by, status, word) in [
        (split(now, vec![to(1, 2), to(6, 1)]), 1, 200, "\"replayed\":false"),
        (split(now, vec![to(1, 2), to(6, 1)]), 1, 200, "\"replayed\":true"),
        (split(now, vec![to(6, 1)]), 1, 409, "same moment"),
        (split(now - 100_000, vec![to(6, 1)]), 1, 400, "set the clocks"),
        (split(now + 1, vec![to(6, 1)]), 6, 403, "in whose name it is"),
        (split(now + 1, vec![]), 1, 400, "1 to 32 recipients"),
    ] {
        let (got, said) = bank.ask("/api/split", split, by).await;
        assert!(got == status && said.to_string().contains(word), "{got}: {said}");
    }
    let receipt = Receipt::sign(&identity(3), &bank.edge(1, 2, 3), None, 1_250_000, 0).unwrap();
    let claim = |bytes: Vec<u8>| ReceiptData::new(bytes.into()).unwrap();
    relay.send(&ClientMessage::Claims { receipts: vec![claim(receipt.encode())] }).await;
    let until = async |account, due: u64| {
        let settled = async {
            while bank.has(account).await != due {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let settled = tokio::time::timeout(HANG, settled).await;
        assert!(settled.is_ok(), "{account} has {}", bank.has(account).await);
    };
    // Worth 20,000: half of it the relay's, which vests, a third of the rest the friend's.
    until(AccountId::peer(id(6)), 3_333).await;
    assert_eq!(bank.has(AccountId::peer(id(1))).await, 6_667);
    let vesting = AccountId::of(Kind::Vesting, id(2));
    assert_eq!(bank.has(vesting).await, 10_000);
    // The program: to the friend alone, from the next moment on.
    let friend = id(6).to_string();
    let agreed = bank.program(1, &["split", &bank.url(), &friend]).await;
    assert!(agreed.status.success(), "{}", words(&agreed));
    let more = Receipt::sign(&identity(3), &receipt.edge, Some(&receipt), 2_500_000, 0).unwrap();
    relay.send(&ClientMessage::Claims { receipts: vec![claim(more.encode())] }).await;
    until(AccountId::peer(id(6)), 13_333).await;

    // The friend reads why, over the same HTTP.
    let why = bank.program(6, &["statement", "--server", &bank.url()]).await;
    assert!(words(&why).contains("part of the broadcaster's share"), "{}", words(&why));
    assert!(words(&why).contains("by its split from"), "{}", words(&why));

    // The relay, as a child of another, signed two histories: whoever has the proof shows it.
    let edge = bank.edge(2, 4, 2);
    let sign = |cum| Receipt::sign(&identity(2), &edge, None, cum, 0).unwrap();
    let proof = ForkProof::new(sign(1), sign(2)).unwrap();
    let (mut other, _) = Peer::join(&bank.server, viewer("launch", 4)).await;
    other.send(&ClientMessage::Claims { receipts: vec![claim(proof.encode())] }).await;
    until(vesting, 0).await;
    assert_eq!(bank.has(AccountId::FORFEITS).await, 20_000);
    let page = bank.server.get("/metrics").await.1;
    assert!(page.contains("beacon_signal_forfeited_micros_total 20000"), "{page}");
    assert_eq!(bank.store.audit().await.unwrap().faults, [""; 0]);
}

#[tokio::test]
async fn anybody_may_show_a_fork_and_only_a_fork() {
    let bank = Bank::open().await;
    bank.issue(1, AccountId::of(Kind::Vesting, id(2)), "2").await;
    let edge = bank.edge(1, 4, 2);
    let sign = |edge: &SignedEdge, cum| Receipt::sign(&identity(2), edge, None, cum, 0).unwrap();
    let proof = ForkProof::new(sign(&edge, 1), sign(&edge, 2)).unwrap();
    let foreign = Edge { id: Id::new(9, [9; 10]), ..edge.edge }.sign(&identity(4));
    let forged = ForkProof::new(sign(&foreign, 1), sign(&foreign, 2)).unwrap();
    let honest = [sign(&edge, 1).encode(), sign(&edge, 1).encode()].concat();
    let show = async |proof: &[u8]| {
        let body = json!({ "proof": BASE64.encode(proof) }).to_string();
        let (status, _, said) = post(bank.server.addr, "/api/fork", &body).await;
        (status, serde_json::from_str::<Value>(&said).unwrap())
    };
    for (bytes, word) in [
        (forged.encode(), "not signed by the issuer"),
        (honest, "not a proof"),
        (vec![0; 9], "not a proof"),
    ] {
        let (status, said) = show(&bytes).await;
        assert!(status == 400 && error(&said).contains(word), "{status}: {said}");
    }
    let (status, said) = show(&proof.encode()).await;
    let due = json!({"culprit": id(2), "edge": edge.edge.id, "forfeited": 2_000_000});
    assert_eq!((status, said), (200, due));
    assert_eq!(show(&proof.encode()).await.1["forfeited"], 0, "once");
    let mut command = Command::new(env!("CARGO_BIN_EXE_beacon-signal"));
    command.args(["fork", &bank.url(), &BASE64.encode(&proof.encode())]);
    let told = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    assert!(
        told.status.success() && words(&told).contains("forfeits 0.000000"),
        "{}",
        words(&told)
    );
}

/// Who a request is by, for the header of it.
fn look(issuer: PublicKey, by: u16, at_ms: u64, account: &str) -> String {
    let look = Look { issuer, reader: id(by), at_ms, account: account.to_owned() };
    let json = serde_json::to_string(&look.sign(&identity(by))).unwrap();
    format!("Beacon {}", BASE64.encode(json.as_bytes()))
}

#[tokio::test]
async fn accounts_are_for_their_owner_and_the_operator() {
    let bank = Bank::open().await;
    bank.issue(1, AccountId::peer(id(2)), "2").await;
    bank.issue(2, AccountId::pool(id(1)), "5").await;
    let (issuer, now) = (bank.issuer.public(), now_ms());
    let two = id(2).to_string();
    let (peer, pool) = (AccountId::peer(id(2)).to_string(), AccountId::pool(id(1)).to_string());
    let operator = format!("Bearer {SECRET}");
    let mine = |account: &str| look(issuer, 2, now, account);
    for (account, who, status, of_lines) in [
        (&two, String::new(), 401, 401),
        (&peer, String::new(), 401, 401),
        (&two, mine(&two), 200, 200),
        (&peer, mine(&peer), 200, 200),
        (&peer, mine(&two), 403, 403),
        (&peer, look(issuer, 3, now, &peer), 403, 403),
        (&peer, look(id(9), 2, now, &peer), 403, 403),
        (&peer, look(issuer, 2, now - 91_000, &peer), 403, 403),
        (&peer, look(issuer, 2, now + 120_000, &peer), 403, 403),
        (&peer, operator.clone(), 200, 200),
        (&peer, "Bearer the operator's secrets".to_owned(), 403, 403),
        (&peer, "Beacon e30=".to_owned(), 403, 403),
        (&peer, "Basic e30=".to_owned(), 403, 403),
        (&peer, "Beacon".to_owned(), 403, 403),
        // What a pool has is for all to see, and why for its publisher alone.
        (&pool, String::new(), 200, 401),
        (&pool, mine(&pool), 200, 403),
        (&pool, look(issuer, 1, now, &pool), 200, 200),
        (&"issuance".to_owned(), String::new(), 200, 401),
        (&"issuance".to_owned(), mine("issuance"), 200, 403),
        (&"issuance".to_owned(), operator.clone(), 200, 200),
    ] {
        let (got, said) = bank.get(&format!("/api/accounts/{account}"), &who).await;
        assert_eq!(got, status, "{account} {who}: {said}");
        let (got, said) =
            bank.get(&format!("/api/accounts/{account}/statement?last=3"), &who).await;
        assert_eq!(got, of_lines, "{account} {who}: {said}");
    }
    // Two signatures of one look, one of another's: a changed word breaks it.
    let mut forged = mine(&two);
    forged.replace_range(20..21, if forged.as_bytes()[20] == b'A' { "B" } else { "A" });
    assert_eq!(bank.get(&format!("/api/accounts/{two}"), &forged).await.0, 403);

    let run = async |words: &[&str]| bank.program(2, words).await;
    let url = bank.url();
    let own = run(&["statement", "--server", &url]).await;
    assert!(own.status.success() && words(&own).contains("may spend 2.000000"), "{}", words(&own));
    let others = run(&["statement", "--server", &url, &pool]).await;
    assert!(words(&others).contains("another's"), "{}", words(&others));
    let file = bank.folder.path().join("operator.secret");
    std::fs::write(&file, format!("{SECRET}\n")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_beacon-signal"));
    command
        .args(["statement", "--server", &url, &pool, "--json", "--operator-secret-file"])
        .arg(file);
    let all = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let told: Vec<Statement> = serde_json::from_slice(&all.stdout).unwrap();
    assert_eq!((told[0].account, told[0].available), (AccountId::pool(id(1)), credits("5")));
}
