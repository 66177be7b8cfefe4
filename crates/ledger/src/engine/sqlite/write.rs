//! Writing what came of a group, table by table.

use super::Error;
use super::memory::Rows;
use super::several;
use crate::engine::decide::WorkingSet;
use crate::engine::seal::Seal;
use crate::journal::encode::{self, day_of};
use crate::journal::limits::{counter_text, limits_text};
use crate::journal::standings::repo::lacking_sql;
use kernel::Timestamp;
use ledger_api::{AccountId, Hold};
use rusqlite::{Connection, Row, params};
use uuid::Uuid;

pub(super) fn write(
    tx: &Connection,
    set: &WorkingSet,
    seal: &Seal,
    rows: &Rows,
) -> Result<(), Error> {
    write_accounts(tx, set)?;
    write_changes(tx, set)?;
    write_holds(tx, set)?;
    write_transactions(tx, set)?;
    write_entries(tx, set)?;
    write_usages(tx, set)?;
    write_head(tx, set, seal)?;
    write_rows(tx, rows)
}

/// What the row of an account lacks ([`lacking_sql`]): what is to be added to what was posted and to the number
/// of its entries, and what stands instead of the others.
struct Lacking {
    id: Uuid,
    account: i64,
    added: [i64; 3],
    last_entry: Option<i64>,
    pending: [Option<i64>; 2],
    last_hold: Option<i64>,
}

/// Makes all rows from what they lack of the records after `journal_head.states_through`; tells the accounts
/// whose rows cannot be made, because the database refuses them.
pub(super) fn catch_up(tx: &Connection) -> Result<Vec<AccountId>, Error> {
    let mut statement = tx.prepare(&lacking_sql())?;
    let columns = |row: &Row<'_>| {
        Ok(Lacking {
            id: row.get("id")?,
            account: row.get("account_sequence")?,
            added: [row.get("debits")?, row.get("credits")?, row.get("entry_count")?],
            last_entry: row.get("last_entry")?,
            pending: [row.get("pending_debits")?, row.get("pending_credits")?],
            last_hold: row.get("last_hold")?,
        })
    };
    let rows: Vec<Lacking> = statement.query_map([], columns)?.collect::<Result<_, _>>()?;
    let mut state = tx.prepare(
        "update account_states set posted_debits = posted_debits + ?2, \
         posted_credits = posted_credits + ?3, entry_count = entry_count + ?4, \
         last_entry = coalesce(?5, last_entry), pending_debits = coalesce(?6, pending_debits), \
         pending_credits = coalesce(?7, pending_credits), \
         last_hold = coalesce(?8, last_hold) \
         where account_sequence = ?1",
    )?;
    let mut damaged = Vec::new();
    for Lacking { id, account, added, last_entry, pending, last_hold } in rows {
        let ([debits, credits, count], [held_debits, held_credits]) = (added, pending);
        let values = params![
            account,
            debits,
            credits,
            count,
            last_entry,
            held_debits,
            held_credits,
            last_hold
        ];
        match state.execute(values).map_err(Error::from) {
            Ok(_) => {}
            Err(error) if error.is_about_data() => {
                tracing::error!(account = %id, %error, "the row of an account is damaged");
                damaged.push(AccountId(id));
            }
            Err(error) => return Err(error),
        }
    }
    if damaged.is_empty() {
        tx.execute("update journal_head set states_through = null where id = 1", [])?;
    }
    Ok(damaged)
}

/// Writes where accounts stand.
pub(super) fn write_rows(tx: &Connection, rows: &Rows) -> Result<(), Error> {
    let mut state = tx.prepare_cached(
        "update account_states set posted_debits = ?2, posted_credits = ?3, pending_debits = ?4, \
         pending_credits = ?5, last_entry = ?6, entry_count = ?7, last_hold = ?8 \
         where account_sequence = ?1",
    )?;
    for (sequence, standing) in &rows.standings {
        state.execute(params![
            sequence,
            standing.balances.posted_debits,
            standing.balances.posted_credits,
            standing.balances.pending_debits,
            standing.balances.pending_credits,
            standing.last_entry,
            standing.entry_count,
            standing.last_hold,
        ])?;
    }
    tx.prepare_cached("update journal_head set states_through = ?1 where id = 1")?
        .execute([rows.states_through])?;
    Ok(())
}

