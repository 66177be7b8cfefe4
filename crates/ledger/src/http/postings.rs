//! Routes that move money: one transaction, many, or back again. Each can be tried without doing it.

#[cfg(test)]
mod tests;

use super::batch_bodies::{BatchAnswerBody, BatchItemBody};
use super::bodies::{PostTransactionBody, TransactionBody};
use super::problems::{problem, problem_without_legs};
use super::routes::{body_if_wanted, location_header};
use super::trail::{Books, Deed, Lot, Writer, moved};
use crate::Ledger;
use crate::engine::Command;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use kernel::{Actor, UserId};
use ledger_api::{
    DESCRIPTION_CHARS_MAX, LedgerError, NewReversal, NewTransaction, Recorded, Transaction,
    TransactionId,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;
use web::{
    FieldError, FieldErrors, IdempotencyKey, Json, OpenApiRouter, Path, Problem, Query, Replayed,
    ReturnPreference, Validate, routes,
};

/// The most transactions of one batch.
const BATCH_MAX: usize = 10_000;

/// The largest body of a batch, in bytes: room for [`BATCH_MAX`] transactions with a few legs each.
const BATCH_BYTES_MAX: usize = 16_777_216;

pub(super) fn router(ledger: &Ledger) -> OpenApiRouter<Books> {
    OpenApiRouter::new()
        .routes(routes!(post_batch))
        .layer(DefaultBodyLimit::max(BATCH_BYTES_MAX))
        .routes(routes!(post_transaction))
        .routes(routes!(reverse_transaction))
        .layer(middleware::from_fn_with_state(ledger.clone(), refuse_when_full))
}

/// Middleware: what would only be told that the queue is full is told so before anything is read or
/// checked. Otherwise, the more is asked for, the less gets done.
async fn refuse_when_full(
    State(ledger): State<Ledger>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    if ledger.0.engine.is_full() {
        Err(problem(LedgerError::Overloaded))
    } else {
        Ok(next.run(request).await)
    }
}

/// Whether to do it or only to tell what would come of it.
#[derive(Clone, Copy, Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct DryRunQuery {
    /// Decide as if, answer 200 with what would be recorded now, and record nothing.
    #[serde(default)]
    #[param(default = false)]
    pub(super) dry_run: bool,
}

impl DryRunQuery {
    pub(super) fn wrap(self, command: Command) -> Command {
        if self.dry_run { Command::DryRun(Box::new(command)) } else { command }
    }

    /// What is to be sent back. Who only tries something does it for the sake of the answer.
    pub(super) fn sent_back(self, wanted: ReturnPreference) -> ReturnPreference {
        if self.dry_run { ReturnPreference::Representation } else { wanted }
    }

    pub(super) fn answer(
        self,
        posted: Recorded<Transaction>,
        wanted: ReturnPreference,
    ) -> Response {
        let path = format!("/api/v1/ledger/transactions/{}", posted.record.id);
        self.created(&path, posted.replayed, wanted, || TransactionBody::from(posted.record))
    }

    /// The answer to a request that made something, which can be read at `path`, or tried to.
    pub(super) fn created<T: Serialize>(
        self,
        path: &str,
        replayed: bool,
        wanted: ReturnPreference,
        body: impl FnOnce() -> T,
    ) -> Response {
        let (replayed, body) = (Replayed(replayed), body_if_wanted(self.sent_back(wanted), body));
        match self.dry_run {
            true => (StatusCode::OK, replayed, body).into_response(),
            false => (StatusCode::CREATED, replayed, location_header(path), body).into_response(),
        }
    }
}

/// Many transactions at once.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct BatchBody {
    /// All or none, which is the default; otherwise each on its own.
    #[serde(default = "all_or_none")]
    #[schema(default = true)]
    atomic: bool,
    /// 1 to 10,000 transactions, carried out in this order.
    #[schema(min_items = 1, max_items = 10000)]
    transactions: Vec<PostTransactionBody>,
}

fn all_or_none() -> bool {
    true
}

/// A transaction to take back.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ReverseBody {
    /// The id of the reversal, yours to choose, and its idempotency key. Without it, send
    /// `Idempotency-Key`.
    id: Option<Uuid>,
    /// How much of a transaction with two legs; all that is left when not said.
    #[schema(minimum = 1, maximum = 9007199254740991_i64)]
    amount_minor_units: Option<i64>,
    /// Why; it becomes the description.
    #[schema(min_length = 1, max_length = 500, example = "charged twice")]
    reason: String,
}

