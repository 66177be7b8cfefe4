//! Every error of the module as a problem.

use crate::{Error, Refusal};
use kernel::Timestamp;
use ledger_api::LedgerError;
use store::StoreError;
use web::Problem;

/// An error as clients see it; `now` turns an instant into a number of seconds to wait.
pub(super) fn problem(error: Error, now: Timestamp) -> Problem {
    let text = error.to_string();
    match error {
        Error::WalletNotFound => Problem::not_found("wallet"),
        Error::Refused(refusal) => refused(&refusal),
        Error::KeyReused => Problem::unprocessable("idempotency_key_reused", text),
        Error::InFlight { free_at } => Problem::conflict("idempotency_key_in_flight", text)
            .retry_after(free_at.since(now).as_secs().saturating_add(1)),
        Error::PaymentGatewayUnavailable => {
            Problem::unavailable("payment_gateway_unavailable", text)
        }
        Error::TookTooLong => Problem::unavailable("timed_out", text),
        Error::Ledger(LedgerError::Overloaded) => {
            Problem::unavailable("ledger_busy", "the ledger is busy; retry with the same key")
        }
        Error::Ledger(error @ LedgerError::Refused(_)) => Problem::internal(&error),
        Error::Ledger(error @ LedgerError::Unavailable(_)) => Problem::store_unavailable(&error),
        Error::Store(error @ StoreError::Inconsistent { .. }) => Problem::internal(&error),
        Error::Store(error) => Problem::store_unavailable(&error),
        Error::Directory(error) => Problem::store_unavailable(&error),
    }
}

/// A refusal as clients see it, the first time and every time after.
pub(super) fn refused(refusal: &Refusal) -> Problem {
    let text = refusal.to_string();
    match refusal {
        Refusal::WalletNotActive => Problem::unprocessable("wallet_not_active", text),
        Refusal::RecipientNotFound => Problem::unprocessable("recipient_not_found", text),
        Refusal::SameWallet => Problem::unprocessable("same_wallet", text),
        Refusal::CurrencyNotHeld { currency } => Problem::unprocessable("currency_not_held", text)
            .with("currencyCode", currency.code())
            .with("missingFrom", "sender"),
        Refusal::CurrencyNotHeldByRecipient { currency } => {
            Problem::unprocessable("currency_not_held", text)
                .with("currencyCode", currency.code())
                .with("missingFrom", "recipient")
        }
        Refusal::InsufficientFunds { available, required } => {
            Problem::unprocessable("insufficient_funds", text)
                .with("availableMinorUnits", *available)
                .with("requiredMinorUnits", *required)
        }
        Refusal::AccountUnavailable => Problem::unprocessable("account_unavailable", text),
        Refusal::PaymentDeclined => Problem::unprocessable("payment_declined", text),
        Refusal::TopUpsUnavailable => Problem::unprocessable("top_ups_unavailable", text),
        Refusal::TooManyWallets { .. } => Problem::unprocessable("too_many_wallets", text),
    }
}
