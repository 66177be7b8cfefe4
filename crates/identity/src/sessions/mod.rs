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
pub use reauthenticate::FreshToken;

use crate::audit::{self, NewEntry};
use crate::events::{self, RevocationReason};
use crate::messages::{Channel, Messages};
use crate::mfa::{Mfa, Proof};
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
use tracing::Instrument;
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
    /// What a device that is trusted from now on brings along with the password.
    pub device_token: Option<SecretString>,
}

/// What a sign-in shows beside the password.
enum SecondFactor {
    /// The user has none.
    None,
    /// The user trusts the device.
    TrustedDevice { token_hash: Vec<u8> },
    /// A code that was found right.
    Code { challenge: Challenge, proof: Proof, trust_device: bool },
}

/// A password alone (RFC 8176).
const PASSWORD_FACTOR: &str = "pwd";
/// A password and a code.
const BOTH_FACTORS: &str = "pwd otp mfa";

impl SecondFactor {
    /// Whether the user showed all the factors they have.
    fn is_complete(&self) -> bool {
        !matches!(self, Self::TrustedDevice { .. })
    }

    fn factors(&self) -> &'static str {
        match self {
            Self::None | Self::TrustedDevice { .. } => PASSWORD_FACTOR,
            Self::Code { .. } => BOTH_FACTORS,
        }
    }

    /// What the audit trail calls it.
    fn audited(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::TrustedDevice { .. } => "trusted_device",
            Self::Code { .. } => "code",
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
    /// The code of the second step is wrong, too old or was used, or too many wrong ones came.
    #[error("the code is wrong, too old or was used before")]
    InvalidMfaCode,
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
    pub(crate) tokens: Arc<AccessTokens>,
    pub(crate) revocations: Arc<Revocations>,
    pub(crate) trusted_devices: Arc<TrustedDevices>,
    pub(crate) messages: Messages,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn IdSource>,
    pub(crate) refresh_token_lifetime: Duration,
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
            return Ok(LogIn::Done(self.open(user, device, SecondFactor::None).await?));
        }
        if let Some(token_hash) = device_token.map(OpaqueToken::hash_of)
            && self.trusted_devices.is_trusted(user_id, &token_hash).await?
        {
            let trusted = SecondFactor::TrustedDevice { token_hash };
            return Ok(LogIn::Done(self.open(user, device, trusted).await?));
        }
        self.challenge(&user).await
    }

    /// A new session of a user who has shown who they are, with the second factor if there is one.
    async fn open(
        &self,
        user: UserRow,
        device: &Device,
        second_factor: SecondFactor,
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
            expires_at: now.plus(self.refresh_token_lifetime).as_micros(),
            revoked_at: None,
            authenticated_at: second_factor.is_complete().then_some(now.as_micros()),
            factors: Some(second_factor.factors().to_owned()),
        };
        let shown = second_factor.audited();
        let refresh_token = OpaqueToken::generate()?;
        let access_token = self.access_token(&session).await?;
        let row = self.token_row(&refresh_token, session.id, now);
        let tx = self.store.begin().await?;
        if !users::repo::note_log_in_in_tx(&self.store, &tx, &user, now).await? {
            return Err(LogInError::InvalidCredentials);
        }
        if matches!(second_factor, SecondFactor::None) && self.mfa.is_on_in_tx(&tx, user_id).await?
        {
            // It was switched on this instant.
            return Err(LogInError::InvalidCredentials);
        }
        let trusted = self.spend_in_tx(&tx, user_id, second_factor, device, now).await?;
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
        Ok(TokenPair { device_token, ..self.pair(access_token, refresh_token) })
    }

    /// Uses up what was shown beside the password, and trusts the device if that is wanted.
    async fn spend_in_tx(
        &self,
        tx: &WriteTx,
        user_id: UserId,
        second_factor: SecondFactor,
        device: &Device,
        now: Timestamp,
    ) -> Result<Option<NewTrustedDevice>, LogInError> {
        match second_factor {
            SecondFactor::None => Ok(None),
            SecondFactor::TrustedDevice { token_hash } => {
                let store = &self.store;
                match trusted_devices::use_in_tx(store, tx, user_id, &token_hash, now).await? {
                    true => Ok(None),
                    // It was forgotten this instant.
                    false => Err(LogInError::InvalidCredentials),
                }
            }
            SecondFactor::Code { challenge, proof, trust_device } => {
                if !repo::take_challenge_in_tx(&self.store, tx, &challenge.token_hash).await? {
                    return Err(LogInError::InvalidMfaToken);
                }
                if !self.mfa.spend_in_tx(tx, user_id, &proof).await? {
                    return Err(LogInError::InvalidMfaCode);
                }
                if !trust_device {
                    return Ok(None);
                }
                Ok(Some(self.trusted_devices.trust_in_tx(tx, user_id, device, now).await?))
            }
        }
    }

    /// Sends a notice to an e-mail address that is known to be the user's. The sign-in does not wait
    /// for it.
    fn tell_of_new_device(&self, user: UserRow, device_name: &str, now: Timestamp) {
        if user.email_verified_at.is_none() {
            return;
        }
        let text = format!(
            "Your Finitech account was signed in to from a device that it has not seen before: \
             {device_name}, at {now}.\n\nIf it was not you, change your password now: that ends all \
             other sessions."
        );
        let messages = self.messages.clone();
        let work = async move {
            let channel = Channel::Email(user.email);
            if let Err(error) = messages.send(channel, "A new sign-in", text.into()).await {
                tracing::warn!(%error, "nobody was told of a new device");
            }
        };
        tokio::spawn(work.instrument(tracing::Span::current()));
    }

    pub(crate) async fn refresh(&self, token: &SecretString) -> Result<TokenPair, RefreshError> {
        let (token, session) = repo::find_token(&self.store, OpaqueToken::hash_of(token))
            .await?
            .ok_or(RefreshError::InvalidRefreshToken)?;
        let now = self.clock.now();
        match session.worth_of(&token, now) {
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
        let refresh_token = OpaqueToken::generate()?;
        let access_token = self.access_token(session).await?;
        let row = self.token_row(&refresh_token, session.id, now);
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
        Ok(self.pair(access_token, refresh_token))
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

    async fn access_token(&self, session: &Session) -> Result<SecretString, Error> {
        let id = UserId(session.user_id);
        let grants = roles::grants(&self.store, id).await?;
        let factors = session.factors.as_deref().unwrap_or_default().split(' ');
        let kind = SubjectKind::Person {
            authenticated_at: session.authenticated_at.map(Timestamp::from_micros),
            factors: factors.filter(|one| !one.is_empty()).map(str::to_owned).collect(),
        };
        self.tokens.issue(Subject { id, session_id: session.id, grants, kind })
    }

    fn token_row(
        &self,
        token: &OpaqueToken,
        session_id: Uuid,
        now: Timestamp,
    ) -> refresh_token::Model {
        refresh_token::Model {
            id: self.ids.next(),
            session_id,
            token_hash: token.hash(),
            created_at: now.as_micros(),
            expires_at: now.plus(self.refresh_token_lifetime).as_micros(),
            used_at: None,
        }
    }

    fn pair(&self, access_token: SecretString, refresh_token: OpaqueToken) -> TokenPair {
        TokenPair {
            access_token,
            refresh_token: refresh_token.into_secret(),
            expires_in: self.tokens.lifetime(),
            device_token: None,
        }
    }
}
