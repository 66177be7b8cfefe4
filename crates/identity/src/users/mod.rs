//! Users: registration, and finding them again.

mod directory;
pub(crate) mod entity;
pub(crate) mod repo;
mod row;
pub(crate) mod sealing;

pub(crate) use directory::{Directory, find_active};

use crate::contacts::{EmailAddress, PhoneNumber};
use crate::lock_out::{self, Subject};
use crate::passwords::{Acceptance, AcceptanceError, PasswordError, Passwords, UNCHECKED, Verdict};
use crate::secrets::DataKeys;
use crate::{Contact, Error, audit, events, roles};
use entity::{ACTIVE, Model, Registration};
use kernel::{Clock, IdSource, Timestamp, UserId};
use row::Model as Row;
use secrecy::SecretString;
use serde_json::json;
use std::fmt;
use std::sync::Arc;
use store::{Store, StoreError};

/// What somebody signs up with, as they wrote it.
#[derive(Clone)]
pub struct NewUser {
    /// In any case.
    pub email: String,
    /// In any spelling that starts with `+` or `00` and the country's code.
    pub phone_number: String,
    /// 10 to 128 characters.
    pub password: SecretString,
    /// What other users see; 1 to 100 characters.
    pub display_name: String,
}

/// Somebody who can sign in.
#[derive(Clone, PartialEq, Eq)]
pub struct User {
    /// Given at registration and for ever.
    pub id: UserId,
    /// In lower case.
    pub email: String,
    /// In E.164: `+212612345678`.
    pub phone_number: String,
    /// What other users see.
    pub display_name: String,
    /// Whether the e-mail address is known to be theirs.
    pub email_verified: bool,
    /// Whether the phone number is.
    pub phone_verified: bool,
    /// When they registered.
    pub created_at: Timestamp,
}

/// What is wrong with one field of a registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidField {
    /// The field, as the API names it: `phoneNumber`.
    pub field: &'static str,
    /// What it must be.
    pub reason: &'static str,
}

/// Why nobody was registered.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    /// Each field at fault.
    #[error("the registration is not valid: {}", fields(.0))]
    Invalid(Vec<InvalidField>),
    /// Somebody has this e-mail address.
    #[error("this e-mail address is registered; sign in instead")]
    EmailAlreadyRegistered,
    /// Somebody has this phone number.
    #[error("this phone number is registered; sign in instead")]
    PhoneAlreadyRegistered,
    /// Nobody knows whether the password was in a breach.
    #[error("{UNCHECKED}")]
    PasswordUnchecked,
    /// Too many passwords are being hashed.
    #[error("too many sign-ins at once; try again in a moment")]
    Busy,
    /// The server failed.
    #[error(transparent)]
    Failed(#[from] Error),
}

fn fields(invalid: &[InvalidField]) -> String {
    let each: Vec<_> = invalid.iter().map(|one| format!("{} {}", one.field, one.reason)).collect();
    each.join(", ")
}

impl fmt::Debug for NewUser {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("NewUser(redacted)")
    }
}

impl fmt::Debug for User {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("User").field("id", &self.id).finish_non_exhaustive()
    }
}

impl From<StoreError> for RegisterError {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.into())
    }
}

impl From<PasswordError> for RegisterError {
    fn from(error: PasswordError) -> Self {
        match error {
            PasswordError::Busy => Self::Busy,
            PasswordError::Hashing(error) => Self::Failed(error.into()),
        }
    }
}

impl From<AcceptanceError> for RegisterError {
    fn from(error: AcceptanceError) -> Self {
        match error {
            AcceptanceError::Password(error) => error.into(),
            AcceptanceError::Unchecked => Self::PasswordUnchecked,
        }
    }
}

/// Whether the contacts of a new user are known to be theirs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Contacts {
    /// Somebody says so.
    Claimed,
    /// An operator does.
    Verified,
}

/// Which contacts of a new user nobody else claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FreeContacts {
    email: bool,
    phone_number: bool,
}

/// How often to register again when somebody else is faster with a contact: with each of the two once.
const INSERT_ATTEMPTS: u32 = 2;

/// Registers and finds users.
pub(crate) struct Users {
    pub(crate) store: Store,
    pub(crate) keys: Arc<DataKeys>,
    pub(crate) passwords: Arc<Passwords>,
    pub(crate) acceptance: Acceptance,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn IdSource>,
}

