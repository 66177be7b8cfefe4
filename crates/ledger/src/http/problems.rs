//! Every refusal of the ledger as a problem.

use ledger_api::{LedgerError, Refusal};
use web::{FieldError, Problem};

/// A ledger error as clients of the ledger's own routes see it.
pub(super) fn problem(error: LedgerError) -> Problem {
    match error {
        LedgerError::Refused(refusal) => refused(&refusal),
        LedgerError::Overloaded => Problem::unavailable("ledger_busy", error.to_string()),
        LedgerError::Unavailable(cause) => Problem::store_unavailable(cause.as_ref()),
    }
}

fn refused(refusal: &Refusal) -> Problem {
    let text = refusal.to_string();
    let at_leg = |leg: usize, member: &str, code: &'static str| {
        Problem::unprocessable(code, text.clone()).with("pointer", format!("/legs/{leg}/{member}"))
    };
    match refusal {
        Refusal::IdReused => Problem::unprocessable("idempotency_key_reused", text),
        Refusal::DeadlinePassed { .. } => Problem::unprocessable("deadline_passed", text),
        Refusal::TextInvalid { field, .. } => {
            Problem::validation(vec![FieldError { pointer: format!("/{field}"), detail: text }])
        }
        Refusal::CreditLimitNegative => Problem::validation(vec![FieldError {
            pointer: "/constraint/limitMinorUnits".into(),
            detail: text,
        }]),
        Refusal::LegCount { .. } => {
            Problem::validation(vec![FieldError { pointer: "/legs".into(), detail: text }])
        }
        Refusal::AmountNotPositive { leg } => Problem::validation(vec![FieldError {
            pointer: format!("/legs/{leg}/amountMinorUnits"),
            detail: text,
        }]),
        Refusal::Unbalanced { currency, .. } => {
            Problem::unprocessable("transaction_unbalanced", text)
                .with("currencyCode", currency.code())
        }
        Refusal::AccountNotFound { leg, .. } => at_leg(*leg, "accountId", "account_not_found"),
        Refusal::CurrencyMismatch { leg, .. } => at_leg(*leg, "currencyCode", "currency_mismatch"),
        Refusal::AccountNotOpen { leg, .. } => at_leg(*leg, "accountId", "account_not_open"),
        Refusal::BalanceOverflow { leg, .. } => {
            at_leg(*leg, "amountMinorUnits", "balance_overflow")
        }
        Refusal::InsufficientFunds { account, available, required } => {
            Problem::unprocessable("insufficient_funds", text)
                .with("accountId", account.to_string())
                .with("availableMinorUnits", available.minor_units())
                .with("requiredMinorUnits", required.minor_units())
                .with("currencyCode", available.currency().code())
        }
    }
}
