//! Which site passkeys are for.

use super::Environment;
use super::origin::{host, is_origin};
use identity::RelyingParty;
use serde::Deserialize;

/// Which site passkeys are for.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct PasskeySettings {
    /// On in Development, and in Production where a site is named, when not set.
    pub(crate) enabled: Option<bool>,
    /// The site's domain, such as `bank.example`. Passkeys are lost when it changes.
    pub(crate) relying_party_id: Option<String>,
    /// Where the site's pages come from, such as `https://app.bank.example`.
    pub(crate) origins: Option<Vec<String>>,
}

/// The site of whoever develops a page for it.
const LOCAL_SITE: &str = "localhost";
const LOCAL_ORIGINS: [&str; 2] = ["http://localhost:8080", "http://localhost:3000"];

impl PasskeySettings {
    /// The site; `None` where there are no passkeys.
    pub(crate) fn relying_party(&self, environment: Environment) -> Option<RelyingParty> {
        let is_local = environment == Environment::Development;
        let is_named = self.relying_party_id.is_some() || self.origins.is_some();
        if !self.enabled.unwrap_or(is_local || is_named) {
            return None;
        }
        let local_site = || if is_local { LOCAL_SITE.to_owned() } else { String::new() };
        let local_origins = || match is_local && !is_named {
            true => LOCAL_ORIGINS.map(str::to_owned).to_vec(),
            false => Vec::new(),
        };
        Some(RelyingParty {
            id: self.relying_party_id.clone().unwrap_or_else(local_site),
            origins: self.origins.clone().unwrap_or_else(local_origins),
        })
    }

    /// What keeps the program from starting with these settings.
    pub(super) fn refusals(&self, environment: Environment) -> Vec<String> {
        let Some(RelyingParty { id, origins }) = self.relying_party(environment) else {
            return Vec::new();
        };
        let mut refusals = Vec::new();
        if !is_domain(&id) {
            refusals.push(format!(
                "passkeys.relying_party_id is \"{id}\", which is not a domain such as bank.example; \
                 name one or set passkeys.enabled = false"
            ));
        }
        if origins.is_empty() {
            refusals.push(
                "passkeys.origins is empty; name where the pages of the site come from, such as \
                 https://app.bank.example"
                    .to_owned(),
            );
        }
        for origin in &origins {
            let is_of_site = is_origin(origin, environment) && is_below(host(origin), &id);
            if !is_of_site {
                refusals.push(format!(
                    "passkeys.origins has \"{origin}\", which is not an origin of {id} such as \
                     https://{id}"
                ));
            }
        }
        refusals
    }
}

fn is_domain(text: &str) -> bool {
    let of_label = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    text.split('.').all(|label| !label.is_empty() && label.bytes().all(of_label))
}

/// Whether the host is the domain or below it: browsers refuse others.
fn is_below(host: &str, domain: &str) -> bool {
    host.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}
