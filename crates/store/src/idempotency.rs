//! Idempotency records: what a caller's key was used for, in the module's own store, so that the record
//! and the work commit together.
//!
//! A record names the row of the module's own table that holds the answer; the answer is rendered from
//! that row, so it is the same each time. While the work is under way the record carries a lease: its
//! holder alone may do the work. A process that dies lets the lease run out, and the next request with
//! the key, or the sweeper, takes over a little later ([`CLOCK_TOLERANCE`]). Work done elsewhere under the
//! lease (the ledger) must be refused once the lease is over, and only the holder may write down that
//! nothing happened: so no answer is ever contradicted later.
//!
//! ```text
//! (no record) --claim--> leased --complete--> done
//!                           |  ^
//!                 lease over|  |claim with the same key, or the sweeper
//!                           +--+
//! ```

use crate::{Store, StoreError, WriteTx};
use kernel::Timestamp;
use sea_orm::{ConnectionTrait, FromQueryResult};
use std::time::Duration;
use uuid::Uuid;

/// How far the clocks of two processes may be apart. A lease is taken over only this long after its end,
/// because its holder may still believe in it.
pub const CLOCK_TOLERANCE: Duration = Duration::from_secs(5);

/// A caller's request under its key.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// Whose key: keys of different callers never meet.
    pub subject_id: Uuid,
    /// The caller's key.
    pub key: &'a str,
    /// A digest of everything that makes it the same request: route and body.
    pub fingerprint: &'a [u8],
    /// The id of the operation to make if the key is new.
    pub operation_id: Uuid,
}

/// What a key stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// The key is new: the operation of the request is the caller's to do, until the lease ends.
    New {
        /// When the work must be done.
        lease_until: Timestamp,
    },
    /// The work was begun by someone whose lease is over: the caller's to finish.
    TakenOver {
        /// The operation begun.
        operation_id: Uuid,
        /// When the work must be done.
        lease_until: Timestamp,
    },
    /// The work is finished; answer from the operation.
    Done {
        /// The finished operation.
        operation_id: Uuid,
    },
    /// Someone else is at it.
    InFlight {
        /// When somebody else may go on with it at the latest.
        free_at: Timestamp,
    },
    /// The key was used for another request.
    KeyReused,
}

#[derive(FromQueryResult)]
struct Record {
    fingerprint: Vec<u8>,
    operation_id: Uuid,
    lease_until: i64,
    completed_at: Option<i64>,
}

/// Whether a caller has used a key before. A first look without a transaction: most keys are new.
pub async fn is_known(store: &Store, subject_id: Uuid, key: &str) -> Result<bool, StoreError> {
    #[derive(FromQueryResult)]
    struct Row {
        #[expect(dead_code, reason = "that there is a row is what counts")]
        operation_id: Uuid,
    }
    let row = Row::find_by_statement(store.statement(
        "select operation_id from idempotency_records where subject_id = $1 and key = $2",
        [subject_id.into(), key.into()],
    ))
    .one(store.read())
    .await?;
    Ok(row.is_some())
}

/// Whether something that a caller asked for is unfinished.
pub async fn has_unfinished(store: &Store, subject_id: Uuid) -> Result<bool, StoreError> {
    #[derive(FromQueryResult)]
    struct Row {
        #[expect(dead_code, reason = "that there is a row is what counts")]
        operation_id: Uuid,
    }
    let row = Row::find_by_statement(store.statement(
        "select operation_id from idempotency_records \
         where subject_id = $1 and completed_at is null limit 1",
        [subject_id.into()],
    ))
    .one(store.read())
    .await?;
    Ok(row.is_some())
}

