//! The routes.

mod account;
mod admin;
mod api_clients;
mod audit;
mod contacts;
mod device;
mod dto;
mod error;
mod mfa;
mod passkeys;
mod roles;
mod sessions;
mod staff_actions;
mod step_up;
mod token;
mod trusted_devices;
mod verification;

use crate::Identity;
use crate::keys::KeysUnavailable;
use axum::extract::{FromRef, State};
use axum::http::{StatusCode, header};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use device::FromDevice;
use dto::{
    JwksBody, LogInAnswerBody, LogInBody, MeBody, RefreshBody, RegisterBody, TokenPairBody,
    UserBody,
};
use identity_api::Holdings;
use std::sync::Arc;
use web::{AnyUser, Authorized, Json, OpenApiRouter, Problem, routes};

/// How long others may keep the public keys, in seconds: new ones must be seen soon after a process
/// with a new key starts.
const JWKS_CACHE_CONTROL: &str = "public, max-age=60";

pub(crate) fn router(identity: Identity, holdings: Arc<dyn Holdings>) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(register))
        .routes(routes!(log_in))
        .routes(routes!(refresh))
        .routes(routes!(log_out))
        .routes(routes!(me))
        .routes(routes!(jwks))
        .merge(account::router())
        .merge(admin::router())
        .merge(api_clients::router())
        .merge(audit::router())
        .merge(contacts::router())
        .merge(mfa::router())
        .merge(passkeys::router())
        .merge(roles::router())
        .merge(sessions::router())
        .merge(staff_actions::router())
        .merge(step_up::router())
        .merge(token::router())
        .merge(trusted_devices::router())
        .merge(verification::router())
        .layer(middleware::from_fn(audit::note_origin))
        .with_state(Identities { identity, holdings })
}

/// Lets the audit trail know where requests to these routes come from.
pub(crate) fn note_origins(routes: OpenApiRouter) -> OpenApiRouter {
    routes.layer(middleware::from_fn(audit::note_origin))
}

/// What the routes work with.
#[derive(Clone)]
struct Identities {
    identity: Identity,
    holdings: Arc<dyn Holdings>,
}

impl FromRef<Identities> for Identity {
    fn from_ref(state: &Identities) -> Self {
        state.identity.clone()
    }
}

impl FromRef<Identities> for Arc<dyn Holdings> {
    fn from_ref(state: &Identities) -> Self {
        state.holdings.clone()
    }
}

/// Sign up.
#[utoipa::path(
    post,
    path = "/api/v1/auth/register",
    operation_id = "register",
    tag = "Identity",
    request_body = RegisterBody,
    responses(
        (status = 201, description = "The user was registered.", body = UserBody),
        (status = 409, description = "`email_already_registered` or `phone_already_registered`."),
        (status = 422, description = "`validation_failed`: see `errors` for every field at fault."),
        (status = 503, description = "`too_many_sign_ins`, `password_not_checked`, or the service \
            cannot answer now; see `Retry-After`."),
    ),
)]
async fn register(
    State(identity): State<Identity>,
    Json(body): Json<RegisterBody>,
) -> Result<(StatusCode, Json<UserBody>), Problem> {
    let user = identity.register(body.into()).await.map_err(error::not_registered)?;
    Ok((StatusCode::CREATED, Json(user.into())))
}

/// Sign in with e-mail address or phone number.
#[utoipa::path(
    post,
    path = "/api/v1/auth/login",
    operation_id = "logIn",
    tag = "Identity",
    request_body = LogInBody,
    responses(
        (status = 200, description = "The tokens of a new session, or `mfaRequired` with a token \
            for the second step.", body = LogInAnswerBody),
        (status = 401, description = "`invalid_credentials`."),
        (status = 503, description = "`too_many_sign_ins`, `signing_unavailable`, or the service \
            cannot answer now; see `Retry-After`."),
    ),
)]
async fn log_in(
    State(identity): State<Identity>,
    FromDevice(device): FromDevice,
    Json(body): Json<LogInBody>,
) -> Result<Json<LogInAnswerBody>, Problem> {
    let answer = identity
        .sessions()
        .log_in(&body.identifier, &body.password, &device, body.device_token.as_ref())
        .await;
    Ok(Json(answer.map_err(error::not_logged_in)?.into()))
}

/// Exchange a refresh token for the next pair. A token that comes a second time ends the session.
#[utoipa::path(
    post,
    path = "/api/v1/auth/refresh",
    operation_id = "refreshTokens",
    tag = "Identity",
    request_body = RefreshBody,
    responses(
        (status = 200, description = "The next tokens of the session.", body = TokenPairBody),
        (status = 401, description = "`invalid_refresh_token`."),
        (status = 503, description = "`signing_unavailable`, or the service cannot answer now; see \
            `Retry-After`."),
    ),
)]
async fn refresh(
    State(identity): State<Identity>,
    Json(body): Json<RefreshBody>,
) -> Result<Json<TokenPairBody>, Problem> {
    let pair = identity.refresh(&body.refresh_token).await.map_err(error::not_refreshed)?;
    Ok(Json(pair.into()))
}

/// Sign out: ends the session and all of its tokens.
#[utoipa::path(
    post,
    path = "/api/v1/auth/logout",
    operation_id = "logOut",
    tag = "Identity",
    security(("bearer" = [])),
    responses((status = 204, description = "The session is over.")),
)]
async fn log_out(
    State(identity): State<Identity>,
    caller: Authorized<AnyUser>,
) -> Result<StatusCode, Problem> {
    identity.log_out(&caller.actor).await.map_err(error::failed)?;
    Ok(StatusCode::NO_CONTENT)
}

/// The signed-in user, and what the access token permits.
#[utoipa::path(
    get,
    path = "/api/v1/me",
    operation_id = "getMe",
    tag = "Identity",
    security(("bearer" = [])),
    responses(
        (status = 200, description = "The user.", body = MeBody),
        (status = 404, description = "`not_found`: the user of the token is gone."),
    ),
)]
async fn me(
    State(identity): State<Identity>,
    caller: Authorized<AnyUser>,
) -> Result<Json<MeBody>, Problem> {
    let user = identity.user(caller.actor.user_id).await.map_err(error::failed)?;
    let user = user.ok_or_else(|| Problem::not_found("user"))?;
    Ok(Json(MeBody::new(user, caller.actor)))
}

/// The public keys that access tokens are signed with.
#[utoipa::path(
    get,
    path = "/.well-known/jwks.json",
    operation_id = "getJwks",
    tag = "Identity",
    responses((status = 200, description = "The keys.", body = JwksBody)),
)]
async fn jwks(State(identity): State<Identity>) -> Result<Response, Problem> {
    let keys = identity.keys().published().await.map_err(|KeysUnavailable| {
        Problem::unavailable("service_unavailable", "the keys cannot be read now; try again")
    })?;
    let body = Json(JwksBody::from(keys));
    Ok(([(header::CACHE_CONTROL, JWKS_CACHE_CONTROL)], body).into_response())
}
