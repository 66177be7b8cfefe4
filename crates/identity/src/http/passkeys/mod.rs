//! Passkeys: signing in with one, and one's own.

mod webauthn;

pub(super) use webauthn::AssertionBody;

use super::dto::TokenPairBody;
use super::mfa::codes_to_show;
use super::step_up::require_fresh;
use super::{FromDevice, Identities, error};
use crate::passkeys::Purpose;
use crate::{Identity, Passkey};
use axum::extract::State;
use axum::http::StatusCode;
use kernel::Timestamp;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;
use web::{AnyUser, Authorized, FieldErrors, Json, OpenApiRouter, Path, Problem, Validate, routes};
use webauthn::{CreationOptionsBody, RegistrationBody, RequestOptionsBody};

pub(super) fn router() -> OpenApiRouter<Identities> {
    OpenApiRouter::new()
        .routes(routes!(ask_to_log_in))
        .routes(routes!(log_in))
        .routes(routes!(ask_for_second_factor))
        .routes(routes!(ask))
        .routes(routes!(begin))
        .routes(routes!(list_passkeys, add_passkey))
        .routes(routes!(rename_passkey))
        .routes(routes!(remove_passkey))
}

const NAME_LENGTH_MAX: usize = 60;

/// A passkey's answer, in place of a password.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PasskeyLogInBody {
    /// What the browser got from the authenticator.
    passkey: AssertionBody,
}

impl Validate for PasskeyLogInBody {}

/// The first step of a sign-in, which a passkey shall complete.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SecondFactorBody {
    /// The `mfaToken` of the first step.
    #[schema(value_type = String, format = Password)]
    mfa_token: SecretString,
}

impl Validate for SecondFactorBody {}

/// A new passkey.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct NewPasskeyBody {
    /// To tell it from others.
    #[schema(min_length = 1, max_length = 60, example = "Telephone")]
    name: String,
    /// What the browser got from the authenticator.
    passkey: RegistrationBody,
}

impl Validate for NewPasskeyBody {
    fn validate(&self, errors: &mut FieldErrors) {
        errors.require_text(self.name.trim(), 1, NAME_LENGTH_MAX, "/name");
    }
}

/// What a passkey is to be called.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PasskeyNameBody {
    /// To tell it from others.
    #[schema(min_length = 1, max_length = 60, example = "Telephone")]
    name: String,
}

impl Validate for PasskeyNameBody {
    fn validate(&self, errors: &mut FieldErrors) {
        errors.require_text(self.name.trim(), 1, NAME_LENGTH_MAX, "/name");
    }
}

/// One of one's passkeys.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct PasskeyBody {
    /// Its id.
    id: Uuid,
    /// What it is called.
    #[schema(example = "Telephone")]
    name: String,
    /// When it was added.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it was last shown.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_used_at: Option<Timestamp>,
}

impl From<Passkey> for PasskeyBody {
    fn from(passkey: Passkey) -> Self {
        let Passkey { id, name, created_at, last_used_at } = passkey;
        Self { id, name, created_at, last_used_at }
    }
}

/// One's passkeys.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct PasskeysBody {
    /// Newest first, 20 at most.
    items: Vec<PasskeyBody>,
}

/// A passkey that counts from now on.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct AddedPasskeyBody {
    /// The passkey.
    #[serde(flatten)]
    passkey: PasskeyBody,
    /// Ten codes for whoever lost it, if it is the first second factor. They are shown this once.
    #[schema(example = json!(["04K7Q-XMB2W"]))]
    recovery_codes: Option<Vec<String>>,
}

/// Ask for a passkey to sign in with. The answer says nothing of any account.
#[utoipa::path(
    post,
    path = "/api/v1/auth/login/passkey/challenge",
    operation_id = "askForPasskeyToLogIn",
    tag = "Identity",
    responses(
        (status = 201, description = "The question.", body = RequestOptionsBody),
        (status = 409, description = "`passkeys_off`."),
    ),
)]
async fn ask_to_log_in(
    State(identity): State<Identity>,
) -> Result<(StatusCode, Json<RequestOptionsBody>), Problem> {
    let question = identity.passkeys().ask(Purpose::SignIn).await;
    let question = question.map_err(|error| error::not_logged_in(error.into()))?;
    Ok((StatusCode::CREATED, Json(question.into())))
}

