use kernel::{Timestamp, UserId};
use store::sea_orm::{self, ConnectionTrait, FromQueryResult};
use store::{Store, StoreError, WriteTx};
use uuid::Uuid;

/// A row of `trusted_devices`, but for whose it is and its token.
#[derive(FromQueryResult)]
pub(super) struct Row {
    pub(super) id: Uuid,
    pub(super) user_agent: String,
    pub(super) created_at: i64,
    pub(super) last_used_at: i64,
    pub(super) expires_at: i64,
}

pub(super) async fn insert_in_tx(
    store: &Store,
    tx: &WriteTx,
    user_id: UserId,
    token_hash: Vec<u8>,
    row: &Row,
) -> Result<(), StoreError> {
    tx.execute_raw(store.statement(
        "insert into trusted_devices (id, user_id, token_hash, user_agent, created_at, \
         last_used_at, expires_at) values ($1, $2, $3, $4, $5, $6, $7)",
        [
            row.id.into(),
            user_id.0.into(),
            token_hash.into(),
            row.user_agent.as_str().into(),
            row.created_at.into(),
            row.last_used_at.into(),
            row.expires_at.into(),
        ],
    ))
    .await?;
    Ok(())
}

/// Forgets the devices of a user whose time is over, and all but the newest: ids sort by the time of
/// their making.
pub(super) async fn delete_surplus_in_tx(
    store: &Store,
    tx: &WriteTx,
    user_id: UserId,
    kept: i64,
    now: Timestamp,
) -> Result<(), StoreError> {
    tx.execute_raw(store.statement(
        "delete from trusted_devices where user_id = $1 and (expires_at <= $2 or id not in \
         (select id from trusted_devices where user_id = $1 order by id desc limit $3))",
        [user_id.0.into(), now.as_micros().into(), kept.into()],
    ))
    .await?;
    Ok(())
}

pub(super) async fn is_trusted(
    store: &Store,
    user_id: UserId,
    token_hash: &[u8],
    now: Timestamp,
) -> Result<bool, StoreError> {
    let found = store.read().query_one_raw(store.statement(
        "select 1 from trusted_devices \
         where token_hash = $1 and user_id = $2 and expires_at > $3",
        [token_hash.into(), user_id.0.into(), now.as_micros().into()],
    ));
    Ok(found.await?.is_some())
}

/// Records a sign-in from a trusted device; `false` if it is trusted no more.
pub(crate) async fn use_in_tx(
    store: &Store,
    tx: &WriteTx,
    user_id: UserId,
    token_hash: &[u8],
    now: Timestamp,
) -> Result<bool, StoreError> {
    let used = tx
        .execute_raw(store.statement(
            "update trusted_devices set last_used_at = $1 \
             where token_hash = $2 and user_id = $3 and expires_at > $1",
            [now.as_micros().into(), token_hash.into(), user_id.0.into()],
        ))
        .await?;
    Ok(used.rows_affected() == 1)
}

/// The devices of a user whose time is not over, newest first.
pub(super) async fn of(
    store: &Store,
    user_id: UserId,
    now: Timestamp,
) -> Result<Vec<Row>, StoreError> {
    let rows = Row::find_by_statement(store.statement(
        "select id, user_agent, created_at, last_used_at, expires_at from trusted_devices \
         where user_id = $1 and expires_at > $2 order by id desc",
        [user_id.0.into(), now.as_micros().into()],
    ));
    Ok(rows.all(store.read()).await?)
}

/// Forgets a device of a user; `false` if there is no such one.
pub(super) async fn forget_in_tx(
    store: &Store,
    tx: &WriteTx,
    user_id: UserId,
    id: Uuid,
) -> Result<bool, StoreError> {
    let forgotten = tx
        .execute_raw(store.statement(
            "delete from trusted_devices where id = $1 and user_id = $2",
            [id.into(), user_id.0.into()],
        ))
        .await?;
    Ok(forgotten.rows_affected() == 1)
}

/// Forgets all devices of a user, in the transaction that makes a new beginning.
pub(crate) async fn forget_all_in_tx(
    store: &Store,
    tx: &WriteTx,
    user_id: UserId,
) -> Result<(), StoreError> {
    let sql = "delete from trusted_devices where user_id = $1";
    tx.execute_raw(store.statement(sql, [user_id.0.into()])).await?;
    Ok(())
}
