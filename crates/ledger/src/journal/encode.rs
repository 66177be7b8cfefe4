//! The words and numbers that the journal's columns use.

use kernel::{Currency, Money, Timestamp};
use ledger_api::{Account, AccountId, AccountStatus, Balances, Constraint, Leg, Side};
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

pub(crate) fn currency_from(code: &str, row: Uuid) -> Result<Currency, StoreError> {
    code.parse().map_err(|_| StoreError::inconsistent("account_states", "currency_code", row))
}

/// `None` for no metadata at all: most transactions have none, and null takes no room.
pub(crate) fn metadata_text(metadata: &BTreeMap<String, String>) -> Option<String> {
    // A map of strings always serialises.
    (!metadata.is_empty()).then(|| serde_json::to_string(metadata).unwrap_or_default())
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
    let inconsistent = || StoreError::inconsistent("entries", "amount", account);
    let direction = if amount > 0 { Side::Debit } else { Side::Credit };
    let minor_units = amount.checked_abs().filter(|&amount| amount > 0).ok_or_else(inconsistent)?;
    let amount = Money::new(minor_units, currency_from(currency, account)?);
    Ok(Leg { account_id: AccountId(account), direction, amount })
}

/// An account with its state: the columns of [`ACCOUNT_COLUMNS`].
#[derive(Debug, FromQueryResult)]
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

/// Every column of an account, from `accounts a join account_states s`.
pub(crate) const ACCOUNT_COLUMNS: &str = "a.sequence, a.id, a.name, a.opened_at, s.currency_code, \
     s.normal_side, s.status, s.lowest_available, s.posted_debits, s.posted_credits, \
     s.pending_debits, s.pending_credits \
     from accounts a join account_states s on s.account_sequence = a.sequence";

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
