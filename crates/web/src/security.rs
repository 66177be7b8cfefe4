//! What browsers are told: which other sites may call, and what a page from here may do.

use axum::Router;
use axum::http::{HeaderName, HeaderValue, Method, header};
use std::time::Duration;
use tower::ServiceBuilder;
use tower::util::option_layer;
use tower_http::cors::CorsLayer;
use tower_http::set_header::SetResponseHeaderLayer;

/// How browsers are to treat this installation.
#[derive(Clone, Debug, Default)]
pub struct BrowserPolicy {
    /// Sites that may call the API from a browser, such as `https://app.example.com`; none when empty.
    pub allowed_origins: Vec<HeaderValue>,
}

/// Nothing here is a page, but for what sets a policy of its own.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; base-uri 'none'; frame-ancestors 'none'";
const PERMISSIONS_POLICY: &str = "accelerometer=(), camera=(), geolocation=(), gyroscope=(), \
                                  magnetometer=(), microphone=(), payment=(), usb=()";
/// How long browsers may keep what a preflight said.
const PREFLIGHT_MAX_AGE: Duration = Duration::from_mins(10);

/// Puts the security headers on every answer, and answers preflights of allowed origins. Goes around
/// everything else.
pub fn protect_browsers(router: Router, policy: BrowserPolicy) -> Router {
    router.layer(
        ServiceBuilder::new()
            .layer(set(header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
            .layer(set(header::X_FRAME_OPTIONS, "DENY"))
            .layer(set(header::REFERRER_POLICY, "no-referrer"))
            .layer(set(HeaderName::from_static("permissions-policy"), PERMISSIONS_POLICY))
            .layer(SetResponseHeaderLayer::if_not_present(
                header::CONTENT_SECURITY_POLICY,
                HeaderValue::from_static(CONTENT_SECURITY_POLICY),
            ))
            .layer(SetResponseHeaderLayer::if_not_present(
                header::CACHE_CONTROL,
                HeaderValue::from_static("no-store"),
            ))
            .layer(option_layer(cors(policy.allowed_origins))),
    )
}

fn set(name: HeaderName, value: &'static str) -> SetResponseHeaderLayer<HeaderValue> {
    SetResponseHeaderLayer::overriding(name, HeaderValue::from_static(value))
}

/// Tokens travel in a header, not in cookies, so no credentials are allowed.
fn cors(origins: Vec<HeaderValue>) -> Option<CorsLayer> {
    if origins.is_empty() {
        return None;
    }
    let ours = ["idempotency-key", "prefer", "x-request-id"].map(HeaderName::from_static);
    let told = [
        "idempotency-replayed",
        "preference-applied",
        "ratelimit",
        "ratelimit-policy",
        "x-request-id",
    ];
    let mut exposed = told.map(HeaderName::from_static).to_vec();
    exposed.extend([header::LOCATION, header::RETRY_AFTER]);
    let layer = CorsLayer::new()
        .allow_origin(origins)
        .allow_methods([Method::GET, Method::POST, Method::PUT])
        .allow_headers([&[header::AUTHORIZATION, header::CONTENT_TYPE], ours.as_slice()].concat())
        .expose_headers(exposed)
        .max_age(PREFLIGHT_MAX_AGE);
    Some(layer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;
    use axum::http::{Request, StatusCode};
    use axum::response::Response;
    use axum::routing::get;
    use tower::ServiceExt;

    fn names(answer: &Response, header: &str) -> Vec<String> {
        let line = answer.headers()[header].to_str().unwrap();
        line.split(',').map(|name| name.trim().to_owned()).collect()
    }

    #[tokio::test]
    async fn the_sites_may_send_and_read_the_headers_of_the_interface() {
        let named = HeaderValue::from_static("https://app.example.com");
        let policy = BrowserPolicy { allowed_origins: vec![named] };
        let asked = send(policy.clone(), "OPTIONS", "https://app.example.com").await;
        let sent = ["authorization", "content-type", "idempotency-key", "prefer", "x-request-id"];
        assert_eq!(names(&asked, "access-control-allow-headers"), sent);
        let answer = send(policy, "GET", "https://app.example.com").await;
        let read = names(&answer, "access-control-expose-headers");
        for name in ["idempotency-replayed", "preference-applied", "location", "retry-after"] {
            assert!(read.iter().any(|read| read == name), "{name}: {read:?}");
        }
    }

    async fn send(policy: BrowserPolicy, method: &str, origin: &str) -> Response {
        let routes = Router::new().route("/", get(async || "x"));
        let request = Request::builder()
            .method(method)
            .uri("/")
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .body(Body::empty());
        protect_browsers(routes, policy).oneshot(request.unwrap()).await.unwrap()
    }

    #[tokio::test]
    async fn every_answer_has_the_headers() {
        let answer = send(BrowserPolicy::default(), "GET", "https://example.com").await;
        for (name, value) in [
            ("content-security-policy", CONTENT_SECURITY_POLICY),
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "no-referrer"),
            ("permissions-policy", PERMISSIONS_POLICY),
            ("cache-control", "no-store"),
        ] {
            assert_eq!(answer.headers()[name], value);
        }
        assert!(!answer.headers().contains_key("access-control-allow-origin"));
    }

    #[tokio::test]
    async fn only_sites_that_were_named_may_call() {
        let named = HeaderValue::from_static("https://app.example.com");
        let policy = BrowserPolicy { allowed_origins: vec![named] };
        for (origin, allowed) in [
            ("https://app.example.com", true),
            ("http://app.example.com", false),
            ("https://app.example.com.evil.example", false),
            ("null", false),
        ] {
            for method in ["GET", "OPTIONS"] {
                let answer = send(policy.clone(), method, origin).await;
                assert_eq!(answer.status(), StatusCode::OK);
                let told = answer.headers().get("access-control-allow-origin");
                assert_eq!(told.is_some_and(|told| told == origin), allowed, "{method} {origin}");
                assert!(!answer.headers().contains_key("access-control-allow-credentials"));
            }
        }
        let none = send(BrowserPolicy::default(), "OPTIONS", "https://app.example.com").await;
        assert_eq!(none.status(), StatusCode::METHOD_NOT_ALLOWED);
    }
}
