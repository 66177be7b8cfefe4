//! What becomes of an account: its owner changes the password or leaves, staff lock it and unlock it,
//! and remove second factors that were lost.
//! Whatever keeps a user out also ends their sessions.

mod second_factor;
mod staff;

pub(crate) use second_factor::SecondFactorReset;
pub use staff::{StaffView, UserStatus};

use crate::events::{self, RevocationReason};
use crate::messages::Messages;
use crate::mfa::Mfa;
use crate::passwords::{AcceptanceError, PasswordError, UNCHECKED};
use crate::sessions::Sessions;
use crate::users::entity::{ACTIVE, CLOSED};
use crate::users::repo::{self, StatusChange};
use crate::users::{InvalidField, Users, VerifyError};
use crate::{Error, audit, resets, trusted_devices};
use identity_api::{Holdings, HoldingsError};
use kernel::{Actor, Clock};
use secrecy::{ExposeSecret, SecretString};
use std::sync::Arc;
use store::{Store, StoreError};

/// Why an account was not changed by its owner.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// The present password is wrong, or too many wrong ones came.
    #[error("the present password is wrong")]
    WrongPassword,
    /// The new password is not acceptable.
    #[error("{} {}", .0.field, .0.reason)]
    Invalid(InvalidField),
    /// There is money left, or on its way.
    #[error("the account holds money, or some is on its way; send it elsewhere first")]
    HoldsMoney,
    /// What the account holds cannot be closed now.
    #[error(transparent)]
    HoldingsUnknown(#[from] HoldingsError),
    /// Nobody knows whether the new password was in a breach.
    #[error("{UNCHECKED}")]
    PasswordUnchecked,
    /// Too many passwords are being checked.
    #[error("too many sign-ins at once; try again in a moment")]
    Busy,
    /// The server failed.
    #[error(transparent)]
    Failed(#[from] Error),
}

impl From<StoreError> for AccountError {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.into())
    }
}

impl From<AcceptanceError> for AccountError {
    fn from(error: AcceptanceError) -> Self {
        match error {
            AcceptanceError::Password(error) => error.into(),
            AcceptanceError::Unchecked => Self::PasswordUnchecked,
        }
    }
}

impl From<PasswordError> for AccountError {
    fn from(error: PasswordError) -> Self {
        match error {
            PasswordError::Busy => Self::Busy,
            PasswordError::Hashing(error) => Self::Failed(error.into()),
        }
    }
}

impl From<VerifyError> for AccountError {
    fn from(error: VerifyError) -> Self {
        match error {
            VerifyError::Password(error) => error.into(),
            VerifyError::Store(error) => error.into(),
        }
    }
}

/// Changes accounts.
pub(crate) struct Accounts {
    pub(crate) store: Store,
    pub(crate) users: Arc<Users>,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) mfa: Arc<Mfa>,
    pub(crate) messages: Messages,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Accounts {
    /// Changes the actor's password and ends their other sessions, and whatever was begun with the old
    /// one.
    pub(crate) async fn change_password(
        &self,
        actor: &Actor,
        current: &SecretString,
        new: &SecretString,
    ) -> Result<(), AccountError> {
        let user = self.users.verify_own(actor.user_id, current).await?;
        let user = user.ok_or(AccountError::WrongPassword)?;
        if current.expose_secret() == new.expose_secret() {
            let reason = "must be another one than the present password";
            return Err(AccountError::Invalid(InvalidField { field: "newPassword", reason }));
        }
        let hash = self.users.hash_new(&user, "newPassword", new).await?;
        let hash = hash.map_err(AccountError::Invalid)?;
        let (user_id, now) = (actor.user_id, self.clock.now());
        let tx = self.store.begin().await?;
        if !repo::change_password_in_tx(&self.store, &tx, &user, &hash, now).await? {
            return Err(AccountError::WrongPassword);
        }
        resets::forget_in_tx(&self.store, &tx, user_id).await?;
        let (except, reason) = (Some(actor.session_id), RevocationReason::PasswordChanged);
        trusted_devices::forget_all_in_tx(&self.store, &tx, user_id).await?;
        let revoked = self.sessions.revoke_all_in_tx(&tx, user_id, except, reason, now).await?;
        let event = events::password_replaced(user_id, false, now);
        audit::tell_in_tx(&self.store, &tx, Some(user_id), event, None).await?;
        tx.commit().await.map_err(StoreError::from)?;
        self.sessions.forget(&revoked, now);
        Ok(())
    }

    /// Closes the actor's account, for good, when nothing is left in it. What could hold money is
    /// closed first, so that none arrives in between or later.
    pub(crate) async fn close(
        &self,
        actor: &Actor,
        password: &SecretString,
        holdings: &dyn Holdings,
    ) -> Result<(), AccountError> {
        let user_id = actor.user_id;
        if self.users.verify_own(user_id, password).await?.is_none() {
            return Err(AccountError::WrongPassword);
        }
        if !holdings.close(user_id).await? {
            return Err(AccountError::HoldsMoney);
        }
        let now = self.clock.now();
        let reason = "closed by its owner";
        let change = StatusChange { from: ACTIVE, to: CLOSED, reason, by: user_id, at: now };
        let tx = self.store.begin().await?;
        if !repo::change_status_in_tx(&self.store, &tx, user_id, &change).await? {
            return Err(AccountError::WrongPassword);
        }
        let reason = RevocationReason::UserClosed;
        resets::forget_in_tx(&self.store, &tx, user_id).await?;
        trusted_devices::forget_all_in_tx(&self.store, &tx, user_id).await?;
        let revoked = self.sessions.revoke_all_in_tx(&tx, user_id, None, reason, now).await?;
        let event = events::user_closed(user_id, now);
        audit::tell_in_tx(&self.store, &tx, Some(user_id), event, None).await?;
        tx.commit().await.map_err(StoreError::from)?;
        self.sessions.forget(&revoked, now);
        Ok(())
    }
}
