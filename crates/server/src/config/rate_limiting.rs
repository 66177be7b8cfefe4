//! How many requests somebody may make, and where they are counted.

use super::Environment;
use secrecy::SecretString;
use serde::Deserialize;
use std::time::Duration;
use web::{Quota, RateLimits};

/// Where somebody shows who they are. All are POST. Asking for a passkey's challenge is not among them: a
/// page asks for one before anybody types, and it is nothing that could be guessed at.
const AUTHENTICATION_ROUTES: &[&str] = &[
    "/api/v1/auth/login",
    "/api/v1/auth/login/mfa",
    "/api/v1/auth/login/passkey",
    "/api/v1/auth/password-resets",
    "/api/v1/auth/password-resets/complete",
    "/api/v1/auth/reauthenticate",
    "/api/v1/auth/register",
    "/api/v1/me/mfa/disable",
    "/api/v1/me/mfa/recovery-codes",
];
/// Where customers move money, likewise.
const PAYMENT_ROUTES: &[&str] = &["/api/v1/wallets/{id}/top-ups", "/api/v1/wallets/{id}/transfers"];
/// Whoever asks these asks often.
pub(super) const PROBES: &[&str] = &["/health/live", "/health/ready"];
/// Likewise, and Twilio, which shows by its signature who it is, tells of each message of everybody.
const FREE_ROUTES: &[&str] = &["/health/live", "/health/ready", "/api/v1/sms/twilio/status"];

/// How many requests somebody may make: a signed-in user, else a client's address.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RateLimiting {
    /// On in Production and off in Development, when not set.
    pub(crate) enabled: Option<bool>,
    /// All requests together.
    pub(crate) global_per_minute: u32,
    /// Where somebody shows who they are.
    pub(crate) authentication_per_five_minutes: u32,
    /// Where money moves.
    pub(crate) payments_per_minute: u32,
    /// Redis, `redis://` or `rediss://`, where all processes count together; each for itself without.
    pub(crate) redis_url: Option<SecretString>,
}

impl Default for RateLimiting {
    fn default() -> Self {
        Self {
            enabled: None,
            global_per_minute: 100,
            authentication_per_five_minutes: 5,
            payments_per_minute: 10,
            redis_url: None,
        }
    }
}

impl RateLimiting {
    /// The limits; `None` when all may make as many requests as they like.
    pub(super) fn limits(&self, environment: Environment) -> Option<RateLimits> {
        let is_on = self.enabled.unwrap_or(environment == Environment::Production);
        let per = |requests, minutes| Quota { requests, window: Duration::from_mins(minutes) };
        is_on.then(|| RateLimits {
            global: per(self.global_per_minute, 1),
            authentication: per(self.authentication_per_five_minutes, 5),
            payments: per(self.payments_per_minute, 1),
            authentication_routes: AUTHENTICATION_ROUTES,
            payment_routes: PAYMENT_ROUTES,
            free_routes: FREE_ROUTES,
        })
    }
}
