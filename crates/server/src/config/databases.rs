//! Which PostgreSQL databases there are, and how they are used.

use super::Environment;
use secrecy::SecretString;
use serde::Deserialize;
use store::Target;

/// `postgres://user:password@host/database`, for all modules or for one.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ConnectionStrings {
    /// For every module without its own.
    pub(crate) default: Option<SecretString>,
    /// For the card vault.
    pub(crate) cards: Option<SecretString>,
    /// For identity.
    pub(crate) identity: Option<SecretString>,
    /// For the ledger.
    pub(crate) ledger: Option<SecretString>,
    /// For wallets.
    pub(crate) wallet: Option<SecretString>,
}

/// How PostgreSQL is used.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Postgres {
    /// The most connections of one module; a process opens up to this many for each.
    pub(crate) connections_max: u32,
    /// Whether the network to the databases is protected otherwise, so that connections need not be.
    pub(crate) network_is_protected: bool,
}

impl Default for Postgres {
    fn default() -> Self {
        Self { connections_max: 10, network_is_protected: false }
    }
}

impl ConnectionStrings {
    /// What keeps the program from connecting with these settings: in Production, what goes to another
    /// machine goes by TLS, and that machine has to show that it is the right one.
    pub(super) fn refusals(&self, postgres: &Postgres, environment: Environment) -> Vec<String> {
        let named = [
            ("default", &self.default),
            ("cards", &self.cards),
            ("identity", &self.identity),
            ("ledger", &self.ledger),
            ("wallet", &self.wallet),
        ];
        let must_be_safe = environment == Environment::Production && !postgres.network_is_protected;
        let refusal = |(name, url): (&str, &Option<SecretString>)| {
            let target = Target::Postgres { url: url.clone()?, max_connections: 1 };
            match target.is_safe_on_the_way() {
                // The cause may quote what it could not read, and with it a password.
                Err(_) => Some(format!(
                    "connection_strings.{name} is not a connection string such as \
                     postgres://user:password@host/database?sslmode=verify-full"
                )),
                Ok(false) if must_be_safe => Some(format!(
                    "connection_strings.{name} sends everything to another machine without making sure \
                     which one it is; add sslmode=verify-full (and sslrootcert=FILE for an authority of \
                     your own), or set postgres.network_is_protected if something else sees to it"
                )),
                Ok(_) => None,
            }
        };
        named.into_iter().filter_map(refusal).collect()
    }
}
