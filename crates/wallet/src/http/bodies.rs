//! The JSON shapes of the wallet's routes. Those with personal data in them do not print.

use crate::operations::{Direction, HistoryLine, Kind};
use crate::wallets::{Wallet, WalletBalance};
use crate::{Operation, Recipient, TopUp, Transfer, WalletId};
use kernel::{Currency, Money, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;
use web::{FieldErrors, Validate};

/// The most currencies of one wallet.
const CURRENCIES_MAX: usize = 20;

/// A wallet to open.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct CreateWalletBody {
    /// ISO 4217 codes of the currencies it holds, each once.
    #[schema(value_type = Vec<String>, min_items = 1, max_items = 20, example = json!(["MAD", "EUR"]))]
    pub(super) currencies: Vec<Currency>,
}

/// A wallet.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct WalletBody {
    id: Uuid,
    /// `active`, `frozen` or `closed`.
    #[schema(value_type = String, example = "active")]
    status: &'static str,
    balances: Vec<BalanceBody>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

/// What a wallet holds in one currency.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct BalanceBody {
    #[schema(value_type = String, example = "MAD")]
    currency_code: Currency,
    /// Everything there, in minor units.
    #[schema(example = 25000)]
    balance_minor_units: i64,
    /// What may be spent, in minor units.
    #[schema(example = 25000)]
    available_minor_units: i64,
}

/// Money to bring in.
#[derive(Clone, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct TopUpBody {
    /// Whole minor units, greater than zero.
    #[schema(minimum = 1, maximum = 9007199254740991_i64, example = 100000)]
    amount_minor_units: i64,
    /// ISO 4217.
    #[schema(value_type = String, pattern = "^[A-Z]{3}$", example = "MAD")]
    currency_code: Currency,
    /// The payment gateway's name for the card or account to charge. The sandbox takes any and declines
    /// `sandbox-declined`.
    #[schema(min_length = 1, max_length = 200, default = "sandbox-card")]
    #[serde(default = "sandbox_card")]
    payment_method: String,
}

fn sandbox_card() -> String {
    "sandbox-card".to_owned()
}

/// Money to send.
#[derive(Clone, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct TransferBody {
    to: RecipientBody,
    /// Whole minor units, greater than zero.
    #[schema(minimum = 1, maximum = 9007199254740991_i64, example = 25000)]
    amount_minor_units: i64,
    /// ISO 4217.
    #[schema(value_type = String, pattern = "^[A-Z]{3}$", example = "MAD")]
    currency_code: Currency,
    /// A word to the recipient.
    #[schema(max_length = 200, example = "Lunch")]
    note: Option<String>,
}

/// Whom to send to: exactly one of the three.
#[derive(Clone, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RecipientBody {
    #[schema(max_length = 32, example = "+212612345683")]
    phone: Option<String>,
    #[schema(max_length = 254)]
    email: Option<String>,
    wallet_id: Option<Uuid>,
}

/// A completed top-up or transfer.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct OperationBody {
    id: Uuid,
    #[schema(value_type = String, example = "completed")]
    status: &'static str,
    amount_minor_units: i64,
    #[schema(value_type = String, example = "MAD")]
    currency_code: Currency,
    /// The ledger's entry for it.
    ledger_transaction_id: Uuid,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

/// One line of a wallet's history.
#[derive(Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct WalletTransactionBody {
    id: Uuid,
    /// `topUp` or `transfer`.
    #[serde(rename = "type")]
    #[schema(value_type = String, example = "transfer")]
    kind: &'static str,
    /// `in` or `out`, seen from this wallet.
    #[schema(value_type = String, example = "out")]
    direction: &'static str,
    #[schema(value_type = String, example = "completed")]
    status: &'static str,
    amount_minor_units: i64,
    #[schema(value_type = String, example = "MAD")]
    currency_code: Currency,
    /// What the other person is called; null for top-ups.
    counterparty_name: Option<String>,
    note: Option<String>,
    ledger_transaction_id: Uuid,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl Validate for CreateWalletBody {
    fn validate(&self, errors: &mut FieldErrors) {
        let count = self.currencies.len();
        errors.require(
            (1..=CURRENCIES_MAX).contains(&count),
            "/currencies",
            "must name 1 to 20 currencies",
        );
        for (index, currency) in self.currencies.iter().enumerate() {
            let seen = self.currencies.iter().take(index).any(|earlier| earlier == currency);
            errors.require(!seen, &format!("/currencies/{index}"), "is named twice");
        }
    }
}

