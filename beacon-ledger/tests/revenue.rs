//! Random histories of all that moves credits (receipts, splits of the broadcaster's share, deposits, tips, vesting,
//! forfeits), against an oracle that knows lists and sums alone.

#![allow(clippy::unwrap_used)]

use beacon_ledger::book::{Applied, Refusal};
use beacon_ledger::economy::EconomyError;
use beacon_ledger::store::MemoryStore;
use beacon_ledger::tip::Recipient;
use beacon_ledger::{
    AccountId, Deposit, Economy, Edge, ForkProof, Id, Kind, Micro, Receipt, Request as _,
    SignedEdge, Split, Statement, Terms,
};
use beacon_sdk::{BroadcastId, Identity, PublicKey, Rng};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const NOW: u64 = 1_700_000_000_000;
const ISSUER: u8 = 1;
const PUBLISHER: u8 = 2;
const SPONSOR: u8 = 3;
/// Peers are numbered from here.
const FIRST: u8 = 10;
const PEERS: u32 = 4;
const VEST_MS: u64 = 60_000;

fn who(number: u8) -> Identity {
    Identity::from_secret([number; 32])
}

fn key(number: u8) -> PublicKey {
    who(number).public()
}

fn micro(micros: u64) -> Micro {
    Micro::new(micros).unwrap()
}

fn edge(up: u8, down: u8) -> SignedEdge {
    let broadcast = BroadcastId { publisher: key(PUBLISHER), epoch: 1 };
    let id = Id::new(NOW, [up, down, 0, 0, 0, 0, 0, 0, 0, 0]);
    let (uploader, downloader) = (key(up), key(down));
    Edge { id, broadcast, uploader, downloader, session: 1, expires_ms: NOW + 3_600_000 }
        .sign(&who(ISSUER))
}

/// What there should be, kept as simply as can be.
#[derive(Default)]
struct Oracle {
    opened: BTreeMap<AccountId, u64>,
    has: BTreeMap<AccountId, i128>,
    paid: BTreeMap<(u8, u8), u64>,
    splits: Vec<(u64, Vec<(u8, u32)>)>,
    forfeited: BTreeSet<(u8, u8)>,
}

impl Oracle {
    fn has(&self, account: AccountId) -> i128 {
        self.has.get(&account).copied().unwrap_or(0)
    }

    fn give(&mut self, now: u64, from: AccountId, to: AccountId, amount: i128) {
        for (account, change) in [(from, -amount), (to, amount)] {
            if amount > 0 {
                self.opened.entry(account).or_insert(now);
                *self.has.entry(account).or_default() += change;
            }
        }
    }

    /// By largest remainders, one micro-credit after the other.
    fn parts(total: i128, squad: &[(u8, u32)]) -> Vec<(u8, i128)> {
        let sum: i128 = squad.iter().map(|(_, weight)| i128::from(*weight)).sum();
        let mut parts: Vec<(u8, i128)> = Vec::new();
        let mut rests = Vec::new();
        for (at, (member, weight)) in squad.iter().enumerate() {
            let share = total * i128::from(*weight);
            parts.push((*member, share / sum));
            rests.push((-(share % sum), at));
        }
        rests.sort_unstable();
        let left = total - parts.iter().map(|(_, part)| part).sum::<i128>();
        for (_, at) in rests.into_iter().take(usize::try_from(left).unwrap()) {
            parts[at].1 += 1;
        }
        parts
    }

    fn opened(&self, peer: u8) -> Option<u64> {
        let accounts = [AccountId::peer(key(peer)), AccountId::of(Kind::Vesting, key(peer))];
        accounts.iter().filter_map(|account| self.opened.get(account).copied()).min()
    }

