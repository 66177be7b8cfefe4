use super::entity::{Column, Entity, Model};
use kernel::Timestamp;
use store::sea_orm::{ConnectionTrait, EntityTrait, QueryOrder};
use store::{Store, StoreError, WriteTx};

/// Publishes a key, unless it is: whether it was not.
pub(super) async fn publish_in_tx(
    store: &Store,
    tx: &WriteTx,
    key: &Model,
) -> Result<bool, StoreError> {
    let inserted = tx
        .execute_raw(store.statement(
            "insert into signing_keys (kid, n, e, created_at) values ($1, $2, $3, $4) \
             on conflict (kid) do nothing",
            [
                key.kid.as_str().into(),
                key.n.as_str().into(),
                key.e.as_str().into(),
                key.created_at.into(),
            ],
        ))
        .await?;
    Ok(inserted.rows_affected() == 1)
}

/// Records that a key signs no more.
pub(super) async fn retire(store: &Store, kid: &str, now: Timestamp) -> Result<(), StoreError> {
    let tx = store.begin().await?;
    tx.execute_raw(store.statement(
        "update signing_keys set retired_at = $1 where kid = $2 and retired_at is null",
        [now.as_micros().into(), kid.into()],
    ))
    .await?;
    Ok(tx.commit().await?)
}

/// Takes that back.
pub(super) async fn reinstate(store: &Store, kid: &str) -> Result<(), StoreError> {
    let tx = store.begin().await?;
    tx.execute_raw(
        store.statement("update signing_keys set retired_at = null where kid = $1", [kid.into()]),
    )
    .await?;
    Ok(tx.commit().await?)
}

/// Takes the right to make the key that follows this one, until then; false while another process has
/// it.
pub(super) async fn lease_rotation(
    store: &Store,
    kid: &str,
    now: Timestamp,
    until: Timestamp,
) -> Result<bool, StoreError> {
    let tx = store.begin().await?;
    let leased = tx
        .execute_raw(store.statement(
            "update signing_keys set rotating_until = $1 \
             where kid = $2 and (rotating_until is null or rotating_until <= $3)",
            [until.as_micros().into(), kid.into(), now.as_micros().into()],
        ))
        .await?;
    tx.commit().await?;
    Ok(leased.rows_affected() == 1)
}

/// Gives that right back.
pub(super) async fn end_lease(store: &Store, kid: &str) -> Result<(), StoreError> {
    let tx = store.begin().await?;
    tx.execute_raw(
        store.statement(
            "update signing_keys set rotating_until = null where kid = $1",
            [kid.into()],
        ),
    )
    .await?;
    Ok(tx.commit().await?)
}

/// All keys, oldest first.
pub(super) async fn all(store: &Store) -> Result<Vec<Model>, StoreError> {
    let oldest_first = Entity::find().order_by_asc(Column::CreatedAt).order_by_asc(Column::Kid);
    Ok(oldest_first.all(store.read()).await?)
}
