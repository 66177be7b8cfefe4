//! Every refusal of the ledger as a problem.

use kernel::Timestamp;
use ledger_api::{Direction, LedgerError, Limit, LimitFault, Measure, Period, Refusal};
use web::{FieldError, Problem};

/// A ledger error as clients of the ledger's own routes see it.
pub(super) fn problem(error: LedgerError) -> Problem {
    problem_at(error, Some(""))
}

/// The same for a request whose body has no legs to point at.
pub(super) fn problem_without_legs(error: LedgerError) -> Problem {
    problem_at(error, None)
}

fn problem_at(error: LedgerError, transaction: Option<&str>) -> Problem {
    match error {
        LedgerError::Refused(refusal) => refused(&refusal, transaction),
        LedgerError::Overloaded => Problem::unavailable("ledger_busy", error.to_string()),
        LedgerError::Unavailable(cause) => Problem::store_unavailable(cause.as_ref()),
    }
}

/// The code of a refusal.
pub(super) fn code(refusal: &Refusal) -> &'static str {
    refused(refusal, None).code()
}

/// A refusal as clients of the ledger's own routes see it. `transaction` points to where the
/// transaction at fault stands in the body.
fn refused(refusal: &Refusal, transaction: Option<&str>) -> Problem {
    let text = refusal.to_string();
    let at = |member: &str| format!("{}{member}", transaction.unwrap_or_default());
    let at_leg = |leg: usize, member: &str, code: &'static str| {
        let problem = Problem::unprocessable(code, text.clone());
        match transaction {
            Some(_) => problem.with("pointer", at(&format!("/legs/{leg}/{member}"))),
            None => problem,
        }
    };
    match refusal {
        Refusal::IdReused => Problem::unprocessable("idempotency_key_reused", text),
        Refusal::DeadlinePassed { .. } => Problem::unprocessable("deadline_passed", text),
        Refusal::TextInvalid { field, .. } => {
            let pointer = at(&format!("/{field}"));
            Problem::validation(vec![FieldError { pointer, detail: text }])
        }
        Refusal::CreditLimitNegative => Problem::validation(vec![FieldError {
            pointer: "/constraint/limitMinorUnits".into(),
            detail: text,
        }]),
        Refusal::AccountUnknown { .. } => Problem::not_found("account"),
        Refusal::StatusNotReachable { .. } => Problem::conflict("status_not_reachable", text),
        Refusal::AccountNotEmpty { balance } => Problem::conflict("account_not_empty", text)
            .with("balanceMinorUnits", balance.minor_units()),
        Refusal::OriginalNotFound { .. } => Problem::not_found("transaction"),
        Refusal::OriginalIsReversal => Problem::unprocessable("reversal_of_reversal", text),
        Refusal::PartialReversalOfManyLegs => {
            Problem::unprocessable("partial_reversal_of_many_legs", text)
        }
        Refusal::ReversalExceedsOriginal { left, .. } => {
            Problem::unprocessable("reversal_exceeds_original", text).with("leftMinorUnits", *left)
        }
        Refusal::HoldNotFound { .. } => Problem::not_found("hold"),
        Refusal::HoldNotPending { .. } => Problem::conflict("hold_not_pending", text),
        Refusal::HoldExpiry { is_over, .. } => match is_over {
            true => Problem::conflict("hold_expired", text),
            false => Problem::conflict("hold_not_expired", text),
        },
        Refusal::ToleranceInvalid => Problem::validation(vec![FieldError {
            pointer: "/toleranceMinorUnits".into(),
            detail: text,
        }]),
        Refusal::CaptureExceedsHold { left, .. } => {
            Problem::unprocessable("capture_exceeds_hold", text).with("leftMinorUnits", *left)
        }
        Refusal::PartialCaptureOfManyLegs => {
            Problem::unprocessable("partial_capture_of_many_legs", text)
        }
        Refusal::LimitsInvalid(fault) => {
            let pointer = match fault {
                LimitFault::TooMany => "/limits".to_owned(),
                LimitFault::Twice(index) | LimitFault::Measures(index) => {
                    format!("/limits/{index}")
                }
                LimitFault::Kind(index) => format!("/limits/{index}/kind"),
            };
            Problem::validation(vec![FieldError { pointer, detail: text }])
        }
        Refusal::LimitExceeded { account, limit, measure, left, resets_at } => {
            limit_exceeded(limit, (*measure, *left), *resets_at, text)
                .with("accountId", account.to_string())
        }
        Refusal::LinkedRefused { index } => {
            Problem::unprocessable("linked_refused", text).with("index", *index)
        }
        Refusal::InBatch { index, refusal } => {
            refused(refusal, Some(&format!("/transactions/{index}"))).with("index", *index)
        }
        Refusal::LegCount { .. } => {
            Problem::validation(vec![FieldError { pointer: at("/legs"), detail: text }])
        }
        Refusal::AmountNotPositive { leg } => Problem::validation(vec![FieldError {
            pointer: at(&format!("/legs/{leg}/amountMinorUnits")),
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

/// Names the limit as it was set, what is left of it and when it begins anew.
fn limit_exceeded(
    limit: &Limit,
    (measure, left): (Measure, i64),
    resets_at: Option<Timestamp>,
    text: String,
) -> Problem {
    let direction = match limit.direction {
        Direction::Incoming => "incoming",
        Direction::Outgoing => "outgoing",
    };
    let period = match limit.period {
        Period::Transaction => "transaction",
        Period::Day => "day",
        Period::Month => "month",
    };
    let problem = Problem::unprocessable("limit_exceeded", text)
        .with("direction", direction)
        .with("period", period);
    let problem = match &limit.kind {
        Some(kind) => problem.with("kind", kind.as_str()),
        None => problem,
    };
    let problem = match measure {
        Measure::Amount => problem
            .with("limitMinorUnits", limit.minor_units.unwrap_or_default())
            .with("leftMinorUnits", left),
        Measure::Count => {
            problem.with("limitCount", limit.count.unwrap_or_default()).with("leftCount", left)
        }
    };
    match resets_at {
        Some(resets_at) => problem.with("resetsAt", resets_at.to_string()),
        None => problem,
    }
}
