//! A way back for whoever lost every second factor: staff remove them all, and the user begins anew with
//! the password.

use super::Accounts;
use crate::audit;
use crate::events::{self, RevocationReason};
use crate::roles;
use crate::staff_actions::Mandate;
use crate::staff_error::StaffError;
use crate::users::repo;
use kernel::{Actor, Timestamp, UserId};
use serde_json::json;
use std::collections::BTreeSet;
use store::{StoreError, WriteTx};
use uuid::Uuid;

/// Second factors that were removed, for when the transaction is committed.
pub(crate) struct SecondFactorReset {
    user_id: UserId,
    revoked: Vec<Uuid>,
    at: Timestamp,
}

impl Accounts {
    /// Whether an actor may remove somebody's second factors. Between the reset and a new factor the
    /// password is all that is asked of the user, so nobody does it to who may do more than they.
    pub(crate) async fn check_second_factor_reset(
        &self,
        actor: &Actor,
        id: UserId,
    ) -> Result<(), StaffError> {
        self.require_other(actor, id).await?;
        roles::require_held(actor, &self.staff_permissions(id).await?)?;
        match self.mfa.is_on(id).await? {
            true => Ok(()),
            false => Err(StaffError::NoSecondFactor),
        }
    }

    /// What a user may do as a member of staff.
    pub(crate) async fn staff_permissions(
        &self,
        id: UserId,
    ) -> Result<BTreeSet<String>, StoreError> {
        Ok(roles::grants(&self.store, id).await?.staff_permissions())
    }

    /// Removes a user's second factors and ends what was begun with them: sessions, sign-ins that wait
    /// for a code, trusted devices. Whoever is locked stays locked.
    pub(crate) async fn reset_second_factor_in_tx(
        &self,
        tx: &WriteTx,
        id: UserId,
        mandate: Mandate,
        reason: &str,
        now: Timestamp,
    ) -> Result<SecondFactorReset, StaffError> {
        if !repo::lock_unless_closed_in_tx(&self.store, tx, id).await? {
            return Err(StaffError::Closed);
        }
        self.mfa.remove_all_in_tx(tx, id).await?;
        let ended = RevocationReason::SecondFactorReset;
        let revoked = self.sessions.revoke_all_in_tx(tx, id, None, ended, now).await?;
        let event = events::second_factor_reset(id, mandate.requested_by, now);
        let mut details = mandate.details();
        details["reason"] = json!(reason);
        audit::tell_in_tx(&self.store, tx, Some(mandate.actor()), event, Some(details)).await?;
        Ok(SecondFactorReset { user_id: id, revoked, at: now })
    }

    /// Stops taking the user's access tokens, and tells them of it at every contact that is theirs. It
    /// stays done when they cannot be told.
    pub(crate) async fn after_second_factor_reset(&self, reset: SecondFactorReset) {
        let SecondFactorReset { user_id, revoked, at } = reset;
        self.sessions.forget(&revoked, at);
        match self.users.find(user_id).await {
            Ok(Some(user)) => {
                let text = format!(
                    "The second factor of your Finitech account was removed by our staff at {at}, and \
                     all sessions ended. Sign in with your password and add a new one.\n\nIf you did \
                     not ask for it, tell us at once."
                );
                self.messages.notify_everywhere(user, "Your second factor was removed", &text);
            }
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "nobody was told of a removed second factor"),
        }
    }
}
