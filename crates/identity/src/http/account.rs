//! What somebody does to their own account.

use super::Identities;
use super::error;
use super::step_up::require_fresh;
use crate::Identity;
use axum::extract::State;
use axum::http::StatusCode;
use identity_api::Holdings;
use secrecy::SecretString;
use serde::Deserialize;
use std::sync::Arc;
use utoipa::ToSchema;
use web::{AnyUser, Authorized, Json, OpenApiRouter, Problem, Validate, routes};

pub(super) fn router() -> OpenApiRouter<Identities> {
    OpenApiRouter::new()
        .routes(routes!(change_password))
        .routes(routes!(close_account))
        .routes(routes!(begin_password_reset))
        .routes(routes!(complete_password_reset))
}

/// A new password and proof of who asks for it.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ChangePasswordBody {
    /// The present password.
    #[schema(value_type = String, format = Password)]
    current_password: SecretString,
    /// 10 to 128 characters; not a common password, nor one's own contacts or name.
    #[schema(value_type = String, format = Password, min_length = 10, max_length = 128)]
    new_password: SecretString,
}

impl Validate for ChangePasswordBody {}

/// Proof of who asks.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CloseAccountBody {
    /// The password.
    #[schema(value_type = String, format = Password)]
    password: SecretString,
}

impl Validate for CloseAccountBody {}

/// Who forgot the password.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct BeginPasswordResetBody {
    /// E-mail address or phone number of the account. The message goes there.
    #[schema(example = "amina@example.com")]
    identifier: String,
}

impl Validate for BeginPasswordResetBody {}

/// A new password, and the token that proves who asks for it.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CompletePasswordResetBody {
    /// The token of the message.
    #[schema(value_type = String, format = Password)]
    token: SecretString,
    /// 10 to 128 characters; not a common password, nor one's own contacts or name.
    #[schema(value_type = String, format = Password, min_length = 10, max_length = 128)]
    new_password: SecretString,
}

impl Validate for CompletePasswordResetBody {}

/// Change one's password. All other sessions end.
#[utoipa::path(
    post,
    path = "/api/v1/me/password",
    operation_id = "changePassword",
    tag = "Identity",
    security(("bearer" = [])),
    request_body = ChangePasswordBody,
    responses(
        (status = 204, description = "The new password counts."),
        (status = 401, description = "`unauthenticated`, or `insufficient_user_authentication`."),
        (status = 422, description = "`wrong_password`, or `validation_failed`."),
        (status = 503, description = "`too_many_sign_ins`, `password_not_checked`, or the service \
            cannot answer now; see `Retry-After`."),
    ),
)]
async fn change_password(
    State(identity): State<Identity>,
    caller: Authorized<AnyUser>,
    Json(body): Json<ChangePasswordBody>,
) -> Result<StatusCode, Problem> {
    require_fresh(&identity, &caller.actor)?;
    identity
        .change_password(&caller.actor, &body.current_password, &body.new_password)
        .await
        .map_err(error::account_not_changed)?;
    Ok(StatusCode::NO_CONTENT)
}

/// Close one's account with its wallets, for good. They must hold no money; contacts stay taken.
#[utoipa::path(
    post,
    path = "/api/v1/me/close",
    operation_id = "closeAccount",
    tag = "Identity",
    security(("bearer" = [])),
    request_body = CloseAccountBody,
    responses(
        (status = 204, description = "The account is closed and all sessions are over."),
        (status = 401, description = "`unauthenticated`, or `insufficient_user_authentication`."),
        (status = 409, description = "`account_holds_money`."),
        (status = 422, description = "`wrong_password`."),
        (status = 503, description = "`too_many_sign_ins`, or the service cannot answer now; \
            see `Retry-After`."),
    ),
)]
async fn close_account(
    State(identity): State<Identity>,
    State(holdings): State<Arc<dyn Holdings>>,
    caller: Authorized<AnyUser>,
    Json(body): Json<CloseAccountBody>,
) -> Result<StatusCode, Problem> {
    require_fresh(&identity, &caller.actor)?;
    identity
        .accounts()
        .close(&caller.actor, &body.password, holdings.as_ref())
        .await
        .map_err(error::account_not_changed)?;
    Ok(StatusCode::NO_CONTENT)
}

/// Ask for a new password. The answer is the same whether or not somebody is registered.
#[utoipa::path(
    post,
    path = "/api/v1/auth/password-resets",
    operation_id = "beginPasswordReset",
    tag = "Identity",
    request_body = BeginPasswordResetBody,
    responses(
        (status = 202, description = "If somebody is registered there, a message with a token is on \
            its way, at most one each minute. It counts for 30 minutes, unless another one is \
            asked for."),
        (status = 503, description = "`too_many_sign_ins`, or the service cannot answer now; \
            see `Retry-After`."),
    ),
)]
async fn begin_password_reset(
    State(identity): State<Identity>,
    Json(body): Json<BeginPasswordResetBody>,
) -> Result<StatusCode, Problem> {
    identity.begin_password_reset(&body.identifier).map_err(error::not_reset)?;
    Ok(StatusCode::ACCEPTED)
}

/// Set a new password with the token of a message. All sessions end.
#[utoipa::path(
    post,
    path = "/api/v1/auth/password-resets/complete",
    operation_id = "completePasswordReset",
    tag = "Identity",
    request_body = CompletePasswordResetBody,
    responses(
        (status = 204, description = "The new password counts."),
        (status = 422, description = "`invalid_reset_token`, or `validation_failed`."),
        (status = 503, description = "`too_many_sign_ins`, `password_not_checked`, or the service \
            cannot answer now; see `Retry-After`."),
    ),
)]
async fn complete_password_reset(
    State(identity): State<Identity>,
    Json(body): Json<CompletePasswordResetBody>,
) -> Result<StatusCode, Problem> {
    identity
        .complete_password_reset(&body.token, &body.new_password)
        .await
        .map_err(error::not_reset)?;
    Ok(StatusCode::NO_CONTENT)
}
