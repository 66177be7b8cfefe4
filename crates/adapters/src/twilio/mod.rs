//! Text messages through Twilio: its Messages resource, of 2010-04-01.
//!
//! A message that was surely not taken is sent again after a while. One that Twilio may have taken (no
//! answer came, or one of a server in trouble) is sent again **once**: Twilio has no key by which it would
//! know the second request for the first, so the message may arrive twice. What we send is a code, a token
//! or a notice, which does no harm twice; lost, it keeps somebody out.

mod answer;
mod callbacks;
#[cfg(feature = "testing")]
pub(crate) mod testing;

pub use callbacks::{CallbackError, DeliveryStatus, TwilioCallbackConfig, TwilioCallbacks};

use crate::patience::{ClientError, Patience, seconds_of_retry_after};
use answer::Answer;
use async_trait::async_trait;
use ports::{MessageError, Sms, SmsSender};
use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, Response, Url};
use secrecy::{ExposeSecret, SecretString};
use std::time::Duration;
use tokio::time::Instant;

/// How to reach Twilio.
#[derive(Clone, Debug)]
pub struct TwilioConfig {
    /// Where its API is: [`TWILIO_API`], or that of a region.
    pub base_url: String,
    /// The account that pays: `AC…`.
    pub account_sid: String,
    /// What requests show.
    pub credentials: TwilioCredentials,
    /// Who messages are from.
    pub from: TwilioFrom,
    /// Where Twilio tells what becomes of a message.
    pub status_callback_url: Option<String>,
}

/// What requests show: an API key and its secret, or the account and its auth token.
#[derive(Clone, Debug)]
pub struct TwilioCredentials {
    /// `SK…`, or `AC…`.
    pub username: String,
    /// The secret, or the auth token.
    pub password: SecretString,
}

/// Who messages are from.
#[derive(Clone, Debug)]
pub enum TwilioFrom {
    /// A number in E.164, a short code, or a name.
    Sender(String),
    /// Whoever a Messaging Service chooses: `MG…`.
    MessagingService(String),
}

/// The settings are not usable.
#[derive(Debug, thiserror::Error)]
pub enum TwilioError {
    /// It would be part of an address.
    #[error("twilio.account_sid is not AC and 32 hexadecimal digits")]
    AccountSid,
    /// It is not an address.
    #[error("twilio.base_url is not an address such as {TWILIO_API}")]
    BaseUrl,
    /// What is needed to connect could not be made.
    #[error("the client of Twilio could not be made; are there certificates of authorities?")]
    Client(#[source] reqwest::Error),
}

/// Hands text messages to Twilio, over connections that are kept open for a while.
pub struct TwilioSender {
    client: Client,
    messages: Url,
    credentials: TwilioCredentials,
    from: TwilioFrom,
    status_callback_url: Option<String>,
    patience: Patience,
}

/// Twilio's API, in the United States.
pub const TWILIO_API: &str = "https://api.twilio.com";

const PATIENCE: Patience = Patience {
    connection: Duration::from_secs(3),
    attempt: Duration::from_secs(8),
    total: Duration::from_secs(20),
    pause: Duration::from_millis(500),
};
const ATTEMPTS: u32 = 3;
/// Twilio's answers are far shorter.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

impl TwilioSender {
    /// A sender with these settings. Does not connect yet.
    pub fn try_new(config: TwilioConfig) -> Result<Self, TwilioError> {
        Self::with_patience(config, PATIENCE)
    }

    fn with_patience(config: TwilioConfig, patience: Patience) -> Result<Self, TwilioError> {
        if !is_account_sid(&config.account_sid) {
            return Err(TwilioError::AccountSid);
        }
        let messages = format!(
            "{}/2010-04-01/Accounts/{}/Messages.json",
            config.base_url.trim_end_matches('/'),
            config.account_sid
        );
        let messages: Url = messages.parse().map_err(|_| TwilioError::BaseUrl)?;
        let client = patience.client_for(&messages).map_err(|error| match error {
            ClientError::Scheme => TwilioError::BaseUrl,
            ClientError::Client(error) => TwilioError::Client(error),
        })?;
        Ok(Self {
            client,
            messages,
            credentials: config.credentials,
            from: config.from,
            status_callback_url: config.status_callback_url,
            patience,
        })
    }

    fn form(&self, sms: &Sms) -> String {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("To", &sms.to).append_pair("Body", sms.text.expose_secret());
        match &self.from {
            TwilioFrom::Sender(from) => form.append_pair("From", from),
            TwilioFrom::MessagingService(sid) => form.append_pair("MessagingServiceSid", sid),
        };
        if let Some(url) = &self.status_callback_url {
            form.append_pair("StatusCallback", url);
        }
        form.finish()
    }

    async fn attempt(&self, form: &str, time: Duration) -> Answer {
        let TwilioCredentials { username, password } = &self.credentials;
        let request = self
            .client
            .post(self.messages.clone())
            .basic_auth(username, Some(password.expose_secret()))
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .timeout(time.min(self.patience.attempt))
            .body(form.to_owned());
        match request.send().await {
            Ok(response) => read(response).await,
            Err(error) if error.is_connect() => Answer::NotTaken {
                reason: "Twilio cannot be reached".to_owned(),
                retry_after: None,
            },
            Err(error) => {
                let what = match error.is_timeout() {
                    true => "Twilio did not answer in time",
                    false => "the connection to Twilio broke",
                };
                Answer::Unknown { reason: what.to_owned(), retry_after: None }
            }
        }
    }
}

#[async_trait]
impl SmsSender for TwilioSender {
    async fn send_sms(&self, sms: Sms) -> Result<(), MessageError> {
        let form = self.form(&sms);
        let begun = Instant::now();
        let left = || self.patience.total.saturating_sub(begun.elapsed());
        let mut may_be_taken = false;
        let mut attempt = 0;
        loop {
            let (reason, retry_after) = match self.attempt(&form, left()).await {
                Answer::Taken => return Ok(()),
                Answer::Refused(error) => return Err(error),
                Answer::Unknown { reason, .. } if may_be_taken => {
                    return Err(MessageError::Unavailable(reason));
                }
                Answer::Unknown { reason, retry_after } => {
                    may_be_taken = true;
                    (reason, retry_after)
                }
                Answer::NotTaken { reason, retry_after } => (reason, retry_after),
            };
            let pause = retry_after.unwrap_or_else(|| self.patience.pause_after(attempt));
            attempt = attempt.saturating_add(1);
            if attempt == ATTEMPTS || pause >= left() {
                return Err(MessageError::Unavailable(reason));
            }
            tokio::time::sleep(pause).await;
        }
    }
}

async fn read(mut response: Response) -> Answer {
    let status = response.status();
    let retry_after = seconds_of_retry_after(&response);
    let mut body = Vec::new();
    // The status says whether the message was taken, whatever becomes of the rest.
    while body.len() < ANSWER_BYTES_MAX
        && let Ok(Some(chunk)) = response.chunk().await
    {
        body.extend_from_slice(&chunk);
    }
    Answer::of(status, retry_after, &body)
}

fn is_account_sid(text: &str) -> bool {
    let digits = text.strip_prefix("AC").unwrap_or_default();
    digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests;
