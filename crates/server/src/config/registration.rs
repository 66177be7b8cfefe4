//! Who registers.

use super::Environment;
use serde::Deserialize;

/// Who registers.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RegistrationSettings {
    /// Whether the contacts that somebody registers with count as theirs without being shown to be. `true`
    /// in Development, where nobody reads messages, when not set; `false` in Production.
    pub(crate) trust_contacts: Option<bool>,
}

impl RegistrationSettings {
    /// What keeps the program from starting with these settings.
    pub(super) fn refusals(&self, environment: Environment) -> Option<String> {
        let trusts = self.trust_contacts == Some(true) && environment == Environment::Production;
        trusts.then(|| {
            "registration.trust_contacts is true, which gives anybody's phone number to whoever \
             registers with it first; leave it out"
                .to_owned()
        })
    }

    /// Whether contacts are trusted.
    pub(crate) fn trusts_contacts(&self, environment: Environment) -> bool {
        self.trust_contacts.unwrap_or(environment == Environment::Development)
    }
}
