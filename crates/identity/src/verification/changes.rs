//! Another e-mail address or phone number. The password is asked for again, by a route that asks for a
//! fresh authentication; a code goes to the new contact, and takes effect when it comes back. The old
//! contact is told. Because whoever holds a contact can reset the password, all other sessions end, and tokens that
//! were sent to the old contact count no more.
//!
//! Nobody learns from asking whether a contact is somebody else's: the answer is the same, and instead of
//! the code the owner gets a notice.

use super::{Contact, VerificationError, Verifications, claims, code_text, entity, repo};
use crate::audit::{self, NewEntry, masked};
use crate::contacts::{EmailAddress, PhoneNumber};
use crate::events::{self, RevocationReason};
use crate::messages::Channel;
use crate::passwords::PasswordError;
use crate::secrets::Purpose;
use crate::users::repo::ChangedContact;
use crate::users::{self, InvalidField, VerifyError};
use crate::{Error, resets};
use kernel::Actor;
use secrecy::SecretString;
use serde_json::json;
use store::StoreError;
use tracing::Instrument;

/// What somebody asks for who wants another contact, as they wrote it.
pub struct ContactChange {
    /// Which one.
    pub contact: Contact,
    /// What takes its place, in any spelling.
    pub new: String,
    /// The present password.
    pub password: SecretString,
}

/// Why a contact was not changed.
#[derive(Debug, thiserror::Error)]
pub enum ContactChangeError {
    /// The new contact is not acceptable.
    #[error("{} {}", .0.field, .0.reason)]
    Invalid(InvalidField),
    /// The present password is wrong, or too many wrong ones came.
    #[error("the present password is wrong")]
    WrongPassword,
    /// Somebody else took the contact while the code was on its way.
    #[error("somebody else has this contact by now")]
    Taken(Contact),
    /// The code was not sent, or is not right.
    #[error(transparent)]
    Code(#[from] VerificationError),
}

impl From<Error> for ContactChangeError {
    fn from(error: Error) -> Self {
        Self::Code(error.into())
    }
}

impl From<StoreError> for ContactChangeError {
    fn from(error: StoreError) -> Self {
        Self::Code(error.into())
    }
}

impl From<VerifyError> for ContactChangeError {
    fn from(error: VerifyError) -> Self {
        match error {
            VerifyError::Password(PasswordError::Busy) => Self::Code(VerificationError::Busy),
            VerifyError::Password(PasswordError::Hashing(error)) => Self::Code(error.into()),
            VerifyError::Store(error) => error.into(),
        }
    }
}

/// A contact that somebody could have, normalised.
enum NewContact {
    Email(EmailAddress),
    Phone(PhoneNumber),
}

impl NewContact {
    fn parse(contact: Contact, text: &str) -> Result<Self, InvalidField> {
        match contact {
            Contact::Email => EmailAddress::parse(text).map(Self::Email).ok_or(InvalidField {
                field: "newEmail",
                reason: "must be an e-mail address like amina@example.com",
            }),
            Contact::Phone => PhoneNumber::parse(text).map(Self::Phone).ok_or(InvalidField {
                field: "newPhoneNumber",
                reason: "must be a phone number with its country code, such as +212612345678",
            }),
        }
    }

    fn as_str(&self) -> &str {
        match self {
            Self::Email(email) => email.as_str(),
            Self::Phone(phone_number) => phone_number.as_str(),
        }
    }

    fn is_of(&self, user: &users::entity::Model) -> bool {
        match self {
            Self::Email(email) => email.as_str() == user.email,
            Self::Phone(phone_number) => phone_number.as_str() == user.phone_number,
        }
    }

