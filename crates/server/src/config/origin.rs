//! Origins of pages, as browsers write them.

use super::Environment;

/// Whether the text is what browsers send as `Origin`: in Production, over HTTPS.
pub(super) fn is_origin(text: &str, environment: Environment) -> bool {
    let rest = match environment {
        Environment::Production => text.strip_prefix("https://"),
        Environment::Development => {
            text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"))
        }
    };
    let of_host =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.:".contains(&byte);
    rest.is_some_and(|rest| !rest.is_empty() && rest.bytes().all(of_host))
}

/// The host of an origin.
pub(super) fn host(origin: &str) -> &str {
    let (_, authority) = origin.split_once("://").unwrap_or_default();
    authority.split_once(':').map_or(authority, |(host, _)| host)
}
