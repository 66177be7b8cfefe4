//! Sessions: signing in, staying signed in, signing out.
//!
//! A sign-in makes a session and the first of its refresh tokens. Each refresh token is exchanged
//! once, for the next; one that comes twice ends the session, because two hold it and nobody can
//! tell which of them is the user (RFC 9700 section 4.14.2).

mod challenges;
mod device;
mod entity;
mod mine;
mod reauthenticate;
mod refresh_token;
mod repo;

pub use challenges::LogIn;
pub use device::Device;
pub(crate) use device::name as device_name;
pub use mine::OwnSession;

use crate::audit::{self, NewEntry};
use crate::events::{self, RevocationReason};
use crate::messages::Messages;
use crate::mfa::{Mfa, Proof};
use crate::passkeys::{self, Assertion, PasskeyError, Passkeys, Purpose as Question, Shown};
use crate::passwords::PasswordError;
use crate::revocations::Revocations;
use crate::tokens::{AccessTokens, OpaqueToken, Subject, SubjectKind};
use crate::trusted_devices::{self, NewTrustedDevice, TrustedDevices};
use crate::users::entity::Model as UserRow;
use crate::users::{self, Users, VerifyError};
use crate::{Error, roles};
use challenges::Challenge;
use entity::{Model as Session, Worth};
use kernel::{Actor, Clock, IdSource, Timestamp, UserId};
use secrecy::SecretString;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use store::{Store, StoreError, WriteTx, outbox};
use uuid::Uuid;

/// What a client holds while its user is signed in.
#[derive(Clone, Debug)]
pub struct TokenPair {
    /// For each call: `Authorization: Bearer …`.
    pub access_token: SecretString,
    /// For the next pair, once.
    pub refresh_token: SecretString,
    /// How long the access token counts.
    pub expires_in: Duration,
    /// Whether permissions of staff were left out, because the session is without a second factor.
    pub second_factor_needed: bool,
    /// What a device that is trusted from now on brings along with the password.
    pub device_token: Option<SecretString>,
}

/// A token, and whether permissions of staff were left out of it.
struct AccessToken {
    token: SecretString,
    second_factor_needed: bool,
}

/// What a sign-in shows.
enum Evidence {
    /// A password, of a user who has no second factor.
    Password,
    /// A password, on a device that the user trusts.
    TrustedDevice { token_hash: Vec<u8> },
    /// A password, and a second factor that was found right.
    BothFactors { challenge: Challenge, proof: Proof, trust_device: bool },
    /// A passkey that was found right, and no password.
    Passkey(Shown),
}

/// What RFC 8176 says of more than one factor.
const MULTI_FACTOR: &str = "mfa";
/// A password alone (RFC 8176).
const PASSWORD_FACTOR: &str = "pwd";
/// A password and a code.
const WITH_CODE: &str = "pwd otp mfa";
/// A password and a passkey. Without an attestation nobody knows that its key is kept in hardware, so
/// `swk`, which claims less than `hwk`.
const WITH_PASSKEY: &str = "pwd swk user mfa";
/// A passkey alone, which verified its user.
const PASSKEY_FACTORS: &str = "swk user mfa";

/// The factors of a password and a second one.
fn both_factors(second: &Proof) -> &'static str {
    match second {
        Proof::Totp { .. } | Proof::RecoveryCode { .. } => WITH_CODE,
        Proof::Passkey(_) => WITH_PASSKEY,
    }
}

impl Evidence {
    /// Whether the user showed all the factors they have.
    fn is_complete(&self) -> bool {
        !matches!(self, Self::TrustedDevice { .. })
    }

