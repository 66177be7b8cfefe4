//! Showing again who one is, within a session.

use super::entity::Model as Session;
use super::{PASSKEY_FACTORS, PASSWORD_FACTOR, Sessions, both_factors, repo};
use crate::audit::{self, NewEntry};
use crate::mfa::{Answer, MfaError};
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
    /// Authenticates the actor again, with the password, and the second factor if they have one; or with
    /// a passkey alone, which is both. The tokens of the session say so from now on.
    pub(crate) async fn reauthenticate(
        &self,
        actor: &Actor,
        password: Option<&SecretString>,
        answer: Option<&Answer>,
    ) -> Result<FreshToken, MfaError> {
        let user_id = actor.user_id;
        match (password, answer) {
            (Some(password), _) => {
                if self.users.verify_own(user_id, password).await?.is_none() {
                    return Err(MfaError::WrongPassword);
                }
            }
            (None, Some(Answer::Passkey(_))) => {}
            (None, Some(Answer::Code(_)) | None) => return Err(MfaError::WrongPassword),
        }
        let proof = match (self.mfa.is_on(user_id).await?, answer) {
            (false, _) if password.is_some() => None,
            (_, None) => return Err(MfaError::WrongCode),
            (_, Some(answer)) => {
                Some(self.mfa.check(user_id, answer).await?.ok_or(MfaError::WrongCode)?)
            }
        };
        let factors = match &proof {
            None => PASSWORD_FACTOR,
            Some(proof) if password.is_some() => both_factors(proof),
            // Without a password it is a passkey.
            Some(_) => PASSKEY_FACTORS,
        };
        let now = self.clock.now();
        let session_id = actor.session_id;
        let session = repo::find(&self.store, session_id).await?.ok_or(MfaError::WrongPassword)?;
        let session = Session {
            authenticated_at: Some(now.as_micros()),
            factors: Some(factors.to_owned()),
            ..session
        };
        // Before the code is spent, because there may be nobody to sign.
        let access_token = self.access_token(&session).await?.token;
        let tx = self.store.begin().await?;
        if !users::repo::lock_active_in_tx(&self.store, &tx, user_id).await? {
            return Err(MfaError::WrongPassword);
        }
        let is_complete = match &proof {
            Some(proof) => self.mfa.spend_in_tx(&tx, user_id, proof, now).await?,
            // It may have been switched on this instant.
            None => !self.mfa.is_on_in_tx(&tx, user_id).await?,
        };
        if !is_complete {
            return Err(MfaError::WrongCode);
        }
        if !repo::authenticate_in_tx(&self.store, &tx, session_id, factors, now).await? {
            return Err(MfaError::WrongPassword);
        }
        let details = json!({ "sessionId": session_id, "withSecondFactor": proof.is_some() });
        let (actor, action, object) = (Some(user_id), "reauthenticated", Some(user_id.0));
        let entry = NewEntry { actor, action, object, details, at: now };
        audit::append_in_tx(&self.store, &tx, entry).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(FreshToken { access_token, expires_in: self.tokens.lifetime() })
    }
}
