use super::*;
use crate::{AnyUser, Authorized, InvalidToken, Path, Problem, Right};
use async_trait::async_trait;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::routing::{get, post};
use kernel::{Actor, ActorKind, Permission, Timestamp};
use std::net::{IpAddr, SocketAddr};
use std::sync::Mutex;
use std::time::Duration;
use tower::ServiceExt;
use uuid::Uuid;

/// Tokens are numbers of users; 9 is that of an API client which calls from elsewhere, 8 was taken back,
/// and 7 has expired.
struct Numbers;

#[async_trait]
impl Authenticator for Numbers {
    async fn authenticate(
        &self,
        token: &str,
        _: Option<IpAddr>,
    ) -> Result<Actor, AuthenticationError> {
        let number: u128 =
            token.parse().map_err(|_| AuthenticationError::Invalid(InvalidToken::Forged))?;
        match number {
            9 => return Err(AuthenticationError::AddressNotAllowed(user(9))),
            8 => return Err(AuthenticationError::Invalid(InvalidToken::Revoked(user(8)))),
            7 => return Err(AuthenticationError::Expired),
            _ => {}
        }
        Ok(Actor {
            user_id: user(number),
            kind: ActorKind::Person,
            session_id: Uuid::nil(),
            roles: Default::default(),
            permissions: Default::default(),
            authenticated_at: None,
        })
    }
}

#[derive(Default)]
struct Log(Mutex<Vec<RefusedAccess>>);

impl RefusalLog for Log {
    fn note(&self, refused: RefusedAccess) {
        self.0.lock().unwrap().push(refused);
    }
}

struct Everything;
impl Right for Everything {
    const PERMISSION: Option<Permission> = Some(Permission("all:write"));
}

fn user(number: u128) -> UserId {
    UserId(Uuid::from_u128(number))
}

async fn thing(_: Authorized<AnyUser>, Path(id): Path<u32>) -> Result<(), Problem> {
    if id == 1 { Ok(()) } else { Err(Problem::not_found("thing")) }
}

async fn sensitive(caller: Authorized<AnyUser>) -> Result<(), Problem> {
    crate::require_fresh(&caller.actor, Duration::from_secs(300), Timestamp::EPOCH)
}

/// What is noted when this is asked.
async fn noted(method: &str, path: &str, token: Option<&str>) -> Vec<RefusedAccess> {
    let log = Arc::new(Log::default());
    let router = Router::new()
        .route("/all", get(async |_: Authorized<Everything>| ()))
        .route("/things/{id}", get(thing))
        .route("/sensitive", post(sensitive))
        .route("/busy", get(async || Problem::new(StatusCode::TOO_MANY_REQUESTS, "busy", "")))
        .route("/broken", get(async || Problem::conflict("broken", "")));
    let router = crate::authenticate_with(router, Arc::new(Numbers));
    let router = note_refusals(router, Arc::new(Numbers), log.clone());
    let router = crate::trust_proxies(router, Vec::new());
    let mut request = Request::builder().method(method).uri(path).header("user-agent", "tests");
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let mut request = request.body(Body::empty()).unwrap();
    let peer: SocketAddr = "192.0.2.1:7".parse().unwrap();
    request.extensions_mut().insert(ConnectInfo(peer));
    router.oneshot(request).await.unwrap();
    std::mem::take(&mut *log.0.lock().unwrap())
}

#[tokio::test]
async fn who_was_refused_what_and_why_is_noted() {
    for (method, path, token, actor, route, code) in [
        ("GET", "/all", Some("1"), Some(1), "GET /all", "forbidden"),
        ("GET", "/all", Some("9"), Some(9), "GET /all", "address_not_allowed"),
        ("GET", "/things/2", Some("1"), Some(1), "GET /things/{id}", "not_found"),
        ("POST", "/sensitive", Some("1"), Some(1), "POST /sensitive", crate::auth::NOT_FRESH),
        ("GET", "/all", Some("forged"), None, "GET /all", "token_forged"),
        ("GET", "/things/1", Some("8"), Some(8), "GET /things/{id}", "token_revoked"),
        ("GET", "/busy", None, None, "GET /busy", "busy"),
        ("GET", "/busy", Some("forged"), None, "GET /busy", "busy"),
    ] {
        let expected = RefusedAccess {
            actor: actor.map(user),
            from: Some(ClientAddress("192.0.2.1".parse().unwrap())),
            user_agent: "tests".to_owned(),
            route: route.to_owned(),
            code,
        };
        assert_eq!(noted(method, path, token).await, [expected], "{method} {path}");
    }
}

#[tokio::test]
async fn what_is_not_about_the_caller_is_not_noted() {
    for (method, path, token) in [
        ("GET", "/things/1", Some("1")),
        ("GET", "/things/2", None),
        ("GET", "/all", None),
        ("GET", "/all", Some("7")),
        ("GET", "/broken", Some("1")),
        ("GET", "/nowhere", Some("1")),
        ("POST", "/all", Some("1")),
    ] {
        assert_eq!(noted(method, path, token).await, [], "{method} {path}");
    }
}

#[test]
fn made_up_methods_make_no_routes() {
    assert_eq!(route(&Method::from_bytes(b"MADE-UP").unwrap(), None), "other");
    assert_eq!(route(&Method::GET, None), "other");
}
