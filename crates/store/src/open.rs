//! Opening a module's store and running statements on it.

use crate::StoreError;
use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DatabaseTransaction, DbBackend,
    DbErr, IsolationLevel, RuntimeErr, SqliteTransactionMode, Statement, TransactionOptions,
    TransactionTrait, Value,
};
use secrecy::{ExposeSecret, SecretString};
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::sqlite::{SqliteJournalMode, SqliteSynchronous};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Where a module's data lies.
#[derive(Clone, Debug)]
pub enum Target {
    /// A file `<folder>/<module>.db`, made when it is missing.
    Sqlite {
        /// The folder of all modules' files.
        folder: PathBuf,
    },
    /// The schema `<module>` of a PostgreSQL database, made by the first migration.
    Postgres {
        /// `postgres://user:password@host/database`.
        url: SecretString,
        /// The most connections this module's pool opens.
        max_connections: u32,
    },
}

/// A write transaction of one module. Dropped without `commit`, it leaves nothing behind.
pub type WriteTx = DatabaseTransaction;

/// One module's database. Cheap to clone: all clones share its connections.
#[derive(Clone, Debug)]
pub struct Store(Arc<Opened>);

#[derive(Debug)]
struct Opened {
    module: &'static str,
    target: Target,
    read: DatabaseConnection,
    write: DatabaseConnection,
}

/// What every session asks of the server. A process that is cut off in the middle of a transaction must
/// not hold its locks until somebody notices, and nobody waits for a lock without end.
const POSTGRES_SETTINGS: [(&str, &str); 2] =
    [("idle_in_transaction_session_timeout", "30s"), ("lock_timeout", "20s")];

const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);
const SQLITE_BUSY_TIMEOUT: Duration = Duration::from_secs(10);
const SQLITE_READERS: u32 = 4;

impl Store {
    /// Opens the store of `module` without touching its tables.
    pub async fn open(module: &'static str, target: &Target) -> Result<Self, StoreError> {
        let (read, write) = match target {
            Target::Sqlite { folder } => {
                create_private(folder).map_err(|source| StoreError::DataFolder {
                    path: folder.display().to_string(),
                    source,
                })?;
                let write = open_sqlite(target, module, 1).await?;
                settle_log(&write).await?;
                (open_sqlite(target, module, SQLITE_READERS).await?, write)
            }
            Target::Postgres { url, max_connections } => {
                let mut options = ConnectOptions::new(url.expose_secret());
                options
                    .max_connections(*max_connections)
                    .acquire_timeout(ACQUIRE_TIMEOUT)
                    .connect_timeout(ACQUIRE_TIMEOUT)
                    .sqlx_logging(false)
                    .map_sqlx_postgres_opts(|postgres| postgres.options(POSTGRES_SETTINGS))
                    .set_schema_search_path(module)
                    .set_application_name(format!("finitech/{module}"));
                let connection = Database::connect(options).await?;
                (connection.clone(), connection)
            }
        };
        Ok(Self(Arc::new(Opened { module, target: target.clone(), read, write })))
    }

