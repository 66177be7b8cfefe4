//! Who calls, and whether they may.

use crate::problem::Noted;
use crate::{ClientAddress, Problem};
use async_trait::async_trait;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::{Extension, Router};
use kernel::{Actor, ActorKind, Permission, Timestamp, UserId};
use std::marker::PhantomData;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// Checks access tokens.
#[async_trait]
pub trait Authenticator: Send + Sync {
    /// The actor that an access token stands for, when it comes from this address.
    async fn authenticate(
        &self,
        token: &str,
        from: Option<IpAddr>,
    ) -> Result<Actor, AuthenticationError>;
}

/// Why a token does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthenticationError {
    /// Not a token of ours, or altered, or of a session that ended.
    Invalid(InvalidToken),
    /// Too old, or what the actor may do has changed since: refresh it.
    Expired,
    /// It counts, but not from this address; whose it is.
    AddressNotAllowed(UserId),
    /// It could not be checked now.
    Unavailable,
}

/// What is wrong with a token that no honest client sends, or that was taken back. The caller is not told
/// which: it is for whoever looks for attacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvalidToken {
    /// It cannot be read.
    Malformed,
    /// It says that it is signed by another algorithm than ours, or by none.
    Algorithm,
    /// It says that it is signed by a key that is none of ours.
    UnknownKey,
    /// The signature is not that of the key.
    Forged,
    /// It is signed by us, for somebody else or in another name.
    NotForUs,
    /// Its time has not come.
    NotYet,
    /// It is genuine, and was taken back; whose it was.
    Revoked(UserId),
}

impl InvalidToken {
    /// What the audit trail calls it.
    pub fn code(self) -> &'static str {
        match self {
            Self::Malformed => "token_malformed",
            Self::Algorithm => "token_algorithm",
            Self::UnknownKey => "token_key_unknown",
            Self::Forged => "token_forged",
            Self::NotForUs => "token_not_for_us",
            Self::NotYet => "token_not_yet",
            Self::Revoked(_) => "token_revoked",
        }
    }

    /// Whose it was, if that is known for sure.
    fn actor(self) -> Option<UserId> {
        match self {
            Self::Revoked(actor) => Some(actor),
            _ => None,
        }
    }
}

/// A right as a type, for [`Authorized`].
pub trait Right: Send + Sync + 'static {
    /// The permission the actor must hold; `None` when being a person who is signed in is enough.
    const PERMISSION: Option<Permission>;
}

/// Any signed-in user, but no API client.
#[derive(Clone, Copy, Debug)]
pub struct AnyUser;

impl Right for AnyUser {
    const PERMISSION: Option<Permission> = None;
}

/// An authenticated actor who holds the right `R`. Taking it as an argument is what protects a handler:
/// without a valid token the answer is 401, without the permission 403.
#[derive(Clone, Debug)]
pub struct Authorized<R> {
    /// Who calls.
    pub actor: Actor,
    right: PhantomData<R>,
}

impl<R: Right, S: Send + Sync> FromRequestParts<S> for Authorized<R> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let token = bearer_token(&parts.headers).ok_or_else(|| {
            unauthenticated(
                "sign in and send the header Authorization: Bearer <accessToken>",
                HeaderValue::from_static("Bearer"),
            )
        })?;
        let authenticator = parts
            .extensions
            .get::<Arc<dyn Authenticator>>()
            .cloned()
            .ok_or_else(|| Problem::internal(&MissingAuthenticator))?;
        let from = ClientAddress::of(&parts.extensions).map(|address| address.0);
        let actor = authenticator.authenticate(token, from).await.map_err(refusal)?;
        match R::PERMISSION {
            Some(permission) if !actor.may(permission) => return Err(lacks(permission)),
            None if actor.kind != ActorKind::Person => return Err(not_a_person()),
            _ => {}
        }
        Ok(Self { actor, right: PhantomData })
    }
}

pub(crate) fn bearer_token(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

fn refusal(error: AuthenticationError) -> Problem {
    let invalid = HeaderValue::from_static("Bearer error=\"invalid_token\"");
    match error {
        AuthenticationError::Invalid(token) => {
            unauthenticated("the access token is not valid; sign in again", invalid)
                .noted(Noted { code: token.code(), actor: token.actor() })
        }
        AuthenticationError::Expired => {
            unauthenticated("the access token has expired; use the refresh token", invalid)
        }
        AuthenticationError::AddressNotAllowed(_) => Problem::new(
            StatusCode::FORBIDDEN,
            "address_not_allowed",
            "this API client may not call from this address",
        ),
        AuthenticationError::Unavailable => Problem::unavailable(
            "service_unavailable",
            "the access token cannot be checked now; try again",
        ),
    }
}

/// With what RFC 6750 section 3 wants in `WWW-Authenticate`: nothing but the scheme as long as no token
/// came.
fn unauthenticated(detail: &str, challenge: HeaderValue) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, "unauthenticated", detail)
        .header(header::WWW_AUTHENTICATE, challenge)
}

fn lacks(permission: Permission) -> Problem {
    let detail = format!("this needs the permission {}", permission.0);
    let problem = Problem::new(StatusCode::FORBIDDEN, "forbidden", detail);
    let challenge = format!("Bearer error=\"insufficient_scope\", scope=\"{}\"", permission.0);
    match HeaderValue::try_from(challenge) {
        Ok(challenge) => problem.header(header::WWW_AUTHENTICATE, challenge),
        Err(_) => problem,
    }
}

/// The code of RFC 9470.
pub(crate) const NOT_FRESH: &str = "insufficient_user_authentication";

/// Refuses an actor who did not show lately who they are (RFC 9470): 401
/// `insufficient_user_authentication`, with how fresh an authentication has to be.
pub fn require_fresh(actor: &Actor, max_age: Duration, now: Timestamp) -> Result<(), Problem> {
    if actor.is_fresh(max_age, now) {
        return Ok(());
    }
    let detail = "show again who you are at POST /api/v1/auth/reauthenticate, and repeat the request \
                  with the access token that you get";
    let seconds = max_age.as_secs();
    let challenge = format!(
        "Bearer error=\"{NOT_FRESH}\", error_description=\"A more recent authentication is required\", \
         max_age=\"{seconds}\""
    );
    let problem =
        Problem::new(StatusCode::UNAUTHORIZED, NOT_FRESH, detail).with("maxAgeSeconds", seconds);
    Err(match HeaderValue::try_from(challenge) {
        Ok(challenge) => problem.header(header::WWW_AUTHENTICATE, challenge),
        Err(_) => problem,
    })
}

fn not_a_person() -> Problem {
    let detail = "this is for people who signed in, not for API clients";
    Problem::new(StatusCode::FORBIDDEN, "forbidden", detail)
}

/// Makes `authenticator` the one that [`Authorized`] asks on these routes.
pub fn authenticate_with(router: Router, authenticator: Arc<dyn Authenticator>) -> Router {
    router.layer(Extension(authenticator))
}

#[derive(Debug)]
struct MissingAuthenticator;

impl std::fmt::Display for MissingAuthenticator {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("the router was built without an authenticator")
    }
}

impl std::error::Error for MissingAuthenticator {}
