//! Showing again who one is, for what needs a fresh authentication (RFC 9470).

use super::mfa::{Needed, answer_of, check_answer};
use super::passkeys::AssertionBody;
use super::{Identities, error};
use crate::{FreshToken, Identity};
use axum::extract::State;
use kernel::Actor;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use web::{AnyUser, Authorized, FieldErrors, Json, OpenApiRouter, Problem, Validate, routes};

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
    /// The password; not needed with a passkey.
    #[schema(value_type = Option<String>, format = Password)]
    password: Option<SecretString>,
    /// The code that the app shows, or a recovery code; needed by whoever has a second factor.
    #[schema(value_type = Option<String>, example = "123456")]
    code: Option<SecretString>,
    /// A passkey's answer to `POST /api/v1/me/passkeys/challenge`, instead of both.
    passkey: Option<AssertionBody>,
}

impl Validate for ReauthenticateBody {
    fn validate(&self, errors: &mut FieldErrors) {
        check_answer(&self.code, &self.passkey, Needed::No, errors);
        let is_there = self.password.is_some() || self.passkey.is_some();
        errors.require(is_there, "/password", "is needed unless there is a passkey");
    }
}

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
        (status = 422, description = "`wrong_password`, or `wrong_mfa_code`: the code or passkey is wrong, or \
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
    let ReauthenticateBody { password, code, passkey } = body;
    let (sessions, answer) = (identity.sessions(), answer_of(code, passkey));
    let token = sessions.reauthenticate(&caller.actor, password.as_ref(), answer.as_ref()).await;
    Ok(Json(token.map_err(error::mfa_not_changed)?.into()))
}
