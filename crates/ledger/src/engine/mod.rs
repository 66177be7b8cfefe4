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

mod cache;
mod decide;
mod group;
mod needs;
mod postgres;
mod seal;
mod sqlite;
mod tail;
#[cfg(test)]
mod tests;

pub(crate) use cache::{Standings, Stands};
pub(crate) use tail::{Tail, Told};

pub(crate) use decide::{
    Counted, ENTRIES_PER_MARK, LimitedAccount, Movement, Usage, last_of_each_account,
};

use group::Group;
use kernel::Clock;
use ledger_api::{
    Account, Hold, HoldRelease, LedgerError, LimitChange, LimitsInUse, NewAccount, NewCapture,
    NewHold, NewReversal, NewTransaction, Recorded, Refusal, StatusChange, Transaction,
};
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};
use store::Store;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};

/// The reads of reversed totals, as SQLite's writer asks and as PostgreSQL's does.
#[cfg(test)]
pub(crate) const REVERSED_SQL: (&str, &str) = (sqlite::REVERSED_SQL, postgres::REVERSED_SQL);

/// How PostgreSQL's writer reads the legs of what is sent again, and how it wants its statements planned.
#[cfg(test)]
pub(crate) const POSTED_LEGS: (&str, [(&str, &str); 5]) =
    (postgres::POSTED_LEGS_SQL, postgres::PLANS);

/// How the engine gathers commands. Zero counts as one.
#[derive(Clone, Copy, Debug)]
pub struct EngineConfig {
    /// The most commands that may wait; the next one is refused as overload.
    pub queue_max: usize,
    /// The most transactions of one group; each other command counts as one, and a batch with more of
    /// them is a group of its own.
    pub group_max: usize,
    /// On SQLite, the most accounts that a group may move and write their rows itself. With more of them the
    /// rows are written later, once for many groups; what moves them is durable before the answer all the same.
    pub rows_at_once: usize,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self { queue_max: 16_384, group_max: 4_096, rows_at_once: 8 }
    }
}

/// What can be asked of the engine.
#[derive(Clone, Debug)]
pub(crate) enum Command {
    OpenAccount(NewAccount),
    ChangeStatus(StatusChange),
    SetLimits(LimitChange),
    Post(NewTransaction),
    Reverse(NewReversal),
    Hold(NewHold),
    Capture(NewCapture),
    Release(HoldRelease),
    /// All or none.
    PostAll(Vec<NewTransaction>),
    /// Each chain on its own, all of it or none.
    PostEach(Vec<Vec<NewTransaction>>),
    /// What would come of a command, without doing it.
    DryRun(Box<Command>),
}

impl Command {
    /// The transactions that it asks to have posted as they stand.
    fn postings(&self) -> impl Iterator<Item = &NewTransaction> {
        let mut command = self;
        while let Self::DryRun(inner) = command {
            command = inner;
        }
        let (some, chains): (&[NewTransaction], &[Vec<NewTransaction>]) = match command {
            Self::Post(transaction) => (std::slice::from_ref(transaction), &[]),
            Self::PostAll(batch) => (batch, &[]),
            Self::PostEach(chains) => (&[], chains),
            Self::DryRun(_)
            | Self::OpenAccount(_)
            | Self::ChangeStatus(_)
            | Self::SetLimits(_)
            | Self::Reverse(_)
            | Self::Hold(_)
            | Self::Capture(_)
            | Self::Release(_) => (&[], &[]),
        };
        some.iter().chain(chains.iter().flatten())
    }
}

/// What came of a command that was not refused. A posted transaction is shared with the group that is
/// being written.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    /// The account after it was opened or changed.
    Account(Recorded<Account>),
    /// The account's limits after they were set.
    Limits(LimitsInUse),
    Posted(Recorded<Arc<Transaction>>),
    /// The hold after it was made or released.
    Held(Recorded<Hold>),
    PostedAll(Vec<Recorded<Arc<Transaction>>>),
    PostedEach(Vec<Result<Recorded<Arc<Transaction>>, Refusal>>),
}

/// A command and who waits for its outcome.
struct Waiting {
    command: Command,
    answer: oneshot::Sender<Result<Outcome, LedgerError>>,
}

/// A command that is carried out whether or not somebody waits for its outcome.
#[derive(Debug)]
pub(crate) struct Queued(oneshot::Receiver<Result<Outcome, LedgerError>>);

