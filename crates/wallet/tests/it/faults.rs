//! The real ledger and the sandbox gateway, made to fail, to answer late, or to take the process down.

use async_trait::async_trait;
use kernel::{Money, Page, PageLimit, Timestamp};
use ledger::Ledger;
use ledger_api::{
    Account, AccountId, BalanceAsOf, Basis, Entry, EntryKey, Hold, HoldId, HoldRelease,
    Ledger as LedgerPort, LedgerError, LimitChange, LimitsInUse, NewAccount, NewCapture, NewHold,
    NewReversal, NewTransaction, Recorded, StatusChange, Transaction, TransactionId,
};
use ports::{Charge, ChargeRequest, PaymentGateway, PaymentGatewayError, SandboxPaymentGateway};
use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::sync::Mutex;
use tokio::sync::{Notify, watch};
use uuid::Uuid;

/// What goes wrong around one posting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The process dies before the ledger hears of it.
    DieBefore,
    /// The process dies after the ledger posted.
    DieAfter,
    /// The process dies while the posting is on its way; it arrives with [`FaultyLedger::deliver`].
    DieOnTheWay,
    /// No answer, and nothing posted.
    UnavailableBefore,
    /// No answer, although the ledger posted.
    UnavailableAfter,
    /// No answer, and the posting arrives with [`FaultyLedger::deliver`].
    UnavailableOnTheWay,
    /// The ledger's queue is full.
    Overloaded,
    /// The posting waits for [`FaultyLedger::deliver`].
    StuckBefore,
    /// The ledger's answer waits for [`FaultyLedger::deliver`].
    StuckAfter,
}

/// The ledger as one process sees it.
pub(crate) struct FaultyLedger {
    real: Ledger,
    faults: Mutex<VecDeque<Fault>>,
    on_the_way: Mutex<Vec<NewTransaction>>,
    died: Notify,
    pub(crate) stuck: Notify,
    gate: watch::Sender<u64>,
}

impl FaultyLedger {
    pub(crate) fn new(real: Ledger) -> Self {
        Self {
            real,
            faults: Mutex::default(),
            on_the_way: Mutex::default(),
            died: Notify::new(),
            stuck: Notify::new(),
            gate: watch::Sender::new(0),
        }
    }

    /// What goes wrong with the next postings, one after the other.
    pub(crate) fn fail(&self, faults: impl IntoIterator<Item = Fault>) {
        *self.faults.lock().unwrap() = faults.into_iter().collect();
    }

    /// Runs something until it is done, or until its process dies.
    pub(crate) async fn until_death<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.died.notified() => None,
            done = work => Some(done),
        }
    }

    /// Lets arrive what is on its way, and what is stuck go on. Returns what the ledger says to each
    /// posting whose sender no longer waits.
    pub(crate) async fn deliver(&self) -> Vec<Result<Recorded<Transaction>, LedgerError>> {
        self.gate.send_modify(|opened| *opened = opened.wrapping_add(1));
        let postings = std::mem::take(&mut *self.on_the_way.lock().unwrap());
        let mut answers = Vec::new();
        for posting in postings {
            answers.push(self.real.post(posting).await);
        }
        answers
    }

    async fn die<T>(&self) -> T {
        self.died.notify_one();
        std::future::pending().await
    }

    async fn wait_for_delivery(&self) {
        let mut gate = self.gate.subscribe();
        self.stuck.notify_one();
        gate.changed().await.unwrap();
    }

    fn send(&self, transaction: NewTransaction) {
        self.on_the_way.lock().unwrap().push(transaction);
    }
}

fn no_answer<T>() -> Result<T, LedgerError> {
    Err(LedgerError::Unavailable("the test cut the line".into()))
}

#[async_trait]
impl LedgerPort for FaultyLedger {
    async fn open_account(&self, account: NewAccount) -> Result<Recorded<Account>, LedgerError> {
        self.real.open_account(account).await
    }

    async fn change_status(&self, change: StatusChange) -> Result<Recorded<Account>, LedgerError> {
        self.real.change_status(change).await
    }

    async fn post_all(
        &self,
        transactions: Vec<NewTransaction>,
    ) -> Result<Vec<Recorded<Transaction>>, LedgerError> {
        self.real.post_all(transactions).await
    }

    async fn reverse(&self, reversal: NewReversal) -> Result<Recorded<Transaction>, LedgerError> {
        self.real.reverse(reversal).await
    }

    async fn hold(&self, hold: NewHold) -> Result<Recorded<Hold>, LedgerError> {
        self.real.hold(hold).await
    }

