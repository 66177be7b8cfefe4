//! HTTPS or nothing: what came in plain, or past the proxy, is never carried out.

use crate::network::peer;
use crate::{Network, Problem, request_id};
use axum::Router;
use axum::extract::Request;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use kernel::IdSource;
use std::sync::Arc;

/// Among the extensions of a request whose connection this process itself decrypts.
#[derive(Clone, Copy, Debug)]
pub struct OverTls;

/// How requests have to come.
#[derive(Clone, Debug, Default)]
pub struct HttpsPolicy {
    /// The proxies in front. Where there are any, requests have to come through them, and they have to say
    /// `X-Forwarded-Proto: https`; where there are none, requests have to come over TLS.
    pub proxies: Vec<Network>,
    /// Whether browsers shall come back over HTTPS only.
    pub is_remembered: bool,
    /// The paths of probes, which may come as they like.
    pub free_routes: &'static [&'static str],
}

/// RFC 6797: a year. It counts for nothing in an answer that is not encrypted.
const STRICT_TRANSPORT_SECURITY: HeaderValue =
    HeaderValue::from_static("max-age=31536000; includeSubDomains");
/// What is below is called by programs. A program that calls in clear has to notice and not be led on,
/// because what it must not send in clear is in its first request.
const API: &str = "/api/";
const HTTP_PORT: u16 = 80;
const HTTPS_PORT: u16 = 443;

/// How a request came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Encrypted,
    Plain,
    PastTheProxies,
}

/// Refuses what did not come as `policy` says, or redirects it if it is for people. Goes around
/// everything that carries requests out.
pub fn require_https(router: Router, policy: HttpsPolicy, ids: Arc<dyn IdSource>) -> Router {
    let policy = Arc::new(policy);
    router.layer(middleware::from_fn(move |request: Request, next: Next| {
        let (policy, ids) = (policy.clone(), ids.clone());
        async move {
            let way = policy.way(&request);
            if way == Way::Encrypted {
                let mut answer = next.run(request).await;
                if policy.is_remembered {
                    let name = header::STRICT_TRANSPORT_SECURITY;
                    answer.headers_mut().insert(name, STRICT_TRANSPORT_SECURITY);
                }
                return answer;
            }
            if policy.free_routes.contains(&request.uri().path()) {
                return next.run(request).await;
            }
            let answer = async |request: Request| match way {
                Way::PastTheProxies => past_the_proxies().into_response(),
                // Proxies and users name the port that they know, unless it is the usual one.
                _ => plain(&request, |port| if port == HTTP_PORT { HTTPS_PORT } else { port }),
            };
            request_id::identify(ids.as_ref(), request, answer).await
        }
    }))
}

/// A router for a port of plain HTTP, `from`, beside one of HTTPS, `to`: it leads people from one to the
/// other and carries nothing out. Ports that users know and this process does not, because something in
/// between maps them, are taken for the usual ones.
pub fn redirect_to_https(from: u16, to: u16, ids: Arc<dyn IdSource>) -> Router {
    Router::new().fallback(async move |request: Request| {
        let answer = async |request: Request| {
            plain(&request, |port| if port == from { to } else { HTTPS_PORT })
        };
        request_id::identify(ids.as_ref(), request, answer).await
    })
}

impl HttpsPolicy {
    fn way(&self, request: &Request) -> Way {
        let peer = peer(request.extensions());
        let is_proxy = |proxy: &Network| peer.is_some_and(|peer| proxy.contains(peer));
        let is_encrypted = if self.proxies.is_empty() {
            request.extensions().get::<OverTls>().is_some()
        } else if self.proxies.iter().any(is_proxy) {
            is_forwarded_https(request.headers())
        } else {
            return Way::PastTheProxies;
        };
        if is_encrypted { Way::Encrypted } else { Way::Plain }
    }
}

/// Whether all proxies on the way, as far as they say, were called over HTTPS.
fn is_forwarded_https(headers: &HeaderMap) -> bool {
    let lines = headers.get_all("x-forwarded-proto").iter();
    let mut hops = lines.flat_map(|line| line.to_str().unwrap_or_default().split(',')).peekable();
    hops.peek().is_some() && hops.all(|hop| hop.trim().eq_ignore_ascii_case("https"))
}

/// The answer to a request in clear. `https_port` is that of HTTPS beside a port of HTTP.
fn plain(request: &Request, https_port: impl Fn(u16) -> u16) -> Response {
    let is_for_people = [Method::GET, Method::HEAD].contains(request.method())
        && !request.uri().path().starts_with(API);
    let redirect = is_for_people.then(|| https_url(request, https_port)).flatten();
    match redirect {
        Some(url) => (StatusCode::PERMANENT_REDIRECT, [(header::LOCATION, url)]).into_response(),
        None => Problem::new(
            StatusCode::FORBIDDEN,
            "https_required",
            "this came over plain HTTP and was not carried out; call https:// instead, and replace \
             any password or token that was sent",
        )
        .into_response(),
    }
}

fn https_url(request: &Request, https_port: impl Fn(u16) -> u16) -> Option<String> {
    let host = || request.headers().get(header::HOST)?.to_str().ok()?.parse().ok();
    let authority: Authority = request.uri().authority().cloned().or_else(host)?;
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let name = authority.host();
    Some(match https_port(authority.port_u16().unwrap_or(HTTP_PORT)) {
        HTTPS_PORT => format!("https://{name}{path}"),
        port => format!("https://{name}:{port}{path}"),
    })
}

fn past_the_proxies() -> Problem {
    Problem::new(
        StatusCode::FORBIDDEN,
        "not_through_proxy",
        "this server answers to the proxy in front of it only; call the public address",
    )
}

#[cfg(test)]
mod tests;
