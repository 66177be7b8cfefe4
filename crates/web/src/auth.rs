//! Who calls, and whether they may.

use crate::Problem;
use async_trait::async_trait;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::{Extension, Router};
use kernel::{Actor, Permission};
use std::marker::PhantomData;
use std::sync::Arc;

/// Checks access tokens.
#[async_trait]
pub trait Authenticator: Send + Sync {
    /// The actor that an access token stands for.
    async fn authenticate(&self, token: &str) -> Result<Actor, AuthenticationError>;
}

/// Why a token does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthenticationError {
    /// Not a token of ours, or altered, or of a session that ended.
    Invalid,
    /// Too old: refresh it.
    Expired,
    /// It could not be checked now.
    Unavailable,
}

/// A right as a type, for [`Authorized`].
pub trait Right: Send + Sync + 'static {
    /// The permission the actor must hold; `None` when being signed in is enough.
    const PERMISSION: Option<Permission>;
}

/// Any signed-in user.
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
            unauthenticated("sign in and send the header Authorization: Bearer <accessToken>")
        })?;
        let authenticator = parts
            .extensions
            .get::<Arc<dyn Authenticator>>()
            .cloned()
            .ok_or_else(|| Problem::internal(&MissingAuthenticator))?;
        let actor = authenticator.authenticate(token).await.map_err(|error| match error {
            AuthenticationError::Invalid => {
                unauthenticated("the access token is not valid; sign in again")
            }
            AuthenticationError::Expired => {
                unauthenticated("the access token has expired; use the refresh token")
            }
            AuthenticationError::Unavailable => Problem::unavailable(
                "service_unavailable",
                "the access token cannot be checked now; try again",
            ),
        })?;
        if let Some(permission) = R::PERMISSION
            && !actor.may(permission)
        {
            let detail = format!("this needs the permission {}", permission.0);
            return Err(Problem::new(StatusCode::FORBIDDEN, "forbidden", detail));
        }
        Ok(Self { actor, right: PhantomData })
    }
}

pub(crate) fn bearer_token(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

fn unauthenticated(detail: &str) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, "unauthenticated", detail)
        .header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
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
