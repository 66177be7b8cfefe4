//! Twilio, where text messages leave through it.

use super::Environment;
use adapters::{TWILIO_API, TwilioCallbackConfig, TwilioConfig, TwilioCredentials, TwilioFrom};
use anyhow::Context;
use ports::read_private_file;
use secrecy::SecretString;
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// An account with Twilio.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Twilio {
    /// Where the API is: another one for accounts of a region.
    pub(crate) base_url: String,
    /// The account: `AC…`.
    pub(crate) account_sid: String,
    /// A file with its auth token, such as a mounted secret.
    pub(crate) auth_token_file: Option<PathBuf>,
    /// An API key of the account, `SK…`, to send with instead of the auth token.
    pub(crate) api_key_sid: Option<String>,
    /// A file with the key's secret.
    pub(crate) api_key_secret_file: Option<PathBuf>,
    /// Who messages are from: a number in E.164, a short code or a name …
    pub(crate) from: Option<String>,
    /// … or a Messaging Service: `MG…`.
    pub(crate) messaging_service_sid: Option<String>,
    /// Where Twilio tells what becomes of messages, as it is seen from outside; nowhere when not set.
    pub(crate) status_callback_url: Option<String>,
}

impl Default for Twilio {
    fn default() -> Self {
        Self {
            base_url: TWILIO_API.to_owned(),
            account_sid: String::new(),
            auth_token_file: None,
            api_key_sid: None,
            api_key_secret_file: None,
            from: None,
            messaging_service_sid: None,
            status_callback_url: None,
        }
    }
}

impl Twilio {
    /// What keeps the program from sending with these settings.
    pub(super) fn refusals(&self, environment: Environment) -> Vec<String> {
        let has_key = self.api_key_sid.is_some();
        let senders = [&self.from, &self.messaging_service_sid];
        let wrong = [
            (
                self.account_sid.is_empty(),
                "sms.provider is \"twilio\", which needs twilio.account_sid",
            ),
            (
                !has_key && self.auth_token_file.is_none(),
                "sms.provider is \"twilio\", which needs twilio.api_key_sid with \
                 twilio.api_key_secret_file, or twilio.auth_token_file",
            ),
            (
                has_key != self.api_key_secret_file.is_some(),
                "twilio.api_key_sid and twilio.api_key_secret_file go together",
            ),
            (
                senders.into_iter().flatten().count() != 1,
                "sms.provider is \"twilio\", which needs either twilio.from or \
                 twilio.messaging_service_sid",
            ),
            (
                self.status_callback_url.is_some() && self.auth_token_file.is_none(),
                "twilio.status_callback_url needs twilio.auth_token_file, with which Twilio signs \
                 what it tells",
            ),
        ];
        let mut refusals: Vec<String> = wrong
            .into_iter()
            .filter(|(is_wrong, _)| *is_wrong)
            .map(|(_, text)| text.to_owned())
            .collect();
        if environment == Environment::Production {
            let addresses = [
                ("base_url", Some(&self.base_url)),
                ("status_callback_url", self.status_callback_url.as_ref()),
            ];
            let in_clear = addresses
                .into_iter()
                .filter(|(_, url)| url.is_some_and(|url| !url.starts_with("https://")));
            refusals.extend(in_clear.map(|(name, _)| {
                format!("twilio.{name} does not begin with https://, so numbers would go in clear")
            }));
        }
        refusals
    }

    /// What the sender needs; nothing is missing, or the program would not have started.
    pub(crate) fn sender_config(&self) -> anyhow::Result<TwilioConfig> {
        let credentials = match (&self.api_key_sid, &self.api_key_secret_file) {
            (Some(sid), Some(file)) => {
                TwilioCredentials { username: sid.clone(), password: secret(file)? }
            }
            _ => TwilioCredentials {
                username: self.account_sid.clone(),
                password: self.auth_token()?,
            },
        };
        let from = match &self.messaging_service_sid {
            Some(sid) => TwilioFrom::MessagingService(sid.clone()),
            None => TwilioFrom::Sender(self.from.clone().unwrap_or_default()),
        };
        Ok(TwilioConfig {
            base_url: self.base_url.clone(),
            account_sid: self.account_sid.clone(),
            credentials,
            from,
            status_callback_url: self.status_callback_url.clone(),
        })
    }

    /// What is needed to know Twilio's requests; `None` when there are none.
    pub(crate) fn callback_config(&self) -> anyhow::Result<Option<TwilioCallbackConfig>> {
        let Some(url) = self.status_callback_url.clone() else {
            return Ok(None);
        };
        Ok(Some(TwilioCallbackConfig { url, auth_token: self.auth_token()? }))
    }

    fn auth_token(&self) -> anyhow::Result<SecretString> {
        secret(self.auth_token_file.as_deref().context("twilio.auth_token_file is not set")?)
    }
}

/// What a file holds, without the end of its line.
fn secret(file: &Path) -> anyhow::Result<SecretString> {
    let bytes = read_private_file(file)?;
    let text = String::from_utf8(bytes).ok().map(|text| text.trim_end().to_owned());
    let text = text.filter(|text| !text.is_empty());
    Ok(text.with_context(|| format!("{} holds no secret", file.display()))?.into())
}
