//! The words and numbers that the journal's columns use.

use kernel::{Currency, Money, Timestamp, UserId};
use ledger_api::{
    Account, AccountId, AccountStatus, Balances, Constraint, Hold, HoldId, HoldStatus, Leg, Side,
};
use std::collections::BTreeMap;
use store::StoreError;
use store::sea_orm::{self, FromQueryResult};
use uuid::Uuid;

pub(crate) fn side_number(side: Side) -> i64 {
    match side {
        Side::Credit => 1,
        Side::Debit => -1,
    }
}

pub(crate) fn side_from(number: i64, row: Uuid) -> Result<Side, StoreError> {
    match number {
        1 => Ok(Side::Credit),
        -1 => Ok(Side::Debit),
        _ => Err(StoreError::inconsistent("account_states", "normal_side", row)),
    }
}

pub(crate) fn status_word(status: AccountStatus) -> &'static str {
    match status {
        AccountStatus::Open => "open",
        AccountStatus::Frozen => "frozen",
        AccountStatus::Closed => "closed",
    }
}

pub(crate) fn status_from(word: &str, row: Uuid) -> Result<AccountStatus, StoreError> {
    match word {
        "open" => Ok(AccountStatus::Open),
        "frozen" => Ok(AccountStatus::Frozen),
        "closed" => Ok(AccountStatus::Closed),
        _ => Err(StoreError::inconsistent("account_states", "status", row)),
    }
}

pub(crate) fn hold_status_word(status: HoldStatus) -> &'static str {
    match status {
        HoldStatus::Pending => "pending",
        HoldStatus::Captured => "captured",
        HoldStatus::Voided => "voided",
        HoldStatus::Expired => "expired",
    }
}

pub(crate) fn hold_status_from(word: &str, row: Uuid) -> Result<HoldStatus, StoreError> {
    match word {
        "pending" => Ok(HoldStatus::Pending),
        "captured" => Ok(HoldStatus::Captured),
        "voided" => Ok(HoldStatus::Voided),
        "expired" => Ok(HoldStatus::Expired),
        _ => Err(StoreError::inconsistent("hold_states", "status", row)),
    }
}

pub(crate) fn currency_from(code: &str, row: Uuid) -> Result<Currency, StoreError> {
    code.parse().map_err(|_| StoreError::inconsistent("account_states", "currency_code", row))
}

/// `None` for no metadata at all: most transactions have none, and null takes no room.
pub(crate) fn metadata_text(metadata: &BTreeMap<String, String>) -> Option<String> {
    // A map of strings always serialises.
    (!metadata.is_empty()).then(|| serde_json::to_string(metadata).unwrap_or_default())
}

/// The metadata that a transaction is found by. What no index of every store can hold (U+0000, or more
/// than the routes take) is kept with the transaction all the same.
pub(crate) fn searchable(
    metadata: &BTreeMap<String, String>,
) -> impl Iterator<Item = (&str, &str)> {
    let fits = |text: &str, max| text.chars().count() <= max && !text.contains('\0');
    let members = metadata.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    members.filter(move |(name, value)| fits(name, 64) && fits(value, 500))
}

pub(crate) fn metadata_from(
    text: Option<&str>,
    row: Uuid,
) -> Result<BTreeMap<String, String>, StoreError> {
    text.map_or(Ok(BTreeMap::new()), |text| {
        serde_json::from_str(text)
            .map_err(|_| StoreError::inconsistent("transactions", "metadata", row))
    })
}

/// A leg from an entry's signed amount.
pub(crate) fn leg_from(account: Uuid, amount: i64, currency: &str) -> Result<Leg, StoreError> {
    leg_of(AccountId(account), amount, currency_from(currency, account)?)
}

/// Likewise.
pub(crate) fn leg_of(
    account_id: AccountId,
    amount: i64,
    currency: Currency,
) -> Result<Leg, StoreError> {
    let inconsistent = || StoreError::inconsistent("entries", "amount", account_id.0);
    let direction = if amount > 0 { Side::Debit } else { Side::Credit };
    let minor_units = amount.checked_abs().filter(|&amount| amount > 0).ok_or_else(inconsistent)?;
    Ok(Leg { account_id, direction, amount: Money::new(minor_units, currency) })
}

