use crate::{
    AccountId, AccountStatus, Direction, HoldId, HoldStatus, Limit, Measure, Period, TransactionId,
};
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
    /// There is no hold to capture or release.
    #[error("there is no hold {hold}")]
    HoldNotFound {
        /// The unknown id.
        hold: HoldId,
    },
    /// The hold has ended.
    #[error("the hold was {} before; make a new hold", describe_hold(*.status))]
    HoldNotPending {
        /// How it ended.
        status: HoldStatus,
    },
    /// The hold's time is over, or, for one to be expired, it is not.
    #[error("the hold {}", describe_expiry(*.expires_at, *.is_over))]
    HoldExpiry {
        /// When it expires.
        expires_at: Option<Timestamp>,
        /// Whether that is in the past.
        is_over: bool,
    },
    /// More than is left of the hold and its tolerance.
    #[error("{left} minor units of the hold can be captured, {asked} were asked for")]
    CaptureExceedsHold {
        /// What can be captured, tolerance included, in minor units of the first leg.
        left: i64,
        /// What was asked for.
        asked: i64,
    },
    /// Only a hold with two legs can be captured in part.
    #[error("a hold with more than two legs can only be captured whole; leave the amount out")]
    PartialCaptureOfManyLegs,
    /// Limits that contradict themselves.
    #[error("{0}")]
    LimitsInvalid(LimitFault),
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
    /// A tolerance below zero, or one for a hold with more than two legs.
    #[error("a tolerance is zero or more, and zero for a hold with more than two legs")]
    ToleranceInvalid,
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
    /// A limit of the account would be exceeded.
    #[error("{}", describe_limit(.account, .limit, *.measure, *.left, *.resets_at))]
    LimitExceeded {
        /// The account.
        account: AccountId,
        /// The limit.
        limit: Box<Limit>,
        /// What of it would be exceeded.
        measure: Measure,
        /// How much of it is left: minor units, or transactions.
        left: i64,
        /// When the next period begins; `None` for a limit on each transaction.
        resets_at: Option<Timestamp>,
    },
    /// Another transaction that this one is linked to was refused, so neither was posted.
    #[error("transaction {index}, which this one is linked to, was refused")]
    LinkedRefused {
        /// The other's place in the batch, from zero.
        index: usize,
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

/// What is wrong with limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LimitFault {
    /// More than [`crate::LIMITS_MAX`].
    #[error("an account has at most {} limits", crate::LIMITS_MAX)]
    TooMany,
    /// Two for the same.
    #[error("limit {0} is about the same direction, kind and period as an earlier one")]
    Twice(usize),
    /// Neither an amount nor a count, one below zero, or a count of one transaction.
    #[error("limit {0} needs an amount or a count of zero or more, a transaction only an amount")]
    Measures(usize),
    /// A kind that no transaction can have.
    #[error("limit {0}: the kind must have 1 to {max} characters", max = crate::KIND_CHARS_MAX)]
    Kind(usize),
}

fn describe_hold(status: HoldStatus) -> &'static str {
    match status {
        HoldStatus::Pending => "pending",
        HoldStatus::Captured => "captured",
        HoldStatus::Voided => "voided",
        HoldStatus::Expired => "expired",
    }
}

fn describe_expiry(expires_at: Option<Timestamp>, is_over: bool) -> String {
    match expires_at {
        Some(at) if is_over => format!("expired at {at}; make a new hold"),
        Some(at) => format!("does not expire before {at}"),
        None => "does not expire".into(),
    }
}

fn describe_limit(
    account: &AccountId,
    limit: &Limit,
    measure: Measure,
    left: i64,
    resets_at: Option<Timestamp>,
) -> String {
    let direction = match limit.direction {
        Direction::Incoming => "incoming",
        Direction::Outgoing => "outgoing",
    };
    let period = match limit.period {
        Period::Transaction => "a transaction",
        Period::Day => "a day",
        Period::Month => "a month",
    };
    let kind = limit.kind.as_deref().map(|kind| format!(" of kind {kind}")).unwrap_or_default();
    let what = match measure {
        Measure::Amount => format!("{left} minor units of its {direction} amount"),
        Measure::Count => format!("{left} of its {direction} transactions"),
    };
    let until = resets_at.map(|at| format!(", until {at}")).unwrap_or_default();
    format!("account {account} has {what}{kind} for {period} left{until}")
}
