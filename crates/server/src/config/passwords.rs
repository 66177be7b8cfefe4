//! Which passwords people may have.

use super::Environment;
use serde::Deserialize;

/// Which passwords people may have.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct PasswordSettings {
    /// What the organisation and its products are called, with abbreviations; nobody may make a password
    /// of it.
    pub(crate) context_words: Vec<String>,
    /// Where new passwords are looked up among those that were in a breach, by the range protocol of Pwned
    /// Passwords; nowhere when not set.
    pub(crate) breaches_url: Option<String>,
    /// Whether a new password is accepted while that does not answer.
    pub(crate) accept_unchecked: bool,
}

impl Default for PasswordSettings {
    fn default() -> Self {
        Self { context_words: Vec::new(), breaches_url: None, accept_unchecked: true }
    }
}

/// Each of them is gone through for each new password.
const CONTEXT_WORDS_MAX: usize = 200;

impl PasswordSettings {
    /// What keeps the program from starting with these settings.
    pub(super) fn refusals(&self, environment: Environment) -> Vec<String> {
        let short = self.context_words.iter().find(|word| word.trim().chars().count() < 3);
        let short = short.map(|word| {
            format!("passwords.context_words has \"{word}\", which is shorter than 3 characters")
        });
        let many = self.context_words.len() > CONTEXT_WORDS_MAX;
        let many = many
            .then(|| format!("passwords.context_words has more than {CONTEXT_WORDS_MAX} words"));
        let is_production = environment == Environment::Production;
        let url = self.breaches_url.as_ref().filter(|_| is_production);
        let in_clear = url.is_some_and(|url| !url.starts_with("https://"));
        let in_clear = in_clear.then(|| {
            "passwords.breaches_url does not begin with https://, so anybody on the way could say that \
             a password is good"
                .to_owned()
        });
        short.into_iter().chain(many).chain(in_clear).collect()
    }
}