/// An account with its state: the columns of [`ACCOUNT_COLUMNS`].
#[derive(Clone, Debug, FromQueryResult)]
pub(crate) struct AccountRow {
    pub(crate) sequence: i64,
    pub(crate) id: Uuid,
    pub(crate) name: String,
    pub(crate) opened_at: i64,
    pub(crate) currency_code: String,
    pub(crate) normal_side: i64,
    pub(crate) status: String,
    pub(crate) lowest_available: Option<i64>,
    pub(crate) posted_debits: i64,
    pub(crate) posted_credits: i64,
    pub(crate) pending_debits: i64,
    pub(crate) pending_credits: i64,
}

/// Every column of an account, from [`ACCOUNT_TABLES`].
pub(crate) const ACCOUNT_COLUMNS: &str = "a.sequence, a.id, a.name, a.opened_at, s.currency_code, \
     s.normal_side, s.status, s.lowest_available, s.posted_debits, s.posted_credits, \
     s.pending_debits, s.pending_credits";
pub(crate) const ACCOUNT_TABLES: &str =
    "from accounts a join account_states s on s.account_sequence = a.sequence";

impl AccountRow {
    pub(crate) fn into_account(self) -> Result<Account, StoreError> {
        Ok(Account {
            id: AccountId(self.id),
            name: self.name,
            currency: currency_from(&self.currency_code, self.id)?,
            normal_side: side_from(self.normal_side, self.id)?,
            constraint: Constraint::from_lowest_available(self.lowest_available),
            status: status_from(&self.status, self.id)?,
            opened_at: Timestamp::from_micros(self.opened_at),
            balances: Balances {
                posted_debits: self.posted_debits,
                posted_credits: self.posted_credits,
                pending_debits: self.pending_debits,
                pending_credits: self.pending_credits,
            },
        })
    }
}

/// A hold with its state: the columns of [`HOLD_COLUMNS`].
#[derive(Clone, Debug, FromQueryResult)]
pub(crate) struct HoldRow {
    pub(crate) sequence: i64,
    pub(crate) id: Uuid,
    pub(crate) kind: String,
    pub(crate) description: Option<String>,
    pub(crate) reference: Option<String>,
    pub(crate) metadata: Option<String>,
    pub(crate) tolerance: i64,
    pub(crate) expires_at: Option<i64>,
    pub(crate) created_at: i64,
    pub(crate) status: String,
    pub(crate) captured: i64,
    pub(crate) ended_by: Option<i64>,
    pub(crate) initiated_by: Option<Uuid>,
    pub(crate) released_by: Option<Uuid>,
}

/// Every column of a hold, from `holds h join hold_states s`. Who released it is told by the change that
/// ended it, if one did.
pub(crate) const HOLD_COLUMNS: &str = "h.sequence, h.id, h.kind, h.description, h.reference, \
     h.metadata, h.tolerance, h.expires_at, h.created_at, s.status, s.captured, s.ended_by, \
     h.initiated_by, (select r.initiated_by from hold_changes r where r.sequence = s.ended_by) \
         as released_by \
     from holds h join hold_states s on s.hold_sequence = h.sequence";

impl HoldRow {
    pub(crate) fn into_hold(self, legs: Vec<Leg>) -> Result<Hold, StoreError> {
        Ok(Hold {
            id: HoldId(self.id),
            sequence: self.sequence,
            kind: self.kind,
            description: self.description,
            reference: self.reference,
            metadata: metadata_from(self.metadata.as_deref(), self.id)?,
            legs,
            expires_at: self.expires_at.map(Timestamp::from_micros),
            tolerance: self.tolerance,
            created_at: Timestamp::from_micros(self.created_at),
            status: hold_status_from(&self.status, self.id)?,
            captured: self.captured,
            ended_by: self.ended_by,
            initiated_by: self.initiated_by.map(UserId),
            released_by: self.released_by.map(UserId),
        })
    }
}

/// Days since 1970 in UTC.
pub(crate) fn day_of(instant: Timestamp) -> i64 {
    const DAY_MICROS: i64 = 86_400_000_000;
    instant.as_micros().div_euclid(DAY_MICROS)
}