    fn factors(&self) -> &'static str {
        match self {
            Self::Password | Self::TrustedDevice { .. } => PASSWORD_FACTOR,
            Self::BothFactors { proof, .. } => both_factors(proof),
            Self::Passkey(_) => PASSKEY_FACTORS,
        }
    }

    /// What the audit trail calls the second factor.
    fn audited(&self) -> &'static str {
        match self {
            Self::Password => "none",
            Self::TrustedDevice { .. } => "trusted_device",
            Self::BothFactors { proof: Proof::Passkey(_), .. } | Self::Passkey(_) => "passkey",
            Self::BothFactors { .. } => "code",
        }
    }
}

/// Why nobody was signed in.
#[derive(Debug, thiserror::Error)]
pub enum LogInError {
    /// No active user has this e-mail address or phone number and this password.
    #[error("the e-mail address or phone number, or the password, is wrong")]
    InvalidCredentials,
    /// The token of the first step is unknown, too old, was used, or the password is another by now.
    #[error("the token is not valid any more; begin again with the password")]
    InvalidMfaToken,
    /// The code or passkey of the second step is wrong, too old or was used, or too many wrong ones came.
    #[error("the code or passkey is wrong, too old or was used before")]
    InvalidMfaCode,
    /// No active user has this passkey, or the answer is not good.
    #[error("the passkey is unknown, or its answer wrong or too late; begin again")]
    InvalidPasskey,
    /// The operator has not said which site passkeys are for.
    #[error("this installation has no passkeys")]
    PasskeysOff,
    /// The user has none that could answer.
    #[error("there is no passkey; bring a code")]
    NoPasskey,
    /// Too many passwords are being checked.
    #[error("too many sign-ins at once; try again in a moment")]
    Busy,
    /// The server failed.
    #[error(transparent)]
    Failed(#[from] Error),
}

/// Why there is no new pair of tokens.
#[derive(Debug, thiserror::Error)]
pub enum RefreshError {
    /// The token is unknown, too old, was used before, or its session ended.
    #[error("the refresh token is not valid; sign in again")]
    InvalidRefreshToken,
    /// The server failed.
    #[error(transparent)]
    Failed(#[from] Error),
}

impl From<StoreError> for LogInError {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.into())
    }
}

impl From<PasskeyError> for LogInError {
    fn from(error: PasskeyError) -> Self {
        match error {
            PasskeyError::Off => Self::PasskeysOff,
            PasskeyError::Refused(_) | PasskeyError::NoChallenge => Self::InvalidPasskey,
            PasskeyError::Failed(error) => Self::Failed(error),
        }
    }
}

impl From<StoreError> for RefreshError {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.into())
    }
}

impl From<VerifyError> for LogInError {
    fn from(error: VerifyError) -> Self {
        match error {
            VerifyError::Password(PasswordError::Busy) => Self::Busy,
            VerifyError::Password(PasswordError::Hashing(error)) => Self::Failed(error.into()),
            VerifyError::Store(error) => Self::Failed(error.into()),
        }
    }
}

/// Signs users in and out.
pub(crate) struct Sessions {
    pub(crate) store: Store,
    pub(crate) users: Arc<Users>,
    pub(crate) mfa: Arc<Mfa>,
    pub(crate) passkeys: Arc<Passkeys>,
    pub(crate) tokens: Arc<AccessTokens>,
    pub(crate) revocations: Arc<Revocations>,
    pub(crate) trusted_devices: Arc<TrustedDevices>,
    pub(crate) messages: Messages,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn IdSource>,
    pub(crate) refresh_token_lifetime: Duration,
    pub(crate) session_lifetime: Duration,
}

/// What is kept of what a client says about itself, in characters.
const DEVICE_TEXT_LENGTH_MAX: usize = 256;

