//! Extractors that answer with a problem when the request is not valid.

use crate::objects::Objects;
use crate::{FieldError, FieldErrors, Problem, Validate};
use axum::body::{Body, Bytes};
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_path_to_error::Segment;
use std::fmt::Write;

/// A JSON body, parsed and validated; as an answer, a JSON body.
#[derive(Clone, Copy, Debug)]
pub struct Json<T>(pub T);

impl<T: DeserializeOwned + Validate, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request<Body>, state: &S) -> Result<Self, Problem> {
        require_json(request.headers())?;
        let bytes =
            Bytes::from_request(request, state).await.map_err(|rejection| body(&rejection))?;
        parse_json(&bytes).map(Self)
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

/// The bytes of a form, as they came.
#[derive(Clone, Debug)]
pub struct Form(pub Bytes);

impl<S: Send + Sync> FromRequest<S> for Form {
    type Rejection = Problem;

    async fn from_request(request: Request<Body>, state: &S) -> Result<Self, Problem> {
        require_media_type(request.headers(), "application/x-www-form-urlencoded", "a form")?;
        let bytes = Bytes::from_request(request, state).await;
        bytes.map(Self).map_err(|rejection| body(&rejection))
    }
}

/// One JSON text, parsed and validated.
pub fn parse_json<T: DeserializeOwned + Validate>(bytes: &[u8]) -> Result<T, Problem> {
    let value: T = parse(bytes)?;
    let mut errors = FieldErrors::default();
    value.validate(&mut errors);
    errors.into_result()?;
    Ok(value)
}

fn require_json(headers: &HeaderMap) -> Result<(), Problem> {
    require_media_type(headers, "application/json", "JSON")
}

/// 415 unless the body is declared as `media_type`, which `name` is the name of.
pub fn require_media_type(
    headers: &HeaderMap,
    media_type: &str,
    name: &str,
) -> Result<(), Problem> {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let declared = content_type.unwrap_or("").split(';').next().unwrap_or("").trim();
    if declared.eq_ignore_ascii_case(media_type) {
        return Ok(());
    }
    Err(Problem::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "unsupported_media_type",
        format!("send the body as {name} with the header Content-Type: {media_type}"),
    ))
}

fn body(rejection: &BytesRejection) -> Problem {
    if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
        return Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "body_too_large",
            "the body is larger than this server accepts",
        );
    }
    Problem::new(StatusCode::BAD_REQUEST, "malformed_body", "the body could not be read whole")
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let malformed =
        |detail: String| Problem::new(StatusCode::BAD_REQUEST, "malformed_json", detail);
    if has_escaped_nul(bytes) {
        return Err(malformed("text must not contain the character U+0000".into()));
    }
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    if let Ok(value) = T::deserialize(Objects(&mut deserializer))
        && deserializer.end().is_ok()
    {
        return Ok(value);
    }
    // Once more, minding the way to what is wrong: that costs as much again, and most bodies are right.
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(Objects(&mut deserializer)).map_err(|error| {
        let inner = error.inner();
        if inner.is_data() {
            let pointer = pointer(error.path().iter());
            return Problem::validation(vec![FieldError { pointer, detail: explain(inner) }]);
        }
        malformed(format!("the body is not valid JSON: {inner}"))
    })?;
    deserializer
        .end()
        .map_err(|error| malformed(format!("the body is not valid JSON: {error}")))?;
    Ok(value)
}

/// No database text holds U+0000, and nobody sends it in earnest. Raw, JSON forbids it; here it is found
/// escaped. An escaped backslash before `u0000` is text and is let through.
fn has_escaped_nul(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|&byte| byte == b'\\') {
        if rest.get(at..).is_some_and(|escape| escape.starts_with(b"\\u0000")) {
            return true;
        }
        rest = rest.get(at.saturating_add(2)..).unwrap_or_default();
    }
    false
}

/// What serde_json says, without the line and column, which the pointer says better, and without the
/// value, which may be a password.
fn explain(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(message, _)| message);
    match text.rsplit_once(", expected ") {
        Some((_, "i64")) => "expected a whole number".to_owned(),
        Some((_, expected)) if expected.starts_with("struct ") => "expected an object".to_owned(),
        Some((_, expected)) => format!("expected {expected}"),
        None => text.to_owned(),
    }
}

fn pointer<'a>(segments: impl Iterator<Item = &'a Segment>) -> String {
    let mut pointer = String::new();
    for segment in segments {
        let written = match segment {
            Segment::Seq { index } => write!(pointer, "/{index}"),
            Segment::Map { key } => {
                write!(pointer, "/{}", key.replace('~', "~0").replace('/', "~1"))
            }
            Segment::Enum { .. } | Segment::Unknown => Ok(()),
        };
        debug_assert!(written.is_ok(), "writing to a string cannot fail");
    }
    pointer
}

