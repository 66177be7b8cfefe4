//! How a client of something that speaks HTTP waits, and how it tries again.

use reqwest::header::RETRY_AFTER;
use reqwest::redirect::Policy;
use reqwest::{Client, Response, Url};
use std::time::Duration;

/// How long what may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    pub(crate) connection: Duration,
    pub(crate) attempt: Duration,
    /// All attempts and what lies between them. Somebody waits for it, with a request of their own.
    pub(crate) total: Duration,
    /// Before the second attempt; twice that before the third.
    pub(crate) pause: Duration,
}

/// There is no client for an address.
#[derive(Debug)]
pub(crate) enum ClientError {
    /// It is not one of HTTP.
    Scheme,
    /// What is needed to connect could not be made.
    Client(reqwest::Error),
}

impl Patience {
    /// A client that follows no redirects, and sends nothing in clear where the address asks for TLS.
    pub(crate) fn client_for(&self, url: &Url) -> Result<Client, ClientError> {
        let mut client = Client::builder()
            .user_agent(concat!("finitech/", env!("CARGO_PKG_VERSION")))
            .redirect(Policy::none())
            .connect_timeout(self.connection);
        client = match url.scheme() {
            "https" => client.https_only(true),
            // On this machine, where no proxy leads to.
            "http" => client.no_proxy(),
            _ => return Err(ClientError::Scheme),
        };
        client.build().map_err(ClientError::Client)
    }

    /// What to wait before the next attempt: something between half of the pause and all of it, so that
    /// those who were refused at once do not come back at once.
    pub(crate) fn pause_after(&self, attempt: u32) -> Duration {
        let pause = self.pause.saturating_mul(2u32.saturating_pow(attempt));
        let mut dice = [0];
        // Without randomness the pause is as good as any other.
        if aws_lc_rs::rand::fill(&mut dice).is_err() {
            return pause;
        }
        let share = u32::from(dice[0]).saturating_add(256);
        pause.saturating_mul(share).checked_div(512).unwrap_or(pause)
    }
}

/// What an answer says to wait in seconds; a date, which the standard allows as well, is as good as nothing.
pub(crate) fn seconds_of_retry_after(response: &Response) -> Option<Duration> {
    let text = response.headers().get(RETRY_AFTER)?.to_str().ok()?;
    text.parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_differ() {
        let second = Duration::from_secs(1);
        let patience =
            Patience { connection: second, attempt: second, total: second, pause: second };
        for (attempt, longest) in [(0, second), (1, second * 2), (2, second * 4)] {
            let pauses: Vec<Duration> = (0..100).map(|_| patience.pause_after(attempt)).collect();
            let (least, most) = (pauses.iter().min().unwrap(), pauses.iter().max().unwrap());
            assert!(*least >= longest / 2 && *most < longest && least < most, "{attempt}");
        }
    }
}