impl Sessions {
    pub(crate) async fn log_in(
        &self,
        identifier: &str,
        password: &SecretString,
        device: &Device,
        device_token: Option<&SecretString>,
    ) -> Result<LogIn, LogInError> {
        let user =
            self.users.verify(identifier, password).await?.ok_or(LogInError::InvalidCredentials)?;
        let user_id = UserId(user.id);
        if !self.mfa.is_on(user_id).await? {
            return Ok(LogIn::Done(self.open(user, device, Evidence::Password).await?));
        }
        if let Some(token_hash) = device_token.map(OpaqueToken::hash_of)
            && !self.mfa.is_needed(user_id).await?
            && self.trusted_devices.is_trusted(user_id, &token_hash).await?
        {
            let trusted = Evidence::TrustedDevice { token_hash };
            return Ok(LogIn::Done(self.open(user, device, trusted).await?));
        }
        self.challenge(&user).await
    }

    /// Signs the user in whose passkey this is, without a password.
    pub(crate) async fn log_in_by_passkey(
        &self,
        answer: &Assertion,
        device: &Device,
    ) -> Result<TokenPair, LogInError> {
        let shown = self.passkeys.shown(Question::SignIn, answer).await?;
        let user = self.users.find(shown.user_id).await?.filter(UserRow::is_active);
        let user = user.ok_or(LogInError::InvalidPasskey)?;
        self.open(user, device, Evidence::Passkey(shown)).await
    }

    /// A new session of a user who has shown who they are, with the second factor if there is one.
    async fn open(
        &self,
        user: UserRow,
        device: &Device,
        evidence: Evidence,
    ) -> Result<TokenPair, LogInError> {
        let user_id = UserId(user.id);
        let now = self.clock.now();
        let session = Session {
            id: self.ids.next(),
            user_id: user_id.0,
            user_agent: device.user_agent.chars().take(DEVICE_TEXT_LENGTH_MAX).collect(),
            ip_address: device.ip_address.chars().take(DEVICE_TEXT_LENGTH_MAX).collect(),
            created_at: now.as_micros(),
            last_used_at: now.as_micros(),
            expires_at: self.expiry(now, now).as_micros(),
            revoked_at: None,
            authenticated_at: evidence.is_complete().then_some(now.as_micros()),
            factors: Some(evidence.factors().to_owned()),
        };
        let shown = evidence.audited();
        let (pair, row) = self.next_tokens(&session, now).await?;
        let tx = self.store.begin().await?;
        if !users::repo::note_log_in_in_tx(&self.store, &tx, &user, now).await? {
            return Err(LogInError::InvalidCredentials);
        }
        if matches!(evidence, Evidence::Password) && self.mfa.is_on_in_tx(&tx, user_id).await? {
            // It was switched on this instant.
            return Err(LogInError::InvalidCredentials);
        }
        let trusted = self.spend_in_tx(&tx, user_id, evidence, device, now).await?;
        let device_name = device::name(&device.user_agent);
        let is_new = repo::note_device_in_tx(&self.store, &tx, user_id, &device_name, now).await?;
        // Whoever never signed in has no device that another could be told from.
        let is_new = is_new && user.last_log_in_at.is_some();
        let session_id = session.id;
        repo::insert_session_in_tx(&tx, session).await?;
        repo::insert_token_in_tx(&tx, row).await?;
        if is_new {
            let event = events::new_device_signed_in(user_id, session_id, now);
            outbox::append_in_tx(&self.store, &tx, event).await?;
        }
        let logged_in = NewEntry {
            actor: Some(user_id),
            action: "logged_in",
            object: Some(user_id.0),
            details: json!({
                "sessionId": session_id,
                "isNewDevice": is_new,
                "secondFactor": shown,
            }),
            at: now,
        };
        audit::append_in_tx(&self.store, &tx, logged_in).await?;
        if let Some(trusted) = &trusted {
            trusted_devices::note_trusted_in_tx(&self.store, &tx, user_id, trusted.id, now).await?;
        }
        tx.commit().await.map_err(StoreError::from)?;
        if is_new {
            self.tell_of_new_device(user, &device_name, now);
        }
        let device_token = trusted.map(|trusted| trusted.token);
        Ok(TokenPair { device_token, ..pair })
    }

