//! The ledger that is tried: on PostgreSQL two of them share the database.

use crate::commands::{Answer, Case, Command};
use crate::http;
use axum::Router;
use kernel::{Clock, Timestamp};
use ledger::{CheckpointSigner, EngineConfig, Ledger, MIGRATIONS, Verification};
use ledger_api::{Ledger as _, LedgerError};
use ports::SystemIds;
use serde_json::Value;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::task::Poll;
use store::Store;
use store::sea_orm::ConnectionTrait;
use store::testing::TestDatabase;

/// A clock that stands until it is set, to any time.
pub(crate) struct SetClock(AtomicI64);

impl SetClock {
    pub(crate) fn set(&self, now: Timestamp) {
        self.0.store(now.as_micros(), Ordering::SeqCst);
    }
}

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::SeqCst))
    }
}

/// What can be told of an answer beforehand.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Seen {
    Facade(Box<Answer>),
    Http(Value),
}

impl Seen {
    /// How the reference's answer to a command looks from outside.
    pub(crate) fn of(command: &Command, answer: Answer) -> Self {
        match command {
            Command::DryRun(_) | Command::PostEach(_) => Self::Http(http::expected(&answer)),
            _ => Self::Facade(answer.into()),
        }
    }
}

#[derive(Clone)]
pub(crate) struct Process {
    store: Store,
    pub(crate) ledger: Ledger,
    pub(crate) router: Router,
}

pub(crate) struct Real<'a> {
    database: &'a TestDatabase,
    /// The schema or file of this case.
    name: &'static str,
    group_max: usize,
    pub(crate) clock: Arc<SetClock>,
    processes: Vec<Process>,
}

impl<'a> Real<'a> {
    pub(crate) async fn start(
        database: &'a TestDatabase,
        name: &'static str,
        &Case { start, group_max, .. }: &Case,
    ) -> Self {
        let clock = Arc::new(SetClock(AtomicI64::new(start.as_micros())));
        let mut real = Self { database, name, group_max, clock, processes: Vec::new() };
        real.start_processes().await;
        real
    }

    /// One process on a SQLite file, which is one's own; two on PostgreSQL.
    async fn start_processes(&mut self) {
        let count = if self.database.postgres_url().is_some() { 2 } else { 1 };
        for _ in 0..count {
            let store = Store::open(self.name, self.database.target()).await.unwrap();
            store.migrate(MIGRATIONS).await.unwrap();
            // The cases with large groups have rows that are behind, on SQLite.
            let rows_at_once = if self.group_max.is_multiple_of(2) { 0 } else { 64 };
            let config =
                EngineConfig { group_max: self.group_max, rows_at_once, ..EngineConfig::default() };
            let clock: Arc<dyn Clock> = Arc::clone(&self.clock) as _;
            let signer = CheckpointSigner::try_new("model/ledger", &[7; 32]).unwrap();
            let (signer, ids) = (Arc::new(signer), Arc::new(SystemIds));
            let ledger = Ledger::init(store.clone(), config, signer, clock, ids).unwrap();
            let router = http::router(&ledger);
            self.processes.push(Process { store, ledger, router });
        }
    }

    async fn stop(&mut self) {
        for Process { store, ledger, router } in self.processes.drain(..) {
            ledger.shut_down().await;
            drop((ledger, router));
            store.close().await.unwrap();
        }
    }

    pub(crate) async fn restart(&mut self) {
        self.stop().await;
        self.start_processes().await;
    }

    pub(crate) fn process(&self, number: usize) -> &Process {
        &self.processes[number % self.processes.len()]
    }

    /// Nothing is left for the next case to trip over.
    pub(crate) async fn clear(mut self) {
        if self.database.postgres_url().is_some() {
            let sql = format!("drop schema {} cascade", self.name);
            execute(&self.process(0).store, &sql).await;
        }
        self.stop().await;
    }

    pub(crate) async fn verify(&self) -> ledger::Report {
        ledger::verify(&self.process(0).store, &Verification::default(), |_, _| ()).await.unwrap()
    }
}

impl Process {
    pub(crate) async fn ask(&self, command: &Command) -> Result<Seen, String> {
        let ledger = &self.ledger;
        let answer = match command.clone() {
            Command::DryRun(_) | Command::PostEach(_) => {
                return Ok(Seen::Http(http::ask(&self.router, command).await));
            }
            Command::Open(new) => ledger.open_account(new).await.map(Answer::Account),
            Command::ChangeStatus(change) => {
                ledger.change_status(change).await.map(Answer::Account)
            }
            Command::SetLimits(change) => ledger.set_limits(change).await.map(Answer::Limits),
            Command::Post(new) => ledger.post(new).await.map(Answer::Posted),
            Command::Reverse(new) => ledger.reverse(new).await.map(Answer::Posted),
            Command::Hold(new) => ledger.hold(new).await.map(Answer::Held),
            Command::Capture(new) => ledger.capture(new).await.map(Answer::Posted),
            Command::Release(release) => ledger.release(release).await.map(Answer::Held),
            Command::PostAll(batch) => ledger.post_all(batch).await.map(Answer::PostedAll),
        };
        match answer {
            Ok(answer) => Ok(Seen::Facade(answer.into())),
            Err(LedgerError::Refused(refusal)) => Ok(Seen::Facade(Answer::Refused(refusal).into())),
            Err(error) => Err(format!("{error:?}")),
        }
    }
}

/// Asks all of them at once: each process takes its commands on in this order.
pub(crate) async fn ask_at_once(asked: Vec<(Process, Command)>) -> Result<Vec<Seen>, String> {
    type Waiting = Pin<Box<dyn Future<Output = Result<Seen, String>> + Send>>;
    let mut waiting: Vec<Result<Waiting, Result<Seen, String>>> = Vec::new();
    for (process, command) in asked {
        waiting.push(Ok(Box::pin(async move { process.ask(&command).await })));
    }
    std::future::poll_fn(|context| {
        for one in &mut waiting {
            if let Ok(future) = one
                && let Poll::Ready(seen) = future.as_mut().poll(context)
            {
                *one = Err(seen);
            }
        }
        if waiting.iter().all(Result::is_err) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    waiting.into_iter().filter_map(Result::err).collect()
}

/// A database of PostgreSQL for all cases. What comes of a power cut is not asked here, so no commit waits
/// for the disk.
pub(crate) async fn postgres() -> Option<TestDatabase> {
    let database = TestDatabase::postgres().await?;
    let name = database.postgres_url()?.rsplit('/').next()?.split('?').next()?.to_owned();
    let store = Store::open("settings", database.target()).await.unwrap();
    execute(&store, &format!("alter database {name} set synchronous_commit = off")).await;
    store.close().await.unwrap();
    Some(database)
}

async fn execute(store: &Store, sql: &str) {
    let tx = store.begin().await.unwrap();
    tx.execute_unprepared(sql).await.unwrap();
    tx.commit().await.unwrap();
}
