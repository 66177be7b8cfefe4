//! How messages leave.

use adapters::SmtpConfig;
use secrecy::SecretString;
use serde::Deserialize;

/// How e-mails leave.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct EmailSettings {
    /// Outbox in Development and disabled in Production, when not set.
    pub(crate) provider: Option<EmailProvider>,
}

/// The ways there are.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(crate) enum EmailProvider {
    /// Written into the folder `outbox` in `data_dir`; never in Production.
    Outbox,
    /// Handed to a mail server.
    Smtp,
    /// None are sent.
    Disabled,
}

/// How text messages leave.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct SmsSettings {
    /// Outbox in Development and disabled in Production, when not set.
    pub(crate) provider: Option<SmsProvider>,
}

/// The ways there are.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SmsProvider {
    /// Written into the folder `outbox` in `data_dir`; never in Production.
    Outbox,
    /// Handed to Twilio.
    Twilio,
    /// None are sent.
    Disabled,
}

/// The mail server.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Smtp {
    /// Its name.
    pub(crate) host: String,
    /// The usual one when not set.
    pub(crate) port: Option<u16>,
    /// How the connection is kept private.
    pub(crate) security: SmtpSecurity,
    /// The account, if it asks for one.
    pub(crate) username: Option<String>,
    /// The account's password.
    pub(crate) password: Option<SecretString>,
    /// Who the e-mails are from: `Finitech <no-reply@example.com>`.
    pub(crate) from: String,
}

/// How the connection to the mail server is kept private.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SmtpSecurity {
    /// TLS from the beginning.
    #[default]
    Tls,
    /// TLS after a greeting.
    Starttls,
    /// None; never in Production.
    None,
}

impl Smtp {
    /// What the sender needs.
    pub(crate) fn sender_config(&self) -> SmtpConfig {
        SmtpConfig {
            host: self.host.clone(),
            port: self.port,
            security: match self.security {
                SmtpSecurity::Tls => adapters::SmtpSecurity::Tls,
                SmtpSecurity::Starttls => adapters::SmtpSecurity::StartTls,
                SmtpSecurity::None => adapters::SmtpSecurity::None,
            },
            username: self.username.clone(),
            password: self.password.clone(),
            from: self.from.clone(),
        }
    }
}
