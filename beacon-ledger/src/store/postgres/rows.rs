//! Rows of PostgreSQL, read and written, a batch at a time.

use super::Failure;
use crate::book::{
    Account, AccountId, Applied, Entry, Hold, HoldState, Leg, Moved, Page, Refusal, Rule,
};
use crate::id::Id;
use crate::money::Micro;
use crate::store::{DEEDS_MAX, Deed, Line, Place, StoreError, Sums};
use deadpool_postgres::{GenericClient, Object, Transaction};
use std::collections::{BTreeMap, BTreeSet};
use tokio_postgres::{IsolationLevel, Row};

const LOCK: &str = " FOR UPDATE";

/// What was there when the page was loaded: the rest is inserted.
#[derive(Default)]
pub(super) struct Known {
    accounts: BTreeSet<AccountId>,
    holds: BTreeSet<Id>,
    counters: BTreeSet<[u8; 32]>,
}

impl Known {
    fn of(page: &Page) -> Self {
        Self {
            accounts: page.accounts.keys().copied().collect(),
            holds: page.holds.keys().copied().collect(),
            counters: page.counters.keys().copied().collect(),
        }
    }
}

/// Loads and locks what `entries` touch. Every batch locks in the same order; entries are read last,
/// when whoever was at the same accounts before has committed.
pub(super) async fn load(
    change: &Transaction<'_>,
    page: &mut Page,
    entries: &[Entry],
) -> Result<Known, Failure> {
    let ended: Vec<Id> = entries.iter().filter_map(Entry::ends).collect();
    page.holds = holds(change, ended, LOCK).await?;
    let legs = entries.iter().flat_map(|entry| entry.legs(|id| page.holds.get(&id)));
    let touched: Vec<AccountId> = legs.flat_map(|leg| [leg.debit, leg.credit]).collect();
    page.accounts = accounts(change, &touched, LOCK).await?;
    let names: Vec<[u8; 32]> =
        entries.iter().flat_map(|entry| &entry.advances).map(|advance| advance.counter).collect();
    page.counters = counters(change, &names, LOCK).await?;
    let ids: Vec<&[u8]> = entries.iter().map(|entry| entry.id.as_bytes().as_slice()).collect();
    let sql = "SELECT id, hash FROM beacon_ledger.entries WHERE id = ANY($1)";
    let find = change.prepare_cached(sql).await?;
    for row in change.query(&find, &[&ids]).await? {
        page.entries.insert(id(&row, 0)?, fixed(&row, 1)?);
    }
    Ok(Known::of(page))
}

/// Loads and locks pending holds whose time is over, with their accounts.
pub(super) async fn due(
    change: &Transaction<'_>,
    page: &mut Page,
    now_ms: u64,
    limit: usize,
) -> Result<(Known, Vec<Id>), Failure> {
    // What another is at work on is another's to end, or comes next time.
    let sql = "SELECT id FROM beacon_ledger.holds WHERE state = 0 AND expires_ms <= $1
               ORDER BY expires_ms, id LIMIT $2 FOR UPDATE SKIP LOCKED";
    let find = change.prepare_cached(sql).await?;
    let rows = change.query(&find, &[&signed(now_ms), &(limit as i64)]).await?;
    let due: Vec<Id> = rows.iter().map(|row| id(row, 0)).collect::<Result<_, _>>()?;
    page.holds = holds(change, due.clone(), "").await?;
    let legs = page.holds.values().map(|hold| hold.leg);
    let touched: Vec<AccountId> = legs.flat_map(|leg| [leg.debit, leg.credit]).collect();
    page.accounts = accounts(change, &touched, LOCK).await?;
    Ok((Known::of(page), due))
}