/// The query string, parsed.
#[derive(Clone, Copy, Debug)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let query = parts.uri.query().unwrap_or("");
        if query.contains("%00") {
            return Err(parameter("query", "must not contain the character U+0000"));
        }
        axum::extract::Query::<T>::try_from_uri(&parts.uri)
            .map(|axum::extract::Query(value)| Self(value))
            .map_err(|rejection| parameter("query", &rejection.body_text()))
    }
}

/// The variable parts of the path, parsed.
#[derive(Clone, Copy, Debug)]
pub struct Path<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        axum::extract::Path::<T>::from_request_parts(parts, state)
            .await
            .map(|axum::extract::Path(value)| Self(value))
            .map_err(|rejection| parameter("path", &rejection.body_text()))
    }
}

fn parameter(pointer: &str, detail: &str) -> Problem {
    Problem::validation(vec![FieldError { pointer: pointer.into(), detail: detail.into() }])
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    struct Transfer {
        #[expect(dead_code, reason = "only parsed")]
        amount_minor_units: i64,
        #[expect(dead_code, reason = "only parsed")]
        legs: Vec<Leg>,
        #[expect(dead_code, reason = "only parsed")]
        note: Option<Leg>,
        #[expect(dead_code, reason = "only parsed")]
        to: Option<To>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "camelCase")]
    enum To {
        Leg {
            #[expect(dead_code, reason = "only parsed")]
            amount: i64,
        },
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Leg {
        #[expect(dead_code, reason = "only parsed")]
        amount: i64,
    }

    #[test]
    fn wrong_types_are_pointed_at() {
        for (body, pointer) in [
            (r#"{"amountMinorUnits":"1","legs":[]}"#, "/amountMinorUnits"),
            (r#"{"amountMinorUnits":1.5,"legs":[]}"#, "/amountMinorUnits"),
            (r#"{"amountMinorUnits":9223372036854775808,"legs":[]}"#, "/amountMinorUnits"),
            (r#"{"amountMinorUnits":1,"legs":[{"amount":1},{"amount":true}]}"#, "/legs/1/amount"),
            (r#"{"amountMinorUnits":1,"legs":[],"a/b":1}"#, "/a~1b"),
            (r#"{"amountMinorUnits":1}"#, ""),
        ] {
            let problem = parse::<Transfer>(body.as_bytes()).unwrap_err();
            let text = format!("{problem:?}");
            assert_eq!(problem.code(), "validation_failed", "{body}");
            assert!(text.contains(&format!("pointer: \"{pointer}\"")), "{body}: {text}");
        }
    }

    #[test]
    fn an_array_is_no_object() {
        let good = r#"{"amountMinorUnits":1,"legs":[{"amount":1}]}"#;
        assert!(parse::<Transfer>(good.as_bytes()).is_ok());
        for (body, pointer) in [
            ("[1,[]]", ""),
            (r#"[1,[{"amount":1}]]"#, ""),
            (r#"{"amountMinorUnits":1,"legs":[{"amount":1},[1]]}"#, "/legs/1"),
            (r#"{"amountMinorUnits":1,"legs":[],"note":[1]}"#, "/note"),
            (r#"{"amountMinorUnits":1,"legs":[],"to":{"leg":[1]}}"#, "/to"),
        ] {
            let text = format!("{:?}", parse::<Transfer>(body.as_bytes()).unwrap_err());
            assert!(text.contains(&format!("pointer: \"{pointer}\"")), "{body}: {text}");
            assert!(text.contains("expected an object"), "{body}: {text}");
        }
    }

    #[test]
    fn values_are_not_echoed() {
        for body in [r#"{"amountMinorUnits":"hunter2","legs":[]}"#, r#"{"amountMinorUnits":77123}"#]
        {
            let text = format!("{:?}", parse::<Transfer>(body.as_bytes()).unwrap_err());
            assert!(!text.contains("hunter2") && !text.contains("77123"), "{text}");
        }
    }

    #[test]
    fn broken_json_is_malformed() {
        for body in ["", "{", "[1,]", "{} {}", "\u{0}", "NaN"] {
            let problem = parse::<serde_json::Value>(body.as_bytes()).unwrap_err();
            assert_eq!(problem.code(), "malformed_json", "{body:?}");
        }
    }

    #[test]
    fn escaped_nul_is_refused_and_escaped_backslashes_are_not() {
        assert!(parse::<String>(br#""a\u0000b""#).is_err());
        assert!(parse::<String>(br#""a\\\u0000b""#).is_err());
        assert_eq!(parse::<String>(br#""a\\u0000b""#).unwrap(), "a\\u0000b");
    }
}
