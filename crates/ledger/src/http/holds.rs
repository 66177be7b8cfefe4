//! Routes that set money aside, take it and let it go. Making and capturing can be tried without doing it.

#[cfg(test)]
mod tests;

use super::bodies::{LegBody, TransactionBody, check_legs, check_metadata, check_texts};
use super::hold_bodies::{HoldBody, HoldStatusBody};
use super::postings::{DryRunQuery, chosen_id};
use super::problems::{problem, problem_without_legs};
use super::routes::{Read, body_if_wanted};
use super::trail::{Books, Deed, Writer, moved};
use crate::Ledger;
use crate::engine::Command;
use crate::journal::search::HoldFilter;
use axum::extract::State;
use axum::response::Response;
use kernel::Timestamp;
use ledger_api::{
    AccountId, DESCRIPTION_CHARS_MAX, HoldId, HoldRelease, Ledger as _, NewCapture, NewHold,
    ReleaseCause, TransactionId,
};
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;
use web::{
    Authorized, FieldErrors, IdempotencyKey, Json, ListBody, OpenApiRouter, PageQuery, Path,
    Problem, Query, ReturnPreference, Validate, routes,
};

pub(super) fn router() -> OpenApiRouter<Books> {
    OpenApiRouter::new()
        .routes(routes!(create_hold))
        .routes(routes!(get_hold))
        .routes(routes!(list_holds))
        .routes(routes!(capture_hold))
        .routes(routes!(void_hold))
}

/// Which holds are wanted.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct HoldsQuery {
    /// How many items to return.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u16>,
    /// The `nextCursor` of the page before; leave out for the first page.
    #[param(max_length = 200)]
    cursor: Option<String>,
    /// Only holds with a leg on this account.
    account_id: Option<Uuid>,
    /// Only holds that stand there.
    #[param(inline)]
    status: Option<HoldStatusBody>,
}

/// Money to set aside.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CreateHoldBody {
    /// Yours to choose, and the idempotency key of the hold. Without it, send `Idempotency-Key`.
    id: Option<Uuid>,
    /// The kind of the transactions that capture it.
    #[schema(min_length = 1, max_length = 64, example = "card.purchase")]
    kind: String,
    #[schema(max_length = 500)]
    description: Option<String>,
    /// Your own reference.
    #[schema(max_length = 200)]
    reference: Option<String>,
    /// Up to 50 strings, keys up to 64 characters, values up to 500.
    #[serde(default)]
    metadata: BTreeMap<String, String>,
    /// 2 to 1,000 legs; debits equal credits in each currency.
    #[schema(min_items = 2, max_items = 1000)]
    legs: Vec<LegBody>,
    /// When what is left of it is released by itself; never when left out.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
    /// How much more than the hold its captures may take together (a tip, a currency's move); none when left
    /// out, and none with more than two legs.
    #[schema(minimum = 0, maximum = 9007199254740991_i64)]
    tolerance_minor_units: Option<i64>,
}

/// What to take of a hold.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CaptureBody {
    /// The id of the transaction, yours to choose, and its idempotency key. Without it, send
    /// `Idempotency-Key`.
    id: Option<Uuid>,
    /// How much of a hold with two legs; all that is left when left out.
    #[schema(minimum = 1, maximum = 9007199254740991_i64)]
    amount_minor_units: Option<i64>,
    /// Release what is left after it. Without it a hold can be captured several times, until nothing is
    /// left.
    #[serde(default, rename = "final")]
    is_final: bool,
}

/// Why a hold is let go.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct VoidBody {
    /// For people; kept in the journal.
    #[schema(max_length = 500, example = "order cancelled")]
    reason: Option<String>,
}

impl Validate for CreateHoldBody {
    fn validate(&self, errors: &mut FieldErrors) {
        check_texts(&self.kind, self.description.as_deref(), self.reference.as_deref(), errors);
        check_metadata(&self.metadata, errors);
        check_legs(&self.legs, errors);
        if let Some(tolerance) = self.tolerance_minor_units
            && tolerance != 0
        {
            errors.require_amount(tolerance, "/toleranceMinorUnits");
        }
    }
}

impl Validate for CaptureBody {
    fn validate(&self, errors: &mut FieldErrors) {
        if let Some(minor_units) = self.amount_minor_units {
            errors.require_amount(minor_units, "/amountMinorUnits");
        }
    }
}