/// Writes back what changed. Rows that are new go in without `ON CONFLICT`: if another has made them
/// meanwhile, the batch starts over.
pub(super) async fn save(
    change: &Transaction<'_>,
    page: &Page,
    known: &Known,
) -> Result<(), Failure> {
    save_accounts(change, page, known).await?;
    save_journal(change, page).await?;
    save_holds(change, page, known).await?;
    let mut new = (Vec::new(), Vec::new());
    let mut old = (Vec::new(), Vec::new());
    for name in &page.changed_counters {
        let to = if known.counters.contains(name) { &mut old } else { &mut new };
        to.0.push(name.as_slice());
        to.1.push(signed(page.counters.get(name).copied().unwrap_or(0)));
    }
    if !new.0.is_empty() {
        let sql =
            "INSERT INTO beacon_ledger.counters SELECT * FROM unnest($1::bytea[], $2::bigint[])";
        change.execute(&change.prepare_cached(sql).await?, &[&new.0, &new.1]).await?;
    }
    if !old.0.is_empty() {
        let sql = "UPDATE beacon_ledger.counters c SET value = u.value
                   FROM unnest($1::bytea[], $2::bigint[]) u (name, value) WHERE c.name = u.name";
        change.execute(&change.prepare_cached(sql).await?, &[&old.0, &old.1]).await?;
    }
    Ok(())
}

/// Columns of accounts, to be sent as arrays.
#[derive(Default)]
struct Columns {
    ids: Vec<Vec<u8>>,
    numbers: [Vec<i64>; 6],
}

async fn save_accounts(
    change: &Transaction<'_>,
    page: &Page,
    known: &Known,
) -> Result<(), Failure> {
    let (mut new, mut old) = (Columns::default(), Columns::default());
    for id in &page.changed_accounts {
        let Some(account) = page.accounts.get(id) else { continue };
        let to = if known.accounts.contains(id) { &mut old } else { &mut new };
        to.ids.push(id.to_bytes().to_vec());
        let numbers = [
            account.opened_ms,
            account.changed_ms,
            account.debits_pending.get(),
            account.debits_posted.get(),
            account.credits_pending.get(),
            account.credits_posted.get(),
        ];
        for (column, number) in to.numbers.iter_mut().zip(numbers) {
            column.push(signed(number));
        }
    }
    if !new.ids.is_empty() {
        let sql =
            "INSERT INTO beacon_ledger.accounts SELECT * FROM unnest($1::bytea[], $2::bigint[],
                   $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[])";
        let [a, b, c, d, e, f] = &new.numbers;
        let put = change.prepare_cached(sql).await?;
        change.execute(&put, &[&new.ids, a, b, c, d, e, f]).await?;
    }
    if !old.ids.is_empty() {
        let sql = "UPDATE beacon_ledger.accounts a SET changed_ms = u.b, debits_pending = u.c,
                   debits_posted = u.d, credits_pending = u.e, credits_posted = u.f
                   FROM unnest($1::bytea[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[])
                   u (id, b, c, d, e, f) WHERE a.id = u.id";
        let [_, b, c, d, e, f] = &old.numbers;
        let put = change.prepare_cached(sql).await?;
        change.execute(&put, &[&old.ids, b, c, d, e, f]).await?;
    }
    Ok(())
}

async fn save_journal(change: &Transaction<'_>, page: &Page) -> Result<(), Failure> {
    if page.written.is_empty() {
        return Ok(());
    }
    let ids: Vec<&[u8]> = page.written.iter().map(|entry| entry.id.as_bytes().as_slice()).collect();
    let hashes: Vec<&[u8]> = page.written.iter().map(|entry| entry.hash.as_slice()).collect();
    let times: Vec<i64> = page.written.iter().map(|entry| signed(entry.at_ms)).collect();
    let reasons: Vec<&str> = page.written.iter().map(|entry| entry.reason.as_str()).collect();
    let sql = "INSERT INTO beacon_ledger.entries
               SELECT * FROM unnest($1::bytea[], $2::bytea[], $3::bigint[], $4::text[])";
    let put = change.prepare_cached(sql).await?;
    change.execute(&put, &[&ids, &hashes, &times, &reasons]).await?;
    let moved = &page.moved;
    let ids: Vec<&[u8]> = moved.iter().map(|moved| moved.entry.as_bytes().as_slice()).collect();
    let legs: Vec<i16> = moved.iter().map(|moved| i16::from(moved.leg)).collect();
    let times: Vec<i64> = moved.iter().map(|moved| signed(moved.at_ms)).collect();
    let debits: Vec<Vec<u8>> = moved.iter().map(|m| m.moved.debit.to_bytes().to_vec()).collect();
    let credits: Vec<Vec<u8>> = moved.iter().map(|m| m.moved.credit.to_bytes().to_vec()).collect();
    let amounts: Vec<i64> = moved.iter().map(|m| signed(m.moved.amount.get())).collect();
    let rules: Vec<i16> = moved.iter().map(|moved| moved.moved.rule as i16).collect();
    let sql =
        "INSERT INTO beacon_ledger.transfers SELECT * FROM unnest($1::bytea[], $2::smallint[],
               $3::bigint[], $4::bytea[], $5::bytea[], $6::bigint[], $7::smallint[])";
    let put = change.prepare_cached(sql).await?;
    change.execute(&put, &[&ids, &legs, &times, &debits, &credits, &amounts, &rules]).await?;
    Ok(())
}