    async fn capture(&self, capture: NewCapture) -> Result<Recorded<Transaction>, LedgerError> {
        self.real.capture(capture).await
    }

    async fn release(&self, release: HoldRelease) -> Result<Recorded<Hold>, LedgerError> {
        self.real.release(release).await
    }

    async fn hold_by_id(&self, id: HoldId) -> Result<Option<Hold>, LedgerError> {
        self.real.hold_by_id(id).await
    }

    async fn set_limits(&self, change: LimitChange) -> Result<LimitsInUse, LedgerError> {
        self.real.set_limits(change).await
    }

    async fn limits(&self, account: AccountId) -> Result<Option<LimitsInUse>, LedgerError> {
        self.real.limits(account).await
    }

    async fn post(
        &self,
        transaction: NewTransaction,
    ) -> Result<Recorded<Transaction>, LedgerError> {
        let fault = self.faults.lock().unwrap().pop_front();
        match fault {
            None => self.real.post(transaction).await,
            Some(Fault::DieBefore) => self.die().await,
            Some(Fault::DieAfter) => {
                drop(self.real.post(transaction).await);
                self.die().await
            }
            Some(Fault::DieOnTheWay) => {
                self.send(transaction);
                self.die().await
            }
            Some(Fault::UnavailableBefore) => no_answer(),
            Some(Fault::UnavailableAfter) => {
                drop(self.real.post(transaction).await);
                no_answer()
            }
            Some(Fault::UnavailableOnTheWay) => {
                self.send(transaction);
                no_answer()
            }
            Some(Fault::Overloaded) => Err(LedgerError::Overloaded),
            Some(Fault::StuckBefore) => {
                self.wait_for_delivery().await;
                self.real.post(transaction).await
            }
            Some(Fault::StuckAfter) => {
                let answer = self.real.post(transaction).await;
                self.wait_for_delivery().await;
                answer
            }
        }
    }

    async fn balance_as_of(
        &self,
        id: AccountId,
        at: Option<Timestamp>,
        basis: Basis,
    ) -> Result<Option<BalanceAsOf>, LedgerError> {
        self.real.balance_as_of(id, at, basis).await
    }

    async fn account(&self, id: AccountId) -> Result<Option<Account>, LedgerError> {
        self.real.account(id).await
    }

    async fn accounts(&self, ids: &[AccountId]) -> Result<Vec<Account>, LedgerError> {
        self.real.accounts(ids).await
    }

    async fn transaction(&self, id: TransactionId) -> Result<Option<Transaction>, LedgerError> {
        self.real.transaction(id).await
    }

    async fn entries(
        &self,
        account: AccountId,
        after: Option<EntryKey>,
        limit: PageLimit,
    ) -> Result<Page<Entry>, LedgerError> {
        self.real.entries(account, after, limit).await
    }
}

/// What goes wrong around one charge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChargeFault {
    /// No answer, and nothing charged.
    UnavailableBefore,
    /// No answer, although the charge was made.
    UnavailableAfter,
}

/// The sandbox, which remembers what it charged.
#[derive(Default)]
pub(crate) struct FaultyGateway {
    faults: Mutex<VecDeque<ChargeFault>>,
    charges: Mutex<HashMap<Uuid, Money>>,
}

impl FaultyGateway {
    /// What goes wrong with the next charges, one after the other.
    pub(crate) fn fail(&self, faults: impl IntoIterator<Item = ChargeFault>) {
        *self.faults.lock().unwrap() = faults.into_iter().collect();
    }

    /// How much was charged under how many keys.
    pub(crate) fn charged(&self) -> (i64, usize) {
        let charges = self.charges.lock().unwrap();
        (charges.values().map(|amount| amount.minor_units()).sum(), charges.len())
    }
}

#[async_trait]
impl PaymentGateway for FaultyGateway {
    async fn charge(&self, request: ChargeRequest) -> Result<Charge, PaymentGatewayError> {
        let no_answer = || PaymentGatewayError::Unavailable("the test cut the line".into());
        let fault = self.faults.lock().unwrap().pop_front();
        if fault == Some(ChargeFault::UnavailableBefore) {
            return Err(no_answer());
        }
        let (key, amount) = (request.idempotency_key, request.amount);
        let charge = SandboxPaymentGateway.charge(request).await?;
        let before = self.charges.lock().unwrap().insert(key, amount);
        assert!(before.is_none_or(|before| before == amount), "one key, two amounts");
        match fault {
            Some(_) => Err(no_answer()),
            None => Ok(charge),
        }
    }
}
