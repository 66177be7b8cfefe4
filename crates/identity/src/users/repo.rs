use super::entity::{ACTIVE, ActiveModel, Column, Entity, Model};
use crate::contacts::{EmailAddress, PhoneNumber};
use kernel::UserId;
use store::sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel, QueryFilter, QuerySelect,
};
use store::{Store, StoreError, WriteTx};
use uuid::Uuid;

/// How many ids one statement asks for; both stores bind many more.
const IDS_PER_STATEMENT: usize = 1_000;

pub(super) async fn insert_in_tx(tx: &WriteTx, user: Model) -> Result<(), StoreError> {
    let user: ActiveModel = user.into_active_model();
    Entity::insert(user).exec_without_returning(tx).await?;
    Ok(())
}

pub(super) async fn find(store: &Store, id: UserId) -> Result<Option<Model>, StoreError> {
    Ok(Entity::find_by_id(id.0).one(store.read()).await?)
}

pub(super) async fn any(store: &Store) -> Result<bool, StoreError> {
    Ok(Entity::find().one(store.read()).await?.is_some())
}

pub(super) async fn find_by_email(
    store: &Store,
    email: &EmailAddress,
) -> Result<Option<Model>, StoreError> {
    let found = Entity::find().filter(Column::Email.eq(email.as_str()));
    Ok(found.one(store.read()).await?)
}

pub(super) async fn find_by_phone(
    store: &Store,
    phone_number: &PhoneNumber,
) -> Result<Option<Model>, StoreError> {
    let found = Entity::find().filter(Column::PhoneNumber.eq(phone_number.as_str()));
    Ok(found.one(store.read()).await?)
}

pub(super) async fn display_names(
    store: &Store,
    users: &[UserId],
) -> Result<Vec<(Uuid, String)>, StoreError> {
    let mut names = Vec::with_capacity(users.len());
    for some in users.chunks(IDS_PER_STATEMENT) {
        let rows = Entity::find()
            .select_only()
            .column(Column::Id)
            .column(Column::DisplayName)
            .filter(Column::Id.is_in(some.iter().map(|user| user.0)))
            .into_tuple::<(Uuid, String)>()
            .all(store.read())
            .await?;
        names.extend(rows);
    }
    Ok(names)
}

/// Replaces a hash by another of the same password, unless the password was changed meanwhile.
pub(super) async fn replace_password_hash(
    store: &Store,
    user: &Model,
    new_hash: &str,
) -> Result<(), StoreError> {
    let tx = store.begin().await?;
    tx.execute_raw(store.statement(
        "update users set password_hash = $1 \
         where id = $2 and password_hash = $3 and status = $4",
        [new_hash.into(), user.id.into(), user.password_hash.as_str().into(), ACTIVE.into()],
    ))
    .await?;
    Ok(tx.commit().await?)
}
