use kernel::{Permission, Timestamp, UserId};
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

/// Every role and its description, by name.
pub(super) async fn all(store: &Store) -> Result<Vec<(String, String)>, StoreError> {
    #[derive(FromQueryResult)]
    struct Row {
        name: String,
        description: String,
    }
    let all = store.statement("select name, description from roles order by name", []);
    let rows = Row::find_by_statement(all).all(store.read()).await?;
    Ok(rows.into_iter().map(|row| (row.name, row.description)).collect())
}

/// The names of what roles can permit.
pub(super) async fn described(store: &Store) -> Result<BTreeSet<String>, StoreError> {
    #[derive(FromQueryResult)]
    struct Row {
        name: String,
    }
    let rows = Row::find_by_statement(store.statement("select name from permissions", []))
        .all(store.read())
        .await?;
    Ok(rows.into_iter().map(|row| row.name).collect())
}

pub(super) async fn describe_permission_in_tx(
    store: &Store,
    tx: &WriteTx,
    permission: Permission,
    description: &str,
) -> Result<(), StoreError> {
    tx.execute_raw(store.statement(
        "insert into permissions (name, description) values ($1, $2) \
         on conflict (name) do update set description = $2",
        [permission.0.into(), description.into()],
    ))
    .await?;
    Ok(())
}

/// Makes a role; `false` if there is one with this name, in whatever case.
pub(super) async fn insert_role_in_tx(
    store: &Store,
    tx: &WriteTx,
    name: &str,
    description: &str,
) -> Result<bool, StoreError> {
    let inserted = tx
        .execute_raw(store.statement(
            "insert into roles (name, description) values ($1, $2) on conflict do nothing",
            [name.into(), description.into()],
        ))
        .await?;
    Ok(inserted.rows_affected() == 1)
}

/// Removes a role with its permissions; `false` if somebody holds it. The role is locked.
pub(super) async fn delete_role_in_tx(
    store: &Store,
    tx: &WriteTx,
    name: &str,
) -> Result<bool, StoreError> {
    let permissions = "delete from role_permissions where role = $1";
    tx.execute_raw(store.statement(permissions, [name.into()])).await?;
    let deleted = tx
        .execute_raw(store.statement(
            "delete from roles where name = $1 \
             and not exists (select 1 from user_roles where role = $1)",
            [name.into()],
        ))
        .await?;
    Ok(deleted.rows_affected() == 1)
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

/// What a role permits; `None` if there is no such role. Nobody else changes it, gives it or removes
/// it until the transaction ends.
pub(super) async fn lock_in_tx(
    store: &Store,
    tx: &WriteTx,
    name: &str,
) -> Result<Option<BTreeSet<String>>, StoreError> {
    #[derive(FromQueryResult)]
    struct Row {
        permission: String,
    }
    let lock = "update roles set description = description where name = $1";
    if tx.execute_raw(store.statement(lock, [name.into()])).await?.rows_affected() == 0 {
        return Ok(None);
    }
    let held = "select permission from role_permissions where role = $1";
    let rows = Row::find_by_statement(store.statement(held, [name.into()])).all(tx).await?;
    Ok(Some(rows.into_iter().map(|row| row.permission).collect()))
}

/// Gives a role to a user; `false` if they have it. One that staff can remove is locked.
pub(crate) async fn grant_in_tx(
    store: &Store,
    tx: &WriteTx,
    user_id: UserId,
    role: &str,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let granted = tx
        .execute_raw(store.statement(
            "insert into user_roles (user_id, role, granted_at) values ($1, $2, $3) \
             on conflict (user_id, role) do nothing",
            [user_id.0.into(), role.into(), now.as_micros().into()],
        ))
        .await?;
    Ok(granted.rows_affected() == 1)
}

/// Takes a role from a user; `false` if they do not have it.
pub(super) async fn take_in_tx(
    store: &Store,
    tx: &WriteTx,
    user_id: UserId,
    role: &str,
) -> Result<bool, StoreError> {
    let taken = tx
        .execute_raw(store.statement(
            "delete from user_roles where user_id = $1 and role = $2",
            [user_id.0.into(), role.into()],
        ))
        .await?;
    Ok(taken.rows_affected() == 1)
}

/// The roles of a user by name, and since when they have them.
pub(super) async fn of(
    store: &Store,
    user_id: UserId,
) -> Result<Vec<(String, Timestamp)>, StoreError> {
    #[derive(FromQueryResult)]
    struct Row {
        role: String,
        granted_at: i64,
    }
    let rows = Row::find_by_statement(store.statement(
        "select role, granted_at from user_roles where user_id = $1 order by role",
        [user_id.0.into()],
    ))
    .all(store.read())
    .await?;
    let held = rows.into_iter().map(|row| (row.role, Timestamp::from_micros(row.granted_at)));
    Ok(held.collect())
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
