//! The `Prefer` header (RFC 7240).

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::{IntoResponseParts, ResponseParts};
use std::convert::Infallible;
use utoipa::IntoParams;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::{Object, Required, Type};

/// Whether the caller wants back what the request made (`Prefer: return=…`, RFC 7240, section 4.2). A
/// preference is never an error: what cannot be understood counts as not said.
///
/// As a part of an answer, the header that says a preference was followed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReturnPreference {
    /// In full, as if nothing were said.
    #[default]
    Representation,
    /// No more than is needed to know what came of it.
    Minimal,
}

const HEADER: &str = "prefer";

impl ReturnPreference {
    fn of(headers: &HeaderMap) -> Self {
        let lines = headers.get_all(HEADER).into_iter().filter_map(|line| line.to_str().ok());
        let preferences = lines.flat_map(|line| split_unquoted(line, ','));
        // The same preference again counts for nothing (RFC 7240, section 2).
        match preferences.map(preference).find(|(name, _)| name.eq_ignore_ascii_case("return")) {
            Some((_, "minimal")) => Self::Minimal,
            _ => Self::Representation,
        }
    }
}

/// The name and value of a preference, without its parameters.
fn preference(text: &str) -> (&str, &str) {
    let text = split_unquoted(text, ';').next().unwrap_or_default();
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    let value = value.trim();
    // No value that is known here has anything that would be escaped in quotes.
    let unquoted = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    (name.trim(), unquoted.unwrap_or(value))
}

/// The parts of `text` between separators that do not stand in quotes.
fn split_unquoted(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    text.split(move |letter| {
        let was_escaped = std::mem::replace(&mut is_escaped, false);
        match letter {
            '\\' => is_escaped = is_quoted && !was_escaped,
            '"' if !was_escaped => is_quoted = !is_quoted,
            _ => (),
        }
        letter == separator && !is_quoted
    })
}

impl<S: Send + Sync> FromRequestParts<S> for ReturnPreference {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::of(&parts.headers))
    }
}

impl IntoResponseParts for ReturnPreference {
    type Error = Infallible;

    fn into_response_parts(self, mut response: ResponseParts) -> Result<ResponseParts, Infallible> {
        if self == Self::Minimal {
            let name = HeaderName::from_static("preference-applied");
            response.headers_mut().insert(name, HeaderValue::from_static("return=minimal"));
        }
        Ok(response)
    }
}

impl IntoParams for ReturnPreference {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let parameter = ParameterBuilder::new()
            .name("Prefer")
            .parameter_in(ParameterIn::Header)
            .required(Required::False)
            .description(Some(
                "`return=minimal` when what was made need not be sent back (RFC 7240)",
            ))
            .schema(Some(Object::with_type(Type::String)))
            .example(Some("return=minimal".into()));
        vec![parameter.build()]
    }
}

#[cfg(test)]
mod tests {
    use super::ReturnPreference::{Minimal, Representation};
    use super::*;

    fn preferred(lines: &[&[u8]]) -> ReturnPreference {
        let lines = lines.iter().map(|line| HeaderValue::from_bytes(line).unwrap());
        ReturnPreference::of(&lines.map(|line| (HeaderName::from_static(HEADER), line)).collect())
    }

    #[test]
    fn what_is_preferred_is_found_however_it_is_written() {
        for line in [
            "return=minimal",
            "Return=minimal",
            "RETURN = minimal",
            r#"return="minimal""#,
            "return=minimal; foo=bar",
            r#"return="minimal" ;foo"#,
            "respond-async, wait=10, return=minimal",
            ",, return=minimal ,",
            "returns=representation, return=minimal",
            r#"note="return=representation, x", return=minimal"#,
            r#"note="a \", return=representation", return=minimal"#,
            r#"note="a \\", return=minimal"#,
            r#"wait=1; note="a, b; c"; d, return=minimal"#,
        ] {
            assert_eq!(preferred(&[line.as_bytes()]), Minimal, "{line}");
        }
    }

    #[test]
    fn whatever_else_is_said_the_answer_is_full() {
        assert_eq!(preferred(&[]), Representation);
        for line in [
            "",
            "return",
            "return=",
            "return=representation",
            "return=less",
            "return=minimal=minimal",
            "return=minimally",
            "minimal",
            "handling=lenient; return=minimal",
            r#"note="return=minimal""#,
            r#"note=", return=minimal"#,
            r#"return="minimal"#,
            "=minimal",
            ";,=\"",
        ] {
            assert_eq!(preferred(&[line.as_bytes()]), Representation, "{line}");
        }
    }

    #[test]
    fn the_first_of_several_counts() {
        assert_eq!(preferred(&[b"return=minimal, return=representation"]), Minimal);
        assert_eq!(preferred(&[b"return=representation, return=minimal"]), Representation);
        assert_eq!(preferred(&[b"wait=5", b"return=minimal", b"return=representation"]), Minimal);
        assert_eq!(preferred(&[b"return=other", b"return=minimal"]), Representation);
        // A line that is no text says nothing.
        assert_eq!(preferred(&[b"return=\xff", b"return=minimal"]), Minimal);
    }
}
