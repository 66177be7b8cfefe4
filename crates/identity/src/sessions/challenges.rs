//! Sign-ins with a second factor: the password earns a token that lives for minutes and is good for
//! nothing but to be brought back with a code.

use super::{Device, Evidence, LogInError, Sessions, TokenPair, repo};
use crate::mfa::{Answer, MfaError};
use crate::passkeys::Question;
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
    /// A second factor is needed.
    MfaRequired {
        /// To be brought back with a code or a passkey.
        mfa_token: SecretString,
        /// Whether there is a passkey that will do.
        has_passkey: bool,
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
        let has_passkey = self.passkeys.can_answer(challenge.user_id).await?;
        let mfa_token = token.into_secret();
        Ok(LogIn::MfaRequired { mfa_token, has_passkey, expires_in: LIFETIME })
    }

    /// Asks for a passkey of the user whose password earned the token.
    pub(crate) async fn ask_for_passkey(
        &self,
        mfa_token: &SecretString,
    ) -> Result<Question, LogInError> {
        let (challenge, _) = self.challenged(mfa_token).await?;
        self.mfa.ask_for_passkey(challenge.user_id).await.map_err(not_right)
    }

    /// Signs the user in whose password earned the token and whose second factor this is. A wrong one
    /// does not use the token up; too many of them lock out. From a device that is to be trusted, the
    /// next sign-ins need no second factor.
    pub(crate) async fn complete(
        &self,
        mfa_token: &SecretString,
        answer: &Answer,
        device: &Device,
        trust_device: bool,
    ) -> Result<TokenPair, LogInError> {
        let (challenge, user) = self.challenged(mfa_token).await?;
        let checked = self.mfa.check(challenge.user_id, answer).await.map_err(not_right)?;
        let proof = checked.ok_or(LogInError::InvalidMfaCode)?;
        self.open(user, device, Evidence::BothFactors { challenge, proof, trust_device }).await
    }

    /// The sign-in that a token is for, and whose it is.
    async fn challenged(
        &self,
        mfa_token: &SecretString,
    ) -> Result<(Challenge, UserRow), LogInError> {
        let token_hash = OpaqueToken::hash_of(mfa_token);
        let challenge = repo::find_challenge(&self.store, &token_hash, self.clock.now()).await?;
        let challenge = challenge.ok_or(LogInError::InvalidMfaToken)?;
        let user = self.users.find(challenge.user_id).await?;
        let user = user
            .filter(UserRow::is_active)
            .filter(|user| user.password_changed_at == challenge.password_changed_at)
            .ok_or(LogInError::InvalidMfaToken)?;
        Ok((challenge, user))
    }
}

fn not_right(error: MfaError) -> LogInError {
    match error {
        MfaError::Busy => LogInError::Busy,
        MfaError::Failed(error) => LogInError::Failed(error),
        MfaError::PasskeysOff => LogInError::PasskeysOff,
        MfaError::NoSuchPasskey => LogInError::NoPasskey,
        MfaError::WrongPassword
        | MfaError::WrongCode
        | MfaError::SessionOver
        | MfaError::AlreadyOn
        | MfaError::NotThere
        | MfaError::Needed
        | MfaError::PasskeyRefused(_)
        | MfaError::NoChallenge
        | MfaError::PasskeyTaken
        | MfaError::TooManyPasskeys(_) => LogInError::InvalidMfaCode,
    }
}
