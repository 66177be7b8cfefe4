//! The outbox: events are written in the transaction that makes them true, and delivered afterwards, at
//! least once and in commit order.

use crate::{Store, StoreError, WriteTx};
use async_trait::async_trait;
use kernel::{Event, Timestamp};
use sea_orm::{ConnectionTrait, FromQueryResult};
use std::time::Duration;
use tokio::sync::watch;
use uuid::Uuid;

/// An event about to be written; its position is given by the store.
#[derive(Clone, Debug)]
pub struct NewEvent {
    /// What happened: `wallet.transfer_completed`.
    pub event_type: &'static str,
    /// The thing it happened to.
    pub aggregate_id: Uuid,
    /// When.
    pub occurred_at: Timestamp,
    /// A JSON object without personal data.
    pub payload: String,
}

/// Appends an event. The lock on the stream is held until the transaction ends, so do this last.
pub async fn append_in_tx(store: &Store, tx: &WriteTx, event: NewEvent) -> Result<(), StoreError> {
    #[derive(FromQueryResult)]
    struct Head {
        last_position: i64,
    }
    let head = Head::find_by_statement(store.statement(
        "update outbox_head set last_position = last_position + 1 where id = 1 \
         returning last_position",
        [],
    ))
    .one(tx)
    .await?
    .ok_or_else(|| StoreError::inconsistent("outbox_head", "id", 1))?;
    tx.execute_raw(store.statement(
        "insert into outbox (position, event_type, aggregate_id, occurred_at, payload) \
         values ($1, $2, $3, $4, $5)",
        [
            head.last_position.into(),
            event.event_type.into(),
            event.aggregate_id.into(),
            event.occurred_at.as_micros().into(),
            event.payload.into(),
        ],
    ))
    .await?;
    Ok(())
}

/// A module's stream of events.
#[async_trait]
pub trait EventSource: Send + Sync {
    /// The store that keeps the consumers' cursors.
    fn store(&self) -> &Store;

    /// Up to `limit` events after `position`, in order.
    async fn after(&self, position: i64, limit: u32) -> Result<Vec<Event>, StoreError>;

    /// Changes when this process writes to the stream; `None` when it cannot tell. Other processes write
    /// as well, so whoever follows a stream has to look now and then in any case.
    fn progress(&self) -> Option<watch::Receiver<i64>> {
        None
    }
}

/// The stream of the `outbox` table.
#[derive(Clone, Debug)]
pub struct Outbox(pub Store);

#[async_trait]
impl EventSource for Outbox {
    fn store(&self) -> &Store {
        &self.0
    }

    async fn after(&self, position: i64, limit: u32) -> Result<Vec<Event>, StoreError> {
        #[derive(FromQueryResult)]
        struct Row {
            position: i64,
            event_type: String,
            aggregate_id: Uuid,
            occurred_at: i64,
            payload: String,
        }
        let rows = Row::find_by_statement(self.0.statement(
            "select position, event_type, aggregate_id, occurred_at, payload \
             from outbox where position > $1 order by position limit $2",
            [position.into(), i64::from(limit).into()],
        ))
        .all(self.0.read())
        .await?;
        Ok(rows
            .into_iter()
            .map(|row| Event {
                position: row.position,
                event_type: row.event_type,
                aggregate_id: row.aggregate_id,
                occurred_at: Timestamp::from_micros(row.occurred_at),
                payload: row.payload,
            })
            .collect())
    }
}

/// Becomes the one process that reads for `consumer` until the lease ends, and returns where it stands;
/// `None` while another process is reading. Calling again renews the lease.
pub async fn lease_cursor(
    store: &Store,
    consumer: &str,
    holder: Uuid,
    now: Timestamp,
    lease: Duration,
) -> Result<Option<i64>, StoreError> {
    #[derive(FromQueryResult)]
    struct Cursor {
        position: i64,
    }
    let tx = store.begin().await?;
    let cursor = Cursor::find_by_statement(store.statement(
        "insert into outbox_cursors (consumer, position, holder, lease_until) \
         values ($1, 0, $2, $3) \
         on conflict (consumer) do update set holder = $2, lease_until = $3 \
         where outbox_cursors.holder = $2 or outbox_cursors.lease_until < $4 \
         returning position",
        [
            consumer.into(),
            holder.into(),
            now.plus(lease).as_micros().into(),
            now.as_micros().into(),
        ],
    ))
    .one(&tx)
    .await?;
    tx.commit().await?;
    Ok(cursor.map(|cursor| cursor.position))
}

/// Records that everything up to `position` was delivered, and renews the lease. False, and nothing
/// happens, once another process reads.
pub async fn advance_cursor(
    store: &Store,
    consumer: &str,
    holder: Uuid,
    position: i64,
    lease_until: Timestamp,
) -> Result<bool, StoreError> {
    let tx = store.begin().await?;
    let advanced = tx
        .execute_raw(store.statement(
            "update outbox_cursors set position = $1, lease_until = $4 \
             where consumer = $2 and holder = $3 and position < $1",
            [position.into(), consumer.into(), holder.into(), lease_until.as_micros().into()],
        ))
        .await?;
    tx.commit().await?;
    Ok(advanced.rows_affected() > 0)
}
