//! E-mail through a mail server: SMTP (RFC 5321).

use async_trait::async_trait;
use lettre::message::Mailbox;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::Credentials;
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use ports::{Email, EmailSender, MessageError};
use secrecy::{ExposeSecret, SecretString};
use std::time::Duration;

/// How to reach the mail server.
#[derive(Clone, Debug)]
pub struct SmtpConfig {
    /// Its name, which its certificate must bear.
    pub host: String,
    /// The usual one of the kind of connection when `None`.
    pub port: Option<u16>,
    /// How the connection is kept private.
    pub security: SmtpSecurity,
    /// The account, if the server asks for one.
    pub username: Option<String>,
    /// Its password.
    pub password: Option<SecretString>,
    /// Who the e-mails are from: `Finitech <no-reply@example.com>`.
    pub from: String,
}

/// How the connection is kept private.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SmtpSecurity {
    /// TLS from the beginning, port 465 (RFC 8314).
    #[default]
    Tls,
    /// TLS after a greeting in clear, port 587; nothing is sent without.
    StartTls,
    /// None, port 25: for a server on the same machine.
    None,
}

/// The settings are not usable.
#[derive(Debug, thiserror::Error)]
pub enum SmtpError {
    /// `from` is not an address.
    #[error("smtp.from is not an e-mail address such as Finitech <no-reply@example.com>")]
    From,
    /// TLS cannot be prepared for this host.
    #[error("smtp.host cannot be used with TLS")]
    Tls(#[source] Error),
}

/// Hands e-mails to one mail server, over connections that are kept open for a while.
pub struct SmtpSender {
    from: Mailbox,
    transport: AsyncSmtpTransport<Tokio1Executor>,
}

/// A server that takes longer is not going to.
const TIMEOUT: Duration = Duration::from_secs(20);

impl SmtpSender {
    /// A sender with these settings. Does not connect yet, but needs a running tokio runtime.
    pub fn try_new(config: SmtpConfig) -> Result<Self, SmtpError> {
        let from = config.from.parse().map_err(|_| SmtpError::From)?;
        let host = config.host.as_str();
        let mut builder = match config.security {
            SmtpSecurity::Tls => {
                AsyncSmtpTransport::<Tokio1Executor>::relay(host).map_err(SmtpError::Tls)?
            }
            SmtpSecurity::StartTls => AsyncSmtpTransport::<Tokio1Executor>::starttls_relay(host)
                .map_err(SmtpError::Tls)?,
            SmtpSecurity::None => AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host),
        };
        if let Some(port) = config.port {
            builder = builder.port(port);
        }
        if let (Some(username), Some(password)) = (config.username, config.password) {
            let password = password.expose_secret().to_owned();
            builder = builder.credentials(Credentials::new(username, password));
        }
        Ok(Self { from, transport: builder.timeout(Some(TIMEOUT)).build() })
    }
}

#[async_trait]
impl EmailSender for SmtpSender {
    async fn send_email(&self, email: Email) -> Result<(), MessageError> {
        let unavailable = |reason: &str| MessageError::Unavailable(reason.to_owned());
        let to = email.to.parse().map_err(|_| unavailable("the address is not one of SMTP"))?;
        let message = Message::builder()
            .from(self.from.clone())
            .to(to)
            .subject(email.subject)
            .body(email.text.expose_secret().to_owned())
            .map_err(|_| unavailable("the message cannot be written down"))?;
        match self.transport.send(message).await {
            Ok(_) => Ok(()),
            Err(error) => Err(MessageError::Unavailable(reason(&error))),
        }
    }
}

/// What may be told of a failure: the server's own words can hold the address.
fn reason(error: &Error) -> String {
    match error.status() {
        Some(code) => format!("the mail server answered {code}"),
        None if error.is_timeout() => "the mail server did not answer in time".to_owned(),
        None if error.is_tls() => "no private connection to the mail server".to_owned(),
        None => "the mail server cannot be reached, or was not understood".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
    use tokio::net::TcpListener;
    use tokio::task::JoinHandle;

    /// A mail server for one connection, which answers a recipient with `answer`, and what it was told.
    async fn mail_server(answer: &'static str) -> (u16, JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let serving = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let (reading, mut writing) = stream.into_split();
            let mut lines = BufReader::new(reading).lines();
            let mut told = String::new();
            let mut in_message = false;
            writing.write_all(b"220 ready\r\n").await.unwrap();
            while let Ok(Some(line)) = lines.next_line().await {
                told.push_str(&line);
                told.push('\n');
                in_message &= line != ".";
                let reply = match line.split(' ').next().unwrap() {
                    _ if in_message => continue,
                    "RCPT" => answer,
                    "DATA" => {
                        in_message = true;
                        "354 go on"
                    }
                    "QUIT" => break,
                    _ => "250 fine",
                };
                writing.write_all(format!("{reply}\r\n").as_bytes()).await.unwrap();
                if told.ends_with("\n.\n") {
                    break;
                }
            }
            told
        });
        (port, serving)
    }

    fn sender(port: u16) -> SmtpSender {
        SmtpSender::try_new(SmtpConfig {
            host: "127.0.0.1".into(),
            port: Some(port),
            security: SmtpSecurity::None,
            username: None,
            password: None,
            from: "Finitech <no-reply@example.com>".into(),
        })
        .unwrap()
    }

    fn email(to: &str) -> Email {
        Email { to: to.into(), subject: "Your code".into(), text: "123456 is it".into() }
    }

    #[tokio::test]
    async fn the_server_gets_the_message() {
        let (port, serving) = mail_server("250 fine").await;
        sender(port).send_email(email("amina@example.com")).await.unwrap();
        let told = serving.await.unwrap();
        for expected in [
            "MAIL FROM:<no-reply@example.com>",
            "RCPT TO:<amina@example.com>",
            "From: Finitech <no-reply@example.com>",
            "Subject: Your code",
            "123456 is it",
        ] {
            assert!(told.contains(expected), "{expected}: {told}");
        }
    }

    #[tokio::test]
    async fn failures_do_not_tell_the_address() {
        let (port, _serving) = mail_server("550 <amina@example.com> is unknown").await;
        let refused = sender(port).send_email(email("amina@example.com")).await.unwrap_err();
        assert_eq!(refused, MessageError::Unavailable("the mail server answered 550".to_owned()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let away = sender(port).send_email(email("amina@example.com")).await.unwrap_err();
        let no_address = sender(port).send_email(email("not an address")).await.unwrap_err();
        for error in [away, no_address] {
            assert!(!error.to_string().contains("amina"), "{error}");
            assert!(!error.to_string().contains("not an address"), "{error}");
        }
    }

    #[tokio::test]
    async fn settings_that_cannot_work_are_refused() {
        let config = SmtpConfig {
            host: "mail.example.com".into(),
            port: None,
            security: SmtpSecurity::Tls,
            username: Some("finitech".into()),
            password: Some("hunter2".into()),
            from: "nobody".into(),
        };
        assert!(!format!("{config:?}").contains("hunter2"));
        assert!(matches!(SmtpSender::try_new(config.clone()), Err(SmtpError::From)));
        for security in [SmtpSecurity::Tls, SmtpSecurity::StartTls] {
            let from = "no-reply@example.com".into();
            let config = SmtpConfig { security, from, ..config.clone() };
            SmtpSender::try_new(config).unwrap();
        }
    }
}
