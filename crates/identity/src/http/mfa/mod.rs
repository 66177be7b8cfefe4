//! The second factor.

mod answer;
mod qr;

pub(super) use answer::{Needed, answer_of, check_answer};

use super::dto::TokenPairBody;
use super::passkeys::AssertionBody;
use super::step_up::require_fresh;
use super::{FromDevice, Identities, error};
use crate::{Enrolment, Identity, MfaStatus, TokenPair};
use answer::no_answer;
use axum::extract::State;
use axum::http::StatusCode;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use web::{AnyUser, Authorized, FieldErrors, Json, OpenApiRouter, Problem, Validate, routes};

pub(super) fn router() -> OpenApiRouter<Identities> {
    OpenApiRouter::new()
        .routes(routes!(complete_log_in))
        .routes(routes!(get_mfa))
        .routes(routes!(begin_totp))
        .routes(routes!(confirm_totp))
        .routes(routes!(renew_recovery_codes))
        .routes(routes!(disable_mfa))
}

/// The second step of a sign-in.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CompleteLogInBody {
    /// The `mfaToken` of the first step.
    #[schema(value_type = String, format = Password)]
    mfa_token: SecretString,
    /// The code that the app shows, or a recovery code.
    #[schema(value_type = Option<String>, example = "123456")]
    code: Option<SecretString>,
    /// A passkey's answer to `POST /api/v1/auth/login/mfa/challenge`, instead of a code.
    passkey: Option<AssertionBody>,
    /// Whether this device shall not be asked for a code for 30 days.
    #[serde(default)]
    trust_device: bool,
}

impl Validate for CompleteLogInBody {
    fn validate(&self, errors: &mut FieldErrors) {
        check_answer(&self.code, &self.passkey, Needed::Yes, errors);
    }
}

/// The tokens of a session that began with both factors.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct CompletedLogInBody {
    /// The tokens.
    #[serde(flatten)]
    pair: TokenPairBody,
    /// For the next sign-ins from a device that is trusted now; keep it there.
    device_token: Option<String>,
}

impl From<TokenPair> for CompletedLogInBody {
    fn from(mut pair: TokenPair) -> Self {
        let device_token = pair.device_token.take();
        let device_token = device_token.map(|token| token.expose_secret().to_owned());
        Self { pair: pair.into(), device_token }
    }
}

/// Proof of who asks for a second factor.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct BeginTotpBody {
    /// The password.
    #[schema(value_type = String, format = Password)]
    password: SecretString,
}

impl Validate for BeginTotpBody {}

/// A code of the app.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ConfirmTotpBody {
    /// The code that the app shows.
    #[schema(value_type = String, example = "123456")]
    code: SecretString,
}

impl Validate for ConfirmTotpBody {}

/// Proof of who asks for new recovery codes.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RenewRecoveryCodesBody {
    /// The code that the app shows, or one of the recovery codes that are left.
    #[schema(value_type = Option<String>, example = "123456")]
    code: Option<SecretString>,
    /// A passkey's answer to `POST /api/v1/me/passkeys/challenge`, instead of a code.
    passkey: Option<AssertionBody>,
}

impl Validate for RenewRecoveryCodesBody {
    fn validate(&self, errors: &mut FieldErrors) {
        check_answer(&self.code, &self.passkey, Needed::Yes, errors);
    }
}

/// Proof of who asks to be without a second factor.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct DisableMfaBody {
    /// The password.
    #[schema(value_type = String, format = Password)]
    password: SecretString,
    /// The code that the app shows, or a recovery code.
    #[schema(value_type = Option<String>, example = "123456")]
    code: Option<SecretString>,
    /// A passkey's answer to `POST /api/v1/me/passkeys/challenge`, instead of a code.
    passkey: Option<AssertionBody>,
}

impl Validate for DisableMfaBody {
    fn validate(&self, errors: &mut FieldErrors) {
        check_answer(&self.code, &self.passkey, Needed::Yes, errors);
    }
}

/// How one's second factor stands.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct MfaBody {
    /// Whether a sign-in with the password asks for it.
    enabled: bool,
    /// Whether there is an authenticator app.
    authenticator_app: bool,
    /// How many passkeys there are.
    passkeys: usize,
    /// How many recovery codes are left.
    recovery_codes_left: usize,
}

