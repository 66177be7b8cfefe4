//! What staff ask for and a colleague approves.

use super::admin::StaffReasonBody;
use super::{Identities, error};
use crate::staff_actions::Asked;
use crate::{Action, ActionState, Identity, StaffAction, StaffError, permissions};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use kernel::{Permission, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;
use web::{
    Authorized, Json, ListBody, OpenApiRouter, PageQuery, Path, Problem, Query, Right, routes,
};

pub(super) fn router() -> OpenApiRouter<Identities> {
    OpenApiRouter::new()
        .routes(routes!(list_staff_actions))
        .routes(routes!(get_staff_action))
        .routes(routes!(approve_staff_action))
        .routes(routes!(reject_staff_action))
}

struct Read;

impl Right for Read {
    const PERMISSION: Option<Permission> = Some(permissions::APPROVALS_READ);
}

struct Write;

impl Right for Write {
    const PERMISSION: Option<Permission> = Some(permissions::APPROVALS_WRITE);
}

/// Something that staff asked for and a colleague has to approve.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct StaffActionBody {
    /// Its id.
    id: Uuid,
    /// What it is: `kind` and, in `body`, what that kind needs to know.
    #[serde(flatten)]
    #[schema(value_type = StaffActionKindBody)]
    action: Action,
    /// Why it was asked for.
    reason: String,
    /// Who asked.
    requested_by: Uuid,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    requested_at: Timestamp,
    /// Until when it can be approved.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
    /// How it stands.
    state: ActionStateBody,
    /// Who approved or rejected it.
    decided_by: Option<Uuid>,
    /// When.
    #[schema(value_type = Option<String>, format = DateTime)]
    decided_at: Option<Timestamp>,
    /// Why it was rejected.
    decision_reason: Option<String>,
}

/// What a staff action is.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it documents how an action is written")]
struct StaffActionKindBody {
    /// `unlock_user`, `reset_second_factor`, `grant_role` or `widen_role`.
    #[schema(example = "unlock_user")]
    kind: String,
    /// `userId`, for the first two; `userId`, `role` and `permissions`; or `role` and `permissions`.
    #[schema(example = json!({"userId": "0199c0de-0000-7000-8000-000000000000"}))]
    body: serde_json::Value,
}

/// How a staff action stands.
#[derive(Clone, Copy, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
enum ActionStateBody {
    /// It waits for a colleague.
    Pending,
    /// A colleague agreed, and it was done.
    Approved,
    /// A colleague refused, or whoever asked took it back.
    Rejected,
    /// Nobody decided in time.
    Expired,
}

impl From<ActionState> for ActionStateBody {
    fn from(state: ActionState) -> Self {
        match state {
            ActionState::Pending => Self::Pending,
            ActionState::Approved => Self::Approved,
            ActionState::Rejected => Self::Rejected,
            ActionState::Expired => Self::Expired,
        }
    }
}

impl From<ActionStateBody> for ActionState {
    fn from(state: ActionStateBody) -> Self {
        match state {
            ActionStateBody::Pending => Self::Pending,
            ActionStateBody::Approved => Self::Approved,
            ActionStateBody::Rejected => Self::Rejected,
            ActionStateBody::Expired => Self::Expired,
        }
    }
}

impl From<StaffAction> for StaffActionBody {
    fn from(action: StaffAction) -> Self {
        Self {
            id: action.id,
            action: action.action,
            reason: action.reason,
            requested_by: action.requested_by.0,
            requested_at: action.requested_at,
            expires_at: action.expires_at,
            state: action.state.into(),
            decided_by: action.decided_by.map(|by| by.0),
            decided_at: action.decided_at,
            decision_reason: action.decision_reason,
        }
    }
}

/// Which actions are wanted.
#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct StaffActionsQuery {
    /// Only those that stand like this.
    #[param(inline)]
    state: Option<ActionStateBody>,
    /// How many items to return.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u16>,
    /// The `nextCursor` of the page before; leave out for the first page.
    #[param(max_length = 200)]
    cursor: Option<String>,
}

/// 202 with what waits for a colleague, or 200 with what `done` finds when none is needed.
pub(super) async fn answer<T: Serialize>(
    asked: Result<Asked, StaffError>,
    done: impl Future<Output = Result<T, StaffError>>,
) -> Result<Response, Problem> {
    match asked.map_err(error::refused_to_staff)? {
        Asked::Waiting(action) => {
            Ok((StatusCode::ACCEPTED, Json(StaffActionBody::from(action))).into_response())
        }
        Asked::Done => Ok(Json(done.await.map_err(error::refused_to_staff)?).into_response()),
    }
}

