//! How staff make roles, give them and take them.

use super::staff_actions::{StaffActionBody, answer};
use super::{Identities, error};
use crate::{Action, HeldRole, Identity, Role, permissions};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use kernel::{Permission, Timestamp, UserId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use utoipa::ToSchema;
use uuid::Uuid;
use web::{Authorized, FieldErrors, Json, OpenApiRouter, Path, Problem, Right, Validate, routes};

pub(super) fn router() -> OpenApiRouter<Identities> {
    OpenApiRouter::new()
        .routes(routes!(list_permissions))
        .routes(routes!(list_roles, create_role))
        .routes(routes!(add_permissions))
        .routes(routes!(remove_permissions))
        .routes(routes!(delete_role))
        .routes(routes!(list_user_roles, grant_role))
        .routes(routes!(take_role))
}

struct Read;

impl Right for Read {
    const PERMISSION: Option<Permission> = Some(permissions::ROLES_READ);
}

struct Write;

impl Right for Write {
    const PERMISSION: Option<Permission> = Some(permissions::ROLES_WRITE);
}

struct ReadUsers;

impl Right for ReadUsers {
    const PERMISSION: Option<Permission> = Some(permissions::USERS_READ);
}

const NAME_LENGTH_MAX: usize = 40;
const TEXT_LENGTH_MAX: usize = 500;

/// What roles can permit.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct PermissionBody {
    /// As tokens and this document have it.
    #[schema(example = "users:read")]
    name: &'static str,
    /// For people.
    description: &'static str,
}

/// All permissions.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct PermissionsBody {
    /// By module.
    items: Vec<PermissionBody>,
}

/// A role and what it permits.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct RoleBody {
    /// Its name.
    #[schema(example = "Teller")]
    name: String,
    /// For people.
    description: String,
    /// What it permits.
    #[schema(example = json!(["users:read"]))]
    permissions: BTreeSet<String>,
    /// Whether it belongs to the system and cannot be changed.
    is_built_in: bool,
}

impl From<Role> for RoleBody {
    fn from(role: Role) -> Self {
        let Role { name, description, permissions, is_built_in } = role;
        Self { name, description, permissions, is_built_in }
    }
}

/// All roles.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct RolesBody {
    /// By name.
    items: Vec<RoleBody>,
}

/// A role that a user holds.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct HeldRoleBody {
    /// Its name.
    role: String,
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    granted_at: Timestamp,
}

/// The roles of a user.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct HeldRolesBody {
    /// By name.
    items: Vec<HeldRoleBody>,
}

impl From<Vec<HeldRole>> for HeldRolesBody {
    fn from(held: Vec<HeldRole>) -> Self {
        let items =
            held.into_iter().map(|HeldRole { role, granted_at }| HeldRoleBody { role, granted_at });
        Self { items: items.collect() }
    }
}

/// A role to make.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct NewRoleBody {
    /// Letters and digits, with hyphens between them; unique without regard to case.
    #[schema(min_length = 1, max_length = 40, example = "Teller")]
    name: String,
    /// For people.
    #[schema(min_length = 1, max_length = 500, example = "Helps customers at the counter.")]
    description: String,
    /// What it permits; only what the caller has too.
    #[schema(example = json!(["users:read"]))]
    permissions: BTreeSet<String>,
}

impl Validate for NewRoleBody {
    fn validate(&self, errors: &mut FieldErrors) {
        let name = self.name.as_str();
        let is_name = (1..=NAME_LENGTH_MAX).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !name.starts_with('-')
            && !name.ends_with('-');
        errors.require(
            is_name,
            "/name",
            "must have 1 to 40 letters and digits, with hyphens between them",
        );
        errors.require_text(self.description.trim(), 1, TEXT_LENGTH_MAX, "/description");
    }
}

/// Which permissions a role shall permit no more.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RemovePermissionsBody {
    /// Only what the caller has too.
    #[schema(min_items = 1, example = json!(["users:read"]))]
    permissions: BTreeSet<String>,
}

impl Validate for RemovePermissionsBody {
    fn validate(&self, errors: &mut FieldErrors) {
        errors.require(!self.permissions.is_empty(), "/permissions", "must not be empty");
    }
}

/// Which permissions a role shall permit as well, and why.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct AddPermissionsBody {
    /// Only what the caller has too.
    #[schema(min_items = 1, example = json!(["users:read"]))]
    permissions: BTreeSet<String>,
    /// In the words of staff.
    #[schema(min_length = 1, max_length = 500)]
    reason: String,
}

