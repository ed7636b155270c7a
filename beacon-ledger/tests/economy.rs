//! What receipts are paid, and what they are not.

#![allow(clippy::unwrap_used)]

use beacon_ledger::book::{Applied, Refusal};
use beacon_ledger::economy::{EconomyError, Limit, Prefix, Settlement};
use beacon_ledger::receipt::Invalid;
use beacon_ledger::store::MemoryStore;
use beacon_ledger::{
    AccountId, Deposit, Economy, Edge, ForkProof, Id, Kind, Micro, Receipt, Request as _,
    SignedEdge, Statement, Terms,
};
use beacon_sdk::{BroadcastId, Identity, PublicKey};
use std::sync::Arc;

const NOW: u64 = 1_700_000_000_000;
const DAY: u64 = 86_400_000;
const ISSUER: u8 = 1;
const PUBLISHER: u8 = 2;
const SPONSOR: u8 = 3;
const MB: u64 = 1_000_000;

fn who(number: u8) -> Identity {
    Identity::from_secret([number; 32])
}

fn key(number: u8) -> PublicKey {
    who(number).public()
}

fn micro(micros: u64) -> Micro {
    Micro::new(micros).unwrap()
}

fn id(number: u64) -> Id {
    Id::derived(NOW, &[&number.to_be_bytes()])
}

fn edge_at(name: u8, up: u8, down: u8, issued: u64) -> SignedEdge {
    let broadcast = BroadcastId { publisher: key(PUBLISHER), epoch: 1 };
    let (uploader, downloader) = (key(up), key(down));
    let id = Id::new(issued, [name; 10]);
    Edge { id, broadcast, uploader, downloader, session: 1, expires_ms: issued + 600_000 }
        .sign(&who(ISSUER))
}

fn receipt(edge: &SignedEdge, down: u8, last: Option<&Receipt>, cum: u64) -> Receipt {
    Receipt::sign(&who(down), edge, last, cum, NOW).unwrap()
}

/// No vesting, unless a test is about it.
fn terms() -> Terms {
    Terms { vest_ms: 0, ..Terms::new(key(ISSUER)) }
}

fn deposit(number: u64, credits: u64) -> Deposit {
    Deposit {
        id: id(number),
        issuer: key(ISSUER),
        sponsor: key(SPONSOR),
        publisher: key(PUBLISHER),
        amount: micro(credits),
        note: "for the show".into(),
    }
}

/// A sponsor has given `credits` micro-credits to the publisher's pool.
async fn economy(terms: Terms, credits: u64) -> Economy {
    let economy = Economy::new(Arc::new(MemoryStore::default()), terms);
    let sponsor = AccountId::of(Kind::Sponsor, key(SPONSOR));
    economy.issue(NOW, id(1), sponsor, micro(credits), "a sponsor pays").await.unwrap();
    let deposit = deposit(2, credits).sign(&who(SPONSOR));
    economy.deposit(NOW, &deposit).await.unwrap();
    economy
}

async fn has(economy: &Economy, account: AccountId) -> u64 {
    economy.store().accounts(&[account]).await.unwrap()[0].available().get()
}

async fn sound(economy: &Economy) {
    let audit = economy.store().audit().await.unwrap();
    assert_eq!((audit.faults.as_slice(), audit.issued), (&[][..], audit.held));
}

