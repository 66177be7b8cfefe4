//! Settings: `finitech.toml`, overridden by environment variables `FINITECH__SECTION__KEY`. Unknown keys
//! are refused in both, so that a typing error is never a silent default.

mod messages;
mod staff;
mod step_up;

pub(crate) use messages::{EmailProvider, SmsProvider};

use anyhow::Context;
use identity::DataKeyFile;
use kernel::IdSource;
use ledger::CheckpointPolicy;
use messages::{EmailSettings, SmsSettings, Smtp, SmtpSecurity};
use secrecy::SecretString;
use serde::Deserialize;
use staff::StaffSettings;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use step_up::StepUpSettings;
use store::Target;
use toml::{Table, Value};
use web::{BrowserPolicy, Network, Quota, RateLimits};

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
    /// PostgreSQL databases; SQLite files in `data_dir` where there are none.
    pub(crate) connection_strings: ConnectionStrings,
    /// How PostgreSQL is used.
    pub(crate) postgres: Postgres,
    /// Access tokens.
    pub(crate) jwt: Jwt,
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
    /// How staff work.
    pub(crate) staff: StaffSettings,
    /// What needs a fresh authentication.
    pub(crate) step_up: StepUpSettings,
    /// How e-mails leave.
    pub(crate) email: EmailSettings,
    /// The mail server, where e-mails leave through one.
    pub(crate) smtp: Smtp,
    /// How text messages leave.
    pub(crate) sms: SmsSettings,
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

/// The HTTP server.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Server {
    /// Where to listen.
    pub(crate) address: SocketAddr,
    /// The longest a request may take.
    pub(crate) request_timeout_seconds: u64,
    /// The largest body of a request.
    pub(crate) body_bytes_max: usize,
    /// How long requests in flight may go on after a signal to stop.
    pub(crate) drain_timeout_seconds: u64,
    /// Networks (CIDR) of the proxies in front, which end TLS. Production needs one as long as the server
    /// itself speaks plain HTTP.
    pub(crate) trusted_proxies: Vec<String>,
}

/// `postgres://user:password@host/database`, for all modules or for one.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ConnectionStrings {
    /// For every module without its own.
    pub(crate) default: Option<SecretString>,
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

/// What secrets and personal data are sealed with.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct DataKeys {
    /// A file that is there, such as a mounted secret; when not set, `data-keys` beside the signing key,
    /// made at the first start.
    pub(crate) file: Option<PathBuf>,
}

/// The ledger's engine.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct LedgerEngine {
    /// The most commands that may wait.
    pub(crate) queue_max: usize,
    /// The most commands of one commit.
    pub(crate) group_max: usize,
    /// What the ledger is called in its checkpoints: your domain and a path, such as
    /// `bank.example/ledger`, and for ever the same.
    pub(crate) name: String,
    /// A checkpoint of the history is signed when this much time has passed since the last one …
    pub(crate) checkpoint_seconds: u64,
    /// … or when this many records came after it.
    pub(crate) checkpoint_records: i64,
}

/// Where top-ups come from.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct PaymentGateway {
    /// Sandbox in Development and disabled in Production, when not set.
    pub(crate) provider: Option<PaymentGatewayProvider>,
}

/// The payment gateways there are.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PaymentGatewayProvider {
    /// Approves everything; never in Production.
    Sandbox,
    /// Top-ups are refused.
    Disabled,
}

/// How many requests somebody may make: a signed-in user, else a client's address.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RateLimiting {
    /// On in Production and off in Development, when not set.
    pub(crate) enabled: Option<bool>,
    /// All requests together.
    pub(crate) global_per_minute: u32,
    /// Where somebody shows who they are.
    pub(crate) authentication_per_five_minutes: u32,
    /// Where money moves.
    pub(crate) payments_per_minute: u32,
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

