#![doc = include_str!("../README.md")]

mod account;
mod balance;
mod hold;
mod limit;
mod refusal;
mod transaction;

pub use account::{
    Account, AccountStatus, Balances, Constraint, NAME_CHARS_MAX, NewAccount, Side, StatusChange,
};
pub use balance::{BalanceAsOf, Basis};
pub use hold::{Hold, HoldRelease, HoldStatus, NewCapture, NewHold, ReleaseCause};
pub use limit::{
    Direction, LIMITS_MAX, Limit, LimitChange, LimitUsage, Limits, LimitsInUse, Measure, Period,
};
pub use refusal::{LimitFault, Refusal};
pub use transaction::{
    DESCRIPTION_CHARS_MAX, Entry, EntryKey, KIND_CHARS_MAX, LEGS_MAX, Leg, NewReversal,
    NewTransaction, REFERENCE_CHARS_MAX, REVERSAL_KIND, Transaction,
};

use async_trait::async_trait;
use kernel::{CursorError, Page, PageLimit, Timestamp};

kernel::typed_id! {
    /// A ledger account; chosen by whoever opens it.
    AccountId;
    /// A hold; chosen by whoever makes it, and the idempotency key of it.
    HoldId;
    /// A ledger transaction; chosen by whoever posts it, and the idempotency key of the posting.
    TransactionId;
}

/// Whether a command was carried out now or had been before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded<T> {
    /// What the ledger holds.
    pub record: T,
    /// True when the same command had been carried out before and nothing happened now.
    pub replayed: bool,
}

/// Why the ledger did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The command was decided and refused; nothing moved and nothing was recorded.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The queue of commands is full; nothing was taken on. Try again a little later.
    #[error("the ledger is busy; try again in a moment")]
    Overloaded,
    /// The store did not answer. The command may or may not have been carried out: send it again with
    /// the same id.
    #[error("the ledger cannot answer; send the same command again")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// The ledger.
#[async_trait]
pub trait Ledger: Send + Sync {
    /// Opens an account. Again with the same id and content: answers with the account as it is.
    async fn open_account(&self, account: NewAccount) -> Result<Recorded<Account>, LedgerError>;

    /// Freezes, unfreezes or closes an account. Answers with the account as it is then.
    async fn change_status(&self, change: StatusChange) -> Result<Recorded<Account>, LedgerError>;

    /// Posts a transaction: all of its legs or none. Again with the same id and content: answers with
    /// the first result and moves nothing.
    async fn post(&self, transaction: NewTransaction)
    -> Result<Recorded<Transaction>, LedgerError>;

    /// Posts several transactions at once: all of them, or none when one is refused
    /// ([`Refusal::InBatch`] says which and why).
    async fn post_all(
        &self,
        transactions: Vec<NewTransaction>,
    ) -> Result<Vec<Recorded<Transaction>>, LedgerError>;

    /// Takes a transaction back by a new one with the sides exchanged, in whole or in part, never more
    /// than there was. Again with the same id and content: answers with the first result.
    async fn reverse(&self, reversal: NewReversal) -> Result<Recorded<Transaction>, LedgerError>;

    /// Sets money aside. Again with the same id and content: answers with the hold as it is.
    async fn hold(&self, hold: NewHold) -> Result<Recorded<Hold>, LedgerError>;

    /// Posts a hold, in whole or in part. Again with the same id and content: answers with the first
    /// result.
    async fn capture(&self, capture: NewCapture) -> Result<Recorded<Transaction>, LedgerError>;

    /// Releases what is left of a hold. Once released, it stays so and nothing happens.
    async fn release(&self, release: HoldRelease) -> Result<Recorded<Hold>, LedgerError>;

    /// A hold; `None` if there is none with this id.
    async fn hold_by_id(&self, id: HoldId) -> Result<Option<Hold>, LedgerError>;

    /// Sets the limits of an account in the place of those that there are.
    async fn set_limits(&self, change: LimitChange) -> Result<LimitsInUse, LedgerError>;

    /// The limits of an account and what is used of them; `None` if there is no such account.
    async fn limits(&self, account: AccountId) -> Result<Option<LimitsInUse>, LedgerError>;

    /// An account and its balances; `None` if there is none with this id.
    async fn account(&self, id: AccountId) -> Result<Option<Account>, LedgerError>;

    /// Several accounts and their balances as of one instant, in no particular order; unknown ids are
    /// left out.
    async fn accounts(&self, ids: &[AccountId]) -> Result<Vec<Account>, LedgerError>;

    /// The balance of an account as of an instant, now when not said; `None` if there is no account with
    /// this id. It costs the same however long the account's history is.
    async fn balance_as_of(
        &self,
        id: AccountId,
        at: Option<Timestamp>,
        basis: Basis,
    ) -> Result<Option<BalanceAsOf>, LedgerError>;

    /// A transaction; `None` if there is none with this id.
    async fn transaction(&self, id: TransactionId) -> Result<Option<Transaction>, LedgerError>;

    /// The entries of an account, newest first, after (that is: older than) a key.
    async fn entries(
        &self,
        account: AccountId,
        after: Option<EntryKey>,
        limit: PageLimit,
    ) -> Result<Page<Entry>, LedgerError>;
}

impl From<EntryKey> for kernel::Cursor {
    fn from(key: EntryKey) -> Self {
        Self::from_i64(key.0)
    }
}

impl TryFrom<&kernel::Cursor> for EntryKey {
    type Error = CursorError;

    fn try_from(cursor: &kernel::Cursor) -> Result<Self, CursorError> {
        cursor.as_i64().map(Self)
    }
}
