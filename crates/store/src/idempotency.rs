//! Idempotency records: what a caller's key was used for, in the module's own store, so that the record
//! and the work commit together.
//!
//! A record names the row of the module's own table that holds the answer; the answer is rendered from
//! that row, so it is the same each time. While the work is under way the record carries a lease: its
//! holder alone may do the work. A process that dies lets the lease run out, and the next request with
//! the key, or the sweeper, takes over. Work done elsewhere under the lease (the ledger) must be refused
//! once the lease is over, so that no answer is ever contradicted later.
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
        /// When to try again at the latest.
        lease_until: Timestamp,
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
    Ok(Claim::InFlight { lease_until: Timestamp::from_micros(record.lease_until) })
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
            [lease_until.as_micros().into(), operation_id.into(), now.as_micros().into()],
        ))
        .await?;
    Ok((taken.rows_affected() == 1).then_some(lease_until))
}

/// Marks an operation as finished, in the transaction that writes its result.
pub async fn complete_in_tx(
    store: &Store,
    tx: &WriteTx,
    operation_id: Uuid,
    now: Timestamp,
) -> Result<(), StoreError> {
    tx.execute_raw(store.statement(
        "update idempotency_records set completed_at = $1 \
         where operation_id = $2 and completed_at is null",
        [now.as_micros().into(), operation_id.into()],
    ))
    .await?;
    Ok(())
}

/// Operations whose lease is over, oldest first, for the sweeper.
pub async fn abandoned(
    store: &Store,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<Uuid>, StoreError> {
    #[derive(FromQueryResult)]
    struct Row {
        operation_id: Uuid,
    }
    let rows = Row::find_by_statement(store.statement(
        "select operation_id from idempotency_records \
         where completed_at is null and lease_until < $1 order by lease_until limit $2",
        [now.as_micros().into(), i64::from(limit).into()],
    ))
    .all(store.read())
    .await?;
    Ok(rows.into_iter().map(|row| row.operation_id).collect())
}