impl Users {
    pub(crate) async fn register(
        &self,
        new_user: NewUser,
        roles: &[&str],
        contacts: Contacts,
    ) -> Result<User, RegisterError> {
        let own = [&new_user.email, &new_user.phone_number, &new_user.display_name];
        let own = own.map(String::as_str);
        let objection = self.acceptance.objection(&new_user.password, own).await?;
        let registration =
            Registration::try_new(new_user, objection, roles).map_err(RegisterError::Invalid)?;
        // Before the hash is paid for. The constraints decide below, when two register at once.
        self.free_contacts(&registration, contacts).await?;
        let password_hash = self.passwords.hash(&registration.password).await?;
        let now = self.clock.now();
        let verified_at = (contacts == Contacts::Verified).then_some(now.as_micros());
        let user = Model {
            id: self.ids.next(),
            email: registration.email.as_str().to_owned(),
            phone_number: registration.phone_number.as_str().to_owned(),
            display_name: registration.display_name.clone(),
            password_hash,
            status: ACTIVE.to_owned(),
            created_at: now.as_micros(),
            password_changed_at: now.as_micros(),
            status_reason: None,
            status_changed_at: None,
            status_changed_by: None,
            last_log_in_at: None,
            email_verified_at: verified_at,
            phone_verified_at: verified_at,
        };
        let mut attempts = 0..INSERT_ATTEMPTS;
        loop {
            let free = self.free_contacts(&registration, contacts).await?;
            match self.insert(user.clone(), free, roles, now).await {
                Ok(()) => return Ok(user.into()),
                // Somebody else was faster with one of the contacts.
                Err(Error::Store(error))
                    if error.is_unique_violation() && attempts.next().is_some() => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Whether anybody is registered.
    pub(crate) async fn any(&self) -> Result<bool, StoreError> {
        repo::any(&self.store).await
    }

    /// The active user with this e-mail address or phone number and this password, unless they are
    /// locked out. Does the same work when there is no such user.
    pub(crate) async fn verify(
        &self,
        identifier: &str,
        password: &SecretString,
    ) -> Result<Option<Model>, VerifyError> {
        let found = self.find_by_identifier(identifier).await?;
        let subject = match &found {
            Some(user) => Subject::user(UserId(user.id)),
            None => Subject::stranger(&self.keys, identifier),
        };
        self.check(found, subject, password).await
    }

    /// The user with this id, likewise, when somebody who is signed in proves who they are.
    pub(crate) async fn verify_own(
        &self,
        id: UserId,
        password: &SecretString,
    ) -> Result<Option<Model>, VerifyError> {
        let found = self.find(id).await?;
        self.check(found, Subject::user(id), password).await
    }

    async fn check(
        &self,
        found: Option<Model>,
        subject: Subject,
        password: &SecretString,
    ) -> Result<Option<Model>, VerifyError> {
        let user = found.filter(Model::is_active);
        let stored = user.as_ref().map(|user| user.password_hash.as_str());
        let has_imported = repo::has_imported_passwords(&self.store).await?;
        // Who finds no place is not counted.
        let place = self.passwords.place()?;
        let Some(attempt) = lock_out::take(&self.store, subject, self.clock.now()).await? else {
            return Ok(None);
        };
        let verdict = self.passwords.verify_in(place, password, stored, has_imported).await?;
        let Some(user) = user.filter(|_| verdict != Verdict::Wrong) else {
            attempt.note_wrong(&self.store).await?;
            return Ok(None);
        };
        attempt.forgive(&self.store).await?;
        if verdict == Verdict::RightButOutdated {
            self.rehash(&user, password).await;
        }
        Ok(Some(user))
    }

    /// The user who may sign in by this e-mail address or phone number, in any spelling: whoever has shown
    /// that it is theirs, else whoever claimed it first.
    pub(crate) async fn find_by_identifier(
        &self,
        identifier: &str,
    ) -> Result<Option<Model>, StoreError> {
        match identifier.contains('@') {
            true => self.find_by_email(identifier).await,
            false => self.find_by_phone(identifier).await,
        }
    }

    /// What is wrong with a password that a user wants, if anything; the hash of it otherwise.
    pub(crate) async fn hash_new(
        &self,
        user: &Model,
        field: &'static str,
        password: &SecretString,
    ) -> Result<Result<String, InvalidField>, AcceptanceError> {
        let own = [user.email.as_str(), &user.phone_number, &user.display_name];
        if let Some(reason) = self.acceptance.objection(password, own).await? {
            return Ok(Err(InvalidField { field, reason }));
        }
        Ok(Ok(self.passwords.hash(password).await?))
    }

    pub(crate) async fn find(&self, id: UserId) -> Result<Option<Model>, StoreError> {
        self.open(repo::find(&self.store, id).await?)
    }

    async fn find_by_email(&self, email: &str) -> Result<Option<Model>, StoreError> {
        match EmailAddress::parse(email) {
            Some(email) => self.open(self.row_by_email(&email).await?),
            None => Ok(None),
        }
    }

    async fn find_by_phone(&self, phone_number: &str) -> Result<Option<Model>, StoreError> {
        match PhoneNumber::parse(phone_number) {
            Some(phone_number) => self.open(self.row_by_phone(&phone_number).await?),
            None => Ok(None),
        }
    }

    /// Which of the contacts a new user can have at once. One that somebody else only claims does not
    /// keep them from registering, as long as they can sign in by the other one: they get it when they
    /// show that it is theirs.
    async fn free_contacts(
        &self,
        registration: &Registration,
        contacts: Contacts,
    ) -> Result<FreeContacts, RegisterError> {
        let by_email = self.row_by_email(&registration.email).await?;
        let by_phone = self.row_by_phone(&registration.phone_number).await?;
        if by_email.as_ref().is_some_and(|other| other.email_verified_at.is_some()) {
            return Err(RegisterError::EmailAlreadyRegistered);
        }
        if by_phone.as_ref().is_some_and(|other| other.phone_verified_at.is_some()) {
            return Err(RegisterError::PhoneAlreadyRegistered);
        }
        if contacts == Contacts::Claimed && by_email.is_some() && by_phone.is_some() {
            return Err(RegisterError::EmailAlreadyRegistered);
        }
        Ok(FreeContacts { email: by_email.is_none(), phone_number: by_phone.is_none() })
    }

    async fn row_by_email(&self, email: &EmailAddress) -> Result<Option<Row>, StoreError> {
        repo::find_by_email(&self.store, row::email_index(&self.keys, email)).await
    }

    async fn row_by_phone(&self, phone_number: &PhoneNumber) -> Result<Option<Row>, StoreError> {
        repo::find_by_phone(&self.store, row::phone_number_index(&self.keys, phone_number)).await
    }

    fn open(&self, found: Option<Row>) -> Result<Option<Model>, StoreError> {
        found.map(|row| row.open(&self.keys)).transpose()
    }

    async fn insert(
        &self,
        user: Model,
        free: FreeContacts,
        roles: &[&str],
        now: Timestamp,
    ) -> Result<(), Error> {
        let id = UserId(user.id);
        let tx = self.store.begin().await?;
        let sealer = self.keys.sealer_in_tx(&self.store, &tx, now).await.map_err(Error::from)?;
        let mut row = Row::seal(&user, &self.keys, &sealer)?;
        let mut others = Vec::new();
        for (contact, is_free, is_verified, index) in [
            (Contact::Email, free.email, user.email_verified_at.is_some(), &mut row.email_index),
            (
                Contact::Phone,
                free.phone_number,
                user.phone_verified_at.is_some(),
                &mut row.phone_number_index,
            ),
        ] {
            if is_free {
                continue;
            }
            if is_verified {
                let taken = index.clone().unwrap_or_default();
                let from = repo::take_from_claimant_in_tx(&self.store, &tx, contact, taken, id);
                others.extend(from.await?.map(|other| (other, contact)));
            } else {
                *index = None;
            }
        }
        repo::insert_in_tx(&tx, row).await?;
        for role in roles {
            roles::grant_in_tx(&self.store, &tx, id, role, now).await?;
        }
        for (other, contact) in others {
            let event = events::contact_lost(other, contact, now);
            audit::tell_in_tx(&self.store, &tx, None, event, None).await?;
        }
        let event = events::user_registered(id, now);
        let more = json!({ "roles": roles });
        audit::tell_in_tx(&self.store, &tx, Some(id), event, Some(more)).await?;
        Ok(tx.commit().await.map_err(StoreError::from)?)
    }

    /// Brings an old hash up to today's parameters. The sign-in does not depend on it: it is tried
    /// again at the next one.
    async fn rehash(&self, user: &Model, password: &SecretString) {
        let rehashed: Result<(), VerifyError> = async {
            let hash = self.passwords.hash(password).await?;
            Ok(repo::replace_password_hash(&self.store, user, &hash).await?)
        }
        .await;
        if let Err(error) = rehashed {
            tracing::warn!(user_id = %user.id, %error, "an outdated password hash was kept");
        }
    }
}

/// Why a password could not be checked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum VerifyError {
    #[error(transparent)]
    Password(#[from] PasswordError),
    #[error(transparent)]
    Store(#[from] StoreError),
}