impl Validate for BatchBody {
    fn validate(&self, errors: &mut FieldErrors) {
        if !(1..=BATCH_MAX).contains(&self.transactions.len()) {
            // What is wrong with each of far too many is not worth telling.
            return errors.add("/transactions", "must have 1 to 10000 transactions");
        }
        for (index, transaction) in self.transactions.iter().enumerate() {
            errors.check(transaction, &format!("/transactions/{index}"));
        }
        if self.transactions.last().is_some_and(PostTransactionBody::is_linked) {
            let last = self.transactions.len().saturating_sub(1);
            errors.add(format!("/transactions/{last}/linked"), "the last one has no next");
        }
    }
}

impl Validate for ReverseBody {
    fn validate(&self, errors: &mut FieldErrors) {
        if let Some(minor_units) = self.amount_minor_units {
            errors.require_amount(minor_units, "/amountMinorUnits");
        }
        errors.require_text(&self.reason, 1, DESCRIPTION_CHARS_MAX, "/reason");
    }
}

/// Post a transaction
///
/// All legs or none. The caller's `id` is the idempotency key, kept for ever: the same id with the same
/// content answers with the first result and moves nothing (`Idempotency-Replayed: true`), whoever sends
/// it: `initiatedBy` stays who was first. Without an id, send `Idempotency-Key`. Refusals, in the order in
/// which they are looked for:
/// `idempotency_key_reused`, `transaction_unbalanced`, `account_not_found`, `currency_mismatch`,
/// `account_not_open`, `balance_overflow`, `insufficient_funds`, `limit_exceeded`.
#[utoipa::path(
    post, path = "/api/v1/ledger/transactions", tag = "Ledger",
    operation_id = "postLedgerTransaction",
    security(("bearer" = ["ledger:write"])),
    params(
        DryRunQuery,
        ReturnPreference,
        ("Idempotency-Key" = Option<String>, Header, description = "Instead of `id`",
            min_length = 1, max_length = 255),
    ),
    request_body = PostTransactionBody,
    responses(
        (status = 201, description = "The transaction is posted.", body = TransactionBody,
            headers(("Preference-Applied" = String,
                description = "`return=minimal`: there is no body"))),
        (status = 200, description = "It would be posted (dry run).", body = TransactionBody),
    ),
)]
async fn post_transaction(
    State(ledger): State<Ledger>,
    writer: Writer,
    Query(query): Query<DryRunQuery>,
    wanted: ReturnPreference,
    key: Option<IdempotencyKey>,
    Json(body): Json<PostTransactionBody>,
) -> Result<Response, Problem> {
    if body.is_linked() {
        let fault = FieldError { pointer: "/linked".into(), detail: "is for batches".into() };
        return Err(Problem::validation(vec![fault]));
    }
    let id = chosen_id(body.id(), &writer.actor, key.as_ref(), "")?;
    let new = body.into_new(id, writer.actor.user_id);
    let deed = || Deed {
        action: "ledger_posting_requested",
        object: Some(id),
        details: json!({ "kind": new.kind, "amounts": moved(&new.legs) }),
    };
    if !query.dry_run {
        writer.note_of_person(deed).await?;
    }
    let command = query.wrap(Command::Post(new));
    let posted = ledger.posted(command).await.map_err(problem)?;
    Ok(query.answer(posted, wanted))
}

/// Post many transactions
///
/// In the order given. With `atomic`, all or none: a refusal is the answer, with `index` saying which
/// transaction it is about, and none is posted. Otherwise each on its own, with a result per item; one
/// that is `linked` shares the fate of the next. Each
/// needs an `id`, or the request an `Idempotency-Key`, from which each gets one by its place; so the same
/// request again posts nothing twice. With `Prefer: return=minimal` the answer has no transactions: it
/// counts them, and tells of those that were refused.
#[utoipa::path(
    post, path = "/api/v1/ledger/transactions/bulk", tag = "Ledger",
    operation_id = "postLedgerTransactions",
    security(("bearer" = ["ledger:write"])),
    params(
        DryRunQuery,
        ReturnPreference,
        ("Idempotency-Key" = Option<String>, Header, description = "Instead of the `id`s",
            min_length = 1, max_length = 255),
    ),
    request_body = BatchBody,
    responses(
        (status = 200, description = "What came of each.", body = BatchAnswerBody,
            headers(("Preference-Applied" = String,
                description = "`return=minimal`: how many there were, and which were refused"))),
    ),
)]
async fn post_batch(
    State(ledger): State<Ledger>,
    writer: Writer,
    Query(query): Query<DryRunQuery>,
    wanted: ReturnPreference,
    key: Option<IdempotencyKey>,
    Json(body): Json<BatchBody>,
) -> Result<Response, Problem> {
    let mut chains = Chains::default();
    for (index, one) in body.transactions.into_iter().enumerate() {
        let id = chosen_id(one.id(), &writer.actor, key.as_ref(), &format!("\n{index}"))?;
        chains.add(one, id, writer.actor.user_id);
    }
    let deed = || Deed {
        action: "ledger_batch_requested",
        object: None,
        details: Lot::of(chains.all.iter().flatten()).to_json(),
    };
    if !query.dry_run {
        writer.note_of_person(deed).await?;
    }
    let command = match body.atomic {
        true => Command::PostAll(chains.all.into_iter().flatten().collect()),
        false => Command::PostEach(chains.all),
    };
    let (command, wanted) = (query.wrap(command), query.sent_back(wanted));
    let answer = match wanted {
        ReturnPreference::Representation => {
            let outcomes = ledger.posted_several(command, BatchItemBody::of).await;
            BatchAnswerBody::in_full(outcomes.map_err(problem)?)
        }
        ReturnPreference::Minimal => {
            let outcomes = ledger.posted_several(command, |one| one.replayed).await;
            BatchAnswerBody::in_short(outcomes.map_err(problem)?)
        }
    };
    Ok((wanted, Json(answer)).into_response())
}

