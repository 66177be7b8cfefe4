//! Problem details: RFC 9457.

use crate::request_id::RequestId;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use kernel::UserId;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// A refusal or failure, as clients see it: `application/problem+json`.
#[derive(Clone, Debug)]
pub struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: String,
    errors: Box<[FieldError]>,
    members: Map<String, Value>,
    headers: Vec<(HeaderName, HeaderValue)>,
    noted: Option<Box<Noted>>,
}

/// What is wrong with one field of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct FieldError {
    /// Where: a JSON pointer into the body (RFC 6901), or the name of a parameter or header.
    #[schema(example = "/amountMinorUnits")]
    pub pointer: String,
    /// What is wrong, and what to send instead.
    pub detail: String,
}

/// The code of a problem, for middleware that the answer passes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Code(pub(crate) &'static str);

/// What whoever keeps count of refusals is told, and the caller is not.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Noted {
    /// Why.
    pub(crate) code: &'static str,
    /// Whose token it was, if that is known for sure.
    pub(crate) actor: Option<UserId>,
}

/// The body of every answer with a status of 400 or above (RFC 9457).
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ProblemBody<'a> {
    /// Stable name of the kind of problem, as a URI.
    #[serde(rename = "type")]
    #[schema(example = "urn:finitech:problem:insufficient_funds")]
    kind: String,
    /// The status in words.
    title: &'a str,
    /// The HTTP status.
    status: u16,
    /// Stable name of the kind of problem, for programs.
    #[schema(example = "insufficient_funds")]
    code: &'a str,
    /// What happened and what to do, for people.
    detail: &'a str,
    /// The fields at fault, when the request was not valid.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [FieldError],
    /// The id of the request, for support; also in the `X-Request-Id` header.
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
    /// What belongs to this kind of problem alone.
    #[serde(flatten)]
    members: &'a Map<String, Value>,
}

/// How long a client should wait when the server is busy.
const RETRY_AFTER_SECONDS: u64 = 1;

impl Problem {
    /// A problem with its stable code and a sentence that says what to do.
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self {
            status,
            code,
            detail: detail.into(),
            errors: Box::default(),
            members: Map::new(),
            headers: Vec::new(),
            noted: None,
        }
    }

    /// 422: the request was understood but cannot be carried out.
    pub fn unprocessable(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, detail)
    }

    /// 409: the state of things does not allow it.
    pub fn conflict(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, detail)
    }

    /// 404: there is no such thing, or it is somebody else's.
    pub fn not_found(thing: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", format!("there is no such {thing}"))
    }

    /// 422 `validation_failed` with the fields at fault.
    pub fn validation(errors: Vec<FieldError>) -> Self {
        let mut problem = Self::unprocessable(
            "validation_failed",
            "the request is not valid; see `errors` for each field",
        );
        problem.errors = errors.into_boxed_slice();
        problem
    }

    /// 503: try again; nothing is known to have happened.
    pub fn unavailable(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code, detail).retry_after(RETRY_AFTER_SECONDS)
    }

    /// 500: a defect. The cause goes to the log, never to the client.
    pub fn internal(cause: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(error = %Chain(cause), "request failed");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal_error",
            "the server failed; try again, with the same idempotency key if there was one, and quote \
             the request id if it goes on",
        )
    }

    /// 503 for a store that does not answer. The cause goes to the log.
    pub fn store_unavailable(cause: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(error = %Chain(cause), "a store failed");
        Self::unavailable(
            "service_unavailable",
            "the service cannot answer now; try again, with the same idempotency key if there was one",
        )
    }

    /// Adds a member of this kind of problem alone, such as what was available.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.members.insert(name.to_owned(), value.into());
        self
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Tells whoever keeps count of refusals more than the caller.
    #[must_use]
    pub(crate) fn noted(mut self, noted: Noted) -> Self {
        self.noted = Some(Box::new(noted));
        self
    }

    /// Adds `Retry-After`.
    #[must_use]
    pub fn retry_after(self, seconds: u64) -> Self {
        self.header(header::RETRY_AFTER, HeaderValue::from(seconds))
    }

    /// What happened, in one line: the fields at fault if there are any.
    pub fn explanation(&self) -> String {
        if self.errors.is_empty() {
            return self.detail.clone();
        }
        let faults = self.errors.iter().map(|fault| format!("{} {}", fault.pointer, fault.detail));
        faults.collect::<Vec<_>>().join("; ").trim_start().to_owned()
    }

    /// The stable code.
    pub fn code(&self) -> &'static str {
        self.code
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let request_id = RequestId::current();
        let body = ProblemBody {
            kind: format!("urn:finitech:problem:{}", self.code),
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            code: self.code,
            detail: &self.detail,
            errors: &self.errors,
            request_id: request_id.as_ref().map(RequestId::as_str),
            members: &self.members,
        };
        let mut response = (self.status, axum::Json(body)).into_response();
        response.extensions_mut().insert(Code(self.code));
        if let Some(noted) = self.noted {
            response.extensions_mut().insert(*noted);
        }
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        for (name, value) in self.headers {
            headers.insert(name, value);
        }
        response
    }
}

/// An error with everything that caused it, on one line.
struct Chain<'a>(&'a (dyn std::error::Error + 'static));

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(formatter, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}
