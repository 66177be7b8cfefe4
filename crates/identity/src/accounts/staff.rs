//! What staff see of a user and may do to one.

use super::Accounts;
use crate::audit::{self, NewEntry};
use crate::events::{self, RevocationReason};
use crate::lock_out::{self, Subject};
use crate::staff_actions::{self, Action, Mandate};
use crate::staff_error::StaffError;
use crate::users::entity::{ACTIVE, CLOSED, LOCKED, Model};
use crate::users::repo::{self, StatusChange};
use crate::{Error, User, resets, trusted_devices};
use kernel::{Actor, Timestamp, UserId};
use serde_json::{Value, json};
use store::{StoreError, WriteTx};

/// Whether a user may sign in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserStatus {
    /// They may.
    Active,
    /// Staff keep them out.
    Locked,
    /// They left, for good.
    Closed,
}

/// A user as staff see one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaffView {
    /// Who it is.
    pub user: User,
    /// Whether they may sign in.
    pub status: UserStatus,
    /// Why the status was changed last; `None` if it never was.
    pub status_reason: Option<String>,
    /// When that was.
    pub status_changed_at: Option<Timestamp>,
    /// Who did it.
    pub status_changed_by: Option<UserId>,
    /// The last sign-in.
    pub last_log_in_at: Option<Timestamp>,
    /// Until when wrong passwords or codes keep the user out; `None` if they do not.
    pub locked_out_until: Option<Timestamp>,
}

/// What staff did to a user.
fn entry(
    actor: &Actor,
    action: &'static str,
    id: Option<UserId>,
    details: Value,
    at: Timestamp,
) -> NewEntry {
    let (actor, object) = (Some(actor.user_id), id.map(|id| id.0));
    NewEntry { actor, action, object, details, at }
}

impl Accounts {
    /// The user with this e-mail address or phone number, whatever their status.
    pub(crate) async fn search(
        &self,
        actor: &Actor,
        identifier: &str,
    ) -> Result<Option<StaffView>, Error> {
        let found = self.users.find_by_identifier(identifier).await?;
        let id = found.as_ref().map(|user| UserId(user.id));
        let entry = entry(actor, "users_searched", id, json!({}), self.clock.now());
        audit::append(&self.store, entry).await?;
        match found {
            Some(row) => Ok(Some(self.staff_view(row).await?)),
            None => Ok(None),
        }
    }

    pub(crate) async fn view(&self, actor: &Actor, id: UserId) -> Result<StaffView, StaffError> {
        let row = self.users.find(id).await?.ok_or(StaffError::NotFound)?;
        let entry = entry(actor, "user_viewed", Some(id), json!({}), self.clock.now());
        audit::append(&self.store, entry).await?;
        Ok(self.staff_view(row).await?)
    }

    /// Keeps a user out: ends their sessions, sign-ins and resets that are under way, and takes no
    /// password of theirs. A locked one stays locked, with the first reason. Requests to unlock, or to
    /// remove the second factors, that were made before are rejected.
    pub(crate) async fn lock(
        &self,
        actor: &Actor,
        id: UserId,
        reason: &str,
    ) -> Result<StaffView, StaffError> {
        self.require_other(actor, id).await?;
        let now = self.clock.now();
        let change = StatusChange { from: ACTIVE, to: LOCKED, reason, by: actor.user_id, at: now };
        let tx = self.store.begin().await?;
        // Whoever asked to let the user in again did not know of this.
        let (store, since) = (&self.store, format!("locked since: {reason}"));
        let mut rejected = Vec::new();
        for asked in
            [Action::UnlockUser { user_id: id.0 }, Action::ResetSecondFactor { user_id: id.0 }]
        {
            rejected.extend(
                staff_actions::reject_pending_in_tx(store, &tx, &asked, actor, &since, now).await?,
            );
        }
        let changed = repo::change_status_in_tx(&self.store, &tx, id, &change).await?;
        resets::forget_in_tx(&self.store, &tx, id).await?;
        trusted_devices::forget_all_in_tx(&self.store, &tx, id).await?;
        let ended = RevocationReason::UserLocked;
        let revoked = self.sessions.revoke_all_in_tx(&tx, id, None, ended, now).await?;
        if changed {
            let event = events::user_lock_changed(id, true, actor.user_id, now);
            let more = json!({
                "before": { "status": ACTIVE },
                "after": { "status": LOCKED },
                "reason": reason,
            });
            audit::tell_in_tx(&self.store, &tx, Some(actor.user_id), event, Some(more)).await?;
        } else {
            let entry =
                entry(actor, "user_lock_repeated", Some(id), json!({ "reason": reason }), now);
            audit::append_in_tx(&self.store, &tx, entry).await?;
        }
        for rejected in rejected {
            staff_actions::tell_rejected_in_tx(store, &tx, &rejected, actor, &since, now).await?;
        }
        tx.commit().await.map_err(StoreError::from)?;
        self.sessions.forget(&revoked, now);
        self.after_change(id).await
    }

