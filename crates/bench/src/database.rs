//! Where a ledger that is measured lies: a temporary folder, or a database of its own on a server.

use anyhow::Context;
use kernel::IdSource as _;
use ports::SystemIds;
use secrecy::SecretString;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection};
use std::path::{Path, PathBuf};
use store::{Store, Target};
use uuid::Uuid;

pub(crate) struct Place {
    folder: tempfile::TempDir,
    postgres: Option<Database>,
}

/// A fresh database; dropped by [`Place::remove`].
pub(crate) struct Database {
    admin_url: String,
    admin: PgConnectOptions,
    name: String,
}

impl Place {
    pub(crate) async fn make(postgres: Option<&str>) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let postgres = match postgres {
            Some(url) => Some(Database::make(url).await?),
            None => None,
        };
        Ok(Self { folder, postgres })
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn postgres(&self) -> Option<&Database> {
        self.postgres.as_ref()
    }

    /// The ledger's store, migrated.
    pub(crate) async fn ledger_store(&self) -> anyhow::Result<Store> {
        let target = match &self.postgres {
            None => Target::Sqlite { folder: self.data_dir() },
            Some(database) => {
                Target::Postgres { url: SecretString::from(database.url()), max_connections: 5 }
            }
        };
        let store = Store::open("ledger", &target).await?;
        store.migrate(ledger::MIGRATIONS).await?;
        Ok(store)
    }

    /// What the ledger takes on disk: everything, and the tables and indexes that grow with each
    /// transaction.
    pub(crate) async fn bytes(&self) -> anyhow::Result<Bytes> {
        match &self.postgres {
            None => self.sqlite_bytes(),
            Some(database) => database.bytes().await,
        }
    }

    fn sqlite_file(&self) -> anyhow::Result<rusqlite::Connection> {
        let connection = rusqlite::Connection::open(self.data_dir().join("ledger.db"))?;
        connection.busy_timeout(std::time::Duration::from_secs(10))?;
        Ok(connection)
    }

    fn sqlite_bytes(&self) -> anyhow::Result<Bytes> {
        let connection = self.sqlite_file()?;
        // A reader of the server may be in the way for a moment.
        for attempt in 1.. {
            let busy: i64 =
                connection.query_row("pragma wal_checkpoint(truncate)", [], |row| row.get(0))?;
            if busy == 0 {
                break;
            }
            anyhow::ensure!(attempt < 20, "the write-ahead log could not be emptied");
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        let all = std::fs::metadata(self.data_dir().join("ledger.db"))?.len();
        let journal: i64 = connection.query_row(
            "select coalesce(sum(pgsize), 0) from dbstat where name in \
             (select name from sqlite_schema where tbl_name in ('transactions', 'entries'))",
            [],
            |row| row.get(0),
        )?;
        Ok(Bytes { all, journal: u64::try_from(journal)? })
    }

    /// How many records of the journal no consumer has been given yet.
    pub(crate) async fn undelivered(&self) -> anyhow::Result<i64> {
        let sql = "select last_sequence - coalesce((select min(position) from outbox_cursors), 0) \
                   from journal_head";
        match &self.postgres {
            None => Ok(self.sqlite_file()?.query_row(sql, [], |row| row.get(0))?),
            Some(database) => {
                let mut connection = database.connect().await?;
                sqlx::query("set search_path to ledger").execute(&mut connection).await?;
                Ok(sqlx::query_scalar(sql).fetch_one(&mut connection).await?)
            }
        }
    }

    /// Has everything that was recorded so far count as delivered.
    pub(crate) async fn mark_delivered(&self) -> anyhow::Result<()> {
        let sql = "insert into outbox_cursors (consumer, position, holder, lease_until) \
                   select 'event_bus', last_sequence, ";
        match &self.postgres {
            None => {
                let sql = format!("{sql} zeroblob(16), 0 from journal_head");
                self.sqlite_file()?.execute(&sql, [])?;
            }
            Some(database) => {
                let mut connection = database.connect().await?;
                sqlx::query("set search_path to ledger").execute(&mut connection).await?;
                let nobody = Uuid::nil();
                let sql = format!("{sql} '{nobody}', 0 from journal_head");
                sqlx::query(AssertSqlSafe(sql)).execute(&mut connection).await?;
            }
        }
        Ok(())
    }

    pub(crate) async fn remove(self) -> anyhow::Result<()> {
        match self.postgres {
            Some(database) => database.remove().await,
            None => Ok(()),
        }
    }
}

#[derive(Clone, Copy)]
pub(crate) struct Bytes {
    pub(crate) all: u64,
    pub(crate) journal: u64,
}

impl Database {
    pub(crate) async fn make(url: &str) -> anyhow::Result<Self> {
        let admin: PgConnectOptions =
            url.parse().context("--postgres is not a URL of PostgreSQL")?;
        let name = format!("finitech_bench_{}", SystemIds.next().simple());
        let database = Self { admin_url: url.to_owned(), admin, name };
        database.administer(format!("create database {}", database.name)).await?;
        Ok(database)
    }

    fn options(&self) -> PgConnectOptions {
        self.admin.clone().database(&self.name)
    }

    /// The server's URL with this database's name in it; every client understands what the caller's did.
    pub(crate) fn url(&self) -> String {
        let (address, options) = self.admin_url.split_once('?').unwrap_or((&self.admin_url, ""));
        let host = address.find("://").map_or(0, |at| at + 3);
        let end = address[host..].find('/').map_or(address.len(), |at| host + at);
        let separator = if options.is_empty() { "" } else { "?" };
        format!("{}/{}{separator}{options}", &address[..end], self.name)
    }

    pub(crate) async fn connect(&self) -> anyhow::Result<PgConnection> {
        Ok(self.options().connect().await?)
    }

    async fn bytes(&self) -> anyhow::Result<Bytes> {
        let mut connection = self.connect().await?;
        let (all, journal): (i64, i64) = sqlx::query_as(
            "select pg_database_size(current_database()), \
                    pg_total_relation_size('ledger.transactions') \
                    + pg_total_relation_size('ledger.entries')",
        )
        .fetch_one(&mut connection)
        .await?;
        Ok(Bytes { all: u64::try_from(all)?, journal: u64::try_from(journal)? })
    }

    async fn administer(&self, sql: String) -> anyhow::Result<()> {
        let mut connection = self.admin.connect().await?;
        sqlx::query(AssertSqlSafe(sql)).execute(&mut connection).await?;
        Ok(connection.close().await?)
    }

    pub(crate) async fn remove(self) -> anyhow::Result<()> {
        self.administer(format!("drop database if exists {} with (force)", self.name)).await
    }
}