/// Where somebody shows who they are. All are POST.
const AUTHENTICATION_ROUTES: &[&str] = &[
    "/api/v1/auth/login",
    "/api/v1/auth/login/mfa",
    "/api/v1/auth/password-resets",
    "/api/v1/auth/password-resets/complete",
    "/api/v1/auth/reauthenticate",
    "/api/v1/auth/register",
    "/api/v1/me/mfa/disable",
    "/api/v1/me/mfa/recovery-codes",
];
/// Where customers move money, likewise.
const PAYMENT_ROUTES: &[&str] = &["/api/v1/wallets/{id}/top-ups", "/api/v1/wallets/{id}/transfers"];
/// Whoever asks these asks often.
const PROBES: &[&str] = &["/health/live", "/health/ready"];

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
        let mut refusals = Vec::new();
        for network in &self.server.trusted_proxies {
            if network.parse::<Network>().is_err() {
                refusals.push(format!(
                    "server.trusted_proxies has \"{network}\", which is not a network such as \
                     10.0.0.0/8 or fd00::/8"
                ));
            }
        }
        for origin in &self.cors.allowed_origins {
            if !is_origin(origin, self.environment) {
                refusals.push(format!(
                    "cors.allowed_origins has \"{origin}\", which is not an origin such as \
                     https://app.example.com"
                ));
            }
        }
        refusals.extend(self.staff.refusals(self.environment));
        refusals.extend(self.step_up.refusals());
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
                ("email", self.email_provider() == EmailProvider::Outbox),
                ("sms", self.sms_provider() == SmsProvider::Outbox),
            ];
            for (section, _) in outboxes.into_iter().filter(|(_, is_outbox)| *is_outbox) {
                refusals.push(format!(
                    "{section}.provider is \"outbox\", which leaves one-time codes in a folder; use a \
                     real provider or \"disabled\""
                ));
            }
            if self.smtp.security == SmtpSecurity::None {
                refusals.push(
                    "smtp.security is \"none\", which sends one-time codes in clear; use \"tls\" or \
                     \"starttls\""
                        .to_owned(),
                );
            }
            if self.server.trusted_proxies.is_empty() {
                refusals.push(
                    "the server speaks plain HTTP; put a proxy that ends TLS in front and name its \
                     network in server.trusted_proxies"
                        .to_owned(),
                );
            }
        } else if !self.server.address.ip().is_loopback() {
            refusals.push(format!(
                "Development listens on loopback addresses only, not on {}; set environment = \
                 \"Production\" to serve others",
                self.server.address
            ));
        }
        refusals
    }

    /// Where a module's store lies.
    pub(crate) fn target(&self, module: &str) -> Target {
        let strings = &self.connection_strings;
        let own = match module {
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
        let own = [&strings.identity, &strings.ledger, &strings.wallet];
        strings.default.is_none() && own.iter().any(|own| own.is_none())
    }

    /// The data keys as a server has them, which makes them if it may.
    pub(crate) fn data_keys_to_serve(&self, ids: &dyn IdSource) -> DataKeyFile {
        match &self.data_keys.file {
            Some(file) => DataKeyFile::at(file.clone()),
            None => DataKeyFile::in_folder(&self.keys_dir(), ids.next()),
        }
    }

    /// The data keys as a command has them: one that made its own would seal with what is lost when its
    /// machine is.
    pub(crate) fn data_keys(&self) -> DataKeyFile {
        let beside_the_signing_key = || self.keys_dir().join(identity::DATA_KEYS_FILE);
        DataKeyFile::at(self.data_keys.file.clone().unwrap_or_else(beside_the_signing_key))
    }

    /// The folder of the signing key.
    pub(crate) fn keys_dir(&self) -> PathBuf {
        self.jwt.keys_dir.clone().unwrap_or_else(|| self.data_dir.join("keys"))
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
        let settings = &self.rate_limiting;
        let default = self.environment == Environment::Production;
        let per = |requests, minutes| Quota { requests, window: Duration::from_mins(minutes) };
        settings.enabled.unwrap_or(default).then(|| RateLimits {
            global: per(settings.global_per_minute, 1),
            authentication: per(settings.authentication_per_five_minutes, 5),
            payments: per(settings.payments_per_minute, 1),
            authentication_routes: AUTHENTICATION_ROUTES,
            payment_routes: PAYMENT_ROUTES,
            free_routes: PROBES,
        })
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
            // There is a proxy in front that ends TLS.
            is_https: self.environment == Environment::Production,
        }
    }

    /// The limits of one request.
    pub(crate) fn limits(&self) -> web::Limits {
        web::Limits {
            body_bytes_max: self.server.body_bytes_max,
            duration_max: Duration::from_secs(self.server.request_timeout_seconds),
        }
    }
}

/// Whether the text is what browsers send as `Origin`: in Production, over HTTPS.
fn is_origin(text: &str, environment: Environment) -> bool {
    let rest = match environment {
        Environment::Production => text.strip_prefix("https://"),
        Environment::Development => {
            text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"))
        }
    };
    let of_host =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.:".contains(&byte);
    rest.is_some_and(|rest| !rest.is_empty() && rest.bytes().all(of_host))
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
    if let Ok(number) = text.parse() {
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
            connection_strings: ConnectionStrings::default(),
            postgres: Postgres::default(),
            jwt: Jwt::default(),
            data_keys: DataKeys::default(),
            ledger: LedgerEngine::default(),
            payment_gateway: PaymentGateway::default(),
            rate_limiting: RateLimiting::default(),
            cors: Cors::default(),
            staff: StaffSettings::default(),
            step_up: StepUpSettings::default(),
            email: EmailSettings::default(),
            smtp: Smtp::default(),
            sms: SmsSettings::default(),
            log: Log::default(),
        }
    }
}

impl Default for Server {
    fn default() -> Self {
        Self {
            address: SocketAddr::from(([127, 0, 0, 1], 8080)),
            request_timeout_seconds: 30,
            body_bytes_max: 1_048_576,
            drain_timeout_seconds: 30,
            trusted_proxies: Vec::new(),
        }
    }
}

impl Default for Postgres {
    fn default() -> Self {
        Self { connections_max: 10 }
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
        let ledger::EngineConfig { queue_max, group_max } = ledger::EngineConfig::default();
        Self {
            queue_max,
            group_max,
            name: "finitech/ledger".to_owned(),
            checkpoint_seconds: 60,
            checkpoint_records: 100_000,
        }
    }
}

impl Default for RateLimiting {
    fn default() -> Self {
        Self {
            enabled: None,
            global_per_minute: 100,
            authentication_per_five_minutes: 5,
            payments_per_minute: 10,
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