    /// A user as they are after what staff did, which the audit trail tells already.
    pub(crate) async fn after_change(&self, id: UserId) -> Result<StaffView, StaffError> {
        let row = self.users.find(id).await?.ok_or(StaffError::NotFound)?;
        Ok(self.staff_view(row).await?)
    }

    /// Whether an actor may let a user in again.
    pub(crate) async fn check_unlock(&self, actor: &Actor, id: UserId) -> Result<(), StaffError> {
        self.require_other(actor, id).await
    }

    /// Lets a user in again, whether staff, wrong passwords or wrong codes keep them
    /// out.
    pub(crate) async fn unlock_in_tx(
        &self,
        tx: &WriteTx,
        id: UserId,
        mandate: Mandate,
        reason: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let by = mandate.requested_by;
        let change = StatusChange { from: LOCKED, to: ACTIVE, reason, by, at: now };
        let changed = repo::change_status_in_tx(&self.store, tx, id, &change).await?;
        for subject in [Subject::user(id), Subject::codes(id)] {
            lock_out::forget_in_tx(&self.store, tx, subject).await?;
        }
        let actor = Some(mandate.actor());
        let mut details = mandate.details();
        details["reason"] = json!(reason);
        if changed {
            details["before"] = json!({ "status": LOCKED });
            details["after"] = json!({ "status": ACTIVE });
            let event = events::user_lock_changed(id, false, by, now);
            return audit::tell_in_tx(&self.store, tx, actor, event, Some(details)).await;
        }
        let (action, object) = ("lock_out_lifted", Some(id.0));
        let lifted = NewEntry { actor, action, object, details, at: now };
        audit::append_in_tx(&self.store, tx, lifted).await
    }

    /// Nobody does it to themselves, nor to somebody who left.
    pub(super) async fn require_other(&self, actor: &Actor, id: UserId) -> Result<(), StaffError> {
        if actor.user_id == id {
            return Err(StaffError::OwnAccount);
        }
        let user = self.users.find(id).await?.ok_or(StaffError::NotFound)?;
        if user.status == CLOSED { Err(StaffError::Closed) } else { Ok(()) }
    }

    async fn staff_view(&self, row: Model) -> Result<StaffView, StoreError> {
        let id = UserId(row.id);
        let status = match row.status.as_str() {
            ACTIVE => UserStatus::Active,
            LOCKED => UserStatus::Locked,
            CLOSED => UserStatus::Closed,
            _ => return Err(StoreError::inconsistent("users", "status", row.id)),
        };
        let now = self.clock.now();
        Ok(StaffView {
            status,
            status_reason: row.status_reason.clone(),
            status_changed_at: row.status_changed_at.map(Timestamp::from_micros),
            status_changed_by: row.status_changed_by.map(UserId),
            last_log_in_at: row.last_log_in_at.map(Timestamp::from_micros),
            locked_out_until: lock_out::locked_until(&self.store, id, now).await?,
            user: row.into(),
        })
    }
}
