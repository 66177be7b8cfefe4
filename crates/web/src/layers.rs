//! What wraps every route.

use crate::{Problem, request_id};
use axum::Router;
use axum::error_handling::HandleErrorLayer;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use kernel::IdSource;
use std::any::Any;
use std::sync::Arc;
use std::time::Duration;
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;

/// What a single request may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The largest body, in bytes.
    pub body_bytes_max: usize,
    /// The longest a request may take.
    pub duration_max: Duration,
}

/// Wraps all routes: request id, time and body limits, and a problem body for unknown paths, wrong
/// methods, timeouts and panics.
pub fn apply(router: Router, limits: Limits, ids: Arc<dyn IdSource>) -> Router {
    router.fallback(unknown_path).method_not_allowed_fallback(wrong_method).layer(
        ServiceBuilder::new()
            .layer(middleware::from_fn(move |request: Request, next: Next| {
                request_id::assign(ids.clone(), request, next)
            }))
            .layer(HandleErrorLayer::new(timed_out))
            .timeout(limits.duration_max)
            .layer(CatchPanicLayer::custom(panicked))
            .layer(DefaultBodyLimit::max(limits.body_bytes_max)),
    )
}

async fn unknown_path() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "not_found", "there is nothing at this path; see /docs")
}

async fn wrong_method() -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        "this path does not support the method; see the Allow header and /docs",
    )
}

async fn timed_out(_: tower::BoxError) -> Problem {
    Problem::unavailable(
        "timed_out",
        "the server took too long; the outcome is unknown: retry with the same idempotency key",
    )
}

fn panicked(cause: Box<dyn Any + Send + 'static>) -> Response {
    let message = cause
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| cause.downcast_ref::<&str>().copied())
        .unwrap_or("no message");
    Problem::internal(&Panicked(message.to_owned())).into_response()
}

#[derive(Debug)]
struct Panicked(String);

impl std::fmt::Display for Panicked {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "a handler panicked: {}", self.0)
    }
}

impl std::error::Error for Panicked {}
