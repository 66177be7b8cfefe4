use crate::AccountId;
use kernel::{Money, Timestamp};

/// By which of its two instants an entry counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Basis {
    /// By its value date. Everything recorded until now counts, so an answer about the past may change
    /// with the next backdated posting.
    Effective,
    /// By the instant of recording. An answer about the past never changes.
    Recorded,
}

/// The balance of an account as of an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BalanceAsOf {
    /// The account.
    pub account: AccountId,
    /// The instant; what happened at it counts.
    pub at: Timestamp,
    /// By which instant entries counted.
    pub basis: Basis,
    /// The posted balance, positive on the account's normal side. Zero before the account was opened.
    pub balance: Money,
    /// The last record of the journal that was taken into account: the last until the instant when
    /// [`Basis::Recorded`], the last of all when [`Basis::Effective`].
    pub as_of_sequence: i64,
}
