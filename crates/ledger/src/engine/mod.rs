//! The engine: one queue, one group at a time, one commit per group.
//!
//! Callers' commands wait in a bounded queue. A worker takes what has gathered, up to `group_max`,
//! carries it out as one database transaction and answers. While a group is being written the next one
//! gathers, so groups grow with the load and a single command never waits for company.
//!
//! | store | worker | writes with |
//! |---|---|---|
//! | SQLite | a thread of its own | prepared statements, one writer, `BEGIN IMMEDIATE` |
//! | PostgreSQL | a task | one statement per table, rows passed as arrays |
//!
//! On both the group first locks `journal_head`, so processes that share a database take turns.

mod decide;
mod group;
mod postgres;
mod sqlite;
#[cfg(test)]
mod tests;

use group::Group;
use kernel::Clock;
use ledger_api::{Account, LedgerError, NewAccount, NewTransaction, Recorded, Refusal, Transaction};
use std::sync::{Arc, Mutex, PoisonError};
use store::Store;
use tokio::sync::{mpsc, oneshot};

/// How the engine gathers commands.
#[derive(Clone, Copy, Debug)]
pub struct EngineConfig {
    /// The most commands that may wait; the next one is refused as overload.
    pub queue_max: usize,
    /// The most commands of one group.
    pub group_max: usize,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self { queue_max: 16_384, group_max: 4_096 }
    }
}

/// What can be asked of the engine.
#[derive(Clone, Debug)]
pub(crate) enum Command {
    OpenAccount(NewAccount),
    Post(NewTransaction),
}

/// What came of a command that was not refused.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    Opened(Recorded<Account>),
    Posted(Recorded<Transaction>),
}

/// A command and who waits for its outcome.
struct Waiting {
    command: Command,
    answer: oneshot::Sender<Result<Outcome, LedgerError>>,
}

#[derive(Clone)]
pub(crate) struct Engine {
    queue: Arc<Mutex<Option<mpsc::Sender<Waiting>>>>,
    stopped: Arc<tokio::sync::Notify>,
}

impl Engine {
    pub(crate) fn start(
        store: &Store,
        config: EngineConfig,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, LedgerError> {
        let (sender, receiver) = mpsc::channel(config.queue_max);
        let stopped = Arc::new(tokio::sync::Notify::new());
        let engine = Self {
            queue: Arc::new(Mutex::new(Some(sender))),
            stopped: stopped.clone(),
        };
        if let Some(path) = store.sqlite_path() {
            let writer = sqlite::Writer::open(&path).map_err(unavailable)?;
            std::thread::Builder::new()
                .name("ledger-writer".into())
                .spawn(move || {
                    run_sqlite(writer, receiver, config.group_max, clock.as_ref());
                    stopped.notify_one();
                })
                .map_err(unavailable)?;
        } else {
            let writer = postgres::Writer::new(store);
            tokio::spawn(async move {
                run_postgres(writer, receiver, config.group_max, clock.as_ref()).await;
                stopped.notify_one();
            });
        }
        Ok(engine)
    }

    /// Queues a command and waits for its outcome. Once queued, the command is carried out even if the
    /// caller stops waiting.
    pub(crate) async fn submit(&self, command: Command) -> Result<Outcome, LedgerError> {
        let (answer, outcome) = oneshot::channel();
        self.sender()
            .ok_or_else(stopping)?
            .try_send(Waiting { command, answer })
            .map_err(|error| match error {
                mpsc::error::TrySendError::Full(_) => LedgerError::Overloaded,
                mpsc::error::TrySendError::Closed(_) => stopping(),
            })?;
        outcome.await.map_err(|_| stopping())?
    }

    pub(crate) async fn shut_down(&self) {
        let sender = self.queue.lock().unwrap_or_else(PoisonError::into_inner).take();
        // With the last sender gone the worker ends after what is queued.
        if sender.is_some() {
            drop(sender);
            self.stopped.notified().await;
        }
    }

    fn sender(&self) -> Option<mpsc::Sender<Waiting>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn run_sqlite(
    mut writer: sqlite::Writer,
    mut queue: mpsc::Receiver<Waiting>,
    group_max: usize,
    clock: &dyn Clock,
) {
    let mut waiting = Vec::with_capacity(group_max);
    while queue.blocking_recv_many(&mut waiting, group_max) > 0 {
        let group = Group::new(waiting.drain(..), clock.now());
        let outcomes = writer.commit(&group);
        group.answer(outcomes);
    }
}

async fn run_postgres(
    mut writer: postgres::Writer,
    mut queue: mpsc::Receiver<Waiting>,
    group_max: usize,
    clock: &dyn Clock,
) {
    let mut waiting = Vec::with_capacity(group_max);
    while queue.recv_many(&mut waiting, group_max).await > 0 {
        let group = Group::new(waiting.drain(..), clock.now());
        let outcomes = writer.commit(&group).await;
        group.answer(outcomes);
    }
}

/// The result of each command of a group, in order.
type Decisions = Vec<Result<Outcome, Refusal>>;

fn unavailable(error: impl std::error::Error + Send + Sync + 'static) -> LedgerError {
    LedgerError::Unavailable(Box::new(error))
}

fn stopping() -> LedgerError {
    LedgerError::Unavailable("the ledger is shutting down".into())
}
