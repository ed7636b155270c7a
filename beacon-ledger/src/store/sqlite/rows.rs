//! Rows of SQLite, read and written.

use crate::book::{
    Account, AccountId, Applied, Entry, Hold, HoldState, Leg, Moved, Page, Refusal, Rule,
};
use crate::id::Id;
use crate::money::Micro;
use crate::store::{DEEDS_MAX, Deed, Line, Place, Sums};
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Result, Row, params};

/// Loads what `entries` touch and the page does not have.
pub(super) fn load(connection: &Connection, page: &mut Page, entries: &[Entry]) -> Result<()> {
    for entry in entries {
        if let Some(id) = entry.ends()
            && !page.holds.contains_key(&id)
            && let Some(hold) = hold(connection, id)?
        {
            page.holds.insert(id, hold);
        }
        let legs = entry.legs(|id| page.holds.get(&id));
        for id in legs.iter().flat_map(|leg| [leg.debit, leg.credit]) {
            load_account(connection, &mut page.accounts, id)?;
        }
        for advance in &entry.advances {
            if !page.counters.contains_key(&advance.counter)
                && let Some(value) = counter(connection, &advance.counter)?
            {
                page.counters.insert(advance.counter, value);
            }
        }
        if !page.entries.contains_key(&entry.id) {
            let mut find = connection.prepare_cached("SELECT hash FROM entries WHERE id = ?1")?;
            let hash = find.query_row([entry.id.as_bytes()], |row| row.get(0)).optional()?;
            page.entries.extend(hash.map(|hash| (entry.id, hash)));
        }
    }
    Ok(())
}

fn load_account(
    connection: &Connection,
    accounts: &mut std::collections::BTreeMap<AccountId, Account>,
    id: AccountId,
) -> Result<()> {
    if !accounts.contains_key(&id)
        && let Some(account) = account(connection, id)?
    {
        accounts.insert(id, account);
    }
    Ok(())
}

/// Loads pending holds whose time is over, with their accounts.
pub(super) fn due(
    connection: &Connection,
    page: &mut Page,
    now_ms: u64,
    limit: usize,
) -> Result<Vec<Id>> {
    let mut find = connection.prepare_cached(
        "SELECT id FROM holds WHERE state = 0 AND expires_ms <= ?1 ORDER BY expires_ms, id LIMIT ?2",
    )?;
    let ids: Vec<Id> = find
        .query_map(params![clamp(now_ms), limit], |row| row.get(0).map(Id::from_bytes))?
        .collect::<Result<_>>()?;
    for id in &ids {
        let Some(hold) = hold(connection, *id)? else { continue };
        page.holds.entry(*id).or_insert(hold);
        for account in [hold.leg.debit, hold.leg.credit] {
            load_account(connection, &mut page.accounts, account)?;
        }
    }
    Ok(ids)
}

