//! Verification: a code goes to the e-mail address or phone number of somebody who is signed in, and
//! whoever types it in has shown that they read what is sent there. Until then the contact is what
//! somebody claimed.

mod changes;
mod claims;
mod entity;
mod repo;

pub use changes::{ContactChange, ContactChangeError};
pub use entity::Contact;

use crate::messages::{Channel, Messages};
use crate::passwords::{HashingError, PasswordError, Passwords, Verdict};
use crate::secrets::DataKeys;
use crate::sessions::Sessions;
use crate::users::entity::Model as User;
use crate::users::{self, Users};
use crate::{Error, audit, events};
use entity::Sendings;
use kernel::{Clock, Timestamp, UserId};
use ports::MessageError;
use repo::{Attempt, NewCode};
use secrecy::{ExposeSecret, SecretString};
use std::sync::Arc;
use std::time::Duration;
use store::{Store, StoreError};

/// Why a contact was not verified, or no code sent.
#[derive(Debug, thiserror::Error)]
pub enum VerificationError {
    /// Somebody else has shown that the contact is theirs.
    #[error("somebody else has this contact; give another one")]
    Taken(Contact),
    /// Nothing is left to do.
    #[error("this contact is verified")]
    AlreadyVerified,
    /// Another code was sent a moment ago, or too many were.
    #[error("too many codes were sent; wait before you ask for another one")]
    TooManyCodes {
        /// How long.
        retry_after: Duration,
    },
    /// The code is wrong; there are attempts left.
    #[error("the code is wrong")]
    WrongCode {
        /// How many.
        attempts_left: i64,
    },
    /// There is no code, or its time is over, or it was tried too often.
    #[error("no code counts now; ask for another one")]
    NoCode,
    /// Messages never arrive there.
    #[error("no message can be sent there; give another contact")]
    Unreachable(#[source] MessageError),
    /// The message was not taken.
    #[error("the message cannot be sent now; try again later")]
    NotSent(#[source] MessageError),
    /// Too many passwords and codes are being checked.
    #[error("too many sign-ins at once; try again in a moment")]
    Busy,
    /// The server failed.
    #[error(transparent)]
    Failed(#[from] Error),
}

impl From<StoreError> for VerificationError {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.into())
    }
}

impl From<HashingError> for VerificationError {
    fn from(error: HashingError) -> Self {
        Self::Failed(error.into())
    }
}

impl From<PasswordError> for VerificationError {
    fn from(error: PasswordError) -> Self {
        match error {
            PasswordError::Busy => Self::Busy,
            PasswordError::Hashing(error) => Self::Failed(error.into()),
        }
    }
}

/// Verifies and changes contacts.
pub(crate) struct Verifications {
    pub(crate) store: Store,
    pub(crate) keys: Arc<DataKeys>,
    pub(crate) users: Arc<Users>,
    pub(crate) passwords: Arc<Passwords>,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) messages: Messages,
    pub(crate) clock: Arc<dyn Clock>,
}

/// How long a code counts.
const LIFETIME: Duration = Duration::from_mins(10);
/// How often a code may be tried.
const ATTEMPTS: i64 = 5;

impl Verifications {
    /// Sends a code to a contact of the user. An earlier one counts no more.
    pub(crate) async fn send_code(
        &self,
        user_id: UserId,
        contact: Contact,
    ) -> Result<(), VerificationError> {
        let user = self.unverified(user_id, contact).await?;
        let (code, row) = self.new_code(user_id, contact).await?;
        let to = claims::contact_of(&user, contact).to_owned();
        let is_taken = self.is_taken(contact, &to).await?;
        let tx = self.store.begin().await?;
        if !repo::replace_in_tx(&self.store, &tx, row).await? {
            return Err(VerificationError::TooManyCodes { retry_after: entity::INTERVAL });
        }
        tx.commit().await.map_err(StoreError::from)?;
        // Of a contact that is somebody else's nobody learns the code.
        let text = if is_taken { claims::taken_text() } else { code_text(&code) };
        self.send(contact, to, "Your Finitech account", text).await
    }

