use crate::AccountId;
use kernel::{Currency, Timestamp};

/// The longest name of an account, in characters.
pub const NAME_CHARS_MAX: usize = 200;

/// The two sides of double-entry bookkeeping.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// The left side; assets and expenses grow on it.
    Debit,
    /// The right side; liabilities, equity and income grow on it. A customer's money is our liability.
    Credit,
}

/// How low an account's available balance may be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Constraint {
    /// Not below zero.
    NonNegative,
    /// Not below minus this many minor units, which is zero or more.
    CreditLimit(i64),
    /// As low as it goes: settlement and other internal accounts.
    Unlimited,
}

/// Whether an account takes part in transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountStatus {
    /// It does.
    Open,
    /// It does not, for now.
    Frozen,
    /// It never will again.
    Closed,
}

/// An account to open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewAccount {
    /// Its id, the caller's choice.
    pub id: AccountId,
    /// What it is for, for people; 1 to [`NAME_CHARS_MAX`] characters.
    pub name: String,
    /// The currency of everything on it.
    pub currency: Currency,
    /// The side it grows on.
    pub normal_side: Side,
    /// How low it may be taken.
    pub constraint: Constraint,
}

/// A change of an account's status.
///
/// | from | to | |
/// |---|---|---|
/// | open | frozen | |
/// | frozen | open | |
/// | open, frozen | closed | with a balance of zero and nothing on hold |
///
/// Nothing leads out of closed. To the status that an account has already nothing happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusChange {
    /// The account.
    pub account: AccountId,
    /// What it becomes.
    pub to: AccountStatus,
    /// Why, for people; 1 to 500 characters.
    pub reason: String,
}

/// What went through an account, in minor units, each counter only ever growing by postings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Balances {
    /// Sum of posted debits.
    pub posted_debits: i64,
    /// Sum of posted credits.
    pub posted_credits: i64,
    /// Sum of debits on hold.
    pub pending_debits: i64,
    /// Sum of credits on hold.
    pub pending_credits: i64,
}

/// An account with its balances.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its id.
    pub id: AccountId,
    /// What it is for.
    pub name: String,
    /// Its currency.
    pub currency: Currency,
    /// The side it grows on.
    pub normal_side: Side,
    /// How low it may be taken.
    pub constraint: Constraint,
    /// Whether it takes part.
    pub status: AccountStatus,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// What went through it.
    pub balances: Balances,
}

impl Side {
    /// The other side.
    #[must_use]
    pub fn opposite(self) -> Self {
        match self {
            Self::Debit => Self::Credit,
            Self::Credit => Self::Debit,
        }
    }
}

impl Constraint {
    /// The lowest available balance allowed, in minor units; `None` when there is no lowest.
    pub fn lowest_available(self) -> Option<i64> {
        match self {
            Self::NonNegative => Some(0),
            Self::CreditLimit(limit) => Some(0_i64.saturating_sub(limit)),
            Self::Unlimited => None,
        }
    }

    /// The constraint that a lowest available balance stands for.
    pub fn from_lowest_available(lowest: Option<i64>) -> Self {
        match lowest {
            None => Self::Unlimited,
            Some(0) => Self::NonNegative,
            Some(lowest) => Self::CreditLimit(0_i64.saturating_sub(lowest)),
        }
    }
}

impl Balances {
    /// Whether nothing is left on the account and nothing is on hold.
    pub fn is_empty(&self) -> bool {
        self.posted_debits == self.posted_credits
            && self.pending_debits == 0
            && self.pending_credits == 0
    }

    /// The posted balance, positive on the normal side. Both counters are zero or more, so the
    /// difference always fits.
    pub fn posted(&self, normal_side: Side) -> i64 {
        match normal_side {
            Side::Credit => self.posted_credits.saturating_sub(self.posted_debits),
            Side::Debit => self.posted_debits.saturating_sub(self.posted_credits),
        }
    }

    /// What may be taken out: the posted balance less what is on hold to go out. Money on hold to come in
    /// does not count yet.
    pub fn available(&self, normal_side: Side) -> i64 {
        let outgoing = match normal_side {
            Side::Credit => self.pending_debits,
            Side::Debit => self.pending_credits,
        };
        self.posted(normal_side).saturating_sub(outgoing)
    }
}

impl Account {
    /// The posted balance in minor units, positive on the normal side.
    pub fn posted(&self) -> i64 {
        self.balances.posted(self.normal_side)
    }

    /// What may be taken out, in minor units.
    pub fn available(&self) -> i64 {
        self.balances.available(self.normal_side)
    }
}
