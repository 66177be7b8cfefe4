//! What an answer of Twilio means for the message.

use ports::MessageError;
use reqwest::StatusCode;
use serde::Deserialize;
use std::time::Duration;

/// What became of one attempt.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// Twilio sees to it.
    Taken,
    /// The same request would be refused again.
    Refused(MessageError),
    /// Surely not taken, for now.
    NotTaken { reason: String, retry_after: Option<Duration> },
    /// Taken or not.
    Unknown { reason: String, retry_after: Option<Duration> },
}

/// Of an error's body we want its number. Its text repeats phone numbers, and its link is this number again.
#[derive(Deserialize)]
struct ErrorBody {
    code: Option<u32>,
}

/// No text message arrives at this number, however often it is tried:
/// <https://www.twilio.com/docs/api/errors>.
const UNREACHABLE: [u32; 9] = [
    21211, // not a phone number
    21265, // a short code
    21266, // the sender's own number
    21268, // premium rate
    21408, // a country that the account does not send to
    21610, // its owner told us to stop
    21612, // not from our sender
    21614, // not a mobile
    21635, // a landline
];

impl Answer {
    pub(super) fn of(status: StatusCode, retry_after: Option<Duration>, body: &[u8]) -> Self {
        let code = serde_json::from_slice(body).ok().and_then(|body: ErrorBody| body.code);
        let reason = match code {
            Some(code) => format!(
                "Twilio answered {} with error {code}: https://www.twilio.com/docs/errors/{code}",
                status.as_u16()
            ),
            None => format!("Twilio answered {}", status.as_u16()),
        };
        match status {
            status if status.is_success() => Self::Taken,
            // Twilio's own word: "any requests with Error 429 responses are always safe to retry".
            StatusCode::TOO_MANY_REQUESTS => Self::NotTaken { reason, retry_after },
            status if status.is_server_error() => Self::Unknown { reason, retry_after },
            _ if code.is_some_and(|code| UNREACHABLE.contains(&code)) => {
                Self::Refused(MessageError::Unreachable(reason))
            }
            // The operator's to put right: credentials, the sender, the account's money.
            _ => Self::Refused(MessageError::Unavailable(reason)),
        }
    }
}
