use super::entity::{ACTIVE, ActiveModel, Column, Entity, Model};
use crate::contacts::{EmailAddress, PhoneNumber};
use kernel::{Timestamp, UserId};
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

pub(crate) async fn find(store: &Store, id: UserId) -> Result<Option<Model>, StoreError> {
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

/// A change of a user's status.
pub(crate) struct StatusChange<'a> {
    pub(crate) from: &'a str,
    pub(crate) to: &'a str,
    pub(crate) reason: &'a str,
    pub(crate) by: UserId,
    pub(crate) at: Timestamp,
}

/// Changes a user's status; `false` if it is not the expected one. The row stays locked until the
/// transaction ends, which keeps sign-ins out.
pub(crate) async fn change_status_in_tx(
    store: &Store,
    tx: &WriteTx,
    id: UserId,
    change: &StatusChange<'_>,
) -> Result<bool, StoreError> {
    let changed = tx
        .execute_raw(store.statement(
            "update users set status = $1, status_reason = $2, status_changed_by = $3, \
             status_changed_at = $4 where id = $5 and status = $6",
            [
                change.to.into(),
                change.reason.into(),
                change.by.0.into(),
                change.at.as_micros().into(),
                id.0.into(),
                change.from.into(),
            ],
        ))
        .await?;
    Ok(changed.rows_affected() == 1)
}

/// Gives an active user a new password; `false` if it was changed since `user` was read, or the user
/// is not active any more. The row stays locked as above.
pub(crate) async fn change_password_in_tx(
    store: &Store,
    tx: &WriteTx,
    user: &Model,
    new_hash: &str,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let changed = tx
        .execute_raw(store.statement(
            "update users set password_hash = $1, password_changed_at = $2 \
             where id = $3 and password_changed_at = $4 and status = $5",
            [
                new_hash.into(),
                now.as_micros().into(),
                user.id.into(),
                user.password_changed_at.into(),
                ACTIVE.into(),
            ],
        ))
        .await?;
    Ok(changed.rows_affected() == 1)
}

/// Records a sign-in; `false` if the user is not active any more or has another password by now. The
/// row stays locked, so that whoever changes it next sees the session that is made meanwhile.
pub(crate) async fn note_log_in_in_tx(
    store: &Store,
    tx: &WriteTx,
    user: &Model,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let noted = tx
        .execute_raw(store.statement(
            "update users set last_log_in_at = $1 \
             where id = $2 and password_changed_at = $3 and status = $4",
            [
                now.as_micros().into(),
                user.id.into(),
                user.password_changed_at.into(),
                ACTIVE.into(),
            ],
        ))
        .await?;
    Ok(noted.rows_affected() == 1)
}
