//! What a password has to pass before somebody gets it as theirs.

use super::policy::Policy;
use super::{PasswordError, Passwords};
use secrecy::{ExposeSecret, SecretString};
use std::sync::Arc;

/// Says what is wrong with the passwords that people want.
pub(crate) struct Acceptance {
    passwords: Arc<Passwords>,
    policy: Arc<Policy>,
}

impl Acceptance {
    pub(crate) fn new(passwords: Arc<Passwords>, context_words: &[String]) -> Self {
        Self { passwords, policy: Arc::new(Policy::new(context_words)) }
    }

    /// What is wrong with a password, if anything. `own` is what anybody may know of its owner: e-mail
    /// address, phone number, name.
    pub(crate) async fn objection(
        &self,
        password: &SecretString,
        own: [&str; 3],
    ) -> Result<Option<&'static str>, PasswordError> {
        if let Some(objection) = Policy::objection_to_length(password.expose_secret()) {
            return Ok(Some(objection));
        }
        let (policy, password, own) =
            (self.policy.clone(), password.clone(), own.map(str::to_owned));
        let look = move || Ok(policy.objection_to_guessable(password.expose_secret(), &own));
        // It keeps a core busy for about as long as a hash, if somebody wants it to.
        self.passwords.work(self.passwords.place()?, look).await
    }
}
