use super::entity::{ActiveModel, Column, Entity, Model};
use store::sea_orm::sea_query::OnConflict;
use store::sea_orm::{EntityTrait, IntoActiveModel, QueryOrder};
use store::{Store, StoreError};

/// Publishes a key; does nothing if it is there.
pub(super) async fn publish(store: &Store, key: Model) -> Result<(), StoreError> {
    let tx = store.begin().await?;
    let key: ActiveModel = key.into_active_model();
    Entity::insert(key)
        .on_conflict(OnConflict::column(Column::Kid).do_nothing().to_owned())
        .exec_without_returning(&tx)
        .await?;
    Ok(tx.commit().await?)
}

/// All keys, oldest first.
pub(super) async fn all(store: &Store) -> Result<Vec<Model>, StoreError> {
    let oldest_first = Entity::find().order_by_asc(Column::CreatedAt).order_by_asc(Column::Kid);
    Ok(oldest_first.all(store.read()).await?)
}
