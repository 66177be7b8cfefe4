//! Passkeys as somebody's factors: adding them, and doing without.

use super::{Mfa, MfaError, repo};
use crate::passkeys::{self, Passkey, PasskeyChange, Purpose, Question, Registration};
use crate::users::entity::Model as UserRow;
use crate::{Error, audit, events, users};
use kernel::{Actor, UserId};
use secrecy::SecretString;
use store::StoreError;
use uuid::Uuid;

/// The most passkeys that one user has.
const PASSKEYS_MAX: usize = 20;

impl Mfa {
    /// Asks for a new passkey of the actor, whom authenticators are shown by the e-mail address.
    pub(crate) async fn begin_passkey(
        &self,
        actor: &Actor,
    ) -> Result<(Question, UserRow), MfaError> {
        let user = self.users.find(actor.user_id).await?;
        let user = user.ok_or_else(|| StoreError::inconsistent("users", "id", actor.user_id.0))?;
        Ok((self.passkeys.ask(Purpose::Registration(actor.user_id)).await?, user))
    }

    /// Adds a passkey. Whoever had no second factor has one from now on, and gets recovery codes.
    pub(crate) async fn add_passkey(
        &self,
        actor: &Actor,
        name: &str,
        answer: &Registration,
    ) -> Result<(Passkey, Option<Vec<SecretString>>), MfaError> {
        let user_id = actor.user_id;
        let credential = self.passkeys.registered(user_id, answer).await?;
        // Hashing them takes long, so it is not done while others wait for the transaction.
        let new_codes = match self.is_on(user_id).await? {
            true => None,
            false => Some(self.recovery_codes().await?),
        };
        let now = self.clock.now();
        let tx = self.store.begin().await?;
        if !users::repo::lock_active_in_tx(&self.store, &tx, user_id).await? {
            return Err(MfaError::NoChallenge);
        }
        let had_factor = repo::has_factor_in_tx(&self.store, &tx, user_id).await?;
        let count = passkeys::count_in_tx(&self.store, &tx, user_id).await?;
        if usize::try_from(count).is_ok_and(|count| count >= PASSKEYS_MAX) {
            return Err(MfaError::TooManyPasskeys(PASSKEYS_MAX));
        }
        let inserted = self.passkeys.insert_in_tx(&tx, user_id, name, credential, now).await;
        let passkey = match inserted {
            Ok(passkey) => passkey,
            Err(Error::Store(error)) if error.is_unique_violation() => {
                return Err(MfaError::PasskeyTaken);
            }
            Err(error) => return Err(error.into()),
        };
        // Whoever added another factor meanwhile was given codes for it.
        let new_codes = new_codes.filter(|_| !had_factor);
        if let Some((_, hashes)) = &new_codes {
            repo::replace_codes_in_tx(&self.store, &tx, user_id, hashes).await?;
            let event = events::mfa_switched(user_id, true, now);
            audit::tell_in_tx(&self.store, &tx, Some(user_id), event, None).await?;
        }
        let event = events::passkey_changed(PasskeyChange::Added, user_id, passkey.id, now);
        audit::tell_in_tx(&self.store, &tx, Some(user_id), event, None).await?;
        tx.commit().await.map_err(StoreError::from)?;
        self.notify(user_id, "A new passkey", "A passkey was added to your Finitech account.")
            .await;
        Ok((passkey, new_codes.map(|(codes, _)| codes)))
    }

    /// Gives one of the actor's passkeys another name.
    pub(crate) async fn rename_passkey(
        &self,
        actor: &Actor,
        id: Uuid,
        name: &str,
    ) -> Result<(), MfaError> {
        match self.passkeys.rename(actor.user_id, id, name).await? {
            true => Ok(()),
            false => Err(MfaError::NoSuchPasskey),
        }
    }

    /// Does without one of the actor's passkeys. If it was the last and there is no app, the second
    /// factor is off.
    pub(crate) async fn remove_passkey(&self, actor: &Actor, id: Uuid) -> Result<(), MfaError> {
        let (user_id, now) = (actor.user_id, self.clock.now());
        let is_needed = self.is_needed(user_id).await?;
        let tx = self.store.begin().await?;
        let is_active = users::repo::lock_active_in_tx(&self.store, &tx, user_id).await?;
        if !is_active || !passkeys::delete_in_tx(&self.store, &tx, user_id, id).await? {
            return Err(MfaError::NoSuchPasskey);
        }
        let event = events::passkey_changed(PasskeyChange::Removed, user_id, id, now);
        audit::tell_in_tx(&self.store, &tx, Some(user_id), event, None).await?;
        self.switch_off_in_tx(&tx, user_id, is_needed, now).await?;
        tx.commit().await.map_err(StoreError::from)?;
        let text = "A passkey was removed from your Finitech account.";
        self.notify(user_id, "A passkey was removed", text).await;
        Ok(())
    }

    /// Asks for one of this user's passkeys.
    pub(crate) async fn ask_for_passkey(&self, user_id: UserId) -> Result<Question, MfaError> {
        // A question that names none would be put to every passkey of the site.
        if self.passkeys.count(user_id).await? == 0 {
            return Err(MfaError::NoSuchPasskey);
        }
        Ok(self.passkeys.ask(Purpose::Confirmation(user_id)).await?)
    }

    /// Tells the user of a change that is made. It stays made when they cannot be told.
    async fn notify(&self, user_id: UserId, subject: &'static str, text: &str) {
        match self.users.find(user_id).await {
            Ok(Some(user)) => {
                let text = format!(
                    "{text}\n\nIf it was not you, change your password and look at your passkeys now."
                );
                self.messages.notify(user, subject, text);
            }
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, subject, "a notice was not sent"),
        }
    }
}
