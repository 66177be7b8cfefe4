#![doc = include_str!("../README.md")]

mod engine;
mod events;
mod history;
mod http;
mod journal;
mod verify;

pub use engine::EngineConfig;
pub use history::checkpoint::{CheckpointSigner, NotAName, NotAVerifierKey, VerifierKey};
pub use history::proof::{ProofError, Proven, verify_proof};
pub use history::prover::CheckpointPolicy;
pub use verify::{Finding, Report, Verification};

use async_trait::async_trait;
use engine::{Command, Engine, Outcome};
use history::prover::Prover;
use identity_api::AuditTrail;
use journal::repo::Journal;
use kernel::{Clock, IdSource, Page, PageLimit, Timestamp};
use ledger_api::{
    Account, AccountId, BalanceAsOf, Basis, Entry, EntryKey, Hold, HoldId, HoldRelease,
    LedgerError, LimitChange, LimitsInUse, NewAccount, NewCapture, NewHold, NewReversal,
    NewTransaction, Recorded, Refusal, ReleaseCause, StatusChange, Transaction, TransactionId,
};
use std::sync::Arc;
use store::outbox::EventSource;
use store::{SqlMigration, Store, StoreError};
use tokio::task::JoinSet;
use web::OpenApiRouter;

/// The schema, step by step.
pub const MIGRATIONS: &[SqlMigration] = &[
    SqlMigration {
        name: "m0001_journal",
        sql: include_str!("migrations/m0001_journal.sql"),
        sqlite: include_str!("migrations/m0001_journal_sqlite.sql"),
        postgres: include_str!("migrations/m0001_journal_postgres.sql"),
    },
    SqlMigration {
        name: "m0002_entry_lists",
        sql: include_str!("migrations/m0002_entry_lists.sql"),
        sqlite: include_str!("migrations/m0002_entry_lists_sqlite.sql"),
        postgres: include_str!("migrations/m0002_entry_lists_postgres.sql"),
    },
    SqlMigration {
        name: "m0003_holds",
        sql: include_str!("migrations/m0003_holds.sql"),
        sqlite: include_str!("migrations/m0003_holds_sqlite.sql"),
        postgres: include_str!("migrations/m0003_holds_postgres.sql"),
    },
    SqlMigration {
        name: "m0004_limits",
        sql: include_str!("migrations/m0004_limits.sql"),
        sqlite: include_str!("migrations/m0004_limits_sqlite.sql"),
        postgres: include_str!("migrations/m0004_limits_postgres.sql"),
    },
    SqlMigration {
        name: "m0005_search",
        sql: include_str!("migrations/m0005_search.sql"),
        sqlite: include_str!("migrations/m0005_search_sqlite.sql"),
        postgres: include_str!("migrations/m0005_search_postgres.sql"),
    },
    SqlMigration {
        name: "m0006_history",
        sql: include_str!("migrations/m0006_history.sql"),
        sqlite: include_str!("migrations/m0006_history_sqlite.sql"),
        postgres: include_str!("migrations/m0006_history_postgres.sql"),
    },
    SqlMigration {
        name: "m0007_states_behind",
        sql: include_str!("migrations/m0007_states_behind.sql"),
        sqlite: "",
        postgres: "",
    },
    SqlMigration {
        name: "m0008_initiators",
        sql: include_str!("migrations/m0008_initiators.sql"),
        sqlite: "",
        postgres: "",
    },
    SqlMigration {
        name: "m0009_hold_lists",
        sql: include_str!("migrations/m0009_hold_lists.sql"),
        sqlite: include_str!("migrations/m0009_hold_lists_sqlite.sql"),
        postgres: include_str!("migrations/m0009_hold_lists_postgres.sql"),
    },
];

/// The permissions of the ledger's routes.
pub mod permissions {
    use kernel::Permission;

    /// Read accounts, entries, transactions and the trial balance.
    pub const READ: Permission = Permission("ledger:read");
    /// Open accounts and post transactions.
    pub const WRITE: Permission = Permission("ledger:write");
}

