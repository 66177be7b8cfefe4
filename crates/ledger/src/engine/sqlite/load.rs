//! Reading what a group is about, row by row.

use super::Error;
use super::memory::Memory;
use crate::engine::cache::Greatest;
use crate::engine::decide::{AccountState, HoldState, LimitedAccount, Standing, Usage, WorkingSet};
use crate::engine::group::Group;
use crate::engine::needs::Needs;
use crate::journal::encode::{
    self, ACCOUNT_COLUMNS, ACCOUNT_TABLES, AccountRow, HOLD_COLUMNS, HoldRow,
};
use crate::journal::limits::{limits_from, usage_from};
use kernel::{Timestamp, UserId};
use ledger_api::{AccountId, Balances, EntryKey, Hold, HoldId, Leg, Transaction, TransactionId};
use rusqlite::{Connection, OptionalExtension, Row, Statement};
use std::sync::Arc;
use store::StoreError;
use uuid::Uuid;

pub(super) fn load(
    tx: &Connection,
    group: &Group,
    memory: &Memory,
    set: &mut WorkingSet,
) -> Result<(), Error> {
    let mut needs = Needs::of(&group.commands);
    let known = memory.read().greatest();
    let greatest = match known {
        Some(greatest) => greatest,
        None => load_greatest(tx)?,
    };
    if known.is_none() {
        memory.write().set_greatest(greatest);
    }
    needs.leave_out_new(greatest);
    let mut by_id = tx.prepare_cached(TRANSACTION_SQL)?;
    for id in &needs.transactions {
        if let Some(transaction) = load_transaction(tx, &mut by_id, *id)? {
            set.existing_transactions.insert(*id, Arc::new(transaction));
        }
    }
    for id in &needs.originals {
        let reversed = tx.prepare_cached(REVERSED_SQL)?.query_row([id.0], |row| row.get(0))?;
        set.reversed.insert(*id, reversed);
    }
    let unknown = memory.read().fill_holds(set, &needs.holds);
    for id in unknown {
        if let Some(hold) = load_hold(tx, id)? {
            set.holds.insert(id, HoldState { hold, is_new: false, changed: false });
        }
    }
    needs.add_touched(
        needs
            .originals
            .clone()
            .iter()
            .filter_map(|id| set.existing_transactions.get(id))
            .map(Arc::as_ref),
        set.holds.values().map(|state| &state.hold),
    );
    let mut by_id = tx.prepare_cached(STATE_SQL)?;
    let unknown = memory.read().fill_accounts(set, &needs.accounts);
    for id in unknown {
        if memory.is_damaged(id) {
            return Err(StoreError::inconsistent("account_states", "account_sequence", id.0).into());
        }
        if let Some(state) = load_state(tx, &mut by_id, id)? {
            set.accounts.insert(id, state);
        }
    }
    for id in &needs.subjects {
        let sql = format!("select {ACCOUNT_COLUMNS} {ACCOUNT_TABLES} where a.id = ?1");
        if let Some(row) = tx.prepare_cached(&sql)?.query_row([id.0], account_row).optional()? {
            set.existing_accounts.insert(*id, row.into_account()?);
        }
    }
    Ok(())
}

fn load_greatest(tx: &Connection) -> Result<Greatest, Error> {
    let sql = "select (select max(id) from transactions), (select max(id) from holds)";
    let ids = |row: &Row<'_>| Ok((row.get::<_, Option<Uuid>>(0)?, row.get::<_, Option<Uuid>>(1)?));
    let (transaction, hold) = tx.prepare_cached(sql)?.query_row([], ids)?;
    Ok(Greatest {
        transaction: TransactionId(transaction.unwrap_or_default()),
        hold: HoldId(hold.unwrap_or_default()),
    })
}

/// How much was taken back of a transaction, in minor units of the first leg.
pub(in crate::engine) const REVERSED_SQL: &str = "select coalesce(sum(abs(e.amount)), 0) from transactions t \
     join entries e on e.entry_key = t.sequence * 1024 where t.reverses = ?1";

const STATE_SQL: &str = "select a.sequence, s.currency_code, s.normal_side, s.status, \
     s.lowest_available, s.posted_debits, s.posted_credits, s.pending_debits, s.pending_credits, \
     s.last_entry, s.last_hold, s.entry_count, s.limits \
     from accounts a join account_states s on s.account_sequence = a.sequence where a.id = ?1";

fn load_state(
    tx: &Connection,
    by_id: &mut Statement<'_>,
    id: AccountId,
) -> Result<Option<AccountState>, Error> {
    let mut rows = by_id.query([id.0])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let sequence = row.get(0)?;
    let limits: Option<String> = row.get(12)?;
    Ok(Some(AccountState {
        sequence,
        currency: encode::currency_from(row.get_ref(1)?.as_str().unwrap_or_default(), id.0)?,
        normal_side: encode::side_from(row.get(2)?, id.0)?,
        status: encode::status_from(row.get_ref(3)?.as_str().unwrap_or_default(), id.0)?,
        lowest_available: row.get(4)?,
        standing: Standing {
            balances: Balances {
                posted_debits: row.get(5)?,
                posted_credits: row.get(6)?,
                pending_debits: row.get(7)?,
                pending_credits: row.get(8)?,
            },
            last_entry: row.get(9)?,
            last_hold: row.get(10)?,
            entry_count: row.get(11)?,
            changed: false,
        },
        limited: limits.map(|text| load_limits(tx, &text, sequence)).transpose()?,
    }))
}