fn write_head(tx: &Connection, set: &WorkingSet, seal: &Seal) -> Result<(), Error> {
    let mut root =
        tx.prepare_cached("insert into tree_nodes (level, node_index, root) values (?1, ?2, ?3)")?;
    for (node, hash) in &seal.nodes {
        root.execute(params![node.level, node.index.cast_signed(), hash])?;
    }
    let (sequence, recorded_at) = (set.head.last_sequence, set.head.last_recorded_at.as_micros());
    tx.prepare_cached(
        "insert into journal_groups (last_sequence, recorded_at, link) values (?1, ?2, ?3)",
    )?
    .execute(params![sequence, recorded_at, seal.link])?;
    tx.prepare_cached(
        "update journal_head set last_sequence = ?1, last_recorded_at = ?2, tree_size = ?1, \
         tree_peaks = ?3, link = ?4 where id = 1",
    )?
    .execute(params![sequence, recorded_at, seal.peaks, seal.link])?;
    Ok(())
}

fn write_accounts(tx: &Connection, set: &WorkingSet) -> Result<(), Error> {
    let mut account = tx.prepare_cached(
        "insert into accounts (sequence, id, name, opened_at) values (?1, ?2, ?3, ?4)",
    )?;
    let mut state = tx.prepare_cached(
        "insert into account_states \
         (account_sequence, currency_code, normal_side, status, lowest_available) \
         values (?1, ?2, ?3, ?4, ?5)",
    )?;
    for (sequence, new) in &set.new_accounts {
        account.execute(params![sequence, new.id.0, new.name, new.opened_at.as_micros()])?;
        state.execute(params![
            sequence,
            new.currency.code(),
            encode::side_number(new.normal_side),
            encode::status_word(new.status),
            new.constraint.lowest_available(),
        ])?;
    }
    Ok(())
}

fn write_changes(tx: &Connection, set: &WorkingSet) -> Result<(), Error> {
    let mut change = tx.prepare_cached(
        "insert into account_changes (sequence, account_sequence, status, reason, changed_at) \
         values (?1, ?2, ?3, ?4, ?5)",
    )?;
    let mut status =
        tx.prepare_cached("update account_states set status = ?2 where account_sequence = ?1")?;
    for new in &set.new_changes {
        let word = encode::status_word(new.status);
        change.execute(params![
            new.sequence,
            new.account_sequence,
            word,
            new.reason,
            new.changed_at.as_micros(),
        ])?;
        status.execute(params![new.account_sequence, word])?;
    }
    let mut change = tx.prepare_cached(
        "insert into limit_changes (sequence, account_sequence, limits, changed_at) \
         values (?1, ?2, ?3, ?4)",
    )?;
    let mut limits =
        tx.prepare_cached("update account_states set limits = ?2 where account_sequence = ?1")?;
    for new in &set.new_limit_changes {
        let text = limits_text(&new.limits);
        let changed_at = new.changed_at.as_micros();
        change.execute(params![new.sequence, new.account_sequence, text, changed_at])?;
        limits.execute(params![new.account_sequence, text])?;
    }
    Ok(())
}

fn write_holds(tx: &Connection, set: &WorkingSet) -> Result<(), Error> {
    let holds: Vec<&Hold> = set.holds_to_add().collect();
    let into = "holds (sequence, id, kind, description, reference, metadata, tolerance, expires_at, \
                created_at, initiated_by)";
    several::insert(tx, into, 10, &holds, |new, values| {
        values.put(new.sequence)?;
        values.put(new.id.0)?;
        values.put(&new.kind)?;
        values.put(&new.description)?;
        values.put(&new.reference)?;
        values.put(encode::metadata_text(&new.metadata))?;
        values.put(new.tolerance)?;
        values.put(new.expires_at.map(Timestamp::as_micros))?;
        values.put(new.created_at.as_micros())?;
        values.put(new.initiated_by.map(|user| user.0))
    })?;
    let into = "hold_legs (hold_sequence, leg_no, account_sequence, amount, previous)";
    several::insert(tx, into, 5, &set.new_hold_legs, |leg, values| {
        values.put(leg.hold_sequence)?;
        values.put(leg.leg_no)?;
        values.put(leg.account_sequence)?;
        values.put(leg.amount)?;
        values.put(leg.previous)
    })?;
    let into = "hold_states (hold_sequence, status, captured, ended_by, expires_at)";
    several::insert(tx, into, 5, &holds, |new, values| {
        values.put(new.sequence)?;
        values.put(encode::hold_status_word(new.status))?;
        values.put(new.captured)?;
        values.put(new.ended_by)?;
        values.put(new.expires_at.map(Timestamp::as_micros))
    })?;
    let mut state = tx.prepare_cached(
        "update hold_states set status = ?2, captured = ?3, ended_by = ?4 where hold_sequence = ?1",
    )?;
    for changed in set.changed_holds() {
        let status = encode::hold_status_word(changed.status);
        state.execute(params![changed.sequence, status, changed.captured, changed.ended_by])?;
    }
    let mut change = tx.prepare_cached(
        "insert into hold_changes (sequence, hold_sequence, status, reason, changed_at, initiated_by) \
         values (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    for new in &set.new_hold_changes {
        change.execute(params![
            new.sequence,
            new.hold_sequence,
            encode::hold_status_word(new.status),
            new.reason,
            new.changed_at.as_micros(),
            new.initiated_by.map(|user| user.0),
        ])?;
    }
    Ok(())
}