impl Validate for TopUpBody {
    fn validate(&self, errors: &mut FieldErrors) {
        errors.require_amount(self.amount_minor_units, "/amountMinorUnits");
        errors.require_text(&self.payment_method, 1, 200, "/paymentMethod");
    }
}

impl From<TopUpBody> for TopUp {
    fn from(body: TopUpBody) -> Self {
        Self {
            amount: Money::new(body.amount_minor_units, body.currency_code),
            payment_method: body.payment_method,
        }
    }
}

impl Validate for TransferBody {
    fn validate(&self, errors: &mut FieldErrors) {
        errors.require_amount(self.amount_minor_units, "/amountMinorUnits");
        if let Some(note) = &self.note {
            errors.require_text(note, 0, 200, "/note");
        }
        let RecipientBody { phone, email, wallet_id } = &self.to;
        let named = [phone.is_some(), email.is_some(), wallet_id.is_some()];
        errors.require(
            named.into_iter().filter(|&named| named).count() == 1,
            "/to",
            "must have exactly one of phone, email and walletId",
        );
        if let Some(phone) = phone {
            errors.require_text(phone, 1, 32, "/to/phone");
        }
        if let Some(email) = email {
            errors.require_text(email, 1, 254, "/to/email");
        }
    }
}

impl TransferBody {
    /// The transfer asked for; `None` if the recipient is not named exactly once, which validation has
    /// refused before.
    pub(super) fn into_transfer(self) -> Option<Transfer> {
        let to = match self.to {
            RecipientBody { phone: Some(phone), .. } => Recipient::Phone(phone),
            RecipientBody { email: Some(email), .. } => Recipient::Email(email),
            RecipientBody { wallet_id, .. } => Recipient::Wallet(WalletId(wallet_id?)),
        };
        let amount = Money::new(self.amount_minor_units, self.currency_code);
        Some(Transfer { to, amount, note: self.note })
    }
}

impl WalletBody {
    pub(super) fn new(wallet: &Wallet, balances: &[WalletBalance]) -> Self {
        Self {
            id: wallet.id.0,
            status: wallet.status_word(),
            balances: balances.iter().copied().map(Into::into).collect(),
            created_at: wallet.created_at,
        }
    }
}

impl From<WalletBalance> for BalanceBody {
    fn from(balance: WalletBalance) -> Self {
        Self {
            currency_code: balance.currency,
            balance_minor_units: balance.balance,
            available_minor_units: balance.available,
        }
    }
}

/// Operations are shown once they are completed.
const COMPLETED: &str = "completed";

impl From<Operation> for OperationBody {
    fn from(operation: Operation) -> Self {
        Self {
            id: operation.id.0,
            status: COMPLETED,
            amount_minor_units: operation.amount.minor_units(),
            currency_code: operation.amount.currency(),
            ledger_transaction_id: operation.ledger_transaction_id.0,
            created_at: operation.created_at,
        }
    }
}

impl From<HistoryLine> for WalletTransactionBody {
    fn from(line: HistoryLine) -> Self {
        let operation = line.operation;
        Self {
            id: operation.id.0,
            kind: match operation.kind {
                Kind::TopUp { .. } => "topUp",
                Kind::Transfer { .. } => "transfer",
            },
            direction: match line.direction {
                Direction::In => "in",
                Direction::Out => "out",
            },
            status: COMPLETED,
            amount_minor_units: operation.amount.minor_units(),
            currency_code: operation.amount.currency(),
            counterparty_name: line.counterparty_name,
            note: operation.note,
            ledger_transaction_id: operation.ledger_transaction_id.0,
            created_at: operation.created_at,
        }
    }
}
