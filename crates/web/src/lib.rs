#![doc = include_str!("../README.md")]

mod auth;
mod extract;
mod https;
mod idempotency;
mod layers;
mod network;
mod objects;
pub mod openapi;
mod page;
mod prefer;
mod problem;
mod rate_limits;
mod refusals;
mod request_id;
mod security;
#[cfg(feature = "testing")]
pub mod testing;
mod validate;

pub use auth::{
    AnyUser, AuthenticationError, Authenticator, Authorized, InvalidToken, Right,
    authenticate_with, require_fresh,
};
pub use extract::{Form, Json, Path, Query, parse_json, require_media_type};
pub use https::{HttpsPolicy, OverTls, redirect_to_https, require_https};
pub use idempotency::{IdempotencyKey, Replayed, fingerprint};
pub use layers::{Limits, apply};
pub use network::{ClientAddress, Network, NetworkError, restrict, trust_proxies};
pub use page::{ListBody, PageQuery, PageRequest};
pub use prefer::ReturnPreference;
pub use problem::{FieldError, Problem};
pub use rate_limits::{
    Count, Counted, CountingPlace, Quota, RateLimits, RequestCounts, SharedCounter,
    SharedCounterError, limit_rates,
};
pub use refusals::{RefusalLog, RefusedAccess, note_refusals};
pub use request_id::RequestId;
pub use security::{BrowserPolicy, protect_browsers};
pub use validate::{FieldErrors, Validate, is_amount};

pub use utoipa_axum::router::OpenApiRouter;
pub use utoipa_axum::routes;
