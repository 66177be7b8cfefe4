//! Writing a group on SQLite: one connection, prepared statements, one fsync.

mod load;
mod write;

#[cfg(test)]
pub(super) use load::REVERSED_SQL;

use super::Decisions;
use super::cache::Cache;
use super::decide::{Head, WorkingSet};
use super::group::Group;
use super::seal::Seal;
use super::tail::Tail;
use crate::history::History;
use kernel::{Clock, Timestamp};
use rusqlite::{Connection, TransactionBehavior};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use store::StoreError;

/// How long to wait for another process that holds the write lock (a migration, a backup).
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// Statements kept prepared; the engine uses about thirty.
const STATEMENTS_MAX: usize = 64;

/// The most memory of pages, in KiB (below zero, as the pragma wants it). Postings touch pages all over
/// the tables of accounts; those that do not fit are read and written again and again.
const PAGE_CACHE_KIB: i64 = -65_536;

/// How many pages may wait in the write-ahead log until they are copied into the database. A page that
/// changes in many groups is then copied once.
const CHECKPOINT_PAGES: i64 = 16_384;

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
    cache: Cache,
    clock: Arc<dyn Clock>,
    tail: Arc<Tail>,
}

impl Writer {
    pub(super) fn open(path: &Path, clock: Arc<dyn Clock>, tail: Arc<Tail>) -> Result<Self, Error> {
        let connection = Connection::open(path)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.pragma_update(None, "journal_mode", "wal")?;
        connection.pragma_update(None, "synchronous", "full")?;
        connection.pragma_update(None, "cache_size", PAGE_CACHE_KIB)?;
        connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
        // Without it `insert or replace` would go around the triggers that keep the journal as it is.
        connection.pragma_update(None, "recursive_triggers", true)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
        Ok(Self { connection, cache: Cache::default(), clock, tail })
    }

    /// Decides the commands and writes what came of them; durable when this returns.
    pub(super) fn commit(&mut self, group: &Group) -> Result<Decisions, Error> {
        // Dropped on any error below, the transaction leaves nothing behind.
        let tx = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        // The clock is read under the lock: a deadline that has passed for one command has passed for
        // all that are decided after it.
        let (head, history) = read_head(&tx)?;
        let mut set = WorkingSet::new(head, self.clock.now());
        self.cache.check(set.head);
        load::load(&tx, group, &mut self.cache, &mut set)?;
        let decisions = group.commands.iter().map(|command| set.decide(command)).collect();
        if set.is_changed() {
            write::write(&tx, &set, &Seal::of(history, &set))?;
            tx.commit()?;
            self.tail.push(&mut set);
        }
        self.cache.keep(set);
        Ok(decisions)
    }
}

fn read_head(tx: &Connection) -> Result<(Head, History), Error> {
    let mut statement = tx.prepare_cached(
        "select last_sequence, last_recorded_at, tree_size, tree_peaks, link \
         from journal_head where id = 1",
    )?;
    let mut rows = statement.query([])?;
    let row = rows.next()?.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
    let last_recorded_at = Timestamp::from_micros(row.get(1)?);
    let head = Head { last_sequence: row.get(0)?, last_recorded_at };
    let (peaks, link) = (row.get_ref(3)?.as_blob_or_null(), row.get_ref(4)?.as_blob_or_null());
    let (peaks, link) = (peaks.unwrap_or_default(), link.unwrap_or_default());
    Ok((head, History::from_columns(head.last_sequence, row.get(2)?, peaks, link)?))
}