    fn same(&self) -> InvalidField {
        let field = match self {
            Self::Email(_) => "newEmail",
            Self::Phone(_) => "newPhoneNumber",
        };
        InvalidField { field, reason: "must be another one than the present one" }
    }
}

/// Where a new contact is sealed until it takes effect.
fn waiting(contact: Contact) -> Purpose {
    match contact {
        Contact::Email => Purpose::NewEmail,
        Contact::Phone => Purpose::NewPhoneNumber,
    }
}

impl Verifications {
    /// Sends a code to what is to be the actor's e-mail address or phone number.
    pub(crate) async fn begin_change(
        &self,
        actor: &Actor,
        change: &ContactChange,
    ) -> Result<(), ContactChangeError> {
        let (user_id, contact) = (actor.user_id, change.contact);
        let new = NewContact::parse(contact, &change.new).map_err(ContactChangeError::Invalid)?;
        let user = self.users.verify_own(user_id, &change.password).await?;
        let user = user.ok_or(ContactChangeError::WrongPassword)?;
        if new.is_of(&user) {
            return Err(ContactChangeError::Invalid(new.same()));
        }
        let (code, mut row) = self.new_code(user_id, contact).await?;
        let is_taken = self.is_taken(contact, new.as_str()).await?;
        let now = self.clock.now();
        let tx = self.store.begin().await?;
        let sealer = self.keys.sealer_in_tx(&self.store, &tx, now).await.map_err(Error::from)?;
        let sealed = sealer.seal_text(waiting(contact), user_id.0, new.as_str());
        row.sealed_new = Some(sealed.map_err(Error::from)?);
        if !repo::replace_in_tx(&self.store, &tx, row).await? {
            let retry_after = entity::INTERVAL;
            return Err(VerificationError::TooManyCodes { retry_after }.into());
        }
        let requested = NewEntry {
            actor: Some(user_id),
            action: "contact_change_requested",
            object: Some(user_id.0),
            details: json!({ "contact": contact.as_str(), "new": masked(new.as_str()) }),
            at: now,
        };
        audit::append_in_tx(&self.store, &tx, requested).await?;
        tx.commit().await.map_err(StoreError::from)?;
        // Of a contact that is taken nobody learns the code.
        let text = if is_taken { claims::taken_text() } else { code_text(&code) };
        Ok(self.send(contact, new.as_str().to_owned(), "Your Finitech account", text).await?)
    }

    /// Puts the new contact in place if this is the code that was sent there.
    pub(crate) async fn confirm_change(
        &self,
        actor: &Actor,
        contact: Contact,
        code: &SecretString,
    ) -> Result<(), ContactChangeError> {
        let (user_id, now) = (actor.user_id, self.clock.now());
        let user = self.users.find(user_id).await?;
        let user = user.ok_or_else(|| StoreError::inconsistent("users", "id", user_id.0))?;
        let attempt = self.right_code(user_id, contact, true, code, now).await?;
        let code_hash = attempt.code_hash.clone();
        let sealed = attempt.sealed_new().ok_or(VerificationError::NoCode)?;
        let new = self.keys.open_text(waiting(contact), user_id.0, &sealed).map_err(Error::from)?;
        let tx = self.store.begin().await?;
        if !repo::take_code_in_tx(&self.store, &tx, user_id, contact, &code_hash).await? {
            return Err(VerificationError::NoCode.into());
        }
        let sealer = self.keys.sealer_in_tx(&self.store, &tx, now).await.map_err(Error::from)?;
        let changed = ChangedContact::seal(contact, user_id, &new, &self.keys, &sealer);
        let changed = changed.map_err(Error::from)?;
        let loser = self.take_in_tx(&tx, user_id, contact, changed.index.clone()).await?;
        match users::repo::change_contact_in_tx(&self.store, &tx, user_id, changed, now).await {
            Ok(true) => {}
            Ok(false) => return Err(VerificationError::NoCode.into()),
            Err(error) if error.is_unique_violation() => {
                return Err(ContactChangeError::Taken(contact));
            }
            Err(error) => return Err(error.into()),
        }
        resets::forget_in_tx(&self.store, &tx, user_id).await?;
        let (except, reason) = (Some(actor.session_id), RevocationReason::ContactChanged);
        let revoked = self.sessions.revoke_all_in_tx(&tx, user_id, except, reason, now).await?;
        let event = events::contact_changed(user_id, contact, now);
        let more = json!({
            "before": masked(claims::contact_of(&user, contact)),
            "after": masked(&new),
        });
        audit::tell_in_tx(&self.store, &tx, Some(user_id), event, Some(more)).await?;
        self.tell_of_loss_in_tx(&tx, user_id, loser, contact, now).await?;
        tx.commit().await.map_err(StoreError::from)?;
        self.sessions.forget(&revoked, now);
        self.tell_loser(loser, contact);
        self.tell_old_contact(user, contact);
        Ok(())
    }

    /// Nobody waits for the notice. The contact is told also when it was never verified: it is the one
    /// that the user gave.
    fn tell_old_contact(&self, user: users::entity::Model, contact: Contact) {
        let (channel, what) = match contact {
            Contact::Email => (Channel::Email(user.email), "e-mail address"),
            Contact::Phone => (Channel::Sms(user.phone_number), "phone number"),
        };
        let text = format!(
            "Your Finitech account has another {what} now, and all other sessions were ended. If it was \
             not you, tell us at once."
        );
        let messages = self.messages.clone();
        let work = async move {
            if let Err(error) =
                messages.send(channel, "Your contact was changed", text.into()).await
            {
                tracing::warn!(%error, "nobody was told of a changed contact");
            }
        };
        tokio::spawn(work.instrument(tracing::Span::current()));
    }
}
