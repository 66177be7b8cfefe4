//! What Twilio tells of messages that it took: requests to an address of ours, signed with the account's
//! auth token (<https://www.twilio.com/docs/usage/webhooks/webhooks-security>).

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretString};
use std::borrow::Cow;
use std::collections::BTreeSet;

/// What is needed to know Twilio's requests.
#[derive(Clone, Debug)]
pub struct TwilioCallbackConfig {
    /// The address as Twilio was told it, whatever proxies make of it on the way.
    pub url: String,
    /// The account's auth token; requests are signed with it even where an API key sends messages.
    pub auth_token: SecretString,
}

/// Knows Twilio's requests from those of others.
pub struct TwilioCallbacks {
    /// The address with its port and without: of the two, Twilio signs now the one, now the other.
    urls: [String; 2],
    key: hmac::Key,
}

/// What became of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryStatus {
    /// Twilio's name of the message: `SM…`.
    pub message_sid: String,
    /// Twilio's word: `sent`, `delivered`, `undelivered`, `failed` …
    pub status: String,
    /// Why it did not arrive: <https://www.twilio.com/docs/errors>.
    pub error_code: Option<u32>,
}

/// Why a request is not taken for one of Twilio's.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallbackError {
    /// Somebody else sent it, or to another address, or with another account's token.
    #[error("the signature is missing or wrong")]
    Signature,
    /// It tells nothing of a message.
    #[error("MessageSid or MessageStatus is missing")]
    Incomplete,
}

impl TwilioCallbacks {
    /// Knows requests by these settings.
    pub fn new(config: TwilioCallbackConfig) -> Self {
        let secret = config.auth_token.expose_secret().as_bytes();
        // What Twilio signs with, unless told otherwise. What is weak in SHA-1 does not help against HMAC.
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret);
        Self { urls: without_and_with_port(&config.url), key }
    }

    /// What a request tells, by the value of its header `X-Twilio-Signature` and the form in its body.
    pub fn read(&self, signature: &str, form: &[u8]) -> Result<DeliveryStatus, CallbackError> {
        let fields: BTreeSet<(Cow<'_, str>, Cow<'_, str>)> = form_urlencoded::parse(form).collect();
        let text: String = fields.iter().map(|(name, value)| format!("{name}{value}")).collect();
        let signature = STANDARD.decode(signature).map_err(|_| CallbackError::Signature)?;
        let is_of = |url: &String| {
            hmac::verify(&self.key, format!("{url}{text}").as_bytes(), &signature).is_ok()
        };
        if !self.urls.iter().any(is_of) {
            return Err(CallbackError::Signature);
        }
        let field = |wanted: &str| {
            let found = fields.iter().find(|(name, _)| name == wanted);
            found.map(|(_, value)| value.clone().into_owned())
        };
        Ok(DeliveryStatus {
            message_sid: field("MessageSid").ok_or(CallbackError::Incomplete)?,
            status: field("MessageStatus").ok_or(CallbackError::Incomplete)?,
            error_code: field("ErrorCode").and_then(|code| code.parse().ok()),
        })
    }
}

fn without_and_with_port(url: &str) -> [String; 2] {
    let (scheme, rest) = url.split_once("://").unwrap_or(("https", url));
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let usual = if scheme == "http" { "80" } else { "443" };
    let (host, port) = authority.rsplit_once(':').unwrap_or((authority, usual));
    [format!("{scheme}://{host}{path}"), format!("{scheme}://{host}:{port}{path}")]
}

impl DeliveryStatus {
    /// Whether the message did not arrive, and will not.
    pub fn is_failure(&self) -> bool {
        matches!(self.status.as_str(), "undelivered" | "failed")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::AUTH_TOKEN;

    const URL: &str = "https://bank.example/api/v1/sms/twilio/status";
    const UNDELIVERED: &str = "SmsSid=SM00000000000000000000000000000001&SmsStatus=undelivered&\
        MessageStatus=undelivered&To=%2B212612345678&MessageSid=SM00000000000000000000000000000001&\
        AccountSid=AC0123456789abcdef0123456789abcdef&From=%2B15005550006&ApiVersion=2010-04-01&\
        ErrorCode=30005";
    /// Of Twilio's library for Python.
    const SIGNATURE: &str = "Mst01Hj0eQVqQJ9qFXouqk91/FI=";

    fn callbacks(url: &str, auth_token: &str) -> TwilioCallbacks {
        TwilioCallbacks::new(TwilioCallbackConfig {
            url: url.to_owned(),
            auth_token: auth_token.into(),
        })
    }

    #[test]
    fn what_twilio_signed_is_understood() {
        let status = callbacks(URL, AUTH_TOKEN).read(SIGNATURE, UNDELIVERED.as_bytes()).unwrap();
        assert!(status.is_failure());
        assert_eq!(
            status,
            DeliveryStatus {
                message_sid: "SM00000000000000000000000000000001".to_owned(),
                status: "undelivered".to_owned(),
                error_code: Some(30005),
            }
        );
        let delivered = "MessageSid=SM1&MessageStatus=delivered&\
            Note=%C3%A9t%C3%A9+%26+%2B1+%3D+50+%25";
        let status = callbacks(URL, AUTH_TOKEN)
            .read("jO5J1fed7zmEROvlP8NpKmMhVOE=", delivered.as_bytes())
            .unwrap();
        assert!(!status.is_failure() && status.error_code.is_none());
        let with_query = callbacks(&format!("{URL}?a=1"), AUTH_TOKEN);
        let sent = with_query
            .read("YDDrFzaGR4wFEp9RX+eLyBFnxAw=", b"MessageSid=SM1&MessageStatus=sent")
            .unwrap();
        assert_eq!(sent.status, "sent");
    }

    #[test]
    fn what_somebody_else_signed_is_refused() {
        let right = callbacks(URL, AUTH_TOKEN);
        for signature in
            ["", "Mst01Hj0eQVqQJ9qFXouqk91", "not base64!", "AAAAAAAAAAAAAAAAAAAAAAAAAAA="]
        {
            let refused = right.read(signature, UNDELIVERED.as_bytes());
            assert_eq!(refused, Err(CallbackError::Signature), "{signature}");
        }
        let delivered = UNDELIVERED.replace("undelivered", "delivered");
        let more = format!("{UNDELIVERED}&Another=field");
        for form in [delivered.as_str(), more.as_str(), ""] {
            let refused = right.read(SIGNATURE, form.as_bytes());
            assert_eq!(refused, Err(CallbackError::Signature), "{form}");
        }
        let elsewhere = format!("{URL}/elsewhere");
        for (url, token) in [(elsewhere.as_str(), AUTH_TOKEN), (URL, "another token")] {
            let refused = callbacks(url, token).read(SIGNATURE, UNDELIVERED.as_bytes());
            assert_eq!(refused, Err(CallbackError::Signature), "{url} {token}");
        }
        // Signed, but with nothing to tell.
        let empty = right.read("WAfhMUE10pMrqKq8FVIRttHXPyo=", b"");
        assert_eq!(empty, Err(CallbackError::Incomplete));
    }

    #[test]
    fn the_port_may_be_signed_or_not() {
        for (url, without, with) in [
            (URL, URL, "https://bank.example:443/api/v1/sms/twilio/status"),
            (
                "http://bank.example?a=b:c",
                "http://bank.example?a=b:c",
                "http://bank.example:80?a=b:c",
            ),
            (
                "https://bank.example:8443/a",
                "https://bank.example/a",
                "https://bank.example:8443/a",
            ),
        ] {
            assert_eq!(without_and_with_port(url), [without, with]);
        }
    }
}