    /// A receipt for `cum` bytes; what it is paid.
    fn settle(&mut self, terms: &Terms, now: u64, (up, down): (u8, u8), cum: u64) -> u64 {
        let pool = AccountId::pool(key(PUBLISHER));
        let before = self.paid.get(&(up, down)).copied().unwrap_or(0);
        let due = (cum * 16 / 1000).saturating_sub(before);
        let viewer = AccountId::peer(key(down));
        let by_viewer = if terms.viewers_pay { self.has(viewer) } else { 0 };
        let pay = i128::from(due).min(self.has(pool) + by_viewer);
        let (relay, other): (i128, i128) =
            (terms.relay_weight.into(), terms.broadcaster_weight.into());
        let of_relay = |paid: i128| paid * relay / (relay + other);
        let by_relay = of_relay(i128::from(before) + pay) - of_relay(before.into());
        let ripe = now - self.opened(up).unwrap_or(now) >= VEST_MS;
        let kind = if ripe { Kind::Peer } else { Kind::Vesting };
        self.give(now, viewer, pool, by_viewer.min(pay));
        self.give(now, pool, AccountId::of(kind, key(up)), by_relay);
        let begun = self.splits.iter().filter(|(from, _)| *from <= now);
        let squad = begun.max_by_key(|(from, _)| *from).map(|(_, squad)| squad.clone());
        let squad = squad.unwrap_or_else(|| vec![(PUBLISHER, 1)]);
        for (member, part) in Self::parts(pay - by_relay, &squad) {
            self.give(now, pool, AccountId::peer(key(member)), part);
        }
        let pay = u64::try_from(pay).unwrap();
        self.paid.insert((up, down), before + pay);
        pay
    }
}

/// What a history is played on.
struct Game {
    economy: Economy,
    oracle: Oracle,
    rng: Rng,
    now: u64,
    receipts: BTreeMap<(u8, u8), Receipt>,
    next: u64,
}

impl Game {
    fn peer(&mut self) -> u8 {
        FIRST + self.rng.below(PEERS) as u8
    }

    fn pair(&mut self) -> (u8, u8) {
        let up = self.rng.below(PEERS);
        let down = (up + 1 + self.rng.below(PEERS - 1)) % PEERS;
        (FIRST + up as u8, FIRST + down as u8)
    }

    fn id(&mut self) -> Id {
        self.next += 1;
        Id::derived(self.now, &[&self.next.to_be_bytes()])
    }

    /// Some peers and perhaps the publisher, each once, with weights.
    fn squad(&mut self) -> Vec<(u8, u32)> {
        let mut squad = vec![(self.peer(), 1 + self.rng.below(7))];
        for member in [PUBLISHER, FIRST, FIRST + 1, FIRST + 2] {
            if self.rng.below(2) == 0 && squad.iter().all(|(there, _)| *there != member) {
                squad.push((member, self.rng.below(1000)));
            }
        }
        squad
    }

    async fn settle(&mut self) {
        let (up, down) = self.pair();
        let (edge, last) = (edge(up, down), self.receipts.get(&(up, down)).cloned());
        let cum =
            last.as_ref().map_or(0, |last| last.cum_bytes) + u64::from(self.rng.below(40_000));
        let again = self.rng.below(4) == 0;
        let receipt = match last {
            Some(last) if again => last,
            last => Receipt::sign(&who(down), &edge, last.as_ref(), cum, self.now).unwrap(),
        };
        let due = self.oracle.settle(self.economy.terms(), self.now, (up, down), receipt.cum_bytes);
        let settled = self.economy.settle(self.now, &receipt, None).await.unwrap();
        assert_eq!(settled.paid.get(), due);
        self.receipts.insert((up, down), receipt);
    }

    async fn agree(&mut self) {
        let squad = self.squad();
        let from_ms = self.now + u64::from(self.rng.below(4)) * 5_000;
        let to = squad.iter().map(|(peer, weight)| Recipient { peer: key(*peer), weight: *weight });
        let (issuer, publisher, to) = (key(ISSUER), key(PUBLISHER), to.collect());
        let signed = Split { issuer, publisher, from_ms, to }.sign(&who(PUBLISHER));
        let known = self.oracle.splits.iter().find(|(from, _)| *from == from_ms);
        let due = match known {
            Some((_, known)) if *known == squad => Ok(Applied::Replayed),
            Some(_) => Err(EconomyError::Refused(Refusal::Begun(from_ms))),
            None => Ok(Applied::New),
        };
        if known.is_none() {
            self.oracle.splits.push((from_ms, squad));
        }
        assert_eq!(self.economy.agree(self.now, &signed).await, due);
        assert_eq!(self.economy.agree(self.now, &signed).await.is_ok(), due.is_ok(), "again");
    }

