//! The `Idempotency-Key` header.

use crate::{FieldError, Problem};
use aws_lc_rs::digest::{SHA256, digest};
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, IntoResponseParts, Response, ResponseParts};
use serde::Serialize;
use std::convert::Infallible;

/// The caller's key of a request that moves money: required, 1 to 255 printable ASCII characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey(pub String);

const HEADER: &str = "idempotency-key";
const LENGTH_MAX: usize = 255;

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let value = parts.headers.get(HEADER).ok_or_else(|| {
            Problem::new(
                StatusCode::BAD_REQUEST,
                "idempotency_key_missing",
                "send a header Idempotency-Key with a value of your own, such as a UUID, and repeat \
                 it when you retry",
            )
        })?;
        let key = value.to_str().unwrap_or_default().trim();
        if (1..=LENGTH_MAX).contains(&key.len()) {
            return Ok(Self(key.to_owned()));
        }
        Err(Problem::validation(vec![FieldError {
            pointer: "Idempotency-Key".into(),
            detail: "must have 1 to 255 printable ASCII characters".into(),
        }]))
    }
}

impl<S: Send + Sync> axum::extract::OptionalFromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Option<Self>, Problem> {
        if !parts.headers.contains_key(HEADER) {
            return Ok(None);
        }
        <Self as FromRequestParts<S>>::from_request_parts(parts, state).await.map(Some)
    }
}

/// Marks an answer that was given before: `Idempotency-Replayed: true`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replayed(pub bool);

impl IntoResponseParts for Replayed {
    type Error = Infallible;

    fn into_response_parts(self, mut response: ResponseParts) -> Result<ResponseParts, Infallible> {
        if self.0 {
            let name = HeaderName::from_static("idempotency-replayed");
            response.headers_mut().insert(name, HeaderValue::from_static("true"));
        }
        Ok(response)
    }
}

impl IntoResponse for Replayed {
    fn into_response(self) -> Response {
        (self, ()).into_response()
    }
}

/// A SHA-256 digest of what makes a request the same request: what it does, and its body as parsed, so
/// that spacing and the order of members do not matter.
pub fn fingerprint(operation: &str, body: &impl Serialize) -> Vec<u8> {
    let mut text = operation.as_bytes().to_vec();
    text.push(0);
    // Request bodies are plain structs, which always serialise.
    text.extend(serde_json::to_vec(body).unwrap_or_default());
    digest(&SHA256, &text).as_ref().to_vec()
}
