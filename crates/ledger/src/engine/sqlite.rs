//! Writing a group on SQLite: one connection, prepared statements, one fsync.

use super::Decisions;
use super::decide::{AccountState, Head, WorkingSet};
use super::group::Group;
use crate::journal::encode::{self, ACCOUNT_COLUMNS, AccountRow};
use kernel::{Clock, Timestamp};
use ledger_api::{AccountId, Balances, Leg, Transaction, TransactionId};
use rusqlite::{Connection, OptionalExtension, Row, TransactionBehavior, params};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use store::StoreError;
use uuid::Uuid;

/// How long to wait for another process that holds the write lock (a migration, a backup).
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// Statements kept prepared; the engine uses about a dozen.
const STATEMENTS_MAX: usize = 32;

#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("the ledger's database refused: {0}")]
    Database(#[from] rusqlite::Error),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Error {
    /// Whether a command or the rows it touches are the cause, rather than the database itself.
    pub(super) fn is_about_data(&self) -> bool {
        match self {
            Self::Database(error) => {
                error.sqlite_error_code() == Some(rusqlite::ErrorCode::ConstraintViolation)
            }
            Self::Store(_) => true,
        }
    }
}

pub(super) struct Writer {
    connection: Connection,
    clock: Arc<dyn Clock>,
}

impl Writer {
    pub(super) fn open(path: &Path, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let connection = Connection::open(path)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.pragma_update(None, "journal_mode", "wal")?;
        connection.pragma_update(None, "synchronous", "full")?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
        Ok(Self { connection, clock })
    }

    /// Decides the commands and writes what came of them; durable when this returns.
    pub(super) fn commit(&mut self, group: &Group) -> Result<Decisions, Error> {
        // Dropped on any error below, the transaction leaves nothing behind.
        let tx = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        // The clock is read under the lock: a deadline that has passed for one command has passed for
        // all that are decided after it.
        let mut set = WorkingSet::new(read_head(&tx)?, self.clock.now());
        load(&tx, group, &mut set)?;
        let decisions = group.commands.iter().map(|command| set.decide(command)).collect();
        if set.is_changed() {
            write(&tx, &set)?;
            tx.commit()?;
        }
        Ok(decisions)
    }
}

fn read_head(tx: &Connection) -> Result<Head, Error> {
    let sql = "select last_sequence, last_recorded_at from journal_head where id = 1";
    Ok(tx.prepare_cached(sql)?.query_row([], |row| {
        Ok(Head {
            last_sequence: row.get(0)?,
            last_recorded_at: Timestamp::from_micros(row.get(1)?),
        })
    })?)
}

fn load(tx: &Connection, group: &Group, set: &mut WorkingSet) -> Result<(), Error> {
    for id in group.transaction_ids() {
        if let Some(transaction) = load_transaction(tx, id)? {
            set.existing_transactions.insert(id, transaction);
        }
    }
    for id in group.original_ids() {
        set.reversed.insert(id, load_reversed(tx, id)?);
    }
    for id in group.account_ids(&set.existing_transactions) {
        if let Some(state) = load_state(tx, id)? {
            set.accounts.insert(id, state);
        }
    }
    for id in group.subject_ids() {
        let sql = format!("select {ACCOUNT_COLUMNS} where a.id = ?1");
        if let Some(row) = tx.prepare_cached(&sql)?.query_row([id.0], account_row).optional()? {
            set.existing_accounts.insert(id, row.into_account()?);
        }
    }
    Ok(())
}

fn load_reversed(tx: &Connection, original: TransactionId) -> Result<i64, Error> {
    Ok(tx.prepare_cached(REVERSED_SQL)?.query_row([original.0], |row| row.get(0))?)
}

/// How much was taken back of a transaction, in minor units of the first leg.
pub(super) const REVERSED_SQL: &str = "select coalesce(sum(abs(e.amount)), 0) from transactions t \
     join entries e on e.transaction_sequence = t.sequence and e.leg_no = 0 where t.reverses = ?1";

