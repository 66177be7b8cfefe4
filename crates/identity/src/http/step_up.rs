//! Showing again who one is, for what needs a fresh authentication (RFC 9470).

use super::dto::TokenPairBody;
use super::mfa::{Needed, answer_of, check_answer};
use super::passkeys::AssertionBody;
use super::{Identities, error};
use crate::Identity;
use axum::extract::State;
use kernel::Actor;
use secrecy::SecretString;
use serde::Deserialize;
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

/// Show again who one is, with all one's factors. The session goes on with other tokens and another id:
/// those from before count no more, and the refresh token from before ends it when it comes again.
#[utoipa::path(
    post,
    path = "/api/v1/auth/reauthenticate",
    operation_id = "reauthenticate",
    tag = "Identity",
    security(("bearer" = [])),
    request_body = ReauthenticateBody,
    responses(
        (status = 200, description = "The next tokens of the session, for what answers \
            `insufficient_user_authentication` too.", body = TokenPairBody),
        (status = 401, description = "`unauthenticated`: no token that counts, or the session ended or \
            was shown again meanwhile."),
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
) -> Result<Json<TokenPairBody>, Problem> {
    let ReauthenticateBody { password, code, passkey } = body;
    let (sessions, answer) = (identity.sessions(), answer_of(code, passkey));
    let pair = sessions.reauthenticate(&caller.actor, password.as_ref(), answer.as_ref()).await;
    Ok(Json(pair.map_err(error::mfa_not_changed)?.into()))
}
