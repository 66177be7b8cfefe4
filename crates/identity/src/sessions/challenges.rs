//! Sign-ins with a second factor: the password earns a token that lives for minutes and is good for
//! nothing but to be brought back with a code.

use super::{Device, LogInError, SecondFactor, Sessions, TokenPair, repo};
use crate::mfa::MfaError;
use crate::tokens::OpaqueToken;
use crate::users::entity::Model as UserRow;
use kernel::{Timestamp, UserId};
use secrecy::SecretString;
use std::time::Duration;
use store::StoreError;

/// What a sign-in with the right password led to.
#[derive(Clone, Debug)]
pub enum LogIn {
    /// The user is signed in.
    Done(TokenPair),
    /// A code is needed.
    MfaRequired {
        /// To be brought back with the code.
        mfa_token: SecretString,
        /// How long it counts.
        expires_in: Duration,
    },
}

/// A row of `log_in_challenges`.
pub(super) struct Challenge {
    pub(super) token_hash: Vec<u8>,
    pub(super) user_id: UserId,
    pub(super) password_changed_at: i64,
    pub(super) expires_at: Timestamp,
}

const LIFETIME: Duration = Duration::from_mins(5);

impl Sessions {
    pub(super) async fn challenge(&self, user: &UserRow) -> Result<LogIn, LogInError> {
        let token = OpaqueToken::generate()?;
        let now = self.clock.now();
        let challenge = Challenge {
            token_hash: token.hash(),
            user_id: UserId(user.id),
            password_changed_at: user.password_changed_at,
            expires_at: now.plus(LIFETIME),
        };
        let tx = self.store.begin().await?;
        repo::delete_old_challenges_in_tx(&self.store, &tx, challenge.user_id, now).await?;
        repo::insert_challenge_in_tx(&self.store, &tx, &challenge).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(LogIn::MfaRequired { mfa_token: token.into_secret(), expires_in: LIFETIME })
    }

    /// Signs the user in whose password earned the token and whose app made the code. A wrong code
    /// does not use the token up; too many of them lock out. From a device that is to be trusted, the
    /// next sign-ins need no code.
    pub(crate) async fn complete(
        &self,
        mfa_token: &SecretString,
        code: &SecretString,
        device: &Device,
        trust_device: bool,
    ) -> Result<TokenPair, LogInError> {
        let token_hash = OpaqueToken::hash_of(mfa_token);
        let challenge = repo::find_challenge(&self.store, &token_hash, self.clock.now()).await?;
        let challenge = challenge.ok_or(LogInError::InvalidMfaToken)?;
        let user = self.users.find(challenge.user_id).await?;
        let user = user
            .filter(UserRow::is_active)
            .filter(|user| user.password_changed_at == challenge.password_changed_at)
            .ok_or(LogInError::InvalidMfaToken)?;
        let checked =
            self.mfa.check(challenge.user_id, code).await.map_err(|error| match error {
                MfaError::Busy => LogInError::Busy,
                MfaError::Failed(error) => LogInError::Failed(error),
                MfaError::WrongPassword
                | MfaError::WrongCode
                | MfaError::AlreadyOn
                | MfaError::NotThere => LogInError::InvalidMfaCode,
            })?;
        let proof = checked.ok_or(LogInError::InvalidMfaCode)?;
        self.open(user, device, SecondFactor::Code { challenge, proof, trust_device }).await
    }
}
