//! The token endpoint of OAuth 2.0, for API clients (RFC 6749 sections 2.3, 3.2, 4.4 and 5). Bodies
//! and members are named as the standard has them, unlike everywhere else.

use super::{Identities, error};
use crate::api_clients::Credentials;
use crate::{ClientTokenError, Identity};
use axum::extract::{FromRequest, FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use std::collections::BTreeMap;
use std::convert::Infallible;
use utoipa::ToSchema;
use web::{ClientAddress, Json, OpenApiRouter, Problem, require_media_type, routes};

pub(super) fn router() -> OpenApiRouter<Identities> {
    OpenApiRouter::new().routes(routes!(issue_token))
}

const FORM: &str = "application/x-www-form-urlencoded";

/// A request for a token (RFC 6749 section 4.4.2). Unknown parameters are ignored, as the standard
/// wants.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it documents a form, which is read parameter by parameter")]
struct TokenRequestBody {
    /// Always `client_credentials`.
    #[schema(example = "client_credentials")]
    grant_type: String,
    /// What of its scope the client wants, with spaces between; all of it when left out.
    #[schema(example = "ledger:read")]
    scope: Option<String>,
    /// The client's id, unless it is in the header `Authorization: Basic`.
    client_id: Option<String>,
    /// The client's secret, likewise.
    #[schema(format = Password)]
    client_secret: Option<String>,
}

/// A token for an API client (RFC 6749 section 5.1). There is no refresh token: ask for the next one
/// the same way.
#[derive(Serialize, ToSchema)]
struct TokenBody {
    /// For each call: `Authorization: Bearer …`.
    access_token: String,
    /// Always `Bearer`.
    #[schema(example = "Bearer")]
    token_type: &'static str,
    /// How long it counts, in seconds.
    #[schema(example = 900)]
    expires_in: u64,
    /// What it permits, with spaces between.
    #[schema(example = "ledger:read")]
    scope: String,
}

/// Why there is no token (RFC 6749 section 5.2). The other members are those of every problem.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it documents the members that a problem gets here")]
struct TokenErrorBody {
    /// `invalid_request`, `invalid_client`, `unsupported_grant_type` or `invalid_scope`.
    #[schema(example = "invalid_client")]
    error: String,
    /// For developers.
    error_description: String,
}

/// A form whose parameters came once each.
struct Form(BTreeMap<String, SecretString>);

impl<S: Send + Sync> FromRequest<S> for Form {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        require_media_type(request.headers(), FORM, "a form")?;
        let bytes = axum::body::Bytes::from_request(request, state).await;
        let bytes = bytes.map_err(|_| invalid_request("the body could not be read whole"))?;
        let mut parameters = BTreeMap::new();
        for (name, value) in form_urlencoded::parse(&bytes) {
            // RFC 6749 section 3.2: one without a value counts as left out.
            let is_new = value.is_empty()
                || parameters.insert(name.into_owned(), value.into_owned().into()).is_none();
            if !is_new {
                return Err(invalid_request("a parameter came more than once"));
            }
        }
        Ok(Self(parameters))
    }
}

impl Form {
    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(ExposeSecret::expose_secret)
    }
}

/// What the header says about the client.
enum Basic {
    Absent,
    Client { id: String, secret: SecretString },
    Unreadable,
}

impl<S: Send + Sync> FromRequestParts<S> for Basic {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::of(&parts.headers))
    }
}

impl Basic {
    fn of(headers: &HeaderMap) -> Self {
        let Some(value) = headers.get(header::AUTHORIZATION) else {
            return Self::Absent;
        };
        Self::read(value).unwrap_or(Self::Unreadable)
    }

    /// RFC 6749 section 2.3.1: id and secret are form-encoded before they go into RFC 7617's place.
    fn read(value: &HeaderValue) -> Option<Self> {
        let (scheme, encoded) = value.to_str().ok()?.split_once(' ')?;
        let decoded = STANDARD.decode(encoded.trim()).ok()?;
        let (id, secret) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
        let client = Self::Client { id: decode(id)?, secret: decode(secret)?.into() };
        scheme.eq_ignore_ascii_case("basic").then_some(client)
    }
}

