//! Settings: `finitech.toml`, overridden by environment variables `FINITECH__SECTION__KEY`. Unknown keys
//! are refused in both, so that a typing error is never a silent default.

mod databases;
mod keys;
mod listening;
mod messages;
mod origin;
mod passkeys;
mod passwords;
mod payment_gateway;
mod rate_limiting;
mod registration;
mod sessions;
mod staff;
mod step_up;
mod twilio;

pub(crate) use listening::Tls;
pub(crate) use messages::{EmailProvider, SmsProvider};
pub(crate) use payment_gateway::PaymentGatewayProvider;

use anyhow::Context;
use databases::{ConnectionStrings, Postgres};
use keys::{DataKeys, Pkcs11Settings, SigningKeySettings};
use ledger::CheckpointPolicy;
use listening::Server;
use messages::{EmailSettings, SmsSettings, Smtp, SmtpSecurity};
use origin::is_origin;
use passkeys::PasskeySettings;
use passwords::PasswordSettings;
use payment_gateway::PaymentGateway;
use rate_limiting::{PROBES, RateLimiting};
use registration::RegistrationSettings;
use serde::Deserialize;
use sessions::SessionSettings;
use staff::StaffSettings;
use std::path::{Path, PathBuf};
use std::time::Duration;
use step_up::StepUpSettings;
use store::Target;
use toml::{Table, Value};
use twilio::Twilio;
use web::{BrowserPolicy, HttpsPolicy, Network, RateLimits};

/// Every setting, with its default.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    /// How strict the program is about what it runs on.
    pub(crate) environment: Environment,
    /// Where the embedded databases and the keys lie.
    pub(crate) data_dir: PathBuf,
    /// The HTTP server.
    pub(crate) server: Server,
    /// HTTPS in this process.
    pub(crate) tls: Tls,
    /// PostgreSQL databases; SQLite files in `data_dir` where there are none.
    pub(crate) connection_strings: ConnectionStrings,
    /// How PostgreSQL is used.
    pub(crate) postgres: Postgres,
    /// Access tokens.
    pub(crate) jwt: Jwt,
    /// How long people stay signed in.
    pub(crate) sessions: SessionSettings,
    /// What access tokens are signed with.
    pub(crate) signing_keys: SigningKeySettings,
    /// The hardware security module, where signing keys are in one.
    pub(crate) pkcs11: Pkcs11Settings,
    /// What secrets and personal data are sealed with.
    pub(crate) data_keys: DataKeys,
    /// The ledger's engine.
    pub(crate) ledger: LedgerEngine,
    /// Where top-ups come from.
    pub(crate) payment_gateway: PaymentGateway,
    /// How many requests somebody may make.
    pub(crate) rate_limiting: RateLimiting,
    /// Which other sites may call from a browser.
    pub(crate) cors: Cors,
    /// Who registers.
    pub(crate) registration: RegistrationSettings,
    /// Which passwords people may have.
    pub(crate) passwords: PasswordSettings,
    /// How staff work.
    pub(crate) staff: StaffSettings,
    /// What needs a fresh authentication.
    pub(crate) step_up: StepUpSettings,
    /// Which site passkeys are for.
    pub(crate) passkeys: PasskeySettings,
    /// How e-mails leave.
    pub(crate) email: EmailSettings,
    /// The mail server, where e-mails leave through one.
    pub(crate) smtp: Smtp,
    /// How text messages leave.
    pub(crate) sms: SmsSettings,
    /// Twilio, where text messages leave through it.
    pub(crate) twilio: Twilio,
    /// What is logged, and how.
    pub(crate) log: Log,
}

/// Development forgives; Production refuses to start on anything unsafe.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
pub(crate) enum Environment {
    /// A developer's machine: migrates by itself, sandbox adapters, demo world.
    #[default]
    Development,
    /// Real money.
    Production,
}