/// What staff asked for, newest first.
#[utoipa::path(
    get,
    path = "/api/v1/admin/staff-actions",
    operation_id = "listStaffActions",
    tag = "Staff",
    params(StaffActionsQuery),
    security(("bearer" = ["approvals:read"])),
    responses((status = 200, description = "A page of actions.",
        body = ListBody<StaffActionBody>)),
)]
async fn list_staff_actions(
    State(identity): State<Identity>,
    _caller: Authorized<Read>,
    Query(query): Query<StaffActionsQuery>,
) -> Result<Json<ListBody<StaffActionBody>>, Problem> {
    let request = PageQuery::new(query.limit, query.cursor).into_request()?;
    let after = request.after.as_ref().map(|cursor| cursor.as_uuid()).transpose()?;
    let state = query.state.map(ActionState::from);
    let page = identity.staff_actions().list(state, after, request.limit).await;
    Ok(Json(page.map_err(error::failed)?.map(StaffActionBody::from).into()))
}

/// See what somebody asked for.
#[utoipa::path(
    get,
    path = "/api/v1/admin/staff-actions/{id}",
    operation_id = "getStaffAction",
    tag = "Staff",
    params(("id" = Uuid, Path, description = "The action's id.")),
    security(("bearer" = ["approvals:read"])),
    responses(
        (status = 200, description = "The action.", body = StaffActionBody),
        (status = 404, description = "`not_found`: there is no such action."),
    ),
)]
async fn get_staff_action(
    State(identity): State<Identity>,
    _caller: Authorized<Read>,
    Path(id): Path<Uuid>,
) -> Result<Json<StaffActionBody>, Problem> {
    let action = identity.staff_actions().find(id).await.map_err(error::refused_to_staff)?;
    Ok(Json(action.into()))
}

/// Approve what a colleague asked for. It is done at once, and once only: a repetition answers the
/// same.
#[utoipa::path(
    post,
    path = "/api/v1/admin/staff-actions/{id}/approve",
    operation_id = "approveStaffAction",
    tag = "Staff",
    params(("id" = Uuid, Path, description = "The action's id.")),
    security(("bearer" = ["approvals:write"])),
    responses(
        (status = 200, description = "It was done.", body = StaffActionBody),
        (status = 403, description = "`forbidden`: the permission of the action is needed too; or \
            `permission_not_held`."),
        (status = 404, description = "`not_found`: there is no such action."),
        (status = 409, description = "`own_request`, `own_account`, `action_not_pending`, \
            `action_outdated`, `requester_not_entitled`, or what refuses the action itself."),
    ),
)]
async fn approve_staff_action(
    State(identity): State<Identity>,
    caller: Authorized<Write>,
    Path(id): Path<Uuid>,
) -> Result<Json<StaffActionBody>, Problem> {
    let approved = identity.staff_actions().approve(&caller.actor, id).await;
    Ok(Json(approved.map_err(error::refused_to_staff)?.into()))
}

/// Reject what a colleague asked for, or take back what one asked for oneself.
#[utoipa::path(
    post,
    path = "/api/v1/admin/staff-actions/{id}/reject",
    operation_id = "rejectStaffAction",
    tag = "Staff",
    params(("id" = Uuid, Path, description = "The action's id.")),
    security(("bearer" = ["approvals:write"])),
    request_body = StaffReasonBody,
    responses(
        (status = 200, description = "It will not be done.", body = StaffActionBody),
        (status = 403, description = "`forbidden`: the permission of the action is needed too."),
        (status = 404, description = "`not_found`: there is no such action."),
        (status = 409, description = "`action_not_pending`."),
    ),
)]
async fn reject_staff_action(
    State(identity): State<Identity>,
    caller: Authorized<Write>,
    Path(id): Path<Uuid>,
    Json(body): Json<StaffReasonBody>,
) -> Result<Json<StaffActionBody>, Problem> {
    let rejected = identity.staff_actions().reject(&caller.actor, id, body.reason.trim()).await;
    Ok(Json(rejected.map_err(error::refused_to_staff)?.into()))
}