    /// The module's name, which is also its file's or schema's.
    pub fn module(&self) -> &'static str {
        self.0.module
    }

    /// Which database this is.
    pub fn backend(&self) -> DbBackend {
        self.0.write.get_database_backend()
    }

    /// The path of the SQLite file; `None` on PostgreSQL.
    pub fn sqlite_path(&self) -> Option<PathBuf> {
        self.0.target.sqlite_path(self.0.module)
    }

    /// The connection pool of a PostgreSQL store, for statements that the ORM cannot carry (arrays).
    ///
    /// # Panics
    /// On SQLite, where [`Self::sqlite_path`] is set instead.
    pub fn postgres_pool(&self) -> &sqlx::PgPool {
        self.0.write.get_postgres_connection_pool()
    }

    /// For reading outside a transaction. On SQLite these connections cannot write.
    pub fn read(&self) -> &DatabaseConnection {
        &self.0.read
    }

    /// Starts a write transaction. On SQLite it holds the module's one writer until it ends.
    pub async fn begin(&self) -> Result<WriteTx, StoreError> {
        let options = TransactionOptions {
            sqlite_transaction_mode: (self.backend() == DbBackend::Sqlite)
                .then_some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        };
        Ok(self.0.write.begin_with_options(options).await?)
    }

    /// Starts a read transaction that sees one state of the database from beginning to end.
    pub async fn snapshot(&self) -> Result<DatabaseTransaction, StoreError> {
        let options = TransactionOptions {
            isolation_level: (self.backend() == DbBackend::Postgres)
                .then_some(IsolationLevel::RepeatableRead),
            ..TransactionOptions::default()
        };
        Ok(self.0.read.begin_with_options(options).await?)
    }

    /// A statement of portable SQL with its binds in order.
    pub fn statement(&self, sql: &str, binds: impl IntoIterator<Item = Value>) -> Statement {
        Statement::from_sql_and_values(self.backend(), sql, binds)
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<(), StoreError> {
        Ok(self.0.read.ping().await?)
    }

    /// Closes all connections; what is in flight fails.
    pub async fn close(self) -> Result<(), StoreError> {
        self.0.read.close_by_ref().await?;
        Ok(self.0.write.close_by_ref().await?)
    }

    /// Rewrites a table so that nothing of what was overwritten in it or deleted from it is left in the
    /// database's files: databases keep it until they need the room. On SQLite it is the whole file; on
    /// PostgreSQL the user must own the table, and `text_column` is any of its texts. Others wait
    /// meanwhile.
    pub async fn rewrite(
        &self,
        table: &'static str,
        text_column: &'static str,
    ) -> Result<(), StoreError> {
        if self.backend() == DbBackend::Postgres {
            // `vacuum full` would copy what any open transaction might still want to see.
            let rewrite = format!(
                "alter table {table} alter column {text_column} type text using {text_column} || ''"
            );
            self.0.write.execute_unprepared(&rewrite).await?;
        } else {
            self.0.write.execute_unprepared("vacuum").await?;
            self.0.write.execute_unprepared("pragma wal_checkpoint(truncate)").await?;
        }
        Ok(())
    }

    /// For migrations, which manage their own transactions.
    pub(crate) fn writer(&self) -> &DatabaseConnection {
        &self.0.write
    }
}

impl Target {
    /// Whether nobody on the way to the database can read what goes there, or pass for it: because it is on
    /// this machine, or because the connection string asks for TLS and for a certificate that counts.
    pub fn is_safe_on_the_way(&self) -> Result<bool, StoreError> {
        let Self::Postgres { url, .. } = self else { return Ok(true) };
        let not_a_url = |error: sqlx::Error| DbErr::Conn(RuntimeErr::SqlxError(error.into()));
        let options: PgConnectOptions = url.expose_secret().parse().map_err(not_a_url)?;
        let is_verified =
            matches!(options.get_ssl_mode(), PgSslMode::VerifyCa | PgSslMode::VerifyFull);
        let host = options.get_host();
        let is_here = options.get_socket().is_some()
            || host.starts_with('/')
            || host == "localhost"
            || host.trim_matches(['[', ']']).parse().is_ok_and(|host: IpAddr| host.is_loopback());
        Ok(is_verified || is_here)
    }

    fn sqlite_path(&self, module: &str) -> Option<PathBuf> {
        match self {
            Self::Sqlite { folder } => Some(folder.join(format!("{module}.db"))),
            Self::Postgres { .. } => None,
        }
    }
}

/// Makes the folder if it is missing, for its owner alone: the files hold personal data.
fn create_private(folder: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// Copies what a process that died has left in the write-ahead log into the database, and syncs it, before
/// anything is built on it. If it died of a failed fsync, the system reads pages of the log as if they were
/// on the disk, though they are not: what is committed behind them would be lost with the machine.
async fn settle_log(write: &DatabaseConnection) -> Result<(), StoreError> {
    // Passive: it waits for nobody, and with nobody else writing it copies everything.
    write.execute_unprepared("pragma wal_checkpoint(passive)").await?;
    Ok(())
}

async fn open_sqlite(
    target: &Target,
    module: &str,
    connections: u32,
) -> Result<DatabaseConnection, StoreError> {
    let path = target.sqlite_path(module).unwrap_or_default();
    let writes = connections == 1;
    // The path is given below as a path; in the URL it would have to be escaped.
    let mut options = ConnectOptions::new("sqlite::memory:");
    options
        .max_connections(connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .sqlx_logging(false)
        .map_sqlx_sqlite_opts(move |sqlite| {
            sqlite
                .in_memory(false)
                .shared_cache(false)
                .filename(&path)
                .create_if_missing(true)
                .journal_mode(SqliteJournalMode::Wal)
                .synchronous(SqliteSynchronous::Full)
                .busy_timeout(SQLITE_BUSY_TIMEOUT)
                .foreign_keys(true)
                // `insert or replace` must not go around triggers that refuse deletions.
                .pragma("recursive_triggers", "true")
                .pragma("query_only", if writes { "false" } else { "true" })
        });
    Ok(Database::connect(options).await?)
}
