//! The JSON shapes of the ledger's routes and events.

use super::limits::LimitBody;
use kernel::{Currency, Money, Timestamp, UserId};
use ledger_api::{
    Account, AccountId, AccountStatus, Constraint, DESCRIPTION_CHARS_MAX, Entry, HoldId,
    KIND_CHARS_MAX, LEGS_MAX, Leg, NAME_CHARS_MAX, NewAccount, NewTransaction, REFERENCE_CHARS_MAX,
    Side, Transaction, TransactionId,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use utoipa::ToSchema;
use uuid::Uuid;
use web::{FieldErrors, Validate, is_amount};

/// One of the two sides of double-entry bookkeeping.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) enum SideBody {
    Debit,
    Credit,
}

/// Whether an account takes part in transactions.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) enum AccountStatusBody {
    Open,
    Frozen,
    Closed,
}

/// How low an account's available balance may be taken.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum ConstraintBody {
    /// Not below zero.
    // With braces, so that a limit beside it is an unknown member and not overlooked.
    NonNegative {},
    /// Not below minus the limit.
    // On the variant, because utoipa does not know `rename_all_fields`.
    #[serde(rename_all = "camelCase")]
    CreditLimit {
        #[schema(minimum = 1, maximum = 9007199254740991_i64)]
        limit_minor_units: i64,
    },
    /// As low as it goes; for settlement and other internal accounts.
    Unlimited {},
}

/// An account to open.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct OpenAccountBody {
    /// Yours to choose; made by the server when left out. The same id again with the same content
    /// answers with the account as it is.
    id: Option<Uuid>,
    /// What the account is for, for people.
    #[schema(min_length = 1, max_length = 200, example = "Settlement MAD")]
    name: String,
    /// ISO 4217.
    #[schema(value_type = String, pattern = "^[A-Z]{3}$", example = "MAD")]
    currency_code: Currency,
    /// The side it grows on: debit for what is ours, credit for what is a customer's.
    normal_side: SideBody,
    /// `non_negative` when left out.
    constraint: Option<ConstraintBody>,
}

/// An account and its balances, in minor units.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AccountBody {
    id: Uuid,
    name: String,
    #[schema(value_type = String, example = "MAD")]
    currency_code: Currency,
    normal_side: SideBody,
    constraint: ConstraintBody,
    status: AccountStatusBody,
    /// Posted, positive on the normal side.
    balance_minor_units: i64,
    /// What may be taken out: posted less what is on hold.
    available_minor_units: i64,
    posted_debits_minor_units: i64,
    posted_credits_minor_units: i64,
    pending_debits_minor_units: i64,
    pending_credits_minor_units: i64,
    #[schema(value_type = String, format = DateTime)]
    opened_at: Timestamp,
}

/// The event of an account's opening.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OpenedBody {
    id: Uuid,
    name: String,
    currency_code: Currency,
    normal_side: SideBody,
    opened_at: Timestamp,
}

/// The event of a change of an account's status.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StatusChangedBody {
    pub(crate) id: Uuid,
    pub(crate) status: String,
    pub(crate) reason: String,
    pub(crate) changed_at: Timestamp,
}

/// One leg of a transaction.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct LegBody {
    account_id: Uuid,
    direction: SideBody,
    /// Whole minor units, greater than zero.
    #[schema(minimum = 1, maximum = 9007199254740991_i64, example = 25000)]
    amount_minor_units: i64,
    /// The account's currency, ISO 4217.
    #[schema(value_type = String, pattern = "^[A-Z]{3}$", example = "MAD")]
    currency_code: Currency,
}

/// A transaction to post.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct PostTransactionBody {
    /// Yours to choose, and the idempotency key of the posting. Without it, send `Idempotency-Key`.
    id: Option<Uuid>,
    /// What kind of movement it is.
    #[schema(min_length = 1, max_length = 64, example = "settlement")]
    kind: String,
    #[schema(max_length = 500)]
    description: Option<String>,
    /// Your own reference.
    #[schema(max_length = 200)]
    reference: Option<String>,
    /// The value date; the instant of recording when left out.
    #[schema(value_type = Option<String>, format = DateTime)]
    effective_at: Option<Timestamp>,
    /// Up to 50 strings, keys up to 64 characters, values up to 500.
    #[serde(default)]
    metadata: BTreeMap<String, String>,
    /// 2 to 1,000 legs; debits equal credits in each currency.
    #[schema(min_items = 2, max_items = 1000)]
    legs: Vec<LegBody>,
    /// In a batch whose transactions are posted each on its own: this one and the next are posted both or
    /// neither. Several in a row make a chain.
    #[serde(default)]
    linked: bool,
}

/// A posted transaction.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct TransactionBody {
    id: Uuid,
    /// Its place in the journal.
    sequence: i64,
    kind: String,
    description: Option<String>,
    reference: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    effective_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    recorded_at: Timestamp,
    metadata: BTreeMap<String, String>,
    legs: Vec<LegBody>,
    /// The transaction that this one takes back, in whole or in part.
    reverses: Option<Uuid>,
    /// The hold that this one captures, in whole or in part.
    captures: Option<Uuid>,
    /// The user or API client who asked for it first. Null when nobody did, or before the journal had this.
    initiated_by: Option<Uuid>,
}

