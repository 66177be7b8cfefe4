//! A ledger of its own for each test, and short words for what is posted to it.

use kernel::{Clock, Currency, ManualClock, Money, Timestamp, UserId};
use ledger::{CheckpointSigner, EngineConfig, Ledger, MIGRATIONS};
use ledger_api::{
    Account, AccountId, AccountStatus, Constraint, Direction, HoldId, HoldRelease, Ledger as _,
    LedgerError, Leg, Limit, LimitChange, Limits, NewAccount, NewCapture, NewHold, NewReversal,
    NewTransaction, Period, Recorded, Refusal, ReleaseCause, Side, StatusChange, Transaction,
    TransactionId,
};
use ports::SystemIds;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use store::Store;
use store::sea_orm::{ConnectionTrait, DatabaseTransaction, QueryResult};
use store::testing::TestDatabase;
use uuid::Uuid;

/// A ledger on a migrated store, and the clock it reads.
pub(crate) struct World {
    pub(crate) store: Store,
    pub(crate) ledger: Ledger,
    pub(crate) clock: Arc<ManualClock>,
}

pub(crate) fn noon() -> Timestamp {
    "2026-11-23T12:00:00.000001Z".parse().unwrap()
}

pub(crate) async fn open_store(database: &TestDatabase) -> Store {
    let store = Store::open("ledger", database.target()).await.unwrap();
    store.migrate(MIGRATIONS).await.unwrap();
    store
}

impl World {
    pub(crate) async fn new(database: &TestDatabase) -> Self {
        Self::with(database, EngineConfig::default()).await
    }

    pub(crate) async fn with(database: &TestDatabase, config: EngineConfig) -> Self {
        let store = open_store(database).await;
        let clock = Arc::new(ManualClock::at(noon()));
        let ledger = start(&store, config, clock.clone());
        Self { store, ledger, clock }
    }

    /// Settlement account 1, without a limit, and customers 2 to `last`, all in dirhams, each customer
    /// with `each` minor units.
    pub(crate) async fn with_customers(self, last: u128, each: i64) -> Self {
        self.open(settlement(1)).await;
        for number in 2..=last {
            self.open(customer(number)).await;
            if each > 0 {
                let funding = transfer(1_000_000 + number, 1, number, each);
                self.ledger.post(funding).await.unwrap();
            }
        }
        self
    }

    pub(crate) async fn open(&self, new: NewAccount) -> Account {
        self.ledger.open_account(new).await.unwrap().record
    }

    /// The posted balance, positive on the account's normal side.
    pub(crate) async fn balance(&self, number: u128) -> i64 {
        self.ledger.account(account_id(number)).await.unwrap().unwrap().posted()
    }

    /// How many rows there are in each table of the journal, and where it ends.
    pub(crate) async fn rows(&self) -> Vec<i64> {
        let mut rows = vec![self.number("select last_sequence from journal_head").await];
        for table in [
            "accounts",
            "account_changes",
            "transactions",
            "entries",
            "limit_changes",
            "holds",
            "hold_changes",
        ] {
            rows.push(self.number(&format!("select count(*) from {table}")).await);
        }
        rows
    }

    /// The ledger stops, and another one goes on with its database.
    pub(crate) async fn restarted(self, database: &TestDatabase) -> Self {
        let Self { store, ledger, clock } = self;
        ledger.shut_down().await;
        drop(ledger);
        store.close().await.unwrap();
        let store = open_store(database).await;
        let ledger = start(&store, EngineConfig::default(), clock.clone());
        Self { store, ledger, clock }
    }

    /// Nothing is wrong with the books.
    pub(crate) async fn verify_clean(&self) -> ledger::Report {
        let report =
            ledger::verify(&self.store, &ledger::Verification::default(), |_, _| ()).await.unwrap();
        assert_eq!(report.findings, [], "the ledger does not add up");
        report
    }

    /// One number from the database.
    pub(crate) async fn number(&self, sql: &str) -> i64 {
        let row: Option<QueryResult> =
            self.store.read().query_one_raw(self.store.statement(sql, [])).await.unwrap();
        row.unwrap().try_get_by_index(0).unwrap()
    }

    /// Runs SQL as whoever has the database's password would.
    pub(crate) async fn tamper(&self, sql: &str) -> Result<(), store::StoreError> {
        let tx = self.store.begin().await?;
        tx.execute_unprepared(sql).await?;
        Ok(tx.commit().await?)
    }

    /// Keeps every engine on this database from writing until the result is dropped.
    pub(crate) async fn hold_the_journal(&self) -> DatabaseTransaction {
        let tx = self.store.begin().await.unwrap();
        let sql = "update journal_head set last_sequence = last_sequence where id = 1";
        tx.execute_unprepared(sql).await.unwrap();
        tx
    }
}

pub(crate) fn start(store: &Store, config: EngineConfig, clock: Arc<dyn Clock>) -> Ledger {
    let signer = Arc::new(signer());
    Ledger::init(store.clone(), config, signer, clock, Arc::new(SystemIds)).unwrap()
}

pub(crate) fn signer() -> CheckpointSigner {
    CheckpointSigner::try_new("test/ledger", &[7; 32]).unwrap()
}

pub(crate) fn account_id(number: u128) -> AccountId {
    AccountId(Uuid::from_u128(number))
}

