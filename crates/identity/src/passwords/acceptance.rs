//! What a password has to pass before somebody gets it as theirs.

use super::policy::Policy;
use super::{PasswordError, Passwords};
use crate::Config;
use ports::Breaches;
use secrecy::{ExposeSecret, SecretString};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Says what is wrong with the passwords that people want.
pub(crate) struct Acceptance {
    passwords: Arc<Passwords>,
    policy: Arc<Policy>,
    breaches: Option<Arc<dyn Breaches>>,
    /// Whether a password is accepted while nobody knows whether it was in a breach.
    accept_unchecked: bool,
    /// How many were.
    unchecked: AtomicU64,
}

/// Why nobody knows what is wrong with a password.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AcceptanceError {
    #[error(transparent)]
    Password(#[from] PasswordError),
    #[error("{UNCHECKED}")]
    Unchecked,
}

/// What people are told then.
pub(crate) const UNCHECKED: &str =
    "the new password cannot be looked up among breached ones now; try again in a moment";

const BREACHED: &str = "was stolen from another service and published, where guessers take it from; take \
    another one, here and wherever else you have it";

impl Acceptance {
    pub(crate) fn new(
        passwords: Arc<Passwords>,
        breaches: Option<Arc<dyn Breaches>>,
        config: &Config,
    ) -> Self {
        Self {
            passwords,
            policy: Arc::new(Policy::new(&config.context_words)),
            breaches,
            accept_unchecked: config.accept_unchecked_passwords,
            unchecked: AtomicU64::new(0),
        }
    }

    /// What is wrong with a password, if anything. `own` is what anybody may know of its owner: e-mail
    /// address, phone number, name.
    pub(crate) async fn objection(
        &self,
        password: &SecretString,
        own: [&str; 3],
    ) -> Result<Option<&'static str>, AcceptanceError> {
        if let Some(objection) = Policy::objection_to_length(password.expose_secret()) {
            return Ok(Some(objection));
        }
        if let Some(objection) = self.objection_to_guessable(password, own).await? {
            return Ok(Some(objection));
        }
        self.objection_to_breached(password).await
    }

    async fn objection_to_guessable(
        &self,
        password: &SecretString,
        own: [&str; 3],
    ) -> Result<Option<&'static str>, PasswordError> {
        let (policy, password, own) =
            (self.policy.clone(), password.clone(), own.map(str::to_owned));
        let look = move || Ok(policy.objection_to_guessable(password.expose_secret(), &own));
        // It keeps a core busy for about as long as a hash, if somebody wants it to.
        self.passwords.work(self.passwords.place()?, look).await
    }

    async fn objection_to_breached(
        &self,
        password: &SecretString,
    ) -> Result<Option<&'static str>, AcceptanceError> {
        let Some(breaches) = &self.breaches else {
            return Ok(None);
        };
        match breaches.have(password).await {
            Ok(is_breached) => Ok(is_breached.then_some(BREACHED)),
            Err(error) if self.accept_unchecked => {
                let unchecked = self.unchecked.fetch_add(1, Ordering::Relaxed).saturating_add(1);
                tracing::warn!(
                    %error,
                    unchecked_since_start = unchecked,
                    "one of the new passwords was accepted unchecked"
                );
                Ok(None)
            }
            Err(error) => {
                tracing::warn!(%error, "one of the new passwords was refused unchecked");
                Err(AcceptanceError::Unchecked)
            }
        }
    }
}
