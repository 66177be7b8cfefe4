//! Showing again who one is, for what needs a fresh authentication (RFC 9470).

use super::{Identities, error};
use crate::{FreshToken, Identity};
use axum::extract::State;
use kernel::Actor;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use web::{AnyUser, Authorized, Json, OpenApiRouter, Problem, Validate, routes};

pub(super) fn router() -> OpenApiRouter<Identities> {
    OpenApiRouter::new().routes(routes!(reauthenticate))
}

/// Refuses who did not show lately who they are.
pub(super) fn require_fresh(identity: &Identity, actor: &Actor) -> Result<(), Problem> {
    web::require_fresh(actor, identity.step_up_max_age(), identity.now())
}

/// Proof of who one is.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ReauthenticateBody {
    /// The password.
    #[schema(value_type = String, format = Password)]
    password: SecretString,
    /// The code that the app shows, or a recovery code; needed by whoever has a second factor.
    #[schema(value_type = Option<String>, example = "123456")]
    code: Option<SecretString>,
}

impl Validate for ReauthenticateBody {}

/// An access token that says that its user was authenticated just now.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct FreshTokenBody {
    /// For each call: `Authorization: Bearer …`.
    access_token: String,
    /// Always `Bearer`.
    #[schema(example = "Bearer")]
    token_type: &'static str,
    /// How long the access token counts, in seconds.
    #[schema(example = 900)]
    expires_in: u64,
}

impl From<FreshToken> for FreshTokenBody {
    fn from(token: FreshToken) -> Self {
        Self {
            access_token: token.access_token.expose_secret().to_owned(),
            token_type: "Bearer",
            expires_in: token.expires_in.as_secs(),
        }
    }
}

/// Show again who one is, with all one's factors. The session goes on, with its refresh token.
#[utoipa::path(
    post,
    path = "/api/v1/auth/reauthenticate",
    operation_id = "reauthenticate",
    tag = "Identity",
    security(("bearer" = [])),
    request_body = ReauthenticateBody,
    responses(
        (status = 200, description = "An access token for what answers \
            `insufficient_user_authentication`.", body = FreshTokenBody),
        (status = 422, description = "`wrong_password`, or `wrong_mfa_code`: the code is wrong, or \
            missing."),
        (status = 503, description = "`too_many_sign_ins`, or the service cannot answer now; \
            see `Retry-After`."),
    ),
)]
async fn reauthenticate(
    State(identity): State<Identity>,
    caller: Authorized<AnyUser>,
    Json(body): Json<ReauthenticateBody>,
) -> Result<Json<FreshTokenBody>, Problem> {
    let token =
        identity.sessions().reauthenticate(&caller.actor, &body.password, body.code.as_ref()).await;
    Ok(Json(token.map_err(error::mfa_not_changed)?.into()))
}