    async fn deposit(&mut self) {
        let (sponsor, pool) =
            (AccountId::of(Kind::Sponsor, key(SPONSOR)), AccountId::pool(key(PUBLISHER)));
        let amount = u64::from(1 + self.rng.below(2_000));
        let deposit = Deposit {
            id: self.id(),
            issuer: key(ISSUER),
            sponsor: key(SPONSOR),
            publisher: key(PUBLISHER),
            amount: micro(amount),
            note: String::new(),
        };
        let can = self.oracle.has(sponsor) >= amount.into();
        let signed = deposit.sign(&who(SPONSOR));
        assert_eq!(self.economy.deposit(self.now, &signed).await.is_ok(), can);
        if can {
            self.oracle.give(self.now, sponsor, pool, amount.into());
            assert_eq!(self.economy.deposit(self.now, &signed).await, Ok(Applied::Replayed));
        }
    }

    async fn tip(&mut self) {
        let from = self.peer();
        let squad: Vec<_> = self.squad().into_iter().filter(|(to, _)| *to != from).collect();
        let amount = 1 + self.rng.below(300);
        let payer = AccountId::peer(key(from));
        let weighs = squad.iter().any(|(_, weight)| *weight > 0);
        let can = weighs && self.oracle.has(payer) >= amount.into();
        let keys: Vec<_> = squad.iter().map(|(to, weight)| (key(*to), *weight)).collect();
        let id = self.id();
        let tip = self.economy.tip(self.now, id, key(from), &keys, micro(amount.into()), "").await;
        assert_eq!(tip.is_ok(), can, "{tip:?}");
        if can {
            for (to, part) in Oracle::parts(amount.into(), &squad) {
                self.oracle.give(self.now, payer, AccountId::peer(key(to)), part);
            }
        }
    }

    async fn vest(&mut self) {
        let peer = self.peer();
        let vesting = AccountId::of(Kind::Vesting, key(peer));
        let opened = self.oracle.opened(peer).unwrap_or(self.now);
        let due = if self.now - opened >= VEST_MS { self.oracle.has(vesting) } else { 0 };
        let vested = self.economy.vest(self.now, key(peer)).await.unwrap();
        assert_eq!(i128::from(vested.get()), due);
        self.oracle.give(self.now, vesting, AccountId::peer(key(peer)), due);
    }

    async fn forfeit(&mut self) {
        let (up, culprit) = self.pair();
        let edge = edge(up, culprit);
        let sign = |cum| Receipt::sign(&who(culprit), &edge, None, cum, 0).unwrap();
        let proof = ForkProof::new(sign(1), sign(2)).unwrap();
        let vesting = AccountId::of(Kind::Vesting, key(culprit));
        let first = !self.oracle.forfeited.contains(&(up, culprit));
        let due = if first { self.oracle.has(vesting) } else { 0 };
        let lost = self.economy.forfeit(self.now, &proof).await.unwrap();
        assert_eq!(i128::from(lost.get()), due);
        if due > 0 {
            self.oracle.forfeited.insert((up, culprit));
            self.oracle.give(self.now, vesting, AccountId::FORFEITS, due);
        }
    }

    async fn check(&self) {
        let store = self.economy.store();
        let audit = store.audit().await.unwrap();
        assert_eq!((audit.faults.as_slice(), audit.issued), (&[][..], audit.held));
        for (account, due) in &self.oracle.has {
            if *account != AccountId::ISSUANCE {
                let found = store.accounts(&[*account]).await.unwrap()[0].balance();
                assert_eq!(found, *due, "{account}");
            }
        }
    }
}

async fn play(seed: u64, steps: usize) {
    let mut rng = Rng::new([7; 32], seed);
    let terms = Terms {
        relay_weight: 1 + rng.below(3),
        broadcaster_weight: rng.below(3),
        viewers_pay: rng.below(2) == 0,
        vest_ms: VEST_MS,
        ..Terms::new(key(ISSUER))
    };
    let economy = Economy::new(Arc::new(MemoryStore::default()), terms);
    let (oracle, receipts) = (Oracle::default(), BTreeMap::new());
    let mut game = Game { economy, oracle, rng, now: NOW, receipts, next: 0 };
    let sponsor = AccountId::of(Kind::Sponsor, key(SPONSOR));
    for (to, amount) in [(sponsor, 20_000), (AccountId::pool(key(PUBLISHER)), 3_000)] {
        let id = game.id();
        game.economy.issue(NOW, id, to, micro(amount), "").await.unwrap();
        game.oracle.give(NOW, AccountId::ISSUANCE, to, amount.into());
    }
    for _ in 0..steps {
        game.now += u64::from(game.rng.below(4_000));
        match game.rng.below(10) {
            0 => game.agree().await,
            1 => game.deposit().await,
            2 => game.tip().await,
            3 => game.vest().await,
            4 => game.forfeit().await,
            _ => game.settle().await,
        }
    }
    game.check().await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn any_history_leaves_what_the_oracle_says(seed in any::<u64>()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(play(seed, 80));
    }
}

