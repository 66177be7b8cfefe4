//! Showing again who one is, within a session.

use super::entity::Model as Session;
use super::{PASSKEY_FACTORS, PASSWORD_FACTOR, Sessions, TokenPair, both_factors, repo};
use crate::audit::{self, NewEntry};
use crate::mfa::{Answer, MfaError};
use crate::users;
use kernel::{Actor, Timestamp};
use secrecy::SecretString;
use serde_json::json;
use store::StoreError;

impl Sessions {
    /// Authenticates the actor again, with the password, and the second factor if they have one; or with
    /// a passkey alone, which is both. The session goes on under another id: its tokens from before count
    /// no more, neither the access tokens, as those of a session that was revoked, nor the refresh token,
    /// as one that was exchanged.
    pub(crate) async fn reauthenticate(
        &self,
        actor: &Actor,
        password: Option<&SecretString>,
        answer: Option<&Answer>,
    ) -> Result<TokenPair, MfaError> {
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
        let before = repo::find(&self.store, actor.session_id).await?;
        let before = before.ok_or(MfaError::SessionOver)?;
        let expires_at = self.expiry(Timestamp::from_micros(before.created_at), now);
        if expires_at <= now {
            return Err(MfaError::SessionOver);
        }
        let session = Session {
            id: self.ids.next(),
            last_used_at: now.as_micros(),
            expires_at: expires_at.as_micros(),
            authenticated_at: Some(now.as_micros()),
            factors: Some(factors.to_owned()),
            ..before
        };
        let session_id = session.id;
        let (pair, row) = self.next_tokens(&session, now).await?;
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
        if !repo::replace_session_in_tx(&self.store, &tx, actor.session_id, session, now).await? {
            return Err(MfaError::SessionOver);
        }
        repo::insert_token_in_tx(&tx, row).await?;
        let details = json!({
            "sessionId": session_id,
            "sessionIdBefore": actor.session_id,
            "withSecondFactor": proof.is_some(),
        });
        let (actor_id, action, object) = (Some(user_id), "reauthenticated", Some(user_id.0));
        let entry = NewEntry { actor: actor_id, action, object, details, at: now };
        audit::append_in_tx(&self.store, &tx, entry).await?;
        tx.commit().await.map_err(StoreError::from)?;
        self.forget(&[actor.session_id], now);
        Ok(pair)
    }
}
