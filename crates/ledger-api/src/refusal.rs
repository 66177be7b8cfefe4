use crate::{AccountId, AccountStatus, TransactionId};
use kernel::{Currency, Money, Timestamp};

/// Why a command was refused: one reason each, found in the order in which they stand here, each looked
/// for on all legs before the next.
///
/// `leg` is the place of the leg at fault, counted from zero.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The id was used for something else.
    #[error("this id was already used with other content; use a new id for a new command")]
    IdReused,
    /// The caller's own deadline is over.
    #[error("the command came after its deadline {deadline}; send it as a new one")]
    DeadlinePassed {
        /// The deadline.
        deadline: Timestamp,
    },
    /// A text is missing, too long, or holds U+0000, which no database text can.
    #[error("{field} must have {min} to {max} characters, none of them U+0000")]
    TextInvalid {
        /// Which member of the command.
        field: &'static str,
        /// The fewest characters.
        min: usize,
        /// The most characters.
        max: usize,
    },
    /// A credit limit is below zero.
    #[error("a credit limit is zero or more")]
    CreditLimitNegative,
    /// There is no account to change.
    #[error("there is no account {account}")]
    AccountUnknown {
        /// The unknown id.
        account: AccountId,
    },
    /// The account's status does not lead there.
    #[error("an account that is {} cannot become {}", describe(*.from), describe(*.to))]
    StatusNotReachable {
        /// What it is.
        from: AccountStatus,
        /// What it was to become.
        to: AccountStatus,
    },
    /// Only an empty account can be closed.
    #[error("move the balance of {balance} away and end its holds before closing the account")]
    AccountNotEmpty {
        /// What is on it.
        balance: Money,
    },
    /// There is no transaction to take back.
    #[error("there is no transaction {original} to reverse")]
    OriginalNotFound {
        /// The unknown id.
        original: TransactionId,
    },
    /// A reversal is not taken back; post the movement anew.
    #[error("a reversal cannot be reversed; post a new transaction instead")]
    OriginalIsReversal,
    /// More than is left of the original after earlier reversals.
    #[error("{left} minor units of the transaction are left to reverse, {asked} were asked for")]
    ReversalExceedsOriginal {
        /// What is left, in minor units of the first leg.
        left: i64,
        /// What was asked for.
        asked: i64,
    },
    /// Only a transaction with two legs can be taken back in part.
    #[error(
        "a transaction with more than two legs can only be reversed whole; leave the amount out"
    )]
    PartialReversalOfManyLegs,
    /// Fewer than two legs, or more than [`crate::LEGS_MAX`].
    #[error("a transaction needs 2 to {} legs, this one has {count}", crate::LEGS_MAX)]
    LegCount {
        /// How many there are.
        count: usize,
    },
    /// An amount is zero or negative.
    #[error("leg {leg}: the amount must be greater than zero; use the direction instead of a sign")]
    AmountNotPositive {
        /// Which leg.
        leg: usize,
    },
    /// The legs do not sum to zero in a currency.
    #[error("debits and credits differ in {currency}: {debits} against {credits} minor units")]
    Unbalanced {
        /// In which currency.
        currency: Currency,
        /// Sum of its debits, in minor units.
        debits: i128,
        /// Sum of its credits, in minor units.
        credits: i128,
    },
    /// There is no such account.
    #[error("leg {leg}: there is no account {account}")]
    AccountNotFound {
        /// Which leg.
        leg: usize,
        /// The unknown id.
        account: AccountId,
    },
    /// The leg is not in the account's currency.
    #[error("leg {leg}: account {account} is held in {held}")]
    CurrencyMismatch {
        /// Which leg.
        leg: usize,
        /// The account.
        account: AccountId,
        /// The account's currency.
        held: Currency,
    },
    /// The account is frozen or closed.
    #[error("leg {leg}: account {account} takes no transactions, it is {}", describe(*.status))]
    AccountNotOpen {
        /// Which leg.
        leg: usize,
        /// The account.
        account: AccountId,
        /// Its status.
        status: AccountStatus,
    },
    /// A counter of the account would leave the range of 64 bits.
    #[error("leg {leg}: account {account} cannot count that much")]
    BalanceOverflow {
        /// Which leg.
        leg: usize,
        /// The account.
        account: AccountId,
    },
    /// The account's constraint would be broken.
    #[error("account {account} has {} available, {} is needed", .available, .required)]
    InsufficientFunds {
        /// The account.
        account: AccountId,
        /// What may be taken out, credit limit included.
        available: Money,
        /// What the transaction takes out.
        required: Money,
    },
    /// One transaction of an all-or-nothing batch was refused, so none was posted.
    #[error("transaction {index} of the batch: {refusal}")]
    InBatch {
        /// Its place in the batch, from zero.
        index: usize,
        /// Why it was refused.
        refusal: Box<Refusal>,
    },
}

fn describe(status: AccountStatus) -> &'static str {
    match status {
        AccountStatus::Open => "open",
        AccountStatus::Frozen => "frozen",
        AccountStatus::Closed => "closed",
    }
}