/// Somebody, or an API client.
pub(crate) fn user(number: u128) -> UserId {
    UserId(Uuid::from_u128(number))
}

pub(crate) fn transaction_id(number: u128) -> TransactionId {
    TransactionId(Uuid::from_u128(number))
}

/// A customer's account in dirhams: not below zero.
pub(crate) fn customer(number: u128) -> NewAccount {
    NewAccount {
        id: account_id(number),
        name: format!("Customer {number}"),
        currency: Currency::MAD,
        normal_side: Side::Credit,
        constraint: Constraint::NonNegative,
    }
}

/// One of our own accounts in dirhams: as low as it goes.
pub(crate) fn settlement(number: u128) -> NewAccount {
    NewAccount {
        name: format!("Settlement {number}"),
        normal_side: Side::Debit,
        constraint: Constraint::Unlimited,
        ..customer(number)
    }
}

pub(crate) fn debit(account: u128, amount: i64, currency: Currency) -> Leg {
    let amount = Money::new(amount, currency);
    Leg { account_id: account_id(account), direction: Side::Debit, amount }
}

pub(crate) fn credit(account: u128, amount: i64, currency: Currency) -> Leg {
    Leg { direction: Side::Credit, ..debit(account, amount, currency) }
}

pub(crate) fn with_legs(id: u128, legs: Vec<Leg>) -> NewTransaction {
    NewTransaction {
        id: transaction_id(id),
        kind: "transfer".into(),
        description: None,
        reference: None,
        effective_at: None,
        metadata: BTreeMap::new(),
        legs,
        not_after: None,
        initiated_by: None,
    }
}

/// Dirhams from one account to another. From the settlement account it is funding.
pub(crate) fn transfer(id: u128, from: u128, to: u128, amount: i64) -> NewTransaction {
    with_legs(id, vec![debit(from, amount, Currency::MAD), credit(to, amount, Currency::MAD)])
}

/// A transaction back again, in whole or in part.
pub(crate) fn reversal(id: u128, original: u128, minor_units: Option<i64>) -> NewReversal {
    NewReversal {
        id: transaction_id(id),
        original: transaction_id(original),
        minor_units,
        reason: "charged twice".into(),
        initiated_by: None,
    }
}

pub(crate) fn change(account: u128, to: AccountStatus, reason: &str) -> StatusChange {
    StatusChange { account: account_id(account), to, reason: reason.into() }
}

pub(crate) fn hold_id(number: u128) -> HoldId {
    HoldId(Uuid::from_u128(number))
}

/// Dirhams set aside on one account for another.
pub(crate) fn hold(id: u128, from: u128, to: u128, amount: i64) -> NewHold {
    NewHold {
        id: hold_id(id),
        kind: "card".into(),
        description: None,
        reference: None,
        metadata: BTreeMap::new(),
        legs: transfer(id, from, to, amount).legs,
        expires_at: None,
        tolerance: 0,
        initiated_by: None,
    }
}

pub(crate) fn capture(id: u128, hold: u128, minor_units: Option<i64>) -> NewCapture {
    NewCapture {
        id: transaction_id(id),
        hold: hold_id(hold),
        minor_units,
        is_final: false,
        initiated_by: None,
    }
}

pub(crate) fn voided(hold: u128) -> HoldRelease {
    let cause = ReleaseCause::Voided(Some("cancelled".into()));
    HoldRelease { hold: hold_id(hold), cause, initiated_by: None }
}

/// So much may leave an account in a day, in UTC.
pub(crate) fn daily(minor_units: i64) -> Limit {
    Limit {
        direction: Direction::Outgoing,
        kind: None,
        period: Period::Day,
        minor_units: Some(minor_units),
        count: None,
    }
}

pub(crate) fn limits(account: u128, limits: &[Limit]) -> LimitChange {
    let limits = Limits { limits: limits.to_vec(), ..Limits::default() };
    LimitChange { account: account_id(account), limits }
}

#[track_caller]
pub(crate) fn refusal<T: std::fmt::Debug>(result: Result<T, LedgerError>) -> Refusal {
    match result {
        Err(LedgerError::Refused(refusal)) => refusal,
        other => panic!("{other:?}"),
    }
}

pub(crate) type Pending =
    Pin<Box<dyn Future<Output = Result<Recorded<Transaction>, LedgerError>> + Send>>;

/// Puts a posting into the engine's queue, or gets its answer if it comes at once.
pub(crate) async fn queue(
    ledger: &Ledger,
    new: NewTransaction,
) -> Result<Pending, Result<Recorded<Transaction>, LedgerError>> {
    let ledger = ledger.clone();
    let mut pending: Pending = Box::pin(async move { ledger.post(new).await });
    let polled = std::future::poll_fn(|context| Poll::Ready(pending.as_mut().poll(context))).await;
    match polled {
        Poll::Pending => Ok(pending),
        Poll::Ready(answer) => Err(answer),
    }
}

/// Puts any command into the engine's queue, behind those that are there; the engine must be held.
pub(crate) async fn queued<T>(
    command: impl Future<Output = T> + Send + 'static,
) -> Pin<Box<dyn Future<Output = T> + Send>> {
    let mut pending: Pin<Box<dyn Future<Output = T> + Send>> = Box::pin(command);
    let polled = std::future::poll_fn(|context| Poll::Ready(pending.as_mut().poll(context))).await;
    assert!(polled.is_pending(), "answered although the engine is held");
    pending
}
