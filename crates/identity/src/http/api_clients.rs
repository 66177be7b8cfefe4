//! How staff make API clients and take them back.

use super::admin::StaffReasonBody;
use super::{Identities, error};
use crate::{ApiClient, Identity, NewApiClient, permissions};
use axum::extract::State;
use axum::http::StatusCode;
use kernel::{Permission, Timestamp, UserId};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::time::Duration;
use utoipa::ToSchema;
use uuid::Uuid;
use web::{
    Authorized, FieldErrors, Json, ListBody, OpenApiRouter, PageQuery, Path, Problem, Query, Right,
    Validate, routes,
};

pub(super) fn router() -> OpenApiRouter<Identities> {
    OpenApiRouter::new()
        .routes(routes!(list_api_clients, create_api_client))
        .routes(routes!(get_api_client))
        .routes(routes!(rotate_secret))
        .routes(routes!(set_allowed_networks))
        .routes(routes!(revoke_api_client))
}

struct Read;

impl Right for Read {
    const PERMISSION: Option<Permission> = Some(permissions::CLIENTS_READ);
}

struct Write;

impl Right for Write {
    const PERMISSION: Option<Permission> = Some(permissions::CLIENTS_WRITE);
}

const NAME_LENGTH_MAX: usize = 100;
const NETWORKS_MAX: usize = 20;
const DAY: Duration = Duration::from_hours(24);
const OVERLAP_SECONDS_MAX: u64 = 30 * DAY.as_secs();

/// What a new API client is to be.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct NewApiClientBody {
    /// For people.
    #[schema(min_length = 1, max_length = 100, example = "Settlement service")]
    name: String,
    /// The permissions that its tokens may have: of `ledger:read`, `ledger:write`, `users:read` and
    /// `audit:read`, those that the caller has too.
    #[schema(min_items = 1, example = json!(["ledger:read"]))]
    scopes: BTreeSet<String>,
    /// The networks (CIDR) that it may call from; anywhere when there is none.
    #[serde(default)]
    #[schema(max_items = 20, example = json!(["192.0.2.0/24", "2001:db8::/32"]))]
    allowed_networks: BTreeSet<String>,
    /// When it ends; never when left out.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
}

impl Validate for NewApiClientBody {
    fn validate(&self, errors: &mut FieldErrors) {
        errors.require_text(self.name.trim(), 1, NAME_LENGTH_MAX, "/name");
        errors.require(!self.scopes.is_empty(), "/scopes", "must not be empty");
        require_few(&self.allowed_networks, errors);
    }
}

fn require_few(networks: &BTreeSet<String>, errors: &mut FieldErrors) {
    let few = networks.len() <= NETWORKS_MAX;
    errors.require(few, "/allowedNetworks", "must have 20 networks at most");
}

/// Where an API client may call from.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct AllowedNetworksBody {
    /// Networks (CIDR); anywhere when there is none.
    #[schema(max_items = 20, example = json!(["192.0.2.0/24", "2001:db8::/32"]))]
    allowed_networks: BTreeSet<String>,
}

impl Validate for AllowedNetworksBody {
    fn validate(&self, errors: &mut FieldErrors) {
        require_few(&self.allowed_networks, errors);
    }
}

/// How to go over to another secret.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RotateSecretBody {
    /// How long the secrets before it still count: up to 30 days, and a day when left out. With 0 the
    /// tokens of the client end as well.
    #[schema(maximum = 2_592_000, default = 86_400)]
    overlap_seconds: Option<u64>,
}

impl Validate for RotateSecretBody {
    fn validate(&self, errors: &mut FieldErrors) {
        let valid = self.overlap_seconds.is_none_or(|seconds| seconds <= OVERLAP_SECONDS_MAX);
        errors.require(valid, "/overlapSeconds", "must be 2592000 (30 days) at most");
    }
}

