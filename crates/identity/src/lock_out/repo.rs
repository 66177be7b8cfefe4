use super::entity::{FAILURES_MAX, Failures, LOCKED_FOR};
use kernel::Timestamp;
use store::sea_orm::{self, ConnectionTrait, FromQueryResult};
use store::{Store, StoreError, WriteTx};
use uuid::Uuid;

#[derive(FromQueryResult)]
struct Row {
    failures: i64,
    last_failed_at: i64,
}

impl From<Row> for Failures {
    fn from(row: Row) -> Self {
        Self { count: row.failures, last_at: Timestamp::from_micros(row.last_failed_at) }
    }
}

pub(super) async fn find(store: &Store, subject: Uuid) -> Result<Option<Failures>, StoreError> {
    let found = Row::find_by_statement(store.statement(
        "select failures, last_failed_at from log_in_failures where subject = $1",
        [subject.into()],
    ));
    Ok(found.one(store.read()).await?.map(Failures::from))
}

/// Adds a failure to those that are remembered, in one statement: of two at once, both count. `None`
/// when they lock out already, which one more does not prolong.
pub(super) async fn count_in_tx(
    store: &Store,
    tx: &WriteTx,
    subject: Uuid,
    now: Timestamp,
) -> Result<Option<Failures>, StoreError> {
    let remembered_after = now.minus(LOCKED_FOR).as_micros();
    let counted = Row::find_by_statement(store.statement(
        "insert into log_in_failures (subject, failures, last_failed_at) values ($1, 1, $2) \
         on conflict (subject) do update set last_failed_at = $2, failures = \
         case when log_in_failures.last_failed_at > $3 then log_in_failures.failures + 1 else 1 end \
         where log_in_failures.failures < $4 or log_in_failures.last_failed_at <= $3 \
         returning failures, last_failed_at",
        [subject.into(), now.as_micros().into(), remembered_after.into(), FAILURES_MAX.into()],
    ));
    Ok(counted.one(tx).await?.map(Failures::from))
}

pub(super) async fn forget_in_tx(
    store: &Store,
    tx: &WriteTx,
    subject: Uuid,
) -> Result<(), StoreError> {
    tx.execute_raw(
        store.statement("delete from log_in_failures where subject = $1", [subject.into()]),
    )
    .await?;
    Ok(())
}

/// Forgets some of those whose last failure is older than `before`.
pub(super) async fn forget_old(
    store: &Store,
    before: Timestamp,
    limit: i64,
) -> Result<(), StoreError> {
    let tx = store.begin().await?;
    tx.execute_raw(store.statement(
        "delete from log_in_failures where subject in (select subject from log_in_failures \
         where last_failed_at < $1 order by last_failed_at limit $2)",
        [before.as_micros().into(), limit.into()],
    ))
    .await?;
    Ok(tx.commit().await?)
}
