//! Freezing, unfreezing and closing accounts.

use super::bodies::AccountBody;
use super::problems::problem;
use super::trail::{Books, Deed, Writer};
use crate::Ledger;
use axum::extract::State;
use ledger_api::{AccountId, AccountStatus, DESCRIPTION_CHARS_MAX, Ledger as _, StatusChange};
use serde::Deserialize;
use serde_json::json;
use utoipa::ToSchema;
use uuid::Uuid;
use web::{FieldErrors, Json, OpenApiRouter, Path, Problem, Validate, routes};

pub(super) fn router() -> OpenApiRouter<Books> {
    OpenApiRouter::new()
        .routes(routes!(freeze_account))
        .routes(routes!(unfreeze_account))
        .routes(routes!(close_account))
}

/// Why an account is changed.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ReasonBody {
    /// For people; kept in the journal.
    #[schema(min_length = 1, max_length = 500, example = "card reported stolen")]
    reason: String,
}

impl Validate for ReasonBody {
    fn validate(&self, errors: &mut FieldErrors) {
        errors.require_text(&self.reason, 1, DESCRIPTION_CHARS_MAX, "/reason");
    }
}

/// Freeze an account
///
/// It takes no transactions until it is unfrozen. An account that is frozen already stays as it is.
#[utoipa::path(
    post, path = "/api/v1/ledger/accounts/{id}/freeze", tag = "Ledger",
    operation_id = "freezeLedgerAccount",
    security(("bearer" = ["ledger:write"])),
    params(("id" = Uuid, Path, description = "The account")),
    request_body = ReasonBody,
    responses(
        (status = 200, description = "The account is frozen.", body = AccountBody),
        (status = 404, description = "There is no such account."),
        (status = 409, description = "`status_not_reachable`: it is closed."),
    ),
)]
async fn freeze_account(
    State(ledger): State<Ledger>,
    writer: Writer,
    Path(id): Path<Uuid>,
    Json(body): Json<ReasonBody>,
) -> Result<Json<AccountBody>, Problem> {
    change(&ledger, &writer, id, AccountStatus::Frozen, body).await
}

/// Unfreeze an account
///
/// An account that is open already stays as it is.
#[utoipa::path(
    post, path = "/api/v1/ledger/accounts/{id}/unfreeze", tag = "Ledger",
    operation_id = "unfreezeLedgerAccount",
    security(("bearer" = ["ledger:write"])),
    params(("id" = Uuid, Path, description = "The account")),
    request_body = ReasonBody,
    responses(
        (status = 200, description = "The account is open.", body = AccountBody),
        (status = 404, description = "There is no such account."),
        (status = 409, description = "`status_not_reachable`: it is closed."),
    ),
)]
async fn unfreeze_account(
    State(ledger): State<Ledger>,
    writer: Writer,
    Path(id): Path<Uuid>,
    Json(body): Json<ReasonBody>,
) -> Result<Json<AccountBody>, Problem> {
    change(&ledger, &writer, id, AccountStatus::Open, body).await
}

/// Close an account
///
/// For good. Its balance must be zero, with nothing on hold. Its history stays.
#[utoipa::path(
    post, path = "/api/v1/ledger/accounts/{id}/close", tag = "Ledger",
    operation_id = "closeLedgerAccount",
    security(("bearer" = ["ledger:write"])),
    params(("id" = Uuid, Path, description = "The account")),
    request_body = ReasonBody,
    responses(
        (status = 200, description = "The account is closed.", body = AccountBody),
        (status = 404, description = "There is no such account."),
        (status = 409, description = "`account_not_empty`: there is something on it."),
    ),
)]
async fn close_account(
    State(ledger): State<Ledger>,
    writer: Writer,
    Path(id): Path<Uuid>,
    Json(body): Json<ReasonBody>,
) -> Result<Json<AccountBody>, Problem> {
    change(&ledger, &writer, id, AccountStatus::Closed, body).await
}

async fn change(
    ledger: &Ledger,
    writer: &Writer,
    id: Uuid,
    to: AccountStatus,
    body: ReasonBody,
) -> Result<Json<AccountBody>, Problem> {
    let action = match to {
        AccountStatus::Frozen => "ledger_freeze_requested",
        AccountStatus::Open => "ledger_unfreeze_requested",
        AccountStatus::Closed => "ledger_close_requested",
    };
    let details = json!({ "reason": body.reason });
    writer.note(Deed { action, object: Some(id), details }).await?;
    let change = StatusChange { account: AccountId(id), to, reason: body.reason };
    let changed = ledger.change_status(change).await.map_err(problem)?;
    Ok(Json(changed.record.into()))
}
