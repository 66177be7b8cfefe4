//! Writing a group on PostgreSQL: rows travel as arrays, so a group costs the same few round trips
//! whatever its size.

mod load;
mod write;

#[cfg(test)]
pub(super) use load::{POSTED_LEGS_SQL, REVERSED_SQL};

use super::Decisions;
use super::cache::Cache;
use super::decide::{Head, WorkingSet};
use super::group::Group;
use super::seal::Seal;
use super::tail::Tail;
use crate::history::History;
use kernel::{Clock, Timestamp};
use sqlx::Row;
use sqlx::postgres::{PgConnection, PgPool};
use std::sync::Arc;
use std::time::Duration;
use store::{Store, StoreError};
use tokio::sync::Mutex;

#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("the ledger's database refused: {0}")]
    Database(#[from] sqlx::Error),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Error {
    /// Whether a command or the rows it touches are the cause, rather than the database itself: SQLSTATE
    /// classes 22 (data exception) and 23 (constraint violation).
    pub(super) fn is_about_data(&self) -> bool {
        match self {
            Self::Database(sqlx::Error::Database(error)) => {
                error.code().is_some_and(|code| code.starts_with("22") || code.starts_with("23"))
            }
            Self::Database(_) => false,
            Self::Store(_) => true,
        }
    }
}

/// How often a group is tried when the database fails. Trying again is safe even when the first attempt
/// did commit and only its answer was lost: the group then finds its own records and replays them.
const ATTEMPTS: u32 = 3;
const PAUSE_BETWEEN_ATTEMPTS: Duration = Duration::from_millis(200);

/// Every statement of the engine looks rows up by a key, some in tables that were empty when it was planned
/// and are large soon after: a walk through the table or a hash of it must never be the plan.
pub(super) const PLANS: [(&str, &str); 5] = [
    ("plan_cache_mode", "force_generic_plan"),
    ("enable_seqscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
    ("jit", "off"),
];

#[derive(Clone)]
pub(super) struct Writer {
    pool: PgPool,
    cache: Arc<Mutex<Cache>>,
    clock: Arc<dyn Clock>,
    tail: Arc<Tail>,
}

impl Writer {
    /// A connection of its own, set up like the store's: readers that take all of those must not keep
    /// postings waiting.
    pub(super) fn new(store: &Store, clock: Arc<dyn Clock>, tail: Arc<Tail>) -> Self {
        let shared = store.postgres_pool();
        let pool = shared
            .options()
            .clone()
            .min_connections(0)
            .max_connections(1)
            // Saves a round trip per group. A connection that broke fails the first attempt.
            .test_before_acquire(false)
            .connect_lazy_with(shared.connect_options().as_ref().clone().options(PLANS));
        Self { pool, cache: Arc::default(), clock, tail }
    }

    pub(super) async fn close(&self) {
        self.pool.close().await;
    }

    /// Decides the commands and writes what came of them; durable when this returns.
    pub(super) async fn commit(&self, group: &Group) -> Result<Decisions, Error> {
        let mut attempt: u32 = 1;
        loop {
            match self.try_commit(group).await {
                Err(error) if attempt < ATTEMPTS && !error.is_about_data() => {
                    tracing::warn!(%error, attempt, "a group is tried again");
                    tokio::time::sleep(PAUSE_BETWEEN_ATTEMPTS).await;
                    attempt = attempt.saturating_add(1);
                }
                outcome => return outcome,
            }
        }
    }

    async fn try_commit(&self, group: &Group) -> Result<Decisions, Error> {
        // Dropped on any error below, the transaction is rolled back.
        // Whatever the server's default is: a stricter level fails whoever had to wait for the lock.
        let mut tx = self.pool.begin_with("begin isolation level read committed").await?;
        let (head, history) = lock_head(&mut tx).await?;
        // The clock is read under the lock: a deadline that has passed for one command has passed for
        // all that are decided after it.
        let mut set = WorkingSet::new(head, self.clock.now());
        // Groups come one after the other: nobody waits here.
        let mut cache = self.cache.lock().await;
        cache.check(head, None);
        load::load(&mut tx, group, &mut cache, &mut set).await?;
        let decisions = group.commands.iter().map(|command| set.decide(command)).collect();
        if set.is_changed() {
            write::write(&mut tx, &set, &Seal::of(history, &set)).await?;
            tx.commit().await?;
            self.tail.push(&mut set);
        }
        cache.keep(set, None, |_| false);
        Ok(decisions)
    }
}

/// Every writer of this ledger, in any process, waits here for the one before it.
async fn lock_head(tx: &mut PgConnection) -> Result<(Head, History), Error> {
    let sql = "select last_sequence, last_recorded_at, tree_size, tree_peaks, link \
               from journal_head where id = 1 for update";
    let row = sqlx::query(sql).fetch_one(tx).await?;
    let last_recorded_at = Timestamp::from_micros(row.try_get(1)?);
    let head = Head { last_sequence: row.try_get(0)?, last_recorded_at };
    let (size, peaks, link) = (row.try_get(2)?, row.try_get(3)?, row.try_get(4)?);
    Ok((head, History::from_columns(head.last_sequence, size, peaks, link)?))
}