    /// A code, and the row that is to be stored of it, unless too many were sent.
    async fn new_code(
        &self,
        user_id: UserId,
        contact: Contact,
    ) -> Result<(SecretString, NewCode), VerificationError> {
        let earlier = repo::sendings(&self.store, user_id, contact).await?;
        let now = self.clock.now();
        let sendings = Sendings::and_one_more(earlier, now)
            .map_err(|retry_after| VerificationError::TooManyCodes { retry_after })?;
        let code = six_digits()?;
        let row = NewCode {
            user_id,
            contact,
            code_hash: self.passwords.hash(&code).await?,
            attempts: ATTEMPTS,
            expires_at: now.plus(LIFETIME),
            sendings,
            sealed_new: None,
        };
        Ok((code, row))
    }

    async fn send(
        &self,
        contact: Contact,
        to: String,
        subject: &str,
        text: SecretString,
    ) -> Result<(), VerificationError> {
        let channel = match contact {
            Contact::Email => Channel::Email(to),
            Contact::Phone => Channel::Sms(to),
        };
        let sent = self.messages.send(channel, subject, text).await;
        sent.map_err(|error| match error {
            MessageError::Unreachable(_) => VerificationError::Unreachable(error),
            MessageError::NotConfigured | MessageError::Unavailable(_) => {
                VerificationError::NotSent(error)
            }
        })
    }

    /// Marks the contact as the user's if this is the code that was sent there.
    pub(crate) async fn confirm(
        &self,
        user_id: UserId,
        contact: Contact,
        code: &SecretString,
    ) -> Result<(), VerificationError> {
        let user = self.unverified(user_id, contact).await?;
        let now = self.clock.now();
        let attempt = self.right_code(user_id, contact, false, code, now).await?;
        let tx = self.store.begin().await?;
        let code_hash = &attempt.code_hash;
        if !repo::take_code_in_tx(&self.store, &tx, user_id, contact, code_hash).await? {
            return Err(VerificationError::NoCode);
        }
        let index = self.index_of(contact, claims::contact_of(&user, contact));
        let loser = self.take_in_tx(&tx, user_id, contact, index.clone()).await?;
        let store = &self.store;
        users::repo::verify_contact_in_tx(store, &tx, user_id, contact, index, now).await.map_err(
            |error| match error.is_unique_violation() {
                true => VerificationError::Taken(contact),
                false => error.into(),
            },
        )?;
        let event = events::contact_verified(user_id, contact, now);
        audit::tell_in_tx(&self.store, &tx, Some(user_id), event, None).await?;
        self.tell_of_loss_in_tx(&tx, user_id, loser, contact, now).await?;
        tx.commit().await.map_err(StoreError::from)?;
        self.tell_loser(loser, contact);
        Ok(())
    }

    /// The attempt, if the code is the one that was sent for this.
    async fn right_code(
        &self,
        user_id: UserId,
        contact: Contact,
        is_change: bool,
        code: &SecretString,
        now: Timestamp,
    ) -> Result<Attempt, VerificationError> {
        // Taken before the comparison: of many guesses at once none is free.
        let attempt = repo::take_attempt(&self.store, user_id, contact, is_change, now).await?;
        let attempt = attempt.ok_or(VerificationError::NoCode)?;
        if self.passwords.verify(code, Some(&attempt.code_hash)).await? == Verdict::Wrong {
            return Err(VerificationError::WrongCode { attempts_left: attempt.attempts_left });
        }
        Ok(attempt)
    }

    async fn unverified(
        &self,
        user_id: UserId,
        contact: Contact,
    ) -> Result<User, VerificationError> {
        let user = self.users.find(user_id).await?;
        let user = user.ok_or_else(|| StoreError::inconsistent("users", "id", user_id.0))?;
        let verified_at = match contact {
            Contact::Email => user.email_verified_at,
            Contact::Phone => user.phone_verified_at,
        };
        match verified_at {
            Some(_) => Err(VerificationError::AlreadyVerified),
            None => Ok(user),
        }
    }
}

fn code_text(code: &SecretString) -> SecretString {
    let code = code.expose_secret();
    format!("{code} is your Finitech code for the next 10 minutes. Give it to nobody.").into()
}

/// Every code is as likely as any other: numbers that would favour some are thrown away.
fn six_digits() -> Result<SecretString, HashingError> {
    const CODES: u32 = 1_000_000;
    const FAIR_BELOW: u32 = u32::MAX.div_euclid(CODES).saturating_mul(CODES);
    loop {
        let mut bytes = [0; 4];
        aws_lc_rs::rand::fill(&mut bytes).map_err(|_| HashingError::Randomness)?;
        let number = u32::from_be_bytes(bytes);
        if number < FAIR_BELOW {
            return Ok(format!("{:06}", number.rem_euclid(CODES)).into());
        }
    }
}