async fn save_holds(change: &Transaction<'_>, page: &Page, known: &Known) -> Result<(), Failure> {
    // One by one: holds are for orders of people, not for every receipt.
    for id in &page.changed_holds {
        let Some(Hold { leg, expires_ms, state }) = page.holds.get(id) else { continue };
        let (new, id, state) = (!known.holds.contains(id), id.as_bytes().as_slice(), *state as i16);
        if !new {
            let sql = "UPDATE beacon_ledger.holds SET state = $2 WHERE id = $1";
            change.execute(&change.prepare_cached(sql).await?, &[&id, &state]).await?;
            continue;
        }
        let sql = "INSERT INTO beacon_ledger.holds VALUES ($1, $2, $3, $4, $5, $6, $7)";
        let (debit, credit) = (leg.debit.to_bytes(), leg.credit.to_bytes());
        let (amount, rule) = (signed(leg.amount.get()), leg.rule as i16);
        let put = change.prepare_cached(sql).await?;
        let values: [&(dyn tokio_postgres::types::ToSql + Sync); 7] = [
            &id,
            &debit.as_slice(),
            &credit.as_slice(),
            &amount,
            &rule,
            &signed(*expires_ms),
            &state,
        ];
        change.execute(&put, &values).await?;
    }
    Ok(())
}

pub(super) async fn accounts(
    client: &impl GenericClient,
    ids: &[AccountId],
    lock: &str,
) -> Result<BTreeMap<AccountId, Account>, Failure> {
    if ids.is_empty() {
        return Ok(BTreeMap::new());
    }
    let wanted: BTreeSet<AccountId> = ids.iter().copied().collect();
    let wanted: Vec<Vec<u8>> = wanted.into_iter().map(|id| id.to_bytes().to_vec()).collect();
    let sql = "SELECT * FROM beacon_ledger.accounts WHERE id = ANY($1) ORDER BY id";
    let find = client.prepare_cached(&[sql, lock].concat()).await?;
    let rows = client.query(&find, &[&wanted]).await?;
    rows.iter().map(read_account).collect()
}

pub(super) async fn counters(
    client: &impl GenericClient,
    names: &[[u8; 32]],
    lock: &str,
) -> Result<BTreeMap<[u8; 32], u64>, Failure> {
    if names.is_empty() {
        return Ok(BTreeMap::new());
    }
    let names: Vec<&[u8]> = names.iter().map(|name| name.as_slice()).collect();
    let sql = "SELECT name, value FROM beacon_ledger.counters WHERE name = ANY($1) ORDER BY name";
    let find = client.prepare_cached(&[sql, lock].concat()).await?;
    let rows = client.query(&find, &[&names]).await?;
    rows.iter().map(|row| Ok((fixed(row, 0)?, number(row, 1)?))).collect()
}

