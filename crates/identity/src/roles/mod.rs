//! Roles, what they permit, and who holds them. The tables are the truth at sign-in; the built-in
//! roles in them are kept as the code has them.

pub(crate) mod entity;
mod repo;
mod staff;

pub(crate) use repo::grant_in_tx;
pub use staff::{HeldRole, Role};
pub(crate) use staff::{Roles, require_held};

use crate::audit::{self, NewEntry};
use crate::permissions::{DESCRIPTIONS, OF_CUSTOMERS};
use crate::{events, revocations};
use kernel::{Timestamp, UserId};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use store::{Store, StoreError};

/// What a user holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Grants {
    pub(crate) roles: BTreeSet<String>,
    pub(crate) permissions: BTreeSet<String>,
    /// How often something had been taken back of them before.
    pub(crate) version: i64,
}

impl Grants {
    /// Whether there is a permission among them that is for staff.
    pub(crate) fn are_of_staff(&self) -> bool {
        self.permissions.iter().any(|permission| is_for_staff(permission))
    }

    /// What of it is for staff.
    pub(crate) fn staff_permissions(mut self) -> BTreeSet<String> {
        self.permissions.retain(|permission| is_for_staff(permission));
        self.permissions
    }

    /// The same without what is for staff.
    pub(crate) fn without_staff_permissions(mut self) -> Self {
        self.permissions.retain(|permission| !is_for_staff(permission));
        self
    }
}

fn is_for_staff(permission: &str) -> bool {
    OF_CUSTOMERS.iter().all(|own| own.0 != permission)
}

/// Makes the built-in roles in the tables what they are in the code. Writes nothing when they
/// already are, and may run in several processes at once. Who holds a role that permits less than
/// before needs a new access token.
pub(crate) async fn ensure_built_in(store: &Store, now: Timestamp) -> Result<(), StoreError> {
    let wanted: BTreeSet<(String, String)> = entity::built_in_permissions()
        .map(|(role, permission)| (role.to_owned(), permission.to_owned()))
        .collect();
    let names = repo::names(store).await?;
    let mut held = repo::permissions(store).await?;
    held.retain(|(role, _)| entity::is_built_in(role));
    let described = repo::described(store).await?;
    let unchanged = entity::BUILT_IN.iter().all(|role| names.contains(role.name))
        && DESCRIPTIONS.iter().all(|(permission, _)| described.contains(permission.0))
        && held == wanted;
    if unchanged {
        return Ok(());
    }
    let tx = store.begin().await?;
    for (permission, description) in DESCRIPTIONS {
        repo::describe_permission_in_tx(store, &tx, *permission, description).await?;
    }
    for role in entity::BUILT_IN {
        repo::insert_role_in_tx(store, &tx, role.name, role.description).await?;
    }
    for (role, permission) in wanted.difference(&held) {
        repo::insert_permission_in_tx(store, &tx, role, permission).await?;
    }
    let mut narrowed: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (role, permission) in held.difference(&wanted) {
        repo::delete_permission_in_tx(store, &tx, role, permission).await?;
        narrowed.entry(role).or_default().insert(permission);
    }
    for role in narrowed.keys() {
        // The processes that serve already read it within a second.
        revocations::outdate_holders_in_tx(store, &tx, role, now).await?;
    }
    for (role, permissions) in narrowed {
        let entry = NewEntry {
            actor: None,
            action: "built_in_role_narrowed",
            object: Some(events::role_id(role)),
            details: json!({ "role": role, "permissions": permissions }),
            at: now,
        };
        audit::append_in_tx(store, &tx, entry).await?;
    }
    Ok(tx.commit().await?)
}

/// Why a role was not given.
#[derive(Debug, thiserror::Error)]
pub enum GrantError {
    /// Nobody has this e-mail address or phone number.
    #[error("no active user has this e-mail address or phone number; they must register first")]
    NoSuchUser,
    /// There is no such role.
    #[error("there is no such role; the roles are {}", known.join(", "))]
    NoSuchRole {
        /// Those that there are.
        known: Vec<String>,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The server failed otherwise.
    #[error(transparent)]
    Failed(#[from] crate::Error),
}

/// Gives a user a role, for good; nothing happens when they have it.
pub(crate) async fn grant(
    store: &Store,
    user_id: UserId,
    role: &str,
    now: Timestamp,
) -> Result<(), GrantError> {
    ensure_built_in(store, now).await?;
    let known = repo::names(store).await?;
    if !known.contains(role) {
        return Err(GrantError::NoSuchRole { known: known.into_iter().collect() });
    }
    let tx = store.begin().await?;
    repo::lock_in_tx(store, &tx, role).await?;
    if repo::grant_in_tx(store, &tx, user_id, role, now).await? {
        let event = events::role_granted(user_id, role, None, now);
        audit::tell_in_tx(store, &tx, None, event, None).await?;
    }
    Ok(tx.commit().await.map_err(StoreError::from)?)
}

/// What a user holds now.
pub(crate) async fn grants(store: &Store, user_id: UserId) -> Result<Grants, StoreError> {
    let version = revocations::version(store, user_id).await?;
    let mut grants = Grants { version, ..Grants::default() };
    for (role, permission) in repo::held_by(store, user_id).await? {
        grants.roles.insert(role);
        grants.permissions.extend(permission);
    }
    Ok(grants)
}