#[tokio::test]
async fn a_relay_earns_what_its_child_verified_to_the_last_byte() {
    let economy = economy(terms(), 1_000_000).await;
    let edge = edge_at(1, 10, 11, NOW);
    let (mut last, mut paid): (Option<Receipt>, u64) = (None, 0);
    // Steps that are no multiple of anything, some receipts twice, some never shown, the first again.
    let mut shown = Vec::new();
    for step in 1..=40 {
        last = Some(receipt(&edge, 11, last.as_ref(), step * 262_147));
        if step % 3 != 0 {
            shown.push(last.clone().unwrap());
        }
    }
    shown.swap(3, 9);
    shown.push(shown[0].clone());
    shown.push(shown.last().cloned().unwrap());
    for receipt in &shown {
        paid += economy.settle(NOW, receipt, None).await.unwrap().paid.get();
    }
    let cum = 40 * 262_147;
    assert_eq!(paid, cum * 16 / 1000, "the owner's rate, rounded down once");
    assert_eq!(has(&economy, AccountId::peer(key(10))).await, paid);
    assert_eq!(has(&economy, AccountId::pool(key(PUBLISHER))).await, 1_000_000 - paid);
    sound(&economy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_servers_at_once_pay_once() {
    let economy = Arc::new(economy(terms(), 10_000_000).await);
    let edge = edge_at(1, 10, 11, NOW);
    let mut receipts: Vec<Receipt> = Vec::new();
    for step in 1..=16 {
        receipts.push(receipt(&edge, 11, receipts.last(), step * MB));
    }
    let tasks = receipts.iter().rev().chain(&receipts).cloned().map(|receipt| {
        let economy = economy.clone();
        tokio::spawn(async move { economy.settle(NOW, &receipt, None).await.unwrap().paid.get() })
    });
    let mut paid = 0;
    for task in tasks.collect::<Vec<_>>() {
        paid += task.await.unwrap();
    }
    assert_eq!(paid, 16 * 16_000);
    assert_eq!(has(&economy, AccountId::peer(key(10))).await, paid);
    sound(&economy).await;
}

#[tokio::test]
async fn who_reports_itself_earns_nothing() {
    let economy = economy(terms(), 1_000_000).await;
    let edge = edge_at(1, 10, 11, NOW);
    let honest = receipt(&edge, 11, None, MB);
    // The uploader raises the count, signs in the child's place, or makes edges of its own.
    let mut bytes = honest.encode();
    bytes[212] ^= 1;
    let raised = Receipt::decode(&bytes).unwrap();
    let cheat = |receipt: &Receipt| {
        let receipt = receipt.clone();
        let economy = &economy;
        async move { economy.settle(NOW, &receipt, None).await }
    };
    assert_eq!(cheat(&raised).await, Err(EconomyError::Invalid(Invalid::Downloader)));
    let mut own = edge.edge;
    own.downloader = key(12);
    let own = Receipt::sign(&who(12), &own.sign(&who(10)), None, 1 << 40, 0).unwrap();
    assert_eq!(cheat(&own).await, Err(EconomyError::Invalid(Invalid::Issuer)));
    let early = receipt(&edge_at(2, 10, 11, NOW + 100_000), 11, None, MB);
    assert_eq!(cheat(&early).await, Err(EconomyError::Early));
    let late = receipt(&edge_at(3, 10, 11, NOW - 600_000 - 3_600_001), 11, None, MB);
    assert_eq!(cheat(&late).await, Err(EconomyError::Late));
    let publisher = receipt(&edge_at(4, PUBLISHER, 11, NOW), 11, None, MB);
    assert_eq!(cheat(&publisher).await, Ok(Settlement::default()), "no service to itself");
    assert_eq!(has(&economy, AccountId::peer(key(10))).await, 0);
    assert_eq!(has(&economy, AccountId::pool(key(PUBLISHER))).await, 1_000_000);
}

#[tokio::test]
async fn shares_and_viewers_that_pay() {
    let terms = Terms { relay_weight: 2, broadcaster_weight: 1, viewers_pay: true, ..terms() };
    let economy = economy(terms, 1_000_000).await;
    economy.issue(NOW, id(9), AccountId::peer(key(11)), micro(5_000), "a gift").await.unwrap();
    let edge = edge_at(1, 10, 11, NOW);
    let mut last = None;
    for step in 1..=10 {
        let next = receipt(&edge, 11, last.as_ref(), step * 62_501);
        economy.settle(NOW, &next, None).await.unwrap();
        last = Some(next);
    }
    let worth = 625_010 * 16 / 1000;
    let relay = worth * 2 / 3;
    assert_eq!(has(&economy, AccountId::peer(key(10))).await, relay);
    assert_eq!(has(&economy, AccountId::peer(key(PUBLISHER))).await, worth - relay);
    assert_eq!(has(&economy, AccountId::peer(key(11))).await, 0, "it paid first");
    let pool = has(&economy, AccountId::pool(key(PUBLISHER))).await;
    assert_eq!(pool, 1_000_000 - (worth - 5_000), "and the pool the rest");
    sound(&economy).await;
}

#[tokio::test]
async fn limits_withhold_and_what_is_withheld_stays_due() {
    let mut terms = terms();
    terms.caps.counterpart = micro(10_000);
    terms.caps.account = micro(15_000);
    terms.caps.viewer = micro(12_000);
    terms.caps.prefix = micro(18_000);
    let economy = economy(terms, 30_000).await;
    let prefix = Prefix::of("192.0.2.7".parse().unwrap());
    assert_eq!(prefix, Prefix::of("::ffff:192.0.2.200".parse().unwrap()));
    assert_ne!(prefix, Prefix::of("192.0.3.7".parse().unwrap()));
    let settle = |now, up, down, name, issued| {
        let edge = edge_at(name, up, down, issued);
        let (economy, prefix) = (&economy, &prefix);
        async move {
            // Worth 16,000.
            let shown = receipt(&edge, down, None, MB);
            economy.settle(now, &shown, Some(prefix)).await.unwrap()
        }
    };
    let result = |paid, limit| Settlement {
        paid: micro(paid),
        withheld: micro(16_000 - paid),
        limit: Some(limit),
    };
    assert_eq!(settle(NOW, 10, 11, 1, NOW).await, result(10_000, Limit::Counterpart));
    assert_eq!(settle(NOW, 20, 11, 2, NOW).await, result(2_000, Limit::Viewer));
    assert_eq!(settle(NOW, 10, 12, 3, NOW).await, result(5_000, Limit::Account));
    assert_eq!(settle(NOW, 30, 13, 4, NOW).await, result(1_000, Limit::Prefix));
    // The same receipts the next day, of edges that are not yet too old.
    let issued = NOW + DAY - 3_000_000;
    let today = settle(NOW + DAY - 2_900_000, 10, 11, 5, issued).await;
    assert_eq!(today, result(10_000, Limit::Counterpart));
    let rest = edge_at(5, 10, 11, issued);
    let tomorrow = (NOW / DAY + 2) * DAY;
    let mut terms = economy.terms().clone();
    terms.late_ms = 2 * DAY;
    let economy = Economy::new(economy.store().clone(), terms);
    let paid = economy.settle(tomorrow, &receipt(&rest, 11, None, MB), None).await.unwrap();
    // What is left in the pool: 30,000 less what was paid.
    assert_eq!((paid.paid, paid.limit), (micro(2_000), Some(Limit::Funds)));
    assert_eq!(paid.withheld, micro(4_000));
    economy
        .issue(tomorrow, id(50), AccountId::pool(key(PUBLISHER)), micro(9_000), "more")
        .await
        .unwrap();
    let paid = economy.settle(tomorrow, &receipt(&rest, 11, None, MB), None).await.unwrap();
    assert_eq!(paid, Settlement { paid: micro(4_000), ..Settlement::default() });
    sound(&economy).await;
}

#[tokio::test]
async fn a_sponsor_gives_what_it_has_once() {
    let economy = economy(terms(), 1_000).await;
    let sponsor = AccountId::of(Kind::Sponsor, key(SPONSOR));
    economy.issue(NOW, id(3), sponsor, micro(500), "again").await.unwrap();
    let give = |deposit: Deposit, by: u8| {
        let signed = deposit.sign(&who(by));
        let economy = &economy;
        async move { economy.deposit(NOW, &signed).await }
    };
    assert_eq!(give(deposit(4, 300), SPONSOR).await, Ok(Applied::New));
    assert_eq!(give(deposit(4, 300), SPONSOR).await, Ok(Applied::Replayed));
    let other = give(deposit(4, 299), SPONSOR).await;
    assert_eq!(other, Err(EconomyError::Refused(Refusal::Conflict(id(4)))));
    let much = give(deposit(5, 201), SPONSOR).await;
    assert!(matches!(much, Err(EconomyError::Refused(Refusal::Insufficient { .. }))), "{much:?}");
    let forged = give(deposit(6, 1), PUBLISHER).await;
    assert!(matches!(forged, Err(EconomyError::Unsigned(_))), "{forged:?}");
    assert_eq!(has(&economy, sponsor).await, 200);
    assert_eq!(has(&economy, AccountId::pool(key(PUBLISHER))).await, 1_300);
    sound(&economy).await;
}

#[tokio::test]
async fn young_accounts_earn_what_they_may_not_spend_yet() {
    let economy = economy(Terms::new(key(ISSUER)), 1_000_000).await;
    let vesting = AccountId::of(Kind::Vesting, key(10));
    let peer = AccountId::peer(key(10));
    economy.settle(NOW, &receipt(&edge_at(1, 10, 11, NOW), 11, None, MB), None).await.unwrap();
    assert_eq!((has(&economy, vesting).await, has(&economy, peer).await), (16_000, 0));
    let early = economy.tip(NOW, id(5), key(10), &[(key(12), 1)], micro(1), "").await;
    assert!(matches!(early, Err(EconomyError::Refused(Refusal::Insufficient { .. }))), "{early:?}");
    assert_eq!(economy.vest(NOW + DAY - 1, key(10)).await, Ok(Micro::ZERO));
    assert_eq!(economy.vest(NOW + DAY, key(10)).await, Ok(micro(16_000)));
    assert_eq!(economy.vest(NOW + DAY, key(10)).await, Ok(Micro::ZERO));
    let later = edge_at(2, 10, 11, NOW + DAY);
    economy.settle(NOW + DAY, &receipt(&later, 11, None, MB), None).await.unwrap();
    assert_eq!((has(&economy, vesting).await, has(&economy, peer).await), (0, 32_000));
    assert_eq!(economy.vest(NOW + DAY, key(99)).await, Ok(Micro::ZERO), "a stranger");
    sound(&economy).await;
}

#[tokio::test]
async fn a_proven_fork_costs_what_is_not_vested() {
    let economy = economy(Terms::new(key(ISSUER)), 1_000_000).await;
    economy.settle(NOW, &receipt(&edge_at(1, 10, 11, NOW), 11, None, MB), None).await.unwrap();
    // The relay, as a child of another, signs two histories.
    let edge = edge_at(2, 20, 10, NOW);
    let proof = ForkProof::new(receipt(&edge, 10, None, 1), receipt(&edge, 10, None, 2)).unwrap();
    assert_eq!(economy.forfeit(NOW, &proof).await, Ok(micro(16_000)));
    assert_eq!(economy.forfeit(NOW, &proof).await, Ok(Micro::ZERO));
    assert_eq!(has(&economy, AccountId::FORFEITS).await, 16_000);
    let mut forged = edge.edge;
    forged.id = Id::new(NOW, [8; 10]);
    let forged = forged.sign(&who(9));
    let forged =
        ForkProof::new(receipt(&forged, 10, None, 1), receipt(&forged, 10, None, 2)).unwrap();
    assert_eq!(economy.forfeit(NOW, &forged).await, Err(EconomyError::Invalid(Invalid::Issuer)));
    sound(&economy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tips_are_split_to_the_last_micro_credit_once() {
    let economy = Arc::new(economy(terms(), 1_000_000).await);
    economy.issue(NOW, id(4), AccountId::peer(key(10)), micro(100), "a gift").await.unwrap();
    let squad = [(key(20), 1), (key(21), 1), (key(22), 1)];
    let tip = |number, amount| {
        economy.tip(NOW, id(number), key(10), &squad, micro(amount), "well played")
    };
    assert_eq!(tip(10, 50).await, Ok(Applied::New));
    assert_eq!(tip(10, 50).await, Ok(Applied::Replayed), "the key of the tip");
    assert_eq!(tip(10, 49).await, Err(EconomyError::Refused(Refusal::Conflict(id(10)))));
    for (member, part) in [(20, 17), (21, 17), (22, 16)] {
        assert_eq!(has(&economy, AccountId::peer(key(member))).await, part);
    }
    // The last 50, by two at once.
    let (one, other) = tokio::join!(tip(11, 50), tip(12, 50));
    assert_eq!([one.is_ok(), other.is_ok()].iter().filter(|ok| **ok).count(), 1);
    for (squad, amount) in [
        (&[][..], 1),
        (&[(key(10), 1)], 1),
        (&[(key(20), 1), (key(20), 2)], 1),
        (&[(key(20), 0)], 1),
        (&[(key(20), 1)], 0),
        (&[(key(20), 1); 40], 1),
    ] {
        let refused = economy.tip(NOW, id(20), key(10), squad, micro(amount), "").await;
        assert!(matches!(refused, Err(EconomyError::Request(_))), "{refused:?}");
    }
    let long = "x".repeat(141);
    let refused = economy.tip(NOW, id(20), key(10), &[(key(20), 1)], micro(1), &long).await;
    assert!(matches!(refused, Err(EconomyError::Request(_))), "{refused:?}");
    sound(&economy).await;
}

#[tokio::test]
async fn a_statement_explains_every_credit() {
    let economy = economy(terms(), 1_000_000).await;
    let edge = edge_at(1, 10, 11, NOW);
    let first = receipt(&edge, 11, None, MB);
    let second = receipt(&edge, 11, Some(&first), 2 * MB);
    economy.settle(NOW + 1, &first, None).await.unwrap();
    economy.settle(NOW + 2, &second, None).await.unwrap();
    economy.tip(NOW + 3, id(7), key(10), &[(key(20), 1)], micro(500), "thanks").await.unwrap();
    let account = AccountId::peer(key(10));
    let store = economy.store();
    let statement = Statement::of(&**store, account, 100).await.unwrap();
    let balances: Vec<i64> = statement.lines.iter().map(|line| line.balance).collect();
    assert_eq!(balances, [16_000, 32_000, 31_500]);
    assert_eq!(statement.available, micro(31_500));
    let text = statement.to_string();
    for part in [
        "may spend 0.031500".to_owned(),
        "+0.016000".to_owned(),
        "earned by carrying".to_owned(),
        "receipt 2 ".to_owned(),
        format!("edge {}", edge.edge.id),
        format!("{} has verified 2000000 bytes", key(11)),
        "paid for the edge 0.016000 before, 0.032000 now".to_owned(),
        "-0.000500".to_owned(),
        "\"thanks\"".to_owned(),
    ] {
        assert!(text.contains(&part), "{part} is not in\n{text}");
    }
    let json = serde_json::to_value(&statement).unwrap();
    assert_eq!(json["account"], account.to_string());
    assert_eq!(json["lines"][1]["reason"]["cum_bytes"], 2_000_000);
    assert_eq!(json["lines"][1]["rule"], "relay");
    let last = Statement::of(&**store, account, 1).await.unwrap();
    assert_eq!((last.earlier, last.lines.len(), last.lines[0].balance), (2, 1, 31_500));
    let issued = Statement::of(&**store, AccountId::ISSUANCE, 10).await.unwrap();
    assert_eq!(issued.lines[0].balance, -1_000_000);
}
