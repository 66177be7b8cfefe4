//! How staff work.

use super::Environment;
use serde::Deserialize;
use web::Network;

/// How staff work.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct StaffSettings {
    /// Whether the most dangerous things that staff can do need a second person. `false` in Development
    /// only.
    pub(crate) four_eyes: bool,
    /// Whether staff need a second factor to do anything as staff. When not set, in Production; `false` in
    /// Development only.
    pub(crate) second_factor: Option<bool>,
    /// Networks (CIDR) that administrative routes may be called from. When not set, in Development
    /// anywhere and in Production nowhere.
    pub(crate) allowed_networks: Option<Vec<String>>,
}

impl Default for StaffSettings {
    fn default() -> Self {
        Self { four_eyes: true, second_factor: None, allowed_networks: None }
    }
}

impl StaffSettings {
    /// What keeps the program from starting with these settings.
    pub(super) fn refusals(&self, environment: Environment) -> Vec<String> {
        let named = self.allowed_networks.iter().flatten();
        let mut refusals: Vec<_> = named
            .filter(|network| network.parse::<Network>().is_err())
            .map(|network| {
                format!(
                    "staff.allowed_networks has \"{network}\", which is not a network such as \
                     10.0.0.0/8 or fd00::/8"
                )
            })
            .collect();
        if !self.four_eyes && environment == Environment::Production {
            refusals.push(
                "staff.four_eyes is false, which lets one person give out any role; leave it out"
                    .to_owned(),
            );
        }
        if self.second_factor == Some(false) && environment == Environment::Production {
            refusals.push(
                "staff.second_factor is false, which makes a stolen password of staff enough; leave it \
                 out"
                    .to_owned(),
            );
        }
        refusals
    }

    /// Whether staff need a second factor.
    pub(crate) fn needs_second_factor(&self, environment: Environment) -> bool {
        self.second_factor.unwrap_or(environment == Environment::Production)
    }

    /// Where administrative routes may be called from; `None` when from anywhere.
    pub(crate) fn networks(&self, environment: Environment) -> Option<Vec<Network>> {
        match (&self.allowed_networks, environment) {
            // What is not a network was refused at the start.
            (Some(named), _) => {
                Some(named.iter().filter_map(|network| network.parse().ok()).collect())
            }
            (None, Environment::Development) => None,
            (None, Environment::Production) => Some(Vec::new()),
        }
    }
}