/// The event of a change of an account's limits.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LimitsChangedBody {
    pub(crate) id: Uuid,
    pub(crate) time_zone: kernel::TimeZone,
    pub(crate) limits: Vec<LimitBody>,
    pub(crate) changed_at: Timestamp,
}

/// One leg in the history of an account.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EntryBody {
    transaction_id: Uuid,
    /// The transaction's place in the journal.
    sequence: i64,
    /// The leg's place in the transaction, from zero.
    leg: i64,
    direction: SideBody,
    amount_minor_units: i64,
    #[schema(value_type = String, example = "MAD")]
    currency_code: Currency,
    /// The posted balance after this entry, positive on the account's normal side.
    balance_after_minor_units: i64,
    kind: String,
    description: Option<String>,
    reference: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    effective_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    recorded_at: Timestamp,
}

/// The totals of all accounts, per currency.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct TrialBalanceBody {
    pub(crate) items: Vec<TrialBalanceLineBody>,
}

/// The totals of one currency.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TrialBalanceLineBody {
    #[schema(value_type = String, example = "MAD")]
    pub(crate) currency_code: Currency,
    /// How many accounts are held in it.
    pub(crate) accounts: i64,
    /// Sum of everything debited.
    #[schema(value_type = i64)]
    pub(crate) debits_minor_units: i128,
    /// Sum of everything credited.
    #[schema(value_type = i64)]
    pub(crate) credits_minor_units: i128,
    /// Whether the two are equal, as they always must be.
    pub(crate) balanced: bool,
}

impl OpenAccountBody {
    /// What the audit trail tells of it; its name may be somebody's.
    pub(super) fn for_trail(&self) -> Value {
        json!({
            "currencyCode": self.currency_code,
            "normalSide": self.normal_side,
            "constraint": self.constraint,
        })
    }

    /// `made` is the id to use when the caller chose none.
    pub(super) fn into_new(self, made: Uuid) -> NewAccount {
        NewAccount {
            id: AccountId(self.id.unwrap_or(made)),
            name: self.name,
            currency: self.currency_code,
            normal_side: self.normal_side.into(),
            constraint: self.constraint.map_or(Constraint::NonNegative, Into::into),
        }
    }
}

impl Validate for OpenAccountBody {
    fn validate(&self, errors: &mut FieldErrors) {
        errors.require_text(&self.name, 1, NAME_CHARS_MAX, "/name");
        if let Some(ConstraintBody::CreditLimit { limit_minor_units }) = self.constraint {
            errors.require_amount(limit_minor_units, "/constraint/limitMinorUnits");
        }
    }
}

impl PostTransactionBody {
    pub(super) fn id(&self) -> Option<Uuid> {
        self.id
    }

    pub(super) fn is_linked(&self) -> bool {
        self.linked
    }

    /// `initiated_by` is whose token the request has.
    pub(super) fn into_new(self, id: Uuid, initiated_by: UserId) -> NewTransaction {
        NewTransaction {
            id: TransactionId(id),
            kind: self.kind,
            description: self.description,
            reference: self.reference,
            effective_at: self.effective_at,
            metadata: self.metadata,
            legs: self.legs.into_iter().map(Into::into).collect(),
            not_after: None,
            initiated_by: Some(initiated_by),
        }
    }
}

const METADATA_MAX: usize = 50;

impl Validate for PostTransactionBody {
    fn validate(&self, errors: &mut FieldErrors) {
        check_texts(&self.kind, self.description.as_deref(), self.reference.as_deref(), errors);
        check_metadata(&self.metadata, errors);
        check_legs(&self.legs, errors);
    }
}

/// The texts of a transaction or a hold.
pub(super) fn check_texts(
    kind: &str,
    description: Option<&str>,
    reference: Option<&str>,
    errors: &mut FieldErrors,
) {
    errors.require_text(kind, 1, KIND_CHARS_MAX, "/kind");
    if let Some(description) = description {
        errors.require_text(description, 0, DESCRIPTION_CHARS_MAX, "/description");
    }
    if let Some(reference) = reference {
        errors.require_text(reference, 0, REFERENCE_CHARS_MAX, "/reference");
    }
}

pub(super) fn check_metadata(metadata: &BTreeMap<String, String>, errors: &mut FieldErrors) {
    errors.require(metadata.len() <= METADATA_MAX, "/metadata", "must have at most 50 keys");
    for (key, value) in metadata {
        let fits = (1..=64).contains(&key.chars().count()) && value.chars().count() <= 500;
        errors.require(fits, "/metadata", "keys have 1 to 64 characters, values at most 500");
    }
}