/// Writes back what changed.
pub(super) fn save(connection: &Connection, page: &Page) -> Result<()> {
    let mut put = connection.prepare_cached(
        "INSERT INTO accounts VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO UPDATE SET
         changed_ms = ?3, debits_pending = ?4, debits_posted = ?5, credits_pending = ?6, credits_posted = ?7",
    )?;
    for id in &page.changed_accounts {
        let Some(account) = page.accounts.get(id) else { continue };
        put.execute(params![
            id.to_bytes(),
            clamp(account.opened_ms),
            clamp(account.changed_ms),
            account.debits_pending.get(),
            account.debits_posted.get(),
            account.credits_pending.get(),
            account.credits_posted.get(),
        ])?;
    }
    let mut put = connection.prepare_cached("INSERT INTO entries VALUES (?1, ?2, ?3, ?4)")?;
    for entry in &page.written {
        put.execute(params![entry.id.as_bytes(), entry.hash, clamp(entry.at_ms), entry.reason])?;
    }
    let mut put =
        connection.prepare_cached("INSERT INTO transfers VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?;
    for Moved { entry, leg, at_ms, moved } in &page.moved {
        put.execute(params![
            entry.as_bytes(),
            leg,
            clamp(*at_ms),
            moved.debit.to_bytes(),
            moved.credit.to_bytes(),
            moved.amount.get(),
            moved.rule as u8,
        ])?;
    }
    let mut put = connection.prepare_cached(
        "INSERT INTO holds VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO UPDATE SET state = ?7",
    )?;
    for id in &page.changed_holds {
        let Some(Hold { leg, expires_ms, state }) = page.holds.get(id) else { continue };
        put.execute(params![
            id.as_bytes(),
            leg.debit.to_bytes(),
            leg.credit.to_bytes(),
            leg.amount.get(),
            leg.rule as u8,
            clamp(*expires_ms),
            *state as u8,
        ])?;
    }
    let mut put = connection.prepare_cached(
        "INSERT INTO counters VALUES (?1, ?2) ON CONFLICT DO UPDATE SET value = ?2",
    )?;
    for name in &page.changed_counters {
        put.execute(params![name, page.counters.get(name)])?;
    }
    Ok(())
}

pub(super) fn account(connection: &Connection, id: AccountId) -> Result<Option<Account>> {
    let mut find = connection.prepare_cached("SELECT * FROM accounts WHERE id = ?1")?;
    find.query_row([id.to_bytes()], read_account).optional()
}

fn read_account(row: &Row<'_>) -> Result<Account> {
    Ok(Account {
        opened_ms: row.get(1)?,
        changed_ms: row.get(2)?,
        debits_pending: amount(row, 3)?,
        debits_posted: amount(row, 4)?,
        credits_pending: amount(row, 5)?,
        credits_posted: amount(row, 6)?,
    })
}

pub(super) fn counter(connection: &Connection, name: &[u8; 32]) -> Result<Option<u64>> {
    let mut find = connection.prepare_cached("SELECT value FROM counters WHERE name = ?1")?;
    find.query_row([name], |row| row.get(0)).optional()
}

pub(super) fn hold(connection: &Connection, id: Id) -> Result<Option<Hold>> {
    let mut find = connection.prepare_cached(
        "SELECT debit, credit, amount, rule, expires_ms, state FROM holds WHERE id = ?1",
    )?;
    let read = |row: &Row<'_>| {
        let state = HoldState::from_code(row.get(5)?).ok_or_else(|| strange(5, "state"))?;
        Ok(Hold { leg: leg(row, 0)?, expires_ms: row.get(4)?, state })
    };
    find.query_row([id.as_bytes()], read).optional()
}

pub(super) fn lines(
    connection: &Connection,
    account: AccountId,
    after: Option<Place>,
    limit: usize,
) -> Result<Vec<Line>> {
    // Each side through its own index, and no more of either than is asked for.
    let mut find = connection.prepare_cached(
        "SELECT t.debit, t.credit, t.amount, t.rule, t.at_ms, t.entry, t.leg, e.reason FROM (
            SELECT * FROM (SELECT * FROM transfers WHERE debit = ?1 AND (at_ms, entry, leg) > (?2, ?3, ?4)
                ORDER BY at_ms, entry, leg LIMIT ?5)
            UNION ALL
            SELECT * FROM (SELECT * FROM transfers WHERE credit = ?1 AND (at_ms, entry, leg) > (?2, ?3, ?4)
                ORDER BY at_ms, entry, leg LIMIT ?5)
         ) t JOIN entries e ON e.id = t.entry ORDER BY t.at_ms, t.entry, t.leg LIMIT ?5",
    )?;
    let (at_ms, entry, leg_after) =
        after.map_or((-1, Id::default(), 0), |(at_ms, entry, leg)| (clamp(at_ms), entry, leg));
    let read = |row: &Row<'_>| {
        let entry = Id::from_bytes(row.get(5)?);
        let moved = Moved { entry, leg: row.get(6)?, at_ms: row.get(4)?, moved: leg(row, 0)? };
        Ok(Line { moved, reason: row.get(7)? })
    };
    let values = params![account.to_bytes(), at_ms, entry.as_bytes(), leg_after, limit];
    find.query_map(values, read)?.collect()
}

