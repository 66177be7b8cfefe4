//! Migrations: forward only, each in one transaction together with the record that it ran.

use crate::{Store, StoreError};
use sea_orm::{ConnectionTrait, DbBackend, DbErr};
use sea_orm_migration::{
    MigrationName, MigrationTrait, MigratorTraitSelf, SchemaManager, async_trait,
};

/// One step of a schema, in SQL.
///
/// `sql` runs on both stores. It is written for PostgreSQL with these words, which differ on SQLite:
///
/// | word | PostgreSQL | SQLite |
/// |---|---|---|
/// | `{uuid}` | `uuid` | `blob` |
/// | `{bigint}` | `bigint` | `integer` |
/// | `{bytes}` | `bytea` | `blob` |
/// | `{table}` (after the closing parenthesis) | | `strict` |
/// | `{clustered}` (likewise, rows stored in key order) | | `strict, without rowid` |
///
/// `sqlite` and `postgres` run after it on their store: triggers, mostly.
#[derive(Clone, Copy, Debug)]
pub struct SqlMigration {
    /// Unique in the module and sorted as they apply: `m0001_wallets`.
    pub name: &'static str,
    /// For both stores.
    pub sql: &'static str,
    /// For SQLite alone.
    pub sqlite: &'static str,
    /// For PostgreSQL alone.
    pub postgres: &'static str,
}

/// One migration and whether it ran.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MigrationStatus {
    /// The module whose store it belongs to.
    pub module: &'static str,
    /// The migration.
    pub name: String,
    /// Whether the database has it.
    pub applied: bool,
}

/// What every module's store holds beside the module's own tables.
const SHARED: &[SqlMigration] = &[SqlMigration {
    name: "m0000_outbox_and_idempotency",
    sql: include_str!("migrations/m0000_outbox_and_idempotency.sql"),
    sqlite: "",
    postgres: "",
}];

/// How often to look again when another process migrates the same database.
const ATTEMPTS: u32 = 20;

impl Store {
    /// Applies what is missing of the shared tables and of `migrations`, and returns the names applied.
    /// Several processes may do this at once.
    pub async fn migrate(&self, migrations: &[SqlMigration]) -> Result<Vec<String>, StoreError> {
        let migrator = Migrator::new(migrations);
        let missing = self.missing_migrations(migrations).await?;
        if missing.is_empty() {
            return Ok(missing);
        }
        for attempt in 1.. {
            match self.try_migrate(&migrator).await {
                Ok(()) => break,
                // Another process may have been faster: whoever comes second is refused by the record's
                // primary key and finds the work done on the next look.
                Err(_) if attempt < ATTEMPTS => {
                    if self.missing_migrations(migrations).await?.is_empty() {
                        break;
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(missing)
    }

    /// Each migration of the shared tables and of `migrations`, and whether it ran. Changes nothing.
    pub async fn migration_status(
        &self,
        migrations: &[SqlMigration],
    ) -> Result<Vec<MigrationStatus>, StoreError> {
        let known =
            Migrator::new(migrations).get_migration_with_status_read_only(self.writer()).await?;
        Ok(known
            .into_iter()
            .map(|migration| MigrationStatus {
                module: self.module(),
                name: migration.name().to_owned(),
                applied: migration.status() == sea_orm_migration::MigrationStatus::Applied,
            })
            .collect())
    }

    /// An error that names what is missing, if anything is.
    pub async fn require_migrated(&self, migrations: &[SqlMigration]) -> Result<(), StoreError> {
        let missing = self.missing_migrations(migrations).await?;
        if missing.is_empty() {
            return Ok(());
        }
        Err(StoreError::NotMigrated { module: self.module(), missing })
    }

    async fn missing_migrations(
        &self,
        migrations: &[SqlMigration],
    ) -> Result<Vec<String>, StoreError> {
        let status = self.migration_status(migrations).await?;
        Ok(status.into_iter().filter(|one| !one.applied).map(|one| one.name).collect())
    }

    async fn try_migrate(&self, migrator: &Migrator) -> Result<(), DbErr> {
        if self.backend() == DbBackend::Postgres {
            // Module names are ours, lower-case letters only.
            let schema = format!("create schema if not exists \"{}\"", self.module());
            self.writer().execute_unprepared(&schema).await?;
        }
        migrator.up(self.writer(), None).await
    }
}

struct Migrator(Vec<SqlMigration>);

impl Migrator {
    fn new(module: &[SqlMigration]) -> Self {
        Self(SHARED.iter().chain(module).copied().collect())
    }
}

#[async_trait::async_trait]
impl MigratorTraitSelf for Migrator {
    fn migrations(&self) -> Vec<Box<dyn MigrationTrait>> {
        self.0.iter().map(|&migration| Box::new(Step(migration)) as _).collect()
    }
}

struct Step(SqlMigration);

impl MigrationName for Step {
    fn name(&self) -> &str {
        self.0.name
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Step {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let connection = manager.get_connection();
        let backend = manager.get_database_backend();
        let own = if backend == DbBackend::Sqlite { self.0.sqlite } else { self.0.postgres };
        for sql in [translate(self.0.sql, backend), own.to_owned()] {
            if !sql.trim().is_empty() {
                connection.execute_unprepared(&sql).await?;
            }
        }
        Ok(())
    }

    /// SQLite would otherwise apply a migration and its record apart from each other.
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

fn translate(sql: &str, backend: DbBackend) -> String {
    let words = [
        ("{uuid}", "uuid", "blob"),
        ("{bigint}", "bigint", "integer"),
        ("{bytes}", "bytea", "blob"),
        ("{table}", "", "strict"),
        ("{clustered}", "", "strict, without rowid"),
    ];
    words.into_iter().fold(sql.to_owned(), |sql, (word, postgres, sqlite)| {
        sql.replace(word, if backend == DbBackend::Sqlite { sqlite } else { postgres })
    })
}
