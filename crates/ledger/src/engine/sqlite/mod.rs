//! Writing a group on SQLite: one connection, prepared statements, one fsync.

mod behind;
mod load;
mod memory;
mod several;
mod write;

#[cfg(test)]
pub(super) use load::REVERSED_SQL;

use super::Decisions;
use super::cache::Standings;
use super::decide::{Head, WorkingSet};
use super::group::Group;
use super::seal::Seal;
use super::tail::Tail;
use crate::history::History;
use kernel::{Clock, Timestamp};
use ledger_api::AccountId;
use memory::Memory;
use rusqlite::{Connection, Transaction, TransactionBehavior};
use std::cell::Cell;
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
const PAGE_CACHE_KIB: i64 = -49_152;

/// How many pages may wait in the write-ahead log until they are copied into the database. A page that
/// changes in many groups is then copied once.
const CHECKPOINT_PAGES: i32 = 16_384;

thread_local! {
    /// How many pages waited in the log after this thread's last commit.
    static LOG_PAGES: Cell<i32> = const { Cell::new(0) };
}

#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("the ledger's database refused: {0}")]
    Database(#[from] rusqlite::Error),
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A defect, after which rows are made from entries and holds again.
    #[error("the row of account {} is behind, and nobody knows where it stands", .0.0)]
    Forgotten(AccountId),
}

impl Error {
    /// Whether a command or the rows it touches are the cause, rather than the database itself.
    pub(super) fn is_about_data(&self) -> bool {
        match self {
            Self::Database(error) => {
                error.sqlite_error_code() == Some(rusqlite::ErrorCode::ConstraintViolation)
            }
            Self::Store(_) => true,
            Self::Forgotten(_) => false,
        }
    }
}

pub(super) struct Writer {
    connection: Connection,
    memory: Memory,
    clock: Arc<dyn Clock>,
    tail: Arc<Tail>,
}

impl Writer {
    pub(super) fn open(
        path: &Path,
        clock: Arc<dyn Clock>,
        tail: Arc<Tail>,
        rows_at_once: usize,
    ) -> Result<Self, Error> {
        let connection = Connection::open(path)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.pragma_update(None, "journal_mode", "wal")?;
        connection.pragma_update(None, "synchronous", "full")?;
        connection.pragma_update(None, "cache_size", PAGE_CACHE_KIB)?;
        // SQLite itself would copy the log within a commit, whose answers would wait for it.
        connection.wal_hook(Some(|_, pages| {
            LOG_PAGES.set(pages);
            Ok(())
        }));
        // Without it `insert or replace` would go around the triggers that keep the journal as it is.
        connection.pragma_update(None, "recursive_triggers", true)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
        Ok(Self { connection, memory: Memory::new(rows_at_once), clock, tail })
    }

    pub(super) fn standings(&self) -> Standings {
        self.memory.standings()
    }

    pub(super) fn is_behind(&self) -> bool {
        self.memory.is_behind()
    }

    /// Decides the commands and writes what came of them; durable when this returns.
    pub(super) fn commit(&mut self, group: &Group) -> Result<Decisions, Error> {
        // Dropped on any error below, the transaction leaves nothing behind.
        let (tx, StoredHead { head, history, .. }) = begin(&self.connection, &mut self.memory)?;
        // The clock is read under the lock: a deadline that has passed for one command has passed for
        // all that are decided after it.
        let mut set = WorkingSet::new(head, self.clock.now());
        load::load(&tx, group, &self.memory, &mut set)?;
        let decisions = group.commands.iter().map(|command| set.decide(command)).collect();
        if set.is_changed() {
            let rows = self.memory.rows_to_write(head, &set)?;
            write::write(&tx, &set, &Seal::of(history, &set), &rows)?;
            tx.commit()?;
            self.tail.push(&mut set);
        }
        self.memory.end(set);
        Ok(decisions)
    }

    /// Copies the log into the database if it has become long; to be called between groups.
    pub(super) fn copy_long_log(&self) -> Result<(), Error> {
        if LOG_PAGES.get() < CHECKPOINT_PAGES {
            return Ok(());
        }
        // Passive: it waits for no reader, and what it leaves is copied after the next commit.
        self.connection.query_row("pragma wal_checkpoint(passive)", [], |_| Ok(()))?;
        LOG_PAGES.set(0);
        Ok(())
    }

    /// Writes rows that are behind, as many as a group may wait for, and tells whether any still are.
    pub(super) fn catch_up(&mut self) -> Result<bool, Error> {
        let (tx, StoredHead { head, .. }) = begin(&self.connection, &mut self.memory)?;
        let rows = self.memory.rows_behind()?;
        if !rows.standings.is_empty() {
            write::write_rows(&tx, &rows)?;
            tx.commit()?;
        }
        self.memory.end(WorkingSet::new(head, head.last_recorded_at));
        Ok(self.memory.is_behind())
    }
}

/// A transaction at the end of the journal, where nothing is behind that this engine does not know of.
fn begin<'connection>(
    connection: &'connection Connection,
    memory: &mut Memory,
) -> Result<(Transaction<'connection>, StoredHead), Error> {
    loop {
        let tx = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
        let stored = read_head(&tx)?;
        if !memory.begin(&tx, stored.head, stored.states_through)? {
            return Ok((tx, stored));
        }
        tx.commit()?;
        memory.end(WorkingSet::new(stored.head, stored.head.last_recorded_at));
    }
}

struct StoredHead {
    head: Head,
    history: History,
    /// See [`write::catch_up`].
    states_through: Option<i64>,
}

fn read_head(tx: &Connection) -> Result<StoredHead, Error> {
    let mut statement = tx.prepare_cached(
        "select last_sequence, last_recorded_at, tree_size, tree_peaks, link, states_through \
         from journal_head where id = 1",
    )?;
    let mut rows = statement.query([])?;
    let row = rows.next()?.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
    let last_recorded_at = Timestamp::from_micros(row.get(1)?);
    let head = Head { last_sequence: row.get(0)?, last_recorded_at };
    let (peaks, link) = (row.get_ref(3)?.as_blob_or_null(), row.get_ref(4)?.as_blob_or_null());
    let (peaks, link) = (peaks.unwrap_or_default(), link.unwrap_or_default());
    let history = History::from_columns(head.last_sequence, row.get(2)?, peaks, link)?;
    Ok(StoredHead { head, history, states_through: row.get(5)? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernel::ManualClock;
    use store::testing::TestDatabase;

    #[test]
    fn a_long_log_is_copied_into_the_database_and_a_short_one_is_not() {
        let database = TestDatabase::sqlite();
        let store::Target::Sqlite { folder } = database.target() else { panic!("not SQLite") };
        let path = folder.join("ledger.db");
        let clock = Arc::new(ManualClock::at(Timestamp::EPOCH));
        let writer = Writer::open(&path, clock, Arc::new(Tail::new()), 0).unwrap();
        let stored = || std::fs::metadata(&path).unwrap().len();
        let rows = "create table rows (content blob); insert into rows values (zeroblob(1000000))";
        writer.connection.execute_batch(rows).unwrap();
        assert!(LOG_PAGES.get() > 200);
        writer.copy_long_log().unwrap();
        assert!(stored() < 1_000_000);
        LOG_PAGES.set(CHECKPOINT_PAGES);
        writer.copy_long_log().unwrap();
        assert!(stored() > 1_000_000);
        assert_eq!(LOG_PAGES.get(), 0);
    }
}
