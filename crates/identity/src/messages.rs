//! Messages to users.

use crate::users::entity::Model as UserRow;
use ports::{Email, EmailSender, MessageError, Sms, SmsSender};
use secrecy::SecretString;
use std::sync::Arc;
use tracing::Instrument;

/// Where a message goes.
pub(crate) enum Channel {
    /// To an e-mail address.
    Email(String),
    /// To a phone number in E.164.
    Sms(String),
}

/// Sends messages. Clones share the senders.
#[derive(Clone)]
pub(crate) struct Messages {
    pub(crate) email: Arc<dyn EmailSender>,
    pub(crate) sms: Arc<dyn SmsSender>,
}

impl Messages {
    /// Sends a notice to a user's e-mail address if it is known to be theirs. Nobody waits for it.
    pub(crate) fn notify(&self, user: UserRow, subject: &'static str, text: String) {
        if user.email_verified_at.is_none() {
            return;
        }
        self.notify_at(Channel::Email(user.email), subject, text);
    }

    /// Sends a notice to every contact that is known to be a user's, for what they must not miss. Nobody
    /// waits for it.
    pub(crate) fn notify_everywhere(&self, user: UserRow, subject: &'static str, text: &str) {
        if user.phone_verified_at.is_some() {
            self.notify_at(Channel::Sms(user.phone_number.clone()), subject, text.to_owned());
        }
        self.notify(user, subject, text.to_owned());
    }

    fn notify_at(&self, channel: Channel, subject: &'static str, text: String) {
        let messages = self.clone();
        let work = async move {
            if let Err(error) = messages.send(channel, subject, text.into()).await {
                tracing::warn!(%error, subject, "a notice was not sent");
            }
        };
        tokio::spawn(work.instrument(tracing::Span::current()));
    }

    pub(crate) async fn send(
        &self,
        channel: Channel,
        subject: &str,
        text: SecretString,
    ) -> Result<(), MessageError> {
        match channel {
            Channel::Email(to) => {
                self.email.send_email(Email { to, subject: subject.to_owned(), text }).await
            }
            Channel::Sms(to) => self.sms.send_sms(Sms { to, text }).await,
        }
    }
}
