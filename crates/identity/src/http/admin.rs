//! What staff see of users and do to them.

use super::dto::UserBody;
use super::staff_actions::{StaffActionBody, answer};
use super::{Identities, error};
use crate::{Action, Identity, StaffView, UserStatus, permissions};
use axum::extract::State;
use axum::response::Response;
use kernel::{Permission, Timestamp, UserId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;
use web::{Authorized, FieldErrors, Json, OpenApiRouter, Path, Problem, Right, Validate, routes};

pub(super) fn router() -> OpenApiRouter<Identities> {
    OpenApiRouter::new()
        .routes(routes!(search_users))
        .routes(routes!(get_user))
        .routes(routes!(lock_user))
        .routes(routes!(unlock_user))
        .routes(routes!(reset_second_factor))
}

struct Read;

impl Right for Read {
    const PERMISSION: Option<Permission> = Some(permissions::USERS_READ);
}

struct Write;

impl Right for Write {
    const PERMISSION: Option<Permission> = Some(permissions::USERS_WRITE);
}

struct ResetFactors;

impl Right for ResetFactors {
    const PERMISSION: Option<Permission> = Some(permissions::FACTORS_RESET);
}

/// Who is looked for. In a body, because addresses of requests are kept in many logs.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SearchUsersBody {
    /// E-mail address or phone number, in any spelling.
    #[schema(example = "amina@example.com")]
    identifier: String,
}

impl Validate for SearchUsersBody {}

/// Why something is done, for whoever looks at it later.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct StaffReasonBody {
    /// In the words of staff; the user does not see it.
    #[schema(min_length = 1, max_length = 500, example = "The phone was stolen.")]
    pub(super) reason: String,
}

const REASON_LENGTH_MAX: usize = 500;

impl Validate for StaffReasonBody {
    fn validate(&self, errors: &mut FieldErrors) {
        errors.require_text(self.reason.trim(), 1, REASON_LENGTH_MAX, "/reason");
    }
}

/// A user, as staff see one.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct StaffUserBody {
    /// The user.
    #[serde(flatten)]
    user: UserBody,
    /// Whether the user may sign in.
    status: UserStatusBody,
    /// Why staff or the user changed the status last.
    status_reason: Option<String>,
    /// When that was.
    #[schema(value_type = Option<String>, format = DateTime)]
    status_changed_at: Option<Timestamp>,
    /// Who did it.
    status_changed_by: Option<Uuid>,
    /// The last sign-in.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_log_in_at: Option<Timestamp>,
    /// Until when wrong passwords keep the user out.
    #[schema(value_type = Option<String>, format = DateTime)]
    locked_out_until: Option<Timestamp>,
}

/// Whether a user may sign in.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
enum UserStatusBody {
    /// Yes.
    Active,
    /// Staff keep the user out.
    Locked,
    /// The user left, for good.
    Closed,
}

impl From<StaffView> for StaffUserBody {
    fn from(view: StaffView) -> Self {
        Self {
            user: view.user.into(),
            status: match view.status {
                UserStatus::Active => UserStatusBody::Active,
                UserStatus::Locked => UserStatusBody::Locked,
                UserStatus::Closed => UserStatusBody::Closed,
            },
            status_reason: view.status_reason,
            status_changed_at: view.status_changed_at,
            status_changed_by: view.status_changed_by.map(|by| by.0),
            last_log_in_at: view.last_log_in_at,
            locked_out_until: view.locked_out_until,
        }
    }
}

/// Who was found.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct FoundUsersBody {
    /// One user, or none.
    items: Vec<StaffUserBody>,
}

/// Find a user by e-mail address or phone number.
#[utoipa::path(
    post,
    path = "/api/v1/admin/users/search",
    operation_id = "searchUsers",
    tag = "Users",
    security(("bearer" = ["users:read"])),
    request_body = SearchUsersBody,
    responses((status = 200, description = "Who was found.", body = FoundUsersBody)),
)]
async fn search_users(
    State(identity): State<Identity>,
    caller: Authorized<Read>,
    Json(body): Json<SearchUsersBody>,
) -> Result<Json<FoundUsersBody>, Problem> {
    let found =
        identity.accounts().search(&caller.actor, &body.identifier).await.map_err(error::failed)?;
    Ok(Json(FoundUsersBody { items: found.into_iter().map(StaffUserBody::from).collect() }))
}