fn decode(text: &str) -> Option<String> {
    let spaced = text.replace('+', " ");
    let decoded = percent_encoding::percent_decode_str(&spaced).decode_utf8().ok()?;
    Some(decoded.into_owned())
}

/// Where a request comes from, as far as it is known.
struct Caller(Option<ClientAddress>);

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(ClientAddress::of(&parts.extensions)))
    }
}

/// Get an access token for an API client (OAuth 2.0, client credentials).
///
/// Id and secret come in the header `Authorization: Basic` or in the body, not in both.
#[utoipa::path(
    post,
    path = "/api/v1/oauth/token",
    operation_id = "issueToken",
    tag = "API clients",
    request_body(content = TokenRequestBody, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "The token.", body = TokenBody),
        (status = 400, description = "`invalid_request`, `unsupported_grant_type` or \
            `invalid_scope`.", body = TokenErrorBody),
        (status = 401, description = "`invalid_client`: no active client has this id and secret, \
            or it may not call from this address.", body = TokenErrorBody),
    ),
)]
async fn issue_token(
    State(identity): State<Identity>,
    Caller(from): Caller,
    basic: Basic,
    form: Form,
) -> Result<([(HeaderName, HeaderValue); 2], Json<TokenBody>), Problem> {
    let (client_id, secret) = match (basic, form.get("client_id"), form.get("client_secret")) {
        (Basic::Client { id, secret }, body_id, None)
            if body_id.is_none_or(|body_id| body_id == id) =>
        {
            (id, secret)
        }
        (Basic::Absent, Some(id), Some(secret)) => (id.to_owned(), secret.to_owned().into()),
        (Basic::Absent, _, _) | (Basic::Unreadable, _, _) => {
            return Err(invalid_client("send client_id and client_secret".to_owned()));
        }
        (Basic::Client { .. }, _, _) => {
            return Err(invalid_request("say who the client is in one way, not in two"));
        }
    };
    match form.get("grant_type") {
        Some("client_credentials") => {}
        Some(_) => {
            let text = "the one grant type here is client_credentials".to_owned();
            return Err(refused(StatusCode::BAD_REQUEST, "unsupported_grant_type", text));
        }
        None => return Err(invalid_request("the parameter grant_type is missing")),
    }
    let scope = form.get("scope").map(str::to_owned);
    let credentials = Credentials { client_id, secret, scope };
    let token = identity.api_clients().token(&credentials, from.map(|from| from.0)).await;
    let token = token.map_err(not_issued)?;
    let body = TokenBody {
        access_token: token.access_token.expose_secret().to_owned(),
        token_type: "Bearer",
        expires_in: token.expires_in.as_secs(),
        scope: token.scope.into_iter().collect::<Vec<_>>().join(" "),
    };
    let headers = [
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (header::PRAGMA, HeaderValue::from_static("no-cache")),
    ];
    Ok((headers, Json(body)))
}

fn not_issued(error: ClientTokenError) -> Problem {
    let text = error.to_string();
    match error {
        ClientTokenError::InvalidClient | ClientTokenError::AddressNotAllowed => {
            invalid_client(text)
        }
        ClientTokenError::InvalidScope => refused(StatusCode::BAD_REQUEST, "invalid_scope", text),
        ClientTokenError::Failed(error) => error::failed(error),
    }
}

fn invalid_client(text: String) -> Problem {
    refused(StatusCode::UNAUTHORIZED, "invalid_client", text)
        .header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"Finitech\""))
}

fn invalid_request(text: &str) -> Problem {
    refused(StatusCode::BAD_REQUEST, "invalid_request", text.to_owned())
}

/// A problem that clients of the standard understand too: they look for `error` in JSON.
fn refused(status: StatusCode, code: &'static str, text: String) -> Problem {
    Problem::new(status, code, text.clone())
        .with("error", code)
        .with("error_description", text)
        .header(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))
        .header(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))
}