impl Validate for VoidBody {
    fn validate(&self, errors: &mut FieldErrors) {
        if let Some(reason) = &self.reason {
            errors.require_text(reason, 0, DESCRIPTION_CHARS_MAX, "/reason");
        }
    }
}

/// Set money aside
///
/// What the legs would move counts as pending: it is no longer available to the payer and not yet to the
/// payee. The caller's `id` is the idempotency key, kept for ever, whoever sends it again: `initiatedBy`
/// stays who was first. Without an id, send `Idempotency-Key`.
/// Refusals: those of posting a transaction, `limit_exceeded`, `hold_expired` when the expiry is in the
/// past.
#[utoipa::path(
    post, path = "/api/v1/ledger/holds", tag = "Ledger", operation_id = "createLedgerHold",
    security(("bearer" = ["ledger:write"])),
    params(
        DryRunQuery,
        ReturnPreference,
        ("Idempotency-Key" = Option<String>, Header, description = "Instead of `id`",
            min_length = 1, max_length = 255),
    ),
    request_body = CreateHoldBody,
    responses(
        (status = 201, description = "The money is set aside.", body = HoldBody,
            headers(("Preference-Applied" = String,
                description = "`return=minimal`: there is no body"))),
        (status = 200, description = "It would be (dry run).", body = HoldBody),
        (status = 409, description = "`hold_expired`: its expiry is in the past."),
    ),
)]
async fn create_hold(
    State(ledger): State<Ledger>,
    writer: Writer,
    Query(query): Query<DryRunQuery>,
    wanted: ReturnPreference,
    key: Option<IdempotencyKey>,
    Json(body): Json<CreateHoldBody>,
) -> Result<Response, Problem> {
    let id = chosen_id(body.id, &writer.actor, key.as_ref(), "")?;
    let new = NewHold {
        id: HoldId(id),
        kind: body.kind,
        description: body.description,
        reference: body.reference,
        metadata: body.metadata,
        legs: body.legs.into_iter().map(Into::into).collect(),
        expires_at: body.expires_at,
        tolerance: body.tolerance_minor_units.unwrap_or(0),
        initiated_by: Some(writer.actor.user_id),
    };
    let deed = || Deed {
        action: "ledger_hold_requested",
        object: Some(id),
        details: json!({ "kind": new.kind, "amounts": moved(&new.legs) }),
    };
    if !query.dry_run {
        writer.note_of_person(deed).await?;
    }
    let held = ledger.held(query.wrap(Command::Hold(new))).await.map_err(problem)?;
    let path = format!("/api/v1/ledger/holds/{}", held.record.id);
    Ok(query.created(&path, held.replayed, wanted, || HoldBody::from(held.record)))
}

/// Read a hold
#[utoipa::path(
    get, path = "/api/v1/ledger/holds/{id}", tag = "Ledger", operation_id = "getLedgerHold",
    security(("bearer" = ["ledger:read"])),
    params(("id" = Uuid, Path, description = "The hold")),
    responses(
        (status = 200, description = "The hold.", body = HoldBody),
        (status = 404, description = "There is no such hold."),
    ),
)]
async fn get_hold(
    State(ledger): State<Ledger>,
    _: Authorized<Read>,
    Path(id): Path<Uuid>,
) -> Result<Json<HoldBody>, Problem> {
    let hold = ledger.hold_by_id(HoldId(id)).await.map_err(problem)?;
    hold.map(|hold| Json(hold.into())).ok_or_else(|| Problem::not_found("hold"))
}

/// List holds, newest first
///
/// Those that all given parameters hold for. One page looks at no more than 5,000 holds of the account, or of
/// all: a page may be short or empty although `nextCursor` is set; the list ends where it is null.
#[utoipa::path(
    get, path = "/api/v1/ledger/holds", tag = "Ledger", operation_id = "listLedgerHolds",
    security(("bearer" = ["ledger:read"])),
    params(HoldsQuery),
    responses((status = 200, description = "A page of holds.", body = ListBody<HoldBody>)),
)]
async fn list_holds(
    State(ledger): State<Ledger>,
    _: Authorized<Read>,
    Query(query): Query<HoldsQuery>,
) -> Result<Json<ListBody<HoldBody>>, Problem> {
    let page = PageQuery::new(query.limit, query.cursor).into_request()?;
    let after = page.after.map(|cursor| cursor.as_i64()).transpose()?;
    let filter = HoldFilter {
        account: query.account_id.map(AccountId),
        status: query.status.map(Into::into),
    };
    let holds = ledger.0.journal.find_holds(filter, after, page.limit).await;
    let holds = holds.map_err(|error| Problem::store_unavailable(&error))?;
    Ok(Json(holds.map(HoldBody::from).into()))
}