fn load_limits(
    tx: &Connection,
    text: &str,
    account_sequence: i64,
) -> Result<Box<LimitedAccount>, Error> {
    let sql = "select counter, period_start, minor_units, uses, counts_from from limit_usages \
               where account_sequence = ?1";
    let mut statement = tx.prepare_cached(sql)?;
    let mut rows = statement.query([account_sequence])?;
    let mut usages: Vec<Usage> = Vec::new();
    while let Some(row) = rows.next()? {
        let used = (row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?);
        usages.push(usage_from(&row.get::<_, String>(0)?, used, account_sequence)?);
    }
    Ok(Box::new(LimitedAccount { limits: limits_from(text, account_sequence)?, usages }))
}

fn account_row(row: &Row<'_>) -> rusqlite::Result<AccountRow> {
    Ok(AccountRow {
        sequence: row.get(0)?,
        id: row.get(1)?,
        name: row.get(2)?,
        opened_at: row.get(3)?,
        currency_code: row.get(4)?,
        normal_side: row.get(5)?,
        status: row.get(6)?,
        lowest_available: row.get(7)?,
        posted_debits: row.get(8)?,
        posted_credits: row.get(9)?,
        pending_debits: row.get(10)?,
        pending_credits: row.get(11)?,
    })
}

const TRANSACTION_SQL: &str = "select sequence, kind, description, reference, metadata, \
     effective_at, recorded_at, reverses, captures, initiated_by from transactions where id = ?1";

fn load_transaction(
    tx: &Connection,
    by_id: &mut Statement<'_>,
    id: TransactionId,
) -> Result<Option<Transaction>, Error> {
    let mut rows = by_id.query([id.0])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let sequence: i64 = row.get(0)?;
    let metadata: Option<String> = row.get(4)?;
    let legs = "select a.id, e.amount, s.currency_code from entries e \
                join accounts a on a.sequence = e.account_sequence \
                join account_states s on s.account_sequence = a.sequence \
                where e.entry_key between ?1 and ?2 order by e.entry_key";
    let keys = [EntryKey::new(sequence, 0).0, EntryKey::last_of(sequence).0];
    Ok(Some(Transaction {
        id,
        sequence,
        kind: row.get(1)?,
        description: row.get(2)?,
        reference: row.get(3)?,
        metadata: encode::metadata_from(metadata.as_deref(), id.0)?,
        effective_at: Timestamp::from_micros(row.get(5)?),
        recorded_at: Timestamp::from_micros(row.get(6)?),
        legs: load_legs(tx, legs, keys)?,
        reverses: row.get::<_, Option<Uuid>>(7)?.map(TransactionId),
        captures: row.get::<_, Option<Uuid>>(8)?.map(HoldId),
        initiated_by: row.get::<_, Option<Uuid>>(9)?.map(UserId),
    }))
}

fn load_hold(tx: &Connection, id: HoldId) -> Result<Option<Hold>, Error> {
    let sql = format!("select {HOLD_COLUMNS} where h.id = ?1");
    let mut statement = tx.prepare_cached(&sql)?;
    let mut rows = statement.query([id.0])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let row = HoldRow {
        sequence: row.get(0)?,
        id: row.get(1)?,
        kind: row.get(2)?,
        description: row.get(3)?,
        reference: row.get(4)?,
        metadata: row.get(5)?,
        tolerance: row.get(6)?,
        expires_at: row.get(7)?,
        created_at: row.get(8)?,
        status: row.get(9)?,
        captured: row.get(10)?,
        ended_by: row.get(11)?,
        initiated_by: row.get(12)?,
        released_by: row.get(13)?,
    };
    let legs = "select a.id, l.amount, s.currency_code from hold_legs l \
                join accounts a on a.sequence = l.account_sequence \
                join account_states s on s.account_sequence = a.sequence \
                where l.hold_sequence = ?1 and l.leg_no >= ?2 order by l.leg_no";
    let legs = load_legs(tx, legs, [row.sequence, 0])?;
    Ok(Some(row.into_hold(legs)?))
}

fn load_legs(tx: &Connection, sql: &str, range: [i64; 2]) -> Result<Vec<Leg>, Error> {
    let mut statement = tx.prepare_cached(sql)?;
    let mut rows = statement.query(range)?;
    let mut legs = Vec::new();
    while let Some(row) = rows.next()? {
        let account: Uuid = row.get(0)?;
        legs.push(encode::leg_from(account, row.get(1)?, &row.get::<_, String>(2)?)?);
    }
    Ok(legs)
}
