//! Forgotten passwords: a token goes to the e-mail address or phone number of the account, and
//! whoever brings it back sets a new password, once.
//!
//! The answer to a request comes before anything is looked up, so it tells nobody who is registered.
//! A request that dies with the process is lost; the user asks again.

mod repo;

use crate::Error;
use crate::audit::{self, NewEntry};
use crate::events::{self, RevocationReason};
use crate::lock_out::{self, Subject};
use crate::messages::{Channel, Messages};
use crate::passwords::{AcceptanceError, PasswordError, UNCHECKED};
use crate::sessions::Sessions;
use crate::tokens::OpaqueToken;
use crate::trusted_devices;
use crate::users::{self, InvalidField, Users};
use kernel::{Clock, UserId};
use repo::NewReset;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use store::{Store, StoreError, WriteTx};
use tokio::sync::Semaphore;
use tracing::Instrument;

/// Why a password was not reset.
#[derive(Debug, thiserror::Error)]
pub enum ResetError {
    /// The token is unknown, too old, or was used or replaced.
    #[error("the token is not valid any more; ask for another one")]
    InvalidToken,
    /// The new password is not acceptable. The token still counts.
    #[error("{} {}", .0.field, .0.reason)]
    Invalid(InvalidField),
    /// Nobody knows whether the new password was in a breach.
    #[error("{UNCHECKED}")]
    PasswordUnchecked,
    /// Too many passwords are being hashed, or too many resets asked for.
    #[error("too many requests at once; try again in a moment")]
    Busy,
    /// The server failed.
    #[error(transparent)]
    Failed(#[from] Error),
}

impl From<StoreError> for ResetError {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.into())
    }
}

impl From<AcceptanceError> for ResetError {
    fn from(error: AcceptanceError) -> Self {
        match error {
            AcceptanceError::Password(error) => error.into(),
            AcceptanceError::Unchecked => Self::PasswordUnchecked,
        }
    }
}

impl From<PasswordError> for ResetError {
    fn from(error: PasswordError) -> Self {
        match error {
            PasswordError::Busy => Self::Busy,
            PasswordError::Hashing(error) => Self::Failed(error.into()),
        }
    }
}

/// Resets passwords. Clones share everything.
#[derive(Clone)]
pub(crate) struct Resets {
    pub(crate) store: Store,
    pub(crate) users: Arc<Users>,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) messages: Messages,
    pub(crate) clock: Arc<dyn Clock>,
    /// One permit for each request being worked on.
    pub(crate) places: Arc<Semaphore>,
}

/// How long a token counts.
const LIFETIME: Duration = Duration::from_mins(30);
/// How soon another message may go to the same user.
const INTERVAL: Duration = Duration::from_mins(1);
/// How many requests may be worked on at once; a mail server can be slow.
pub(crate) const PLACES: usize = 64;

impl Resets {
    /// Sends a token to the user who has shown that this e-mail address or phone number is theirs, if
    /// there is one, after this has returned. An earlier token of theirs counts no more.
    pub(crate) fn begin(&self, identifier: &str) -> Result<(), ResetError> {
        let place = self.places.clone().try_acquire_owned().map_err(|_| ResetError::Busy)?;
        let (this, identifier) = (self.clone(), identifier.to_owned());
        let work = async move {
            if let Err(error) = this.send(&identifier).await {
                tracing::warn!(%error, "a token for a new password was not sent");
            }
            drop(place);
        };
        tokio::spawn(audit::with_origin(work).instrument(tracing::Span::current()));
        Ok(())
    }

    async fn send(&self, identifier: &str) -> Result<(), SendError> {
        let found = self.users.find_by_identifier(identifier).await?;
        let by_email = identifier.contains('@');
        // Who reads what is sent to a contact that is only claimed may be anybody.
        let is_theirs = |user: &users::entity::Model| match by_email {
            true => user.email_verified_at.is_some(),
            false => user.phone_verified_at.is_some(),
        };
        let Some(user) = found.filter(|user| user.is_active() && is_theirs(user)) else {
            return Ok(());
        };
        let now = self.clock.now();
        let token = OpaqueToken::generate()?;
        let reset = NewReset {
            user_id: UserId(user.id),
            token_hash: token.hash(),
            created_at: now,
            expires_at: now.plus(LIFETIME),
        };
        let tx = self.store.begin().await?;
        if !repo::replace_in_tx(&self.store, &tx, reset, now.minus(INTERVAL)).await? {
            return Ok(());
        }
        // Whoever asked showed nothing of who they are.
        let (actor, action, object) = (None, "password_reset_requested", Some(user.id));
        let requested = NewEntry { actor, action, object, details: json!({}), at: now };
        audit::append_in_tx(&self.store, &tx, requested).await?;
        tx.commit().await.map_err(StoreError::from)?;
        let channel = match by_email {
            true => Channel::Email(user.email),
            false => Channel::Sms(user.phone_number),
        };
        let text = format!(
            "Somebody asked for a new password of your Finitech account. If it was you, enter this \
             within 30 minutes:\n\n{}\n\nOtherwise ignore this message and give the text to nobody.",
            token.into_secret().expose_secret()
        );
        Ok(self.messages.send(channel, "Your new password", text.into()).await?)
    }

    /// Sets a new password, ends all sessions and lets a user in who was locked out by wrong
    /// passwords. Wrong codes of a second factor stay counted.
    pub(crate) async fn complete(
        &self,
        token: &SecretString,
        password: &SecretString,
    ) -> Result<(), ResetError> {
        let token_hash = OpaqueToken::hash_of(token);
        let user_id = repo::find(&self.store, &token_hash, self.clock.now()).await?;
        let user_id = user_id.ok_or(ResetError::InvalidToken)?;
        let user = self.users.find(user_id).await?.ok_or(ResetError::InvalidToken)?;
        let hash = self.users.hash_new(&user, "newPassword", password).await?;
        let hash = hash.map_err(ResetError::Invalid)?;
        let now = self.clock.now();
        let tx = self.store.begin().await?;
        // The user first, as everywhere: who locks rows in one order never waits in a circle.
        let reset = users::repo::change_password_in_tx(&self.store, &tx, &user, &hash, now).await?
            && repo::take_in_tx(&self.store, &tx, &token_hash).await?;
        if !reset {
            return Err(ResetError::InvalidToken);
        }
        lock_out::forget_in_tx(&self.store, &tx, Subject::user(user_id)).await?;
        trusted_devices::forget_all_in_tx(&self.store, &tx, user_id).await?;
        let reason = RevocationReason::PasswordReset;
        let revoked = self.sessions.revoke_all_in_tx(&tx, user_id, None, reason, now).await?;
        let event = events::password_replaced(user_id, true, now);
        audit::tell_in_tx(&self.store, &tx, None, event, None).await?;
        tx.commit().await.map_err(StoreError::from)?;
        self.sessions.forget(&revoked, now);
        Ok(())
    }
}

/// Makes a token that was sent count no more.
pub(crate) async fn forget_in_tx(
    store: &Store,
    tx: &WriteTx,
    user_id: UserId,
) -> Result<(), StoreError> {
    repo::forget_in_tx(store, tx, user_id).await
}

/// Why a token was not sent. Nobody is told but the log.
#[derive(Debug, thiserror::Error)]
enum SendError {
    #[error(transparent)]
    Failed(#[from] Error),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Message(#[from] ports::MessageError),
}