    /// Uses up what was shown, and trusts the device if that is wanted.
    async fn spend_in_tx(
        &self,
        tx: &WriteTx,
        user_id: UserId,
        evidence: Evidence,
        device: &Device,
        now: Timestamp,
    ) -> Result<Option<NewTrustedDevice>, LogInError> {
        match evidence {
            Evidence::Password => Ok(None),
            Evidence::TrustedDevice { token_hash } => {
                let store = &self.store;
                match trusted_devices::use_in_tx(store, tx, user_id, &token_hash, now).await? {
                    true => Ok(None),
                    // It was forgotten this instant.
                    false => Err(LogInError::InvalidCredentials),
                }
            }
            Evidence::Passkey(shown) => {
                match passkeys::use_in_tx(&self.store, tx, &shown, now).await? {
                    true => Ok(None),
                    // It was removed or used this instant.
                    false => Err(LogInError::InvalidPasskey),
                }
            }
            Evidence::BothFactors { challenge, proof, trust_device } => {
                if !repo::take_challenge_in_tx(&self.store, tx, &challenge.token_hash).await? {
                    return Err(LogInError::InvalidMfaToken);
                }
                if !self.mfa.spend_in_tx(tx, user_id, &proof, now).await? {
                    return Err(LogInError::InvalidMfaCode);
                }
                if !trust_device {
                    return Ok(None);
                }
                Ok(Some(self.trusted_devices.trust_in_tx(tx, user_id, device, now).await?))
            }
        }
    }

    fn tell_of_new_device(&self, user: UserRow, device_name: &str, now: Timestamp) {
        let text = format!(
            "Your Finitech account was signed in to from a device that it has not seen before: \
             {device_name}, at {now}.\n\nIf it was not you, change your password now: that ends all \
             other sessions."
        );
        self.messages.notify(user, "A new sign-in", text);
    }

    pub(crate) async fn refresh(&self, token: &SecretString) -> Result<TokenPair, RefreshError> {
        let (token, session) = repo::find_token(&self.store, OpaqueToken::hash_of(token))
            .await?
            .ok_or(RefreshError::InvalidRefreshToken)?;
        let now = self.clock.now();
        match session.worth_of(&token, self.session_lifetime, now) {
            Worth::Good => self.exchange(token.id, &session, now).await,
            Worth::Reused => self.end_reused(&session, now).await,
            Worth::Nothing => Err(RefreshError::InvalidRefreshToken),
        }
    }

    pub(crate) async fn log_out(&self, actor: &Actor) -> Result<(), Error> {
        let (session_id, reason) = (actor.session_id, RevocationReason::LoggedOut);
        Ok(self.revoke(actor.user_id, session_id, reason, self.clock.now()).await?)
    }

    async fn exchange(
        &self,
        token_id: Uuid,
        session: &Session,
        now: Timestamp,
    ) -> Result<TokenPair, RefreshError> {
        let user_id = UserId(session.user_id);
        if !self.users.find(user_id).await?.is_some_and(|user: UserRow| user.is_active()) {
            return Err(RefreshError::InvalidRefreshToken);
        }
        let (pair, row) = self.next_tokens(session, now).await?;
        let expires_at = Timestamp::from_micros(row.expires_at);
        let tx = self.store.begin().await?;
        if !repo::use_token_in_tx(&self.store, &tx, token_id, now).await? {
            drop(tx);
            return self.end_reused(session, now).await;
        }
        if !repo::prolong_in_tx(&self.store, &tx, session.id, now, expires_at).await? {
            return Err(RefreshError::InvalidRefreshToken);
        }
        repo::insert_token_in_tx(&tx, row).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(pair)
    }

    async fn end_reused(
        &self,
        session: &Session,
        now: Timestamp,
    ) -> Result<TokenPair, RefreshError> {
        tracing::warn!(
            user_id = %session.user_id,
            session_id = %session.id,
            "a refresh token came twice; its session is revoked"
        );
        let (user_id, reason) = (UserId(session.user_id), RevocationReason::RefreshTokenReused);
        self.revoke(user_id, session.id, reason, now).await?;
        Err(RefreshError::InvalidRefreshToken)
    }

