//! Changing one's contacts.

use super::step_up::require_fresh;
use super::verification::CodeBody;
use super::{Identities, error};
use crate::{Contact, ContactChange, Identity};
use axum::extract::State;
use axum::http::StatusCode;
use secrecy::SecretString;
use serde::Deserialize;
use utoipa::ToSchema;
use web::{AnyUser, Authorized, Json, OpenApiRouter, Problem, Validate, routes};

pub(super) fn router() -> OpenApiRouter<Identities> {
    OpenApiRouter::new()
        .routes(routes!(change_email))
        .routes(routes!(confirm_new_email))
        .routes(routes!(change_phone))
        .routes(routes!(confirm_new_phone))
}

/// Another e-mail address, and the password.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ChangeEmailBody {
    /// The new e-mail address; case does not matter.
    #[schema(format = Email, max_length = 254, example = "amina@example.com")]
    new_email: String,
    /// The password.
    #[schema(value_type = String, format = Password)]
    password: SecretString,
}

impl Validate for ChangeEmailBody {}

/// Another phone number, and the password.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ChangePhoneBody {
    /// The new phone number with its country code, in any common spelling.
    #[schema(max_length = 40, example = "+212612345678")]
    new_phone_number: String,
    /// The password.
    #[schema(value_type = String, format = Password)]
    password: SecretString,
}

impl Validate for ChangePhoneBody {}

/// Ask for another e-mail address. A code goes there; until it comes back nothing changes.
#[utoipa::path(
    post,
    path = "/api/v1/me/email/change",
    operation_id = "changeEmail",
    tag = "Identity",
    security(("bearer" = [])),
    request_body = ChangeEmailBody,
    responses(
        (status = 202, description = "A message is on its way. If nobody else has the e-mail address, it \
            has a code that counts for 10 minutes."),
        (status = 401, description = "`unauthenticated`, or `insufficient_user_authentication`."),
        (status = 422, description = "`validation_failed`, `wrong_password` or \
            `contact_unreachable`."),
        (status = 429, description = "`too_many_codes`; see `Retry-After`."),
        (status = 503, description = "`message_not_sent`, `too_many_sign_ins`, or the service cannot \
            answer now; see `Retry-After`."),
    ),
)]
async fn change_email(
    State(identity): State<Identity>,
    caller: Authorized<AnyUser>,
    Json(body): Json<ChangeEmailBody>,
) -> Result<StatusCode, Problem> {
    let ChangeEmailBody { new_email: new, password } = body;
    begin(&identity, &caller, ContactChange { contact: Contact::Email, new, password }).await
}

/// Put the new e-mail address in place with the code that was sent there. All other sessions end.
#[utoipa::path(
    post,
    path = "/api/v1/me/email/change/confirm",
    operation_id = "confirmNewEmail",
    tag = "Identity",
    security(("bearer" = [])),
    request_body = CodeBody,
    responses(
        (status = 204, description = "The new e-mail address counts, and is verified. The old one is told."),
        (status = 409, description = "`email_already_registered`: somebody else was faster."),
        (status = 422, description = "`wrong_code`, with `attemptsLeft`, or `no_code`."),
        (status = 503, description = "`too_many_sign_ins`, or the service cannot answer now; \
            see `Retry-After`."),
    ),
)]
async fn confirm_new_email(
    State(identity): State<Identity>,
    caller: Authorized<AnyUser>,
    Json(body): Json<CodeBody>,
) -> Result<StatusCode, Problem> {
    confirm(&identity, &caller, Contact::Email, &body).await
}

/// Ask for another phone number. A code goes there; until it comes back nothing changes.
#[utoipa::path(
    post,
    path = "/api/v1/me/phone/change",
    operation_id = "changePhone",
    tag = "Identity",
    security(("bearer" = [])),
    request_body = ChangePhoneBody,
    responses(
        (status = 202, description = "A message is on its way. If nobody else has the phone number, it \
            has a code that counts for 10 minutes."),
        (status = 401, description = "`unauthenticated`, or `insufficient_user_authentication`."),
        (status = 422, description = "`validation_failed`, `wrong_password` or \
            `contact_unreachable`."),
        (status = 429, description = "`too_many_codes`; see `Retry-After`."),
        (status = 503, description = "`message_not_sent`, `too_many_sign_ins`, or the service cannot \
            answer now; see `Retry-After`."),
    ),
)]
async fn change_phone(
    State(identity): State<Identity>,
    caller: Authorized<AnyUser>,
    Json(body): Json<ChangePhoneBody>,
) -> Result<StatusCode, Problem> {
    let ChangePhoneBody { new_phone_number: new, password } = body;
    begin(&identity, &caller, ContactChange { contact: Contact::Phone, new, password }).await
}

/// Put the new phone number in place with the code that was sent there. All other sessions end.
#[utoipa::path(
    post,
    path = "/api/v1/me/phone/change/confirm",
    operation_id = "confirmNewPhone",
    tag = "Identity",
    security(("bearer" = [])),
    request_body = CodeBody,
    responses(
        (status = 204, description = "The new phone number counts, and is verified. The old one is told."),
        (status = 409, description = "`phone_already_registered`: somebody else was faster."),
        (status = 422, description = "`wrong_code`, with `attemptsLeft`, or `no_code`."),
        (status = 503, description = "`too_many_sign_ins`, or the service cannot answer now; \
            see `Retry-After`."),
    ),
)]
async fn confirm_new_phone(
    State(identity): State<Identity>,
    caller: Authorized<AnyUser>,
    Json(body): Json<CodeBody>,
) -> Result<StatusCode, Problem> {
    confirm(&identity, &caller, Contact::Phone, &body).await
}

async fn begin(
    identity: &Identity,
    caller: &Authorized<AnyUser>,
    change: ContactChange,
) -> Result<StatusCode, Problem> {
    require_fresh(identity, &caller.actor)?;
    let begun = identity.verifications().begin_change(&caller.actor, &change).await;
    begun.map_err(error::contact_not_changed)?;
    Ok(StatusCode::ACCEPTED)
}

async fn confirm(
    identity: &Identity,
    caller: &Authorized<AnyUser>,
    contact: Contact,
    body: &CodeBody,
) -> Result<StatusCode, Problem> {
    let changed = identity.verifications().confirm_change(&caller.actor, contact, &body.code).await;
    changed.map_err(error::contact_not_changed)?;
    Ok(StatusCode::NO_CONTENT)
}