impl From<MfaStatus> for MfaBody {
    fn from(status: MfaStatus) -> Self {
        Self {
            enabled: status.is_on,
            authenticator_app: status.has_app,
            passkeys: status.passkeys,
            recovery_codes_left: status.recovery_codes_left,
        }
    }
}

/// What goes into an authenticator app: one of these.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct EnrolmentBody {
    /// The secret in base32, to be typed in.
    secret: String,
    /// The same as a URI.
    #[schema(example = "otpauth://totp/Finitech:amina%40example.com?secret=…")]
    uri: String,
    /// The URI as a QR code: an SVG document.
    qr_code_svg: String,
    /// The same as a PNG, in base64.
    #[schema(format = Byte)]
    qr_code_png: String,
}

/// Codes for whoever lost the device. They are shown this once.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct RecoveryCodesBody {
    /// Ten; each counts once.
    #[schema(example = json!(["04K7Q-XMB2W"]))]
    recovery_codes: Vec<String>,
}

impl From<Vec<SecretString>> for RecoveryCodesBody {
    fn from(codes: Vec<SecretString>) -> Self {
        Self { recovery_codes: codes_to_show(&codes) }
    }
}

/// New recovery codes, which are shown once.
pub(super) fn codes_to_show(codes: &[SecretString]) -> Vec<String> {
    codes.iter().map(|code| code.expose_secret().to_owned()).collect()
}

/// Sign in with a second factor, after the password.
#[utoipa::path(
    post,
    path = "/api/v1/auth/login/mfa",
    operation_id = "completeLogIn",
    tag = "Identity",
    request_body = CompleteLogInBody,
    responses(
        (status = 200, description = "The tokens of a new session.", body = CompletedLogInBody),
        (status = 401, description = "`invalid_mfa_token`: begin again with the password; or \
            `invalid_mfa_code`."),
        (status = 503, description = "`too_many_sign_ins`, or the service cannot answer now; \
            see `Retry-After`."),
    ),
)]
async fn complete_log_in(
    State(identity): State<Identity>,
    FromDevice(device): FromDevice,
    Json(body): Json<CompleteLogInBody>,
) -> Result<Json<CompletedLogInBody>, Problem> {
    let CompleteLogInBody { mfa_token, code, passkey, trust_device } = body;
    let answer = answer_of(code, passkey).ok_or_else(no_answer)?;
    let pair = identity.sessions().complete(&mfa_token, &answer, &device, trust_device).await;
    Ok(Json(pair.map_err(error::not_logged_in)?.into()))
}

/// How one's second factor stands.
#[utoipa::path(
    get,
    path = "/api/v1/me/mfa",
    operation_id = "getMfa",
    tag = "Identity",
    security(("bearer" = [])),
    responses((status = 200, description = "The second factor.", body = MfaBody)),
)]
async fn get_mfa(
    State(identity): State<Identity>,
    caller: Authorized<AnyUser>,
) -> Result<Json<MfaBody>, Problem> {
    let status = identity.mfa().status(caller.actor.user_id).await;
    Ok(Json(status.map_err(|error| error::failed(error.into()))?.into()))
}

/// Make a secret for an authenticator app. Nothing changes until a code of the app confirms it.
#[utoipa::path(
    post,
    path = "/api/v1/me/mfa/totp",
    operation_id = "beginTotp",
    tag = "Identity",
    security(("bearer" = [])),
    request_body = BeginTotpBody,
    responses(
        (status = 201, description = "The secret, shown this once.", body = EnrolmentBody),
        (status = 409, description = "`mfa_already_on`."),
        (status = 422, description = "`wrong_password`."),
        (status = 503, description = "`too_many_sign_ins`, or the service cannot answer now; \
            see `Retry-After`."),
    ),
)]
async fn begin_totp(
    State(identity): State<Identity>,
    caller: Authorized<AnyUser>,
    Json(body): Json<BeginTotpBody>,
) -> Result<(StatusCode, Json<EnrolmentBody>), Problem> {
    let begun = identity.mfa().begin(&caller.actor, &body.password).await;
    let Enrolment { secret, uri } = begun.map_err(error::mfa_not_changed)?;
    let picture = qr::picture(uri.expose_secret()).map_err(|error| Problem::internal(&error))?;
    let body = EnrolmentBody {
        secret: secret.expose_secret().to_owned(),
        uri: uri.expose_secret().to_owned(),
        qr_code_svg: picture.svg,
        qr_code_png: picture.png_base64,
    };
    Ok((StatusCode::CREATED, Json(body)))
}

