use super::*;
use axum::body::{Body, to_bytes};
use axum::extract::ConnectInfo;
use axum::routing::any;
use serde_json::Value;
use std::net::SocketAddr;
use tower::ServiceExt;
use uuid::Uuid;

struct Nil;

impl IdSource for Nil {
    fn next(&self) -> Uuid {
        Uuid::nil()
    }
}

/// What came back: status, `Location`, the code of the problem, and the header of RFC 6797.
struct Answer {
    status: u16,
    location: Option<String>,
    code: Value,
    is_remembered: bool,
}

async fn send(router: Router, request: Request) -> Answer {
    let response = router.oneshot(request).await.unwrap();
    let text = |name| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    let location = text("location");
    let is_remembered = text("strict-transport-security").is_some();
    let status = response.status().as_u16();
    if status >= 300 {
        assert_eq!(response.headers()["x-request-id"], Uuid::nil().to_string());
    }
    let body = to_bytes(response.into_body(), 10_000).await.unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    Answer { status, location, code: body["code"].clone(), is_remembered }
}

/// A request from `peer` to every route, which all answer 200.
fn from(peer: &str, method: &str, path: &str) -> Request {
    let peer: SocketAddr = format!("{peer}:1000").parse().unwrap();
    Request::builder()
        .method(method)
        .uri(path)
        .header("host", "bank.example")
        .extension(ConnectInfo(peer))
        .body(Body::empty())
        .unwrap()
}

fn protected(proxies: &[&str]) -> Router {
    let policy = HttpsPolicy {
        proxies: proxies.iter().map(|proxy| proxy.parse().unwrap()).collect(),
        is_remembered: true,
        free_routes: &["/health/live"],
    };
    let routes = Router::new().fallback(any(async || "carried out"));
    require_https(routes, policy, Arc::new(Nil))
}

#[tokio::test]
async fn what_comes_in_clear_is_refused_or_led_on_but_never_carried_out() {
    for (method, path, status, location, code) in [
        ("GET", "/docs/?a=b", 308, Some("https://bank.example/docs/?a=b"), None),
        ("HEAD", "/openapi.json", 308, Some("https://bank.example/openapi.json"), None),
        ("POST", "/docs", 403, None, Some("https_required")),
        ("GET", "/api/v1/me", 403, None, Some("https_required")),
        ("POST", "/api/v1/auth/login", 403, None, Some("https_required")),
        ("OPTIONS", "/docs", 403, None, Some("https_required")),
        ("GET", "/health/live", 200, None, None),
        ("GET", "/health/live/", 308, Some("https://bank.example/health/live/"), None),
    ] {
        let answer = send(protected(&[]), from("192.0.2.1", method, path)).await;
        let found = (answer.status, answer.location.as_deref(), answer.code.as_str());
        assert_eq!(found, (status, location, code), "{method} {path}");
        assert!(!answer.is_remembered, "a header that anybody on the way could have made up");
        let mut encrypted = from("192.0.2.1", method, path);
        encrypted.extensions_mut().insert(OverTls);
        let answer = send(protected(&[]), encrypted).await;
        assert_eq!((answer.status, answer.is_remembered), (200, true), "{method} {path}");
    }
}

#[tokio::test]
async fn only_the_word_of_a_proxy_of_ours_counts_and_nobody_gets_past_it() {
    for (peer, said, is_over_tls, expected) in [
        ("10.0.0.1", &["https"][..], false, Ok(())),
        ("10.0.0.1", &["https"], true, Ok(())),
        ("10.0.0.1", &["HTTPS , https"], false, Ok(())),
        ("::ffff:10.0.0.1", &["https"], false, Ok(())),
        ("10.0.0.1", &["http"], false, Err("https_required")),
        // The proxy has TLS to us, but its client had none to it.
        ("10.0.0.1", &["http"], true, Err("https_required")),
        ("10.0.0.1", &[], true, Err("https_required")),
        ("10.0.0.1", &[""], false, Err("https_required")),
        ("10.0.0.1", &["https, http"], false, Err("https_required")),
        ("10.0.0.1", &["https", "http"], false, Err("https_required")),
        ("192.0.2.1", &["https"], false, Err("not_through_proxy")),
        ("192.0.2.1", &["https"], true, Err("not_through_proxy")),
        ("192.0.2.1", &[], true, Err("not_through_proxy")),
    ] {
        let build = |path: &str| {
            let mut request =
                from(&peer.replace("::ffff:10.0.0.1", "[::ffff:10.0.0.1]"), "GET", path);
            for line in said {
                request.headers_mut().append("x-forwarded-proto", line.parse().unwrap());
            }
            if is_over_tls {
                request.extensions_mut().insert(OverTls);
            }
            request
        };
        let answer = send(protected(&["10.0.0.0/8"]), build("/api/v1/me")).await;
        let found = answer.code.as_str().map_or(Ok(()), Err);
        assert_eq!(found, expected, "{peer} {said:?} {is_over_tls}");
        assert_eq!(answer.is_remembered, expected.is_ok());
        let probe = send(protected(&["10.0.0.0/8"]), build("/health/live")).await;
        assert_eq!(probe.status, 200, "{peer} {said:?} {is_over_tls}");
    }
}

#[tokio::test]
async fn redirects_lead_to_the_port_of_https() {
    for (host, from_port, to_port, expected) in [
        ("bank.example", 80, 443, "https://bank.example/x"),
        ("bank.example", 80, 8443, "https://bank.example:8443/x"),
        ("bank.example:8080", 8080, 8443, "https://bank.example:8443/x"),
        // Somebody maps 80 to 8080 and 443 to 8443.
        ("bank.example", 8080, 8443, "https://bank.example/x"),
        ("[2001:db8::1]:8080", 8080, 443, "https://[2001:db8::1]/x"),
    ] {
        let mut request = from("192.0.2.1", "GET", "/x");
        request.headers_mut().insert("host", host.parse().unwrap());
        let answer = send(redirect_to_https(from_port, to_port, Arc::new(Nil)), request).await;
        assert_eq!(answer.location.as_deref(), Some(expected));
    }
    let post = from("192.0.2.1", "POST", "/api/v1/auth/login");
    let answer = send(redirect_to_https(80, 443, Arc::new(Nil)), post).await;
    assert_eq!((answer.status, answer.code.as_str()), (403, Some("https_required")));
    for host in [None, Some("not a host"), Some("")] {
        let mut request = from("192.0.2.1", "GET", "/x");
        request.headers_mut().remove("host");
        if let Some(host) = host {
            request.headers_mut().insert("host", host.parse().unwrap());
        }
        let answer = send(redirect_to_https(80, 443, Arc::new(Nil)), request).await;
        assert_eq!((answer.status, answer.code.as_str()), (403, Some("https_required")));
    }
}