pub(super) fn check_legs(legs: &[LegBody], errors: &mut FieldErrors) {
    errors.require((2..=LEGS_MAX).contains(&legs.len()), "/legs", "must have 2 to 1000 legs");
    for (index, leg) in legs.iter().enumerate() {
        // The pointer is only made when it is needed: most amounts are right.
        if !is_amount(leg.amount_minor_units) {
            let pointer = format!("/legs/{index}/amountMinorUnits");
            errors.require_amount(leg.amount_minor_units, &pointer);
        }
    }
}

impl From<SideBody> for Side {
    fn from(side: SideBody) -> Self {
        match side {
            SideBody::Debit => Self::Debit,
            SideBody::Credit => Self::Credit,
        }
    }
}

impl From<Side> for SideBody {
    fn from(side: Side) -> Self {
        match side {
            Side::Debit => Self::Debit,
            Side::Credit => Self::Credit,
        }
    }
}

impl From<AccountStatus> for AccountStatusBody {
    fn from(status: AccountStatus) -> Self {
        match status {
            AccountStatus::Open => Self::Open,
            AccountStatus::Frozen => Self::Frozen,
            AccountStatus::Closed => Self::Closed,
        }
    }
}

impl From<ConstraintBody> for Constraint {
    fn from(constraint: ConstraintBody) -> Self {
        match constraint {
            ConstraintBody::NonNegative {} => Self::NonNegative,
            ConstraintBody::CreditLimit { limit_minor_units } => {
                Self::CreditLimit(limit_minor_units)
            }
            ConstraintBody::Unlimited {} => Self::Unlimited,
        }
    }
}

impl From<Constraint> for ConstraintBody {
    fn from(constraint: Constraint) -> Self {
        match constraint {
            Constraint::NonNegative => Self::NonNegative {},
            Constraint::CreditLimit(limit_minor_units) => Self::CreditLimit { limit_minor_units },
            Constraint::Unlimited => Self::Unlimited {},
        }
    }
}

impl From<Account> for AccountBody {
    fn from(account: Account) -> Self {
        Self {
            balance_minor_units: account.posted(),
            available_minor_units: account.available(),
            posted_debits_minor_units: account.balances.posted_debits,
            posted_credits_minor_units: account.balances.posted_credits,
            pending_debits_minor_units: account.balances.pending_debits,
            pending_credits_minor_units: account.balances.pending_credits,
            id: account.id.0,
            name: account.name,
            currency_code: account.currency,
            normal_side: account.normal_side.into(),
            constraint: account.constraint.into(),
            status: account.status.into(),
            opened_at: account.opened_at,
        }
    }
}

impl From<Account> for OpenedBody {
    fn from(account: Account) -> Self {
        Self {
            id: account.id.0,
            name: account.name,
            currency_code: account.currency,
            normal_side: account.normal_side.into(),
            opened_at: account.opened_at,
        }
    }
}

impl From<LegBody> for Leg {
    fn from(leg: LegBody) -> Self {
        Self {
            account_id: AccountId(leg.account_id),
            direction: leg.direction.into(),
            amount: Money::new(leg.amount_minor_units, leg.currency_code),
        }
    }
}

impl From<Leg> for LegBody {
    fn from(leg: Leg) -> Self {
        Self {
            account_id: leg.account_id.0,
            direction: leg.direction.into(),
            amount_minor_units: leg.amount.minor_units(),
            currency_code: leg.amount.currency(),
        }
    }
}

impl From<Transaction> for TransactionBody {
    fn from(transaction: Transaction) -> Self {
        Self {
            id: transaction.id.0,
            sequence: transaction.sequence,
            kind: transaction.kind,
            description: transaction.description,
            reference: transaction.reference,
            effective_at: transaction.effective_at,
            recorded_at: transaction.recorded_at,
            metadata: transaction.metadata,
            legs: transaction.legs.into_iter().map(Into::into).collect(),
            reverses: transaction.reverses.map(|original| original.0),
            captures: transaction.captures.map(|hold| hold.0),
            initiated_by: transaction.initiated_by.map(|user| user.0),
        }
    }
}

impl TransactionBody {
    /// The transaction again.
    pub(crate) fn into_transaction(self) -> Transaction {
        Transaction {
            id: TransactionId(self.id),
            sequence: self.sequence,
            kind: self.kind,
            description: self.description,
            reference: self.reference,
            effective_at: self.effective_at,
            recorded_at: self.recorded_at,
            metadata: self.metadata,
            legs: self.legs.into_iter().map(Leg::from).collect(),
            reverses: self.reverses.map(TransactionId),
            captures: self.captures.map(HoldId),
            initiated_by: self.initiated_by.map(UserId),
        }
    }
}

impl From<Entry> for EntryBody {
    fn from(entry: Entry) -> Self {
        let (sequence, leg) = entry.key.parts();
        Self {
            transaction_id: entry.transaction_id.0,
            sequence,
            leg,
            direction: entry.direction.into(),
            amount_minor_units: entry.amount.minor_units(),
            currency_code: entry.amount.currency(),
            balance_after_minor_units: entry.balance_after,
            kind: entry.kind,
            description: entry.description,
            reference: entry.reference,
            effective_at: entry.effective_at,
            recorded_at: entry.recorded_at,
        }
    }
}
