//! The modules' stores, and their migrations.

use crate::config::Config;
use anyhow::Context;
use store::{MigrationStatus, SqlMigration, Store};

/// One store per module.
#[derive(Clone, Debug)]
pub(crate) struct Stores {
    pub(crate) cards: Store,
    pub(crate) identity: Store,
    pub(crate) ledger: Store,
    pub(crate) wallet: Store,
}

impl Stores {
    /// Opens the stores without touching their tables, unless the way to them is not safe.
    pub(crate) async fn open(config: &Config) -> anyhow::Result<Self> {
        let refusals = config.database_refusals();
        anyhow::ensure!(
            refusals.is_empty(),
            "refusing to connect:\n  - {}",
            refusals.join("\n  - ")
        );
        let open = async |module: &'static str| {
            Store::open(module, &config.target(module))
                .await
                .with_context(|| format!("cannot open the {module} store"))
        };
        let (cards, identity, ledger, wallet) =
            tokio::try_join!(open("cards"), open("identity"), open("ledger"), open("wallet"))?;
        Ok(Self { cards, identity, ledger, wallet })
    }

    /// Every store with its module's migrations.
    pub(crate) fn all(&self) -> [(&Store, &'static [SqlMigration]); 4] {
        [
            (&self.cards, cards::MIGRATIONS),
            (&self.identity, identity::MIGRATIONS),
            (&self.ledger, ledger::MIGRATIONS),
            (&self.wallet, wallet::MIGRATIONS),
        ]
    }

    /// Applies what is missing, and returns what it was.
    pub(crate) async fn migrate(&self) -> anyhow::Result<Vec<(&'static str, String)>> {
        let mut applied = Vec::new();
        for (store, migrations) in self.all() {
            let module = store.module();
            let names = store
                .migrate(migrations)
                .await
                .with_context(|| format!("cannot migrate the {module} store"))?;
            for name in names {
                tracing::info!(module, name, "migration applied");
                applied.push((module, name));
            }
        }
        ledger::catch_up(&self.ledger).await.context("cannot make the ledger's history")?;
        Ok(applied)
    }

    /// Every migration and whether it ran.
    pub(crate) async fn status(&self) -> anyhow::Result<Vec<MigrationStatus>> {
        let mut status = Vec::new();
        for (store, migrations) in self.all() {
            status.extend(store.migration_status(migrations).await?);
        }
        Ok(status)
    }

    /// An error that says what to do when the databases are not up to date.
    pub(crate) async fn require_migrated(&self) -> anyhow::Result<()> {
        let missing = self.missing_migrations().await?;
        anyhow::ensure!(
            missing.is_empty(),
            "the database lacks {}; check data_dir or connection_strings, or run: finitech migrate",
            missing.join(", ")
        );
        Ok(())
    }

    /// Closes every connection, which brings the embedded databases into one file each.
    pub(crate) async fn close(self) {
        for store in [self.cards, self.identity, self.ledger, self.wallet] {
            let module = store.module();
            if let Err(error) = store.close().await {
                tracing::warn!(module, %error, "a store was not closed");
            }
        }
    }

    /// Migrations that the databases lack, as `module/name`.
    pub(crate) async fn missing_migrations(&self) -> anyhow::Result<Vec<String>> {
        let missing = self.status().await?.into_iter().filter(|one| !one.applied);
        Ok(missing.map(|one| format!("{}/{}", one.module, one.name)).collect())
    }
}
