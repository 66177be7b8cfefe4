use super::entity::BuiltInRole;
use kernel::{Timestamp, UserId};
use std::collections::BTreeSet;
use store::sea_orm::{self, ConnectionTrait, FromQueryResult};
use store::{Store, StoreError, WriteTx};

/// The names of all roles.
pub(super) async fn names(store: &Store) -> Result<BTreeSet<String>, StoreError> {
    #[derive(FromQueryResult)]
    struct Row {
        name: String,
    }
    let rows = Row::find_by_statement(store.statement("select name from roles", []))
        .all(store.read())
        .await?;
    Ok(rows.into_iter().map(|row| row.name).collect())
}

/// Every pair of role and permission.
pub(super) async fn permissions(store: &Store) -> Result<BTreeSet<(String, String)>, StoreError> {
    #[derive(FromQueryResult)]
    struct Row {
        role: String,
        permission: String,
    }
    let all = store.statement("select role, permission from role_permissions", []);
    let rows = Row::find_by_statement(all).all(store.read()).await?;
    Ok(rows.into_iter().map(|row| (row.role, row.permission)).collect())
}

pub(super) async fn insert_role_in_tx(
    store: &Store,
    tx: &WriteTx,
    role: &BuiltInRole,
) -> Result<(), StoreError> {
    tx.execute_raw(store.statement(
        "insert into roles (name, description) values ($1, $2) on conflict (name) do nothing",
        [role.name.into(), role.description.into()],
    ))
    .await?;
    Ok(())
}

pub(super) async fn insert_permission_in_tx(
    store: &Store,
    tx: &WriteTx,
    role: &str,
    permission: &str,
) -> Result<(), StoreError> {
    tx.execute_raw(store.statement(
        "insert into role_permissions (role, permission) values ($1, $2) \
         on conflict (role, permission) do nothing",
        [role.into(), permission.into()],
    ))
    .await?;
    Ok(())
}

pub(super) async fn delete_permission_in_tx(
    store: &Store,
    tx: &WriteTx,
    role: &str,
    permission: &str,
) -> Result<(), StoreError> {
    tx.execute_raw(store.statement(
        "delete from role_permissions where role = $1 and permission = $2",
        [role.into(), permission.into()],
    ))
    .await?;
    Ok(())
}

/// Gives a role to a user, in the transaction that makes the user.
pub(crate) async fn grant_in_tx(
    store: &Store,
    tx: &WriteTx,
    user_id: UserId,
    role: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    tx.execute_raw(store.statement(
        "insert into user_roles (user_id, role, granted_at) values ($1, $2, $3) \
         on conflict (user_id, role) do nothing",
        [user_id.0.into(), role.into(), now.as_micros().into()],
    ))
    .await?;
    Ok(())
}

/// The roles of a user, each with each of its permissions; `None` for a role without any.
pub(super) async fn held_by(
    store: &Store,
    user_id: UserId,
) -> Result<Vec<(String, Option<String>)>, StoreError> {
    #[derive(FromQueryResult)]
    struct Row {
        role: String,
        permission: Option<String>,
    }
    let rows = Row::find_by_statement(store.statement(
        "select user_roles.role, role_permissions.permission from user_roles \
         left join role_permissions on role_permissions.role = user_roles.role \
         where user_roles.user_id = $1",
        [user_id.0.into()],
    ))
    .all(store.read())
    .await?;
    Ok(rows.into_iter().map(|row| (row.role, row.permission)).collect())
}