fn load_state(tx: &Connection, id: AccountId) -> Result<Option<AccountState>, Error> {
    let sql = "select a.sequence, s.currency_code, s.normal_side, s.status, s.lowest_available, \
               s.posted_debits, s.posted_credits, s.pending_debits, s.pending_credits \
               from accounts a join account_states s on s.account_sequence = a.sequence \
               where a.id = ?1";
    let mut statement = tx.prepare_cached(sql)?;
    let mut rows = statement.query([id.0])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    Ok(Some(AccountState {
        sequence: row.get(0)?,
        currency: encode::currency_from(row.get_ref(1)?.as_str().unwrap_or_default(), id.0)?,
        normal_side: encode::side_from(row.get(2)?, id.0)?,
        status: encode::status_from(row.get_ref(3)?.as_str().unwrap_or_default(), id.0)?,
        lowest_available: row.get(4)?,
        balances: Balances {
            posted_debits: row.get(5)?,
            posted_credits: row.get(6)?,
            pending_debits: row.get(7)?,
            pending_credits: row.get(8)?,
        },
        changed: false,
    }))
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

fn load_transaction(tx: &Connection, id: TransactionId) -> Result<Option<Transaction>, Error> {
    let sql = "select sequence, kind, description, reference, metadata, effective_at, recorded_at, \
               reverses from transactions where id = ?1";
    let mut statement = tx.prepare_cached(sql)?;
    let mut rows = statement.query([id.0])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let sequence = row.get(0)?;
    let metadata: Option<String> = row.get(4)?;
    Ok(Some(Transaction {
        id,
        sequence,
        kind: row.get(1)?,
        description: row.get(2)?,
        reference: row.get(3)?,
        metadata: encode::metadata_from(metadata.as_deref(), id.0)?,
        effective_at: Timestamp::from_micros(row.get(5)?),
        recorded_at: Timestamp::from_micros(row.get(6)?),
        legs: load_legs(tx, sequence)?,
        reverses: row.get::<_, Option<Uuid>>(7)?.map(TransactionId),
    }))
}

fn load_legs(tx: &Connection, sequence: i64) -> Result<Vec<Leg>, Error> {
    let sql = "select a.id, e.amount, s.currency_code from entries e \
               join accounts a on a.sequence = e.account_sequence \
               join account_states s on s.account_sequence = a.sequence \
               where e.transaction_sequence = ?1 order by e.leg_no";
    let mut statement = tx.prepare_cached(sql)?;
    let mut rows = statement.query([sequence])?;
    let mut legs = Vec::new();
    while let Some(row) = rows.next()? {
        let account: Uuid = row.get(0)?;
        legs.push(encode::leg_from(account, row.get(1)?, &row.get::<_, String>(2)?)?);
    }
    Ok(legs)
}

fn write(tx: &Connection, set: &WorkingSet) -> Result<(), Error> {
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
    let mut transaction = tx.prepare_cached(
        "insert into transactions \
         (sequence, id, kind, description, reference, metadata, effective_at, recorded_at, \
          reverses) \
         values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?;
    for new in set.transactions_to_write() {
        transaction.execute(params![
            new.sequence,
            new.id.0,
            new.kind,
            new.description,
            new.reference,
            encode::metadata_text(&new.metadata),
            new.effective_at.as_micros(),
            new.recorded_at.as_micros(),
            new.reverses.map(|original| original.0),
        ])?;
    }
    let mut entry = tx.prepare_cached(
        "insert into entries \
         (transaction_sequence, leg_no, account_sequence, amount, balance_after) \
         values (?1, ?2, ?3, ?4, ?5)",
    )?;
    for new in &set.new_entries {
        entry.execute(params![
            new.transaction_sequence,
            new.leg_no,
            new.account_sequence,
            new.amount,
            new.balance_after,
        ])?;
    }
    let mut balances = tx.prepare_cached(
        "update account_states set posted_debits = ?2, posted_credits = ?3 \
         where account_sequence = ?1",
    )?;
    for changed in set.changed_accounts() {
        balances.execute(params![
            changed.sequence,
            changed.balances.posted_debits,
            changed.balances.posted_credits,
        ])?;
    }
    tx.prepare_cached(
        "update journal_head set last_sequence = ?1, last_recorded_at = ?2 where id = 1",
    )?
    .execute(params![set.head.last_sequence, set.head.last_recorded_at.as_micros()])?;
    Ok(())
}
