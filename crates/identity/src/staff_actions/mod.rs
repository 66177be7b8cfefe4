//! Four eyes: the most dangerous things staff can do are asked for by one person and approved by
//! another, in a time. What is approved is done in the transaction that writes the approval down, so
//! it is done once or not at all.

mod entity;
mod repo;

pub(crate) use entity::Mandate;
pub use entity::{Action, ActionState, StaffAction};

use crate::accounts::{Accounts, SecondFactorReset};
use crate::roles::{self, Roles};
use crate::staff_error::StaffError;
use crate::users::Users;
use crate::{Error, audit, events};
use kernel::{Actor, Clock, Cursor, IdSource, Page, PageLimit, Timestamp, UserId};
use repo::Decision;
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use store::{Store, StoreError, WriteTx};
use uuid::Uuid;

/// What became of what somebody asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// It was done: this installation does not want a second person.
    Done,
    /// It waits for a colleague.
    Waiting(StaffAction),
}

/// Asks for, approves and rejects actions.
pub(crate) struct StaffActions {
    pub(crate) store: Store,
    pub(crate) users: Arc<Users>,
    pub(crate) accounts: Arc<Accounts>,
    pub(crate) roles: Arc<Roles>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn IdSource>,
    /// Whether a second person is needed.
    pub(crate) four_eyes: bool,
    /// How long an action can be approved.
    pub(crate) lifetime: Duration,
}

impl StaffActions {
    /// Asks for an action. If the same is pending already, that is the answer, whoever asked for it.
    pub(crate) async fn ask(
        &self,
        actor: &Actor,
        action: Action,
        reason: &str,
    ) -> Result<Asked, StaffError> {
        self.check(actor, &action).await?;
        let now = self.clock.now();
        let asked = StaffAction {
            id: self.ids.next(),
            action,
            reason: reason.to_owned(),
            requested_by: actor.user_id,
            requested_at: now,
            expires_at: now.plus(self.lifetime),
            state: ActionState::Pending,
            decided_by: None,
            decided_at: None,
            decision_reason: None,
        };
        let tx = self.store.begin().await?;
        if !self.four_eyes {
            let mandate = Mandate { requested_by: actor.user_id, approved: None };
            let reset = self.carry_out_in_tx(&tx, &asked, mandate, now).await?;
            tx.commit().await.map_err(StoreError::from)?;
            self.finish(reset).await;
            return Ok(Asked::Done);
        }
        repo::expire_in_tx(&self.store, &tx, now).await?;
        if !repo::insert_in_tx(&self.store, &tx, &asked).await? {
            drop(tx);
            let pending = repo::find_pending(&self.store, self.store.read(), &asked.action).await?;
            // If it was decided this instant, it is to be asked for once more.
            return Ok(Asked::Waiting(pending.ok_or(StaffError::NotPending("decided"))?));
        }
        let event = events::staff_action(events::StaffActionStep::Requested, &asked, actor, now);
        let more = json!({ "reason": reason });
        audit::tell_in_tx(&self.store, &tx, Some(actor.user_id), event, Some(more)).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(Asked::Waiting(asked))
    }

    pub(crate) async fn list(
        &self,
        state: Option<ActionState>,
        after: Option<Uuid>,
        limit: PageLimit,
    ) -> Result<Page<StaffAction>, Error> {
        let now = self.clock.now();
        let rows = repo::list(&self.store, state, now, after, limit).await?;
        let page = Page::from_rows(rows, limit, |action| Cursor::from_uuid(action.id));
        Ok(page.map(|action| as_of(action, now)))
    }

    pub(crate) async fn find(&self, id: Uuid) -> Result<StaffAction, StaffError> {
        let found = repo::find(&self.store, id).await?.ok_or(StaffError::NoSuchAction)?;
        Ok(as_of(found, self.clock.now()))
    }

    /// Approves an action and does it. Approved again by the same person, it is answered as before
    /// and not done again.
    pub(crate) async fn approve(&self, actor: &Actor, id: Uuid) -> Result<StaffAction, StaffError> {
        let asked = self.find(id).await?;
        if is_decided_by(&asked, actor, ActionState::Approved) {
            return Ok(asked);
        }
        let now = self.clock.now();
        asked.check_approver(actor, now)?;
        self.check(actor, &asked.action).await?;
        self.check_requester(&asked).await?;
        let decision =
            Decision { state: ActionState::Approved, by: actor.user_id, at: now, reason: None };
        let tx = self.store.begin().await?;
        if !repo::decide_in_tx(&self.store, &tx, id, &decision).await? {
            drop(tx);
            return self.decided_meanwhile(actor, id, ActionState::Approved).await;
        }
        let approved = Some((actor.user_id, id));
        let mandate = Mandate { requested_by: asked.requested_by, approved };
        let reset = self.carry_out_in_tx(&tx, &asked, mandate, now).await?;
        let event = events::staff_action(events::StaffActionStep::Approved, &asked, actor, now);
        audit::tell_in_tx(&self.store, &tx, Some(actor.user_id), event, None).await?;
        tx.commit().await.map_err(StoreError::from)?;
        self.finish(reset).await;
        self.find(id).await
    }