pub(super) async fn holds(
    client: &impl GenericClient,
    ids: Vec<Id>,
    lock: &str,
) -> Result<BTreeMap<Id, Hold>, Failure> {
    if ids.is_empty() {
        return Ok(BTreeMap::new());
    }
    let ids: Vec<&[u8]> = ids.iter().map(|id| id.as_bytes().as_slice()).collect();
    let sql = "SELECT debit, credit, amount, rule, id, expires_ms, state FROM beacon_ledger.holds
               WHERE id = ANY($1) ORDER BY id";
    let find = client.prepare_cached(&[sql, lock].concat()).await?;
    let rows = client.query(&find, &[&ids]).await?;
    let read = |row: &Row| {
        let state = u8::try_from(row.try_get::<_, i16>(6)?).ok().and_then(HoldState::from_code);
        let state = state.ok_or_else(|| strange("state"))?;
        Ok((id(row, 4)?, Hold { leg: leg(row)?, expires_ms: number(row, 5)?, state }))
    };
    rows.iter().map(read).collect()
}

pub(super) async fn lines(
    client: &impl GenericClient,
    account: AccountId,
    after: Option<Place>,
    limit: usize,
) -> Result<Vec<Line>, Failure> {
    // Each side through its own index, and no more of either than is asked for.
    let sql = "SELECT t.debit, t.credit, t.amount, t.rule, t.at_ms, t.entry, t.leg, e.reason FROM (
            (SELECT * FROM beacon_ledger.transfers WHERE debit = $1 AND (at_ms, entry, leg) > ($2, $3, $4)
                ORDER BY at_ms, entry, leg LIMIT $5)
            UNION ALL
            (SELECT * FROM beacon_ledger.transfers WHERE credit = $1 AND (at_ms, entry, leg) > ($2, $3, $4)
                ORDER BY at_ms, entry, leg LIMIT $5)
         ) t JOIN beacon_ledger.entries e ON e.id = t.entry ORDER BY t.at_ms, t.entry, t.leg LIMIT $5";
    let (at_ms, entry, leg_after) =
        after.map_or((-1, Id::default(), 0), |(at_ms, entry, leg)| (signed(at_ms), entry, leg));
    let find = client.prepare_cached(sql).await?;
    let (account, entry) = (account.to_bytes(), entry.as_bytes().as_slice());
    let (account, leg_after, limit) = (account.as_slice(), i16::from(leg_after), limit as i64);
    let rows = client.query(&find, &[&account, &at_ms, &entry, &leg_after, &limit]).await?;
    let read = |row: &Row| {
        let moved = Moved {
            entry: id(row, 5)?,
            leg: u8::try_from(row.try_get::<_, i16>(6)?).map_err(|_| strange("leg"))?,
            at_ms: number(row, 4)?,
            moved: leg(row)?,
        };
        Ok(Line { moved, reason: row.try_get(7)? })
    };
    rows.iter().map(read).collect()
}

/// Keeps a deed that has the form of one: a statement of its own is a transaction of its own.
pub(super) async fn keep(
    client: &impl GenericClient,
    deed: &Deed,
) -> Result<Result<Applied, Refusal>, Failure> {
    let sql = "INSERT INTO beacon_ledger.deeds SELECT $1::bytea, $2::bigint, $3::text
               WHERE (SELECT count(*) FROM beacon_ledger.deeds WHERE name = $1) < $4
               ON CONFLICT DO NOTHING";
    let (name, from_ms) = (deed.name.as_slice(), signed(deed.from_ms));
    let put = client.prepare_cached(sql).await?;
    if client.execute(&put, &[&name, &from_ms, &deed.text, &(DEEDS_MAX as i64)]).await? == 1 {
        return Ok(Ok(Applied::New));
    }
    let sql = "SELECT text FROM beacon_ledger.deeds WHERE name = $1 AND from_ms = $2";
    let find = client.prepare_cached(sql).await?;
    let known = client.query_opt(&find, &[&name, &from_ms]).await?;
    let known: Option<String> = known.map(|row| row.try_get(0)).transpose()?;
    Ok(deed.known(known.as_deref()))
}

