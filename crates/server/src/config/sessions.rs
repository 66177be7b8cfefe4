//! How long people stay signed in.

use serde::Deserialize;
use std::time::Duration;

/// How long people stay signed in.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct SessionSettings {
    /// How long a session lives, however much it is used.
    pub(crate) lifetime_hours: u32,
}

impl Default for SessionSettings {
    fn default() -> Self {
        Self { lifetime_hours: 30 * 24 }
    }
}

impl SessionSettings {
    /// What keeps the program from starting with these settings.
    pub(super) fn refusals(&self) -> Option<String> {
        (self.lifetime_hours == 0)
            .then(|| "sessions.lifetime_hours is 0; set at least an hour".to_owned())
    }

    /// How long a session lives.
    pub(crate) fn lifetime(&self) -> Duration {
        Duration::from_hours(self.lifetime_hours.into())
    }
}