    /// Rejects an action, or takes back what one asked for oneself.
    pub(crate) async fn reject(
        &self,
        actor: &Actor,
        id: Uuid,
        reason: &str,
    ) -> Result<StaffAction, StaffError> {
        let asked = self.find(id).await?;
        if is_decided_by(&asked, actor, ActionState::Rejected) {
            return Ok(asked);
        }
        let now = self.clock.now();
        asked.check_rejecter(actor, now)?;
        let state = ActionState::Rejected;
        let decision = Decision { state, by: actor.user_id, at: now, reason: Some(reason) };
        let tx = self.store.begin().await?;
        if !repo::decide_in_tx(&self.store, &tx, id, &decision).await? {
            drop(tx);
            return self.decided_meanwhile(actor, id, state).await;
        }
        tell_rejected_in_tx(&self.store, &tx, &asked, actor, reason, now).await?;
        tx.commit().await.map_err(StoreError::from)?;
        self.find(id).await
    }

    async fn decided_meanwhile(
        &self,
        actor: &Actor,
        id: Uuid,
        wanted: ActionState,
    ) -> Result<StaffAction, StaffError> {
        let found = self.find(id).await?;
        match is_decided_by(&found, actor, wanted) {
            true => Ok(found),
            false => Err(StaffError::NotPending(found.state.as_str())),
        }
    }

    /// Whether an actor may ask for an action or approve it, as things are now.
    async fn check(&self, actor: &Actor, action: &Action) -> Result<(), StaffError> {
        match action {
            Action::UnlockUser { user_id } => {
                self.accounts.check_unlock(actor, UserId(*user_id)).await
            }
            Action::ResetSecondFactor { user_id } => {
                self.accounts.check_second_factor_reset(actor, UserId(*user_id)).await
            }
            Action::GrantRole { user_id, role, permissions } => {
                self.roles.check_grant(actor, UserId(*user_id), role, permissions).await
            }
            Action::WidenRole { role, permissions } => {
                self.roles.check_widen(actor, role, permissions).await
            }
        }
    }

    /// The permissions that come to somebody by an action, or that somebody has whom it lets in by less.
    /// Nobody does either who does not hold them.
    async fn at_stake(&self, action: &Action) -> Result<BTreeSet<String>, StoreError> {
        match action {
            Action::UnlockUser { .. } => Ok(BTreeSet::new()),
            Action::ResetSecondFactor { user_id } => {
                self.accounts.staff_permissions(UserId(*user_id)).await
            }
            Action::GrantRole { permissions, .. } | Action::WidenRole { permissions, .. } => {
                Ok(permissions.clone())
            }
        }
    }

    /// Whoever asked may have been let go since, or lost what they wanted to give.
    async fn check_requester(&self, asked: &StaffAction) -> Result<(), StaffError> {
        let user = self.users.find(asked.requested_by).await?;
        let grants = roles::grants(&self.store, asked.requested_by).await?;
        let is_entitled = user.is_some_and(|user| user.is_active())
            && grants.permissions.contains(asked.action.permission().0)
            && self.at_stake(&asked.action).await?.is_subset(&grants.permissions);
        if is_entitled { Ok(()) } else { Err(StaffError::RequesterNotEntitled) }
    }

    /// Does what is asked for. What is returned is for [`Self::finish`] after the commit.
    async fn carry_out_in_tx(
        &self,
        tx: &WriteTx,
        asked: &StaffAction,
        mandate: Mandate,
        now: Timestamp,
    ) -> Result<Option<SecondFactorReset>, StaffError> {
        let reason = asked.reason.as_str();
        match &asked.action {
            Action::UnlockUser { user_id } => {
                self.accounts.unlock_in_tx(tx, UserId(*user_id), mandate, reason, now).await?;
            }
            Action::ResetSecondFactor { user_id } => {
                let id = UserId(*user_id);
                let reset = self.accounts.reset_second_factor_in_tx(tx, id, mandate, reason, now);
                return Ok(Some(reset.await?));
            }
            Action::GrantRole { user_id, role, permissions } => {
                let id = UserId(*user_id);
                self.roles.grant_in_tx(tx, id, role, permissions, mandate, now).await?;
            }
            Action::WidenRole { role, permissions } => {
                self.roles.widen_in_tx(tx, role, permissions, mandate, now).await?;
            }
        }
        Ok(None)
    }

    /// Does what is left when an action is committed.
    async fn finish(&self, reset: Option<SecondFactorReset>) {
        if let Some(reset) = reset {
            self.accounts.after_second_factor_reset(reset).await;
        }
    }
}

/// Rejects a pending action for an actor who takes away what it stands on, and returns it. To be told
/// by [`tell_rejected_in_tx`] after the last row was changed, because telling locks the audit trail.
pub(crate) async fn reject_pending_in_tx(
    store: &Store,
    tx: &WriteTx,
    action: &Action,
    actor: &Actor,
    reason: &str,
    now: Timestamp,
) -> Result<Option<StaffAction>, StoreError> {
    let Some(asked) = repo::find_pending(store, tx, action).await? else {
        return Ok(None);
    };
    let state = ActionState::Rejected;
    let decision = Decision { state, by: actor.user_id, at: now, reason: Some(reason) };
    let is_rejected = repo::decide_in_tx(store, tx, asked.id, &decision).await?;
    Ok(is_rejected.then_some(asked))
}

/// Tells that an actor rejected an action.
pub(crate) async fn tell_rejected_in_tx(
    store: &Store,
    tx: &WriteTx,
    action: &StaffAction,
    actor: &Actor,
    reason: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    let event = events::staff_action(events::StaffActionStep::Rejected, action, actor, now);
    let more = json!({ "reason": reason });
    audit::tell_in_tx(store, tx, Some(actor.user_id), event, Some(more)).await
}

fn as_of(action: StaffAction, now: Timestamp) -> StaffAction {
    StaffAction { state: action.state_at(now), ..action }
}

fn is_decided_by(action: &StaffAction, actor: &Actor, state: ActionState) -> bool {
    action.state == state && action.decided_by == Some(actor.user_id)
}
