//! Messages to users.

use ports::{Email, EmailSender, MessageError, Sms, SmsSender};
use secrecy::SecretString;
use std::sync::Arc;

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