/// Capture a hold, in whole or in part
///
/// By a transaction of the hold's kind, linked to it by `captures`. Several captures together never take
/// more than the hold and its tolerance. `initiatedBy` is who asks for the capture. Refusals:
/// `idempotency_key_reused`, `not_found`, `hold_not_pending`, `hold_expired`, `capture_exceeds_hold`,
/// `partial_capture_of_many_legs`, `account_not_open`; `insufficient_funds` and `limit_exceeded` for what is
/// taken beyond the hold.
#[utoipa::path(
    post, path = "/api/v1/ledger/holds/{id}/capture", tag = "Ledger",
    operation_id = "captureLedgerHold",
    security(("bearer" = ["ledger:write"])),
    params(
        ("id" = Uuid, Path, description = "The hold"),
        DryRunQuery,
        ReturnPreference,
        ("Idempotency-Key" = Option<String>, Header, description = "Instead of `id`",
            min_length = 1, max_length = 255),
    ),
    request_body = CaptureBody,
    responses(
        (status = 201, description = "The transaction is posted.", body = TransactionBody,
            headers(("Preference-Applied" = String,
                description = "`return=minimal`: there is no body"))),
        (status = 200, description = "It would be posted (dry run).", body = TransactionBody),
        (status = 404, description = "There is no such hold."),
        (status = 409, description = "`hold_not_pending` or `hold_expired`: it has ended."),
    ),
)]
async fn capture_hold(
    State(ledger): State<Ledger>,
    writer: Writer,
    Path(hold): Path<Uuid>,
    Query(query): Query<DryRunQuery>,
    wanted: ReturnPreference,
    key: Option<IdempotencyKey>,
    Json(body): Json<CaptureBody>,
) -> Result<Response, Problem> {
    let id = chosen_id(body.id, &writer.actor, key.as_ref(), "")?;
    let deed = || Deed {
        action: "ledger_capture_requested",
        object: Some(hold),
        details: json!({
            "transactionId": id,
            "amountMinorUnits": body.amount_minor_units,
            "final": body.is_final,
        }),
    };
    if !query.dry_run {
        writer.note_of_person(deed).await?;
    }
    let command = query.wrap(Command::Capture(NewCapture {
        id: TransactionId(id),
        hold: HoldId(hold),
        minor_units: body.amount_minor_units,
        is_final: body.is_final,
        initiated_by: Some(writer.actor.user_id),
    }));
    let posted = ledger.posted(command).await.map_err(problem_without_legs)?;
    Ok(query.answer(posted, wanted))
}

/// Void a hold
///
/// What is left of it is available again, and `releasedBy` tells who asked for it. A hold that is void already
/// stays as it is.
#[utoipa::path(
    post, path = "/api/v1/ledger/holds/{id}/void", tag = "Ledger",
    operation_id = "voidLedgerHold",
    security(("bearer" = ["ledger:write"])),
    params(("id" = Uuid, Path, description = "The hold"), ReturnPreference),
    request_body = VoidBody,
    responses(
        (status = 200, description = "Nothing is set aside any more.", body = HoldBody,
            headers(("Preference-Applied" = String,
                description = "`return=minimal`: there is no body"))),
        (status = 404, description = "There is no such hold."),
        (status = 409, description = "`hold_not_pending`: it was captured or has expired."),
    ),
)]
async fn void_hold(
    State(ledger): State<Ledger>,
    writer: Writer,
    Path(hold): Path<Uuid>,
    wanted: ReturnPreference,
    Json(body): Json<VoidBody>,
) -> Result<Response, Problem> {
    let deed = || Deed {
        action: "ledger_void_requested",
        object: Some(hold),
        details: json!({ "reason": body.reason }),
    };
    writer.note_of_person(deed).await?;
    let cause = ReleaseCause::Voided(body.reason);
    let initiated_by = Some(writer.actor.user_id);
    let release = HoldRelease { hold: HoldId(hold), cause, initiated_by };
    let held = ledger.release(release).await.map_err(problem_without_legs)?;
    Ok(body_if_wanted(wanted, || HoldBody::from(held.record)))
}
