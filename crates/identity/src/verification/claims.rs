//! What somebody claims without having shown that it is theirs keeps nobody from showing that. Who does so
//! first has the contact: the database lets one row alone stand for it. The account that claimed it
//! is not found by it any more, and its owner is told.

use super::{Contact, Verifications};
use crate::messages::Channel;
use crate::secrets::Indexed;
use crate::users::entity::Model as User;
use crate::{audit, events, users};
use kernel::{Timestamp, UserId};
use secrecy::SecretString;
use serde_json::json;
use store::{StoreError, WriteTx};
use tracing::Instrument;

impl Verifications {
    /// Whether somebody has shown that a contact is theirs.
    pub(super) async fn is_taken(&self, contact: Contact, text: &str) -> Result<bool, StoreError> {
        let found = self.users.find_by_identifier(text).await?;
        Ok(found.is_some_and(|user| is_verified(&user, contact)))
    }

    /// What stands for a contact, which is normalised, where it is looked for.
    pub(super) fn index_of(&self, contact: Contact, text: &str) -> Vec<u8> {
        let kind = match contact {
            Contact::Email => Indexed::Email,
            Contact::Phone => Indexed::PhoneNumber,
        };
        self.keys.blind_index(kind, text)
    }

    /// Takes a contact from whoever only claims it, and returns who that was.
    pub(super) async fn take_in_tx(
        &self,
        tx: &WriteTx,
        by: UserId,
        contact: Contact,
        index: Vec<u8>,
    ) -> Result<Option<UserId>, StoreError> {
        users::repo::take_from_claimant_in_tx(&self.store, tx, contact, index, by).await
    }

    /// Writes down that an account lost a contact that it only claimed.
    pub(super) async fn tell_of_loss_in_tx(
        &self,
        tx: &WriteTx,
        by: UserId,
        loser: Option<UserId>,
        contact: Contact,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let Some(loser) = loser else { return Ok(()) };
        let event = events::contact_lost(loser, contact, now);
        let more = json!({ "by": by.0 });
        audit::tell_in_tx(&self.store, tx, Some(by), event, Some(more)).await
    }

    /// Tells somebody that a contact is not theirs, at the other one if that is. Nobody waits for it.
    pub(super) fn tell_loser(&self, loser: Option<UserId>, contact: Contact) {
        let Some(loser) = loser else { return };
        let (users, messages) = (self.users.clone(), self.messages.clone());
        let work = async move {
            let user = match users.find(loser).await {
                Ok(Some(user)) => user,
                Ok(None) => return,
                Err(error) => return tracing::warn!(%error, "nobody was told of a lost contact"),
            };
            let (channel, what) = match contact {
                Contact::Email if is_verified(&user, Contact::Phone) => {
                    (Channel::Sms(user.phone_number), "e-mail address")
                }
                Contact::Phone if is_verified(&user, Contact::Email) => {
                    (Channel::Email(user.email), "phone number")
                }
                // Where else they read is not known.
                _ => return,
            };
            let text = format!(
                "Somebody else has shown that the {what} of your Finitech account is theirs. You \
                 cannot sign in by it any more. Give another one in your account."
            );
            let sent = messages.send(channel, "A contact of your account", text.into()).await;
            if let Err(error) = sent {
                tracing::warn!(%error, "nobody was told of a lost contact");
            }
        };
        tokio::spawn(work.instrument(tracing::Span::current()));
    }
}

/// A contact of a user.
pub(super) fn contact_of(user: &User, contact: Contact) -> &str {
    match contact {
        Contact::Email => &user.email,
        Contact::Phone => &user.phone_number,
    }
}

/// Whether a user has shown that a contact is theirs.
pub(super) fn is_verified(user: &User, contact: Contact) -> bool {
    match contact {
        Contact::Email => user.email_verified_at.is_some(),
        Contact::Phone => user.phone_verified_at.is_some(),
    }
}

/// What goes to a contact, instead of a code, that is somebody else's than who asked.
pub(super) fn taken_text() -> SecretString {
    "Somebody asked to use this contact for another Finitech account. It belongs to yours, and nothing \
     has changed. If it was you, sign in with it instead."
        .into()
}
