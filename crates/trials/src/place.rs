//! Where the data of a trial lies, and the program on it.

use crate::cluster::Cluster;
use crate::process::{self, Server};
use anyhow::Context;
use clap::ValueEnum;
use harness::{CONNECTION_STRING, Setting};
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use tokio::process::Command;

/// Which database keeps the books.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Store {
    Sqlite,
    Postgres,
}

impl Store {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
        }
    }
}

/// A folder for everything, and a PostgreSQL cluster if that is where the data lies.
#[derive(Debug)]
pub(crate) struct Place {
    program: PathBuf,
    pub(crate) folder: TempDir,
    is_kept: bool,
    pub(crate) cluster: Option<Cluster>,
    /// More of the environment of servers.
    environment: Vec<(&'static str, String)>,
}

impl Place {
    pub(crate) async fn make(store: Store, program: Option<&Path>) -> anyhow::Result<Self> {
        let program = match program {
            Some(program) => program.canonicalize().context("there is no such program")?,
            None => harness::program_beside_this()?,
        };
        let folder = TempDir::with_prefix("finitech-trial-")?;
        // PostgreSQL, as another user, must be able to reach its part of it.
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(folder.path(), open)?;
        let cluster = match store {
            Store::Sqlite => None,
            Store::Postgres => Some(Cluster::make(&folder.path().join("postgres")).await?),
        };
        Ok(Self { program, folder, is_kept: false, cluster, environment: Vec::new() })
    }

    /// Sets a variable of the environment of every server from now on.
    pub(crate) fn set(&mut self, name: &'static str, value: impl Into<String>) {
        self.environment.push((name, value.into()));
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The program on this data, with nothing else from the environment.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let (data_dir, url) = (self.data_dir(), self.cluster.as_ref().map(Cluster::url));
        let setting = Setting {
            folder: self.folder.path(),
            data_dir: &data_dir,
            database_url: url.as_deref(),
            log_level: "warn",
        };
        let mut command = Command::from(harness::command(&self.program, setting));
        command.args(arguments).kill_on_drop(true);
        command
    }

    /// A server with the demo world, which has an administrator. Its log is named after it. It leaves the rows
    /// of accounts behind their entries wherever it can, so that whatever stops it stops it then.
    pub(crate) async fn serve(&self, name: &str) -> anyhow::Result<Server> {
        let mut command = self.command(&[]);
        command.env("FINITECH__LEDGER__ROWS_AT_ONCE", "0");
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        Server::start(command, &self.log(name)).await
    }

    /// The same on books that nobody else uses, on SQLite.
    pub(crate) async fn serve_apart(&self, name: &str) -> anyhow::Result<Server> {
        let mut command = self.command(&[]);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
            .env_remove(CONNECTION_STRING)
            .env("FINITECH__DATA_DIR", self.folder.path().join(name));
        Server::start(command, &self.log(name)).await
    }

    pub(crate) fn log(&self, name: &str) -> PathBuf {
        self.folder.path().join(format!("{name}.log"))
    }

    /// `finitech ledger verify`: whether all is well, and what it says.
    pub(crate) async fn verify(&self) -> anyhow::Result<(bool, String)> {
        process::run(&mut self.command(&["ledger", "verify"])).await
    }

    /// Leaves the folder to be looked at, whatever happens from now on; where it is.
    pub(crate) fn keep(&mut self) -> &Path {
        self.is_kept = true;
        self.folder.disable_cleanup(true);
        self.folder.path()
    }

    /// Ends what runs here and removes everything that is not to be kept.
    pub(crate) async fn leave(mut self) -> anyhow::Result<()> {
        if let Some(cluster) = &mut self.cluster {
            cluster.stop().await?;
        }
        // Closing removes the folder even when cleaning up is disabled.
        if !self.is_kept {
            self.folder.close()?;
        }
        Ok(())
    }
}
