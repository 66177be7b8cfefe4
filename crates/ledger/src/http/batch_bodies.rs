//! The JSON shapes of what came of a batch.

use super::bodies::TransactionBody;
use super::problems::code;
use ledger_api::{Recorded, Refusal, Transaction};
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;

/// What came of a batch: of each transaction, or in short (`Prefer: return=minimal`).
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(super) enum BatchAnswerBody {
    Full(BatchResultBody),
    Short(BatchSummaryBody),
}

/// What came of each transaction of a batch, in its order.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct BatchResultBody {
    items: Vec<BatchItemBody>,
}

/// What came of one transaction of a batch.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct BatchItemBody {
    status: BatchItemStatus,
    /// The transaction, unless it was refused.
    transaction: Option<TransactionBody>,
    /// Why it was refused: the `code` of a problem.
    code: Option<&'static str>,
    /// Why it was refused, for people.
    detail: Option<String>,
}

/// Whether a transaction of a batch was posted.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
enum BatchItemStatus {
    /// It was, now.
    Posted,
    /// It had been before.
    Replayed,
    /// It was not.
    Refused,
}

/// How many transactions of a batch came to what.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub(super) struct BatchSummaryBody {
    /// How many were posted, now.
    posted: usize,
    /// How many had been before.
    replayed: usize,
    /// Those that were not, in their order.
    refused: Vec<RefusedItemBody>,
}

/// A transaction of a batch that was refused.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct RefusedItemBody {
    /// Its place in the batch, from zero.
    index: usize,
    /// Why: the `code` of a problem.
    code: &'static str,
    /// Why, for people.
    detail: String,
}

impl BatchAnswerBody {
    pub(super) fn in_full(outcomes: Vec<Result<BatchItemBody, Refusal>>) -> Self {
        let items = outcomes.into_iter();
        let items = items.map(|one| one.unwrap_or_else(BatchItemBody::refused)).collect();
        Self::Full(BatchResultBody { items })
    }

    /// Of each outcome that is no refusal, whether it had been there before.
    pub(super) fn in_short(outcomes: Vec<Result<bool, Refusal>>) -> Self {
        let mut summary = BatchSummaryBody::default();
        for (index, outcome) in outcomes.into_iter().enumerate() {
            match outcome {
                Ok(false) => summary.posted = summary.posted.saturating_add(1),
                Ok(true) => summary.replayed = summary.replayed.saturating_add(1),
                Err(refusal) => summary.refused.push(RefusedItemBody {
                    index,
                    code: code(&refusal),
                    detail: refusal.to_string(),
                }),
            }
        }
        Self::Short(summary)
    }
}

impl BatchItemBody {
    pub(super) fn of(posted: Recorded<Arc<Transaction>>) -> Self {
        Self {
            status: match posted.replayed {
                true => BatchItemStatus::Replayed,
                false => BatchItemStatus::Posted,
            },
            transaction: Some(Arc::unwrap_or_clone(posted.record).into()),
            code: None,
            detail: None,
        }
    }

    fn refused(refusal: Refusal) -> Self {
        Self {
            status: BatchItemStatus::Refused,
            transaction: None,
            code: Some(code(&refusal)),
            detail: Some(refusal.to_string()),
        }
    }
}
