//! Which passwords people may have.

use serde::Deserialize;

/// Which passwords people may have.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct PasswordSettings {
    /// What the organisation and its products are called, with abbreviations; nobody may make a password
    /// of it.
    pub(crate) context_words: Vec<String>,
}

/// Each of them is gone through for each new password.
const CONTEXT_WORDS_MAX: usize = 200;

impl PasswordSettings {
    /// What keeps the program from starting with these settings.
    pub(super) fn refusals(&self) -> Vec<String> {
        let short = self.context_words.iter().find(|word| word.trim().chars().count() < 3);
        let short = short.map(|word| {
            format!("passwords.context_words has \"{word}\", which is shorter than 3 characters")
        });
        let many = self.context_words.len() > CONTEXT_WORDS_MAX;
        let many = many
            .then(|| format!("passwords.context_words has more than {CONTEXT_WORDS_MAX} words"));
        short.into_iter().chain(many).collect()
    }
}