/// Access tokens.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Jwt {
    /// The `iss` claim.
    pub(crate) issuer: String,
    /// The `aud` claim.
    pub(crate) audience: String,
    /// Folder of the signing key; `keys` in `data_dir` when not set.
    pub(crate) keys_dir: Option<PathBuf>,
}

/// The ledger's engine.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct LedgerEngine {
    /// The most commands that may wait.
    pub(crate) queue_max: usize,
    /// The most commands of one commit.
    pub(crate) group_max: usize,
    /// On SQLite, the most accounts that a commit may move and write their rows itself.
    pub(crate) rows_at_once: usize,
    /// What the ledger is called in its checkpoints: your domain and a path, such as
    /// `bank.example/ledger`, and for ever the same.
    pub(crate) name: String,
    /// A checkpoint of the history is signed when this much time has passed since the last one …
    pub(crate) checkpoint_seconds: u64,
    /// … or when this many records came after it.
    pub(crate) checkpoint_records: i64,
}

/// Which other sites may call from a browser.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Cors {
    /// Such as `https://app.example.com`.
    pub(crate) allowed_origins: Vec<String>,
}

/// What is logged, and how.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Log {
    /// A filter such as `info` or `info,ledger=debug`.
    pub(crate) level: String,
    /// Lines for people or JSON for programs.
    pub(crate) format: LogFormat,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}

/// What environment variables of ours begin with.
const PREFIX: &str = "FINITECH__";

/// The file that is read when none is named.
const DEFAULT_FILE: &str = "finitech.toml";

impl LedgerEngine {
    /// When a checkpoint is due.
    pub(crate) fn checkpoint_policy(&self) -> CheckpointPolicy {
        CheckpointPolicy {
            every: Duration::from_secs(self.checkpoint_seconds),
            records: self.checkpoint_records,
        }
    }
}

impl Config {
    /// Reads the settings of this process: the named file, or `finitech.toml` if it exists, then the
    /// environment.
    #[expect(clippy::disallowed_methods, reason = "the one place where settings are read")]
    pub(crate) fn load(file: Option<&Path>) -> anyhow::Result<Self> {
        let default = Path::new(DEFAULT_FILE);
        let text = match file {
            Some(file) => Some((file, std::fs::read_to_string(file))),
            None if default.exists() => Some((default, std::fs::read_to_string(default))),
            None => None,
        };
        let text = match text {
            Some((file, text)) => {
                text.with_context(|| format!("cannot read {}", file.display()))?
            }
            None => String::new(),
        };
        Self::from_sources(&text, std::env::vars())
    }