/// A program of a partner or service.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ApiClientBody {
    /// Its `client_id`.
    id: Uuid,
    /// For people.
    name: String,
    /// The permissions that its tokens may have.
    scopes: BTreeSet<String>,
    /// The networks that it may call from; anywhere when there is none.
    allowed_networks: BTreeSet<String>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// Who made it.
    created_by: Uuid,
    /// When it ends.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
    /// When it got another secret the last time.
    #[schema(value_type = Option<String>, format = DateTime)]
    rotated_at: Option<Timestamp>,
    /// When it got a token the last time.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_token_at: Option<Timestamp>,
    /// Since when it is revoked.
    #[schema(value_type = Option<String>, format = DateTime)]
    revoked_at: Option<Timestamp>,
    /// Why.
    revoked_reason: Option<String>,
}

impl From<ApiClient> for ApiClientBody {
    fn from(client: ApiClient) -> Self {
        Self {
            id: client.id.0,
            name: client.name,
            scopes: client.scopes,
            allowed_networks: client.allowed_networks,
            created_at: client.created_at,
            created_by: client.created_by.0,
            expires_at: client.expires_at,
            rotated_at: client.rotated_at,
            last_token_at: client.last_token_at,
            revoked_at: client.revoked_at,
            revoked_reason: client.revoked_reason,
        }
    }
}

/// An API client with a secret, which is shown this once.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ApiClientSecretBody {
    /// The client.
    #[serde(flatten)]
    client: ApiClientBody,
    /// Its `client_secret`.
    client_secret: String,
}

impl From<(ApiClient, SecretString)> for ApiClientSecretBody {
    fn from((client, secret): (ApiClient, SecretString)) -> Self {
        Self { client: client.into(), client_secret: secret.expose_secret().to_owned() }
    }
}

/// The API clients, newest first.
#[utoipa::path(
    get,
    path = "/api/v1/admin/api-clients",
    operation_id = "listApiClients",
    tag = "API clients",
    params(PageQuery),
    security(("bearer" = ["clients:read"])),
    responses((status = 200, description = "A page of API clients, revoked ones too.",
        body = ListBody<ApiClientBody>)),
)]
async fn list_api_clients(
    State(identity): State<Identity>,
    _caller: Authorized<Read>,
    Query(query): Query<PageQuery>,
) -> Result<Json<ListBody<ApiClientBody>>, Problem> {
    let request = query.into_request()?;
    let after = request.after.as_ref().map(|cursor| cursor.as_uuid()).transpose()?;
    let page = identity.api_clients().list(after, request.limit).await;
    let page = page.map_err(|error| error::failed(error.into()))?;
    Ok(Json(page.map(ApiClientBody::from).into()))
}

/// Make an API client. It gets tokens at `POST /api/v1/oauth/token`.
#[utoipa::path(
    post,
    path = "/api/v1/admin/api-clients",
    operation_id = "createApiClient",
    tag = "API clients",
    security(("bearer" = ["clients:write"])),
    request_body = NewApiClientBody,
    responses(
        (status = 201, description = "The client and its secret, which is shown this once.",
            body = ApiClientSecretBody),
        (status = 403, description = "`forbidden`, or `permission_not_held`: nobody gives a scope \
            that they do not have."),
    ),
)]
async fn create_api_client(
    State(identity): State<Identity>,
    caller: Authorized<Write>,
    Json(body): Json<NewApiClientBody>,
) -> Result<(StatusCode, Json<ApiClientSecretBody>), Problem> {
    let new = NewApiClient {
        name: body.name.trim().to_owned(),
        scopes: body.scopes,
        allowed_networks: body.allowed_networks,
        expires_at: body.expires_at,
    };
    let created = identity.api_clients().create(&caller.actor, new).await;
    Ok((StatusCode::CREATED, Json(created.map_err(error::client_not_changed)?.into())))
}

