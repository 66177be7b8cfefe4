//! Messages to one person: e-mail and SMS.

use crate::SystemIds;
use crate::private_file::create_folder;
use async_trait::async_trait;
use kernel::IdSource;
use secrecy::{ExposeSecret, SecretString};
use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// A mail server or a provider of one.
#[async_trait]
pub trait EmailSender: Send + Sync {
    /// Hands a message over. `Ok` means that somebody else sees to it, not that it was read.
    async fn send_email(&self, email: Email) -> Result<(), MessageError>;
}

/// A provider of text messages.
#[async_trait]
pub trait SmsSender: Send + Sync {
    /// Hands a message over, as [`EmailSender::send_email`] does.
    async fn send_sms(&self, sms: Sms) -> Result<(), MessageError>;
}

/// An e-mail of plain text. It may hold a one-time code, so it does not print.
#[derive(Clone)]
pub struct Email {
    /// The one address that it goes to.
    pub to: String,
    /// The subject; never a secret, because programs show it on locked screens.
    pub subject: String,
    /// The text.
    pub text: SecretString,
}

/// A text message. It may hold a one-time code, so it does not print.
#[derive(Clone)]
pub struct Sms {
    /// A phone number in E.164.
    pub to: String,
    /// The text.
    pub text: SecretString,
}

/// Why a message was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// This installation sends no messages of this kind.
    #[error("no sender of such messages is configured")]
    NotConfigured,
    /// Nothing arrives at this address or number; trying again does not help.
    #[error("the message can never arrive there: {0}")]
    Unreachable(String),
    /// No answer, or a refusal; trying again may help.
    #[error("the message was not taken: {0}")]
    Unavailable(String),
}

impl fmt::Debug for Email {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Email(redacted)")
    }
}

impl fmt::Debug for Sms {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Sms(redacted)")
    }
}

/// Sandbox: writes each message into a file of its own instead of sending it. The names of the files
/// sort by the time of their making.
#[derive(Clone, Debug)]
pub struct OutboxFolder(pub PathBuf);

impl OutboxFolder {
    fn write(&self, kind: &str, head: &str, text: &SecretString) -> Result<(), MessageError> {
        let path = self.0.join(format!("{}.{kind}.txt", SystemIds.next()));
        let written = create_folder(&self.0).and_then(|()| write_private(&path, head, text));
        written.map_err(|error| MessageError::Unavailable(error.to_string()))
    }
}

#[async_trait]
impl EmailSender for OutboxFolder {
    async fn send_email(&self, email: Email) -> Result<(), MessageError> {
        self.write("email", &format!("To: {}\nSubject: {}", email.to, email.subject), &email.text)
    }
}

#[async_trait]
impl SmsSender for OutboxFolder {
    async fn send_sms(&self, sms: Sms) -> Result<(), MessageError> {
        self.write("sms", &format!("To: {}", sms.to), &sms.text)
    }
}

/// Whoever waits for the file never sees half of it.
fn write_private(path: &Path, head: &str, text: &SecretString) -> io::Result<()> {
    let unfinished = path.with_extension("tmp");
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&unfinished)?;
    writeln!(file, "{head}\n\n{}", text.expose_secret())?;
    fs::rename(unfinished, path)
}

/// For installations that send no messages: refuses all.
#[derive(Clone, Copy, Debug, Default)]
pub struct DisabledMessages;

#[async_trait]
impl EmailSender for DisabledMessages {
    async fn send_email(&self, _: Email) -> Result<(), MessageError> {
        Err(MessageError::NotConfigured)
    }
}

#[async_trait]
impl SmsSender for DisabledMessages {
    async fn send_sms(&self, _: Sms) -> Result<(), MessageError> {
        Err(MessageError::NotConfigured)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_outbox_is_a_private_folder_with_a_file_for_each_message() {
        let folder = tempfile::tempdir().unwrap();
        let outbox = OutboxFolder(folder.path().join("outbox"));
        let (email, sms) = (
            Email { to: "a@example.com".into(), subject: "Hello".into(), text: "one".into() },
            Sms { to: "+212612345678".into(), text: "two".into() },
        );
        assert!(!format!("{email:?} {sms:?}").contains(['@', '+']));
        outbox.send_email(email).await.unwrap();
        outbox.send_sms(sms).await.unwrap();
        let mut paths: Vec<_> =
            fs::read_dir(&outbox.0).unwrap().map(|one| one.unwrap().path()).collect();
        paths.sort();
        let texts: Vec<_> = paths.iter().map(|path| fs::read_to_string(path).unwrap()).collect();
        assert_eq!(
            texts,
            ["To: a@example.com\nSubject: Hello\n\none\n", "To: +212612345678\n\ntwo\n"]
        );
        #[cfg(unix)]
        for (path, mode) in [(&outbox.0, 0o700), (&paths[0], 0o600)] {
            let metadata = fs::metadata(path).unwrap();
            assert_eq!(std::os::unix::fs::MetadataExt::mode(&metadata) & 0o777, mode);
        }
    }
}
