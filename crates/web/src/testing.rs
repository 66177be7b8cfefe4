//! What tests of routes share.

use axum::Router;
use axum::extract::Request;
use axum::http::HeaderMap;
use http_body_util::BodyExt;
use serde_json::Value;
use tower::ServiceExt;
use uuid::Uuid;

/// An answer: status, headers, and body as JSON (`null` when empty).
#[derive(Debug)]
pub struct Answer {
    /// Its number.
    pub status: u16,
    /// All of them.
    pub headers: HeaderMap,
    /// Read to its end.
    pub body: Value,
}

impl Answer {
    /// Sends a request to these routes.
    pub async fn of(router: Router, request: Request) -> Self {
        let Ok(response) = router.oneshot(request).await;
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.expect("a body that is in memory").to_bytes();
        let body = match bytes.is_empty() {
            true => Value::Null,
            false => serde_json::from_slice(&bytes).expect("a body of JSON"),
        };
        Self { status: parts.status.as_u16(), headers: parts.headers, body }
    }

    /// The id of what the body shows.
    #[track_caller]
    pub fn id(&self) -> Uuid {
        self.text("id").parse().expect("a UUID")
    }

    /// The status and the problem's code, after checking that it is one.
    #[track_caller]
    pub fn problem(&self) -> (u16, &str) {
        assert_eq!(self.headers["content-type"], "application/problem+json", "{}", self.body);
        assert_eq!(self.body["status"], self.status);
        (self.status, self.text("code"))
    }

    /// The pointers of a problem's `errors`, sorted.
    #[track_caller]
    pub fn pointers(&self) -> Vec<&str> {
        let errors = self.body["errors"].as_array().into_iter().flatten();
        let pointers = errors.map(|error| error["pointer"].as_str().expect("a pointer"));
        let mut pointers: Vec<_> = pointers.collect();
        pointers.sort_unstable();
        pointers
    }

    /// The access and the refresh token of a sign-in or refresh.
    #[track_caller]
    pub fn tokens(&self) -> (String, String) {
        assert_eq!(self.status, 200, "{}", self.body);
        (self.text("accessToken").to_owned(), self.text("refreshToken").to_owned())
    }

    /// Whether the outcome was there before this request.
    pub fn is_replayed(&self) -> bool {
        self.headers.get("idempotency-replayed").is_some_and(|value| value == "true")
    }

    #[track_caller]
    fn text(&self, member: &str) -> &str {
        let text = self.body[member].as_str();
        text.unwrap_or_else(|| panic!("the body has no text \"{member}\": {}", self.body))
    }
}
