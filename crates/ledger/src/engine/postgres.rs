//! Writing a group on PostgreSQL: rows travel as arrays, so a group costs the same few round trips
//! whatever its size.

use super::Decisions;
use super::decide::{AccountState, Head, NewChange, WorkingSet};
use super::group::Group;
use crate::journal::encode::{self, ACCOUNT_COLUMNS, AccountRow};
use kernel::{Clock, Timestamp};
use ledger_api::{AccountId, Balances, Leg, Transaction, TransactionId};
use sqlx::postgres::{PgConnection, PgPool, PgRow};
use sqlx::{AssertSqlSafe, Row};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use store::{Store, StoreError};
use uuid::Uuid;

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

#[derive(Clone)]
pub(super) struct Writer {
    pool: PgPool,
    clock: Arc<dyn Clock>,
}

impl Writer {
    /// A connection of its own, set up like the store's: readers that take all of those must not keep
    /// postings waiting.
    pub(super) fn new(store: &Store, clock: Arc<dyn Clock>) -> Self {
        let shared = store.postgres_pool();
        let pool = shared
            .options()
            .clone()
            .min_connections(0)
            .max_connections(1)
            // Saves a round trip per group. A connection that broke fails the first attempt.
            .test_before_acquire(false)
            .connect_lazy_with(shared.connect_options().as_ref().clone());
        Self { pool, clock }
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
        let head = lock_head(&mut tx).await?;
        // The clock is read under the lock: a deadline that has passed for one command has passed for
        // all that are decided after it.
        let mut set = WorkingSet::new(head, self.clock.now());
        load(&mut tx, group, &mut set).await?;
        let decisions = group.commands.iter().map(|command| set.decide(command)).collect();
        if set.is_changed() {
            write(&mut tx, &set).await?;
            tx.commit().await?;
        }
        Ok(decisions)
    }
}

/// Every writer of this ledger, in any process, waits here for the one before it.
async fn lock_head(tx: &mut PgConnection) -> Result<Head, Error> {
    let sql = "select last_sequence, last_recorded_at from journal_head where id = 1 for update";
    let row = sqlx::query(sql).fetch_one(tx).await?;
    Ok(Head {
        last_sequence: row.try_get(0)?,
        last_recorded_at: Timestamp::from_micros(row.try_get(1)?),
    })
}

async fn load(tx: &mut PgConnection, group: &Group, set: &mut WorkingSet) -> Result<(), Error> {
    load_existing_transactions(tx, group, set).await?;
    load_reversed(tx, group, set).await?;
    load_states(tx, group, set).await?;
    load_existing_accounts(tx, group, set).await
}

/// How much was taken back of each original, in minor units of the first leg.
pub(super) const REVERSED_SQL: &str = "select t.reverses, cast(sum(abs(e.amount)) as bigint) \
     from transactions t \
     join entries e on e.transaction_sequence = t.sequence and e.leg_no = 0 \
     where t.reverses = any($1) group by t.reverses";

async fn load_reversed(
    tx: &mut PgConnection,
    group: &Group,
    set: &mut WorkingSet,
) -> Result<(), Error> {
    let ids: Vec<Uuid> = group.original_ids().into_iter().map(|id| id.0).collect();
    if ids.is_empty() {
        return Ok(());
    }
    for row in sqlx::query(REVERSED_SQL).bind(ids).fetch_all(tx).await? {
        set.reversed.insert(TransactionId(row.try_get(0)?), row.try_get(1)?);
    }
    Ok(())
}

async fn load_states(
    tx: &mut PgConnection,
    group: &Group,
    set: &mut WorkingSet,
) -> Result<(), Error> {
    let ids: Vec<Uuid> =
        group.account_ids(&set.existing_transactions).into_iter().map(|id| id.0).collect();
    let sql = "select a.id, a.sequence, s.currency_code, s.normal_side, s.status, \
               s.lowest_available, s.posted_debits, s.posted_credits, s.pending_debits, \
               s.pending_credits \
               from accounts a join account_states s on s.account_sequence = a.sequence \
               where a.id = any($1)";
    for row in sqlx::query(sql).bind(ids).fetch_all(tx).await? {
        let id: Uuid = row.try_get(0)?;
        let state = AccountState {
            sequence: row.try_get(1)?,
            currency: encode::currency_from(row.try_get(2)?, id)?,
            normal_side: encode::side_from(row.try_get(3)?, id)?,
            status: encode::status_from(row.try_get(4)?, id)?,
            lowest_available: row.try_get(5)?,
            balances: Balances {
                posted_debits: row.try_get(6)?,
                posted_credits: row.try_get(7)?,
                pending_debits: row.try_get(8)?,
                pending_credits: row.try_get(9)?,
            },
            changed: false,
        };
        set.accounts.insert(AccountId(id), state);
    }
    Ok(())
}