/// Claims a key for a request, in the transaction that also writes the operation's row.
pub async fn claim_in_tx(
    store: &Store,
    tx: &WriteTx,
    request: &Request<'_>,
    now: Timestamp,
    lease: Duration,
) -> Result<Claim, StoreError> {
    let lease_until = now.plus(lease);
    let inserted = tx
        .execute_raw(store.statement(
            "insert into idempotency_records \
             (subject_id, key, fingerprint, operation_id, lease_until, created_at) \
             values ($1, $2, $3, $4, $5, $6) on conflict (subject_id, key) do nothing",
            [
                request.subject_id.into(),
                request.key.into(),
                request.fingerprint.to_vec().into(),
                request.operation_id.into(),
                lease_until.as_micros().into(),
                now.as_micros().into(),
            ],
        ))
        .await?;
    if inserted.rows_affected() == 1 {
        return Ok(Claim::New { lease_until });
    }
    // On PostgreSQL the insert above has waited for whoever holds the key in an open transaction.
    let record = Record::find_by_statement(store.statement(
        "select fingerprint, operation_id, lease_until, completed_at \
         from idempotency_records where subject_id = $1 and key = $2",
        [request.subject_id.into(), request.key.into()],
    ))
    .one(tx)
    .await?
    .ok_or_else(|| StoreError::inconsistent("idempotency_records", "key", request.key))?;
    let operation_id = record.operation_id;
    if record.fingerprint != request.fingerprint {
        return Ok(Claim::KeyReused);
    }
    if record.completed_at.is_some() {
        return Ok(Claim::Done { operation_id });
    }
    if take_over_in_tx(store, tx, operation_id, now, lease).await?.is_some() {
        return Ok(Claim::TakenOver { operation_id, lease_until });
    }
    let lease_until = Timestamp::from_micros(record.lease_until);
    Ok(Claim::InFlight { free_at: lease_until.plus(CLOCK_TOLERANCE) })
}

/// Takes over an unfinished operation whose lease is over; `None` if it is finished or still leased.
pub async fn take_over_in_tx(
    store: &Store,
    tx: &WriteTx,
    operation_id: Uuid,
    now: Timestamp,
    lease: Duration,
) -> Result<Option<Timestamp>, StoreError> {
    let lease_until = now.plus(lease);
    let taken = tx
        .execute_raw(store.statement(
            "update idempotency_records set lease_until = $1 \
             where operation_id = $2 and completed_at is null and lease_until < $3",
            [
                lease_until.as_micros().into(),
                operation_id.into(),
                now.minus(CLOCK_TOLERANCE).as_micros().into(),
            ],
        ))
        .await?;
    Ok((taken.rows_affected() == 1).then_some(lease_until))
}

/// Gives up one's own lease of an unfinished operation, so that anyone may take it over at once. Only for
/// a holder who knows that nothing of this attempt will still happen.
pub async fn release_in_tx(
    store: &Store,
    tx: &WriteTx,
    operation_id: Uuid,
    lease_until: Timestamp,
) -> Result<(), StoreError> {
    let free = Timestamp::EPOCH.minus(CLOCK_TOLERANCE).minus(CLOCK_TOLERANCE);
    tx.execute_raw(store.statement(
        "update idempotency_records set lease_until = $1 \
         where operation_id = $2 and completed_at is null and lease_until = $3",
        [free.as_micros().into(), operation_id.into(), lease_until.as_micros().into()],
    ))
    .await?;
    Ok(())
}

/// Marks an operation as finished, in the transaction that writes its result. With `lease_until`, only if
/// that lease is still the one in force: a result that says "nothing happened" is for the holder alone to
/// write. Returns false when nothing was marked.
pub async fn complete_in_tx(
    store: &Store,
    tx: &WriteTx,
    operation_id: Uuid,
    lease_until: Option<Timestamp>,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let completed = tx
        .execute_raw(store.statement(
            "update idempotency_records set completed_at = $1 \
             where operation_id = $2 and completed_at is null \
             and (cast($3 as bigint) is null or lease_until = $3)",
            [
                now.as_micros().into(),
                operation_id.into(),
                lease_until.map(Timestamp::as_micros).into(),
            ],
        ))
        .await?;
    Ok(completed.rows_affected() == 1)
}

/// Operations whose lease is over, oldest first, for the sweeper.
pub async fn abandoned(store: &Store, now: Timestamp, limit: u32) -> Result<Vec<Uuid>, StoreError> {
    #[derive(FromQueryResult)]
    struct Row {
        operation_id: Uuid,
    }
    let rows = Row::find_by_statement(store.statement(
        "select operation_id from idempotency_records \
         where completed_at is null and lease_until < $1 order by lease_until limit $2",
        [now.minus(CLOCK_TOLERANCE).as_micros().into(), i64::from(limit).into()],
    ))
    .all(store.read())
    .await?;
    Ok(rows.into_iter().map(|row| row.operation_id).collect())
}
