//! Passwords that were stolen somewhere, by the range protocol of Pwned Passwords
//! (<https://haveibeenpwned.com/API/v3#PwnedPasswords>), which the service speaks and its mirrors.
//!
//! Of a password's SHA-1 the first five of forty hexadecimal digits are sent, which about a thousand of
//! the known passwords share and one in a million of all others. The answer lists the rest of each known
//! one with the same beginning, and how often it was seen; we ask for more lines that mean nothing (seen 0
//! times), so that its length tells nothing to who watches.

#[cfg(feature = "testing")]
pub(crate) mod testing;

use crate::patience::{ClientError, Patience, seconds_of_retry_after};
use async_trait::async_trait;
use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use ports::{Breaches, BreachesError};
use reqwest::{Client, Response, StatusCode, Url};
use secrecy::{ExposeSecret, SecretString};
use std::fmt::Write;
use std::time::Duration;
use tokio::time::Instant;

/// The settings are not usable.
#[derive(Debug, thiserror::Error)]
pub enum PwnedPasswordsError {
    /// It is not an address.
    #[error("passwords.breaches_url is not an address such as https://api.pwnedpasswords.com")]
    BaseUrl,
    /// What is needed to connect could not be made.
    #[error(
        "the client of breached passwords could not be made; are there certificates of authorities?"
    )]
    Client(#[source] reqwest::Error),
}

/// Looks passwords up at the service or a mirror, over connections that are kept open for a while.
pub struct PwnedPasswords {
    client: Client,
    base_url: String,
    patience: Patience,
}

/// Somebody waits who registers.
const PATIENCE: Patience = Patience {
    connection: Duration::from_secs(1),
    attempt: Duration::from_secs(2),
    total: Duration::from_secs(4),
    pause: Duration::from_millis(200),
};
const ATTEMPTS: u32 = 3;
/// How much of a digest is sent.
const PREFIX_DIGITS: usize = 5;
const DIGEST_DIGITS: usize = 40;
/// Answers of the service have less than a tenth of it.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// Why an attempt came to nothing.
struct Failure {
    reason: String,
    /// Whether another attempt may help, and when the server says so.
    again: Option<Option<Duration>>,
}

impl PwnedPasswords {
    /// Asks at `{base_url}/range/{first digits}`. Does not connect yet.
    pub fn try_new(base_url: &str) -> Result<Self, PwnedPasswordsError> {
        Self::with_patience(base_url, PATIENCE)
    }

    fn with_patience(base_url: &str, patience: Patience) -> Result<Self, PwnedPasswordsError> {
        let base_url = base_url.trim_end_matches('/').to_owned();
        let url: Url = base_url.parse().map_err(|_| PwnedPasswordsError::BaseUrl)?;
        let client = patience.client_for(&url).map_err(|error| match error {
            ClientError::Scheme => PwnedPasswordsError::BaseUrl,
            ClientError::Client(error) => PwnedPasswordsError::Client(error),
        })?;
        Ok(Self { client, base_url, patience })
    }

    /// The body of the answer for a prefix.
    async fn attempt(&self, prefix: &str, time: Duration) -> Result<Vec<u8>, Failure> {
        let request = self
            .client
            .get(format!("{}/range/{prefix}", self.base_url))
            .header("Add-Padding", "true")
            .timeout(time.min(self.patience.attempt));
        let response = request.send().await.map_err(|error| Failure::of(&error))?;
        match response.status() {
            StatusCode::OK => read(response).await,
            status => {
                let may_pass = status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error();
                let reason = format!("the answer was {}", status.as_u16());
                let again = may_pass.then(|| seconds_of_retry_after(&response));
                Err(Failure { reason, again })
            }
        }
    }
}

impl Failure {
    /// Nothing of the error itself is told, which has the address and so the digits in it.
    fn of(error: &reqwest::Error) -> Self {
        let reason = match () {
            () if error.is_connect() => "no connection",
            () if error.is_timeout() => "no answer in time",
            () => "the connection broke",
        };
        Self { reason: reason.to_owned(), again: Some(None) }
    }

    fn for_good(reason: &str) -> Self {
        Self { reason: reason.to_owned(), again: None }
    }
}

#[async_trait]
impl Breaches for PwnedPasswords {
    async fn have(&self, password: &SecretString) -> Result<bool, BreachesError> {
        let digest = hexadecimal(password);
        let (prefix, suffix) = digest.expose_secret().split_at(PREFIX_DIGITS);
        let begun = Instant::now();
        let left = || self.patience.total.saturating_sub(begun.elapsed());
        let mut attempt = 0;
        loop {
            let failure = match self.attempt(prefix, left()).await {
                Ok(body) => return has_line(&body, suffix),
                Err(failure) => failure,
            };
            let pause =
                failure.again.map(|after| after.unwrap_or(self.patience.pause_after(attempt)));
            attempt = attempt.saturating_add(1);
            match pause.filter(|pause| attempt < ATTEMPTS && *pause < left()) {
                Some(pause) => tokio::time::sleep(pause).await,
                None => return Err(BreachesError(failure.reason)),
            }
        }
    }
}

/// The SHA-1 of a password in capital hexadecimal digits. What is weak in SHA-1 does not matter here: it
/// is what the lists are sorted by.
fn hexadecimal(password: &SecretString) -> SecretString {
    let digest = digest(&SHA1_FOR_LEGACY_USE_ONLY, password.expose_secret().as_bytes());
    let mut digits = String::with_capacity(DIGEST_DIGITS);
    for byte in digest.as_ref() {
        // Text takes whatever is written into it.
        write!(digits, "{byte:02X}").unwrap_or_default();
    }
    digits.into()
}

async fn read(mut response: Response) -> Result<Vec<u8>, Failure> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| Failure::of(&error))? {
        body.extend_from_slice(&chunk);
        if body.len() > ANSWER_BYTES_MAX {
            return Err(Failure::for_good("the answer is too long"));
        }
    }
    Ok(body)
}

/// Whether an answer has the rest of a digest as one that was seen. An answer that has anything else than
/// lines `SUFFIX:COUNT`, or no line at all, is not one of this protocol, and shows nothing.
fn has_line(body: &[u8], suffix: &str) -> Result<bool, BreachesError> {
    let wrong = || BreachesError("the answer is not lines of digits and counts".to_owned());
    let text = std::str::from_utf8(body).map_err(|_| wrong())?;
    let mut lines = text.lines().filter(|line| !line.is_empty()).peekable();
    lines.peek().ok_or_else(wrong)?;
    let mut is_there = false;
    for line in lines {
        let (digits, count) = line.split_once(':').ok_or_else(wrong)?;
        let is_suffix =
            digits.len() == suffix.len() && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        let count: u64 = count.trim().parse().map_err(|_| wrong())?;
        if !is_suffix {
            return Err(wrong());
        }
        is_there |= count > 0 && digits.eq_ignore_ascii_case(suffix);
    }
    Ok(is_there)
}

#[cfg(test)]
mod tests;