async fn load_existing_accounts(
    tx: &mut PgConnection,
    group: &Group,
    set: &mut WorkingSet,
) -> Result<(), Error> {
    let ids: Vec<Uuid> = group.subject_ids().into_iter().map(|id| id.0).collect();
    if ids.is_empty() {
        return Ok(());
    }
    let sql = format!("select {ACCOUNT_COLUMNS} where a.id = any($1)");
    for row in sqlx::query(AssertSqlSafe(sql)).bind(ids).fetch_all(tx).await? {
        let row = account_row(&row)?;
        set.existing_accounts.insert(AccountId(row.id), row.into_account()?);
    }
    Ok(())
}

fn account_row(row: &PgRow) -> Result<AccountRow, sqlx::Error> {
    Ok(AccountRow {
        sequence: row.try_get(0)?,
        id: row.try_get(1)?,
        name: row.try_get(2)?,
        opened_at: row.try_get(3)?,
        currency_code: row.try_get(4)?,
        normal_side: row.try_get(5)?,
        status: row.try_get(6)?,
        lowest_available: row.try_get(7)?,
        posted_debits: row.try_get(8)?,
        posted_credits: row.try_get(9)?,
        pending_debits: row.try_get(10)?,
        pending_credits: row.try_get(11)?,
    })
}

async fn load_existing_transactions(
    tx: &mut PgConnection,
    group: &Group,
    set: &mut WorkingSet,
) -> Result<(), Error> {
    let ids: Vec<Uuid> = group.transaction_ids().into_iter().map(|id| id.0).collect();
    if ids.is_empty() {
        return Ok(());
    }
    let sql = "select sequence, id, kind, description, reference, metadata, effective_at, \
               recorded_at, reverses from transactions where id = any($1)";
    let rows = sqlx::query(sql).bind(ids).fetch_all(&mut *tx).await?;
    if rows.is_empty() {
        return Ok(());
    }
    let sequences = rows.iter().map(|row| row.try_get(0)).collect::<Result<Vec<i64>, _>>()?;
    let mut legs = load_legs(tx, sequences).await?;
    for row in rows {
        let (sequence, id): (i64, Uuid) = (row.try_get(0)?, row.try_get(1)?);
        let transaction = Transaction {
            id: TransactionId(id),
            sequence,
            kind: row.try_get(2)?,
            description: row.try_get(3)?,
            reference: row.try_get(4)?,
            metadata: encode::metadata_from(row.try_get(5)?, id)?,
            effective_at: Timestamp::from_micros(row.try_get(6)?),
            recorded_at: Timestamp::from_micros(row.try_get(7)?),
            legs: legs.remove(&sequence).unwrap_or_default(),
            reverses: row.try_get::<Option<Uuid>, _>(8)?.map(TransactionId),
        };
        set.existing_transactions.insert(transaction.id, transaction);
    }
    Ok(())
}

async fn load_legs(
    tx: &mut PgConnection,
    sequences: Vec<i64>,
) -> Result<HashMap<i64, Vec<Leg>>, Error> {
    let sql = "select e.transaction_sequence, a.id, e.amount, s.currency_code from entries e \
               join accounts a on a.sequence = e.account_sequence \
               join account_states s on s.account_sequence = a.sequence \
               where e.transaction_sequence = any($1) order by e.transaction_sequence, e.leg_no";
    let mut legs: HashMap<i64, Vec<Leg>> = HashMap::new();
    for row in sqlx::query(sql).bind(sequences).fetch_all(tx).await? {
        let leg = encode::leg_from(row.try_get(1)?, row.try_get(2)?, row.try_get(3)?)?;
        legs.entry(row.try_get(0)?).or_default().push(leg);
    }
    Ok(legs)
}

async fn write(tx: &mut PgConnection, set: &WorkingSet) -> Result<(), Error> {
    if !set.new_accounts.is_empty() {
        write_accounts(tx, set).await?;
    }
    for change in &set.new_changes {
        write_change(tx, change).await?;
    }
    if !set.new_transactions.is_empty() {
        write_transactions(tx, set).await?;
        write_entries(tx, set).await?;
        write_balances(tx, set).await?;
    }
    sqlx::query("update journal_head set last_sequence = $1, last_recorded_at = $2 where id = 1")
        .bind(set.head.last_sequence)
        .bind(set.head.last_recorded_at.as_micros())
        .execute(tx)
        .await?;
    Ok(())
}

