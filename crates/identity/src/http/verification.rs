//! Showing that contacts are one's own.

use super::{Identities, error};
use crate::{Contact, Identity};
use axum::extract::State;
use axum::http::StatusCode;
use secrecy::SecretString;
use serde::Deserialize;
use utoipa::ToSchema;
use web::{AnyUser, Authorized, Json, OpenApiRouter, Problem, Validate, routes};

pub(super) fn router() -> OpenApiRouter<Identities> {
    OpenApiRouter::new()
        .routes(routes!(send_email_code))
        .routes(routes!(verify_email))
        .routes(routes!(send_phone_code))
        .routes(routes!(verify_phone))
}

/// A code that was sent.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct CodeBody {
    /// The six digits of the message.
    #[schema(value_type = String, example = "123456")]
    pub(super) code: SecretString,
}

impl Validate for CodeBody {}

/// Send a code to one's e-mail address. Once a minute, five times an hour.
#[utoipa::path(
    post,
    path = "/api/v1/me/email/verification",
    operation_id = "sendEmailCode",
    tag = "Identity",
    security(("bearer" = [])),
    responses(
        (status = 202, description = "The code is on its way. It counts for 10 minutes."),
        (status = 409, description = "`already_verified`."),
        (status = 422, description = "`contact_unreachable`."),
        (status = 429, description = "`too_many_codes`; see `Retry-After`."),
        (status = 503, description = "`message_not_sent`, or the service cannot answer now; \
            see `Retry-After`."),
    ),
)]
async fn send_email_code(
    State(identity): State<Identity>,
    caller: Authorized<AnyUser>,
) -> Result<StatusCode, Problem> {
    send(&identity, &caller, Contact::Email).await
}

/// Show with the code that the e-mail address is one's own.
#[utoipa::path(
    post,
    path = "/api/v1/me/email/verification/confirm",
    operation_id = "verifyEmail",
    tag = "Identity",
    security(("bearer" = [])),
    request_body = CodeBody,
    responses(
        (status = 204, description = "The e-mail address is verified."),
        (status = 409, description = "`already_verified`."),
        (status = 422, description = "`wrong_code`, with `attemptsLeft`, or `no_code`."),
    ),
)]
async fn verify_email(
    State(identity): State<Identity>,
    caller: Authorized<AnyUser>,
    Json(body): Json<CodeBody>,
) -> Result<StatusCode, Problem> {
    confirm(&identity, &caller, Contact::Email, &body).await
}

/// Send a code to one's phone number. Once a minute, five times an hour.
#[utoipa::path(
    post,
    path = "/api/v1/me/phone/verification",
    operation_id = "sendPhoneCode",
    tag = "Identity",
    security(("bearer" = [])),
    responses(
        (status = 202, description = "The code is on its way. It counts for 10 minutes."),
        (status = 409, description = "`already_verified`."),
        (status = 422, description = "`contact_unreachable`."),
        (status = 429, description = "`too_many_codes`; see `Retry-After`."),
        (status = 503, description = "`message_not_sent`, or the service cannot answer now; \
            see `Retry-After`."),
    ),
)]
async fn send_phone_code(
    State(identity): State<Identity>,
    caller: Authorized<AnyUser>,
) -> Result<StatusCode, Problem> {
    send(&identity, &caller, Contact::Phone).await
}

/// Show with the code that the phone number is one's own.
#[utoipa::path(
    post,
    path = "/api/v1/me/phone/verification/confirm",
    operation_id = "verifyPhone",
    tag = "Identity",
    security(("bearer" = [])),
    request_body = CodeBody,
    responses(
        (status = 204, description = "The phone number is verified."),
        (status = 409, description = "`already_verified`."),
        (status = 422, description = "`wrong_code`, with `attemptsLeft`, or `no_code`."),
    ),
)]
async fn verify_phone(
    State(identity): State<Identity>,
    caller: Authorized<AnyUser>,
    Json(body): Json<CodeBody>,
) -> Result<StatusCode, Problem> {
    confirm(&identity, &caller, Contact::Phone, &body).await
}

async fn send(
    identity: &Identity,
    caller: &Authorized<AnyUser>,
    contact: Contact,
) -> Result<StatusCode, Problem> {
    let sent = identity.verifications().send_code(caller.actor.user_id, contact).await;
    sent.map_err(error::not_verified)?;
    Ok(StatusCode::ACCEPTED)
}

async fn confirm(
    identity: &Identity,
    caller: &Authorized<AnyUser>,
    contact: Contact,
    body: &CodeBody,
) -> Result<StatusCode, Problem> {
    let user_id = caller.actor.user_id;
    let confirmed = identity.verifications().confirm(user_id, contact, &body.code).await;
    confirmed.map_err(error::not_verified)?;
    Ok(StatusCode::NO_CONTENT)
}
