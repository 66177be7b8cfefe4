use crate::AccountId;
use kernel::{TimeZone, Timestamp};

/// The most limits of one account.
pub const LIMITS_MAX: usize = 20;

/// What may go through an account, beside its constraint.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Where its days and months begin.
    pub time_zone: TimeZone,
    /// Each of them holds; at most [`LIMITS_MAX`], no two for the same.
    pub limits: Vec<Limit>,
}

/// One limit: how much, and how often, in a period.
///
/// What counts is what a transaction leaves an account with: the net change of its posted balance. A
/// hold counts when it is made, its captures count as far as they take more, and what is released
/// of it within the period is given back, if the limit was there when it was made and the account's time
/// zone is still the same. A reversal neither counts nor gives back.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Limit {
    /// Which way the money goes.
    pub direction: Direction,
    /// Only transactions of this kind; any when not said.
    pub kind: Option<String>,
    /// Over which time it is summed.
    pub period: Period,
    /// The most minor units.
    pub minor_units: Option<i64>,
    /// The most transactions; not with [`Period::Transaction`].
    pub count: Option<i64>,
}

/// Which way money goes, as the account's owner sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// To the account: its balance rises.
    Incoming,
    /// From the account: its balance falls.
    Outgoing,
}

/// The time over which a limit sums up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Period {
    /// One transaction.
    Transaction,
    /// A day in the account's time zone.
    Day,
    /// A month in the account's time zone.
    Month,
}

/// What a limit limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// The sum of the amounts, in minor units.
    Amount,
    /// How many transactions.
    Count,
}

/// Limits to set, in the place of those that there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitChange {
    /// The account.
    pub account: AccountId,
    /// Its limits from now on. What was used in the present day and month stays used.
    pub limits: Limits,
}

/// A limit and what is used of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitUsage {
    /// The limit.
    pub limit: Limit,
    /// Minor units used in the present period.
    pub used_minor_units: i64,
    /// Transactions in the present period.
    pub used_count: i64,
    /// When the next period begins.
    pub resets_at: Option<Timestamp>,
}

/// The limits of an account and what is used of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitsInUse {
    /// Where the account's days and months begin.
    pub time_zone: TimeZone,
    /// Each of them.
    pub limits: Vec<LimitUsage>,
}

impl Limit {
    /// Whether two limits limit the same, if perhaps differently.
    pub fn is_about_the_same_as(&self, other: &Self) -> bool {
        (self.direction, self.period) == (other.direction, other.period) && self.kind == other.kind
    }
}