/// Keeps a deed that has the form of one.
pub(super) fn keep(connection: &Connection, deed: &Deed) -> Result<Result<Applied, Refusal>> {
    let mut put = connection.prepare_cached(
        "INSERT INTO deeds SELECT ?1, ?2, ?3 WHERE (SELECT count(*) FROM deeds WHERE name = ?1) < ?4
         ON CONFLICT DO NOTHING",
    )?;
    if put.execute(params![deed.name, deed.from_ms, deed.text, DEEDS_MAX])? == 1 {
        return Ok(Ok(Applied::New));
    }
    let mut find =
        connection.prepare_cached("SELECT text FROM deeds WHERE name = ?1 AND from_ms = ?2")?;
    let known: Option<String> =
        find.query_row(params![deed.name, deed.from_ms], |row| row.get(0)).optional()?;
    Ok(deed.known(known.as_deref()))
}

pub(super) fn deed(connection: &Connection, name: [u8; 32], at_ms: u64) -> Result<Option<Deed>> {
    let mut find = connection.prepare_cached(
        "SELECT from_ms, text FROM deeds WHERE name = ?1 AND from_ms <= ?2 ORDER BY from_ms DESC LIMIT 1",
    )?;
    let read = |row: &Row<'_>| Ok(Deed { name, from_ms: row.get(0)?, text: row.get(1)? });
    find.query_row(params![name, clamp(at_ms)], read).optional()
}

pub(super) fn sums(connection: &Connection) -> Result<Sums> {
    // One transaction, so that all is of one moment.
    let view = connection.unchecked_transaction()?;
    let mut sums = Sums::default();
    let mut all = view.prepare("SELECT * FROM accounts")?;
    let mut rows = all.query([])?;
    while let Some(row) = rows.next()? {
        sums.accounts.insert(account_id(row, 0)?, read_account(row)?);
    }
    for (sql, into) in [
        ("SELECT debit, credit, amount FROM transfers", &mut sums.posted),
        ("SELECT debit, credit, amount FROM holds WHERE state = 0", &mut sums.pending),
    ] {
        let mut all = view.prepare(sql)?;
        let mut rows = all.query([])?;
        while let Some(row) = rows.next()? {
            let amount = i128::from(row.get::<_, i64>(2)?);
            into.entry(account_id(row, 0)?).or_default().0 += amount;
            into.entry(account_id(row, 1)?).or_default().1 += amount;
        }
    }
    let count = |table| view.query_row(&format!("SELECT count(*) FROM {table}"), [], |r| r.get(0));
    (sums.entries, sums.transfers) = (count("entries")?, count("transfers")?);
    Ok(sums)
}

/// Times above 2^63 are nobody's.
fn clamp(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn strange(column: usize, what: &str) -> rusqlite::Error {
    let cause = format!("no {what} that this version knows");
    rusqlite::Error::FromSqlConversionFailure(column, Type::Null, cause.into())
}

fn amount(row: &Row<'_>, column: usize) -> Result<Micro> {
    Micro::new(row.get(column)?).ok_or_else(|| strange(column, "amount"))
}

fn account_id(row: &Row<'_>, column: usize) -> Result<AccountId> {
    let bytes: [u8; 33] = row.get(column)?;
    AccountId::from_bytes(&bytes).ok_or_else(|| strange(column, "account"))
}

/// Four columns from `first`: debit, credit, amount, rule.
fn leg(row: &Row<'_>, first: usize) -> Result<Leg> {
    Ok(Leg {
        debit: account_id(row, first)?,
        credit: account_id(row, first + 1)?,
        amount: amount(row, first + 2)?,
        rule: Rule::from_code(row.get(first + 3)?).ok_or_else(|| strange(first + 3, "rule"))?,
    })
}