pub(super) async fn deed(
    client: &impl GenericClient,
    name: [u8; 32],
    at_ms: u64,
) -> Result<Option<Deed>, Failure> {
    let sql = "SELECT from_ms, text FROM beacon_ledger.deeds WHERE name = $1 AND from_ms <= $2
               ORDER BY from_ms DESC LIMIT 1";
    let find = client.prepare_cached(sql).await?;
    let found = client.query_opt(&find, &[&name.as_slice(), &signed(at_ms)]).await?;
    let read = |row: Row| Ok(Deed { name, from_ms: number(&row, 0)?, text: row.try_get(1)? });
    found.map(read).transpose()
}

pub(super) async fn sums(client: &mut Object) -> Result<Sums, Failure> {
    let view = client.build_transaction().read_only(true);
    // All of one moment.
    let view = view.isolation_level(IsolationLevel::RepeatableRead).start().await?;
    let all = view.query("SELECT * FROM beacon_ledger.accounts", &[]).await?;
    let mut sums = Sums {
        accounts: all.iter().map(read_account).collect::<Result<_, _>>()?,
        ..Sums::default()
    };
    for (table, into) in [
        ("beacon_ledger.transfers", &mut sums.posted),
        ("beacon_ledger.holds WHERE state = 0", &mut sums.pending),
    ] {
        for (side, credit) in [("debit", false), ("credit", true)] {
            let sql = format!(
                "SELECT s, sum(amount)::text FROM (SELECT {side} AS s, amount FROM {table}) x GROUP BY s"
            );
            for row in view.query(&sql, &[]).await? {
                let sum: String = row.try_get(1)?;
                let sum = sum.parse::<i128>().map_err(|_| strange("sum"))?;
                let entry = into.entry(account_id(&row, 0)?).or_default();
                *(if credit { &mut entry.1 } else { &mut entry.0 }) += sum;
            }
        }
    }
    for (table, into) in [("entries", &mut sums.entries), ("transfers", &mut sums.transfers)] {
        let sql = format!("SELECT count(*) FROM beacon_ledger.{table}");
        *into = number(&view.query_one(&sql, &[]).await?, 0)?;
    }
    Ok(sums)
}

/// Numbers above 2^63 are times that are nobody's.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn strange(what: &str) -> Failure {
    Failure::Final(StoreError::Broken(format!("a row has no {what} that this version knows")))
}

fn number(row: &Row, column: usize) -> Result<u64, Failure> {
    u64::try_from(row.try_get::<_, i64>(column)?).map_err(|_| strange("number"))
}

fn amount(row: &Row, column: usize) -> Result<Micro, Failure> {
    Micro::new(number(row, column)?).ok_or_else(|| strange("amount"))
}

fn fixed<const N: usize>(row: &Row, column: usize) -> Result<[u8; N], Failure> {
    row.try_get::<_, &[u8]>(column)?.try_into().map_err(|_| strange("name"))
}

fn id(row: &Row, column: usize) -> Result<Id, Failure> {
    fixed(row, column).map(Id::from_bytes)
}

fn account_id(row: &Row, column: usize) -> Result<AccountId, Failure> {
    AccountId::from_bytes(row.try_get(column)?).ok_or_else(|| strange("account"))
}

fn read_account(row: &Row) -> Result<(AccountId, Account), Failure> {
    let account = Account {
        opened_ms: number(row, 1)?,
        changed_ms: number(row, 2)?,
        debits_pending: amount(row, 3)?,
        debits_posted: amount(row, 4)?,
        credits_pending: amount(row, 5)?,
        credits_posted: amount(row, 6)?,
    };
    Ok((account_id(row, 0)?, account))
}

/// The first four columns: debit, credit, amount, rule.
fn leg(row: &Row) -> Result<Leg, Failure> {
    let rule = u8::try_from(row.try_get::<_, i16>(3)?).ok().and_then(Rule::from_code);
    Ok(Leg {
        debit: account_id(row, 0)?,
        credit: account_id(row, 1)?,
        amount: amount(row, 2)?,
        rule: rule.ok_or_else(|| strange("rule"))?,
    })
}