/// See a user.
#[utoipa::path(
    get,
    path = "/api/v1/admin/users/{id}",
    operation_id = "getUser",
    tag = "Users",
    params(("id" = Uuid, Path, description = "The user's id.")),
    security(("bearer" = ["users:read"])),
    responses(
        (status = 200, description = "The user.", body = StaffUserBody),
        (status = 404, description = "`not_found`: there is no such user."),
    ),
)]
async fn get_user(
    State(identity): State<Identity>,
    caller: Authorized<Read>,
    Path(id): Path<Uuid>,
) -> Result<Json<StaffUserBody>, Problem> {
    let view = identity
        .accounts()
        .view(&caller.actor, UserId(id))
        .await
        .map_err(error::refused_to_staff)?;
    Ok(Json(view.into()))
}

/// Keep a user out. All of their sessions end. A locked user stays locked.
#[utoipa::path(
    post,
    path = "/api/v1/admin/users/{id}/lock",
    operation_id = "lockUser",
    tag = "Users",
    params(("id" = Uuid, Path, description = "The user's id.")),
    security(("bearer" = ["users:write"])),
    request_body = StaffReasonBody,
    responses(
        (status = 200, description = "The user is locked.", body = StaffUserBody),
        (status = 404, description = "`not_found`: there is no such user."),
        (status = 409, description = "`user_closed` or `own_account`."),
    ),
)]
async fn lock_user(
    State(identity): State<Identity>,
    caller: Authorized<Write>,
    Path(id): Path<Uuid>,
    Json(body): Json<StaffReasonBody>,
) -> Result<Json<StaffUserBody>, Problem> {
    let locked = identity.accounts().lock(&caller.actor, UserId(id), body.reason.trim()).await;
    Ok(Json(locked.map_err(error::refused_to_staff)?.into()))
}

/// Let a user in again, whether staff or wrong passwords keep them out. A colleague has to approve
/// it.
#[utoipa::path(
    post,
    path = "/api/v1/admin/users/{id}/unlock",
    operation_id = "unlockUser",
    tag = "Users",
    params(("id" = Uuid, Path, description = "The user's id.")),
    security(("bearer" = ["users:write"])),
    request_body = StaffReasonBody,
    responses(
        (status = 200, description = "The user may sign in: this installation needs no second \
            person.", body = StaffUserBody),
        (status = 202, description = "It waits for a colleague.", body = StaffActionBody),
        (status = 404, description = "`not_found`: there is no such user."),
        (status = 409, description = "`user_closed` or `own_account`."),
    ),
)]
async fn unlock_user(
    State(identity): State<Identity>,
    caller: Authorized<Write>,
    Path(id): Path<Uuid>,
    Json(body): Json<StaffReasonBody>,
) -> Result<Response, Problem> {
    let action = Action::UnlockUser { user_id: id };
    let asked = identity.staff_actions().ask(&caller.actor, action, body.reason.trim()).await;
    let done =
        async { Ok(StaffUserBody::from(identity.accounts().after_change(UserId(id)).await?)) };
    answer(asked, done).await
}

/// Remove all second factors of somebody who lost them: the app, passkeys, recovery codes and trusted
/// devices. All of their sessions end; they sign in with the password alone and add a new one. A
/// colleague has to approve it. Look at who asks as carefully as when the account was opened.
#[utoipa::path(
    post,
    path = "/api/v1/admin/users/{id}/reset-second-factor",
    operation_id = "resetSecondFactor",
    tag = "Users",
    params(("id" = Uuid, Path, description = "The user's id.")),
    security(("bearer" = ["factors:reset"])),
    request_body = StaffReasonBody,
    responses(
        (status = 200, description = "There is none any more: this installation needs no second \
            person.", body = StaffUserBody),
        (status = 202, description = "It waits for a colleague.", body = StaffActionBody),
        (status = 403, description = "`forbidden`, or `permission_not_held`: the user may do what \
            you may not."),
        (status = 404, description = "`not_found`: there is no such user."),
        (status = 409, description = "`user_closed` or `own_account`."),
        (status = 422, description = "`mfa_not_there`: the user has none, or `validation_failed`."),
    ),
)]
async fn reset_second_factor(
    State(identity): State<Identity>,
    caller: Authorized<ResetFactors>,
    Path(id): Path<Uuid>,
    Json(body): Json<StaffReasonBody>,
) -> Result<Response, Problem> {
    let action = Action::ResetSecondFactor { user_id: id };
    let asked = identity.staff_actions().ask(&caller.actor, action, body.reason.trim()).await;
    let done =
        async { Ok(StaffUserBody::from(identity.accounts().after_change(UserId(id)).await?)) };
    answer(asked, done).await
}
