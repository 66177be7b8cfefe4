use super::bodies::{
    AccountBody, OpenAccountBody, TransactionBody, TrialBalanceBody, TrialBalanceLineBody,
};
use super::problems::problem;
use super::trail::{Books, Deed, Writer};
use super::{balances, holds, limits, postings, proofs, search, statuses, streams};
use crate::{Ledger, permissions};
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use identity_api::AuditTrail;
use kernel::Permission;
use ledger_api::{AccountId, Ledger as _, TransactionId};
use serde::Serialize;
use std::sync::Arc;
use uuid::Uuid;
use web::{
    Authorized, Json, OpenApiRouter, Path, Problem, Replayed, ReturnPreference, Right, routes,
};

pub(super) struct Read;
impl Right for Read {
    const PERMISSION: Option<Permission> = Some(permissions::READ);
}

pub(super) struct Write;
impl Right for Write {
    const PERMISSION: Option<Permission> = Some(permissions::WRITE);
}

pub(crate) fn router(ledger: Ledger, trail: Arc<dyn AuditTrail>) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(open_account))
        .routes(routes!(get_account))
        .routes(routes!(get_transaction))
        .routes(routes!(get_trial_balance))
        .merge(balances::router())
        .merge(holds::router())
        .merge(limits::router())
        .merge(postings::router(&ledger))
        .merge(proofs::router())
        .merge(search::router())
        .merge(statuses::router())
        .merge(streams::router())
        .with_state(Books { ledger, trail })
}

/// Open an account
///
/// The same `id` again with the same content answers 200 with the account as it is. Refused with
/// `idempotency_key_reused` when the id was used for another account.
#[utoipa::path(
    post, path = "/api/v1/ledger/accounts", tag = "Ledger", operation_id = "openLedgerAccount",
    security(("bearer" = ["ledger:write"])),
    request_body = OpenAccountBody,
    responses(
        (status = 201, description = "The account is open.", body = AccountBody),
        (status = 200, description = "It was opened before.", body = AccountBody),
    ),
)]
async fn open_account(
    State(ledger): State<Ledger>,
    writer: Writer,
    Json(body): Json<OpenAccountBody>,
) -> Result<Response, Problem> {
    let details = body.for_trail();
    let new = body.into_new(ledger.0.ids.next());
    let (action, object) = ("ledger_account_requested", Some(new.id.0));
    writer.note(Deed { action, object, details }).await?;
    let opened = ledger.open_account(new).await.map_err(problem)?;
    let status = if opened.replayed { StatusCode::OK } else { StatusCode::CREATED };
    let location = format!("/api/v1/ledger/accounts/{}", opened.record.id);
    let body = Json(AccountBody::from(opened.record));
    Ok((status, Replayed(opened.replayed), location_header(&location), body).into_response())
}

/// Read an account and its balances
#[utoipa::path(
    get, path = "/api/v1/ledger/accounts/{id}", tag = "Ledger", operation_id = "getLedgerAccount",
    security(("bearer" = ["ledger:read"])),
    params(("id" = Uuid, Path, description = "The account")),
    responses(
        (status = 200, description = "The account.", body = AccountBody),
        (status = 404, description = "There is no such account."),
    ),
)]
async fn get_account(
    State(ledger): State<Ledger>,
    _: Authorized<Read>,
    Path(id): Path<Uuid>,
) -> Result<Json<AccountBody>, Problem> {
    let account = ledger.account(AccountId(id)).await.map_err(problem)?;
    account.map(|account| Json(account.into())).ok_or_else(|| Problem::not_found("account"))
}

/// Read a transaction
#[utoipa::path(
    get, path = "/api/v1/ledger/transactions/{id}", tag = "Ledger",
    operation_id = "getLedgerTransaction",
    security(("bearer" = ["ledger:read"])),
    params(("id" = Uuid, Path, description = "The transaction")),
    responses(
        (status = 200, description = "The transaction.", body = TransactionBody),
        (status = 404, description = "There is no such transaction."),
    ),
)]
async fn get_transaction(
    State(ledger): State<Ledger>,
    _: Authorized<Read>,
    Path(id): Path<Uuid>,
) -> Result<Json<TransactionBody>, Problem> {
    let transaction = ledger.transaction(TransactionId(id)).await.map_err(problem)?;
    transaction.map(|one| Json(one.into())).ok_or_else(|| Problem::not_found("transaction"))
}

/// Read the trial balance: everything debited and credited, per currency
#[utoipa::path(
    get, path = "/api/v1/ledger/trial-balance", tag = "Ledger", operation_id = "getTrialBalance",
    security(("bearer" = ["ledger:read"])),
    responses((status = 200, description = "The totals.", body = TrialBalanceBody)),
)]
async fn get_trial_balance(
    State(ledger): State<Ledger>,
    _: Authorized<Read>,
) -> Result<Json<TrialBalanceBody>, Problem> {
    let lines = ledger.0.journal.trial_balance().await;
    let lines = lines.map_err(|error| Problem::store_unavailable(&error))?;
    let items = lines
        .into_iter()
        .map(|line| TrialBalanceLineBody {
            currency_code: line.currency,
            accounts: line.accounts,
            debits_minor_units: line.debits,
            credits_minor_units: line.credits,
            balanced: line.is_balanced(),
        })
        .collect();
    Ok(Json(TrialBalanceBody { items }))
}

/// An answer with a body, which is not even made for who would rather do without it.
pub(super) fn body_if_wanted<T: Serialize>(
    wanted: ReturnPreference,
    body: impl FnOnce() -> T,
) -> Response {
    match wanted {
        ReturnPreference::Representation => Json(body()).into_response(),
        ReturnPreference::Minimal => (wanted, ()).into_response(),
    }
}

pub(super) fn location_header(path: &str) -> [(header::HeaderName, HeaderValue); 1] {
    // Paths of ours with a UUID in them are always valid header values.
    let value = HeaderValue::from_str(path).unwrap_or_else(|_| HeaderValue::from_static("/"));
    [(header::LOCATION, value)]
}