/// The ledger of one store. Cheap to clone, as it is several times for each request; all clones share one
/// engine.
#[derive(Clone)]
pub struct Ledger(Arc<Parts>);

struct Parts {
    journal: Journal,
    engine: Engine,
    prover: Prover,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdSource>,
}

impl Ledger {
    /// Starts the engine on a migrated store.
    pub fn init(
        store: Store,
        config: EngineConfig,
        signer: Arc<CheckpointSigner>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdSource>,
    ) -> Result<Self, LedgerError> {
        let engine = Engine::start(&store, config, clock.clone())?;
        let journal = Journal::new(store.clone(), engine.standings());
        let prover = Prover::new(store, signer, clock.clone());
        Ok(Self(Arc::new(Parts { journal, engine, prover, clock, ids })))
    }

    /// The ledger's routes. What people change through them is written down in `trail` beforehand.
    pub fn router(&self, trail: Arc<dyn AuditTrail>) -> OpenApiRouter {
        http::router(self.clone(), trail)
    }

    /// Carries out a command about an account.
    async fn changed(&self, command: Command) -> Result<Recorded<Account>, LedgerError> {
        match self.0.engine.submit(command).await? {
            Outcome::Account(account) => Ok(account),
            _ => Err(mismatched_answer()),
        }
    }

    /// Carries out a command that posts one transaction.
    async fn posted(&self, command: Command) -> Result<Recorded<Transaction>, LedgerError> {
        match self.0.engine.submit(command).await? {
            Outcome::Posted(posted) => Ok(unshared(posted)),
            _ => Err(mismatched_answer()),
        }
    }

    /// Carries out a command about a hold.
    async fn held(&self, command: Command) -> Result<Recorded<Hold>, LedgerError> {
        match self.0.engine.submit(command).await? {
            Outcome::Held(hold) => Ok(hold),
            _ => Err(mismatched_answer()),
        }
    }

    /// Carries out a command that posts several transactions, and tells what came of each: `told` of those
    /// that were not refused.
    async fn posted_several<T>(
        &self,
        command: Command,
        told: impl Fn(Recorded<Arc<Transaction>>) -> T,
    ) -> Result<Vec<Result<T, Refusal>>, LedgerError> {
        match self.0.engine.submit(command).await? {
            Outcome::PostedAll(posted) => Ok(posted.into_iter().map(|one| Ok(told(one))).collect()),
            Outcome::PostedEach(outcomes) => {
                Ok(outcomes.into_iter().map(|one| one.map(&told)).collect())
            }
            _ => Err(mismatched_answer()),
        }
    }

    /// The journal as a stream of events.
    pub fn events(&self) -> Arc<dyn EventSource> {
        Arc::new(events::JournalEvents {
            journal: self.0.journal.clone(),
            tail: self.0.engine.tail(),
        })
    }

    /// Releases up to `limit` holds whose time is over, and tells how many it has dealt with.
    pub async fn expire_holds(&self, limit: u32) -> Result<u32, LedgerError> {
        let over = self.0.journal.holds_over_time(self.0.clock.now(), limit.into()).await;
        let mut releases = JoinSet::new();
        for hold in over.map_err(unavailable)? {
            let ledger = self.clone();
            let release = HoldRelease { hold, cause: ReleaseCause::Expired, initiated_by: None };
            // All at once, so that they share their commits.
            releases.spawn(async move { ledger.held(Command::Release(release)).await });
        }
        let mut expired: u32 = 0;
        for released in releases.join_all().await {
            match released {
                // Whoever is refused was not the first: it has ended already.
                Ok(_) | Err(LedgerError::Refused(_)) => expired = expired.saturating_add(1),
                Err(error) => return Err(error),
            }
        }
        Ok(expired)
    }

    /// Signs a checkpoint of all that is committed if one is due. Several processes that look for it sign
    /// one.
    pub async fn sign_checkpoint(&self, policy: CheckpointPolicy) -> Result<(), LedgerError> {
        self.0.prover.sign_if_due(policy).await.map_err(unavailable)
    }

