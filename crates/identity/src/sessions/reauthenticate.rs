//! Showing again who one is, within a session.

use super::{BOTH_FACTORS, PASSWORD_FACTOR, Sessions, repo};
use crate::audit::{self, NewEntry};
use crate::mfa::MfaError;
use crate::users;
use kernel::Actor;
use secrecy::SecretString;
use serde_json::json;
use std::time::Duration;
use store::StoreError;

/// An access token of a user who was authenticated just now.
#[derive(Clone, Debug)]
pub struct FreshToken {
    /// For each call: `Authorization: Bearer …`.
    pub access_token: SecretString,
    /// How long it counts.
    pub expires_in: Duration,
}

impl Sessions {
    /// Authenticates the actor again, with the second factor if they have one. The tokens of the
    /// session say so from now on.
    pub(crate) async fn reauthenticate(
        &self,
        actor: &Actor,
        password: &SecretString,
        code: Option<&SecretString>,
    ) -> Result<FreshToken, MfaError> {
        let user_id = actor.user_id;
        if self.users.verify_own(user_id, password).await?.is_none() {
            return Err(MfaError::WrongPassword);
        }
        let proof = match (self.mfa.is_on(user_id).await?, code) {
            (false, _) => None,
            (true, None) => return Err(MfaError::WrongCode),
            (true, Some(code)) => {
                Some(self.mfa.check(user_id, code).await?.ok_or(MfaError::WrongCode)?)
            }
        };
        let factors = if proof.is_some() { BOTH_FACTORS } else { PASSWORD_FACTOR };
        let now = self.clock.now();
        let tx = self.store.begin().await?;
        if !users::repo::lock_active_in_tx(&self.store, &tx, user_id).await? {
            return Err(MfaError::WrongPassword);
        }
        let is_complete = match &proof {
            Some(proof) => self.mfa.spend_in_tx(&tx, user_id, proof).await?,
            // It may have been switched on this instant.
            None => !self.mfa.is_on_in_tx(&tx, user_id).await?,
        };
        if !is_complete {
            return Err(MfaError::WrongCode);
        }
        let session_id = actor.session_id;
        if !repo::authenticate_in_tx(&self.store, &tx, session_id, factors, now).await? {
            return Err(MfaError::WrongPassword);
        }
        let details = json!({ "sessionId": session_id, "withSecondFactor": proof.is_some() });
        let (actor, action, object) = (Some(user_id), "reauthenticated", Some(user_id.0));
        let entry = NewEntry { actor, action, object, details, at: now };
        audit::append_in_tx(&self.store, &tx, entry).await?;
        tx.commit().await.map_err(StoreError::from)?;
        let session = repo::find(&self.store, session_id).await?;
        let session =
            session.ok_or_else(|| StoreError::inconsistent("user_sessions", "id", session_id))?;
        let access_token = self.access_token(&session).await?;
        Ok(FreshToken { access_token, expires_in: self.tokens.lifetime() })
    }
}