    /// Revokes a session unless it is revoked.
    async fn revoke(
        &self,
        user_id: UserId,
        session_id: Uuid,
        reason: RevocationReason,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let tx = self.store.begin().await?;
        if repo::revoke_in_tx(&self.store, &tx, session_id, now).await? {
            let event = events::session_revoked(user_id, session_id, reason, now);
            audit::tell_in_tx(&self.store, &tx, reason.actor(user_id), event, None).await?;
            tx.commit().await?;
        }
        self.revocations.add(session_id, now);
        Ok(())
    }

    /// Revokes the sessions of a user, but for `except`, and ends sign-ins that wait for a code. What
    /// is returned is to be told to [`Self::forget`] after the commit.
    pub(crate) async fn revoke_all_in_tx(
        &self,
        tx: &WriteTx,
        user_id: UserId,
        except: Option<Uuid>,
        reason: RevocationReason,
        now: Timestamp,
    ) -> Result<Vec<Uuid>, StoreError> {
        repo::delete_challenges_in_tx(&self.store, tx, user_id).await?;
        let revoked = repo::revoke_all_in_tx(&self.store, tx, user_id, except, now).await?;
        for &session_id in &revoked {
            let event = events::session_revoked(user_id, session_id, reason, now);
            audit::tell_in_tx(&self.store, tx, reason.actor(user_id), event, None).await?;
        }
        Ok(revoked)
    }

    /// Stops taking the access tokens of revoked sessions, at once in this process.
    pub(crate) fn forget(&self, revoked: &[Uuid], now: Timestamp) {
        for &session_id in revoked {
            self.revocations.add(session_id, now);
        }
    }

    async fn access_token(&self, session: &Session) -> Result<AccessToken, Error> {
        let id = UserId(session.user_id);
        let mut grants = roles::grants(&self.store, id).await?;
        let factors = session.factors.as_deref().unwrap_or_default().split(' ');
        let has_both = factors.clone().any(|factor| factor == MULTI_FACTOR);
        let second_factor_needed = self.mfa.staff_need_one && !has_both && grants.are_of_staff();
        if second_factor_needed {
            grants = grants.without_staff_permissions();
        }
        let kind = SubjectKind::Person {
            authenticated_at: session.authenticated_at.map(Timestamp::from_micros),
            factors: factors.filter(|one| !one.is_empty()).map(str::to_owned).collect(),
        };
        let token = self.tokens.issue(Subject { id, session_id: session.id, grants, kind }).await?;
        Ok(AccessToken { token, second_factor_needed })
    }

    /// When a session ends that is used now and no more.
    fn expiry(&self, created_at: Timestamp, now: Timestamp) -> Timestamp {
        now.plus(self.refresh_token_lifetime).min(created_at.plus(self.session_lifetime))
    }

    /// The next tokens of a session, and what is stored of the refresh token. Made before anything is
    /// spent for them, because there may be nobody to sign.
    async fn next_tokens(
        &self,
        session: &Session,
        now: Timestamp,
    ) -> Result<(TokenPair, refresh_token::Model), Error> {
        let refresh_token = OpaqueToken::generate()?;
        let access_token = self.access_token(session).await?;
        let created_at = Timestamp::from_micros(session.created_at);
        let row = refresh_token::Model {
            id: self.ids.next(),
            session_id: session.id,
            token_hash: refresh_token.hash(),
            created_at: now.as_micros(),
            expires_at: self.expiry(created_at, now).as_micros(),
            used_at: None,
        };
        let pair = TokenPair {
            access_token: access_token.token,
            second_factor_needed: access_token.second_factor_needed,
            refresh_token: refresh_token.into_secret(),
            expires_in: self.tokens.lifetime(),
            device_token: None,
        };
        Ok((pair, row))
    }
}