/// Transactions in the order given; those that are linked stand together.
#[derive(Default)]
struct Chains {
    all: Vec<Vec<NewTransaction>>,
    goes_on: bool,
}

impl Chains {
    fn add(&mut self, body: PostTransactionBody, id: Uuid, initiated_by: UserId) {
        let goes_on = std::mem::replace(&mut self.goes_on, body.is_linked());
        let new = body.into_new(id, initiated_by);
        match self.all.last_mut() {
            Some(chain) if goes_on => chain.push(new),
            _ => self.all.push(vec![new]),
        }
    }
}

/// Take a transaction back, in whole or in part
///
/// By a new transaction with the sides exchanged, linked to the original by `reverses`. All reversals of
/// a transaction together never exceed it. Accounts' constraints hold as for any transaction. Refusals:
/// `idempotency_key_reused`, `not_found`, `reversal_of_reversal`, `reversal_exceeds_original`,
/// `partial_reversal_of_many_legs`, and those of posting.
#[utoipa::path(
    post, path = "/api/v1/ledger/transactions/{id}/reversals", tag = "Ledger",
    operation_id = "reverseLedgerTransaction",
    security(("bearer" = ["ledger:write"])),
    params(
        ("id" = Uuid, Path, description = "The transaction to take back"),
        DryRunQuery,
        ReturnPreference,
        ("Idempotency-Key" = Option<String>, Header, description = "Instead of `id`",
            min_length = 1, max_length = 255),
    ),
    request_body = ReverseBody,
    responses(
        (status = 201, description = "The reversal is posted.", body = TransactionBody,
            headers(("Preference-Applied" = String,
                description = "`return=minimal`: there is no body"))),
        (status = 200, description = "It would be posted (dry run).", body = TransactionBody),
        (status = 404, description = "There is no such transaction."),
    ),
)]
async fn reverse_transaction(
    State(ledger): State<Ledger>,
    writer: Writer,
    Path(original): Path<Uuid>,
    Query(query): Query<DryRunQuery>,
    wanted: ReturnPreference,
    key: Option<IdempotencyKey>,
    Json(body): Json<ReverseBody>,
) -> Result<Response, Problem> {
    let id = chosen_id(body.id, &writer.actor, key.as_ref(), "")?;
    if !query.dry_run {
        let details = json!({
            "reversalId": id, "amountMinorUnits": body.amount_minor_units, "reason": body.reason,
        });
        let action = "ledger_reversal_requested";
        writer.note(Deed { action, object: Some(original), details }).await?;
    }
    let command = query.wrap(Command::Reverse(NewReversal {
        id: TransactionId(id),
        original: TransactionId(original),
        minor_units: body.amount_minor_units,
        reason: body.reason,
        initiated_by: Some(writer.actor.user_id),
    }));
    let posted = ledger.posted(command).await.map_err(problem_without_legs)?;
    Ok(query.answer(posted, wanted))
}

/// The id that a caller chose, directly or by an idempotency key. An id made from a key is the same each
/// time, so the ledger itself recognises the retry, for ever and without a second table. `place` tells the
/// transactions of one request apart, and has a character that no key has.
pub(super) fn chosen_id(
    id: Option<Uuid>,
    actor: &Actor,
    key: Option<&IdempotencyKey>,
    place: &str,
) -> Result<Uuid, Problem> {
    let from_key = |key: &IdempotencyKey| {
        Uuid::new_v5(&actor.user_id.0, format!("{}{place}", key.0).as_bytes())
    };
    id.or_else(|| key.map(from_key)).ok_or_else(|| {
        Problem::new(
            StatusCode::BAD_REQUEST,
            "idempotency_key_missing",
            "give the transaction an `id` of your own, or send a header Idempotency-Key, and repeat \
             it when you retry",
        )
    })
}