impl Validate for AddPermissionsBody {
    fn validate(&self, errors: &mut FieldErrors) {
        errors.require(!self.permissions.is_empty(), "/permissions", "must not be empty");
        errors.require_text(self.reason.trim(), 1, TEXT_LENGTH_MAX, "/reason");
    }
}

/// Which role, and why.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct GrantRoleBody {
    /// Its name.
    #[schema(example = "Support")]
    role: String,
    /// In the words of staff.
    #[schema(min_length = 1, max_length = 500)]
    reason: String,
}

impl Validate for GrantRoleBody {
    fn validate(&self, errors: &mut FieldErrors) {
        errors.require_text(self.reason.trim(), 1, TEXT_LENGTH_MAX, "/reason");
    }
}

/// What roles can permit.
#[utoipa::path(
    get,
    path = "/api/v1/admin/permissions",
    operation_id = "listPermissions",
    tag = "Staff",
    security(("bearer" = ["roles:read"])),
    responses((status = 200, description = "All permissions.", body = PermissionsBody)),
)]
async fn list_permissions(_caller: Authorized<Read>) -> Json<PermissionsBody> {
    let items = permissions::DESCRIPTIONS
        .iter()
        .map(|(permission, description)| PermissionBody { name: permission.0, description });
    Json(PermissionsBody { items: items.collect() })
}

/// The roles there are.
#[utoipa::path(
    get,
    path = "/api/v1/admin/roles",
    operation_id = "listRoles",
    tag = "Staff",
    security(("bearer" = ["roles:read"])),
    responses((status = 200, description = "All roles.", body = RolesBody)),
)]
async fn list_roles(
    State(identity): State<Identity>,
    _caller: Authorized<Read>,
) -> Result<Json<RolesBody>, Problem> {
    let roles = identity.roles().list().await.map_err(|error| error::failed(error.into()))?;
    Ok(Json(RolesBody { items: roles.into_iter().map(RoleBody::from).collect() }))
}

/// Make a role. Nobody holds it yet.
#[utoipa::path(
    post,
    path = "/api/v1/admin/roles",
    operation_id = "createRole",
    tag = "Staff",
    security(("bearer" = ["roles:write"])),
    request_body = NewRoleBody,
    responses(
        (status = 201, description = "The role.", body = RoleBody),
        (status = 403, description = "`forbidden`, or `permission_not_held`."),
        (status = 409, description = "`role_exists`."),
    ),
)]
async fn create_role(
    State(identity): State<Identity>,
    caller: Authorized<Write>,
    Json(body): Json<NewRoleBody>,
) -> Result<(StatusCode, Json<RoleBody>), Problem> {
    let NewRoleBody { name, description, permissions } = body;
    let created =
        identity.roles().create(&caller.actor, &name, description.trim(), &permissions).await;
    Ok((StatusCode::CREATED, Json(created.map_err(error::refused_to_staff)?.into())))
}

/// Let a role permit more. A colleague has to approve it. Roles of the system stay as they are.
#[utoipa::path(
    post,
    path = "/api/v1/admin/roles/{name}/add-permissions",
    operation_id = "addPermissions",
    tag = "Staff",
    params(("name" = String, Path, description = "The role's name.")),
    security(("bearer" = ["roles:write"])),
    request_body = AddPermissionsBody,
    responses(
        (status = 200, description = "Done: this installation needs no second person.",
            body = RoleBody),
        (status = 202, description = "It waits for a colleague.", body = StaffActionBody),
        (status = 403, description = "`forbidden`, or `permission_not_held`."),
        (status = 404, description = "`not_found`: there is no such role."),
        (status = 409, description = "`role_built_in`."),
    ),
)]
async fn add_permissions(
    State(identity): State<Identity>,
    caller: Authorized<Write>,
    Path(name): Path<String>,
    Json(body): Json<AddPermissionsBody>,
) -> Result<Response, Problem> {
    let action = Action::WidenRole { role: name.clone(), permissions: body.permissions };
    let asked = identity.staff_actions().ask(&caller.actor, action, body.reason.trim()).await;
    answer(asked, async { Ok(RoleBody::from(identity.roles().find(&name).await?)) }).await
}

/// Let a role permit less, at once: access tokens of its holders count no more until they are
/// refreshed. Roles of the system stay as they are.
#[utoipa::path(
    post,
    path = "/api/v1/admin/roles/{name}/remove-permissions",
    operation_id = "removePermissions",
    tag = "Staff",
    params(("name" = String, Path, description = "The role's name.")),
    security(("bearer" = ["roles:write"])),
    request_body = RemovePermissionsBody,
    responses(
        (status = 200, description = "The role.", body = RoleBody),
        (status = 403, description = "`forbidden`, or `permission_not_held`."),
        (status = 404, description = "`not_found`: there is no such role."),
        (status = 409, description = "`role_built_in`."),
    ),
)]
async fn remove_permissions(
    State(identity): State<Identity>,
    caller: Authorized<Write>,
    Path(name): Path<String>,
    Json(body): Json<RemovePermissionsBody>,
) -> Result<Json<RoleBody>, Problem> {
    let narrowed = identity.roles().narrow(&caller.actor, &name, &body.permissions).await;
    Ok(Json(narrowed.map_err(error::refused_to_staff)?.into()))
}

