//! Balances and entries as of an instant or within a period.
//!
//! An instant leads to a place in the journal (`journal_groups`), the place to the newest entry of the
//! account up to it (`entry_marks`, then at most 64 steps along the list), and the entry has the balance
//! stored. That is the balance by recording. By value date the entries whose two instants differ are taken
//! out as they were recorded and put in by their value date: both sums are stored
//! (`shifted_entries`, `shifted_days`). Nothing is ever added up from the beginning.

pub(super) mod repo;
#[cfg(test)]
mod tests;

use kernel::{Currency, Timestamp};
use ledger_api::{AccountId, Basis, EntryKey, Side};
use std::ops::Range;
use std::time::Duration;

/// The most entries that the totals of one statement are added up from.
pub(crate) const STATEMENT_ENTRIES_MAX: i64 = 1_000_000;

/// What happened on an account in a period.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Statement {
    pub(crate) account: AccountId,
    pub(crate) currency: Currency,
    pub(crate) basis: Basis,
    /// From the first instant to just before the second.
    pub(crate) period: Range<Timestamp>,
    /// In minor units, positive on the account's normal side.
    pub(crate) opening: i64,
    pub(crate) closing: i64,
    pub(crate) totals: Totals,
    pub(crate) as_of_sequence: i64,
}

/// What was debited and credited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) debits: i64,
    pub(crate) debit_count: i64,
    pub(crate) credits: i64,
    pub(crate) credit_count: i64,
}

impl Totals {
    /// All of these are sums over parts of one account's entries, which its counters hold as a whole: none
    /// can overflow.
    fn plus(self, other: Self) -> Self {
        Self {
            debits: self.debits.saturating_add(other.debits),
            debit_count: self.debit_count.saturating_add(other.debit_count),
            credits: self.credits.saturating_add(other.credits),
            credit_count: self.credit_count.saturating_add(other.credit_count),
        }
    }

    fn minus(self, other: Self) -> Self {
        Self {
            debits: self.debits.saturating_sub(other.debits),
            debit_count: self.debit_count.saturating_sub(other.debit_count),
            credits: self.credits.saturating_sub(other.credits),
            credit_count: self.credit_count.saturating_sub(other.credit_count),
        }
    }

    fn entries(self) -> i64 {
        self.debit_count.saturating_add(self.credit_count)
    }

    /// From what raised and what lowered the balance on the normal side.
    fn of_normal_side(raised: (i64, i64), lowered: (i64, i64), normal_side: Side) -> Self {
        let ((debits, debit_count), (credits, credit_count)) = match normal_side {
            Side::Credit => (lowered, raised),
            Side::Debit => (raised, lowered),
        };
        Self { debits, debit_count, credits, credit_count }
    }
}

/// A place in the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    at: Timestamp,
    /// The last record until then.
    sequence: i64,
    /// The last record of all.
    head: i64,
}

impl Place {
    /// The last key that an entry until then can have.
    fn last_key(self) -> i64 {
        EntryKey::last_of(self.sequence).0
    }
}

/// The last instant before another; instants are whole microseconds.
fn just_before(instant: Timestamp) -> Timestamp {
    instant.minus(Duration::from_micros(1))
}