/// Sign in with a passkey, without a password.
#[utoipa::path(
    post,
    path = "/api/v1/auth/login/passkey",
    operation_id = "logInWithPasskey",
    tag = "Identity",
    request_body = PasskeyLogInBody,
    responses(
        (status = 200, description = "The tokens of a new session.", body = TokenPairBody),
        (status = 401, description = "`invalid_passkey`: nobody has it, or the answer is wrong or \
            too late. Ask for another challenge."),
        (status = 409, description = "`passkeys_off`."),
    ),
)]
async fn log_in(
    State(identity): State<Identity>,
    FromDevice(device): FromDevice,
    Json(body): Json<PasskeyLogInBody>,
) -> Result<Json<TokenPairBody>, Problem> {
    let pair = identity.sessions().log_in_by_passkey(&body.passkey.into(), &device).await;
    Ok(Json(pair.map_err(error::not_logged_in)?.into()))
}

/// Ask for a passkey as the second factor of a sign-in.
#[utoipa::path(
    post,
    path = "/api/v1/auth/login/mfa/challenge",
    operation_id = "askForPasskeyAfterPassword",
    tag = "Identity",
    request_body = SecondFactorBody,
    responses(
        (status = 201, description = "The question.", body = RequestOptionsBody),
        (status = 401, description = "`invalid_mfa_token`: begin again with the password."),
        (status = 409, description = "`passkeys_off`."),
        (status = 422, description = "`no_passkey`."),
    ),
)]
async fn ask_for_second_factor(
    State(identity): State<Identity>,
    Json(body): Json<SecondFactorBody>,
) -> Result<(StatusCode, Json<RequestOptionsBody>), Problem> {
    let question = identity.sessions().ask_for_passkey(&body.mfa_token).await;
    let question = question.map_err(error::not_logged_in)?;
    Ok((StatusCode::CREATED, Json(question.into())))
}

/// Ask for one of one's own passkeys, where a request takes one.
#[utoipa::path(
    post,
    path = "/api/v1/me/passkeys/challenge",
    operation_id = "askForMyPasskey",
    tag = "Identity",
    security(("bearer" = [])),
    responses(
        (status = 201, description = "The question.", body = RequestOptionsBody),
        (status = 404, description = "`not_found`: one has none."),
        (status = 409, description = "`passkeys_off`."),
    ),
)]
async fn ask(
    State(identity): State<Identity>,
    caller: Authorized<AnyUser>,
) -> Result<(StatusCode, Json<RequestOptionsBody>), Problem> {
    let question = identity.mfa().ask_for_passkey(caller.actor.user_id).await;
    let question = question.map_err(error::mfa_not_changed)?;
    Ok((StatusCode::CREATED, Json(question.into())))
}

/// Ask an authenticator for a new passkey.
#[utoipa::path(
    post,
    path = "/api/v1/me/passkeys/registration",
    operation_id = "beginPasskey",
    tag = "Identity",
    security(("bearer" = [])),
    responses(
        (status = 201, description = "The question.", body = CreationOptionsBody),
        (status = 401, description = "`unauthenticated`, or `insufficient_user_authentication`."),
        (status = 409, description = "`passkeys_off`."),
    ),
)]
async fn begin(
    State(identity): State<Identity>,
    caller: Authorized<AnyUser>,
) -> Result<(StatusCode, Json<CreationOptionsBody>), Problem> {
    require_fresh(&identity, &caller.actor)?;
    let begun = identity.mfa().begin_passkey(&caller.actor).await;
    let (question, user) = begun.map_err(error::mfa_not_changed)?;
    Ok((StatusCode::CREATED, Json(CreationOptionsBody::new(question, user))))
}

