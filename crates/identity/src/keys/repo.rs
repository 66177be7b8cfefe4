use super::entity::{Column, Entity, Model};
use kernel::Timestamp;
use store::sea_orm::{ConnectionTrait, EntityTrait, QueryOrder};
use store::{Store, StoreError};

/// Publishes a key. One that is there keeps the time of its publication, and is retired no more.
pub(super) async fn publish(store: &Store, key: &Model) -> Result<(), StoreError> {
    let tx = store.begin().await?;
    tx.execute_raw(store.statement(
        "insert into signing_keys (kid, n, e, created_at) values ($1, $2, $3, $4) \
         on conflict (kid) do update set retired_at = null",
        [
            key.kid.as_str().into(),
            key.n.as_str().into(),
            key.e.as_str().into(),
            key.created_at.into(),
        ],
    ))
    .await?;
    Ok(tx.commit().await?)
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

pub(super) async fn delete_retired_before(
    store: &Store,
    before: Timestamp,
) -> Result<(), StoreError> {
    let tx = store.begin().await?;
    tx.execute_raw(
        store.statement(
            "delete from signing_keys where retired_at < $1",
            [before.as_micros().into()],
        ),
    )
    .await?;
    Ok(tx.commit().await?)
}

/// When a key was published; `None` if it was not.
pub(super) async fn published_at(
    store: &Store,
    kid: &str,
) -> Result<Option<Timestamp>, StoreError> {
    let found = Entity::find_by_id(kid).one(store.read()).await?;
    Ok(found.map(|key| Timestamp::from_micros(key.created_at)))
}

/// All keys, oldest first.
pub(super) async fn all(store: &Store) -> Result<Vec<Model>, StoreError> {
    let oldest_first = Entity::find().order_by_asc(Column::CreatedAt).order_by_asc(Column::Kid);
    Ok(oldest_first.all(store.read()).await?)
}