/// See an API client.
#[utoipa::path(
    get,
    path = "/api/v1/admin/api-clients/{id}",
    operation_id = "getApiClient",
    tag = "API clients",
    params(("id" = Uuid, Path, description = "The client's id.")),
    security(("bearer" = ["clients:read"])),
    responses(
        (status = 200, description = "The client.", body = ApiClientBody),
        (status = 404, description = "`not_found`: there is no such client."),
    ),
)]
async fn get_api_client(
    State(identity): State<Identity>,
    _caller: Authorized<Read>,
    Path(id): Path<Uuid>,
) -> Result<Json<ApiClientBody>, Problem> {
    let client = identity.api_clients().find(UserId(id)).await;
    Ok(Json(client.map_err(error::client_not_changed)?.into()))
}

/// Give an API client another secret. Those before it count a while longer.
#[utoipa::path(
    post,
    path = "/api/v1/admin/api-clients/{id}/rotate-secret",
    operation_id = "rotateApiClientSecret",
    tag = "API clients",
    params(("id" = Uuid, Path, description = "The client's id.")),
    security(("bearer" = ["clients:write"])),
    request_body = RotateSecretBody,
    responses(
        (status = 200, description = "The client and its new secret, which is shown this once.",
            body = ApiClientSecretBody),
        (status = 403, description = "`forbidden`, or `permission_not_held`: nobody looks after a \
            client that may do more than they."),
        (status = 404, description = "`not_found`: there is no such client."),
        (status = 409, description = "`api_client_revoked`."),
    ),
)]
async fn rotate_secret(
    State(identity): State<Identity>,
    caller: Authorized<Write>,
    Path(id): Path<Uuid>,
    Json(body): Json<RotateSecretBody>,
) -> Result<Json<ApiClientSecretBody>, Problem> {
    let overlap = body.overlap_seconds.map_or(DAY, Duration::from_secs);
    let rotated = identity.api_clients().rotate(&caller.actor, UserId(id), overlap).await;
    Ok(Json(rotated.map_err(error::client_not_changed)?.into()))
}

/// Say where an API client may call from. The tokens it has count no more; it gets others.
#[utoipa::path(
    put,
    path = "/api/v1/admin/api-clients/{id}/allowed-networks",
    operation_id = "setApiClientNetworks",
    tag = "API clients",
    params(("id" = Uuid, Path, description = "The client's id.")),
    security(("bearer" = ["clients:write"])),
    request_body = AllowedNetworksBody,
    responses(
        (status = 200, description = "The client.", body = ApiClientBody),
        (status = 403, description = "`forbidden`, or `permission_not_held`: nobody looks after a \
            client that may do more than they."),
        (status = 404, description = "`not_found`: there is no such client."),
        (status = 409, description = "`api_client_revoked`."),
    ),
)]
async fn set_allowed_networks(
    State(identity): State<Identity>,
    caller: Authorized<Write>,
    Path(id): Path<Uuid>,
    Json(body): Json<AllowedNetworksBody>,
) -> Result<Json<ApiClientBody>, Problem> {
    let networks = &body.allowed_networks;
    let changed = identity.api_clients().set_networks(&caller.actor, UserId(id), networks).await;
    Ok(Json(changed.map_err(error::client_not_changed)?.into()))
}

/// Take an API client back, for good. Its tokens count no more.
#[utoipa::path(
    post,
    path = "/api/v1/admin/api-clients/{id}/revoke",
    operation_id = "revokeApiClient",
    tag = "API clients",
    params(("id" = Uuid, Path, description = "The client's id.")),
    security(("bearer" = ["clients:write"])),
    request_body = StaffReasonBody,
    responses(
        (status = 200, description = "The client is revoked.", body = ApiClientBody),
        (status = 404, description = "`not_found`: there is no such client."),
    ),
)]
async fn revoke_api_client(
    State(identity): State<Identity>,
    caller: Authorized<Write>,
    Path(id): Path<Uuid>,
    Json(body): Json<StaffReasonBody>,
) -> Result<Json<ApiClientBody>, Problem> {
    let reason = body.reason.trim();
    let revoked = identity.api_clients().revoke(&caller.actor, UserId(id), reason).await;
    Ok(Json(revoked.map_err(error::client_not_changed)?.into()))
}