/// Remove a role that nobody holds.
#[utoipa::path(
    post,
    path = "/api/v1/admin/roles/{name}/delete",
    operation_id = "deleteRole",
    tag = "Staff",
    params(("name" = String, Path, description = "The role's name.")),
    security(("bearer" = ["roles:write"])),
    responses(
        (status = 204, description = "The role is gone."),
        (status = 403, description = "`forbidden`, or `permission_not_held`."),
        (status = 404, description = "`not_found`: there is no such role."),
        (status = 409, description = "`role_built_in` or `role_in_use`."),
    ),
)]
async fn delete_role(
    State(identity): State<Identity>,
    caller: Authorized<Write>,
    Path(name): Path<String>,
) -> Result<StatusCode, Problem> {
    identity.roles().delete(&caller.actor, &name).await.map_err(error::refused_to_staff)?;
    Ok(StatusCode::NO_CONTENT)
}

/// The roles that a user holds.
#[utoipa::path(
    get,
    path = "/api/v1/admin/users/{id}/roles",
    operation_id = "listUserRoles",
    tag = "Users",
    params(("id" = Uuid, Path, description = "The user's id.")),
    security(("bearer" = ["users:read"])),
    responses(
        (status = 200, description = "The roles.", body = HeldRolesBody),
        (status = 404, description = "`not_found`: there is no such user."),
    ),
)]
async fn list_user_roles(
    State(identity): State<Identity>,
    caller: Authorized<ReadUsers>,
    Path(id): Path<Uuid>,
) -> Result<Json<HeldRolesBody>, Problem> {
    let held = identity.roles().view(&caller.actor, UserId(id)).await;
    Ok(Json(held.map_err(error::refused_to_staff)?.into()))
}

/// Give a user a role. A colleague has to approve it.
#[utoipa::path(
    post,
    path = "/api/v1/admin/users/{id}/roles",
    operation_id = "grantRole",
    tag = "Users",
    params(("id" = Uuid, Path, description = "The user's id.")),
    security(("bearer" = ["roles:write"])),
    request_body = GrantRoleBody,
    responses(
        (status = 200, description = "Done: this installation needs no second person.",
            body = HeldRolesBody),
        (status = 202, description = "It waits for a colleague.", body = StaffActionBody),
        (status = 403, description = "`forbidden`, or `permission_not_held`."),
        (status = 404, description = "`not_found`: there is no such user or role."),
        (status = 409, description = "`own_account` or `user_closed`."),
    ),
)]
async fn grant_role(
    State(identity): State<Identity>,
    caller: Authorized<Write>,
    Path(id): Path<Uuid>,
    Json(body): Json<GrantRoleBody>,
) -> Result<Response, Problem> {
    let role = identity.roles().find(&body.role).await.map_err(error::refused_to_staff)?;
    let action = Action::GrantRole { user_id: id, role: role.name, permissions: role.permissions };
    let asked = identity.staff_actions().ask(&caller.actor, action, body.reason.trim()).await;
    answer(asked, async { Ok(HeldRolesBody::from(identity.roles().of(UserId(id)).await?)) }).await
}

/// Take a role from a user, at once: their access tokens count no more until they are refreshed.
#[utoipa::path(
    post,
    path = "/api/v1/admin/users/{id}/roles/{role}/take",
    operation_id = "takeRole",
    tag = "Users",
    params(
        ("id" = Uuid, Path, description = "The user's id."),
        ("role" = String, Path, description = "The role's name."),
    ),
    security(("bearer" = ["roles:write"])),
    responses(
        (status = 200, description = "The roles that are left.", body = HeldRolesBody),
        (status = 403, description = "`forbidden`, or `permission_not_held`."),
        (status = 404, description = "`not_found`: there is no such user or role."),
        (status = 409, description = "`own_account`."),
    ),
)]
async fn take_role(
    State(identity): State<Identity>,
    caller: Authorized<Write>,
    Path((id, role)): Path<(Uuid, String)>,
) -> Result<Json<HeldRolesBody>, Problem> {
    let left = identity.roles().take(&caller.actor, UserId(id), &role).await;
    Ok(Json(left.map_err(error::refused_to_staff)?.into()))
}