async fn write_accounts(tx: &mut PgConnection, set: &WorkingSet) -> Result<(), Error> {
    let new = &set.new_accounts;
    let sequences: Vec<i64> = new.iter().map(|(sequence, _)| *sequence).collect();
    sqlx::query(
        "insert into accounts (sequence, id, name, opened_at) \
         select * from unnest($1::bigint[], $2::uuid[], $3::text[], $4::bigint[])",
    )
    .bind(&sequences)
    .bind(new.iter().map(|(_, one)| one.id.0).collect::<Vec<_>>())
    .bind(new.iter().map(|(_, one)| one.name.as_str()).collect::<Vec<_>>())
    .bind(new.iter().map(|(_, one)| one.opened_at.as_micros()).collect::<Vec<_>>())
    .execute(&mut *tx)
    .await?;
    sqlx::query(
        "insert into account_states \
         (account_sequence, currency_code, normal_side, status, lowest_available) \
         select * from unnest($1::bigint[], $2::text[], $3::bigint[], $4::text[], $5::bigint[])",
    )
    .bind(&sequences)
    .bind(new.iter().map(|(_, one)| one.currency.code()).collect::<Vec<_>>())
    .bind(new.iter().map(|(_, one)| encode::side_number(one.normal_side)).collect::<Vec<_>>())
    .bind(new.iter().map(|(_, one)| encode::status_word(one.status)).collect::<Vec<_>>())
    .bind(new.iter().map(|(_, one)| one.constraint.lowest_available()).collect::<Vec<_>>())
    .execute(tx)
    .await?;
    Ok(())
}

/// One at a time, in order: they are rare, and an account may change twice in a group.
async fn write_change(tx: &mut PgConnection, new: &NewChange) -> Result<(), Error> {
    let word = encode::status_word(new.status);
    sqlx::query(
        "insert into account_changes (sequence, account_sequence, status, reason, changed_at) \
         values ($1, $2, $3, $4, $5)",
    )
    .bind(new.sequence)
    .bind(new.account_sequence)
    .bind(word)
    .bind(&new.reason)
    .bind(new.changed_at.as_micros())
    .execute(&mut *tx)
    .await?;
    sqlx::query("update account_states set status = $2 where account_sequence = $1")
        .bind(new.account_sequence)
        .bind(word)
        .execute(tx)
        .await?;
    Ok(())
}

async fn write_transactions(tx: &mut PgConnection, set: &WorkingSet) -> Result<(), Error> {
    let new: Vec<&Transaction> = set.transactions_to_write().collect();
    sqlx::query(
        "insert into transactions \
         (sequence, id, kind, description, reference, metadata, effective_at, recorded_at, \
          reverses) \
         select * from unnest($1::bigint[], $2::uuid[], $3::text[], $4::text[], $5::text[], \
                              $6::text[], $7::bigint[], $8::bigint[], $9::uuid[])",
    )
    .bind(new.iter().map(|one| one.sequence).collect::<Vec<_>>())
    .bind(new.iter().map(|one| one.id.0).collect::<Vec<_>>())
    .bind(new.iter().map(|one| one.kind.as_str()).collect::<Vec<_>>())
    .bind(new.iter().map(|one| one.description.as_deref()).collect::<Vec<_>>())
    .bind(new.iter().map(|one| one.reference.as_deref()).collect::<Vec<_>>())
    .bind(new.iter().map(|one| encode::metadata_text(&one.metadata)).collect::<Vec<_>>())
    .bind(new.iter().map(|one| one.effective_at.as_micros()).collect::<Vec<_>>())
    .bind(new.iter().map(|one| one.recorded_at.as_micros()).collect::<Vec<_>>())
    .bind(new.iter().map(|one| one.reverses.map(|original| original.0)).collect::<Vec<_>>())
    .execute(tx)
    .await?;
    Ok(())
}

async fn write_entries(tx: &mut PgConnection, set: &WorkingSet) -> Result<(), Error> {
    let new = &set.new_entries;
    sqlx::query(
        "insert into entries \
         (transaction_sequence, leg_no, account_sequence, amount, balance_after) \
         select * from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[])",
    )
    .bind(new.iter().map(|one| one.transaction_sequence).collect::<Vec<_>>())
    .bind(new.iter().map(|one| one.leg_no).collect::<Vec<_>>())
    .bind(new.iter().map(|one| one.account_sequence).collect::<Vec<_>>())
    .bind(new.iter().map(|one| one.amount).collect::<Vec<_>>())
    .bind(new.iter().map(|one| one.balance_after).collect::<Vec<_>>())
    .execute(tx)
    .await?;
    Ok(())
}

async fn write_balances(tx: &mut PgConnection, set: &WorkingSet) -> Result<(), Error> {
    let changed: Vec<&AccountState> = set.changed_accounts().collect();
    sqlx::query(
        "update account_states s \
         set posted_debits = n.posted_debits, posted_credits = n.posted_credits \
         from unnest($1::bigint[], $2::bigint[], $3::bigint[]) \
              as n(account_sequence, posted_debits, posted_credits) \
         where s.account_sequence = n.account_sequence",
    )
    .bind(changed.iter().map(|one| one.sequence).collect::<Vec<_>>())
    .bind(changed.iter().map(|one| one.balances.posted_debits).collect::<Vec<_>>())
    .bind(changed.iter().map(|one| one.balances.posted_credits).collect::<Vec<_>>())
    .execute(tx)
    .await?;
    Ok(())
}