    /// The settings of a file's text and of environment variables.
    pub(crate) fn from_sources(
        text: &str,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> anyhow::Result<Self> {
        let mut table: Table = text.parse().context("the settings file is not valid TOML")?;
        for (name, value) in variables {
            if let Some(path) = name.strip_prefix(PREFIX) {
                set(&mut table, path, &value).with_context(|| format!("variable {name}"))?;
            }
        }
        table.try_into().context("the settings are not valid")
    }

    /// What keeps the program from starting with these settings; empty when nothing does.
    pub(crate) fn refusals(&self) -> Vec<String> {
        let mut refusals = listening::refusals(&self.server, &self.tls, self.environment);
        refusals.extend(self.database_refusals());
        for origin in &self.cors.allowed_origins {
            if !is_origin(origin, self.environment) {
                refusals.push(format!(
                    "cors.allowed_origins has \"{origin}\", which is not an origin such as \
                     https://app.example.com"
                ));
            }
        }
        refusals.extend(self.signing_keys.refusals(&self.pkcs11));
        refusals.extend(self.registration.refusals(self.environment));
        refusals.extend(self.passwords.refusals(self.environment));
        refusals.extend(self.staff.refusals(self.environment));
        refusals.extend(self.step_up.refusals());
        refusals.extend(self.sessions.refusals());
        refusals.extend(self.passkeys.refusals(self.environment));
        if self.sms_provider() == SmsProvider::Twilio {
            refusals.extend(self.twilio.refusals(self.environment));
        }
        if self.environment == Environment::Production {
            if self.rate_limiting.enabled == Some(false) {
                refusals.push(
                    "rate_limiting.enabled is false, which lets anybody try passwords as fast as they \
                     can; leave it out"
                        .to_owned(),
                );
            }
            if self.payment_gateway() == PaymentGatewayProvider::Sandbox {
                refusals.push(
                    "payment_gateway.provider is \"sandbox\", which gives money away; use a real \
                     provider or \"disabled\""
                        .to_owned(),
                );
            }
            let outboxes = [
                ("email", "smtp", self.email_provider() == EmailProvider::Outbox),
                ("sms", "twilio", self.sms_provider() == SmsProvider::Outbox),
            ];
            for (section, real, _) in outboxes.into_iter().filter(|(.., is_outbox)| *is_outbox) {
                refusals.push(format!(
                    "{section}.provider is \"outbox\", which leaves one-time codes in a folder; use \
                     \"{real}\" or \"disabled\""
                ));
            }
            if self.smtp.security == SmtpSecurity::None {
                refusals.push(
                    "smtp.security is \"none\", which sends one-time codes in clear; use \"tls\" or \
                     \"starttls\""
                        .to_owned(),
                );
            }
        }
        refusals
    }

    /// What keeps the program from connecting to its databases; empty when nothing does.
    pub(crate) fn database_refusals(&self) -> Vec<String> {
        self.connection_strings.refusals(&self.postgres, self.environment)
    }

    /// Where a module's store lies.
    pub(crate) fn target(&self, module: &str) -> Target {
        let strings = &self.connection_strings;
        let own = match module {
            "cards" => &strings.cards,
            "identity" => &strings.identity,
            "ledger" => &strings.ledger,
            "wallet" => &strings.wallet,
            _ => &None,
        };
        match own.as_ref().or(strings.default.as_ref()) {
            Some(url) => Target::Postgres {
                url: url.clone(),
                max_connections: self.postgres.connections_max,
            },
            None => Target::Sqlite { folder: self.data_dir.clone() },
        }
    }

    /// Whether any module's data lies in `data_dir`.
    pub(crate) fn is_embedded(&self) -> bool {
        let strings = &self.connection_strings;
        let own = [&strings.cards, &strings.identity, &strings.ledger, &strings.wallet];
        strings.default.is_none() && own.iter().any(|own| own.is_none())
    }

    /// The payment gateway in use.
    pub(crate) fn payment_gateway(&self) -> PaymentGatewayProvider {
        self.payment_gateway.provider.unwrap_or(match self.environment {
            Environment::Development => PaymentGatewayProvider::Sandbox,
            Environment::Production => PaymentGatewayProvider::Disabled,
        })
    }

    /// How e-mails leave.
    pub(crate) fn email_provider(&self) -> EmailProvider {
        self.email.provider.unwrap_or(match self.environment {
            Environment::Development => EmailProvider::Outbox,
            Environment::Production => EmailProvider::Disabled,
        })
    }

    /// How text messages leave.
    pub(crate) fn sms_provider(&self) -> SmsProvider {
        self.sms.provider.unwrap_or(match self.environment {
            Environment::Development => SmsProvider::Outbox,
            Environment::Production => SmsProvider::Disabled,
        })
    }

    /// Where messages lie that are not sent.
    pub(crate) fn outbox_dir(&self) -> PathBuf {
        self.data_dir.join("outbox")
    }

    /// How many requests somebody may make; `None` when all may make as many as they like.
    pub(crate) fn rate_limits(&self) -> Option<RateLimits> {
        self.rate_limiting.limits(self.environment)
    }

    /// The proxies whose word counts.
    pub(crate) fn trusted_proxies(&self) -> Vec<Network> {
        // What is not a network was refused at the start.
        self.server.trusted_proxies.iter().filter_map(|text| text.parse().ok()).collect()
    }

    /// Where administrative routes may be called from; `None` when from anywhere.
    pub(crate) fn staff_networks(&self) -> Option<Vec<Network>> {
        self.staff.networks(self.environment)
    }

    /// What browsers are told.
    pub(crate) fn browser_policy(&self) -> BrowserPolicy {
        let origins = &self.cors.allowed_origins;
        BrowserPolicy {
            // Likewise.
            allowed_origins: origins.iter().filter_map(|origin| origin.parse().ok()).collect(),
        }
    }

    /// How requests have to come; `None` when as they like.
    pub(crate) fn https_policy(&self) -> Option<HttpsPolicy> {
        let is_production = self.environment == Environment::Production;
        (is_production || self.tls.files().is_some()).then(|| HttpsPolicy {
            proxies: self.trusted_proxies(),
            // A browser would keep to it for every program on a developer's machine.
            is_remembered: is_production,
            free_routes: PROBES,
        })
    }

    /// The limits of one request.
    pub(crate) fn limits(&self) -> web::Limits {
        web::Limits {
            body_bytes_max: self.server.body_bytes_max,
            duration_max: Duration::from_secs(self.server.request_timeout_seconds),
        }
    }
}

/// Sets `SECTION__KEY` in a table. Numbers and booleans become what they look like, a value in brackets
/// a list, a value in quotes a text.
fn set(table: &mut Table, path: &str, value: &str) -> anyhow::Result<()> {
    let (section, key) = match path.split_once("__") {
        Some((section, key)) => (Some(section.to_lowercase()), key.to_lowercase()),
        None => (None, path.to_lowercase()),
    };
    let table = match section {
        None => table,
        Some(section) => table
            .entry(section.clone())
            .or_insert_with(|| Value::Table(Table::new()))
            .as_table_mut()
            .with_context(|| format!("{section} is not a section"))?,
    };
    table.insert(key, parse(value));
    Ok(())
}

fn parse(text: &str) -> Value {
    // With a plus it is a phone number.
    if !text.starts_with('+')
        && let Ok(number) = text.parse()
    {
        return Value::Integer(number);
    }
    if let Ok(boolean) = text.parse() {
        return Value::Boolean(boolean);
    }
    if text.starts_with(['[', '"'])
        && let Ok(mut table) = format!("list = {text}").parse::<Table>()
        && let Some(list) = table.remove("list")
    {
        return list;
    }
    Value::String(text.to_owned())
}

impl Default for Config {
    fn default() -> Self {
        Self {
            environment: Environment::default(),
            data_dir: PathBuf::from("data"),
            server: Server::default(),
            tls: Tls::default(),
            connection_strings: ConnectionStrings::default(),
            postgres: Postgres::default(),
            jwt: Jwt::default(),
            sessions: SessionSettings::default(),
            signing_keys: SigningKeySettings::default(),
            pkcs11: Pkcs11Settings::default(),
            data_keys: DataKeys::default(),
            ledger: LedgerEngine::default(),
            payment_gateway: PaymentGateway::default(),
            rate_limiting: RateLimiting::default(),
            cors: Cors::default(),
            registration: RegistrationSettings::default(),
            passwords: PasswordSettings::default(),
            staff: StaffSettings::default(),
            step_up: StepUpSettings::default(),
            passkeys: PasskeySettings::default(),
            email: EmailSettings::default(),
            smtp: Smtp::default(),
            sms: SmsSettings::default(),
            twilio: Twilio::default(),
            log: Log::default(),
        }
    }
}

impl Default for Jwt {
    fn default() -> Self {
        let identity::Config { issuer, audience, .. } = identity::Config::default();
        Self { issuer, audience, keys_dir: None }
    }
}

impl Default for LedgerEngine {
    fn default() -> Self {
        let ledger::EngineConfig { queue_max, group_max, rows_at_once } =
            ledger::EngineConfig::default();
        Self {
            queue_max,
            group_max,
            rows_at_once,
            name: "finitech/ledger".to_owned(),
            checkpoint_seconds: 60,
            checkpoint_records: 100_000,
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { level: "info".to_owned(), format: LogFormat::default() }
    }
}

#[cfg(test)]
mod tests;