/// Switch the second factor on with a code of the app.
#[utoipa::path(
    post,
    path = "/api/v1/me/mfa/totp/confirm",
    operation_id = "confirmTotp",
    tag = "Identity",
    security(("bearer" = [])),
    request_body = ConfirmTotpBody,
    responses(
        (status = 200, description = "From now on a sign-in asks for a code. The recovery codes \
            are shown this once.", body = RecoveryCodesBody),
        (status = 409, description = "`mfa_already_on`."),
        (status = 422, description = "`wrong_mfa_code`, or `mfa_not_there`."),
        (status = 503, description = "`too_many_sign_ins`, or the service cannot answer now; \
            see `Retry-After`."),
    ),
)]
async fn confirm_totp(
    State(identity): State<Identity>,
    caller: Authorized<AnyUser>,
    Json(body): Json<ConfirmTotpBody>,
) -> Result<Json<RecoveryCodesBody>, Problem> {
    let codes = identity.mfa().confirm(&caller.actor, &body.code).await;
    Ok(Json(codes.map_err(error::mfa_not_changed)?.into()))
}

/// Make new recovery codes. Those before count no more.
#[utoipa::path(
    post,
    path = "/api/v1/me/mfa/recovery-codes",
    operation_id = "renewRecoveryCodes",
    tag = "Identity",
    security(("bearer" = [])),
    request_body = RenewRecoveryCodesBody,
    responses(
        (status = 200, description = "The codes, shown this once.", body = RecoveryCodesBody),
        (status = 401, description = "`unauthenticated`, or `insufficient_user_authentication`."),
        (status = 422, description = "`wrong_mfa_code`, or `mfa_not_there`."),
        (status = 503, description = "`too_many_sign_ins`, or the service cannot answer now; \
            see `Retry-After`."),
    ),
)]
async fn renew_recovery_codes(
    State(identity): State<Identity>,
    caller: Authorized<AnyUser>,
    Json(body): Json<RenewRecoveryCodesBody>,
) -> Result<Json<RecoveryCodesBody>, Problem> {
    require_fresh(&identity, &caller.actor)?;
    let answer = answer_of(body.code, body.passkey).ok_or_else(no_answer)?;
    let codes = identity.mfa().renew_codes(&caller.actor, &answer).await;
    Ok(Json(codes.map_err(error::mfa_not_changed)?.into()))
}

/// Do without the authenticator app. Without a passkey the second factor is off, and the recovery codes
/// count no more.
#[utoipa::path(
    post,
    path = "/api/v1/me/mfa/disable",
    operation_id = "disableMfa",
    tag = "Identity",
    security(("bearer" = [])),
    request_body = DisableMfaBody,
    responses(
        (status = 204, description = "A sign-in asks for a passkey if there is one, else for the \
            password alone."),
        (status = 401, description = "`unauthenticated`, or `insufficient_user_authentication`."),
        (status = 409, description = "`second_factor_needed`: staff add another one first."),
        (status = 422, description = "`wrong_password`, `wrong_mfa_code` or `mfa_not_there`."),
        (status = 503, description = "`too_many_sign_ins`, or the service cannot answer now; \
            see `Retry-After`."),
    ),
)]
async fn disable_mfa(
    State(identity): State<Identity>,
    caller: Authorized<AnyUser>,
    Json(body): Json<DisableMfaBody>,
) -> Result<StatusCode, Problem> {
    require_fresh(&identity, &caller.actor)?;
    let answer = answer_of(body.code, body.passkey).ok_or_else(no_answer)?;
    let disabled = identity.mfa().disable(&caller.actor, &body.password, &answer).await;
    disabled.map_err(error::mfa_not_changed)?;
    Ok(StatusCode::NO_CONTENT)
}
