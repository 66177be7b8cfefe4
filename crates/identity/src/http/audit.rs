//! The audit trail, for staff.

use super::{Identities, error};
use crate::{AuditEntry, AuditFilter, Identity, permissions};
use axum::extract::{Request, State};
use axum::http::header;
use axum::middleware::Next;
use axum::response::Response;
use identity_api::RequestOrigin;
use kernel::{Permission, Timestamp, UserId};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;
use web::{
    Authorized, ClientAddress, Json, ListBody, OpenApiRouter, PageQuery, Problem, Query, Right,
    routes,
};

pub(super) fn router() -> OpenApiRouter<Identities> {
    OpenApiRouter::new().routes(routes!(find_audit_events))
}

/// Middleware: lets the audit trail know where a request comes from.
pub(super) async fn note_origin(request: Request, next: Next) -> Response {
    let user_agent = request.headers().get(header::USER_AGENT);
    let user_agent = user_agent.and_then(|value| value.to_str().ok()).unwrap_or_default();
    let address = ClientAddress::of(request.extensions());
    let origin = RequestOrigin {
        client_address: address.map(|address| address.0.to_string()).unwrap_or_default(),
        user_agent: user_agent.to_owned(),
    };
    crate::audit::ORIGIN.scope(origin, next.run(request)).await
}

struct Read;

impl Right for Read {
    const PERMISSION: Option<Permission> = Some(permissions::AUDIT_READ);
}

/// Which entries are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct AuditEventsQuery {
    /// How many items to return.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u16>,
    /// The `nextCursor` of the page before; leave out for the first page.
    #[param(max_length = 200)]
    cursor: Option<String>,
    /// Only what this user or API client did.
    actor_id: Option<Uuid>,
    /// Only this action.
    #[param(example = "user_locked")]
    action: Option<String>,
    /// Only what was done to this user, API client, staff action, role or card token, or to this account,
    /// hold, transaction or stream of the ledger.
    object_id: Option<Uuid>,
    /// Only from this instant on.
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<Timestamp>,
    /// Only before this instant.
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<Timestamp>,
}

/// Something that somebody did.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct AuditEventBody {
    /// Its number in the trail, from 1, without gaps.
    sequence: i64,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    occurred_at: Timestamp,
    /// Who: a user, or an API client, which is the object of an `api_client_created`. Null when nobody was
    /// signed in, or an operator did it on the command line.
    actor_id: Option<Uuid>,
    /// What.
    #[schema(example = "user_locked")]
    action: String,
    /// What it was done to: the id of a user, an API client, a staff action, a card token, or an account,
    /// hold, transaction or stream of the ledger, or one that is made from the name of a role. Null where
    /// there is no such thing.
    object_id: Option<Uuid>,
    /// Where the request came from; empty when there was none.
    client_address: String,
    /// The program that sent it, in its own words.
    user_agent: String,
    /// The rest. Contacts are masked.
    #[schema(value_type = Object)]
    details: Value,
}

impl From<AuditEntry> for AuditEventBody {
    fn from(entry: AuditEntry) -> Self {
        Self {
            sequence: entry.sequence,
            occurred_at: entry.occurred_at,
            actor_id: entry.actor.map(|actor| actor.0),
            action: entry.action,
            object_id: entry.object,
            client_address: entry.client_address,
            user_agent: entry.user_agent,
            details: serde_json::from_str(&entry.details).unwrap_or(Value::Null),
        }
    }
}

/// Find out who did what, newest first. All given conditions hold together.
#[utoipa::path(
    get,
    path = "/api/v1/admin/audit-events",
    operation_id = "findAuditEvents",
    tag = "Audit",
    params(AuditEventsQuery),
    security(("bearer" = ["audit:read"])),
    responses((status = 200, description = "A page of the audit trail.",
        body = ListBody<AuditEventBody>)),
)]
async fn find_audit_events(
    State(identity): State<Identity>,
    _caller: Authorized<Read>,
    Query(query): Query<AuditEventsQuery>,
) -> Result<Json<ListBody<AuditEventBody>>, Problem> {
    let page = PageQuery::new(query.limit, query.cursor).into_request()?;
    let before = page.after.map(|cursor| cursor.as_i64()).transpose()?;
    let filter = AuditFilter {
        actor: query.actor_id.map(UserId),
        action: query.action,
        object: query.object_id,
        from: query.from,
        to: query.to,
    };
    let found = identity.audit_events(&filter, before, page.limit).await;
    let found = found.map_err(error::failed)?;
    Ok(Json(found.map(AuditEventBody::from).into()))
}
