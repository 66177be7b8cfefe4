#![doc = include_str!("../README.md")]

mod engine;
mod events;
mod http;
mod journal;
mod verify;

pub use engine::EngineConfig;
pub use verify::{Finding, Report};

use async_trait::async_trait;
use engine::{Command, Engine, Outcome};
use journal::repo::Journal;
use kernel::{Clock, IdSource, Page, PageLimit};
use ledger_api::{
    Account, AccountId, Entry, EntryKey, LedgerError, NewAccount, NewReversal, NewTransaction,
    Recorded, Refusal, StatusChange, Transaction, TransactionId,
};
use std::sync::Arc;
use store::outbox::EventSource;
use store::{SqlMigration, Store, StoreError};
use web::OpenApiRouter;

/// The schema, step by step.
pub const MIGRATIONS: &[SqlMigration] = &[SqlMigration {
    name: "m0001_journal",
    sql: include_str!("migrations/m0001_journal.sql"),
    sqlite: include_str!("migrations/m0001_journal_sqlite.sql"),
    postgres: include_str!("migrations/m0001_journal_postgres.sql"),
}];

/// The permissions of the ledger's routes.
pub mod permissions {
    use kernel::Permission;

    /// Read accounts, entries, transactions and the trial balance.
    pub const READ: Permission = Permission("ledger:read");
    /// Open accounts and post transactions.
    pub const WRITE: Permission = Permission("ledger:write");
}

/// The ledger of one store. Cheap to clone; all clones share one engine.
#[derive(Clone)]
pub struct Ledger {
    journal: Journal,
    engine: Engine,
    ids: Arc<dyn IdSource>,
}

impl Ledger {
    /// Starts the engine on a migrated store.
    pub fn init(
        store: Store,
        config: EngineConfig,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdSource>,
    ) -> Result<Self, LedgerError> {
        let journal = Journal::new(store.clone());
        let engine = Engine::start(&store, config, clock)?;
        Ok(Self { journal, engine, ids })
    }

    /// The ledger's routes.
    pub fn router(&self) -> OpenApiRouter {
        http::router(self.clone())
    }

    /// Carries out a command about an account.
    async fn changed(&self, command: Command) -> Result<Recorded<Account>, LedgerError> {
        match self.engine.submit(command).await? {
            Outcome::Account(account) => Ok(account),
            _ => Err(mismatched_answer()),
        }
    }

    /// Carries out a command that posts one transaction.
    async fn posted(&self, command: Command) -> Result<Recorded<Transaction>, LedgerError> {
        match self.engine.submit(command).await? {
            Outcome::Posted(posted) => Ok(posted),
            _ => Err(mismatched_answer()),
        }
    }

    /// Carries out a command that posts several transactions, and tells what came of each.
    async fn posted_several(
        &self,
        command: Command,
    ) -> Result<Vec<Result<Recorded<Transaction>, Refusal>>, LedgerError> {
        match self.engine.submit(command).await? {
            Outcome::PostedAll(posted) => Ok(posted.into_iter().map(Ok).collect()),
            Outcome::PostedEach(outcomes) => Ok(outcomes),
            _ => Err(mismatched_answer()),
        }
    }

    /// The journal as a stream of events.
    pub fn events(&self) -> Arc<dyn EventSource> {
        Arc::new(events::JournalEvents(self.journal.clone()))
    }

    /// Finishes what is queued, refuses what comes after, and returns once the last group is durable.
    pub async fn shut_down(&self) {
        self.engine.shut_down().await;
    }
}

/// Re-derives everything in the ledger of `store` from its journal: sequence, sums, balances,
/// constraints. `progress` is called now and then with the sequence reached and the last one.
pub async fn verify(
    store: &Store,
    progress: impl FnMut(i64, i64) + Send,
) -> Result<Report, StoreError> {
    verify::verify(store, progress).await
}

#[async_trait]
impl ledger_api::Ledger for Ledger {
    async fn open_account(&self, account: NewAccount) -> Result<Recorded<Account>, LedgerError> {
        self.changed(Command::OpenAccount(account)).await
    }

    async fn change_status(&self, change: StatusChange) -> Result<Recorded<Account>, LedgerError> {
        self.changed(Command::ChangeStatus(change)).await
    }

    async fn post(
        &self,
        transaction: NewTransaction,
    ) -> Result<Recorded<Transaction>, LedgerError> {
        self.posted(Command::Post(transaction)).await
    }

    async fn post_all(
        &self,
        transactions: Vec<NewTransaction>,
    ) -> Result<Vec<Recorded<Transaction>>, LedgerError> {
        match self.engine.submit(Command::PostAll(transactions)).await? {
            Outcome::PostedAll(posted) => Ok(posted),
            _ => Err(mismatched_answer()),
        }
    }

    async fn reverse(&self, reversal: NewReversal) -> Result<Recorded<Transaction>, LedgerError> {
        self.posted(Command::Reverse(reversal)).await
    }

    async fn account(&self, id: AccountId) -> Result<Option<Account>, LedgerError> {
        Ok(self.accounts(&[id]).await?.pop())
    }

    async fn accounts(&self, ids: &[AccountId]) -> Result<Vec<Account>, LedgerError> {
        self.journal.accounts(ids).await.map_err(unavailable)
    }

    async fn transaction(&self, id: TransactionId) -> Result<Option<Transaction>, LedgerError> {
        self.journal.transaction(id).await.map_err(unavailable)
    }

    async fn entries(
        &self,
        account: AccountId,
        after: Option<EntryKey>,
        limit: PageLimit,
    ) -> Result<Page<Entry>, LedgerError> {
        self.journal.entries(account, after, limit).await.map_err(unavailable)
    }
}

fn unavailable(error: StoreError) -> LedgerError {
    LedgerError::Unavailable(error.into())
}

/// The engine answers each command with its own kind of outcome; anything else is a defect.
fn mismatched_answer() -> LedgerError {
    LedgerError::Unavailable("the engine answered another command".into())
}