    /// Finishes what is queued, refuses what comes after, and returns once the last group is durable.
    pub async fn shut_down(&self) {
        self.0.engine.shut_down().await;
    }
}

/// Makes the history of records from before there was one. A ledger starts on a store whose history is
/// whole; on any but an old one there is nothing to do.
pub async fn catch_up(store: &Store) -> Result<(), StoreError> {
    history::repo::catch_up(store).await
}

/// Re-derives everything in the ledger of `store` from its journal: sequence, sums, balances,
/// constraints, history. `progress` is called now and then with the sequence reached and the last one.
pub async fn verify(
    store: &Store,
    verification: &Verification,
    progress: impl FnMut(i64, i64) + Send,
) -> Result<Report, StoreError> {
    verify::verify(store, verification, progress).await
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
        match self.0.engine.submit(Command::PostAll(transactions)).await? {
            Outcome::PostedAll(posted) => Ok(posted.into_iter().map(unshared).collect()),
            _ => Err(mismatched_answer()),
        }
    }

    async fn reverse(&self, reversal: NewReversal) -> Result<Recorded<Transaction>, LedgerError> {
        self.posted(Command::Reverse(reversal)).await
    }

    async fn hold(&self, hold: NewHold) -> Result<Recorded<Hold>, LedgerError> {
        self.held(Command::Hold(hold)).await
    }

    async fn capture(&self, capture: NewCapture) -> Result<Recorded<Transaction>, LedgerError> {
        self.posted(Command::Capture(capture)).await
    }

    async fn release(&self, release: HoldRelease) -> Result<Recorded<Hold>, LedgerError> {
        self.held(Command::Release(release)).await
    }

    async fn hold_by_id(&self, id: HoldId) -> Result<Option<Hold>, LedgerError> {
        self.0.journal.hold(id).await.map_err(unavailable)
    }

    async fn set_limits(&self, change: LimitChange) -> Result<LimitsInUse, LedgerError> {
        match self.0.engine.submit(Command::SetLimits(change)).await? {
            Outcome::Limits(limits) => Ok(limits),
            _ => Err(mismatched_answer()),
        }
    }

    async fn limits(&self, account: AccountId) -> Result<Option<LimitsInUse>, LedgerError> {
        self.0.journal.limits(account, self.0.clock.now()).await.map_err(unavailable)
    }

    async fn account(&self, id: AccountId) -> Result<Option<Account>, LedgerError> {
        Ok(self.accounts(&[id]).await?.pop())
    }

    async fn accounts(&self, ids: &[AccountId]) -> Result<Vec<Account>, LedgerError> {
        self.0.journal.accounts(ids).await.map_err(unavailable)
    }

    async fn balance_as_of(
        &self,
        id: AccountId,
        at: Option<Timestamp>,
        basis: Basis,
    ) -> Result<Option<BalanceAsOf>, LedgerError> {
        let now = self.0.clock.now();
        self.0.journal.balance_as_of(id, at, now, basis).await.map_err(unavailable)
    }

    async fn transaction(&self, id: TransactionId) -> Result<Option<Transaction>, LedgerError> {
        self.0.journal.transaction(id).await.map_err(unavailable)
    }

    async fn entries(
        &self,
        account: AccountId,
        after: Option<EntryKey>,
        limit: PageLimit,
    ) -> Result<Page<Entry>, LedgerError> {
        self.0.journal.entries(account, after, limit).await.map_err(unavailable)
    }
}

/// By the time the answer is there, the group has mostly let go of the transaction.
fn unshared(posted: Recorded<Arc<Transaction>>) -> Recorded<Transaction> {
    let Recorded { record, replayed } = posted;
    Recorded { record: Arc::unwrap_or_clone(record), replayed }
}

fn unavailable(error: StoreError) -> LedgerError {
    LedgerError::Unavailable(error.into())
}

/// The engine answers each command with its own kind of outcome; anything else is a defect.
fn mismatched_answer() -> LedgerError {
    LedgerError::Unavailable("the engine answered another command".into())
}