fn write_transactions(tx: &Connection, set: &WorkingSet) -> Result<(), Error> {
    let into = "transactions (sequence, id, kind, description, reference, metadata, effective_at, \
                recorded_at, reverses, captures, initiated_by)";
    several::insert(tx, into, 11, &set.new_transactions, |new, values| {
        values.put(new.sequence)?;
        values.put(new.id.0)?;
        values.put(&new.kind)?;
        values.put(&new.description)?;
        values.put(&new.reference)?;
        values.put(encode::metadata_text(&new.metadata))?;
        values.put(new.effective_at.as_micros())?;
        values.put(new.recorded_at.as_micros())?;
        values.put(new.reverses.map(|original| original.0))?;
        values.put(new.captures.map(|hold| hold.0))?;
        values.put(new.initiated_by.map(|user| user.0))
    })?;
    let mut metadata = tx.prepare_cached(
        "insert into transaction_metadata (name, value, transaction_sequence) values (?1, ?2, ?3)",
    )?;
    for new in &set.new_transactions {
        for (name, value) in encode::searchable(&new.metadata) {
            metadata.execute(params![name, value, new.sequence])?;
        }
    }
    Ok(())
}

fn write_entries(tx: &Connection, set: &WorkingSet) -> Result<(), Error> {
    let into = "entries (entry_key, account_sequence, amount, balance_after, previous)";
    several::insert(tx, into, 5, &set.new_entries, |new, values| {
        values.put(new.entry_key)?;
        values.put(new.account_sequence)?;
        values.put(new.amount)?;
        values.put(new.balance_after)?;
        values.put(new.previous)
    })?;
    let mut mark =
        tx.prepare_cached("insert into entry_marks (account_sequence, entry_key) values (?1, ?2)")?;
    for new in set.new_entries.iter().filter(|new| new.is_mark) {
        mark.execute([new.account_sequence, new.entry_key])?;
    }
    let mut shift = tx.prepare_cached(
        "insert into shifted_entries \
         (account_sequence, entry_key, effective_at, amount, shifted_after) \
         values (?1, ?2, ?3, ?4, ?4 + coalesce((select shifted_after from shifted_entries \
                 where account_sequence = ?1 order by entry_key desc limit 1), 0))",
    )?;
    let mut day = tx.prepare_cached(
        "insert into shifted_days (account_sequence, day, amount) values (?1, ?2, ?3) \
         on conflict (account_sequence, day) do update set amount = amount + excluded.amount",
    )?;
    for new in &set.new_shifts {
        let account = new.account_sequence;
        shift.execute([account, new.entry_key, new.effective_at.as_micros(), new.amount])?;
        day.execute([account, day_of(new.effective_at), new.amount])?;
    }
    Ok(())
}

fn write_usages(tx: &Connection, set: &WorkingSet) -> Result<(), Error> {
    let mut usage = tx.prepare_cached(
        "insert into limit_usages \
         (account_sequence, counter, period_start, minor_units, uses, counts_from) \
         values (?1, ?2, ?3, ?4, ?5, ?6) on conflict (account_sequence, counter) do update set \
         period_start = ?3, minor_units = ?4, uses = ?5, counts_from = ?6",
    )?;
    for (account_sequence, used) in set.changed_usages() {
        usage.execute(params![
            account_sequence,
            counter_text(used),
            used.period_start.as_micros(),
            used.minor_units,
            used.uses,
            used.counts_from,
        ])?;
    }
    Ok(())
}
