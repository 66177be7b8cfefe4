//! What staff do with roles: make roles of their own, and give and take them. Nobody gives or takes
//! what they do not have, and nobody does it to themselves. What gives somebody more is asked for
//! here and done when a colleague agrees ([`crate::staff_actions`]); what takes something is done at
//! once, and access tokens that were made before count no more.

use super::{entity, repo};
use crate::audit::{self, NewEntry};
use crate::events;
use crate::permissions::ALL;
use crate::revocations::{self, Outdated, Revocations};
use crate::staff_actions::Mandate;
use crate::staff_error::StaffError;
use crate::users::Users;
use crate::users::entity::CLOSED;
use kernel::{Actor, Clock, Timestamp, UserId};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;
use store::outbox::NewEvent;
use store::{Store, StoreError, WriteTx};

/// A role and what it permits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    /// Unique, without regard to case.
    pub name: String,
    /// For people.
    pub description: String,
    /// What it permits.
    pub permissions: BTreeSet<String>,
    /// Whether the program keeps it as it is.
    pub is_built_in: bool,
}

/// A role that a user holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldRole {
    /// Its name.
    pub role: String,
    /// Since when.
    pub granted_at: Timestamp,
}

/// Makes and changes roles.
pub(crate) struct Roles {
    pub(crate) store: Store,
    pub(crate) users: Arc<Users>,
    pub(crate) revocations: Arc<Revocations>,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Roles {
    /// All roles, by name.
    pub(crate) async fn list(&self) -> Result<Vec<Role>, StoreError> {
        let held = repo::permissions(&self.store).await?;
        let roles = repo::all(&self.store).await?.into_iter().map(|(name, description)| Role {
            permissions: held
                .iter()
                .filter(|(role, _)| *role == name)
                .map(|(_, permission)| permission.clone())
                .collect(),
            is_built_in: entity::is_built_in(&name),
            name,
            description,
        });
        Ok(roles.collect())
    }

    pub(crate) async fn find(&self, name: &str) -> Result<Role, StaffError> {
        let found = self.list().await?.into_iter().find(|role| role.name == name);
        found.ok_or(StaffError::NoSuchRole)
    }

    /// Makes a role. Nobody holds it yet, so no second person is needed.
    pub(crate) async fn create(
        &self,
        actor: &Actor,
        name: &str,
        description: &str,
        permissions: &BTreeSet<String>,
    ) -> Result<Role, StaffError> {
        require_known(permissions)?;
        require_held(actor, permissions)?;
        let is_taken = |role: &Role| role.name.eq_ignore_ascii_case(name);
        if self.list().await?.iter().any(is_taken) {
            return Err(StaffError::RoleExists);
        }
        let now = self.clock.now();
        let tx = self.store.begin().await?;
        if !repo::insert_role_in_tx(&self.store, &tx, name, description).await? {
            return Err(StaffError::RoleExists);
        }
        for permission in permissions {
            repo::insert_permission_in_tx(&self.store, &tx, name, permission).await?;
        }
        let change = events::RoleChange::Created;
        let event = events::role_changed(change, name, permissions, actor.user_id, now);
        let more = json!({ "description": description });
        self.commit(tx, actor, event, Some(more), Vec::new()).await?;
        self.find(name).await
    }

    pub(crate) async fn check_widen(
        &self,
        actor: &Actor,
        name: &str,
        permissions: &BTreeSet<String>,
    ) -> Result<(), StaffError> {
        require_known(permissions)?;
        self.changeable(name).await?;
        require_held(actor, permissions)
    }

    /// Lets a role permit more. Its holders' next tokens say so.
    pub(crate) async fn widen_in_tx(
        &self,
        tx: &WriteTx,
        name: &str,
        permissions: &BTreeSet<String>,
        mandate: Mandate,
        now: Timestamp,
    ) -> Result<(), StaffError> {
        let before = self.lock_in_tx(tx, name).await?;
        for permission in permissions {
            repo::insert_permission_in_tx(&self.store, tx, name, permission).await?;
        }
        let change = events::RoleChange::Widened;
        let event = events::role_changed(change, name, permissions, mandate.requested_by, now);
        let mut more = mandate.details();
        more["before"] = json!(before);
        more["after"] = json!(before.union(permissions).collect::<BTreeSet<_>>());
        let actor = Some(mandate.actor());
        Ok(audit::tell_in_tx(&self.store, tx, actor, event, Some(more)).await?)
    }

    /// Lets a role permit less, at once.
    pub(crate) async fn narrow(
        &self,
        actor: &Actor,
        name: &str,
        permissions: &BTreeSet<String>,
    ) -> Result<Role, StaffError> {
        require_known(permissions)?;
        self.changeable(name).await?;
        require_held(actor, permissions)?;
        let now = self.clock.now();
        let tx = self.store.begin().await?;
        let before = self.lock_in_tx(&tx, name).await?;
        for permission in permissions {
            repo::delete_permission_in_tx(&self.store, &tx, name, permission).await?;
        }
        let outdated = revocations::outdate_holders_in_tx(&self.store, &tx, name, now).await?;
        let change = events::RoleChange::Narrowed;
        let event = events::role_changed(change, name, permissions, actor.user_id, now);
        let left: BTreeSet<_> = before.difference(permissions).collect();
        let more = json!({ "before": before, "after": left });
        self.commit(tx, actor, event, Some(more), outdated).await?;
        self.find(name).await
    }

    /// Removes a role that nobody holds.
    pub(crate) async fn delete(&self, actor: &Actor, name: &str) -> Result<(), StaffError> {
        let role = self.changeable(name).await?;
        require_held(actor, &role.permissions)?;
        let now = self.clock.now();
        let tx = self.store.begin().await?;
        let permissions = self.lock_in_tx(&tx, name).await?;
        if !repo::delete_role_in_tx(&self.store, &tx, name).await? {
            return Err(StaffError::RoleInUse);
        }
        let change = events::RoleChange::Deleted;
        let event = events::role_changed(change, name, &permissions, actor.user_id, now);
        Ok(self.commit(tx, actor, event, None, Vec::new()).await?)
    }

    /// The roles of a user, as staff look at them.
    pub(crate) async fn view(
        &self,
        actor: &Actor,
        user_id: UserId,
    ) -> Result<Vec<HeldRole>, StaffError> {
        let held = self.of(user_id).await?;
        let (actor, object) = (Some(actor.user_id), Some(user_id.0));
        let (action, details, at) = ("user_roles_viewed", json!({}), self.clock.now());
        let viewed = NewEntry { actor, action, object, details, at };
        audit::append(&self.store, viewed).await?;
        Ok(held)
    }

    /// The roles of a user, by name.
    pub(crate) async fn of(&self, user_id: UserId) -> Result<Vec<HeldRole>, StaffError> {
        self.users.find(user_id).await?.ok_or(StaffError::NotFound)?;
        let held = repo::of(&self.store, user_id).await?.into_iter();
        Ok(held.map(|(role, granted_at)| HeldRole { role, granted_at }).collect())
    }

    pub(crate) async fn check_grant(
        &self,
        actor: &Actor,
        user_id: UserId,
        name: &str,
        permissions: &BTreeSet<String>,
    ) -> Result<(), StaffError> {
        if actor.user_id == user_id {
            return Err(StaffError::OwnAccount);
        }
        let user = self.users.find(user_id).await?.ok_or(StaffError::NotFound)?;
        if user.status == CLOSED {
            return Err(StaffError::Closed);
        }
        let role = self.find(name).await?;
        require_held(actor, &role.permissions)?;
        if role.permissions == *permissions { Ok(()) } else { Err(StaffError::Outdated) }
    }

    /// Gives a user a role that permits this and nothing else; nothing happens when they have it.
    /// Their next token says so.
    pub(crate) async fn grant_in_tx(
        &self,
        tx: &WriteTx,
        user_id: UserId,
        name: &str,
        permissions: &BTreeSet<String>,
        mandate: Mandate,
        now: Timestamp,
    ) -> Result<(), StaffError> {
        if self.lock_in_tx(tx, name).await? != *permissions {
            return Err(StaffError::Outdated);
        }
        if repo::grant_in_tx(&self.store, tx, user_id, name, now).await? {
            let event = events::role_granted(user_id, name, Some(mandate.requested_by), now);
            let (actor, more) = (Some(mandate.actor()), Some(mandate.details()));
            audit::tell_in_tx(&self.store, tx, actor, event, more).await?;
        }
        Ok(())
    }

    /// Takes a role from a user, at once; nothing happens when they do not have it.
    pub(crate) async fn take(
        &self,
        actor: &Actor,
        user_id: UserId,
        name: &str,
    ) -> Result<Vec<HeldRole>, StaffError> {
        if actor.user_id == user_id {
            return Err(StaffError::OwnAccount);
        }
        self.users.find(user_id).await?.ok_or(StaffError::NotFound)?;
        require_held(actor, &self.find(name).await?.permissions)?;
        let now = self.clock.now();
        let tx = self.store.begin().await?;
        if repo::take_in_tx(&self.store, &tx, user_id, name).await? {
            let outdated = revocations::outdate_in_tx(&self.store, &tx, user_id, now).await?;
            let event = events::role_taken(user_id, name, actor.user_id, now);
            self.commit(tx, actor, event, None, outdated).await?;
        }
        self.of(user_id).await
    }

    /// What a role permits, which stays as it is until the transaction ends; it may have been removed since
    /// it was looked at.
    async fn lock_in_tx(&self, tx: &WriteTx, name: &str) -> Result<BTreeSet<String>, StaffError> {
        repo::lock_in_tx(&self.store, tx, name).await?.ok_or(StaffError::NoSuchRole)
    }

    async fn changeable(&self, name: &str) -> Result<Role, StaffError> {
        let role = self.find(name).await?;
        if role.is_built_in { Err(StaffError::BuiltInRole) } else { Ok(role) }
    }

    async fn commit(
        &self,
        tx: WriteTx,
        actor: &Actor,
        event: NewEvent,
        more: Option<Value>,
        outdated: Vec<Outdated>,
    ) -> Result<(), StoreError> {
        audit::tell_in_tx(&self.store, &tx, Some(actor.user_id), event, more).await?;
        tx.commit().await?;
        self.revocations.add_outdated(outdated);
        Ok(())
    }
}

fn require_known(permissions: &BTreeSet<String>) -> Result<(), StaffError> {
    let known = |permission: &&String| ALL.iter().any(|one| one.0 == permission.as_str());
    match permissions.iter().find(|permission| !known(permission)) {
        Some(unknown) => Err(StaffError::UnknownPermission(unknown.clone())),
        None => Ok(()),
    }
}

/// Refuses an actor who lacks one of these permissions.
pub(crate) fn require_held(
    actor: &Actor,
    permissions: &BTreeSet<String>,
) -> Result<(), StaffError> {
    match permissions.difference(&actor.permissions).next() {
        Some(lacking) => Err(StaffError::NotHeld(lacking.clone())),
        None => Ok(()),
    }
}
