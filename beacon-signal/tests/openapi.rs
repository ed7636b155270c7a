//! `/api/openapi.json` names every path, and what they answer is as it says.
#![allow(clippy::unwrap_used)]

mod peer;

use beacon_ledger::tip::Recipient;
use beacon_ledger::{AccountId, Deposit, Edge, ForkProof, Id, Receipt, Request as _, Split, Tip};
use beacon_sdk::signaling::ClientMessage;
use beacon_sdk::{About, PublicKey};
use beacon_signal::order::{Action, Order};
use beacon_signal::{Config, LedgerConfig, Operator};
use data_encoding::BASE64;
use peer::{HANG, Peer, Running, broadcast, id, identity, origin, post};
use serde_json::Value;
use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;

const SECRET: &str = "the operator's secret";

/// What is wrong with `value` by `schema`, if anything; the words of JSON Schema that the description uses.
fn fault(doc: &Value, schema: &Value, value: &Value, at: &str) -> Option<String> {
    if let Some(name) = schema["$ref"].as_str() {
        let found = doc.pointer(name.strip_prefix('#').unwrap());
        return fault(doc, found.unwrap_or_else(|| panic!("{name} is not described")), value, at);
    }
    let is = |kind: &str| match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("{at}: unknown type {other}"),
    };
    let kinds = match &schema["type"] {
        Value::Array(kinds) => kinds.clone(),
        kind => vec![kind.clone()],
    };
    if !kinds.iter().any(|kind| is(kind.as_str().unwrap())) {
        return Some(format!("{at} is no {kinds:?} but {value}"));
    }
    if let Some(items) = value.as_array() {
        return items
            .iter()
            .find_map(|item| fault(doc, &schema["items"], item, &format!("{at}[]")));
    }
    let fields = value.as_object()?;
    let required = schema["required"].as_array().into_iter().flatten();
    let missing =
        required.map(|name| name.as_str().unwrap()).find(|name| !fields.contains_key(*name));
    if let Some(name) = missing {
        return Some(format!("{at}.{name} is missing"));
    }
    fields.iter().find_map(|(name, value)| match &schema["properties"][name] {
        Value::Null if schema["additionalProperties"] == false => {
            Some(format!("{at}.{name} is not described"))
        }
        Value::Null => None,
        described => fault(doc, described, value, &format!("{at}.{name}")),
    })
}

/// Checks an answer by what is described of `method path`.
fn check(doc: &Value, method: &str, path: &str, status: u16, body: &str) {
    let described = &doc["paths"][path][method]["responses"][status.to_string()];
    let schema = &described["content"]["application/json"]["schema"];
    assert!(schema.is_object(), "{method} {path} answers {status}, which is not described: {body}");
    let value = serde_json::from_str(body).unwrap();
    assert_eq!(fault(doc, schema, &value, path), None, "{body}");
}

async fn get(server: &Running, doc: &Value, path: &str, asked: &str) -> u16 {
    get_as(server, doc, path, asked, SECRET).await
}

async fn get_as(server: &Running, doc: &Value, path: &str, asked: &str, secret: &str) -> u16 {
    let who = match secret {
        "" => String::new(),
        secret => format!("authorization: Bearer {secret}\r\n"),
    };
    let (head, body) = server.get_with(asked, &who).await;
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    check(doc, "get", path, status, &body);
    status
}

