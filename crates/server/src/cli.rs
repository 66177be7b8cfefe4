//! The command line.

use crate::config::{Config, LogFormat};
use crate::serve::serve;
use crate::stores::Stores;
use anyhow::Context;
use clap::{Args, Parser, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use kernel::Clock;
use ledger::{Proven, Verification, VerifierKey};
use ports::{SystemClock, SystemIds};
use std::collections::BTreeSet;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use tracing_subscriber::EnvFilter;

/// The bank and wallet platform.
#[derive(Debug, Parser)]
#[command(name = "finitech", version, args_conflicts_with_subcommands = true)]
pub struct Cli {
    /// The settings file; finitech.toml in the current folder when it exists.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    serve: ServeArgs,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the API (what happens without a subcommand).
    Serve(ServeArgs),
    /// Bring the databases up to date.
    Migrate {
        /// Only list the migrations and whether they ran.
        #[arg(long)]
        status: bool,
    },
    /// Look after the people who can sign in.
    #[command(subcommand)]
    User(UserCommand),
    /// Look after the keys of this process.
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Look after the audit trail.
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Look after the ledger.
    #[command(subcommand)]
    Ledger(LedgerCommand),
}

#[derive(Clone, Copy, Debug, Args)]
struct ServeArgs {
    /// Start with an empty database instead of the demo world.
    #[arg(long)]
    no_demo: bool,
}

#[derive(Debug, Subcommand)]
enum UserCommand {
    /// Give somebody who has registered a role, such as Admin. It counts from the next sign-in on.
    Grant {
        /// The e-mail address or phone number.
        user: String,
        /// The role.
        role: String,
    },
}

#[derive(Debug, Subcommand)]
enum KeysCommand {
    /// Make another key for access tokens. Running processes go over to it two minutes later; nobody is
    /// signed out.
    Rotate,
    /// Seal secrets, personal data and card numbers anew with the newest data key, after which the older ones are not
    /// needed. Give the key to every process first.
    Reseal,
}

#[derive(Debug, Subcommand)]
enum AuditCommand {
    /// Compute every hash of the trail again and compare. Exit code 1 if anything is wrong.
    Verify,
}

#[derive(Debug, Subcommand)]
enum LedgerCommand {
    /// Derive every sum, balance and hash again from the journal and compare. Exit code 1 if anything is
    /// wrong.
    Verify(VerifyArgs),
    /// Check a proof that the API gave, offline: that a transaction is part of the history, or that two
    /// checkpoints are of one. Exit code 1 if it is not so.
    VerifyProof {
        /// The JSON of the proof; `-` for standard input.
        proof: PathBuf,
        /// A key of the ledger (/api/v1/ledger/checkpoints/keys), from somebody you trust.
        #[arg(long = "key", value_name = "KEY", required = true)]
        keys: Vec<VerifierKey>,
    },
}

#[derive(Debug, Args)]
struct VerifyArgs {
    /// Trust only checkpoints signed with this key; without any, all keys that the ledger lists.
    #[arg(long = "key", value_name = "KEY")]
    keys: Vec<VerifierKey>,
    /// Read only what came after the checkpoint in this file, which the history must continue; then put
    /// the newest one there. Everything is read when the file does not exist yet.
    #[arg(long, value_name = "FILE")]
    since: Option<PathBuf>,
}

/// Runs the program.
pub async fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let config = Config::load(cli.config.as_deref())?;
    start_logging(&config)?;
    match cli.command.unwrap_or(Command::Serve(cli.serve)) {
        Command::Serve(ServeArgs { no_demo }) => {
            serve(&config, !no_demo).await?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Migrate { status: false } => migrate(&config).await,
        Command::Migrate { status: true } => migration_status(&config).await,
        Command::User(UserCommand::Grant { user, role }) => grant(&config, &user, &role).await,
        Command::Keys(KeysCommand::Rotate) => rotate_keys(&config).await,
        Command::Keys(KeysCommand::Reseal) => reseal(&config).await,
        Command::Audit(AuditCommand::Verify) => verify_audit_trail(&config).await,
        Command::Ledger(LedgerCommand::Verify(args)) => verify(&config, &args).await,
        Command::Ledger(LedgerCommand::VerifyProof { proof, keys }) => verify_proof(&proof, &keys),
    }
}

fn start_logging(config: &Config) -> anyhow::Result<()> {
    // The ORM tells every step of a migration, and PostgreSQL that a table is there already; what was
    // applied is told by us. So is a token that went away, once and not for each of its sessions.
    let quiet = "sea_orm_migration=warn,sqlx::postgres::notice=warn,cryptoki=off";
    let filter = format!("{quiet},{}", config.log.level);
    let filter = EnvFilter::try_new(filter).context("log.level is not a filter")?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    match config.log.format {
        LogFormat::Text => lines.init(),
        LogFormat::Json => lines.json().init(),
    }
    Ok(())
}

async fn migrate(config: &Config) -> anyhow::Result<ExitCode> {
    let stores = Stores::open(config).await?;
    let applied = stores.migrate().await?;
    let keys = config.data_keys();
    let sealed = identity::migrate_data(&stores.identity, &keys, SystemClock.now())
        .await
        .context("cannot seal contacts that are stored in clear")?;
    let mut out = std::io::stdout().lock();
    if sealed > 0 {
        writeln!(out, "sealed the contacts of {sealed} user(s)")?;
    }
    for (module, name) in &applied {
        writeln!(out, "applied {module}/{name}")?;
    }
    writeln!(out, "{} migration(s) applied; the databases are up to date", applied.len())?;
    Ok(ExitCode::SUCCESS)
}

async fn migration_status(config: &Config) -> anyhow::Result<ExitCode> {
    let status = Stores::open(config).await?.status().await?;
    let mut out = std::io::stdout().lock();
    for one in &status {
        let state = if one.applied { "applied" } else { "pending" };
        writeln!(out, "{state}  {}/{}", one.module, one.name)?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn grant(config: &Config, user: &str, role: &str) -> anyhow::Result<ExitCode> {
    let stores = Stores::open(config).await?;
    stores.require_migrated().await?;
    let (keys, now) = (config.data_keys(), SystemClock.now());
    identity::grant_role(&stores.identity, &keys, user, role, now).await?;
    writeln!(std::io::stdout(), "granted; it counts from the next sign-in on")?;
    Ok(ExitCode::SUCCESS)
}

async fn rotate_keys(config: &Config) -> anyhow::Result<ExitCode> {
    let stores = Stores::open(config).await?;
    stores.require_migrated().await?;
    let keys = config.signing_key_source(Arc::new(SystemIds));
    let rotation =
        identity::rotate_signing_key(&stores.identity, &*keys, SystemClock.now()).await?;
    writeln!(std::io::stdout(), "key {} signs from {} on", rotation.kid, rotation.signs_from)?;
    Ok(ExitCode::SUCCESS)
}

async fn reseal(config: &Config) -> anyhow::Result<ExitCode> {
    let stores = Stores::open(config).await?;
    stores.require_migrated().await?;
    let progress = |done| tracing::debug!(done, "sealing anew");
    let keys = config.data_keys();
    let of_identity = identity::reseal(&stores.identity, &keys, &SystemClock, progress).await?;
    let audit = identity::audit_trail(&stores.identity);
    let of_cards =
        cards::reseal(&stores.cards, &keys, audit.as_ref(), &SystemClock, progress).await?;
    let values = of_identity.values.saturating_add(of_cards.values);
    let mut out = std::io::stdout().lock();
    writeln!(out, "{values} value(s) sealed anew; all have key {}", of_cards.key)?;
    // Only now: what one module needs no more, the other may have needed until it was done as well.
    let forgotten: BTreeSet<_> =
        of_identity.forgotten_keys.iter().chain(&of_cards.forgotten_keys).collect();
    for name in forgotten {
        writeln!(out, "key {name} is needed no more")?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn verify_audit_trail(config: &Config) -> anyhow::Result<ExitCode> {
    let stores = Stores::open(config).await?;
    stores.require_migrated().await?;
    let report = identity::verify_audit_trail(&stores.identity).await?;
    let mut out = std::io::stdout().lock();
    for finding in &report.findings {
        writeln!(out, "entry {}: {}", finding.sequence, finding.what)?;
    }
    let hash: String = report.last_hash.iter().map(|byte| format!("{byte:02x}")).collect();
    if report.findings.is_empty() {
        writeln!(
            out,
            "{} entry(ies) checked: the trail is sound and ends in {hash}",
            report.entries
        )?;
        return Ok(ExitCode::SUCCESS);
    }
    writeln!(out, "{} entry(ies) checked: the trail was changed", report.entries)?;
    Ok(ExitCode::FAILURE)
}

async fn verify(config: &Config, args: &VerifyArgs) -> anyhow::Result<ExitCode> {
    let stores = Stores::open(config).await?;
    stores.require_migrated().await?;
    let bar = ProgressBar::new(0).with_style(progress_style()?);
    let since = args.since.as_deref().map(read_checkpoint).transpose()?.flatten();
    let verification = Verification { keys: args.keys.clone(), since };
    let report = ledger::verify(&stores.ledger, &verification, |done, last| {
        bar.set_length(last.cast_unsigned());
        bar.set_position(done.cast_unsigned());
    })
    .await?;
    bar.finish_and_clear();
    let mut out = std::io::stdout().lock();
    for finding in &report.findings {
        writeln!(out, "record {}: {}", finding.sequence, finding.what)?;
    }
    writeln!(
        out,
        "{} account(s), {} transaction(s), {} entry(ies) checked: {}",
        report.accounts,
        report.transactions,
        report.entries,
        if report.findings_total == 0 {
            "the ledger is sound".to_owned()
        } else {
            format!("{} thing(s) are wrong", report.findings_total)
        }
    )?;
    if report.findings_total > 0 {
        return Ok(ExitCode::FAILURE);
    }
    if let (Some(path), Some(note)) = (&args.since, &report.checkpoint) {
        replace(path, note).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Whoever looks at the file, whenever the machine goes down, sees the text before or this one.
fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(".new");
    let mut file = std::fs::File::create(&unfinished)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&unfinished, path)
}

/// The note in a file; none when there is no file yet.
fn read_checkpoint(path: &Path) -> anyhow::Result<Option<String>> {
    match std::fs::read_to_string(path) {
        Ok(note) => Ok(Some(note)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// Shown on a terminal only.
fn progress_style() -> anyhow::Result<ProgressStyle> {
    let template = "{wide_bar} {human_pos} of {human_len} records, {per_sec}, {eta} left";
    ProgressStyle::with_template(template).context("the progress bar's template")
}

fn verify_proof(proof: &Path, keys: &[VerifierKey]) -> anyhow::Result<ExitCode> {
    let json = if proof == Path::new("-") {
        std::io::read_to_string(std::io::stdin()).context("cannot read standard input")?
    } else {
        std::fs::read_to_string(proof)
            .with_context(|| format!("cannot read {}", proof.display()))?
    };
    let mut out = std::io::stdout().lock();
    match ledger::verify_proof(&json, keys) {
        Ok(Proven::Inclusion { transaction, sequence, tree_size, origin }) => {
            writeln!(
                out,
                "proven: transaction {transaction} is record {sequence} of the {tree_size} that \
                 {origin} signed"
            )?;
            Ok(ExitCode::SUCCESS)
        }
        Ok(Proven::Consistency { from, to, origin }) => {
            writeln!(out, "proven: the first {from} of the {to} records of {origin} are the same")?;
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            writeln!(out, "not proven: {error}")?;
            Ok(ExitCode::FAILURE)
        }
    }
}