/// Add a passkey. From now on a sign-in with the password asks for a second factor.
#[utoipa::path(
    post,
    path = "/api/v1/me/passkeys",
    operation_id = "addPasskey",
    tag = "Identity",
    security(("bearer" = [])),
    request_body = NewPasskeyBody,
    responses(
        (status = 201, description = "The passkey.", body = AddedPasskeyBody),
        (status = 401, description = "`unauthenticated`, or `insufficient_user_authentication`."),
        (status = 409, description = "`passkey_taken`, `too_many_passkeys` or `passkeys_off`."),
        (status = 422, description = "`validation_failed`, `passkey_refused`, or \
            `no_passkey_challenge`."),
        (status = 503, description = "`too_many_sign_ins`, or the service cannot answer now; \
            see `Retry-After`."),
    ),
)]
async fn add_passkey(
    State(identity): State<Identity>,
    caller: Authorized<AnyUser>,
    Json(body): Json<NewPasskeyBody>,
) -> Result<(StatusCode, Json<AddedPasskeyBody>), Problem> {
    require_fresh(&identity, &caller.actor)?;
    let NewPasskeyBody { name, passkey } = body;
    let added = identity.mfa().add_passkey(&caller.actor, name.trim(), &passkey.into()).await;
    let (passkey, recovery_codes) = added.map_err(error::mfa_not_changed)?;
    let recovery_codes = recovery_codes.as_deref().map(codes_to_show);
    let body = AddedPasskeyBody { passkey: passkey.into(), recovery_codes };
    Ok((StatusCode::CREATED, Json(body)))
}

/// One's passkeys.
#[utoipa::path(
    get,
    path = "/api/v1/me/passkeys",
    operation_id = "listPasskeys",
    tag = "Identity",
    security(("bearer" = [])),
    responses((status = 200, description = "The passkeys.", body = PasskeysBody)),
)]
async fn list_passkeys(
    State(identity): State<Identity>,
    caller: Authorized<AnyUser>,
) -> Result<Json<PasskeysBody>, Problem> {
    let passkeys = identity.passkeys().of(caller.actor.user_id).await.map_err(error::failed)?;
    Ok(Json(PasskeysBody { items: passkeys.into_iter().map(PasskeyBody::from).collect() }))
}

/// Give a passkey another name.
#[utoipa::path(
    put,
    path = "/api/v1/me/passkeys/{id}/name",
    operation_id = "renamePasskey",
    tag = "Identity",
    params(("id" = Uuid, Path, description = "The passkey's id.")),
    security(("bearer" = [])),
    request_body = PasskeyNameBody,
    responses(
        (status = 204, description = "It is called that."),
        (status = 404, description = "`not_found`: no such passkey, or somebody else's."),
        (status = 422, description = "`validation_failed`."),
    ),
)]
async fn rename_passkey(
    State(identity): State<Identity>,
    caller: Authorized<AnyUser>,
    Path(id): Path<Uuid>,
    Json(body): Json<PasskeyNameBody>,
) -> Result<StatusCode, Problem> {
    let renamed = identity.mfa().rename_passkey(&caller.actor, id, body.name.trim()).await;
    renamed.map_err(error::mfa_not_changed)?;
    Ok(StatusCode::NO_CONTENT)
}

/// Do without a passkey. Without another one and without an app, the second factor is off.
#[utoipa::path(
    post,
    path = "/api/v1/me/passkeys/{id}/remove",
    operation_id = "removePasskey",
    tag = "Identity",
    params(("id" = Uuid, Path, description = "The passkey's id.")),
    security(("bearer" = [])),
    responses(
        (status = 204, description = "It counts no more."),
        (status = 401, description = "`unauthenticated`, or `insufficient_user_authentication`."),
        (status = 404, description = "`not_found`: no such passkey, or somebody else's."),
        (status = 409, description = "`second_factor_needed`: staff add another one first."),
    ),
)]
async fn remove_passkey(
    State(identity): State<Identity>,
    caller: Authorized<AnyUser>,
    Path(id): Path<Uuid>,
) -> Result<StatusCode, Problem> {
    require_fresh(&identity, &caller.actor)?;
    let removed = identity.mfa().remove_passkey(&caller.actor, id).await;
    removed.map_err(error::mfa_not_changed)?;
    Ok(StatusCode::NO_CONTENT)
}