/// From its moment on a split divides what each receipt leaves to the broadcaster, and the statements say so.
#[tokio::test]
async fn a_broadcasters_share_follows_its_split_from_its_moment_on() {
    let terms =
        Terms { vest_ms: 0, relay_weight: 1, broadcaster_weight: 1, ..Terms::new(key(ISSUER)) };
    let economy = Economy::new(Arc::new(MemoryStore::default()), terms);
    let to = |number, weight| Recipient { peer: key(number), weight };
    let split = |from_ms, to: Vec<Recipient>| Split {
        issuer: key(ISSUER),
        publisher: key(PUBLISHER),
        from_ms,
        to,
    };
    let three = split(NOW + 5_000, vec![to(PUBLISHER, 1), to(20, 1), to(21, 1)]);
    let early = economy.agree(NOW, &three.clone().sign(&who(PUBLISHER))).await;
    assert!(
        matches!(early, Err(EconomyError::Request(_))),
        "nothing was ever in the pool: {early:?}"
    );
    let pool = AccountId::pool(key(PUBLISHER));
    economy.issue(NOW, Id::new(NOW, [1; 10]), pool, micro(1_000_000), "").await.unwrap();
    assert_eq!(economy.agree(NOW, &three.clone().sign(&who(PUBLISHER))).await, Ok(Applied::New));
    for (signed, fault) in [
        (three.clone().sign(&who(20)), "not signed"),
        (Split { issuer: key(9), ..three.clone() }.sign(&who(PUBLISHER)), "another ledger"),
        (split(NOW + 9_000, vec![to(20, 0)]).sign(&who(PUBLISHER)), "weight above zero"),
        (split(NOW - 90_001, vec![to(20, 1)]).sign(&who(PUBLISHER)), "now or within a year"),
        (split(NOW + 367 * 86_400_000, vec![to(20, 1)]).sign(&who(PUBLISHER)), "within a year"),
        (split(NOW + 5_000, vec![to(20, 1)]).sign(&who(PUBLISHER)), "same moment"),
    ] {
        let refused = economy.agree(NOW, &signed).await.unwrap_err().to_string();
        assert!(refused.contains(fault), "{refused}");
    }
    let edge = edge(10, 11);
    let mut last = None;
    for (at_ms, cum) in [(NOW + 4_999, 125_000), (NOW + 5_000, 250_125), (NOW + 6_000, 375_250)] {
        let next = Receipt::sign(&who(11), &edge, last.as_ref(), cum, 0).unwrap();
        economy.settle(at_ms, &next, None).await.unwrap();
        last = Some(next);
    }
    let has = async |number| {
        let account = AccountId::peer(key(number));
        economy.store().accounts(&[account]).await.unwrap()[0].available().get()
    };
    // 1,000 each for the relay and the broadcaster, then 1,001 each twice, the broadcaster's by thirds.
    assert_eq!([has(10).await, has(PUBLISHER).await], [3_002, 1_000 + 2 * 334]);
    assert_eq!([has(20).await, has(21).await], [2 * 334, 2 * 333]);
    let why = Statement::of(&**economy.store(), AccountId::peer(key(21)), 9).await.unwrap();
    let (text, json) = (why.to_string(), serde_json::to_string(&why).unwrap());
    assert!(text.contains("part of the broadcaster's share"), "{text}");
    assert!(text.contains("the broadcaster's share by its split from 1700000005.000"), "{text}");
    assert!(json.contains("\"rule\":\"co-stream\"") && json.contains("\"split_ms\":1700000005000"));
    assert_eq!(serde_json::from_str::<Statement>(&json).unwrap(), why);
    let holds = economy.split(key(PUBLISHER), NOW + 5_000).await.unwrap().unwrap();
    assert_eq!((holds.request, economy.split(key(PUBLISHER), NOW).await), (three, Ok(None)));
}
