//! What the module tells others: snapshots without personal data.

use crate::operations::Operation;
use crate::wallets::Wallet;
use kernel::{Currency, Timestamp};
use serde::Serialize;
use store::outbox::NewEvent;
use uuid::Uuid;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WalletCreated {
    wallet_id: Uuid,
    owner_id: Uuid,
    currency_codes: Vec<Currency>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MoneyMoved {
    operation_id: Uuid,
    wallet_id: Uuid,
    recipient_wallet_id: Option<Uuid>,
    amount_minor_units: i64,
    currency_code: Currency,
    ledger_transaction_id: Uuid,
}

pub(crate) fn wallet_created(wallet: &Wallet) -> NewEvent {
    let payload = WalletCreated {
        wallet_id: wallet.id.0,
        owner_id: wallet.owner_id.0,
        currency_codes: wallet.accounts.iter().map(|account| account.currency).collect(),
    };
    event("wallet.created", wallet.id.0, wallet.created_at, &payload)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WalletClosed {
    wallet_id: Uuid,
    owner_id: Uuid,
}

pub(crate) fn wallet_closed(wallet: &Wallet, now: Timestamp) -> NewEvent {
    let payload = WalletClosed { wallet_id: wallet.id.0, owner_id: wallet.owner_id.0 };
    event("wallet.closed", wallet.id.0, now, &payload)
}

pub(crate) fn operation_completed(operation: &Operation, now: Timestamp) -> NewEvent {
    let payload = MoneyMoved {
        operation_id: operation.id.0,
        wallet_id: operation.wallet_id.0,
        recipient_wallet_id: operation.recipient_wallet_id().map(|id| id.0),
        amount_minor_units: operation.amount.minor_units(),
        currency_code: operation.amount.currency(),
        ledger_transaction_id: operation.ledger_transaction_id.0,
    };
    let event_type = match operation.recipient_wallet_id() {
        Some(_) => "wallet.transfer_completed",
        None => "wallet.topped_up",
    };
    event(event_type, operation.wallet_id.0, now, &payload)
}

fn event(
    event_type: &'static str,
    aggregate_id: Uuid,
    occurred_at: Timestamp,
    payload: &impl Serialize,
) -> NewEvent {
    // Plain structs always serialise.
    let payload = serde_json::to_string(payload).unwrap_or_default();
    NewEvent { event_type, aggregate_id, occurred_at, payload }
}