impl Queued {
    pub(crate) async fn outcome(self) -> Result<Outcome, LedgerError> {
        self.0.await.map_err(|_| lost())?
    }
}

#[derive(Clone)]
pub(crate) struct Engine {
    queue: Arc<Mutex<Option<mpsc::Sender<Waiting>>>>,
    tail: Arc<Tail>,
    standings: Standings,
    /// Closed once the worker has ended, whatever ended it.
    running: watch::Receiver<()>,
}

impl Engine {
    pub(crate) fn start(
        store: &Store,
        config: EngineConfig,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, LedgerError> {
        let queue_max = config.queue_max.clamp(1, Semaphore::MAX_PERMITS);
        let group_max = config.group_max.max(1);
        let (sender, receiver) = mpsc::channel(queue_max);
        let (end, running) = watch::channel(());
        let tail = Arc::new(Tail::new());
        let mut standings = Standings::default();
        if let Some(path) = store.sqlite_path() {
            let writer = sqlite::Writer::open(&path, clock, tail.clone(), config.rows_at_once)
                .map_err(unavailable)?;
            standings = writer.standings();
            thread::Builder::new()
                .name("ledger-writer".into())
                .spawn(move || {
                    run_sqlite(writer, receiver, group_max);
                    drop(end);
                })
                .map_err(unavailable)?;
        } else {
            let writer = postgres::Writer::new(store, clock, tail.clone());
            tokio::spawn(async move {
                run_postgres(writer, receiver, group_max).await;
                drop(end);
            });
        }
        Ok(Self { queue: Arc::new(Mutex::new(Some(sender))), tail, standings, running })
    }

    /// Queues a command and waits for its outcome. Once queued, the command is carried out even if the
    /// caller stops waiting.
    pub(crate) async fn submit(&self, command: Command) -> Result<Outcome, LedgerError> {
        let (answer, outcome) = oneshot::channel();
        self.sender().ok_or_else(stopping)?.try_send(Waiting { command, answer }).map_err(
            |error| match error {
                mpsc::error::TrySendError::Full(_) => LedgerError::Overloaded,
                mpsc::error::TrySendError::Closed(_) => stopping(),
            },
        )?;
        outcome.await.map_err(|_| lost())?
    }

    /// Whether a command would be refused as overload now.
    pub(crate) fn is_full(&self) -> bool {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.as_ref().is_some_and(|sender| sender.capacity() == 0)
    }

    /// Queues a command as soon as there is room, and tells where its outcome will be. What one caller
    /// queues so is carried out in that order.
    pub(crate) async fn queue(&self, command: Command) -> Result<Queued, LedgerError> {
        let (answer, outcome) = oneshot::channel();
        let sender = self.sender().ok_or_else(stopping)?;
        sender.send(Waiting { command, answer }).await.map_err(|_| stopping())?;
        Ok(Queued(outcome))
    }

    /// What this engine has written last.
    pub(crate) fn tail(&self) -> Arc<Tail> {
        self.tail.clone()
    }

    /// Where accounts stand whose rows are behind.
    pub(crate) fn standings(&self) -> Standings {
        self.standings.clone()
    }

    pub(crate) async fn shut_down(&self) {
        // With the last sender gone the worker ends after what is queued.
        drop(self.queue.lock().unwrap_or_else(PoisonError::into_inner).take());
        // Nothing is ever sent: this ends, with an error, when the worker does.
        drop(self.running.clone().changed().await);
    }

    fn sender(&self) -> Option<mpsc::Sender<Waiting>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// How long nothing must have come until rows that are behind are written.
const REST: Duration = Duration::from_millis(200);
const REST_AFTER_FAILURE: Duration = Duration::from_secs(10);

fn run_sqlite(mut writer: sqlite::Writer, mut queue: mpsc::Receiver<Waiting>, group_max: usize) {
    let mut waiting = Vec::new();
    // What an engine before this one left behind.
    let mut is_behind = catch_up(&mut writer).unwrap_or(true);
    let mut rest = REST;
    loop {
        let received = match is_behind {
            true => receive_within(rest, &mut queue, &mut waiting, group_max),
            false => Some(queue.blocking_recv_many(&mut waiting, group_max)),
        };
        match received {
            Some(0) => break,
            Some(_) => {
                for group in Group::several(waiting.drain(..), group_max) {
                    // A panic is a defect, but it costs one group and not the engine: the answers are
                    // dropped, and with them the database transaction. The panic hook has reported it.
                    drop(catch_unwind(AssertUnwindSafe(|| carry_out_sqlite(&mut writer, group))));
                }
                is_behind = writer.is_behind();
                rest = REST;
            }
            None => match catch_up(&mut writer) {
                Some(still) => (is_behind, rest) = (still, Duration::ZERO),
                None => rest = REST_AFTER_FAILURE,
            },
        }
        if let Err(error) = writer.copy_long_log() {
            tracing::warn!(%error, "the log of the ledger's database is not copied into it");
        }
    }
    // What cannot be written, the next process makes from entries and holds.
    while catch_up(&mut writer) == Some(true) {}
}

/// What has gathered in the queue, as soon as there is something, or `None` when nothing comes for so long. On
/// a thread without a runtime, and so without its timers.
fn receive_within(
    time: Duration,
    queue: &mut mpsc::Receiver<Waiting>,
    waiting: &mut Vec<Waiting>,
    most: usize,
) -> Option<usize> {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let began = Instant::now();
    loop {
        match queue.poll_recv_many(&mut Context::from_waker(&waker), waiting, most) {
            Poll::Ready(received) => return Some(received),
            Poll::Pending => thread::park_timeout(time.checked_sub(began.elapsed())?),
        }
    }
}

/// Writes some of the rows that are behind, and tells whether any still are; `None` when it failed.
fn catch_up(writer: &mut sqlite::Writer) -> Option<bool> {
    match catch_unwind(AssertUnwindSafe(|| writer.catch_up())) {
        Ok(Ok(is_behind)) => Some(is_behind),
        Ok(Err(error)) => {
            tracing::warn!(%error, "rows of accounts stay behind");
            None
        }
        // The panic hook has reported it.
        Err(_) => None,
    }
}

fn carry_out_sqlite(writer: &mut sqlite::Writer, group: Group) {
    let mut groups = vec![group];
    while let Some(group) = groups.pop() {
        match writer.commit(&group) {
            Err(error) if error.is_about_data() => divide(group, error, &mut groups),
            outcomes => group.answer(outcomes),
        }
    }
}

async fn run_postgres(
    writer: postgres::Writer,
    mut queue: mpsc::Receiver<Waiting>,
    group_max: usize,
) {
    let mut waiting = Vec::new();
    while queue.recv_many(&mut waiting, group_max).await > 0 {
        for group in Group::several(waiting.drain(..), group_max) {
            // In a task of its own for the same reason.
            drop(tokio::spawn(carry_out_postgres(writer.clone(), group)).await);
        }
    }
    writer.close().await;
}

async fn carry_out_postgres(writer: postgres::Writer, group: Group) {
    let mut groups = vec![group];
    while let Some(group) = groups.pop() {
        match writer.commit(&group).await {
            Err(error) if error.is_about_data() => divide(group, error, &mut groups),
            outcomes => group.answer(outcomes),
        }
    }
}

/// What is wrong with the data of one command (a damaged account, say) must not refuse its neighbours:
/// the halves are tried apart, in order, until the command stands alone.
fn divide<E>(group: Group, error: E, groups: &mut Vec<Group>)
where
    E: std::error::Error + Send + Sync + 'static,
{
    match group.halves() {
        Ok((first, rest)) => groups.extend([rest, first]),
        Err(single) => single.answer(Err(error)),
    }
}

/// A map by ids. They are random or made in sequence, and a group looks up thousands: a keyed hash that is
/// quick on short keys will do.
pub(crate) type IdMap<K, V> = HashMap<K, V, foldhash::fast::RandomState>;

/// The result of each command of a group, in order.
type Decisions = Vec<Result<Outcome, Refusal>>;

fn unavailable(error: impl std::error::Error + Send + Sync + 'static) -> LedgerError {
    LedgerError::Unavailable(Box::new(error))
}

fn lost() -> LedgerError {
    LedgerError::Unavailable("the ledger failed while it carried out the command".into())
}

fn stopping() -> LedgerError {
    LedgerError::Unavailable("the ledger is shutting down".into())
}