#[tokio::test]
async fn answers_are_as_described() {
    let folder = tempfile::tempdir().unwrap();
    let address = format!("sqlite:{}", folder.path().join("ledger.db").display());
    let mut ledger = LedgerConfig::new(address.clone());
    (ledger.grant, ledger.vest) = ("5".parse().unwrap(), Duration::ZERO);
    let mut config = Config::default();
    config.ledger = Some(ledger);
    config.operator = Some(Operator::new(SECRET).unwrap());
    let server = Running::start(config).await;
    let doc: Value = serde_json::from_str(&server.get("/api/openapi.json").await.1).unwrap();
    assert_eq!(doc["openapi"], "3.1.0");

    let (mut source, _) = Peer::join(&server, origin("launch", 1, 7)).await;
    let about = About::new("Launch", "Space", vec!["live".into()]).unwrap();
    source.send(&ClientMessage::Describe(about)).await;
    let pool = AccountId::pool(id(1));
    let granted = async {
        while !server.get(&format!("/api/accounts/{pool}")).await.1.contains("5000000") {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(HANG, granted).await.unwrap();
    let program = env!("CARGO_BIN_EXE_beacon-signal");
    let to = AccountId::peer(id(5)).to_string();
    let args = ["issue", "--ledger", &address, &to, "2.5", "--note", "hello"];
    let output = Command::new(program).args(args).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let (accounts, statement) = ("/api/accounts/{account}", "/api/accounts/{account}/statement");
    for (path, asked, status) in [
        ("/api/streams", "/api/streams".to_owned(), 200),
        ("/api/streams/{name}/mesh", "/api/streams/launch/mesh".to_owned(), 200),
        ("/api/streams/{name}/mesh", "/api/streams/none/mesh".to_owned(), 404),
        ("/api/streams/{name}/thumbnail", "/api/streams/launch/thumbnail".to_owned(), 404),
        ("/api/ledger", "/api/ledger".to_owned(), 200),
        (accounts, format!("/api/accounts/{}", id(1)), 200),
        (accounts, "/api/accounts/bank".to_owned(), 400),
        (statement, format!("/api/accounts/{pool}/statement"), 200),
        (statement, format!("/api/accounts/{}/statement?last=5", id(5)), 200),
        (statement, format!("/api/accounts/{}/statement?first=5", id(5)), 400),
    ] {
        assert_eq!(get(&server, &doc, path, &asked).await, status, "{asked}");
    }
    for (path, asked) in [
        (accounts, format!("/api/accounts/{}", id(1))),
        (statement, format!("/api/accounts/{pool}/statement")),
    ] {
        assert_eq!(get_as(&server, &doc, path, &asked, "").await, 401, "{asked}");
        assert_eq!(get_as(&server, &doc, path, &asked, "a guess").await, 403, "{asked}");
    }
    let issuer = serde_json::from_str::<Value>(&server.get("/api/ledger").await.1).unwrap();
    asked_of_the_ledger(&server, &doc, issuer["issuer"].as_str().unwrap().parse().unwrap()).await;
    let tip = |amount: &str| Tip {
        id: Id::new(5, [1; 10]),
        issuer: issuer["issuer"].as_str().unwrap().parse().unwrap(),
        from: id(5),
        to: vec![Recipient { peer: id(6), weight: 1 }],
        amount: amount.parse().unwrap(),
        note: "bravo".into(),
    };
    for (tip, by, status) in
        [(tip("9"), 5, 402), (tip("1"), 5, 200), (tip("2"), 5, 409), (tip("1"), 6, 403)]
    {
        let body = serde_json::to_value(tip.sign(&identity(by))).unwrap();
        assert_eq!(fault(&doc, &doc["components"]["schemas"]["Tip"], &body, "tip"), None);
        let (got, _, said) = post(server.addr, "/api/tip", &body.to_string()).await;
        assert_eq!(got, status, "{said}");
        check(&doc, "post", "/api/tip", got, &said);
    }
    let order = Order { publisher: id(1), epoch: 7, at_ms: 5, action: Action::End };
    let sign = |at_ms, by| Order { at_ms, ..order.clone() }.sign(&identity(by), "launch");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let now = u64::try_from(now.as_millis()).unwrap();
    let pest = Action::Ban { peer: id(9).into() };
    let ban = Order { at_ms: now, action: pest, ..order.clone() }.sign(&identity(1), "launch");
    for (name, signed, status) in [
        ("launch", sign(5, 1), 400),
        ("launch", sign(now, 2), 403),
        ("none", sign(now, 1), 404),
        ("launch", ban, 200),
        ("launch", sign(now, 1), 409),
    ] {
        let body = serde_json::to_value(signed).unwrap();
        assert_eq!(fault(&doc, &doc["components"]["schemas"]["Order"], &body, "order"), None);
        let path = format!("/api/streams/{name}/order");
        let (got, _, said) = post(server.addr, &path, &body.to_string()).await;
        assert_eq!(got, status, "{said}");
        check(&doc, "post", "/api/streams/{name}/order", got, &said);
    }
    let plain = Running::start(Config::default()).await;
    for path in ["/api/ledger", accounts, statement] {
        let asked = path.replace("{account}", "issuance");
        assert_eq!(get(&plain, &doc, path, &asked).await, 404);
    }
}

/// Deposits, splits and proofs.
async fn asked_of_the_ledger(server: &Running, doc: &Value, issuer: PublicKey) {
    let check = async |path: &str, name: &str, body: Value, status: u16| {
        assert_eq!(fault(doc, &doc["components"]["schemas"][name], &body, name), None);
        let (got, _, said) = post(server.addr, path, &body.to_string()).await;
        assert_eq!(got, status, "{said}");
        check(doc, "post", path, got, &said);
    };
    let deposit = |number: u8| Deposit {
        id: Id::new(6, [number; 10]),
        issuer,
        sponsor: id(8),
        publisher: id(1),
        amount: "9".parse().unwrap(),
        note: String::new(),
    };
    for (by, status) in [(8, 402), (5, 403)] {
        let signed = serde_json::to_value(deposit(1).sign(&identity(by))).unwrap();
        check("/api/deposit", "Deposit", signed, status).await;
    }
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let now = u64::try_from(now.as_millis()).unwrap();
    let split = |from_ms, weight| {
        let to = vec![Recipient { peer: id(6), weight }];
        Split { issuer, publisher: id(1), from_ms, to }
    };
    for (split, by, status) in [
        (split(now, 1), 1, 200),
        (split(now, 2), 1, 409),
        (split(now, 0), 1, 400),
        (split(now, 1), 2, 403),
    ] {
        let signed = serde_json::to_value(split.sign(&identity(by))).unwrap();
        check("/api/split", "Split", signed, status).await;
    }
    let edge = Edge {
        id: Id::new(now, [1; 10]),
        broadcast: broadcast(1, 7),
        uploader: id(2),
        downloader: id(3),
        session: 1,
        expires_ms: now + 1000,
    };
    // Not by this server's key: no proof to it.
    let edge = edge.sign(&identity(9));
    let sign = |cum| Receipt::sign(&identity(3), &edge, None, cum, 0).unwrap();
    let proof = ForkProof::new(sign(1), sign(2)).unwrap();
    let body = serde_json::json!({ "proof": BASE64.encode(&proof.encode()) });
    check("/api/fork", "Fork", body, 400).await;
}

#[test]
fn every_path_is_described() {
    let doc: Value = serde_json::from_str(include_str!("../src/openapi.json")).unwrap();
    let described: BTreeSet<&str> =
        doc["paths"].as_object().unwrap().keys().map(String::as_str).collect();
    let sources = [include_str!("../src/http.rs"), include_str!("../src/api.rs")].concat();
    let routes = sources.split(".route(\"").skip(1).map(|rest| rest.split('"').next().unwrap());
    let routes: BTreeSet<&str> = routes.filter(|path| path.starts_with("/api/")).collect();
    assert_eq!(routes, described);
}
