//! What clients asked and were answered, and what the journal says: the material of the check.
//!
//! Times are nanoseconds of one monotonic clock. Amounts are minor units of one currency.

pub(crate) mod bank;
pub(crate) mod check;
mod observations;
#[cfg(test)]
mod tests;

use bank::HeldState;
use uuid::Uuid;

/// An account of the trial, by its place among them. All are credit-normal and may not go below zero, but for
/// [`TREASURY`].
pub(crate) type Account = usize;

/// The account that all money comes from; debit-normal and without a constraint.
pub(crate) const TREASURY: Account = 0;

/// Money from one account to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Movement {
    pub(crate) from: Account,
    pub(crate) to: Account,
    pub(crate) minor_units: i64,
}

/// Something that changes the books when it is not refused.
#[derive(Clone, Debug)]
pub(crate) enum Request {
    /// All of them or none; a single transfer is a batch of one.
    Transfers(Vec<(Uuid, Movement)>),
    /// Of a part, or of all that is left.
    Reversal {
        id: Uuid,
        original: Uuid,
        minor_units: Option<i64>,
    },
    Hold {
        id: Uuid,
        movement: Movement,
    },
    /// Of a part, or of all that is left. When it is final, the rest is let go.
    Capture {
        id: Uuid,
        hold: Uuid,
        minor_units: Option<i64>,
        is_final: bool,
    },
}

impl Request {
    /// The records that it makes.
    pub(crate) fn ids(&self) -> Vec<Uuid> {
        match self {
            Self::Transfers(all) => all.iter().map(|(id, _)| *id).collect(),
            Self::Reversal { id, .. } | Self::Hold { id, .. } | Self::Capture { id, .. } => {
                vec![*id]
            }
        }
    }
}

/// Why a request was refused, with what the refusal tells about the books.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    InsufficientFunds {
        account: Account,
        available: i64,
        /// Which one of a batch.
        index: Option<usize>,
    },
    ReversalExceedsOriginal {
        left: i64,
    },
    HoldNotPending,
    CaptureExceedsHold {
        left: i64,
    },
}

/// What came of a request, once and for all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Its records, as they were told.
    Recorded(Vec<Line>),
    Refused(Refusal),
}

/// A request with its retries.
#[derive(Clone, Debug)]
pub(crate) struct Operation {
    #[expect(dead_code, reason = "violations show who it was")]
    pub(crate) client: usize,
    pub(crate) request: Request,
    /// When the first attempt was sent.
    pub(crate) begun: u64,
    /// When the attempt was sent that was answered for good.
    pub(crate) last_begun: u64,
    /// When its answer came.
    pub(crate) ended: u64,
    pub(crate) outcome: Outcome,
}

/// The counters of an account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    pub(crate) posted_debits: i64,
    pub(crate) posted_credits: i64,
    pub(crate) pending_debits: i64,
    pub(crate) pending_credits: i64,
}

/// One line of an account's history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) transaction: Uuid,
    pub(crate) sequence: i64,
    pub(crate) is_debit: bool,
    pub(crate) minor_units: i64,
    pub(crate) balance_after: i64,
}

/// What a read was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Account {
        account: Account,
        counters: Counters,
    },
    /// The posted balance, and the journal's last record that it counts.
    Balance {
        account: Account,
        minor_units: i64,
        as_of: i64,
    },
    /// The newest entries, and whether there are more.
    Entries {
        account: Account,
        newest: Vec<Entry>,
        goes_on: bool,
    },
    /// A transaction, or that there is none.
    Transaction {
        id: Uuid,
        line: Option<Line>,
    },
    /// A hold as it stands, or that there is none.
    Hold {
        id: Uuid,
        state: Option<HeldState>,
    },
    /// Of all accounts at one instant.
    Totals {
        debits: i64,
        credits: i64,
    },
}

/// A read, with the times of the attempt that was answered.
#[derive(Clone, Debug)]
pub(crate) struct Read {
    #[expect(dead_code, reason = "violations show who it was")]
    pub(crate) client: usize,
    pub(crate) begun: u64,
    pub(crate) ended: u64,
    pub(crate) seen: Seen,
}

/// What a record of the journal does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) id: Uuid,
    pub(crate) sequence: i64,
    pub(crate) is_hold: bool,
    pub(crate) movement: Movement,
    pub(crate) reverses: Option<Uuid>,
    pub(crate) captures: Option<Uuid>,
}

/// Everything there is to check.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    /// How many accounts there are, with the treasury.
    pub(crate) accounts: usize,
    /// The last record before the trial; the next one has the next number.
    pub(crate) base_sequence: i64,
    pub(crate) operations: Vec<Operation>,
    pub(crate) reads: Vec<Read>,
    /// What the journal has after `base_sequence`, in its order.
    pub(crate) journal: Vec<Line>,
}
