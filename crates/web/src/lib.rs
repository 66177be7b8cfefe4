#![doc = include_str!("../README.md")]

mod auth;
mod extract;
mod idempotency;
mod layers;
pub mod openapi;
mod page;
mod problem;
mod request_id;
mod validate;

pub use auth::{AnyUser, AuthenticationError, Authenticator, Authorized, Right, authenticate_with};
pub use extract::{Json, Path, Query, parse_json, require_media_type};
pub use idempotency::{IdempotencyKey, Replayed, fingerprint};
pub use layers::{Limits, apply};
pub use page::{ListBody, PageQuery, PageRequest};
pub use problem::{FieldError, Problem};
pub use request_id::RequestId;
pub use validate::{FieldErrors, Validate, is_amount};

pub use utoipa_axum::router::OpenApiRouter;
pub use utoipa_axum::routes;
