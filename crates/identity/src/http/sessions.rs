//! One's own sessions.

use super::step_up::require_fresh;
use super::{Identities, error};
use crate::{Identity, OwnSession};
use axum::extract::State;
use axum::http::StatusCode;
use kernel::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;
use web::{
    AnyUser, Authorized, Json, ListBody, OpenApiRouter, PageQuery, Path, Problem, Query, routes,
};

pub(super) fn router() -> OpenApiRouter<Identities> {
    OpenApiRouter::new()
        .routes(routes!(list_sessions))
        .routes(routes!(end_session))
        .routes(routes!(end_other_sessions))
}

/// A sign-in on one device that is not over.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct SessionBody {
    /// Its id.
    id: Uuid,
    /// The device, as far as it tells.
    #[schema(example = "Firefox on Windows")]
    device_name: String,
    /// Where the sign-in came from.
    #[schema(example = "192.0.2.7")]
    ip_address: Option<String>,
    /// When that was.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// The last sign-in or refresh. Calls in between are not recorded.
    #[schema(value_type = String, format = DateTime)]
    last_used_at: Timestamp,
    /// When it ends if it is not used before; at last when its life is over.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
    /// Whether this call comes from it.
    is_current: bool,
}

impl From<OwnSession> for SessionBody {
    fn from(session: OwnSession) -> Self {
        Self {
            id: session.id,
            device_name: session.device_name,
            ip_address: (!session.ip_address.is_empty()).then_some(session.ip_address),
            created_at: session.created_at,
            last_used_at: session.last_used_at,
            expires_at: session.expires_at,
            is_current: session.is_current,
        }
    }
}

/// One's own sessions, newest first.
#[utoipa::path(
    get,
    path = "/api/v1/me/sessions",
    operation_id = "listSessions",
    tag = "Identity",
    params(PageQuery),
    security(("bearer" = [])),
    responses((status = 200, description = "The sessions that are not over.",
        body = ListBody<SessionBody>)),
)]
async fn list_sessions(
    State(identity): State<Identity>,
    caller: Authorized<AnyUser>,
    Query(query): Query<PageQuery>,
) -> Result<Json<ListBody<SessionBody>>, Problem> {
    let request = query.into_request()?;
    let after = request.after.as_ref().map(|cursor| cursor.as_uuid()).transpose()?;
    let page = identity.sessions().mine(&caller.actor, after, request.limit).await;
    let page = page.map_err(|error| error::failed(error.into()))?;
    Ok(Json(page.map(SessionBody::from).into()))
}

/// End one of one's own sessions, with all of its tokens. Another one than this needs a fresh
/// authentication.
#[utoipa::path(
    post,
    path = "/api/v1/me/sessions/{id}/end",
    operation_id = "endSession",
    tag = "Identity",
    params(("id" = Uuid, Path, description = "The session's id.")),
    security(("bearer" = [])),
    responses(
        (status = 204, description = "The session is over."),
        (status = 401, description = "`unauthenticated`, or `insufficient_user_authentication`."),
        (status = 404, description = "`not_found`: no such session, one that is over, or somebody \
            else's."),
    ),
)]
async fn end_session(
    State(identity): State<Identity>,
    caller: Authorized<AnyUser>,
    Path(id): Path<Uuid>,
) -> Result<StatusCode, Problem> {
    // Signing out is for everybody who is signed in.
    if id != caller.actor.session_id {
        require_fresh(&identity, &caller.actor)?;
    }
    let ended = identity.sessions().end_mine(&caller.actor, id).await.map_err(error::failed)?;
    if !ended {
        return Err(Problem::not_found("session"));
    }
    Ok(StatusCode::NO_CONTENT)
}

/// End all of one's own sessions but this one, freshly authenticated.
#[utoipa::path(
    post,
    path = "/api/v1/me/sessions/end-others",
    operation_id = "endOtherSessions",
    tag = "Identity",
    security(("bearer" = [])),
    responses(
        (status = 204, description = "Only this session goes on."),
        (status = 401, description = "`unauthenticated`, or `insufficient_user_authentication`."),
    ),
)]
async fn end_other_sessions(
    State(identity): State<Identity>,
    caller: Authorized<AnyUser>,
) -> Result<StatusCode, Problem> {
    require_fresh(&identity, &caller.actor)?;
    identity.sessions().end_my_others(&caller.actor).await.map_err(error::failed)?;
    Ok(StatusCode::NO_CONTENT)
}
